/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>

#include "app.h"

int
cmd_push(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "sluice %s: not built yet\n", argv[0]);
	return SL_EXIT_FAILED;
}
