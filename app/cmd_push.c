/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice push`: wires reader, filter and writer stages onto lcores and looks after them from the main thread.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>

#include "app.h"
#include "config_checks.h"
#include "push_eal.h"
#include "push_options.h"
#include "push_streams.h"
#include "push_summary.h"

#define TICK_NS 20000000 /* the main thread's look at signals, captures and ends */
#define SERVE_TICKS 5 /* streams are served every 100 ms */
#define SECOND_TICKS 50
#define READER_TIMER_MS 10 /* an idle reader's look at the store */
#define WRITER_TIMER_MS 100 /* an idle writer's look at checkpoints, status lines and retries that are due */
#define SLOTS 32
#define ERRBUF 1024

struct push {
	struct push_options options;
	struct sl_config *config;
	unsigned int targets;
	struct push_map map;
	cpu_set_t allowed, helper_cpus;
	struct push_streams *streams;
	const struct sl_stream *first;
	struct sl_consumer *consumers;
	struct sl_lcore *lcores[PUSH_MAP_MAX];
	struct sl_lcore *reader_lcore, *filter_lcores[PUSH_MAP_MAX], *writer_lcores[PUSH_MAP_MAX];
	struct sl_pipeline *pipeline;
	struct sl_writers *writers;
	bool hugepages;
	size_t findings_said; /* of the configuration's */
};

static volatile sig_atomic_t signals;

static void
on_signal(int sig)
{
	(void)sig;
	/* A user who asks twice does not want to wait; the journal makes that safe. */
	if (signals++)
		_exit(SL_EXIT_FAILED);
}

static void
catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void
tick(void)
{
	struct timespec ts = {.tv_nsec = TICK_NS};

	nanosleep(&ts, NULL);
}

static double
seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---------------------------------------------------------------- before EAL: refuse what cannot work */

/* Printed again only if there is more to say. */
static void
print_findings(struct push *push)
{
	if (sl_config_findings(push->config) > push->findings_said)
		sl_config_print_findings(push->config, stderr);
	push->findings_said = sl_config_findings(push->config);
}

static void
check_filters(struct push *push, const struct sl_capture *capture)
{
	const struct sl_capture_info *info = sl_capture_info(capture);

	config_check_filters(push->config, info->link_type, info->snap_len);
}

static int
load_config(struct push *push)
{
	struct sl_capture *capture;
	char errbuf[ERRBUF];
	struct timespec now;
	int rc = sl_config_load(push->options.config, &push->config);

	if (!push->config) {
		fprintf(stderr, "sluice push: %s: %s\n", push->options.config, strerror(-rc));
		return SL_EXIT_FAILED;
	}
	push->targets = (unsigned int)sl_config_targets(push->config);
	clock_gettime(CLOCK_REALTIME, &now);
	/* The null sink makes no file. */
	if (rc == 0 && push->options.sink == SL_SINK_FILE)
		config_check_places(push->config, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	if (sl_config_errors(push->config) == 0)
		return -1;
	/* All errors at once: those of the filters too, if there is a capture to check them for. */
	if (sl_capture_open(push->options.store, push->options.capture, &capture, errbuf) == 0) {
		check_filters(push, capture);
		sl_capture_close(capture);
	}
	print_findings(push);
	return SL_EXIT_REFUSED;
}

static int
choose_cpus(struct push *push)
{
	const struct push_options *o = &push->options;
	char errbuf[ERRBUF];
	cpu_set_t stage_cpus;

	if (sched_getaffinity(0, sizeof(push->allowed), &push->allowed)) {
		fprintf(stderr, "sluice push: CPU affinity: %s\n", strerror(errno));
		return SL_EXIT_REFUSED;
	}
	if (!o->map) {
		push_map_choose(&push->allowed, push->targets, &push->map);
	} else if (push_map_parse(o->map, &push->allowed, &push->map, errbuf, sizeof(errbuf))) {
		fprintf(stderr, "sluice push: --map: %s\n", errbuf);
		return SL_EXIT_REFUSED;
	}
	if (o->poll && push_map_shares_cpu(&push->map)) {
		fprintf(stderr,
			"sluice push: --poll needs a CPU for each lcore, and this --map has lcores that share one\n");
		return SL_EXIT_REFUSED;
	}
	if (o->helper_cpus) {
		cpu_set_t usable;

		if (push_cpu_list_parse(o->helper_cpus, &push->helper_cpus)) {
			fprintf(stderr, "sluice push: --helper-cpus %s: not a CPU list such as 0,2-3\n",
				o->helper_cpus);
			return SL_EXIT_REFUSED;
		}
		CPU_AND(&usable, &push->helper_cpus, &push->allowed);
		if (!CPU_EQUAL(&usable, &push->helper_cpus)) {
			fprintf(stderr, "sluice push: --helper-cpus %s: not all of them may be used by this process\n",
				o->helper_cpus);
			return SL_EXIT_REFUSED;
		}
		return -1;
	}
	push_map_cpus(&push->map, &stage_cpus);
	CPU_AND(&stage_cpus, &stage_cpus, &push->allowed);
	CPU_XOR(&push->helper_cpus, &push->allowed, &stage_cpus);
	if (CPU_COUNT(&push->helper_cpus) == 0)
		push->helper_cpus = push->allowed;
	return -1;
}

/* Following may begin before the first capture does. */
static int
open_first_capture(struct push *push)
{
	char errbuf[ERRBUF];
	bool said = false;

	while (!signals) {
		struct sl_capture *capture;
		int rc = sl_capture_open(push->options.store, push->options.capture, &capture, errbuf);

		if (rc == 0) {
			/* A filter has a meaning only for a link type, so this waits until the first capture is known.
			 */
			check_filters(push, capture);
			print_findings(push);
			if (sl_config_errors(push->config) > 0) {
				sl_capture_close(capture);
				return SL_EXIT_REFUSED;
			}
			push->first = push_streams_add(push->streams, capture, errbuf);
			if (push->first)
				return -1;
			rc = -errno;
		}
		if (rc != -ENOENT || push->options.once || push->options.capture) {
			fprintf(stderr, "sluice push: %s\n", errbuf);
			return SL_EXIT_REFUSED;
		}
		print_findings(push);
		if (!said)
			fprintf(stderr, "sluice push: waiting for the first capture in %s\n", push->options.store);
		said = true;
		tick();
	}
	return SL_EXIT_OK;
}

/* ---------------------------------------------------------------- wiring */

static void
name_lcores(struct push *push)
{
	unsigned int filters = 0, writers = 0;

	for (unsigned int i = 0; i < push->map.count; i++) {
		struct sl_lcore *lcore = push->lcores[i];
		unsigned int stages = push->map.lcores[i].stages;

		lcore->poll_mode = push->options.poll;
		if (stages & PUSH_STAGE_READER)
			lcore->timer_ms = READER_TIMER_MS;
		else if (stages & PUSH_STAGE_WRITER)
			lcore->timer_ms = WRITER_TIMER_MS;
		if (stages == (PUSH_STAGE_READER | PUSH_STAGE_FILTER | PUSH_STAGE_WRITER) && push->map.count == 1)
			snprintf(lcore->name, sizeof(lcore->name), "sl-all");
		else if (stages & PUSH_STAGE_READER)
			snprintf(lcore->name, sizeof(lcore->name), "sl-reader");
		else if (stages & PUSH_STAGE_FILTER)
			snprintf(lcore->name, sizeof(lcore->name), "sl-filter%u", filters);
		else
			snprintf(lcore->name, sizeof(lcore->name), "sl-writer%u", writers);
		if (stages & PUSH_STAGE_READER)
			push->reader_lcore = lcore;
		if (stages & PUSH_STAGE_FILTER)
			push->filter_lcores[filters++] = lcore;
		if (stages & PUSH_STAGE_WRITER)
			push->writer_lcores[writers++] = lcore;
	}
}

static int
make_lcores(struct push *push)
{
	for (unsigned int i = 0; i < push->map.count; i++) {
		push->lcores[i] = aligned_alloc(SL_CACHE_LINE, sizeof(struct sl_lcore));
		if (!push->lcores[i])
			return -ENOMEM;
		memset(push->lcores[i], 0, sizeof(struct sl_lcore));
	}
	push->consumers = aligned_alloc(SL_CACHE_LINE, push->targets * sizeof(*push->consumers));
	if (!push->consumers)
		return -ENOMEM;
	memset(push->consumers, 0, push->targets * sizeof(*push->consumers));
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

static void
run_filters(void *ctx, unsigned int lane, struct sl_dispatch *d)
{
	(void)ctx;
	sl_filter_run(d->stream->filters, lane, &d->chunk, &d->verdicts);
}

static struct sl_pipeline_params
pipeline_params(struct push *push)
{
	return (struct sl_pipeline_params){
		.filters = push->map.filters,
		.writers = push->map.writers,
		.slots = SLOTS,
		.max_programs = push->targets,
		.consumers = push->consumers,
		.targets = push->targets,
		.reader_lcore = push->reader_lcore,
		.filter_lcores = push->filter_lcores,
		.writer_lcores = push->writer_lcores,
		.helper_cpus = &push->helper_cpus,
		.filter = run_filters,
		.stream = push_streams_get,
		.stream_ctx = push->streams,
	};
}

static struct sl_writers_params
writers_params(struct push *push)
{
	const struct push_options *o = &push->options;

	return (struct sl_writers_params){
		.config = push->config,
		.writers = push->map.writers,
		.consumers = push->consumers,
		.lcores = push->writer_lcores,
		.sink = o->sink,
		.crc = o->crc,
		.once = o->once,
		.retry_for = o->retry_for,
		.stop_timeout = o->stop_timeout,
		.state_dir = o->state_dir,
		.log_dir = o->log_dir,
		.helper_cpus = &push->helper_cpus,
		.hugepages = push->hugepages,
	};
}

/* Where a target without a journal begins. */
static struct sl_position
fresh_position(const struct push *push, unsigned int t)
{
	const struct sl_capture *capture = push->first->capture;
	bool from_start = push->options.once || sl_config_target(push->config, t)->follow_start;

	return (struct sl_position){
		.sequence = push->first->info->sequence,
		.chunk = from_start ? sl_capture_first(capture) : sl_capture_committed(capture),
	};
}

/* The journal knows its capture by UUID: a store that was made anew may use the same sequence number again. */
static struct sl_position
first_position(const struct push *push, unsigned int t)
{
	const char *desc = sl_config_target(push->config, t)->desc;
	struct sl_capture *capture;
	struct sl_resume resume;
	char errbuf[ERRBUF];
	int rc;

	if (!sl_writers_resume(push->writers, t, &resume))
		return fresh_position(push, t);
	rc = sl_capture_open_uuid(push->options.store, &resume.capture, &capture, errbuf);
	if (rc == 0) {
		resume.position.sequence = sl_capture_info(capture)->sequence;
		sl_capture_close(capture);
		return resume.position;
	}
	if (resume.position.sequence < push->first->info->sequence) {
		/* Older captures were removed: go on with what is left of the stream; the reader reports the gap. */
		resume.position.packet = 0;
		return resume.position;
	}
	fprintf(stderr,
		"sluice push: target \"%s\": its journal is of a capture that this store does not have; starting "
		"afresh\n",
		desc);
	return fresh_position(push, t);
}

static int
start_targets(struct push *push)
{
	struct sl_position *first = calloc(push->targets, sizeof(*first));
	char errbuf[ERRBUF];
	int rc;

	if (!first)
		return -ENOMEM;
	for (unsigned int t = 0; t < push->targets; t++) {
		first[t] = first_position(push, t);
		push->consumers[t].next = first[t];
		sl_consumer_set(&push->consumers[t], SL_CONSUMER_READY);
	}
	rc = sl_writers_start(push->writers, first, errbuf);
	if (rc)
		fprintf(stderr, "sluice push: %s\n", errbuf);
	free(first);
	return rc;
}

static int
wire(struct push *push)
{
	struct sl_pipeline_params pipeline = pipeline_params(push);
	struct sl_writers_params writers = writers_params(push);
	char errbuf[ERRBUF];
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
	if (push->options.once) {
		struct sl_position end = {
			.sequence = push->first->info->sequence,
			.chunk = sl_capture_committed(push->first->capture),
		};

		sl_pipeline_start(push->pipeline, &end);
	} else {
		sl_pipeline_start(push->pipeline, NULL);
	}
	map_stages(push);
	return 0;
}

/* ---------------------------------------------------------------- running */

static void
report_events(struct push *push)
{
	struct sl_pipeline_event e;

	while (sl_pipeline_next_event(push->pipeline, &e)) {
		if (e.type == SL_DISPATCH_BAD)
			fprintf(stderr,
				"sluice push: capture %" PRIu64 ", chunk %" PRIu64 " is damaged (%s); passed over\n",
				e.position.sequence, e.position.chunk, strerror(e.error));
		else if (e.type == SL_DISPATCH_GAP)
			fprintf(stderr,
				"sluice push: capture %" PRIu64 ", chunk %" PRIu64 " up to capture %" PRIu64
				", chunk %" PRIu64 ": no longer in the store; passed over\n",
				e.position.sequence, e.position.chunk, e.next.sequence, e.next.chunk);
		else
			fprintf(stderr,
				"sluice push: capture %" PRIu64 " is complete; going on with capture %" PRIu64 "\n",
				e.position.sequence, e.next.sequence);
	}
}

static void
report_hints(void *ctx, const struct sl_stream *stream)
{
	struct push *push = ctx;
	char text[512];

	for (unsigned int program = 0; program < stream->programs; program++) {
		if (!sl_filter_hint(stream->filters, program, text, sizeof(text)))
			continue;
		for (unsigned int t = 0; t < push->targets; t++)
			if (stream->program[t] == program)
				fprintf(stderr, "sluice push: target \"%s\" has matched nothing so far: %s\n",
					sl_config_target(push->config, t)->desc, text);
	}
}

/* @return true if it ended by itself or was stopped in time */
static bool
look_after(struct push *push)
{
	double give_up = 0;

	for (unsigned int n = 1; !sl_writers_done(push->writers); n++) {
		tick();
		if (signals && give_up == 0) {
			sl_pipeline_stop(push->pipeline);
			give_up = seconds_now() + (double)push->options.stop_timeout / 1e9;
		}
		if (give_up != 0 && seconds_now() > give_up) {
			fprintf(stderr, "sluice push: not all targets ended within --stop-timeout\n");
			return false;
		}
		if (n % SERVE_TICKS == 0)
			push_streams_serve(push->streams);
		if (n % SECOND_TICKS == 0)
			push_streams_each(push->streams, report_hints, push);
		report_events(push);
	}
	push_streams_each(push->streams, report_hints, push);
	report_events(push);
	return true;
}

static void
stop_lcores(struct push *push)
{
	for (unsigned int i = 0; i < push->map.count; i++) {
		atomic_store(&push->lcores[i]->quit, true);
		sl_bell_ring(&push->lcores[i]->bell);
	}
	rte_eal_mp_wait_lcore();
}

static int
run(struct push *push)
{
	struct push_summary summary = {
		.config = push->config,
		.writers = push->writers,
		.pipeline = push->pipeline,
		.lcores = push->lcores,
		.lcore_count = push->map.count,
		.crc = push->options.crc,
		.files = push->options.sink == SL_SINK_FILE,
	};
	bool finished;

	for (unsigned int i = 0; i < push->map.count; i++)
		rte_eal_remote_launch(sl_lcore_run, push->lcores[i], i + 1);
	finished = look_after(push);
	stop_lcores(push);
	if (push->options.once || push->options.sink == SL_SINK_NULL)
		push_summary_print(&summary, stdout);
	return push_summary_failures(&summary, stderr) || !finished ? SL_EXIT_FAILED : SL_EXIT_OK;
}

static int
start_eal(struct push *push, char **argv)
{
	struct sl_pipeline_params params = pipeline_params(push);
	struct push_eal eal = {
		.map = &push->map,
		.helper_cpus = &push->helper_cpus,
		.memory = sl_pipeline_memory(&params) + sl_writers_memory(push->targets),
		.no_huge = push->options.no_huge,
		.extra = push->options.eal,
	};
	int rc = push_eal_init(&eal, argv);

	push->hugepages = eal.hugepages;
	return rc;
}

static void
free_push(struct push *push)
{
	sl_writers_destroy(push->writers);
	sl_pipeline_destroy(push->pipeline);
	push_streams_destroy(push->streams);
	for (unsigned int i = 0; i < push->map.count; i++)
		free(push->lcores[i]);
	free(push->consumers);
	sl_config_free(push->config);
}

int
cmd_push(int argc, char **argv)
{
	struct push push = {0};
	int status = push_options_parse(argc, argv, &push.options);

	if (status >= 0)
		return status;
	catch_signals();
	status = load_config(&push);
	if (status < 0)
		status = choose_cpus(&push);
	if (status >= 0)
		goto out;
	status = SL_EXIT_FAILED;
	if (push_streams_create(
		    push.config, push.options.store, push.options.capture, push.map.filters, &push.streams) ||
		make_lcores(&push)) {
		fprintf(stderr, "sluice push: out of memory\n");
		goto out;
	}
	status = open_first_capture(&push);
	if (status >= 0)
		goto out;
	/* Helper threads inherit this; the lcores are pinned by EAL. */
	sched_setaffinity(0, sizeof(push.helper_cpus), &push.helper_cpus);
	status = SL_EXIT_FAILED;
	if (start_eal(&push, argv) == 0) {
		if (wire(&push) == 0)
			status = run(&push);
		sl_writers_destroy(push.writers);
		push.writers = NULL;
		sl_pipeline_destroy(push.pipeline);
		push.pipeline = NULL;
		rte_eal_cleanup();
	}
out:
	free_push(&push);
	return status;
}
