/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "store_actions.h"

#define PROGRESS_INTERVAL_MS 200

const char *
store_state_name(enum sl_capture_state state)
{
	switch (state) {
	case SL_CAPTURE_OPEN:
		return "open";
	case SL_CAPTURE_CLOSED:
		return "closed";
	case SL_CAPTURE_UNCLEAN:
		return "unclean";
	}
	return "?";
}

/* A long run of chunks is shown on a terminal only: in a log the lines would be noise. */
void
store_progress(const char *what, const char *name, uint64_t done, uint64_t all)
{
	static struct timespec last;
	struct timespec now;

	if (!isatty(STDERR_FILENO) || all == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (done < all &&
		(now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 < PROGRESS_INTERVAL_MS)
		return;
	last = now;
	if (done < all)
		fprintf(stderr, "\r%s %s: %" PRIu64 " %% (%" PRIu64 " of %" PRIu64 " MiB)\033[K", what, name,
			done * 100 / all, done, all);
	else
		fprintf(stderr, "\r\033[K");
}

static const char *
chunk_problem(int err, char *text, size_t size)
{
	switch (err) {
	case -ENODATA:
		return "was never written";
	case -ESTALE:
		return "holds a chunk of another capture or number";
	case -EBADMSG:
		return "is damaged (checksum or bounds)";
	case -ENOENT:
		return "is gone: there is no such segment";
	default:
		snprintf(text, size, "cannot be read: %s", strerror(-err));
		return text;
	}
}

void
store_report_bad(const struct sl_capture *capture, uint64_t first, uint64_t last, int err)
{
	char path[PATH_MAX], problem[128];
	uint64_t offset;

	sl_capture_place(capture, first, path, sizeof(path), &offset);
	if (first == last)
		fprintf(stderr, "%s: chunk %" PRIu64 " at byte %" PRIu64 " %s\n", path, first, offset,
			chunk_problem(err, problem, sizeof(problem)));
	else
		fprintf(stderr, "%s: chunks %" PRIu64 " to %" PRIu64 " from byte %" PRIu64 " on: each %s\n", path,
			first, last, offset, chunk_problem(err, problem, sizeof(problem)));
}

void *
store_chunk_buffer(void)
{
	void *buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);

	if (!buf)
		fprintf(stderr, "sluice store: out of memory\n");
	return buf;
}

int
store_refuse(const char *errbuf)
{
	fprintf(stderr, "sluice store: %s\n", errbuf);
	return SL_EXIT_REFUSED;
}
