/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "segments.h"

/* A segment that nobody reads is closed after this: an open descriptor would keep its blocks from retention. */
#define IDLE_NS 2000000000u
/* A segment that was not there may be asked for again after this. */
#define FAILED_NS 1000000000u
#define TICK_NS 500000000
/*
 * tmpfs names this block size if it was mounted with huge pages. To map a page of 4 KiB costs more than to copy it (12
 * against 20 GB/s were measured); to map one of 2 MiB costs nothing.
 */
#define HUGE_SIZE (1 << 20)

/* ---------------------------------------------------------------- the lcore's side */

struct segment_entry *
segments_find(struct segments *s, struct sl_capture *capture, uint64_t segment)
{
	uint32_t top = atomic_load_explicit(&s->top, memory_order_relaxed);
	struct segment_entry *e = s->recent, *free_entry = NULL;

	/* FREE and CLOSING entries may still carry the name; the pin decides. */
	if (e && e->capture == capture && e->segment == segment &&
		atomic_load_explicit(&e->state, memory_order_acquire) != ENTRY_FREE)
		return e;
	for (uint32_t i = 0; i < top; i++) {
		e = &s->entries[i];
		if (atomic_load_explicit(&e->state, memory_order_acquire) == ENTRY_FREE) {
			free_entry = free_entry ? free_entry : e;
		} else if (e->capture == capture && e->segment == segment) {
			s->recent = e;
			return e;
		}
	}
	if (!free_entry) {
		if (top == SEGMENTS_MAX)
			return NULL;
		free_entry = &s->entries[top];
		atomic_store_explicit(&s->top, top + 1, memory_order_release);
	}
	e = free_entry;
	capture_hold(capture);
	e->capture = capture;
	e->segment = segment;
	e->reads = 0;
	e->held = false;
	atomic_store_explicit(&e->state, ENTRY_WANTED, memory_order_release);
	sem_post(&s->wake);
	return e;
}

int
segments_pin(struct segment_entry *e)
{
	uint32_t state = atomic_load_explicit(&e->state, memory_order_acquire);

	if (state == ENTRY_FAILED)
		return e->error;
	if (state == ENTRY_READY && atomic_compare_exchange_strong_explicit(
					    &e->state, &state, ENTRY_BUSY, memory_order_acquire, memory_order_acquire))
		state = ENTRY_BUSY;
	if (state != ENTRY_BUSY)
		return -EAGAIN;
	e->held = false;
	e->reads++;
	return 0;
}

static void
set_ready(struct segment_entry *e)
{
	e->held = false;
	atomic_store_explicit(&e->used_at, store_now_ns(CLOCK_MONOTONIC_COARSE), memory_order_relaxed);
	atomic_store_explicit(&e->state, ENTRY_READY, memory_order_release);
}

static void
leave_trail(struct segments *s, struct segment_entry *e, const uint8_t *place)
{
	uint32_t head = atomic_load_explicit(&s->trail_head, memory_order_relaxed);

	/* Full: the helper is behind. Its pages stay a while longer, that is all. */
	if (head - atomic_load_explicit(&s->trail_tail, memory_order_acquire) == TRAIL_SIZE)
		return;
	s->trail[head % TRAIL_SIZE].place = place;
	s->trail[head % TRAIL_SIZE].entry = e;
	atomic_store_explicit(&s->trail_head, head + 1, memory_order_release);
	if (head % 32 == 31)
		sem_post(&s->wake);
}

bool
segments_behind(const struct segments *s)
{
	return atomic_load_explicit(&s->trail_head, memory_order_relaxed) -
		       atomic_load_explicit(&s->trail_tail, memory_order_relaxed) >
	       TRAIL_LIMIT;
}

void
segments_unpin(struct segments *s, struct segment_entry *e, const void *mapped, uint64_t returned)
{
	e->last_return = returned;
	if (mapped)
		leave_trail(s, e, mapped);
	if (--e->reads > 0)
		return;
	if (e->map || e->on_memory)
		e->held = true;
	else
		set_ready(e);
}

void
segments_let_go(struct segments *s, uint64_t limit)
{
	uint32_t top = atomic_load_explicit(&s->top, memory_order_relaxed);

	for (uint32_t i = 0; i < top; i++) {
		struct segment_entry *e = &s->entries[i];

		if (atomic_load_explicit(&e->state, memory_order_relaxed) == ENTRY_BUSY && e->held &&
			e->last_return <= limit)
			set_ready(e);
	}
}

void
segments_post(struct segments *s, const struct segment_job *job)
{
	uint32_t head = atomic_load_explicit(&s->jobs_head, memory_order_relaxed);

	s->jobs[head % JOBS_MAX] = *job;
	atomic_store_explicit(&s->jobs_head, head + 1, memory_order_release);
	sem_post(&s->wake);
}

bool
segments_take(struct segments *s, struct segment_job *job)
{
	uint32_t tail = atomic_load_explicit(&s->done_tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&s->done_head, memory_order_acquire))
		return false;
	*job = s->done[tail % JOBS_MAX];
	atomic_store_explicit(&s->done_tail, tail + 1, memory_order_release);
	return true;
}

/* ---------------------------------------------------------------- the helper's side */

/* What passes by itself: data is not given up for it. */
static bool
is_transient(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EAGAIN || error == -EINTR;
}

/* @return whether it must be tried again */
static bool
open_entry(struct segment_entry *e)
{
	struct stat st = {0};

	e->map = NULL;
	e->size = 0;
	e->on_memory = e->capture->on_memory;
	e->fd = segment_open(e->capture->dir, e->segment, O_RDONLY);
	if (e->fd < 0 && is_transient(e->fd))
		return true;
	if (e->fd >= 0 && e->on_memory && fstat(e->fd, &st) == 0 && st.st_blksize >= HUGE_SIZE) {
		void *map = mmap(NULL, SEGMENT_SIZE, PROT_READ, MAP_SHARED | MAP_NORESERVE, e->fd, 0);

		/* No room for the map: then it is read like any other. */
		if (map != MAP_FAILED) {
			e->map = map;
			e->size = (uint64_t)st.st_size;
			/* A core dump of the process is not the place for the capture. */
			madvise(map, SEGMENT_SIZE, MADV_DONTDUMP);
		}
	}
	e->error = e->fd < 0 ? e->fd : 0;
	atomic_store_explicit(&e->used_at, store_now_ns(CLOCK_MONOTONIC_COARSE), memory_order_relaxed);
	atomic_store_explicit(&e->state, e->fd < 0 ? ENTRY_FAILED : ENTRY_READY, memory_order_release);
	return false;
}

/* The entry is ours: CLOSING, or nobody else is left. */
static void
close_entry(struct segment_entry *e)
{
	if (e->map)
		munmap((void *)(uintptr_t)e->map, SEGMENT_SIZE);
	if (e->fd >= 0)
		close(e->fd);
	e->map = NULL;
	e->fd = -1;
	capture_drop(e->capture);
	atomic_store_explicit(&e->state, ENTRY_FREE, memory_order_release);
}

/* @return whether there is anything to come back for */
static bool
tend_entries(struct segments *s)
{
	uint32_t top = atomic_load_explicit(&s->top, memory_order_acquire);
	uint64_t now = store_now_ns(CLOCK_MONOTONIC_COARSE);
	bool any = false;

	for (uint32_t i = 0; i < top; i++) {
		struct segment_entry *e = &s->entries[i];
		uint32_t state = atomic_load_explicit(&e->state, memory_order_acquire);
		uint64_t age, used_at;

		if (state == ENTRY_FREE)
			continue;
		any = true;
		if (state == ENTRY_WANTED) {
			open_entry(e);
			continue;
		}
		if (state != ENTRY_READY && state != ENTRY_FAILED)
			continue;
		used_at = atomic_load_explicit(&e->used_at, memory_order_relaxed);
		age = now > used_at ? now - used_at : 0;
		if (age < (state == ENTRY_READY ? IDLE_NS : FAILED_NS))
			continue;
		if (atomic_compare_exchange_strong_explicit(
			    &e->state, &state, ENTRY_CLOSING, memory_order_acq_rel, memory_order_relaxed))
			close_entry(e);
	}
	return any;
}

/*
 * Mapped pages count as this process's memory. Dropping them from the map is harmless at any time: who looks again gets
 * the same page back.
 */
static void
follow_trail(struct segments *s)
{
	uint32_t head = atomic_load_explicit(&s->trail_head, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&s->trail_tail, memory_order_relaxed);

	while (head - tail > TRAIL_KEEP) {
		const struct segment_entry *e = s->trail[tail % TRAIL_SIZE].entry;
		const uint8_t *place = s->trail[tail % TRAIL_SIZE].place;
		size_t len = SL_CHUNK_SIZE;

		for (tail++; head - tail > TRAIL_KEEP && s->trail[tail % TRAIL_SIZE].place == place + len; tail++)
			len += SL_CHUNK_SIZE;
		/* Only this thread unmaps, so if it lies in the map it is a map. */
		if (e->map && place >= e->map && place + len <= e->map + SEGMENT_SIZE)
			madvise((void *)(uintptr_t)place, len, MADV_DONTNEED);
	}
	atomic_store_explicit(&s->trail_tail, tail, memory_order_release);
}

static int
read_slot(int fd, uint32_t slot, void *buf)
{
	int ret = segment_read(fd, slot, buf), flags;

	if (ret != -EINVAL)
		return ret;
	/* O_DIRECT was taken at open and is refused now. */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || !(flags & O_DIRECT) || fcntl(fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return ret;
	return segment_read(fd, slot, buf);
}

static bool
do_job(struct segments *s)
{
	uint32_t tail = atomic_load_explicit(&s->jobs_tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&s->done_head, memory_order_relaxed);
	struct segment_job job;

	if (tail == atomic_load_explicit(&s->jobs_head, memory_order_acquire))
		return false;
	job = s->jobs[tail % JOBS_MAX];
	atomic_store_explicit(&s->jobs_tail, tail + 1, memory_order_release);
	job.result = read_slot(job.entry->fd, job.slot, job.buf);
	s->done[head % JOBS_MAX] = job;
	atomic_store_explicit(&s->done_head, head + 1, memory_order_release);
	return true;
}

static void *
helper_main(void *arg)
{
	struct segments *s = arg;

	while (!atomic_load_explicit(&s->quit, memory_order_acquire)) {
		struct timespec until;
		bool any;

		while (do_job(s))
			;
		follow_trail(s);
		any = tend_entries(s);
		if (!any) {
			while (sem_wait(&s->wake) < 0 && errno == EINTR)
				;
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		while (sem_clockwait(&s->wake, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
			;
	}
	return NULL;
}

int
segments_init(struct segments *s, const cpu_set_t *cpus)
{
	pthread_attr_t attr;
	int ret;

	memset(s, 0, sizeof(*s));
	sem_init(&s->wake, 0, 0);
	pthread_attr_init(&attr);
	/* From its first instruction: a helper that starts on a stage's CPU would wait behind its poll loop. */
	ret = cpus ? pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus) : 0;
	if (ret == 0)
		ret = pthread_create(&s->thread, &attr, helper_main, s);
	pthread_attr_destroy(&attr);
	if (ret != 0) {
		sem_destroy(&s->wake);
		return -ret;
	}
	pthread_setname_np(s->thread, "sl-store");
	return 0;
}

void
segments_fini(struct segments *s)
{
	atomic_store_explicit(&s->quit, true, memory_order_release);
	sem_post(&s->wake);
	pthread_join(s->thread, NULL);
	for (uint32_t i = 0; i < atomic_load(&s->top); i++) {
		struct segment_entry *e = &s->entries[i];
		uint32_t state = atomic_load(&e->state);

		if (state == ENTRY_WANTED)
			capture_drop(e->capture);
		else if (state != ENTRY_FREE)
			close_entry(e);
	}
	sem_destroy(&s->wake);
}
