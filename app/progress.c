/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "monotonic.h"
#include "progress.h"

#define INTERVAL_NS 200000000u

void
progress_show(const char *what, uint64_t done, uint64_t all)
{
	bool finished = all > 0 && done >= all;
	static uint64_t last;
	uint64_t now = monotonic_ns();

	if (!isatty(STDERR_FILENO))
		return;
	if (!finished && now - last < INTERVAL_NS)
		return;
	last = now;
	if (finished)
		fprintf(stderr, "\r\033[K");
	else if (all > 0)
		fprintf(stderr, "%s: %" PRIu64 " %% (%" PRIu64 " of %" PRIu64 " MiB)\033[K\r", what, done * 100 / all,
			done, all);
	else
		fprintf(stderr, "%s: %" PRIu64 " MiB\033[K\r", what, done);
}
