/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The thread "sl-ahead": captures and segments are made, and their space is taken, before a chunk needs them.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "live.h"

/*
 * How many slots are asked for at once, and lie ahead at least: few for a capture of little traffic, whose disk may be
 * small; a whole segment for one that uses them up fast, since the disk may be busy when the next are needed.
 */
#define STEP_MIN 64u
#define STEP_MAX SL_SEGMENT_CHUNKS
#define STEP_FAST_NS 2000000000u /* they should last so long */
#define STEP_SLOW_NS 20000000000u /* slower: back to the fewest */
#define TICK_NS 100000000

enum work { WORK_NONE, WORK_DONE, WORK_LATER };

/* ---------------------------------------------------------------- captures */

static enum work
make(struct live *l, struct live_capture *c)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret;

	if (!live_error(l)) {
		ret = begin_capture(&c->begun, l->store, c->wanted_name[0] ? c->wanted_name : NULL, true, &l->newest,
			c->base, errbuf);
		if (ret == 0) {
			atomic_store_explicit(&c->state, LIVE_READY, memory_order_release);
			live_ring(l);
			return WORK_DONE;
		}
		snprintf(c->begun.path, sizeof(c->begun.path), "%s", l->store);
		if (store_is_full(ret) && live_no_space(l, c, UINT64_MAX, errbuf))
			return WORK_LATER;
		live_fail(l, ret, l->store, UINT64_MAX, errbuf[0] ? errbuf : "cannot go on in a new capture");
	}
	/* It never came to be. */
	pthread_mutex_lock(&l->lock);
	atomic_store_explicit(&c->state, LIVE_FREE, memory_order_release);
	pthread_cond_signal(&l->closed_wake);
	pthread_mutex_unlock(&l->lock);
	return WORK_DONE;
}

/* ---------------------------------------------------------------- segments */

/* No room: that matters once a chunk waits for it. */
static enum work
find_no_room(struct live *l, const struct live_capture *c, uint64_t have, uint64_t segment, const char *what)
{
	uint64_t next = atomic_load_explicit(&c->next, memory_order_acquire);

	if (have > next || atomic_load_explicit(&l->filled, memory_order_acquire) <= c->base + next)
		return WORK_LATER;
	return live_no_space(l, c, segment, what) ? WORK_LATER : WORK_NONE;
}

static struct live_segment *
ahead_segment(struct live_capture *c)
{
	return &c->segments[c->ahead_segment % LIVE_SEGMENTS];
}

static enum work
open_segment(struct live *l, struct live_capture *c, uint64_t number)
{
	struct live_segment *s = &c->segments[number % LIVE_SEGMENTS];
	int fd, ret;

	/* sl-keep still syncs the one that was here. */
	if (atomic_load_explicit(&s->state, memory_order_acquire) != LIVE_SEGMENT_FREE)
		return WORK_LATER;
	fd = segment_open(c->begun.dir, number, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0) {
		if (store_is_full(fd))
			return find_no_room(l, c, number * SL_SEGMENT_CHUNKS, number, "cannot make the segment");
		live_fail(l, fd, c->begun.path, number, "cannot make the segment");
		return WORK_NONE;
	}
	ret = store_sync_fd(c->begun.dir);
	if (ret < 0)
		live_fail(l, ret, c->begun.path, number, "fsync of the directory");
	s->number = number;
	s->fd = fd;
	s->punched = 0;
	atomic_store_explicit(&s->allocated, 0, memory_order_relaxed);
	atomic_store_explicit(&s->committed, 0, memory_order_relaxed);
	atomic_store_explicit(&s->dirty, false, memory_order_relaxed);
	atomic_store_explicit(&s->state, LIVE_SEGMENT_READY, memory_order_release);
	c->ahead_segment = number;
	c->has_segment = true;
	return WORK_DONE;
}

static enum work
allocate(struct live *l, struct live_capture *c, struct live_segment *s, uint32_t step)
{
	uint32_t slot = atomic_load_explicit(&s->allocated, memory_order_relaxed);
	const char *what;
	int ret = segment_allocate(s->fd, l->on_memory, slot, step, &what);

	if (store_is_full(ret))
		return find_no_room(l, c, s->number * SL_SEGMENT_CHUNKS + slot, s->number, what);
	if (ret < 0) {
		live_fail(l, ret, c->begun.path, s->number, what);
		return WORK_NONE;
	}
	atomic_store_explicit(&s->allocated, (uint32_t)ret, memory_order_release);
	live_ring(l);
	return WORK_DONE;
}

/* How fast were they used up? That is known only once as many have been as were to lie ahead. */
static void
adapt_step(struct live_capture *c, uint64_t next)
{
	uint64_t now = store_now_ns(CLOCK_MONOTONIC), age = now - c->step_at;

	if (c->step != 0 && next - c->step_next < c->step)
		return;
	if (c->step == 0 || age > STEP_SLOW_NS)
		c->step = STEP_MIN;
	else
		for (; age < STEP_FAST_NS && c->step < STEP_MAX; age *= 2)
			c->step *= 2;
	c->step_at = now;
	c->step_next = next;
}

/* Of a disk that is nearly full only a part is taken ahead: others write to it too, and retention has to keep up. */
static uint32_t
limit_step(const struct live *l, uint32_t step)
{
	struct statvfs fs;
	uint64_t slots;

	if (l->on_memory || statvfs(l->store, &fs) < 0)
		return step;
	slots = (uint64_t)fs.f_bavail * fs.f_frsize / SL_CHUNK_SIZE / 8;
	if (slots < 1)
		return 1;
	return slots < step ? (uint32_t)slots : step;
}

static enum work
prepare(struct live *l, struct live_capture *c)
{
	uint64_t next = atomic_load_explicit(&c->next, memory_order_acquire), have = 0;
	struct live_segment *s = ahead_segment(c);
	uint32_t step = c->step ? c->step : STEP_MIN;
	enum work work;

	/* Nothing is made for a capture before its first chunk. */
	if (!c->has_segment && atomic_load_explicit(&l->filled, memory_order_acquire) <= c->base)
		return WORK_NONE;
	if (c->has_segment)
		have = c->ahead_segment * SL_SEGMENT_CHUNKS + atomic_load_explicit(&s->allocated, memory_order_relaxed);
	if (have >= next + step)
		return WORK_NONE;
	step = limit_step(l, step);
	if (have >= next + step)
		return WORK_NONE;
	if (!c->has_segment || have == (c->ahead_segment + 1) * SL_SEGMENT_CHUNKS) {
		work = open_segment(l, c, c->has_segment ? c->ahead_segment + 1 : 0);
		if (work != WORK_DONE)
			return work;
		s = ahead_segment(c);
	}
	adapt_step(c, next);
	return allocate(l, c, s, step);
}

/* ---------------------------------------------------------------- the thread */

static enum work
tend(struct live *l, struct live_capture *c)
{
	enum work work = WORK_NONE;
	uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

	if (state == LIVE_WANTED)
		return make(l, c);
	if (state != LIVE_READY || live_error(l))
		return WORK_NONE;
	/* sl-keep passes this lock before it ends a capture: so the segments are not made behind its back. */
	pthread_mutex_lock(&l->segments_lock);
	if (atomic_load_explicit(&c->state, memory_order_acquire) == LIVE_READY)
		work = prepare(l, c);
	pthread_mutex_unlock(&l->segments_lock);
	return work;
}

void *
live_ahead_main(void *arg)
{
	struct live *l = arg;

	while (!atomic_load_explicit(&l->quit, memory_order_acquire)) {
		bool done = false, later = false;

		for (unsigned int i = 0; i < LIVE_CAPTURES; i++) {
			enum work work = tend(l, &l->captures[i]);

			done |= work == WORK_DONE;
			later |= work == WORK_LATER;
		}
		if (done)
			continue;
		live_sleep(l, &l->ahead_wake, &l->ahead_called, later ? LIVE_SPACE_RETRY_NS : TICK_NS);
	}
	return NULL;
}
