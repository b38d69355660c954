/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "store_test.h"

static int
roll(struct sl_store_writer *writer, const char *name)
{
	uint64_t until = store_now_ns(CLOCK_MONOTONIC) + TEST_WAIT_MS * 1000000ull;
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret;

	while ((ret = sl_store_writer_roll(writer, name, errbuf)) == -EAGAIN && store_now_ns(CLOCK_MONOTONIC) < until)
		usleep(1000);
	return ret;
}

static void
rolls(bool tmpfs, unsigned int buffers)
{
	static const uint64_t pieces[] = {3000, 0, 1, 5000, 0, 0, 2500};
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer_state look;
	struct sl_capture_info *infos;
	struct sl_store_writer *writer;
	uint64_t next = 0, sent = 0;
	size_t count;

	test_dir_make(store, tmpfs);
	if (buffers)
		writer = test_live_writer(store, "day", (struct sl_store_writer_params){.buffers = buffers});
	else
		writer = test_writer(store, "day", 0);
	for (unsigned int i = 0; i < 7; i++) {
		test_append(writer, sent, pieces[i]);
		sent += pieces[i];
		if (i < 6)
			assert_int_equal(roll(writer, i % 2 ? NULL : "day"), 0);
	}
	assert_int_equal(sl_store_writer_roll(writer, "a/b", errbuf), -EINVAL);
	sl_store_writer_look(writer, &look);
	assert_int_equal(look.rolls, 6);
	assert_int_equal(look.packets, sent);
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
	assert_int_equal(sl_store_list(store, &infos, &count, errbuf), 0);
	assert_int_equal(count, 7);
	for (size_t i = 0; i < count; i++) {
		uint64_t before = next;

		assert_int_equal(infos[i].sequence, i + 1);
		test_check_capture(store, infos[i].name, &next);
		assert_int_equal(next - before, pieces[i]);
	}
	assert_string_equal(infos[1].name, "day_1");
	assert_string_equal(infos[3].name, "day_2");
	free(infos);
	test_dir_remove(store);
}

static void
test_roll(void **state)
{
	(void)state;
	rolls(false, 8);
	rolls(true, 4);
	rolls(false, 0);
}

struct follower {
	const char *store;
	uint64_t packets; /* to be seen */
	uint64_t next; /* seen */
	unsigned int captures;
	int error;
};

/* Follows from capture to capture as a push does, and sleeps between commits. */
static void *
follow_all(void *arg)
{
	struct follower *f = arg;
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture *capture;
	void *buf = test_buffer();
	uint64_t sequence = 0;

	while (f->next < f->packets && !f->error) {
		uint64_t n = 0;

		if (sl_capture_open_after(f->store, sequence, &capture, errbuf) < 0) {
			usleep(1000);
			continue;
		}
		f->captures++;
		for (;;) {
			enum sl_capture_state state = sl_capture_state(capture);
			struct sl_chunk chunk;

			if (n < sl_capture_committed(capture)) {
				f->error = sl_capture_read(capture, n++, buf, &chunk);
				if (f->error)
					break;
				test_check_chunk(&chunk, &f->next);
			} else if (state != SL_CAPTURE_OPEN) {
				break;
			} else {
				sl_capture_wait(capture, n, 100000000);
			}
		}
		/* The next one in line, none left out. */
		if (sl_capture_info(capture)->sequence != sequence + 1)
			f->error = -ERANGE;
		sequence = sl_capture_info(capture)->sequence;
		sl_capture_close(capture);
	}
	free(buf);
	return NULL;
}

static void
test_roll_followed(void **state)
{
	struct follower follower = {.packets = 60000};
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	pthread_t thread;

	(void)state;
	test_dir_make(store, false);
	follower.store = store;
	writer = test_live_writer(
		store, NULL, (struct sl_store_writer_params){.buffers = 16, .flush_interval = 5000000});
	assert_int_equal(pthread_create(&thread, NULL, follow_all, &follower), 0);
	for (unsigned int i = 0; i < 20; i++) {
		test_append(writer, i * 3000, 3000);
		if (i % 4 == 3 && i < 19)
			assert_int_equal(roll(writer, NULL), 0);
		assert_int_equal(sl_store_writer_poll(writer, errbuf), 0);
	}
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
	pthread_join(thread, NULL);
	assert_int_equal(follower.error, 0);
	assert_int_equal(follower.next, 60000);
	assert_int_equal(follower.captures, 5);
	test_dir_remove(store);
}

int
live_roll_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roll),
		cmocka_unit_test(test_roll_followed),
	};

	return cmocka_run_group_tests_name("live_roll", tests, NULL, NULL);
}
