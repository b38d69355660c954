/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdlib.h>

#include "store_test.h"

#define CHUNKS 2300u /* two whole segments, and a part of one */
#define FLUSH_NS 10000000u
#define START 1700000000000000000u
#define STEP 1000000000u

/* Chunk n has one packet, at START + n seconds; a few are late or early. */
static uint64_t
time_of(uint64_t n)
{
	if (n == 700)
		return START + 690 * (uint64_t)STEP;
	if (n == 1500)
		return START + 100000 * (uint64_t)STEP;
	if (n == 1600)
		return 5;
	return START + n * STEP;
}

static void
make_capture(const char *store)
{
	struct sl_store_writer *writer = test_writer(store, "c", FLUSH_NS);
	char errbuf[SL_STORE_ERRBUF] = "";

	test_fast_clock = true;
	for (uint64_t n = 0; n < CHUNKS; n++) {
		assert_int_equal(sl_store_writer_append(writer, time_of(n), 1, 1, 0, 0, "x", errbuf), 0);
		assert_int_equal(sl_store_writer_idle(writer, 0, errbuf), 0);
	}
	test_fast_clock = false;
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
}

/* Every packet of the range lies in the chunks found, which are not many more. */
static void
check(struct sl_capture *capture, uint64_t from, uint64_t to, uint64_t spare)
{
	uint64_t first, end, inside = 0;

	assert_int_equal(sl_capture_find(capture, from, to, &first, &end), 0);
	assert_true(first <= end);
	for (uint64_t n = 0; n < CHUNKS; n++) {
		if (time_of(n) < from || time_of(n) >= to)
			continue;
		inside++;
		assert_in_range(n, first, end - 1);
	}
	assert_true(end - first <= inside + spare);
}

static void
a_range_of_time_is_found(void **state)
{
	const uint64_t s = STEP;
	struct sl_capture *capture;
	uint64_t first, end;
	char store[128];

	(void)state;
	test_dir_make(store, false);
	make_capture(store);
	capture = test_open(store, "c");
	assert_int_equal(sl_capture_committed(capture), CHUNKS);
	check(capture, 0, UINT64_MAX, 0);
	check(capture, START + 1650 * s, START + 1700 * s, 150); /* the one far in the future is met first */
	check(capture, START + 2040 * s, START + 2050 * s, 540);
	check(capture, START + 2299 * s, START + 2300 * s, 799);
	check(capture, START + 695 * s, START + 705 * s, 1600 - 705 + 2); /* the one of 1970 is met last */
	check(capture, START + 685 * s, START + 695 * s, 1600 - 695 + 2);
	check(capture, START + 1023 * s, START + 1025 * s, 1600 - 1025 + 1);
	check(capture, START + 3000 * s, START + 4000 * s, 2300 - 1500);
	check(capture, 0, START + 1, CHUNKS);

	/* A chunk that cannot be read is not left out: whoever reads it will report it. */
	test_patch(store, "c", "00000000.seg", 50 * (uint64_t)SL_CHUNK_SIZE, "damage", 6);
	assert_int_equal(sl_capture_find(capture, START + 51 * s, START + 60 * s, &first, &end), 0);
	assert_int_equal(first, 50);
	sl_capture_close(capture);
	test_dir_remove(store);
}

int
find_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_of_time_is_found),
	};

	return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
