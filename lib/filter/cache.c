/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache_table.h"

/*
 * ns or so, measured on one machine; they only decide what is worth a lookup. A run of machine code, of a tracked
 * program, of a common path, a lookup, and what keeping an entry adds.
 */
#define COST_RUN 4u
#define COST_TRACK 30u
#define COST_COMMON 40u
#define COST_LOOKUP 12u
#define COST_LOOKUP_PORTABLE 22u
#define COST_KEEP 120u

#define PART_MAX 1024u
#define PART_MIN 64u
#define PART_ENTRIES (1u << 20) /* of the direct way's lists, all programs together */
#define PAUSE_MAX (1u << 20)
#define REST_MAX 64u /* chunks */

static uint32_t
lookup_cost(const struct sl_cache_params *params)
{
	return cache_scan_is_wide(params->portable) ? COST_LOOKUP : COST_LOOKUP_PORTABLE;
}

uint32_t
cache_unit_cost(const struct sl_unit *unit)
{
	return unit->common ? COST_COMMON : COST_RUN;
}

static uint32_t
direct_cost(const struct sl_unit *units, unsigned int count)
{
	uint32_t cost = 0;

	for (unsigned int i = 0; i < count; i++)
		cost += cache_unit_cost(&units[i]);
	return cost;
}

bool
sl_cache_pays(const struct sl_cache_params *params)
{
	return direct_cost(params->units, params->unit_count) > lookup_cost(params);
}

int
sl_cache_create(const struct sl_cache_params *params, struct sl_cache **cache)
{
	struct sl_cache *c = aligned_alloc(64, sizeof(*c));
	uint32_t n = params->program_count;
	int rc = -ENOMEM;

	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->params = *params;
	c->layout = sl_link_layout(params->link_type);
	c->cost_lookup = lookup_cost(params);
	c->cost_direct = direct_cost(params->units, params->unit_count);
	c->cost_miss = COST_KEEP;
	for (unsigned int i = 0; i < params->unit_count; i++)
		c->cost_miss += params->units[i].common ? COST_COMMON + COST_TRACK : COST_TRACK;
	c->part = PART_ENTRIES / n < PART_MIN ? PART_MIN : PART_ENTRIES / n > PART_MAX ? PART_MAX : PART_ENTRIES / n;
	c->rest = 1;
	cache_scan_select(c);
	if (cache_table_init(c) < 0 || cache_suspect_init(c) < 0 || sl_verdict_sets_init(&c->sets, n) < 0)
		goto err;
	c->accepted = calloc(c->sets.words, sizeof(*c->accepted));
	c->set_of = calloc(c->part, sizeof(*c->set_of));
	c->direct = calloc(c->part, sizeof(*c->direct));
	c->direct_counts = calloc(n, sizeof(*c->direct_counts));
	c->ends = calloc(n, sizeof(*c->ends));
	c->part_starts = calloc(n, sizeof(*c->part_starts));
	if (!c->accepted || !c->set_of || !c->direct || !c->direct_counts || !c->ends || !c->part_starts)
		goto err;
	*cache = c;
	return 0;

err:
	sl_cache_free(c);
	return rc;
}

void
sl_cache_free(struct sl_cache *c)
{
	if (!c)
		return;
	cache_table_fini(c);
	cache_suspect_fini(c);
	sl_verdict_sets_fini(&c->sets);
	free(c->accepted);
	free(c->set_of);
	free(c->direct);
	free(c->direct_lists);
	free(c->direct_counts);
	free(c->lists);
	free(c->ends);
	free(c->part_starts);
	free(c);
}

/* A verdict that can't be kept would have to be a wrong one. */
static void *
need(void *old, size_t bytes)
{
	void *memory = realloc(old, bytes);

	if (!memory) {
		fprintf(stderr,
			"sluice: no memory for filter verdicts (%zu bytes): stopping rather than losing packets\n",
			bytes);
		abort();
	}
	return memory;
}

static void
add_to(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---------------------------------------------------------------- misses */

uint16_t
cache_resolve(struct sl_cache *c, struct cache_class *cls, const uint8_t *data, uint32_t caplen)
{
	struct sl_track track = {0};
	int set;

	cls->missed++;
	cache_suspect_sample(c, data, caplen, cls);
	memset(c->accepted, 0, c->sets.words * sizeof(*c->accepted));
	for (unsigned int i = 0; i < c->params.unit_count; i++)
		if (!c->left_out[i])
			sl_unit_run(&c->params.units[i], data, caplen, &track, c->accepted);
	add_to(&c->misses, 1);
	set = sl_verdict_sets_number(&c->sets, c->accepted);
	if (set < 0) {
		c->forget = true;
		return CACHE_DIRECT;
	}
	if (track.beyond)
		add_to(&c->beyond, 1);
	else if (cache_class_widen(c, cls, &track))
		cache_insert(c, cls, data, caplen, (uint16_t)set);
	else
		c->forget = true;
	return (uint16_t)set;
}

/*
 * Is a lookup, with the misses there are, dearer than the direct way? Then leave the class alone for a while, longer
 * each time, unless it gets better: many flows take many lookups to be learned.
 */
void
cache_judge(struct sl_cache *c, struct cache_class *cls)
{
	uint32_t missed = cls->missed < cls->seen ? cls->missed : cls->seen;
	uint64_t cached = c->cost_lookup + (uint64_t)c->cost_miss * missed / cls->seen;

	/* A class that is left alone is still told from the others, which is half a lookup. */
	if (cached > c->cost_direct + c->cost_lookup / 2) {
		bool learning = cls->missed < cls->last_missed - cls->last_missed / 16;

		if (learning || cls->pause < CACHE_PAUSE_LONG || !cache_suspect_begin(c, cls))
			cls->bypass = cls->pause;
		if (!learning && cls->pause < PAUSE_MAX)
			cls->pause *= 2;
	} else if (cls->pause > CACHE_PAUSE_MIN) {
		cls->pause /= 2;
	}
	cls->last_missed = cls->missed;
	cls->seen = cls->missed = 0;
}

/* ---------------------------------------------------------------- from packets to lists */

/* The part's packets that were found or resolved, into the lists of their programs. */
static void
add_found(struct sl_cache *c, uint32_t from, uint32_t packets)
{
	const uint32_t *first = c->sets.first, *members = c->sets.members;
	uint16_t **ends = c->ends;

	for (uint32_t i = 0; i < packets; i++) {
		uint32_t set = c->set_of[i];

		if (set == CACHE_DIRECT)
			continue;
		for (uint32_t m = first[set]; m < first[set + 1]; m++)
			*ends[members[m]]++ = (uint16_t)(from + i);
	}
}

/* Merge two ascending lists, the first of which has room behind it. */
static uint16_t *
merge(uint16_t *list, uint16_t *end, const uint16_t *more, uint32_t n)
{
	uint16_t *to = end + n, *result = to;

	while (n > 0) {
		if (end > list && end[-1] > more[n - 1])
			*--to = *--end;
		else
			*--to = more[--n];
	}
	return result;
}

/*
 * The direct way: run a unit on some packets, or on the first ones if packets is NULL. Accepted ones go to lists,
 * stride entries a program, and counts.
 */
static void
run_unit(struct sl_cache *c, const struct sl_unit *u, const struct sl_chunk *chunk, const uint16_t *packets,
	uint32_t packet_count, uint16_t *lists, size_t stride)
{
	uint32_t *counts = c->direct_counts;
	struct sl_track track = {0};

	if (!u->common) {
		uint32_t p = u->members[0];

		counts[p] = sl_exec_list(&c->params.programs[p], chunk, packets, packet_count, lists + p * stride);
		return;
	}
	for (unsigned int m = 0; m < u->count; m++)
		counts[u->members[m]] = 0;
	for (uint32_t i = 0; i < packet_count; i++) {
		uint32_t packet = packets ? packets[i] : i;
		const struct sl_record *r = sl_chunk_record(chunk, packet);

		memset(c->accepted, 0, c->sets.words * sizeof(*c->accepted));
		sl_unit_run(u, (const uint8_t *)(r + 1), r->caplen, &track, c->accepted);
		for (uint32_t w = 0; w < c->sets.words; w++)
			for (uint64_t left = c->accepted[w]; left != 0; left &= left - 1) {
				uint32_t p = 64 * w + (uint32_t)__builtin_ctzll(left);

				lists[p * stride + counts[p]++] = (uint16_t)packet;
			}
	}
}

/* The part's other packets, one unit after the other. */
static void
add_direct(struct sl_cache *c, const struct sl_chunk *chunk, uint32_t packets)
{
	if (!c->direct_lists)
		c->direct_lists = need(NULL, (size_t)c->params.program_count * c->part * sizeof(*c->direct_lists));
	for (unsigned int i = 0; i < c->params.unit_count; i++) {
		const struct sl_unit *u = &c->params.units[i];

		if (c->left_out[i])
			continue;
		run_unit(c, u, chunk, c->direct, packets, c->direct_lists, c->part);
		for (unsigned int m = 0; m < u->count; m++) {
			uint32_t p = u->members[m];

			c->ends[p] = merge(c->part_starts[p], c->ends[p], c->direct_lists + (size_t)p * c->part,
				c->direct_counts[p]);
		}
	}
	add_to(&c->bypassed, packets);
}

static void
forget(struct sl_cache *c)
{
	cache_suspect_forget(c);
	cache_table_clear(c);
	sl_verdict_sets_clear(&c->sets);
	c->forget = false;
}

static void
run_part(struct sl_cache *c, const struct sl_chunk *chunk, uint32_t from, uint32_t to)
{
	uint32_t direct = 0;

	if (c->forget) {
		forget(c);
		add_to(&c->forgotten, 1);
	}
	c->scan(c, chunk, from, to);
	for (uint32_t i = 0; i < to - from; i++) {
		c->direct[direct] = (uint16_t)(from + i);
		direct += c->set_of[i] == CACHE_DIRECT;
	}
	if (direct > 0)
		memcpy(c->part_starts, c->ends, c->params.program_count * sizeof(*c->ends));
	if (direct < to - from)
		add_found(c, from, to - from);
	if (direct > 0)
		add_direct(c, chunk, direct);
}

/* Run all units on a whole chunk, or only those that are left out of the cache. */
static void
run_whole(struct sl_cache *c, const struct sl_chunk *chunk, bool all)
{
	for (unsigned int i = 0; i < c->params.unit_count; i++) {
		const struct sl_unit *u = &c->params.units[i];

		if (!all && !c->left_out[i])
			continue;
		run_unit(c, u, chunk, NULL, chunk->packets, c->lists, c->stride);
		for (unsigned int m = 0; m < u->count; m++)
			c->ends[u->members[m]] += c->direct_counts[u->members[m]];
	}
}

/* Units that spoil the keys leave the cache between two chunks; all keys are made anew. */
static void
leave_out(struct sl_cache *c)
{
	c->leave = false;
	for (unsigned int i = 0; i < c->params.unit_count; i++) {
		if (c->leave_out[i] && !c->left_out[i])
			add_to(&c->left_out_count, 1);
		c->left_out[i] = c->leave_out[i];
	}
	forget(c);
}

void
sl_cache_run(struct sl_cache *c, const struct sl_chunk *chunk)
{
	uint64_t direct;
	/* An odd number of cache lines, so that lists do not all compete for the same ones. */
	size_t stride = (chunk->packets + 31u) / 32 * 32 + 32;

	stride += stride / 32 % 2 == 0 ? 32 : 0;
	if (stride * c->params.program_count > c->lists_room) {
		c->lists_room = stride * c->params.program_count;
		c->lists = need(c->lists, c->lists_room * sizeof(*c->lists));
	}
	c->stride = stride;
	for (uint32_t p = 0; p < c->params.program_count; p++)
		c->ends[p] = c->lists + p * stride;
	add_to(&c->packets, chunk->packets);
	if (c->resting > 0) {
		c->resting--;
		run_whole(c, chunk, true);
		add_to(&c->bypassed, chunk->packets);
		return;
	}
	if (c->leave)
		leave_out(c);
	direct = atomic_load_explicit(&c->bypassed, memory_order_relaxed);
	for (uint32_t from = 0; from < chunk->packets; from += c->part)
		run_part(c, chunk, from, from + c->part < chunk->packets ? from + c->part : chunk->packets);
	run_whole(c, chunk, false);
	direct = atomic_load_explicit(&c->bypassed, memory_order_relaxed) - direct;
	/* Where nearly all classes are left alone, even telling them apart is left out, longer each time. */
	if (direct > chunk->packets - chunk->packets / 16u) {
		c->resting = c->rest;
		c->rest = c->rest < REST_MAX ? 2 * c->rest : REST_MAX;
	} else {
		c->rest = 1;
	}
}

const uint16_t *
sl_cache_list(const struct sl_cache *c, uint32_t program, uint32_t *packets)
{
	const uint16_t *list = c->lists + program * c->stride;

	*packets = (uint32_t)(c->ends[program] - list);
	return list;
}

void
sl_cache_add_stats(const struct sl_cache *c, struct sl_filter_stats *stats)
{
	stats->packets += atomic_load_explicit(&c->packets, memory_order_relaxed);
	stats->misses += atomic_load_explicit(&c->misses, memory_order_relaxed);
	stats->direct += atomic_load_explicit(&c->bypassed, memory_order_relaxed);
	stats->left_out += (uint32_t)atomic_load_explicit(&c->left_out_count, memory_order_relaxed);
	stats->beyond += atomic_load_explicit(&c->beyond, memory_order_relaxed);
	stats->forgotten += atomic_load_explicit(&c->forgotten, memory_order_relaxed);
}
