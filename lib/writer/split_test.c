/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "feed_test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <isa-l/crc.h>

#define T0 (UINT64_C(1700000040) * S) /* a multiple of 60 s */

static char dir[256], path[300];

static int
setup(void **state)
{
	(void)state;
	feed_make_dir(dir);
	snprintf(path, sizeof(path), "%s/a", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	feed_remove_dir(dir);
	return 0;
}

/* What a file must hold: its name and the numbers of its packets. */
struct expected {
	char name[128];
	uint32_t *numbers;
	size_t count, late;
	uint64_t size;
};

static void
check_file(const struct expected *e)
{
	uint32_t *numbers = calloc(e->count + 1, sizeof(*numbers));
	char full[600];
	size_t n, i;

	snprintf(full, sizeof(full), "%s/%s", dir, e->name);
	n = feed_read(full, numbers, e->count + 1);
	if (n != e->count)
		fail_msg("%s: %zu packets, expected %zu", e->name, n, e->count);
	for (i = 0; i < n; i++)
		if (numbers[i] != e->numbers[i])
			fail_msg("%s: packet %zu is %u, expected %u", e->name, i, numbers[i], e->numbers[i]);
	free(numbers);
}

static size_t
count_files(void)
{
	char *list = feed_listing(dir);
	size_t n = 0;
	char *p;

	assert_null(strstr(list, ".pending"));
	for (p = list; *p; p++)
		n += *p == '\n';
	free(list);
	return n;
}

/* The rules of windows, parts and names again, packet by packet, without spans and runs. */
static size_t
model(const struct feed_stream *s, const struct sl_target_config *cfg, unsigned int t, struct expected *e)
{
	uint64_t clock = 0, begin = 0, end = 0, size = 0;
	uint64_t T = cfg->split_time;
	unsigned int part = 0;
	size_t n = 0, i, chunk = 0, j;
	bool open = false, seen = false;

	for (i = 0; i < s->count; i++) {
		const struct feed_packet *p = &s->packets[i];
		uint64_t times[2] = {0, p->ts};

		if (chunk < s->chunks && s->starts[chunk] == i)
			times[0] = s->heartbeats[chunk++];
		for (j = 0; T && j < 2; j++) {
			if (times[j] == 0 || (j == 0 && times[0] <= clock))
				continue;
			if (!seen || times[j] > clock || times[j] + T < begin)
				clock = times[j];
			if (!seen || clock < begin || clock >= end) {
				begin = clock / T * T;
				end = begin + T;
				open = false;
				part = 0;
			}
			seen = true;
		}
		if (!(p->match & (1u << t)))
			continue;
		{
			uint64_t bytes = 16 + (cfg->slice && p->caplen > cfg->slice ? (uint64_t)cfg->slice
										    : (uint64_t)p->caplen);

			if (open && cfg->split_byte && size + bytes > cfg->split_byte && e[n - 1].count)
				open = false;
			if (!open) {
				struct expected *x = &e[n++];

				open = true;
				size = 24;
				memset(x, 0, sizeof(*x));
				x->numbers = calloc(s->count, sizeof(*x->numbers));
				if (T && cfg->split_byte)
					snprintf(x->name, sizeof(x->name), "a_%" PRIu64 "-%" PRIu64 "_p%03u.pcap",
						begin / S, end / S, ++part);
				else if (T)
					snprintf(x->name, sizeof(x->name), "a_%" PRIu64 "-%" PRIu64 ".pcap", begin / S,
						end / S);
				else
					snprintf(x->name, sizeof(x->name), "a_%" PRIu64 ".pcap", p->ts);
			}
			size += bytes;
			e[n - 1].size = size;
			e[n - 1].numbers[e[n - 1].count++] = (uint32_t)i;
			e[n - 1].late += T && p->ts < begin;
		}
	}
	return n;
}

static void
check_model(const struct feed_stream *s, const struct sl_target_config *cfg)
{
	struct expected *e = calloc(4096, sizeof(*e));
	struct feed_options options = {0};
	struct sl_target_stats *stats = calloc(1, sizeof(*stats));
	size_t n = model(s, cfg, 0, e), i, late = 0, packets = 0;

	assert_int_equal(feed_run(s, cfg, 1, &options, stats), 0);
	for (i = 0; i < n; i++) {
		check_file(&e[i]);
		late += e[i].late;
		packets += e[i].count;
		free(e[i].numbers);
		if (cfg->split_byte && e[i].count > 1)
			assert_true(e[i].size <= cfg->split_byte);
	}
	assert_int_equal(count_files(), n);
	assert_int_equal(stats->files, n);
	assert_int_equal(stats->late, late);
	assert_int_equal(stats->packets, packets);
	assert_int_equal(stats->published_packets, packets);
	assert_int_equal(stats->first_unpublished_ts, 0);
	free(stats);
	free(e);
}

static void
test_time(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_stream s;

	(void)state;
	cfg.split_time = 60 * S;
	feed_random(&s, 1, 3000, 100, T0, S / 2, 1500);
	check_model(&s, &cfg);
	feed_free(&s);
}

static void
test_time_disorder(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_stream s;
	size_t i;

	(void)state;
	cfg.split_time = 10 * S;
	feed_random(&s, 2, 3000, 70, T0, S / 10, 300);
	for (i = 0; i < s.count; i++) {
		s.packets[i].match = i % 3 != 0;
		if (i % 11 == 0)
			s.packets[i].ts -= 3 * S; /* late around boundaries */
	}
	for (i = 10; i < s.chunks; i += 7)
		s.heartbeats[i] = s.packets[s.starts[i]].ts - S;
	/* Windows are never left for an earlier one here: names repeat there, and that is publish_test's matter. */
	check_model(&s, &cfg);
	feed_free(&s);
}

static void
test_far_times(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_stream s;
	struct sl_target_stats *stats = calloc(1, sizeof(*stats));
	struct feed_options options = {0};
	uint32_t numbers[700];
	size_t n;
	char name[400];

	(void)state;
	cfg.split_time = 60 * S;
	feed_random(&s, 3, 600, 50, T0, S / 100, 100); /* all within one window */
	s.packets[120].ts = UINT64_C(4070908800) * S;
	s.packets[325].ts = 1000;
	assert_int_equal(feed_run(&s, &cfg, 1, &options, stats), 0);
	assert_int_equal(stats->packets, 600);
	assert_int_equal(stats->published_packets, 600);
	/* before, 2099, between, 1970, after */
	assert_int_equal(stats->files, 5);
	assert_int_equal(stats->renamed, 2);
	snprintf(name, sizeof(name), "%s_4070908800-4070908860.pcap", path);
	assert_int_equal(feed_read(name, numbers, 700), 1);
	assert_int_equal(numbers[0], 120);
	snprintf(name, sizeof(name), "%s_0-60.pcap", path);
	assert_int_equal(feed_read(name, numbers, 700), 1);
	assert_int_equal(numbers[0], 325);
	snprintf(name, sizeof(name), "%s_1700000040-1700000100_2.pcap", path);
	n = feed_read(name, numbers, 700);
	assert_int_equal(n, 600 - 326);
	assert_non_null(strstr(stats->example_renamed, "_1.pcap"));
	feed_free(&s);
	free(stats);
}

static void
test_byte(void **state)
{
	static const uint64_t sizes[] = {1, 24, 100, 1000, 1540, 5000, 70000, 300000};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct sl_target_config cfg = feed_target("t", path);
		struct feed_stream s;

		cfg.split_byte = sizes[i];
		cfg.name_mode = SL_NAME_EPOCH_NSEC;
		feed_random(&s, 4 + (unsigned int)i, sizes[i] < 2000 ? 200 : 2000, 60, T0, S / 10, 1500);
		check_model(&s, &cfg);
		feed_free(&s);
		teardown(NULL);
		setup(NULL);
	}
}

static void
test_byte_exact(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_stream s;
	size_t i;

	(void)state;
	/* exactly four records fit, not one byte less */
	cfg.split_byte = 24 + 4 * 116;
	cfg.name_mode = SL_NAME_EPOCH_NSEC;
	feed_random(&s, 9, 100, 30, T0, S, 1500);
	for (i = 0; i < s.count; i++)
		s.packets[i].caplen = 100;
	check_model(&s, &cfg);
	assert_int_equal(count_files(), 25);
	feed_free(&s);
}

static void
test_both(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_stream s;
	size_t i;

	(void)state;
	cfg.split_time = 60 * S;
	cfg.split_byte = 20000;
	feed_random(&s, 10, 2000, 45, T0, S / 2, 900);
	for (i = 0; i < s.count; i++)
		s.packets[i].match = i % 4 != 1;
	check_model(&s, &cfg);
	feed_free(&s);
}

static void
test_slice(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_stream s;
	uint8_t head[24];
	char name[400];
	FILE *f;

	(void)state;
	cfg.split_byte = 3000;
	cfg.slice = 64;
	cfg.name_mode = SL_NAME_EPOCH_NSEC;
	feed_random(&s, 11, 500, 45, T0, S / 2, 900);
	check_model(&s, &cfg);
	snprintf(name, sizeof(name), "%s_%" PRIu64 ".pcap", path, s.packets[0].ts);
	f = fopen(name, "rb");
	assert_non_null(f);
	assert_int_equal(fread(head, 1, 24, f), 24);
	assert_int_equal(head[16], 64); /* snap length */
	assert_int_equal(head[20], 1); /* link type */
	fclose(f);
	feed_free(&s);
}

static void
test_targets(void **state)
{
	struct sl_target_config cfg[6];
	struct sl_target_stats *stats = calloc(12, sizeof(*stats));
	struct feed_options options = {.crc = true};
	char paths[6][300], descs[6][8];
	struct feed_stream s;
	uint64_t total[6] = {0}, bytes[6] = {0};
	unsigned int t;
	size_t i;

	(void)state;
	for (t = 0; t < 6; t++) {
		snprintf(paths[t], sizeof(paths[t]), "%s/%u/x", dir, t);
		snprintf(descs[t], sizeof(descs[t]), "t%u", t);
		cfg[t] = feed_target(descs[t], paths[t]);
		cfg[t].split_time = 30 * S;
	}
	feed_random(&s, 12, 5000, 250, T0, S / 20, 1500);
	for (i = 0; i < s.count; i++)
		for (t = 0; t < 6; t++)
			if (s.packets[i].match & (1u << t)) {
				total[t]++;
				bytes[t] += 16 + s.packets[i].caplen;
			}
	assert_int_equal(feed_run(&s, cfg, 6, &options, stats), 0);
	options.sink = SL_SINK_NULL;
	assert_int_equal(feed_run(&s, cfg, 6, &options, stats + 6), 0);
	for (t = 0; t < 6; t++) {
		assert_int_equal(stats[t].packets, total[t]);
		assert_int_equal(stats[t].published_packets, total[t]);
		assert_int_equal(stats[t].bytes, bytes[t]);
		assert_int_equal(stats[t + 6].packets, total[t]);
		assert_int_equal(stats[t + 6].bytes, bytes[t]);
		assert_int_equal(stats[t + 6].crc, stats[t].crc);
		if (total[t])
			assert_int_not_equal(stats[t].crc, 0);
	}
	feed_free(&s);
	free(stats);
}

static void
test_quiet(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_options options = {.once = true};
	struct feed_stream s;
	char name[400];
	struct stat st;

	(void)state;
	cfg.split_time = 10 * S;
	cfg.empty_files = true;
	feed_random(&s, 13, 20, 10, T0, S / 10, 100);
	s.packets[10].ts = s.packets[9].ts + 35 * S; /* three windows of silence */
	for (size_t i = 11; i < 20; i++)
		s.packets[i].ts = s.packets[10].ts + i;
	s.clock_after = T0 + 95 * S;
	assert_int_equal(feed_run(&s, &cfg, 1, &options, NULL), 0);
	/* 0, 10, 20, (30 or so), ... up to the clock's own window, 90 */
	assert_int_equal(count_files(), 10);
	snprintf(name, sizeof(name), "%s_1700000060-1700000070.pcap", path);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, 24);
	feed_free(&s);
	/* a jump of years makes no millions of files */
	teardown(NULL);
	setup(NULL);
	feed_random(&s, 13, 20, 10, T0, S / 10, 100);
	s.packets[15].ts = T0 * 2;
	assert_int_equal(feed_run(&s, &cfg, 1, &options, NULL), 0);
	assert_true(count_files() <= 4);
	feed_free(&s);
}

static void
test_clock_closes(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_options options = {.stop = true, .seconds = 5};
	struct feed_stream s;

	(void)state;
	cfg.split_time = 10 * S;
	feed_random(&s, 14, 20, 10, T0, S / 100, 100);
	s.clock_after = T0 + 10 * S;
	assert_int_equal(feed_run(&s, &cfg, 1, &options, NULL), 0);
	assert_int_equal(count_files(), 1);
	feed_free(&s);
}

static void
test_roll(void **state)
{
	struct sl_target_config cfg = feed_target("t", path);
	struct feed_options options = {0};
	struct sl_target_stats *stats = calloc(1, sizeof(*stats));
	struct feed_stream s;

	(void)state;
	cfg.split_time = 3600 * S;
	feed_random(&s, 15, 100, 10, T0, S / 100, 100);
	s.roll_at = 5;
	assert_int_equal(feed_run(&s, &cfg, 1, &options, stats), 0);
	assert_int_equal(stats->files, 1);
	assert_int_equal(stats->published_packets, 100);
	teardown(NULL);
	setup(NULL);
	s.link_type2 = 101;
	assert_int_equal(feed_run(&s, &cfg, 1, &options, stats), 0);
	assert_int_equal(stats->files, 2);
	assert_int_equal(stats->renamed, 1);
	assert_int_equal(stats->published_packets, 100);
	feed_free(&s);
	free(stats);
}

int
split_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_disorder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_far_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_byte_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_roll, setup, teardown),
	};

	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
