/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "retention.h"
#include "store_test.h"

#define MIB (1u << 20)

/* Chunks of one packet each: a segment of them takes 4 MiB. */
static void
append_chunks(struct sl_store_writer *writer, uint64_t *i, uint64_t chunks)
{
	char errbuf[SL_STORE_ERRBUF] = "";

	test_fast_clock = true;
	for (uint64_t n = 0; n < chunks; n++) {
		test_append(writer, (*i)++, 1);
		if (sl_store_writer_poll(writer, errbuf) < 0)
			fail_msg("poll: %s", errbuf);
	}
	test_fast_clock = false;
}

static void
make_capture(const char *store, const char *name, uint64_t chunks, bool expires)
{
	struct sl_store_writer_params params = {.buffers = 64, .flush_interval = 1};
	struct sl_store_writer *writer;
	char errbuf[SL_STORE_ERRBUF] = "";
	uint64_t i = 0;

	if (expires)
		params.retention.min_free_bytes = 1;
	writer = test_live_writer(store, name, params);
	append_chunks(writer, &i, chunks);
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
}

static uint64_t
mib_free(const char *store)
{
	struct statvfs fs;

	assert_int_equal(statvfs(store, &fs), 0);
	return (uint64_t)fs.f_bavail * fs.f_frsize / MIB;
}

static size_t
captures(const char *store, char *names)
{
	struct sl_capture_info *infos;
	char errbuf[SL_STORE_ERRBUF];
	size_t count;

	assert_int_equal(sl_store_list(store, &infos, &count, errbuf), 0);
	names[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		strcat(names, infos[i].name);
		strcat(names, " ");
	}
	free(infos);
	return count;
}

/* The oldest goes first, an import never, a capture that is empty goes whole. */
static void
test_order(void **state)
{
	struct retention r = {0};
	char store[128], names[512], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture *capture;
	struct sl_store_writer *writer;
	struct sl_capture_totals totals;
	void *buf = test_buffer();
	struct sl_chunk chunk;
	uint64_t room;

	(void)state;
	test_dir_make(store, false);
	test_mount(store, 64);
	make_capture(store, "a", 3000, true); /* three segments, 12 MiB */
	make_capture(store, "imported", 2000, false);
	make_capture(store, "b", 1500, true);
	capture = test_open(store, "a");
	r.store = store;
	r.limits.min_free_percent = 75;
	assert_int_equal(sl_retention_room(store, &r.limits, &room), 0);
	assert_in_range(room, 16 * MIB, 17 * MIB);
	r.limits = (struct sl_retention){.min_free_bytes = 65 * MIB, .min_free_percent = 1};
	assert_int_equal(sl_retention_room(store, &r.limits, &room), 0);
	assert_int_equal(room, 0);
	assert_int_equal(sl_retention_room("/none", &r.limits, &room), -ENOENT);
	r.limits = (struct sl_retention){.min_free_bytes = (mib_free(store) - 1) * MIB};
	assert_int_equal(retention_run(&r, 0), 0);
	assert_int_equal(r.total_bytes, 0);
	/* Half a segment too little: one goes. */
	r.limits.min_free_bytes = (mib_free(store) + 2) * MIB;
	assert_int_equal(retention_run(&r, 0), 0);
	assert_in_range(r.total_bytes, 4 * MIB, 5 * MIB);
	assert_int_equal(sl_capture_first(capture), 1024);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	assert_int_equal(sl_capture_read(capture, 1023, buf, &chunk), -ENOENT);
	assert_int_equal(sl_capture_read(capture, 1024, buf, &chunk), 0);
	assert_int_equal(sl_capture_sum(capture, &totals), 0);
	assert_int_equal(totals.packets, 3000 - 1024);
	assert_int_equal(retention_run(&r, 0), 0);
	assert_int_equal(sl_capture_first(capture), 1024);
	/* All of it, for a reader that still has it open too. */
	r.limits.min_free_bytes = (mib_free(store) + 7) * MIB;
	assert_int_equal(retention_run(&r, 0), 0);
	assert_int_equal(sl_capture_first(capture), 3000);
	assert_int_equal(captures(store, names), 2);
	assert_string_equal(names, "imported b ");
	assert_int_equal(r.total_captures, 1);
	/* However much is asked for, what was imported stays. */
	r.limits.min_free_bytes = 1ull << 40;
	assert_int_equal(retention_run(&r, 0), 0);
	assert_int_equal(captures(store, names), 1);
	assert_string_equal(names, "imported ");
	sl_capture_close(capture);
	/* The number of one that was removed is not given again. */
	writer = test_writer(store, "next", 0);
	assert_int_equal(sl_store_writer_info(writer)->sequence, 4);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	free(buf);
	test_dir_remove(store);
}

/* What was removed but is not free yet is not removed a second time. */
static void
test_held_open(void **state)
{
	struct retention r = {0};
	struct sl_capture *capture;
	char store[128];
	void *buf = test_buffer();
	struct sl_chunk chunk;

	(void)state;
	test_dir_make(store, false);
	test_mount(store, 64);
	make_capture(store, "a", 5000, true);
	capture = test_open(store, "a");
	/* Keeps segment 0 open. */
	assert_int_equal(sl_capture_read(capture, 0, buf, &chunk), 0);
	r.store = store;
	r.limits.min_free_bytes = (mib_free(store) + 2) * MIB;
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(retention_run(&r, 0), 0);
	assert_int_equal(sl_capture_first(capture), 1024);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

/* A live capture deletes while it writes: its own oldest segments too, and never what is being written. */
static void
test_live(void **state)
{
	struct sl_store_writer_params params = {
		.buffers = 64, .flush_interval = 1, .retention.min_free_percent = 60, .nonblocking = false};
	char store[128], names[512], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer_state look;
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;
	uint64_t i = 0, next;

	(void)state;
	test_dir_make(store, false);
	test_mount(store, 64);
	make_capture(store, "old", 2500, true);
	make_capture(store, "imported", 1000, false);
	writer = test_live_writer(store, "live", params);
	/* 60 MiB of chunks in all, of 64, and 38 are to stay free. */
	for (unsigned int round = 0; round < 48; round++) {
		append_chunks(writer, &i, 256);
		usleep(100000);
	}
	sl_store_writer_look(writer, &look);
	assert_true(look.removed_bytes > 20 * (uint64_t)MIB);
	assert_int_equal(look.removed_captures, 1);
	assert_true(mib_free(store) > 30);
	if (sl_store_writer_close(writer, errbuf) < 0)
		fail_msg("close: %s", errbuf);
	assert_int_equal(captures(store, names), 2);
	assert_string_equal(names, "imported live ");
	capture = test_open(store, "live");
	assert_true(sl_capture_first(capture) > 0);
	assert_int_equal(sl_capture_first(capture) % SL_SEGMENT_CHUNKS, 0);
	assert_int_equal(sl_capture_committed(capture), i);
	next = sl_capture_first(capture);
	for (uint64_t n = next; n < i; n++) {
		assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
		test_check_chunk(&chunk, &next);
	}
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

int
retention_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_held_open),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
