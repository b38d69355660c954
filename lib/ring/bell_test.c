/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bell.h"
#include "ring_test.h"

#define HANDOVERS 20000

/* Two lcores that hand a token to and fro: if a ring were ever lost, both would sleep for ever. */
struct player {
	struct sl_lcore lcore;
	struct player *other;
	_Atomic unsigned int token; /* what it was given, not yet taken */
	unsigned int taken;
};

static enum sl_poll_result
play(void *ctx)
{
	struct player *me = ctx;

	if (atomic_load_explicit(&me->token, memory_order_acquire) == 0)
		return SL_POLL_IDLE;
	atomic_store_explicit(&me->token, 0, memory_order_relaxed);
	if (++me->taken == HANDOVERS) {
		atomic_store(&me->lcore.quit, true);
		atomic_store(&me->other->lcore.quit, true);
		sl_bell_ring(&me->other->lcore.bell);
		return SL_POLL_BUSY;
	}
	atomic_store_explicit(&me->other->token, 1, memory_order_release);
	sl_bell_ring(&me->other->lcore.bell);
	return SL_POLL_BUSY;
}

static void *
run_lcore(void *lcore)
{
	sl_lcore_run(lcore);
	return NULL;
}

static void
no_ring_is_lost(void **state)
{
	static struct player players[2];
	pthread_t threads[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		players[i].lcore.stages[0] = (struct sl_stage){.name = "play", .poll = play, .ctx = &players[i]};
		players[i].lcore.stage_count = 1;
		players[i].other = &players[1 - i];
	}
	players[0].token = 1;
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_lcore, &players[i].lcore), 0);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(players[0].taken, HANDOVERS);
}

static enum sl_poll_result
count_polls(void *ctx)
{
	(*(unsigned long *)ctx)++;
	return SL_POLL_IDLE;
}

/* An lcore with one stage that never has anything to do. */
static pthread_t
start_idle(struct sl_lcore *lcore, unsigned long *polls)
{
	pthread_t thread;

	lcore->stages[0] = (struct sl_stage){.name = "idle", .poll = count_polls, .ctx = polls};
	lcore->stage_count = 1;
	assert_int_equal(pthread_create(&thread, NULL, run_lcore, lcore), 0);
	return thread;
}

static void
stop(struct sl_lcore *lcore, pthread_t thread)
{
	atomic_store(&lcore->quit, true);
	sl_bell_ring(&lcore->bell);
	pthread_join(thread, NULL);
}

static void
sleep_a_tenth(void)
{
	struct timespec tenth = {.tv_nsec = 100000000};

	nanosleep(&tenth, NULL);
}

static void
falls_asleep(const unsigned long *polls)
{
	unsigned long before;

	sleep_a_tenth();
	before = *polls;
	sleep_a_tenth();
	assert_int_equal(*polls, before);
}

static void
an_idle_lcore_sleeps_and_a_timer_wakes_it(void **state)
{
	static struct sl_lcore lcore = {.name = "t", .timer_ms = 10};
	static unsigned long polls;
	struct timespec quarter = {.tv_nsec = 250000000};
	pthread_t thread;

	(void)state;
	thread = start_idle(&lcore, &polls);
	nanosleep(&quarter, NULL);
	stop(&lcore, thread);
	/* The ramp of some 75 polls, then two polls every 10 ms: far fewer than spinning would make. */
	assert_in_range(polls, 78, 1000);
	assert_int_equal(lcore.busy_cycles, 0);
	assert_true(lcore.idle_cycles > 0);
}

static void
a_word_outside_wakes_too(void **state)
{
	static _Atomic uint32_t outside;
	static struct sl_lcore lcore = {.name = "t", .timer_ms = 1, .outside = &outside};
	static unsigned long polls;
	unsigned long before;
	pthread_t thread;

	(void)state;
	thread = start_idle(&lcore, &polls);
	/* the timer is for those who have nothing outside */
	falls_asleep(&polls);
	for (unsigned int i = 0; i < 2; i++) {
		before = polls;
		atomic_fetch_add(&outside, 1);
		syscall(SYS_futex, &outside, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
		sleep_a_tenth();
		assert_true(polls > before);
	}
	stop(&lcore, thread);
}

static void
a_bell_wakes_without_a_timer(void **state)
{
	static struct sl_lcore lcore = {.name = "t"};
	static unsigned long polls;
	unsigned long before;
	pthread_t thread;

	(void)state;
	thread = start_idle(&lcore, &polls);
	falls_asleep(&polls);
	before = polls;
	sl_bell_ring(&lcore.bell);
	sleep_a_tenth();
	assert_true(polls > before);
	stop(&lcore, thread);
}

int
bell_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_ring_is_lost),
		cmocka_unit_test(an_idle_lcore_sleeps_and_a_timer_wakes_it),
		cmocka_unit_test(a_word_outside_wakes_too),
		cmocka_unit_test(a_bell_wakes_without_a_timer),
	};

	return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
