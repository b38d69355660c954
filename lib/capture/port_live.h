/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_PORT_LIVE_H
#define CAPTURE_PORT_LIVE_H

/**
 * @file
 * What the files of a live capture share: port_live.c (made, looked after and ended by the main thread), port_receive.c (the
 * lanes), port_store.c (the store's lcore).
 */

#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "merge.h"
#include "port.h"
#include "sl_store.h"

/* Packets of several queues are brought into order as far as they lie within this. */
#define LIVE_WINDOW_NS 20000000u
/* A stop waits for what the kernel holds back; of a port that never ends it takes what any queue may have held. */
#define LIVE_STOP_MIN_NS 25000000u
#define LIVE_STOP_MAX_NS 200000000u
#define LIVE_STOP_PACKETS 131072u

enum roll_state {
	ROLL_NONE,
	ROLL_ARMED, /* the main thread's until here, then the store's lcore's */
	ROLL_TAKEN,
};

/* The state of a roll that is to come. */
struct live_roll {
	_Atomic uint32_t state;
	_Atomic uint64_t at; /* ns; UINT64_MAX unless armed */
	char name[SL_CAPTURE_NAME_MAX]; /* "": made from time and host */
};

struct lane {
	struct port_queue *queues[SL_LIVE_QUEUES_MAX];
	unsigned int count;
	/* What an interface has given in one look, on its way to the store's lcore. */
	struct rte_mbuf *batch[INTERFACE_BURST];
	unsigned int batched;
	uint64_t busy_at; /* when the last packet came, ns */
	uint8_t *scratch; /* PORT_SNAP_MAX bytes: a packet of several mbufs, in one piece */
};

/* Counted by the store's lcore for itself, and shown to others once a poll. */
struct live_tally {
	uint64_t packets, bytes, wire_bytes, too_large, bad_times, late, refused;
};

struct sl_live {
	struct port ports[SL_PORTS_MAX];
	unsigned int port_count;
	struct port_queue queues[SL_LIVE_QUEUES_MAX];
	unsigned int queue_count;
	struct lane lanes[SL_LIVE_LANES_MAX];
	unsigned int lane_count;

	uint32_t snap_len;
	uint32_t link_type;
	bool merge;
	bool has_filter;
	void (*wake)(void *ctx);
	void *wake_ctx;
	struct bpf_program filter; /* for DPDK ports; the kernel filters interfaces */
	struct rte_mempool *pool;  /* merging: copies of interfaces' packets */
	int stamp_offset;          /* of the time in an mbuf */
	uint64_t stamp_flag;       /* set if a port wrote it */

	struct clock clock;
	uint64_t disciplined_at;
	_Atomic uint64_t stop_at;  /* ns, 0: not asked to */

	/* The store's lcore's own. */
	_Alignas(64) struct sl_store_writer *writer;
	struct live_tally tally;
	struct merge_stream streams[SL_LIVE_QUEUES_MAX];
	uint64_t last_ts;
	uint64_t looked_at;        /* when the store was last told that time passes */
	uint64_t recorded[SL_DROP_CAUSES];
	uint8_t *scratch;

	/* Between the threads. */
	_Alignas(64) struct live_roll roll;
	_Atomic uint64_t rolls;
	_Atomic uint64_t packets, bytes, wire_bytes, too_large, bad_times, late, refused; /* the tally */
	_Atomic uint32_t buffers, busy; /* the store's chunks */
	_Atomic bool no_space;
	_Atomic uint64_t removed_bytes, removed_captures;
	_Atomic bool drained;
	_Atomic int error;         /* of the store, with its line */
	char message[SL_STORE_ERRBUF];
};

/** Time on the live capture's clock now. Any thread. */
static inline uint64_t
live_now(const struct sl_live *live)
{
	return clock_at(&live->clock, rte_rdtsc());
}

/** Give a packet to the store by the long way: a chunk is full, a capture ends, something is wrong. */
void live_append_slowly(struct sl_live *live, uint8_t port, uint64_t ts, uint32_t caplen, uint32_t len, const void *data);

/** Give a packet to the store. The store's lcore. */
static inline void
live_append(struct sl_live *live, uint8_t port, uint64_t ts, uint32_t caplen, uint32_t len, const void *data)
{
	void *place;

	if (__builtin_expect(ts < live->last_ts, 0))
		live->tally.late++;
	else
		live->last_ts = ts;
	if (__builtin_expect(ts >= atomic_load_explicit(&live->roll.at, memory_order_relaxed), 0)) {
		live_append_slowly(live, port, ts, caplen, len, data);
		return;
	}
	place = sl_store_writer_reserve(live->writer, ts, caplen, len, port, 0);
	if (__builtin_expect(place == NULL, 0)) {
		live_append_slowly(live, port, ts, caplen, len, data);
		return;
	}
	memcpy(place, data, caplen);
	live->tally.packets++;
	live->tally.bytes += caplen;
	live->tally.wire_bytes += len;
}

/** An mbuf's first caplen bytes in one piece. caplen: at most the packet's length and PORT_SNAP_MAX, the size of scratch. */
static inline const uint8_t *
live_linear(const struct rte_mbuf *m, uint32_t caplen, uint8_t *scratch)
{
	if (__builtin_expect(m->nb_segs == 1, 1))
		return rte_pktmbuf_mtod(m, const uint8_t *);
	return rte_pktmbuf_read(m, 0, caplen, scratch);
}

/** Streams that take from the queues' rings. */
void live_make_streams(struct sl_live *live);

/** Tell the store what has been lost and is not recorded yet. The store's lcore; the main thread when that is gone. */
void live_record_losses(struct sl_live *live);

/** Show the tally to others. As live_record_losses(). */
void live_publish(struct sl_live *live);

/** All losses of a cause. Any thread. */
uint64_t live_lost(const struct sl_live *live, enum sl_drop_cause cause);

#endif
