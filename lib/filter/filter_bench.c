/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/* Not a test: ns a packet and filter, proven machine code beside libpcap's interpreter, same packets, best of 7. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compile.h"
#include "prove.h"
#include "sl_filter.h"
#include "translate.h"

#define PACKETS 4000u

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Mixed IPv4 with TCP, UDP and ICMP, 64 to 200 bytes, in one buffer as in a chunk. */
static uint8_t *
make_packets(uint32_t *offsets)
{
	static const uint8_t protocols[] = {6, 6, 17, 1};
	uint8_t *buf = calloc(PACKETS, 256);
	uint32_t seed = 1, end = 0;

	if (buf == NULL)
		exit(1);
	for (unsigned int i = 0; i < PACKETS; i++) {
		uint32_t r = seed = seed * 1664525u + 1013904223u;
		struct sl_record rec = {.caplen = 64 + (r >> 24) % 136};
		uint8_t *p = buf + end + sizeof(rec);

		rec.len = rec.caplen;
		memcpy(buf + end, &rec, sizeof(rec));
		p[12] = 8;
		p[14] = 0x45;
		p[23] = protocols[r >> 30];
		memcpy(p + 26, &r, 4);
		p[35] = (uint8_t)(r >> 12 & 0x7f);
		p[37] = (uint8_t)(r >> 19 & 0x7f);
		p[47] = (uint8_t)(r >> 5 & 0x3f);
		offsets[i] = end;
		end += (uint32_t)sizeof(rec) + rec.caplen;
	}
	return buf;
}

static void
bench(const char *expression, uint8_t *buf, const uint32_t *offsets)
{
	double best[2] = {1e30, 1e30}, start, load;
	char errbuf[SL_FILTER_ERRBUF];
	struct bpf_program program;
	struct sl_proof proof;
	unsigned int hits[2];
	struct rte_bpf *bpf;
	sl_filter_fn fn;
	const char *why;

	if (sl_compile(expression, 1, 65535, &program, errbuf) != 0) {
		fprintf(stderr, "%s\n", errbuf);
		exit(1);
	}
	start = now_ns();
	if (sl_translate_load(&program, &bpf, &fn, &why) != 0) {
		printf("%-44s %s\n", expression, why);
		return;
	}
	if (sl_prove(&program, fn, 1000000000, 1, &proof) != 0)
		printf("%s\n", proof.reason);
	load = now_ns() - start;
	for (int round = 0; round < 7; round++)
		for (int engine = 0; engine < 2; engine++) {
			double t = now_ns();

			hits[engine] = 0;
			for (unsigned int i = 0; i < PACKETS; i++) {
				uint8_t *at = buf + offsets[i];
				struct sl_record r;

				if (engine == 0) {
					hits[0] += fn(at) != 0;
					continue;
				}
				memcpy(&r, at, sizeof(r));
				hits[1] += bpf_filter(program.bf_insns, at + sizeof(r), r.len, r.caplen) != 0;
			}
			t = (now_ns() - t) / PACKETS;
			best[engine] = t < best[engine] ? t : best[engine];
		}
	if (hits[0] != hits[1]) {
		fprintf(stderr, "%s: %u and %u packets\n", expression, hits[0], hits[1]);
		exit(1);
	}
	printf("%-44s %8.1f %8.1f %10.2f\n", expression, best[0], best[1], load / 1e6);
	rte_bpf_destroy(bpf);
	sl_compile_free(&program);
}

int
main(int argc, char **argv)
{
	static const char *const usual[] = {"tcp", "tcp port 80", "udp port 53 or icmp", "host 10.0.0.1",
		"net 10.0.0.0/8 and tcp", "tcp[tcpflags] & tcp-syn != 0", "vlan and tcp port 443",
		"portrange 1000-2000 and not host 10.1.2.3", "len > 100"};
	uint32_t offsets[PACKETS];
	uint8_t *buf = make_packets(offsets);

	printf("%-44s %8s %8s %10s\n", "filter", "JIT ns", "pcap ns", "proof ms");
	if (argc > 1)
		for (int i = 1; i < argc; i++)
			bench(argv[i], buf, offsets);
	else
		for (unsigned int i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
			bench(usual[i], buf, offsets);
	free(buf);
	return 0;
}
