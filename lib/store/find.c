/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Where a time lies in a capture: one chunk header of each segment tells which segments to look into, and in these
 * every header is read. Packets that lie a segment or more out of order are not looked for.
 */

#include <errno.h>
#include <stdlib.h>

#include "capture.h"

/* The first chunk of the next segment. */
static uint64_t
next_segment(uint64_t chunk)
{
	return (chunk / SL_SEGMENT_CHUNKS + 1) * SL_SEGMENT_CHUNKS;
}

/* The segment before that of a chunk, but not before the capture's first chunk. */
static uint64_t
segment_before(uint64_t chunk, uint64_t first)
{
	uint64_t start = chunk / SL_SEGMENT_CHUNKS * SL_SEGMENT_CHUNKS;

	return start >= first + SL_SEGMENT_CHUNKS ? start - SL_SEGMENT_CHUNKS : first;
}

/* A chunk that cannot be read might hold anything. */
static bool
may_reach(struct sl_capture *capture, uint64_t number, void *buf, uint64_t from)
{
	struct sl_chunk chunk;

	return sl_capture_peek(capture, number, buf, &chunk) != 0 || (chunk.packets > 0 && chunk.max_ts >= from);
}

static bool
may_begin_before(struct sl_capture *capture, uint64_t number, void *buf, uint64_t to)
{
	struct sl_chunk chunk;

	return sl_capture_peek(capture, number, buf, &chunk) != 0 || (chunk.packets > 0 && chunk.min_ts < to);
}

static uint64_t
find_first(struct sl_capture *capture, uint64_t first, uint64_t end, void *buf, uint64_t from)
{
	uint64_t n = first, segment;

	if (from == 0)
		return first;
	for (segment = first; segment < end; segment = next_segment(segment)) {
		if (may_reach(capture, segment, buf, from))
			break;
		n = segment;
	}
	for (n = segment_before(n, first); n < end; n++)
		if (may_reach(capture, n, buf, from))
			break;
	return n;
}

static uint64_t
find_end(struct sl_capture *capture, uint64_t first, uint64_t end, void *buf, uint64_t to)
{
	uint64_t last = first, limit, n;

	if (to == UINT64_MAX)
		return end;
	for (n = first; n < end; n = next_segment(n))
		if (may_begin_before(capture, n, buf, to))
			last = n;
	limit = next_segment(last) + SL_SEGMENT_CHUNKS;
	for (n = limit < end ? limit : end; n > first; n--)
		if (may_begin_before(capture, n - 1, buf, to))
			break;
	return n;
}

int
sl_capture_find(struct sl_capture *capture, uint64_t from, uint64_t to, uint64_t *first, uint64_t *end)
{
	void *buf = aligned_alloc(SL_STORE_ALIGN, SL_STORE_ALIGN);

	*first = sl_capture_first(capture);
	*end = sl_capture_committed(capture);
	if (!buf)
		return -ENOMEM;
	*first = find_first(capture, *first, *end, buf, from);
	*end = find_end(capture, *first, *end, buf, to);
	free(buf);
	return 0;
}
