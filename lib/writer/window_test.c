/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "window.h"
#include "zone.h"

int window_tests(void);

#define S UINT64_C(1000000000)
#define HOUR (3600 * S)
#define DAY (24 * HOUR)
#define YEAR_2099 (UINT64_C(4070908800) * S)

static struct sl_target_config
target_of(uint64_t length, const char *local_zone)
{
	return (struct sl_target_config){
		.split_time = length, .align_local = local_zone != NULL, .time_zone = local_zone};
}

/* ---------------------------------------------------------------- bounds of windows */

static void
test_utc_bounds(void **state)
{
	struct sl_target_config target = target_of(60 * S, NULL);

	(void)state;
	assert_int_equal(sl_window_start(&target, 0), 0);
	assert_int_equal(sl_window_start(&target, 60 * S - 1), 0);
	assert_int_equal(sl_window_start(&target, 60 * S), 60 * S);
	assert_int_equal(sl_window_end(&target, 60 * S), 120 * S);
	assert_int_equal(sl_window_end(&target, sl_window_start(&target, UINT64_MAX)), UINT64_MAX);
	target = target_of(UINT64_MAX, NULL);
	assert_int_equal(sl_window_start(&target, UINT64_MAX - 1), 0);
	assert_int_equal(sl_window_end(&target, 0), UINT64_MAX);
	target = target_of(1, NULL);
	assert_int_equal(sl_window_start(&target, 12345), 12345);
	assert_int_equal(sl_window_end(&target, 12345), 12346);
	target = target_of(0, NULL);
	assert_int_equal(sl_window_start(&target, 12345), 12345);
	assert_int_equal(sl_window_end(&target, 12345), 12345);
}

static void
check_window(const char *zone, uint64_t length, uint64_t ts, uint64_t start, uint64_t end)
{
	struct sl_target_config target = target_of(length, zone);

	if (sl_window_start(&target, ts) != start || sl_window_end(&target, start) != end)
		fail_msg("%s T=%" PRIu64 " ts=%" PRIu64 ": [%" PRIu64 ", %" PRIu64 "), expected [%" PRIu64 ", %" PRIu64
			 ")",
			zone, length / S, ts / S, sl_window_start(&target, ts) / S, sl_window_end(&target, start) / S,
			start / S, end / S);
}

static void
test_local_bounds(void **state)
{
	(void)state;
	/* 2025-11-02 in New York has 25 hours, 2025-03-09 has 23 */
	check_window("America/New_York", DAY, 1762070400 * S, 1762056000 * S, 1762146000 * S);
	check_window("America/New_York", DAY, 1762056000 * S, 1762056000 * S, 1762146000 * S);
	check_window("America/New_York", DAY, 1762146000 * S - 1, 1762056000 * S, 1762146000 * S);
	check_window("America/New_York", DAY, 1762146000 * S, 1762146000 * S, 1762232400 * S);
	check_window("America/New_York", DAY, 1741500000 * S, 1741496400 * S, 1741579200 * S);
	/* the hour that comes twice is one window; half hours come twice */
	check_window("America/New_York", HOUR, 1762065000 * S, 1762059600 * S, 1762066800 * S);
	check_window("America/New_York", HOUR / 2, 1762061400 * S, 1762061400 * S, 1762063200 * S);
	check_window("America/New_York", HOUR / 2, 1762063200 * S, 1762063200 * S, 1762065000 * S);
	/* midnight comes twice in Havana on 2025-11-02, and is left out in Sao Paulo on 2017-10-15 */
	check_window("America/Havana", DAY, 1762061400 * S, 1762056000 * S, 1762146000 * S);
	check_window("America/Sao_Paulo", DAY, 1508036400 * S, 1508036400 * S, 1508119200 * S);
	/* Samoa had no 2011-12-30 */
	check_window("Pacific/Apia", DAY, 1325239200 * S, 1325239200 * S, 1325325600 * S);
	check_window("Asia/Kolkata", DAY, 1762061400 * S, 1762021800 * S, 1762108200 * S);
	check_window("Asia/Kolkata", HOUR, 1762061400 * S, 1762061400 * S, 1762065000 * S);
	/* weeks since Thursday, 1970-01-01; seven hours do not divide a day */
	check_window("Asia/Kolkata", 7 * DAY, 1762061400 * S, 1761762600 * S, 1762367400 * S);
	check_window("<+07>-7", 7 * HOUR, 0, 0, 7 * HOUR);
	check_window("<+07>-7", 7 * HOUR, 7 * HOUR, 7 * HOUR, 14 * HOUR);
	/* before 1970 in local time or in UTC */
	check_window("<-03>3", DAY, 0, 0, 3 * HOUR);
	check_window("<+03>-3", DAY, 0, 0, 21 * HOUR);
	/* the end of time */
	check_window("<-03>3", UINT64_MAX, UINT64_MAX - 1, 3 * HOUR, UINT64_MAX);
	check_window("America/New_York", 10000 * DAY, UINT64_MAX - 1, UINT64_C(18144000000) * S + 5 * HOUR, UINT64_MAX);
}

/* The definition itself: within a window floor(local / T) is the same at all times, and it differs on both sides. */
static void
test_local_definition(void **state)
{
	static const char *const zones[] = {"UTC", "America/New_York", "Asia/Kolkata", "America/Havana",
		"Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "EST5EDT,M3.2.0,M11.1.0"};
	static const uint64_t lengths[] = {900 * S, HOUR, 2 * HOUR, 7 * HOUR, DAY, 7 * DAY, 400 * DAY, 60 * S + 1};
	uint64_t seed = 1;

	(void)state;
	for (size_t z = 0; z < sizeof(zones) / sizeof(zones[0]); z++) {
		const struct sl_zone *zone = sl_zone_get(zones[z]);

		assert_non_null(zone);
		for (int i = 0; i < 4000; i++) {
			uint64_t length = lengths[i % 8], start, end, ts, number;
			struct sl_target_config target = target_of(length, zones[z]);

#define NUMBER(t) (((t) + (uint64_t)(int64_t)sl_zone_offset(zone, (int64_t)((t) / S)) * S) / length)
			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			ts = 500 * DAY + seed % (YEAR_2099 / 2 * 2 - 500 * DAY);
			/* half of them near a change in 2025 or so */
			if (i % 2) {
				int64_t from, until;

				sl_zone_span(zone, (int64_t)(ts / S), &from, &until);
				if (until < (int64_t)(YEAR_2099 / S))
					ts = (uint64_t)until * S - 3 * HOUR + (seed >> 20) % (6 * HOUR);
			}
			start = sl_window_start(&target, ts);
			end = sl_window_end(&target, start);
			number = NUMBER(ts);
			assert_true(start <= ts && ts < end);
			assert_true(NUMBER(start) == number && NUMBER(end - 1) == number);
			assert_true(NUMBER(start - 1) != number && NUMBER(end) != number);
			for (int j = 0; j < 20; j++) {
				seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
				uint64_t t = start + seed % (end - start);

				assert_true(NUMBER(t) == number);
				assert_true(sl_window_start(&target, t) == start);
			}
		}
	}
}

/* ---------------------------------------------------------------- the clock */

struct step {
	uint64_t ts;
	uint64_t begin; /* of the window afterwards */
};

static void
walk(uint64_t length, const struct step *steps, size_t count)
{
	struct sl_target_config target = target_of(length, NULL);
	struct sl_window window = {0}, before;

	for (size_t i = 0; i < count; i++) {
		before = window;
		bool changed = sl_window_advance(&window, &target, steps[i].ts);

		if (window.begin != steps[i].begin || window.end != steps[i].begin + length)
			fail_msg("step %zu: window begins at %" PRIu64 ", expected %" PRIu64, i, window.begin / S,
				steps[i].begin / S);
		assert_int_equal(changed, i == 0 || before.begin != window.begin);
		/* what a writer may conclude for a whole chunk */
		if (i > 0 && sl_window_holds(&before, &target, steps[i].ts, steps[i].ts)) {
			sl_window_skip(&before, steps[i].ts);
			assert_memory_equal(&before, &window, sizeof(window));
		} else if (i > 0) {
			assert_true(changed);
		}
	}
}

static void
test_clock(void **state)
{
	const struct step ordinary[] = {{100 * S, 60 * S}, {119 * S, 60 * S}, {120 * S - 1, 60 * S}, {120 * S, 120 * S},
		/* late, to the very edge of the rule */
		{119 * S, 120 * S}, {60 * S, 120 * S},
		/* more than T below the window's start: the clock goes back */
		{60 * S - 1, 0}, {61 * S, 60 * S},
		/* silence over many windows */
		{6000 * S + 1, 6000 * S}, {5999 * S, 6000 * S}};
	const struct step far[] = {{1000 * S, 960 * S}, {YEAR_2099, YEAR_2099}, {1001 * S, 960 * S},
		{1002 * S, 960 * S}, {0, 0}, {1003 * S, 960 * S}, {1019 * S, 960 * S}, {1020 * S, 1020 * S}};
	const struct step zero[] = {{0, 0}, {0, 0}, {1, 0}, {60 * S, 60 * S}, {0, 60 * S}};

	(void)state;
	walk(60 * S, ordinary, sizeof(ordinary) / sizeof(ordinary[0]));
	walk(60 * S, far, sizeof(far) / sizeof(far[0]));
	walk(60 * S, zero, sizeof(zero) / sizeof(zero[0]));
}

static void
test_clock_extremes(void **state)
{
	struct sl_target_config target = target_of(60 * S, NULL);
	struct sl_window window = {0};

	(void)state;
	assert_true(sl_window_advance(&window, &target, UINT64_MAX));
	assert_int_equal(window.end, UINT64_MAX);
	assert_false(sl_window_advance(&window, &target, UINT64_MAX));
	assert_false(sl_window_advance(&window, &target, UINT64_MAX - 1));
	assert_true(sl_window_advance(&window, &target, 0));
	assert_int_equal(window.end, 60 * S);
	assert_int_equal(window.clock, 0);

	target = target_of(UINT64_MAX, NULL);
	memset(&window, 0, sizeof(window));
	assert_true(sl_window_advance(&window, &target, 5));
	assert_false(sl_window_advance(&window, &target, YEAR_2099));
	assert_false(sl_window_advance(&window, &target, 0));
	assert_int_equal(window.clock, YEAR_2099);

	/* no time split: a clock, no window */
	target = target_of(0, NULL);
	memset(&window, 0, sizeof(window));
	assert_false(sl_window_advance(&window, &target, 100));
	assert_false(sl_window_advance(&window, &target, 50));
	assert_int_equal(window.clock, 100);
	assert_int_equal(window.begin, window.end);
	assert_true(sl_window_holds(&window, &target, 0, UINT64_MAX));
}

static void
test_clock_local(void **state)
{
	struct sl_target_config target = target_of(DAY, "America/New_York");
	struct sl_window window = {0};

	(void)state;
	assert_true(sl_window_advance(&window, &target, 1762056000 * S));
	assert_false(sl_window_advance(&window, &target, 1762056000 * S + 25 * HOUR - 1));
	assert_true(sl_window_advance(&window, &target, 1762056000 * S + 25 * HOUR));
	assert_int_equal(window.end - window.begin, DAY);
	assert_false(sl_window_advance(&window, &target, 1762056000 * S + HOUR));
	assert_true(sl_window_advance(&window, &target, 1762056000 * S + HOUR - 1));
	assert_int_equal(window.end - window.begin, 25 * HOUR);
}

int
window_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utc_bounds),
		cmocka_unit_test(test_local_bounds),
		cmocka_unit_test(test_local_definition),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_clock_extremes),
		cmocka_unit_test(test_clock_local),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
