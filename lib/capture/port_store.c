/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What the lcore that has the store does: bring queues into one order, append, record losses, roll.
 */

#include <errno.h>
#include <stdio.h>

#include <rte_ring.h>

#include "port_live.h"

#define STORE_BUDGET 1024u /* packets of a poll */
#define LOOK_EVERY_NS 5000000u /* how often the store is told that time passes */

/* ---------------------------------------------------------------- rolls */

static void
fail(struct sl_live *live, int err, const char *message)
{
	if (atomic_load_explicit(&live->error, memory_order_relaxed))
		return;
	snprintf(live->message, sizeof(live->message), "%s", message);
	atomic_store_explicit(&live->error, err, memory_order_release);
}

static void
roll_now(struct sl_live *live)
{
	uint32_t armed = ROLL_ARMED;
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret;

	if (!atomic_compare_exchange_strong(&live->roll.state, &armed, ROLL_TAKEN))
		return;
	ret = sl_store_writer_roll(live->writer, live->roll.name[0] ? live->roll.name : NULL, errbuf);
	if (ret == -EAGAIN) {
		/* The roll before is under way: soon. */
		atomic_store_explicit(&live->roll.state, ROLL_ARMED, memory_order_release);
		return;
	}
	if (ret < 0)
		fail(live, ret, errbuf);
	else
		atomic_store_explicit(&live->rolls, live->rolls + 1, memory_order_relaxed);
	atomic_store_explicit(&live->roll.at, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&live->roll.state, ROLL_NONE, memory_order_release);
}

/* ---------------------------------------------------------------- packets */

void
live_append_slowly(struct sl_live *live, uint8_t port, uint64_t ts, uint32_t caplen, uint32_t len, const void *data)
{
	char errbuf[SL_STORE_ERRBUF];
	int ret;

	if (atomic_load_explicit(&live->error, memory_order_relaxed)) {
		live->tally.refused++;
		return;
	}
	if (ts >= atomic_load_explicit(&live->roll.at, memory_order_acquire))
		roll_now(live);
	ret = sl_store_writer_append(live->writer, ts, caplen, len, port, 0, data, errbuf);
	switch (ret) {
	case 0:
		live->tally.packets++;
		live->tally.bytes += caplen;
		live->tally.wire_bytes += len;
		break;
	case -EAGAIN:
		live->tally.refused++;
		break;
	case -EMSGSIZE:
		live->tally.too_large++;
		break;
	case -ERANGE:
		live->tally.bad_times++;
		break;
	default:
		live->tally.refused++;
		fail(live, ret, errbuf);
	}
}

static unsigned int
take_from_ring(void *ctx, struct merge_item *items, unsigned int max, uint64_t *through, bool *pressed)
{
	struct port_queue *q = ctx;
	struct rte_mbuf *m[MERGE_TAKE] = {NULL};
	unsigned int n, left;

	/* Before looking: what comes between the two is younger. */
	*through = atomic_load_explicit(&q->through, memory_order_acquire);
	n = rte_ring_sc_dequeue_burst(q->ring, (void **)m, max, &left);
	*pressed = left > PORT_MERGE_RING / 4 * 3;
	for (unsigned int i = 0; i < n; i++)
		items[i] = (struct merge_item){
			.ts = *RTE_MBUF_DYNFIELD(m[i], q->live->stamp_offset, rte_mbuf_timestamp_t *),
			.packet = m[i],
		};
	return n;
}

static void
append_mbuf(void *ctx, unsigned int stream, const struct merge_item *item)
{
	struct sl_live *live = ctx;
	struct rte_mbuf *m = item->packet;
	uint32_t caplen = RTE_MIN(m->pkt_len, live->snap_len);

	live_append(live, live->queues[stream].port->number, item->ts, caplen, m->hash.usr,
		live_linear(m, caplen, live->scratch));
	rte_pktmbuf_free(m);
}

void
live_make_streams(struct sl_live *live)
{
	for (unsigned int i = 0; i < live->queue_count; i++)
		live->streams[i] = (struct merge_stream){.take = take_from_ring, .ctx = &live->queues[i]};
}

/* ---------------------------------------------------------------- counts */

uint64_t
live_lost(const struct sl_live *live, enum sl_drop_cause cause)
{
	uint64_t n = 0;

	if (cause == SL_DROP_STORE) {
		n = atomic_load_explicit(&live->refused, memory_order_relaxed);
		for (unsigned int i = 0; i < live->queue_count; i++)
			n += atomic_load_explicit(&live->queues[i].no_room, memory_order_relaxed);
		return n;
	}
	for (unsigned int i = 0; i < live->port_count; i++) {
		const struct port *port = &live->ports[i];

		n += atomic_load_explicit(
			cause == SL_DROP_NIC ? &port->missed : &port->no_buffer, memory_order_relaxed);
	}
	return n;
}

void
live_record_losses(struct sl_live *live)
{
	for (int cause = 0; cause < SL_DROP_CAUSES; cause++) {
		uint64_t lost = live_lost(live, (enum sl_drop_cause)cause);

		if (lost == live->recorded[cause])
			continue;
		sl_store_writer_drop_for(live->writer, (enum sl_drop_cause)cause, lost - live->recorded[cause]);
		live->recorded[cause] = lost;
	}
}

void
live_publish(struct sl_live *live)
{
	const struct live_tally *t = &live->tally;

	atomic_store_explicit(&live->packets, t->packets, memory_order_relaxed);
	atomic_store_explicit(&live->bytes, t->bytes, memory_order_relaxed);
	atomic_store_explicit(&live->wire_bytes, t->wire_bytes, memory_order_relaxed);
	atomic_store_explicit(&live->too_large, t->too_large, memory_order_relaxed);
	atomic_store_explicit(&live->bad_times, t->bad_times, memory_order_relaxed);
	atomic_store_explicit(&live->late, t->late, memory_order_relaxed);
	atomic_store_explicit(&live->refused, t->refused, memory_order_relaxed);
}

static void
look_at_store(struct sl_live *live)
{
	struct sl_store_writer_state state;

	sl_store_writer_look(live->writer, &state);
	atomic_store_explicit(&live->buffers, state.buffers, memory_order_relaxed);
	atomic_store_explicit(&live->busy, state.busy, memory_order_relaxed);
	atomic_store_explicit(&live->no_space, state.no_space, memory_order_relaxed);
	atomic_store_explicit(&live->removed_bytes, state.removed_bytes, memory_order_relaxed);
	atomic_store_explicit(&live->removed_captures, state.removed_captures, memory_order_relaxed);
}

/* ---------------------------------------------------------------- the poll */

/* All packets older than this are in the store. 0: nobody can say, for instance because times are those of a file. */
static uint64_t
settled(const struct sl_live *live)
{
	uint64_t through = UINT64_MAX;

	for (unsigned int i = 0; i < live->queue_count; i++) {
		const struct port_queue *q = &live->queues[i];
		uint64_t one = atomic_load_explicit(&q->through, memory_order_acquire);

		if (q->port->stamp == STAMP_FILE)
			return 0;
		through = one < through ? one : through;
	}
	/* What was handed over before that was told must have been taken. */
	for (unsigned int i = 0; live->merge && i < live->queue_count; i++)
		if (!rte_ring_empty(live->queues[i].ring))
			return 0;
	if (live->merge && merge_holds(live->streams, live->queue_count))
		return 0;
	return through == UINT64_MAX ? 0 : through;
}

static bool
all_drained(const struct sl_live *live)
{
	if (atomic_load_explicit(&live->stop_at, memory_order_relaxed) == 0)
		return false;
	for (unsigned int i = 0; i < live->queue_count; i++)
		if (!atomic_load_explicit(&live->queues[i].drained, memory_order_acquire) ||
			(live->merge && !rte_ring_empty(live->queues[i].ring)))
			return false;
	return !live->merge || !merge_holds(live->streams, live->queue_count);
}

/* Time has passed: for the store, for a roll that waits for its hour, for a stop. */
static void
look_around(struct sl_live *live, uint64_t now)
{
	uint64_t roll_at = atomic_load_explicit(&live->roll.at, memory_order_acquire);
	uint64_t through = settled(live);
	char errbuf[SL_STORE_ERRBUF];
	int ret;

	live->looked_at = now;
	if (roll_at == 0 || through >= roll_at)
		roll_now(live);
	ret = sl_store_writer_idle(live->writer, through, errbuf);
	if (ret < 0)
		fail(live, ret, errbuf);
	look_at_store(live);
	if (all_drained(live))
		atomic_store_explicit(&live->drained, true, memory_order_release);
}

enum sl_live_poll
sl_live_store_poll(struct sl_live *live)
{
	uint64_t now = live_now(live);
	char errbuf[SL_STORE_ERRBUF];
	unsigned int n = 0;
	int ret;

	if (live->merge)
		n = merge_run(live->streams, live->queue_count, now, LIVE_WINDOW_NS, STORE_BUDGET, append_mbuf, live);
	live_publish(live);
	if (atomic_load_explicit(&live->error, memory_order_relaxed)) {
		/* Nothing more can be stored; what comes is counted until the main thread ends it. */
		atomic_store_explicit(&live->drained, true, memory_order_release);
		return n ? SL_LIVE_BUSY : SL_LIVE_IDLE;
	}
	live_record_losses(live);
	ret = sl_store_writer_poll(live->writer, errbuf);
	if (ret < 0)
		fail(live, ret, errbuf);
	if (now - live->looked_at >= LOOK_EVERY_NS)
		look_around(live, now);
	if (n)
		return SL_LIVE_BUSY;
	/* What is held back waits for other queues to say how far they are: that wakes nobody. */
	return live->merge && merge_holds(live->streams, live->queue_count) ? SL_LIVE_WAITING : SL_LIVE_IDLE;
}
