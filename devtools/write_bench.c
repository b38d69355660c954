/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What it costs to append a packet, and what the helpers then carry to the store.
 *
 * usage: write_bench STORE PACKETS BYTES [BUFFERS [RATE]]
 * RATE: packets a second that are offered, 0: as many as go. The store is left where it is.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_store.h"

#define BURST 32u

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* One burst as a port gives it. @return packets that found no place */
static uint64_t
append_burst(struct sl_store_writer *writer, uint64_t ts, uint32_t bytes, const uint8_t *data)
{
	char errbuf[SL_STORE_ERRBUF];
	uint64_t lost = 0;

	for (unsigned int i = 0; i < BURST; i++) {
		void *place = sl_store_writer_reserve(writer, ts + i, bytes, bytes, 0, 0);

		if (place)
			memcpy(place, data, bytes);
		else if (sl_store_writer_append(writer, ts + i, bytes, bytes, 0, 0, data, errbuf) < 0)
			lost++;
	}
	if (lost > 0)
		sl_store_writer_drop_for(writer, SL_DROP_STORE, lost);
	if (sl_store_writer_poll(writer, errbuf) < 0) {
		fprintf(stderr, "write_bench: %s\n", errbuf);
		exit(1);
	}
	return lost;
}

int
main(int argc, char **argv)
{
	struct sl_store_writer_params params = {
		.link_type = 1,
		.snap_len = 65535,
		.source = "write_bench",
		.flush_interval = 1000000000,
		.nonblocking = true,
	};
	uint64_t packets, lost = 0, sent = 0, start, end, cpu, closed, rate;
	struct sl_store_writer *writer;
	static uint8_t data[65536];
	char errbuf[SL_STORE_ERRBUF];
	uint32_t bytes;

	if (argc < 4) {
		fprintf(stderr, "usage: write_bench STORE PACKETS BYTES [BUFFERS [RATE]]\n");
		return 2;
	}
	params.store = argv[1];
	packets = strtoull(argv[2], NULL, 0);
	bytes = (uint32_t)strtoul(argv[3], NULL, 0) % sizeof(data);
	params.buffers = argc > 4 ? (unsigned int)strtoul(argv[4], NULL, 0) : SL_STORE_BUFFERS_DEFAULT;
	rate = argc > 5 ? strtoull(argv[5], NULL, 0) : 0;
	if (sl_store_writer_create(&params, &writer, errbuf) < 0) {
		fprintf(stderr, "write_bench: %s\n", errbuf);
		return 1;
	}
	start = now_ns(CLOCK_MONOTONIC);
	cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (; sent < packets; sent += BURST) {
		while (rate > 0 && (now_ns(CLOCK_MONOTONIC) - start) < sent * 1000000000.0 / (double)rate)
			;
		lost += append_burst(writer, 1700000000000000000u + sent, bytes, data);
	}
	cpu = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	end = now_ns(CLOCK_MONOTONIC);
	if (sl_store_writer_close(writer, errbuf) < 0) {
		fprintf(stderr, "write_bench: %s\n", errbuf);
		return 1;
	}
	closed = now_ns(CLOCK_MONOTONIC);
	printf("%" PRIu64 " packets of %" PRIu32
	       " bytes: %.1f ns a packet (%.1f of CPU), %.2f M packets/s, lost %" PRIu64
	       ", closed after %.3f s, stored at %.2f GB/s\n",
		sent, bytes, (double)(end - start) / (double)sent, (double)cpu / (double)sent,
		(double)sent * 1e3 / (double)(end - start), lost, (double)(closed - end) / 1e9,
		(double)(sent - lost) * (bytes + 20) / (double)(closed - start));
	return 0;
}
