/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal_line.h"
#include "ops.h"
#include "target.h"

#define COMPACT_BYTES (UINT64_C(1) << 20)
#define HEADER "sluice-journal"
#define VERSION 1
#define NO_FSYNC SL_POINTS

struct sl_journal {
	pthread_mutex_t lock; /* the next file may be opened while one is published */
	int fd;
	uint64_t size; /* bytes of whole lines */
	bool torn; /* a failed write may have left something behind them */
	uint64_t summary; /* bytes of the newest summary */
	bool define_later;
	struct sl_target_config next_config; /* not owned: the target's */
	struct sl_line line;
	struct sl_journal_state state;
	char path[SL_PATH_MAX];
	char dir[SL_PATH_MAX];
};

const char *
sl_journal_path(const struct sl_journal *j)
{
	return j ? j->path : "";
}

const struct sl_journal_state *
sl_journal_state(const struct sl_journal *j)
{
	return &j->state;
}

/* ---------------------------------------------------------------- what the lines add up to */

static int
opens_add(struct sl_journal_state *s, const char *name)
{
	char **opens;
	size_t i;

	for (i = 0; i < s->open_count; i++)
		if (strcmp(s->opens[i], name) == 0)
			return 0;
	opens = realloc(s->opens, (s->open_count + 1) * sizeof(*opens));
	if (!opens)
		return -ENOMEM;
	s->opens = opens;
	opens[s->open_count] = strdup(name);
	if (!opens[s->open_count])
		return -ENOMEM;
	s->open_count++;
	return 0;
}

static void
opens_remove(struct sl_journal_state *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->open_count; i++)
		if (strcmp(s->opens[i], name) == 0) {
			free(s->opens[i]);
			s->opens[i] = s->opens[--s->open_count];
			return;
		}
}

static void
state_done(struct sl_journal_state *s, const struct sl_mark *after)
{
	if (s->has_intent) {
		snprintf(s->done_pending, sizeof(s->done_pending), "%s", s->intent.file.pending);
		s->done_ino = s->intent.file.ino;
		opens_remove(s, s->intent.file.pending);
	}
	s->has_intent = false;
	s->has_mark = true;
	s->at.mark = *after;
	s->at.file.present = false;
}

static int
apply(struct sl_journal_state *s, const char *type, const char *rest)
{
	char name[SL_PATH_MAX];
	struct sl_mark mark;
	int rc;

	if (strcmp(type, "def") == 0) {
		struct sl_target_config config;

		rc = sl_line_get_config(rest, &config);
		if (rc < 0)
			return rc;
		sl_line_free_config(&s->config);
		s->config = config;
		s->has_config = true;
		return 0;
	}
	if (strcmp(type, "open") == 0) {
		rc = sl_line_get_text(rest, "pending", name, sizeof(name));
		return rc < 0 ? rc : opens_add(s, name);
	}
	if (strcmp(type, "ckpt") == 0) {
		rc = sl_line_get_mark(rest, "mark", &s->at.mark);
		if (rc == 0)
			rc = sl_line_get_file(rest, &s->at.file);
		s->has_mark = rc == 0;
		s->has_intent = false;
		return rc;
	}
	if (strcmp(type, "intent") == 0) {
		rc = sl_line_get_mark(rest, "mark", &s->intent.mark);
		if (rc == 0)
			rc = sl_line_get_file(rest, &s->intent.file);
		if (rc == 0)
			rc = sl_line_get_text(rest, "final", s->intent_final, sizeof(s->intent_final));
		s->has_intent = rc == 0;
		return rc;
	}
	if (strcmp(type, "done") == 0) {
		rc = sl_line_get_mark(rest, "mark", &mark);
		if (rc == 0)
			state_done(s, &mark);
		return rc;
	}
	if (strcmp(type, "last") == 0) {
		rc = sl_line_get_text(rest, "pending", s->done_pending, sizeof(s->done_pending));
		return rc < 0 ? rc : sl_line_get_number(rest, "ino", &s->done_ino);
	}
	return -EPROTO;
}

/* ---------------------------------------------------------------- writing */

/* The fields of each kind of line: as it is appended, and as a summary repeats it. */

static void
put_config(struct sl_line *line, const struct sl_target_config *config)
{
	sl_line_begin(line, "def");
	sl_line_config(line, config);
}

static void
put_open(struct sl_line *line, const char *pending)
{
	sl_line_begin(line, "open");
	sl_line_text(line, "pending", pending);
}

static void
put_checkpoint(struct sl_line *line, const struct sl_checkpoint *checkpoint)
{
	sl_line_begin(line, "ckpt");
	sl_line_mark(line, "mark", &checkpoint->mark);
	if (checkpoint->file.present)
		sl_line_file(line, &checkpoint->file);
}

static void
put_intent(struct sl_line *line, const struct sl_mark *after, const char *final, const struct sl_open_file *file)
{
	sl_line_begin(line, "intent");
	sl_line_mark(line, "mark", after);
	sl_line_text(line, "final", final);
	sl_line_file(line, file);
}

/*
 * Someone removed the journal, perhaps with its directory: what went into it now would be lost, and all files would be
 * written again after a restart. Its state is known here, so it is made anew.
 */
static int
make_again_if_removed(struct sl_journal *j)
{
	struct stat st;
	int rc;

	if (j->fd < 0 || sl_ops.lstat(j->path, &st) == 0 || errno != ENOENT)
		return 0;
	rc = sl_op_mkdirs(j->dir, "");
	if (rc == 0)
		rc = sl_journal_compact(j);
	if (rc == 0)
		WLOG(WARNING, "%s was removed while in use; it is written again\n", j->path);
	return rc;
}

/* @param sync  point of the fsync that makes it durable, with all before it; NO_FSYNC: a later one will do */
static int
append(struct sl_journal *j, enum sl_point sync)
{
	int rc = sl_line_end(&j->line);

	if (rc == 0)
		rc = make_again_if_removed(j);
	if (rc < 0)
		return rc;
	/* an append that failed must not leave half a line in the middle */
	if (j->torn) {
		if (sl_ops.ftruncate(j->fd, (off_t)j->size) < 0)
			return -errno;
		j->torn = false;
	}
	sl_crash_before(SL_POINT_JOURNAL_WRITE);
	j->torn = true;
	if (sl_crash_armed) {
		size_t half = j->line.len / 2;

		rc = sl_op_write_all(j->fd, j->line.text, half);
		sl_crash_before(SL_POINT_JOURNAL_TORN);
		if (rc == 0)
			rc = sl_op_write_all(j->fd, j->line.text + half, j->line.len - half);
		sl_crash_after(SL_POINT_JOURNAL_TORN);
	} else {
		rc = sl_op_write_all(j->fd, j->line.text, j->line.len);
	}
	sl_crash_after(SL_POINT_JOURNAL_WRITE);
	if (rc < 0)
		return rc;
	if (sync != NO_FSYNC && sl_op_fsync(sync, j->fd) < 0)
		return -errno;
	j->torn = false;
	j->size += j->line.len;
	return 0;
}

static int
maybe_compact(struct sl_journal *j)
{
	if (j->size < j->summary + COMPACT_BYTES)
		return 0;
	return sl_journal_compact(j);
}

static int
define_now(struct sl_journal *j, const struct sl_target_config *config)
{
	char *type, *rest;
	int rc;

	/* no fsync: until the checkpoint or intent that follows, nothing depends on it */
	put_config(&j->line, config);
	rc = append(j, NO_FSYNC);
	if (rc < 0)
		return rc;
	if (sl_line_check(j->line.text, j->line.len, &type, &rest) == 0)
		return -EINVAL;
	return apply(&j->state, type, rest);
}

static int
add_define(struct sl_journal *j, const struct sl_target_config *config, bool after_done)
{
	j->define_later = after_done;
	j->next_config = *config;
	return after_done ? 0 : define_now(j, config);
}

int
sl_journal_define(struct sl_journal *j, const struct sl_target_config *config, bool after_done)
{
	int rc;

	if (!j)
		return 0;
	pthread_mutex_lock(&j->lock);
	rc = add_define(j, config, after_done);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int
add_open_intent(struct sl_journal *j, const char *pending)
{
	int rc;

	sl_crash_before(SL_POINT_OPEN_INTENT);
	put_open(&j->line, pending);
	rc = append(j, NO_FSYNC);
	sl_crash_after(SL_POINT_OPEN_INTENT);
	return rc < 0 ? rc : opens_add(&j->state, pending);
}

int
sl_journal_open_intent(struct sl_journal *j, const char *pending)
{
	int rc;

	if (!j)
		return 0;
	pthread_mutex_lock(&j->lock);
	rc = add_open_intent(j, pending);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int
add_intent(struct sl_journal *j, const struct sl_open_file *file, const char *final, const struct sl_mark *after)
{
	int rc;

	put_intent(&j->line, after, final, file);
	rc = append(j, SL_POINT_JOURNAL_FSYNC_INTENT);
	if (rc < 0)
		return rc;
	j->state.has_intent = true;
	j->state.intent.mark = *after;
	j->state.intent.file = *file;
	j->state.intent.file.present = true;
	snprintf(j->state.intent_final, sizeof(j->state.intent_final), "%s", final);
	return 0;
}

int
sl_journal_intent(struct sl_journal *j, const struct sl_open_file *file, const char *final, const struct sl_mark *after)
{
	int rc;

	if (!j)
		return 0;
	pthread_mutex_lock(&j->lock);
	rc = add_intent(j, file, final, after);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int
add_done(struct sl_journal *j, const struct sl_mark *after)
{
	int rc;

	sl_line_begin(&j->line, "done");
	sl_line_mark(&j->line, "mark", after);
	rc = append(j, NO_FSYNC);
	if (rc < 0)
		return rc;
	state_done(&j->state, after);
	if (j->define_later) {
		rc = define_now(j, &j->next_config);
		if (rc < 0)
			return rc;
		j->define_later = false;
	}
	return maybe_compact(j);
}

int
sl_journal_done(struct sl_journal *j, const struct sl_mark *after)
{
	int rc;

	if (!j)
		return 0;
	pthread_mutex_lock(&j->lock);
	rc = add_done(j, after);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int
add_checkpoint(struct sl_journal *j, const struct sl_checkpoint *checkpoint)
{
	int rc;

	put_checkpoint(&j->line, checkpoint);
	rc = append(j, SL_POINT_JOURNAL_FSYNC_CHECKPOINT);
	if (rc < 0)
		return rc;
	j->state.at = *checkpoint;
	j->state.has_mark = true;
	j->state.has_intent = false;
	return maybe_compact(j);
}

int
sl_journal_checkpoint(struct sl_journal *j, const struct sl_checkpoint *checkpoint)
{
	int rc;

	if (!j)
		return 0;
	pthread_mutex_lock(&j->lock);
	rc = add_checkpoint(j, checkpoint);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int
write_line(struct sl_line *line, int fd, uint64_t *size)
{
	int rc = sl_line_end(line);

	*size += line->len;
	return rc < 0 ? rc : sl_op_write_all(fd, line->text, line->len);
}

static int
write_summary(struct sl_journal *j, int fd, uint64_t *size)
{
	const struct sl_journal_state *s = &j->state;
	struct sl_line line = {0}; /* the journal's own may hold what is about to be appended */
	size_t i;
	int rc;

	*size = 0;
	sl_line_begin(&line, HEADER);
	sl_line_number(&line, "version", VERSION);
	rc = write_line(&line, fd, size);
	if (rc == 0 && s->has_config) {
		put_config(&line, &s->config);
		rc = write_line(&line, fd, size);
	}
	for (i = 0; rc == 0 && i < s->open_count; i++) {
		put_open(&line, s->opens[i]);
		rc = write_line(&line, fd, size);
	}
	if (rc == 0 && s->done_pending[0]) {
		sl_line_begin(&line, "last");
		sl_line_text(&line, "pending", s->done_pending);
		sl_line_number(&line, "ino", s->done_ino);
		rc = write_line(&line, fd, size);
	}
	if (rc == 0 && s->has_mark) {
		put_checkpoint(&line, &s->at);
		rc = write_line(&line, fd, size);
	}
	if (rc == 0 && s->has_intent) {
		put_intent(&line, &s->intent.mark, s->intent_final, &s->intent.file);
		rc = write_line(&line, fd, size);
	}
	sl_line_free(&line);
	return rc;
}

int
sl_journal_compact(struct sl_journal *j)
{
	char tmp[SL_PATH_MAX + 8];
	uint64_t size;
	int fd, rc;

	snprintf(tmp, sizeof(tmp), "%s.new", j->path);
	sl_crash_before(SL_POINT_JOURNAL_COMPACT);
	fd = sl_ops.open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	rc = write_summary(j, fd, &size);
	if (rc == 0 && sl_op_fsync(SL_POINT_JOURNAL_FSYNC_NEW, fd) < 0)
		rc = -errno;
	sl_crash_after(SL_POINT_JOURNAL_COMPACT);
	if (rc == 0 && SL_OP(JOURNAL_RENAME, rename(tmp, j->path)) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		(void)sl_ops.unlink(tmp);
		return rc;
	}
	if (j->fd >= 0)
		close(j->fd);
	j->fd = fd;
	j->size = j->summary = size;
	j->torn = false;
	return sl_op_fsync_dir(SL_POINT_JOURNAL_FSYNC_DIR, j->dir);
}

/* ---------------------------------------------------------------- reading */

static int
read_text(int fd, char **text, size_t *len)
{
	struct stat st;
	size_t done = 0;

	if (sl_ops.fstat(fd, &st) < 0)
		return -errno;
	*text = malloc((size_t)st.st_size + 1);
	if (!*text)
		return -ENOMEM;
	while (done < (size_t)st.st_size) {
		ssize_t n = sl_ops.pread(fd, *text + done, (size_t)st.st_size - done, (off_t)done);

		if (n < 0) {
			int error = errno;

			free(*text);
			*text = NULL;
			return error ? -error : -EIO;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*len = done;
	return 0;
}

static int
load(struct sl_journal *j, char *errbuf)
{
	char *text = NULL, *type, *rest;
	size_t len = 0, off = 0, good = 0, lines = 0, bad = 0, skipped = 0;
	int rc = read_text(j->fd, &text, &len);

	if (rc < 0) {
		sl_error_text(errbuf, "%s: %s", j->path, strerror(-rc));
		return rc;
	}
	while (off < len) {
		size_t n = sl_line_check(text + off, len - off, &type, &rest);
		uint64_t version;

		if (n == 0) {
			const char *end = lines ? memchr(text + off, '\n', len - off) : NULL;

			if (!end)
				break;
			/* damage, or what a power loss left at the end; each line behind it stands for itself */
			off = (size_t)(end - text) + 1;
			bad++;
			continue;
		}
		skipped += bad;
		bad = 0;
		if (lines++ == 0) {
			if (strcmp(type, HEADER) != 0 || sl_line_get_number(rest, "version", &version) < 0 ||
				version != VERSION)
				rc = -EPROTO;
		} else {
			rc = apply(&j->state, type, rest);
		}
		if (rc < 0) {
			sl_error_text(errbuf,
				"%s: line %zu is not understood; made by another version? Move it away to start afresh",
				j->path, lines + skipped);
			break;
		}
		off += n;
		good = off;
	}
	if (skipped)
		WLOG(WARNING,
			"%s: damaged in %zu of its lines, which are passed over; a file that was finished there may be "
			"written again\n",
			j->path, skipped);
	/* whatever follows the last good line was never acknowledged */
	if (rc == 0 && lines == 0 && len > 64) {
		sl_error_text(errbuf, "%s: not a sluice journal; move it away to start afresh", j->path);
		rc = -EPROTO;
	}
	j->size = good;
	j->torn = good < len;
	free(text);
	return rc;
}

int
sl_journal_open(const char *dir, const char *file_desc, struct sl_journal **journal, char *errbuf)
{
	struct sl_journal *j = calloc(1, sizeof(*j));
	int rc;

	*journal = NULL;
	if (!j) {
		sl_error_text(errbuf, "%s: %s", dir, strerror(ENOMEM));
		return -ENOMEM;
	}
	pthread_mutex_init(&j->lock, NULL);
	j->fd = -1;
	if ((size_t)snprintf(j->path, sizeof(j->path), "%s/%s.journal", dir, file_desc) >= sizeof(j->path)) {
		sl_error_text(errbuf, "state directory: %s", strerror(ENAMETOOLONG));
		rc = -ENAMETOOLONG;
		goto err;
	}
	snprintf(j->dir, sizeof(j->dir), "%s", dir);
	j->fd = sl_ops.open(j->path, O_RDWR | O_APPEND | O_CLOEXEC, 0);
	if (j->fd < 0 && errno != ENOENT) {
		rc = -errno;
		sl_error_text(errbuf, "%s: %s", j->path, strerror(-rc));
		goto err;
	}
	if (j->fd >= 0) {
		rc = load(j, errbuf);
		if (rc < 0)
			goto err;
		if (j->state.has_config && strcmp(j->state.config.file_desc, file_desc) != 0) {
			/* both targets would go on with one working file */
			sl_error_text(errbuf,
				"%s: this is the journal of target \"%.256s\"; move it away to start afresh", j->path,
				j->state.config.file_desc);
			rc = -EPROTO;
			goto err;
		}
	}
	/* begin with a summary: a header if it is new, no torn line, a known size */
	rc = sl_journal_compact(j);
	if (rc < 0) {
		sl_error_text(errbuf, "%s: %s", j->path, strerror(-rc));
		goto err;
	}
	*journal = j;
	return 0;
err:
	sl_journal_close(j);
	return rc;
}

void
sl_journal_close(struct sl_journal *j)
{
	size_t i;

	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	for (i = 0; i < j->state.open_count; i++)
		free(j->state.opens[i]);
	free(j->state.opens);
	sl_line_free_config(&j->state.config);
	sl_line_free(&j->line);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

bool
sl_journal_same_config(const struct sl_target_config *a, const struct sl_target_config *b)
{
	struct sl_line x = {0}, y = {0};
	struct sl_target_config c = *b;
	bool same;

	/* who owns a file does not change what it holds */
	c.file_desc = a->file_desc;
	c.owner_user = a->owner_user;
	c.owner_uid = a->owner_uid;
	c.owner_gid = a->owner_gid;
	sl_line_begin(&x, "def");
	sl_line_config(&x, a);
	sl_line_begin(&y, "def");
	sl_line_config(&y, &c);
	same = !x.failed && !y.failed && x.len == y.len && memcmp(x.text, y.text, x.len) == 0;
	sl_line_free(&x);
	sl_line_free(&y);
	return same;
}
