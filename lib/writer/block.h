/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_BLOCK_H
#define SL_WRITER_BLOCK_H

/**
 * @file
 * Aligned write blocks of one writer. Each target has a reserve that no other target can take; what lies beyond the
 * reserves goes to whoever needs it. One lcore only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_writer.h"

#define SL_BLOCK_ALIGN 4096u

struct sl_file;

struct sl_block {
	struct sl_block *next;
	uint8_t *data;        /**< SL_BLOCK_ALIGN aligned */
	struct sl_file *file; /**< whose bytes it holds */
	uint64_t offset;      /**< in the file, a multiple of SL_BLOCK_ALIGN */
	uint32_t fill;        /**< bytes in it */
	uint32_t len;         /**< bytes to write: fill, padded for the last block of a file */
	uint32_t done;        /**< bytes of these that have been written */
	uint32_t epoch;       /**< the target's count of failures when the write was submitted */
	uint64_t submitted;   /**< CLOCK_MONOTONIC ns */
	bool direct;          /**< it was submitted to a file with O_DIRECT */
};

/** More blocks for a pool, which came with more targets. Made off the lcore; belongs to the pool once it was added. */
struct sl_block_extent {
	struct sl_block_extent *next;
	struct sl_block *blocks;
	uint8_t *memory;
	size_t memory_size;
	uint32_t count;
};

struct sl_block_pool {
	struct sl_block *free;
	struct sl_block *blocks;
	uint8_t *memory;
	size_t memory_size;
	uint32_t block_size;
	uint32_t count;
	uint32_t free_count;
	uint32_t reserve;  /**< blocks that each target can always have */
	uint32_t reserve_max; /**< what it is when there are blocks enough */
	uint32_t reserved; /**< blocks that are kept for targets below their reserve; some may still be with other targets */
	struct sl_block_extent *extents;
};

/**
 * How blocks are cut for so many targets. SLUICE_WRITE_BLOCKS=<bytes>x<blocks a target> in the environment overrides it, for
 * measuring; what is not a power of two from 64 KiB to 4 MiB, or not 6 to 1024 blocks, is ignored.
 */
struct sl_block_plan {
	uint32_t block_size;
	uint32_t per_target;
	uint32_t extra; /**< for the writer as a whole */
};
struct sl_block_plan sl_block_plan(unsigned int targets, enum sl_sink_kind sink, size_t memory);

/** Bytes of EAL memory of a pool. */
size_t sl_block_pool_memory(const struct sl_block_plan *plan, unsigned int targets);

/** @return 0, -ENOMEM. Main thread, after rte_eal_init(). Touches every page. */
int sl_block_pool_init(struct sl_block_pool *pool, const struct sl_block_plan *plan, unsigned int targets);
void sl_block_pool_free(struct sl_block_pool *pool);

/**
 * Blocks that a pool of `count` lacks for so many targets. Any thread.
 * @return 0: none
 */
uint32_t sl_block_pool_lacks(uint32_t count, unsigned int targets);
/**
 * Make so many blocks more. Main thread; touches every page.
 * @return 0, -ENOMEM
 */
int sl_block_extent_create(uint32_t block_size, uint32_t count, struct sl_block_extent **extent);
void sl_block_extent_free(struct sl_block_extent *extent);
/** Its own lcore: take an extent in; NULL is allowed. */
void sl_block_pool_add(struct sl_block_pool *pool, struct sl_block_extent *extent);
/** Its own lcore: from now on there are these targets, which hold so many blocks each. */
void sl_block_pool_share(struct sl_block_pool *pool, const uint32_t *used, unsigned int targets);

/** Blocks that a target which holds `used` can still take. */
static inline uint32_t
sl_block_available(const struct sl_block_pool *pool, uint32_t used)
{
	uint32_t own = used < pool->reserve ? pool->reserve - used : 0;

	/* after a reload others may still hold what is this target's now */
	if (pool->free_count < pool->reserved)
		return own < pool->free_count ? own : pool->free_count;
	return own + (pool->free_count - pool->reserved);
}

static inline struct sl_block *
sl_block_get(struct sl_block_pool *pool, uint32_t *used)
{
	struct sl_block *b = pool->free;

	if (sl_block_available(pool, *used) == 0)
		return NULL;
	pool->free = b->next;
	pool->free_count--;
	if (*used < pool->reserve)
		pool->reserved--;
	(*used)++;
	b->next = NULL;
	b->fill = b->len = b->done = 0;
	return b;
}

static inline void
sl_block_put(struct sl_block_pool *pool, uint32_t *used, struct sl_block *b)
{
	b->next = pool->free;
	b->file = NULL;
	pool->free = b;
	pool->free_count++;
	(*used)--;
	if (*used < pool->reserve)
		pool->reserved++;
}

#endif
