/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "number.h"
#include "tests.h"

static const char *why;

static void
check_time(const char *text, uint64_t expected)
{
	uint64_t v = 0;

	if (sl_number_parse(text, SL_NUMBER_TIME, &v, &why) != 0)
		fail_msg("\"%s\" %s", text, why);
	if (v != expected)
		fail_msg("\"%s\" is %llu, not %llu", text, (unsigned long long)v, (unsigned long long)expected);
}

static void
check_bytes(const char *text, uint64_t expected)
{
	uint64_t v = 0;

	if (sl_number_parse(text, SL_NUMBER_BYTES, &v, &why) != 0)
		fail_msg("\"%s\" %s", text, why);
	if (v != expected)
		fail_msg("\"%s\" is %llu, not %llu", text, (unsigned long long)v, (unsigned long long)expected);
}

static void
check_refused(const char *text, enum sl_number_unit unit, int rc)
{
	uint64_t v;
	int got = sl_number_parse(text, unit, &v, &why);

	if (got != rc)
		fail_msg("\"%s\": %d, not %d", text, got, rc);
	assert_true(strlen(why) > 0);
}

static void
test_spellings(void **state)
{
	static const char *const minute[] = {"60e9", "60E9", "6e10", "6e+10", "6.0e10", "60000000000", "60000000000.0",
		"60000000000.", "0.06e12", ".06e12", "+60e9", "0060e9", "600e+008", "60000e6", "6000000000000e-2",
		"0xDF8475800", "0xdf8475800", "0x1.bf08ebp35", " 60e9 ", "60s", "60 s", "1m", "1min", "60000ms",
		"60000000us", "60000000000ns", "0.0166666666666666666666666666666666666666666666666e2m"};
	(void)state;

	/* The last one has more digits than any whole number of ns. */
	for (size_t i = 0; i + 1 < sizeof(minute) / sizeof(minute[0]); i++)
		check_time(minute[i], 60000000000);
	check_refused(minute[sizeof(minute) / sizeof(minute[0]) - 1], SL_NUMBER_TIME, -EDOM);
	check_time("1e+15", 1000000000000000);
	check_time("1h", 3600000000000);
	check_time("1.5h", 5400000000000);
	check_time("1d", 86400000000000);
	check_time("0.000001ms", 1);
	check_time("0", 0);
	check_time("0e99999", 0);
	check_time("-0", 0);
}

static void
test_bytes(void **state)
{
	(void)state;
	check_bytes("1e9", 1000000000);
	check_bytes("100M", 100000000);
	check_bytes("100m", 100000000);
	check_bytes("5G", 5000000000);
	check_bytes("5GB", 5000000000);
	check_bytes("5 GiB", 5368709120);
	check_bytes("0.5Ki", 512);
	check_bytes("64KiB", 65536);
	check_bytes("2T", 2000000000000);
	check_bytes("1500B", 1500);
}

/* The edges of 64 bits and of what a double could hold. */
static void
test_exact(void **state)
{
	(void)state;
	check_bytes("9007199254740993", 9007199254740993); /* 2^53 + 1 */
	check_bytes("9007199254740993.0", 9007199254740993);
	check_bytes("18446744073709551615", UINT64_MAX);
	check_bytes("1844674407370955161.5e1", UINT64_MAX);
	check_bytes("0xffffffffffffffff", UINT64_MAX);
	check_bytes("0x1p63", 1ull << 63);
	check_bytes("1000000000000000000000000000000000000000000e-40", 100);
	check_bytes("0.00000000000000000000000000000000000000000001e45", 10);
	check_refused("18446744073709551616", SL_NUMBER_BYTES, -ERANGE);
	check_refused("0x1p64", SL_NUMBER_BYTES, -ERANGE);
	check_refused("1e20", SL_NUMBER_BYTES, -ERANGE);
	check_refused("1e999999999999999999999", SL_NUMBER_BYTES, -ERANGE);
	check_refused("99999999999999999999999999999999999999999999999999", SL_NUMBER_BYTES, -ERANGE);
	check_refused("99999999T", SL_NUMBER_BYTES, -ERANGE);
}

static void
test_refused(void **state)
{
	(void)state;
	check_refused("0.5", SL_NUMBER_TIME, -EDOM);
	check_refused("1e-1", SL_NUMBER_TIME, -EDOM);
	check_refused("1.0000000001s", SL_NUMBER_TIME, -EDOM);
	check_refused("1e-999999999999999999999", SL_NUMBER_TIME, -EDOM);
	check_refused("-60e9", SL_NUMBER_TIME, -EDOM);
	static const char *const bad[] = {"", " ", "x", "60x", "e9", ".", "1.2.3", "60e", "60e+", "nan", "inf", "0x",
		"60e9 1", "1M", "--5", "1,5", "1_000", "60 S"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused(bad[i], SL_NUMBER_TIME, -EINVAL);
	check_refused("5 apples", SL_NUMBER_BYTES, -EINVAL);
}

static void
check_text(bool time, uint64_t value, const char *expected)
{
	char text[64];

	if (time)
		sl_number_format_time(value, text, sizeof(text));
	else
		sl_number_format_bytes(value, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void
test_format(void **state)
{
	(void)state;
	check_text(true, 60000000000, "60 s");
	check_text(true, 90000000000, "90 s");
	check_text(true, 300000000000, "5 min");
	check_text(true, 3600000000000, "1 h");
	check_text(true, 5400000000000, "1.5 h");
	check_text(true, 86400000000000, "1 d");
	check_text(true, 250000000, "250 ms");
	check_text(true, 1, "1 ns");
	check_text(true, 0, "0 ns");
	check_text(true, 1234567891, "1234567.891 us");
	check_text(false, 1000000000, "1 GB");
	check_text(false, 1500, "1.5 kB");
	check_text(false, 65536, "65.536 kB");
	check_text(false, 1048576, "1048.576 kB");
	check_text(false, 999, "999 B");
}

int
number_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
