/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "capture_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "follow_state.h"
#include "sl_capture.h"

/* ---- a store of captures that have nothing but a mark */

struct sl_capture {
	uint8_t id;
};

static struct sl_capture fake_capture;
static bool capture_exists[8];
static uint64_t capture_mark[8]; /* of its last chunk; 0: it has none */
static unsigned int capture_bad[8]; /* chunks behind that one that cannot be read */

int
sl_capture_open_uuid(const char *store, const struct sl_uuid *uuid, struct sl_capture **capture, char *errbuf)
{
	(void)store;
	(void)errbuf;
	if (!capture_exists[uuid->bytes[0]])
		return -ENOENT;
	fake_capture.id = uuid->bytes[0];
	*capture = &fake_capture;
	return 0;
}

void
sl_capture_close(struct sl_capture *capture)
{
	(void)capture;
}

uint64_t
sl_capture_first(const struct sl_capture *capture)
{
	(void)capture;
	return 0;
}

uint64_t
sl_capture_committed(const struct sl_capture *capture)
{
	return (capture_mark[capture->id] ? 10 : 0) + capture_bad[capture->id];
}

int
sl_capture_read(struct sl_capture *capture, uint64_t number, void *buf, struct sl_chunk *chunk)
{
	(void)chunk;
	if (number >= (capture_mark[capture->id] ? 10 : 0))
		return -EBADMSG;
	memcpy(buf, &capture_mark[capture->id], 8);
	return 0;
}

int
sl_chunk_mark(const void *buf, uint64_t *mark)
{
	memcpy(mark, buf, 8);
	return 0;
}

void
sl_uuid_format(const struct sl_uuid *uuid, char text[37])
{
	snprintf(text, 37, "%02x", uuid->bytes[0]);
}

int
sl_uuid_parse(const char *text, struct sl_uuid *uuid)
{
	memset(uuid, 0, sizeof(*uuid));
	uuid->bytes[0] = (uint8_t)strtoul(text, NULL, 16);
	return 0;
}

/* ---- */

static char dir[64], errbuf[SL_CAPTURE_ERRBUF];
static struct follow_state state;
static const struct follow_print print[4] = {{40, 1}, {40, 2}, {40, 3}, {40, 4}};

static int
set_up(void **unused)
{
	(void)unused;
	snprintf(dir, sizeof(dir), "/tmp/sl-follow-test-XXXXXX");
	memset(capture_exists, 0, sizeof(capture_exists));
	memset(capture_mark, 0, sizeof(capture_mark));
	memset(capture_bad, 0, sizeof(capture_bad));
	return mkdtemp(dir) ? 0 : -1;
}

static int
tear_down(void **unused)
{
	char command[128];

	(void)unused;
	follow_state_close(&state);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void
begin(void)
{
	if (follow_state_open(&state, dir, NULL, errbuf) < 0)
		fail_msg("%s", errbuf);
}

/* As after a crash: nothing is closed properly. */
static uint64_t
crash(uint64_t *lost)
{
	uint64_t position;

	follow_state_close(&state);
	begin();
	assert_int_equal(follow_state_recover(&state, &position, lost, errbuf), 0);
	return position;
}

static void
capture(uint8_t id, uint64_t at)
{
	struct sl_uuid uuid = {{id}};

	capture_exists[id] = true;
	assert_int_equal(follow_state_capture(&state, at, &uuid, errbuf), 0);
}

static void
run(uint64_t at, const char *name, int which, uint64_t offset)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(
		follow_state_run(&state, at, dir, name, 100 + (uint64_t)which, &print[which], offset, errbuf), 0);
}

static uint64_t
consumed(const char *name, int which)
{
	const struct follow_known *known = follow_state_find(&state, dir, name, 100 + (uint64_t)which, &print[which]);

	return known ? known->consumed : 0;
}

/* Wherever the store came to, each file is known to have reached it up to there. */
static void
test_every_position(void **unused)
{
	(void)unused;
	for (uint64_t mark = 1; mark <= 900; mark += 13) {
		uint64_t lost;

		begin();
		capture(1, 0);
		run(0, "a b%\n", 0, 24);
		follow_state_left(&state, dir, "a b%\n", 100, &print[0], 424);
		run(300, "b", 1, 24);
		run(500, "a b%\n", 0, 324); /* it grew after all */
		run(600, "b", 1, 224);
		capture(2, 700);
		run(700, "c", 2, 1000);
		/* The second capture has a chunk only if the first was closed. */
		capture_mark[1] = mark < 700 ? mark : 700;
		capture_mark[2] = mark < 700 ? 0 : mark;
		assert_int_equal(crash(&lost), mark);
		assert_int_equal(lost, 0);
		assert_int_equal(consumed("a b%\n", 0), mark <= 300   ? 24 + mark
							: mark <= 500 ? 324
							: mark <= 600 ? 324 + mark - 500
								      : 424);
		assert_int_equal(consumed("b", 1), mark <= 300   ? 0
						   : mark <= 500 ? 24 + mark - 300
						   : mark <= 600 ? 224
						   : mark <= 700 ? 224 + mark - 600
								 : 324);
		assert_int_equal(consumed("c", 2), mark <= 700 ? 0 : 1000 + mark - 700);
		/* And again: recovering changes nothing. */
		assert_int_equal(crash(&lost), mark);
		tear_down(NULL);
		set_up(NULL);
	}
	begin();
}

static void
test_closed(void **unused)
{
	uint64_t lost;

	(void)unused;
	begin();
	capture(1, 0);
	run(0, "a", 0, 24);
	capture_mark[1] = 90;
	assert_int_equal(follow_state_closed(&state, 100, errbuf), 0);
	/* Removed by its user, which is no reason to import it again. */
	capture_exists[1] = false;
	assert_int_equal(crash(&lost), 100);
	assert_int_equal(consumed("a", 0), 124);
	/* Chunks at the end that cannot be read: the ones before count. */
	capture(2, 100);
	run(100, "b", 1, 24);
	capture_mark[2] = 150;
	capture_bad[2] = 3;
	assert_int_equal(crash(&lost), 150);
	assert_int_equal(consumed("b", 1), 74);
	/* A capture without a chunk: what was before it counts. */
	capture(3, 150);
	run(150, "b", 1, 74);
	assert_int_equal(crash(&lost), 150);
	assert_int_equal(lost, 0);
	/* Other contents, or another name and inode number: another file. */
	assert_null(follow_state_find(&state, dir, "b", 101, &print[2]));
	assert_null(follow_state_find(&state, dir, "x", 999, &print[1]));
	assert_non_null(follow_state_find(&state, dir, "x", 101, &print[1]));
	assert_non_null(follow_state_find(&state, dir, "b", 999, &print[1]));
	assert_null(follow_state_find(&state, "/elsewhere", "b", 101, &print[1]));
}

static void
test_left(void **unused)
{
	const struct follow_known *known;
	uint64_t lost;

	(void)unused;
	begin();
	capture(1, 0);
	run(0, "a", 0, 24);
	follow_state_left(&state, dir, "a", 100, &print[0], 124);
	run(100, "b", 1, 24);
	capture_mark[1] = 140;
	crash(&lost);
	known = follow_state_find(&state, dir, "a", 100, &print[0]);
	assert_int_equal(known->left, 124);
	/* Left, but not all of it came into the store. */
	capture(2, 140);
	run(140, "c", 2, 24);
	follow_state_left(&state, dir, "c", 102, &print[2], 224);
	run(340, "d", 3, 24);
	capture_mark[2] = 300;
	crash(&lost);
	known = follow_state_find(&state, dir, "c", 102, &print[2]);
	assert_int_equal(known->consumed, 184);
	assert_int_equal(known->left, 0);
}

/* While it goes on it is written anew; a crash right after must find the same. */
static void
test_compact(void **unused)
{
	char path[128];
	uint64_t lost;

	(void)unused;
	begin();
	capture(1, 0);
	for (uint64_t i = 0; i < 200; i++)
		run(i * 10, i % 2 ? "a" : "b", i % 2, 24 + i / 2 * 10);
	assert_false(follow_state_is_long(&state));
	assert_int_equal(follow_state_compact(&state, 1005, errbuf), 0);
	assert_int_equal(state.run_count, 100);
	capture_mark[1] = 1507;
	assert_int_equal(crash(&lost), 1507);
	assert_int_equal(consumed("b", 0), 24 + 757);
	assert_int_equal(consumed("a", 1), 24 + 750);
	/* The store lost what was held for safe: that is told, and not imported again. */
	capture(2, 1507);
	run(1507, "c", 2, 24);
	assert_int_equal(follow_state_compact(&state, 1600, errbuf), 0);
	capture_mark[2] = 1550;
	assert_int_equal(crash(&lost), 1600);
	assert_int_equal(lost, 50);
	/* A file that is gone need not be known. */
	snprintf(path, sizeof(path), "%s/c", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(follow_state_compact(&state, 1600, errbuf), 0);
	assert_int_equal(consumed("c", 2), 0);
	assert_int_equal(consumed("a", 1), 24 + 750);
}

static void
test_the_file(void **unused)
{
	struct follow_state second;
	char path[PATH_MAX];
	uint64_t lost;
	int fd;

	(void)unused;
	begin();
	assert_int_equal(follow_state_open(&second, dir, NULL, errbuf), -EBUSY);
	capture(1, 0);
	run(0, "a", 0, 24);
	capture_mark[1] = 10;
	snprintf(path, sizeof(path), "%s", state.path);
	/* Half a line at the end is one that was never relied on. */
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "01234567 run 5 5 5", 18), 18);
	close(fd);
	assert_int_equal(crash(&lost), 10);
	run(10, "b", 1, 24);
	assert_int_equal(follow_state_closed(&state, 20, errbuf), 0);
	assert_int_equal(crash(&lost), 20);
	follow_state_close(&state);
	/* Anything else is damage. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 12), 1);
	close(fd);
	assert_int_equal(follow_state_open(&state, dir, NULL, errbuf), -EPROTO);
	assert_non_null(strstr(errbuf, "damaged at line 1"));
	assert_non_null(strstr(errbuf, path));
}

int
follow_state_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_position, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_compact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_file, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("follow_state", tests, NULL, NULL);
}
