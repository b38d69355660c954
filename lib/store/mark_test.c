/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_test.h"

static struct sl_store_writer *
marking_writer(const char *store, uint64_t flush_interval)
{
	struct sl_store_writer_params params = {
		.store = store,
		.name = "marked",
		.link_type = 1,
		.snap_len = 65535,
		.flush_interval = flush_interval,
		.marks = true,
	};
	char errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;

	if (sl_store_writer_create(&params, &writer, errbuf) < 0)
		fail_msg("writer: %s", errbuf);
	return writer;
}

/* Each chunk has the mark of its last packet, however it came to its end: full of bytes, of packets, too old, closed.
 */
static void
marks(bool tmpfs)
{
	uint8_t *data = calloc(1, SL_CHUNK_SIZE);
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	uint64_t mark = 0, packets = 0, appended = 0;
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;

	assert_non_null(data);
	test_dir_make(store, tmpfs);
	writer = marking_writer(store, 0);
	/* 20 bytes a packet: a chunk of nothing else would be filled to its last byte. */
	for (int i = 0; i < 200000; i++) {
		uint32_t len = i < 130000 ? 0 : (uint32_t)i % 1500;

		sl_store_writer_mark(writer, ++appended * 10);
		assert_int_equal(sl_store_writer_append(writer, 1, len, len, 0, 0, data, errbuf), 0);
	}
	sl_store_writer_mark(writer, UINT64_MAX);
	assert_int_equal(sl_store_writer_append(writer, 1, CHUNK_MAX_CAPLEN, 1, 0, 0, data, errbuf), -EMSGSIZE);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	assert_true(sl_capture_committed(capture) > 4);
	for (uint64_t n = 0; n < sl_capture_committed(capture); n++) {
		assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
		packets += chunk.packets;
		assert_int_equal(sl_chunk_mark(buf, &mark), 0);
		assert_int_equal(mark, packets * 10);
	}
	assert_int_equal(packets, appended);
	sl_capture_close(capture);
	test_dir_remove(store);

	/* A chunk that a packet is old enough to end has that packet's mark, not the one before. */
	test_dir_make(store, tmpfs);
	writer = marking_writer(store, 1);
	test_fast_clock = true;
	for (uint64_t i = 1; i <= 5; i++) {
		sl_store_writer_mark(writer, i);
		assert_int_equal(sl_store_writer_append(writer, i, 4, 4, 0, 0, data, errbuf), 0);
	}
	test_fast_clock = false;
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_committed(capture), 5);
	for (uint64_t n = 0; n < 5; n++) {
		assert_int_equal(sl_capture_read(capture, n, buf, &chunk), 0);
		assert_int_equal(sl_chunk_mark(buf, &mark), 0);
		assert_int_equal(mark, n + 1);
	}
	/* What follows a chunk in its slot is no mark because it looks like one. */
	((uint8_t *)buf)[chunk_used(buf) + offsetof(struct chunk_mark, mark)] ^= 1;
	assert_int_equal(sl_chunk_mark(buf, &mark), -ENODATA);
	sl_capture_close(capture);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	test_dir_remove(store);
	free(data);
	free(buf);
}

static void
test_marks_disk(void **state)
{
	(void)state;
	marks(false);
}

static void
test_marks_tmpfs(void **state)
{
	(void)state;
	marks(true);
}

static void
test_none(void **state)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	void *buf = test_buffer();
	struct sl_chunk chunk;
	uint64_t mark;

	(void)state;
	test_dir_make(store, false);
	writer = test_writer(store, "plain", 0);
	sl_store_writer_mark(writer, 7);
	test_append(writer, 0, 10);
	assert_int_equal(sl_store_seal(store, errbuf), -EBUSY);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	assert_int_equal(sl_store_seal(store, errbuf), 0);
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_read(capture, 0, buf, &chunk), 0);
	assert_int_equal(sl_chunk_mark(buf, &mark), -ENODATA);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

int
mark_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks_disk),
		cmocka_unit_test(test_marks_tmpfs),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("mark", tests, NULL, NULL);
}
