/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "lua_lib.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "lua_pattern.h"

#define PRINTS_MAX 100u
#define MOVE_MAX 1000000

static unsigned int
caller_line(lua_State *L)
{
	lua_Debug ar;

	/* The nearest Lua function: table.insert may have been called through pcall. */
	for (int level = 1; level < 10 && lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "l", &ar);
		if (ar.currentline > 0)
			return (unsigned int)ar.currentline;
	}
	return 0;
}

static void
report(lua_State *L, bool is_error, const char *text)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);

	if (s->finding != NULL)
		s->finding(s->arg, is_error, caller_line(L), text);
}

/* ---------------------------------------------------------------- base */

static int
lib_print(lua_State *L)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);
	char text[256] = "print: ";

	if (s->prints++ >= PRINTS_MAX)
		return 0;
	for (int i = 1, n = lua_gettop(L); i <= n; i++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%s", i > 1 ? " " : "", luaL_tolstring(L, i, NULL));
		lua_pop(L, 1);
	}
	report(L, false, text);
	return 0;
}

/* Lua runs finalisers with its hooks off, so no limit would hold there. */
static int
lib_setmetatable(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	if (lua_type(L, 2) == LUA_TTABLE) {
		lua_pushliteral(L, "__gc");
		if (lua_rawget(L, 2) != LUA_TNIL)
			return luaL_error(L, "a finaliser (__gc) is not available in a push configuration");
		lua_pop(L, 1);
	} else {
		luaL_argexpected(L, lua_type(L, 2) == LUA_TNIL, 2, "nil or table");
	}
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		return luaL_error(L, "cannot change a protected metatable");
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

/* A name that nothing was assigned to is a forgotten quote more often than not: FilterBPF = tcp would push everything.
 */
static int
lib_undefined(lua_State *L)
{
	static const char *const refused[] = {"io", "require", "package", "debug", "load", "loadstring", "loadfile",
		"dofile", "coroutine", "collectgarbage", "getfenv", "setfenv", "module", "ffi", "jit"};
	char text[512];

	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	const char *name = lua_tostring(L, 2);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (strcmp(name, refused[i]) == 0)
			return luaL_error(L, "%s is not available in a push configuration", name);
	snprintf(text, sizeof(text),
		"nothing was assigned to the name %.100s; if it is a text, write it with quotes: \"%.100s\"", name,
		name);
	report(L, true, text);
	return 0;
}

/* os.execute and the like: say so instead of "attempt to call a nil value". */
static int
lib_refused_member(lua_State *L)
{
	const char *name = luaL_tolstring(L, 2, NULL);

	return luaL_error(
		L, "%s.%s is not available in a push configuration", lua_tostring(L, lua_upvalueindex(1)), name);
}

static void
refuse_other_members(lua_State *L, const char *library)
{
	lua_newtable(L);
	lua_pushstring(L, library);
	lua_pushcclosure(L, lib_refused_member, 1);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "locked");
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

/* Call Lua's own function, upvalue 1, with all that is on the stack. Its errors say "to '?'", because it is in no table
 * any more that Lua could find its name in; upvalue 2 is the name.
 */
static void
call_original(lua_State *L, int results)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	if (lua_pcall(L, lua_gettop(L) - 1, results, 0) == LUA_OK)
		return;
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
	const char *nameless = strstr(text, " to '?'");
	if (nameless != NULL) {
		lua_pushlstring(L, text, (size_t)(nameless - text));
		lua_pushfstring(L, " to '%s'%s", lua_tostring(L, lua_upvalueindex(2)), nameless + strlen(" to '?'"));
		lua_concat(L, 2);
	}
	lua_error(L);
}

/* ---------------------------------------------------------------- table */

/* Metamethods could make a table of any length out of nothing, and C code would walk it. */
static void
check_plain(lua_State *L, int arg)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	if (lua_getmetatable(L, arg))
		luaL_error(L, "a table with a metatable can't be passed to this function here");
}

static int
lib_insert(lua_State *L)
{
	check_plain(L, 1);
	lua_Integer end = (lua_Integer)lua_rawlen(L, 1) + 1, at = end;
	int top = lua_gettop(L);

	if (top == 3) {
		sl_lua_sandbox_charge(L, (uint64_t)end);
		at = luaL_checkinteger(L, 2);
		luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
		for (lua_Integer i = end; i > at; i--) {
			lua_rawgeti(L, 1, i - 1);
			lua_rawseti(L, 1, i);
		}
	} else if (top != 2) {
		return luaL_error(L, "wrong number of arguments to 'insert'");
	}
	if (lua_type(L, top) == LUA_TTABLE) {
		lua_getfield(L, LUA_REGISTRYINDEX, SL_LUA_LINES);
		lua_pushvalue(L, top);
		lua_pushinteger(L, (lua_Integer)caller_line(L));
		lua_rawset(L, -3);
		lua_getfield(L, LUA_REGISTRYINDEX, SL_LUA_INSERTED);
		lua_pushvalue(L, top);
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
		lua_settop(L, top);
	}
	lua_rawseti(L, 1, at);
	return 0;
}

/* Check that the first argument is a plain table, then call Lua's own function. */
static int
lib_guarded(lua_State *L)
{
	check_plain(L, 1);
	/* remove() moves, concat() copies, sort() compares all elements, some of them several times. */
	sl_lua_sandbox_charge(L, 4 * lua_rawlen(L, 1));
	call_original(L, LUA_MULTRET);
	return lua_gettop(L);
}

static int
lib_move(lua_State *L)
{
	lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);

	if (lua_gettop(L) >= 5)
		check_plain(L, 5);
	luaL_argcheck(L, from > -MOVE_MAX && from < MOVE_MAX && to < MOVE_MAX, 3, "too many elements to move");
	return lib_guarded(L);
}

/* ---------------------------------------------------------------- string */

static int
lib_rep(lua_State *L)
{
	size_t len, len_sep;
	const char *text = luaL_checklstring(L, 1, &len);
	lua_Integer n = luaL_checkinteger(L, 2);
	const char *sep = luaL_optlstring(L, 3, "", &len_sep);
	luaL_Buffer b;

	if (n <= 0 || len + len_sep == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if ((lua_Integer)(SL_LUA_MEMORY / (len + len_sep)) < n)
		return luaL_error(L, "the resulting string is too long");
	sl_lua_sandbox_charge(L, (uint64_t)n / 8);
	luaL_buffinitsize(L, &b, (size_t)n * (len + len_sep));
	for (lua_Integer i = 0; i < n; i++) {
		luaL_addlstring(&b, text, len);
		if (i + 1 < n)
			luaL_addlstring(&b, sep, len_sep);
	}
	luaL_pushresult(&b);
	return 1;
}

/* ---------------------------------------------------------------- os */

static void
remember_date(struct sl_lua_sandbox *s, const char *format, const char *result)
{
	if (s->n_dates == SL_LUA_DATES)
		return;
	struct sl_lua_sandbox_date *d = &s->dates[s->n_dates++];
	snprintf(d->format, sizeof(d->format), "%s", format);
	snprintf(d->result, sizeof(d->result), "%s", result);
}

static int
lib_date(lua_State *L)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);
	char format[sizeof(s->dates[0].format)];

	/* A copy: the call takes the argument from the stack. */
	snprintf(format, sizeof(format), "%s", luaL_optstring(L, 1, "%c"));
	lua_settop(L, 2);
	if (lua_isnil(L, 2)) {
		s->asked_time = true;
		lua_pushinteger(L, (lua_Integer)s->now);
		lua_replace(L, 2);
	}
	call_original(L, 1);
	if (lua_type(L, -1) == LUA_TSTRING)
		remember_date(s, format, lua_tostring(L, -1));
	return 1;
}

static int
lib_time(lua_State *L)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);

	if (lua_isnoneornil(L, 1)) {
		s->asked_time = true;
		lua_pushinteger(L, (lua_Integer)s->now);
		return 1;
	}
	lua_settop(L, 1);
	call_original(L, 1);
	return 1;
}

/* ---------------------------------------------------------------- all */

/* library[name] = wrapper with Lua's own function and its name as upvalues; the library is on top. */
static void
wrap(lua_State *L, const char *name, lua_CFunction wrapper)
{
	lua_getfield(L, -1, name);
	lua_pushstring(L, name);
	lua_pushcclosure(L, wrapper, 2);
	lua_setfield(L, -2, name);
}

static void
remove_members(lua_State *L, const char *const *names)
{
	for (; *names != NULL; names++) {
		lua_pushnil(L);
		lua_setfield(L, -2, *names);
	}
}

/* Keep only what is listed: what a newer Lua adds is not thereby allowed. The table is on top. */
static void
keep_members(lua_State *L, const char *const *names)
{
	lua_newtable(L);
	for (; *names != NULL; names++) {
		lua_getfield(L, -2, *names);
		lua_setfield(L, -2, *names);
	}
	lua_remove(L, -2);
}

static void
open_base(lua_State *L)
{
	static const char *const removed[] = {"collectgarbage", "dofile", "load", "loadfile", "warn", "xpcall", NULL};

	luaL_requiref(L, "_G", luaopen_base, 1);
	remove_members(L, removed);
	lua_pushcfunction(L, lib_print);
	lua_setfield(L, -2, "print");
	lua_pushcfunction(L, lib_setmetatable);
	lua_setfield(L, -2, "setmetatable");
	lua_pop(L, 1);
}

static void
open_table(lua_State *L)
{
	static const char *const kept[] = {"concat", "move", "pack", "remove", "sort", "unpack", NULL};

	luaL_requiref(L, "table", luaopen_table, 0);
	keep_members(L, kept);
	lua_pushcfunction(L, lib_insert);
	lua_setfield(L, -2, "insert");
	wrap(L, "concat", lib_guarded);
	wrap(L, "remove", lib_guarded);
	wrap(L, "sort", lib_guarded);
	wrap(L, "move", lib_move);
	lua_getfield(L, -1, "unpack");
	lua_setglobal(L, "unpack"); /* as in the Lua 5.1 of the appliances */
	refuse_other_members(L, "table");
	lua_setglobal(L, "table");
}

static void
open_string(lua_State *L)
{
	static const char *const kept[] = {"byte", "char", "format", "len", "lower", "reverse", "sub", "upper", NULL};
	static const luaL_Reg ours[] = {{"rep", lib_rep}, {"find", sl_lua_find}, {"match", sl_lua_match},
		{"gmatch", sl_lua_gmatch}, {"gsub", sl_lua_gsub}, {NULL, NULL}};

	luaL_requiref(L, "string", luaopen_string, 0);
	keep_members(L, kept);
	luaL_setfuncs(L, ours, 0);
	refuse_other_members(L, "string");
	/* ("x"):rep() finds its functions through the metatable of strings. */
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "locked");
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
	lua_setglobal(L, "string");
}

static void
open_math(lua_State *L)
{
	luaL_requiref(L, "math", luaopen_math, 0);
	/* A configuration means the same each time it is read. */
	lua_getfield(L, -1, "randomseed");
	lua_pushinteger(L, 1);
	lua_call(L, 1, 0);
	lua_pushnil(L);
	lua_setfield(L, -2, "randomseed");
	refuse_other_members(L, "math");
	lua_setglobal(L, "math");
}

static void
open_os(lua_State *L)
{
	static const char *const kept[] = {"clock", "date", "difftime", "time", NULL};

	luaL_requiref(L, "os", luaopen_os, 0);
	keep_members(L, kept);
	wrap(L, "date", lib_date);
	wrap(L, "time", lib_time);
	refuse_other_members(L, "os");
	lua_setglobal(L, "os");
}

void
sl_lua_open_libs(lua_State *L)
{
	open_base(L);
	open_table(L);
	open_string(L);
	open_math(L);
	open_os(L);
	/* luaL_requiref() has kept the complete libraries here. */
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);

	lua_pushglobaltable(L);
	lua_newtable(L);
	lua_pushcfunction(L, lib_undefined);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "locked");
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}
