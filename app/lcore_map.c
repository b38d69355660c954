/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcore_map.h"

static unsigned int
stage_by_name(const struct lcore_stage *stages, const char *name)
{
	unsigned int all = 0;

	for (; stages->name; stages++) {
		if (!strcmp(name, stages->name))
			return stages->bit;
		all |= stages->bit;
	}
	return strcmp(name, "all") == 0 ? all : 0;
}

/* "reader, filter, writer and all" */
static void
list_stages(const struct lcore_stage *stages, char *text, size_t len)
{
	size_t used = 0;

	for (; stages->name && used < len; stages++)
		used += (size_t)snprintf(text + used, len - used, "%s%s", used ? ", " : "", stages->name);
	if (used < len)
		snprintf(text + used, len - used, " and all");
}

static int
parse_entry(const struct lcore_stage *stages, char *text, const cpu_set_t *allowed, struct lcore_entry *entry,
	char *errbuf, size_t errlen)
{
	char *at = strchr(text, '@'), *end, *save;
	unsigned long cpu;

	if (!at) {
		snprintf(errbuf, errlen, "'%s' names no CPU: write STAGES@CPU, such as %s+%s@0", text, stages[0].name,
			stages[1].name);
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

		cpu_list_format(allowed, list, sizeof(list));
		snprintf(errbuf, errlen, "CPU %lu is not among those this process may use (%s)", cpu, list);
		return -EINVAL;
	}
	entry->cpu = (unsigned int)cpu;
	entry->stages = 0;
	for (char *word = strtok_r(text, "+", &save); word; word = strtok_r(NULL, "+", &save)) {
		unsigned int stage = stage_by_name(stages, word);

		if (!stage) {
			char names[128];

			list_stages(stages, names, sizeof(names));
			snprintf(errbuf, errlen, "no stage '%s': there are %s", word, names);
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
lcore_map_parse(const struct lcore_stage *stages, const char *text, const cpu_set_t *allowed,
	struct lcore_entry *lcores, unsigned int *count, char *errbuf, size_t errlen)
{
	char *copy = strdup(text), *save;
	int rc = 0;

	if (!copy)
		return -ENOMEM;
	*count = 0;
	for (char *word = strtok_r(copy, ",", &save); word && !rc; word = strtok_r(NULL, ",", &save)) {
		if (*count == LCORE_MAP_MAX) {
			snprintf(errbuf, errlen, "more than %d lcores", LCORE_MAP_MAX);
			rc = -EINVAL;
			break;
		}
		rc = parse_entry(stages, word, allowed, &lcores[*count], errbuf, errlen);
		if (!rc)
			++*count;
	}
	free(copy);
	return rc;
}

unsigned int
lcore_map_with(const struct lcore_entry *lcores, unsigned int count, unsigned int stage)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count; i++)
		n += !!(lcores[i].stages & stage);
	return n;
}

void
lcore_map_format(
	const struct lcore_stage *stages, const struct lcore_entry *lcores, unsigned int count, char *text, size_t len)
{
	unsigned int all = stage_by_name(stages, "all");
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < count && used < len; i++) {
		const char *plus = "";

		used += (size_t)snprintf(text + used, len - used, "%s", i ? "," : "");
		/* "all" stands alone; otherwise the single stages. */
		if (lcores[i].stages == all && used < len)
			used += (size_t)snprintf(text + used, len - used, "all");
		for (const struct lcore_stage *s = stages; s->name && lcores[i].stages != all && used < len; s++) {
			if (!(lcores[i].stages & s->bit))
				continue;
			used += (size_t)snprintf(text + used, len - used, "%s%s", plus, s->name);
			plus = "+";
		}
		if (used < len)
			used += (size_t)snprintf(text + used, len - used, "@%u", lcores[i].cpu);
	}
}

void
lcore_map_cpus(const struct lcore_entry *lcores, unsigned int count, cpu_set_t *cpus)
{
	CPU_ZERO(cpus);
	for (unsigned int i = 0; i < count; i++)
		CPU_SET(lcores[i].cpu, cpus);
}

bool
lcore_map_shares_cpu(const struct lcore_entry *lcores, unsigned int count)
{
	cpu_set_t cpus;

	lcore_map_cpus(lcores, count, &cpus);
	return (unsigned int)CPU_COUNT(&cpus) < count;
}

int
lcore_map_helpers(const char *list, const struct lcore_entry *lcores, unsigned int count, const cpu_set_t *allowed,
	cpu_set_t *helpers, char *errbuf, size_t errlen)
{
	cpu_set_t some;

	if (list) {
		if (cpu_list_parse(list, helpers)) {
			snprintf(errbuf, errlen, "not a CPU list such as 0,2-3");
			return -EINVAL;
		}
		CPU_AND(&some, helpers, allowed);
		if (!CPU_EQUAL(&some, helpers)) {
			snprintf(errbuf, errlen, "not all of them may be used by this process");
			return -EINVAL;
		}
		return 0;
	}
	lcore_map_cpus(lcores, count, &some);
	CPU_AND(&some, &some, allowed);
	CPU_XOR(helpers, allowed, &some);
	if (CPU_COUNT(helpers) == 0)
		*helpers = *allowed;
	return 0;
}

int
cpu_list_parse(const char *text, cpu_set_t *cpus)
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
cpu_list_format(const cpu_set_t *cpus, char *text, size_t len)
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
