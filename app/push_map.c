/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "push_map.h"

static const struct lcore_stage stages_of_push[] = {
	{"reader", PUSH_STAGE_READER},
	{"filter", PUSH_STAGE_FILTER},
	{"writer", PUSH_STAGE_WRITER},
	{NULL, 0},
};

int
push_map_parse(const char *text, const cpu_set_t *allowed, struct push_map *map, char *errbuf, size_t errlen)
{
	unsigned int readers;
	int rc;

	memset(map, 0, sizeof(*map));
	rc = lcore_map_parse(stages_of_push, text, allowed, map->lcores, &map->count, errbuf, errlen);
	if (rc)
		return rc;
	readers = lcore_map_with(map->lcores, map->count, PUSH_STAGE_READER);
	map->filters = lcore_map_with(map->lcores, map->count, PUSH_STAGE_FILTER);
	map->writers = lcore_map_with(map->lcores, map->count, PUSH_STAGE_WRITER);
	if (readers != 1 || map->filters == 0 || map->writers == 0) {
		snprintf(errbuf, errlen,
			"%u reader, %u filter and %u writer lcores: it takes one reader and at least one of each other",
			readers, map->filters, map->writers);
		return -EINVAL;
	}
	return 0;
}

static void
add_lcore(struct push_map *map, const unsigned int *cpus, unsigned int stages)
{
	map->lcores[map->count] = (struct lcore_entry){.stages = stages, .cpu = cpus[map->count]};
	map->count++;
	map->filters += !!(stages & PUSH_STAGE_FILTER);
	map->writers += !!(stages & PUSH_STAGE_WRITER);
}

void
push_map_choose(const cpu_set_t *allowed, unsigned int targets, struct push_map *map)
{
	unsigned int cpus[PUSH_MAP_MAX], n = 0, writers, filters;

	for (unsigned int c = 0; c < CPU_SETSIZE && n < PUSH_MAP_MAX; c++)
		if (CPU_ISSET(c, allowed))
			cpus[n++] = c;
	memset(map, 0, sizeof(*map));
	if (n == 1) {
		add_lcore(map, cpus, PUSH_STAGE_READER | PUSH_STAGE_FILTER | PUSH_STAGE_WRITER);
		return;
	}
	/* From four CPUs on, one stays free for the main thread and the helpers. */
	if (n >= 4)
		n--;
	/* Few: every lcore filters beside its own stage, since the reader deals chunks to whoever has the least to do.
	 */
	if (n <= 3) {
		add_lcore(map, cpus, PUSH_STAGE_READER | PUSH_STAGE_FILTER);
		if (n == 3)
			add_lcore(map, cpus, PUSH_STAGE_FILTER);
		add_lcore(map, cpus, PUSH_STAGE_FILTER | PUSH_STAGE_WRITER);
		return;
	}
	writers = (n + 1) / 4;
	if (writers < 1)
		writers = 1;
	if (writers > targets)
		writers = targets;
	filters = n - 1 - writers;
	add_lcore(map, cpus, PUSH_STAGE_READER);
	for (unsigned int i = 0; i < filters; i++)
		add_lcore(map, cpus, PUSH_STAGE_FILTER);
	for (unsigned int i = 0; i < writers; i++)
		add_lcore(map, cpus, PUSH_STAGE_WRITER);
}

void
push_map_format(const struct push_map *map, char *text, size_t len)
{
	lcore_map_format(stages_of_push, map->lcores, map->count, text, len);
}
