/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/* The clock against a counter and a system clock that are only numbers. */

#include "capture_test.h"

#include <stdlib.h>

#include "clock.h"

#define SECOND 1000000000ull
#define START 1700000000000000000u
#define HZ 2994373123.0

/* A counter of HZ, and a system clock that may run at another rate and be set. */
struct lab {
	struct clock clock;
	double true_ns; /* since the start */
	double drift; /* of the system clock, parts of 1 */
	double offset; /* it was set by so much, ns */
	uint64_t last;
};

static uint64_t
lab_ticks(const struct lab *lab)
{
	return 123456789 + (uint64_t)(lab->true_ns * HZ / 1e9);
}

static int64_t
lab_system(const struct lab *lab)
{
	return (int64_t)(START + (uint64_t)(int64_t)(lab->true_ns * (1 + lab->drift) + lab->offset));
}

static void
lab_begin(struct lab *lab, double rough)
{
	lab->last = 0;
	clock_begin(&lab->clock, lab_ticks(lab), (uint64_t)lab_system(lab), 1e9 / HZ * rough);
}

/* Reads 100 times between two comparisons, which come every 100 ms; each comparison is noisy by some 100 ns. */
static void
lab_run(struct lab *lab, double seconds)
{
	for (unsigned int i = 0; i < seconds * 1000; i++) {
		uint64_t now = clock_at(&lab->clock, lab_ticks(lab));

		assert_true(now >= lab->last);
		lab->last = now;
		lab->true_ns += 1e6;
		if (i % 100 == 99)
			clock_discipline(&lab->clock, lab_ticks(lab), (uint64_t)(lab_system(lab) + rand() % 200 - 100));
	}
}

static int64_t
lab_error(const struct lab *lab)
{
	return lab_system(lab) - (int64_t)clock_at(&lab->clock, lab_ticks(lab));
}

static void
follows_the_system_clock(void **state)
{
	struct lab lab = {.drift = 0.00003};

	(void)state;
	/* The first rate is wrong by a percent: it is known from a short look only. */
	lab_begin(&lab, 1.01);
	lab_run(&lab, 30);
	assert_in_range(llabs(lab_error(&lab)), 0, 1000);
	/* And it stays so for hours, with a system clock whose rate NTP changes. */
	lab.offset -= 0.00002 * lab.true_ns;
	lab.drift += 0.00002;
	lab_run(&lab, 600);
	assert_in_range(llabs(lab_error(&lab)), 0, 2000);
	assert_int_equal(lab.clock.steps, 0);
}

static void
set_back_it_slows_down(void **state)
{
	struct lab lab = {0};
	uint64_t before, after;

	(void)state;
	lab_begin(&lab, 1);
	lab_run(&lab, 20);
	lab.offset -= 0.4e9;
	before = clock_at(&lab.clock, lab_ticks(&lab));
	/* lab_run() checks at each reading that it does not go back. */
	lab_run(&lab, 1);
	after = clock_at(&lab.clock, lab_ticks(&lab));
	assert_in_range(after - before, SECOND * 94 / 100, SECOND);
	lab_run(&lab, 20);
	assert_in_range(llabs(lab_error(&lab)), 0, 1000);
	/* By an hour: it can't be had at once, and time goes on in order. */
	lab.offset -= 3600e9;
	before = clock_at(&lab.clock, lab_ticks(&lab));
	lab_run(&lab, 10);
	after = clock_at(&lab.clock, lab_ticks(&lab));
	assert_in_range(after - before, 94 * SECOND / 10, 96 * SECOND / 10);
}

static void
set_forward_it_runs_faster_or_steps(void **state)
{
	struct lab lab = {0};
	uint64_t before, after;

	(void)state;
	lab_begin(&lab, 1);
	lab_run(&lab, 20);
	lab.offset += 0.4e9;
	before = clock_at(&lab.clock, lab_ticks(&lab));
	lab_run(&lab, 1);
	after = clock_at(&lab.clock, lab_ticks(&lab));
	assert_in_range(after - before, SECOND, SECOND * 106 / 100);
	lab_run(&lab, 20);
	assert_in_range(llabs(lab_error(&lab)), 0, 1000);
	assert_int_equal(lab.clock.steps, 0);
	lab.offset += 86400e9;
	lab_run(&lab, 1);
	assert_int_equal(lab.clock.steps, 1);
	assert_in_range(llabs(lab_error(&lab)), 0, 10000);
	lab_run(&lab, 20);
	assert_in_range(llabs(lab_error(&lab)), 0, 1000);
	assert_int_equal(lab.clock.steps, 1);
}

static void
a_step_within_the_first_look_is_forgotten(void **state)
{
	struct lab lab = {0};

	(void)state;
	lab_begin(&lab, 1);
	lab_run(&lab, 0.3);
	lab.offset += 0.05e9;
	lab_run(&lab, 60);
	assert_in_range(llabs(lab_error(&lab)), 0, 1000);
}

static void
readings_before_the_base_are_in_order(void **state)
{
	struct clock clock;

	(void)state;
	clock_begin(&clock, 1000000, START, 0.5);
	assert_int_equal(clock_at(&clock, 1000000), START);
	assert_int_equal(clock_at(&clock, 1000002), START + 1);
	assert_int_equal(clock_at(&clock, 999998), START - 1);
	/* A NIC's clock that counts nanoseconds from its own start. */
	clock_begin(&clock, 5, START, 1);
	assert_int_equal(clock_at(&clock, 5 + 86400 * SECOND), START + 86400 * SECOND);
}

int
clock_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_system_clock),
		cmocka_unit_test(set_back_it_slows_down),
		cmocka_unit_test(set_forward_it_runs_faster_or_steps),
		cmocka_unit_test(a_step_within_the_first_look_is_forgotten),
		cmocka_unit_test(readings_before_the_base_are_in_order),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
