/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store_test.h"

/* Packets of a capture from its first chunk to its last, which must be the test traffic from *next on. */
uint64_t
test_check_capture(const char *store, const char *name, uint64_t *next)
{
	struct sl_capture *capture = test_open(store, name);
	void *buf = test_buffer();
	struct sl_chunk chunk;
	uint64_t clock = 0;

	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	for (uint64_t n = 0; n < sl_capture_committed(capture); n++) {
		assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
		assert_true(chunk.clock == clock);
		clock = chunk.max_ts > clock ? chunk.max_ts : clock;
		test_check_chunk(&chunk, next);
	}
	sl_capture_close(capture);
	free(buf);
	return clock;
}

static void
wait_committed(struct sl_store_writer *writer, uint64_t chunks)
{
	uint64_t until = store_now_ns(CLOCK_MONOTONIC) + TEST_WAIT_MS * 1000000ull;
	struct sl_store_writer_state state;

	do {
		char errbuf[SL_STORE_ERRBUF] = "";

		if (sl_store_writer_poll(writer, errbuf) < 0)
			fail_msg("poll: %s", errbuf);
		sl_store_writer_look(writer, &state);
		assert_true(store_now_ns(CLOCK_MONOTONIC) < until);
		usleep(500);
	} while (state.committed < chunks);
}

/* The same packets in the same chunks as the blocking way makes. */
static void
round_trip(bool tmpfs)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	uint64_t packets, bytes, chunks, async_packets, async_bytes, async_chunks, next = 0;
	struct sl_store_writer *writer;
	struct sl_capture_totals totals;
	struct sl_capture *capture;

	test_dir_make(store, tmpfs);
	writer = test_writer(store, "plain", 0);
	test_append(writer, 0, 30000);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, "plain");
	chunks = sl_capture_committed(capture);
	sl_capture_close(capture);
	writer = test_live_writer(store, "live", (struct sl_store_writer_params){.buffers = 16});
	test_append(writer, 0, 30000);
	sl_store_writer_stats(writer, &async_packets, &async_bytes, &async_chunks);
	assert_int_equal(async_packets, 30000);
	assert_int_equal(async_chunks, chunks - 1);
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
	test_check_capture(store, "live", &next);
	assert_int_equal(next, 30000);
	capture = test_open(store, "live");
	assert_int_equal(sl_capture_committed(capture), chunks);
	assert_int_equal(sl_capture_sum(capture, &totals), 0);
	packets = totals.packets;
	bytes = totals.record_bytes;
	assert_int_equal(packets, async_packets);
	assert_int_equal(bytes, async_bytes);
	sl_capture_close(capture);
	test_dir_remove(store);
}

static void
test_round_trip_disk(void **state)
{
	(void)state;
	round_trip(false);
}

static void
test_round_trip_tmpfs(void **state)
{
	(void)state;
	round_trip(true);
}

/* What sl_store_writer_reserve() takes is what sl_store_writer_append() takes, to the last byte of a chunk. */
static void
test_reserve(void **state)
{
	/* Sizes from 0 to the largest, so that each kind of end of a chunk comes. */
	static const uint32_t sizes[] = {0, 60, 64, 1, 0, 1500, 0, 3, 9000, 2};
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture *capture[2];
	struct sl_store_writer *writer;
	void *buf[2] = {test_buffer(), test_buffer()};
	struct sl_chunk chunk[2];
	static uint8_t data[9000];

	(void)state;
	test_dir_make(store, true);
	for (unsigned int way = 0; way < 2; way++) {
		uint64_t reserved = 0;

		writer = test_live_writer(store, way ? "reserve" : "append", (struct sl_store_writer_params){0});
		for (uint64_t i = 0; i < 200000; i++) {
			uint32_t len = i < 100000 ? 0 : sizes[i % 10];
			uint64_t ts = 1700000000000000000u + i * 999 - (i % 5 == 0 ? 100000 : 0);
			void *place = way ? sl_store_writer_reserve(writer, ts, len, len + 4, (uint8_t)i, 1) : NULL;

			memset(data, (int)i, len);
			if (place) {
				memcpy(place, data, len);
				reserved++;
			} else {
				assert_int_equal(
					sl_store_writer_append(writer, ts, len, len + 4, (uint8_t)i, 1, data, errbuf),
					0);
			}
		}
		assert_true(!way || reserved > 180000);
		assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
		capture[way] = test_open(store, way ? "reserve" : "append");
	}
	assert_true(sl_capture_committed(capture[0]) > 3);
	assert_int_equal(sl_capture_committed(capture[0]), sl_capture_committed(capture[1]));
	for (uint64_t n = 0; n < sl_capture_committed(capture[0]); n++) {
		for (unsigned int way = 0; way < 2; way++)
			assert_int_equal(sl_capture_read(capture[way], n, buf[way], &chunk[way]), 0);
		assert_int_equal(chunk[0].packets, chunk[1].packets);
		assert_int_equal(chunk[0].records_len, chunk[1].records_len);
		assert_memory_equal((uint8_t *)buf[0] + CHUNK_HEADER_SIZE, (uint8_t *)buf[1] + CHUNK_HEADER_SIZE,
			chunk_used(buf[0]) - CHUNK_HEADER_SIZE);
	}
	for (unsigned int way = 0; way < 2; way++) {
		sl_capture_close(capture[way]);
		free(buf[way]);
	}
	test_dir_remove(store);
}

/* Chunks go out after the flush interval, heartbeats lie between chunks. */
static void
test_follow(void **state)
{
	const uint64_t late = 1700000100000000000u;
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	uint64_t next = 0, until;
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;

	(void)state;
	test_dir_make(store, false);
	writer = test_live_writer(
		store, NULL, (struct sl_store_writer_params){.flush_interval = 20000000, .nonblocking = true});
	capture = test_open(store, NULL);
	assert_int_equal(sl_store_writer_idle(writer, 7, errbuf), 0);
	assert_int_equal(sl_capture_clock(capture), 7);
	test_append(writer, 0, 10);
	assert_int_equal(sl_store_writer_idle(writer, late, errbuf), 0);
	assert_int_equal(sl_capture_clock(capture), 7);
	wait_committed(writer, 1);
	until = store_now_ns(CLOCK_MONOTONIC) + TEST_WAIT_MS * 1000000ull;
	while (sl_capture_clock(capture) != late && store_now_ns(CLOCK_MONOTONIC) < until)
		assert_int_equal(sl_store_writer_idle(writer, late, errbuf), 0);
	assert_true(sl_capture_clock(capture) == late);
	assert_int_equal(sl_capture_committed(capture), 1);
	assert_int_equal(sl_capture_read(capture, 0, buf, &chunk), 0);
	assert_int_equal(chunk.heartbeat, 7);
	test_check_chunk(&chunk, &next);
	assert_int_equal(next, 10);
	test_append(writer, 10, 1);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	assert_int_equal(sl_capture_committed(capture), 2);
	assert_int_equal(sl_capture_read(capture, 1, buf, &chunk), 0);
	assert_true(chunk.heartbeat == late && chunk.clock == late);
	test_check_chunk(&chunk, &next);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

/* ---------------------------------------------------------------- waiting */

struct sleeper {
	const struct sl_capture *capture;
	_Atomic uint64_t woken; /* commits seen */
	int result;
};

static void *
sleep_for_commits(void *arg)
{
	struct sleeper *s = arg;
	uint64_t committed = 0;

	while (sl_capture_state(s->capture) == SL_CAPTURE_OPEN) {
		s->result = sl_capture_wait(s->capture, committed, TEST_WAIT_MS * 1000000ull);
		if (s->result < 0)
			break;
		committed = sl_capture_committed(s->capture);
		atomic_store(&s->woken, committed);
	}
	return NULL;
}

static void
test_wait(void **state)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	struct sleeper sleeper = {0};
	struct sl_capture *capture;
	pthread_t thread;

	(void)state;
	test_dir_make(store, false);
	writer = test_live_writer(store, "live", (struct sl_store_writer_params){.flush_interval = 1});
	sleeper.capture = capture = test_open(store, "live");
	assert_int_equal(sl_capture_wait(capture, 0, 0), -ETIMEDOUT);
	assert_int_equal(sl_capture_wait(capture, 0, 1000000), -ETIMEDOUT);
	assert_non_null(sl_capture_bell(capture));
	assert_int_equal(pthread_create(&thread, NULL, sleep_for_commits, &sleeper), 0);
	for (uint64_t i = 0; i < 50; i++) {
		uint64_t until = store_now_ns(CLOCK_MONOTONIC) + TEST_WAIT_MS * 1000000ull;

		test_append(writer, i, 1);
		/* Each is woken by its commit: a lost one would last until the sleeper's time is up. */
		while (atomic_load(&sleeper.woken) < i + 1 && store_now_ns(CLOCK_MONOTONIC) < until) {
			assert_int_equal(sl_store_writer_poll(writer, errbuf), 0);
			usleep(100);
		}
		assert_int_equal(atomic_load(&sleeper.woken), i + 1);
	}
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sleeper.result, 0);
	assert_int_equal(sl_capture_wait(capture, 50, UINT64_MAX), 0);
	assert_null(sl_capture_bell(capture));
	sl_capture_close(capture);
	test_dir_remove(store);
}

/* ---------------------------------------------------------------- a full disk */

static uint64_t
append_or_drop(struct sl_store_writer *writer, uint64_t i)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	uint8_t data[1600];
	uint32_t len;
	uint64_t ts = test_packet(i, data, &len);
	int ret = sl_store_writer_append(writer, ts, len, len + 3, (uint8_t)i, (uint8_t)(i & 0xf), data, errbuf);

	if (ret == 0)
		return 0;
	if (ret != -EAGAIN)
		fail_msg("append: %s", errbuf);
	sl_store_writer_drop_for(writer, SL_DROP_STORE, 1);
	return 1;
}

/* Drops are counted and the capture goes on when there is room again. */
static void
test_full_disk(void **state)
{
	uint64_t sent = 0, dropped = 0, until, seen = 0, lost = 0;
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer_state look;
	struct sl_capture_totals totals;
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;

	(void)state;
	test_dir_make(store, false);
	test_mount(store, 6);
	writer = test_live_writer(store, "full", (struct sl_store_writer_params){.nonblocking = true});
	sl_store_writer_drop_for(writer, SL_DROP_NO_BUFFER, 5);
	sl_store_writer_drop_for(writer, SL_DROP_NIC, 7);
	/* Until nothing has gone out for a while. */
	do {
		for (unsigned int i = 0; i < 100; i++)
			dropped += append_or_drop(writer, sent++);
		usleep(100);
		sl_store_writer_look(writer, &look);
	} while (dropped < 5000 || !look.no_space);
	assert_int_equal(look.busy, SL_STORE_BUFFERS_MIN);
	assert_int_equal(look.dropped[SL_DROP_STORE], dropped);
	assert_int_equal(mount("tmpfs", store, "tmpfs", MS_REMOUNT, "size=60m"), 0);
	wait_committed(writer, look.chunks);
	until = store_now_ns(CLOCK_MONOTONIC) + TEST_WAIT_MS * 1000000ull;
	do {
		for (unsigned int i = 0; i < 100; i++)
			dropped += append_or_drop(writer, sent++);
		usleep(2000);
		sl_store_writer_look(writer, &look);
	} while (look.committed < 12 && store_now_ns(CLOCK_MONOTONIC) < until);
	assert_false(look.no_space);
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_sum(capture, &totals), 0);
	assert_int_equal(totals.packets + dropped, sent);
	assert_int_equal(totals.dropped, dropped + 12);
	assert_int_equal(totals.dropped_by[SL_DROP_STORE], dropped);
	assert_int_equal(totals.dropped_by[SL_DROP_NO_BUFFER], 5);
	assert_int_equal(totals.dropped_by[SL_DROP_NIC], 7);
	for (uint64_t n = 0; n < sl_capture_committed(capture); n++) {
		assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
		/* What was lost lies where the chunks say: the packets behind it go on after just as many. */
		seen += n > 0 ? chunk.dropped : 0;
		test_check_chunk(&chunk, &seen);
		for (unsigned int i = 0; i < SL_DROP_CAUSES; i++)
			lost += chunk.dropped_by[i];
		if (n == 0)
			assert_int_equal(chunk.dropped_by[SL_DROP_NO_BUFFER], 5);
	}
	assert_int_equal(seen, sent);
	assert_int_equal(lost, dropped + 12);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

/* Closed while the disk is full: what is committed stays, what is not is counted, the line says what is needed. */
static void
test_full_disk_close(void **state)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer_state look;
	uint64_t sent = 0, dropped = 0;
	struct sl_capture_totals totals;
	struct sl_store_writer *writer;
	struct sl_capture *capture;

	(void)state;
	test_dir_make(store, false);
	test_mount(store, 6);
	writer = test_live_writer(store, "full", (struct sl_store_writer_params){.nonblocking = true});
	do {
		dropped += append_or_drop(writer, sent++);
		sl_store_writer_look(writer, &look);
	} while (dropped < 10 || !look.no_space);
	assert_int_equal(sl_store_writer_close(writer, errbuf), -ENOSPC);
	assert_non_null(strstr(errbuf, "the next chunk needs 1 MiB"));
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	assert_int_equal(sl_capture_sum(capture, &totals), 0);
	assert_int_equal(totals.packets + totals.dropped, sent);
	assert_int_equal(totals.dropped_by[SL_DROP_STORE], totals.dropped);
	assert_true(totals.dropped > dropped);
	sl_capture_close(capture);
	test_dir_remove(store);
}

/* The directory is removed under the writer: an error, not packets that go nowhere. */
static void
test_removed(void **state)
{
	char store[128], command[256], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;

	(void)state;
	test_dir_make(store, false);
	writer = test_live_writer(store, "gone", (struct sl_store_writer_params){.flush_interval = 1});
	test_append(writer, 0, 10);
	usleep(5000);
	assert_int_equal(sl_store_writer_poll(writer, errbuf), 0);
	wait_committed(writer, 1);
	snprintf(command, sizeof(command), "rm -r %s/gone", store);
	assert_int_equal(system(command), 0);
	assert_int_equal(sl_store_writer_close(writer, errbuf), -ENOENT);
	assert_non_null(strstr(errbuf, "was removed while it was being written"));
	test_dir_remove(store);
}

/* A capture of little traffic takes little ahead: 64 slots, and once more when they begin to be used. */
static void
test_ahead(void **state)
{
	struct sl_store_writer_params params = {.buffers = 8, .flush_interval = 1};
	char store[128], path[192], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	struct stat st;

	(void)state;
	test_dir_make(store, false);
	writer = test_live_writer(store, "live", params);
	test_fast_clock = true;
	for (uint64_t i = 0; i < 10; i++) {
		test_append(writer, i, 1);
		wait_committed(writer, i + 1);
	}
	test_fast_clock = false;
	/* sl-ahead looks ten times a second. */
	usleep(300000);
	snprintf(path, sizeof(path), "%s/live/00000001.seg", store);
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof(path), "%s/live/00000000.seg", store);
	assert_int_equal(stat(path, &st), 0);
	/* and what the file system needs to know where they are */
	assert_true((uint64_t)st.st_blocks * 512 <= (2 * 64 + 1) * (uint64_t)SL_CHUNK_SIZE);
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
	test_dir_remove(store);
}

static void
test_params(void **state)
{
	static const struct sl_store_writer_params bad[] = {
		{.buffers = 1},
		{.buffers = SL_STORE_BUFFERS_MAX + 1},
		{.nonblocking = true},
		{.buffers = 4, .retention.min_free_percent = 100},
		{.retention.min_free_percent = 1},
		{.buffers = 4, .name = "active"},
	};
	char store[128], errbuf[SL_STORE_ERRBUF];

	(void)state;
	test_dir_make(store, false);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sl_store_writer_params params = bad[i];
		struct sl_store_writer *writer;

		params.store = store;
		errbuf[0] = '\0';
		assert_int_equal(sl_store_writer_create(&params, &writer, errbuf), -EINVAL);
		assert_null(writer);
		assert_true(errbuf[0] != '\0');
	}
	test_dir_remove(store);
}

int
live_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_disk),
		cmocka_unit_test(test_round_trip_tmpfs),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_full_disk_close),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_params),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
