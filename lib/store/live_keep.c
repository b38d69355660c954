/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The thread "sl-keep": what may take its time. Syncs, gives back unused space, ends segments and captures, deletes
 * what is too old.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk.h"
#include "live.h"

#define TICK_NS 1000000000u

/* ---------------------------------------------------------------- segments */

/* Give back the unused tails of the slots committed since. */
static void
punch(struct live *l, struct live_segment *s)
{
	uint32_t committed = atomic_load_explicit(&s->committed, memory_order_acquire);

	for (; s->punched < committed && !l->on_memory; s->punched++)
		segment_punch(s->fd, s->punched,
			atomic_load_explicit(&s->pages[s->punched], memory_order_relaxed) * SL_STORE_ALIGN);
}

static void
sync_segment(struct live *l, struct live_capture *c, struct live_segment *s)
{
	/* First the mark: what is written from here on is for the next time. */
	if (!atomic_exchange(&s->dirty, false) || l->on_memory)
		return;
	if (fdatasync(s->fd) < 0 && errno != EINVAL)
		live_fail(l, -errno, c->begun.path, s->number, "fsync");
}

/* The last segment keeps only the slots in use; one that has none goes. What is in it becomes durable. */
static void
end_segment(struct live *l, struct live_capture *c, struct live_segment *s)
{
	uint32_t slots = atomic_load_explicit(&s->committed, memory_order_acquire);
	int ret;

	punch(l, s);
	ret = segment_end(c->begun.dir, s->fd, s->number, slots);
	if (ret < 0)
		live_fail(l, ret, c->begun.path, s->number, "ending the segment");
	atomic_store_explicit(&s->state, LIVE_SEGMENT_FREE, memory_order_release);
}

/* Writes to a file that has lost its name succeed, and are lost with it. */
static void
check_linked(struct live *l, struct live_capture *c)
{
	struct stat st;

	if (fstat(c->begun.dir, &st) == 0 && st.st_nlink == 0) {
		live_fail(l, -ENOENT, c->begun.path, UINT64_MAX,
			"was removed while it was being written: nothing of it is left");
		return;
	}
	for (unsigned int i = 0; i < LIVE_SEGMENTS; i++) {
		struct live_segment *s = &c->segments[i];

		if (atomic_load_explicit(&s->state, memory_order_acquire) == LIVE_SEGMENT_READY &&
			fstat(s->fd, &st) == 0 && st.st_nlink == 0)
			live_fail(l, -ENOENT, c->begun.path, s->number,
				"was removed while it was being written: its packets are lost");
	}
}

static void
tend_segments(struct live *l, struct live_capture *c, bool sync)
{
	for (unsigned int i = 0; i < LIVE_SEGMENTS; i++) {
		struct live_segment *s = &c->segments[i];
		uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);

		if (state == LIVE_SEGMENT_WRITTEN) {
			end_segment(l, c, s);
			live_call_ahead(l);
		} else if (state == LIVE_SEGMENT_READY) {
			punch(l, s);
			if (sync)
				sync_segment(l, c, s);
		}
	}
}

/* ---------------------------------------------------------------- captures */

/*
 * Packets lost behind the last chunk, which have none to be counted in; and those of chunks that were never committed,
 * after an error or on a disk that stayed full, with what was lost before them.
 */
static void
count_lost(struct live *l, struct live_capture *c)
{
	uint64_t end = atomic_load_explicit(&c->end, memory_order_acquire), by[SL_DROP_CAUSES], dropped = 0;
	uint64_t o = atomic_load_explicit(&l->done, memory_order_acquire);
	struct store_head *head = c->begun.head;

	for (unsigned int i = 0; i < SL_DROP_CAUSES; i++) {
		by[i] = atomic_exchange(&c->lost[i], 0);
		dropped += by[i];
	}
	for (o = o < c->base ? c->base : o; o < end; o++) {
		const struct chunk_header *h = (const struct chunk_header *)newest_buffer(&l->newest, o);

		by[SL_DROP_STORE] += h->packets + h->dropped_store;
		by[SL_DROP_NO_BUFFER] += h->dropped_no_buffer;
		dropped += h->packets + h->dropped;
	}
	atomic_fetch_add(&head->dropped, dropped);
	atomic_fetch_add(&head->dropped_no_buffer, by[SL_DROP_NO_BUFFER]);
	atomic_fetch_add(&head->dropped_store, by[SL_DROP_STORE]);
}

static void
end_capture(struct live *l, struct live_capture *c)
{
	int ret;

	/* sl-ahead sees from here on that it has ended. */
	pthread_mutex_lock(&l->segments_lock);
	pthread_mutex_unlock(&l->segments_lock);
	check_linked(l, c);
	for (unsigned int i = 0; i < LIVE_SEGMENTS; i++)
		if (atomic_load_explicit(&c->segments[i].state, memory_order_acquire) != LIVE_SEGMENT_FREE)
			end_segment(l, c, &c->segments[i]);
	count_lost(l, c);
	ret = head_close(c->begun.head, c->begun.head_fd);
	if (ret < 0)
		live_fail(l, ret, c->begun.path, UINT64_MAX, HEAD_NAME ": cannot mark the capture closed");
	begin_release(&c->begun);
	pthread_mutex_lock(&l->lock);
	atomic_store_explicit(&c->state, LIVE_FREE, memory_order_release);
	pthread_cond_signal(&l->closed_wake);
	pthread_mutex_unlock(&l->lock);
}

/* ---------------------------------------------------------------- the thread */

static void
keep_free(struct live *l)
{
	bool full = atomic_load_explicit(&l->no_space, memory_order_acquire);

	if (l->params.retention.min_free_bytes == 0 && l->params.retention.min_free_percent == 0)
		return;
	/* A store that cannot be looked at fails where it is written to. */
	(void)retention_run(&l->retention, full ? SEGMENT_SIZE : 0);
	atomic_store_explicit(&l->removed_bytes, l->retention.total_bytes, memory_order_relaxed);
	atomic_store_explicit(&l->removed_captures, l->retention.total_captures, memory_order_relaxed);
}

void *
live_keep_main(void *arg)
{
	struct live *l = arg;
	uint64_t synced_at = store_now_ns(CLOCK_MONOTONIC), kept_at = 0;

	while (!atomic_load_explicit(&l->quit, memory_order_acquire)) {
		uint64_t now = store_now_ns(CLOCK_MONOTONIC);
		bool sync = now - synced_at >= SYNC_INTERVAL_NS;

		if (sync)
			synced_at = now;
		for (unsigned int i = 0; i < LIVE_CAPTURES; i++) {
			struct live_capture *c = &l->captures[i];
			uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

			if (state == LIVE_READY && sync)
				check_linked(l, c);
			if (state == LIVE_READY)
				tend_segments(l, c, sync);
			else if (state == LIVE_ENDED)
				end_capture(l, c);
		}
		if (now - kept_at >= TICK_NS || atomic_load_explicit(&l->no_space, memory_order_acquire)) {
			kept_at = now;
			keep_free(l);
		}
		live_sleep(l, &l->keep_wake, &l->keep_called, TICK_NS);
	}
	return NULL;
}
