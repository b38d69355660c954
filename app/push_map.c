/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push_map.h"

static const struct {
	const char *name;
	unsigned int stages;
} stage_names[] = {
	{"reader", PUSH_STAGE_READER},
	{"filter", PUSH_STAGE_FILTER},
	{"writer", PUSH_STAGE_WRITER},
	{"all", PUSH_STAGE_READER | PUSH_STAGE_FILTER | PUSH_STAGE_WRITER},
};

static unsigned int
stage_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(stage_names) / sizeof(stage_names[0]); i++)
		if (!strcmp(name, stage_names[i].name))
			return stage_names[i].stages;
	return 0;
}

static int
parse_entry(char *text, const cpu_set_t *allowed, struct push_map_entry *entry, char *errbuf, size_t errlen)
{
	char *at = strchr(text, '@'), *end, *save;
	unsigned long cpu;

	if (!at) {
		snprintf(errbuf, errlen, "'%s' names no CPU: write STAGES@CPU, such as reader+filter@0", text);
		return -EINVAL;
	}
	*at++ = '\0';
	errno = 0;
	cpu = strtoul(at, &end, 10);
	if (end == at || *end != '\0' || errno || cpu >= CPU_SETSIZE) {
		snprintf(errbuf, errlen, "'%s' is not a CPU number", at);
		return -EINVAL;
	}
	if (!CPU_ISSET(cpu, allowed)) {
		char list[256];

		push_cpu_list_format(allowed, list, sizeof(list));
		snprintf(errbuf, errlen, "CPU %lu is not among those this process may use (%s)", cpu, list);
		return -EINVAL;
	}
	entry->cpu = (unsigned int)cpu;
	entry->stages = 0;
	for (char *word = strtok_r(text, "+", &save); word; word = strtok_r(NULL, "+", &save)) {
		unsigned int stage = stage_by_name(word);

		if (!stage) {
			snprintf(errbuf, errlen, "no stage '%s': there are reader, filter, writer and all", word);
			return -EINVAL;
		}
		if (entry->stages & stage) {
			snprintf(errbuf, errlen, "stage '%s' twice on one lcore", word);
			return -EINVAL;
		}
		entry->stages |= stage;
	}
	if (!entry->stages) {
		snprintf(errbuf, errlen, "an lcore without a stage at '@%s'", at);
		return -EINVAL;
	}
	return 0;
}

int
push_map_parse(const char *text, const cpu_set_t *allowed, struct push_map *map, char *errbuf, size_t errlen)
{
	char *copy = strdup(text), *save;
	unsigned int readers = 0;
	int rc = 0;

	if (!copy)
		return -ENOMEM;
	memset(map, 0, sizeof(*map));
	for (char *word = strtok_r(copy, ",", &save); word && !rc; word = strtok_r(NULL, ",", &save)) {
		struct push_map_entry *entry = &map->lcores[map->count];

		if (map->count == PUSH_MAP_MAX) {
			snprintf(errbuf, errlen, "more than %d lcores", PUSH_MAP_MAX);
			rc = -EINVAL;
			break;
		}
		rc = parse_entry(word, allowed, entry, errbuf, errlen);
		if (rc)
			break;
		map->count++;
		readers += !!(entry->stages & PUSH_STAGE_READER);
		map->filters += !!(entry->stages & PUSH_STAGE_FILTER);
		map->writers += !!(entry->stages & PUSH_STAGE_WRITER);
	}
	free(copy);
	if (!rc && (readers != 1 || map->filters == 0 || map->writers == 0)) {
		snprintf(errbuf, errlen,
			"%u reader, %u filter and %u writer lcores: it takes one reader and at least one of each other",
			readers, map->filters, map->writers);
		rc = -EINVAL;
	}
	return rc;
}

static void
add_lcore(struct push_map *map, const unsigned int *cpus, unsigned int stages)
{
	map->lcores[map->count] = (struct push_map_entry){.stages = stages, .cpu = cpus[map->count]};
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
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < map->count && used < len; i++) {
		unsigned int stages = map->lcores[i].stages;
		const char *plus = "";

		used += (size_t)snprintf(text + used, len - used, "%s", i ? "," : "");
		for (size_t s = 0; s < 4 && used < len; s++) {
			/* "all" stands alone; otherwise the single stages. */
			if (stages == stage_names[3].stages ? s != 3 : s == 3 || !(stages & stage_names[s].stages))
				continue;
			used += (size_t)snprintf(text + used, len - used, "%s%s", plus, stage_names[s].name);
			plus = "+";
		}
		if (used < len)
			used += (size_t)snprintf(text + used, len - used, "@%u", map->lcores[i].cpu);
	}
}

void
push_map_cpus(const struct push_map *map, cpu_set_t *cpus)
{
	CPU_ZERO(cpus);
	for (unsigned int i = 0; i < map->count; i++)
		CPU_SET(map->lcores[i].cpu, cpus);
}

bool
push_map_shares_cpu(const struct push_map *map)
{
	cpu_set_t cpus;

	push_map_cpus(map, &cpus);
	return (unsigned int)CPU_COUNT(&cpus) < map->count;
}

int
push_cpu_list_parse(const char *text, cpu_set_t *cpus)
{
	const char *p = text;

	CPU_ZERO(cpus);
	while (*p) {
		char *end;
		unsigned long a = strtoul(p, &end, 10), b = a;

		if (end == p)
			return -EINVAL;
		if (*end == '-') {
			p = end + 1;
			b = strtoul(p, &end, 10);
			if (end == p)
				return -EINVAL;
		}
		if (a > b || b >= CPU_SETSIZE)
			return -EINVAL;
		for (unsigned long c = a; c <= b; c++)
			CPU_SET(c, cpus);
		if (*end == ',')
			end++;
		else if (*end != '\0')
			return -EINVAL;
		p = end;
	}
	return CPU_COUNT(cpus) ? 0 : -EINVAL;
}

void
push_cpu_list_format(const cpu_set_t *cpus, char *text, size_t len)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int c = 0; c < CPU_SETSIZE && used < len; c++) {
		unsigned int last = c;

		if (!CPU_ISSET(c, cpus))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
			last++;
		if (last == c)
			used += (size_t)snprintf(text + used, len - used, "%s%u", used ? "," : "", c);
		else
			used += (size_t)snprintf(text + used, len - used, "%s%u-%u", used ? "," : "", c, last);
		c = last;
	}
}
