/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_OPS_H
#define SL_WRITER_OPS_H

/**
 * @file
 * The one table of operations through which publish and journal reach the file system, with a named crash point before
 * and after each.
 *
 * Environment, unless built with -Dcrash_points=false: SLUICE_CRASH=<name>.before|after[:n] makes the process kill itself
 * with SIGKILL at the nth passage of that point; SLUICE_CRASH_LIST=<file> appends each point's name when it is first
 * passed; SLUICE_SKIP_FSYNC=<name> leaves out the fsync at that point, so that a test of power losses can be seen to fail.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

enum sl_point {
#define POINT(id, name) SL_POINT_##id,
#include "crash_points.h"
#undef POINT
	SL_POINTS
};

/** System calls behind the operations; all as in the man pages: -1 and errno on failure. */
struct sl_ops {
	int (*open)(const char *path, int flags, mode_t mode);
	int (*mkdir)(const char *path, mode_t mode);
	int (*flock)(int fd, int operation);
	int (*fallocate)(int fd, int mode, off_t offset, off_t len);
	int (*ftruncate)(int fd, off_t size);
	int (*fchown)(int fd, uid_t uid, gid_t gid);
	int (*fsync)(int fd);
	int (*link)(const char *from, const char *to);
	int (*rename_noreplace)(const char *from, const char *to);
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	ssize_t (*write)(int fd, const void *data, size_t len);
	ssize_t (*pread)(int fd, void *data, size_t len, off_t offset);
	int (*fstat)(int fd, struct stat *st);
	int (*lstat)(const char *path, struct stat *st);
	int (*statvfs)(const char *path, struct statvfs *st);
};

/** The table in use; tests put their own here before any thread starts. */
extern struct sl_ops sl_ops;

/** Read the environment. Main thread. @return 0, or -EINVAL: no such point */
int sl_crash_setup(void);

#ifdef SL_CRASH_POINTS
extern bool sl_crash_armed;
#else
enum { sl_crash_armed = false };
#endif
void sl_crash_hit(enum sl_point point, bool after);
/** SLUICE_SKIP_FSYNC names it. */
bool sl_crash_skips(enum sl_point point);

static inline void
sl_crash_before(enum sl_point point)
{
	if (__builtin_expect(sl_crash_armed, 0))
		sl_crash_hit(point, false);
}

static inline void
sl_crash_after(enum sl_point point)
{
	if (__builtin_expect(sl_crash_armed, 0))
		sl_crash_hit(point, true);
}

/** One operation between its two crash points; the value is the call's own, errno is kept. */
#define SL_OP(point, call)                                                                                             \
	__extension__({                                                                                                \
		sl_crash_before(SL_POINT_##point);                                                                     \
		__typeof__(sl_ops.call) sl_op_result_ = sl_ops.call;                                                   \
		sl_crash_after(SL_POINT_##point);                                                                      \
		sl_op_result_;                                                                                         \
	})

/** fsync between its crash points. @return as fsync(2) */
int sl_op_fsync(enum sl_point point, int fd);
/** Write all of it. @return 0 or -errno */
int sl_op_write_all(int fd, const void *data, size_t len);

/** Make a directory and those above it, but none at or above `below`; their entries are fsynced. @return 0 or -errno */
int sl_op_mkdirs(const char *dir, const char *below);
/** fsync a directory by path. @return 0 or -errno */
int sl_op_fsync_dir(enum sl_point point, const char *dir);
/** Fill an error buffer of SL_WRITER_ERRBUF bytes. */
void sl_error_text(char *errbuf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Directory part of a path. */
void sl_op_dirname(const char *path, char *dir, size_t size);

#endif
