/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>

#include "push_account.h"
#include "push_telemetry.h"

#define NAME_SIZE 64
/* EAL takes no longer array than it has room for. */
#define TARGETS_MAX (RTE_TEL_MAX_ARRAY_ENTRIES - 1)

/* EAL's thread asks while the main thread may be ending. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct push *asked;

static void
add_u64(struct rte_tel_data *d, const char *of, const char *what, uint64_t value)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s/%s", of, what);
	rte_tel_data_add_dict_u64(d, name, value);
}

static void
tell_lcores(const struct push *push, struct rte_tel_data *d)
{
	for (unsigned int i = 0; i < push->map.count; i++) {
		struct sl_lcore *lcore = push->lcores[i];
		/* A key may have no dash, and "sl-" is every one's. */
		const char *name = lcore->name + strlen("sl-");

		add_u64(d, name, "cpu", push->map.lcores[i].cpu);
		add_u64(d, name, "busy_cycles", atomic_load_explicit(&lcore->busy_cycles, memory_order_relaxed));
		add_u64(d, name, "idle_cycles", atomic_load_explicit(&lcore->idle_cycles, memory_order_relaxed));
	}
}

static void
tell_stages(const struct push *push, struct rte_tel_data *d)
{
	struct push_stage_account accounts[PUSH_STAGES];
	struct sl_pipeline_stats stats;

	sl_pipeline_get_stats(push->pipeline, &stats);
	push_account(&push->map, push->lcores, push->pipeline, &push->begun, accounts);
	rte_tel_data_add_dict_u64(d, "packets", stats.packets);
	rte_tel_data_add_dict_u64(d, "bytes", stats.bytes);
	rte_tel_data_add_dict_u64(d, "chunks", stats.chunks);
	rte_tel_data_add_dict_u64(d, "bad_chunks", stats.bad_chunks);
	rte_tel_data_add_dict_u64(d, "catchup_chunks", stats.catchup_chunks);
	if (stats.first_dispatch_ns)
		rte_tel_data_add_dict_u64(d, "start_to_first_dispatch_ns", stats.first_dispatch_ns - push->begun.ns);
	for (unsigned int s = 0; s < PUSH_STAGES; s++) {
		const struct push_stage_account *a = &accounts[s];

		add_u64(d, a->name, "lcores", a->lcores);
		add_u64(d, a->name, "busy_ns", a->busy_ns);
		add_u64(d, a->name, "idle_ns", a->idle_ns);
		add_u64(d, a->name, "ps_per_packet", (uint64_t)(a->ns_per_packet * 1000));
		add_u64(d, a->name, "ns_per_chunk", (uint64_t)a->ns_per_chunk);
	}
}

static int
tell_target(const struct push *push, const char *number, struct rte_tel_data *d)
{
	struct sl_target_stats *stats;
	unsigned long t;
	char *end;

	if (!number || !*number)
		return -EINVAL;
	t = strtoul(number, &end, 10);
	if (*end != '\0' || t >= push->targets)
		return -EINVAL;
	stats = calloc(1, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	sl_writers_target_stats(push->writers, (unsigned int)t, stats);
	rte_tel_data_add_dict_string(d, "desc", sl_config_target(push->config, t)->desc);
	rte_tel_data_add_dict_u64(d, "packets", stats->packets);
	rte_tel_data_add_dict_u64(d, "bytes", stats->bytes);
	rte_tel_data_add_dict_u64(d, "published_packets", stats->published_packets);
	rte_tel_data_add_dict_u64(d, "published_bytes", stats->published_bytes);
	rte_tel_data_add_dict_u64(d, "files", stats->files);
	rte_tel_data_add_dict_u64(d, "renamed", stats->renamed);
	rte_tel_data_add_dict_u64(d, "late", stats->late);
	rte_tel_data_add_dict_int(d, "parked", stats->parked);
	rte_tel_data_add_dict_int(d, "catching_up", stats->catching_up);
	rte_tel_data_add_dict_u64(d, "parks", stats->parks);
	rte_tel_data_add_dict_u64(d, "parked_ns", stats->parked_ns);
	rte_tel_data_add_dict_u64(d, "gaps", stats->gaps);
	rte_tel_data_add_dict_u64(d, "gap_chunks", stats->gap_chunks);
	rte_tel_data_add_dict_u64(d, "gap_begin", stats->gap_begin);
	rte_tel_data_add_dict_u64(d, "gap_end", stats->gap_end);
	rte_tel_data_add_dict_int(d, "failing", stats->failing);
	rte_tel_data_add_dict_int(d, "error", stats->failing ? stats->error : 0);
	free(stats);
	return 0;
}

static int
answer(const char *command, const char *params, struct rte_tel_data *d)
{
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!asked) {
		rc = -EAGAIN;
	} else if (!strcmp(command, "/sluice/targets")) {
		rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
		for (size_t t = 0; t < asked->targets && t < TARGETS_MAX; t++)
			rte_tel_data_add_array_string(d, sl_config_target(asked->config, t)->desc);
	} else {
		rte_tel_data_start_dict(d);
		if (!strcmp(command, "/sluice/lcores"))
			tell_lcores(asked, d);
		else if (!strcmp(command, "/sluice/stages"))
			tell_stages(asked, d);
		else
			rc = tell_target(asked, params, d);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void
push_telemetry_start(const struct push *push)
{
	static const struct {
		const char *command, *help;
	} commands[] = {
		{"/sluice/lcores", "Busy and idle TSC cycles of each lcore. Takes no parameters"},
		{"/sluice/stages",
			"What reader, filter and writer have cost, in all and a packet. Takes no parameters"},
		{"/sluice/targets", "Names of the targets. Takes no parameters"},
		{"/sluice/target", "What became of a target. Parameters: its place in /sluice/targets, from 0"},
	};

	pthread_mutex_lock(&lock);
	asked = push;
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		rte_telemetry_register_cmd(commands[i].command, answer, commands[i].help);
}

void
push_telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	asked = NULL;
	pthread_mutex_unlock(&lock);
}
