/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Operations on open files.
 */

#include "fs.h"

#include <stdlib.h>

static int
do_open(const char *path, struct fuse_file_info *fi, mode_t mode)
{
	struct handle *h = malloc(sizeof(*h));
	bool is_new = fi->flags & O_CREAT;
	char buf[REAL_MAX];

	if (!h)
		return -ENOMEM;
	snprintf(h->path, sizeof(h->path), "%s", path);
	/* the kernel has seen to O_DIRECT, our own buffers are not aligned; O_APPEND would move its offsets */
	h->fd = open(real(path, buf), (fi->flags & ~(O_DIRECT | O_APPEND | O_TRUNC)) | O_CLOEXEC, mode);
	if (h->fd < 0) {
		int rc = -errno;

		free(h);
		return rc;
	}
	h->node = forget_find(buf);
	if (is_new && (!h->node || fi->flags & O_EXCL))
		h->node = forget_added(buf);
	forget_opened(h->node);
	fi->fh = (uint64_t)(uintptr_t)h;
	add_handle(h);
	return 0;
}

static int
do_truncate(int fd, struct node *n, uint64_t size)
{
	struct stat st;
	int rc = forget_before(n);

	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return -errno;
	rc = result(ftruncate(fd, (off_t)size));
	if (rc == 0)
		forget_changed(n, size, (uint64_t)st.st_size > size ? (uint64_t)st.st_size - size : 0);
	return rc;
}

int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	bool direct = fi->flags & O_DIRECT;
	int rc;

	CHANGE(OP_CREATE, path, direct, rc, do_open(path, fi, mode));
	done(OP_CREATE, rc, "create %s%s", path, fi->flags & O_EXCL ? " excl" : "");
	return rc;
}

int
fs_open(const char *path, struct fuse_file_info *fi)
{
	bool direct = fi->flags & O_DIRECT;
	int rc;

	CHANGE(OP_OPEN, path, direct, rc, do_open(path, fi, 0));
	rules_done(OP_OPEN, rc, NULL);
	return rc;
}

int
fs_read(const char *path, char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	struct verdict v = rules_apply(OP_READ, name_of(path, fi, known), fi->flags & O_DIRECT);
	int rc = v.error ? -v.error : result(pread(handle(fi)->fd, data, size, off));

	rules_done(OP_READ, rc, NULL);
	return rc;
}

static int
do_write(struct handle *h, const char *data, size_t size, off_t off)
{
	int rc = forget_before(h->node);

	if (rc < 0)
		return rc;
	rc = result(pwrite(h->fd, data, size, off));
	if (rc > 0)
		forget_changed(h->node, (uint64_t)off, (uint64_t)rc);
	return rc;
}

int
fs_write(const char *path, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	struct verdict v = rules_apply(OP_WRITE, name, fi->flags & O_DIRECT);
	size_t take = v.shorten && v.shorten < size ? (size_t)v.shorten : size;
	int rc = v.error ? -v.error : (int)size;

	if (!v.ignore && (!v.error || v.after)) {
		record_lock();
		rc = do_write(handle(fi), data, take, off);
		record_unlock();
		if (v.error)
			rc = -v.error;
	}
	done(OP_WRITE, rc, "write %s %lld %zu", name, (long long)off, take);
	return rc;
}

int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	char buf[REAL_MAX];
	int fd = fi ? handle(fi)->fd : open(real(path, buf), O_WRONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	CHANGE(OP_TRUNCATE, name, false, rc, do_truncate(fd, fi ? handle(fi)->node : forget_find(buf), (uint64_t)size));
	if (!fi)
		close(fd);
	done(OP_TRUNCATE, rc, "truncate %s %lld", name, (long long)size);
	return rc;
}

static int
do_fallocate(struct handle *h, int mode, off_t off, off_t len)
{
	bool punch = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	int rc = forget_before(h->node);

	if (rc < 0)
		return rc;
	rc = result(fallocate(h->fd, mode, off, len));
	if (rc == 0)
		forget_changed(h->node, (uint64_t)off, punch ? (uint64_t)len : 0);
	return rc;
}

int
fs_fallocate(const char *path, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	int rc;

	CHANGE(OP_FALLOCATE, name, false, rc, do_fallocate(handle(fi), mode, off, len));
	done(OP_FALLOCATE, rc, "fallocate %s %lld %lld", name, (long long)off, (long long)len);
	return rc;
}

/* What is to be lost need not be safe. */
static int
do_fsync(struct handle *h)
{
	if (!forgetful)
		return result(fsync(h->fd));
	forget_synced(h->node);
	return 0;
}

int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	const char *name = name_of(path, fi, known);
	int rc;

	CHANGE(OP_FSYNC, name, false, rc, do_fsync(handle(fi)));
	done(OP_FSYNC, rc, "%s %s", data_only ? "fdatasync" : "fsync", name);
	return rc;
}

int
fs_flush(const char *path, struct fuse_file_info *fi)
{
	char known[PATH_MAX];
	struct verdict v = rules_apply(OP_FLUSH, name_of(path, fi, known), false);

	rules_done(OP_FLUSH, -v.error, NULL);
	return -v.error;
}

/* Without rules: nobody waits for it, and the kernel hears of no error. */
int
fs_release(const char *path, struct fuse_file_info *fi)
{
	struct handle *h = handle(fi);

	(void)path;
	remove_handle(h);
	record_lock();
	close(h->fd);
	forget_closed(h->node);
	record_unlock();
	free(h);
	return 0;
}
