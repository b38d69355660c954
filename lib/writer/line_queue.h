/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_LINE_QUEUE_H
#define SL_WRITER_LINE_QUEUE_H

/**
 * @file
 * Log lines from any number of threads to one. Bounded, and a producer never waits: neither for the consumer (a full
 * queue says so) nor for another producer. That is why it is not an rte_ring, in whose MP mode the others spin while a
 * producer is preempted between taking a place and filling it; here that holds up the consumer alone. The scheme, a turn
 * number in each cell, is D. Vyukov's bounded queue.
 */

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINES 1024u          /**< two lines for each file of 256 targets that roll at once, and some */
#define LINE_MAX_BYTES 5000u /**< a path of SL_PATH_MAX and what is said about it */

/**
 * Position p of the stream of lines is free for the producer that takes p when turn == p, filled for the consumer when
 * turn == p + 1, and free for the next lap when turn == p + LINES.
 */
struct line {
	_Alignas(64) _Atomic uint64_t turn;
	size_t target;
	struct timespec time;
	char *rename;  /**< the log of target has this name from here on, "" for none; the text is empty then */
	unsigned int len;
	char text[LINE_MAX_BYTES];
};

struct line_queue {
	struct line *lines;
	uint64_t head;                      /**< the consumer's */
	_Alignas(64) _Atomic uint64_t tail; /**< next position a producer takes */
	_Alignas(64) _Atomic uint32_t asleep;
};

/** @return 0, -ENOMEM */
static inline int
line_queue_init(struct line_queue *q)
{
	q->lines = (struct line *)aligned_alloc(64, LINES * sizeof(*q->lines));
	if (!q->lines)
		return -ENOMEM;
	for (unsigned int i = 0; i < LINES; i++)
		atomic_init(&q->lines[i].turn, i);
	q->head = 0;
	atomic_init(&q->tail, 0);
	atomic_init(&q->asleep, 0);
	return 0;
}

static inline void
line_queue_free(struct line_queue *q)
{
	free(q->lines);
	q->lines = NULL;
}

static inline void
line_queue_futex(struct line_queue *q, int op, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, &q->asleep, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/** Any thread. @return a line to fill and give to line_queue_publish(), or NULL: the queue is full */
static inline struct line *
line_queue_take(struct line_queue *q, uint64_t *position)
{
	uint64_t p = atomic_load_explicit(&q->tail, memory_order_relaxed);

	for (;;) {
		struct line *line = &q->lines[p % LINES];
		uint64_t turn = atomic_load_explicit(&line->turn, memory_order_acquire);

		if (turn == p) {
			if (atomic_compare_exchange_weak_explicit(
				    &q->tail, &p, p + 1, memory_order_relaxed, memory_order_relaxed)) {
				*position = p;
				return line;
			}
		} else if (turn < p) {
			return NULL;
		} else {
			p = atomic_load_explicit(&q->tail, memory_order_relaxed);
		}
	}
}

/** Wake the consumer if it sleeps; any thread. */
static inline void
line_queue_wake(struct line_queue *q)
{
	if (atomic_load(&q->asleep) && atomic_exchange(&q->asleep, 0))
		line_queue_futex(q, FUTEX_WAKE, 1, NULL);
}

/** The line is filled. Sequentially consistent, as is line_queue_wait(): one of the two sees what the other did. */
static inline void
line_queue_publish(struct line_queue *q, struct line *line, uint64_t position)
{
	atomic_store(&line->turn, position + 1);
	line_queue_wake(q);
}

/** Consumer only. @return the oldest line, or NULL: none, or it is still being filled */
static inline struct line *
line_queue_front(struct line_queue *q)
{
	struct line *line = &q->lines[q->head % LINES];

	return atomic_load(&line->turn) == q->head + 1 ? line : NULL;
}

/** Consumer only: done with the oldest line. */
static inline void
line_queue_pop(struct line_queue *q)
{
	atomic_store_explicit(&q->lines[q->head % LINES].turn, q->head + LINES, memory_order_release);
	q->head++;
}

/** Consumer only: sleep until there is a line, stop is set and line_queue_wake() called, or a second has passed. */
static inline void
line_queue_wait(struct line_queue *q, const _Atomic uint32_t *stop)
{
	const struct timespec second = {.tv_sec = 1};

	atomic_store(&q->asleep, 1);
	if (!line_queue_front(q) && !atomic_load(stop))
		line_queue_futex(q, FUTEX_WAIT, 1, &second);
	atomic_store(&q->asleep, 0);
}

#endif
