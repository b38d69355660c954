/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A common path is worth its hash from this many programs on. */
#define MEMBERS_MIN 3u

static bool
is_equal_test(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_JEQ | BPF_K);
}

/* ---------------------------------------------------------------- which programs are alike */

static bool
alike(const struct bpf_program *a, const struct bpf_program *b)
{
	if (a->bf_len != b->bf_len)
		return false;
	for (unsigned int pc = 0; pc < a->bf_len; pc++) {
		const struct bpf_insn *i = &a->bf_insns[pc], *j = &b->bf_insns[pc];

		if (i->code != j->code || i->jt != j->jt || i->jf != j->jf || (i->k != j->k && !is_equal_test(i)))
			return false;
	}
	return true;
}

/* The same for programs that are alike. */
static uint64_t
shape_hash(const struct bpf_program *p)
{
	uint64_t h = p->bf_len;

	for (unsigned int pc = 0; pc < p->bf_len; pc++) {
		const struct bpf_insn *i = &p->bf_insns[pc];
		uint64_t k = is_equal_test(i) ? 0 : i->k;

		h = (h ^ (k << 32 | (uint64_t)i->code << 16 | (uint64_t)i->jt << 8 | i->jf)) *
		    UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h;
}

struct shape {
	uint64_t hash;
	unsigned int program;
};

static int
by_hash(const void *a, const void *b)
{
	const struct shape *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->program < y->program ? -1 : x->program > y->program;
}

/* ---------------------------------------------------------------- one unit */

/* Replace the tests whose constants differ by slots. @return slots */
static unsigned int
make_slots(struct sl_unit *u, unsigned int len)
{
	unsigned int slots = 0;

	memcpy(u->common, u->insns[0], len * sizeof(*u->common));
	for (unsigned int pc = 0; pc < len; pc++) {
		bool same = true;

		if (!is_equal_test(&u->common[pc]))
			continue;
		for (unsigned int m = 1; m < u->count && same; m++)
			same = u->insns[m][pc].k == u->common[pc].k;
		if (same)
			continue;
		/* The slot's number is its place: the table is made from the programs by it. */
		u->common[pc].code = SL_BPF_JEQ_SLOT;
		u->common[pc].k = pc;
		slots++;
	}
	return slots;
}

/* @return 0, -ENOMEM, -E2BIG: too many constants differ to be noted in one run */
static int
make_common(struct sl_unit *u)
{
	uint32_t entries = 0, size = 16, len = u->len;
	unsigned int slots;

	u->common = calloc(len, sizeof(*u->common));
	if (!u->common)
		return -ENOMEM;
	slots = make_slots(u, len);
	if (slots > SL_TRACK_COMPARES)
		return -E2BIG;
	while (size < 2u * slots * u->count)
		size *= 2;
	u->table = calloc(size, sizeof(*u->table));
	u->table_mask = size - 1;
	u->next = calloc((size_t)slots * u->count + 1, sizeof(*u->next));
	u->list = calloc((size_t)slots * u->count + 1, sizeof(*u->list));
	if (!u->table || !u->next || !u->list)
		return -ENOMEM;
	for (unsigned int pc = 0; pc < len; pc++) {
		if (u->common[pc].code != SL_BPF_JEQ_SLOT)
			continue;
		for (unsigned int m = 0; m < u->count; m++) {
			const struct sl_unit_entry *found = sl_unit_find(u, pc, u->insns[m][pc].k);
			struct sl_unit_entry *e = &u->table[found - u->table];

			u->list[entries] = m;
			u->next[entries] = e->first;
			*e = (struct sl_unit_entry){.slot = pc, .value = u->insns[m][pc].k, .first = ++entries};
		}
	}
	return 0;
}

static void
free_unit(struct sl_unit *u)
{
	free(u->members);
	free(u->insns);
	free(u->common);
	free(u->table);
	free(u->next);
	free(u->list);
	*u = (struct sl_unit){0};
}

static int
make_unit(struct sl_unit *u, const struct bpf_program *const *programs, const uint32_t *numbers,
	const struct shape *shapes, unsigned int count)
{
	u->count = count;
	u->len = programs[shapes[0].program]->bf_len;
	u->members = calloc(count, sizeof(*u->members));
	u->insns = calloc(count, sizeof(*u->insns));
	if (!u->members || !u->insns)
		return -ENOMEM;
	for (unsigned int m = 0; m < count; m++) {
		u->members[m] = numbers[shapes[m].program];
		u->insns[m] = programs[shapes[m].program]->bf_insns;
	}
	if (count == 1)
		return 0;
	return make_common(u);
}

/* ---------------------------------------------------------------- all units */

int
sl_units_create(const struct bpf_program *const *programs, const uint32_t *numbers, unsigned int count,
	struct sl_unit **units, unsigned int *unit_count)
{
	struct shape *shapes = calloc(count + 1, sizeof(*shapes));
	struct sl_unit *all = calloc(count + 1, sizeof(*all));
	unsigned int n = 0, run;
	int rc = -ENOMEM;

	if (!shapes || !all)
		goto err;
	for (unsigned int i = 0; i < count; i++)
		shapes[i] = (struct shape){shape_hash(programs[i]), i};
	qsort(shapes, count, sizeof(*shapes), by_hash);
	for (unsigned int i = 0; i < count; i += run) {
		const struct bpf_program *first = programs[shapes[i].program];

		/* A hash that two shapes share ends the run early: a smaller unit, nothing wrong. */
		for (run = 1; i + run < count && alike(first, programs[shapes[i + run].program]); run++)
			;
		if (run < MEMBERS_MIN)
			run = 1;
		rc = make_unit(&all[n], programs, numbers, &shapes[i], run);
		if (rc == -E2BIG) {
			free_unit(&all[n]);
			run = 1;
			rc = make_unit(&all[n], programs, numbers, &shapes[i], run);
		}
		n++;
		if (rc < 0)
			goto err;
	}
	free(shapes);
	*units = all;
	*unit_count = n;
	return 0;

err:
	free(shapes);
	sl_units_free(all, n);
	return rc;
}

void
sl_units_free(struct sl_unit *units, unsigned int unit_count)
{
	for (unsigned int i = 0; units && i < unit_count; i++)
		free_unit(&units[i]);
	free(units);
}

/* ---------------------------------------------------------------- running */

void
sl_unit_run(const struct sl_unit *u, const uint8_t *data, uint32_t caplen, struct sl_track *track, uint64_t *accepted)
{
	uint32_t met;
	bool common;

	if (!u->common) {
		if (sl_track_run(u->insns[0], data, caplen, track) != 0)
			sl_unit_set_accepted(accepted, u->members[0], true);
		return;
	}
	common = sl_track_run(u->common, data, caplen, track) != 0;
	if (common)
		for (unsigned int m = 0; m < u->count; m++)
			sl_unit_set_accepted(accepted, u->members[m], true);
	met = track->compare_count;
	for (uint32_t c = 0; c < met; c++) {
		uint32_t at = sl_unit_find(u, track->compare[c].slot, track->compare[c].value)->first;

		for (; at != 0; at = u->next[at - 1]) {
			uint32_t m = u->list[at - 1];

			sl_unit_set_accepted(
				accepted, u->members[m], sl_track_run(u->insns[m], data, caplen, track) != 0);
		}
	}
}
