/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_RING_BELL_H
#define SL_RING_BELL_H

/**
 * @file
 * The sleeper's side of a bell. Use: prepare, look for work once more, then wait or cancel. The owning lcore only.
 */

#include <time.h>

#include "sl_ring.h"

/** Announce sleep. @return the count of rings to hand to sl_bell_wait() */
uint32_t sl_bell_prepare(struct sl_bell *bell);

/** A futex of another process, in a map shared with it, that wakes a sleeper too; and the value that was seen there. */
struct sl_bell_outside {
	const _Atomic uint32_t *word; /**< NULL: none */
	uint32_t value;
};

/**
 * Sleep until rung after sl_bell_prepare(), until the word outside has another value, or for timeout (NULL: for ever).
 *
 * @return false: this kernel waits for one futex only (futex_waitv(2) is Linux 5.16), and did not sleep
 */
bool sl_bell_wait(
	struct sl_bell *bell, uint32_t rings, const struct sl_bell_outside *outside, const struct timespec *timeout);

/** Work turned up after all. */
void sl_bell_cancel(struct sl_bell *bell);

#endif
