/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount.h"

/* systemd.unit(5): the first directory that has a unit decides. Generated units come from fstab, which we read. */
static const char *const system_unit_dirs[] = {
	"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", NULL};

static const struct sl_mount_files system_files = {
	.mountinfo = "/proc/self/mountinfo", .fstab = "/etc/fstab", .unit_dirs = system_unit_dirs};

/* ---------------------------------------------------------------- paths as text */

/* Absolute, single slashes, no "." and "..", no slash at the end but in "/". The text is not longer than path. */
static int
normalise(const char *path, char *out)
{
	size_t len = 0;

	if (path[0] != '/')
		return -EINVAL;
	if (strlen(path) >= SL_PATH_MAX)
		return -ENAMETOOLONG;
	while (*path != '\0') {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return 0;
}

/* Does path, normalised, lie at or under point, normalised? */
static bool
is_under(const char *path, const char *point)
{
	size_t len = strlen(point);

	if (len == 1)
		return true;
	return strncmp(path, point, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The directory of a target's files as far as it is the same for all of them. */
static int
fixed_directory(const char *path, char *out)
{
	char text[SL_PATH_MAX];
	bool conversions = strchr(path, '%') != NULL;
	size_t len = 0;
	char *slash;

	if (path[0] != '/')
		return -EINVAL;
	for (const char *s = path; *s != '\0'; s++) {
		if (len + 1 >= sizeof(text))
			return -ENAMETOOLONG;
		if (conversions && *s == '%') {
			if (s[1] != '%')
				break;
			s++;
		}
		text[len++] = *s;
	}
	text[len] = '\0';
	slash = strrchr(text, '/');
	slash[slash == text ? 1 : 0] = '\0';
	return normalise(text, out);
}

/* Undo the octal escapes of mountinfo and fstab, \040 and the like, in place. */
static void
unescape(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
			s[3] <= '7') {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* ---------------------------------------------------------------- what is mounted */

/* Types whose data lie on another machine: its administrator minds the free space. */
static bool
is_remote(const char *type)
{
	static const char *const remote[] = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "ceph", "afs", "9p",
		"lustre", "glusterfs", "beegfs", "gpfs", "orangefs", "pvfs2", "coda", "davfs", "fuse.sshfs",
		"fuse.rclone", "fuse.s3fs", "fuse.s3ql", "fuse.goofys", "fuse.gcsfuse", "fuse.mount-s3", "fuse.geesefs",
		"fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs", "fuse.davfs2", "fuse.curlftpfs",
		"fuse.juicefs", "fuse.JuiceFS", "fuse.mfs", "fuse.seaweedfs", "fuse.smbnetfs", "fuse.blobfuse",
		"fuse.blobfuse2"};

	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
		if (!strcmp(type, remote[i]))
			return true;
	}
	return false;
}

/* "8:17" */
static bool
parse_device(const char *s, unsigned int *dev_major, unsigned int *dev_minor)
{
	char *end;

	*dev_major = (unsigned int)strtoul(s, &end, 10);
	if (end == s || *end != ':')
		return false;
	s = end + 1;
	*dev_minor = (unsigned int)strtoul(s, &end, 10);
	return end != s && *end == '\0';
}

/* One line of mountinfo, proc(5): id parent major:minor root point options optional... - type source super */
static bool
parse_mountinfo(char *line, char **point, char **root, char **type, char **source, unsigned int *dev_major,
	unsigned int *dev_minor)
{
	char *fields[6] = {0}, *save = NULL, *field;
	unsigned int n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (n < 6 && (fields[n] = strtok_r(n ? NULL : line, " ", &save)))
		n++;
	if (n < 6 || !parse_device(fields[2], dev_major, dev_minor) || fields[4][0] != '/')
		return false;
	do
		field = strtok_r(NULL, " ", &save);
	while (field && strcmp(field, "-") != 0);
	*type = strtok_r(NULL, " ", &save);
	*source = strtok_r(NULL, " ", &save);
	if (!field || !*type)
		return false;
	if (!*source)
		*source = *type + strlen(*type);
	*point = fields[4];
	*root = fields[3];
	unescape(*point);
	unescape(*root);
	unescape(*source);
	return true;
}

/* The newest mount with the longest point that covers path; exact: only one at path itself. path is normalised. */
static int
find(const struct sl_mount_files *files, const char *path, bool exact, struct sl_mount *mount)
{
	FILE *f = fopen(files->mountinfo, "re");
	char *line = NULL;
	size_t size = 0, best = 0;
	int ret = 0;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		char *point, *root, *type, *source;
		unsigned int dev_major, dev_minor;

		if (!parse_mountinfo(line, &point, &root, &type, &source, &dev_major, &dev_minor))
			continue;
		/* The kernel lists a mount over another one behind it. */
		if (strlen(point) >= SL_PATH_MAX || strlen(point) < best || !is_under(path, point) ||
			(exact && strcmp(path, point) != 0))
			continue;
		best = strlen(point);
		snprintf(mount->point, sizeof(mount->point), "%s", point);
		snprintf(mount->root, sizeof(mount->root), "%s", root);
		snprintf(mount->type, sizeof(mount->type), "%s", type);
		snprintf(mount->source, sizeof(mount->source), "%s", source);
		mount->major = dev_major;
		mount->minor = dev_minor;
		mount->remote = is_remote(type);
	}
	if (ferror(f))
		ret = errno ? -errno : -EIO;
	else if (best == 0)
		ret = -ENOENT;
	free(line);
	fclose(f);
	return ret;
}

int
sl_mount_find_in(const struct sl_mount_files *files, const char *path, struct sl_mount *mount)
{
	char clean[SL_PATH_MAX];
	int ret;

	memset(mount, 0, sizeof(*mount));
	ret = normalise(path, clean);
	if (ret)
		return ret;
	ret = find(files, clean, false, mount);
	if (ret == -ENOENT && access(files->mountinfo, F_OK) == 0) {
		strcpy(mount->point, "/");
		strcpy(mount->root, "/");
		strcpy(mount->type, "unknown");
		ret = 0;
	}
	return ret;
}

bool
sl_mount_may_hang(const struct sl_mount *mount)
{
	return mount->remote || strncmp(mount->type, "fuse", 4) == 0 || strcmp(mount->type, "autofs") == 0;
}

bool
sl_mount_is_mounted_in(const struct sl_mount_files *files, const char *point)
{
	struct sl_mount mount;
	char clean[SL_PATH_MAX];

	return normalise(point, clean) == 0 && find(files, clean, true, &mount) == 0;
}

bool
sl_mount_on_root_unexpectedly_in(const struct sl_mount_files *files, const char *path)
{
	struct sl_mount mount;
	char dir[SL_PATH_MAX] = "";

	if (fixed_directory(path, dir) || (!is_under(dir, "/mnt") && !is_under(dir, "/media")))
		return false;
	return sl_mount_find_in(files, dir, &mount) == 0 && strcmp(mount.point, "/") == 0;
}

/* ---------------------------------------------------------------- what is meant to be mounted */

/* Keep point if dir lies under it and it is longer than the one known. */
static void
consider(const char *dir, const char *point, char *best)
{
	char clean[SL_PATH_MAX];

	if (normalise(point, clean) == 0 && strcmp(clean, "/") != 0 && is_under(dir, clean) &&
		strlen(clean) > strlen(best))
		strcpy(best, clean);
}

/* fstab(5): source point type options; "none" for swap */
static void
read_fstab(const char *fstab, const char *dir, char *best)
{
	FILE *f = fopen(fstab, "re");
	char *line = NULL, *save, *point;
	size_t size = 0;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		save = NULL;
		line[strcspn(line, "\n")] = '\0';
		if (line[strspn(line, " \t")] == '#' || !strtok_r(line, " \t", &save))
			continue;
		point = strtok_r(NULL, " \t", &save);
		if (!point)
			continue;
		unescape(point);
		consider(dir, point, best);
	}
	free(line);
	fclose(f);
}

/* "%%" is the only specifier that a mount point is likely to hold; a point with another one is not understood. */
static bool
unit_specifiers(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		if (*s == '%' && *++s != '%')
			return false;
		*out++ = *s;
	}
	*out = '\0';
	return true;
}

/* systemd.mount(5): Where= in [Mount] */
static void
read_unit(const char *path, const char *dir, char *best)
{
	/* A masked unit is a link to /dev/null, an old file system's FIFO would hang us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool in_mount = false;
	char *line = NULL;
	size_t size = 0;
	struct stat st;
	FILE *f;

	if (fd < 0)
		return;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !(f = fdopen(fd, "r"))) {
		close(fd);
		return;
	}
	while (getline(&line, &size, f) > 0) {
		char *s = line + strspn(line, " \t"), *end = s + strlen(s);

		while (end > s && strchr(" \t\r\n", end[-1]))
			*--end = '\0';
		if (*s == '[') {
			in_mount = !strcmp(s, "[Mount]");
		} else if (in_mount && !strncmp(s, "Where", 5)) {
			s += 5;
			s += strspn(s, " \t");
			if (*s != '=')
				continue;
			s++;
			s += strspn(s, " \t");
			if (unit_specifiers(s))
				consider(dir, s, best);
		}
	}
	free(line);
	fclose(f);
}

static void
read_units(const char *const *dirs, unsigned int d, const char *dir, char *best)
{
	char path[SL_PATH_MAX];
	struct dirent *entry;
	DIR *list = opendir(dirs[d]);

	if (!list)
		return;
	while ((entry = readdir(list))) {
		size_t len = strlen(entry->d_name);
		bool replaced = false;
		struct stat st;

		if (len <= 6 || strcmp(entry->d_name + len - 6, ".mount") != 0)
			continue;
		for (unsigned int i = 0; i < d && !replaced; i++) {
			if ((size_t)snprintf(path, sizeof(path), "%s/%s", dirs[i], entry->d_name) < sizeof(path))
				replaced = lstat(path, &st) == 0;
		}
		if (!replaced && (size_t)snprintf(path, sizeof(path), "%s/%s", dirs[d], entry->d_name) < sizeof(path))
			read_unit(path, dir, best);
	}
	closedir(list);
}

int
sl_mount_expected_in(const struct sl_mount_files *files, const char *path, char *point)
{
	char dir[SL_PATH_MAX];
	int ret;

	point[0] = '\0';
	ret = fixed_directory(path, dir);
	if (ret)
		return ret;
	read_fstab(files->fstab, dir, point);
	for (unsigned int d = 0; files->unit_dirs[d]; d++)
		read_units(files->unit_dirs, d, dir, point);
	return 0;
}

/* ---------------------------------------------------------------- on the system's files */

int
sl_mount_find(const char *path, struct sl_mount *mount)
{
	return sl_mount_find_in(&system_files, path, mount);
}

bool
sl_mount_is_mounted(const char *point)
{
	return sl_mount_is_mounted_in(&system_files, point);
}

int
sl_mount_expected(const char *path, char *point)
{
	return sl_mount_expected_in(&system_files, path, point);
}

bool
sl_mount_on_root_unexpectedly(const char *path)
{
	return sl_mount_on_root_unexpectedly_in(&system_files, path);
}
