/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "push_map.h"

static cpu_set_t
cpus(const char *list)
{
	cpu_set_t set;

	assert_int_equal(cpu_list_parse(list, &set), 0);
	return set;
}

static void
maps_are_read_back_as_written(void **state)
{
	static const char *const maps[] = {"all@0", "reader+filter@0,writer@1", "reader@0,filter@1,filter@2,writer@3",
		"reader+filter@0,filter+writer@1", "reader@2,filter@2,filter@2,writer@2,writer@3",
		"reader+writer@1,filter@0"};
	const cpu_set_t allowed = cpus("0-3");

	(void)state;
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		char errbuf[256] = "", text[256];
		struct push_map map;

		assert_int_equal(push_map_parse(maps[i], &allowed, &map, errbuf, sizeof(errbuf)), 0);
		push_map_format(&map, text, sizeof(text));
		assert_string_equal(text, maps[i]);
	}
}

static void
impossible_maps_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *map, *says;
	} cases[] = {
		{"all", "names no CPU"},
		{"all@9", "CPU 9 is not among those this process may use (0-3)"},
		{"all@x", "not a CPU number"},
		{"all@0x", "not a CPU number"},
		{"reader@0,filter@1", "0 writer"},
		{"reader@0,reader@1,filter@2,writer@3", "2 reader"},
		{"reeder@0,filter@1,writer@2", "no stage 'reeder'"},
		{"reader+reader@0,filter@1,writer@2", "twice"},
		{"@0", "without a stage"},
		{"", "0 reader"},
	};
	const cpu_set_t allowed = cpus("0-3");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char errbuf[256] = "";
		struct push_map map;

		assert_int_equal(push_map_parse(cases[i].map, &allowed, &map, errbuf, sizeof(errbuf)), -EINVAL);
		if (!strstr(errbuf, cases[i].says))
			fail_msg("%s: '%s' does not say '%s'", cases[i].map, errbuf, cases[i].says);
	}
}

static void
the_chosen_map_fits_the_cpus(void **state)
{
	static const struct {
		const char *allowed;
		unsigned int targets;
		const char *map;
	} cases[] = {
		{"3", 5, "all@3"},
		{"0,4", 5, "reader+filter@0,filter+writer@4"},
		{"0-2", 5, "reader+filter@0,filter@1,filter+writer@2"},
		{"0-3", 5, "reader+filter@0,filter@1,filter+writer@2"},
		{"0-7", 5, "reader@0,filter@1,filter@2,filter@3,filter@4,writer@5,writer@6"},
		{"0-7", 1, "reader@0,filter@1,filter@2,filter@3,filter@4,filter@5,writer@6"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const cpu_set_t allowed = cpus(cases[i].allowed);
		struct push_map map;
		char text[256];

		push_map_choose(&allowed, cases[i].targets, &map);
		push_map_format(&map, text, sizeof(text));
		assert_string_equal(text, cases[i].map);
	}
}

static void
cpu_lists(void **state)
{
	static const char *const bad[] = {"", "a", "1-", "3-1", "1,,2", "99999", "1 2"};
	cpu_set_t set = cpus("5,0-2,7");
	char text[64];

	(void)state;
	cpu_list_format(&set, text, sizeof(text));
	assert_string_equal(text, "0-2,5,7");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cpu_list_parse(bad[i], &set), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_are_read_back_as_written),
		cmocka_unit_test(impossible_maps_are_refused_with_the_reason),
		cmocka_unit_test(the_chosen_map_fits_the_cpus),
		cmocka_unit_test(cpu_lists),
	};

	return cmocka_run_group_tests_name("push_map", tests, NULL, NULL);
}
