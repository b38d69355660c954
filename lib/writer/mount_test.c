/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mount.h"

int mount_tests(void);

static char base[64], mountinfo[96], fstab[96], dir_etc[96], dir_run[96], dir_usr[96];
static const char *dirs[] = {dir_etc, dir_run, dir_usr, NULL};
static const struct sl_mount_files files = {.mountinfo = mountinfo, .fstab = fstab, .unit_dirs = dirs};

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	fputs(text, f);
	fclose(f);
}

static void
write_unit(const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	write_file(path, text);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(base, "/tmp/sluice-mount-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(mountinfo, sizeof(mountinfo), "%s/mountinfo", base);
	snprintf(fstab, sizeof(fstab), "%s/fstab", base);
	snprintf(dir_etc, sizeof(dir_etc), "%s/etc", base);
	snprintf(dir_run, sizeof(dir_run), "%s/run", base);
	snprintf(dir_usr, sizeof(dir_usr), "%s/usr", base);
	assert_int_equal(mkdir(dir_etc, 0755), 0);
	assert_int_equal(mkdir(dir_usr, 0755), 0);

	write_file(mountinfo, "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
			      "23 22 0:21 / /proc rw,nosuid shared:12 - proc proc rw\n"
			      "90 22 8:17 / /mnt/store0 rw - xfs /dev/sdb1 rw\n"
			      "91 22 0:50 / /mnt/remote0 rw,relatime shared:40 master:2 propagate_from:3 - nfs4 "
			      "nas:/pcap rw,vers=4.2\n"
			      "92 22 0:51 /sub\\040dir /mnt/with\\040space\\011tab\\134x rw - cifs //nas/a\\040b rw\n"
			      "93 22 0:52 / /mnt/auto rw - autofs systemd-1 rw,fd=30\n"
			      "94 22 0:53 / /mnt/twice rw - autofs systemd-1 rw,fd=31\n"
			      "95 94 0:54 / /mnt/twice rw - fuse.sshfs u@h:/ rw\n"
			      "this line is not one\n"
			      "96 22 x:y / /mnt/bad rw - ext4 /dev/sdc rw\n"
			      "97 22 8:33 / /mnt/cut rw shared:9\n"
			      "98 91 8:49 / /mnt/remote0/deep rw - ext4 /dev/sdd1 rw\n");
	write_file(fstab, "# /dev/x /mnt/comment ext4 defaults 0 0\n"
			  "/dev/sda1 / ext4 defaults 0 1\n"
			  "UUID=1 none swap sw 0 0\n"
			  "nas:/pcap\t/mnt/remote0/ nfs4 _netdev,noauto 0 0\n"
			  "//nas/a\\040b /mnt/with\\040space cifs ro 0 0\n"
			  "\n"
			  "tmpfs /mnt/remote0/deep/er tmpfs\n"
			  "lonely\n");
	write_unit(dir_etc, "mnt-unit.mount",
		"[Unit]\nDescription=x\nWhere=/mnt/wrong\n\n[Mount]\nWhat=a:/b\nWhere = /mnt/unit\n");
	write_unit(dir_usr, "mnt-vendor.mount", "[Mount]\nWhere=/mnt/vendor\n");
	write_unit(dir_usr, "mnt-replaced.mount", "[Mount]\nWhere=/mnt/replaced\n");
	write_unit(dir_etc, "mnt-replaced.mount", "[Mount]\nWhat=nothing\n");
	write_unit(dir_usr, "mnt-masked.mount", "[Mount]\nWhere=/mnt/masked\n");
	write_unit(dir_usr, "mnt-other.service", "[Mount]\nWhere=/mnt/service\n");
	write_unit(
		dir_usr, "mnt-percent.mount", "[Mount]\nWhere=/mnt/per%%cent\n# Where=/mnt/hash\n;Where=/mnt/semi\n");
	write_unit(dir_usr, "mnt-spec.mount", "[Mount]\nWhere=/mnt/%i\n");
	char path[256];

	snprintf(path, sizeof(path), "%s/mnt-masked.mount", dir_etc);
	assert_int_equal(symlink("/dev/null", path), 0);
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command);
}

static void
check_find(const char *path, const char *point, const char *type, const char *source, bool remote)
{
	static struct sl_mount mount;

	if (sl_mount_find_in(&files, path, &mount) != 0)
		fail_msg("%s: not found", path);
	assert_string_equal(mount.point, point);
	assert_string_equal(mount.type, type);
	assert_string_equal(mount.source, source);
	assert_int_equal(mount.remote, remote);
}

static void
test_find(void **state)
{
	static const char *const hanging[] = {"/mnt/remote0/a", "/mnt/auto", "/mnt/twice"};
	static struct sl_mount mount;

	(void)state;
	check_find("/mnt/remote0/push/all_1.pcap", "/mnt/remote0", "nfs4", "nas:/pcap", true);
	check_find("/mnt/remote0", "/mnt/remote0", "nfs4", "nas:/pcap", true);
	check_find("/mnt/remote0x/a", "/", "ext4", "/dev/sda1", false);
	check_find("//mnt/./remote0//deep/../deep/a", "/mnt/remote0/deep", "ext4", "/dev/sdd1", false);
	check_find("/mnt/with space\ttab\\x/a", "/mnt/with space\ttab\\x", "cifs", "//nas/a b", true);
	check_find("/mnt/twice/a", "/mnt/twice", "fuse.sshfs", "u@h:/", true);
	check_find("/../..", "/", "ext4", "/dev/sda1", false);
	check_find("/mnt/bad", "/", "ext4", "/dev/sda1", false);
	check_find("/mnt/cut", "/", "ext4", "/dev/sda1", false);
	assert_int_equal(sl_mount_find_in(&files, "/mnt/store0/x", &mount), 0);
	assert_int_equal(mount.major, 8);
	assert_int_equal(mount.minor, 17);
	assert_string_equal(mount.root, "/");
	assert_false(sl_mount_may_hang(&mount));
	assert_int_equal(sl_mount_find_in(&files, "/mnt/with space\ttab\\x/a", &mount), 0);
	assert_string_equal(mount.root, "/sub dir");
	for (size_t i = 0; i < sizeof(hanging) / sizeof(hanging[0]); i++) {
		assert_int_equal(sl_mount_find_in(&files, hanging[i], &mount), 0);
		assert_true(sl_mount_may_hang(&mount));
	}
	assert_int_equal(sl_mount_find_in(&files, "mnt/store0/x", &mount), -EINVAL);
	assert_int_equal(sl_mount_find_in(&files, "", &mount), -EINVAL);
}

static void
test_is_mounted(void **state)
{
	(void)state;
	assert_true(sl_mount_is_mounted_in(&files, "/mnt/remote0"));
	assert_true(sl_mount_is_mounted_in(&files, "/mnt/remote0/"));
	assert_true(sl_mount_is_mounted_in(&files, "/mnt/auto"));
	assert_true(sl_mount_is_mounted_in(&files, "/"));
	assert_false(sl_mount_is_mounted_in(&files, "/mnt/remote0/push"));
	assert_false(sl_mount_is_mounted_in(&files, "/mnt"));
	assert_false(sl_mount_is_mounted_in(&files, "remote0"));
}

static void
check_point(const char *path, const char *expected)
{
	char point[SL_PATH_MAX];

	assert_int_equal(sl_mount_expected_in(&files, path, point), 0);
	assert_string_equal(point, expected);
}

static void
test_expected(void **state)
{
	char point[SL_PATH_MAX];

	(void)state;
	check_point("/mnt/remote0/push/all", "/mnt/remote0");
	check_point("/mnt/remote0/", "/mnt/remote0");
	/* the last component is a file's prefix: /mnt/remote0_2025.pcap lies in /mnt */
	check_point("/mnt/remote0", "");
	check_point("/mnt/remote0/deep/er/a", "/mnt/remote0/deep/er");
	check_point("/mnt/remote0/%Y/deep/er/a", "/mnt/remote0");
	check_point("/mnt/remote%Y/a", "");
	check_point("/mnt/with space/a", "/mnt/with space");
	check_point("/mnt/comment/a", "");
	check_point("/home/a", "");
	check_point("/a", "");
	check_point("/mnt/unit/a", "/mnt/unit");
	check_point("/mnt/wrong/a", "");
	check_point("/mnt/vendor/a", "/mnt/vendor");
	check_point("/mnt/replaced/a", "");
	check_point("/mnt/masked/a", "");
	check_point("/mnt/service/a", "");
	check_point("/mnt/hash/a", "");
	check_point("/mnt/semi/a", "");
	check_point("/mnt/%i/a", "");
	check_point("/mnt/per%%cent/%Y", "/mnt/per%cent");
	check_point("/mnt/unit/../remote0/a", "/mnt/remote0");
	assert_int_equal(sl_mount_expected_in(&files, "mnt/remote0/a", point), -EINVAL);
	assert_string_equal(point, "");
}

static void
test_on_root(void **state)
{
	(void)state;
	assert_true(sl_mount_on_root_unexpectedly_in(&files, "/mnt/lost/a"));
	assert_true(sl_mount_on_root_unexpectedly_in(&files, "/media/usb/a"));
	assert_true(sl_mount_on_root_unexpectedly_in(&files, "/mnt/remote0"));
	assert_true(sl_mount_on_root_unexpectedly_in(&files, "/mnt/%Y/a"));
	assert_false(sl_mount_on_root_unexpectedly_in(&files, "/mnt/remote0/a"));
	assert_false(sl_mount_on_root_unexpectedly_in(&files, "/mntx/a"));
	assert_false(sl_mount_on_root_unexpectedly_in(&files, "/home/mnt/a"));
}

/* In a chroot there may be no root in mountinfo; without /proc nothing is known. */
static void
test_no_root(void **state)
{
	const char *const none[] = {NULL};
	struct sl_mount_files odd = {.mountinfo = fstab, .fstab = "/nonexistent", .unit_dirs = none};
	static struct sl_mount mount;
	char point[SL_PATH_MAX];

	(void)state;
	assert_int_equal(sl_mount_find_in(&odd, "/mnt/x", &mount), 0);
	assert_string_equal(mount.point, "/");
	assert_string_equal(mount.type, "unknown");
	assert_int_equal(sl_mount_expected_in(&odd, "/mnt/x/a", point), 0);
	assert_string_equal(point, "");
	odd.mountinfo = "/nonexistent";
	assert_int_equal(sl_mount_find_in(&odd, "/mnt/x", &mount), -ENOENT);
	assert_false(sl_mount_is_mounted_in(&odd, "/"));
}

/* The running system: stat(2) knows the device of what we find. */
static void
test_this_system(void **state)
{
	static struct sl_mount mount;
	struct stat st;

	(void)state;
	assert_int_equal(sl_mount_find("/proc/self/status", &mount), 0);
	assert_string_equal(mount.type, "proc");
	assert_int_equal(stat("/proc", &st), 0);
	assert_int_equal(makedev(mount.major, mount.minor), st.st_dev);
	assert_true(sl_mount_is_mounted("/proc"));
}

int
mount_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_is_mounted),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_on_root),
		cmocka_unit_test(test_no_root),
		cmocka_unit_test(test_this_system),
	};

	return cmocka_run_group_tests_name("mount", tests, setup, teardown);
}
