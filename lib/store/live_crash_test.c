/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/** @file An asynchronous writer that is killed at random moments: what was committed is there, whole and in order. */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_test.h"

#define ROLL_EVERY 4000

/* Writes for ever, with a roll now and then. */
static void
write_for_ever(const char *store, bool reserve, int ready)
{
	struct sl_store_writer_params params = {.buffers = 8, .flush_interval = 3000000, .nonblocking = true};
	struct sl_store_writer *writer = test_live_writer(store, NULL, params);
	char errbuf[SL_STORE_ERRBUF];
	uint8_t data[1600];
	uint32_t len;

	(void)!write(ready, "x", 1);
	for (uint64_t i = 0;; i++) {
		uint64_t ts = test_packet(i, data, &len);
		int ret = -EAGAIN;

		while (ret == -EAGAIN) {
			void *place = reserve ? sl_store_writer_reserve(
							writer, ts, len, len + 3, (uint8_t)i, (uint8_t)(i & 0xf))
					      : NULL;

			if (place)
				memcpy(place, data, len);
			ret = place ? 0
				    : sl_store_writer_append(
					      writer, ts, len, len + 3, (uint8_t)i, (uint8_t)(i & 0xf), data, errbuf);
		}
		if (ret < 0 || sl_store_writer_poll(writer, errbuf) < 0)
			_exit(1);
		/* One that comes too early is refused, and asked for again much later. */
		if (i % ROLL_EVERY == ROLL_EVERY - 1)
			(void)sl_store_writer_roll(writer, NULL, errbuf);
	}
}

/* @return packets of all captures of the store, which must follow one another from *next on */
static void
check_all(const char *store, enum sl_capture_state last, uint64_t *next, uint64_t committed[], size_t *count)
{
	struct sl_capture_info *infos;
	char errbuf[SL_STORE_ERRBUF] = "";
	void *buf = test_buffer();
	struct sl_chunk chunk;

	assert_int_equal(sl_store_list(store, &infos, count, errbuf), 0);
	for (size_t i = 0; i < *count; i++) {
		struct sl_capture *capture = test_open(store, infos[i].name);
		uint64_t n = 0;

		assert_true(sl_capture_state(capture) == SL_CAPTURE_CLOSED || sl_capture_state(capture) == last);
		for (; n < sl_capture_committed(capture); n++) {
			assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
			test_check_chunk(&chunk, next);
		}
		assert_true(n >= committed[i]);
		if (last == SL_CAPTURE_CLOSED) {
			uint64_t disk;

			/* What was allocated ahead has been given back. */
			assert_int_equal(sl_capture_disk_bytes(capture, &disk), 0);
			assert_true(disk <= n * SL_CHUNK_SIZE + SL_CHUNK_SIZE / 4);
		}
		committed[i] = n;
		sl_capture_close(capture);
	}
	free(infos);
	free(buf);
}

static void
kill_at(unsigned int us, bool tmpfs, bool reserve)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	uint64_t committed[1000] = {0}, next = 0, again = 0;
	struct sl_store_writer *writer;
	struct sl_capture *seen;
	int ready[2], status;
	size_t count, sealed;
	char byte;
	pid_t pid;

	test_dir_make(store, tmpfs);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		write_for_ever(store, reserve, ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	seen = test_open(store, NULL);
	usleep(us);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* What a reader that had it open saw last is the least that must be there. */
	committed[sl_capture_info(seen)->sequence - 1] = sl_capture_committed(seen);
	sl_capture_close(seen);
	check_all(store, SL_CAPTURE_UNCLEAN, &next, committed, &count);
	/* The next writer seals it, with not a chunk less and none that is bad. */
	writer = test_writer(store, "next", 0);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	check_all(store, SL_CAPTURE_CLOSED, &again, committed, &sealed);
	assert_int_equal(sealed, count + 1);
	assert_int_equal(again, next);
	close(ready[0]);
	close(ready[1]);
	test_dir_remove(store);
}

static void
kill_often(bool tmpfs)
{
	const char *times = getenv("SLUICE_TEST_KILLS");
	unsigned int rounds = times ? (unsigned int)atoi(times) : 12, seed = 7;

	for (unsigned int i = 0; i < rounds; i++)
		kill_at((unsigned int)rand_r(&seed) % 60000, tmpfs, i % 2);
}

static void
test_killed_disk(void **state)
{
	(void)state;
	kill_often(false);
}

static void
test_killed_tmpfs(void **state)
{
	(void)state;
	kill_often(true);
}

int
live_crash_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_disk),
		cmocka_unit_test(test_killed_tmpfs),
	};

	return cmocka_run_group_tests_name("live_crash", tests, NULL, NULL);
}
