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

#include "config_load_test.h"
#include "tests.h"

static void
test_top_level(void **state)
{
	(void)state;
	check_finding("", true, 1, "", "must end with `return Config`");
	check_finding("local Config = {}\n\n-- end\n\n", true, 3, "", "it returned nothing");
	check_finding("return 5", true, 1, "", "it returned number");
	check_finding("return {}", true, 0, "Target", "is missing");
	check_finding("return {Target = {}}", true, 1, "Target", "is empty");
	check_finding("local C = {}\nC.Target = 5\nreturn C", true, 2, "Target", "must be a table");
	check_finding("return {Target = {5}}", true, 1, "Target", "entry 1 must be a table");
	check_finding("return {Target = {all = {}}}", true, 1, "Target", "not a plain list");
	check_finding("local C = {Target = {}}\nC.FolowStart = true\nreturn C", true, 2, "FolowStart",
		"did you mean FollowStart?");
	check_finding("local C = {Target = {}}\nC.FollowStart = 1\nreturn C", true, 2, "FollowStart",
		"must be true or false");
	check_finding("local C = {Target = {}}\nC.Path = \"/x\"\nreturn C", true, 2, "Path", "into each target");
	check_finding("return {\nTarget = {\n{ Desc = \"a\", Path = \"x\" } } }", true, 3, "Path", "not absolute");
	check_finding("local C = {Target = {}}\nlocal t = { Desc = \"a\",\nPath = \"x\" }\nC.Target[1] = t\nreturn C",
		true, 3, "Path", "not absolute");
}

static void
test_all_at_once(void **state)
{
	int rc;
	struct sl_config *config = config_load(
		"local C = {Target = {}}\n"
		"table.insert(C.Target, { Desc = \"a\", Path = \"x\", Split = \"--split-tim 1m\" })\n"
		"table.insert(C.Target, { Desc = \"b\", Path = \"/b\", FilterBPF = tcp, Split = \"--split-byte x\" })\n"
		"C.Targt.x = 5\nreturn C\n",
		&rc);
	char *said = config_findings(config);
	unsigned long last = 0, lines = 0;
	(void)state;

	assert_int_equal(rc, -EINVAL);
	for (char *p = strtok(said, "\n"); p != NULL; p = strtok(NULL, "\n"), lines++) {
		unsigned long line = strtoul(strchr(strstr(p, "fd/"), ':') + 1, NULL, 10);
		assert_true(line > 0);
		assert_true(line >= last);
		last = line;
	}
	assert_int_equal(lines, 5);
	assert_int_equal(last, 4);
	free(said);
	sl_config_free(config);
}

static void
test_idioms(void **state)
{
	/* As in FMADIO's configuration of 48 targets: a function, concatenated numbers, defaults by metatable. */
	struct sl_config *config = config_load_clean(
		"\xef\xbb\xbf#!/usr/bin/lua\r\nlocal Config = {}\r\nConfig.Target = {}\r\n"
		"local D = { Split = \"--split-time \"..(60e9*1), FileName = \"--filename-epoch-sec\" }\r\n"
		"for i = 1, 48 do\r\n"
		"  table.insert(Config.Target, setmetatable({ Desc = string.format(\"g%02d\", i),\r\n"
		"    Path = \"/mnt/remote0/push/g\" .. i .. \"-\",\r\n"
		"    FilterBPF = \"net 239.100.\" .. i .. \".0/24\" }, { __index = D }))\r\n"
		"end\r\nreturn Config\r\n");
	(void)state;

	assert_int_equal(sl_config_targets(config), 48);
	assert_string_equal(sl_config_target(config, 47)->desc, "g48");
	assert_string_equal(sl_config_target(config, 47)->filter, "net 239.100.48.0/24");
	assert_int_equal(sl_config_target(config, 47)->split_time, 60000000000);
	sl_config_free(config);
}

static void
test_files(void **state)
{
	struct sl_config *config;
	(void)state;

	assert_int_equal(sl_config_load("/nonexistent/push.lua", &config), -ENOENT);
	assert_int_equal(sl_config_errors(config), 1);
	char *said = config_findings(config);
	assert_string_equal(said, "/nonexistent/push.lua: error: can't be read: No such file or directory\n");
	free(said);
	sl_config_free(config);
	assert_int_equal(sl_config_load("/", &config), -EISDIR);
	sl_config_free(config);
	assert_int_equal(sl_config_load("/dev/zero", &config), -EFBIG);
	sl_config_free(config);
	sl_config_free(NULL);
}

static void
test_callers_findings(void **state)
{
	struct sl_config *config = config_load_clean(ONE(PLACE));
	char long_text[6000];
	(void)state;

	sl_config_add_finding(config, false, 0, NULL, NULL, "for %s", "all");
	sl_config_add_finding(config, true, 3, "t", "FilterBPF", "%s", "two\nlines");
	assert_int_equal(sl_config_findings(config), 2);
	assert_int_equal(sl_config_errors(config), 1);
	assert_string_equal(sl_config_finding(config, 1)->text, "two lines");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (int i = 0; i < 2000; i++)
		sl_config_add_finding(config, true, 1, "t", "x", "%s", long_text);
	assert_int_equal(sl_config_errors(config), 2001);
	assert_int_equal(sl_config_findings(config), 1001);
	sl_config_free(config);
}

static void
test_filter_hints(void **state)
{
	static const struct {
		const char *filter, *words;
	} cases[] = {
		{"tcpp", "syntax error; did you mean \"tcp\" instead of \"tcpp\"?"},
		{"udp and prt 53", "did you mean \"port\" instead of \"prt\"?"},
		{"nto host 192.168.1.100", "did you mean \"not\" instead of \"nto\"?"},
		{"tcp[tcpflag] & tcp-syn != 0", "did you mean \"tcpflags\" instead of \"tcpflag\"?"},
		{"host tcpp.example.com", NULL},
		{"port htttp", NULL},
		{"tcp port", NULL},
		{"((", NULL},
	};
	char text[512];
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), ONE(PLACE ",\nFilterBPF = \"%s\""), cases[i].filter);
		struct sl_config *config = config_load_clean(text);
		sl_config_add_filter_error(config, 0, "syntax error");
		const struct sl_config_finding *f = sl_config_finding(config, 0);
		assert_true(f->is_error);
		assert_int_equal(f->line, 4);
		assert_string_equal(f->target, "t");
		assert_string_equal(f->field, "FilterBPF");
		if (cases[i].words != NULL)
			assert_non_null(strstr(f->text, cases[i].words));
		else
			assert_string_equal(f->text, "syntax error");
		sl_config_free(config);
	}
}

int
config_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_top_level),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_idioms),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_callers_findings),
		cmocka_unit_test(test_filter_hints),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
