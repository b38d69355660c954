/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "follow_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <isa-l/crc.h>

#include "sl_capture.h"

/*
 * One line a fact, each with its checksum in front, appended and synced; a line that a crash cut short is the last one,
 * and what it would have said was not relied on yet. Paths are the last field, so only line ends need an escape.
 */

#define STATE_VERSION 1u
#define NAME_IN_STORE ".import-follow"
#define NAME_IN_DIR "import-follow"
#define LINE_MAX_BYTES (3 * PATH_MAX + 256)
/* Shorter than this it is not worth writing anew. */
#define COMPACT_MIN (1u << 20)
/* A committed chunk that cannot be read has no mark; the ones before it have. */
#define BAD_CHUNKS_MAX 4096u

uint32_t
follow_crc(uint32_t crc, const void *data, size_t len)
{
	/* ISA-L does not write to it; it only lacks the const. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, ~crc);
}

static int fail(char *errbuf, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int
fail(char *errbuf, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(errbuf, SL_CAPTURE_ERRBUF, fmt, ap);
	va_end(ap);
	return error;
}

/* ---------------------------------------------------------------- what is known */

static void *
grow(void *list, size_t count, size_t *room, size_t size)
{
	void *more;

	if (count < *room)
		return list;
	more = realloc(list, (2 * *room + 16) * size);
	if (more)
		*room = 2 * *room + 16;
	return more;
}

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
	known = grow(state->known, state->known_count, &state->known_room, sizeof(*known));
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
	struct follow_run *run = grow(state->runs, state->run_count, &state->run_room, sizeof(*run));

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
		grow(state->captures, state->capture_count, &state->capture_room, sizeof(*capture));

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
static void
fold(struct follow_state *state, uint64_t position)
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

static void
escape(char *to, const char *from)
{
	static const char hex[] = "0123456789abcdef";

	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;

		if (c < 0x20 || c == 0x7f || c == '%') {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		} else {
			*to++ = (char)c;
		}
	}
	*to = '\0';
}

static void
unescape(char *text)
{
	char *to = text;
	unsigned int c;

	while (*text) {
		if (*text == '%' && sscanf(text + 1, "%2x", &c) == 1) {
			*to++ = (char)c;
			text += 3;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

static int format_line(char *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* @return bytes of the line, its end included */
static int
format_line(char *line, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return snprintf(line, LINE_MAX_BYTES + 16, "%08x %s\n", follow_crc(0, text, (size_t)n), text);
}

static int
append(struct follow_state *state, const char *line, int len, bool durable, char *errbuf)
{
	ssize_t n = pwrite(state->fd, line, (size_t)len, (off_t)state->size);

	if (n != len) {
		/* Half a line at the end is as good as none. */
		return fail(errbuf, n < 0 ? -errno : -ENOSPC,
			"%s: cannot be written: %s; without it a restart would not know what was imported, so it ends "
			"here",
			state->path, strerror(n < 0 ? errno : ENOSPC));
	}
	state->size += (uint64_t)n;
	if (durable && fdatasync(state->fd) < 0)
		return fail(errbuf, -errno, "%s: fdatasync: %s", state->path, strerror(errno));
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
		unescape(text + at);
		snprintf(state->store, sizeof(state->store), "%s", text + at);
		return version == STATE_VERSION ? 0 : -EPROTO;
	}
	if (sscanf(text, "base %" SCNu64, &a) == 1) {
		/* All before it is in the store: what the runs say until here is final. */
		fold(state, a);
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
		unescape(text + at);
		known = know(state, text + at, ino, &print);
		if (known < 0)
			return (int)known;
		state->known[known].consumed = a;
		state->known[known].left = b;
		return 0;
	}
	if (sscanf(text, "run %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNx32 " %n",
		&a, &b, &ino, &print.len, &print.crc, &at) == 5 && at) {
		unescape(text + at);
		known = know(state, text + at, ino, &print);
		if (known < 0)
			return (int)known;
		state->known[known].left = 0;
		return add_run(state, a, b, (size_t)known);
	}
	if (sscanf(text, "left %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNx32 " %n",
		&a, &ino, &print.len, &print.crc, &at) == 4 && at) {
		unescape(text + at);
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
		return fail(errbuf, -errno, "%s: %s", state->path, strerror(errno));
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return fail(errbuf, -ENOMEM, "%s: no memory to read it", state->path);
	n = pread(state->fd, text, (size_t)st.st_size, 0);
	if (n != st.st_size) {
		ret = fail(errbuf, n < 0 ? -errno : -EIO, "%s: cannot be read: %s", state->path,
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
		fail(errbuf, ret, "%s: no memory to read it", state->path);
	} else if (ret < 0) {
		fail(errbuf, ret,
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
lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static int
sync_directory_of(const char *path)
{
	char dir[PATH_MAX];
	int fd, ret;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return ret;
}

static int
open_locked(struct follow_state *state, char *errbuf)
{
	struct stat ours, named;
	int ret;

	for (;;) {
		state->fd = open(state->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (state->fd < 0)
			return fail(errbuf, -errno, "%s: %s; it must be writable, or use another --state-dir",
				state->path, strerror(errno));
		ret = lock(state->fd);
		if (ret == -EAGAIN || ret == -EACCES)
			return fail(errbuf, -EBUSY,
				"%s: another sluice import --follow has it; one at a time can write to a store",
				state->path);
		if (ret < 0)
			return fail(errbuf, ret, "%s: cannot be locked: %s", state->path, strerror(-ret));
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
		return fail(errbuf, -errno, "%s: %s", store, strerror(errno));
	if (state_dir) {
		char dir[PATH_MAX];

		if (mkdir(state_dir, 0755) < 0 && errno != EEXIST)
			return fail(errbuf, -errno, "--state-dir %s: cannot be made: %s", state_dir, strerror(errno));
		if (realpath(state_dir, dir) == NULL)
			return fail(errbuf, -errno, "--state-dir %s: %s", state_dir, strerror(errno));
		if (strlen(dir) + sizeof(NAME_IN_DIR) + 8 > PATH_MAX)
			return fail(errbuf, -ENAMETOOLONG, "--state-dir %s: too long", state_dir);
		memcpy(stpcpy(state->path, dir), "/" NAME_IN_DIR, sizeof("/" NAME_IN_DIR));
	} else {
		if (strlen(real) + sizeof(NAME_IN_STORE) + 8 > PATH_MAX)
			return fail(errbuf, -ENAMETOOLONG, "--store %s: too long", store);
		memcpy(stpcpy(state->path, real), "/" NAME_IN_STORE, sizeof("/" NAME_IN_STORE));
	}
	ret = open_locked(state, errbuf);
	if (ret == 0)
		ret = load(state, errbuf);
	if (ret == 0 && state->store[0] && strcmp(state->store, real) != 0)
		ret = fail(errbuf, -EPROTO,
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
		return fail(errbuf, -ENOMEM, "%s: no memory for a chunk", state->path);
	for (size_t i = state->capture_count; i-- > 0 && ret == -ENODATA;) {
		ret = sl_capture_open_uuid(state->store, &state->captures[i].uuid, &capture, store_error);
		if (ret == -ENOENT) {
			ret = -ENODATA;
			continue;
		}
		if (ret < 0) {
			free(buf);
			return fail(errbuf, ret, "%s", store_error[0] ? store_error : strerror(-ret));
		}
		ret = last_mark(capture, buf, &mark);
		sl_capture_close(capture);
	}
	free(buf);
	*lost = ret == 0 && mark < state->base ? state->base - mark : 0;
	*position = ret == 0 && mark > state->base ? mark : state->base;
	fold(state, *position);
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
	char line[LINE_MAX_BYTES + 16], text[37];

	if (add_capture(state, begin, uuid) < 0)
		return fail(errbuf, -ENOMEM, "%s: out of memory", state->path);
	sl_uuid_format(uuid, text);
	return append(state, line, format_line(line, "capture %" PRIu64 " %s", begin, text), true, errbuf);
}

int
follow_state_closed(struct follow_state *state, uint64_t position, char *errbuf)
{
	char line[LINE_MAX_BYTES + 16];

	fold(state, position);
	state->run_count = 0;
	state->capture_count = 0;
	state->base = position;
	return append(state, line, format_line(line, "base %" PRIu64, position), true, errbuf);
}

int
follow_state_run(struct follow_state *state, uint64_t begin, const char *dir, const char *name, uint64_t ino,
	const struct follow_print *print, uint64_t offset, char *errbuf)
{
	char line[LINE_MAX_BYTES + 16], path[PATH_MAX + NAME_MAX + 2], escaped[3 * sizeof(path)];
	ssize_t known;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	known = know(state, path, ino, print);
	if (known < 0 || add_run(state, begin, offset, (size_t)known) < 0)
		return fail(errbuf, -ENOMEM, "%s: out of memory", state->path);
	state->known[known].left = 0;
	escape(escaped, path);
	return append(state, line,
		format_line(line, "run %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s", begin, offset,
			ino, print->len, print->crc, escaped),
		true, errbuf);
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
	escape(escaped, path);
	/* It only saves work. A disk that is full will say so at the next run. */
	(void)append(state, line,
		format_line(line, "left %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s", size, ino, print->len,
			print->crc, escaped),
		false, ignored);
}

/* ---------------------------------------------------------------- written anew */

bool
follow_state_is_long(const struct follow_state *state)
{
	return state->size > COMPACT_MIN && state->size > 2 * state->compacted;
}

/** Inode numbers of what is in a directory. */
struct listing {
	char dir[PATH_MAX];
	uint64_t *inos;
	size_t count, room;
};

static int
compare_inos(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* List the directory of a path, unless that was the last one listed. Nothing in it: perhaps its file system is away. */
static void
list(struct listing *l, const char *path)
{
	size_t n = (size_t)(strrchr(path, '/') - path);
	struct dirent *entry;
	struct stat st;
	DIR *d;

	if (strlen(l->dir) == n && memcmp(l->dir, path, n) == 0 && l->dir[0])
		return;
	memcpy(l->dir, path, n);
	l->dir[n] = '\0';
	l->count = 0;
	d = opendir(n ? l->dir : "/");
	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		uint64_t *inos;

		if (entry->d_name[0] == '.' || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		inos = grow(l->inos, l->count, &l->room, sizeof(*inos));
		if (inos == NULL) {
			l->count = 0;
			break;
		}
		l->inos = inos;
		l->inos[l->count++] = st.st_ino;
	}
	closedir(d);
	if (l->count)
		qsort(l->inos, l->count, sizeof(*l->inos), compare_inos);
}

/* A file that is no longer there need not be known, nor what was in it before it was written over. */
static bool
is_needed(const struct follow_state *state, size_t i, struct listing *l)
{
	const struct follow_known *known = &state->known[i];
	bool later = false;
	struct stat st;

	for (size_t r = 0; r < state->run_count; r++)
		if (state->runs[r].known == i)
			return true;
	for (size_t k = i + 1; k < state->known_count; k++) {
		if (strcmp(state->known[k].path, known->path) != 0)
			continue;
		if (state->known[k].ino == known->ino)
			return false;
		later = true;
	}
	list(l, known->path);
	if (l->count == 0)
		return true;
	/* Renamed, as logrotate does, it is the same file. */
	if (bsearch(&known->ino, l->inos, l->count, sizeof(*l->inos), compare_inos))
		return true;
	return !later && lstat(known->path, &st) == 0;
}

static int
print_state(const struct follow_state *state, FILE *file)
{
	char line[LINE_MAX_BYTES + 16], escaped[3 * (PATH_MAX + NAME_MAX + 2)], uuid[37];

	escape(escaped, state->store);
	format_line(line, "follow %u %s", STATE_VERSION, escaped);
	fputs(line, file);
	format_line(line, "base %" PRIu64, state->base);
	fputs(line, file);
	for (size_t i = 0; i < state->known_count; i++) {
		const struct follow_known *known = &state->known[i];

		escape(escaped, known->path);
		format_line(line, "file %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s",
			known->consumed, known->left, known->ino, known->print.len, known->print.crc, escaped);
		fputs(line, file);
	}
	for (size_t i = 0; i < state->capture_count; i++) {
		sl_uuid_format(&state->captures[i].uuid, uuid);
		format_line(line, "capture %" PRIu64 " %s", state->captures[i].begin, uuid);
		fputs(line, file);
	}
	for (size_t i = 0; i < state->run_count; i++) {
		const struct follow_known *known = &state->known[state->runs[i].known];

		escape(escaped, known->path);
		format_line(line, "run %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s",
			state->runs[i].begin, state->runs[i].offset, known->ino, known->print.len, known->print.crc,
			escaped);
		fputs(line, file);
	}
	return fflush(file) != 0 || ferror(file) ? -(errno ? errno : EIO) : 0;
}

static void
drop_unneeded(struct follow_state *state)
{
	struct listing l = {0};
	size_t *place;
	size_t kept = 0;

	place = malloc((state->known_count + 1) * sizeof(*place));
	if (place == NULL)
		return;
	for (size_t i = 0; i < state->known_count; i++)
		place[i] = is_needed(state, i, &l) ? kept++ : SIZE_MAX;
	for (size_t i = 0; i < state->known_count; i++) {
		if (place[i] == SIZE_MAX)
			free(state->known[i].path);
		else
			state->known[place[i]] = state->known[i];
	}
	for (size_t i = 0; i < state->run_count; i++)
		state->runs[i].known = place[state->runs[i].known];
	state->known_count = kept;
	free(place);
	free(l.inos);
}

int
follow_state_compact(struct follow_state *state, uint64_t safe, char *errbuf)
{
	char path[PATH_MAX + 8];
	FILE *file = NULL;
	int fd, copy, ret;

	if (safe > state->base) {
		fold(state, safe);
		state->base = safe;
	}
	drop_unneeded(state);
	snprintf(path, sizeof(path), "%s.new", state->path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		file = fdopen(copy, "w");
	if (file == NULL) {
		ret = -errno;
		if (copy >= 0)
			close(copy);
		goto err;
	}
	ret = print_state(state, file);
	state->compacted = ret == 0 ? (uint64_t)ftell(file) : state->compacted;
	fclose(file);
	/* Locked before it has the name, so nobody finds it free. */
	if (ret == 0)
		ret = lock(fd);
	if (ret == 0 && (fsync(fd) < 0 || rename(path, state->path) < 0))
		ret = -errno;
	if (ret == 0)
		ret = sync_directory_of(state->path);
	if (ret < 0)
		goto err;
	close(state->fd);
	state->fd = fd;
	state->size = state->compacted;
	return 0;
err:
	if (fd >= 0)
		close(fd);
	return fail(errbuf, ret, "%s: cannot be written: %s; what was imported is noted there", path, strerror(-ret));
}
