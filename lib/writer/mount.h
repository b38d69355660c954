/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_MOUNT_H
#define SL_WRITER_MOUNT_H

/**
 * @file
 * Which file system a path lies on, from /proc/self/mountinfo, /etc/fstab and systemd mount units: never by touching
 * the path, which may hang.
 */

#include <stdbool.h>
#include <stddef.h>

#include "sl_writer.h"

/** A mounted file system. */
struct sl_mount {
	char point[SL_PATH_MAX];  /**< mount point */
	char root[SL_PATH_MAX];   /**< directory of the file system that is seen there: "/", but for bind mounts */
	char type[64];            /**< "ext4", "nfs4", ... */
	char source[SL_PATH_MAX];
	unsigned int major, minor;
	bool remote;              /**< nfs, cifs, fuse.sshfs ...: MinFree's default does not apply */
};

/**
 * The mounted file system that holds an absolute path (longest mounted prefix; path itself may be the mount point). The path
 * is read as text: `..` is resolved without following links. Where nothing mounted covers it, as in a chroot whose own root
 * is no mount, the answer is "/" of type "unknown".
 * @return 0; -EINVAL: not absolute; -ENAMETOOLONG; -errno of reading /proc/self/mountinfo
 */
int sl_mount_find(const char *path, struct sl_mount *mount);

/** May a look at the file system never return? On a dead NFS server stat() does not, nor on FUSE if its program hangs. */
bool sl_mount_may_hang(const struct sl_mount *mount);

/**
 * Is something mounted exactly at this point? An automount point counts: whoever opens it waits for the mount or fails, and
 * cannot reach the file system below.
 */
bool sl_mount_is_mounted(const char *point);

/**
 * The mount point that a Path is meant to lie on: the longest prefix of it that /etc/fstab or a systemd mount unit names
 * ("/" does not count). Path's last component is a file's prefix, not a directory, and strftime conversions in path end the
 * prefix.
 * @param[out] point  SL_PATH_MAX bytes, "" if none is named
 * @return 0; -EINVAL: not absolute; -ENAMETOOLONG. A missing or unreadable fstab or unit names nothing
 */
int sl_mount_expected(const char *path, char *point);

/** A Path under /mnt or /media that lies on the root file system: worth a warning. */
bool sl_mount_on_root_unexpectedly(const char *path);

/* ---------------------------------------------------------------- the same on other files, for tests */

struct sl_mount_files {
	const char *mountinfo;
	const char *fstab;
	const char *const *unit_dirs; /**< highest priority first, NULL ends */
};

int sl_mount_find_in(const struct sl_mount_files *files, const char *path, struct sl_mount *mount);
bool sl_mount_is_mounted_in(const struct sl_mount_files *files, const char *point);
int sl_mount_expected_in(const struct sl_mount_files *files, const char *path, char *point);
bool sl_mount_on_root_unexpectedly_in(const struct sl_mount_files *files, const char *path);

#endif
