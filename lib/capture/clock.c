/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <math.h>

#include "clock.h"

#define FIXED_ONE 4294967296.0 /* 2^32 */
/* An offset is to be gone after about this long; less, and the noise of one comparison would shake the rate. */
#define CORRECT_WITHIN_NS 1e9
/* The rate is measured over at least the first and at most twice the second. */
#define MEASURE_MIN_NS 10000000u
#define MEASURE_NS 8000000000u
/* A counter that seems to change its rate by more than this did not: somebody set the system clock. */
#define RATE_CHANGE_MAX 0.0005
/* From when on that can be told from noise and from a rough first rate. */
#define RATE_KNOWN_NS 500000000u

static void
set(struct clock *c, uint64_t ticks, uint64_t ns, double rate)
{
	uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed);

	atomic_store_explicit(&c->sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&c->base_ticks, ticks, memory_order_relaxed);
	atomic_store_explicit(&c->base_ns, ns, memory_order_relaxed);
	atomic_store_explicit(&c->rate, (uint64_t)(rate * FIXED_ONE), memory_order_relaxed);
	atomic_store_explicit(&c->sequence, sequence + 2, memory_order_release);
}

static void
measure_from(struct clock *c, uint64_t ticks, uint64_t system_ns)
{
	c->first_ticks = c->later_ticks = ticks;
	c->first_ns = c->later_ns = system_ns;
}

void
clock_begin(struct clock *c, uint64_t ticks, uint64_t system_ns, double ns_per_tick)
{
	*c = (struct clock){.ns_per_tick = ns_per_tick};
	measure_from(c, ticks, system_ns);
	set(c, ticks, system_ns, ns_per_tick);
}

/* The counter's own rate, over the last 8 to 16 seconds. */
static void
measure_rate(struct clock *c, uint64_t ticks, uint64_t system_ns)
{
	uint64_t passed = system_ns - c->first_ns;
	double rate;

	if (system_ns <= c->first_ns || ticks <= c->first_ticks) {
		measure_from(c, ticks, system_ns);
		return;
	}
	if (passed < (c->known ? RATE_KNOWN_NS : MEASURE_MIN_NS))
		return;
	rate = (double)passed / (double)(ticks - c->first_ticks);
	if (c->known && fabs(rate / c->ns_per_tick - 1) > RATE_CHANGE_MAX) {
		measure_from(c, ticks, system_ns);
		/* Said twice, it was the first measurement that had a step in it. */
		if (++c->contradictions >= 2)
			c->known = 0;
		return;
	}
	c->contradictions = 0;
	if (passed >= RATE_KNOWN_NS)
		c->known++;
	c->ns_per_tick = rate;
	if (passed >= MEASURE_NS && c->later_ns == c->first_ns) {
		c->later_ticks = ticks;
		c->later_ns = system_ns;
	} else if (passed >= 2 * (uint64_t)MEASURE_NS) {
		c->first_ticks = c->later_ticks;
		c->first_ns = c->later_ns;
		c->later_ticks = ticks;
		c->later_ns = system_ns;
	}
}

void
clock_discipline(struct clock *c, uint64_t ticks, uint64_t system_ns)
{
	uint64_t now = clock_at(c, ticks);
	double slew;

	c->error_ns = (int64_t)(system_ns - now);
	measure_rate(c, ticks, system_ns);
	if (c->error_ns > CLOCK_STEP_NS) {
		measure_from(c, ticks, system_ns);
		c->steps++;
		set(c, ticks, system_ns, c->ns_per_tick);
		return;
	}
	slew = (double)c->error_ns / CORRECT_WITHIN_NS;
	if (slew > CLOCK_SLEW_MAX)
		slew = CLOCK_SLEW_MAX;
	if (slew < -CLOCK_SLEW_MAX)
		slew = -CLOCK_SLEW_MAX;
	set(c, ticks, now, c->ns_per_tick * (1 + slew));
}
