/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The direct way: programs are run, one after the other, each on all packets of a class that it does not decide.
 */

#include <errno.h>
#include <stdlib.h>

#include "cache_table.h"

int
cache_direct_init(struct sl_cache *c)
{
	uint32_t n = c->params.program_count;

	c->direct_class = calloc(c->part, sizeof(*c->direct_class));
	c->direct = calloc(c->part, sizeof(*c->direct));
	c->direct_counts = calloc(n, sizeof(*c->direct_counts));
	c->part_starts = calloc(n, sizeof(*c->part_starts));
	return c->direct_class && c->direct && c->direct_counts && c->part_starts ? 0 : -ENOMEM;
}

void
cache_direct_fini(struct sl_cache *c)
{
	free(c->direct_class);
	free(c->direct);
	free(c->direct_lists);
	free(c->direct_counts);
	free(c->part_starts);
}

/* What was accepted of a packet, to the lists. */
static void
put_accepted(struct sl_cache *c, uint32_t packet, uint16_t *lists, size_t stride)
{
	for (uint32_t w = 0; w < c->sets.words; w++)
		for (uint64_t left = c->accepted[w]; left != 0; left &= left - 1) {
			uint32_t p = 64 * w + (uint32_t)__builtin_ctzll(left);

			lists[p * stride + c->direct_counts[p]++] = (uint16_t)packet;
		}
}

/*
 * Run a unit on some packets, or on the first ones if packets is NULL. Accepted ones go to lists, stride entries a
 * program, and direct_counts.
 */
static void
run_unit(struct sl_cache *c, const struct cache_open *open, const struct sl_chunk *chunk, const uint16_t *packets,
	uint32_t packet_count, uint16_t *lists, size_t stride)
{
	const struct sl_unit *u = &c->params.units[open->unit];

	if (open->exec) {
		c->direct_counts[open->program] =
			sl_exec_list(open->exec, chunk, packets, packet_count, lists + open->program * stride);
		return;
	}
	for (unsigned int m = 0; m < u->count; m++)
		c->direct_counts[u->members[m]] = 0;
	for (uint32_t i = 0; i < packet_count; i++) {
		uint32_t packet = packets ? packets[i] : i;
		const struct sl_record *r = sl_chunk_record(chunk, packet);

		cache_accept_none(c);
		cache_fixed_run_group(c, open, (const uint8_t *)(r + 1), r->caplen);
		put_accepted(c, packet, lists, stride);
	}
}

/* Merge packets of the part into a program's list, which has room behind it. */
static void
merge(struct sl_cache *c, uint32_t program, const uint16_t *more, uint32_t n)
{
	uint16_t *begin = c->part_starts[program], *end = c->ends[program], *to = end + n;

	c->ends[program] = to;
	while (n > 0) {
		if (end > begin && end[-1] > more[n - 1])
			*--to = *--end;
		else
			*--to = more[--n];
	}
}

static void
add_unit(struct sl_cache *c, const struct cache_open *open, const struct sl_chunk *chunk, const uint16_t *packets,
	uint32_t n)
{
	const struct sl_unit *u = &c->params.units[open->unit];

	run_unit(c, open, chunk, packets, n, c->direct_lists, c->part);
	for (unsigned int m = 0; m < u->count; m++) {
		uint32_t p = u->members[m];

		merge(c, p, c->direct_lists + (size_t)p * c->part, c->direct_counts[p]);
	}
}

static void
add_noted(struct sl_cache *c, uint32_t unit, const struct sl_chunk *chunk, const uint16_t *packets, uint32_t n)
{
	const struct cache_open open = cache_open_unit(c, unit);

	add_unit(c, &open, chunk, packets, n);
}

/* Packets of one class, ascending. */
static void
add_class(struct sl_cache *c, const struct cache_class *cls, const struct sl_chunk *chunk, const uint16_t *packets,
	uint32_t n)
{
	const struct cache_fixed *f = cls->fixed;

	if (!f) {
		for (uint32_t i = 0; i < c->params.unit_count; i++)
			if (!c->left_out[i])
				add_noted(c, i, chunk, packets, n);
		return;
	}
	for (uint32_t i = 0; i < f->open_count; i++)
		add_unit(c, &f->open[i], chunk, packets, n);
	for (uint32_t i = 0; i < f->noted_count; i++)
		add_noted(c, f->noted[i], chunk, packets, n);
	for (uint32_t w = 0; w < c->sets.words; w++)
		for (uint64_t left = f->accepted[w]; left != 0; left &= left - 1)
			merge(c, 64 * w + (uint32_t)__builtin_ctzll(left), packets, n);
}

void
cache_direct_part(struct sl_cache *c, const struct sl_chunk *chunk, uint32_t from, uint32_t to)
{
	uint32_t next[CACHE_CLASSES] = {0}, first = 0, n;

	for (uint32_t i = 0; i < to - from; i++)
		if (c->set_of[i] == CACHE_DIRECT)
			next[c->direct_class[i]]++;
	for (unsigned int k = 0; k < c->class_count; k++) {
		n = next[k];
		next[k] = first;
		first += n;
	}
	if (!c->direct_lists)
		c->direct_lists =
			sl_exec_memory(NULL, (size_t)c->params.program_count * c->part * sizeof(*c->direct_lists));
	for (uint32_t i = 0; i < to - from; i++)
		if (c->set_of[i] == CACHE_DIRECT)
			c->direct[next[c->direct_class[i]]++] = (uint16_t)(from + i);
	first = 0;
	for (unsigned int k = 0; k < c->class_count; k++) {
		n = next[k] - first;
		if (n > 0)
			add_class(c, &c->classes[k], chunk, c->direct + first, n);
		c->direct_cost += (uint64_t)n * c->classes[k].cost_direct;
		first = next[k];
	}
}

void
cache_direct_chunk(struct sl_cache *c, const struct sl_chunk *chunk, bool all)
{
	for (unsigned int i = 0; i < c->params.unit_count; i++) {
		const struct cache_open open = cache_open_unit(c, i);
		const struct sl_unit *u = &c->params.units[i];

		if (!all && !c->left_out[i])
			continue;
		run_unit(c, &open, chunk, NULL, chunk->packets, c->lists, c->stride);
		for (unsigned int m = 0; m < u->count; m++)
			c->ends[u->members[m]] += c->direct_counts[u->members[m]];
	}
}
