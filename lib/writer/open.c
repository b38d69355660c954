/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Jobs that make a working file and allocate its space. Helper threads.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mount.h"
#include "name.h"
#include "ops.h"
#include "target.h"

#define STEP_MIN (UINT64_C(1) << 20)
#define STEP_FIRST (UINT64_C(4) << 20)
#define STEP_MAX (UINT64_C(256) << 20)
#define TRIES_MAX 100000u

int
sl_job_fail(struct sl_job *job, int error, const char *what, const char *path)
{
	job->result = error;
	job->what = what;
	snprintf(job->path, sizeof(job->path), "%s", path);
	return error;
}

int
sl_job_check_mount(struct sl_job *job)
{
	const char *point = job->target->mount;

	if (point[0] && !sl_mount_is_mounted(point))
		return sl_job_fail(job, -ENODEV, "mount point", point);
	return 0;
}

/* Does the file system take direct I/O at our alignment? */
static bool
direct_fits(int fd)
{
	uint32_t memory, offset;

	return sl_direct_alignment(fd, &memory, &offset) == 0 && memory <= SL_BLOCK_ALIGN && offset <= SL_BLOCK_ALIGN;
}

void
sl_file_set_direct(struct sl_file *f)
{
	struct sl_endpoint *e = f->target->endpoint;
	int flags = fcntl(f->fd, F_GETFL);
	struct statfs fs;

	f->in_memory = fstatfs(f->fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
	f->direct = false;
	if (atomic_load(&e->buffered) || flags < 0)
		return;
	/* by fcntl: an open() that refuses O_DIRECT may leave the new file behind */
	if (direct_fits(f->fd) && fcntl(f->fd, F_SETFL, flags | O_DIRECT) == 0) {
		f->direct = true;
		return;
	}
	if (!atomic_exchange(&e->buffered, true))
		WLOG(NOTICE, "%s: the file system refuses direct I/O; using buffered I/O\n", e->key);
}

/* What is kept free by default depends on the file system, which may not have been mounted when the push began. */
static uint64_t
min_free_now(const struct sl_target *t)
{
	struct sl_mount mount;

	if (t->min_free && t->cfg->min_free == UINT64_MAX && t->mount[0] && sl_mount_find(t->mount, &mount) == 0 &&
		mount.remote)
		return 0;
	return t->min_free;
}

/* ENOSPC on a disk that df shows space on puzzles; so the two numbers, and the field, are said. */
static int
fail_min_free(struct sl_job *job, const char *dir, uint64_t avail)
{
	char text[SL_PATH_MAX];
	const uint64_t mib = UINT64_C(1) << 20;

	snprintf(text, sizeof(text),
		"%.*s (%" PRIu64 " MiB free, MinFree keeps %" PRIu64 " MiB%s; free some or lower MinFree)",
		(int)sizeof(text) - 160, dir, avail / mib, (job->target->min_free + mib - 1) / mib,
		job->target->cfg->min_free == UINT64_MAX ? " by default" : "");
	return sl_job_fail(job, -ENOSPC, "space in", text);
}

/*
 * See to space for `want`, at least `need`, bytes, within MinFree. It is allocated with the size set, or writes would
 * go through kernel workers.
 */
static int
allocate(struct sl_job *job, uint64_t need, uint64_t want)
{
	struct sl_file *f = job->file;
	struct sl_target *t = job->target;
	const uint64_t min_free = min_free_now(t);
	struct statvfs vfs;
	char dir[SL_PATH_MAX];

	sl_op_dirname(f->pending, dir, sizeof(dir));
	if (min_free) {
		uint64_t avail, more = want - f->allocated;

		if (sl_ops.statvfs(dir, &vfs) < 0)
			return sl_job_fail(job, -errno, "statvfs", dir);
		avail = (uint64_t)vfs.f_bavail * vfs.f_frsize;
		if (avail < min_free + (need - f->allocated))
			return fail_min_free(job, dir, avail);
		if (more > avail - min_free)
			want = f->allocated + (avail - min_free) / SL_BLOCK_ALIGN * SL_BLOCK_ALIGN;
		if (want < need)
			want = need;
	}
	/* tmpfs would zero every page, only to have it overwritten: that takes as long as the writing */
	if (f->in_memory) {
		f->allocated = want;
		return 0;
	}
	while (f->preallocate) {
		int rc = job->type == SL_JOB_OPEN ? SL_OP(OPEN_FALLOCATE, fallocate(f->fd, 0, 0, (off_t)want))
						  : SL_OP(EXTEND_FALLOCATE, fallocate(f->fd, 0, (off_t)f->allocated,
										    (off_t)(want - f->allocated)));

		if (rc == 0) {
			f->allocated = want;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
			if (want == need)
				return sl_job_fail(job, -errno, "fallocate", f->pending);
			want = need + (want - need) / 4 / SL_BLOCK_ALIGN * SL_BLOCK_ALIGN;
			continue;
		}
		if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != EPERM)
			return sl_job_fail(job, -errno, "fallocate", f->pending);
		f->preallocate = false;
	}
	return 0;
}

static uint64_t
capped(const struct sl_file *f, uint64_t want, uint64_t need)
{
	uint64_t cap = sl_file_config(f)->split_byte;

	if (cap) {
		cap = (cap + SL_BLOCK_ALIGN - 1) / SL_BLOCK_ALIGN * SL_BLOCK_ALIGN;
		if (want > cap)
			want = cap;
	}
	return want < need ? need : want;
}

/*
 * A file of the name that an attempt before this one has failed on: over NFS it is made, and only the answer was lost.
 * It is taken if it is empty and nobody's, instead of being left behind. @return a descriptor or -1
 */
static int
open_made(const char *path)
{
	int fd = sl_ops.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0)
		return -1;
	if (sl_ops.fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
		(sl_ops.flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK))
		return fd;
	close(fd);
	return -1;
}

static int
make_dir(struct sl_target *t, const char *dir)
{
	struct stat st;
	int rc;

	if (strcmp(dir, t->made_dir) == 0 && sl_ops.lstat(dir, &st) == 0)
		return 0;
	rc = sl_op_mkdirs(dir, t->endpoint->key);
	if (rc == 0)
		snprintf(t->made_dir, sizeof(t->made_dir), "%s", dir);
	return rc;
}

static int
create(struct sl_job *job)
{
	struct sl_file *f = job->file;
	struct sl_target *t = job->target;
	const struct sl_target_config *cfg = sl_file_config(f);
	uint64_t start = cfg->split_time ? f->begin : f->first_ts;
	char dir[SL_PATH_MAX], tried[SL_PATH_MAX];
	struct stat st;
	unsigned int i;
	int rc;

	memcpy(tried, f->pending, sizeof(tried));
	for (i = 0; i < TRIES_MAX; i++) {
		rc = sl_name_pending(cfg, start, f->seq + i, f->pending);
		if (rc < 0)
			return sl_job_fail(job, rc, "name of a file for", cfg->path);
		sl_op_dirname(f->pending, dir, sizeof(dir));
		rc = make_dir(t, dir);
		if (rc < 0)
			return sl_job_fail(job, rc, "mkdir", dir);
		rc = sl_journal_open_intent(t->journal, f->pending);
		if (rc < 0)
			return sl_job_fail(job, rc, "journal", sl_journal_path(t->journal));
		f->fd = SL_OP(OPEN_CREATE, open(f->pending, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
		if (f->fd >= 0)
			break;
		if (errno != EEXIST)
			return sl_job_fail(job, -errno, "open", f->pending);
		if (strcmp(f->pending, tried) == 0 && (f->fd = open_made(f->pending)) >= 0)
			break;
		/* someone's: perhaps a leftover of a push without a journal */
	}
	if (f->fd < 0)
		return sl_job_fail(job, -EEXIST, "open", f->pending);
	/* tells a later push that the file has a living owner; not every file system knows locks */
	(void)SL_OP(OPEN_FLOCK, flock(f->fd, LOCK_EX | LOCK_NB));
	if (sl_ops.fstat(f->fd, &st) < 0)
		return sl_job_fail(job, -errno, "fstat", f->pending);
	f->ino = st.st_ino;
	f->dev = st.st_dev;
	f->allocated = 0;
	f->preallocate = true;
	sl_file_set_direct(f);
	return 0;
}

void
sl_job_open(struct sl_job *job)
{
	struct sl_file *f = job->file;
	struct sl_target *t = job->target;
	uint64_t step;

	if (sl_job_check_mount(job) < 0)
		return;
	if (f->fd < 0 && create(job) < 0) {
		if (f->fd >= 0)
			close(f->fd);
		f->fd = -1;
		return;
	}
	step = t->step;
	(void)allocate(job, job->need, capped(f, step ? step : STEP_FIRST, job->need));
}

/*
 * An NFS client gives up a descriptor for good where the path works again: once its handle was stale, or a lock was
 * lost with the server's state. A file system that was mounted anew has other descriptors, too. Where the path does not
 * lead to the file, it stays as it is, and publishing sees to it.
 */
int
sl_file_reopen(struct sl_job *job)
{
	struct sl_file *f = job->file;
	struct stat st;
	int flags = fcntl(f->fd, F_GETFL);
	int fd = sl_ops.open(f->pending, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	int rc = 0;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : sl_job_fail(job, -errno, "open", f->pending);
	if (sl_ops.fstat(fd, &st) < 0) {
		rc = sl_job_fail(job, -errno, "fstat", f->pending);
	} else if (st.st_ino == f->ino && S_ISREG(st.st_mode)) {
		f->dev = st.st_dev;
		if (flags >= 0)
			(void)fcntl(fd, F_SETFL, flags);
		/* in its place, so that writes on their way keep the old one and later ones have the new one */
		if (dup3(fd, f->fd, O_CLOEXEC) < 0)
			rc = sl_job_fail(job, -errno, "dup3", f->pending);
		else
			(void)sl_ops.flock(f->fd, LOCK_EX | LOCK_NB);
	}
	close(fd);
	return rc;
}

void
sl_job_extend(struct sl_job *job)
{
	struct sl_file *f = job->file;
	uint64_t step = f->allocated;

	if (sl_job_check_mount(job) < 0 || (job->retry && sl_file_reopen(job) < 0))
		return;
	if (step < STEP_MIN)
		step = STEP_MIN;
	if (step > STEP_MAX)
		step = STEP_MAX;
	if (job->need > f->allocated)
		(void)allocate(job, job->need, capped(f, f->allocated + step, job->need));
}
