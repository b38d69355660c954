/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "resume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mount.h"
#include "ops.h"
#include "zone.h"

#define LOCK_TRIES 500
#define LOCK_PAUSE_US 10000
#define PROBE_SECONDS 2

/* ---------------------------------------------------------------- settling: files, in any thread but an lcore */

/* The file of this name with this inode, or -errno. Device numbers are not compared: they change with a mount. */
static int
open_same(const char *path, uint64_t ino)
{
	struct stat st;
	int fd = sl_ops.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd < 0)
		return -errno;
	if (sl_ops.fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == ino)
		return fd;
	close(fd);
	return -ESTALE;
}

static bool
is_inode(const char *path, uint64_t ino)
{
	struct stat st;

	return sl_ops.lstat(path, &st) == 0 && st.st_ino == ino;
}

/* Writes of a push that was killed may still be under way; they hold its lock until they are done. */
static int
wait_for_lock(int fd)
{
	unsigned int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (sl_ops.flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0; /* a file system without locks */
		usleep(LOCK_PAUSE_US);
	}
	return -EBUSY;
}

static int
take_file(struct sl_job *job, const struct sl_open_file *o, int fd)
{
	struct sl_recovery *r = &job->target->recovery;
	struct stat st;
	int rc = wait_for_lock(fd);

	if (rc < 0)
		return sl_job_fail(job, rc, "lock", o->pending);
	if (sl_ops.fstat(fd, &st) < 0)
		return sl_job_fail(job, -errno, "fstat", o->pending);
	if ((uint64_t)st.st_size < o->size)
		return -ESTALE;
	if (SL_OP(RESUME_TRUNCATE, ftruncate(fd, (off_t)o->size)) < 0)
		return sl_job_fail(job, -errno, "ftruncate", o->pending);
	r->tail = (uint32_t)(o->size % SL_BLOCK_ALIGN);
	if (r->tail &&
		sl_ops.pread(fd, job->target->ckpt_page, r->tail, (off_t)(o->size - r->tail)) != (ssize_t)r->tail)
		return sl_job_fail(job, errno ? -errno : -EIO, "read", o->pending);
	r->file = *o;
	r->fd = fd;
	r->dev = st.st_dev;
	return 0;
}

/* Go on with the working file, or from its start if it is gone. */
static int
reopen(struct sl_job *job, const struct sl_open_file *o)
{
	struct sl_target *t = job->target;
	int fd = open_same(o->pending, o->ino);
	int rc;

	if (fd >= 0) {
		rc = take_file(job, o, fd);
		if (rc != -ESTALE)
			return rc;
		close(fd);
	} else if (fd != -ENOENT && fd != -ESTALE && fd != -ELOOP) {
		return sl_job_fail(job, fd, "open", o->pending);
	}
	WLOG(WARNING, "target \"%s\": %s is gone; its packets are taken from the store again\n", t->cfg->desc,
		o->pending);
	t->recovery.mark = o->start;
	t->recovery.rewrite = true;
	return 0;
}

static int
settle_intent(struct sl_job *job, const struct sl_journal_state *s)
{
	struct sl_target *t = job->target;
	struct sl_recovery *r = &t->recovery;
	const struct sl_open_file *o = &s->intent.file;
	char dir[SL_PATH_MAX];
	int rc;

	r->mark = s->intent.mark;
	if (is_inode(s->intent_final, o->ino)) {
		sl_op_dirname(s->intent_final, dir, sizeof(dir));
		rc = sl_op_fsync_dir(SL_POINT_RESUME_FSYNC_NAME, dir);
		if (rc < 0)
			return sl_job_fail(job, rc, "fsync", dir);
		rc = sl_job_settle_unlinked(job, dir);
		if (rc < 0)
			return rc;
		if (is_inode(o->pending, o->ino) && SL_OP(RESUME_UNLINK, unlink(o->pending)) < 0)
			return sl_job_fail(job, -errno, "unlink", o->pending);
		snprintf(t->unlinked_dir, sizeof(t->unlinked_dir), "%s", dir);
		rc = sl_journal_done(t->journal, &r->mark);
		return rc < 0 ? sl_job_fail(job, rc, "journal", sl_journal_path(t->journal)) : 0;
	}
	rc = reopen(job, o);
	r->closed = rc == 0 && !r->rewrite;
	return rc;
}

static int
settle_checkpoint(struct sl_job *job, const struct sl_journal_state *s)
{
	const struct sl_open_file *o = &s->at.file;

	job->target->recovery.mark = s->at.mark;
	if (!o->present)
		return 0;
	return reopen(job, o);
}

/* Working files begun after the checkpoint: their packets come again. */
static void
remove_leftovers(struct sl_target *t, const struct sl_journal_state *s)
{
	const struct sl_recovery *r = &t->recovery;
	size_t i;

	for (i = 0; i < s->open_count; i++) {
		int fd;

		if (r->fd >= 0 && strcmp(s->opens[i], r->file.pending) == 0)
			continue;
		fd = sl_ops.open(s->opens[i], O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
		if (fd < 0)
			continue;
		/* locked by a living push: not ours after all */
		if (wait_for_lock(fd) == 0)
			(void)SL_OP(RESUME_UNLINK, unlink(s->opens[i]));
		close(fd);
	}
}

/* Power was lost between the unlink of the newest file's working name and its way to the disk. */
static void
remove_done(struct sl_target *t, const struct sl_journal_state *s)
{
	if (!s->done_pending[0])
		return;
	if (is_inode(s->done_pending, s->done_ino))
		(void)SL_OP(RESUME_UNLINK, unlink(s->done_pending));
	sl_op_dirname(s->done_pending, t->unlinked_dir, sizeof(t->unlinked_dir));
}

static int
settle(struct sl_job *job)
{
	struct sl_target *t = job->target;
	struct sl_recovery *r = &t->recovery;
	const struct sl_journal_state *s = sl_journal_state(t->journal);
	int rc = 0;

	r->fd = -1;
	r->closed = r->rewrite = false;
	r->have = s->has_mark || s->has_intent;
	r->changed = s->has_config && !sl_journal_same_config(&s->config, t->cfg);
	/* before the journal knows a newer one */
	remove_done(t, s);
	if (s->has_intent)
		rc = settle_intent(job, s);
	else if (s->has_mark)
		rc = settle_checkpoint(job, s);
	if (rc < 0)
		goto err;
	remove_leftovers(t, s);
	if (r->changed) {
		/* windows and parts of the old definition mean nothing to the new one */
		memset(&r->mark.window, 0, sizeof(r->mark.window));
		r->mark.emitted = r->mark.part_begin = 0;
		r->mark.part = 0;
		r->rewrite = r->have && r->fd < 0;
		WLOG(NOTICE, "target \"%s\": its definition has changed; what was open is closed under the old one\n",
			t->cfg->desc);
		/* its names are made from a zone that this process may not have loaded */
		(void)sl_zone_get(s->config.time_zone);
	}
	if (r->rewrite) {
		struct sl_checkpoint *c = &t->ckpt;

		c->mark = r->mark;
		c->file.present = false;
		rc = sl_journal_checkpoint(t->journal, c);
	}
	if (rc == 0 && (r->changed || !s->has_config))
		rc = sl_journal_define(t->journal, t->cfg, r->fd >= 0);
	if (rc == 0)
		return 0;
	rc = sl_job_fail(job, rc, "journal", sl_journal_path(t->journal));
err:
	/* it is tried again from the start, and then the lock on the working file must be free */
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	return rc;
}

void
sl_job_adopt(struct sl_job *job)
{
	if (sl_job_check_mount(job) < 0)
		return;
	(void)settle(job);
}

/* ---------------------------------------------------------------- going on */

static bool
same_position(const struct sl_position *a, const struct sl_position *b)
{
	return sl_position_cmp(a, b) == 0;
}

static void
fill_file(struct sl_target *t, struct sl_file *f)
{
	const struct sl_recovery *r = &t->recovery;
	const struct sl_open_file *o = &r->file;

	memset(f, 0, offsetof(struct sl_file, pending));
	f->target = t;
	f->queue_tail = &f->queue;
	f->seq = o->seq;
	f->begin = o->begin;
	f->end = o->end;
	f->part = o->part;
	f->link_type = o->link_type;
	f->snap_len = o->snap_len;
	f->first_ts = o->first_ts;
	f->last_ts = o->last_ts;
	f->packets = o->packets;
	f->late = o->late;
	f->size = o->size;
	f->start = o->start;
	f->opened_ns = t->writer->now;
	f->open = f->announced = true;
	f->fd = r->fd;
	f->ino = o->ino;
	f->dev = r->dev;
	f->allocated = o->size;
	f->preallocate = true;
	f->config = r->changed ? &sl_journal_state(t->journal)->config : t->cfg;
	f->final[0] = '\0';
	snprintf(f->pending, sizeof(f->pending), "%s", o->pending);
	sl_file_set_direct(f);
}

void
sl_resume_apply(struct sl_target *t)
{
	struct sl_recovery *r = &t->recovery;
	struct sl_mark mark = r->mark;
	bool moved = !r->have || !same_position(&r->first, &r->promised);
	struct sl_file *f;

	if (moved) {
		/* the store has lost that place, or there was none: go on where the caller says */
		mark.position = r->first;
		memset(&mark.window, 0, sizeof(mark.window));
		memset(&mark.capture, 0, sizeof(mark.capture));
	}
	sl_target_set_mark(t, &mark);
	t->journaled = !moved;
	t->ckpt_mark = t->next;
	if (r->fd < 0)
		return;
	f = t->free_files;
	t->free_files = f->next;
	fill_file(t, f);
	r->fd = -1;
	t->cur = f;
	if (t->seq <= f->seq)
		t->seq = f->seq + 1;
	if (moved || r->closed || r->changed || t->leaving) {
		f->cur_offset = f->size;
		sl_file_close(t, &mark);
		return;
	}
	f->cur_offset = f->size - r->tail;
	if (r->tail) {
		f->size -= r->tail;
		sl_file_append(f, t->ckpt_page, r->tail);
	}
}

void
sl_resume_start(struct sl_target *t, const struct sl_position *first)
{
	struct sl_recovery *r = &t->recovery;

	r->first = *first;
	if (!t->journal) {
		t->next = *first;
		return;
	}
	if (r->deferred) {
		t->next = *first;
		return;
	}
	sl_resume_apply(t);
}

bool
sl_writers_resume(const struct sl_writers *writers, unsigned int t, struct sl_resume *resume)
{
	const struct sl_recovery *r = &writers->targets[t].recovery;

	if (!writers->targets[t].journal || !r->have)
		return false;
	resume->capture = r->mark.capture;
	resume->position = r->promised;
	return true;
}

/* ---------------------------------------------------------------- the directory */

static int
lock_dir(struct sl_writers *all, char *errbuf)
{
	const char *dir = all->params.state_dir;
	char path[SL_PATH_MAX], pid[32] = "";
	ssize_t n;
	int rc = sl_op_mkdirs(dir, "");

	if (rc < 0) {
		sl_error_text(errbuf, "state directory %s: %s; make it, or name another one with --state-dir", dir,
			strerror(-rc));
		return rc;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/lock", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	all->state_lock = sl_ops.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (all->state_lock < 0) {
		rc = -errno;
		sl_error_text(errbuf, "%s: %s; make its directory writable, or name another one with --state-dir", path,
			strerror(-rc));
		return rc;
	}
	if (sl_ops.flock(all->state_lock, LOCK_EX | LOCK_NB) < 0) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		n = sl_ops.pread(all->state_lock, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		if (rc == -EBUSY)
			sl_error_text(errbuf,
				"state directory %s is in use by another push (process %s); give each push its own "
				"--state-dir",
				dir, pid[0] ? pid : "unknown");
		else
			sl_error_text(errbuf, "%s: lock: %s", path, strerror(-rc));
		return rc;
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (sl_ops.ftruncate(all->state_lock, 0) == 0)
		(void)!sl_ops.write(all->state_lock, pid, (size_t)n);
	return 0;
}

/* What became of its files is to be seen and settled by SL_JOB_ADOPT. */
static void
put_off(struct sl_target *t)
{
	const struct sl_journal_state *s = sl_journal_state(t->journal);
	struct sl_recovery *r = &t->recovery;

	r->deferred = true;
	r->have = s->has_mark || s->has_intent;
	r->mark = s->has_intent ? s->intent.mark : s->at.mark;
	r->promised = r->mark.position;
	r->file = s->has_intent ? s->intent.file : s->at.file;
}

/*
 * What became of its files cannot be seen or settled yet. That is this target's trouble alone: it begins as one that
 * fails, with the reason in its job, and is tried again.
 */
static void
defer(struct sl_target *t, int error)
{
	t->chain.result = error;
	put_off(t);
}

static bool
touches_files(const struct sl_journal_state *s)
{
	return s->has_mark || s->has_intent || s->open_count || s->done_pending[0];
}

int
sl_resume_open_added(struct sl_target *t, char *errbuf)
{
	struct sl_job *job = &t->chain;
	int rc;

	t->recovery.fd = -1;
	rc = sl_journal_open(t->writers->params.state_dir, t->cfg->file_desc, &t->journal, errbuf);
	if (rc < 0)
		return rc;
	if (touches_files(sl_journal_state(t->journal))) {
		put_off(t);
		return 0;
	}
	job->target = t;
	rc = settle(job);
	if (rc < 0)
		sl_error_text(
			errbuf, "target \"%s\": %s %.512s: %s", t->cfg->desc, job->what, job->path, strerror(-rc));
	return rc;
}

int
sl_resume_archive(const struct sl_writers *all, const char *file_desc, char *errbuf)
{
	char from[SL_PATH_MAX], to[SL_PATH_MAX + 64], when[32];
	time_t now = time(NULL);
	unsigned int copy;
	struct tm tm;
	int rc;

	if (!all->params.state_dir)
		return 0;
	snprintf(from, sizeof(from), "%s/%s.journal", all->params.state_dir, file_desc);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	for (copy = 0;; copy++) {
		snprintf(to, sizeof(to), copy ? "%s.removed-%s_%u" : "%s.removed-%s", from, when, copy);
		if (sl_ops.rename_noreplace(from, to) == 0)
			break;
		if (errno == ENOENT)
			return 0; /* it never had one */
		if (errno == EEXIST && copy < 1000)
			continue;
		rc = -errno;
		sl_error_text(errbuf, "%.2048s: cannot be renamed to .removed-%s: %s", from, when, strerror(-rc));
		return rc;
	}
	return sl_op_fsync_dir(SL_POINT_ARCHIVE_FSYNC_DIR, all->params.state_dir);
}

struct probe {
	sem_t done;
	_Atomic int owners; /* the thread may outlive the wait for it */
	char path[SL_PATH_MAX];
};

static void
leave_probe(struct probe *p)
{
	if (atomic_fetch_sub(&p->owners, 1) > 1)
		return;
	sem_destroy(&p->done);
	free(p);
}

static void *
probe_main(void *arg)
{
	struct probe *p = arg;
	int fd = sl_ops.open(p->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd >= 0)
		close(fd);
	sem_post(&p->done);
	leave_probe(p);
	return NULL;
}

/* Does the file system answer? What is settled here, before the start, would hold up all targets. */
static bool
answers(const char *path)
{
	struct probe *p = calloc(1, sizeof(*p));
	struct timespec until;
	pthread_t thread;
	int rc;

	if (!p)
		return true;
	snprintf(p->path, sizeof(p->path), "%s", path);
	p->owners = 2;
	sem_init(&p->done, 0, 0);
	if (pthread_create(&thread, NULL, probe_main, p) != 0) {
		p->owners = 1;
		leave_probe(p);
		return true;
	}
	pthread_detach(thread);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PROBE_SECONDS;
	do
		rc = sem_clockwait(&p->done, CLOCK_MONOTONIC, &until);
	while (rc < 0 && errno == EINTR);
	leave_probe(p);
	return rc == 0;
}

/* @return 0; -ENODEV or -ETIME: it cannot be settled now, see the job */
static int
look_before(struct sl_target *t, const struct sl_journal_state *s)
{
	const struct sl_open_file *o = s->has_intent ? &s->intent.file : &s->at.file;
	const char *path = o->present ? o->pending : s->open_count ? s->opens[s->open_count - 1] : NULL;

	if (!s->has_mark && !s->has_intent && !s->open_count)
		return 0;
	if (t->mount[0] && !sl_mount_is_mounted(t->mount))
		return sl_job_fail(&t->chain, -ENODEV, "mount point", t->mount);
	if (!path)
		return 0;
	/* one wait for each mount, however many targets it has */
	if (!t->endpoint->silent && answers(path))
		return 0;
	t->endpoint->silent = true;
	return sl_job_fail(&t->chain, -ETIME, "open", path);
}

static int
open_target(struct sl_target *t, char *errbuf)
{
	const struct sl_journal_state *s;
	struct sl_recovery *r = &t->recovery;
	struct sl_job *job;
	int rc;

	r->fd = -1;
	rc = sl_journal_open(t->writers->params.state_dir, t->cfg->file_desc, &t->journal, errbuf);
	if (rc < 0)
		return rc;
	s = sl_journal_state(t->journal);
	job = &t->chain;
	job->target = t;
	rc = look_before(t, s);
	if (rc < 0) {
		defer(t, rc);
		return 0;
	}
	rc = settle(job);
	if (rc < 0) {
		if (strcmp(job->what, "journal") == 0) {
			sl_error_text(errbuf, "target \"%s\": cannot resume: %s %.512s: %s", t->cfg->desc, job->what,
				job->path, strerror(-rc));
			return rc;
		}
		defer(t, rc);
		return 0;
	}
	r->promised = r->mark.position;
	return 0;
}

/* A target that is no longer configured may have left a working file. */
static void
warn_orphans(const struct sl_writers *all)
{
	struct dirent *e;
	DIR *dir = opendir(all->params.state_dir);
	unsigned int i;

	while (dir && (e = readdir(dir)) != NULL) {
		char *dot = strrchr(e->d_name, '.');

		if (!dot || strcmp(dot, ".journal") != 0)
			continue;
		*dot = '\0';
		for (i = 0; i < all->target_count; i++)
			if (strcmp(all->targets[i].cfg->file_desc, e->d_name) == 0)
				break;
		if (i == all->target_count)
			WLOG(WARNING, "%s/%s.journal: no such target is configured; a working file of it may be left\n",
				all->params.state_dir, e->d_name);
	}
	if (dir)
		closedir(dir);
}

int
sl_resume_open(struct sl_writers *all, char *errbuf)
{
	unsigned int i;
	int rc = lock_dir(all, errbuf);

	if (rc < 0)
		return rc;
	warn_orphans(all);
	for (i = 0; i < all->target_count; i++) {
		rc = open_target(&all->targets[i], errbuf);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void
sl_resume_close(struct sl_writers *all)
{
	if (all->state_lock >= 0)
		close(all->state_lock);
}
