/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef FAULTFS_FS_H
#define FAULTFS_FS_H

/**
 * @file
 * Operations of the file system, as libfuse calls them, and what they share.
 */

#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "forget.h"
#include "rules.h"

#define REAL_MAX (2 * PATH_MAX)

struct handle {
	struct handle *next;
	int fd;
	struct node *node;
	char path[PATH_MAX]; /**< as it is called now */
};

/** Set before the file system is mounted. */
extern char backing[PATH_MAX];
extern bool forgetful;

/** The path in the backing directory. */
const char *real(const char *path, char buf[REAL_MAX]);
struct handle *handle(const struct fuse_file_info *fi);
/**
 * The path by which rules and the log know it. libfuse knows none of an open file: its locks would make a rename wait
 * for an fsync that hangs.
 */
const char *name_of(const char *path, const struct fuse_file_info *fi, char buf[PATH_MAX]);
void add_handle(struct handle *h);
void remove_handle(struct handle *h);
void rename_handles(const char *from, const char *to);
/** 0 or more, or -errno. */
int result(long rc);
/** rules_done() with a text. */
void done(enum op op, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** Without a record to keep in step with, operations run side by side. */
void record_lock(void);
void record_unlock(void);

/*
 * An operation that changes something: `call` does it and records it. Its value is stored in rc; the lock keeps what
 * was done and what was recorded in one order.
 */
#define CHANGE(op, path, direct, rc, call)                                                                             \
	do {                                                                                                           \
		struct verdict v_ = rules_apply(op, path, direct);                                                     \
		rc = v_.error ? -v_.error : 0;                                                                         \
		if (v_.ignore || (v_.error && !v_.after))                                                              \
			break;                                                                                         \
		record_lock();                                                                                         \
		rc = (call);                                                                                           \
		record_unlock();                                                                                       \
		if (v_.error)                                                                                          \
			rc = -v_.error;                                                                                \
	} while (0)

/* names.c */
int fs_mkdir(const char *path, mode_t mode);
int fs_symlink(const char *target, const char *path);
int fs_link(const char *from, const char *to);
int fs_unlink(const char *path);
int fs_rmdir(const char *path);
int fs_rename(const char *from, const char *to, unsigned int flags);
int fs_readlink(const char *path, char *out, size_t size);
int fs_opendir(const char *path, struct fuse_file_info *fi);
int fs_releasedir(const char *path, struct fuse_file_info *fi);
int fs_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
	enum fuse_readdir_flags flags);
int fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi);
int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi);
int fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi);
int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi);
int fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi);
int fs_statfs(const char *path, struct statvfs *st);

/* files.c */
int fs_create(const char *path, mode_t mode, struct fuse_file_info *fi);
int fs_open(const char *path, struct fuse_file_info *fi);
int fs_read(const char *path, char *data, size_t size, off_t off, struct fuse_file_info *fi);
int fs_write(const char *path, const char *data, size_t size, off_t off, struct fuse_file_info *fi);
int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi);
int fs_fallocate(const char *path, int mode, off_t off, off_t len, struct fuse_file_info *fi);
int fs_fsync(const char *path, int data_only, struct fuse_file_info *fi);
int fs_flush(const char *path, struct fuse_file_info *fi);
int fs_release(const char *path, struct fuse_file_info *fi);

#endif
