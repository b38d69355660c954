/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_NEWEST_H
#define SL_STORE_NEWEST_H

/**
 * @file
 * The chunk buffers of an asynchronous writer, in shared memory: who follows a live capture takes the newest chunks from
 * here, and reads no disk.
 *
 * /dev/shm/sluice-<uuid> is a page with a word for each buffer, then the buffers. A writer numbers its chunks through all
 * the captures that it rolls over: the *ordinal*. Chunk o lies in buffer o mod buffers. The buffer's word is a sequence
 * lock: 2 o + 1 while chunk o is being filled, 2 o + 2 once it is complete. A reader looks at it before and after it has
 * copied: if it is 2 o + 2 both times, it has got chunk o.
 *
 * The writer holds a lock (flock) on the file while it lives, and removes it at its end. What a dead writer has left is
 * removed when the next writer of any store begins.
 */

#include "store.h"

#define NEWEST_MAGIC 0x574e4c53u /* "SLNW" */
#define NEWEST_VERSION 1u
#define NEWEST_DIR "/dev/shm"
#define NEWEST_DATA 4096u /* offset of the first buffer */

struct newest_page {
	uint32_t magic;
	uint32_t version;
	uint32_t buffers;
	uint32_t reserved;
	_Atomic uint64_t words[SL_STORE_BUFFERS_MAX];
};
_Static_assert(sizeof(struct newest_page) <= NEWEST_DATA, "the words are one page");

/* ---------------------------------------------------------------- the writer's side */

struct newest {
	struct newest_page *page; /**< of private memory if nothing is shared */
	uint8_t *data;
	uint32_t buffers;
	int fd;                   /**< -1: private memory */
	struct sl_uuid name;
};

/**
 * Make the buffers.
 *
 * @param share  in shared memory; if there is no room for them, in private memory all the same
 * @return 0 or -errno
 */
int newest_create(struct newest *n, const struct sl_uuid *name, uint32_t buffers, bool share);

/** Remove the file and unmap. */
void newest_destroy(struct newest *n);

/** Remove what dead writers have left. */
void newest_sweep(void);

static inline uint8_t *
newest_buffer(const struct newest *n, uint64_t ordinal)
{
	return n->data + ordinal % n->buffers * SL_CHUNK_SIZE;
}

/** Before the first byte of chunk `ordinal` is written to its buffer. */
static inline void
newest_begin(struct newest *n, uint64_t ordinal)
{
	atomic_store_explicit(&n->page->words[ordinal % n->buffers], 2 * ordinal + 1, memory_order_relaxed);
	/* No byte of it becomes visible before the word. */
	atomic_thread_fence(memory_order_release);
}

/** After its last byte. */
static inline void
newest_end(struct newest *n, uint64_t ordinal)
{
	atomic_store_explicit(&n->page->words[ordinal % n->buffers], 2 * ordinal + 2, memory_order_release);
}

/* ---------------------------------------------------------------- a reader's side */

struct newest_reader; /**< any thread */

/**
 * Open it for reading.
 *
 * @param owner  who it must belong to: the owner of the capture's head. Names in /dev/shm are anybody's
 * @return NULL: there is none to be read
 */
struct newest_reader *newest_open(const struct sl_uuid *name, uid_t owner);
void newest_close(struct newest_reader *r);

/** Whether chunk `ordinal` is there, as far as one look tells. Never waits. */
bool newest_has(const struct newest_reader *r, uint64_t ordinal);

/**
 * Copy a chunk. What follows its index is left as it was. Never waits for a disk.
 *
 * @return whether it was there, whole, until all had been copied; not whether it is sound
 */
bool newest_copy(const struct newest_reader *r, uint64_t ordinal, void *buf);

#endif
