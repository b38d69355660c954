/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_sandbox.h"
#include "tests.h"

static char remarks[1024];

static void
take_finding(void *arg, bool is_error, unsigned int line, const char *text)
{
	(void)arg;
	size_t used = strlen(remarks);
	snprintf(remarks + used, sizeof(remarks) - used, "%c%u %s\n", is_error ? 'E' : 'W', line, text);
}

static int
run(const char *text, unsigned int *line, char *errbuf)
{
	struct sl_lua_sandbox s;

	remarks[0] = '\0';
	assert_int_equal(sl_lua_sandbox_open(&s, 1638402659, take_finding, NULL), 0);
	int rc = sl_lua_sandbox_run(&s, text, strlen(text), line, errbuf);
	sl_lua_sandbox_close(&s);
	return rc;
}

static void
check_refused(const char *text, unsigned int line, const char *words)
{
	char errbuf[SL_LUA_ERRBUF];
	unsigned int got = 0;

	if (run(text, &got, errbuf) != -EINVAL)
		fail_msg("%s\nran without an error", text);
	if (strstr(errbuf, words) == NULL || got != line)
		fail_msg("%s\nline %u: %s", text, got, errbuf);
}

static void
check_allowed(const char *text)
{
	char errbuf[SL_LUA_ERRBUF];
	unsigned int line;

	if (run(text, &line, errbuf) != 0)
		fail_msg("%s\nline %u: %s", text, line, errbuf);
	if (remarks[0] != '\0')
		fail_msg("%s\n%s", text, remarks);
}

static void
test_allowed(void **state)
{
	(void)state;
	check_allowed("assert(string.format('%d %s %g', 60e9, 'x', 1e15) == '60000000000 x 1e+15')");
	check_allowed("assert('--split-time '..(60e9*1) == '--split-time 60000000000.0')");
	check_allowed("local t = {3, 1, 2} table.sort(t) assert(table.concat(t, ',') == '1,2,3')");
	check_allowed("local t = {} table.insert(t, 'b') table.insert(t, 1, 'a') assert(t[1] == 'a' and t[2] == 'b')");
	check_allowed("assert(table.remove({1, 2}, 1) == 1 and select('#', table.unpack({1, nil, 3}, 1, 3)) == 3)");
	check_allowed("assert(#table.move({1, 2, 3}, 1, 3, 2) == 4 and unpack({7}) == 7)");
	check_allowed("assert(math.floor(1.5) == 1 and math.max(1, 2) == 2 and math.pi > 3)");
	check_allowed(
		"assert(('x'):rep(3, '-') == 'x-x-x' and ('a,b'):match('(%w),') == 'a' and ('ab'):upper() == 'AB')");
	check_allowed("assert(os.date('!%Y-%m-%d %H:%M:%S') == '2021-12-01 23:50:59' and os.time() == 1638402659)");
	check_allowed("assert(os.date('!*t').year == 2021 and os.date('!%Y', 0) == '1970' and os.clock() >= 0)");
	check_allowed("assert(os.time({year = 2021, month = 12, day = 1, hour = 12}) > 1638300000)");
	check_allowed("for k, v in pairs({a = 1}) do assert(k == 'a' and v == 1) end for i, v in ipairs({5}) do "
		      "assert(v == 5) end");
	check_allowed(
		"local d = setmetatable({}, {__index = {x = 1}}) assert(d.x == 1 and getmetatable(d).__index.x == 1)");
	check_allowed("assert(pcall(error, 'x') == false and tonumber('0x10') == 16 and tostring(nil) == 'nil' and "
		      "type({}) == 'table')");
	check_allowed("name = 'all' assert(name == 'all' and rawequal(1, 1) and rawlen({1}) == 1 and next({}) == nil)");
	/* The same value on each run, whatever the machine. */
	check_allowed("local a = math.random(1000000) assert(a == math.floor(a))");
}

static void
test_not_there(void **state)
{
	static const char *const names[] = {"io.open('/etc/passwd')", "require 'os'", "package.loaded.io",
		"debug.getinfo(1)", "load('return 1')", "loadstring('x')", "dofile('/etc/passwd')", "loadfile('x')",
		"coroutine.create(print)", "collectgarbage()", "os.execute('true')", "os.remove('/x')",
		"os.rename('a', 'b')", "os.exit(1)", "os.getenv('HOME')", "os.tmpname()", "os.setlocale('C')",
		"string.dump(print)", "string.pack('i', 1)", "math.randomseed(1)", "_G.io.open('x')", "_ENV.debug.x"};
	char text[200];
	(void)state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "local x = 1\nx = %s\nreturn x", names[i]);
		check_refused(text, 2, "is not available in a push configuration");
	}
	check_refused("local m = getmetatable('')\nreturn m.__index", 2, "string.__index is not available");
	check_refused("setmetatable(_G, {})", 1, "protected metatable");
	check_refused("setmetatable(string, {})", 1, "protected metatable");
	check_refused("\x1bLuaT", 0, "precompiled");
}

static void
test_limits(void **state)
{
	static const char loop[] = "the file runs for too long (endless loop?)";
	static const char memory[] = "the file needs too much memory (more than 64 MiB)";
	(void)state;

	check_refused("\nwhile true do end", 2, loop);
	check_refused("repeat until false", 1, loop);
	check_refused("::a:: goto a", 1, loop);
	check_refused("while true do pcall(function() while true do end end) end", 1, loop);
	check_refused("local function f() pcall(f) f() end f()", 1, loop);
	check_refused("for i = 1, 1e18 do end", 1, loop);
	check_refused("table.sort({3,2,1}, function() while true do end end)", 1, loop);
	check_refused("return ('x'):rep(100):gsub('x', function() while true do end end)", 1, loop);
	check_refused("return ('a'):rep(40):find(('a?'):rep(40)..('a'):rep(40))", 1, loop);
	check_refused("return ('a'):rep(40):match(('a*'):rep(40)..'b')", 1, loop);
	check_refused("return ('x'):rep(1e5):gsub('.-b', '')", 1, loop);
	check_refused("for x in ('x'):rep(1e5):gmatch('.-b') do end", 1, loop);
	check_refused("return ('('):rep(1e6):find('%b()')", 1, loop);
	check_refused("local t = {} for i = 1, 1e5 do t[i] = 1 end while true do table.concat(t) end", 1, loop);
	/* No instruction runs here, so no hook: calling the table looks for the function to call, for ever. */
	check_refused("local t = {} setmetatable(t, {__call = t}) while true do pcall(t) end", 1, loop);
	check_refused("local t = {}\nwhile true do t[#t + 1] = {} end", 2, memory);
	check_refused("local s = 'x'\nwhile true do s = s .. s end", 2, memory);
	check_refused("return ('x'):rep(60e6) .. ('y'):rep(60e6)", 1, memory);
	check_refused("return ('x'):rep(1e18)", 1, "too long");
	check_refused("return ('x'):rep(2, ('y'):rep(60e6))", 1, "too much memory");
	check_refused("local function f() return 1 + f() end return f()", 1, "");
	check_refused("local function f(n) return (('x'):gsub('x', function() return f(n + 1) end)) end f(1)", 1, "");
	check_refused("return table.move({}, 1, 1e15, 2)", 1, "too many elements");
	check_refused("return table.concat(setmetatable({}, {__index = tostring}), '', 1, 1e18)", 1, "metatable");
	check_refused(
		"return table.insert(setmetatable({}, {__len = function() return 1e18 end}), 1, 1)", 1, "metatable");
	check_refused("setmetatable({}, {__gc = function() while true do end end})", 1, "__gc");
	/* __gc that is put in later is not seen by Lua either. */
	check_allowed("local m = {} setmetatable({}, m) m.__gc = function() while true do end end");
	check_allowed("assert((''):rep(1e18) == '' and ('x'):rep(-5) == '')");
}

/* The compiler's time for a long chain of elseif grows with its square: a minute, if nothing ended it. */
static void
test_slow_to_compile(void **state)
{
	static const char first[] = "local x if x then ", more[] = "elseif x then ", last[] = "end";
	const size_t n = 300000, len = strlen(more);
	char *text = malloc(strlen(first) + n * len + sizeof(last)), *p = text;
	(void)state;

	assert_non_null(text);
	p = stpcpy(p, first);
	for (size_t i = 0; i < n; i++)
		p = stpcpy(p, more);
	strcpy(p, last);
	check_refused(text, 0, "the file runs for too long");
	free(text);
}

static void
test_messages(void **state)
{
	(void)state;
	check_refused("local t = {\n  a = 1\n  b = 2\n}", 3, "is a comma missing at the end of the line before?");
	check_refused("local s = \"abc\nlocal t", 1, "a quote is not closed");
	check_refused("error('boom')", 1, "boom");
	check_refused("error({})", 1, "not a string");
	check_refused("error('')", 1, "without a message");
	check_refused("\nerror('', 0)", 2, "without a message");
	check_refused("error(setmetatable({}, {__tostring = function() while true do end end}))", 1, "not a string");
	check_refused("local t\n\nt.x = 1", 3, "attempt to index a nil value");
	check_refused("\nreturn os.date('%Q')", 2, "bad argument #1 to 'date' (invalid conversion specifier '%Q')");
	check_refused("return os.time({})", 1, "field 'year' missing in date table");
	check_refused("return table.concat({{}})", 1, "at index 1 in table for 'concat'");
	check_refused("table.sort({1, 2}, function() error('mine') end)", 1, "mine");
	check_refused("error('two\\nlines')", 1, "two lines");
	check_refused("x = 1\nx = \xe2\x80\x9ctcp\xe2\x80\x9d", 2, "curly quote");
	check_refused("x\xc2\xa0= 1", 1, "no-break space");
	check_refused("\xff\xfel\x01", 1, "save the file as UTF-8");
}

static void
test_remarks(void **state)
{
	char errbuf[SL_LUA_ERRBUF];
	unsigned int line;
	(void)state;

	assert_int_equal(run("local t = {\n FilterBPF = tcp }", &line, errbuf), 0);
	assert_string_equal(
		remarks, "E2 nothing was assigned to the name tcp; if it is a text, write it with quotes: \"tcp\"\n");
	assert_int_equal(run("\nprint('a', 1, nil)", &line, errbuf), 0);
	assert_string_equal(remarks, "W2 print: a 1 nil\n");
	/* A flood of them ends. */
	assert_int_equal(run("for i = 1, 1000 do print(i) end", &line, errbuf), 0);
	assert_null(strstr(remarks, "print: 101\n"));
}

static void
test_asked_time(void **state)
{
	static const struct {
		const char *text;
		bool asked;
	} cases[] = {{"x = 1", false}, {"x = os.date('%Y')", true}, {"x = os.time()", true},
		{"x = os.date('%Y', 0)", false}, {"x = os.time{year=2020, month=1, day=1}", false},
		{"x = os.date('*t').year", true}};
	struct sl_lua_sandbox s;
	char errbuf[SL_LUA_ERRBUF];
	unsigned int line;
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(sl_lua_sandbox_open(&s, 1638402659, NULL, NULL), 0);
		assert_int_equal(sl_lua_sandbox_run(&s, cases[i].text, strlen(cases[i].text), &line, errbuf), 0);
		assert_int_equal(s.asked_time, cases[i].asked);
		sl_lua_sandbox_close(&s);
	}
}

int
lua_sandbox_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_slow_to_compile),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_remarks),
		cmocka_unit_test(test_asked_time),
	};

	return cmocka_run_group_tests_name("lua sandbox", tests, NULL, NULL);
}
