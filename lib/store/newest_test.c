/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "newest.h"
#include "store_test.h"

/* Bytes that this thread has had read from disks: the writer of these tests is in the same process. */
static uint64_t
disk_reads(void)
{
	FILE *file = fopen("/proc/thread-self/io", "re");
	uint64_t bytes = UINT64_MAX;
	char line[128];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "read_bytes: %" SCNu64, &bytes) == 1)
			break;
	fclose(file);
	assert_true(bytes != UINT64_MAX);
	return bytes;
}

static void
memory_path(const struct sl_uuid *uuid, char path[128])
{
	char text[37];

	sl_uuid_format(uuid, text);
	snprintf(path, 128, "/dev/shm/sluice-%s", text);
}

/* Read a chunk as the reader's lcore does. */
static int
read_one(struct sl_reader *reader, struct sl_capture *capture, uint64_t number, void *buf, struct sl_chunk *chunk)
{
	struct sl_read done;

	while (sl_reader_submit(reader, capture, number, buf, NULL) == -EAGAIN)
		usleep(100);
	while (sl_reader_poll(reader, &done, 1) == 0)
		usleep(10);
	if (done.result < 0)
		return done.result;
	return sl_chunk_parse(done.data, &sl_capture_info(capture)->uuid, number, chunk);
}

/* Who keeps up reads no disk; who does not reads it there. */
static void
test_no_disk(void **state)
{
	char store[128], path[128], errbuf[SL_STORE_ERRBUF] = "";
	uint64_t next = 0, before, from_memory, n = 0;
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	struct sl_reader *reader;
	void *buf = test_buffer();
	struct sl_chunk chunk;
	struct stat st;

	(void)state;
	test_dir_make(store, false);
	writer = test_live_writer(store, "live", (struct sl_store_writer_params){.buffers = 8, .flush_interval = 1});
	capture = test_open(store, NULL);
	memory_path(&sl_capture_info(capture)->uuid, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
	assert_int_equal(sl_reader_create(4, NULL, &reader, errbuf), 0);
	before = disk_reads();
	for (uint64_t i = 0; i < 3000; i += 300) {
		test_append(writer, i, 300);
		while (sl_capture_wait(capture, n, 1000000) < 0)
			assert_int_equal(sl_store_writer_poll(writer, errbuf), 0);
		for (; n < sl_capture_committed(capture); n++) {
			assert_int_equal(read_one(reader, capture, n, buf, &chunk), 0);
			test_check_chunk(&chunk, &next);
		}
	}
	assert_int_equal(next, 3000);
	assert_int_equal(sl_reader_from_memory(reader), n);
	assert_int_equal(disk_reads(), before);
	/* By the blocking way too. */
	next = next - chunk.packets;
	assert_int_equal(sl_capture_read(capture, n - 1, buf, &chunk), 0);
	test_check_chunk(&chunk, &next);
	assert_int_equal(disk_reads(), before);
	/* The first one has been overwritten since. */
	assert_true(n > 8);
	from_memory = sl_reader_from_memory(reader);
	next = 0;
	assert_int_equal(read_one(reader, capture, 0, buf, &chunk), 0);
	test_check_chunk(&chunk, &next);
	assert_int_equal(sl_reader_from_memory(reader), from_memory);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	assert_int_equal(stat(path, &st), -1);
	/* What is gone from memory is on the disk. */
	next = 2700;
	assert_int_equal(read_one(reader, capture, n - 1, buf, &chunk), 0);
	sl_reader_destroy(reader);
	sl_capture_close(capture);
	free(buf);
	test_dir_remove(store);
}

struct race {
	struct newest newest;
	_Atomic uint64_t written;
	_Atomic bool stop;
};

/* Each buffer is filled with its ordinal, over and over. */
static void *
overwrite(void *arg)
{
	struct race *race = arg;

	for (uint64_t o = 0; !atomic_load(&race->stop); o++) {
		struct chunk_header *h = (struct chunk_header *)newest_buffer(&race->newest, o);
		volatile uint64_t *words = (volatile uint64_t *)h;

		newest_begin(&race->newest, o);
		for (unsigned int i = 0; i < 8192; i++)
			words[i] = o;
		h->packets = 0;
		h->index_off = 65536;
		newest_end(&race->newest, o);
		atomic_store(&race->written, o + 1);
		if (o % 64 == 63)
			usleep(100);
	}
	return NULL;
}

/* A buffer that is written while it is copied is noticed, each time. */
static void
test_overwritten(void **state)
{
	uint64_t whole = 0, torn = 0, tries = 0;
	struct sl_uuid uuid;
	struct newest_reader *reader;
	struct race race = {0};
	uint64_t *buf = test_buffer();
	time_t until = time(NULL) + 30;
	pthread_t thread;

	(void)state;
	assert_int_equal(store_uuid_make(&uuid), 0);
	assert_int_equal(newest_create(&race.newest, &uuid, 4, true), 0);
	assert_true(race.newest.fd >= 0);
	/* A file of that name which another user has put there is not believed. */
	assert_null(newest_open(&uuid, geteuid() + 1));
	reader = newest_open(&uuid, geteuid());
	assert_non_null(reader);
	assert_int_equal(pthread_create(&thread, NULL, overwrite, &race), 0);
	/* Both kinds come within a moment; the bound is for a machine that runs one thread at a time. */
	while ((whole < 200 || torn < 200) && time(NULL) < until) {
		uint64_t written = atomic_load(&race.written), o = written - 1;

		if (written < 4)
			continue;
		if (tries++ % 2)
			o = written - 3;
		if (!newest_has(reader, o) || !newest_copy(reader, o, buf)) {
			torn++;
			continue;
		}
		whole++;
		for (unsigned int i = 32; i < 8192; i++)
			assert_true(buf[i] == o);
	}
	atomic_store(&race.stop, true);
	pthread_join(thread, NULL);
	assert_true(whole > 0);
	newest_destroy(&race.newest);
	/* The reader finds an end, not a signal. */
	assert_false(newest_copy(reader, atomic_load(&race.written) - 1, buf));
	newest_close(reader);
	assert_null(newest_open(&uuid, geteuid()));
	free(buf);
}

/* A dead writer's memory is removed by the next one, and a living one's is not. */
static void
test_swept(void **state)
{
	char store[128], other[128], dead[128], alive[128], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer, *next;
	int status, ready[2];
	struct stat st;
	char byte;
	pid_t pid;

	(void)state;
	test_dir_make(store, false);
	test_dir_make(other, false);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		test_live_writer(store, "dead", (struct sl_store_writer_params){0});
		(void)!write(ready[1], "x", 1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	writer = test_live_writer(other, "alive", (struct sl_store_writer_params){0});
	memory_path(&sl_store_writer_info(writer)->uuid, alive);
	{
		struct sl_capture *capture = test_open(store, NULL);

		memory_path(&sl_capture_info(capture)->uuid, dead);
		sl_capture_close(capture);
	}
	assert_int_equal(stat(dead, &st), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	next = test_writer(store, "next", 0);
	assert_int_equal(stat(dead, &st), -1);
	assert_int_equal(stat(alive, &st), 0);
	assert_int_equal(sl_store_writer_close(next, errbuf), 0);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	assert_int_equal(stat(alive, &st), -1);
	close(ready[0]);
	close(ready[1]);
	test_dir_remove(store);
	test_dir_remove(other);
}

int
newest_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_disk),
		cmocka_unit_test(test_overwritten),
		cmocka_unit_test(test_swept),
	};

	return cmocka_run_group_tests_name("newest", tests, NULL, NULL);
}
