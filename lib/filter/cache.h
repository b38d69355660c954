/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_CACHE_H
#define SL_FILTER_CACHE_H

/**
 * @file
 * The verdict cache of a filter lcore: what a packet costs does not grow with the number of programs.
 *
 * A packet's key is its first bytes under a mask, and its captured length where that matters. The mask of a class of
 * packets (classify.h) holds every bit that may decide about a packet of that class: what programs may look at is found out
 * for a new class once (partial.h); of a program for which that cannot be told, each run notes the bytes it reads
 * (track.h), and when it reads another one, the mask grows and the class's entries are void. So a packet with the key of an
 * entry agrees with the entry's packet in all that decided its verdicts, and has the same.
 *
 * A class of which too few packets are found again is not looked up for a while: its packets take the direct way, one
 * program after the other. A packet about which something beyond the window decides is not kept.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec.h"
#include "sl_filter.h"
#include "unit.h"

struct sl_cache;

/** What all lanes share; outlives the caches. */
struct sl_cache_params {
	uint32_t link_type;
	const struct sl_unit *units;
	unsigned int unit_count;
	const struct sl_exec *programs; /**< by number: how each runs the direct way */
	uint32_t program_count;         /**< numbers in the units lie below */
	uint32_t buckets;               /**< of four entries, a power of two; 0: as many as are good */
	bool portable;                  /**< no wide vectors, though the CPU has them: for tests */
};

/** Is it worth a cache? Programs that are cheap to run together are run. Any thread. */
bool sl_cache_pays(const struct sl_cache_params *params);

/** Make the cache of one filter lcore. Main thread. @return 0, -ENOMEM */
int sl_cache_create(const struct sl_cache_params *params, struct sl_cache **cache);
void sl_cache_free(struct sl_cache *cache);

/**
 * Find the packets of a chunk that each program accepts. Its filter lcore only; aborts with a line if memory is short, as
 * sl_filter_run().
 */
void sl_cache_run(struct sl_cache *cache, const struct sl_chunk *chunk);

/** What sl_cache_run() found for a program, until it is called again. @param[out] count  packets accepted */
const uint16_t *sl_cache_list(const struct sl_cache *cache, uint32_t program, uint32_t *count);

/** Add this lane's counts. Any thread. */
void sl_cache_add_stats(const struct sl_cache *cache, struct sl_filter_stats *stats);

#endif
