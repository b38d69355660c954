/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "owner.h"
#include "strftime_check.h"
#include "suggest.h"
#include "tests.h"
#include "tz_check.h"

static void
test_suggest(void **state)
{
	static const char *const words[] = {"Desc", "Path", "FilterBPF", "FileName"};
	static const char *const same_start[] = {"FileName", "FileSuffix"};
	char long_word[300];
	(void)state;

	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_int_equal(sl_suggest_distance("", ""), 0);
	assert_int_equal(sl_suggest_distance("abc", ""), 3);
	assert_int_equal(sl_suggest_distance("kitten", "sitting"), 3);
	assert_int_equal(sl_suggest_distance("PATH", "path"), 0);
	assert_int_equal(sl_suggest_distance("Apth", "Path"), 1);
	assert_string_equal(sl_suggest("FiterBFP", words, 4), "FilterBPF");
	assert_string_equal(sl_suggest("filename", words, 4), "FileName");
	assert_string_equal(sl_suggest("Pat", words, 4), "Path");
	assert_null(sl_suggest("Bandwidth", words, 4));
	assert_null(sl_suggest("", words, 4));
	assert_string_equal(sl_suggest("filter", words, 4), "FilterBPF");
	assert_null(sl_suggest("File", same_start, 2));
	assert_null(sl_suggest(long_word, words, 4));
}

static void
test_strftime(void **state)
{
	char why[SL_STRFTIME_ERRBUF];
	(void)state;

	assert_int_equal(sl_strftime_check("%Y%m%d_%H%M%S", true, why), 0);
	assert_int_equal(sl_strftime_check("100%%", true, why), 0);
	assert_int_equal(sl_strftime_check("%-d %_H %^a %Ey %Od", true, why), 0);
	assert_int_equal(sl_strftime_check("/a/%Y/%D", false, why), 0);
	assert_true(sl_strftime_check("/a/%Y", true, why) < 0);
	assert_true(sl_strftime_check("%", false, why) < 0);
	assert_true(sl_strftime_check("%J", false, why) < 0);
	assert_true(sl_strftime_check("a%nb", false, why) < 0);
	assert_true(sl_strftime_check("a\nb", false, why) < 0);
	assert_int_equal(sl_strftime_parts("%F"), SL_PART_YEAR | SL_PART_MONTH | SL_PART_DAY);
	assert_int_equal(sl_strftime_parts("%%Y"), 0);
	assert_int_equal(sl_strftime_parts("%I"), 0);
	assert_int_equal(sl_strftime_parts("%I%p"), SL_PART_HOUR);
	assert_true(sl_strftime_parts("%s") & SL_PART_OFFSET);
	assert_true(sl_strftime_parts("%H%z") & SL_PART_OFFSET);
}

static void
test_zones(void **state)
{
	char near[SL_TZ_NAME_MAX];
	(void)state;

	assert_int_equal(sl_tz_check("UTC"), 0);
	assert_int_equal(sl_tz_check("Europe/Berlin"), 0);
	assert_int_equal(sl_tz_check("Asia/Kolkata"), 0);
	assert_int_equal(sl_tz_check("CET-1CEST,M3.5.0,M10.5.0/3"), 0);
	assert_int_equal(sl_tz_check("<+0530>-5:30"), 0);
	assert_int_equal(sl_tz_check("EST5EDT,J60/2,J300"), 0);
	static const char *const bad[] = {"Europe/Berln", "Europe", "../passwd", "/etc/localtime", "", "zone.tab",
		"CET-1CEST,M3", "CET-25", "X-1", "CET-1CEST", "<+05", "CET-1CEST,M13.1.0,M10.1.0"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sl_tz_check(bad[i]) == 0)
			fail_msg("\"%s\" is taken for a zone", bad[i]);
	assert_true(sl_tz_has_dst("Europe/Berlin"));
	assert_true(sl_tz_has_dst("America/New_York"));
	assert_true(sl_tz_has_dst("CET-1CEST,M3.5.0,M10.5.0/3"));
	assert_false(sl_tz_has_dst("UTC"));
	assert_false(sl_tz_has_dst("Asia/Tokyo"));
	assert_false(sl_tz_has_dst("JST-9"));
	assert_int_equal(sl_tz_nearest("Europe/Berln", near), 0);
	assert_string_equal(near, "Europe/Berlin");
	assert_int_equal(sl_tz_nearest("berlin", near), 0);
	assert_string_equal(near, "Europe/Berlin");
	assert_true(sl_tz_nearest("Qqqqqqqqqqqqq", near) < 0);

	char *before = getenv("TZ") != NULL ? strdup(getenv("TZ")) : NULL;
	setenv("TZ", "America/New_York", 1);
	assert_true(sl_tz_has_dst(NULL));
	setenv("TZ", ":Asia/Tokyo", 1);
	assert_false(sl_tz_has_dst(NULL));
	setenv("TZ", "", 1);
	assert_false(sl_tz_has_dst(NULL));
	if (before != NULL)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	free(before);
}

static void
test_owner(void **state)
{
	struct sl_owner o;
	char errbuf[SL_OWNER_ERRBUF];
	(void)state;

	assert_int_equal(sl_owner_resolve("root", &o, errbuf), 0);
	assert_int_equal(o.uid, 0);
	assert_int_equal(o.gid, 0);
	assert_string_equal(o.group, "");
	assert_int_equal(sl_owner_resolve("root.daemon", &o, errbuf), 0);
	assert_string_equal(o.user, "root");
	assert_string_equal(o.group, "daemon");
	assert_int_equal(o.gid, 1);
	assert_int_equal(sl_owner_resolve("daemon:root", &o, errbuf), 0);
	assert_int_equal(o.uid, 1);
	assert_int_equal(o.gid, 0);
	assert_int_equal(sl_owner_resolve("1234567:7654321", &o, errbuf), 0);
	assert_int_equal(o.uid, 1234567);
	assert_int_equal(o.gid, 7654321);
	assert_int_equal(sl_owner_resolve("1234567", &o, errbuf), 0);
	assert_int_equal(o.gid, UINT32_MAX);
	static const char *const bad[] = {
		"", "nosuchuser", "root.nosuchgroup", "nosuchuser.root", "4294967295", ":", ".", "root:"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sl_owner_resolve(bad[i], &o, errbuf) == 0)
			fail_msg("\"%s\" is taken for an owner", bad[i]);
	assert_true(sl_owner_resolve("rooot", &o, errbuf) < 0);
	assert_non_null(strstr(errbuf, "did you mean \"root\"?"));
}

int
words_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_strftime),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_owner),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
