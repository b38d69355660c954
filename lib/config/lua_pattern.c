/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "lua_pattern.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "lua_match.h"

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
	struct sl_lua_match m = {.L = L, .begin = subject, .end = subject + len, .pattern_end = p + pattern_len};
	bool anchored = pattern_len > 0 && *p == '^';
	const char *s = subject + start;
	do {
		const char *end = sl_lua_match_at(&m, s, p + anchored);
		if (end == NULL)
			continue;
		if (!find)
			return sl_lua_match_push_all(&m, s, end);
		lua_pushinteger(L, s - subject + 1);
		lua_pushinteger(L, end - subject);
		return 2 + sl_lua_match_push_all(&m, NULL, NULL);
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
	struct sl_lua_match m = {.L = L, .begin = subject, .end = subject + len, .pattern_end = p + pattern_len};

	for (; offset <= len; offset++) {
		const char *s = subject + offset, *end = sl_lua_match_at(&m, s, p);

		if (end == NULL || end - subject == last)
			continue;
		lua_pushinteger(L, end - subject);
		lua_copy(L, -1, lua_upvalueindex(4));
		lua_replace(L, lua_upvalueindex(3));
		return sl_lua_match_push_all(&m, s, end);
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
add_replacement_text(struct sl_lua_match *m, luaL_Buffer *b, const char *s, const char *end)
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
			sl_lua_match_push(m, text[i] - '1', s, end);
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
add_replacement(struct sl_lua_match *m, luaL_Buffer *b, const char *s, const char *end)
{
	lua_State *L = m->L;

	if (lua_type(L, 3) == LUA_TFUNCTION) {
		lua_pushvalue(L, 3);
		lua_call(L, sl_lua_match_push_all(m, s, end), 1);
	} else if (lua_type(L, 3) == LUA_TTABLE) {
		sl_lua_match_push(m, 0, s, end);
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
	struct sl_lua_match m = {.L = L, .begin = subject, .end = subject + len, .pattern_end = p + pattern_len};
	bool anchored = pattern_len > 0 && *p == '^';
	const char *s = subject, *last = NULL;
	luaL_Buffer b;

	luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TFUNCTION,
		3, "string/function/table");
	luaL_buffinit(L, &b);
	while (n < max) {
		const char *end = sl_lua_match_at(&m, s, p + anchored);

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
