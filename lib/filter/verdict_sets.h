/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_VERDICT_SETS_H
#define SL_FILTER_VERDICT_SETS_H

/**
 * @file
 * Sets of programs that accept a packet, each known by a small number. Traffic has few different ones. One lcore.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_VERDICT_SETS_MAX 0xfff0u /**< numbers lie below */

struct sl_verdict_sets {
	uint32_t programs; /**< bits of a set */
	uint32_t words;    /**< of a bitmap */
	uint32_t count, limit;
	uint64_t *bitmaps; /**< words of each set */
	uint32_t *first;   /**< set s has the members first[s] to first[s + 1] - 1; count + 1 entries */
	uint32_t *members; /**< program numbers, ascending within a set */
	uint32_t members_room;
	uint32_t room;     /**< sets that fit */
	uint32_t *table;   /**< set + 1, by hash of the bitmap; open addressing */
	uint32_t table_mask;
};

/** @return 0, -ENOMEM. Main thread */
int sl_verdict_sets_init(struct sl_verdict_sets *sets, uint32_t programs);
void sl_verdict_sets_fini(struct sl_verdict_sets *sets);

/** The number of a set, which is made if it is new. @return a number, -1: full (or no memory): clear */
int sl_verdict_sets_number(struct sl_verdict_sets *sets, const uint64_t *bitmap);

/** Forget all numbers. */
void sl_verdict_sets_clear(struct sl_verdict_sets *sets);

#endif
