/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_ring.h"

#define BLOCK_MIN (64u << 10)
#define BLOCK_MAX (4u << 20)
#define COUNT_MIN 6u
#define COUNT_MAX 1024u
#define SHARED 16u /* blocks beyond the reserves, for whoever is busy */

/* SLUICE_WRITE_BLOCKS=<bytes>x<blocks a target>, for those who look for better ones (dts_tests/perf/storage_sweep.py).
 */
static void
take_environment(struct sl_block_plan *p)
{
	const char *text = getenv("SLUICE_WRITE_BLOCKS");
	uint32_t size, count;
	char end;

	if (!text || sscanf(text, "%" SCNu32 "x%" SCNu32 "%c", &size, &count, &end) != 2)
		return;
	if (size < BLOCK_MIN || size > BLOCK_MAX || (size & (size - 1)) != 0 || count < COUNT_MIN || count > COUNT_MAX)
		return;
	p->block_size = size;
	p->per_target = count;
}

/*
 * Few targets: deep queues of large blocks, to reach the disk's full rate with one file. Many targets: smaller and
 * fewer ones, so that the blocks of 256 files are 384 MiB: more are more memory to touch before the first packet, and
 * hugepages that are not there (docs/performance.rst has the figures). A record may be 256 KiB, so the reserve holds at
 * least one, whatever its place in a block.
 *
 * What nobody writes needs no depth: the null sink's block is free again when it is full. Small ones let 96 targets
 * measure what their packets cost rather than what it costs to displace 24 MiB of blocks from the caches.
 */
struct sl_block_plan
sl_block_plan(unsigned int targets, enum sl_sink_kind sink, size_t memory)
{
	struct sl_block_plan p = {.block_size = 512u << 10, .per_target = 24, .extra = SHARED};

	if (sink == SL_SINK_NULL) {
		p.block_size = 16u << 10;
		p.per_target = COUNT_MIN;
	} else if (targets > 256) {
		p.block_size = 64u << 10;
		p.per_target = 10;
	} else if (targets > 32) {
		p.block_size = 256u << 10;
		p.per_target = targets > 64 ? 6 : 8;
	} else if (targets > 4) {
		p.per_target = 16;
	}
	take_environment(&p);
	if (memory) {
		size_t n = memory / p.block_size / (targets ? targets : 1);

		while (n < 8 && p.block_size > 64u << 10) {
			p.block_size /= 2;
			n = memory / p.block_size / (targets ? targets : 1);
		}
		p.per_target = n < 8 ? 8 : (uint32_t)n;
		p.extra = 0;
	}
	return p;
}

static uint32_t
plan_blocks(const struct sl_block_plan *plan, unsigned int targets)
{
	return plan->per_target * targets + plan->extra;
}

size_t
sl_block_pool_memory(const struct sl_block_plan *plan, unsigned int targets)
{
	return (size_t)plan_blocks(plan, targets) * plan->block_size + SL_BLOCK_ALIGN;
}

int
sl_block_pool_init(struct sl_block_pool *pool, const struct sl_block_plan *plan, unsigned int targets)
{
	uint32_t i;

	*pool = (struct sl_block_pool){.block_size = plan->block_size, .count = plan_blocks(plan, targets)};
	if (pool->count == 0)
		return 0;
	pool->memory_size = (size_t)pool->count * plan->block_size;
	pool->memory = sl_memory_alloc("sl_blocks", pool->memory_size);
	pool->blocks = calloc(pool->count, sizeof(*pool->blocks));
	if (!pool->memory || !pool->blocks) {
		sl_block_pool_free(pool);
		return -ENOMEM;
	}
	for (i = pool->count; i-- > 0;) {
		pool->blocks[i].data = pool->memory + (size_t)i * plan->block_size;
		pool->blocks[i].next = pool->free;
		pool->free = &pool->blocks[i];
	}
	pool->free_count = pool->count;
	/* half of a target's share is its own, half is for whoever is busy */
	pool->reserve = plan->per_target > 8 ? plan->per_target / 2 : plan->per_target;
	if (pool->reserve < COUNT_MIN)
		pool->reserve = COUNT_MIN;
	pool->reserve_max = pool->reserve;
	pool->reserved = pool->reserve * targets;
	return 0;
}

uint32_t
sl_block_pool_lacks(uint32_t count, unsigned int targets)
{
	uint32_t need = COUNT_MIN * targets + SHARED;

	return need > count ? need - count : 0;
}

int
sl_block_extent_create(uint32_t block_size, uint32_t count, struct sl_block_extent **extent)
{
	struct sl_block_extent *x = calloc(1, sizeof(*x));
	uint32_t i;

	*extent = x;
	if (!x)
		return -ENOMEM;
	x->count = count;
	x->memory_size = (size_t)count * block_size;
	x->memory = sl_memory_alloc("sl_blocks", x->memory_size);
	x->blocks = calloc(count, sizeof(*x->blocks));
	if (!x->memory || !x->blocks) {
		sl_block_extent_free(x);
		*extent = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < count; i++)
		x->blocks[i].data = x->memory + (size_t)i * block_size;
	return 0;
}

void
sl_block_extent_free(struct sl_block_extent *extent)
{
	if (!extent)
		return;
	sl_memory_free(extent->memory, extent->memory_size);
	free(extent->blocks);
	free(extent);
}

void
sl_block_pool_add(struct sl_block_pool *pool, struct sl_block_extent *extent)
{
	uint32_t i;

	if (!extent)
		return;
	for (i = 0; i < extent->count; i++) {
		extent->blocks[i].next = pool->free;
		pool->free = &extent->blocks[i];
	}
	pool->free_count += extent->count;
	pool->count += extent->count;
	extent->next = pool->extents;
	pool->extents = extent;
}

void
sl_block_pool_share(struct sl_block_pool *pool, const uint32_t *used, unsigned int targets)
{
	unsigned int i;

	pool->reserve = targets ? pool->count / (2 * targets) : pool->reserve_max;
	if (pool->reserve < COUNT_MIN)
		pool->reserve = COUNT_MIN;
	if (pool->reserve > pool->reserve_max)
		pool->reserve = pool->reserve_max;
	pool->reserved = 0;
	for (i = 0; i < targets; i++)
		pool->reserved += used[i] < pool->reserve ? pool->reserve - used[i] : 0;
}

void
sl_block_pool_free(struct sl_block_pool *pool)
{
	while (pool->extents) {
		struct sl_block_extent *extent = pool->extents;

		pool->extents = extent->next;
		sl_block_extent_free(extent);
	}
	sl_memory_free(pool->memory, pool->memory_size);
	free(pool->blocks);
	*pool = (struct sl_block_pool){0};
}
