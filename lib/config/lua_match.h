/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_LUA_MATCH_H
#define SL_CONFIG_LUA_MATCH_H

/**
 * @file
 * Matching one of Lua's patterns at one place of a text, with its captures; what lua_pattern.c makes its functions of.
 * Each comparison is charged to the sandbox. Anything wrong with a pattern is a Lua error.
 */

#include <stddef.h>

#include <lua.h>

#define SL_LUA_CAPTURES_MAX 32   /**< as in Lua */
#define SL_LUA_LEN_OPEN (-1)     /**< its end is not reached yet */
#define SL_LUA_LEN_POSITION (-2) /**< (): a position, not a text */

struct sl_lua_match {
	lua_State *L;
	const char *begin, *end; /**< subject */
	const char *pattern_end;
	int depth; /**< of C calls */
	int captures;
	struct {
		const char *begin;
		ptrdiff_t len; /**< or SL_LUA_LEN_ */
	} capture[SL_LUA_CAPTURES_MAX];
};

/**
 * Match at one place.
 *
 * @param m  L, begin, end and pattern_end are the caller's; the captures are those of this match from here on
 * @param s  where in the subject
 * @param p  the pattern without its anchor
 * @return the end of the match; NULL: none
 */
const char *sl_lua_match_at(struct sl_lua_match *m, const char *s, const char *p) __attribute__((nonnull));

/** Push capture i, from 0, of a match from s to end. If there are no captures, capture 0 is the whole match. */
void sl_lua_match_push(struct sl_lua_match *m, int i, const char *s, const char *end);

/** Push all captures; the whole match if there are none and s is given. @return how many */
int sl_lua_match_push_all(struct sl_lua_match *m, const char *s, const char *end);

#endif
