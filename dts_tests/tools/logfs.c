/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * A FUSE file system for tests: shows a directory under another name and logs what is done to it, one line an
 * operation, in the order in which it finished. strace cannot do that: it does not see what goes through io_uring.
 *
 *     logfs SOURCE MOUNTPOINT LOG [nolink] [nofallocate] [FUSE options]
 *
 * nolink: link() fails with EPERM, as on file systems without hard links. nofallocate: fallocate() with EOPNOTSUPP.
 * Paths are logged relative to the mount point; rename and link as "link FROM TO".
 */

#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char source[4096];
static FILE *log_file;
static bool no_link, no_fallocate;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void __attribute__((format(printf, 2, 3))) note(int rc, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&log_lock);
	va_start(ap, fmt);
	vfprintf(log_file, fmt, ap);
	va_end(ap);
	fprintf(log_file, rc < 0 ? " = %s\n" : "\n", rc < 0 ? strerrorname_np(-rc) : "");
	fflush(log_file);
	pthread_mutex_unlock(&log_lock);
}

/* The path below the source; the caller's buffer. */
static const char *
real(const char *path, char buf[8192])
{
	snprintf(buf, 8192, "%s%s", source, path);
	return buf;
}

static int
result(long rc)
{
	return rc < 0 ? -errno : (int)rc;
}

static int
fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	char buf[8192];

	return result(fi ? fstat((int)fi->fh, st) : lstat(real(path, buf), st));
}

static int
fs_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
	enum fuse_readdir_flags flags)
{
	char buf[8192];
	DIR *dir = opendir(real(path, buf));
	struct dirent *e;

	(void)off;
	(void)fi;
	(void)flags;
	if (!dir)
		return -errno;
	while ((e = readdir(dir)) != NULL)
		if (fill(out, e->d_name, NULL, 0, 0))
			break;
	closedir(dir);
	return 0;
}

static int
fs_mkdir(const char *path, mode_t mode)
{
	char buf[8192];
	int rc = result(mkdir(real(path, buf), mode));

	note(rc, "mkdir %s", path);
	return rc;
}

static int
fs_rmdir(const char *path)
{
	char buf[8192];

	return result(rmdir(real(path, buf)));
}

static int
open_real(const char *path, struct fuse_file_info *fi, mode_t mode)
{
	char buf[8192];
	/* the kernel has seen to O_DIRECT; our own buffers are not aligned */
	int fd = open(real(path, buf), (fi->flags & ~O_DIRECT) | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int rc = open_real(path, fi, mode);

	note(rc, "create %s%s", path, fi->flags & O_EXCL ? " excl" : "");
	return rc;
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
	return open_real(path, fi, 0);
}

static int
fs_read(const char *path, char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)path;
	return result(pread((int)fi->fh, data, size, off));
}

static int
fs_write(const char *path, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	int rc = result(pwrite((int)fi->fh, data, size, off));

	note(rc, "write %s %lld %zu", path, (long long)off, size);
	return rc;
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return result(close((int)fi->fh));
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	char buf[8192];
	int rc = result(fi ? ftruncate((int)fi->fh, size) : truncate(real(path, buf), size));

	note(rc, "truncate %s %lld", path, (long long)size);
	return rc;
}

static int
fs_fallocate(const char *path, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	int rc = no_fallocate ? -EOPNOTSUPP : result(fallocate((int)fi->fh, mode, off, len));

	note(rc, "fallocate %s %lld %lld", path, (long long)off, (long long)len);
	return rc;
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	int rc = result(fsync((int)fi->fh));

	note(rc, "%s %s", data_only ? "fdatasync" : "fsync", path);
	return rc;
}

static int
fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
	char buf[8192];
	int fd = open(real(path, buf), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : result(fsync(fd));

	(void)data_only;
	(void)fi;
	if (fd >= 0)
		close(fd);
	note(rc, "fsyncdir %s", path);
	return rc;
}

static int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	char buf[8192];
	int rc = result(fi ? fchown((int)fi->fh, uid, gid) : lchown(real(path, buf), uid, gid));

	note(rc, "chown %s %u %u", path, uid, gid);
	return rc;
}

static int
fs_link(const char *from, const char *to)
{
	char a[8192], b[8192];
	int rc = no_link ? -EPERM : result(link(real(from, a), real(to, b)));

	note(rc, "link %s %s", from, to);
	return rc;
}

static int
fs_rename(const char *from, const char *to, unsigned int flags)
{
	char a[8192], b[8192];
	int rc = result(renameat2(AT_FDCWD, real(from, a), AT_FDCWD, real(to, b), flags));

	note(rc, "rename%s %s %s", flags & RENAME_NOREPLACE ? "-noreplace" : "", from, to);
	return rc;
}

static int
fs_unlink(const char *path)
{
	char buf[8192];
	int rc = result(unlink(real(path, buf)));

	note(rc, "unlink %s", path);
	return rc;
}

static int
fs_statfs(const char *path, struct statvfs *st)
{
	char buf[8192];

	return result(statvfs(real(path, buf), st));
}

/* No caches: what is asked again must be seen again, and hard links must share an inode number. */
static void *
fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	(void)conn;
	config->use_ino = 1;
	config->hard_remove = 1;
	config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.readdir = fs_readdir,
	.mkdir = fs_mkdir,
	.rmdir = fs_rmdir,
	.create = fs_create,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.release = fs_release,
	.truncate = fs_truncate,
	.fallocate = fs_fallocate,
	.fsync = fs_fsync,
	.fsyncdir = fs_fsyncdir,
	.chown = fs_chown,
	.link = fs_link,
	.rename = fs_rename,
	.unlink = fs_unlink,
	.statfs = fs_statfs,
};

int
main(int argc, char **argv)
{
	char *words[32] = {argv[0], argc > 2 ? argv[2] : NULL, (char *)"-f"};
	int n = 3, i;

	if (argc < 4) {
		fprintf(stderr, "usage: %s SOURCE MOUNTPOINT LOG [nolink] [nofallocate] [FUSE options]\n", argv[0]);
		return 2;
	}
	if (!realpath(argv[1], source)) {
		perror(argv[1]);
		return 1;
	}
	log_file = fopen(argv[3], "we");
	if (!log_file) {
		perror(argv[3]);
		return 1;
	}
	for (i = 4; i < argc && n < 31; i++) {
		if (strcmp(argv[i], "nolink") == 0)
			no_link = true;
		else if (strcmp(argv[i], "nofallocate") == 0)
			no_fallocate = true;
		else
			words[n++] = argv[i];
	}
	umask(0);
	return fuse_main(n, words, &operations, NULL);
}
