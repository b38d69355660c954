/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "lua_lib.h"
#include "lua_match.h"

#define DEPTH_MAX 200 /* C calls within each other, as in Lua */

/* One part of a pattern: a character class and how often it may come. */
struct item {
	const char *class, *class_end;
	char repeat; /* '*', '+', '-', '?' or 0 */
};

static const char *try_match(struct sl_lua_match *m, const char *s, const char *p) __attribute__((nonnull));

/* ---------------------------------------------------------------- single characters */

static const char *
end_of_class(struct sl_lua_match *m, const char *p)
{
	char first = *p++;

	if (first == '%') {
		if (p == m->pattern_end)
			luaL_error(m->L, "malformed pattern (ends with '%%')");
		return p + 1;
	}
	if (first != '[')
		return p;
	if (p < m->pattern_end && *p == '^')
		p++;
	/* A ']' that comes first stands for itself. */
	do {
		if (p == m->pattern_end)
			luaL_error(m->L, "malformed pattern (missing ']')");
		if (*p++ == '%') {
			if (p == m->pattern_end)
				luaL_error(m->L, "malformed pattern (missing ']')");
			p++;
		}
	} while (p == m->pattern_end || *p != ']');
	return p + 1;
}

static bool
in_letter_class(unsigned char c, unsigned char letter)
{
	bool is;

	switch (tolower(letter)) {
	case 'a':
		is = isalpha(c);
		break;
	case 'c':
		is = iscntrl(c);
		break;
	case 'd':
		is = isdigit(c);
		break;
	case 'g':
		is = isgraph(c);
		break;
	case 'l':
		is = islower(c);
		break;
	case 'p':
		is = ispunct(c);
		break;
	case 's':
		is = isspace(c);
		break;
	case 'u':
		is = isupper(c);
		break;
	case 'w':
		is = isalnum(c);
		break;
	case 'x':
		is = isxdigit(c);
		break;
	case 'z': /* of Lua 5.1 */
		is = c == '\0';
		break;
	default:
		return letter == c;
	}
	return isupper(letter) ? !is : is;
}

/* p at '[', last at its ']' */
static bool
in_set(unsigned char c, const char *p, const char *last)
{
	bool found = true;

	if (p[1] == '^') {
		found = false;
		p++;
	}
	while (++p < last) {
		if (*p == '%') {
			p++;
			if (in_letter_class(c, (unsigned char)*p))
				return found;
		} else if (p[1] == '-' && p + 2 < last) {
			if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
				return found;
			p += 2;
		} else if ((unsigned char)*p == c) {
			return found;
		}
	}
	return !found;
}

static bool
matches_one(struct sl_lua_match *m, const char *s, const struct item *item)
{
	sl_lua_sandbox_charge(m->L, 1);
	if (s >= m->end)
		return false;
	unsigned char c = (unsigned char)*s;
	switch (*item->class) {
	case '.':
		return true;
	case '%':
		return in_letter_class(c, (unsigned char)item->class[1]);
	case '[':
		sl_lua_sandbox_charge(m->L, (uint64_t)(item->class_end - item->class));
		return in_set(c, item->class, item->class_end - 1);
	default:
		return (unsigned char)*item->class == c;
	}
}

/* ---------------------------------------------------------------- repetition */

static const char *
match_longest(struct sl_lua_match *m, const char *s, const struct item *item, const char *rest)
{
	ptrdiff_t n = 0;

	while (matches_one(m, s + n, item))
		n++;
	for (; n >= 0; n--) {
		const char *end = try_match(m, s + n, rest);
		if (end != NULL)
			return end;
	}
	return NULL;
}

static const char *
match_shortest(struct sl_lua_match *m, const char *s, const struct item *item, const char *rest)
{
	for (;; s++) {
		const char *end = try_match(m, s, rest);
		if (end != NULL)
			return end;
		if (!matches_one(m, s, item))
			return NULL;
	}
}

/* ---------------------------------------------------------------- captures and the other special items */

static const char *
open_capture(struct sl_lua_match *m, const char *s, const char *p, ptrdiff_t len)
{
	if (m->captures == SL_LUA_CAPTURES_MAX)
		luaL_error(m->L, "too many captures");
	m->capture[m->captures].begin = s;
	m->capture[m->captures].len = len;
	m->captures++;
	const char *end = try_match(m, s, p);
	if (end == NULL)
		m->captures--;
	return end;
}

static const char *
close_capture(struct sl_lua_match *m, const char *s, const char *p)
{
	int i = m->captures - 1;

	while (i >= 0 && m->capture[i].len != SL_LUA_LEN_OPEN)
		i--;
	if (i < 0)
		luaL_error(m->L, "invalid pattern capture");
	m->capture[i].len = s - m->capture[i].begin;
	const char *end = try_match(m, s, p);
	if (end == NULL)
		m->capture[i].len = SL_LUA_LEN_OPEN;
	return end;
}

static const char *
match_balanced(struct sl_lua_match *m, const char *s, const char *p)
{
	int open = 1;

	if (m->pattern_end - p < 2)
		luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
	if (s >= m->end || *s != p[0])
		return NULL;
	for (s++; s < m->end; s++) {
		sl_lua_sandbox_charge(m->L, 1);
		if (*s == p[1]) {
			if (--open == 0)
				return s + 1;
		} else if (*s == p[0]) {
			open++;
		}
	}
	return NULL;
}

/* The text of an earlier capture once more. */
static const char *
match_again(struct sl_lua_match *m, const char *s, char digit)
{
	int i = digit - '1';

	if (i < 0 || i >= m->captures || m->capture[i].len == SL_LUA_LEN_OPEN) {
		luaL_error(m->L, "invalid capture index %%%d", i + 1);
		return NULL; /* not reached, but compilers do not know that */
	}
	size_t len = m->capture[i].len == SL_LUA_LEN_POSITION ? 0 : (size_t)m->capture[i].len;
	sl_lua_sandbox_charge(m->L, len);
	/* s lies in the subject, which Lua never hands over as NULL */
	if ((size_t)(m->end - s) < len || /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		memcmp(m->capture[i].begin, s, len) != 0)
		return NULL;
	return s + len;
}

/* %f[set]: where the set begins to hold. */
static bool
at_frontier(struct sl_lua_match *m, const char *s, const char *p, const char **after)
{
	if (p >= m->pattern_end || *p != '[')
		luaL_error(m->L, "missing '[' after '%%f' in pattern");
	*after = end_of_class(m, p);
	sl_lua_sandbox_charge(m->L, (uint64_t)(*after - p));
	unsigned char before = s == m->begin ? '\0' : (unsigned char)s[-1];
	unsigned char here = s < m->end ? (unsigned char)*s : '\0';
	return !in_set(before, p, *after - 1) && in_set(here, p, *after - 1);
}

/* ---------------------------------------------------------------- the matcher */

/* Items that are no class: sets *done if p was one, and then returns its match or moves s and p behind it. */
static const char *
try_special(struct sl_lua_match *m, const char **s, const char **p, bool *done)
{
	const char *after;

	*done = true;
	if (**p == '(') {
		if (*p + 1 < m->pattern_end && (*p)[1] == ')')
			return open_capture(m, *s, *p + 2, SL_LUA_LEN_POSITION);
		return open_capture(m, *s, *p + 1, SL_LUA_LEN_OPEN);
	}
	if (**p == ')')
		return close_capture(m, *s, *p + 1);
	if (**p == '$' && *p + 1 == m->pattern_end)
		return *s == m->end ? *s : NULL;
	*done = false;
	if (**p != '%' || *p + 1 == m->pattern_end)
		return *s;
	char c = (*p)[1];
	if (c == 'b') {
		*s = match_balanced(m, *s, *p + 2);
		*p += 4;
	} else if (c == 'f') {
		if (!at_frontier(m, *s, *p + 2, &after))
			*s = NULL;
		*p = after;
	} else if (isdigit((unsigned char)c)) {
		*s = match_again(m, *s, c);
		*p += 2;
	} else {
		return *s;
	}
	/* Moved on: the caller begins again at the new place. */
	*done = *s == NULL;
	return NULL;
}

static const char *
match_items(struct sl_lua_match *m, const char *s, const char *p)
{
	while (p < m->pattern_end) {
		const char *at = p;
		bool done;
		const char *end = try_special(m, &s, &p, &done);

		if (done)
			return end;
		if (p != at)
			continue;
		struct item item = {.class = p, .class_end = end_of_class(m, p)};
		const char *rest = item.class_end;
		if (rest < m->pattern_end && strchr("*+-?", *rest) != NULL && *rest != '\0')
			item.repeat = *rest++;
		switch (item.repeat) {
		case '?':
			if (matches_one(m, s, &item) && (end = try_match(m, s + 1, rest)) != NULL)
				return end;
			break;
		case '+':
			return matches_one(m, s, &item) ? match_longest(m, s + 1, &item, rest) : NULL;
		case '*':
			return match_longest(m, s, &item, rest);
		case '-':
			return match_shortest(m, s, &item, rest);
		default:
			if (!matches_one(m, s, &item))
				return NULL;
			s++;
		}
		p = rest;
	}
	return s;
}

/* End of the match of p at s, or NULL. */
static const char *
try_match(struct sl_lua_match *m, const char *s, const char *p)
{
	if (++m->depth > DEPTH_MAX)
		luaL_error(m->L, "pattern too complex");
	sl_lua_sandbox_charge(m->L, 1);
	const char *end = match_items(m, s, p);
	m->depth--;
	return end;
}

const char *
sl_lua_match_at(struct sl_lua_match *m, const char *s, const char *p)
{
	m->captures = 0;
	m->depth = 0;
	return try_match(m, s, p);
}

/* ---------------------------------------------------------------- captures as Lua values */

void
sl_lua_match_push(struct sl_lua_match *m, int i, const char *s, const char *end)
{
	if (i >= m->captures) {
		if (i != 0)
			luaL_error(m->L, "invalid capture index %%%d", i + 1);
		lua_pushlstring(m->L, s, (size_t)(end - s));
	} else if (m->capture[i].len == SL_LUA_LEN_POSITION) {
		lua_pushinteger(m->L, m->capture[i].begin - m->begin + 1);
	} else if (m->capture[i].len == SL_LUA_LEN_OPEN) {
		luaL_error(m->L, "unfinished capture");
	} else {
		lua_pushlstring(m->L, m->capture[i].begin, (size_t)m->capture[i].len);
	}
}

int
sl_lua_match_push_all(struct sl_lua_match *m, const char *s, const char *end)
{
	int n = m->captures == 0 && s != NULL ? 1 : m->captures;

	luaL_checkstack(m->L, n + 2, "too many captures");
	for (int i = 0; i < n; i++)
		sl_lua_match_push(m, i, s, end);
	return n;
}
