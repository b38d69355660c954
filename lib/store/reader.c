/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "segments.h"

#define DEPTH_MAX JOBS_MAX
/* How many slots before the end of a segment the next one is opened. */
#define OPEN_AHEAD 512u
/* Reads that are begun by one system call, unless a poll comes before. */
#define SUBMIT_BATCH 8u
/* Maps are looked through for old ones every so many returned reads. */
#define LET_GO_EVERY 256u

struct request {
	struct segment_entry *entry; /* NULL: its segment cannot be opened */
	uint32_t slot;
	struct sl_read read;
	bool mapped;
	void *buf;
};

struct sl_reader {
	struct segments segments;
	struct io_uring ring;
	bool has_ring;
	bool has_cpus;
	cpu_set_t cpus;
	pthread_t submitter; /* whose kernel workers have been kept to cpus */
	bool has_submitter;

	unsigned int depth;
	unsigned int in_flight;
	uint64_t returned;
	uint64_t from_memory;
	struct request requests[DEPTH_MAX];
	uint16_t free[DEPTH_MAX]; /* a stack */
	unsigned int free_count;
	/* Finished without waiting: mapped, or failed. */
	struct request *ready[DEPTH_MAX];
	unsigned int ready_head, ready_count;
};

/* Completions that do not interrupt the lcore: Linux 5.19. */
static int
make_ring(struct io_uring *ring, unsigned int depth)
{
	int ret = io_uring_queue_init(depth, ring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);

	return ret == -EINVAL ? io_uring_queue_init(depth, ring, 0) : ret;
}

int
sl_reader_create(unsigned int depth, const void *helper_cpus, struct sl_reader **reader, char *errbuf)
{
	struct sl_reader *r;
	int ret;

	*reader = NULL;
	if (depth < 1 || depth > DEPTH_MAX)
		return store_err(-EINVAL, errbuf, "store reader: depth %u is not 1 to %u", depth, DEPTH_MAX);
	r = calloc(1, sizeof(*r));
	if (!r)
		return store_err(-ENOMEM, errbuf, "store reader: out of memory");
	r->depth = depth;
	for (unsigned int i = 0; i < depth; i++)
		r->free[r->free_count++] = (uint16_t)i;
	if (helper_cpus) {
		memcpy(&r->cpus, helper_cpus, sizeof(r->cpus));
		r->has_cpus = true;
	}
	/* Without io_uring (a container's seccomp filter, a sysctl) the helper thread reads. */
	r->has_ring = make_ring(&r->ring, depth < 2 ? 2 : depth) == 0;
	ret = segments_init(&r->segments, r->has_cpus ? &r->cpus : NULL);
	if (ret < 0) {
		if (r->has_ring)
			io_uring_queue_exit(&r->ring);
		free(r);
		return store_err(ret, errbuf, "store reader: cannot start the helper thread: %s", strerror(-ret));
	}
	*reader = r;
	return 0;
}

static void
finish(struct sl_reader *r, struct request *q, int result)
{
	q->read.result = result;
	r->ready[(r->ready_head + r->ready_count++) % DEPTH_MAX] = q;
}

static void
hand_to_helper(struct sl_reader *r, struct request *q)
{
	segments_post(
		&r->segments, &(struct segment_job){.entry = q->entry, .slot = q->slot, .buf = q->buf, .request = q});
}

static void
take_completions(struct sl_reader *r)
{
	struct io_uring_cqe *cqe;
	struct segment_job job;

	while (r->has_ring && io_uring_peek_cqe(&r->ring, &cqe) == 0) {
		struct request *q = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&r->ring, cqe);
		if (!q)
			continue;
		if (res == (int)SL_CHUNK_SIZE)
			finish(r, q, 0);
		else if (res >= 0 || res == -EINVAL || res == -EAGAIN || res == -EINTR || res == -ECANCELED)
			/* The end of a file that was cut, or O_DIRECT refused: the helper finds out. */
			hand_to_helper(r, q);
		else
			finish(r, q, res);
	}
	while (segments_take(&r->segments, &job))
		finish(r, job.request, job.result);
}

void
sl_reader_destroy(struct sl_reader *r)
{
	struct sl_read done[16];

	if (!r)
		return;
	while (r->in_flight > 0) {
		const struct timespec pause = {.tv_nsec = 200000};

		if (sl_reader_poll(r, done, 16) == 0)
			nanosleep(&pause, NULL);
	}
	if (r->has_ring)
		io_uring_queue_exit(&r->ring);
	segments_fini(&r->segments);
	free(r);
}

/*
 * Kernel workers belong to the thread that submits, so only that thread can keep them off its own CPU, and only once it
 * has used the ring.
 */
static void
adopt_thread(struct sl_reader *r)
{
	struct io_uring_sqe *sqe;

	r->submitter = pthread_self();
	r->has_submitter = true;
	if (!r->has_cpus || !r->has_ring)
		return;
	sqe = io_uring_get_sqe(&r->ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, NULL);
	io_uring_submit(&r->ring);
	/* A kernel that cannot (before 5.14) leaves them where they are. */
	(void)!io_uring_register_iowq_aff(&r->ring, sizeof(r->cpus), &r->cpus);
}

static void
start_read(struct sl_reader *r, struct request *q)
{
	struct io_uring_sqe *sqe;

	if (!r->has_ring) {
		hand_to_helper(r, q);
		return;
	}
	sqe = io_uring_get_sqe(&r->ring);
	if (!sqe) {
		hand_to_helper(r, q);
		return;
	}
	io_uring_prep_read(sqe, q->entry->fd, q->buf, SL_CHUNK_SIZE, (uint64_t)q->slot * SL_CHUNK_SIZE);
	io_uring_sqe_set_data(sqe, q);
	/* What is refused (memory, a full queue) stays in the ring, and the next poll submits it. */
	if (io_uring_sq_ready(&r->ring) >= SUBMIT_BATCH)
		io_uring_submit(&r->ring);
}

/* The map may show a slot only if the file has all of it: beyond its end is SIGBUS. */
static bool
is_mapped(struct segment_entry *e, uint32_t slot)
{
	uint64_t end = ((uint64_t)slot + 1) * SL_CHUNK_SIZE;
	struct stat st;

	if (!e->map)
		return false;
	if (end > e->size && fstat(e->fd, &st) == 0)
		e->size = (uint64_t)st.st_size;
	return end <= e->size;
}

/* From the writer's memory: what is up to date reads no disk, and opens nothing. */
static bool
take_newest(struct sl_reader *r, const struct sl_capture *c, uint64_t number, void *buf, void *cookie)
{
	struct request *q;

	if (!capture_copy_newest(c, number, buf))
		return false;
	q = &r->requests[r->free[--r->free_count]];
	r->in_flight++;
	r->from_memory++;
	*q = (struct request){.read = {.cookie = cookie, .data = buf}};
	finish(r, q, 0);
	return true;
}

int
sl_reader_submit(struct sl_reader *r, struct sl_capture *c, uint64_t number, void *buf, void *cookie)
{
	uint64_t segment = number / SL_SEGMENT_CHUNKS;
	uint32_t slot = (uint32_t)(number % SL_SEGMENT_CHUNKS);
	struct segment_entry *e;
	struct request *q;
	int ret;

	if (r->free_count == 0 || segments_behind(&r->segments))
		return -EAGAIN;
	if (take_newest(r, c, number, buf, cookie))
		return 0;
	if (!r->has_submitter || !pthread_equal(r->submitter, pthread_self()))
		adopt_thread(r);
	e = segments_find(&r->segments, c, segment);
	if (!e)
		return -EAGAIN;
	ret = segments_pin(e);
	if (ret == -EAGAIN)
		return ret;
	q = &r->requests[r->free[--r->free_count]];
	r->in_flight++;
	*q = (struct request){.slot = slot, .buf = buf, .read = {.cookie = cookie, .data = buf}};
	if (ret < 0) {
		finish(r, q, ret);
		return 0;
	}
	q->entry = e;
	if (is_mapped(e, slot)) {
		q->mapped = true;
		q->read.data = e->map + (size_t)slot * SL_CHUNK_SIZE;
		finish(r, q, 0);
	} else if (e->on_memory) {
		q->read.data = NULL;
		q->read.fd = e->fd;
		q->read.slot = slot;
		finish(r, q, 0);
	} else {
		start_read(r, q);
	}
	if (slot >= SL_SEGMENT_CHUNKS - OPEN_AHEAD && slot % 16 == 0 &&
		sl_capture_committed(c) > (segment + 1) * SL_SEGMENT_CHUNKS) {
		segments_find(&r->segments, c, segment + 1);
		r->segments.recent = e;
	}
	return 0;
}

int
sl_read_fetch(const struct sl_read *read, void *buf)
{
	return segment_read(read->fd, read->slot, buf);
}

unsigned int
sl_reader_poll(struct sl_reader *r, struct sl_read *done, unsigned int max)
{
	unsigned int n = 0;

	if (r->in_flight == 0)
		return 0;
	if (r->has_ring && io_uring_sq_ready(&r->ring) > 0)
		io_uring_submit(&r->ring);
	take_completions(r);
	while (n < max && r->ready_count > 0) {
		struct request *q = r->ready[r->ready_head];

		r->ready_head = (r->ready_head + 1) % DEPTH_MAX;
		r->ready_count--;
		r->in_flight--;
		r->returned++;
		done[n++] = q->read;
		if (q->entry)
			segments_unpin(&r->segments, q->entry, q->mapped ? q->read.data : NULL, r->returned);
		r->free[r->free_count++] = (uint16_t)(q - r->requests);
		if (r->returned % LET_GO_EVERY == 0 && r->returned > SL_READER_HOLD)
			segments_let_go(&r->segments, r->returned - SL_READER_HOLD);
	}
	return n;
}

void
sl_reader_release(struct sl_reader *r)
{
	segments_let_go(&r->segments, UINT64_MAX);
}

unsigned int
sl_reader_in_flight(const struct sl_reader *r)
{
	return r->in_flight;
}

uint64_t
sl_reader_from_memory(const struct sl_reader *r)
{
	return r->from_memory;
}
