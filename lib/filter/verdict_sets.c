/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "verdict_sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bitmaps may take this much: with thousands of programs there are fewer numbers. */
#define BITMAP_BYTES (64u << 20)
#define ROOM_START 64u

int
sl_verdict_sets_init(struct sl_verdict_sets *s, uint32_t programs)
{
	*s = (struct sl_verdict_sets){.programs = programs, .words = (programs + 63) / 64};
	s->limit = BITMAP_BYTES / 8 / s->words;
	if (s->limit > SL_VERDICT_SETS_MAX)
		s->limit = SL_VERDICT_SETS_MAX;
	s->room = ROOM_START;
	s->members_room = ROOM_START;
	s->table_mask = 4 * ROOM_START - 1;
	s->bitmaps = calloc((size_t)s->room * s->words, sizeof(*s->bitmaps));
	s->first = calloc(s->room + 1, sizeof(*s->first));
	s->members = calloc(s->members_room, sizeof(*s->members));
	s->table = calloc(s->table_mask + 1, sizeof(*s->table));
	if (s->bitmaps && s->first && s->members && s->table)
		return 0;
	sl_verdict_sets_fini(s);
	return -ENOMEM;
}

void
sl_verdict_sets_fini(struct sl_verdict_sets *s)
{
	free(s->bitmaps);
	free(s->first);
	free(s->members);
	free(s->table);
	*s = (struct sl_verdict_sets){0};
}

void
sl_verdict_sets_clear(struct sl_verdict_sets *s)
{
	s->count = 0;
	memset(s->table, 0, ((size_t)s->table_mask + 1) * sizeof(*s->table));
}

static uint32_t
hash(const struct sl_verdict_sets *s, const uint64_t *bitmap)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i < s->words; i++) {
		h = (h ^ bitmap[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

static uint32_t *
find(const struct sl_verdict_sets *s, const uint64_t *bitmap)
{
	uint32_t at = hash(s, bitmap) & s->table_mask;

	while (s->table[at] != 0 &&
		memcmp(s->bitmaps + (size_t)(s->table[at] - 1) * s->words, bitmap, s->words * sizeof(*bitmap)) != 0)
		at = (at + 1) & s->table_mask;
	return &s->table[at];
}

static bool
grow(struct sl_verdict_sets *s)
{
	uint32_t room = 2 * s->room;
	uint64_t *bitmaps = realloc(s->bitmaps, (size_t)room * s->words * sizeof(*bitmaps));
	uint32_t *first, *table;

	if (bitmaps)
		s->bitmaps = bitmaps;
	first = realloc(s->first, ((size_t)room + 1) * sizeof(*first));
	if (first)
		s->first = first;
	table = calloc((size_t)4 * room, sizeof(*table));
	if (!bitmaps || !first || !table) {
		free(table);
		return false;
	}
	free(s->table);
	s->table = table;
	s->table_mask = 4 * room - 1;
	s->room = room;
	for (uint32_t n = 0; n < s->count; n++)
		*find(s, s->bitmaps + (size_t)n * s->words) = n + 1;
	return true;
}

int
sl_verdict_sets_number(struct sl_verdict_sets *s, const uint64_t *bitmap)
{
	uint32_t *entry = find(s, bitmap), n, members = 0;

	if (*entry != 0)
		return (int)*entry - 1;
	if (s->count == s->limit)
		return -1;
	if (s->count == s->room) {
		if (!grow(s))
			return -1;
		entry = find(s, bitmap);
	}
	n = s->count;
	if (n == 0)
		s->first[0] = 0;
	for (uint32_t i = 0; i < s->words; i++)
		members += (uint32_t)__builtin_popcountll(bitmap[i]);
	if (s->first[n] + members > s->members_room) {
		uint32_t room = 2 * (s->first[n] + members);
		uint32_t *more = realloc(s->members, room * sizeof(*more));

		if (!more)
			return -1;
		s->members = more;
		s->members_room = room;
	}
	memcpy(s->bitmaps + (size_t)n * s->words, bitmap, s->words * sizeof(*bitmap));
	s->first[n + 1] = s->first[n];
	for (uint32_t i = 0; i < s->words; i++)
		for (uint64_t left = bitmap[i]; left != 0; left &= left - 1)
			s->members[s->first[n + 1]++] = 64 * i + (uint32_t)__builtin_ctzll(left);
	s->count++;
	*entry = n + 1;
	return (int)n;
}
