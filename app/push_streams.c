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

/* A list that only the main thread extends, at its tail, so that the reader may walk it without a lock. */
struct node {
	struct sl_stream stream;
	_Atomic uint64_t serves_from; /* lowest sequence that this capture is the answer for: those between are gone */
	struct node *_Atomic next;
};

struct push_streams {
	const struct sl_config *config;
	const char *store;
	const char *single;
	unsigned int lanes;
	uint64_t from, to;
	bool no_verdict_cache;
	const char **expressions;
	struct node *_Atomic first;
	_Atomic uint64_t wanted; /* sequence that the reader asked for, 0: none */
	char last_error[ERRBUF]; /* said once, not at every try */
	unsigned int ticks;
};

int
push_streams_create(const struct sl_config *config, const char *store, const char *single, unsigned int lanes,
	struct push_streams **streams)
{
	struct push_streams *s = calloc(1, sizeof(*s));
	size_t n = sl_config_targets(config);

	if (!s)
		return -ENOMEM;
	s->expressions = calloc(n, sizeof(*s->expressions));
	if (!s->expressions) {
		free(s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		s->expressions[i] = sl_config_target(config, i)->filter;
	s->config = config;
	s->store = store;
	s->single = single;
	s->lanes = lanes;
	s->to = UINT64_MAX;
	*streams = s;
	return 0;
}

static void
free_stream(struct sl_stream *stream)
{
	sl_filter_set_free(stream->filters);
	sl_capture_close(stream->capture);
}

void
push_streams_destroy(struct push_streams *s)
{
	if (!s)
		return;
	for (struct node *node = atomic_load(&s->first), *next; node; node = next) {
		next = atomic_load(&node->next);
		free_stream(&node->stream);
		free(node);
	}
	free(s->expressions);
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

	while ((at = atomic_load(link)) != NULL && at->stream.info->sequence < node->stream.info->sequence)
		link = &at->next;
	atomic_store(&node->next, at);
	atomic_store_explicit(link, node, memory_order_release);
}

/* Takes the capture over, also on error. */
static struct node *
add_capture(struct push_streams *s, struct sl_capture *capture, char *errbuf)
{
	const struct sl_capture_info *info = sl_capture_info(capture);
	struct node *node = calloc(1, sizeof(*node));
	struct sl_filter_set *set = NULL;
	int rc = -ENOMEM;

	if (!node) {
		snprintf(errbuf, ERRBUF, "out of memory");
		goto err;
	}
	rc = sl_filter_set_create(
		s->expressions, sl_config_targets(s->config), info->link_type, info->snap_len, s->lanes, &set, errbuf);
	if (rc)
		goto err;
	rc = s->no_verdict_cache ? 0 : sl_filter_use_cache(set, SL_FILTER_WIDE);
	if (rc) {
		snprintf(errbuf, ERRBUF, "out of memory for the verdict cache");
		goto err;
	}
	sl_filter_limit(set, s->from, s->to);
	node->stream = (struct sl_stream){
		.capture = capture,
		.info = info,
		.filters = set,
		.program = sl_filter_program_of(set),
		.programs = sl_filter_programs(set),
	};
	node->serves_from = info->sequence;
	insert(s, node);
	return node;
err:
	sl_filter_set_free(set);
	free(node);
	sl_capture_close(capture);
	errno = -rc;
	return NULL;
}

static struct node *
find(struct push_streams *s, uint64_t sequence)
{
	for (struct node *node = atomic_load_explicit(&s->first, memory_order_acquire); node;
		node = atomic_load_explicit(&node->next, memory_order_acquire))
		if (node->serves_from <= sequence && sequence <= node->stream.info->sequence)
			return node;
	return NULL;
}

const struct sl_stream *
push_streams_add(struct push_streams *s, struct sl_capture *capture, char *errbuf)
{
	struct node *node = add_capture(s, capture, errbuf);

	return node ? &node->stream : NULL;
}

const struct sl_stream *
push_streams_get(void *streams, uint64_t sequence)
{
	struct push_streams *s = streams;
	struct node *node = find(s, sequence);

	if (node)
		return &node->stream;
	atomic_store_explicit(&s->wanted, sequence, memory_order_release);
	return NULL;
}

const struct sl_stream *
push_streams_find(struct push_streams *s, uint64_t sequence)
{
	struct node *node = find(s, sequence);

	return node && node->stream.info->sequence == sequence ? &node->stream : NULL;
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

void
push_streams_serve(struct push_streams *s)
{
	uint64_t wanted = atomic_exchange(&s->wanted, 0);

	if (wanted && !s->single)
		open_wanted(s, wanted);
	if (s->ticks++ % RECHECK_TICKS)
		return;
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next))
		if (sl_capture_state(node->stream.capture) == SL_CAPTURE_OPEN)
			sl_capture_recheck(node->stream.capture);
}

bool
push_streams_growing(struct push_streams *s)
{
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next))
		if (sl_capture_state(node->stream.capture) == SL_CAPTURE_OPEN)
			return true;
	return false;
}

void
push_streams_each(struct push_streams *s, void (*fn)(void *ctx, const struct sl_stream *stream), void *ctx)
{
	for (struct node *node = atomic_load(&s->first); node; node = atomic_load(&node->next))
		fn(ctx, &node->stream);
}
