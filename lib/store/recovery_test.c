/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_test.h"

#define BOOT_ID_OFFSET offsetof(struct store_head, boot_id)

/*
 * A child that writes and dies without closing. It appends, waits until all full chunks are committed, and is killed
 * with packets still in its memory.
 */
static void
write_and_die(const char *store, const char *name, uint64_t packets)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sl_store_writer *writer = test_writer(store, name, 1);
		char errbuf[SL_STORE_ERRBUF];

		test_append(writer, 0, packets);
		usleep(10000);
		/* Everything so far is flushed; what follows is not. */
		sl_store_writer_idle(writer, 0, errbuf);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* As write_and_die(), with few large chunks: a flush interval that does not pass. */
static void
write_chunks_and_die(const char *store, const char *name, uint64_t chunks)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sl_store_writer *writer = test_writer(store, name, 3600000000000u);
		struct sl_capture *capture = test_open(store, name);
		char errbuf[SL_STORE_ERRBUF];
		uint64_t next = 0;

		while (sl_capture_committed(capture) < chunks) {
			test_append(writer, next++, 1);
			sl_store_writer_idle(writer, 0, errbuf);
		}
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct counted {
	uint64_t committed, good, packets;
};

/* Read all of a capture that must be in this state. */
static struct counted
count(const char *store, const char *name, enum sl_capture_state state)
{
	struct sl_capture *capture = test_open(store, name);
	void *buf = test_buffer();
	struct counted counted = {.committed = sl_capture_committed(capture)};
	struct sl_chunk chunk;

	assert_int_equal(sl_capture_state(capture), state);
	for (uint64_t n = 0; n < counted.committed; n++) {
		if (sl_capture_read(capture, n, buf, &chunk) == 0) {
			counted.good++;
			counted.packets += chunk.packets;
		}
	}
	sl_capture_close(capture);
	free(buf);
	return counted;
}

static void
check_count(const char *store, const char *name, enum sl_capture_state state, uint64_t committed, uint64_t good)
{
	struct counted counted = count(store, name, state);

	assert_int_equal(counted.committed, committed);
	assert_int_equal(counted.good, good);
}

/* Pretend that the machine was started again since. */
static void
other_boot(const char *store, const char *name)
{
	static const uint8_t id[16] = {9, 9, 9};

	test_patch(store, name, "head", BOOT_ID_OFFSET, id, sizeof(id));
}

static void
set_committed(const char *store, const char *name, uint64_t committed)
{
	test_patch(store, name, "head", offsetof(struct store_head, committed), &committed, sizeof(committed));
}

/* Make the checksum of a patched head right again. */
static void
repair_head(const char *store, const char *name)
{
	struct store_head head;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/head", store, name);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, &head, sizeof(head)), sizeof(head));
	close(fd);
	head.crc = chunk_crc(&head, offsetof(struct store_head, crc));
	test_patch(store, name, "head", offsetof(struct store_head, crc), &head.crc, sizeof(head.crc));
}

static void
killed(bool tmpfs, bool reboot)
{
	char store[128], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer *writer;
	struct sl_capture_totals totals;
	struct sl_capture *capture;
	struct counted dead;

	test_dir_make(store, tmpfs);
	write_and_die(store, "dead", 50);
	if (reboot) {
		other_boot(store, "dead");
		set_committed(store, "dead", 1000);
	}
	dead = count(store, "dead", SL_CAPTURE_UNCLEAN);
	assert_int_equal(dead.good, dead.committed);
	assert_int_equal(dead.packets, 50);
	/* The next writer seals it. */
	writer = test_writer(store, "next", 0);
	check_count(store, "dead", SL_CAPTURE_CLOSED, dead.committed, dead.committed);
	capture = test_open(store, "dead");
	assert_int_equal(sl_capture_sum(capture, &totals), 0);
	assert_int_equal(totals.packets, 50);
	sl_capture_close(capture);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	capture = test_open(store, NULL);
	assert_string_equal(sl_capture_info(capture)->name, "next");
	assert_int_equal(sl_capture_info(capture)->sequence, 2);
	sl_capture_close(capture);
	/* Closed is closed, whatever boot it is; but only with the right checksum. */
	other_boot(store, "next");
	check_count(store, "next", SL_CAPTURE_UNCLEAN, 0, 0);
	repair_head(store, "next");
	check_count(store, "next", SL_CAPTURE_CLOSED, 0, 0);
	test_dir_remove(store);
}

static void
test_killed_disk(void **state)
{
	(void)state;
	killed(false, false);
}

static void
test_killed_tmpfs(void **state)
{
	(void)state;
	killed(true, false);
}

static void
test_killed_other_boot(void **state)
{
	(void)state;
	killed(false, true);
}

/* A reader that has it open sees OPEN until it asks again. */
static void
test_killed_while_open(void **state)
{
	char store[128], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer;
	struct sl_capture *capture;
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	test_dir_make(store, false);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		writer = test_writer(store, "live", 1);
		test_append(writer, 0, 3);
		usleep(10000);
		sl_store_writer_idle(writer, 0, errbuf);
		(void)!write(ready[1], "x", 1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	capture = test_open(store, NULL);
	assert_int_equal(sl_capture_recheck(capture), SL_CAPTURE_OPEN);
	assert_true(sl_capture_committed(capture) > 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(sl_capture_state(capture), SL_CAPTURE_OPEN);
	assert_int_equal(sl_capture_recheck(capture), SL_CAPTURE_UNCLEAN);
	assert_true(sl_capture_committed(capture) > 0);
	sl_capture_close(capture);
	close(ready[0]);
	close(ready[1]);
	test_dir_remove(store);
}

/* Bad, empty and stale chunks of a capture whose head is not to be believed. */
static void
test_scan(void **state)
{
	struct sl_store_writer *writer;
	char store[128], segment[256], errbuf[SL_STORE_ERRBUF];
	void *buf = test_buffer();
	struct sl_capture *capture;
	struct sl_chunk chunk;
	uint64_t all;

	(void)state;
	test_dir_make(store, false);
	/* An older capture, whose chunks will lie where the dead one's would. */
	writer = test_writer(store, "old", 0);
	test_append(writer, 0, 30000);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	write_chunks_and_die(store, "dead", 6);
	other_boot(store, "dead");
	all = count(store, "dead", SL_CAPTURE_UNCLEAN).good;
	assert_true(all >= 6);
	/* Stale: chunk `all` of the old capture in the slot behind the last; not taken. */
	capture = test_open(store, "old");
	assert_true(sl_capture_committed(capture) > all);
	assert_int_equal(sl_capture_read(capture, all, buf, &chunk), 0);
	sl_capture_close(capture);
	test_patch(store, "dead", "00000000.seg", all * SL_CHUNK_SIZE, buf, SL_CHUNK_SIZE);
	/* Stale: an earlier chunk of the same capture, as a slot used again would hold. */
	capture = test_open(store, "dead");
	assert_int_equal(sl_capture_read(capture, 0, buf, &chunk), 0);
	sl_capture_close(capture);
	test_patch(store, "dead", "00000000.seg", (all + 1) * SL_CHUNK_SIZE, buf, SL_CHUNK_SIZE);
	check_count(store, "dead", SL_CAPTURE_UNCLEAN, all, all);
	/* A body gone bad at the end: it ends before it. In the middle: passed over. */
	test_patch(store, "dead", "00000000.seg", (all - 1) * SL_CHUNK_SIZE + 5000, "damage", 6);
	test_patch(store, "dead", "00000000.seg", 2 * SL_CHUNK_SIZE + 5000, "damage", 6);
	check_count(store, "dead", SL_CAPTURE_UNCLEAN, all - 1, all - 2);
	/* A head that is lost or nonsense changes nothing. */
	test_patch(store, "dead", "head", 0, "????", 4);
	check_count(store, "dead", SL_CAPTURE_UNCLEAN, all - 1, all - 2);
	snprintf(segment, sizeof(segment), "%s/dead/head", store);
	assert_int_equal(unlink(segment), 0);
	check_count(store, "dead", SL_CAPTURE_UNCLEAN, all - 1, all - 2);
	writer = test_writer(store, "next", 0);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	check_count(store, "dead", SL_CAPTURE_CLOSED, all - 1, all - 2);
	/* No segments at all. */
	snprintf(segment, sizeof(segment), "rm %s/dead/*.seg", store);
	assert_int_equal(system(segment), 0);
	check_count(store, "dead", SL_CAPTURE_CLOSED, all - 1, 0);
	free(buf);
	test_dir_remove(store);
}

/* Within a boot, a committed chunk that went bad is still counted: it must be reported, not vanish. */
static void
test_committed_gone_bad(void **state)
{
	uint64_t all;
	char store[128];

	(void)state;
	test_dir_make(store, false);
	write_chunks_and_die(store, "dead", 3);
	all = count(store, "dead", SL_CAPTURE_UNCLEAN).good;
	/* not the last one, which may have been written but not committed */
	test_patch(store, "dead", "00000000.seg", SL_CHUNK_SIZE + 5000, "damage", 6);
	check_count(store, "dead", SL_CAPTURE_UNCLEAN, all, all - 1);
	test_dir_remove(store);
}

/* One wrong bit in a closed head must neither hide chunks nor invent them; the next writer puts it right. */
static void
test_head_bits(void **state)
{
	char store[128], path[256], errbuf[SL_STORE_ERRBUF];
	struct sl_store_writer *writer;
	struct store_head good, bad;
	uint64_t all;
	int fd;

	(void)state;
	test_dir_make(store, true);
	writer = test_writer(store, "one", 0);
	test_append(writer, 0, 3000);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	all = count(store, "one", SL_CAPTURE_CLOSED).good;
	assert_true(all >= 2);
	snprintf(path, sizeof(path), "%s/one/head", store);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, &good, sizeof(good)), sizeof(good));
	close(fd);
	for (size_t bit = 8 * offsetof(struct store_head, capture); bit < 8 * (offsetof(struct store_head, first) + 8);
		bit++) {
		struct sl_capture *capture;

		memcpy((void *)&bad, (const void *)&good, sizeof(bad));
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		test_patch(store, "one", "head", 0, &bad, sizeof(bad));
		check_count(store, "one", SL_CAPTURE_UNCLEAN, all, all);
		capture = test_open(store, "one");
		assert_true(sl_capture_head_damaged(capture));
		assert_int_equal(sl_capture_clock(capture), 0);
		sl_capture_close(capture);
	}
	assert_int_equal(sl_store_writer_close(test_writer(store, "two", 0), errbuf), 0);
	check_count(store, "one", SL_CAPTURE_CLOSED, all, all);
	test_dir_remove(store);
}

int
recovery_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_disk),
		cmocka_unit_test(test_killed_tmpfs),
		cmocka_unit_test(test_killed_other_boot),
		cmocka_unit_test(test_killed_while_open),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_committed_gone_bad),
		cmocka_unit_test(test_head_bits),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
