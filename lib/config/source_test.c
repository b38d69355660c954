/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "source.h"
#include "tests.h"

static const char text[] = "local Config = { FollowStart = true }\n" /* 1 */
			   "--[[ { Desc = \"comment\" } ]] Config.Target = {}\n"
			   "table.insert(Config.Target,\n"
			   "{ -- { Path = 1\n"
			   "    Desc = 'a', Path = \"{ Desc = 'x' }\",\n" /* 5 */
			   "    FilterBPF = [==[\n"
			   "       ]] Path = tcp ]==],\n"
			   "    Slice = (1 == 1) and { Path = 2 } or 3,\n"
			   "    Path = \"again\"\n"
			   "})\n" /* 10 */
			   "local t = { Desc = \"b\" }\n"
			   "t.Path = \"/x\"\n"
			   "table.insert(Config.Target, t)\n";

static void
test_scan(void **state)
{
	struct sl_source s;
	(void)state;

	assert_int_equal(sl_source_scan(text, &s), 0);
	int a = sl_source_find_table(&s, 3, "a");
	assert_true(a >= 0);
	assert_int_equal(s.tables[a].line, 4);
	assert_int_equal(s.tables[a].last_line, 10);
	assert_int_equal(sl_source_field_line(&s, a, "Desc"), 5);
	assert_int_equal(sl_source_field_line(&s, a, "FilterBPF"), 6);
	assert_int_equal(sl_source_field_line(&s, a, "Slice"), 8);
	assert_int_equal(sl_source_field_line(&s, a, "Path"), 9);
	assert_int_equal(sl_source_field_again(&s, a, "Path"), 9);
	assert_int_equal(sl_source_field_again(&s, a, "Desc"), 0);
	assert_int_equal(sl_source_field_line(&s, a, "Split"), 0);
	/* The call on line 13 has no constructor; the one on line 11 is found by its Desc, once. */
	assert_int_equal(sl_source_find_table(&s, 13, "b"), -1);
	int b = sl_source_find_table(&s, 0, "b");
	assert_true(b >= 0);
	assert_int_equal(s.tables[b].line, 11);
	assert_int_not_equal(sl_source_find_table(&s, 0, "b"), b);
	assert_int_equal(sl_source_field_line(&s, -1, "Target"), 2);
	assert_int_equal(sl_source_field_line(&s, -1, "Path"), 12);
	sl_source_free(&s);
}

static void
test_top_level_constructor(void **state)
{
	static const char one[] = "local defaults = insert({ Target = 5 })\n"
				  "return {\n"
				  "  FollowStart = true,\n"
				  "  Target = { { Desc = \"a\",\n"
				  "    Path = \"/a\" } },\n"
				  "}\n";
	struct sl_source s;
	(void)state;

	assert_int_equal(sl_source_scan(one, &s), 0);
	assert_int_equal(sl_source_field_line(&s, -1, "FollowStart"), 3);
	assert_int_equal(sl_source_field_line(&s, -1, "Target"), 4);
	assert_int_equal(sl_source_field_line(&s, -1, "Path"), 0);
	sl_source_free(&s);
}

static void
test_broken(void **state)
{
	static const char *const broken[] = {"", "{", "}", "}}}}", "((((", "{ a = ", "\"", "'\\", "[[", "[==[ ]=]",
		"--[[", "--", "a=", "= = =", "insert({", "\\", "{a==b}", "[=", "{ Desc = \"x"};
	char deep[2000];
	struct sl_source s;
	(void)state;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_int_equal(sl_source_scan(broken[i], &s), 0);
		sl_source_free(&s);
	}
	memset(deep, '{', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(sl_source_scan(deep, &s), 0);
	sl_source_free(&s);
}

int
source_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_top_level_constructor),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
