/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What a network file system does to publishing, in the place of one: answers that are lost after the work was done,
 * and descriptors that are given up while the path works. TestSuite_nfs.py does the same with a real one.
 */

#include "feed_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"

#define T0 (UINT64_C(1700000040) * S)

static char dir[256], path[300];
static struct feed_stream stream;
static struct sl_ops real;
static _Atomic unsigned int lost, stale, reopened;
static char reopened_name[SL_PATH_MAX]; /* one file at a time is published */

static int
setup(void **state)
{
	(void)state;
	real = sl_ops;
	lost = stale = reopened = 0;
	reopened_name[0] = '\0';
	feed_make_dir(dir);
	snprintf(path, sizeof(path), "%s/a", dir);
	feed_random(&stream, 7, 3000, 300, T0, S / 5, 600);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sl_ops = real;
	feed_free(&stream);
	feed_remove_dir(dir);
	return 0;
}

/* Push the stream to a target of minutes; fails the test unless all packets are published, in files with plain names.
 */
static void
push(void)
{
	struct sl_target_config cfg = feed_target("a", path);
	struct feed_options options = {0};
	struct sl_target_stats stats;
	char *list;

	cfg.split_time = 60 * S;
	assert_int_equal(feed_run(&stream, &cfg, 1, &options, &stats), 0);
	assert_true(stats.files > 3);
	assert_int_equal(stats.published_packets, stats.packets);
	assert_int_equal(stats.renamed, 0);
	list = feed_listing(dir);
	assert_null(strstr(list, ".pending"));
	assert_null(strstr(list, "_1.pcap"));
	free(list);
}

/* NFS without a reply cache, as after a restart of the server: LINK is sent again, and the first one has worked. */
static int
link_twice(const char *from, const char *to)
{
	if (real.link(from, to) < 0)
		return -1;
	lost++;
	errno = EEXIST;
	return -1;
}

static void
test_link_sent_again(void **state)
{
	(void)state;
	sl_ops.link = link_twice;
	push();
	assert_true(lost > 3);
}

/* A soft mount: the work is done, and the caller is told that it failed. */
static int
link_unheard(const char *from, const char *to)
{
	if (real.link(from, to) < 0)
		return -1;
	if (lost++ > 2)
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

static void
test_link_unheard(void **state)
{
	(void)state;
	sl_ops.link = link_unheard;
	push();
	assert_true(lost > 3);
}

/* The same with a file that is made. */
static int
open_unheard(const char *name, int flags, mode_t mode)
{
	int fd = real.open(name, flags, mode);

	if (fd < 0 || !(flags & O_CREAT) || lost++ % 2)
		return fd;
	close(fd);
	errno = EIO;
	return -1;
}

static void
test_open_unheard(void **state)
{
	(void)state;
	sl_ops.open = open_unheard;
	push();
	assert_true(lost > 3);
}

static bool
is_pending(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && strcmp(dot, ".pending") == 0;
}

static int
open_noting(const char *name, int flags, mode_t mode)
{
	int fd = real.open(name, flags, mode);

	if (fd >= 0 && is_pending(name) && !(flags & O_CREAT)) {
		reopened++;
		snprintf(reopened_name, sizeof(reopened_name), "%s", name);
	}
	return fd;
}

/* ESTALE until the file has been opened again. */
static int
fsync_stale(int fd)
{
	char name[SL_PATH_MAX];

	feed_path_of(fd, name);
	if (!is_pending(name) || strcmp(name, reopened_name) == 0)
		return real.fsync(fd);
	stale++;
	errno = ESTALE;
	return -1;
}

static void
test_stale_descriptor(void **state)
{
	(void)state;
	sl_ops.open = open_noting;
	sl_ops.fsync = fsync_stale;
	push();
	assert_true(stale > 3);
	assert_int_equal(stale, reopened);
}

int
publish_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_link_sent_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_unheard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_unheard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_descriptor, setup, teardown),
	};

	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
