/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_LIVE_H
#define SL_STORE_LIVE_H

/**
 * @file
 * The asynchronous way of chunks to disk: the thread that appends hands over finished chunks and waits for nothing.
 *
 * Four threads, each with its own part:
 *
 *   caller    fills buffers, counts `filled` up; asks for a roll (a capture FREE to WANTED)
 *   sl-write  (live_write.c) writes chunks, commits them, counts `done` up; turns from a capture that is complete
 *             (READY to ENDED) to the next one, and from a full segment (READY to WRITTEN) to the next one
 *   sl-ahead  (live_ahead.c) makes captures (WANTED to READY) and segments (FREE to READY) before they are needed
 *   sl-keep   (live_keep.c) syncs; ends segments (WRITTEN to FREE) and captures (ENDED to FREE); retention
 *
 * Whoever moves a state owns what it leads to; each move is a release, each look an acquire. Chunks are numbered by their
 * *ordinal*, which goes on over rolls; chunk o uses buffer o mod buffers.
 */

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>

#include "begin.h"
#include "newest.h"
#include "retention.h"

#define LIVE_CAPTURES 2u
#define LIVE_SEGMENTS 8u /* in use, ahead, and waiting for their last sync */
#define LIVE_DEPTH 128u  /* writes in flight, at most */

enum live_segment_state {
	LIVE_SEGMENT_FREE,
	LIVE_SEGMENT_READY,
	LIVE_SEGMENT_WRITTEN,
};

struct live_segment {
	_Atomic uint32_t state;
	uint64_t number;
	int fd;
	_Atomic uint32_t allocated; /**< slots that the file system has promised; sl-ahead's */
	_Atomic bool dirty;         /**< written to since the last sync */
	_Atomic uint32_t committed; /**< slots; sl-write's */
	uint32_t punched;           /**< slots that keep no unused tail; sl-keep's */
	_Atomic uint16_t pages[SL_SEGMENT_CHUNKS]; /**< of a committed slot: how much of it is used */
};

enum live_capture_state {
	LIVE_FREE,
	LIVE_WANTED,
	LIVE_READY,
	LIVE_ENDED,
};

struct live_capture {
	_Atomic uint32_t state;
	struct begun begun;
	char wanted_name[SL_CAPTURE_NAME_MAX]; /**< empty: from the clock */
	uint64_t base;           /**< ordinal of its chunk 0 */
	_Atomic uint64_t end;    /**< ordinal one past its last chunk; UINT64_MAX while it is open */
	_Atomic uint64_t lost[SL_DROP_CAUSES]; /**< behind its last chunk, to be counted when it is closed */
	_Atomic uint64_t next;   /**< chunk number that sl-write needs a place for next */
	/* sl-ahead's: how far it has come. */
	uint64_t ahead_segment;
	uint32_t step;
	uint64_t step_at, step_next; /**< when `step` was last decided, and at which chunk */
	bool has_segment;
	struct live_segment segments[LIVE_SEGMENTS]; /**< segment k uses entry k mod LIVE_SEGMENTS */
};

struct live_buffer {
	uint32_t used; /**< bytes to write, a multiple of SL_STORE_ALIGN */
	bool written, again;
};

struct live {
	const char *store;
	struct sl_store_writer_params params; /**< strings are the writer's copies */
	bool on_memory;
	uint32_t tail; /**< bytes behind a chunk's index that are to be written too */
	struct newest newest;
	struct live_capture captures[LIVE_CAPTURES];

	/* The caller's. */
	struct live_capture *filling;  /**< the capture that chunks now go to */
	_Atomic uint64_t filled;       /**< chunks handed over */
	_Atomic uint64_t done;         /**< chunks committed: their buffers may be filled again; sl-write's */
	uint64_t done_seen;            /**< the caller's copy */

	/* A futex that sl-write sleeps on, and one that a caller who may block sleeps on. */
	_Atomic uint32_t bell, asleep;
	_Atomic uint32_t done_bell, done_waiters;

	/* sl-write's. */
	struct io_uring ring;
	bool has_ring;
	struct live_capture *writing;  /**< NULL: the next one has not been made yet */
	uint64_t submitted;
	unsigned int in_flight;
	unsigned int depth;
	uint64_t retry_at;             /**< CLOCK_MONOTONIC ns; 0: nothing waits for space */
	struct live_buffer buffers[SL_STORE_BUFFERS_MAX];

	_Atomic bool no_space;         /**< somebody waits for room on the file system */
	_Atomic bool closing;          /**< a full disk is waited for no longer */
	_Atomic bool quit;
	_Atomic int error;             /**< first error, sticky; message is complete before it is set */
	char message[SL_STORE_ERRBUF];

	/* sl-ahead and sl-keep sleep on these. */
	pthread_mutex_t lock;
	pthread_cond_t ahead_wake, keep_wake, closed_wake;
	bool ahead_called, keep_called;
	pthread_mutex_t segments_lock; /**< sl-ahead, while it changes a capture's segments */
	struct retention retention;
	_Atomic uint64_t removed_bytes, removed_captures;

	pthread_t write_thread, ahead_thread, keep_thread;
	unsigned int threads;
};

/* ---------------------------------------------------------------- the caller's side (live.c) */

/**
 * Begin a capture and start the helpers.
 *
 * @param store  must outlive it
 * @return 0 or -errno with a line in errbuf
 */
int live_create(const struct sl_store_writer_params *params, const char *store, struct live **live, char *errbuf);

/** Buffer for the next chunk, NULL: all wait for the disk, or there is an error. Does not wait. */
uint8_t *live_buffer(struct live *l);

/** Wait until live_buffer() may have one. @return 0 or the error */
int live_wait_buffer(struct live *l);

/** UUID and number that the next chunk must have. */
void live_identity(const struct live *l, struct sl_uuid *uuid, uint64_t *number);

/** Hand over the chunk in the buffer last returned, its header complete. */
void live_submit(struct live *l);

/** Whether no roll is under way. */
bool live_can_roll(const struct live *l);

/** Go on in a new capture, whose info is complete but for sequence and name. Only if live_can_roll(). */
void live_roll(struct live *l, const struct sl_capture_info *info, const char *name);

/** Whether all chunks are committed and the capture they are in exists: then a heartbeat may be told. */
bool live_is_quiet(const struct live *l);

/** Tell a heartbeat. Only if live_is_quiet(). */
void live_heartbeat(struct live *l, uint64_t clock);

/** The newest capture that exists. */
const struct sl_capture_info *live_info(const struct live *l);

/**
 * Write all, close, free.
 *
 * @param lost  packets lost behind the last chunk, by cause
 * @return 0 or -errno with a line in errbuf
 */
int live_close(struct live *l, const uint64_t lost[SL_DROP_CAUSES], char *errbuf);

/* ---------------------------------------------------------------- what the helpers share (live.c) */

/** Note the first error. Any helper. */
void live_fail(struct live *l, int err, const char *path, uint64_t segment, const char *what);

static inline int
live_error(const struct live *l)
{
	return atomic_load_explicit(&l->error, memory_order_acquire);
}

/** Wake sl-write. Any thread. */
void live_ring(struct live *l);
void live_call_ahead(struct live *l);
void live_call_keep(struct live *l);

/** Sleep until called, or for so long. sl-ahead and sl-keep. */
void live_sleep(struct live *l, pthread_cond_t *wake, bool *called, uint64_t ns);

/**
 * Somebody found the file system full: retention is called. While the writer closes it is an error instead.
 *
 * @return whether to try again after LIVE_SPACE_RETRY_NS
 */
bool live_no_space(struct live *l, const struct live_capture *c, uint64_t segment, const char *what);

#define LIVE_SPACE_RETRY_NS 50000000u

void *live_write_main(void *live);
void *live_ahead_main(void *live);
void *live_keep_main(void *live);

#endif
