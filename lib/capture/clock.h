/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_CLOCK_H
#define CAPTURE_CLOCK_H

/**
 * @file
 * A counter that only counts (a CPU's TSC, a NIC's clock) read as nanoseconds since 1970 UTC, disciplined to the system
 * clock. It is continuous and never goes backwards: differences are slewed away. Only where the system clock is more than
 * CLOCK_STEP_NS ahead (set after boot, a virtual machine that slept) it steps forward.
 *
 * One thread disciplines; any thread reads.
 */

#include <stdatomic.h>
#include <stdint.h>

/** Further behind than this it steps instead of slewing for minutes. */
#define CLOCK_STEP_NS 1000000000
/** It runs at most this much too fast or too slow while it slews: 1 s within 20 s. */
#define CLOCK_SLEW_MAX 0.05

struct clock {
	/* A sequence lock: odd while the three behind it change. */
	_Atomic uint32_t sequence;
	_Atomic uint64_t base_ticks;
	_Atomic uint64_t base_ns;
	_Atomic uint64_t rate; /**< ns a tick, 32 bits behind the point */

	/* The disciplining thread's own. */
	double ns_per_tick;    /**< of the counter itself, as measured */
	uint64_t first_ticks, first_ns; /**< the rate is measured from here to now */
	uint64_t later_ticks, later_ns; /**< and from here once this is old enough */
	unsigned int known;    /**< times that the rate was measured over long enough, without contradiction */
	unsigned int contradictions; /**< in a row */
	int64_t error_ns;      /**< system clock minus this one when last compared */
	uint64_t steps;        /**< forward */
};

/**
 * Begin at a pair of readings.
 *
 * @param ns_per_tick  as well as is known; it is measured from then on
 */
void clock_begin(struct clock *clock, uint64_t ticks, uint64_t system_ns, double ns_per_tick);

/** Compare with the system clock and correct. The disciplining thread, a few times a second. */
void clock_discipline(struct clock *clock, uint64_t ticks, uint64_t system_ns);

/** The time at a reading of the counter, ns since 1970 UTC. Any thread; never blocks. */
static inline uint64_t
clock_at(const struct clock *clock, uint64_t ticks)
{
	uint32_t sequence;
	uint64_t base_ticks, base_ns, rate;
	int64_t passed;

	do {
		sequence = atomic_load_explicit(&clock->sequence, memory_order_acquire);
		base_ticks = atomic_load_explicit(&clock->base_ticks, memory_order_relaxed);
		base_ns = atomic_load_explicit(&clock->base_ns, memory_order_relaxed);
		rate = atomic_load_explicit(&clock->rate, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
	} while ((sequence & 1) || sequence != atomic_load_explicit(&clock->sequence, memory_order_relaxed));
	/* A reading from just before the base is nothing unusual on another core. */
	passed = (int64_t)(ticks - base_ticks);
	return base_ns + (uint64_t)(int64_t)(((__int128)passed * (__int128)rate) >> 32);
}

#endif
