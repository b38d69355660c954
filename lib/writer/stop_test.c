/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * A stop that keeps what is open (OnStop = "resume") while an earlier checkpoint is still being written: the journal
 * must know everything that was taken, not just what that one knew.
 */

#include "feed_test.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops.h"

#define T0 (UINT64_C(1700000040) * S)
#define PACKETS 3000u
#define PER_CHUNK 300u
#define HOLD_MAX_US 20000000 /* a stop that never comes must not hang the test */

static char dir[256], out[300], state_dir[300];
static struct feed_stream stream;

/* The fsync of the journal's checkpoint with this number returns only when the stop has been taken. */
static struct {
	struct sl_ops real;
	unsigned int number;
	_Atomic bool running, stopped;
	_Atomic unsigned int seen;
} hold;

static int
setup(void **state)
{
	(void)state;
	feed_make_dir(dir);
	snprintf(out, sizeof(out), "%s/out", dir);
	snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	memset(&hold, 0, sizeof(hold));
	hold.real = sl_ops;
	feed_random(&stream, 11, PACKETS, PER_CHUNK, T0, S / 100, 600);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sl_ops = hold.real;
	feed_free(&stream);
	feed_remove_dir(dir);
	return 0;
}

static int
held_fsync(int fd)
{
	char path[SL_PATH_MAX];

	feed_path_of(fd, path);
	if (atomic_load(&hold.running) && strstr(path, ".journal") && atomic_fetch_add(&hold.seen, 1) == hold.number)
		for (unsigned int us = 0; us < HOLD_MAX_US && !atomic_load(&hold.stopped); us += 1000)
			usleep(1000);
	return hold.real.fsync(fd);
}

/* Called before each dispatch: those of the chunks are 0 to chunks - 1, then comes the stop. */
static void
note(struct sl_writers *writers, uint64_t number)
{
	(void)writers;
	atomic_store(&hold.running, true);
	if (number > stream.chunks)
		atomic_store(&hold.stopped, true);
	else
		usleep(2000);
}

static void
push(bool stop)
{
	struct sl_target_config cfg = feed_target("a", out);
	struct feed_options options = {.state_dir = state_dir, .ckpt_ns = 3600 * S, .ckpt_bytes = 1, .stop = stop};
	char path[400];

	snprintf(path, sizeof(path), "%s/x", out);
	cfg.path = path;
	cfg.split_time = 86400 * S;
	cfg.on_stop = SL_ON_STOP_RESUME;
	cfg.min_free = 0;
	options.each = stop ? note : NULL;
	assert_int_equal(feed_run(&stream, &cfg, 1, &options, NULL), 0);
}

static void
journal_knows_all(struct stat *st)
{
	char errbuf[SL_WRITER_ERRBUF];
	const struct sl_journal_state *s;
	struct sl_journal *journal;

	assert_int_equal(sl_journal_open(state_dir, "a", &journal, errbuf), 0);
	s = sl_journal_state(journal);
	assert_true(s->has_mark);
	assert_int_equal(s->at.mark.position.chunk, stream.chunks);
	assert_int_equal(s->at.mark.position.packet, 0);
	assert_true(s->at.file.present);
	assert_int_equal(s->at.file.packets, PACKETS);
	assert_int_equal(stat(s->at.file.pending, st), 0);
	assert_int_equal(st->st_ino, s->at.file.ino);
	assert_true((uint64_t)st->st_size >= s->at.file.size);
	sl_journal_close(journal);
}

static void
stop_during_checkpoint(unsigned int number)
{
	uint32_t numbers[PACKETS + 1];
	struct stat before, after;
	char file[400];

	hold.number = number;
	sl_ops.fsync = held_fsync;
	push(true);
	sl_ops = hold.real;
	assert_true(hold.stopped);
	assert_true(hold.seen > number);
	journal_knows_all(&before);

	push(false);
	snprintf(file, sizeof(file), "%s/x_%" PRIu64 "-%" PRIu64 ".pcap", out, T0 / S / 86400 * 86400,
		T0 / S / 86400 * 86400 + 86400);
	assert_int_equal(stat(file, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(feed_read(file, numbers, PACKETS + 1), PACKETS);
	for (uint32_t i = 0; i < PACKETS; i++)
		assert_int_equal(numbers[i], i);
}

/* The one before the first packet: there was no file yet. */
static void
test_first_checkpoint(void **state)
{
	(void)state;
	stop_during_checkpoint(0);
}

static void
test_later_checkpoint(void **state)
{
	(void)state;
	stop_during_checkpoint(1);
}

int
stop_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later_checkpoint, setup, teardown),
	};

	return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
