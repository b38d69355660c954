/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bell.h"

static long
futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void
sl_bell_ring(struct sl_bell *bell)
{
	/* Pairs with the fence in sl_bell_prepare(): either the sleeper sees our work, or we see the sleeper. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&bell->asleep, memory_order_relaxed) == 0)
		return;
	atomic_fetch_add_explicit(&bell->rings, 1, memory_order_release);
	futex(&bell->rings, FUTEX_WAKE, 1, NULL);
}

uint32_t
sl_bell_prepare(struct sl_bell *bell)
{
	uint32_t rings = atomic_load_explicit(&bell->rings, memory_order_acquire);

	atomic_store_explicit(&bell->asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	return rings;
}

void
sl_bell_wait(struct sl_bell *bell, uint32_t rings, const struct timespec *timeout)
{
	futex(&bell->rings, FUTEX_WAIT, rings, timeout);
	sl_bell_cancel(bell);
}

void
sl_bell_cancel(struct sl_bell *bell)
{
	atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}
