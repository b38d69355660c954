/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * SIGHUP: another configuration while the push runs.
 *
 * A thread reads and checks it and compiles its filters, which may take seconds, while the main thread goes on looking
 * after the push. Then the main thread plans the switch, hands it to the pipeline, and frees what was before once all
 * stages have passed it. Signals that come meanwhile are answered by one more reload afterwards.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config_checks.h"
#include "push.h"
#include "push_claims.h"
#include "push_telemetry.h"
#include "push_watch.h"

enum stage { LOADING, SWITCHING };

struct push_reload {
	struct push *push;
	enum stage stage;
	pthread_t thread;
	_Atomic bool loaded;
	bool again; /* another signal has come meanwhile */

	struct sl_capture *capture; /* that the filters are compiled for */

	/* the thread's until loaded; it knows nothing else, for it may outlive the push */
	char path[PATH_MAX];
	struct sl_capture_info info;
	unsigned int lanes;
	bool cache, files;
	struct sl_config *config;
	struct sl_filter_set *filters;
	int rc; /* 0; -errno: the configuration has errors, or there is a text */
	char text[PUSH_ERRBUF];

	struct push_claims *claims; /* of the new configuration */
	struct sl_writers_reload *plan;
	struct sl_reload switching;
};

/* ---------------------------------------------------------------- loading: a thread of its own */

static int
load(struct push_reload *r)
{
	struct timespec now;
	int rc = sl_config_load(r->path, &r->config);

	if (!r->config) {
		snprintf(r->text, sizeof(r->text), "%s", strerror(-rc));
		return rc;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	config_check_filters(r->config, r->info.link_type, r->info.snap_len);
	/* The null sink makes no file. */
	if (rc == 0 && r->files)
		config_check_places(r->config, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	if (sl_config_errors(r->config) > 0)
		return -EINVAL;
	return push_streams_compile(r->config, &r->info, r->lanes, r->cache, &r->filters, r->text);
}

static void *
load_thread(void *arg)
{
	struct push_reload *r = arg;

	pthread_setname_np(pthread_self(), "sl-reload");
	r->rc = load(r);
	atomic_store_explicit(&r->loaded, true, memory_order_release);
	return NULL;
}

/* ---------------------------------------------------------------- the main thread */

static void
free_reload(struct push_reload *r)
{
	push_claims_release(r->claims);
	sl_filter_set_free(r->filters);
	sl_config_free(r->config);
	free(r);
}

void
push_reload_begin(struct push *push)
{
	struct push_reload *r;
	int rc;

	if (push->options.once || push_stopping()) {
		fprintf(stderr, "sluice push: SIGHUP: %s; the configuration is not read again\n",
			push->options.once ? "with --once there is nothing to go on with" : "the push is ending");
		return;
	}
	if (push->reload) {
		push->reload->again = true;
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		goto nomem;
	r->push = push;
	r->capture = push_streams_newest(push->streams);
	r->info = *sl_capture_info(r->capture);
	r->lanes = push->map.filters;
	r->cache = !push->options.no_verdict_cache;
	r->files = push->options.sink == SL_SINK_FILE;
	snprintf(r->path, sizeof(r->path), "%s", push->options.config);
	rc = pthread_create(&r->thread, NULL, load_thread, r);
	if (rc == 0) {
		push->reload = r;
		return;
	}
	free(r);
nomem:
	fprintf(stderr, "sluice push: SIGHUP: out of memory; the configuration is not read again\n");
}

static void
refuse(struct push *push, const char *text)
{
	struct push_reload *r = push->reload;
	bool again = r->again;

	fprintf(stderr, "sluice push: %s is not taken: %s; the push goes on as before\n", push->options.config, text);
	push->reload = NULL;
	free_reload(r);
	if (again)
		push_reload_begin(push);
}

/* Added targets begin where the reload finds the stream, unless their journal or FollowStart says otherwise. */
static int
set_first_positions(struct push *push, struct push_reload *r)
{
	for (unsigned int i = 0; i < sl_config_targets(r->config); i++) {
		const struct sl_target_config *t = sl_config_target(r->config, i);
		struct sl_position start = push_capture_start(r->capture), first;
		struct sl_resume resume;
		bool has_journal = sl_writers_reload_resume(r->plan, i, &resume);
		int rc;

		if (sl_writers_reload_change(r->plan, i) != SL_RELOAD_ADDED)
			continue;
		if (!has_journal) {
			if (t->follow_start)
				sl_writers_reload_first(r->plan, i, &start);
			continue;
		}
		if (!t->follow_start)
			start.chunk = sl_capture_committed(r->capture);
		rc = push_resume_position(push, t->desc, &resume, &start, &first);
		if (rc)
			return rc;
		sl_writers_reload_first(r->plan, i, &first);
	}
	return 0;
}

static void
switch_over(struct push *push)
{
	struct push_reload *r = push->reload;
	unsigned int n = (unsigned int)sl_config_targets(r->config), slots;
	unsigned int *slot_of = calloc(n + 1, sizeof(*slot_of));
	char errbuf[PUSH_ERRBUF];

	if (!slot_of) {
		refuse(push, "out of memory");
		return;
	}
	if (push_raise_limits(n) >= 0) {
		refuse(push, "too many open files");
		goto out;
	}
	if (r->files && push_claims_next(push->claims, r->config, push->options.log_dir, &r->claims, errbuf) != 0) {
		refuse(push, errbuf);
		goto out;
	}
	if (sl_writers_reload_plan(push->writers, r->config, &r->plan, errbuf) < 0) {
		refuse(push, errbuf);
		goto out;
	}
	if (set_first_positions(push, r) < 0) {
		sl_writers_reload_cancel(r->plan);
		refuse(push, "a target cannot go on where its journal says");
		goto out;
	}
	for (unsigned int i = 0; i < n; i++)
		slot_of[i] = sl_writers_reload_slot(r->plan, i);
	slots = sl_writers_reload_slots(r->plan);
	if (push_streams_next(
		    push->streams, r->config, slot_of, slots, r->capture, r->filters, &r->switching.stream_ctx) < 0) {
		r->filters = NULL;
		sl_writers_reload_cancel(r->plan);
		refuse(push, "out of memory");
		goto out;
	}
	r->filters = NULL;
	r->switching.targets = slots;
	r->switching.writers = r->plan;
	r->stage = SWITCHING;
	sl_writers_reload_post(r->plan);
	sl_pipeline_reload(push->pipeline, &r->switching);
out:
	free(slot_of);
}

static void
take_loaded(struct push *push)
{
	struct push_reload *r = push->reload;
	char text[PUSH_ERRBUF + 64];
	size_t errors;

	pthread_join(r->thread, NULL);
	if (r->config)
		sl_config_print_findings(r->config, stderr);
	if (push_stopping()) {
		refuse(push, "the push is ending");
		return;
	}
	if (r->rc == 0) {
		switch_over(push);
		return;
	}
	errors = r->config ? sl_config_errors(r->config) : 0;
	if (errors)
		snprintf(text, sizeof(text), "it has %zu error%s", errors, errors == 1 ? "" : "s");
	else
		snprintf(text, sizeof(text), "%s", r->text);
	refuse(push, text);
}

/* What a hint was given for is remembered by Desc. */
static void
carry_hints(struct push *push, const struct sl_config *config)
{
	size_t n = sl_config_targets(config);
	bool *hinted = calloc(n + 1, sizeof(*hinted));

	if (!hinted)
		return;
	for (size_t i = 0; i < n; i++)
		for (unsigned int t = 0; t < push->targets; t++)
			if (push->hinted[t] &&
				!strcmp(sl_config_target(config, i)->desc, sl_config_target(push->config, t)->desc))
				hinted[i] = true;
	free(push->hinted);
	push->hinted = hinted;
}

static void
say_switched(const struct push *push, const struct push_reload *r, const unsigned int *counts, unsigned int removed)
{
	const struct sl_position *at = &r->switching.position;
	struct sl_capture *capture = push_streams_find(push->streams, at->sequence);

	fprintf(stderr,
		"sluice push: %s is in force from capture %s, chunk %" PRIu64 " on: %u target%s as before, %u changed, "
		"%u added, %u removed\n",
		push->options.config, capture ? sl_capture_info(capture)->name : "?", at->chunk, counts[SL_RELOAD_SAME],
		counts[SL_RELOAD_SAME] == 1 ? "" : "s", counts[SL_RELOAD_CHANGED], counts[SL_RELOAD_ADDED], removed);
}

static void
switched(struct push *push)
{
	struct push_reload *r = push->reload;
	unsigned int counts[SL_RELOAD_ADDED + 1] = {0}, removed = sl_writers_reload_removed(r->plan);
	bool again = r->again;

	for (unsigned int i = 0; i < sl_config_targets(r->config); i++)
		counts[sl_writers_reload_change(r->plan, i)]++;
	carry_hints(push, r->config);
	push_telemetry_hold();
	push_watch_forget(push->watch);
	sl_writers_reload_done(r->plan);
	push_streams_switched(push->streams);
	sl_config_free(push->config);
	push->config = r->config;
	push_claims_release(push->claims);
	push->claims = r->claims;
	r->claims = NULL;
	push->targets = (unsigned int)sl_config_targets(r->config);
	push_telemetry_release();
	say_switched(push, r, counts, removed);
	push->reload = NULL;
	r->config = NULL;
	free_reload(r);
	if (again)
		push_reload_begin(push);
}

void
push_reload_tick(struct push *push)
{
	struct push_reload *r = push->reload;

	sl_writers_tend(push->writers);
	if (!r)
		return;
	if (r->stage == LOADING) {
		if (atomic_load_explicit(&r->loaded, memory_order_acquire))
			take_loaded(push);
	} else if (sl_pipeline_reloaded(push->pipeline, &r->switching)) {
		switched(push);
	}
}

bool
push_reload_switching(const struct push *push)
{
	return push->reload && push->reload->stage == SWITCHING && sl_pipeline_reload_taken(push->pipeline);
}

void
push_reload_end(struct push *push)
{
	struct push_reload *r = push->reload;

	if (!r)
		return;
	push->reload = NULL;
	if (r->stage == LOADING) {
		/* A name server may keep it for long: it holds what it uses, and the process ends. */
		if (!atomic_load_explicit(&r->loaded, memory_order_acquire)) {
			pthread_detach(r->thread);
			return;
		}
		pthread_join(r->thread, NULL);
		free_reload(r);
		return;
	}
	/* Asked for after the stop: the reader has not taken it. */
	fprintf(stderr, "sluice push: %s is not taken: the push is ending\n", push->options.config);
	sl_writers_reload_abandon(r->plan);
	free_reload(r);
}
