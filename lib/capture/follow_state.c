/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "follow_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sl_capture.h"

#define NAME_IN_STORE ".import-follow"
#define NAME_IN_DIR "import-follow"
/*
 * Space for lines to come: the store takes what is free ahead of its chunks, and on a full disk it could not go on
 * filling that if a line could not be written.
 */
#define AHEAD (1u << 20)
/* A committed chunk that cannot be read has no mark; the ones before it have. */
#define BAD_CHUNKS_MAX 4096u

/* ---------------------------------------------------------------- what is known */

/* @return index, or -ENOMEM */
static ssize_t
know(struct follow_state *state, const char *path, uint64_t ino, const struct follow_print *print)
{
	struct follow_known *known;

	for (size_t i = state->known_count; i-- > 0;) {
		known = &state->known[i];
		if (known->print.crc == print->crc && known->print.len == print->len && known->ino == ino &&
			!strcmp(known->path, path))
			return (ssize_t)i;
	}
	known = follow_grow(state->known, state->known_count, &state->known_room, sizeof(*known));
	if (known == NULL)
		return -ENOMEM;
	state->known = known;
	known += state->known_count;
	*known = (struct follow_known){.path = strdup(path), .ino = ino, .print = *print};
	if (known->path == NULL)
		return -ENOMEM;
	return (ssize_t)state->known_count++;
}

static int
add_run(struct follow_state *state, uint64_t begin, uint64_t offset, size_t known)
{
	struct follow_run *run = follow_grow(state->runs, state->run_count, &state->run_room, sizeof(*run));

	if (run == NULL)
		return -ENOMEM;
	state->runs = run;
	state->runs[state->run_count++] = (struct follow_run){begin, offset, known};
	return 0;
}

static int
add_capture(struct follow_state *state, uint64_t begin, const struct sl_uuid *uuid)
{
	struct follow_capture *capture =
		follow_grow(state->captures, state->capture_count, &state->capture_room, sizeof(*capture));

	if (capture == NULL)
		return -ENOMEM;
	state->captures = capture;
	state->captures[state->capture_count++] = (struct follow_capture){begin, *uuid};
	return 0;
}

static void
forget(struct follow_state *state)
{
	for (size_t i = 0; i < state->known_count; i++)
		free(state->known[i].path);
	state->known_count = state->run_count = state->capture_count = 0;
	state->base = 0;
	state->store[0] = '\0';
}

/* What runs say about bytes that lie before a position becomes what is known of their files. */
void
follow_state_fold(struct follow_state *state, uint64_t position)
{
	size_t kept = 0;

	for (size_t i = 0; i < state->run_count; i++) {
		const struct follow_run *run = &state->runs[i];
		uint64_t end = i + 1 < state->run_count ? state->runs[i + 1].begin : UINT64_MAX;

		if (run->begin < position)
			state->known[run->known].consumed =
				run->offset + ((end < position ? end : position) - run->begin);
		if (end > position)
			state->runs[kept++] = *run;
	}
	state->run_count = kept;
}

/* ---------------------------------------------------------------- lines */

void
follow_state_allocate(struct follow_state *state)
{
	if (state->size + AHEAD / 4 < state->allocated)
		return;
	if (fallocate(state->fd, FALLOC_FL_KEEP_SIZE, (off_t)state->size, AHEAD) == 0)
		state->allocated = state->size + AHEAD;
}

static int
append(struct follow_state *state, const char *line, int len, bool durable, char *errbuf)
{
	ssize_t n;
	int ret;

	follow_state_allocate(state);
	n = pwrite(state->fd, line, (size_t)len, (off_t)state->size);
	ret = n == len ? 0 : n < 0 ? -errno : -ENOSPC;

	if (ret == 0 && durable && fdatasync(state->fd) < 0)
		ret = -errno;
	if (ret < 0) {
		/* Half a line at the end is as good as none, but not under another line. */
		(void)!ftruncate(state->fd, (off_t)state->size);
		state->allocated = 0;
		return follow_state_fail(errbuf, ret,
			"%s: cannot be written: %s; without it a restart would not know what was imported, so it ends "
			"here",
			state->path, strerror(-ret));
	}
	state->size += (uint64_t)len;
	return 0;
}

/* @return 0; -EPROTO: not understood; -ENOMEM */
static int
take_line(struct follow_state *state, char *text)
{
	uint64_t a, b, ino;
	struct follow_print print;
	struct sl_uuid uuid;
	unsigned int version;
	char word[40];
	ssize_t known;
	int at = 0;

	if (sscanf(text, "follow %u %n", &version, &at) == 1 && at) {
		follow_unescape(text + at);
		snprintf(state->store, sizeof(state->store), "%s", text + at);
		return version == STATE_VERSION ? 0 : -EPROTO;
	}
	if (sscanf(text, "base %" SCNu64, &a) == 1) {
		/* All before it is in the store: what the runs say until here is final. */
		follow_state_fold(state, a);
		state->run_count = 0;
		state->capture_count = 0;
		state->base = a;
		return 0;
	}
	if (sscanf(text, "capture %" SCNu64 " %39s", &a, word) == 2)
		return sl_uuid_parse(word, &uuid) < 0 ? -EPROTO : add_capture(state, a, &uuid);
	/* clang-format off */
	if (sscanf(text, "file %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNx32 " %n",
		&a, &b, &ino, &print.len, &print.crc, &at) == 5 && at) {
		follow_unescape(text + at);
		known = know(state, text + at, ino, &print);
		if (known < 0)
			return (int)known;
		state->known[known].consumed = a;
		state->known[known].left = b;
		return 0;
	}
	if (sscanf(text, "run %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNx32 " %n",
		&a, &b, &ino, &print.len, &print.crc, &at) == 5 && at) {
		follow_unescape(text + at);
		known = know(state, text + at, ino, &print);
		if (known < 0)
			return (int)known;
		state->known[known].left = 0;
		return add_run(state, a, b, (size_t)known);
	}
	if (sscanf(text, "left %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNx32 " %n",
		&a, &ino, &print.len, &print.crc, &at) == 4 && at) {
		follow_unescape(text + at);
		known = know(state, text + at, ino, &print);
		if (known < 0)
			return (int)known;
		state->known[known].left = a;
		return 0;
	}
	/* clang-format on */
	return -EPROTO;
}

static int
load(struct follow_state *state, char *errbuf)
{
	unsigned int number = 0;
	char *text, *line, *end;
	uint64_t good = 0;
	struct stat st;
	ssize_t n;
	int ret = 0;

	if (fstat(state->fd, &st) < 0)
		return follow_state_fail(errbuf, -errno, "%s: %s", state->path, strerror(errno));
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return follow_state_fail(errbuf, -ENOMEM, "%s: no memory to read it", state->path);
	n = pread(state->fd, text, (size_t)st.st_size, 0);
	if (n != st.st_size) {
		ret = follow_state_fail(errbuf, n < 0 ? -errno : -EIO, "%s: cannot be read: %s", state->path,
			strerror(n < 0 ? errno : EIO));
		goto out;
	}
	text[n] = '\0';
	for (line = text; (end = memchr(line, '\n', (size_t)(text + n - line))) != NULL; line = end + 1) {
		char *body;
		uint32_t crc;

		number++;
		*end = '\0';
		crc = (uint32_t)strtoul(line, &body, 16);
		ret = -EPROTO;
		if (body == line + 8 && *body == ' ' && crc == follow_crc(0, body + 1, (size_t)(end - body - 1)))
			ret = take_line(state, body + 1);
		if (ret < 0)
			break;
		good = (uint64_t)(end + 1 - text);
	}
	if (ret == -ENOMEM) {
		follow_state_fail(errbuf, ret, "%s: no memory to read it", state->path);
	} else if (ret < 0) {
		follow_state_fail(errbuf, ret,
			"%s: damaged at line %u; it says what was imported, so nothing is imported without it. Moved "
			"away, all "
			"files that are there are imported (again)",
			state->path, number);
	}
	state->size = good;
out:
	free(text);
	return ret;
}

/* ---------------------------------------------------------------- the file */

static int
open_locked(struct follow_state *state, char *errbuf)
{
	struct stat ours, named;
	int ret;

	for (;;) {
		state->fd = open(state->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (state->fd < 0)
			return follow_state_fail(errbuf, -errno,
				"%s: %s; it must be writable, or use another --state-dir", state->path,
				strerror(errno));
		ret = follow_state_lock(state->fd);
		if (ret == -EAGAIN || ret == -EACCES)
			return follow_state_fail(errbuf, -EBUSY,
				"%s: another sluice import --follow has it; one at a time can write to a store",
				state->path);
		if (ret < 0)
			return follow_state_fail(errbuf, ret, "%s: cannot be locked: %s", state->path, strerror(-ret));
		/* It may have been written anew while we waited: then this is the old one. */
		if (fstat(state->fd, &ours) == 0 && stat(state->path, &named) == 0 && ours.st_ino == named.st_ino)
			return 0;
		close(state->fd);
	}
}

int
follow_state_open(struct follow_state *state, const char *store, const char *state_dir, char *errbuf)
{
	char real[PATH_MAX];
	int ret;

	memset(state, 0, sizeof(*state));
	state->fd = -1;
	if (realpath(store, real) == NULL)
		return follow_state_fail(errbuf, -errno, "%s: %s", store, strerror(errno));
	if (state_dir) {
		char dir[PATH_MAX];

		if (mkdir(state_dir, 0755) < 0 && errno != EEXIST)
			return follow_state_fail(
				errbuf, -errno, "--state-dir %s: cannot be made: %s", state_dir, strerror(errno));
		if (realpath(state_dir, dir) == NULL)
			return follow_state_fail(errbuf, -errno, "--state-dir %s: %s", state_dir, strerror(errno));
		if (strlen(dir) + sizeof(NAME_IN_DIR) + 8 > PATH_MAX)
			return follow_state_fail(errbuf, -ENAMETOOLONG, "--state-dir %s: too long", state_dir);
		memcpy(stpcpy(state->path, dir), "/" NAME_IN_DIR, sizeof("/" NAME_IN_DIR));
	} else {
		if (strlen(real) + sizeof(NAME_IN_STORE) + 8 > PATH_MAX)
			return follow_state_fail(errbuf, -ENAMETOOLONG, "--store %s: too long", store);
		memcpy(stpcpy(state->path, real), "/" NAME_IN_STORE, sizeof("/" NAME_IN_STORE));
	}
	ret = open_locked(state, errbuf);
	if (ret == 0)
		ret = load(state, errbuf);
	if (ret == 0 && state->store[0] && strcmp(state->store, real) != 0)
		ret = follow_state_fail(errbuf, -EPROTO,
			"%s: says what was imported into the store %s; use another --state-dir for %s", state->path,
			state->store, real);
	if (ret < 0) {
		follow_state_close(state);
		return ret;
	}
	snprintf(state->store, sizeof(state->store), "%s", real);
	return 0;
}

void
follow_state_close(struct follow_state *state)
{
	forget(state);
	free(state->known);
	free(state->runs);
	free(state->captures);
	state->known = NULL;
	state->runs = NULL;
	state->captures = NULL;
	state->known_room = state->run_room = state->capture_room = 0;
	if (state->fd >= 0)
		close(state->fd);
	state->fd = -1;
}

/* ---------------------------------------------------------------- after a crash */

/* The mark of the last readable chunk of a capture. @return 0; -ENODATA: there is none; another -errno */
static int
last_mark(struct sl_capture *capture, void *buf, uint64_t *mark)
{
	uint64_t first = sl_capture_first(capture), n = sl_capture_committed(capture);
	struct sl_chunk chunk;

	for (unsigned int bad = 0; n > first && bad < BAD_CHUNKS_MAX; bad++) {
		n--;
		/* What a damaged chunk held is lost for every reader, so it may well be imported again. */
		if (sl_capture_read(capture, n, buf, &chunk) == 0 && sl_chunk_mark(buf, mark) == 0)
			return 0;
	}
	return -ENODATA;
}

int
follow_state_recover(struct follow_state *state, uint64_t *position, uint64_t *lost, char *errbuf)
{
	char store_error[SL_STORE_ERRBUF] = "";
	struct sl_capture *capture;
	uint64_t mark = 0;
	int ret = -ENODATA;
	void *buf;

	buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);
	if (buf == NULL)
		return follow_state_fail(errbuf, -ENOMEM, "%s: no memory for a chunk", state->path);
	for (size_t i = state->capture_count; i-- > 0 && ret == -ENODATA;) {
		ret = sl_capture_open_uuid(state->store, &state->captures[i].uuid, &capture, store_error);
		if (ret == -ENOENT) {
			ret = -ENODATA;
			continue;
		}
		if (ret < 0) {
			free(buf);
			return follow_state_fail(errbuf, ret, "%s", store_error[0] ? store_error : strerror(-ret));
		}
		ret = last_mark(capture, buf, &mark);
		sl_capture_close(capture);
	}
	free(buf);
	*lost = ret == 0 && mark < state->base ? state->base - mark : 0;
	*position = ret == 0 && mark > state->base ? mark : state->base;
	follow_state_fold(state, *position);
	/* What was left is not done with if the end of it did not reach the store. */
	for (size_t i = 0; i < state->run_count; i++)
		state->known[state->runs[i].known].left = 0;
	state->run_count = 0;
	state->base = *position;
	/* All of it is closed, and what it says is in base: the next recovery need not ask these. */
	state->capture_count = 0;
	return follow_state_compact(state, *position, errbuf);
}

/* ---------------------------------------------------------------- asking */

static bool
is_path(const char *path, const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' && strcmp(path + n + 1, name) == 0;
}

static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/' && strchr(path + n + 1, '/') == NULL;
}

const struct follow_known *
follow_state_find(const struct follow_state *state, const char *dir, const char *name, uint64_t ino,
	const struct follow_print *print)
{
	for (size_t i = state->known_count; i-- > 0;) {
		const struct follow_known *known = &state->known[i];

		if (known->print.crc != print->crc || known->print.len != print->len)
			continue;
		if (is_path(known->path, dir, name) || (known->ino == ino && is_below(known->path, dir)))
			return known;
	}
	return NULL;
}

bool
follow_state_had(const struct follow_state *state, const char *dir, const char *name, uint64_t ino)
{
	for (size_t i = 0; i < state->known_count; i++)
		if (state->known[i].ino == ino && is_path(state->known[i].path, dir, name))
			return true;
	return false;
}

/* ---------------------------------------------------------------- saying */

int
follow_state_capture(struct follow_state *state, uint64_t begin, const struct sl_uuid *uuid, char *errbuf)
{
	char line[LINE_MAX_BYTES + 16];
	int ret = append(state, line, follow_capture_line(line, begin, uuid), true, errbuf);

	if (ret == 0 && add_capture(state, begin, uuid) < 0)
		ret = follow_state_fail(errbuf, -ENOMEM, "%s: out of memory", state->path);
	return ret;
}

int
follow_state_closed(struct follow_state *state, uint64_t position, char *errbuf)
{
	char line[LINE_MAX_BYTES + 16];

	follow_state_fold(state, position);
	state->run_count = 0;
	state->capture_count = 0;
	state->base = position;
	return append(state, line, follow_base_line(line, position), true, errbuf);
}

int
follow_state_run(struct follow_state *state, uint64_t begin, const char *dir, const char *name, uint64_t ino,
	const struct follow_print *print, uint64_t offset, char *errbuf)
{
	char line[LINE_MAX_BYTES + 16], path[PATH_MAX + NAME_MAX + 2];
	ssize_t known;
	int ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ret = append(state, line, follow_run_line(line, begin, offset, ino, print, path), true, errbuf);
	if (ret < 0)
		return ret;
	known = know(state, path, ino, print);
	if (known < 0 || add_run(state, begin, offset, (size_t)known) < 0)
		return follow_state_fail(errbuf, -ENOMEM, "%s: out of memory", state->path);
	state->known[known].left = 0;
	return 0;
}

void
follow_state_left(struct follow_state *state, const char *dir, const char *name, uint64_t ino,
	const struct follow_print *print, uint64_t size)
{
	char line[LINE_MAX_BYTES + 16], path[PATH_MAX + NAME_MAX + 2], escaped[3 * sizeof(path)];
	char ignored[SL_CAPTURE_ERRBUF];
	ssize_t known;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	known = know(state, path, ino, print);
	if (known < 0)
		return;
	state->known[known].left = size;
	follow_escape(escaped, path);
	/* It only saves work. A disk that is full will say so at the next run. */
	(void)append(state, line,
		follow_format_line(line, "left %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s", size, ino,
			print->len, print->crc, escaped),
		false, ignored);
}
