/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_SEGMENTS_H
#define SL_STORE_SEGMENTS_H

/**
 * @file
 * A reader's open segments, and the helper thread "sl-store" that does for the reader's lcore what may block: opening,
 * mapping, closing, giving mapped pages back, and reads where io_uring cannot.
 *
 * The lcore alone takes entries (FREE to WANTED) and pins them (READY to BUSY and back); the helper alone opens
 * (WANTED to READY or FAILED) and closes them (READY or FAILED to CLOSING to FREE). Who wins the compare-exchange on
 * READY owns the entry, so neither waits for the other.
 */

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "capture.h"

enum entry_state {
	ENTRY_FREE,
	ENTRY_WANTED,
	ENTRY_READY,
	ENTRY_BUSY,
	ENTRY_FAILED,
	ENTRY_CLOSING,
};

struct segment_entry {
	_Atomic uint32_t state;
	/* Written by the lcore while FREE. The entry holds a reference, so the address is not used again for another. */
	struct sl_capture *capture;
	uint64_t segment;
	/* Written by the helper before READY or FAILED. */
	int fd;
	int error;
	const uint8_t *map; /**< NULL: to be read */
	bool on_memory;     /**< a read is a copy and never waits */
	uint64_t size;      /**< of the file when last asked; the lcore may renew it */
	_Atomic uint64_t used_at; /**< CLOCK_MONOTONIC ns */
	/* The lcore's own. */
	unsigned int reads;    /**< in flight */
	bool held;             /**< BUSY only because the caller may still look into the map */
	uint64_t last_return;  /**< count of returned reads when its last one was */
};

/** A read for the helper, and back. */
struct segment_job {
	struct segment_entry *entry;
	uint32_t slot;
	void *buf;
	void *request;
	int result;
};

#define SEGMENTS_MAX (SL_READER_HOLD + 512u) /* even if each held read were in a segment of its own */
#define JOBS_MAX 256u                        /* the deepest reader */
#define TRAIL_SIZE 1024u
/* Mapped chunks that keep their pages after they were returned: more than are in work, so that memory stays bounded. */
#define TRAIL_KEEP 64u
/* Should the helper fall this far behind, the lcore waits for it. */
#define TRAIL_LIMIT 256u

struct segments {
	struct segment_entry entries[SEGMENTS_MAX];
	_Atomic uint32_t top; /**< entries below it may be in use */
	struct segment_entry *recent;

	/* Rings with one producer and one consumer; room for every request, so they cannot overflow. */
	struct segment_job jobs[JOBS_MAX], done[JOBS_MAX];
	_Atomic uint32_t jobs_head, jobs_tail, done_head, done_tail;

	/* Mapped places in the order they were returned; the helper gives back the pages of old ones. */
	struct {
		const uint8_t *place;
		struct segment_entry *entry;
	} trail[TRAIL_SIZE];
	_Atomic uint32_t trail_head, trail_tail;

	sem_t wake;
	_Atomic bool quit;
	pthread_t thread;
};

/** Start the helper. @return 0 or -errno */
int segments_init(struct segments *s, const cpu_set_t *cpus);
/** End the helper and close all. Nothing may be in flight. */
void segments_fini(struct segments *s);

/** Whether so many mapped pages wait to be given back that no more should be taken. The lcore only. */
bool segments_behind(const struct segments *s);

/** The entry of a segment, made WANTED if there was none; NULL if the table is full. The lcore only. */
struct segment_entry *segments_find(struct segments *s, struct sl_capture *capture, uint64_t segment);

/** Use an entry for a read. @return 0; -EAGAIN: not open yet; another -errno: it cannot be opened. The lcore only. */
int segments_pin(struct segment_entry *e);

/** A read of it is done. returned: count of reads returned so far. The lcore only. */
void segments_unpin(struct segments *s, struct segment_entry *e, const void *mapped, uint64_t returned);

/** Let go maps whose last read was returned before `limit` reads. The lcore only. */
void segments_let_go(struct segments *s, uint64_t limit);

/** Hand the helper a read. The lcore only. */
void segments_post(struct segments *s, const struct segment_job *job);
/** A read that the helper has done. The lcore only. */
bool segments_take(struct segments *s, struct segment_job *job);

#endif
