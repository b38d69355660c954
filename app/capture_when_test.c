/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "capture_when.h"

#define SECOND 1000000000ull
#define NEVER UINT64_MAX

static void
words_are_understood(void **state)
{
	static const char *const bad[] = {"", "weekly", "0", "-5", "1.5", "10x", "99999999999999999999", "Daily"};
	struct capture_roll_options roll = {0};

	(void)state;
	assert_int_equal(capture_roll_parse("daily", &roll), 0);
	assert_int_equal(roll.every, CAPTURE_ROLL_DAILY);
	assert_int_equal(capture_roll_parse("hourly", &roll), 0);
	assert_int_equal(roll.every, CAPTURE_ROLL_HOURLY);
	assert_int_equal(capture_roll_parse("900", &roll), 0);
	assert_int_equal(roll.every, CAPTURE_ROLL_SECONDS);
	assert_int_equal(roll.seconds, 900);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(capture_roll_parse(bad[i], &roll), -EINVAL);
}

/* The expected times are those of `date -d` in that zone. */
static void
the_next_time_is_that_of_the_wall(void **state)
{
	static const struct {
		const char *zone;
		struct capture_roll_options roll;
		uint64_t after, next; /* seconds */
	} cases[] = {
		{"UTC", {.every = CAPTURE_ROLL_NEVER}, 1700000000, NEVER},
		{"UTC", {.every = CAPTURE_ROLL_SECONDS, .seconds = 60}, 1700000000, 1700000040},
		{"UTC", {.every = CAPTURE_ROLL_SECONDS, .seconds = 60}, 1700000040, 1700000100},
		{"UTC", {.every = CAPTURE_ROLL_HOURLY}, 1700000000, 1700002800},
		{"UTC", {.every = CAPTURE_ROLL_DAILY}, 1700000000, 1700006400},
		{"UTC", {.every = CAPTURE_ROLL_DAILY}, 1700006400, 1700092800},
		/* 2023-11-14 23:13 in Berlin; midnight is 23:00 UTC. */
		{"Europe/Berlin", {.every = CAPTURE_ROLL_DAILY}, 1700000000, 1700002800},
		{"Europe/Berlin", {.every = CAPTURE_ROLL_DAILY, .utc = true}, 1700000000, 1700006400},
		/* Sunday of 25 hours: from 2023-10-29 00:00 +02:00 to 2023-10-30 00:00 +01:00. */
		{"Europe/Berlin", {.every = CAPTURE_ROLL_DAILY}, 1698530400, 1698620400},
		/* Of 23: 2024-03-31. */
		{"Europe/Berlin", {.every = CAPTURE_ROLL_DAILY}, 1711839600, 1711922400},
		/* The hour that is there twice is two hours: 02:30 +02:00, and 02:30 +01:00. */
		{"Europe/Berlin", {.every = CAPTURE_ROLL_HOURLY}, 1698539400, 1698541200},
		{"Europe/Berlin", {.every = CAPTURE_ROLL_HOURLY}, 1698543000, 1698544800},
		/* Half an hour and three quarters off UTC. */
		{"Asia/Kolkata", {.every = CAPTURE_ROLL_HOURLY}, 1700000000, 1700001000},
		{"Asia/Kathmandu", {.every = CAPTURE_ROLL_HOURLY}, 1700000000, 1700000100},
		{"Asia/Kathmandu", {.every = CAPTURE_ROLL_HOURLY, .utc = true}, 1700000000, 1700002800},
		/* Where clocks go forward at midnight there is none: Beirut, 2024-03-31 begins at 01:00. */
		{"Asia/Beirut", {.every = CAPTURE_ROLL_DAILY}, 1711800000, 1711836000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t next;

		setenv("TZ", cases[i].zone, 1);
		tzset();
		next = capture_roll_next(&cases[i].roll, cases[i].after * SECOND);
		if (cases[i].next == NEVER)
			assert_int_equal(next, NEVER);
		else
			assert_int_equal(next / SECOND, cases[i].next);
		/* Within a second nothing changes. */
		if (cases[i].next != NEVER)
			assert_int_equal(capture_roll_next(&cases[i].roll, cases[i].after * SECOND + SECOND - 1), next);
	}
}

/* Wherever one begins, one gets on, and not by more than a day of 25 hours. */
static void
every_day_of_a_year_comes_to_an_end(void **state)
{
	static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
		"Asia/Beirut", "America/Santiago", "Pacific/Apia"};
	struct capture_roll_options roll = {.every = CAPTURE_ROLL_DAILY};

	(void)state;
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		uint64_t at = 1700000000 * SECOND;

		setenv("TZ", zones[i], 1);
		tzset();
		for (int day = 0; day < 800; day++) {
			uint64_t next = capture_roll_next(&roll, at);

			assert_in_range(next - at, 1, 25 * 3600 * SECOND);
			at = next;
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_understood),
		cmocka_unit_test(the_next_time_is_that_of_the_wall),
		cmocka_unit_test(every_day_of_a_year_comes_to_an_end),
	};

	return cmocka_run_group_tests_name("capture_when", tests, NULL, NULL);
}
