/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chunk.h"
#include "output.h"

/* Slots asked for at once: rare enough to cost nothing, small enough for a small disk. */
#define ALLOCATE_STEP 64u

static int
fail(struct store_output *o, int err, const char *what)
{
	if (o->error)
		return o->error;
	o->error = err;
	if (!store_is_full(err) || !store_err_full(err, o->message, o->path, o->path))
		store_err(err, o->message, "%s/%08" PRIu64 ".seg: %s: %s", o->path, o->segment, what, strerror(-err));
	return err;
}

int
output_init(struct store_output *o, int dir, const char *path, struct store_head *head)
{
	*o = (struct store_output){.dir = dir, .path = path, .head = head, .fd = -1};
	o->on_memory = store_on_memory(dir);
	o->memory = mmap(NULL, (size_t)OUTPUT_BUFFERS * SL_CHUNK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->memory == MAP_FAILED)
		return -errno;
	/* After a fork the parent's page would be the copy, and the disk would write the child's. */
	madvise(o->memory, (size_t)OUTPUT_BUFFERS * SL_CHUNK_SIZE, MADV_DONTFORK);
	for (unsigned int i = 0; i < OUTPUT_BUFFERS; i++)
		o->buffers[i].data = o->memory + (size_t)i * SL_CHUNK_SIZE;
	/* Memory is copied to at once; and where io_uring is forbidden, plain writes do. */
	if (!o->on_memory)
		o->has_ring = io_uring_queue_init(2 * OUTPUT_BUFFERS, &o->ring, 0) == 0;
	o->synced_at = store_now_ns(CLOCK_MONOTONIC_COARSE);
	return 0;
}

/* Writes to a file that has lost its name succeed, and are lost with it. */
static int
check_linked(struct store_output *o)
{
	struct stat dir, segment;

	if (o->error || fstat(o->dir, &dir) < 0)
		return o->error;
	if (dir.st_nlink > 0 && (o->fd < 0 || fstat(o->fd, &segment) < 0 || segment.st_nlink > 0))
		return 0;
	o->error = -ENOENT;
	if (dir.st_nlink == 0)
		return store_err(o->error, o->message,
			"%s: was removed while it was being written: nothing of it is left", o->path);
	return store_err(o->error, o->message,
		"%s/%08" PRIu64 ".seg: was removed while it was being written: its packets are lost", o->path,
		o->segment);
}

static void
commit_prefix(struct store_output *o)
{
	while (o->committed < o->submitted) {
		struct output_buffer *b = &o->buffers[o->committed % OUTPUT_BUFFERS];

		if (!b->written)
			return;
		if (!o->on_memory)
			segment_punch(o->fd, (uint32_t)(o->committed % SL_SEGMENT_CHUNKS), b->used);
		head_add_sums(o->head, (const struct chunk_header *)b->data);
		head_commit(o->head, ++o->committed);
	}
}

/* Write without io_uring: the whole of it, or what a short write has left. */
static int
write_plain(struct store_output *o, uint64_t number, uint32_t from)
{
	struct output_buffer *b = &o->buffers[number % OUTPUT_BUFFERS];
	int ret = segment_write(o->fd, (uint32_t)(number % SL_SEGMENT_CHUNKS), b->data, from, b->used);

	if (ret < 0)
		return fail(o, ret, "write");
	b->written = true;
	return 0;
}

static void
take_completion(struct store_output *o, struct io_uring_cqe *cqe)
{
	uint64_t data = cqe->user_data;
	int res = cqe->res;

	io_uring_cqe_seen(&o->ring, cqe);
	o->in_flight--;
	if (data == 0) {
		o->syncing = false;
		if (res < 0 && res != -EINVAL)
			fail(o, res, "fsync");
		return;
	}
	if (res == (int)o->buffers[(data - 1) % OUTPUT_BUFFERS].used)
		o->buffers[(data - 1) % OUTPUT_BUFFERS].written = true;
	else if (res >= 0 || res == -EAGAIN || res == -EINTR || res == -EINVAL)
		write_plain(o, data - 1, res > 0 ? (uint32_t)res & ~(SL_STORE_ALIGN - 1) : 0);
	else
		fail(o, res, "write");
}

static int
wait_one(struct store_output *o)
{
	struct io_uring_cqe *cqe;
	int ret;

	do {
		ret = io_uring_wait_cqe(&o->ring, &cqe);
	} while (ret == -EINTR);
	if (ret < 0)
		return fail(o, ret, "io_uring");
	take_completion(o, cqe);
	return 0;
}

int
output_poll(struct store_output *o)
{
	struct io_uring_cqe *cqe;

	while (o->in_flight > 0 && io_uring_peek_cqe(&o->ring, &cqe) == 0)
		take_completion(o, cqe);
	commit_prefix(o);
	if (o->dirty && !o->syncing && !o->error &&
		store_now_ns(CLOCK_MONOTONIC_COARSE) - o->synced_at >= SYNC_INTERVAL_NS) {
		o->synced_at = store_now_ns(CLOCK_MONOTONIC_COARSE);
		o->dirty = false;
		if (check_linked(o) < 0 || o->on_memory)
			return o->error;
		if (o->has_ring) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&o->ring);

			io_uring_prep_fsync(sqe, o->fd, IORING_FSYNC_DATASYNC);
			sqe->user_data = 0;
			if (io_uring_submit(&o->ring) == 1) {
				o->syncing = true;
				o->in_flight++;
			}
		} else if (fdatasync(o->fd) < 0 && errno != EINVAL) {
			return fail(o, -errno, "fsync");
		}
	}
	return o->error;
}

int
output_drain(struct store_output *o)
{
	int ret = 0;

	while (o->in_flight > 0 && ret == 0)
		ret = wait_one(o);
	commit_prefix(o);
	return o->error;
}

uint8_t *
output_buffer(struct store_output *o)
{
	while (!o->error && o->submitted - o->committed >= OUTPUT_BUFFERS) {
		if (o->in_flight == 0 || wait_one(o) < 0)
			break;
		commit_prefix(o);
	}
	return o->error ? NULL : o->buffers[o->submitted % OUTPUT_BUFFERS].data;
}

/* The last segment keeps only the slots in use. What is in it becomes durable. */
static int
finish_segment(struct store_output *o)
{
	uint64_t begin = o->segment * SL_SEGMENT_CHUNKS;
	int ret;

	if (o->fd < 0)
		return 0;
	check_linked(o);
	ret = segment_end(o->dir, o->fd, o->segment, o->committed > begin ? (uint32_t)(o->committed - begin) : 0);
	if (ret < 0)
		fail(o, ret, "ending the segment");
	o->fd = -1;
	return o->error;
}

static int
next_segment(struct store_output *o, uint64_t segment)
{
	int ret = output_drain(o);

	if (ret == 0)
		ret = finish_segment(o);
	if (ret < 0)
		return ret;
	o->segment = segment;
	o->allocated = 0;
	o->dirty = false;
	ret = segment_open(o->dir, segment, O_RDWR | O_CREAT | O_EXCL);
	if (ret < 0)
		return fail(o, ret, "cannot make the segment");
	o->fd = ret;
	ret = store_sync_fd(o->dir);
	return ret < 0 ? fail(o, ret, "fsync of the directory") : 0;
}

static int
allocate(struct store_output *o, uint32_t slot)
{
	const char *what;
	int ret;

	if (slot < o->allocated)
		return 0;
	ret = segment_allocate(o->fd, o->on_memory, slot, ALLOCATE_STEP, &what);
	if (ret < 0)
		return fail(o, ret, what);
	o->allocated = (uint32_t)ret;
	return 0;
}

int
output_submit(struct store_output *o)
{
	uint64_t number = o->submitted;
	struct output_buffer *b = &o->buffers[number % OUTPUT_BUFFERS];
	uint32_t slot = (uint32_t)(number % SL_SEGMENT_CHUNKS), used;
	struct io_uring_sqe *sqe;
	int ret;

	if (o->error)
		return o->error;
	if (o->fd < 0 || number / SL_SEGMENT_CHUNKS != o->segment) {
		ret = next_segment(o, number / SL_SEGMENT_CHUNKS);
		if (ret < 0)
			return ret;
	}
	ret = allocate(o, slot);
	if (ret < 0)
		return ret;
	used = chunk_used((const struct chunk_header *)b->data) + o->tail;
	b->used = (used + SL_STORE_ALIGN - 1) & ~(SL_STORE_ALIGN - 1);
	memset(b->data + used, 0, b->used - used);
	b->written = false;
	o->submitted++;
	o->dirty = true;
	if (!o->has_ring) {
		ret = write_plain(o, number, 0);
		return ret < 0 ? ret : output_poll(o);
	}
	sqe = io_uring_get_sqe(&o->ring);
	io_uring_prep_write(sqe, o->fd, b->data, b->used, (uint64_t)slot * SL_CHUNK_SIZE);
	sqe->user_data = number + 1;
	ret = io_uring_submit(&o->ring);
	if (ret < 1)
		return fail(o, ret < 0 ? ret : -EIO, "io_uring");
	o->in_flight++;
	return output_poll(o);
}

int
output_close(struct store_output *o)
{
	output_drain(o);
	check_linked(o);
	/* no fsync of the directory: that was when the segment was made */
	finish_segment(o);
	if (o->has_ring)
		io_uring_queue_exit(&o->ring);
	if (o->memory)
		munmap(o->memory, (size_t)OUTPUT_BUFFERS * SL_CHUNK_SIZE);
	return o->error;
}
