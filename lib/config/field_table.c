/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "field.h"
#include "suggest.h"

#define FIELDS_MAX 64u /* names that a misspelt one is compared with */

static bool
check_type(struct sl_field_reader *r, unsigned int types)
{
	static const char *const names[] = {"a string", "true or false", "a number", "a table"};
	char want[80] = "";
	unsigned int is;

	switch (lua_type(r->L, -1)) {
	case LUA_TSTRING:
		is = T_STRING;
		break;
	case LUA_TBOOLEAN:
		is = T_BOOL;
		break;
	case LUA_TNUMBER:
		is = T_NUMBER;
		break;
	case LUA_TTABLE:
		is = T_TABLE;
		break;
	default:
		is = 0;
	}
	if (types == 0 || (is & types) != 0)
		return true;
	for (unsigned int i = 0; i < 4; i++) {
		size_t used = strlen(want);

		if ((types & (1u << i)) != 0)
			snprintf(want + used, sizeof(want) - used, "%s%s", used > 0 ? " or " : "", names[i]);
	}
	/* A copy is converted: lua_tostring() changes a number in place. */
	lua_pushvalue(r->L, -1);
	if (is == T_NUMBER && strcmp(r->field, "Split") == 0)
		error(r,
			"must be a string, not the number %s; write Split = \"--split-time 60e9\" (nanoseconds) or "
			"\"--split-byte 1e9\"",
			lua_tostring(r->L, -1));
	else if (is == T_STRING || is == T_NUMBER)
		error(r, "must be %s, not the %s %s%.100s%s", want, is == T_STRING ? "string" : "number",
			is == T_STRING ? "\"" : "", lua_tostring(r->L, -1), is == T_STRING ? "\"" : "");
	else if (is == T_BOOL)
		error(r, "must be %s, not %s", want, lua_toboolean(r->L, -1) ? "true" : "false");
	else
		error(r, "must be %s, not a %s", want, luaL_typename(r->L, -1));
	lua_pop(r->L, 1);
	return false;
}

static bool
is_off(lua_State *L)
{
	return (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1)) ||
	       (lua_type(L, -1) == LUA_TSTRING && *lua_tostring(L, -1) == '\0');
}

void
sl_field_read(struct sl_field_reader *r, const struct sl_field *f, int index)
{
	lua_State *L = r->L;

	/* Metamethods count: a table of defaults behind __index is good Lua. */
	lua_getfield(L, index, f->name);
	if (!lua_isnil(L, -1)) {
		r->field = f->name;
		if (f->class == IGNORED)
			sl_config_ignore(r->config, f->name, sl_field_line(r, f->name));
		else if (check_type(r, f->types)) {
			if (f->class == USED)
				f->read(r);
			else if (!is_off(L))
				error(r, "is not available in this version; remove it%s",
					strcmp(f->name, "Decap") == 0 ? ", or write Decap = false" : "");
		}
		unsigned int again = r->table >= 0 ? sl_source_field_again(&r->config->source, r->table, f->name) : 0;
		if (again != 0)
			sl_config_add_finding(r->config, false, again, r->name, f->name,
				"is written twice in one %s; the last one counts", r->config->noun);
	}
	lua_pop(L, 1);
}

static void
unknown_field(struct sl_field_reader *r, const char *name, unsigned int scope)
{
	const char *words[FIELDS_MAX] = {NULL};
	size_t n = 0;

	for (size_t i = 0; i < sl_fields_count && n < FIELDS_MAX; i++)
		if ((sl_fields[i].scope & scope) != 0 && sl_fields[i].class == USED)
			words[n++] = sl_fields[i].name;
	const char *near = sl_suggest(name, words, n);
	bool elsewhere = false;
	for (size_t i = 0; i < sl_fields_count; i++)
		elsewhere = elsewhere || strcmp(sl_fields[i].name, name) == 0;

	r->field = name;
	if (elsewhere)
		error(r, "belongs %s",
			scope == IN_TOP ? "into each target, not to the top level"
					: "to the top level (Config.Target), not into a target");
	else if (near != NULL)
		error(r, "unknown field; did you mean %s?", near);
	else {
		char known[512] = "";

		for (size_t i = 0; i < n; i++) {
			size_t used = strlen(known);
			snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "", words[i]);
		}
		error(r, "unknown field; known are %s", known);
	}
}

void
sl_fields_find_unknown(struct sl_field_reader *r, int index, unsigned int scope)
{
	lua_State *L = r->L;

	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		lua_pop(L, 1); /* the value; the key stays for lua_next() */
		if (lua_type(L, -1) != LUA_TSTRING) {
			r->field = "";
			error(r, "holds a value without a field name; each value is written as Field = value");
			lua_pop(L, 1);
			return; /* one such finding is enough */
		}
		const char *name = lua_tostring(L, -1);
		bool known = scope == IN_TOP && strncmp(name, "TSMode", 6) == 0;
		if (known)
			sl_config_ignore(r->config, name, sl_field_line(r, name));
		for (size_t i = 0; i < sl_fields_count && !known; i++)
			known = (sl_fields[i].scope & scope) != 0 && strcmp(sl_fields[i].name, name) == 0;
		if (!known)
			unknown_field(r, name, scope);
		if (sl_config_findings_full(r->config)) {
			lua_pop(L, 1);
			return;
		}
	}
}

bool
sl_field_given(struct sl_field_reader *r, int index, const char *name)
{
	lua_getfield(r->L, index, name);
	bool there = !lua_isnil(r->L, -1);
	lua_pop(r->L, 1);
	return there;
}
