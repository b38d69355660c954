/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Wires reader, filter and writer stages onto lcores, and says where each target begins.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eal.h"
#include "push.h"
#include "sl_filter.h"

#define SLOTS_MIN 32
#define SLOTS_MAX 256
#define TARGETS_ROOM 1024 /* for reloads: targets that are added, and those that leave and are replaced */
#define READER_TIMER_MS 10 /* an idle reader's look at the store */
#define READER_OUTSIDE_TIMER_MS 50 /* the same where a commit wakes it: silence raises the clock, and wakes nobody */
#define WRITER_TIMER_MS 100 /* an idle writer's look at checkpoints, status lines and retries that are due */

/* ---------------------------------------------------------------- lcores */

static void
name_lcores(struct push *push)
{
	unsigned int filters = 0, writers = 0;

	for (unsigned int i = 0; i < push->map.count; i++) {
		struct sl_lcore *lcore = push->lcores[i];
		unsigned int stages = push->map.lcores[i].stages;

		lcore->poll_mode = push->options.lcores.poll;
		lcore->outside_timer_ms = READER_OUTSIDE_TIMER_MS;
		if (stages & PUSH_STAGE_READER)
			lcore->timer_ms = READER_TIMER_MS;
		else if (stages & PUSH_STAGE_WRITER)
			lcore->timer_ms = WRITER_TIMER_MS;
		if (stages == (PUSH_STAGE_READER | PUSH_STAGE_FILTER | PUSH_STAGE_WRITER) && push->map.count == 1)
			snprintf(lcore->name, sizeof(lcore->name), "sl-all");
		else if (stages & PUSH_STAGE_READER)
			snprintf(lcore->name, sizeof(lcore->name), "sl-reader");
		else if (stages & PUSH_STAGE_WRITER)
			snprintf(lcore->name, sizeof(lcore->name), "sl-writer%u", writers);
		else
			snprintf(lcore->name, sizeof(lcore->name), "sl-filter%u", filters);
		if (stages & PUSH_STAGE_READER)
			push->reader_lcore = lcore;
		if (stages & PUSH_STAGE_FILTER)
			push->filter_lcores[filters++] = lcore;
		if (stages & PUSH_STAGE_WRITER)
			push->writer_lcores[writers++] = lcore;
	}
}

int
push_make_lcores(struct push *push)
{
	for (unsigned int i = 0; i < push->map.count; i++) {
		push->lcores[i] = aligned_alloc(SL_CACHE_LINE, sizeof(struct sl_lcore));
		if (!push->lcores[i])
			return -ENOMEM;
		memset(push->lcores[i], 0, sizeof(struct sl_lcore));
	}
	push->max_targets = push->options.once ? push->targets : 2 * push->targets + TARGETS_ROOM;
	push->consumers = aligned_alloc(SL_CACHE_LINE, push->max_targets * sizeof(*push->consumers));
	if (!push->consumers)
		return -ENOMEM;
	memset(push->consumers, 0, push->max_targets * sizeof(*push->consumers));
	push->hinted = calloc(push->targets, sizeof(*push->hinted));
	if (!push->hinted)
		return -ENOMEM;
	name_lcores(push);
	return 0;
}

static void
add_stage(struct sl_lcore *lcore, struct sl_stage stage)
{
	lcore->stages[lcore->stage_count++] = stage;
}

/* Later stages first: what is furthest on its way is worth most. */
static void
map_stages(struct push *push)
{
	unsigned int filters = 0, writers = 0;

	for (unsigned int i = 0; i < push->map.count; i++) {
		struct sl_lcore *lcore = push->lcores[i];
		unsigned int stages = push->map.lcores[i].stages;

		if (stages & PUSH_STAGE_WRITER)
			add_stage(lcore, sl_writers_stage(push->writers, writers++));
		if (stages & PUSH_STAGE_FILTER)
			add_stage(lcore, sl_pipeline_filter_stage(push->pipeline, filters++));
		if (stages & PUSH_STAGE_READER)
			add_stage(lcore, sl_pipeline_reader_stage(push->pipeline));
	}
}

/* ---------------------------------------------------------------- parameters of pipeline and writers */

static void
run_filters(void *ctx, unsigned int lane, struct sl_dispatch *d)
{
	(void)ctx;
	sl_filter_run(d->stream->filters, lane, &d->chunk, &d->verdicts);
}

/* Chunks in flight: enough that no lcore waits for another one's next chunk. */
static unsigned int
slots_for(const struct push_map *map)
{
	unsigned int slots = SLOTS_MIN;

	while (slots < SLOTS_MAX && slots < 4 * (map->filters + map->writers))
		slots *= 2;
	return slots;
}

static struct sl_pipeline_params
pipeline_params(struct push *push)
{
	return (struct sl_pipeline_params){
		.filters = push->map.filters,
		.writers = push->map.writers,
		.slots = slots_for(&push->map),
		.max_programs = push->max_targets,
		.consumers = push->consumers,
		.targets = push->targets,
		.max_targets = push->max_targets,
		.reader_lcore = push->reader_lcore,
		.filter_lcores = push->filter_lcores,
		.writer_lcores = push->writer_lcores,
		.helper_cpus = &push->helper_cpus,
		.filter = run_filters,
		.stream = push_streams_get,
		.stream_ctx = push->streams ? push_streams_generation(push->streams) : NULL,
	};
}

static struct sl_writers_params
writers_params(struct push *push)
{
	const struct push_options *o = &push->options;

	return (struct sl_writers_params){
		.config = push->config,
		.writers = push->map.writers,
		.max_targets = push->max_targets,
		.consumers = push->consumers,
		.lcores = push->writer_lcores,
		.sink = o->sink,
		.crc = o->crc,
		.once = o->once,
		.from = o->from,
		.to = o->to == UINT64_MAX ? 0 : o->to,
		.retry_for = o->retry_for,
		.stop_timeout = o->stop_timeout,
		.state_dir = o->state_dir,
		.log_dir = o->log_dir,
		.helper_cpus = &push->helper_cpus,
		.hugepages = push->hugepages,
	};
}

/* ---------------------------------------------------------------- where targets begin */

struct sl_position
push_capture_start(struct sl_capture *capture)
{
	return (struct sl_position){
		.sequence = sl_capture_info(capture)->sequence,
		.chunk = sl_capture_first(capture),
	};
}

/* Where a target without a journal begins. */
static struct sl_position
fresh_position(const struct push *push, unsigned int t)
{
	struct sl_position fresh = push_capture_start(push->first);

	if (push->options.once)
		return push->start;
	if (!sl_config_target(push->config, t)->follow_start)
		fresh.chunk = sl_capture_committed(push->first);
	return fresh;
}

/* A journal that lies behind a range would let nothing of it be pushed, without a word. */
static int
check_range(const struct push *push, const char *desc, const struct sl_position *first)
{
	const struct push_options *o = &push->options;

	if ((o->from == 0 && o->to == UINT64_MAX) || sl_position_cmp(first, &push->end) <= 0)
		return 0;
	fprintf(stderr,
		"sluice push: target \"%s\": its journal in %s lies behind this range, so it is another push's; name "
		"another --state-dir\n",
		desc, o->state_dir);
	return -EINVAL;
}

/* Whether that capture has been removed and later ones are there: a store made anew has none of so high a number, or
 * another of it. */
static bool
was_removed(const struct push *push, uint64_t sequence)
{
	struct sl_capture *capture;
	bool removed;

	if (sl_capture_open_after(push->options.store, sequence - 1, &capture, NULL) < 0)
		return false;
	removed = sl_capture_info(capture)->sequence > sequence;
	sl_capture_close(capture);
	return removed;
}

/*
 * A power loss may take chunks from the store that were pushed already: the push goes on where the capture ends now. No
 * dispatch would ever have that chunk's number.
 */
static void
stay_in_capture(const char *desc, const struct sl_capture *capture, struct sl_position *first)
{
	uint64_t committed = sl_capture_committed(capture);

	if (sl_capture_state(capture) == SL_CAPTURE_OPEN || first->chunk < committed ||
		(first->chunk == committed && first->packet == 0))
		return;
	fprintf(stderr,
		"sluice push: target \"%s\": the store has lost what was pushed of capture %s from chunk %" PRIu64
		" on; going on behind that\n",
		desc, sl_capture_info(capture)->name, committed);
	first->chunk = committed;
	first->packet = 0;
}

/* The journal knows its capture by UUID: a store that was made anew may use the same sequence number again. */
int
push_resume_position(const struct push *push, const char *desc, const struct sl_resume *resume,
	const struct sl_position *fresh, struct sl_position *first)
{
	struct sl_capture *capture;
	char errbuf[PUSH_ERRBUF];
	int rc;

	*first = *fresh;
	rc = sl_capture_open_uuid(push->options.store, &resume->capture, &capture, errbuf);
	if (rc == 0) {
		*first = resume->position;
		first->sequence = sl_capture_info(capture)->sequence;
		stay_in_capture(desc, capture, first);
		sl_capture_close(capture);
		return check_range(push, desc, first);
	}
	if (rc != -ENOENT) {
		/* It is there: starting afresh would lose packets that a mended store still has. */
		fprintf(stderr, "sluice push: target \"%s\": the capture that its journal names: %s\n", desc, errbuf);
		return rc;
	}
	if (was_removed(push, resume->position.sequence)) {
		/* Old captures were removed: go on with what is left of the stream; the reader reports the gap. */
		*first = resume->position;
		first->packet = 0;
	} else {
		fprintf(stderr, "sluice push: target \"%s\": its journal is of another store (%s); starting afresh\n",
			desc, errbuf);
	}
	return 0;
}

static int
first_position(const struct push *push, unsigned int t, struct sl_position *first)
{
	struct sl_position fresh = fresh_position(push, t);
	struct sl_resume resume;

	*first = fresh;
	if (!sl_writers_resume(push->writers, t, &resume))
		return 0;
	return push_resume_position(push, sl_config_target(push->config, t)->desc, &resume, &fresh, first);
}

static int
start_targets(struct push *push)
{
	struct sl_position *first = calloc(push->targets, sizeof(*first));
	char errbuf[PUSH_ERRBUF];
	int rc = 0;

	if (!first) {
		fprintf(stderr, "sluice push: out of memory\n");
		return -ENOMEM;
	}
	for (unsigned int t = 0; t < push->targets && rc == 0; t++) {
		rc = first_position(push, t, &first[t]);
		push->consumers[t].next = first[t];
		sl_consumer_set(&push->consumers[t], SL_CONSUMER_READY);
	}
	if (rc)
		goto out;
	rc = sl_writers_start(push->writers, first, errbuf);
	if (rc)
		fprintf(stderr, "sluice push: %s\n", errbuf);
out:
	free(first);
	return rc;
}

/* ---------------------------------------------------------------- all together */

int
push_start_eal(struct push *push, char **argv)
{
	struct sl_pipeline_params params = pipeline_params(push);
	struct eal eal = {
		.command = "push",
		.lcores = push->map.lcores,
		.lcore_count = push->map.count,
		.helper_cpus = &push->helper_cpus,
		.allowed = &push->allowed,
		.memory = sl_pipeline_memory(&params) + sl_writers_memory(push->targets, push->options.sink),
		.no_huge = push->options.lcores.no_huge,
		.extra = push->options.lcores.eal,
	};
	int rc = eal_init(&eal, argv);

	push->hugepages = eal.hugepages;
	return rc;
}

int
push_wire(struct push *push)
{
	struct sl_pipeline_params pipeline = pipeline_params(push);
	struct sl_writers_params writers = writers_params(push);
	char errbuf[PUSH_ERRBUF];
	int rc;

	rc = sl_pipeline_create(&pipeline, &push->pipeline, errbuf);
	if (rc) {
		fprintf(stderr, "sluice push: %s\n", errbuf);
		return rc;
	}
	rc = sl_writers_create(&writers, &push->writers, errbuf);
	if (rc) {
		fprintf(stderr, "sluice push: %s\n", errbuf);
		return rc;
	}
	sl_writers_attach(push->writers, push->pipeline);
	rc = start_targets(push);
	if (rc)
		return rc;
	sl_pipeline_start(push->pipeline, push->options.once ? &push->end : NULL);
	map_stages(push);
	return 0;
}
