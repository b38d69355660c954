/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "lua_sandbox.h"
#include "tests.h"

/* One string that holds the results of every function for each subject and pattern. */
static const char script[] =
	"local subjects = {'', 'a', 'hello world from Lua', 'key = value, k2=v2', '(a(b)c)d', 'THE (quick) fox', "
	"'239.100.1.7',\n"
	"  '  trim  ', 'aaaab', 'x-y_z', 'f(a,b) g(c)', '%d', 'a.b-c*d', ']]x^', '\\0zero\\0', '1,2,,3,', "
	"('ab'):rep(50)}\n"
	"local patterns = {'', '.', 'a*', 'a-b', '^a+', '%a+', '(%a+)%s+(%a+)', '(%w+)%s*=%s*(%w+)', '%b()', "
	"'%f[%a]%a+',\n"
	"  '(%d+)%.(%d+)%.(%d+)%.(%d+)', '^%s*(.-)%s*$', '()ll()', '[^,]*', '[^,]+', '(.)%1', '[%a_-]+', '[]]', "
	"'[^]]', 'a?b?',\n"
	"  '%%d', '[a-c]+$', 'x$y', '%S+', '%z*', '[%^x]', '(a*(.)%w(%s*))', '^', '$', '[%w.]+', '.-b', '[a-]', "
	"'[^%s]', '%1',\n"
	"  '(', ')', '%', '[a', '[', '%b', '%bx', '%f', '%f[', '(()', '[]', '[^]', 'a**', '*', '(a)(b)%2', "
	"'%g+%c*%p*%l*%u*%x'}\n"
	"local out = {}\n"
	"local function show(...)\n"
	"  local t, r = table.pack(...), {}\n"
	"  for i = 1, t.n do r[i] = tostring(t[i]) end\n"
	"  return table.concat(r, '|')\n"
	"end\n"
	"local function run(f, ...)\n"
	"  local t = table.pack(pcall(f, ...))\n"
	"  out[#out + 1] = t[1] and show(table.unpack(t, 2, t.n)) or 'error'\n"
	"end\n"
	"for _, s in ipairs(subjects) do for _, p in ipairs(patterns) do\n"
	"  run(string.find, s, p) run(string.find, s, p, 3) run(string.find, s, p, -2) run(string.find, s, p, 100)\n"
	"  run(string.find, s, p, 1, true) run(string.match, s, p) run(string.match, s, p, -3)\n"
	"  run(string.gsub, s, p, '<%0>') run(string.gsub, s, p, '%1%%', 2) run(string.gsub, s, p, '%') "
	"run(string.gsub, s, p, 'x', 0)\n"
	"  run(string.gsub, s, p, {a = 'T', b = false}) run(string.gsub, s, p, function(x) return x == 'a' and 'Z' "
	"end)\n"
	"  run(string.gsub, s, p, function() return {} end) run(string.gsub, s, p, 5)\n"
	"  run(function() local r = {} for a, b in string.gmatch(s, p) do r[#r + 1] = show(a, b) end return "
	"table.concat(r, ';') end)\n"
	"end end\n"
	"for _, f in ipairs({'find', 'match', 'gmatch', 'gsub'}) do run(string[f]) run(string[f], 'a') run(string[f], "
	"{}, 'a') end\n"
	"run(string.gsub, 'a', 'a', nil) run(string.gsub, 12, 1, 2)\n"
	"return table.concat(out, '\\n')\n";

/* Lua's own functions are the judge. */
static void
test_as_lua(void **state)
{
	struct sl_lua_sandbox ours;
	char errbuf[SL_LUA_ERRBUF];
	unsigned int line;
	(void)state;

	assert_int_equal(sl_lua_sandbox_open(&ours, 0, NULL, NULL), 0);
	if (sl_lua_sandbox_run(&ours, script, strlen(script), &line, errbuf) != 0)
		fail_msg("line %u: %s", line, errbuf);
	lua_State *theirs = luaL_newstate();
	luaL_openlibs(theirs);
	if (luaL_dostring(theirs, script) != LUA_OK)
		fail_msg("%s", lua_tostring(theirs, -1));
	const char *a = lua_tostring(ours.L, -1), *b = lua_tostring(theirs, -1);
	assert_true(strlen(b) > 50000);
	for (unsigned int at = 1; strcmp(a, b) != 0; at++, a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
		size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");

		if (la != lb || memcmp(a, b, la) != 0)
			fail_msg("result %u: ours %.*s, Lua's %.*s", at, (int)la, a, (int)lb, b);
	}
	lua_close(theirs);
	sl_lua_sandbox_close(&ours);
}

int
lua_pattern_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_lua),
	};

	return cmocka_run_group_tests_name("lua pattern", tests, NULL, NULL);
}
