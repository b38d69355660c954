/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "lua_sandbox.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "lua_lib.h"

#define CHUNK_NAME "=config" /* short, so that Lua does not shorten it; findings carry the path */
#define HOOK_STEPS 100 /* one VM instruction may copy megabytes, so the clock is read often */
#define PIECE 4096u /* the compiler has no hook: it gets the text in pieces, and the clock is read between them */
#define LARGE_BLOCK (64u << 10)

static const char too_long[] = "the file runs for too long (endless loop?)";

static uint64_t
cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* lua_Alloc with a limit. Lua answers NULL with an emergency collection and then with an error. */
static void *
limited_alloc(void *ud, void *block, size_t old_size, size_t new_size)
{
	struct sl_lua_sandbox *s = ud;

	if (block == NULL)
		old_size = 0; /* then it is a type tag */
	if (new_size == 0) {
		s->memory -= old_size;
		free(block);
		return NULL;
	}
	if (new_size > old_size && s->memory + (new_size - old_size) > SL_LUA_MEMORY)
		return NULL;
	/* A chain of __call that ends in itself runs no instruction, so no hook; but the stack grows. */
	if (new_size > old_size && new_size >= LARGE_BLOCK && s->deadline != 0 && cpu_now() > s->deadline) {
		if (s->limit == NULL)
			s->limit = too_long;
		return NULL;
	}
	void *moved = realloc(block, new_size);
	if (moved == NULL) {
		/* Lua counts on shrinking never to fail. */
		if (new_size <= old_size)
			return block;
		s->out_of_memory = true;
		return NULL;
	}
	s->memory += new_size;
	s->memory -= old_size;
	return moved;
}

struct sl_lua_sandbox *
sl_lua_sandbox_of(lua_State *L)
{
	void *ud;

	lua_getallocf(L, &ud);
	return ud;
}

static void limit_hook(lua_State *L, lua_Debug *ar);

/* A limit was reached. From now on every instruction fails, so that no pcall() goes on for long behind it. */
static void
stop(lua_State *L, struct sl_lua_sandbox *s, const char *why)
{
	if (s->limit == NULL)
		s->limit = why;
	lua_sethook(L, limit_hook, LUA_MASKCOUNT, 1);
	/* Inside a hook luaL_error() would name the caller's line; s->line says where the file was. */
	lua_pushstring(L, s->limit);
	lua_error(L);
}

static void
limit_hook(lua_State *L, lua_Debug *ar)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);

	if (s->limit != NULL)
		stop(L, s, NULL);
	if (ar->event == LUA_HOOKLINE) {
		if (ar->currentline > 0)
			s->line = (unsigned int)ar->currentline;
		return;
	}
	if (ar->event == LUA_HOOKCOUNT)
		s->steps += HOOK_STEPS;
	if (s->steps > SL_LUA_STEPS)
		stop(L, s, too_long);
	if (cpu_now() > s->deadline)
		stop(L, s, too_long);
}

void
sl_lua_sandbox_charge(lua_State *L, uint64_t steps)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);

	s->steps += steps;
	if (s->limit == NULL && s->steps > SL_LUA_STEPS)
		stop(L, s, too_long);
}

static int
setup(lua_State *L)
{
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, SL_LUA_INSERTED);
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, SL_LUA_LINES);
	sl_lua_open_libs(L);
	return 0;
}

int
sl_lua_sandbox_open(struct sl_lua_sandbox *sandbox, time_t now,
	void (*finding)(void *arg, bool is_error, unsigned int line, const char *text), void *arg)
{
	*sandbox = (struct sl_lua_sandbox){.now = now, .finding = finding, .arg = arg};
	sandbox->L = lua_newstate(limited_alloc, sandbox);
	if (sandbox->L == NULL)
		return -ENOMEM;
	lua_pushcfunction(sandbox->L, setup);
	if (lua_pcall(sandbox->L, 0, 0, 0) != LUA_OK) {
		sl_lua_sandbox_close(sandbox);
		return -ENOMEM;
	}
	return 0;
}

void
sl_lua_sandbox_close(struct sl_lua_sandbox *sandbox)
{
	if (sandbox->L == NULL)
		return;
	/* No __gc can have been set, so closing runs no Lua code. */
	lua_close(sandbox->L);
	sandbox->L = NULL;
}

/* Split "config:12: text" into line and text, and make Lua's words fit a reader who does not write Lua every day. */
static void
explain(struct sl_lua_sandbox *s, int status, const char *message, unsigned int *line, char *errbuf)
{
	const char *text = message != NULL ? message : "(error object is not a string)";
	const size_t prefix = strlen(CHUNK_NAME); /* "config:" has the length of "=config" */

	*line = 0;
	if (strncmp(text, &CHUNK_NAME[1], prefix - 1) == 0 && text[prefix - 1] == ':' &&
		isdigit((unsigned char)text[prefix])) {
		char *end;

		*line = (unsigned int)strtoul(text + prefix, &end, 10);
		text = *end == ':' ? end + 1 : end;
		while (*text == ' ')
			text++;
	}
	if (s->limit != NULL) {
		text = s->limit;
		*line = s->line;
	} else if (status == LUA_ERRMEM || strcmp(text, "not enough memory") == 0)
		text = "the file needs too much memory (more than 64 MiB)";
	if (*text == '\0')
		text = "an error without a message";
	if (*line == 0)
		*line = s->line;

	const char *hint = "";
	if (strncmp(text, "'}' expected", 12) == 0)
		hint = "; is a comma missing at the end of the line before?";
	else if (strstr(text, "unfinished string") != NULL)
		hint = "; a quote is not closed";
	else if (strstr(text, "attempt to load a binary chunk") != NULL)
		text = "is a precompiled Lua file; only Lua source text is read";
	else if (strstr(text, "stack overflow") != NULL)
		text = "functions call each other, or brackets are nested, too deeply (stack overflow)";
	else if (strstr(text, "near '<\\254>'") != NULL || strstr(text, "near '<\\255>'") != NULL)
		hint = "; save the file as UTF-8";
	else if (strstr(text, "near '<\\") != NULL)
		hint = "; a character that is not ASCII, such as a curly quote or a no-break space, stands outside of "
		       "a text";

	size_t n = (size_t)snprintf(errbuf, SL_LUA_ERRBUF, "%s%s", text, hint);
	if (n >= SL_LUA_ERRBUF)
		n = SL_LUA_ERRBUF - 1;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)errbuf[i]))
			errbuf[i] = ' ';
}

static int
fail(struct sl_lua_sandbox *s, int status, unsigned int *line, char *errbuf)
{
	lua_State *L = s->L;
	/* No conversion that could call __tostring outside of a protected call. */
	const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;

	explain(s, status, message, line, errbuf);
	lua_settop(L, 0);
	return s->out_of_memory ? -ENOMEM : -EINVAL;
}

static void
arm(struct sl_lua_sandbox *s)
{
	s->deadline = cpu_now() + SL_LUA_CPU_NS;
	lua_sethook(s->L, limit_hook, LUA_MASKCOUNT | LUA_MASKCALL | LUA_MASKLINE, HOOK_STEPS);
}

struct text {
	const char *at;
	size_t left;
};

/* lua_Reader */
static const char *
next_piece(lua_State *L, void *ud, size_t *size)
{
	struct sl_lua_sandbox *s = sl_lua_sandbox_of(L);
	struct text *text = ud;
	const char *piece = text->at;

	if (cpu_now() > s->deadline)
		stop(L, s, too_long);
	*size = text->left < PIECE ? text->left : PIECE;
	text->at += *size;
	text->left -= *size;
	return piece;
}

int
sl_lua_sandbox_run(struct sl_lua_sandbox *s, const char *text, size_t len, unsigned int *line, char *errbuf)
{
	struct text source = {text, len};

	arm(s);
	int rc = lua_load(s->L, next_piece, &source, CHUNK_NAME, "t");
	if (rc == LUA_OK)
		rc = lua_pcall(s->L, 0, 1, 0);
	return rc == LUA_OK ? 0 : fail(s, rc, line, errbuf);
}

int
sl_lua_sandbox_call(struct sl_lua_sandbox *s, lua_CFunction function, void *arg, unsigned int *line, char *errbuf)
{
	lua_State *L = s->L;

	s->line = 0;
	if (s->limit == NULL)
		arm(s);
	lua_pushcfunction(L, function);
	lua_insert(L, -2);
	lua_pushlightuserdata(L, arg);
	lua_insert(L, -2);
	int rc = lua_pcall(L, 2, 0, 0);
	return rc == LUA_OK ? 0 : fail(s, rc, line, errbuf);
}

unsigned int
sl_lua_sandbox_insert_line(lua_State *L, int index)
{
	index = lua_absindex(L, index);
	lua_getfield(L, LUA_REGISTRYINDEX, SL_LUA_LINES);
	lua_pushvalue(L, index);
	lua_rawget(L, -2);
	unsigned int line = (unsigned int)lua_tointeger(L, -1);
	lua_pop(L, 2);
	return line;
}

void
sl_lua_sandbox_push_inserted(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, SL_LUA_INSERTED);
}
