/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_RETENTION_H
#define SL_STORE_RETENTION_H

/**
 * @file
 * Retention: the oldest segments of captures that may expire are removed until enough of the file system is free.
 */

#include "store.h"

struct retention {
	const char *store;
	struct sl_retention limits;
	/*
	 * What was removed and is not free yet: somebody still has it open, or the file system takes its time. It is not
	 * removed a second time for that.
	 */
	uint64_t removed;     /**< bytes */
	uint64_t free_before; /**< bytes free when it was removed */
	uint64_t removed_at;  /**< CLOCK_MONOTONIC ns */

	uint64_t total_bytes, total_captures; /**< removed so far */
};

/**
 * Look, and remove what must go: whole segments, the oldest first, `first` of their capture advanced before; a closed capture
 * without segments goes whole. Of a capture that is being written the last two segments stay. Blocks.
 *
 * @param at_least  bytes to free even if the limits ask for less: a write has found no room
 * @return 0 or -errno of looking; what cannot be removed is passed over
 */
int retention_run(struct retention *r, uint64_t at_least);

/** Bytes that must be freed for the limits now, those removed already not counted. @return 0 or -errno */
int retention_need(struct retention *r, uint64_t *bytes);

#endif
