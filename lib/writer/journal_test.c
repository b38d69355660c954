/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "feed_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "journal_line.h"
#include "ops.h"

static char dir[256], errbuf[SL_WRITER_ERRBUF];

static int
setup(void **state)
{
	(void)state;
	feed_make_dir(dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	feed_remove_dir(dir);
	return 0;
}

static struct sl_mark
make_mark(unsigned int n)
{
	struct sl_mark m = {
		.position = {.sequence = n, .chunk = n * UINT64_C(0x100000001), .packet = n + 7},
		.window = {.clock = UINT64_MAX - n, .begin = n, .end = n + 60},
		.emitted = n * 3,
		.seq = n * 5,
		.part_begin = n * 7,
		.part = n,
	};

	memset(m.capture.bytes, (int)n, sizeof(m.capture.bytes));
	return m;
}

static struct sl_open_file
make_file(unsigned int n, const char *name)
{
	struct sl_open_file f = {
		.present = true,
		.ino = UINT64_MAX - n,
		.size = n * 1000,
		.seq = n,
		.begin = n,
		.end = n + 1,
		.part = n,
		.link_type = 1,
		.snap_len = 65535,
		.first_ts = n,
		.last_ts = n + 5,
		.packets = n,
		.late = 1,
		.start = make_mark(n + 1),
	};

	snprintf(f.pending, sizeof(f.pending), "%s", name);
	return f;
}

static const char nasty[] = "/a b/%41=\n\t\x01\xff\xc3\xa4/x_%Y";

static struct sl_checkpoint *
make_checkpoint(unsigned int n, const char *name)
{
	struct sl_checkpoint *c = calloc(1, sizeof(*c));

	c->mark = make_mark(n);
	c->file = make_file(n, name);
	return c;
}

static void
check_mark(const struct sl_mark *a, const struct sl_mark *b)
{
	assert_memory_equal(&a->capture, &b->capture, sizeof(a->capture));
	assert_int_equal(sl_position_cmp(&a->position, &b->position), 0);
	assert_memory_equal(&a->window, &b->window, sizeof(a->window));
	assert_int_equal(a->emitted, b->emitted);
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->part_begin, b->part_begin);
	assert_int_equal(a->part, b->part);
}

static void
check_file(const struct sl_open_file *a, const struct sl_open_file *b)
{
	assert_int_equal(a->present, b->present);
	assert_string_equal(a->pending, b->pending);
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->begin, b->begin);
	assert_int_equal(a->end, b->end);
	assert_int_equal(a->part, b->part);
	assert_int_equal(a->first_ts, b->first_ts);
	assert_int_equal(a->last_ts, b->last_ts);
	assert_int_equal(a->packets, b->packets);
	assert_int_equal(a->late, b->late);
	check_mark(&a->start, &b->start);
}

static struct sl_journal *
open_journal(void)
{
	struct sl_journal *j;
	int rc = sl_journal_open(dir, "t", &j, errbuf);

	if (rc < 0)
		fail_msg("%s", errbuf);
	return j;
}

static void
test_round_trip(void **state)
{
	struct sl_target_config cfg = feed_target("t", nasty), other;
	struct sl_journal *j = open_journal();
	struct sl_checkpoint *c = make_checkpoint(9, nasty);
	const struct sl_journal_state *s = sl_journal_state(j);
	struct sl_mark after = make_mark(12);
	int pass;

	(void)state;
	cfg.owner_user = "root";
	assert_false(s->has_config || s->has_mark || s->has_intent);
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	assert_int_equal(sl_journal_open_intent(j, nasty), 0);
	assert_int_equal(sl_journal_open_intent(j, "/x/y"), 0);
	assert_int_equal(sl_journal_checkpoint(j, c), 0);
	/* read from the lines, then from the summary that reading makes */
	for (pass = 0; pass < 3; pass++) {
		sl_journal_close(j);
		j = open_journal();
		s = sl_journal_state(j);
		assert_true(s->has_config && s->has_mark && !s->has_intent);
		assert_true(sl_journal_same_config(&s->config, &cfg));
		assert_string_equal(s->config.owner_user, "root");
		check_mark(&s->at.mark, &c->mark);
		check_file(&s->at.file, &c->file);
		assert_int_equal(s->open_count, 2);
	}
	assert_int_equal(sl_journal_intent(j, &c->file, "/final name", &after), 0);
	for (pass = 0; pass < 2; pass++) {
		sl_journal_close(j);
		j = open_journal();
		s = sl_journal_state(j);
		assert_true(s->has_intent);
		check_mark(&s->intent.mark, &after);
		check_file(&s->intent.file, &c->file);
		assert_string_equal(s->intent_final, "/final name");
	}
	assert_int_equal(sl_journal_done(j, &after), 0);
	for (pass = 0; pass < 2; pass++) {
		sl_journal_close(j);
		j = open_journal();
		s = sl_journal_state(j);
		assert_false(s->has_intent || s->at.file.present);
		check_mark(&s->at.mark, &after);
		assert_int_equal(s->open_count, 1);
		assert_string_equal(s->opens[0], "/x/y");
		assert_string_equal(s->done_pending, nasty);
	}
	other = cfg;
	other.filter = "tcp";
	assert_false(sl_journal_same_config(&s->config, &other));
	other = cfg;
	other.owner_user = NULL;
	assert_true(sl_journal_same_config(&s->config, &other));
	sl_journal_close(j);
	free(c);
}

static void
journal_path(char *path)
{
	snprintf(path, 300, "%s/t.journal", dir);
}

/* Cut anywhere, a journal reads as if only its whole lines had been written. */
static void
test_torn(void **state)
{
	struct sl_target_config cfg = feed_target("t", "/p/a");
	struct sl_journal *j = open_journal();
	char path[300], *text;
	struct sl_checkpoint *c;
	unsigned int n;
	struct stat st;
	size_t cut, header, lines;
	FILE *f;

	(void)state;
	journal_path(path);
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	for (n = 1; n < 4; n++) {
		c = make_checkpoint(n, "/p/x.pending");
		assert_int_equal(sl_journal_checkpoint(j, c), 0);
		free(c);
	}
	sl_journal_close(j);
	assert_int_equal(stat(path, &st), 0);
	text = malloc((size_t)st.st_size);
	f = fopen(path, "rb");
	assert_int_equal(fread(text, 1, (size_t)st.st_size, f), st.st_size);
	fclose(f);
	header = (size_t)((char *)memchr(text, '\n', 100) - text) + 1;
	for (cut = header; cut <= (size_t)st.st_size;
		cut += cut + 40 < (size_t)st.st_size && cut > header + 10 ? 13 : 1) {
		const struct sl_journal_state *s;
		size_t i;

		f = fopen(path, "wb");
		assert_int_equal(fwrite(text, 1, cut, f), cut);
		if (cut % 3 == 0)
			fwrite("\0\0\0\0garbage\n", 1, 12, f);
		fclose(f);
		for (lines = 0, i = 0; i < cut; i++)
			lines += text[i] == '\n';
		j = open_journal();
		s = sl_journal_state(j);
		assert_int_equal(s->has_config, lines > 1);
		assert_int_equal(s->has_mark, lines > 2);
		if (lines > 2) {
			struct sl_mark m = make_mark((unsigned int)lines - 2);

			check_mark(&s->at.mark, &m);
		}
		/* and is whole again */
		c = make_checkpoint(77, "/p/y.pending");
		assert_int_equal(sl_journal_checkpoint(j, c), 0);
		sl_journal_close(j);
		j = open_journal();
		check_mark(&sl_journal_state(j)->at.mark, &c->mark);
		sl_journal_close(j);
		free(c);
	}
	free(text);
}

static int writes_left;

static ssize_t
full_write(int fd, const void *data, size_t len)
{
	if (writes_left-- > 0)
		return write(fd, data, len);
	/* a full disk takes a part first */
	if (writes_left == -1 && len > 10)
		return write(fd, data, 10);
	errno = ENOSPC;
	return -1;
}

static void
test_full_disk(void **state)
{
	struct sl_ops saved = sl_ops;
	struct sl_target_config cfg = feed_target("t", "/p/a");
	struct sl_journal *j = open_journal();
	struct sl_checkpoint *c = make_checkpoint(5, "/p/x.pending");

	(void)state;
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	sl_ops.write = full_write;
	writes_left = 0;
	assert_int_equal(sl_journal_checkpoint(j, c), -ENOSPC);
	assert_int_equal(sl_journal_checkpoint(j, c), -ENOSPC);
	sl_ops = saved;
	assert_int_equal(sl_journal_checkpoint(j, c), 0);
	sl_journal_close(j);
	j = open_journal();
	check_mark(&sl_journal_state(j)->at.mark, &c->mark);
	assert_true(sl_journal_state(j)->has_config);
	sl_journal_close(j);
	free(c);
}

static void
test_compact(void **state)
{
	struct sl_target_config cfg = feed_target("t", "/p/a");
	struct sl_journal *j = open_journal();
	struct sl_checkpoint *c = make_checkpoint(5, "/p/x.pending");
	char path[300];
	struct stat st;
	unsigned int i;

	(void)state;
	journal_path(path);
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	for (i = 0; i < 3000; i++) {
		c->mark.position.chunk = i;
		assert_int_equal(sl_journal_checkpoint(j, c), 0);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < (2 << 20));
	sl_journal_close(j);
	j = open_journal();
	assert_int_equal(sl_journal_state(j)->at.mark.position.chunk, 2999);
	sl_journal_close(j);
	free(c);
}

static void
test_foreign(void **state)
{
	struct sl_journal *j;
	char path[300];
	FILE *f;

	(void)state;
	journal_path(path);
	f = fopen(path, "wb");
	for (int i = 0; i < 20; i++)
		fputs("this is not a journal at all\n", f);
	fclose(f);
	assert_int_equal(sl_journal_open(dir, "t", &j, errbuf), -EPROTO);
	assert_non_null(strstr(errbuf, "t.journal"));
}

/* Damage in the middle costs the lines that it hit, not those behind them. */
static void
test_damaged(void **state)
{
	struct sl_target_config cfg = feed_target("t", "/p/a");
	struct sl_journal *j = open_journal();
	char path[300];
	struct stat st;
	FILE *f;

	(void)state;
	journal_path(path);
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	for (unsigned int n = 1; n < 4; n++) {
		struct sl_checkpoint *c = make_checkpoint(n, "/p/x.pending");

		assert_int_equal(sl_journal_checkpoint(j, c), 0);
		free(c);
	}
	sl_journal_close(j);
	assert_int_equal(stat(path, &st), 0);
	f = fopen(path, "r+b");
	fseek(f, st.st_size / 2, SEEK_SET);
	fputc('\x01', f);
	fclose(f);
	j = open_journal();
	struct sl_mark last = make_mark(3);

	check_mark(&sl_journal_state(j)->at.mark, &last);
	sl_journal_close(j);
}

static void
test_of_another(void **state)
{
	struct sl_target_config cfg = feed_target("other", "/p/a");
	struct sl_journal *j = open_journal();

	(void)state;
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	sl_journal_close(j);
	assert_int_equal(sl_journal_open(dir, "t", &j, errbuf), -EPROTO);
	assert_non_null(strstr(errbuf, "\"other\""));
}

/* Removed while in use: the next line brings it back, with all that it said. */
static void
test_removed(void **state)
{
	struct sl_target_config cfg = feed_target("t", "/p/a");
	struct sl_journal *j = open_journal();
	struct sl_checkpoint *c = make_checkpoint(8, "/p/x.pending");
	char path[300];

	(void)state;
	journal_path(path);
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	assert_int_equal(sl_journal_checkpoint(j, c), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sl_journal_open_intent(j, "/p/y.pending"), 0);
	sl_journal_close(j);
	j = open_journal();
	assert_true(sl_journal_state(j)->has_config);
	assert_int_equal(sl_journal_state(j)->open_count, 1);
	check_mark(&sl_journal_state(j)->at.mark, &c->mark);
	/* a new definition finds it gone too */
	cfg.split_byte = 12345;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sl_journal_define(j, &cfg, false), 0);
	sl_journal_close(j);
	j = open_journal();
	assert_int_equal(sl_journal_state(j)->config.split_byte, 12345);
	check_mark(&sl_journal_state(j)->at.mark, &c->mark);
	sl_journal_close(j);
	free(c);
}

int
journal_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
