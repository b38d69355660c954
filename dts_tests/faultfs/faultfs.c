/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * A FUSE file system for tests: shows a directory under another name, delays, hangs, fails or shortens what is done to
 * it as rules say, logs it, and can lose what was not fsynced, as in a power loss.
 *
 *     faultfs BACKING MOUNTPOINT SOCKET [forget]
 *
 * forget: what was not fsynced is lost at the command "loss"; BACKING.objects is made beside the backing directory.
 *
 * Runs in the foreground, until its parent ends or the file system is unmounted. SOCKET takes commands, see control.c;
 * framework/faultfs.py speaks to it. Paths are those below the mount point.
 */

#include "fs.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "control.h"

/* More than operations can hang at a time: io_uring and threads send many, and the rest must go on. */
#define THREADS 512

char backing[PATH_MAX];
bool forgetful;
static struct handle *handles;
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;

const char *
real(const char *path, char buf[REAL_MAX])
{
	snprintf(buf, REAL_MAX, "%s%s", backing, path);
	return buf;
}

struct handle *
handle(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

static const char *
handle_path(const struct handle *h, char buf[PATH_MAX])
{
	pthread_mutex_lock(&handles_lock);
	strcpy(buf, h->path);
	pthread_mutex_unlock(&handles_lock);
	return buf;
}

const char *
name_of(const char *path, const struct fuse_file_info *fi, char buf[PATH_MAX])
{
	return fi ? handle_path(handle(fi), buf) : path;
}

void
add_handle(struct handle *h)
{
	pthread_mutex_lock(&handles_lock);
	h->next = handles;
	handles = h;
	pthread_mutex_unlock(&handles_lock);
}

void
remove_handle(struct handle *h)
{
	struct handle **at;

	pthread_mutex_lock(&handles_lock);
	for (at = &handles; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	pthread_mutex_unlock(&handles_lock);
}

void
rename_handles(const char *from, const char *to)
{
	size_t len = strlen(from), new_len = strlen(to);

	pthread_mutex_lock(&handles_lock);
	for (struct handle *h = handles; h; h = h->next) {
		size_t rest;

		if (strncmp(h->path, from, len) != 0 || (h->path[len] != '\0' && h->path[len] != '/'))
			continue;
		rest = strlen(h->path + len) + 1;
		/* one that has become too long keeps its old name: no rule is meant for it */
		if (new_len + rest > sizeof(h->path))
			continue;
		memmove(h->path + new_len, h->path + len, rest);
		memcpy(h->path, to, new_len);
	}
	pthread_mutex_unlock(&handles_lock);
}

int
result(long rc)
{
	return rc < 0 ? -errno : (int)rc;
}

void
done(enum op op, int rc, const char *fmt, ...)
{
	char text[2 * PATH_MAX + 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rules_done(op, rc, text);
}

void
record_lock(void)
{
	if (forgetful)
		forget_lock();
}

void
record_unlock(void)
{
	if (forgetful)
		forget_unlock();
}

static void *
fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	/* or a few hung operations would hold up all others in the kernel */
	conn->max_background = 4096;
	conn->congestion_threshold = 4096;
	conn->max_write = 1u << 20;
	config->use_ino = 1;
	config->hard_remove = 1;
	config->nullpath_ok = 1;
	/* no caches: what is asked again must be seen again */
	config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.readlink = fs_readlink,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.releasedir = fs_releasedir,
	.mkdir = fs_mkdir,
	.rmdir = fs_rmdir,
	.symlink = fs_symlink,
	.create = fs_create,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.flush = fs_flush,
	.release = fs_release,
	.truncate = fs_truncate,
	.fallocate = fs_fallocate,
	.fsync = fs_fsync,
	.fsyncdir = fs_fsyncdir,
	.chown = fs_chown,
	.chmod = fs_chmod,
	.utimens = fs_utimens,
	.link = fs_link,
	.rename = fs_rename,
	.unlink = fs_unlink,
	.statfs = fs_statfs,
};

static int
start_forgetting(void)
{
	char objects[PATH_MAX + 16];
	int rc;

	snprintf(objects, sizeof(objects), "%s.objects", backing);
	rc = forget_start(backing, objects);
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", objects, strerror(-rc));
	forgetful = rc == 0;
	return rc;
}

int
main(int argc, char **argv)
{
	char options[PATH_MAX + 128];
	char *words[] = {argv[0], (char *)"-o", options};
	struct fuse_args args = FUSE_ARGS_INIT(3, words);
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	struct fuse *fuse;
	int rc;

	if (argc < 4 || argc > 5 || (argc == 5 && strcmp(argv[4], "forget") != 0)) {
		fprintf(stderr, "usage: %s BACKING MOUNTPOINT SOCKET [forget]\n", argv[0]);
		return 2;
	}
	if (!realpath(argv[1], backing)) {
		perror(argv[1]);
		return 1;
	}
	snprintf(options, sizeof(options), "allow_other,default_permissions,fsname=faultfs,subtype=faultfs");
	umask(0);
	if (argc == 5 && start_forgetting() < 0)
		return 1;
	fuse = fuse_new(&args, &operations, sizeof(operations), NULL);
	if (!fuse || fuse_mount(fuse, argv[2]) < 0)
		return 1;
	rc = control_start(argv[3]);
	if (rc == 0) {
		fuse_loop_cfg_set_max_threads(loop, THREADS);
		fuse_loop_cfg_set_idle_threads(loop, 16);
		rc = fuse_loop_mt(fuse, loop);
	}
	fuse_unmount(fuse);
	return rc ? 1 : 0;
}
