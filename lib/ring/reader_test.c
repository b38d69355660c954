/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring_test.h"
#include "sl_ring.h"

/*
 * The real reader and filter stages over a real store, polled by hand in one thread; the writers are models that take
 * chunks as a target must and note which.
 */

#define MAX_TARGETS 4
#define MAX_LCORES 4
#define MAX_CAPTURES 3
#define MAX_TAKEN 1000
#define SLOTS 8
#define POLLS 200000 /* far more than any test needs */

struct target {
	struct sl_position next;
	struct sl_position taken[MAX_TAKEN];
	unsigned int count;
	unsigned int bad;
	uint64_t clock;
	bool ended, stopped;
};

struct rig {
	char dir[64];
	struct sl_stream streams[MAX_CAPTURES];
	unsigned int stream_count;
	struct sl_consumer consumers[MAX_TARGETS];
	struct target targets[MAX_TARGETS];
	unsigned int target_count;
	struct sl_lcore lcore;
	struct sl_lcore *lcores[MAX_LCORES];
	struct sl_pipeline *pipeline;
	unsigned int filters, writers;
	unsigned int max_targets; /* 0: as many as there are */
	const struct sl_stream *(*stream_get)(void *ctx, uint64_t sequence); /* NULL: get_stream() */
	unsigned int filtered[MAX_LCORES]; /* chunks that each filter had */
	unsigned int slowness; /* filter 0 is polled in one of so many rounds */
	unsigned int rounds;
};

static struct rig rig;

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	snprintf(rig.dir, sizeof(rig.dir), "%s/sl_ring_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(rig.dir) ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	sl_pipeline_destroy(rig.pipeline);
	for (unsigned int i = 0; i < rig.stream_count; i++)
		sl_capture_close(rig.streams[i].capture);
	return nftw(rig.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A capture of so many chunks with a packet each, one second apart. */
static struct sl_store_writer *
write_chunks(const char *name, unsigned int chunks)
{
	struct sl_store_writer_params params = {.store = rig.dir,
		.name = name,
		.link_type = 1,
		.snap_len = 262144,
		.source = "test",
		.flush_interval = 1};
	struct sl_store_writer *writer;
	char errbuf[SL_STORE_ERRBUF];
	static const uint8_t packet[600000]; /* two do not fit a chunk */

	assert_int_equal(sl_store_writer_create(&params, &writer, errbuf), 0);
	for (unsigned int i = 0; i < chunks; i++) {
		assert_int_equal(sl_store_writer_append(writer, (i + 1) * 1000000000ull, sizeof(packet), sizeof(packet),
					 0, 0, packet, errbuf),
			0);
	}
	usleep(20000); /* the last chunk goes out once it is older than the flush interval */
	assert_int_equal(sl_store_writer_idle(writer, 0, errbuf), 0);
	return writer;
}

static void
make_capture(const char *name, unsigned int chunks)
{
	char errbuf[SL_STORE_ERRBUF];

	assert_int_equal(sl_store_writer_close(write_chunks(name, chunks), errbuf), 0);
}

static void
open_capture(const char *name)
{
	static uint16_t program[MAX_TARGETS];
	struct sl_stream *stream = &rig.streams[rig.stream_count++];
	char errbuf[SL_STORE_ERRBUF];

	assert_int_equal(sl_capture_open(rig.dir, name, &stream->capture, errbuf), 0);
	stream->info = sl_capture_info(stream->capture);
	stream->program = program;
	stream->programs = 1;
}

static const struct sl_stream *
get_stream(void *ctx, uint64_t sequence)
{
	(void)ctx;
	for (unsigned int i = 0; i < rig.stream_count; i++)
		if (rig.streams[i].info->sequence >= sequence)
			return &rig.streams[i];
	return NULL;
}

static void
accept_all(void *ctx, unsigned int lane, struct sl_dispatch *d)
{
	(void)ctx;
	assert_true(lane < rig.filters);
	rig.filtered[lane]++;
	d->verdicts.of[0] = (struct sl_verdict){.kind = SL_VERDICT_ALL, .count = d->chunk.packets};
}

/* first[t]: the chunk of the first capture at which target t begins. */
static void
start(unsigned int filters, unsigned int writers, unsigned int targets, const uint64_t *first,
	const struct sl_position *end)
{
	struct sl_pipeline_params params = {.filters = filters,
		.writers = writers,
		.slots = SLOTS,
		.max_programs = 1,
		.consumers = rig.consumers,
		.targets = targets,
		.max_targets = rig.max_targets,
		.reader_lcore = &rig.lcore,
		.filter_lcores = rig.lcores,
		.writer_lcores = rig.lcores,
		.filter = accept_all,
		.stream = rig.stream_get ? rig.stream_get : get_stream};
	char errbuf[SL_RING_ERRBUF];

	for (unsigned int i = 0; i < MAX_LCORES; i++)
		rig.lcores[i] = &rig.lcore;
	rig.filters = filters;
	rig.writers = writers;
	rig.target_count = targets;
	for (unsigned int t = 0; t < targets; t++) {
		rig.targets[t].next =
			(struct sl_position){.sequence = rig.streams[0].info->sequence, .chunk = first ? first[t] : 0};
		rig.consumers[t].next = rig.targets[t].next;
		sl_consumer_set(&rig.consumers[t], SL_CONSUMER_READY);
	}
	assert_int_equal(sl_pipeline_create(&params, &rig.pipeline, errbuf), 0);
	sl_pipeline_start(rig.pipeline, end);
}

static void
take(unsigned int t, const struct sl_dispatch *d)
{
	struct target *target = &rig.targets[t];
	enum sl_consumer_state state = sl_consumer_state(&rig.consumers[t]);

	if (d->type == SL_DISPATCH_STOP) {
		target->stopped = true;
		sl_consumer_set(&rig.consumers[t], SL_CONSUMER_DONE);
		return;
	}
	if (state == SL_CONSUMER_AWAY || state == SL_CONSUMER_DONE || sl_position_cmp(&target->next, &d->position) != 0)
		return;
	if (d->type == SL_DISPATCH_CHUNK) {
		assert_int_equal(d->chunk.number, d->position.chunk);
		assert_int_equal(sl_record_ts(sl_chunk_record(&d->chunk, 0)), (d->position.chunk + 1) * 1000000000ull);
		assert_true(target->count < MAX_TAKEN);
		target->taken[target->count++] = d->position;
	} else if (d->type == SL_DISPATCH_BAD) {
		target->bad++;
	} else if (d->type == SL_DISPATCH_CLOCK) {
		target->clock = d->clock;
	} else if (d->type == SL_DISPATCH_END) {
		target->ended = true;
		sl_consumer_set(&rig.consumers[t], SL_CONSUMER_DONE);
	}
	target->next = d->next;
	atomic_store(&rig.consumers[t].at, sl_position_key(&target->next));
}

/* One round of all stages. @return dispatches that writer 0 passed */
static unsigned int
round_of_polls(void)
{
	struct sl_stage stage = sl_pipeline_reader_stage(rig.pipeline);
	unsigned int passed = 0;

	stage.poll(stage.ctx);
	rig.rounds++;
	for (unsigned int f = 0; f < rig.filters; f++) {
		if (f == 0 && rig.slowness && rig.rounds % rig.slowness != 0)
			continue;
		stage = sl_pipeline_filter_stage(rig.pipeline, f);
		stage.poll(stage.ctx);
	}
	for (unsigned int w = 0; w < rig.writers; w++) {
		struct sl_dispatch *d = sl_pipeline_peek(rig.pipeline, w);

		if (!d)
			continue;
		assert_ptr_equal(sl_pipeline_peek(rig.pipeline, w), d);
		for (unsigned int t = w; t < rig.target_count; t += rig.writers)
			take(t, d);
		sl_pipeline_pass(rig.pipeline, w);
		passed += w == 0;
	}
	return passed;
}

static bool
all_done(void)
{
	for (unsigned int t = 0; t < rig.target_count; t++)
		if (sl_consumer_state(&rig.consumers[t]) != SL_CONSUMER_DONE)
			return false;
	return true;
}

static void
run_to_end(void)
{
	for (unsigned int i = 0; i < POLLS && !all_done(); i++)
		round_of_polls();
	assert_true(all_done());
}

static void
run_until_taken(unsigned int t, unsigned int count)
{
	for (unsigned int i = 0; i < POLLS && rig.targets[t].count < count; i++)
		round_of_polls();
	assert_true(rig.targets[t].count >= count);
}

static struct sl_position
end_of(unsigned int stream)
{
	return (struct sl_position){.sequence = rig.streams[stream].info->sequence,
		.chunk = sl_capture_committed(rig.streams[stream].capture)};
}

/* As start(), from a closed capture of so many chunks to its end. */
static void
start_on(unsigned int chunks, unsigned int filters, unsigned int writers, unsigned int targets, const uint64_t *first)
{
	struct sl_position end;

	make_capture("a", chunks);
	open_capture("a");
	end = end_of(0);
	start(filters, writers, targets, first, &end);
}

/* Every chunk from first on exactly once, in order. */
static void
check_taken(unsigned int t, uint64_t first, unsigned int chunks)
{
	assert_int_equal(rig.targets[t].count, chunks - first);
	for (unsigned int i = 0; i < rig.targets[t].count; i++)
		assert_int_equal(rig.targets[t].taken[i].chunk, first + i);
}

static void
every_target_takes_every_chunk_in_order(void **state)
{
	static const unsigned int grid[][2] = {{1, 1}, {2, 2}, {4, 3}, {3, 1}};

	make_capture("a", 100);
	for (unsigned int g = 0; g < 4; g++) {
		struct sl_position end;

		if (g) {
			tear_down(state);
			set_up(state);
			make_capture("a", 100);
		}
		open_capture("a");
		end = end_of(0);
		start(grid[g][0], grid[g][1], 3, NULL, &end);
		run_to_end();
		for (unsigned int t = 0; t < 3; t++) {
			check_taken(t, 0, 100);
			assert_true(rig.targets[t].ended);
		}
	}
}

static void
a_slow_filter_gets_less_to_do(void **state)
{
	(void)state;
	rig.slowness = 5;
	start_on(200, 2, 1, 1, NULL);
	run_to_end();
	check_taken(0, 0, 200);
	assert_int_equal(rig.filtered[0] + rig.filtered[1], 200);
	assert_true(rig.filtered[0] > 0);
	assert_in_range(rig.filtered[1], 3 * rig.filtered[0], 200);
}

static void
targets_that_start_behind_are_served_too(void **state)
{
	static const uint64_t first[] = {30, 0, 17};

	(void)state;
	start_on(60, 2, 2, 3, first);
	run_to_end();
	for (unsigned int t = 0; t < 3; t++)
		check_taken(t, first[t], 60);
}

static void
a_target_that_was_away_catches_up(void **state)
{
	(void)state;
	start_on(100, 2, 1, 2, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	run_until_taken(0, 60);
	assert_true(rig.targets[1].count < 20);
	rig.consumers[1].next = rig.targets[1].next;
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_READY);
	run_to_end();
	check_taken(0, 0, 100);
	check_taken(1, 0, 100);
}

static void
a_target_may_fail_again_while_it_catches_up(void **state)
{
	unsigned int before;

	(void)state;
	start_on(100, 1, 1, 3, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	sl_consumer_set(&rig.consumers[2], SL_CONSUMER_AWAY);
	run_until_taken(0, 90);
	rig.consumers[2].next = rig.targets[2].next;
	sl_consumer_set(&rig.consumers[2], SL_CONSUMER_READY);
	/* Comes back, and is away again before it took anything, again and again, while another one catches up. */
	for (unsigned int i = 0; i < 30; i++) {
		before = rig.targets[1].count;
		rig.consumers[1].next = rig.targets[1].next;
		sl_consumer_set(&rig.consumers[1], SL_CONSUMER_READY);
		if (i % 3 == 0)
			round_of_polls();
		sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
		for (unsigned int k = 0; k < 5; k++)
			round_of_polls();
		assert_true(rig.targets[1].count - before <= 1);
	}
	rig.consumers[1].next = rig.targets[1].next;
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_READY);
	run_to_end();
	for (unsigned int t = 0; t < 3; t++)
		check_taken(t, 0, 100);
}

static void
set_ready(unsigned int t, uint32_t room)
{
	rig.consumers[t].next = rig.targets[t].next;
	atomic_store(&rig.consumers[t].room, room + 1);
	sl_consumer_set(&rig.consumers[t], SL_CONSUMER_READY);
}

static void
what_nobody_takes_is_not_read(void **state)
{
	struct sl_pipeline_stats stats;

	(void)state;
	start_on(100, 1, 1, 2, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[0], SL_CONSUMER_AWAY);
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	for (unsigned int i = 0; i < 1000; i++)
		round_of_polls();
	sl_pipeline_get_stats(rig.pipeline, &stats);
	assert_in_range(stats.chunks, 10, 10 + SLOTS);
	for (unsigned int t = 0; t < 2; t++)
		set_ready(t, UINT32_MAX - 1);
	run_to_end();
	for (unsigned int t = 0; t < 2; t++)
		check_taken(t, 0, 100);
	sl_pipeline_get_stats(rig.pipeline, &stats);
	assert_int_equal(stats.chunks, 100);
	assert_in_range(stats.catchup_chunks, 0, SLOTS);
}

static void
catching_up_leaves_most_of_the_time_to_the_others(void **state)
{
	unsigned int before;

	(void)state;
	start_on(400, 1, 1, 4, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[3], SL_CONSUMER_AWAY);
	run_until_taken(0, 100);
	before = rig.targets[3].count;
	set_ready(3, UINT32_MAX - 1);
	run_until_taken(0, 400);
	/* but it is not forgotten */
	assert_in_range(rig.targets[3].count - before, 5, 300 / 8);
	run_to_end();
	for (unsigned int t = 0; t < 4; t++)
		check_taken(t, 0, 400);
}

static void
no_more_is_read_than_there_is_room_for(void **state)
{
	struct sl_pipeline_stats stats;

	(void)state;
	start_on(100, 1, 1, 2, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	run_until_taken(0, 100);
	set_ready(1, 0);
	for (unsigned int i = 0; i < 1000; i++)
		round_of_polls();
	sl_pipeline_get_stats(rig.pipeline, &stats);
	assert_int_equal(stats.catchup_chunks, 0);
	/* it takes nothing yet: three are on their way, and no fourth one is read */
	for (unsigned int i = 0; i < 30; i++) {
		struct sl_stage reader = sl_pipeline_reader_stage(rig.pipeline);

		atomic_store(&rig.consumers[1].room, 3 + 1);
		reader.poll(reader.ctx);
		usleep(1000);
	}
	sl_pipeline_get_stats(rig.pipeline, &stats);
	assert_int_equal(stats.catchup_chunks, 3);
	run_to_end();
	check_taken(1, 0, 100);
	sl_pipeline_get_stats(rig.pipeline, &stats);
	assert_in_range(stats.catchup_chunks, 80, 90);
}

/* One that comes and goes far behind: the other one's way is not walked again each time. */
static void
the_cursor_goes_on_where_it_is_needed(void **state)
{
	struct sl_pipeline_stats stats;

	(void)state;
	start_on(200, 1, 1, 3, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	run_until_taken(0, 150);
	sl_consumer_set(&rig.consumers[2], SL_CONSUMER_AWAY);
	run_until_taken(0, 200);
	set_ready(2, UINT32_MAX - 1);
	set_ready(1, 1);
	for (unsigned int i = 0; i < 5; i++)
		round_of_polls();
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	run_until_taken(2, 200);
	sl_pipeline_get_stats(rig.pipeline, &stats);
	assert_in_range(stats.catchup_chunks, 50 - SLOTS, 50 + 3 * SLOTS);
	set_ready(1, UINT32_MAX - 1);
	run_to_end();
	for (unsigned int t = 0; t < 3; t++)
		check_taken(t, 0, 200);
}

static void
the_stream_goes_on_in_the_next_capture(void **state)
{
	struct sl_pipeline_event event;
	struct sl_position end;

	(void)state;
	make_capture("a", 20);
	make_capture("b", 30);
	open_capture("a");
	open_capture("b");
	end = end_of(1);
	start(2, 1, 1, NULL, &end);
	run_to_end();
	assert_int_equal(rig.targets[0].count, 50);
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(rig.targets[0].taken[i].sequence, rig.streams[i < 20 ? 0 : 1].info->sequence);
		assert_int_equal(rig.targets[0].taken[i].chunk, i < 20 ? i : i - 20);
	}
	assert_true(sl_pipeline_next_event(rig.pipeline, &event));
	assert_int_equal(event.type, SL_DISPATCH_ROLL);
	assert_int_equal(event.next.sequence, end.sequence);
}

static void
a_damaged_chunk_is_passed_over(void **state)
{
	struct sl_pipeline_event event;
	struct sl_position end;
	char path[256];
	int fd;

	(void)state;
	make_capture("a", 20);
	snprintf(path, sizeof(path), "%s/a/00000000.seg", rig.dir);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "damage", 6, 7 * (off_t)SL_CHUNK_SIZE + 300000), 6);
	close(fd);
	open_capture("a");
	end = end_of(0);
	start(2, 1, 2, NULL, &end);
	run_to_end();
	for (unsigned int t = 0; t < 2; t++) {
		assert_int_equal(rig.targets[t].count, 19);
		assert_int_equal(rig.targets[t].bad, 1);
		assert_int_equal(rig.targets[t].taken[7].chunk, 8);
	}
	assert_true(sl_pipeline_next_event(rig.pipeline, &event));
	assert_int_equal(event.type, SL_DISPATCH_BAD);
	assert_int_equal(event.position.chunk, 7);
	assert_int_equal(event.error, EBADMSG);
}

static void
stop_reaches_all_targets(void **state)
{
	(void)state;
	make_capture("a", 80);
	open_capture("a");
	start(2, 2, 3, NULL, NULL);
	run_until_taken(0, 10);
	sl_consumer_set(&rig.consumers[1], SL_CONSUMER_AWAY);
	run_until_taken(0, 20);
	sl_pipeline_stop(rig.pipeline);
	run_to_end();
	/* What is left is little enough to be served before the stop. */
	check_taken(0, 0, 80);
	check_taken(2, 0, 80);
	for (unsigned int t = 0; t < 3; t++)
		assert_true(rig.targets[t].stopped);
}

static void
an_open_capture_is_followed_and_heartbeats_move_the_clock(void **state)
{
	struct sl_store_writer *writer;
	char errbuf[SL_STORE_ERRBUF];

	(void)state;
	writer = write_chunks("a", 3);
	open_capture("a");
	start(1, 1, 1, NULL, NULL);
	run_until_taken(0, 3);
	for (unsigned int i = 0; i < 100; i++)
		round_of_polls();
	assert_true(rig.targets[0].clock <= 3000000000u);
	assert_int_equal(sl_store_writer_idle(writer, 99000000000u, errbuf), 0);
	for (unsigned int i = 0; i < 100; i++)
		round_of_polls();
	assert_int_equal(rig.targets[0].clock, 99000000000u);
	assert_int_equal(rig.targets[0].count, 3);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	assert_false(rig.targets[0].ended);
	sl_pipeline_stop(rig.pipeline);
	run_to_end();
}

/* Streams of which every chunk is for the targets of another generation. */
static struct sl_stream other_streams[MAX_CAPTURES];

static const struct sl_stream *
get_other_stream(void *ctx, uint64_t sequence)
{
	const struct sl_stream *stream = get_stream(NULL, sequence);

	assert_ptr_equal(ctx, other_streams);
	if (!stream)
		return NULL;
	other_streams[stream - rig.streams] = *stream;
	return &other_streams[stream - rig.streams];
}

static const struct sl_stream *
get_either_stream(void *ctx, uint64_t sequence)
{
	return ctx == other_streams ? get_other_stream(ctx, sequence) : get_stream(ctx, sequence);
}

static void
a_reload_switches_all_at_one_dispatch(void **state)
{
	struct sl_reload reload = {.stream_ctx = other_streams, .targets = 3};
	struct sl_store_writer *writer;
	char errbuf[SL_STORE_ERRBUF];
	bool seen[2] = {false, false};

	(void)state;
	writer = write_chunks("a", 40);
	open_capture("a");
	rig.stream_get = get_either_stream;
	rig.max_targets = 3;
	start(2, 2, 2, NULL, NULL);
	sl_consumer_set(&rig.consumers[2], SL_CONSUMER_AWAY);
	run_until_taken(0, 5);
	assert_true(sl_pipeline_reload_taken(rig.pipeline));
	sl_pipeline_reload(rig.pipeline, &reload);
	assert_false(sl_pipeline_reload_taken(rig.pipeline));
	for (unsigned int i = 0; i < POLLS && !sl_pipeline_reloaded(rig.pipeline, &reload); i++) {
		for (unsigned int w = 0; w < 2; w++) {
			struct sl_dispatch *d = sl_pipeline_peek(rig.pipeline, w);

			if (!d)
				continue;
			/* nothing of the old generation comes behind it, nothing of the new one before */
			if (d->stream)
				assert_int_equal(seen[w],
					d->stream >= other_streams && d->stream < other_streams + MAX_CAPTURES);
			if (d->type == SL_DISPATCH_RELOAD) {
				assert_ptr_equal(d->reload, &reload);
				seen[w] = true;
				if (w == 0) {
					rig.targets[2].next = d->position;
					sl_consumer_set(&rig.consumers[2], SL_CONSUMER_ATTACHED);
				}
			}
		}
		round_of_polls();
		rig.target_count = seen[0] ? 3 : 2;
	}
	assert_true(seen[0] && seen[1] && sl_pipeline_reload_taken(rig.pipeline));
	run_until_taken(0, 40);
	run_until_taken(1, 40);
	run_until_taken(2, 40 - (unsigned int)reload.position.chunk);
	check_taken(0, 0, 40);
	check_taken(1, 0, 40);
	check_taken(2, reload.position.chunk, 40);
	assert_int_equal(sl_store_writer_close(writer, errbuf), 0);
	sl_pipeline_stop(rig.pipeline);
	run_to_end();
}

static void
a_reload_after_the_stop_is_never_taken(void **state)
{
	struct sl_reload reload = {.stream_ctx = NULL, .targets = 1};

	(void)state;
	make_capture("a", 5);
	open_capture("a");
	start(1, 1, 1, NULL, NULL);
	run_until_taken(0, 5);
	sl_pipeline_stop(rig.pipeline);
	run_to_end();
	sl_pipeline_reload(rig.pipeline, &reload);
	for (unsigned int i = 0; i < 100; i++)
		round_of_polls();
	assert_false(sl_pipeline_reload_taken(rig.pipeline));
	assert_false(sl_pipeline_reloaded(rig.pipeline, &reload));
}

static void
impossible_sizes_are_refused(void **state)
{
	struct sl_pipeline_params params = {.filters = 1, .writers = 1, .slots = 12};
	char errbuf[SL_RING_ERRBUF] = "";
	struct sl_pipeline *pipeline;

	(void)state;
	assert_int_equal(sl_pipeline_create(&params, &pipeline, errbuf), -EINVAL);
	assert_non_null(strstr(errbuf, "12 slots"));
}

int
reader_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_target_takes_every_chunk_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_filter_gets_less_to_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(targets_that_start_behind_are_served_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_target_that_was_away_catches_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_target_may_fail_again_while_it_catches_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_nobody_takes_is_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(catching_up_leaves_most_of_the_time_to_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_more_is_read_than_there_is_room_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_cursor_goes_on_where_it_is_needed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_stream_goes_on_in_the_next_capture, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_chunk_is_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stop_reaches_all_targets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_open_capture_is_followed_and_heartbeats_move_the_clock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_switches_all_at_one_dispatch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_after_the_stop_is_never_taken, set_up, tear_down),
		cmocka_unit_test(impossible_sizes_are_refused),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
