/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "store_actions.h"

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
