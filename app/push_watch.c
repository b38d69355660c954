/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "push_watch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 2
#define LOOKS 3 /* in a row: a target that catches up has not to be told of */

static const unsigned int levels[LEVELS] = {50, 80}; /* percent of the store's history */

struct seen_target {
	struct push_lag lag;
	unsigned int above[LEVELS]; /* looks in a row at which it was above the level */
	bool said[LEVELS];
};

struct seen_lcore {
	uint64_t busy, idle; /* cycles at the newest look */
	unsigned int percent;
};

struct push_watch {
	const struct push *push;
	struct push_lag_store *store;
	struct sl_target_stats *stats;
	pthread_mutex_t lock; /* of what follows */
	struct seen_target *targets;
	struct seen_lcore lcores[PUSH_MAP_MAX];
};

struct push_watch *
push_watch_create(const struct push *push)
{
	const struct push_options *o = &push->options;
	struct push_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->push = push;
	pthread_mutex_init(&w->lock, NULL);
	w->targets = calloc(push->max_targets, sizeof(*w->targets));
	w->stats = calloc(1, sizeof(*w->stats));
	if (!w->targets || !w->stats ||
		push_lag_create(o->store, o->capture, o->once ? &push->end : NULL, &w->store) != 0) {
		push_watch_destroy(w);
		return NULL;
	}
	return w;
}

void
push_watch_destroy(struct push_watch *w)
{
	if (!w)
		return;
	push_lag_destroy(w->store);
	pthread_mutex_destroy(&w->lock);
	free(w->targets);
	free(w->stats);
	free(w);
}

void
push_watch_forget(struct push_watch *w)
{
	pthread_mutex_lock(&w->lock);
	memset(w->targets, 0, w->push->max_targets * sizeof(*w->targets));
	pthread_mutex_unlock(&w->lock);
}

/* ---------------------------------------------------------------- lag */

static void
warn(struct push_watch *w, unsigned int t, unsigned int level)
{
	const struct seen_target *seen = &w->targets[t];
	const char *desc = sl_config_target(w->push->config, t)->desc;
	const char *text = "lies %u %% of the store's history behind (%" PRIu64 " bytes, %" PRIu64
			   " s): beyond that its packets are removed from the store";
	char line[256];

	snprintf(line, sizeof(line), text, seen->lag.percent, seen->lag.bytes, seen->lag.ns / 1000000000u);
	fprintf(stderr, "sluice push: target \"%s\": more than %u %%: it %s\n", desc, level, line);
	sl_writers_log(w->push->writers, t, line);
}

/* Each level is told of once, until the target has clearly come back. */
static void
judge(struct push_watch *w, unsigned int t)
{
	struct seen_target *seen = &w->targets[t];

	for (unsigned int i = 0; i < LEVELS; i++) {
		/* What is never removed is not lost, however far behind. */
		seen->above[i] = seen->lag.percent < levels[i] || !seen->lag.expires ? 0 : seen->above[i] + 1;
		if (seen->lag.percent < levels[i] / 2)
			seen->said[i] = false;
		if (seen->above[i] < LOOKS)
			continue;
		pthread_mutex_lock(&w->lock);
		seen->lag.warning = levels[i];
		pthread_mutex_unlock(&w->lock);
		if (!seen->said[i])
			warn(w, t, levels[i]);
		seen->said[i] = true;
	}
}

static void
look_at_targets(struct push_watch *w)
{
	const struct push *push = w->push;
	struct sl_position *at = calloc(push->targets, sizeof(*at));
	uint64_t lowest = UINT64_MAX;

	if (!at)
		return;
	for (unsigned int t = 0; t < push->targets; t++) {
		sl_writers_target_stats(push->writers, t, w->stats);
		at[t] = w->stats->position;
		if (w->stats->state == SL_CONSUMER_DONE)
			at[t].sequence = UINT64_MAX; /* nothing is left for it */
		else if (at[t].sequence < lowest)
			lowest = at[t].sequence;
	}
	if (lowest != UINT64_MAX)
		push_lag_look(w->store, lowest);
	for (unsigned int t = 0; t < push->targets; t++) {
		struct push_lag lag;

		push_lag_of(w->store, &at[t], &lag);
		pthread_mutex_lock(&w->lock);
		w->targets[t].lag = lag;
		pthread_mutex_unlock(&w->lock);
		/* What is pushed from history once is as far behind as it is long. */
		if (!push->options.once)
			judge(w, t);
	}
	free(at);
}

/* ---------------------------------------------------------------- lcores */

static void
look_at_lcores(struct push_watch *w)
{
	for (unsigned int i = 0; i < w->push->map.count; i++) {
		struct sl_lcore *lcore = w->push->lcores[i];
		struct seen_lcore *seen = &w->lcores[i];
		uint64_t busy = atomic_load_explicit(&lcore->busy_cycles, memory_order_relaxed);
		uint64_t idle = atomic_load_explicit(&lcore->idle_cycles, memory_order_relaxed);
		uint64_t all = busy - seen->busy + (idle - seen->idle);

		pthread_mutex_lock(&w->lock);
		seen->percent = all == 0 ? 0 : (unsigned int)((busy - seen->busy) * 100 / all);
		seen->busy = busy;
		seen->idle = idle;
		pthread_mutex_unlock(&w->lock);
	}
}

void
push_watch_look(struct push_watch *w)
{
	look_at_lcores(w);
	look_at_targets(w);
}

/* ---------------------------------------------------------------- any thread */

void
push_watch_lag(struct push_watch *w, unsigned int target, struct push_lag *lag)
{
	pthread_mutex_lock(&w->lock);
	*lag = w->targets[target].lag;
	pthread_mutex_unlock(&w->lock);
}

unsigned int
push_watch_busy(struct push_watch *w, unsigned int lcore)
{
	unsigned int percent;

	pthread_mutex_lock(&w->lock);
	percent = w->lcores[lcore].percent;
	pthread_mutex_unlock(&w->lock);
	return percent;
}
