/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Few units can spoil the keys of all: a filter on payload or on a sequence number makes every packet of a class a key
 * of its own. When a class is found again too rarely and it does not get better, some of its misses are looked at:
 * units that alone read bytes which are hardly ever the same are left out of the cache and run on every packet instead.
 */

#include <errno.h>
#include <stdlib.h>

#include "cache_table.h"

#define SAMPLES 64u
#define MANY_VALUES 24u /* of SAMPLES: such a byte is hardly ever the same */
#define FEW_UNITS 8u /* one of so many units may be left out for a byte */
#define FEW_COST 8u /* all that are left out may cost one of so many parts */

struct cache_suspect {
	struct cache_class *cls; /* whose misses are sampled; NULL: none */
	uint32_t samples;
	uint64_t (*reads)[2]; /* by unit */
	uint64_t values[SL_TRACK_WINDOW][256 / 64]; /* seen, by byte */
};

int
cache_suspect_init(struct sl_cache *c)
{
	c->suspect = calloc(1, sizeof(*c->suspect));
	c->left_out = calloc(c->params.unit_count, sizeof(*c->left_out));
	c->leave_out = calloc(c->params.unit_count, sizeof(*c->leave_out));
	if (!c->suspect || !c->left_out || !c->leave_out)
		return -ENOMEM;
	c->suspect->reads = calloc(c->params.unit_count, sizeof(*c->suspect->reads));
	return c->suspect->reads ? 0 : -ENOMEM;
}

void
cache_suspect_fini(struct sl_cache *c)
{
	if (c->suspect)
		free(c->suspect->reads);
	free(c->suspect);
	free(c->left_out);
	free(c->leave_out);
}

bool
cache_suspect_begin(struct sl_cache *c, struct cache_class *cls)
{
	struct cache_suspect *s = c->suspect;

	if (s->cls || cls->examined)
		return false;
	cls->examined = true;
	memset(s->reads, 0, c->params.unit_count * sizeof(*s->reads));
	memset(s->values, 0, sizeof(s->values));
	s->samples = 0;
	s->cls = cls;
	return true;
}

void
cache_suspect_forget(struct sl_cache *c)
{
	c->suspect->cls = NULL;
}

static uint32_t
values_of(const struct cache_suspect *s, uint32_t byte)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < 256 / 64; i++)
		n += (uint32_t)__builtin_popcountll(s->values[byte][i]);
	return n;
}

static bool
reads(const struct cache_suspect *s, unsigned int unit, uint32_t byte)
{
	return s->reads[unit][byte / 64] >> (byte % 64) & 1;
}

/* Mark the units that read a byte, if they are few and cheap enough. @return what is spent now */
static uint32_t
mark_readers(struct sl_cache *c, uint32_t byte, uint32_t spent)
{
	uint32_t few = c->params.unit_count / FEW_UNITS + 1, readers = 0;

	for (unsigned int u = 0; u < c->params.unit_count; u++)
		readers += reads(c->suspect, u, byte);
	for (unsigned int u = 0; u < c->params.unit_count && readers <= few; u++) {
		uint32_t cost = cache_unit_cost(&c->params.units[u]);

		if (!reads(c->suspect, u, byte) || c->leave_out[u] || (spent + cost) * FEW_COST > c->cost_direct)
			continue;
		c->leave_out[u] = c->leave = true;
		spent += cost;
	}
	return spent;
}

/* Bytes of the most different values first: the cost that is allowed should go to the worst. */
static void
conclude(struct sl_cache *c)
{
	uint32_t spent = 0;

	for (unsigned int u = 0; u < c->params.unit_count; u++)
		spent += c->left_out[u] ? cache_unit_cost(&c->params.units[u]) : 0;
	for (uint32_t values = SAMPLES; values >= MANY_VALUES; values--)
		for (uint32_t byte = 0; byte < SL_TRACK_WINDOW; byte++)
			if (values_of(c->suspect, byte) == values)
				spent = mark_readers(c, byte, spent);
}

void
cache_suspect_sample(struct sl_cache *c, const uint8_t *data, uint32_t caplen, const struct cache_class *cls)
{
	struct cache_suspect *s = c->suspect;
	uint64_t all[2] = {0};

	if (s->cls != cls)
		return;
	for (unsigned int u = 0; u < c->params.unit_count; u++) {
		struct sl_track track;

		if (c->left_out[u])
			continue;
		sl_track_begin(&track);
		sl_unit_run(&c->params.units[u], data, caplen, &track, c->accepted);
		for (unsigned int half = 0; half < 2; half++) {
			s->reads[u][half] |= track.reads[half];
			all[half] |= track.reads[half];
		}
	}
	for (uint32_t byte = 0; byte < SL_TRACK_WINDOW; byte++)
		if (all[byte / 64] >> (byte % 64) & 1)
			s->values[byte][data[byte] / 64] |= UINT64_C(1) << data[byte] % 64;
	if (++s->samples == SAMPLES) {
		s->cls = NULL;
		conclude(c);
	}
}
