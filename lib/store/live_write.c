/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The thread "sl-write": chunks from buffers to segments, many at a time, and their commit in order. It makes no call
 * that waits for a file system's metadata.
 */

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chunk.h"
#include "live.h"

/* How long a write may keep us from seeing that another chunk is to be written. */
#define REST_NS 500000
#define IDLE_TICK_NS 100000000
/* sl-ahead is asked to look after so many chunks. */
#define CALL_AHEAD_EVERY 16u

static struct live_buffer *
buffer_of(struct live *l, uint64_t ordinal)
{
	return &l->buffers[ordinal % l->newest.buffers];
}

static struct live_segment *
segment_of(struct live_capture *c, uint64_t number)
{
	return &c->segments[number / SL_SEGMENT_CHUNKS % LIVE_SEGMENTS];
}

/* The segment of a chunk if it can be written now. */
static struct live_segment *
ready_segment(struct live_capture *c, uint64_t number)
{
	struct live_segment *s = segment_of(c, number);

	if (atomic_load_explicit(&s->state, memory_order_acquire) != LIVE_SEGMENT_READY ||
		s->number != number / SL_SEGMENT_CHUNKS)
		return NULL;
	if (number % SL_SEGMENT_CHUNKS >= atomic_load_explicit(&s->allocated, memory_order_acquire))
		return NULL;
	return s;
}

/* Write without io_uring: the whole of it, or what a short write has left. */
static void
write_plain(struct live *l, uint64_t ordinal, uint32_t from)
{
	struct live_capture *c = l->writing;
	uint64_t number = ordinal - c->base;
	struct live_segment *s = segment_of(c, number);
	struct live_buffer *b = buffer_of(l, ordinal);
	int ret = segment_write(
		s->fd, (uint32_t)(number % SL_SEGMENT_CHUNKS), newest_buffer(&l->newest, ordinal), from, b->used);

	if (ret == 0) {
		b->written = true;
	} else if (store_is_full(ret)) {
		b->again = live_no_space(l, c, s->number, "write");
		l->retry_at = store_now_ns(CLOCK_MONOTONIC) + LIVE_SPACE_RETRY_NS;
	} else {
		live_fail(l, ret, c->begun.path, s->number, "write");
	}
}

static void
take_completion(struct live *l, struct io_uring_cqe *cqe)
{
	uint64_t ordinal = cqe->user_data;
	struct live_buffer *b = buffer_of(l, ordinal);
	int res = cqe->res;

	io_uring_cqe_seen(&l->ring, cqe);
	l->in_flight--;
	if (res == (int)b->used)
		b->written = true;
	else if (res >= 0 || res == -EAGAIN || res == -EINTR || res == -EINVAL || store_is_full(res))
		write_plain(l, ordinal, res > 0 ? (uint32_t)res & ~(SL_STORE_ALIGN - 1) : 0);
	else
		live_fail(l, res, l->writing->begun.path, (ordinal - l->writing->base) / SL_SEGMENT_CHUNKS, "write");
}

static bool
reap(struct live *l)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (l->in_flight > 0 && io_uring_peek_cqe(&l->ring, &cqe) == 0) {
		take_completion(l, cqe);
		any = true;
	}
	return any;
}

/* What found no room is tried again, not in a hurry. */
static bool
retry(struct live *l)
{
	if (l->retry_at == 0 || live_error(l) || store_now_ns(CLOCK_MONOTONIC) < l->retry_at)
		return false;
	l->retry_at = 0;
	for (uint64_t o = atomic_load_explicit(&l->done, memory_order_relaxed); o < l->submitted; o++) {
		struct live_buffer *b = buffer_of(l, o);

		if (b->again) {
			b->again = false;
			write_plain(l, o, 0);
			/* One that still finds no room speaks for the others. */
			if (l->retry_at != 0)
				break;
		}
	}
	return true;
}

static void
count_chunk(struct live *l, struct live_capture *c, uint64_t ordinal)
{
	uint64_t number = ordinal - c->base;
	uint32_t slot = (uint32_t)(number % SL_SEGMENT_CHUNKS);
	struct live_segment *s = segment_of(c, number);

	head_add_sums(c->begun.head, (const struct chunk_header *)newest_buffer(&l->newest, ordinal));
	atomic_store_explicit(
		&s->pages[slot], (uint16_t)(buffer_of(l, ordinal)->used / SL_STORE_ALIGN), memory_order_relaxed);
	atomic_store_explicit(&s->dirty, true, memory_order_relaxed);
	atomic_store_explicit(&s->committed, slot + 1, memory_order_release);
	if (slot == SL_SEGMENT_CHUNKS - 1) {
		atomic_store_explicit(&s->state, LIVE_SEGMENT_WRITTEN, memory_order_release);
		live_call_keep(l);
	}
}

static bool
commit(struct live *l)
{
	uint64_t done = atomic_load_explicit(&l->done, memory_order_relaxed), before = done;

	for (; done < l->submitted && buffer_of(l, done)->written; done++)
		count_chunk(l, l->writing, done);
	if (done == before)
		return false;
	head_commit(l->writing->begun.head, done - l->writing->base);
	atomic_store_explicit(&l->done, done, memory_order_release);
	atomic_store_explicit(&l->no_space, false, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&l->done_waiters, memory_order_relaxed) != 0) {
		atomic_fetch_add_explicit(&l->done_bell, 1, memory_order_release);
		syscall(SYS_futex, &l->done_bell, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
	}
	return true;
}

static struct live_capture *
next_capture(struct live *l)
{
	struct live_capture *next = NULL;

	for (unsigned int i = 0; i < LIVE_CAPTURES; i++) {
		struct live_capture *c = &l->captures[i];
		uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

		if (state == LIVE_WANTED)
			live_call_ahead(l);
		if (state == LIVE_READY && (!next || c->begun.info.sequence < next->begun.info.sequence))
			next = c;
	}
	return next;
}

static void
end_capture(struct live *l, struct live_capture *c)
{
	atomic_store_explicit(&c->state, LIVE_ENDED, memory_order_release);
	live_call_keep(l);
}

/* The next capture is there before this one is closed: there is always one that is being written. */
static bool
has_follower(struct live *l, const struct live_capture *c)
{
	struct live_capture *other = &l->captures[c == &l->captures[0]];

	if (atomic_load_explicit(&other->state, memory_order_acquire) != LIVE_WANTED)
		return true;
	live_call_ahead(l);
	return false;
}

/* From a capture that is complete to the next one. After an error what is not written stays so, once the writer closes.
 */
static bool
turn(struct live *l)
{
	struct live_capture *c = l->writing;
	bool given_up = live_error(l) != 0 && atomic_load_explicit(&l->closing, memory_order_acquire);

	if (l->in_flight > 0)
		return false;
	if (!c) {
		l->writing = next_capture(l);
		return l->writing != NULL;
	}
	if (!given_up && (atomic_load_explicit(&c->end, memory_order_acquire) !=
					 atomic_load_explicit(&l->done, memory_order_relaxed) ||
				 !has_follower(l, c)))
		return false;
	l->writing = NULL;
	end_capture(l, c);
	return true;
}

static void
start_write(struct live *l, struct live_segment *s, uint64_t ordinal, uint32_t slot)
{
	uint8_t *data = newest_buffer(&l->newest, ordinal);
	struct live_buffer *b = buffer_of(l, ordinal);
	struct io_uring_sqe *sqe = l->has_ring ? io_uring_get_sqe(&l->ring) : NULL;

	*b = (struct live_buffer){.used = chunk_used((const struct chunk_header *)data) + l->tail};
	b->used = (b->used + SL_STORE_ALIGN - 1) & ~(SL_STORE_ALIGN - 1);
	if (!sqe) {
		write_plain(l, ordinal, 0);
		return;
	}
	io_uring_prep_write(sqe, s->fd, data, b->used, (uint64_t)slot * SL_CHUNK_SIZE);
	sqe->user_data = ordinal;
	l->in_flight++;
}

/* What is refused (memory) stays in the ring, and is submitted with the next. */
static void
push_ring(struct live *l)
{
	int ret;

	if (!l->has_ring || io_uring_sq_ready(&l->ring) == 0)
		return;
	ret = io_uring_submit(&l->ring);
	if (ret < 0 && ret != -EAGAIN && ret != -EBUSY && ret != -EINTR)
		live_fail(l, ret, l->writing->begun.path, UINT64_MAX, "io_uring");
}

static bool
submit(struct live *l)
{
	struct live_capture *c = l->writing;
	uint64_t filled, before = l->submitted;

	if (!c || live_error(l))
		return false;
	filled = atomic_load_explicit(&l->filled, memory_order_acquire);
	while (l->submitted < filled && l->in_flight < l->depth && l->retry_at == 0) {
		uint64_t number = l->submitted - c->base;
		struct live_segment *s;

		/* Read after filled: a chunk of the next capture is counted only after the end of this one is set. */
		if (l->submitted >= atomic_load_explicit(&c->end, memory_order_acquire))
			break;
		atomic_store_explicit(&c->next, number, memory_order_release);
		s = ready_segment(c, number);
		if (!s) {
			live_call_ahead(l);
			break;
		}
		l->submitted++;
		start_write(l, s, l->submitted - 1, (uint32_t)(number % SL_SEGMENT_CHUNKS));
		if (number % CALL_AHEAD_EVERY == 0)
			live_call_ahead(l);
		/* Without a queue each write is done: let it be seen before the next. */
		if (!l->has_ring)
			break;
	}
	push_ring(l);
	return l->submitted != before;
}

static bool
look(struct live *l)
{
	bool any = reap(l);

	any |= retry(l);
	any |= commit(l);
	any |= turn(l);
	any |= submit(l);
	return any;
}

static void
rest(struct live *l)
{
	struct timespec tick = {.tv_nsec = l->retry_at ? LIVE_SPACE_RETRY_NS : IDLE_TICK_NS};
	uint32_t rings;

	if (l->in_flight > 0) {
		struct __kernel_timespec ts = {.tv_nsec = REST_NS};
		struct io_uring_cqe *cqe;

		io_uring_wait_cqe_timeout(&l->ring, &cqe, &ts);
		return;
	}
	rings = atomic_load_explicit(&l->bell, memory_order_acquire);
	atomic_store_explicit(&l->asleep, 1, memory_order_relaxed);
	/* Pairs with the one in live_ring(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!look(l) && !atomic_load_explicit(&l->quit, memory_order_acquire))
		syscall(SYS_futex, &l->bell, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, rings, &tick, NULL, 0);
	atomic_store_explicit(&l->asleep, 0, memory_order_relaxed);
}

void *
live_write_main(void *arg)
{
	struct live *l = arg;

	if (l->has_ring && l->params.helper_cpus)
		/* A kernel that cannot (before 5.14) leaves its workers where this thread runs. */
		(void)!io_uring_register_iowq_aff(&l->ring, sizeof(cpu_set_t), l->params.helper_cpus);
	while (!atomic_load_explicit(&l->quit, memory_order_acquire))
		if (!look(l))
			rest(l);
	return NULL;
}
