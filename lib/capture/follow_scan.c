/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "follow.h"

/*
 * Files are held open from the moment they are seen until they have been read: a ring (dumpcap -b files:N) may remove
 * the oldest at any time. Not more than this many, for space that is held so is not free.
 */
#define HELD_MAX 64u

static uint64_t
ns_of(struct timespec t)
{
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void
let_go(struct follow *f, struct follow_source *s, struct followed *file)
{
	if (file->fd < 0)
		return;
	if (file != s->tail)
		f->held--;
	close(file->fd);
	file->fd = -1;
}

static void
drop(struct follow *f, struct follow_source *s, struct followed *file)
{
	let_go(f, s, file);
	if (s->tail == file)
		s->tail = NULL;
	if (f->run_file == file)
		f->run_file = NULL;
	free(file);
}

void
follow_forget(struct follow *f, struct follow_source *s)
{
	for (size_t i = 0; i < s->count; i++)
		drop(f, s, s->files[i]);
	s->count = 0;
}

void
follow_renew(struct follow *f, struct follow_source *s, struct followed *file)
{
	struct followed fresh = {.fd = file->fd,
		.ino = file->ino,
		.size = file->size,
		.mtime = file->mtime,
		.seen = file->seen,
		.gone = file->gone};

	memcpy(fresh.name, file->name, sizeof(fresh.name));
	*file = fresh;
	if (s->tail == file) {
		/* It is opened again when it is its turn. */
		s->tail = NULL;
		close(file->fd);
		file->fd = -1;
	}
	if (f->run_file == file)
		f->run_file = NULL;
}

static struct followed *
find(const struct follow_source *s, uint64_t ino)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->files[i]->ino == ino)
			return s->files[i];
	return NULL;
}

/* The name now belongs to a file that may be another one. */
static struct followed *
add(struct follow_source *s, uint64_t ino)
{
	struct followed *file;

	if (s->count == s->room) {
		struct followed **more = realloc(s->files, (2 * s->room + 16) * sizeof(struct followed *));

		if (more == NULL)
			return NULL;
		s->files = more;
		s->room = 2 * s->room + 16;
	}
	file = calloc(1, sizeof(*file));
	if (file == NULL)
		return NULL;
	file->ino = ino;
	file->fd = -1;
	s->files[s->count++] = file;
	return file;
}

/* Its bytes were seen before, perhaps by an earlier process: go on behind them. */
static void
look_up(struct follow *f, struct follow_source *s, struct followed *file)
{
	const struct follow_known *known;

	if (file->looked_up || !file->print.len)
		return;
	file->looked_up = true;
	known = follow_state_find(&f->state, s->dir, file->name, file->ino, &file->print);
	if (known == NULL)
		return;
	file->consumed = known->consumed;
	if (known->left == file->size)
		file->looked = known->left;
}

/* Open it and look for its first packet, if that may be there by now. @return 0 or -ENOMEM */
static int
look_into(struct follow *f, struct follow_source *s, struct followed *file)
{
	char label[PATH_MAX + NAME_MAX + 2];
	struct stat st;
	int ret;

	if (file->print.len || file->damaged || file->size == file->probed)
		return 0;
	if (file->fd < 0) {
		ret = follow_open(s, file->name, &st);
		if (ret < 0 || st.st_ino != file->ino) {
			/* Not there: the next scan knows. */
			if (ret < 0 && ret != -ENOENT && !file->told) {
				file->told = true;
				import_fail(&f->im, ret, "%s: cannot be opened: %s; it is tried again",
					follow_label(s, file, label), strerror(-ret));
			}
			if (ret >= 0)
				close(ret);
			return 0;
		}
		file->fd = ret;
		f->held++;
	}
	file->probed = file->size;
	ret = follow_probe(file);
	look_up(f, s, file);
	if (file != s->tail && (f->held > HELD_MAX || !follow_unread(file)))
		let_go(f, s, file);
	return ret;
}

/* Has it been written over since it was read, or come to the inode number of one that is gone? */
static bool
is_other(const struct follow_source *s, struct followed *file, bool renamed)
{
	struct stat st;
	bool same;
	int fd = file->fd;

	if (file->size < file->looked)
		return true;
	/* what is no capture has nothing to be known by but its name */
	if (!file->print.len)
		return file->damaged && renamed;
	if (fd < 0) {
		fd = follow_open(s, file->name, &st);
		if (fd < 0)
			return false; /* it cannot be read at all now: later */
	}
	same = follow_same(fd, &file->print);
	if (fd != file->fd)
		close(fd);
	return !same;
}

/* One entry of the directory. @return 0 or -ENOMEM */
static int
look_at(struct follow *f, struct follow_source *s, const char *name, const struct stat *st)
{
	struct followed *file = find(s, st->st_ino);
	char label[PATH_MAX + NAME_MAX + 2];
	bool changed, unread, renamed;

	if (file == NULL)
		file = add(s, st->st_ino);
	if (file == NULL)
		return -ENOMEM;
	/* Two names of one file: it is read once, under the one that comes first. */
	if (file->seen)
		return 0;
	renamed = strcmp(file->name, name) != 0;
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->seen = true;
	file->gone = false;
	if (!S_ISREG(st->st_mode)) {
		if (!file->ignored)
			import_warn(&f->im, "%s: is a %s, no file; passed over", follow_label(s, file, label),
				S_ISDIR(st->st_mode)    ? "directory"
				: S_ISLNK(st->st_mode)  ? "symbolic link"
				: S_ISFIFO(st->st_mode) ? "FIFO"
							: "special file");
		file->ignored = true;
		return 0;
	}
	changed = file->size != (uint64_t)st->st_size || ns_of(file->mtime) != ns_of(st->st_mtim);
	if (file->ignored) {
		follow_renew(f, s, file); /* its inode number has come to a file */
		changed = true;
	}
	unread = follow_unread(file);
	file->size = (uint64_t)st->st_size;
	file->mtime = st->st_mtim;
	if (changed && is_other(s, file, renamed)) {
		/* A ring's file that was read whole is written over every time round. */
		if (unread || file == s->tail)
			import_warn(&f->im,
				"%s: was written over; %" PRIu64
				" of its bytes had been read, and what came behind them is lost if there was any; goes "
				"on at its beginning",
				follow_label(s, file, label), file->looked);
		follow_renew(f, s, file);
	}
	return 0;
}

/* What has lost its name: read on if it is still open, else it is lost. */
static void
sort_out(struct follow *f, struct follow_source *s)
{
	char label[PATH_MAX + NAME_MAX + 2];
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct followed *file = s->files[i];
		struct stat st;

		if (!file->seen && file->fd >= 0 && fstat(file->fd, &st) == 0) {
			file->size = (uint64_t)st.st_size;
			if (!file->gone && s->only[0] && file == s->tail)
				import_warn(&f->im, "%s: was removed or renamed; it is read to its end",
					follow_label(s, file, label));
			file->gone = true;
			if (follow_unread(file) || file == s->tail) {
				s->files[kept++] = file;
				continue;
			}
		} else if (!file->seen && follow_unread(file)) {
			import_fail(&f->im, -ENOENT,
				"%s: was removed before it was read: %" PRIu64 " bytes are lost; keep more files, or "
				"larger ones",
				follow_label(s, file, label), file->size - file->looked);
		}
		if (file->seen)
			s->files[kept++] = file;
		else
			drop(f, s, file);
	}
	s->count = kept;
}

static int
put_in_order(struct follow_source *s)
{
	struct follow_order *order;

	if (s->count < 2)
		return 0;
	order = calloc(s->count, sizeof(*order));
	if (order == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		order[i] = (struct follow_order){
			s->files[i]->name, s->files[i]->first_ts, ns_of(s->files[i]->mtime), s->files[i]};
	follow_order(order, s->count);
	for (size_t i = 0; i < s->count; i++)
		s->files[i] = order[i].file;
	free(order);
	return 0;
}

/* Names first, then what they are: so the size of a file is younger than the knowledge of its successor. */
static char **
read_names(struct follow *f, struct follow_source *s, DIR *d, size_t *count)
{
	size_t room = 64;
	char **names = malloc(room * sizeof(*names));
	struct dirent *entry;

	*count = 0;
	while (names && (entry = readdir(d)) != NULL) {
		/* Hidden ones are another program's unfinished business: rsync's, for example. */
		if (entry->d_name[0] == '.' && strcmp(entry->d_name, s->only) != 0)
			continue;
		/* One file, and what it was renamed to while nobody looked. */
		if (s->only[0] && strcmp(entry->d_name, s->only) != 0 &&
			(s->scanned || !follow_state_had(&f->state, s->dir, s->only, entry->d_ino)))
			continue;
		if (*count == room) {
			char **more = realloc(names, 2 * room * sizeof(*names));

			if (more == NULL)
				break;
			names = more;
			room *= 2;
		}
		names[*count] = strdup(entry->d_name);
		if (names[*count] == NULL)
			break;
		++*count;
	}
	return names;
}

static void
tell_missing(struct follow *f, struct follow_source *s, const char *why)
{
	if (!s->missing)
		import_warn(&f->im, "%s: %s; it is waited for", s->given, why);
	s->missing = true;
}

int
follow_scan(struct follow *f, struct follow_source *s)
{
	DIR *d = opendir(s->dir);
	size_t count, seen = 0;
	struct stat dir;
	char **names;
	int ret = 0;

	s->rescan = false;
	s->scanned_at = import_now_ns(CLOCK_MONOTONIC);
	if (d == NULL) {
		bool removed = errno == ENOENT;

		s->watch = -1;
		tell_missing(f, s, strerror(errno));
		/* What comes back under these inode numbers is something else. */
		for (size_t i = 0; i < s->count && removed; i++)
			s->files[i]->seen = false;
		if (removed)
			sort_out(f, s);
		return 0;
	}
	/* Removed and made again: the watch is on the one that is gone, and says nothing while its files are open. */
	if (fstat(dirfd(d), &dir) == 0 && dir.st_ino != s->dir_ino) {
		if (s->dir_ino)
			s->watch = -1;
		s->dir_ino = dir.st_ino;
	}
	for (size_t i = 0; i < s->count; i++)
		s->files[i]->seen = false;
	names = read_names(f, s, d, &count);
	for (size_t i = 0; i < count; i++) {
		struct stat st;

		if (ret == 0 && fstatat(dirfd(d), names[i], &st, s->only[0] ? 0 : AT_SYMLINK_NOFOLLOW) == 0) {
			ret = look_at(f, s, names[i], &st);
			seen++;
		}
		free(names[i]);
	}
	free(names);
	closedir(d);
	if (ret < 0)
		return ret;
	s->scanned = true;
	if (s->only[0] && !seen)
		tell_missing(f, s, "there is no such file yet");
	else if (s->missing)
		s->missing = false;
	sort_out(f, s);
	for (size_t i = 0; i < s->count && ret == 0; i++)
		if (!s->files[i]->ignored)
			ret = look_into(f, s, s->files[i]);
	return ret < 0 ? ret : put_in_order(s);
}
