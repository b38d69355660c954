/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_telemetry.h>

#include "capture.h"
#include "monotonic.h"

#define LINE_EVERY_NS 1000000000u

/* ---------------------------------------------------------------- for people */

static uint64_t
lost(const struct sl_live_stats *s)
{
	return s->missed + s->no_buffer + s->store_slow + s->too_large + s->bad_times;
}

void
capture_report_line(struct capture *capture)
{
	uint64_t now = monotonic_ns(), passed = now - capture->shown_at;
	struct sl_live_stats s;

	if (capture->options.quiet || passed < LINE_EVERY_NS || !isatty(STDERR_FILENO))
		return;
	sl_live_get_stats(capture->live, &s);
	fprintf(stderr, "capture: %.0f packets/s, %.1f Mb/s; %" PRIu64 " packets, %" PRIu64 " lost\033[K\r",
		(double)(s.packets - capture->shown_packets) * 1e9 / (double)passed,
		(double)(s.bytes - capture->shown_bytes) * 8e3 / (double)passed, s.packets, lost(&s));
	capture->shown_at = now;
	capture->shown_packets = s.packets;
	capture->shown_bytes = s.bytes;
}

static void
print_port(const struct capture *capture, unsigned int i)
{
	const char *driver, *stamps;
	struct sl_live_stats s;

	sl_live_port_stats(capture->live, i, &s);
	sl_live_port_driver(capture->live, i, &driver, &stamps);
	printf("port %u, %s (%s, times of the %s): %" PRIu64 " packets received, %" PRIu64 " missed, %" PRIu64
	       " without a buffer\n",
		i, capture->options.ports[i].text, driver, stamps, s.packets, s.missed, s.no_buffer);
}

void
capture_report_space(struct capture *capture)
{
	struct sl_live_stats s;

	sl_live_get_stats(capture->live, &s);
	if (s.no_space == capture->no_space)
		return;
	capture->no_space = s.no_space;
	if (s.no_space)
		fprintf(stderr,
			"sluice capture: %s: no space left; packets wait in %u MiB of buffers and are lost, and "
			"counted, when those are "
			"full: make room\n",
			capture->options.store, s.buffers);
	else
		fprintf(stderr, "sluice capture: %s: there is room again\n", capture->options.store);
}

void
capture_report_summary(const struct capture *capture, bool whole)
{
	double seconds = (double)(capture->ended - capture->begun) / 1e9;
	struct sl_live_stats s;
	uint64_t rolls = sl_live_rolls(capture->live);

	if (isatty(STDERR_FILENO) && !capture->options.quiet)
		fprintf(stderr, "\033[K");
	if (capture->options.quiet)
		return;
	sl_live_get_stats(capture->live, &s);
	printf("capture %s", capture->first_name);
	if (rolls)
		printf(" and %" PRIu64 " more", rolls);
	printf(": %" PRIu64 " packets, %" PRIu64 " bytes in %.3f s: %.0f packets/s, %.1f MB/s\n", s.packets, s.bytes,
		seconds, seconds > 0 ? (double)s.packets / seconds : 0,
		seconds > 0 ? (double)s.bytes / seconds / 1e6 : 0);
	if (!whole)
		printf("not all of them could be written at the end; `sluice store info --store %s` says what there "
		       "is\n",
			capture->options.store);
	printf("lost: %" PRIu64 " missed by the port, %" PRIu64 " without a buffer, %" PRIu64
	       " since the store was slow, %" PRIu64 " too large, %" PRIu64 " without a valid time\n",
		s.missed, s.no_buffer, s.store_slow, s.too_large, s.bad_times);
	if (capture->options.filter)
		printf("not wanted by the filter: %" PRIu64
		       " of DPDK ports; those of interfaces the kernel does not count\n",
			s.filtered);
	if (s.late)
		printf("%" PRIu64 " packets lie behind a later one of another queue\n", s.late);
	if (s.removed_bytes || s.removed_captures)
		printf("removed to make room (--keep-free): %" PRIu64 " whole captures, %" PRIu64
		       " bytes with what was taken from others\n",
			s.removed_captures, s.removed_bytes);
	for (unsigned int i = 0; i < capture->options.port_count; i++)
		print_port(capture, i);
	printf("lcores busy:");
	for (unsigned int i = 0; i < capture->lcore_count; i++) {
		const struct sl_lcore *lcore = capture->lcores[i];
		double busy = (double)atomic_load(&lcore->busy_cycles), idle = (double)atomic_load(&lcore->idle_cycles);

		printf(" %s %.0f %%", lcore->name, busy + idle > 0 ? busy * 100 / (busy + idle) : 0);
	}
	printf("\n");
}

/* ---------------------------------------------------------------- for programs */

/* EAL's thread asks while the main thread may be ending. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct capture *asked;

static void
tell(const struct sl_live_stats *s, struct rte_tel_data *d)
{
	rte_tel_data_add_dict_u64(d, "packets", s->packets);
	rte_tel_data_add_dict_u64(d, "wire_bytes", s->wire_bytes);
	rte_tel_data_add_dict_u64(d, "filtered", s->filtered);
	rte_tel_data_add_dict_u64(d, "missed", s->missed);
	rte_tel_data_add_dict_u64(d, "no_buffer", s->no_buffer);
	rte_tel_data_add_dict_u64(d, "store_slow", s->store_slow);
}

static void
tell_capture(const struct capture *capture, struct rte_tel_data *d)
{
	struct sl_live_stats s;

	sl_live_get_stats(capture->live, &s);
	rte_tel_data_add_dict_string(d, "store", capture->options.store);
	rte_tel_data_add_dict_string(d, "first_capture", capture->first_name);
	rte_tel_data_add_dict_u64(d, "rolls", sl_live_rolls(capture->live));
	rte_tel_data_add_dict_u64(d, "ports", capture->options.port_count);
	rte_tel_data_add_dict_u64(d, "bytes", s.bytes);
	tell(&s, d);
	rte_tel_data_add_dict_u64(d, "too_large", s.too_large);
	rte_tel_data_add_dict_u64(d, "bad_times", s.bad_times);
	rte_tel_data_add_dict_u64(d, "late", s.late);
	rte_tel_data_add_dict_u64(d, "buffers", s.buffers);
	rte_tel_data_add_dict_u64(d, "buffers_busy", s.busy);
	rte_tel_data_add_dict_u64(d, "no_space", s.no_space);
	rte_tel_data_add_dict_u64(d, "removed_bytes", s.removed_bytes);
	rte_tel_data_add_dict_u64(d, "removed_captures", s.removed_captures);
	rte_tel_data_add_dict_u64(d, "clock_steps", s.clock_steps);
	rte_tel_data_add_dict_int(d, "clock_error_us", (int)(s.clock_error / 1000));
	for (unsigned int i = 0; i < capture->lcore_count; i++) {
		const struct sl_lcore *lcore = capture->lcores[i];
		char key[48];

		/* A key may have no dash, and "sl-" is every one's. */
		snprintf(key, sizeof(key), "%s/busy_cycles", lcore->name + strlen("sl-"));
		rte_tel_data_add_dict_u64(d, key, atomic_load_explicit(&lcore->busy_cycles, memory_order_relaxed));
		snprintf(key, sizeof(key), "%s/idle_cycles", lcore->name + strlen("sl-"));
		rte_tel_data_add_dict_u64(d, key, atomic_load_explicit(&lcore->idle_cycles, memory_order_relaxed));
	}
}

static int
tell_port(const struct capture *capture, const char *number, struct rte_tel_data *d)
{
	const char *driver, *stamps;
	struct sl_live_stats s;
	unsigned long i;
	char *end;

	if (!number || !*number)
		return -EINVAL;
	i = strtoul(number, &end, 10);
	if (*end != '\0' || i >= capture->options.port_count)
		return -EINVAL;
	sl_live_port_stats(capture->live, (unsigned int)i, &s);
	sl_live_port_driver(capture->live, (unsigned int)i, &driver, &stamps);
	rte_tel_data_add_dict_string(d, "port", capture->options.ports[i].text);
	rte_tel_data_add_dict_string(d, "driver", driver);
	rte_tel_data_add_dict_string(d, "times", stamps);
	tell(&s, d);
	return 0;
}

static int
answer(const char *command, const char *params, struct rte_tel_data *d)
{
	int rc = 0;

	pthread_mutex_lock(&lock);
	rte_tel_data_start_dict(d);
	if (!asked)
		rc = -EAGAIN;
	else if (!strcmp(command, "/sluice/capture"))
		tell_capture(asked, d);
	else
		rc = tell_port(asked, params, d);
	pthread_mutex_unlock(&lock);
	return rc;
}

void
capture_telemetry_start(const struct capture *capture)
{
	pthread_mutex_lock(&lock);
	asked = capture;
	pthread_mutex_unlock(&lock);
	rte_telemetry_register_cmd("/sluice/capture", answer, "Packets stored and lost. Takes no parameters");
	rte_telemetry_register_cmd(
		"/sluice/capture_port", answer, "What came from a port. Parameters: its number, from 0");
}

void
capture_telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	asked = NULL;
	pthread_mutex_unlock(&lock);
}
