/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "newest.h"
#include "seal.h"
#include "store.h"

#define ACTIVE_NAME "active"
#define ACTIVE_NAME_NEW ".active.new"
#define LOCK_NAME ".lock"

int
store_err(int err, char *errbuf, const char *format, ...)
{
	va_list args;

	if (errbuf) {
		va_start(args, format);
		vsnprintf(errbuf, SL_STORE_ERRBUF, format, args);
		va_end(args);
	}
	return err;
}

bool
store_err_full(int err, char *errbuf, const char *at, const char *on)
{
	struct statvfs fs;

	if (statvfs(on, &fs) < 0)
		return false;
	store_err(err, errbuf,
		"%s: no space left: the next chunk needs 1 MiB and the file system has %" PRIu64
		" KiB; make room or use another --store",
		at, (uint64_t)fs.f_bavail * fs.f_frsize / 1024);
	return true;
}

int
store_sync_fd(int fd)
{
	if (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP)
		return -errno;
	return 0;
}

/* A parent that cannot be opened, or not be synced, holds nothing that we have made. */
static void
sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	int fd;

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	fd = open(parent[0] ? parent : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)store_sync_fd(fd);
	close(fd);
}

/* mkdir -p, each name made durable in its parent. */
static int
make_directories(const char *path, char *errbuf)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(part))
		return store_err(-EINVAL, errbuf, "store directory \"%s\": bad length", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST) {
			int err = errno;

			/* A read-only or closed parent says so even for what exists. */
			if (access(part, F_OK) == 0)
				continue;
			return store_err(-err, errbuf, "%s: cannot make the directory: %s", part, strerror(err));
		}
		/* Also if it was there: whoever made it a moment ago may have been killed before this. */
		sync_parent(part);
	}
	return 0;
}

int
store_make(const char *store, bool *on_memory, char *errbuf)
{
	int ret = make_directories(store, errbuf), fd;

	if (ret < 0)
		return ret;
	fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return store_err(-errno, errbuf, "%s: %s", store, strerror(errno));
	*on_memory = store_on_memory(fd);
	close(fd);
	return 0;
}

static int
compare_sequence(const void *a, const void *b)
{
	const struct sl_capture_info *x = a, *y = b;

	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* One entry of the store's directory: 1 a capture, 0 something else or damaged, or -errno. */
static int
list_entry(int dir, const char *store, const char *name, struct sl_capture_info *info, char *errbuf)
{
	int fd, ret;

	/* O_NOFOLLOW: `active` is another name of a capture, not one more. */
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	ret = store_info_read(fd, store, name, info, NULL);
	if (ret < 0 && ret != -ENOENT)
		store_info_read(fd, store, name, info, errbuf);
	close(fd);
	return ret == 0;
}

int
sl_store_list(const char *store, struct sl_capture_info **infos, size_t *count, char *errbuf)
{
	struct sl_capture_info *list = NULL;
	size_t used = 0, room = 0;
	struct dirent *entry;
	int ret = 0;
	DIR *d;

	if (errbuf)
		errbuf[0] = '\0';
	*infos = NULL;
	*count = 0;
	d = opendir(store);
	if (!d)
		return store_err(-errno, errbuf, "%s: cannot read the store: %s", store, strerror(errno));
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= SL_CAPTURE_NAME_MAX)
			continue;
		if (used == room) {
			struct sl_capture_info *more = realloc(list, (2 * room + 8) * sizeof(*list));

			if (!more) {
				ret = store_err(-ENOMEM, errbuf, "%s: out of memory", store);
				goto err;
			}
			list = more;
			room = 2 * room + 8;
		}
		ret = list_entry(dirfd(d), store, entry->d_name, &list[used], errbuf);
		if (ret < 0) {
			store_err(ret, errbuf, "%s/%s: %s", store, entry->d_name, strerror(-ret));
			goto err;
		}
		used += (size_t)ret;
	}
	if (errno != 0) {
		ret = store_err(-errno, errbuf, "%s: cannot read the store: %s", store, strerror(errno));
		goto err;
	}
	closedir(d);
	if (used > 0)
		qsort(list, used, sizeof(*list), compare_sequence);
	*infos = list;
	*count = used;
	return 0;
err:
	free(list);
	closedir(d);
	return ret;
}

int
sl_store_active(const char *store, char name[SL_CAPTURE_NAME_MAX], char *errbuf)
{
	char path[PATH_MAX], target[SL_CAPTURE_NAME_MAX + 1];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/" ACTIVE_NAME, store);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0 && errno == ENOENT) {
		if (access(store, F_OK) < 0)
			return store_err(-ENOENT, errbuf, "%s: no such store", store);
		return store_err(-ENOENT, errbuf, "%s: the store has no active capture", store);
	}
	if (n < 0)
		return store_err(-errno, errbuf, "%s: %s", path, strerror(errno));
	target[n] = '\0';
	if (n == 0 || n >= (ssize_t)SL_CAPTURE_NAME_MAX || strchr(target, '/'))
		return store_err(-EPROTO, errbuf, "%s: \"%s\" is not the name of a capture", path, target);
	memcpy(name, target, (size_t)n + 1);
	return 0;
}

int
store_set_active(int dir, const char *name)
{
	if (unlinkat(dir, ACTIVE_NAME_NEW, 0) < 0 && errno != ENOENT)
		return -errno;
	if (symlinkat(name, dir, ACTIVE_NAME_NEW) < 0)
		return -errno;
	if (renameat(dir, ACTIVE_NAME_NEW, dir, ACTIVE_NAME) < 0)
		return -errno;
	return store_sync_fd(dir);
}

void
store_remove_directory(int store_dir, const char *name)
{
	static const char *const files[] = {HEAD_NAME, "capture.json", "capture.json.new"};
	int dir = openat(store_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlinkat(dir, files[i], 0);
	(void)segment_trim(dir, 0);
	close(dir);
	unlinkat(store_dir, name, AT_REMOVEDIR);
}

/* Two writers that begin at once take turns, or they would take the same sequence number. Released by closing. */
static int
lock_store(int dir, const char *store, char *errbuf)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd, ret;

	fd = openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return store_err(-errno, errbuf,
			"%s: cannot begin a capture: " LOCK_NAME
			": %s; the store's directory must be writable for you, or use "
			"another --store",
			store, strerror(errno));
	do {
		ret = fcntl(fd, F_OFD_SETLKW, &lock) < 0 ? -errno : 0;
	} while (ret == -EINTR);
	if (ret < 0) {
		close(fd);
		return store_err(ret, errbuf, "%s/" LOCK_NAME ": cannot lock: %s", store, strerror(-ret));
	}
	return fd;
}

/* Seal what is unclean. Only the active one is in the way. An older one that still ends, or cannot be sealed, harms
 * nobody; nor does one that nobody can read.
 */
static int
seal_all(int dir, const char *store, const struct sl_capture_info *infos, size_t count, char *errbuf)
{
	char active[SL_CAPTURE_NAME_MAX] = "";

	sl_store_active(store, active, NULL);
	for (size_t i = 0; i < count; i++) {
		int ret = store_seal(dir, store, &infos[i], errbuf);

		if (ret < 0 && ret != -EPROTO && strcmp(infos[i].name, active) == 0)
			return ret;
	}
	return 0;
}

/*
 * The lock file has the highest sequence ever given. Else a number might be given twice, once all captures from there
 * on have been removed; and whoever holds a position in the first of the two would take it for one in the second.
 */
static uint64_t
highest_given(int lock)
{
	char text[32] = "";
	ssize_t n = pread(lock, text, sizeof(text) - 1, 0);
	char *end;
	uint64_t given;

	if (n <= 0)
		return 0;
	given = strtoull(text, &end, 10);
	/* Nonsense in it is no reason to refuse a capture, nor to count on from there. */
	return *end == '\n' && given < UINT64_MAX / 2 ? given : 0;
}

void
store_note_sequence(int lock, uint64_t sequence)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", sequence);

	/* Without it a number is given again only after captures have been removed to the last: no reason to capture
	 * nothing. */
	if (pwrite(lock, text, (size_t)n, 0) == n)
		(void)store_sync_fd(lock);
}

static int
prepare(const char *store, bool seal, int *dir, int *lock, uint64_t *sequence, char *errbuf)
{
	struct sl_capture_info *infos = NULL;
	size_t count;
	int ret;

	*lock = -1;
	*dir = -1;
	*sequence = 1;
	ret = make_directories(store, errbuf);
	if (ret < 0)
		return ret;
	*dir = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return store_err(-errno, errbuf, "%s: %s", store, strerror(errno));
	ret = lock_store(*dir, store, errbuf);
	if (ret < 0)
		goto err;
	*lock = ret;
	ret = sl_store_list(store, &infos, &count, errbuf);
	if (ret < 0)
		goto err;
	for (size_t i = 0; i < count; i++)
		if (infos[i].sequence >= *sequence)
			*sequence = infos[i].sequence + 1;
	if (highest_given(*lock) >= *sequence)
		*sequence = highest_given(*lock) + 1;
	ret = seal ? seal_all(*dir, store, infos, count, errbuf) : 0;
	if (ret < 0)
		goto err;
	free(infos);
	return 0;
err:
	free(infos);
	if (*lock >= 0)
		close(*lock);
	close(*dir);
	return ret;
}

int
store_prepare(const char *store, int *dir, int *lock, uint64_t *sequence, char *errbuf)
{
	newest_sweep();
	return prepare(store, true, dir, lock, sequence, errbuf);
}

int
store_prepare_roll(const char *store, int *dir, int *lock, uint64_t *sequence, char *errbuf)
{
	return prepare(store, false, dir, lock, sequence, errbuf);
}

int
sl_store_seal(const char *store, char *errbuf)
{
	uint64_t sequence;
	int dir, lock, ret;

	ret = store_prepare(store, &dir, &lock, &sequence, errbuf);
	if (ret < 0)
		return ret;
	close(lock);
	close(dir);
	return 0;
}
