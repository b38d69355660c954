/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push_streams.h"

#define RECHECK_TICKS 10 /* of push_streams_serve(): once a second */
#define ERRBUF 1024
#define GENERATIONS 2 /* the one that runs, and the next one while the stages switch */

/* What a capture is to one configuration. */
struct made_stream {
	struct sl_stream stream;
	uint16_t program[]; /* [slot] */
};

/* A list that only the main thread extends, so that the reader may walk it without a lock. */
struct node {
	struct sl_capture *capture;
	const struct sl_capture_info *info;
	struct made_stream *_Atomic made[GENERATIONS]; /* NULL: not yet */
	_Atomic uint64_t serves_from; /* lowest sequence that this capture is the answer for: those between are gone */
	struct node *_Atomic next;
};

struct push_generation {
	struct push_streams *streams;
	unsigned int index; /* in node.made */
	const struct sl_config *config; /* NULL: there is no such generation */
	unsigned int *slot_of;
	unsigned int slots;
};

struct push_streams {
	const char *store;
	const char *single;
	unsigned int lanes;
	uint64_t from, to;
	bool no_verdict_cache;
	struct push_generation generations[GENERATIONS];
	unsigned int newest; /* generation; the main thread's */
	struct node *_Atomic first;
	_Atomic uint64_t wanted; /* sequence that the reader asked for, 0: none */
	char last_error[ERRBUF]; /* said once, not at every try */
	unsigned int ticks;
};

static int
define(struct push_streams *s, unsigned int index, const struct sl_config *config, const unsigned int *slot_of,
	unsigned int slots)
{
	struct push_generation *g = &s->generations[index];
	size_t n = sl_config_targets(config);

	g->slot_of = calloc(n + 1, sizeof(*g->slot_of));
	if (!g->slot_of)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		g->slot_of[i] = slot_of ? slot_of[i] : i;
	g->streams = s;
	g->index = index;
	g->config = config;
	g->slots = slots;
	return 0;
}

int
push_streams_create(const struct sl_config *config, const char *store, const char *single, unsigned int lanes,
	struct push_streams **streams)
{
	struct push_streams *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->single = single;
	s->lanes = lanes;
	s->to = UINT64_MAX;
	if (define(s, 0, config, NULL, (unsigned int)sl_config_targets(config)) < 0) {
		free(s);
		return -ENOMEM;
	}
	*streams = s;
	return 0;
}

static void
free_made(struct made_stream *made)
{
	if (!made)
		return;
	sl_filter_set_free(made->stream.filters);
	free(made);
}

void
push_streams_destroy(struct push_streams *s)
{
	if (!s)
		return;
	for (struct node *node = atomic_load(&s->first), *next; node; node = next) {
		next = atomic_load(&node->next);
		for (unsigned int g = 0; g < GENERATIONS; g++)
			free_made(atomic_load(&node->made[g]));
		sl_capture_close(node->capture);
		free(node);
	}
	for (unsigned int g = 0; g < GENERATIONS; g++)
		free(s->generations[g].slot_of);
	free(s);
}

void
push_streams_no_verdict_cache(struct push_streams *s)
{
	s->no_verdict_cache = true;
}

void
push_streams_limit(struct push_streams *s, uint64_t from, uint64_t to)
{
	s->from = from;
	s->to = to;
}

/* Insert by sequence: a capture that a journal names may be opened after a later one. */
static void
insert(struct push_streams *s, struct node *node)
{
	struct node *_Atomic *link = &s->first;
	struct node *at;

	while ((at = atomic_load(link)) != NULL && at->info->sequence < node->info->sequence)
		link = &at->next;
	atomic_store(&node->next, at);
	atomic_store_explicit(link, node, memory_order_release);
}

/* ---------------------------------------------------------------- filters */

int
push_streams_compile(const struct sl_config *config, const struct sl_capture_info *info, unsigned int lanes, bool cache,
	struct sl_filter_set **set, char *errbuf)
{
	size_t n = sl_config_targets(config);
	const char **expressions = calloc(n + 1, sizeof(*expressions));
	int rc;

	*set = NULL;
	if (!expressions) {
		snprintf(errbuf, ERRBUF, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		expressions[i] = sl_config_target(config, i)->filter;
	rc = sl_filter_set_create(expressions, n, info->link_type, info->snap_len, lanes, set, errbuf);
	free(expressions);
	if (rc)
		return rc;
	rc = cache ? sl_filter_use_cache(*set, SL_FILTER_WIDE) : 0;
	if (rc) {
		snprintf(errbuf, ERRBUF, "out of memory for the verdict cache");
		sl_filter_set_free(*set);
		*set = NULL;
		return rc;
	}
	return 0;
}

/* Takes the set over, also on error. */
static int
make_stream(struct node *node, const struct push_generation *g, struct sl_filter_set *set)
{
	struct made_stream *made = calloc(1, sizeof(*made) + g->slots * sizeof(made->program[0]));
	const uint16_t *program_of = sl_filter_program_of(set);

	if (!made) {
		sl_filter_set_free(set);
		return -ENOMEM;
	}
	sl_filter_limit(set, g->streams->from, g->streams->to);
	for (size_t i = 0; i < sl_config_targets(g->config); i++)
		made->program[g->slot_of[i]] = program_of[i];
	made->stream = (struct sl_stream){
		.capture = node->capture,
		.info = node->info,
		.filters = set,
		.program = made->program,
		.programs = sl_filter_programs(set),
	};
	atomic_store_explicit(&node->made[g->index], made, memory_order_release);
	return 0;
}

/* Have a capture's stream of each generation that there is. */
static int
make_streams(struct push_streams *s, struct node *node, char *errbuf)
{
	for (unsigned int i = 0; i < GENERATIONS; i++) {
		const struct push_generation *g = &s->generations[i];
		struct sl_filter_set *set;
		int rc;

		if (!g->config || atomic_load(&node->made[i]))
			continue;
		rc = push_streams_compile(g->config, node->info, s->lanes, !s->no_verdict_cache, &set, errbuf);
		if (rc)
			return rc;
		rc = make_stream(node, g, set);
		if (rc) {
			snprintf(errbuf, ERRBUF, "out of memory");
			return rc;
		}
	}
	return 0;
}

/* Takes the capture over, also on error. */
static struct node *
add_capture(struct push_streams *s, struct sl_capture *capture, char *errbuf)
{
	struct node *node = calloc(1, sizeof(*node));
	int rc = -ENOMEM;

	if (!node) {
		snprintf(errbuf, ERRBUF, "out of memory");
		goto err;
	}
	node->capture = capture;
	node->info = sl_capture_info(capture);
	node->serves_from = node->info->sequence;
	rc = make_streams(s, node, errbuf);
	if (rc)
		goto err;
	insert(s, node);
	return node;
err:
	for (unsigned int g = 0; node && g < GENERATIONS; g++)
		free_made(atomic_load(&node->made[g]));
	free(node);
	sl_capture_close(capture);
	errno = -rc;
	return NULL;
}

/* ---------------------------------------------------------------- asking for captures */

static struct node *
find(struct push_streams *s, uint64_t sequence)
{
	for (struct node *node = atomic_load_explicit(&s->first, memory_order_acquire); node;
		node = atomic_load_explicit(&node->next, memory_order_acquire))
		if (node->serves_from <= sequence && sequence <= node->info->sequence)
			return node;
	return NULL;
}

const struct sl_stream *
push_streams_add(struct push_streams *s, struct sl_capture *capture, char *errbuf)
{
	struct node *node = add_capture(s, capture, errbuf);

	return node ? &atomic_load(&node->made[s->newest])->stream : NULL;
}

void *
push_streams_generation(struct push_streams *s)
{
	return &s->generations[s->newest];
}

const struct sl_stream *
push_streams_get(void *generation, uint64_t sequence)
{
	struct push_generation *g = generation;
	struct node *node = find(g->streams, sequence);
	struct made_stream *made = node ? atomic_load_explicit(&node->made[g->index], memory_order_acquire) : NULL;

	if (made)
		return &made->stream;
	atomic_store_explicit(&g->streams->wanted, sequence, memory_order_release);
	return NULL;
}

struct sl_capture *
push_streams_find(struct push_streams *s, uint64_t sequence)
{
	struct node *node = find(s, sequence);

	return node && node->info->sequence == sequence ? node->capture : NULL;
}

struct sl_capture *
push_streams_newest(struct push_streams *s)
{
	struct sl_capture *newest = NULL;

	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next))
		newest = node->capture;
	return newest;
}

static void
say_once(struct push_streams *s, const char *line)
{
	if (!strncmp(s->last_error, line, sizeof(s->last_error)))
		return;
	snprintf(s->last_error, sizeof(s->last_error), "%s", line);
	fprintf(stderr, "sluice push: %s\n", line);
}

static void
open_wanted(struct push_streams *s, uint64_t wanted)
{
	char errbuf[ERRBUF];
	struct sl_capture *capture;
	struct node *node;
	int rc = sl_capture_open_after(s->store, wanted - 1, &capture, errbuf);

	if (rc == -ENOENT)
		return;
	if (rc) {
		say_once(s, errbuf);
		return;
	}
	node = find(s, sl_capture_info(capture)->sequence);
	if (node)
		sl_capture_close(capture);
	else
		node = add_capture(s, capture, errbuf);
	if (!node)
		say_once(s, errbuf);
	else if (wanted < node->serves_from)
		node->serves_from = wanted;
}

static void
serve_wanted(struct push_streams *s, uint64_t wanted)
{
	struct node *node = find(s, wanted);
	char errbuf[ERRBUF];

	/* one that is open lacks no more than its filters of another generation */
	if (node && make_streams(s, node, errbuf) != 0)
		say_once(s, errbuf);
	if (!node && !s->single)
		open_wanted(s, wanted);
}

void
push_streams_serve(struct push_streams *s)
{
	uint64_t wanted = atomic_exchange(&s->wanted, 0);

	if (wanted)
		serve_wanted(s, wanted);
	if (s->ticks++ % RECHECK_TICKS)
		return;
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next))
		if (sl_capture_state(node->capture) == SL_CAPTURE_OPEN)
			sl_capture_recheck(node->capture);
}

bool
push_streams_growing(struct push_streams *s)
{
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next))
		if (sl_capture_state(node->capture) == SL_CAPTURE_OPEN)
			return true;
	return false;
}

void
push_streams_each(struct push_streams *s, void (*fn)(void *ctx, const struct sl_stream *stream), void *ctx)
{
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next)) {
		struct made_stream *made = atomic_load(&node->made[s->newest]);

		if (made)
			fn(ctx, &made->stream);
	}
}

/* ---------------------------------------------------------------- reload */

int
push_streams_next(struct push_streams *s, const struct sl_config *config, const unsigned int *slot_of,
	unsigned int slots, struct sl_capture *capture, struct sl_filter_set *set, void **ctx)
{
	unsigned int index = (s->newest + 1) % GENERATIONS;
	struct node *node = find(s, sl_capture_info(capture)->sequence);

	if (define(s, index, config, slot_of, slots) < 0) {
		sl_filter_set_free(set);
		return -ENOMEM;
	}
	if (make_stream(node, &s->generations[index], set) < 0) {
		free(s->generations[index].slot_of);
		s->generations[index] = (struct push_generation){0};
		return -ENOMEM;
	}
	*ctx = &s->generations[index];
	return 0;
}

void
push_streams_switched(struct push_streams *s)
{
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next)) {
		free_made(atomic_load(&node->made[s->newest]));
		atomic_store(&node->made[s->newest], NULL);
	}
	free(s->generations[s->newest].slot_of);
	s->generations[s->newest] = (struct push_generation){0};
	s->newest = (s->newest + 1) % GENERATIONS;
}
