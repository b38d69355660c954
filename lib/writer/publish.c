/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Jobs that make a file durable under its final name, and checkpoints. Helper threads.
 *
 * The order is the point: the data, then the working name, then the intent in the journal are durable before the final
 * name appears; the working name goes away only after the final name is durable. A crash at any place leaves either the
 * working file or the final one, and the journal says which of both it is to become.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "name.h"
#include "ops.h"
#include "target.h"

#define COPIES_MAX 1000000u
#define STEP_MIN (UINT64_C(1) << 20)
#define STEP_MAX (UINT64_C(256) << 20)

static int
copy_bytes(int from, int to, uint64_t size)
{
	size_t chunk = 1u << 20;
	uint8_t *buf = aligned_alloc(SL_BLOCK_ALIGN, chunk);
	uint64_t off = 0;
	int rc = 0;

	if (!buf)
		return -ENOMEM;
	while (rc == 0 && off < size) {
		ssize_t n = sl_ops.pread(from, buf, chunk, (off_t)off);

		if (n <= 0) {
			rc = n < 0 ? -errno : -EIO;
			break;
		}
		rc = sl_op_write_all(to, buf, (size_t)n);
		off += (uint64_t)n;
	}
	free(buf);
	return rc;
}

/*
 * The working file has lost its name (its directory was removed or replaced) but is still open: its bytes are copied
 * into a new one.
 */
static int
rescue(struct sl_job *job)
{
	struct sl_file *f = job->file;
	const struct sl_target_config *cfg = sl_file_config(f);
	char dir[SL_PATH_MAX];
	struct stat st = {0};
	int fd, rc, flags;

	sl_op_dirname(f->pending, dir, sizeof(dir));
	rc = sl_op_mkdirs(dir, job->target->endpoint->key);
	if (rc < 0)
		return sl_job_fail(job, rc, "mkdir", dir);
	rc = sl_journal_open_intent(job->target->journal, f->pending);
	if (rc < 0)
		return sl_job_fail(job, rc, "journal", sl_journal_path(job->target->journal));
	fd = sl_ops.open(f->pending, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return sl_job_fail(job, -errno, "open", f->pending);
	(void)sl_ops.flock(fd, LOCK_EX | LOCK_NB);
	flags = fcntl(f->fd, F_GETFL);
	if (flags >= 0)
		(void)fcntl(f->fd, F_SETFL, flags & ~O_DIRECT);
	rc = copy_bytes(f->fd, fd, f->size);
	if (rc == 0 && cfg->owner_user && sl_ops.fchown(fd, cfg->owner_uid, cfg->owner_gid) < 0)
		rc = -errno;
	if (rc == 0 && (sl_op_fsync(SL_POINT_RESCUE_FSYNC, fd) < 0 || sl_ops.fstat(fd, &st) < 0))
		rc = -errno;
	if (rc < 0) {
		(void)sl_ops.unlink(f->pending);
		close(fd);
		return sl_job_fail(job, rc, "copy to", f->pending);
	}
	close(f->fd);
	f->fd = fd;
	f->ino = st.st_ino;
	f->dev = st.st_dev;
	f->pending_durable = false;
	return 0;
}

static bool
is_our_file(const struct sl_file *f, const char *path, int *error)
{
	struct stat st;

	*error = 0;
	if (sl_ops.lstat(path, &st) < 0) {
		*error = errno;
		return false;
	}
	return st.st_ino == f->ino && st.st_dev == f->dev;
}

/* Is there still a working file to be unlinked? Its device may have another number since it was mounted anew. */
static bool
pending_is_left(const struct sl_file *f)
{
	struct stat st;

	return !f->renamed && sl_ops.lstat(f->pending, &st) == 0 && st.st_ino == f->ino;
}

static int
link_or_rename(const struct sl_file *f, bool *renamed)
{
	int rc;

	*renamed = false;
	rc = SL_OP(PUBLISH_LINK, link(f->pending, f->final));
	if (rc == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
		return -errno;
	/* exFAT, CIFS, many FUSE file systems have no hard links */
	if (sl_ops.rename_noreplace(f->pending, f->final) == 0) {
		*renamed = true;
		return 0;
	}
	return -errno;
}

static int
journal_intent(struct sl_target *t, const struct sl_file *f)
{
	struct sl_open_file *o = &t->intent;

	if (!t->journal)
		return 0;
	sl_file_describe(f, o);
	return sl_journal_intent(t->journal, o, f->final, &f->after);
}

/* Choose the final name and give it to the file. */
static int
name_file(struct sl_job *job, bool *renamed)
{
	struct sl_file *f = job->file;
	struct sl_target *t = job->target;
	const struct sl_target_config *cfg = sl_file_config(f);
	uint64_t start = cfg->split_time ? f->begin : f->first_ts;
	uint64_t end = cfg->split_time ? f->end : f->last_ts;
	bool known = false;
	int rc, err;

	for (; f->copy < COPIES_MAX; f->copy++) {
		rc = sl_name_final(cfg, start, end, f->part, f->copy, f->final);
		if (rc < 0)
			return sl_job_fail(job, rc, "name of a file for", cfg->path);
		if (f->copy == 0) {
			if (strcmp(f->final, t->last_base) == 0 && t->last_copy > 0) {
				/* the numbers below are taken: this target took them */
				f->copy = t->last_copy;
				continue;
			}
			if (strcmp(f->final, t->last_base) != 0) {
				snprintf(t->last_base, sizeof(t->last_base), "%s", f->final);
				t->last_copy = 0;
			}
		}
		known = is_our_file(f, f->final, &err);
		if (known)
			break; /* linked by an attempt before this one */
		if (err == 0)
			continue;
		if (err != ENOENT)
			return sl_job_fail(job, -err, "lstat", f->final);
		sl_crash_before(SL_POINT_PUBLISH_INTENT);
		rc = journal_intent(t, f);
		if (rc < 0)
			return sl_job_fail(job, rc, "journal", sl_journal_path(t->journal));
		sl_crash_after(SL_POINT_PUBLISH_INTENT);
		rc = link_or_rename(f, renamed);
		if (rc == 0)
			break;
		if (rc != -EEXIST)
			return sl_job_fail(job, rc, "link", f->final);
		/* over NFS: linked, but the answer was lost with the server, and the request was sent again */
		if (is_our_file(f, f->final, &err))
			break;
	}
	if (f->copy >= COPIES_MAX)
		return sl_job_fail(job, -EEXIST, "link", f->final);
	t->last_copy = f->copy;
	return 0;
}

/* Whoever finds its bytes after a power loss does so by this name. Once a file: names do not become less durable. */
static int
keep_pending(struct sl_job *job, enum sl_point point)
{
	struct sl_file *f = job->file;
	char dir[SL_PATH_MAX];
	int rc;

	if (f->pending_durable)
		return 0;
	sl_op_dirname(f->pending, dir, sizeof(dir));
	rc = sl_op_fsync_dir(point, dir);
	if (rc < 0)
		return sl_job_fail(job, rc, "fsync", dir);
	f->pending_durable = true;
	return 0;
}

/* Before the name: its bytes, its owner and its working name are on the disk. */
static int
make_durable(struct sl_job *job)
{
	struct sl_file *f = job->file;
	const struct sl_target_config *cfg = sl_file_config(f);
	int rc, err;

	if (SL_OP(PUBLISH_TRUNCATE, ftruncate(f->fd, (off_t)f->size)) < 0)
		return sl_job_fail(job, -errno, "ftruncate", f->pending);
	if (cfg->owner_user && SL_OP(PUBLISH_CHOWN, fchown(f->fd, cfg->owner_uid, cfg->owner_gid)) < 0)
		return sl_job_fail(job, -errno, "fchown", f->pending);
	if (sl_op_fsync(SL_POINT_PUBLISH_FSYNC, f->fd) < 0)
		return sl_job_fail(job, -errno, "fsync", f->pending);
	if (!is_our_file(f, f->pending, &err)) {
		/* reported once, before anything is done about it */
		if (!job->retry)
			return sl_job_fail(job, err ? -err : -ESTALE, "working file", f->pending);
		rc = rescue(job);
		if (rc < 0)
			return rc;
	}
	return keep_pending(job, SL_POINT_PUBLISH_FSYNC_DIR);
}

int
sl_job_settle_unlinked(struct sl_job *job, const char *except)
{
	struct sl_target *t = job->target;
	int rc;

	if (!t->unlinked_dir[0] || strcmp(t->unlinked_dir, except) == 0)
		return 0;
	rc = sl_op_fsync_dir(SL_POINT_PUBLISH_FSYNC_GONE, t->unlinked_dir);
	if (rc < 0 && rc != -ENOENT)
		return sl_job_fail(job, rc, "fsync", t->unlinked_dir);
	t->unlinked_dir[0] = '\0';
	return 0;
}

/* Behind the name: it is durable, then the working name goes. */
static int
finish_name(struct sl_job *job)
{
	struct sl_file *f = job->file;
	char dir[SL_PATH_MAX];
	int rc;

	sl_op_dirname(f->final, dir, sizeof(dir));
	rc = sl_op_fsync_dir(SL_POINT_PUBLISH_FSYNC_NAME, dir);
	if (rc < 0)
		return sl_job_fail(job, rc, "fsync", dir);
	rc = sl_job_settle_unlinked(job, dir);
	if (rc < 0)
		return rc;
	/* not before: the descriptor is what saves the bytes if the directory goes away. And not later: NFS and FUSE
	 * rename a file that is open instead of unlinking it */
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->renamed)
		return 0;
	if (SL_OP(PUBLISH_UNLINK, unlink(f->pending)) < 0) {
		if (errno != ENOENT)
			return sl_job_fail(job, -errno, "unlink", f->pending);
		/* it is gone; or the whole file system is, and will come back with it */
		rc = sl_job_check_mount(job);
		if (rc < 0)
			return rc;
	}
	snprintf(job->target->unlinked_dir, sizeof(job->target->unlinked_dir), "%s", dir);
	return 0;
}

void
sl_job_publish(struct sl_job *job)
{
	struct sl_file *f = job->file;
	struct sl_target *t = job->target;
	bool renamed = false;
	uint64_t step;
	int rc, err;

	if (sl_job_check_mount(job) < 0)
		return;
	if (job->retry && !f->named && f->fd >= 0 && sl_file_reopen(job) < 0)
		return;
	/* it had its name, but the directory went away before that was durable */
	if (f->named && f->fd >= 0 && !is_our_file(f, f->final, &err))
		f->named = false;
	if (!f->named) {
		if (make_durable(job) < 0 || name_file(job, &renamed) < 0)
			return;
		f->named = true;
		f->renamed = renamed;
	}
	if (f->fd >= 0 || pending_is_left(f)) {
		if (finish_name(job) < 0)
			return;
	}
	sl_crash_before(SL_POINT_PUBLISH_DONE);
	rc = sl_journal_done(t->journal, &f->after);
	if (rc < 0) {
		sl_job_fail(job, rc, "journal", sl_journal_path(t->journal));
		return;
	}
	sl_crash_after(SL_POINT_PUBLISH_DONE);
	/* the next file will be about as large */
	step = (f->size + STEP_MIN) / STEP_MIN * STEP_MIN;
	t->step = step > STEP_MAX ? STEP_MAX : step;
}

void
sl_job_checkpoint(struct sl_job *job)
{
	struct sl_target *t = job->target;
	struct sl_file *f = job->file;
	int rc;

	if (f) {
		if (job->retry && sl_file_reopen(job) < 0)
			return;
		if (sl_op_fsync(SL_POINT_CHECKPOINT_FSYNC, f->fd) < 0) {
			sl_job_fail(job, -errno, "fsync", f->pending);
			return;
		}
		if (keep_pending(job, SL_POINT_CHECKPOINT_FSYNC_DIR) < 0)
			return;
	}
	if (sl_job_settle_unlinked(job, "") < 0)
		return;
	sl_crash_before(SL_POINT_CHECKPOINT_APPEND);
	rc = sl_journal_checkpoint(t->journal, &t->ckpt);
	if (rc < 0) {
		sl_job_fail(job, rc, "journal", sl_journal_path(t->journal));
		return;
	}
	sl_crash_after(SL_POINT_CHECKPOINT_APPEND);
}
