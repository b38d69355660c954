/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/* The merger against streams that are only numbers. */

#include "capture_test.h"

#include <stdlib.h>
#include <string.h>

#include "merge.h"

#define STREAMS 4
#define PACKETS 5000

struct source {
	uint64_t ts[PACKETS];
	unsigned int count, at, arrived; /* taken, and there to be taken */
	uint64_t through;
	bool pressed;
};

static struct {
	struct source sources[STREAMS];
	uint64_t out[STREAMS * PACKETS];
	unsigned int from[STREAMS * PACKETS];
	unsigned int count;
} lab;

static unsigned int
take(void *ctx, struct merge_item *items, unsigned int max, uint64_t *through, bool *pressed)
{
	struct source *s = ctx;
	unsigned int n = 0;

	*through = s->through;
	*pressed = s->pressed;
	while (n < max && s->at < s->arrived)
		items[n++] = (struct merge_item){.ts = s->ts[s->at++]};
	return n;
}

static void
emit(void *ctx, unsigned int stream, const struct merge_item *item)
{
	(void)ctx;
	lab.from[lab.count] = stream;
	lab.out[lab.count++] = item->ts;
}

static void
begin(struct merge_stream *streams)
{
	memset(&lab, 0, sizeof(lab));
	memset(streams, 0, STREAMS * sizeof(*streams));
	for (int i = 0; i < STREAMS; i++) {
		streams[i].take = take;
		streams[i].ctx = &lab.sources[i];
	}
}

static void
random_streams_come_out_sorted(void **state)
{
	struct merge_stream streams[STREAMS];
	unsigned int all = 0;

	(void)state;
	begin(streams);
	for (int i = 0; i < STREAMS; i++) {
		struct source *s = &lab.sources[i];
		uint64_t ts = 1000;

		s->count = (unsigned int)(rand() % PACKETS);
		all += s->count;
		for (unsigned int k = 0; k < s->count; k++)
			s->ts[k] = ts += (uint64_t)(rand() % 50);
	}
	/* Each stream arrives in its own pieces, and tells how far it is. */
	for (unsigned int turn = 0; lab.count < all; turn++) {
		assert_true(turn < 100000);
		for (int i = 0; i < STREAMS; i++) {
			struct source *s = &lab.sources[i];

			s->arrived += (unsigned int)(rand() % 200);
			s->arrived = s->arrived > s->count ? s->count : s->arrived;
			s->through = s->arrived < s->count ? s->ts[s->arrived] : UINT64_MAX;
		}
		merge_run(streams, STREAMS, 0, 10, 1 + (unsigned int)(rand() % 500), emit, NULL);
	}
	for (unsigned int i = 1; i < all; i++) {
		assert_true(lab.out[i] >= lab.out[i - 1]);
		/* Nothing says who was first; so that runs are alike, the earlier stream is. */
		if (lab.out[i] == lab.out[i - 1])
			assert_true(lab.from[i] >= lab.from[i - 1]);
	}
	assert_false(merge_holds(streams, STREAMS));
}

static void
a_stream_that_says_nothing_is_waited_for_within_the_window(void **state)
{
	struct merge_stream streams[STREAMS];

	(void)state;
	begin(streams);
	lab.sources[0] = (struct source){.ts = {100, 200, 300}, .count = 3, .arrived = 3, .through = 300};
	for (int i = 1; i < STREAMS; i++)
		lab.sources[i].through = i == 1 ? 150 : UINT64_MAX;
	assert_int_equal(merge_run(streams, STREAMS, 205, 100, 10, emit, NULL), 1);
	assert_int_equal(lab.out[0], 100);
	assert_true(merge_holds(streams, STREAMS));
	assert_int_equal(merge_run(streams, STREAMS, 299, 100, 10, emit, NULL), 0);
	assert_int_equal(merge_run(streams, STREAMS, 300, 100, 10, emit, NULL), 1);
	/* Late: it is stored behind. */
	lab.sources[1] = (struct source){.ts = {160}, .count = 1, .arrived = 1, .through = 160};
	assert_int_equal(merge_run(streams, STREAMS, 301, 100, 10, emit, NULL), 1);
	assert_int_equal(lab.out[2], 160);
	assert_int_equal(merge_run(streams, STREAMS, 399, 100, 10, emit, NULL), 0);
	assert_int_equal(merge_run(streams, STREAMS, 400, 100, 10, emit, NULL), 1);
	assert_false(merge_holds(streams, STREAMS));
}

static void
a_full_queue_is_not_kept_waiting(void **state)
{
	struct merge_stream streams[STREAMS];

	(void)state;
	begin(streams);
	lab.sources[2] = (struct source){.ts = {100, 200}, .count = 2, .arrived = 2, .pressed = true};
	assert_int_equal(merge_run(streams, STREAMS, 101, 1000, 10, emit, NULL), 2);
}

int
merge_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_streams_come_out_sorted),
		cmocka_unit_test(a_stream_that_says_nothing_is_waited_for_within_the_window),
		cmocka_unit_test(a_full_queue_is_not_kept_waiting),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
