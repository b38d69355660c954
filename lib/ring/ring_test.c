/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <rte_eal.h>

#include "ring_test.h"

int
main(int argc, char **argv)
{
	char *words[] = {argv[0], (char *)"--no-huge", (char *)"-m", (char *)"128", (char *)"--no-pci",
		(char *)"--no-telemetry", (char *)"--file-prefix", (char *)"sluice-ring-test", (char *)"--log-level",
		(char *)"lib.eal:warning", (char *)"--lcores", (char *)"0", NULL};
	int failed;

	(void)argc;
	if (rte_eal_init((int)(sizeof(words) / sizeof(words[0])) - 1, words) < 0)
		return 1;
	failed = bell_tests();
	failed += reader_tests();
	rte_eal_cleanup();
	return failed;
}
