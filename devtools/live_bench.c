/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * Live capture from net_ring at an offered rate: nobody outside of the process can feed that port.
 *
 *     live_bench STORE SIZE RATE SECONDS [GENERATOR_CPU RECEIVER_CPU]
 *
 * One lcore offers RATE packets a second of SIZE bytes (0: as fast as it can) to net_ring0, in bursts of 32; another
 * one receives and stores, as `sluice capture --port net_ring0` does. A packet that finds the ring full, or no mbuf, is
 * offered and not accepted.
 *
 * Prints one line: offered and accepted packets, packets lost by the store, seconds, and the rates of both.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_mbuf.h>

#include "sl_capture.h"
#include "sl_store.h"

#define BURST 32u
#define POOL 16383u
#define MAX_SIZE 9000u

static struct sl_live *live;
static struct rte_mempool *pool;
static _Atomic bool quit;
static unsigned int size;
static double rate;
static uint64_t offered, refused;
static double offered_s;

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned int
offer(uint16_t port)
{
	struct rte_mbuf *m[BURST];
	unsigned int sent = 0;

	if (rte_pktmbuf_alloc_bulk(pool, m, BURST) != 0)
		return 0;
	for (unsigned int i = 0; i < BURST; i++) {
		m[i]->data_len = (uint16_t)size;
		m[i]->pkt_len = size;
	}
	sent = rte_eth_tx_burst(port, 0, m, BURST);
	rte_pktmbuf_free_bulk(m + sent, BURST - sent);
	return sent;
}

/*
 * Bursts at their times. Who was held up goes on from there: a wire never carries more than its rate, and what counts
 * is the rate that was offered, not the one that was asked for.
 */
static int
generate(void *arg)
{
	double begun = now_s(), seconds = *(const double *)arg, now = begun, due = begun;
	double gap = rate > 0 ? BURST / rate : 0;
	uint16_t port;

	if (rte_eth_dev_get_port_by_name("net_ring0", &port) != 0)
		return -ENODEV;
	for (; now - begun < seconds; now = now_s()) {
		if (now < due)
			continue;
		refused += BURST - offer(port);
		offered += BURST;
		due = now - due > gap ? now : due + gap;
	}
	offered_s = now - begun;
	return 0;
}

static int
receive(void *arg)
{
	(void)arg;
	while (!atomic_load_explicit(&quit, memory_order_relaxed)) {
		sl_live_rx_poll(live, 0);
		sl_live_store_poll(live);
	}
	return 0;
}

static int
run(const char *store, double seconds)
{
	struct sl_port_spec port;
	struct sl_live_params params = {
		.ports = &port, .port_count = 1, .queues = 1, .lanes = 1, .snap_len = 262144, .buffer_bytes = 1 << 20};
	struct sl_store_writer_params writer_params = {.store = store,
		.link_type = 1,
		.snap_len = 262144,
		.source = "net_ring0",
		.flush_interval = 1000000000u,
		.buffers = SL_STORE_BUFFERS_DEFAULT,
		.nonblocking = true};
	struct sl_store_writer *writer;
	struct sl_live_stats stats;
	char errbuf[SL_CAPTURE_ERRBUF] = "";

	pool = rte_pktmbuf_pool_create("generator", POOL, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE + MAX_SIZE, SOCKET_ID_ANY);
	if (!pool || sl_port_spec_parse("net_ring0", &port, errbuf) < 0 || sl_live_create(&params, &live, errbuf) < 0 ||
		sl_store_writer_create(&writer_params, &writer, errbuf) < 0) {
		fprintf(stderr, "live_bench: %s\n", pool ? errbuf : "no memory");
		return 1;
	}
	sl_live_start(live, writer);
	rte_eal_remote_launch(receive, NULL, 2);
	rte_eal_remote_launch(generate, &seconds, 1);
	rte_eal_wait_lcore(1);
	sl_live_stop(live);
	while (!sl_live_drained(live))
		rte_delay_us_sleep(1000);
	atomic_store(&quit, true);
	rte_eal_wait_lcore(2);
	if (sl_live_finish(live, errbuf) < 0) {
		fprintf(stderr, "live_bench: %s\n", errbuf);
		return 1;
	}
	sl_live_get_stats(live, &stats);
	printf("offered %" PRIu64 " accepted %" PRIu64 " lost_by_store %" PRIu64
	       " seconds %.6f offered_pps %.0f accepted_pps %.0f "
	       "accepted_bytes_s %.0f\n",
		offered, stats.packets, stats.store_slow, offered_s, (double)offered / offered_s,
		(double)stats.packets / offered_s, (double)stats.bytes / offered_s);
	if (offered - refused != stats.packets + stats.store_slow)
		fprintf(stderr, "live_bench: %" PRIu64 " packets are missing\n",
			offered - refused - stats.packets - stats.store_slow);
	return offered - refused == stats.packets + stats.store_slow ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const char *cpus[2] = {argc > 5 ? argv[5] : "0", argc > 6 ? argv[6] : "1"};
	char lcores[64];
	const char *words[] = {"live_bench", "--lcores", lcores, "--main-lcore", "0", "-m", "512", "--no-huge",
		"--no-shconf", "--no-pci", "--no-telemetry", "--log-level", "lib.eal:error"};
	int status;

	if (argc < 5) {
		fprintf(stderr, "usage: live_bench STORE SIZE RATE SECONDS [GENERATOR_CPU RECEIVER_CPU]\n");
		return 2;
	}
	size = (unsigned int)strtoul(argv[2], NULL, 10);
	rate = strtod(argv[3], NULL);
	if (size < 14 || size > MAX_SIZE) {
		fprintf(stderr, "live_bench: %s: sizes go from 14 to %u\n", argv[2], MAX_SIZE);
		return 2;
	}
	snprintf(lcores, sizeof(lcores), "0@%s,1@%s,2@%s", cpus[0], cpus[0], cpus[1]);
	if (rte_eal_init((int)(sizeof(words) / sizeof(words[0])), (char **)(uintptr_t)words) < 0) {
		fprintf(stderr, "live_bench: EAL did not start\n");
		return 1;
	}
	status = run(argv[1], strtod(argv[4], NULL));
	sl_live_destroy(live);
	rte_eal_cleanup();
	return status;
}
