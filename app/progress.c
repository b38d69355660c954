/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"

#define INTERVAL_MS 200

void
progress_show(const char *what, uint64_t done, uint64_t all)
{
	bool finished = all > 0 && done >= all;
	static struct timespec last;
	struct timespec now;

	if (!isatty(STDERR_FILENO))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!finished && (now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 < INTERVAL_MS)
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
