/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "sl_writer.h"

static int
op_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags, mode);
}

static int
op_rename_noreplace(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

static int
op_fstat(int fd, struct stat *st)
{
	return fstat(fd, st);
}

static int
op_lstat(const char *path, struct stat *st)
{
	return lstat(path, st);
}

struct sl_ops sl_ops = {
	.open = op_open,
	.mkdir = mkdir,
	.flock = flock,
	.fallocate = fallocate,
	.ftruncate = ftruncate,
	.fchown = fchown,
	.fsync = fsync,
	.link = link,
	.rename_noreplace = op_rename_noreplace,
	.rename = rename,
	.unlink = unlink,
	.write = write,
	.pread = pread,
	.fstat = op_fstat,
	.lstat = op_lstat,
	.statvfs = statvfs,
};

#ifdef SL_CRASH_POINTS

static const char *const point_names[SL_POINTS] = {
#define POINT(id, name) [SL_POINT_##id] = (name),
#include "crash_points.h"
#undef POINT
};

bool sl_crash_armed;

static struct {
	pthread_mutex_t lock;
	unsigned int victim; /* 2 * point + after, or UINT_MAX */
	unsigned long countdown;
	unsigned int skipped; /* SL_POINTS: none */
	int list_fd;
	bool listed[2 * SL_POINTS];
} crash = {.lock = PTHREAD_MUTEX_INITIALIZER, .victim = UINT32_MAX, .skipped = SL_POINTS, .list_fd = -1};

int
sl_crash_setup(void)
{
	const char *want = getenv("SLUICE_CRASH");
	const char *list = getenv("SLUICE_CRASH_LIST");
	const char *skip = getenv("SLUICE_SKIP_FSYNC");
	unsigned int i;

	crash.victim = UINT32_MAX;
	sl_crash_armed = false;
	if (list && *list && crash.list_fd < 0) {
		crash.list_fd = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (crash.list_fd < 0)
			return -errno;
	}
	if (want && *want) {
		const char *colon = strchr(want, ':');
		size_t len = colon ? (size_t)(colon - want) : strlen(want);
		char name[64];

		for (i = 0; i < 2 * SL_POINTS; i++) {
			snprintf(name, sizeof(name), "%s.%s", point_names[i / 2], i % 2 ? "after" : "before");
			if (strlen(name) == len && memcmp(name, want, len) == 0)
				break;
		}
		if (i == 2 * SL_POINTS)
			return -EINVAL;
		crash.countdown = colon ? strtoul(colon + 1, NULL, 10) : 1;
		crash.victim = i;
	}
	crash.skipped = SL_POINTS;
	if (skip && *skip) {
		for (i = 0; i < SL_POINTS && strcmp(point_names[i], skip) != 0; i++)
			;
		if (i == SL_POINTS)
			return -EINVAL;
		crash.skipped = i;
	}
	sl_crash_armed = crash.list_fd >= 0 || crash.victim != UINT32_MAX || crash.skipped != SL_POINTS;
	return 0;
}

void
sl_crash_hit(enum sl_point point, bool after)
{
	unsigned int i = 2 * (unsigned int)point + after;
	int saved = errno;

	pthread_mutex_lock(&crash.lock);
	if (crash.list_fd >= 0 && !crash.listed[i]) {
		crash.listed[i] = true;
		dprintf(crash.list_fd, "%s.%s\n", point_names[point], after ? "after" : "before");
	}
	if (i == crash.victim && --crash.countdown == 0)
		kill(getpid(), SIGKILL);
	pthread_mutex_unlock(&crash.lock);
	errno = saved;
}

bool
sl_crash_skips(enum sl_point point)
{
	return crash.skipped == point;
}

#else

int
sl_crash_setup(void)
{
	return 0;
}

#endif

int
sl_op_fsync(enum sl_point point, int fd)
{
	int rc = 0;

	sl_crash_before(point);
	if (!sl_crash_armed || !sl_crash_skips(point))
		rc = sl_ops.fsync(fd);
	sl_crash_after(point);
	return rc;
}

void
sl_op_dirname(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(dir, size, ".");
	else if (slash == path)
		snprintf(dir, size, "/");
	else
		snprintf(dir, size, "%.*s", (int)(slash - path), path);
}

int
sl_op_fsync_dir(enum sl_point point, const char *dir)
{
	int fd = sl_ops.open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	/* EINVAL and EROFS: a file system without a sync of directories (fsync(2)) */
	if (sl_op_fsync(point, fd) < 0 && errno != EINVAL && errno != EROFS)
		rc = -errno;
	close(fd);
	return rc;
}

int
sl_op_mkdirs(const char *dir, const char *below)
{
	char part[SL_PATH_MAX], parent[SL_PATH_MAX];
	size_t min = strlen(below), len = strlen(dir), i;
	struct stat st;

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (i = 1; i <= len; i++) {
		if (dir[i] != '/' && dir[i] != '\0')
			continue;
		if (i <= min)
			continue;
		memcpy(part, dir, i);
		part[i] = '\0';
		if (stat(part, &st) < 0) {
			if (errno != ENOENT)
				return -errno;
			if (SL_OP(OPEN_MKDIR, mkdir(part, 0755)) < 0 && errno != EEXIST)
				return -errno;
		} else if (!S_ISDIR(st.st_mode)) {
			return -ENOTDIR;
		}
		/* one that is there may have been made a moment ago, by another target or by a push that was killed */
		sl_op_dirname(part, parent, sizeof(parent));
		(void)sl_op_fsync_dir(SL_POINT_MKDIR_FSYNC, parent);
	}
	return 0;
}

int
sl_op_write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = sl_ops.write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

void
sl_error_text(char *errbuf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(errbuf, SL_WRITER_ERRBUF, fmt, ap);
	va_end(ap);
}
