/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_LUA_LIB_H
#define SL_CONFIG_LUA_LIB_H

/**
 * @file
 * The functions that a configuration may call. Each is one of Lua's own, or replaces one that could run for hours inside
 * a single call, where no instruction limit reaches.
 */

#include "lua_sandbox.h"

#define SL_LUA_INSERTED "sluice.inserted" /**< registry: list of tables given to table.insert */
#define SL_LUA_LINES "sluice.lines"       /**< registry: such a table -> line of the call */

/** Set the globals. May raise a Lua error. */
void sl_lua_open_libs(lua_State *L);

/** The sandbox that a state belongs to. */
struct sl_lua_sandbox *sl_lua_sandbox_of(lua_State *L);

#endif
