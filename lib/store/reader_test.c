/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store_test.h"

#define DEPTH 8u

/* Linked with --wrap: a machine where io_uring is forbidden. */
static bool no_io_uring;

int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);

int
__wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	return no_io_uring ? -EPERM : __real_io_uring_queue_init(entries, ring, flags);
}

/* Linked with --wrap (fstat64 is what fstat() calls): a tmpfs mounted with huge pages, which takes privilege. */
static bool huge_pages;

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);

int
__wrap_fstat64(int fd, struct stat *st)
{
	int ret = __real_fstat64(fd, st);

	if (ret == 0 && huge_pages)
		st->st_blksize = 2 << 20;
	return ret;
}

_Atomic bool test_fast_clock;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	static _Atomic long ahead;
	int ret = __real_clock_gettime(id, ts);

	if (test_fast_clock && id == CLOCK_MONOTONIC_COARSE) {
		long more = ++ahead;

		ts->tv_sec += more / 50;
		ts->tv_nsec = more % 50 * 20000000;
	}
	return ret;
}

struct expected {
	uint64_t number;
	bool done;
	int result; /* of the read, or of the parse */
	uint32_t packets;
};

static int
submit(struct sl_reader *reader, struct sl_capture *capture, uint64_t number, void *buf, void *cookie)
{
	int ret;

	for (int i = 0; i < 5000; i++) {
		const struct timespec pause = {.tv_nsec = 1000000};

		ret = sl_reader_submit(reader, capture, number, buf, cookie);
		if (ret != -EAGAIN)
			return ret;
		nanosleep(&pause, NULL);
	}
	return ret;
}

static unsigned int
poll_some(struct sl_reader *reader, struct sl_read *done, unsigned int max)
{
	for (int i = 0; i < 20000; i++) {
		const struct timespec pause = {.tv_nsec = 250000};
		unsigned int n = sl_reader_poll(reader, done, max);

		if (n > 0)
			return n;
		nanosleep(&pause, NULL);
	}
	fail_msg("no read came back for 5 s");
	return 0;
}

enum kind {
	DISK,
	TMPFS,
	HUGE_TMPFS,
};

static unsigned int mapped_reads;

/* What a read returned, as each kind of store gives it. */
static int
parse_read(struct sl_capture *capture, const struct sl_read *read, void *buf, enum kind kind, uint64_t number,
	struct sl_chunk *chunk)
{
	const void *data = read->data;

	if (read->result != 0)
		return read->result;
	if (kind == DISK)
		assert_ptr_equal(data, buf);
	else
		assert_ptr_not_equal(data, buf);
	if (kind == TMPFS)
		assert_null(data);
	mapped_reads += data != NULL;
	if (!data) {
		assert_int_equal(sl_read_fetch(read, buf), 0);
		data = buf;
	}
	return sl_chunk_parse(data, &sl_capture_info(capture)->uuid, number, chunk);
}

/* Read chunks 0 to count - 1, DEPTH at a time, and note what came of each. */
static void
read_all(struct sl_capture *capture, struct expected *all, uint64_t count, enum kind kind)
{
	char errbuf[SL_STORE_ERRBUF];
	struct sl_read done[DEPTH];
	struct sl_reader *reader;
	void *buf[DEPTH];
	uint64_t next = 0, finished = 0;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	for (unsigned int i = 0; i < DEPTH; i++)
		buf[i] = test_buffer();
	assert_int_equal(sl_reader_create(DEPTH, &cpus, &reader, errbuf), 0);
	while (finished < count) {
		unsigned int n;

		for (; next < count && sl_reader_in_flight(reader) < DEPTH; next++) {
			all[next] = (struct expected){.number = next};
			/* Any free buffer would do; this is one while at most DEPTH are out and all of a round are
			 * awaited. */
			if (next % DEPTH == 0 && sl_reader_in_flight(reader) > 0)
				break;
			assert_int_equal(submit(reader, capture, next, buf[next % DEPTH], &all[next]), 0);
		}
		n = poll_some(reader, done, DEPTH);
		for (unsigned int i = 0; i < n; i++, finished++) {
			struct expected *e = done[i].cookie;
			struct sl_chunk chunk;

			assert_false(e->done);
			e->done = true;
			e->result = parse_read(capture, &done[i], buf[e->number % DEPTH], kind, e->number, &chunk);
			e->packets = e->result == 0 ? chunk.packets : 0;
		}
	}
	assert_int_equal(sl_reader_in_flight(reader), 0);
	assert_int_equal(sl_reader_poll(reader, done, DEPTH), 0);
	sl_reader_release(reader);
	sl_reader_destroy(reader);
	for (unsigned int i = 0; i < DEPTH; i++)
		free(buf[i]);
}

/* Chunk 3 damaged; then the file cut in the middle of its last chunk but one; then gone. */
static void
read_store(enum kind kind)
{
	char store[128], segment[192], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	struct expected *all;
	uint64_t count, packets = 0;

	test_dir_make(store, kind != DISK);
	huge_pages = kind == HUGE_TMPFS;
	writer = test_writer(store, "c", 0);
	test_append(writer, 0, 30000);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	count = sl_capture_committed(capture);
	all = calloc(count, sizeof(*all));
	mapped_reads = 0;
	read_all(capture, all, count, kind);
	if (kind == HUGE_TMPFS)
		assert_int_equal(mapped_reads, count);
	for (uint64_t n = 0; n < count; n++) {
		assert_int_equal(all[n].result, 0);
		packets += all[n].packets;
	}
	assert_int_equal(packets, 30000);
	test_patch(store, "c", "00000000.seg", 3 * SL_CHUNK_SIZE + 200, "damage", 6);
	snprintf(segment, sizeof(segment), "%s/c/00000000.seg", store);
	assert_int_equal(truncate(segment, (off_t)((count - 2) * SL_CHUNK_SIZE + 5000)), 0);
	read_all(capture, all, count, kind);
	for (uint64_t n = 0; n < count; n++)
		assert_int_equal(all[n].result, n == 3 || n == count - 2 ? -EBADMSG : n == count - 1 ? -ENODATA : 0);
	assert_int_equal(unlink(segment), 0);
	read_all(capture, all, count, kind);
	for (uint64_t n = 0; n < count; n++)
		assert_int_equal(all[n].result, -ENOENT);
	sl_capture_close(capture);
	free(all);
	test_dir_remove(store);
	huge_pages = false;
}

static void
test_read_disk(void **state)
{
	(void)state;
	read_store(DISK);
}

static void
test_read_tmpfs(void **state)
{
	(void)state;
	read_store(TMPFS);
}

static void
test_read_huge_tmpfs(void **state)
{
	(void)state;
	read_store(HUGE_TMPFS);
}

static void
test_read_without_io_uring(void **state)
{
	(void)state;
	no_io_uring = true;
	read_store(DISK);
	no_io_uring = false;
}

/* More chunks than a segment has, each of one packet; written and read while it grows. */
static void
segments(enum kind kind)
{
	const uint64_t chunks = SL_SEGMENT_CHUNKS + 20;
	char store[128], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	struct sl_reader *reader;
	void *buf = test_buffer();
	uint64_t packet = 0;

	test_dir_make(store, kind != DISK);
	huge_pages = kind == HUGE_TMPFS;
	test_fast_clock = true;
	writer = test_writer(store, "long", 1);
	capture = test_open(store, NULL);
	assert_int_equal(sl_reader_create(1, NULL, &reader, errbuf), 0);
	for (uint64_t n = 0; n < chunks; n++) {
		struct sl_chunk chunk;
		struct sl_read done;
		uint64_t next = packet;

		test_append(writer, packet++, 1);
		assert_int_equal(sl_capture_committed(capture), n + 1);
		assert_int_equal(submit(reader, capture, n, buf, &chunk), 0);
		assert_int_equal(sl_reader_submit(reader, capture, n, buf, &chunk), -EAGAIN);
		poll_some(reader, &done, 1);
		assert_ptr_equal(done.cookie, &chunk);
		assert_int_equal(parse_read(capture, &done, buf, kind, n, &chunk), 0);
		test_check_chunk(&chunk, &next);
		assert_int_equal(next, packet);
	}
	/* The capture may go while the reader still keeps its segments. */
	sl_capture_close(capture);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	sl_reader_destroy(reader);
	test_fast_clock = false;
	huge_pages = false;
	free(buf);
	test_dir_remove(store);
}

static void
test_segments_disk(void **state)
{
	(void)state;
	segments(DISK);
}

static void
test_segments_tmpfs(void **state)
{
	(void)state;
	segments(TMPFS);
}

static void
test_segments_huge_tmpfs(void **state)
{
	(void)state;
	segments(HUGE_TMPFS);
}

/* Which descriptors of a directory are open in this process. */
static int
open_segments(const char *store)
{
	char command[256];
	FILE *out;
	int count = -1;

	snprintf(command, sizeof(command), "ls -l /proc/%d/fd | grep -c '%s/.*seg'", (int)getpid(), store);
	out = popen(command, "r");
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%d", &count), 1);
	pclose(out);
	return count;
}

/* A segment that nobody reads is let go, so that its blocks can be. */
static void
idle(enum kind kind)
{
	char store[128], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	struct sl_reader *reader;
	void *buf = test_buffer();
	struct sl_read done;

	test_dir_make(store, kind != DISK);
	huge_pages = kind == HUGE_TMPFS;
	writer = test_writer(store, "c", 0);
	test_append(writer, 0, 10);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	assert_int_equal(sl_reader_create(2, NULL, &reader, errbuf), 0);
	assert_int_equal(submit(reader, capture, 0, buf, NULL), 0);
	poll_some(reader, &done, 1);
	assert_int_equal(open_segments(store), 1);
	sl_reader_release(reader);
	for (int i = 0; i < 60 && open_segments(store) > 0; i++)
		usleep(100000);
	assert_int_equal(open_segments(store), 0);
	assert_int_equal(submit(reader, capture, 0, buf, NULL), 0);
	poll_some(reader, &done, 1);
	assert_int_equal(done.result, 0);
	/* Destroyed with a read in flight. */
	assert_int_equal(submit(reader, capture, 0, buf, NULL), 0);
	sl_reader_destroy(reader);
	sl_capture_close(capture);
	huge_pages = false;
	free(buf);
	test_dir_remove(store);
}

static void
test_idle_disk(void **state)
{
	(void)state;
	idle(DISK);
}

static void
test_idle_tmpfs(void **state)
{
	(void)state;
	idle(TMPFS);
}

static void
test_idle_huge_tmpfs(void **state)
{
	(void)state;
	idle(HUGE_TMPFS);
}

static void
test_depth(void **state)
{
	char errbuf[SL_STORE_ERRBUF];
	struct sl_reader *reader;

	(void)state;
	assert_int_equal(sl_reader_create(0, NULL, &reader, errbuf), -EINVAL);
	assert_int_equal(sl_reader_create(257, NULL, &reader, errbuf), -EINVAL);
	assert_int_equal(sl_reader_create(256, NULL, &reader, errbuf), 0);
	sl_reader_destroy(reader);
	sl_reader_destroy(NULL);
}

int
reader_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_read_disk),
		cmocka_unit_test(test_read_tmpfs),
		cmocka_unit_test(test_read_huge_tmpfs),
		cmocka_unit_test(test_read_without_io_uring),
		cmocka_unit_test(test_segments_disk),
		cmocka_unit_test(test_segments_tmpfs),
		cmocka_unit_test(test_segments_huge_tmpfs),
		cmocka_unit_test(test_idle_disk),
		cmocka_unit_test(test_idle_tmpfs),
		cmocka_unit_test(test_idle_huge_tmpfs),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
