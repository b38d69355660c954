/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests.h"

int
main(void)
{
	int failed = number_tests() + words_tests() + option_tests() + source_tests() + lua_sandbox_tests() +
		     lua_pattern_tests() + fields_tests() + check_tests() + config_tests() + zone_tests() +
		     schedule_tests();

	return failed != 0;
}
