/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_CAPTURE_H
#define SL_STORE_CAPTURE_H

/**
 * @file
 * An opened capture, as the reader's helper thread needs it too.
 */

#include <limits.h>

#include "newest.h"
#include "store.h"

struct sl_capture {
	_Atomic unsigned int refs; /**< the opener, and each segment that a reader keeps of it */
	struct sl_capture_info info;
	char path[PATH_MAX];       /**< <store>/<name>, for messages */
	int dir;
	struct store_head *head;   /**< NULL: lost or damaged */
	int head_fd;
	bool head_damaged;
	bool on_memory;
	struct newest_reader *newest; /**< the newest chunks in the writer's memory, or NULL */
	uint64_t newest_base;         /**< ordinal of chunk 0 there */

	_Atomic uint32_t state;    /**< enum sl_capture_state as last decided */
	/* UNCLEAN: found by the scan. */
	_Atomic uint64_t found_first, found_committed;

	/* For sl_capture_read(). */
	int segment_fd;
	uint64_t segment;
};

/**
 * Copy a chunk from the writer's memory. Never waits for a disk. Any thread.
 *
 * @return whether it was there and has the right number; its body is still to be checked
 */
bool capture_copy_newest(const struct sl_capture *capture, uint64_t number, void *buf);

/** Keep it beyond sl_capture_close(). Any thread. */
void capture_hold(struct sl_capture *capture);
/** The last one frees it. Any thread; makes system calls. */
void capture_drop(struct sl_capture *capture);

#endif
