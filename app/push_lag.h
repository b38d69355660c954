/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_LAG_H
#define SL_APP_PUSH_LAG_H

/**
 * @file
 * How far a target lies behind the head of the store, and how much of the store's history that is. Main thread; reads a
 * few chunk headers, so it may wait for the disk.
 */

#include <stdbool.h>

#include "sl_ring.h"
#include "sl_store.h"

struct push_lag_store; /**< the captures of a store, as far as somebody lies behind in them */

struct push_lag {
	uint64_t chunks;      /**< committed, and not taken yet */
	uint64_t bytes;       /**< of their packet records: exact for a few chunks, else estimated from 32 of them */
	uint64_t ns;          /**< of capture time: from the oldest of them to the newest packet or heartbeat; 0: none */
	unsigned int percent; /**< of what the store can hold before retention removes it; 0 to 100 */
	bool expires;         /**< the oldest of them lies in a capture that retention may remove */
	unsigned int warning; /**< 50 or 80: it has been above that for some seconds; push_watch.c sets it */
};

/**
 * @param store   directory
 * @param single  the only capture that counts, or NULL: all of the store
 * @param end     what is pushed ends here, or NULL: at the head
 * @return 0 or -ENOMEM
 */
int push_lag_create(const char *store, const char *single, const struct sl_position *end, struct push_lag_store **lag);
void push_lag_destroy(struct push_lag_store *lag);

/** Look again where the head is; positions asked of next may not lie below `lowest`. */
void push_lag_look(struct push_lag_store *lag, uint64_t lowest_sequence);
/** How far a position lies behind the head as it was at push_lag_look(). */
void push_lag_of(struct push_lag_store *lag, const struct sl_position *position, struct push_lag *result);

#endif
