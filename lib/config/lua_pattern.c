/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "lua_pattern.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "lua_lib.h"

#define CAPTURES_MAX 32
#define DEPTH_MAX 200 /* C calls within each other, as in Lua */
#define LEN_OPEN (-1)
#define LEN_POSITION (-2)

struct match {
	lua_State *L;
	const char *begin, *end; /* subject */
	const char *pattern_end;
	int depth;
	int captures;
	struct {
		const char *begin;
		ptrdiff_t len; /* or LEN_* */
	} capture[CAPTURES_MAX];
};

/* One part of a pattern: a character class and how often it may come. */
struct item {
	const char *class, *class_end;
	char repeat; /* '*', '+', '-', '?' or 0 */
};

static const char *try_match(struct match *m, const char *s, const char *p) __attribute__((nonnull));

/* ---------------------------------------------------------------- single characters */

static const char *
end_of_class(struct match *m, const char *p)
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
matches_one(struct match *m, const char *s, const struct item *item)
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
match_longest(struct match *m, const char *s, const struct item *item, const char *rest)
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
match_shortest(struct match *m, const char *s, const struct item *item, const char *rest)
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
open_capture(struct match *m, const char *s, const char *p, ptrdiff_t len)
{
	if (m->captures == CAPTURES_MAX)
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
close_capture(struct match *m, const char *s, const char *p)
{
	int i = m->captures - 1;

	while (i >= 0 && m->capture[i].len != LEN_OPEN)
		i--;
	if (i < 0)
		luaL_error(m->L, "invalid pattern capture");
	m->capture[i].len = s - m->capture[i].begin;
	const char *end = try_match(m, s, p);
	if (end == NULL)
		m->capture[i].len = LEN_OPEN;
	return end;
}

static const char *
match_balanced(struct match *m, const char *s, const char *p)
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
match_again(struct match *m, const char *s, char digit)
{
	int i = digit - '1';

	if (i < 0 || i >= m->captures || m->capture[i].len == LEN_OPEN) {
		luaL_error(m->L, "invalid capture index %%%d", i + 1);
		return NULL; /* not reached, but compilers do not know that */
	}
	size_t len = m->capture[i].len == LEN_POSITION ? 0 : (size_t)m->capture[i].len;
	sl_lua_sandbox_charge(m->L, len);
	/* s lies in the subject, which Lua never hands over as NULL */
	if ((size_t)(m->end - s) < len || /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		memcmp(m->capture[i].begin, s, len) != 0)
		return NULL;
	return s + len;
}

/* %f[set]: where the set begins to hold. */
static bool
at_frontier(struct match *m, const char *s, const char *p, const char **after)
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
try_special(struct match *m, const char **s, const char **p, bool *done)
{
	const char *after;

	*done = true;
	if (**p == '(') {
		if (*p + 1 < m->pattern_end && (*p)[1] == ')')
			return open_capture(m, *s, *p + 2, LEN_POSITION);
		return open_capture(m, *s, *p + 1, LEN_OPEN);
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
match_items(struct match *m, const char *s, const char *p)
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
try_match(struct match *m, const char *s, const char *p)
{
	if (++m->depth > DEPTH_MAX)
		luaL_error(m->L, "pattern too complex");
	sl_lua_sandbox_charge(m->L, 1);
	const char *end = match_items(m, s, p);
	m->depth--;
	return end;
}

static const char *__attribute__((nonnull)) match_at(struct match *m, const char *s, const char *p)
{
	m->captures = 0;
	m->depth = 0;
	return try_match(m, s, p);
}

/* ---------------------------------------------------------------- results */

static void
push_capture(struct match *m, int i, const char *s, const char *end)
{
	if (i >= m->captures) {
		if (i != 0)
			luaL_error(m->L, "invalid capture index %%%d", i + 1);
		lua_pushlstring(m->L, s, (size_t)(end - s));
	} else if (m->capture[i].len == LEN_POSITION) {
		lua_pushinteger(m->L, m->capture[i].begin - m->begin + 1);
	} else if (m->capture[i].len == LEN_OPEN) {
		luaL_error(m->L, "unfinished capture");
	} else {
		lua_pushlstring(m->L, m->capture[i].begin, (size_t)m->capture[i].len);
	}
}

/* All captures; the whole match if there are none and s is given. */
static int
push_captures(struct match *m, const char *s, const char *end)
{
	int n = m->captures == 0 && s != NULL ? 1 : m->captures;

	luaL_checkstack(m->L, n + 2, "too many captures");
	for (int i = 0; i < n; i++)
		push_capture(m, i, s, end);
	return n;
}

/* Lua's position argument as an offset; past the end gives len + 1. */
static size_t
start_offset(lua_Integer position, size_t len)
{
	if (position > 0)
		return (size_t)position - 1 > len ? len + 1 : (size_t)position - 1;
	if (position == 0 || position < -(lua_Integer)len)
		return 0;
	return len - (size_t)(-position);
}

static int
find_plain(lua_State *L, const char *subject, size_t len, const char *pattern, size_t pattern_len, size_t start)
{
	const char *at = memmem(subject + start, len - start, pattern, pattern_len);

	if (at == NULL) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, at - subject + 1);
	lua_pushinteger(L, at - subject + (lua_Integer)pattern_len);
	return 2;
}

static bool
has_special(const char *pattern, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (pattern[i] != '\0' && strchr("^$*+?.([%-", pattern[i]) != NULL)
			return true;
	return false;
}

static int
find_or_match(lua_State *L, bool find)
{
	size_t len, pattern_len;
	const char *subject = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &pattern_len);
	size_t start = start_offset(luaL_optinteger(L, 3, 1), len);

	if (start > len) {
		lua_pushnil(L);
		return 1;
	}
	if (find && (lua_toboolean(L, 4) || !has_special(p, pattern_len)))
		return find_plain(L, subject, len, p, pattern_len, start);
	struct match m = {.L = L, .begin = subject, .end = subject + len, .pattern_end = p + pattern_len};
	bool anchored = pattern_len > 0 && *p == '^';
	const char *s = subject + start;
	do {
		const char *end = match_at(&m, s, p + anchored);
		if (end == NULL)
			continue;
		if (!find)
			return push_captures(&m, s, end);
		lua_pushinteger(L, s - subject + 1);
		lua_pushinteger(L, end - subject);
		return 2 + push_captures(&m, NULL, NULL);
	} while (s++ < m.end && !anchored);
	lua_pushnil(L);
	return 1;
}

int
sl_lua_find(lua_State *L)
{
	return find_or_match(L, true);
}

int
sl_lua_match(lua_State *L)
{
	return find_or_match(L, false);
}

/* Upvalues: subject, pattern, offset to go on at, end of the last match (an empty match there is not a new one). */
static int
gmatch_next(lua_State *L)
{
	size_t len, pattern_len;
	const char *subject = lua_tolstring(L, lua_upvalueindex(1), &len);
	const char *p = lua_tolstring(L, lua_upvalueindex(2), &pattern_len);
	size_t offset = (size_t)lua_tointeger(L, lua_upvalueindex(3));
	lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
	struct match m = {.L = L, .begin = subject, .end = subject + len, .pattern_end = p + pattern_len};

	for (; offset <= len; offset++) {
		const char *s = subject + offset, *end = match_at(&m, s, p);

		if (end == NULL || end - subject == last)
			continue;
		lua_pushinteger(L, end - subject);
		lua_copy(L, -1, lua_upvalueindex(4));
		lua_replace(L, lua_upvalueindex(3));
		return push_captures(&m, s, end);
	}
	lua_pushinteger(L, (lua_Integer)len + 1);
	lua_replace(L, lua_upvalueindex(3));
	return 0;
}

int
sl_lua_gmatch(lua_State *L)
{
	size_t len;

	luaL_checklstring(L, 1, &len);
	luaL_checkstring(L, 2);
	size_t start = start_offset(luaL_optinteger(L, 3, 1), len);
	lua_settop(L, 2);
	lua_pushinteger(L, (lua_Integer)start);
	lua_pushinteger(L, -1);
	lua_pushcclosure(L, gmatch_next, 4);
	return 1;
}

static void
add_replacement_text(struct match *m, luaL_Buffer *b, const char *s, const char *end)
{
	size_t len;
	const char *text = lua_tolstring(m->L, 3, &len);

	for (size_t i = 0; i < len; i++) {
		if (text[i] != '%') {
			luaL_addchar(b, text[i]);
			continue;
		}
		i++;
		if (i < len && text[i] == '%')
			luaL_addchar(b, '%');
		else if (i < len && text[i] == '0')
			luaL_addlstring(b, s, (size_t)(end - s));
		else if (i < len && isdigit((unsigned char)text[i])) {
			push_capture(m, text[i] - '1', s, end);
			luaL_tolstring(m->L, -1, NULL);
			lua_remove(m->L, -2);
			luaL_addvalue(b);
		} else {
			luaL_error(m->L, "invalid use of '%%' in replacement string");
		}
	}
}

/* What gsub puts in place of one match. */
static void
add_replacement(struct match *m, luaL_Buffer *b, const char *s, const char *end)
{
	lua_State *L = m->L;

	if (lua_type(L, 3) == LUA_TFUNCTION) {
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(m, s, end), 1);
	} else if (lua_type(L, 3) == LUA_TTABLE) {
		push_capture(m, 0, s, end);
		lua_gettable(L, 3);
	} else {
		add_replacement_text(m, b, s, end);
		return;
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		lua_pushlstring(L, s, (size_t)(end - s));
	} else if (!lua_isstring(L, -1)) {
		luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
	}
	luaL_addvalue(b);
}

int
sl_lua_gsub(lua_State *L)
{
	size_t len, pattern_len;
	const char *subject = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &pattern_len);
	int type = lua_type(L, 3);
	lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
	struct match m = {.L = L, .begin = subject, .end = subject + len, .pattern_end = p + pattern_len};
	bool anchored = pattern_len > 0 && *p == '^';
	const char *s = subject, *last = NULL;
	luaL_Buffer b;

	luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TFUNCTION,
		3, "string/function/table");
	luaL_buffinit(L, &b);
	while (n < max) {
		const char *end = match_at(&m, s, p + anchored);

		if (end != NULL && end != last) {
			n++;
			add_replacement(&m, &b, s, end);
			s = last = end;
		} else if (s < m.end) {
			luaL_addlstring(&b, s++, 1);
		} else {
			break;
		}
		if (anchored)
			break;
	}
	luaL_addlstring(&b, s, (size_t)(m.end - s));
	luaL_pushresult(&b);
	lua_pushinteger(L, n);
	return 2;
}
