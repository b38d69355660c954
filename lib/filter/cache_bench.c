/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * Not a test: ns a packet for the verdicts of several filters, one program after the other beside the verdict cache in
 * portable and in wide code; the same packets, in turn, the best of 7. Kinds of traffic: flows (2,000, in bursts),
 * groups (UDP to 96 multicast groups), none (nothing comes again). With an argument, only the filters of that name.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_log.h>

#include "sl_filter.h"

#define CHUNKS 24u
#define FRAME 60u
#define FLOWS 2000u
#define GROUPS 96u

enum traffic { TRAFFIC_FLOWS, TRAFFIC_GROUPS, TRAFFIC_NONE };
static const char *const traffic_names[] = {"flows", "groups", "none"};

static uint64_t rng = 1;
static const char *only;

static uint32_t
random32(void)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(rng >> 33);
}

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
make_frame(enum traffic traffic, uint8_t *p)
{
	static uint32_t flow, left;
	uint32_t id = random32(), noise = random32();

	if (traffic != TRAFFIC_NONE) {
		if (left-- == 0) {
			flow = random32() % FLOWS;
			left = random32() % 8;
		}
		id = flow * 2654435761u;
	}
	memset(p, 0, FRAME);
	p[12] = 8;
	p[14] = 0x45;
	p[23] = traffic == TRAFFIC_GROUPS || id % 3 == 0 ? 17 : 6;
	memcpy(p + 18, &noise, 2);
	memcpy(p + 24, &noise, 2);
	p[26] = 10;
	p[27] = (uint8_t)(id >> 20);
	p[28] = (uint8_t)(id >> 12 & 3);
	p[29] = (uint8_t)id;
	memcpy(p + 30,
		traffic == TRAFFIC_GROUPS ? (uint8_t[]){239, 1, 1, (uint8_t)(id % GROUPS)}
					  : (uint8_t[]){192, 168, (uint8_t)(id >> 8 & 3), (uint8_t)(id >> 16)},
		4);
	memcpy(p + 34, &id, 2);
	p[36] = (uint8_t)(id >> 28 & 3);
	p[37] = (uint8_t)(id >> 24 & 15);
	memcpy(p + 38, &noise, 4);
	p[46] = 0x50;
	p[47] = 0x10;
}

static struct sl_chunk
make_chunk(enum traffic traffic)
{
	uint8_t *base = aligned_alloc(64, SL_CHUNK_SIZE);
	uint32_t n = (SL_CHUNK_SIZE - 64) / (FRAME + sizeof(struct sl_record) + 4), off = 64;
	uint32_t *index = calloc(n, sizeof(*index));

	if (!base || !index)
		exit(1);
	for (uint32_t i = 0; i < n; i++) {
		struct sl_record r = {.sec = 1, .caplen = FRAME, .len = FRAME};

		index[i] = off;
		memcpy(base + off, &r, sizeof(r));
		make_frame(traffic, base + off + sizeof(r));
		off += (uint32_t)sizeof(r) + FRAME;
	}
	return (struct sl_chunk){
		.base = base, .index = index, .packets = n, .records_off = 64, .min_ts = 1, .max_ts = 2};
}

static struct sl_filter_set *
make_set(char (*texts)[128], unsigned int count, int cache)
{
	const char *all[256];
	char errbuf[SL_FILTER_ERRBUF];
	struct sl_filter_set *set;

	for (unsigned int i = 0; i < count; i++)
		all[i] = texts[i];
	if (sl_filter_set_create(all, count, 1, 262144, 1, &set, errbuf) != 0) {
		fprintf(stderr, "%s\n", errbuf);
		exit(1);
	}
	if (cache > 0 && sl_filter_use_cache(set, cache == 1 ? SL_FILTER_PORTABLE : SL_FILTER_WIDE) != 0)
		exit(1);
	return set;
}

static void
bench(const char *name, char (*texts)[128], unsigned int count, enum traffic traffic)
{
	struct sl_verdicts verdicts = {.of = calloc(count, sizeof(*verdicts.of))};
	struct sl_filter_set *sets[3];
	struct sl_filter_stats stats;
	struct sl_chunk chunks[CHUNKS];
	double best[3] = {1e30, 1e30, 1e30};
	uint64_t packets = 0, matches[3];

	if (only && strcmp(only, name) != 0) {
		free(verdicts.of);
		return;
	}
	for (unsigned int i = 0; i < CHUNKS; i++)
		packets += (chunks[i] = make_chunk(traffic)).packets;
	for (int k = 0; k < 3; k++)
		sets[k] = make_set(texts, count, k);
	for (unsigned int round = 0; round < 7; round++)
		for (int k = 0; k < 3; k++) {
			double start = now_ns(), ns;

			matches[k] = 0;
			for (unsigned int i = 0; i < CHUNKS; i++) {
				sl_filter_run(sets[k], 0, &chunks[i], &verdicts);
				for (unsigned int v = 0; v < sl_filter_programs(sets[k]); v++)
					matches[k] += verdicts.of[v].count;
			}
			ns = (now_ns() - start) / (double)packets;
			best[k] = ns < best[k] ? ns : best[k];
		}
	if (matches[0] != matches[1] || matches[0] != matches[2]) {
		fprintf(stderr, "%s: different verdicts\n", name);
		exit(1);
	}
	sl_filter_get_stats(sets[2], &stats);
	printf("%-16s %-7s %8.2f %8.1f %8.1f %8.1f %9.3f %9.3f\n", name, traffic_names[traffic],
		(double)matches[0] / (double)packets, best[0], best[1], best[2],
		stats.packets ? 100.0 * (double)stats.misses / (double)stats.packets : 0,
		stats.packets ? 100.0 * (double)stats.direct / (double)stats.packets : 0);
	for (int k = 0; k < 3; k++)
		sl_filter_set_free(sets[k]);
	for (unsigned int i = 0; i < CHUNKS; i++) {
		free((void *)(uintptr_t)chunks[i].base);
		free((void *)(uintptr_t)chunks[i].index);
	}
	free(verdicts.arena);
	free(verdicts.of);
}

int
main(int argc, char **argv)
{
	static const char *const few[] = {"tcp", "udp", "net 192.168.1.0/24", "port 80"};
	char texts[256][128];

	only = argc > 1 ? argv[1] : NULL;
	rte_log_set_global_level(RTE_LOG_CRIT);
	printf("%-16s %-7s %8s %8s %8s %8s %9s %9s\n", "filters", "traffic", "matches", "direct", "portable", "wide",
		"missed %", "direct %");
	for (unsigned int n = 1; n <= 4; n++) {
		char name[32];

		snprintf(texts[n - 1], sizeof(texts[0]), "%s", few[n - 1]);
		snprintf(name, sizeof(name), "%u", n);
		bench(name, texts, n, TRAFFIC_FLOWS);
		if (n == 4)
			bench(name, texts, n, TRAFFIC_NONE);
	}
	for (unsigned int i = 0; i < GROUPS; i++)
		snprintf(texts[i], sizeof(texts[i]), "dst host 239.1.1.%u", i);
	bench("96 groups", texts, GROUPS, TRAFFIC_GROUPS);
	bench("96 groups", texts, GROUPS, TRAFFIC_NONE);
	for (unsigned int i = 0; i < 96; i++) {
		const unsigned int a = i / 6;

		snprintf(texts[i], sizeof(texts[i]),
			i % 6 == 0   ? "host 10.%u.%u.1"
			: i % 6 == 1 ? "tcp and net 192.168.%u.%u/28"
			: i % 6 == 2 ? "udp portrange %u-%u"
			: i % 6 == 3 ? "tcp[tcpflags] & 0x%x != 0 and port %u"
			: i % 6 == 4 ? "(src net 10.%u.0.0/20 or ip6) and not port %u"
				     : "ip[8] > %u and icmp[0] = %u",
			i % 6 == 1 ? a % 4 : a * 16 + i % 6,
			i % 6 == 1   ? i % 16 * 16
			: i % 6 == 2 ? a * 16 + 20
				     : a);
	}
	bench("96 unrelated", texts, 96, TRAFFIC_FLOWS);
	bench("96 unrelated", texts, 96, TRAFFIC_NONE);
	return 0;
}
