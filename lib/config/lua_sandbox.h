/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_LUA_SANDBOX_H
#define SL_CONFIG_LUA_SANDBOX_H

/**
 * @file
 * A Lua state that can compute and nothing else: no files, no programs, no modules, bounded steps, time and memory.
 *
 * All of its limits end in an ordinary Lua error that the file cannot catch for good.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <lua.h>

#define SL_LUA_ERRBUF 512u
#define SL_LUA_MEMORY (64u << 20)     /**< bytes */
#ifndef SL_LUA_STEPS
#define SL_LUA_STEPS 20000000u        /**< VM instructions: 96 targets take about ten thousand */
#endif
#define SL_LUA_CPU_NS 2000000000ull   /**< processor time */
#define SL_LUA_DATES 16u

/** A result of os.date while the file ran. */
struct sl_lua_sandbox_date {
	char format[256];
	char result[256];
};

struct sl_lua_sandbox {
	lua_State *L;
	size_t memory; /**< bytes in use */
	uint64_t steps;
	uint64_t deadline; /**< of the thread's CPU clock, ns */
	unsigned int line; /**< last line begun, for errors that have none */
	const char *limit; /**< which limit was reached, or NULL */
	bool out_of_memory;
	time_t now;      /**< what os.time() says */
	bool asked_time; /**< os.date or os.time depended on now */
	struct sl_lua_sandbox_date dates[SL_LUA_DATES];
	size_t n_dates;
	unsigned int prints;
	/** A remark of the sandbox's that does not stop the file; may be NULL. */
	void (*finding)(void *arg, bool is_error, unsigned int line, const char *text);
	void *arg;
};

/** Make the state. @return 0 or -ENOMEM */
int sl_lua_sandbox_open(struct sl_lua_sandbox *sandbox, time_t now,
	void (*finding)(void *arg, bool is_error, unsigned int line, const char *text), void *arg);
void sl_lua_sandbox_close(struct sl_lua_sandbox *sandbox);

/**
 * Run a file's text; on success its return value is left on the Lua stack. Text only, no precompiled chunks.
 *
 * @param[out] line    of the error, 0 if unknown
 * @param[out] errbuf  SL_LUA_ERRBUF bytes
 * @return 0; -EINVAL; -ENOMEM: the process (not the sandbox) has none
 */
int sl_lua_sandbox_run(struct sl_lua_sandbox *sandbox, const char *text, size_t len, unsigned int *line, char *errbuf);

/**
 * Call a C function with one light userdata under the same limits: reading a table may run metamethods. One more
 * argument, the value on top of the stack, is passed as the second and removed.
 *
 * @return as sl_lua_sandbox_run()
 */
int sl_lua_sandbox_call(struct sl_lua_sandbox *sandbox, lua_CFunction function, void *arg, unsigned int *line, char *errbuf);

/**
 * Count work that C code is about to do for the file as VM instructions. Raises a Lua error when a limit is reached.
 * Only while a protected call of this sandbox runs.
 */
void sl_lua_sandbox_charge(lua_State *L, uint64_t steps);

/** Line of the call of table.insert that inserted the table at index, 0 if there was none. */
unsigned int sl_lua_sandbox_insert_line(lua_State *L, int index);

/** Push a list of all tables that were inserted by table.insert, in order. */
void sl_lua_sandbox_push_inserted(lua_State *L);

#endif
