/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "chunk.h"
#include "live.h"

/* ---------------------------------------------------------------- what the helpers share */

void
live_fail(struct live *l, int err, const char *path, uint64_t segment, const char *what)
{
	pthread_mutex_lock(&l->lock);
	if (l->error == 0) {
		bool told = store_is_full(err) && store_err_full(err, l->message, path, l->store);

		if (!told && segment == UINT64_MAX)
			store_err(err, l->message, "%s: %s: %s", path, what, strerror(-err));
		else if (!told)
			store_err(err, l->message, "%s/%08" PRIu64 ".seg: %s: %s", path, segment, what, strerror(-err));
		atomic_store_explicit(&l->error, err, memory_order_release);
	}
	pthread_mutex_unlock(&l->lock);
	live_ring(l);
}

bool
live_no_space(struct live *l, const struct live_capture *c, uint64_t segment, const char *what)
{
	if (atomic_load_explicit(&l->closing, memory_order_acquire)) {
		live_fail(l, -ENOSPC, c->begun.path, segment, what);
		return false;
	}
	atomic_store_explicit(&l->no_space, true, memory_order_release);
	live_call_keep(l);
	return true;
}

void
live_ring(struct live *l)
{
	/* Pairs with the fence before the last look of sl-write: either it sees our work, or we see it asleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&l->asleep, memory_order_relaxed) == 0)
		return;
	atomic_fetch_add_explicit(&l->bell, 1, memory_order_release);
	syscall(SYS_futex, &l->bell, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

static void
call(struct live *l, bool *called, pthread_cond_t *wake)
{
	pthread_mutex_lock(&l->lock);
	*called = true;
	pthread_cond_signal(wake);
	pthread_mutex_unlock(&l->lock);
}

void
live_call_ahead(struct live *l)
{
	call(l, &l->ahead_called, &l->ahead_wake);
}

void
live_call_keep(struct live *l)
{
	call(l, &l->keep_called, &l->keep_wake);
}

void
live_sleep(struct live *l, pthread_cond_t *wake, bool *called, uint64_t ns)
{
	uint64_t at = store_now_ns(CLOCK_MONOTONIC) + ns;
	struct timespec until = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};

	pthread_mutex_lock(&l->lock);
	if (!*called && !atomic_load_explicit(&l->quit, memory_order_acquire))
		pthread_cond_timedwait(wake, &l->lock, &until);
	*called = false;
	pthread_mutex_unlock(&l->lock);
}

/* ---------------------------------------------------------------- the caller's side */

static uint64_t
filled(const struct live *l)
{
	return atomic_load_explicit(&l->filled, memory_order_relaxed);
}

static bool
is_full(struct live *l)
{
	if (filled(l) - l->done_seen < l->newest.buffers)
		return false;
	l->done_seen = atomic_load_explicit(&l->done, memory_order_acquire);
	return filled(l) - l->done_seen >= l->newest.buffers;
}

uint8_t *
live_buffer(struct live *l)
{
	uint64_t ordinal = filled(l);

	if (live_error(l) || is_full(l))
		return NULL;
	newest_begin(&l->newest, ordinal);
	return newest_buffer(&l->newest, ordinal);
}

int
live_wait_buffer(struct live *l)
{
	const struct timespec tick = {.tv_nsec = 100000000};
	int error;

	while ((error = live_error(l)) == 0 && is_full(l)) {
		uint32_t rings = atomic_load_explicit(&l->done_bell, memory_order_acquire);

		atomic_store_explicit(&l->done_waiters, 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		if (is_full(l) && live_error(l) == 0)
			syscall(SYS_futex, &l->done_bell, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, rings, &tick, NULL, 0);
		atomic_store_explicit(&l->done_waiters, 0, memory_order_relaxed);
	}
	return error;
}

void
live_identity(const struct live *l, struct sl_uuid *uuid, uint64_t *number)
{
	*uuid = l->filling->begun.info.uuid;
	*number = filled(l) - l->filling->base;
}

void
live_submit(struct live *l)
{
	uint64_t ordinal = filled(l);
	uint8_t *data = newest_buffer(&l->newest, ordinal);
	uint32_t used = chunk_used((const struct chunk_header *)data) + l->tail;

	memset(data + used, 0, (SL_STORE_ALIGN - used % SL_STORE_ALIGN) % SL_STORE_ALIGN);
	newest_end(&l->newest, ordinal);
	atomic_store_explicit(&l->filled, ordinal + 1, memory_order_release);
	live_ring(l);
}

static struct live_capture *
other_capture(const struct live *l)
{
	return (struct live_capture *)(uintptr_t)&l->captures[l->filling == &l->captures[0]];
}

bool
live_can_roll(const struct live *l)
{
	return atomic_load_explicit(&other_capture(l)->state, memory_order_acquire) == LIVE_FREE &&
	       atomic_load_explicit(&l->filling->state, memory_order_acquire) == LIVE_READY;
}

void
live_roll(struct live *l, const struct sl_capture_info *info, const char *name)
{
	struct live_capture *next = other_capture(l);

	next->begun = (struct begun){.info = *info, .dir = -1, .head_fd = -1};
	memset(next->wanted_name, 0, sizeof(next->wanted_name));
	if (name)
		memcpy(next->wanted_name, name, strlen(name)); /* begin_check_name() has seen its length */
	next->base = filled(l);
	next->has_segment = false;
	next->ahead_segment = 0;
	next->step = 0;
	atomic_store_explicit(&next->end, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&next->next, 0, memory_order_relaxed);
	atomic_store_explicit(&l->filling->end, filled(l), memory_order_release);
	atomic_store_explicit(&next->state, LIVE_WANTED, memory_order_release);
	l->filling = next;
	/* sl-write calls sl-ahead: this thread takes no lock. */
	live_ring(l);
}

bool
live_is_quiet(const struct live *l)
{
	return atomic_load_explicit(&l->done, memory_order_acquire) == filled(l) &&
	       atomic_load_explicit(&l->filling->state, memory_order_acquire) == LIVE_READY;
}

void
live_heartbeat(struct live *l, uint64_t clock)
{
	atomic_store_explicit(&l->filling->begun.head->heartbeat, clock, memory_order_release);
}

const struct sl_capture_info *
live_info(const struct live *l)
{
	const struct live_capture *c = l->filling;

	/* One that is still being made has no name. */
	if (atomic_load_explicit(&c->state, memory_order_acquire) == LIVE_WANTED)
		c = other_capture(l);
	return &c->begun.info;
}

static bool
all_closed(struct live *l)
{
	for (unsigned int i = 0; i < LIVE_CAPTURES; i++)
		if (atomic_load_explicit(&l->captures[i].state, memory_order_acquire) != LIVE_FREE)
			return false;
	return true;
}

static void
free_live(struct live *l)
{
	if (l->threads > 0) {
		atomic_store(&l->quit, true);
		live_ring(l);
		live_call_ahead(l);
		live_call_keep(l);
	}
	if (l->threads > 0)
		pthread_join(l->write_thread, NULL);
	if (l->threads > 1)
		pthread_join(l->ahead_thread, NULL);
	if (l->threads > 2)
		pthread_join(l->keep_thread, NULL);
	if (l->has_ring)
		io_uring_queue_exit(&l->ring);
	for (unsigned int i = 0; i < LIVE_CAPTURES; i++)
		begin_release(&l->captures[i].begun);
	newest_destroy(&l->newest);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->segments_lock);
	pthread_cond_destroy(&l->ahead_wake);
	pthread_cond_destroy(&l->keep_wake);
	pthread_cond_destroy(&l->closed_wake);
	free(l);
}

int
live_close(struct live *l, const uint64_t lost[SL_DROP_CAUSES], char *errbuf)
{
	int ret;

	for (unsigned int i = 0; i < SL_DROP_CAUSES; i++)
		atomic_store_explicit(&l->filling->lost[i], lost[i], memory_order_relaxed);
	atomic_store_explicit(&l->filling->end, filled(l), memory_order_release);
	atomic_store_explicit(&l->closing, true, memory_order_release);
	live_ring(l);
	live_call_ahead(l);
	pthread_mutex_lock(&l->lock);
	while (!all_closed(l))
		pthread_cond_wait(&l->closed_wake, &l->lock);
	ret = l->error;
	if (ret < 0)
		store_err(ret, errbuf, "%s", l->message);
	pthread_mutex_unlock(&l->lock);
	free_live(l);
	return ret;
}

/* ---------------------------------------------------------------- beginning */

static int
start_threads(struct live *l)
{
	static void *(*const mains[])(void *) = {live_write_main, live_ahead_main, live_keep_main};
	pthread_t *const threads[] = {&l->write_thread, &l->ahead_thread, &l->keep_thread};
	static const char *const names[] = {"sl-write", "sl-ahead", "sl-keep"};
	sigset_t all, before;
	pthread_attr_t attr;
	int ret = 0;

	pthread_attr_init(&attr);
	/* From the first instruction: a helper that starts on a polling lcore's CPU would wait behind its loop. */
	if (l->params.helper_cpus)
		ret = pthread_attr_setaffinity_np(&attr, sizeof(cpu_set_t), l->params.helper_cpus);
	/* Signals are for the threads of the program. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < 3 && ret == 0; i++) {
		ret = pthread_create(threads[i], &attr, mains[i], l);
		if (ret == 0) {
			pthread_setname_np(*threads[i], names[i]);
			l->threads++;
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -ret;
}

static void
init_live(struct live *l)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->segments_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->ahead_wake, &attr);
	pthread_cond_init(&l->keep_wake, &attr);
	pthread_cond_init(&l->closed_wake, &attr);
	pthread_condattr_destroy(&attr);
	l->newest.fd = -1;
	for (unsigned int i = 0; i < LIVE_CAPTURES; i++)
		l->captures[i].begun.dir = l->captures[i].begun.head_fd = -1;
}

int
live_create(const struct sl_store_writer_params *params, const char *store, struct live **live, char *errbuf)
{
	struct live *l = calloc(1, sizeof(*l));
	struct live_capture *c;
	int ret;

	if (!l)
		return store_err(-ENOMEM, errbuf, "out of memory");
	init_live(l);
	l->store = store;
	l->params = *params;
	l->tail = params->marks ? sizeof(struct chunk_mark) : 0;
	l->retention = (struct retention){.store = store, .limits = params->retention};
	c = l->filling = l->writing = &l->captures[0];
	atomic_store(&c->end, UINT64_MAX);
	ret = begin_describe(&c->begun.info, params, errbuf);
	if (ret == 0)
		ret = store_make(store, &l->on_memory, errbuf);
	if (ret < 0)
		goto err;
	ret = newest_create(&l->newest, &c->begun.info.uuid, params->buffers, !l->on_memory);
	if (ret < 0) {
		store_err(ret, errbuf, "%s: no memory for %u chunk buffers of 1 MiB: %s", store, params->buffers,
			strerror(-ret));
		goto err;
	}
	ret = begin_capture(&c->begun, store, params->name, false, &l->newest, 0, errbuf);
	if (ret < 0)
		goto err;
	atomic_store(&c->state, LIVE_READY);
	/* Memory is copied to at once; and where io_uring is forbidden, plain writes do. */
	l->depth = params->buffers < LIVE_DEPTH ? params->buffers : LIVE_DEPTH;
	l->has_ring = !l->on_memory && io_uring_queue_init(l->depth, &l->ring, 0) == 0;
	ret = start_threads(l);
	if (ret < 0) {
		store_err(ret, errbuf, "%s: cannot start the helper threads: %s", store, strerror(-ret));
		head_close(c->begun.head, c->begun.head_fd);
		goto err;
	}
	*live = l;
	return 0;
err:
	free_live(l);
	return ret;
}
