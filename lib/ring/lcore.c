/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <pthread.h>
#include <sys/prctl.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "bell.h"

#define SPIN_POLLS 64 /* idle polls before the first sleep: what a neighbour needs to hand over a chunk */
#define RAMP_STEPS 10 /* micro-sleeps before the lcore waits for its bell: 1, 2, 4 ... and then the longest */
#define RAMP_MAX_US 50
#define WAITING_SLEEP_US 50 /* a disk takes about this long to answer */

static void
add_cycles(_Atomic uint64_t *counter, uint64_t cycles)
{
	/* One lcore writes it, others only read: no locked instruction needed. */
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + cycles, memory_order_relaxed);
}

/* since: when the account was last brought up to date, and is now. The end of one stage's poll is the next one's begin.
 */
static enum sl_poll_result
poll_stages(struct sl_lcore *lcore, uint64_t *since)
{
	enum sl_poll_result all = SL_POLL_IDLE;

	for (unsigned int i = 0; i < lcore->stage_count; i++) {
		struct sl_stage *stage = &lcore->stages[i];
		enum sl_poll_result one = stage->poll(stage->ctx);
		uint64_t now = rte_rdtsc();

		add_cycles(one == SL_POLL_BUSY ? &stage->busy_cycles : &stage->idle_cycles, now - *since);
		add_cycles(one == SL_POLL_BUSY ? &lcore->busy_cycles : &lcore->idle_cycles, now - *since);
		*since = now;
		if (one == SL_POLL_BUSY || all == SL_POLL_IDLE)
			all = one;
	}
	return all;
}

static void
sleep_us(unsigned int us)
{
	struct timespec ts = {.tv_nsec = us * 1000l};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* Sleep until the bell rings, or the one outside. @return what a last look at the stages found */
static enum sl_poll_result
wait_for_bell(struct sl_lcore *lcore, uint64_t *since, bool *waits_for_two)
{
	struct sl_bell_outside outside = {.word = *waits_for_two ? lcore->outside : NULL};
	unsigned int ms = outside.word ? lcore->outside_timer_ms : lcore->timer_ms;
	struct timespec timer = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};
	uint32_t rings = sl_bell_prepare(&lcore->bell);
	enum sl_poll_result result;

	/* before the last look: what is done outside after that changes the value */
	if (outside.word)
		outside.value = atomic_load_explicit(outside.word, memory_order_acquire);
	result = poll_stages(lcore, since);
	if (result != SL_POLL_IDLE || atomic_load_explicit(&lcore->quit, memory_order_acquire))
		sl_bell_cancel(&lcore->bell);
	else
		*waits_for_two &= sl_bell_wait(&lcore->bell, rings, &outside, ms ? &timer : NULL);
	return result;
}

int
sl_lcore_run(void *arg)
{
	struct sl_lcore *lcore = arg;
	bool waits_for_two = true;
	unsigned int idle = 0;
	uint64_t since = rte_rdtsc();

	pthread_setname_np(pthread_self(), lcore->name);
	/* The default slack of 50 us would turn every micro-sleep into a long one. */
	prctl(PR_SET_TIMERSLACK, 1000);

	while (!atomic_load_explicit(&lcore->quit, memory_order_acquire)) {
		enum sl_poll_result result = poll_stages(lcore, &since);

		if (result != SL_POLL_BUSY && !lcore->poll_mode && ++idle > SPIN_POLLS) {
			unsigned int step = idle - SPIN_POLLS - 1;

			if (step < RAMP_STEPS)
				sleep_us(step < 6 ? 1u << step : RAMP_MAX_US);
			else if (result == SL_POLL_WAITING)
				sleep_us(WAITING_SLEEP_US);
			else
				result = wait_for_bell(lcore, &since, &waits_for_two);
		} else if (result != SL_POLL_BUSY) {
			rte_pause();
		}
		if (result == SL_POLL_BUSY) {
			idle = 0;
		} else {
			uint64_t now = rte_rdtsc();

			add_cycles(&lcore->idle_cycles, now - since);
			since = now;
		}
	}
	return 0;
}
