/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <locale.h>
#include <string.h>

#include "name.h"

int name_tests(void);

/* 2021-12-01 23:50:59.123456789 UTC, the reference's example. */
#define EXAMPLE UINT64_C(1638402659123456789)
/* 2025-11-02 01:30:00 in New York, once as EDT and once as EST. */
#define NY_FIRST UINT64_C(1762061400000000000)
#define NY_AGAIN UINT64_C(1762065000000000000)
#define MINUTE UINT64_C(60000000000)

static struct sl_target_config
target_of(enum sl_name_mode mode, const char *zone)
{
	return (struct sl_target_config){.desc = "pcap all",
		.file_desc = "pcap_all",
		.path = "/mnt/remote0/push/all",
		.separator = "_",
		.split_time = MINUTE,
		.name_mode = mode,
		.name_format = "",
		.file_suffix = ".pcap",
		.time_zone = zone};
}

static void
check_final(const struct sl_target_config *target, uint64_t start, unsigned int part, unsigned int copy,
	const char *expected)
{
	char path[SL_PATH_MAX];

	assert_int_equal(sl_name_final(target, start, start + MINUTE, part, copy, path), 0);
	assert_string_equal(path, expected);
}

static void
test_modes(void **state)
{
	static const struct {
		enum sl_name_mode mode;
		const char *zone;
		uint64_t start;
		const char *stamp;
	} cases[] = {
		{SL_NAME_EPOCH_SEC, "UTC", EXAMPLE, "1638402659"},
		{SL_NAME_EPOCH_SEC_STARTEND, "UTC", EXAMPLE, "1638402659-1638402719"},
		{SL_NAME_EPOCH_MSEC, "UTC", EXAMPLE, "1638402659123"},
		{SL_NAME_EPOCH_USEC, "UTC", EXAMPLE, "1638402659123456"},
		{SL_NAME_EPOCH_NSEC, "UTC", EXAMPLE, "1638402659123456789"},
		{SL_NAME_TSTR_HHMM, "UTC", EXAMPLE, "20211201_2350"},
		{SL_NAME_TSTR_HHMMSS, "UTC", EXAMPLE, "20211201_235059"},
		{SL_NAME_TSTR_HHMMSS_NS, "UTC", EXAMPLE, "20211201_235059.123.456.789"},
		{SL_NAME_TSTR_HHMMSS_TZ, "UTC", EXAMPLE, "2021-12-01_23:50:59+00:00"},
		{SL_NAME_TSTR_HHMMSS_SUB, "UTC", EXAMPLE, "20211201_23-50-59.123456789"},
		/* epoch modes know no zone */
		{SL_NAME_EPOCH_SEC, "Asia/Kolkata", EXAMPLE, "1638402659"},
		{SL_NAME_TSTR_HHMM, "Asia/Kolkata", EXAMPLE, "20211202_0520"},
		{SL_NAME_TSTR_HHMMSS_TZ, "Asia/Kolkata", EXAMPLE, "2021-12-02_05:20:59+05:30"},
		{SL_NAME_TSTR_HHMMSS_TZ, "America/St_Johns", EXAMPLE, "2021-12-01_20:20:59-03:30"},
		/* the offset of that time, not of today */
		{SL_NAME_TSTR_HHMMSS_TZ, "America/New_York", NY_FIRST, "2025-11-02_01:30:00-04:00"},
		{SL_NAME_TSTR_HHMMSS_TZ, "America/New_York", NY_AGAIN, "2025-11-02_01:30:00-05:00"},
		{SL_NAME_TSTR_HHMMSS, "America/New_York", NY_FIRST, "20251102_013000"},
		{SL_NAME_TSTR_HHMMSS, "America/New_York", NY_AGAIN, "20251102_013000"},
		/* an offset with seconds */
		{SL_NAME_TSTR_HHMMSS_TZ, "Africa/Monrovia", 0, "1969-12-31_23:15:30-00:44:30"},
		{SL_NAME_TSTR_HHMMSS_SUB, "UTC", 7, "19700101_00-00-00.000000007"},
		{SL_NAME_TSTR_HHMMSS_NS, "UTC", 7000, "19700101_000000.000.007.000"},
		{SL_NAME_EPOCH_NSEC, "UTC", UINT64_MAX - MINUTE, "18446744013709551615"},
		{SL_NAME_TSTR_HHMMSS, "UTC", UINT64_MAX - MINUTE, "25540721_233333"},
		{SL_NAME_TSTR_HHMMSS, "<+0545>-5:45", EXAMPLE, "20211202_053559"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sl_target_config target = target_of(cases[i].mode, cases[i].zone);
		char expected[256] = "/mnt/remote0/push/all_";

		strcat(expected, cases[i].stamp);
		strcat(expected, ".pcap");
		check_final(&target, cases[i].start, 0, 0, expected);
	}
}

static void
test_parts(void **state)
{
	struct sl_target_config target = target_of(SL_NAME_EPOCH_SEC_STARTEND, "UTC");
	char path[SL_PATH_MAX];

	(void)state;
	check_final(&target, EXAMPLE, 1, 0, "/mnt/remote0/push/all_1638402659-1638402719_p001.pcap");
	check_final(&target, EXAMPLE, 1234, 0, "/mnt/remote0/push/all_1638402659-1638402719_p1234.pcap");
	check_final(&target, EXAMPLE, 0, 2, "/mnt/remote0/push/all_1638402659-1638402719_2.pcap");
	check_final(&target, EXAMPLE, 12, 34, "/mnt/remote0/push/all_1638402659-1638402719_p012_34.pcap");
	target.path = "/mnt/remote0/push/";
	target.separator = "";
	target.file_suffix = ".pcap.part";
	check_final(&target, EXAMPLE, 0, 0, "/mnt/remote0/push/1638402659-1638402719.pcap.part");
	/* a Path without conversions is literal */
	target.path = "/mnt/100 $x\\n/";
	check_final(&target, EXAMPLE, 0, 0, "/mnt/100 $x\\n/1638402659-1638402719.pcap.part");

	target = target_of(SL_NAME_EPOCH_SEC_STARTEND, "UTC");
	assert_int_equal(sl_name_pending(&target, EXAMPLE, 17, path), 0);
	assert_string_equal(path, "/mnt/remote0/push/all_1638402659.pcap_all-17.pending");
	target = target_of(SL_NAME_STRFTIME, "Asia/Kolkata");
	target.path = "/d/%Y%m%d/x";
	target.name_format = "%D %T";
	assert_int_equal(sl_name_pending(&target, EXAMPLE, 0, path), 0);
	assert_string_equal(path, "/d/20211202/x_12_02_21 05:20:59.pcap_all-0.pending");
}

static void
test_strftime(void **state)
{
	struct sl_target_config target = target_of(SL_NAME_STRFTIME, "America/New_York");

	(void)state;
	target.path = "/d/";
	target.separator = "";
	target.name_format = "%Y-%m-%dT%H:%M:%S%z_%Z";
	check_final(&target, NY_FIRST, 0, 0, "/d/2025-11-02T01:30:00-0400_EDT.pcap");
	check_final(&target, NY_AGAIN, 0, 0, "/d/2025-11-02T01:30:00-0500_EST.pcap");
	/* %s counts from the epoch whatever the zone is */
	target.name_format = "%s";
	check_final(&target, NY_AGAIN, 0, 0, "/d/1762065000.pcap");
	/* only Path makes directories */
	target.name_format = "a/%D";
	check_final(&target, NY_FIRST, 0, 0, "/d/a_11_02_25.pcap");
	target.name_format = "100%%_%-d_%_H_%^a_%04j";
	check_final(&target, NY_FIRST, 0, 0, "/d/100%_2_ 1_SUN_0306.pcap");
	/* English names, whatever the locale is */
	assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
	target.name_format = "%A_%B_%p";
	check_final(&target, NY_FIRST, 0, 0, "/d/Sunday_November_AM.pcap");
	setlocale(LC_ALL, "C");

	target = target_of(SL_NAME_EPOCH_SEC, "Asia/Kolkata");
	target.path = "/d/%Y/%m-%d/%%x";
	check_final(&target, EXAMPLE, 0, 0, "/d/2021/12-02/%x_1638402659.pcap");
	target.path = "/d/%D/x";
	check_final(&target, EXAMPLE, 0, 0, "/d/12/02/21/x_1638402659.pcap");
}

static void
test_refused(void **state)
{
	static const char *const formats[] = {"%", "%q", "a%", "%5", "%n", "%t", "%E", "%!", "%000000000000000000d"};
	struct sl_target_config target = target_of(SL_NAME_STRFTIME, "UTC");
	char path[SL_PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		target.name_format = formats[i];
		if (sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path) != -EINVAL)
			fail_msg("\"%s\" was taken: %s", formats[i], path);
	}
	target.name_format = "%999d";
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -ENAMETOOLONG);
	target.name_format = "";
	target.path = "/d/%q/";
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -EINVAL);
	assert_int_equal(sl_name_pending(&target, EXAMPLE, 0, path), -EINVAL);
	target = target_of(SL_NAME_EPOCH_SEC, "Europe/Nowhere");
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -EINVAL);
	assert_int_equal(sl_name_pending(&target, EXAMPLE, 0, path), -EINVAL);
	target = target_of((enum sl_name_mode)99, "UTC");
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -EINVAL);
}

static void
test_lengths(void **state)
{
	struct sl_target_config target = target_of(SL_NAME_EPOCH_SEC, "UTC");
	static char base[2 * SL_PATH_MAX];
	char path[SL_PATH_MAX];

	(void)state;
	target.separator = "";
	/* The last component: 240 bytes, 10 of the stamp, 5 of the suffix. */
	base[0] = '/';
	memset(base + 1, 'a', 240);
	target.path = base;
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), 0);
	assert_int_equal(strlen(path), 256);
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 1, path), -ENAMETOOLONG);
	assert_int_equal(sl_name_pending(&target, EXAMPLE, 0, path), -ENAMETOOLONG);
	base[241] = 'a';
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -ENAMETOOLONG);

	/* The whole path: 4095 bytes and a NUL. */
	for (size_t i = 0; i < SL_PATH_MAX - 1 - 15; i++)
		base[i] = i % 100 == 0 ? '/' : 'b';
	base[SL_PATH_MAX - 1 - 15] = '\0';
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), 0);
	assert_int_equal(strlen(path), SL_PATH_MAX - 1);
	strcat(base, "b");
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -ENAMETOOLONG);
	strcat(base, "%Y");
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -ENAMETOOLONG);
	memset(base + 1, 'c', 2 * SL_PATH_MAX - 2);
	assert_int_equal(sl_name_final(&target, EXAMPLE, EXAMPLE, 0, 0, path), -ENAMETOOLONG);
}

int
name_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_strftime),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
