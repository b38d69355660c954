/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_COUNTER_H
#define SL_FILTER_COUNTER_H

/** @file Counts that one filter lcore makes and any thread reads. */

#include <stdatomic.h>
#include <stdint.h>

/** Add. The lcore that owns the counter only: it is the one writer, so no read-modify-write is needed. */
static inline void
sl_counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

#endif
