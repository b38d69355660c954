/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "feed_test.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"

#define T0 (UINT64_C(1700000040) * S)
#define PACKETS 12000
#define HANG_MAX_US 20000000 /* a hang that nobody ends must not hang the test */

static char dir[256];

/* Operations on a path that holds this word do not return while the healthy target has something to do. */
static struct {
	struct sl_ops real;
	_Atomic bool over;
	_Atomic unsigned int hung;
	_Atomic(struct sl_writers *) writers;
	uint64_t healthy_packets;
} hang;

static int
setup(void **state)
{
	(void)state;
	feed_make_dir(dir);
	memset(&hang, 0, sizeof(hang));
	hang.real = sl_ops;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sl_ops = hang.real;
	feed_remove_dir(dir);
	return 0;
}

static bool
healthy_is_through(void)
{
	struct sl_writers *writers = atomic_load(&hang.writers);
	struct sl_target_stats *stats;
	bool through;

	if (!writers)
		return false;
	stats = malloc(sizeof(*stats));
	sl_writers_target_stats(writers, 0, stats);
	through = stats->published_packets == hang.healthy_packets;
	free(stats);
	return through;
}

static void
wait_it_out(const char *path, const char *word)
{
	if (!strstr(path, word) || atomic_load(&hang.over))
		return;
	atomic_fetch_add(&hang.hung, 1);
	for (unsigned int us = 0; us < HANG_MAX_US && !atomic_load(&hang.over); us += 1000) {
		if (healthy_is_through())
			atomic_store(&hang.over, true);
		usleep(1000);
	}
}

static int
hanging_open(const char *path, int flags, mode_t mode)
{
	wait_it_out(path, "hang-open/");
	return hang.real.open(path, flags, mode);
}

static int
hanging_mkdir(const char *path, mode_t mode)
{
	wait_it_out(path, "hang-mkdir/");
	return hang.real.mkdir(path, mode);
}

static int
hanging_link(const char *from, const char *to)
{
	wait_it_out(from, "hang-link/");
	return hang.real.link(from, to);
}

static int
hanging_fsync(int fd)
{
	char path[SL_PATH_MAX];

	feed_path_of(fd, path);
	wait_it_out(path, "hang-fsync/");
	return hang.real.fsync(fd);
}

static void
remember(struct sl_writers *writers, uint64_t number)
{
	(void)number;
	atomic_store(&hang.writers, writers);
}

#define TARGETS 5
static const char *const names[TARGETS] = {"healthy", "hang-open", "hang-fsync", "hang-link", "hang-mkdir/below"};

/* @return a listing of what was written, to be freed */
static char *
run_all(const char *where, const struct feed_stream *stream, struct sl_target_stats *stats)
{
	struct sl_target_config targets[TARGETS];
	struct feed_options options = {.seconds = 60, .each = remember};
	static char paths[TARGETS][400];
	char base[300];

	snprintf(base, sizeof(base), "%s/%s", dir, where);
	for (unsigned int t = 0; t < TARGETS; t++) {
		snprintf(paths[t], sizeof(paths[t]), "%s/%s/x", base, names[t]);
		targets[t] = feed_target(names[t], paths[t]);
		targets[t].split_time = S;
		targets[t].min_free = 0;
	}
	assert_int_equal(feed_run(stream, targets, TARGETS, &options, stats), 0);
	return feed_listing(base);
}

/*
 * Four of five targets of one mount hang, each in another operation, with both of the jobs that they can have under
 * way: these are all of the mount's threads. The fifth one ends as if nothing was; and so do the four, once they can.
 */
static void
a_hang_is_one_targets_own(void **state)
{
	struct sl_target_stats *stats = calloc(TARGETS, sizeof(*stats));
	struct feed_stream stream;
	char *expected, *got;

	(void)state;
	feed_random(&stream, 7, PACKETS, 400, T0, S / 200, 1500);
	for (size_t i = 0; i < stream.count; i++)
		stream.packets[i].match = ~0u;
	hang.healthy_packets = stream.count;
	expected = run_all("undisturbed", &stream, stats);
	for (unsigned int t = 0; t < TARGETS; t++)
		assert_int_equal(stats[t].parks, 0);

	sl_ops.open = hanging_open;
	sl_ops.mkdir = hanging_mkdir;
	sl_ops.link = hanging_link;
	sl_ops.fsync = hanging_fsync;
	atomic_store(&hang.writers, NULL);
	got = run_all("disturbed", &stream, stats);
	/* ended by the healthy target's last file */
	assert_true(atomic_load(&hang.over));
	assert_true(atomic_load(&hang.hung) >= 4);
	assert_int_equal(stats[0].parks, 0);
	for (unsigned int t = 1; t < TARGETS; t++) {
		if (stats[t].parks == 0)
			fail_msg("%s was not parked", names[t]);
		assert_false(stats[t].parked);
		assert_int_equal(stats[t].published_packets, PACKETS);
	}
	assert_string_equal(got, expected);
	free(expected);
	free(got);
	free(stats);
	feed_free(&stream);
}

static void
what_the_store_has_lost_is_a_gap(void **state)
{
	struct sl_target_stats stats[2];
	struct sl_target_config targets[2];
	struct feed_options options = {.seconds = 20};
	struct feed_stream stream;
	uint32_t *numbers = calloc(1000, sizeof(*numbers));
	char paths[2][400], file[600];

	(void)state;
	feed_random(&stream, 3, 1000, 50, T0, S / 1000, 200);
	stream.gap_at = 7;
	stream.gap_to = 12;
	for (unsigned int t = 0; t < 2; t++) {
		snprintf(paths[t], sizeof(paths[t]), "%s/%u/x", dir, t);
		targets[t] = feed_target(t ? "b" : "a", paths[t]);
		targets[t].split_time = 3600 * S;
		targets[t].min_free = 0;
	}
	assert_int_equal(feed_run(&stream, targets, 2, &options, stats), 0);
	for (unsigned int t = 0; t < 2; t++) {
		assert_int_equal(stats[t].gaps, 1);
		assert_int_equal(stats[t].gap_chunks, 5);
		assert_int_equal(stats[t].gap_begin, stream.packets[7 * 50 - 1].ts);
		assert_int_equal(stats[t].gap_end, stream.packets[12 * 50].ts);
	}
	snprintf(file, sizeof(file), "%s/0/x_%" PRIu64 "-%" PRIu64 ".pcap", dir, T0 / S / 3600 * 3600,
		T0 / S / 3600 * 3600 + 3600);
	assert_int_equal(feed_read(file, numbers, 1000), 750);
	for (uint32_t i = 0; i < 750; i++)
		assert_int_equal(numbers[i], i < 350 ? i : i + 250);
	free(numbers);
	feed_free(&stream);
}

int
park_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_hang_is_one_targets_own, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_store_has_lost_is_a_gap, setup, teardown),
	};

	return cmocka_run_group_tests_name("park", tests, NULL, NULL);
}
