/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Writes through io_uring: one ring for each (writer, mount), because hung operations on a shared ring stop healthy
 * files. A ring is made by the lcore that uses it: the CPUs of its kernel workers are a property of the thread.
 */

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/uio.h>

#include "ops.h"
#include "target.h"

/* user_data: a block, or a file with bit 0 set (the partial block of a checkpoint) */
#define CKPT_TAG UINT64_C(1)
/*
 * Kernel workers that a lcore may have for writes that block, as those of NFS and FUSE all do. By default they are four
 * a CPU for all rings of a thread, and so many hung writes stop every other file system's.
 */
#define WORKERS_MAX 1024u
/* Writes that have hung for so long may as well be looked at when the lcore wakes by itself, ten times a second. */
#define HANGS_NS UINT64_C(1000000000)
/* The kernel's limit for one registered buffer; a multiple of every size of blocks, so none lies in two of them. */
#define REGISTERED_MAX ((size_t)1 << 30)

int
sl_uring_probe(void)
{
	struct io_uring ring;
	int rc = io_uring_queue_init(4, &ring, 0);

	if (rc == 0)
		io_uring_queue_exit(&ring);
	return rc;
}

static int
make_ring(struct io_uring *ring)
{
	/* each kernel's best: 6.1 (Debian 12) runs completions only when the lcore asks, 5.19 without interrupting it
	 */
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int rc = -EINVAL;

	for (size_t i = 0; rc == -EINVAL && i < sizeof(flags) / sizeof(flags[0]); i++)
		rc = io_uring_queue_init(SL_URING_DEPTH, ring, flags[i]);
	return rc;
}

/*
 * Registered blocks: their pages are looked up and pinned once, not for each write, which halves the kernel's part of a
 * write from small pages. A process without privilege may not pin so much (RLIMIT_MEMLOCK): then it goes without.
 */
static void
register_blocks(struct sl_writer *w, struct sl_uring *u)
{
	static _Atomic bool said;
	struct iovec iov[64];
	size_t done = 0;
	unsigned int n = 0;
	int rc;

	for (; done < w->pool.memory_size && n < sizeof(iov) / sizeof(iov[0]); n++) {
		size_t len = w->pool.memory_size - done;

		iov[n] = (struct iovec){w->pool.memory + done, len < REGISTERED_MAX ? len : REGISTERED_MAX};
		done += iov[n].iov_len;
	}
	if (done < w->pool.memory_size || n == 0)
		return;
	rc = io_uring_register_buffers(&u->ring, iov, n);
	u->fixed = rc == 0;
	if (rc < 0 && !atomic_exchange(&said, true))
		WLOG(INFO, "write blocks are not registered with io_uring: %s%s\n", strerror(-rc),
			rc == -ENOMEM ? " (raise the limit of locked memory, ulimit -l)" : "");
}

static void
allow_workers(struct sl_uring *u)
{
	unsigned int max[2] = {WORKERS_MAX, 0}; /* for regular files; others: as it is */

	/* Linux before 5.15 does not know it */
	(void)io_uring_register_iowq_max_workers(&u->ring, max);
}

static int
uring_init(struct sl_writer *w, struct sl_uring *u)
{
	const void *cpus = w->writers->params.helper_cpus;
	int rc;

	if (u->up)
		return 0;
	rc = make_ring(&u->ring);
	if (rc < 0)
		return rc;
	u->up = true;
	allow_workers(u);
	register_blocks(w, u);
	if (cpus) {
		int err = io_uring_register_iowq_aff(&u->ring, sizeof(cpu_set_t), cpus);

		if (err < 0)
			WLOG(WARNING, "kernel I/O workers of %s stay on its CPU: %s\n",
				w->lcore ? w->lcore->name : "writer", strerror(-err));
	}
	return 0;
}

/*
 * io_uring hands writes to tmpfs to kernel workers, one at a time for each file, which compete with the lcores for
 * their CPUs and move the data out of their caches. To copy it here takes half of the time.
 */
static void
copy_now(struct sl_writer *w, struct sl_uring *u, int fd, const struct iovec *iov, unsigned int iovs, uint64_t offset,
	void *data)
{
	ssize_t n;

	sl_crash_before(SL_POINT_WRITE_SUBMIT);
	do {
		n = pwritev(fd, iov, (int)iovs, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	sl_crash_after(SL_POINT_WRITE_SUBMIT);
	u->copied[u->copied_count].data = data;
	u->copied[u->copied_count++].result = n < 0 ? -errno : (int)n;
	u->in_flight++;
	w->busy = true;
}

/* Half of it is for those that have little in flight: the writes of the others may hang. */
static bool
has_room(const struct sl_uring *u, const struct sl_target *t)
{
	return u->in_flight < SL_URING_DEPTH / 2 || (u->in_flight < SL_URING_DEPTH && t->in_flight < SL_URING_SHARE);
}

bool
sl_uring_write(struct sl_writer *w, struct sl_uring *u, const struct sl_file *f, const struct iovec *iov,
	unsigned int iovs, uint64_t offset, void *data)
{
	/* the copy of a last page that a checkpoint writes lies elsewhere */
	uintptr_t at = (uintptr_t)iov->iov_base - (uintptr_t)w->pool.memory;
	bool in_pool = at < w->pool.memory_size;
	struct io_uring_sqe *sqe;

	if (!has_room(u, f->target)) {
		u->refused = true;
		return false;
	}
	if (f->in_memory) {
		copy_now(w, u, f->fd, iov, iovs, offset, data);
		f->target->in_flight++;
		return true;
	}
	if (!u->up) {
		/* reported by the next poll: here, the target may be in the middle of a chunk */
		u->error = uring_init(w, u);
		if (u->error < 0)
			return false;
	}
	sqe = io_uring_get_sqe(&u->ring);
	if (!sqe)
		return false;
	if (iovs == 1 && u->fixed && in_pool)
		io_uring_prep_write_fixed(
			sqe, f->fd, iov->iov_base, (unsigned int)iov->iov_len, offset, (int)(at / REGISTERED_MAX));
	else if (iovs == 1)
		io_uring_prep_write(sqe, f->fd, iov->iov_base, (unsigned int)iov->iov_len, offset);
	else
		io_uring_prep_writev(sqe, f->fd, iov, iovs, offset);
	io_uring_sqe_set_data(sqe, data);
	f->target->in_flight++;
	u->in_flight++;
	u->unsubmitted++;
	u->moved_at = w->now;
	w->busy = true;
	return true;
}

void
sl_uring_submit(struct sl_writer *w, struct sl_uring *u)
{
	int rc;

	(void)w;
	if (u->unsubmitted == 0)
		return;
	sl_crash_before(SL_POINT_WRITE_SUBMIT);
	rc = io_uring_submit(&u->ring);
	/* -EBUSY, -EAGAIN: the next poll submits them */
	if (rc > 0)
		u->unsubmitted -= (uint32_t)rc > u->unsubmitted ? u->unsubmitted : (uint32_t)rc;
	sl_crash_after(SL_POINT_WRITE_SUBMIT);
}

/* Files whose writes found the ring full: there is room again, and nobody else remembers them. */
static void
kick_all(struct sl_writer *w, struct sl_uring *u)
{
	for (unsigned int i = 0; i < w->target_count; i++) {
		struct sl_target *t = w->targets[i];

		if (t->uring != u || sl_target_is_done(t))
			continue;
		for (struct sl_file *f = t->closing; f; f = f->next)
			sl_file_kick(f);
		if (t->cur)
			sl_file_kick(t->cur);
	}
}

/* There is no ring to write with: whoever has something to write fails, and tries again. */
static void
report_no_ring(struct sl_writer *w, struct sl_uring *u)
{
	int error = -u->error;

	u->error = 0;
	for (unsigned int i = 0; i < w->target_count; i++) {
		struct sl_target *t = w->targets[i];
		struct sl_file *f = t->closing;

		if (t->uring != u || sl_target_is_done(t))
			continue;
		while (f && !f->queue)
			f = f->next;
		if (!f)
			f = t->cur;
		if (f && f->queue)
			sl_target_fail(t, error, "io_uring for", f->pending);
	}
}

static void
complete(struct sl_writer *w, struct sl_uring *u, void *user_data, int result)
{
	uint64_t data = (uint64_t)(uintptr_t)user_data;

	u->in_flight--;
	u->moved_at = w->now;
	w->busy = true;
	sl_crash_before(SL_POINT_WRITE_COMPLETE);
	if (data & CKPT_TAG) {
		struct sl_file *f = (struct sl_file *)(uintptr_t)(data & ~CKPT_TAG);

		f->target->in_flight--;
		f->target->park.progress_at = w->now;
		sl_file_ckpt_written(f, result);
	} else {
		struct sl_block *b = (struct sl_block *)(uintptr_t)data;

		b->file->target->in_flight--;
		sl_file_written(b, result);
	}
	sl_crash_after(SL_POINT_WRITE_COMPLETE);
}

void
sl_uring_reap(struct sl_writer *w, struct sl_uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned int i;

	if (u->error < 0)
		report_no_ring(w, u);
	/* a completion may begin the file's next write, which is complete at once, and so on: not without an end */
	for (i = 0; u->copied_count && i < SL_URING_DEPTH; i++) {
		u->copied_count--;
		complete(w, u, u->copied[u->copied_count].data, u->copied[u->copied_count].result);
	}
	if (u->up && u->in_flight) {
		while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
			void *data = io_uring_cqe_get_data(cqe);
			int result = cqe->res;

			io_uring_cqe_seen(&u->ring, cqe);
			complete(w, u, data, result);
		}
	}
	if (u->refused && u->in_flight < SL_URING_DEPTH) {
		u->refused = false;
		kick_all(w, u);
	}
}

bool
sl_uring_awaits(const struct sl_writer *w, const struct sl_uring *u)
{
	return u->in_flight && (u->unsubmitted || u->copied_count || w->now - u->moved_at < HANGS_NS);
}

void
sl_uring_free(struct sl_uring *u)
{
	if (u->up)
		io_uring_queue_exit(&u->ring);
	u->up = false;
}
