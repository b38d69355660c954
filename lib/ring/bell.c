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

/* futex_waitv(2) wants the time at which to give up. */
static struct timespec
end_of(const struct timespec *timeout)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout->tv_sec;
	end.tv_nsec += timeout->tv_nsec;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	return end;
}

static long
wait_for_either(const struct sl_bell *bell, uint32_t rings, const struct sl_bell_outside *outside,
	const struct timespec *timeout)
{
	struct futex_waitv either[] = {
		{.val = rings, .uaddr = (uintptr_t)&bell->rings, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
		{.val = outside->value, .uaddr = (uintptr_t)outside->word, .flags = FUTEX_32},
	};
	struct timespec end;

	if (timeout)
		end = end_of(timeout);
	return syscall(SYS_futex_waitv, either, 2, 0, timeout ? &end : NULL, CLOCK_MONOTONIC);
}

bool
sl_bell_wait(
	struct sl_bell *bell, uint32_t rings, const struct sl_bell_outside *outside, const struct timespec *timeout)
{
	bool slept = true;

	if (!outside->word)
		futex(&bell->rings, FUTEX_WAIT, rings, timeout);
	else
		slept = wait_for_either(bell, rings, outside, timeout) >= 0 || errno != ENOSYS;
	sl_bell_cancel(bell);
	return slept;
}

void
sl_bell_cancel(struct sl_bell *bell)
{
	atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}
