/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Operations on names, directories and attributes.
 */

#include "fs.h"

#include <dirent.h>
#include <stdlib.h>

static int
do_made(const char *path, int rc)
{
	char buf[REAL_MAX];

	if (rc == 0)
		(void)forget_added(real(path, buf));
	return rc;
}

int
fs_mkdir(const char *path, mode_t mode)
{
	char buf[REAL_MAX];
	int rc;

	CHANGE(OP_MKDIR, path, false, rc, do_made(path, result(mkdir(real(path, buf), mode))));
	done(OP_MKDIR, rc, "mkdir %s", path);
	return rc;
}

int
fs_symlink(const char *target, const char *path)
{
	char buf[REAL_MAX];
	int rc;

	CHANGE(OP_SYMLINK, path, false, rc, do_made(path, result(symlink(target, real(path, buf)))));
	done(OP_SYMLINK, rc, "symlink %s %s", target, path);
	return rc;
}

int
fs_link(const char *from, const char *to)
{
	char a[REAL_MAX], b[REAL_MAX];
	int rc;

	CHANGE(OP_LINK, to, false, rc, do_made(to, result(link(real(from, a), real(to, b)))));
	done(OP_LINK, rc, "link %s %s", from, to);
	return rc;
}

static int
do_remove(const char *path, bool dir)
{
	char buf[REAL_MAX];
	struct node *n = forget_find(real(path, buf));
	int rc = result(dir ? rmdir(buf) : unlink(buf));

	if (rc == 0)
		forget_removed(buf, n);
	return rc;
}

int
fs_unlink(const char *path)
{
	int rc;

	CHANGE(OP_UNLINK, path, false, rc, do_remove(path, false));
	done(OP_UNLINK, rc, "unlink %s", path);
	return rc;
}

int
fs_rmdir(const char *path)
{
	int rc;

	CHANGE(OP_RMDIR, path, false, rc, do_remove(path, true));
	done(OP_RMDIR, rc, "rmdir %s", path);
	return rc;
}

static int
do_rename(const char *from, const char *to, unsigned int flags)
{
	char a[REAL_MAX], b[REAL_MAX];
	struct node *n = forget_find(real(from, a)), *over = forget_find(real(to, b));
	int rc;

	/* two changes that no record describes */
	if (forgetful && flags & RENAME_EXCHANGE)
		return -EINVAL;
	rc = result(renameat2(AT_FDCWD, a, AT_FDCWD, b, flags));
	if (rc == 0) {
		forget_moved(a, b, n, over);
		rename_handles(from, to);
	}
	return rc;
}

int
fs_rename(const char *from, const char *to, unsigned int flags)
{
	int rc;

	CHANGE(OP_RENAME, to, false, rc, do_rename(from, to, flags));
	done(OP_RENAME, rc, "rename%s %s %s", flags & RENAME_NOREPLACE ? "-noreplace" : "", from, to);
	return rc;
}

int
fs_readlink(const char *path, char *out, size_t size)
{
	struct verdict v = rules_apply(OP_READLINK, path, false);
	char buf[REAL_MAX];
	ssize_t n = v.error ? -1 : readlink(real(path, buf), out, size - 1);
	int rc = v.error ? -v.error : result(n);

	rules_done(OP_READLINK, rc, NULL);
	if (rc < 0)
		return rc;
	out[n] = '\0';
	return 0;
}

int
fs_opendir(const char *path, struct fuse_file_info *fi)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	snprintf(h->path, sizeof(h->path), "%s", path);
	fi->fh = (uint64_t)(uintptr_t)h;
	add_handle(h);
	return 0;
}

int
fs_releasedir(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	remove_handle(handle(fi));
	free(handle(fi));
	return 0;
}

int
fs_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
	enum fuse_readdir_flags flags)
{
	char buf[REAL_MAX], known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	struct verdict v = rules_apply(OP_READDIR, name, false);
	DIR *dir = v.error ? NULL : opendir(real(name, buf));
	int rc = v.error ? -v.error : dir ? 0 : -errno;
	struct dirent *e;

	(void)off;
	(void)flags;
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (fill(out, e->d_name, NULL, 0, 0))
			break;
	if (dir)
		closedir(dir);
	rules_done(OP_READDIR, rc, NULL);
	return rc;
}

/* ---------------------------------------------------------------- attributes */

int
fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	struct verdict v = rules_apply(OP_GETATTR, name, false);
	char buf[REAL_MAX];
	int rc = -v.error;

	if (rc == 0) {
		record_lock();
		rc = result(fi ? fstat(handle(fi)->fd, st) : lstat(real(path, buf), st));
		if (rc == 0)
			forget_stat(st);
		record_unlock();
	}
	rules_done(OP_GETATTR, rc, NULL);
	return rc;
}

int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	char buf[REAL_MAX];
	int rc;

	CHANGE(OP_CHOWN, name, false, rc,
		result(fi ? fchown(handle(fi)->fd, uid, gid) : lchown(real(path, buf), uid, gid)));
	done(OP_CHOWN, rc, "chown %s %u %u", name, uid, gid);
	return rc;
}

int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	char buf[REAL_MAX];
	int rc;

	CHANGE(OP_CHMOD, name, false, rc, result(fi ? fchmod(handle(fi)->fd, mode) : chmod(real(path, buf), mode)));
	done(OP_CHMOD, rc, "chmod %s %o", name, mode);
	return rc;
}

int
fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
	char buf[REAL_MAX];

	return result(fi ? futimens(handle(fi)->fd, times)
			 : utimensat(AT_FDCWD, real(path, buf), times, AT_SYMLINK_NOFOLLOW));
}

int
fs_statfs(const char *path, struct statvfs *st)
{
	struct verdict v = rules_apply(OP_STATFS, path, false);
	char buf[REAL_MAX];
	int rc = v.error ? -v.error : result(statvfs(real(path, buf), st));

	rules_done(OP_STATFS, rc, NULL);
	return rc;
}

static int
do_fsyncdir(const char *path)
{
	char buf[REAL_MAX];
	int fd, rc;

	if (forgetful) {
		forget_synced_dir(forget_find(real(path, buf)));
		return 0;
	}
	fd = open(real(path, buf), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = result(fsync(fd));
	close(fd);
	return rc;
}

int
fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	int rc;

	(void)data_only;
	CHANGE(OP_FSYNCDIR, name, false, rc, do_fsyncdir(name));
	done(OP_FSYNCDIR, rc, "fsyncdir %s", name);
	return rc;
}
