/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "cache.h"

#include <errno.h>
#include <stdlib.h>

#include "cache_table.h"
#include "counter.h"

/* ns a packet or so, measured on one machine; they only decide what is worth a lookup. */
#define COST_RUN 4u /* machine code, on many packets after another */
#define COST_RUN_ONE 9u /* on one packet among other programs */
#define COST_TRACK 30u /* a run that notes what it reads */
#define COST_COMMON 40u /* the common path of several programs */
#define COST_PATH 8u /* the same where it is one way through the class */
#define COST_LOOKUP 12u
#define COST_LOOKUP_PORTABLE 22u
#define COST_KEEP 120u /* what a miss adds to the runs */

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
	return params->program_count * COST_RUN > 2 * lookup_cost(params);
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
	for (unsigned int i = 0; i < params->unit_count; i++)
		c->instructions += params->units[i].len;
	c->part = PART_ENTRIES / n < PART_MIN ? PART_MIN : PART_ENTRIES / n > PART_MAX ? PART_MAX : PART_ENTRIES / n;
	c->rest = 1;
	cache_scan_select(c);
	if (cache_suspect_init(c) < 0 || sl_verdict_sets_init(&c->sets, n) < 0 || cache_table_init(c) < 0)
		goto err;
	c->accepted = calloc(c->sets.words, sizeof(*c->accepted));
	c->set_of = calloc(c->part, sizeof(*c->set_of));
	c->ends = calloc(n, sizeof(*c->ends));
	if (!c->accepted || !c->set_of || !c->ends || cache_direct_init(c) < 0)
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
	cache_direct_fini(c);
	free(c->lists);
	free(c->ends);
	free(c);
}

uint32_t
cache_open_cost(const struct sl_cache *c, const struct cache_open *open)
{
	return open->path ? COST_PATH : cache_unit_cost(&c->params.units[open->unit]);
}

/* ---------------------------------------------------------------- misses */

static uint32_t
noted_cost(const struct sl_unit *u)
{
	return u->common ? COST_COMMON + COST_TRACK : COST_TRACK;
}

uint32_t
cache_miss_cost(const struct sl_cache *c, const struct cache_fixed *fixed)
{
	uint32_t cost = COST_KEEP;

	if (!fixed) {
		for (unsigned int i = 0; i < c->params.unit_count; i++)
			cost += noted_cost(&c->params.units[i]);
		return cost;
	}
	for (uint32_t i = 0; i < fixed->open_count; i++)
		cost += fixed->open[i].exec ? COST_RUN_ONE : cache_open_cost(c, &fixed->open[i]);
	for (uint32_t i = 0; i < fixed->noted_count; i++)
		cost += noted_cost(&c->params.units[fixed->noted[i]]);
	return cost;
}

/* Run all units, and note what they read. */
static void
run_noted(const struct sl_cache *c, const uint8_t *data, uint32_t caplen, struct sl_track *track)
{
	cache_accept_none(c);
	for (unsigned int i = 0; i < c->params.unit_count; i++)
		if (!c->left_out[i])
			sl_unit_run(&c->params.units[i], data, caplen, track, c->accepted);
}

uint16_t
cache_resolve(struct sl_cache *c, struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	const struct cache_lookup *lookup)
{
	struct sl_track track;
	int set;

	cls->missed++;
	sl_track_begin(&track);
	cache_suspect_sample(c, data, caplen, cls);
	if (cls->fixed)
		cache_fixed_run(c, cls->fixed, data, caplen, &track);
	else
		run_noted(c, data, caplen, &track);
	sl_counter_add(&c->misses, 1);
	set = sl_verdict_sets_number(&c->sets, c->accepted);
	if (set < 0) {
		c->forget = true;
		return CACHE_DIRECT;
	}
	if (track.beyond)
		sl_counter_add(&c->beyond, 1);
	else if (cache_class_widen(c, cls, &track))
		cache_insert(c, cls, data, caplen, lookup, (uint16_t)set);
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
	uint64_t cached = c->cost_lookup + (uint64_t)cls->cost_miss * missed / cls->seen;

	/* To tell the classes that are left alone apart, and to merge their lists, costs about as much as a lookup. */
	if (cached > cls->cost_direct + c->cost_lookup || cached > c->cost_direct) {
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
		sl_counter_add(&c->forgotten, 1);
	}
	c->scan(c, chunk, from, to);
	for (uint32_t i = 0; i < to - from; i++)
		direct += c->set_of[i] == CACHE_DIRECT;
	if (direct > 0)
		memcpy(c->part_starts, c->ends, c->params.program_count * sizeof(*c->ends));
	if (direct < to - from)
		add_found(c, from, to - from);
	if (direct > 0)
		cache_direct_part(c, chunk, from, to);
	sl_counter_add(&c->bypassed, direct);
}

/* Units that spoil the keys leave the cache between two chunks; all keys are made anew. */
static void
leave_out(struct sl_cache *c)
{
	c->leave = false;
	for (unsigned int i = 0; i < c->params.unit_count; i++) {
		if (c->leave_out[i] && !c->left_out[i])
			sl_counter_add(&c->left_out_count, 1);
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
		c->lists = sl_exec_memory(c->lists, c->lists_room * sizeof(*c->lists));
	}
	c->stride = stride;
	for (uint32_t p = 0; p < c->params.program_count; p++)
		c->ends[p] = c->lists + p * stride;
	sl_counter_add(&c->packets, chunk->packets);
	if (c->resting > 0) {
		c->resting--;
		cache_direct_chunk(c, chunk, true);
		sl_counter_add(&c->bypassed, chunk->packets);
		return;
	}
	if (c->leave)
		leave_out(c);
	direct = atomic_load_explicit(&c->bypassed, memory_order_relaxed);
	c->direct_cost = 0;
	for (uint32_t from = 0; from < chunk->packets; from += c->part)
		run_part(c, chunk, from, from + c->part < chunk->packets ? from + c->part : chunk->packets);
	cache_direct_chunk(c, chunk, false);
	direct = atomic_load_explicit(&c->bypassed, memory_order_relaxed) - direct;
	/*
	 * Where nearly all classes are left alone, and decide too little to make up for it, not even telling them apart
	 * pays: that is left out too, longer each time.
	 */
	if (direct > chunk->packets - chunk->packets / 16u &&
		c->direct_cost / direct + c->cost_lookup > c->cost_direct) {
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
