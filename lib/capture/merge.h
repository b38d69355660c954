/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_MERGE_H
#define CAPTURE_MERGE_H

/**
 * @file
 * Streams of packets, each in its own order, become one in the order of time. What a stream may still bring is waited for,
 * but no longer than a window. One thread.
 */

#include <stdbool.h>
#include <stdint.h>

#define MERGE_TAKE 64u /**< packets taken from a stream at once */

struct merge_item {
	uint64_t ts;
	void *packet;
};

struct merge_stream {
	/**
	 * Take what has arrived, up to max packets.
	 *
	 * @param[out] through  nothing older than this will come any more; must be read before looking for packets
	 * @param[out] pressed  so much waits that it must be taken without waiting for others
	 */
	unsigned int (*take)(void *ctx, struct merge_item *items, unsigned int max, uint64_t *through, bool *pressed);
	void *ctx;

	/* The merger's own. */
	struct merge_item items[MERGE_TAKE];
	unsigned int at, count;
	uint64_t through;
	bool pressed;
};

/**
 * Hand out packets in the order of time, as far as all streams are known; of equal times the earlier stream's first.
 *
 * @param now     ns, on the packets' clock
 * @param window  ns; a packet that is older than this is not held back any longer
 * @param budget  packets at the most
 * @return packets handed out
 */
unsigned int merge_run(struct merge_stream *streams, unsigned int count, uint64_t now, uint64_t window,
	unsigned int budget, void (*emit)(void *ctx, unsigned int stream, const struct merge_item *item), void *ctx);

/** Whether packets were taken and not handed out yet. */
bool merge_holds(const struct merge_stream *streams, unsigned int count);

#endif
