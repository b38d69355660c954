/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_OUTPUT_H
#define SL_STORE_OUTPUT_H

/**
 * @file
 * Chunks on their way to disk: a ring of buffers, several writes in flight, and the commit of the contiguous prefix.
 * One thread at a time.
 */

#include <liburing.h>

#include "store.h"

/** Chunks in flight and one being filled. More did not make the disk faster. */
#define OUTPUT_BUFFERS 8u

/** Sums of one chunk, added to the head's when it is committed. */
struct output_buffer {
	uint8_t *data;       /**< SL_CHUNK_SIZE bytes */
	uint32_t used;       /**< bytes to write, a multiple of SL_STORE_ALIGN */
	bool written;
};

struct store_output {
	const char *path;    /**< the capture's directory, for messages */
	int dir;
	struct store_head *head;

	struct io_uring ring;
	bool has_ring;
	bool on_memory;
	bool syncing;        /**< an fsync is in flight */
	bool dirty;          /**< chunks were written since the last fsync */
	uint64_t synced_at;  /**< CLOCK_MONOTONIC, ns */

	uint32_t tail;       /**< bytes behind a chunk's index that are to be written too */

	int fd;              /**< the current segment, -1: none yet */
	uint64_t segment;
	uint32_t allocated;  /**< slots that the file system has promised */

	uint8_t *memory;
	struct output_buffer buffers[OUTPUT_BUFFERS]; /**< chunk n uses buffer n mod OUTPUT_BUFFERS */
	uint64_t submitted;  /**< next chunk number */
	uint64_t committed;
	unsigned int in_flight;
	int error;           /**< first error, sticky */
	char message[SL_STORE_ERRBUF];
};

/** Prepare. head and path stay the caller's and must outlive it. @return 0 or -errno */
int output_init(struct store_output *o, int dir, const char *path, struct store_head *head);

/** Buffer for the next chunk; waits until one is free. NULL on error (o->error, o->message). */
uint8_t *output_buffer(struct store_output *o);

/** Write the chunk in the buffer last returned, its header complete. Does not wait for the disk. @return 0 or -errno */
int output_submit(struct store_output *o);

/** Take what has completed, commit it; start an fsync when one is due. Does not wait. @return 0 or -errno */
int output_poll(struct store_output *o);

/** Wait until everything submitted is committed. @return 0 or -errno */
int output_drain(struct store_output *o);

/** Drain, give back what the last segment does not need, make all durable, free. @return the first error or 0 */
int output_close(struct store_output *o);

#endif
