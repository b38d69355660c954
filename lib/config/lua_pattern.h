/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_LUA_PATTERN_H
#define SL_CONFIG_LUA_PATTERN_H

/**
 * @file
 * string.find, match, gmatch and gsub with Lua's patterns (Lua 5.4 reference manual, section 6.4.1).
 *
 * Lua's own run in C where no instruction limit reaches, and a pattern of thirty characters can take them years. These
 * charge every comparison to the sandbox.
 */

#include <lua.h>

int sl_lua_find(lua_State *L);
int sl_lua_match(lua_State *L);
int sl_lua_gmatch(lua_State *L);
int sl_lua_gsub(lua_State *L);

#endif
