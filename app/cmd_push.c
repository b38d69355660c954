/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice push`: prepares, wires and starts the stages, then looks after them from the main thread.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>

#include "app.h"
#include "monotonic.h"
#include "progress.h"
#include "push.h"
#include "push_claims.h"
#include "push_summary.h"
#include "push_telemetry.h"
#include "push_verdicts.h"
#include "push_watch.h"
#include "sl_filter.h"
#include "store_report.h"

#define TICK_NS 20000000 /* the main thread's look at signals, captures and ends */
#define SERVE_TICKS 5 /* streams are served every 100 ms */
#define SECOND_TICKS 50
#define STOP_GRACE_S 0.4 /* for whoever captures to end its capture, if the same signal reached it */

static volatile sig_atomic_t signals;
static volatile sig_atomic_t hangups; /* SIGHUP since the last look */
static struct push_moment signalled; /* at the first */

static void
on_signal(int sig)
{
	(void)sig;
	/* A user who asks twice does not want to wait; the journal makes that safe. */
	if (signals)
		_exit(SL_EXIT_FAILED);
	signalled = push_moment_now();
	signals = 1;
}

static void
on_hangup(int sig)
{
	(void)sig;
	hangups = 1;
}

static void
catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal}, hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};

	sigaction(SIGHUP, &hangup, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool
push_stopping(void)
{
	return signals != 0;
}

bool
push_reload_asked(void)
{
	bool asked = hangups != 0;

	hangups = 0;
	return asked;
}

void
push_tick(void)
{
	struct timespec ts = {.tv_nsec = TICK_NS};

	nanosleep(&ts, NULL);
}

static double
seconds_now(void)
{
	return (double)monotonic_ns() / 1e9;
}

/* ---------------------------------------------------------------- running */

/* As `sluice store ls` shows it; one that is gone has its number only. */
static const char *
capture_name(const struct push *push, uint64_t sequence, char name[SL_CAPTURE_NAME_MAX])
{
	const struct sl_capture *capture = push_streams_find(push->streams, sequence);

	if (capture)
		snprintf(name, SL_CAPTURE_NAME_MAX, "%s", sl_capture_info(capture)->name);
	else
		snprintf(name, SL_CAPTURE_NAME_MAX, "number %" PRIu64, sequence);
	return name;
}

static void
report_bad(const struct push *push, const struct sl_pipeline_event *e)
{
	const struct sl_capture *capture = push_streams_find(push->streams, e->position.sequence);

	fprintf(stderr, "sluice push: passed over: ");
	if (capture)
		store_report_bad(capture, e->position.chunk, e->position.chunk, -e->error);
	else
		fprintf(stderr, "chunk %" PRIu64 ": %s\n", e->position.chunk, strerror(e->error));
}

static void
report_events(struct push *push)
{
	char name[SL_CAPTURE_NAME_MAX], next[SL_CAPTURE_NAME_MAX];
	struct sl_pipeline_event e;

	while (sl_pipeline_next_event(push->pipeline, &e)) {
		if (e.type == SL_DISPATCH_BAD)
			report_bad(push, &e);
		else if (e.type == SL_DISPATCH_GAP)
			fprintf(stderr,
				"sluice push: capture %s, chunk %" PRIu64 " up to capture %s, chunk %" PRIu64
				": no longer in the store; passed over\n",
				capture_name(push, e.position.sequence, name), e.position.chunk,
				capture_name(push, e.next.sequence, next), e.next.chunk);
		else
			fprintf(stderr, "sluice push: capture %s is complete; going on with %s\n",
				capture_name(push, e.position.sequence, name),
				capture_name(push, e.next.sequence, next));
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
		for (unsigned int t = 0; t < push->targets; t++) {
			/* once, not at every new capture */
			if (stream->program[sl_writers_slot(push->writers, t)] != program || push->hinted[t])
				continue;
			push->hinted[t] = true;
			fprintf(stderr, "sluice push: target \"%s\" has matched nothing so far: %s\n",
				sl_config_target(push->config, t)->desc, text);
		}
	}
}

/* A pipe into `sluice import` and this push are often stopped together: its last packets are waited for. */
static bool
may_stop(const struct push *push, double asked_at)
{
	return !push_streams_growing(push->streams) || seconds_now() - asked_at > STOP_GRACE_S;
}

static void
show_progress(const struct push *push)
{
	bool one_capture = push->start.sequence == push->end.sequence;
	struct sl_pipeline_stats stats;

	if (!push->options.once)
		return;
	sl_pipeline_get_stats(push->pipeline, &stats);
	progress_show("push", stats.chunks, one_capture ? push->end.chunk - push->start.chunk : 0);
}

/* Of --stop-timeout, what is kept for the end itself: logs, threads. */
static double
stop_reserve(double timeout)
{
	return timeout < 4 ? timeout / 4 : 1;
}

static bool
is_done(const struct push *push)
{
	return sl_writers_done(push->writers) && !push_reload_switching(push);
}

/* @return true if it ended by itself or was stopped in time */
static bool
look_after(struct push *push)
{
	double timeout = (double)push->options.stop_timeout / 1e9, asked_at = 0, give_up = 0;

	for (unsigned int n = 1; !is_done(push); n++) {
		push_tick();
		if (push_stopping() && asked_at == 0)
			asked_at = seconds_now();
		if (asked_at != 0 && give_up == 0 && may_stop(push, asked_at)) {
			double left = asked_at + timeout - stop_reserve(timeout) - seconds_now();

			sl_pipeline_stop(push->pipeline);
			sl_writers_stop(push->writers, left > 0 ? (uint64_t)(left * 1e9) : 0);
			/* a little later, so that targets that fail have given up by themselves */
			give_up = seconds_now() + left + stop_reserve(timeout) / 2;
		}
		if (give_up != 0 && seconds_now() > give_up) {
			fprintf(stderr, "sluice push: not all targets ended within --stop-timeout\n");
			return false;
		}
		if (push_reload_asked() || push->reload_due) {
			push->reload_due = false;
			push_reload_begin(push);
		}
		push_reload_tick(push);
		if (n % SERVE_TICKS == 0)
			push_streams_serve(push->streams);
		if (n % SECOND_TICKS == 1)
			push_watch_look(push->watch);
		if (n % SECOND_TICKS == 0) {
			push_streams_each(push->streams, report_hints, push);
			show_progress(push);
		}
		report_events(push);
	}
	if (push->options.once)
		progress_show("push", 1, 1);
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

/* At a terminal somebody waits for a sign of life; a log has no use for it. */
static void
say_following(const struct push *push)
{
	if (push->options.once || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "sluice push: following %s; %u target%s, %s%s; Ctrl-C publishes what is open and ends\n",
		push->options.store, push->targets, push->targets == 1 ? "" : "s",
		push->options.log_dir ? "logs in " : "no logs", push->options.log_dir ? push->options.log_dir : "");
}

static int
run(struct push *push)
{
	struct push_summary summary;
	bool finished = false;
	int rc = 0;

	for (unsigned int i = 0; i < push->map.count && rc == 0; i++)
		rc = rte_eal_remote_launch(sl_lcore_run, push->lcores[i], i + 1);
	if (rc == 0) {
		push_telemetry_start(push);
		say_following(push);
		finished = look_after(push);
	} else {
		fprintf(stderr, "sluice push: an lcore did not start: %s\n", strerror(-rc));
	}
	stop_lcores(push);
	push_reload_end(push);
	if (!finished && rc == 0)
		sl_writers_abandon(push->writers);
	summary = (struct push_summary){
		.config = push->config,
		.writers = push->writers,
		.pipeline = push->pipeline,
		.lcores = push->lcores,
		.map = &push->map,
		.crc = push->options.crc,
		.journal = push->options.state_dir != NULL,
		.begun = push->begun,
	};
	if (push_stopping())
		summary.stopping_ns = signalled.ns;
	if (push->options.once || push->options.sink == SL_SINK_NULL) {
		push_summary_print(&summary, stdout);
		push_verdicts_print(push->streams, stdout);
	}
	/* Files that lack packets are not what was asked for; one that follows goes on with what there is. */
	if (push->options.once && push_summary_bad_chunks(&summary, stderr))
		finished = false;
	return push_summary_failures(&summary, stderr) || !finished ? SL_EXIT_FAILED : SL_EXIT_OK;
}

static int
watch_and_run(struct push *push)
{
	push->watch = push_watch_create(push);
	if (push->watch)
		return run(push);
	fprintf(stderr, "sluice push: out of memory\n");
	return SL_EXIT_FAILED;
}

static void
free_push(struct push *push)
{
	sl_writers_destroy(push->writers);
	sl_pipeline_destroy(push->pipeline);
	push_streams_destroy(push->streams);
	for (unsigned int i = 0; i < push->map.count; i++)
		free(push->lcores[i]);
	push_watch_destroy(push->watch);
	push_claims_release(push->claims);
	free(push->consumers);
	free(push->hinted);
	sl_config_free(push->config);
}

int
cmd_push(int argc, char **argv)
{
	struct push push = {.begun = push_moment_now()};
	int status;

	/* The first thing of all: a SIGHUP that comes early must not end it. */
	catch_signals();
	status = push_options_parse(argc, argv, &push.options);
	if (status >= 0)
		return status;
	status = push_load_config(&push);
	if (status < 0)
		status = push_raise_limits(push.targets);
	if (status < 0)
		status = push_claim(&push);
	if (status < 0)
		status = push_choose_cpus(&push);
	if (status >= 0)
		goto out;
	status = SL_EXIT_FAILED;
	if (push_streams_create(
		    push.config, push.options.store, push.options.capture, push.map.filters, &push.streams) ||
		push_make_lcores(&push)) {
		fprintf(stderr, "sluice push: out of memory\n");
		goto out;
	}
	push_streams_limit(push.streams, push.options.from, push.options.to);
	if (push.options.no_verdict_cache)
		push_streams_no_verdict_cache(push.streams);
	status = push_open_first_capture(&push);
	if (status < 0 && push.options.once)
		status = push_find_range(&push);
	if (status >= 0)
		goto out;
	/* Helper threads inherit this; the lcores are pinned by EAL. */
	sched_setaffinity(0, sizeof(push.helper_cpus), &push.helper_cpus);
	int rc = push_start_eal(&push, argv);
	status = rc == -EINVAL ? SL_EXIT_REFUSED : SL_EXIT_FAILED;
	if (rc == 0) {
		if (push_wire(&push) == 0)
			status = watch_and_run(&push);
		push_telemetry_stop();
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
