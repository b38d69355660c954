/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "scheduler_backoff.h"

static void
test_backoff(void **state)
{
	uint32_t whole[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	(void)state;

	for (unsigned int i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		uint32_t least = UINT32_MAX, most = 0;

		for (uint32_t random = 0; random <= 60000; random++) {
			uint32_t ms = scheduler_backoff_ms(i + 1, random);

			least = ms < least ? ms : least;
			most = ms > most ? ms : most;
		}
		assert_int_equal(least, whole[i] / 2);
		assert_int_equal(most, whole[i]);
	}
	assert_in_range(scheduler_backoff_ms(UINT32_MAX, 123456789), 30000, 60000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_backoff)};

	return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
