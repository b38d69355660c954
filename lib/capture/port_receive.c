/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What an RX lcore does: take packets, give them their time, and hand them on.
 */

#include <errno.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ring.h>

#include "port_live.h"

#define PREFETCH_AHEAD 4
#define VDEV_AWAKE_NS 100000000u /* after so much silence a virtual port is looked at once a millisecond */

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
	/* Only the lane writes it, others read. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Within a queue time never goes back, though two readings of a clock may differ by a bit of noise. */
static uint64_t
stamp_of(const struct sl_live *live, struct port_queue *q, const struct rte_mbuf *m, uint64_t now)
{
	uint64_t ts = now;

	if (q->port->stamp != STAMP_CLOCK && (m->ol_flags & live->stamp_flag)) {
		uint64_t raw = *RTE_MBUF_DYNFIELD(m, live->stamp_offset, const rte_mbuf_timestamp_t *);

		/* net_pcap counts microseconds. */
		ts = q->port->stamp == STAMP_DEVICE ? clock_at(&q->port->device_clock, raw) : raw * 1000;
	}
	/* A file's times are what they are. */
	if (ts < q->last_ts && q->port->stamp != STAMP_FILE)
		ts = q->last_ts;
	q->last_ts = ts;
	return ts;
}

/* Packets that were handed to the store's lcore, or have to be lost since it does not keep up. */
static void
hand_over(struct port_queue *q, struct rte_mbuf **mbufs, unsigned int n)
{
	unsigned int sent = rte_ring_sp_enqueue_burst(q->ring, (void **)mbufs, n, NULL);

	if (sent == n)
		return;
	count(&q->no_room, n - sent);
	rte_pktmbuf_free_bulk(mbufs + sent, n - sent);
}

static bool
wanted(const struct sl_live *live, const struct lane *lane, const struct rte_mbuf *m)
{
	uint32_t caplen = RTE_MIN(m->pkt_len, PORT_SNAP_MAX);

	return bpf_filter(live->filter.bf_insns, live_linear(m, caplen, lane->scratch), m->pkt_len, caplen) != 0;
}

/* @return packets received */
static unsigned int
receive_ethdev(struct sl_live *live, struct lane *lane, struct port_queue *q, uint64_t now)
{
	unsigned int n, kept = 0, filtered = 0;
	struct rte_mbuf *m[PORT_BURST];
	uint8_t port = q->port->number;
	uint64_t bytes = 0;

	n = rte_eth_rx_burst(q->port->id, q->number, m, PORT_BURST);
	if (n == 0)
		return 0;
	for (unsigned int i = 0; i < n && i < PREFETCH_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (unsigned int i = 0; i < n; i++) {
		uint64_t ts;

		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + PREFETCH_AHEAD], void *));
		/* A tag that the NIC has taken off belongs to the packet. Without room for it the packet stays as it
		 * is. */
		if (__builtin_expect((m[i]->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0, 0))
			(void)rte_vlan_insert(&m[i]);
		bytes += m[i]->pkt_len;
		if (live->has_filter && !wanted(live, lane, m[i])) {
			filtered++;
			if (live->merge)
				rte_pktmbuf_free(m[i]);
			continue;
		}
		ts = stamp_of(live, q, m[i], now);
		if (!live->merge) {
			uint32_t caplen = RTE_MIN(m[i]->pkt_len, live->snap_len);

			live_append(live, port, ts, caplen, m[i]->pkt_len, live_linear(m[i], caplen, lane->scratch));
			continue;
		}
		*RTE_MBUF_DYNFIELD(m[i], live->stamp_offset, rte_mbuf_timestamp_t *) = ts;
		m[i]->hash.usr = m[i]->pkt_len;
		m[kept++] = m[i];
	}
	if (live->merge)
		hand_over(q, m, kept);
	else
		rte_pktmbuf_free_bulk(m, n);
	count(&q->packets, n);
	count(&q->bytes, bytes);
	if (filtered)
		count(&q->filtered, filtered);
	return n;
}

/* A copy, in as many mbufs as it takes. NULL: there are none left. */
static struct rte_mbuf *
copy_packet(struct rte_mempool *pool, const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *tail = head;
	uint32_t done = 0;

	while (tail) {
		uint32_t part = RTE_MIN(len - done, (uint32_t)rte_pktmbuf_tailroom(tail));

		memcpy(rte_pktmbuf_mtod(tail, uint8_t *), data + done, part);
		tail->data_len = (uint16_t)part;
		done += part;
		if (done == len) {
			head->pkt_len = len;
			return head;
		}
		tail->next = rte_pktmbuf_alloc(pool);
		tail = tail->next;
		head->nb_segs++;
	}
	if (head) {
		/* The last one that was counted was not to be had. */
		head->nb_segs--;
		rte_pktmbuf_free(head);
	}
	return NULL;
}

struct interface_look {
	struct sl_live *live;
	struct lane *lane;
	struct port_queue *queue;
	uint64_t packets, bytes;
};

static void
on_packet(u_char *ctx, const struct pcap_pkthdr *h, const u_char *data)
{
	struct interface_look *look = (struct interface_look *)ctx;
	struct port_queue *q = look->queue;
	uint64_t ts = (uint64_t)h->ts.tv_sec * 1000000000u + (uint64_t)h->ts.tv_usec * q->port->unit;
	struct sl_live *live = look->live;
	struct rte_mbuf *m;

	if (ts < q->port->not_before)
		return;
	look->packets++;
	look->bytes += h->len;
	q->last_ts = ts;
	if (!live->merge) {
		live_append(live, q->port->number, ts, h->caplen, h->len, data);
		return;
	}
	m = copy_packet(live->pool, data, h->caplen);
	if (!m) {
		count(&q->no_room, 1);
		return;
	}
	*RTE_MBUF_DYNFIELD(m, live->stamp_offset, rte_mbuf_timestamp_t *) = ts;
	m->hash.usr = h->len;
	look->lane->batch[look->lane->batched++] = m;
}

/* @return packets received; *full: there may be more */
static unsigned int
receive_interface(struct sl_live *live, struct lane *lane, struct port_queue *q, bool *full)
{
	struct interface_look look = {.live = live, .lane = lane, .queue = q};
	int n;

	lane->batched = 0;
	n = port_interface_poll(q, on_packet, (uint8_t *)&look);
	if (live->merge && lane->batched)
		hand_over(q, lane->batch, lane->batched);
	if (look.packets) {
		count(&q->packets, look.packets);
		count(&q->bytes, look.bytes);
	}
	if (n < 0) {
		atomic_store_explicit(&q->drained, true, memory_order_relaxed);
		atomic_store_explicit(&q->error, -EIO, memory_order_release);
		return 0;
	}
	*full = (unsigned int)n >= INTERFACE_BURST;
	return (unsigned int)n;
}

/* How far the store's lcore may go on without this queue. */
static void
tell_progress(struct port_queue *q, uint64_t now, bool full)
{
	static const uint64_t lags[] = {
		[STAMP_CLOCK] = 0, [STAMP_KERNEL] = INTERFACE_LAG_NS, [STAMP_DEVICE] = DEVICE_LAG_NS, [STAMP_FILE] = 0};
	uint64_t through = now - lags[q->port->stamp];

	if (atomic_load_explicit(&q->drained, memory_order_relaxed))
		through = UINT64_MAX;
	else if (q->port->stamp == STAMP_FILE)
		/* Its packets have nothing to do with now; one that has none at the moment is not waited for. */
		through = full ? q->last_ts : UINT64_MAX;
	else if (full && q->port->stamp != STAMP_CLOCK)
		through = q->last_ts;
	atomic_store_explicit(&q->through, through, memory_order_release);
}

static bool
is_drained(const struct sl_live *live, struct port_queue *q, unsigned int received, uint64_t now)
{
	uint64_t stop_at = atomic_load_explicit(&live->stop_at, memory_order_acquire);

	if (stop_at == 0)
		return false;
	q->after_stop += received;
	/* Time alone says nothing: this lcore may not have run. */
	return (received == 0 && now >= stop_at + LIVE_STOP_MIN_NS) ||
	       (q->after_stop >= LIVE_STOP_PACKETS && now >= stop_at + LIVE_STOP_MAX_NS);
}

enum sl_live_poll
sl_live_rx_poll(struct sl_live *live, unsigned int number)
{
	struct lane *lane = &live->lanes[number];
	enum sl_live_poll result = SL_LIVE_IDLE;
	uint64_t now = live_now(live);

	for (unsigned int i = 0; i < lane->count; i++) {
		struct port_queue *q = lane->queues[i];
		unsigned int n;
		bool full;

		if (i > 0)
			now = live_now(live);
		if (atomic_load_explicit(&q->drained, memory_order_relaxed))
			continue;
		if (q->pcap) {
			full = false;
			n = receive_interface(live, lane, q, &full);
		} else {
			n = receive_ethdev(live, lane, q, now);
			full = n == PORT_BURST;
			/* A NIC's queue is short: it does not wait for a millisecond. Behind the others is a kernel or
			 * nobody. */
			if (result == SL_LIVE_IDLE &&
				(q->port->spec.kind == SL_PORT_PCI || now - lane->busy_at < VDEV_AWAKE_NS))
				result = SL_LIVE_WAITING;
		}
		if (n > 0)
			result = SL_LIVE_BUSY;
		if (is_drained(live, q, n, now))
			atomic_store_explicit(&q->drained, true, memory_order_release);
		tell_progress(q, now, full);
	}
	if (result == SL_LIVE_BUSY) {
		lane->busy_at = now;
		if (live->merge && live->wake)
			live->wake(live->wake_ctx);
	}
	return result;
}
