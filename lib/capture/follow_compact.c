/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "follow_lines.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Shorter than this it is not worth writing anew. */
#define COMPACT_MIN (1u << 20)

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
		inos = follow_grow(l->inos, l->count, &l->room, sizeof(*inos));
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
	char line[LINE_MAX_BYTES + 16], escaped[3 * (PATH_MAX + NAME_MAX + 2)];

	follow_escape(escaped, state->store);
	follow_format_line(line, "follow %u %s", STATE_VERSION, escaped);
	fputs(line, file);
	follow_base_line(line, state->base);
	fputs(line, file);
	for (size_t i = 0; i < state->known_count; i++) {
		const struct follow_known *known = &state->known[i];

		follow_escape(escaped, known->path);
		follow_format_line(line, "file %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s",
			known->consumed, known->left, known->ino, known->print.len, known->print.crc, escaped);
		fputs(line, file);
	}
	for (size_t i = 0; i < state->capture_count; i++) {
		follow_capture_line(line, state->captures[i].begin, &state->captures[i].uuid);
		fputs(line, file);
	}
	for (size_t i = 0; i < state->run_count; i++) {
		const struct follow_run *run = &state->runs[i];
		const struct follow_known *known = &state->known[run->known];

		follow_run_line(line, run->begin, run->offset, known->ino, &known->print, known->path);
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
		follow_state_fold(state, safe);
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
		ret = follow_state_lock(fd);
	if (ret == 0 && (fsync(fd) < 0 || rename(path, state->path) < 0))
		ret = -errno;
	if (ret == 0)
		ret = follow_state_sync_directory(state->path);
	if (ret < 0)
		goto err;
	close(state->fd);
	state->fd = fd;
	state->size = state->compacted;
	state->allocated = 0;
	follow_state_allocate(state);
	return 0;
err:
	if (fd >= 0) {
		unlink(path);
		close(fd);
	}
	return follow_state_fail(
		errbuf, ret, "%s: cannot be written: %s; what was imported is noted there", path, strerror(-ret));
}
