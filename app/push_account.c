/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include <rte_cycles.h>

#include "monotonic.h"
#include "push_account.h"

struct push_moment
push_moment_now(void)
{
	return (struct push_moment){.ns = monotonic_ns(), .tsc = rte_rdtsc()};
}

uint64_t
push_cycles_ns(const struct push_moment *begun, uint64_t cycles)
{
	struct push_moment now = push_moment_now();

	/* EAL's own idea of the TSC's frequency is a rough one: eal.c cuts its measurement short. */
	if (now.tsc <= begun->tsc)
		return 0;
	return (uint64_t)((double)cycles * (double)(now.ns - begun->ns) / (double)(now.tsc - begun->tsc));
}

static void
add_lcore(struct push_stage_account *account, struct sl_lcore *lcore, const struct push_moment *begun)
{
	for (unsigned int i = 0; i < lcore->stage_count; i++) {
		struct sl_stage *stage = &lcore->stages[i];

		if (strcmp(stage->name, account->name) != 0)
			continue;
		account->lcores++;
		account->busy_ns +=
			push_cycles_ns(begun, atomic_load_explicit(&stage->busy_cycles, memory_order_relaxed));
		account->idle_ns +=
			push_cycles_ns(begun, atomic_load_explicit(&stage->idle_cycles, memory_order_relaxed));
	}
}

void
push_account(const struct push_map *map, struct sl_lcore *const *lcores, const struct sl_pipeline *pipeline,
	const struct push_moment *begun, struct push_stage_account accounts[PUSH_STAGES])
{
	static const char *const names[PUSH_STAGES] = {"reader", "filter", "writer"};
	struct sl_pipeline_stats stats;

	sl_pipeline_get_stats(pipeline, &stats);
	for (unsigned int s = 0; s < PUSH_STAGES; s++) {
		struct push_stage_account *account = &accounts[s];

		*account = (struct push_stage_account){.name = names[s]};
		for (unsigned int i = 0; i < map->count; i++)
			add_lcore(account, lcores[i], begun);
		if (stats.packets)
			account->ns_per_packet = (double)account->busy_ns / (double)stats.packets;
		if (stats.chunks)
			account->ns_per_chunk = (double)account->busy_ns / (double)stats.chunks;
	}
}
