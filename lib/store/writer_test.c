/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "store_test.h"

static void
round_trip(bool tmpfs)
{
	uint64_t packets, bytes, chunks, next = 0, clock;
	struct sl_store_writer *writer;
	struct sl_capture_totals totals;
	struct sl_capture *capture;
	char store[128], errbuf[SL_STORE_ERRBUF];
	struct sl_chunk chunk;
	void *buf = test_buffer();

	test_dir_make(store, tmpfs);
	writer = test_writer(store, "one", 0);
	test_append(writer, 0, 30000);
	sl_store_writer_stats(writer, &packets, &bytes, &chunks);
	assert_int_equal(packets, 30000);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	assert_string_equal(sl_capture_info(capture)->source, "a \"test\"\n");
	assert_true(sl_capture_committed(capture) > 2 * OUTPUT_BUFFERS);
	clock = test_check_capture(store, "one", &next);
	assert_int_equal(next, 30000);
	assert_int_equal(sl_capture_read(capture, sl_capture_committed(capture), buf, &chunk), -ENODATA);
	assert_int_equal(sl_capture_read(capture, 5000, buf, &chunk), -ENOENT);
	assert_int_equal(sl_capture_sum(capture, &totals), 0);
	assert_int_equal(totals.packets, 30000);
	assert_int_equal(totals.record_bytes, bytes);
	assert_true(totals.max_ts == clock);
	sl_capture_close(capture);
	free(buf);
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

/* The largest packet, one byte more, and a chunk filled to its last byte. */
static void
test_boundaries(void **state)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	/* Records of 16 and entries of 4 bytes fill the rest of a chunk exactly, but for what the last one gets. */
	const uint32_t most = (SL_CHUNK_SIZE - CHUNK_HEADER_SIZE) / 20, left = (SL_CHUNK_SIZE - CHUNK_HEADER_SIZE) % 20;
	uint8_t *data = calloc(1, SL_CHUNK_SIZE);
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;

	(void)state;
	test_dir_make(store, false);
	writer = test_writer(store, "edge", 0);
	assert_int_equal(sl_store_writer_append(writer, 5, CHUNK_MAX_CAPLEN, 9, 0, 0, data, errbuf), 0);
	assert_int_equal(sl_store_writer_append(writer, 6, CHUNK_MAX_CAPLEN + 1, 9, 0, 0, data, errbuf), -EMSGSIZE);
	assert_non_null(strstr(errbuf, "1048429 bytes"));
	assert_int_equal(sl_store_writer_append(writer, 7, UINT32_MAX, 9, 0, 0, data, errbuf), -EMSGSIZE);
	sl_store_writer_drop(writer, 3);
	for (uint32_t i = 0; i < most; i++)
		assert_int_equal(sl_store_writer_append(writer, 8, i == 0 ? left : 0, 9, 0, 0, data, errbuf), 0);
	assert_int_equal(sl_store_writer_append(writer, 10, 0, 9, 0, 0, data, errbuf), 0);
	assert_int_equal(sl_store_writer_append(writer, 4294967296000000000u, 0, 9, 0, 0, data, errbuf), -ERANGE);
	assert_int_equal(sl_store_writer_append(writer, 4294967295999999999u, 0, 9, 0, 0, data, errbuf), 0);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_committed(capture), 3);
	assert_int_equal(sl_capture_read(capture, 0, buf, &chunk), 0);
	assert_int_equal(chunk.packets, 1);
	assert_int_equal(sl_chunk_record(&chunk, 0)->caplen, CHUNK_MAX_CAPLEN);
	assert_int_equal(sl_capture_read(capture, 1, buf, &chunk), 0);
	assert_int_equal(chunk.packets, most);
	assert_int_equal(chunk.dropped, 5);
	assert_int_equal(chunk_used(buf), SL_CHUNK_SIZE);
	assert_int_equal(sl_capture_read(capture, 2, buf, &chunk), 0);
	assert_int_equal(chunk.packets, 2);
	assert_true(chunk.last_ts == 4294967295999999999u);
	sl_capture_close(capture);
	free(buf);
	free(data);
	test_dir_remove(store);
}

static int
create(const char *store, const char *name, char *errbuf)
{
	struct sl_store_writer_params params = {.store = store, .name = name, .link_type = 1, .snap_len = 100};
	struct sl_store_writer *writer;
	int ret = sl_store_writer_create(&params, &writer, errbuf);

	if (ret == 0)
		assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	else
		assert_null(writer);
	return ret;
}

static void
test_names_and_active(void **state)
{
	static const char *const bad[] = {"", ".", "..", ".x", "-x", "a/b", "active", "a\nb"};
	char store[128], deep[160], active[SL_CAPTURE_NAME_MAX], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture_info *infos;
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	size_t count;

	(void)state;
	test_dir_make(store, false);
	snprintf(deep, sizeof(deep), "%s/a/b/", store);
	assert_int_equal(sl_store_active(deep, active, errbuf), -ENOENT);
	assert_non_null(strstr(errbuf, "no such store"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(create(deep, bad[i], errbuf), -EINVAL);
	assert_int_equal(access(deep, F_OK), -1);
	assert_int_equal(create(deep, "first", errbuf), 0);
	assert_int_equal(create(deep, "first", errbuf), -EEXIST);
	assert_int_equal(create(deep, NULL, errbuf), 0);
	assert_int_equal(create(deep, NULL, errbuf), 0);
	writer = test_writer(deep, "last", 0);
	assert_int_equal(create(deep, "other", errbuf), -EBUSY);
	assert_non_null(strstr(errbuf, "is writing this capture"));
	assert_int_equal(sl_store_active(deep, active, errbuf), 0);
	assert_string_equal(active, "last");
	assert_int_equal(sl_store_list(deep, &infos, &count, errbuf), 0);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(infos[i].sequence, i + 1);
	assert_string_equal(infos[0].name, "first");
	assert_string_equal(infos[3].name, "last");
	assert_int_equal(sl_capture_open_uuid(deep, &infos[1].uuid, &capture, errbuf), 0);
	assert_string_equal(sl_capture_info(capture)->name, infos[1].name);
	sl_capture_close(capture);
	assert_int_equal(sl_capture_open_after(deep, 2, &capture, errbuf), 0);
	assert_int_equal(sl_capture_info(capture)->sequence, 3);
	sl_capture_close(capture);
	assert_int_equal(sl_capture_open_after(deep, 4, &capture, errbuf), -ENOENT);
	assert_int_equal(sl_capture_open(deep, "nope", &capture, errbuf), -ENOENT);
	assert_int_equal(sl_capture_open(deep, "../a", &capture, errbuf), -ENOENT);
	free(infos);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	/* A damaged one is told and passed over. */
	test_patch(deep, "first", "capture.json", 0, "#", 1);
	assert_int_equal(sl_store_list(deep, &infos, &count, errbuf), 0);
	assert_int_equal(count, 3);
	assert_non_null(strstr(errbuf, "first/capture.json: damaged"));
	free(infos);
	test_dir_remove(store);
}

/* What a following reader sees: chunks after the flush interval, heartbeats between chunks, the end. */
static void
follow(bool tmpfs)
{
	const uint64_t interval = 30000000, late = 1700000100000000000u;
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;
	uint64_t next = 0;

	test_dir_make(store, tmpfs);
	writer = test_writer(store, "live", interval);
	capture = test_open(store, "active");
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_OPEN);
	assert_int_equal(sl_capture_committed(capture), 0);
	assert_int_equal(sl_store_writer_idle(writer, 7, errbuf), 0);
	assert_int_equal(sl_capture_clock(capture), 7);
	test_append(writer, 0, 10);
	assert_int_equal(sl_store_writer_idle(writer, late, errbuf), 0);
	assert_int_equal(sl_capture_committed(capture), 0);
	/* Not while packets before it are unseen. */
	assert_int_equal(sl_capture_clock(capture), 7);
	usleep(60000);
	assert_int_equal(sl_store_writer_idle(writer, late, errbuf), 0);
	assert_int_equal(sl_capture_committed(capture), 1);
	assert_true(sl_capture_clock(capture) == late);
	assert_int_equal(sl_store_writer_idle(writer, late - 5, errbuf), 0);
	assert_true(sl_capture_clock(capture) == late);
	assert_int_equal(sl_capture_read(capture, 0, buf, &chunk), 0);
	assert_int_equal(chunk.heartbeat, 7);
	assert_int_equal(chunk.clock, 7);
	test_check_chunk(&chunk, &next);
	assert_int_equal(next, 10);
	/* A steady trickle that never goes idle. */
	test_append(writer, 10, 1);
	usleep(60000);
	test_append(writer, 11, 1);
	assert_int_equal(sl_capture_committed(capture), 2);
	assert_int_equal(sl_capture_read(capture, 1, buf, &chunk), 0);
	assert_int_equal(chunk.packets, 2);
	assert_true(chunk.heartbeat == late && chunk.clock == late);
	test_check_chunk(&chunk, &next);
	test_append(writer, 12, 1);
	assert_int_equal(sl_capture_recheck(capture), SL_CAPTURE_OPEN);
	sl_store_writer_drop(writer, 1);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	assert_int_equal(sl_capture_recheck(capture), SL_CAPTURE_CLOSED);
	assert_int_equal(sl_capture_committed(capture), 3);
	assert_int_equal(sl_capture_read(capture, 2, buf, &chunk), 0);
	assert_int_equal(chunk.heartbeat, 0);
	test_check_chunk(&chunk, &next);
	assert_int_equal(next, 13);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

static void
test_follow_disk(void **state)
{
	(void)state;
	follow(false);
}

static void
test_follow_tmpfs(void **state)
{
	(void)state;
	follow(true);
}

/* Short chunks take the space of their bytes, not a MiB each; the last segment ends with its last slot. */
static void
test_space(void **state)
{
	char store[128], path[192], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	uint64_t disk;
	struct stat st;

	(void)state;
	test_dir_make(store, false);
	writer = test_writer(store, "thin", 1);
	for (uint64_t i = 0; i < 20; i++) {
		test_append(writer, i, 1);
		usleep(5000);
		assert_int_equal(sl_store_writer_idle(writer, 0, errbuf), 0);
	}
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	assert_in_range(sl_capture_committed(capture), 19, 20);
	snprintf(path, sizeof(path), "%s/thin/00000000.seg", store);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, sl_capture_committed(capture) * SL_CHUNK_SIZE);
	assert_int_equal(sl_capture_disk_bytes(capture, &disk), 0);
	assert_in_range(disk, 20 * 4096 - 4096, 20 * 16384);
	sl_capture_close(capture);
	/* A capture without packets has no segment. */
	assert_int_equal(create(store, "empty", errbuf), 0);
	capture = test_open(store, "empty");
	assert_int_equal(sl_capture_committed(capture), 0);
	assert_int_equal(sl_capture_disk_bytes(capture, &disk), 0);
	assert_int_equal(disk, 0);
	sl_capture_close(capture);
	test_dir_remove(store);
}

/* A full file system: what was committed stays, the capture is closed, the message says what is needed. */
static void
test_no_space(void **state)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	uint64_t next = 0, packets, bytes, chunks;
	void *buf = test_buffer();
	struct sl_chunk chunk;
	uint8_t data[1600];
	int ret = 0;

	(void)state;
	test_dir_make(store, false);
	if (mount("tmpfs", store, "tmpfs", 0, "size=5m") < 0) {
		test_dir_remove(store);
		free(buf);
		print_message("SKIPPED: mounting a small tmpfs needs root\n");
		skip();
		return;
	}
	writer = test_writer(store, "full", 0);
	for (uint64_t i = 0; ret == 0 && i < 20000; i++) {
		uint32_t len;
		uint64_t ts = test_packet(i, data, &len);

		ret = sl_store_writer_append(writer, ts, len, len + 3, (uint8_t)i, (uint8_t)(i & 0xf), data, errbuf);
	}
	assert_int_equal(ret, -ENOSPC);
	assert_non_null(strstr(errbuf, "the next chunk needs 1 MiB"));
	sl_store_writer_stats(writer, &packets, &bytes, &chunks);
	assert_int_equal(chunks, 4);
	assert_int_equal(sl_store_writer_close(writer, errbuf), -ENOSPC);
	assert_non_null(strstr(errbuf, "packets are stored"));
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_CLOSED);
	assert_int_equal(sl_capture_committed(capture), 4);
	for (uint64_t n = 0; n < 4; n++) {
		assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
		test_check_chunk(&chunk, &next);
	}
	assert_int_equal(next, packets);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

int
writer_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_disk),
		cmocka_unit_test(test_round_trip_tmpfs),
		cmocka_unit_test(test_boundaries),
		cmocka_unit_test(test_names_and_active),
		cmocka_unit_test(test_follow_disk),
		cmocka_unit_test(test_follow_tmpfs),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_no_space),
	};

	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
