/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What is known about a class before its first packet is looked up: units that it decides, and all bytes that the
 * others may read. Then a miss runs the undecided ones by machine code, without noting what they read.
 */

#include <errno.h>
#include <stdlib.h>

#include "cache_table.h"

/*
 * Packets may be as short as this behind their network header, and be told apart by bytes that all of them have: an
 * IPv4 header with that of TCP, IPv6 with ports and flags, or the shortest Ethernet frame.
 */
#define IPV4_BYTES 40u
#define IPV6_BYTES 54u
#define OTHER_BYTES 46u
/* Instructions of all units, for one class: so much time a new class may take. */
#define INSTRUCTIONS_MAX 200000u

void
cache_fixed_free(struct cache_fixed *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; f->open && i < f->open_count; i++)
		free(f->open[i].path);
	free(f->open);
	free(f->noted);
	free(f->accepted);
	free(f);
}

static struct cache_fixed *
fixed_new(const struct sl_cache *c)
{
	struct cache_fixed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->open = calloc(c->params.unit_count, sizeof(*f->open));
	f->noted = calloc(c->params.unit_count, sizeof(*f->noted));
	f->accepted = calloc(c->sets.words, sizeof(*f->accepted));
	if (f->open && f->noted && f->accepted)
		return f;
	cache_fixed_free(f);
	return NULL;
}

static void
accept_all(struct cache_fixed *f, const struct sl_unit *u)
{
	for (unsigned int m = 0; m < u->count; m++)
		sl_unit_set_accepted(f->accepted, u->members[m], true);
}

static uint32_t
max_end(uint32_t class_key, uint32_t net_off)
{
	uint32_t kind = class_key & SL_CLASS_KIND;

	return net_off + (kind == SL_CLASS_IPV4 ? IPV4_BYTES : kind == SL_CLASS_IPV6 ? IPV6_BYTES : OTHER_BYTES);
}

/* NULL: none, or no memory, which costs time only */
static struct sl_path *
find_path(const struct sl_unit *u, const struct sl_known *known, uint32_t end)
{
	struct sl_path *path = u->common ? calloc(1, sizeof(*path)) : NULL;

	if (path && sl_path_find(u->common, known, end, path))
		return path;
	free(path);
	return NULL;
}

/* @return 0, -ENOMEM */
static int
add_unit(const struct sl_cache *c, struct cache_fixed *f, struct cache_class *cls, uint32_t number,
	const struct sl_known *known, uint32_t end)
{
	const struct sl_unit *u = &c->params.units[number];
	struct sl_partial partial;

	if (sl_partial_run(u->common ? u->common : u->insns[0], u->len, known, end, &partial) < 0)
		return -ENOMEM;
	switch (partial.result) {
	case SL_PARTIAL_REJECT:
		/* also when a load is out of bounds */
		return 0;
	case SL_PARTIAL_ACCEPT:
		accept_all(f, u);
		break;
	case SL_PARTIAL_OPEN:
		f->open[f->open_count] = cache_open_unit(c, number);
		f->open[f->open_count++].path = find_path(u, known, end);
		for (uint32_t i = 0; i < SL_TRACK_WINDOW; i++)
			f->matters[i] |= partial.matters[i];
		break;
	case SL_PARTIAL_UNKNOWN:
		f->noted[f->noted_count++] = number;
		return 0;
	}
	if (partial.end > cls->least)
		cls->least = partial.end;
	return 0;
}

void
cache_fixed_make(struct sl_cache *c, struct cache_class *cls, uint32_t key, const uint8_t *data)
{
	struct cache_fixed *f;
	struct sl_known known;
	uint32_t end;

	if (key == SL_CLASS_NONE || (key & SL_CLASS_SHORT) || c->instructions > INSTRUCTIONS_MAX)
		return;
	f = fixed_new(c);
	if (!f)
		return;
	end = max_end(key, sl_class_known(&c->layout, key, data, &known));
	for (unsigned int i = 0; i < c->params.unit_count; i++) {
		if (c->left_out[i] || add_unit(c, f, cls, i, &known, end) == 0)
			continue;
		/* No memory: the class goes without. */
		cls->least = 0;
		cache_fixed_free(f);
		return;
	}
	cls->fixed = f;
	cls->cost_miss = cache_miss_cost(c, f);
	cls->cost_direct = 0;
	for (uint32_t i = 0; i < f->open_count; i++)
		cls->cost_direct += cache_open_cost(c, &f->open[i]);
	for (uint32_t i = 0; i < f->noted_count; i++)
		cls->cost_direct += cache_unit_cost(&c->params.units[f->noted[i]]);
}

static void
run_path(const struct sl_cache *c, const struct sl_unit *u, const struct sl_path *path, const uint8_t *data)
{
	for (unsigned int m = 0; path->accept && m < u->count; m++)
		sl_unit_set_accepted(c->accepted, u->members[m], true);
	for (uint32_t n = 0; n < path->count; n++) {
		uint32_t at = sl_unit_find(u, path->compare[n].slot, sl_path_value(path, n, data))->first;

		for (; at != 0; at = u->next[at - 1]) {
			uint32_t p = u->members[u->list[at - 1]];

			sl_unit_set_accepted(c->accepted, p, sl_exec_one(&c->params.programs[p], data));
		}
	}
}

void
cache_fixed_run_group(const struct sl_cache *c, const struct cache_open *open, const uint8_t *data, uint32_t caplen)
{
	struct sl_track known_already;

	if (open->path) {
		run_path(c, &c->params.units[open->unit], open->path, data);
		return;
	}
	sl_track_begin(&known_already);
	sl_unit_run(&c->params.units[open->unit], data, caplen, &known_already, c->accepted);
}

void
cache_fixed_run(const struct sl_cache *c, const struct cache_fixed *f, const uint8_t *data, uint32_t caplen,
	struct sl_track *track)
{
	for (uint32_t w = 0; w < c->sets.words; w++)
		c->accepted[w] = f->accepted[w];
	for (uint32_t i = 0; i < f->open_count; i++) {
		const struct cache_open *open = &f->open[i];

		if (open->exec)
			c->accepted[open->program / 64] |= (uint64_t)sl_exec_one(open->exec, data)
							   << open->program % 64;
		else
			cache_fixed_run_group(c, open, data, caplen);
	}
	for (uint32_t i = 0; i < f->noted_count; i++)
		sl_unit_run(&c->params.units[f->noted[i]], data, caplen, track, c->accepted);
}
