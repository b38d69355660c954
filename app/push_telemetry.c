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
#include "push_watch.h"

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
		add_u64(d, name, "busy_percent", push_watch_busy(push->watch, i));
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

/* ---------------------------------------------------------------- texts */

/* In a dictionary telemetry holds RTE_TEL_MAX_STRING_LEN bytes of a text; a command of its own has it whole. */
static void
make_short(char cut[RTE_TEL_MAX_STRING_LEN], const char *text)
{
	snprintf(cut, RTE_TEL_MAX_STRING_LEN, "%s", text);
	/* DPDK 22.11 makes nonsense of what is not ASCII, and an answer that no JSON parser takes. */
	for (char *p = cut; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

static void
add_text(struct rte_tel_data *d, const char *name, const char *text)
{
	char cut[RTE_TEL_MAX_STRING_LEN];

	make_short(cut, text);
	rte_tel_data_add_dict_string(d, name, cut);
}

/* The whole text; bytes that are not printable ASCII, and '%', as %XX. */
static int
tell_text(struct rte_tel_data *d, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	char whole[RTE_TEL_MAX_SINGLE_STRING_LEN];
	size_t n = 0;

	for (; text && *text && n + 4 < sizeof(whole); text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= ' ' && c <= '~' && c != '%') {
			whole[n++] = (char)c;
			continue;
		}
		whole[n++] = '%';
		whole[n++] = digits[c >> 4];
		whole[n++] = digits[c & 15];
	}
	whole[n] = '\0';
	return rte_tel_data_string(d, whole);
}

/* ---------------------------------------------------------------- targets */

static const char *
state_name(const struct sl_target_stats *stats)
{
	if (stats->gave_up)
		return "gave up";
	if (stats->state == SL_CONSUMER_DONE)
		return "done";
	if (stats->failing)
		return "failing";
	if (stats->parked || stats->state == SL_CONSUMER_AWAY)
		return "parked";
	return stats->state == SL_CONSUMER_READY ? "catching up" : "attached";
}

static void
tell_target(const struct push *push, unsigned int t, const struct sl_target_stats *stats, struct rte_tel_data *d)
{
	struct push_lag lag;

	push_watch_lag(push->watch, t, &lag);
	add_text(d, "desc", sl_config_target(push->config, t)->desc);
	add_text(d, "state", state_name(stats));
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
	rte_tel_data_add_dict_u64(d, "error_ns", stats->error_ns);
	rte_tel_data_add_dict_u64(d, "sequence", stats->position.sequence);
	rte_tel_data_add_dict_u64(d, "chunk", stats->position.chunk);
	rte_tel_data_add_dict_u64(d, "packet", stats->position.packet);
	rte_tel_data_add_dict_u64(d, "lag_chunks", lag.chunks);
	rte_tel_data_add_dict_u64(d, "lag_bytes", lag.bytes);
	rte_tel_data_add_dict_u64(d, "lag_ns", lag.ns);
	rte_tel_data_add_dict_u64(d, "lag_percent", lag.percent);
	rte_tel_data_add_dict_u64(d, "lag_warning", lag.warning);
}

static int
tell_of_target(const struct push *push, const char *command, const char *number, struct rte_tel_data *d)
{
	struct sl_target_stats *stats;
	char text[SL_PATH_MAX + 256];
	unsigned long t;
	char *end;
	int rc = 0;

	if (!number || !*number)
		return -EINVAL;
	t = strtoul(number, &end, 10);
	if (*end != '\0' || t >= push->targets)
		return -EINVAL;
	if (!strcmp(command, "/sluice/desc"))
		return tell_text(d, sl_config_target(push->config, t)->desc);
	stats = calloc(1, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	sl_writers_target_stats(push->writers, (unsigned int)t, stats);
	if (!strcmp(command, "/sluice/last_file")) {
		rc = tell_text(d, stats->last_file);
	} else if (!strcmp(command, "/sluice/last_error")) {
		text[0] = '\0';
		if (stats->error_ns)
			snprintf(text, sizeof(text), "%s%s%s: %s", stats->error_what, stats->error_what[0] ? " " : "",
				stats->error_path, sl_writer_error_text(stats->error));
		rc = tell_text(d, text);
	} else {
		rte_tel_data_start_dict(d);
		tell_target(push, (unsigned int)t, stats, d);
	}
	free(stats);
	return rc;
}

/* ---------------------------------------------------------------- the push */

static void
tell_push(const struct push *push, struct rte_tel_data *d)
{
	rte_tel_data_add_dict_u64(d, "targets", push->targets);
	rte_tel_data_add_dict_u64(d, "running_ns", push_moment_now().ns - push->begun.ns);
	rte_tel_data_add_dict_int(d, "once", push->options.once);
	rte_tel_data_add_dict_int(d, "stopping", push_stopping());
	rte_tel_data_add_dict_int(d, "hugepages", push->hugepages);
}

static int
tell(const struct push *push, const char *command, const char *params, struct rte_tel_data *d)
{
	if (!strcmp(command, "/sluice/config"))
		return tell_text(d, push->options.config);
	if (!strcmp(command, "/sluice/store"))
		return tell_text(d, push->options.store);
	if (!strcmp(command, "/sluice/state_dir"))
		return tell_text(d, push->options.state_dir);
	if (!strcmp(command, "/sluice/targets")) {
		rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
		for (unsigned int t = 0; t < push->targets && t < TARGETS_MAX; t++) {
			char cut[RTE_TEL_MAX_STRING_LEN];

			make_short(cut, sl_config_target(push->config, t)->desc);
			rte_tel_data_add_array_string(d, cut);
		}
		return 0;
	}
	if (strcmp(command, "/sluice/push") != 0 && strcmp(command, "/sluice/lcores") != 0 &&
		strcmp(command, "/sluice/stages") != 0)
		return tell_of_target(push, command, params, d);
	rte_tel_data_start_dict(d);
	if (!strcmp(command, "/sluice/push"))
		tell_push(push, d);
	else if (!strcmp(command, "/sluice/lcores"))
		tell_lcores(push, d);
	else
		tell_stages(push, d);
	return 0;
}

static int
answer(const char *command, const char *params, struct rte_tel_data *d)
{
	int rc;

	pthread_mutex_lock(&lock);
	rc = asked ? tell(asked, command, params, d) : -EAGAIN;
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
		{"/sluice/push", "How many targets, since when, what kind of push. Takes no parameters"},
		{"/sluice/config", "File name of the configuration. Takes no parameters"},
		{"/sluice/store", "Directory of the capture store. Takes no parameters"},
		{"/sluice/state_dir", "Directory of the journals, or nothing. Takes no parameters"},
		{"/sluice/target", "What became of a target. Parameters: its place in /sluice/targets, from 0"},
		{"/sluice/desc", "Name of a target, whole; %XX: any byte. Parameters: as /sluice/target"},
		{"/sluice/last_file",
			"File that a target published last; %XX: any byte. Parameters: as /sluice/target"},
		{"/sluice/last_error", "What failed last for a target; %XX: any byte. Parameters: as /sluice/target"},
	};

	pthread_mutex_lock(&lock);
	asked = push;
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		rte_telemetry_register_cmd(commands[i].command, answer, commands[i].help);
}

void
push_telemetry_hold(void)
{
	pthread_mutex_lock(&lock);
}

void
push_telemetry_release(void)
{
	pthread_mutex_unlock(&lock);
}

void
push_telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	asked = NULL;
	pthread_mutex_unlock(&lock);
}
