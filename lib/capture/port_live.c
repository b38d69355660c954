/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * A live capture as the main thread sees it: made, looked after, ended.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_errno.h>
#include <rte_ring.h>

#include "port_live.h"

#define FIRST_LOOK_NS 20000000 /* to know the TSC's rate well enough for a start */
#define DISCIPLINE_EVERY_NS 100000000u
#define READINGS 5
#define INTERFACE_DATA_ROOM 2048u
#define INTERFACE_POOL_MAX 131072u

/* ---------------------------------------------------------------- clocks */

/* A pair of readings as close as can be had: of several the one with the shortest way between them. */
static void
read_pair(uint64_t *ticks, uint64_t *system_ns)
{
	uint64_t best = UINT64_MAX;

	*ticks = *system_ns = 0;
	for (int i = 0; i < READINGS; i++) {
		uint64_t before = rte_rdtsc(), ns = port_system_ns(), after = rte_rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*ticks = before + best / 2;
		*system_ns = ns;
	}
}

static void
begin_clock(struct sl_live *live)
{
	const struct timespec look = {.tv_nsec = FIRST_LOOK_NS};
	uint64_t ticks[2], ns[2];

	do {
		read_pair(&ticks[0], &ns[0]);
		nanosleep(&look, NULL);
		read_pair(&ticks[1], &ns[1]);
	} while (ns[1] <= ns[0] || ticks[1] <= ticks[0]);
	clock_begin(&live->clock, ticks[1], ns[1], (double)(ns[1] - ns[0]) / (double)(ticks[1] - ticks[0]));
}

uint64_t
sl_live_now(const struct sl_live *live)
{
	return live_now(live);
}

static void
read_losses(struct sl_live *live)
{
	for (unsigned int i = 0; i < live->port_count; i++) {
		if (live->ports[i].spec.kind == SL_PORT_INTERFACE)
			port_interface_losses(&live->ports[i]);
		else
			port_ethdev_losses(&live->ports[i]);
	}
}

void
sl_live_tick(struct sl_live *live)
{
	uint64_t ticks, ns;

	read_losses(live);
	read_pair(&ticks, &ns);
	/* By the counter, not by the clock that may have been set. */
	if (clock_at(&live->clock, ticks) - live->disciplined_at < DISCIPLINE_EVERY_NS)
		return;
	clock_discipline(&live->clock, ticks, ns);
	live->disciplined_at = clock_at(&live->clock, ticks);
	for (unsigned int i = 0; i < live->port_count; i++)
		if (live->ports[i].spec.kind != SL_PORT_INTERFACE)
			port_ethdev_tick(&live->ports[i], port_system_ns());
}

/* ---------------------------------------------------------------- making */

/* Several queues are in order by themselves only if one lcore stamps them all. */
static bool
must_merge(const struct sl_live_params *params)
{
	bool several = params->port_count * params->queues > 1;
	bool stamped = false;

	for (unsigned int i = 0; i < params->port_count; i++)
		stamped |= params->ports[i].kind != SL_PORT_VDEV || strncmp(params->ports[i].name, "net_pcap", 8) == 0;
	return params->store_apart || params->lanes > 1 || (several && stamped);
}

/* All interfaces share one pool: what can be on its way of each queue, and no more than fits a machine. */
static unsigned int
interface_pool_size(const struct sl_live_params *params)
{
	unsigned int queues = params->port_count * params->queues, size = 2 * PORT_MERGE_RING;

	while (size < queues * PORT_MERGE_RING && size < INTERFACE_POOL_MAX)
		size *= 2;
	return size - 1;
}

size_t
sl_live_memory(const struct sl_live_params *params)
{
	bool merge = must_merge(params), interfaces = false;
	size_t bytes = 0;

	for (unsigned int i = 0; i < params->port_count; i++) {
		if (params->ports[i].kind == SL_PORT_INTERFACE)
			interfaces = true;
		else
			bytes += port_ethdev_memory(&params->ports[i], params, merge);
	}
	if (merge)
		bytes += (size_t)params->port_count * params->queues * PORT_MERGE_RING * sizeof(void *) * 2;
	if (merge && interfaces)
		bytes += (size_t)interface_pool_size(params) * (INTERFACE_DATA_ROOM + 448) + (4u << 20);
	return bytes;
}

static int
check_params(const struct sl_live_params *params, char *errbuf)
{
	if (params->port_count * params->queues > SL_LIVE_QUEUES_MAX)
		return port_err(-EINVAL, errbuf, "%u ports of %u queues: %u queues are the most", params->port_count,
			params->queues, SL_LIVE_QUEUES_MAX);
	if (params->lanes > params->port_count * params->queues)
		return port_err(-EINVAL, errbuf,
			"%u lcores receive, and there %s only %u queue%s: ask for more with --queues", params->lanes,
			params->port_count * params->queues == 1 ? "is" : "are", params->port_count * params->queues,
			params->port_count * params->queues == 1 ? "" : "s");
	for (unsigned int i = 0; i < params->port_count; i++)
		for (unsigned int k = 0; k < i; k++)
			if (strcmp(params->ports[i].name, params->ports[k].name) == 0)
				return port_err(-EINVAL, errbuf, "--port %s: the port \"%s\" twice",
					params->ports[i].text, params->ports[i].name);
	return 0;
}

static void
place_queues(struct sl_live *live, const struct sl_live_params *params)
{
	live->lane_count = params->lanes;
	live->port_count = params->port_count;
	for (unsigned int i = 0; i < params->port_count; i++) {
		struct port *port = &live->ports[i];

		port->spec = params->ports[i];
		port->number = (uint8_t)i;
		port->queue_count = params->queues;
		port->queues = &live->queues[live->queue_count];
		for (unsigned int k = 0; k < params->queues; k++) {
			struct port_queue *q = &live->queues[live->queue_count];
			struct lane *lane = &live->lanes[live->queue_count % params->lanes];

			q->port = port;
			q->live = live;
			q->number = (uint16_t)k;
			lane->queues[lane->count++] = q;
			live->queue_count++;
		}
	}
}

static int
open_ports(struct sl_live *live, const struct sl_live_params *params, char *errbuf)
{
	for (unsigned int i = 0; i < live->port_count; i++) {
		struct port *port = &live->ports[i];
		int ret = port->spec.kind == SL_PORT_INTERFACE ? port_interface_open(port, params, errbuf)
							       : port_ethdev_open(port, params, live->merge, errbuf);

		if (ret < 0)
			return ret;
		if (i > 0 && port->link_type != live->link_type)
			return port_err(-EINVAL, errbuf,
				"--port %s: its link type is %u, and that of --port %s is %u; one capture has one: "
				"capture them "
				"into two stores",
				port->spec.text, port->link_type, live->ports[0].spec.text, live->link_type);
		live->link_type = port->link_type;
	}
	return 0;
}

static int
set_filter(struct sl_live *live, const char *filter, char *errbuf)
{
	pcap_t *ethernet;
	int ret = 0;

	if (!filter)
		return 0;
	for (unsigned int i = 0; i < live->port_count && ret == 0; i++)
		if (live->ports[i].spec.kind == SL_PORT_INTERFACE)
			ret = port_interface_filter(&live->ports[i], filter, errbuf);
	if (ret < 0)
		return ret;
	ethernet = pcap_open_dead(DLT_EN10MB, PORT_SNAP_MAX);
	if (!ethernet)
		return port_err(-ENOMEM, errbuf, "out of memory");
	if (live->link_type != 1)
		/* Then no port is DPDK's. */
		ret = 0;
	else if (pcap_compile(ethernet, &live->filter, filter, 1, PCAP_NETMASK_UNKNOWN) < 0)
		ret = port_err(-EINVAL, errbuf, "--filter \"%s\": %s", filter, pcap_geterr(ethernet));
	else
		live->has_filter = true;
	pcap_close(ethernet);
	return ret;
}

static int
make_rings(struct sl_live *live, const struct sl_live_params *params, char *errbuf)
{
	bool interfaces = false;

	for (unsigned int i = 0; i < live->queue_count; i++) {
		struct port_queue *q = &live->queues[i];
		char name[32];

		snprintf(name, sizeof(name), "sl-live%u", i);
		q->ring = rte_ring_create(name, PORT_MERGE_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!q->ring)
			return port_err(-ENOMEM, errbuf, "no memory for a ring: %s", rte_strerror(rte_errno));
		interfaces |= q->port->spec.kind == SL_PORT_INTERFACE;
	}
	live_make_streams(live);
	if (!interfaces)
		return 0;
	live->pool =
		port_make_pool("sl-interfaces", interface_pool_size(params), INTERFACE_DATA_ROOM, SOCKET_ID_ANY, false);
	if (!live->pool)
		return port_err(-ENOMEM, errbuf, "no memory for packet buffers: %s", rte_strerror(rte_errno));
	return 0;
}

static int
make_scratch(struct sl_live *live)
{
	for (unsigned int i = 0; i < live->lane_count; i++) {
		live->lanes[i].scratch = malloc(PORT_SNAP_MAX);
		if (!live->lanes[i].scratch)
			return -ENOMEM;
	}
	live->scratch = malloc(PORT_SNAP_MAX);
	return live->scratch ? 0 : -ENOMEM;
}

int
sl_live_create(const struct sl_live_params *params, struct sl_live **live, char *errbuf)
{
	struct sl_live *l;
	int ret;

	*live = NULL;
	ret = check_params(params, errbuf);
	if (ret < 0)
		return ret;
	l = aligned_alloc(64, (sizeof(*l) + 63) & ~(size_t)63);
	if (!l)
		return port_err(-ENOMEM, errbuf, "out of memory");
	memset(l, 0, sizeof(*l));
	l->snap_len = params->snap_len;
	l->merge = must_merge(params);
	l->wake = params->wake;
	l->wake_ctx = params->wake_ctx;
	atomic_store(&l->roll.at, UINT64_MAX);
	place_queues(l, params);
	ret = make_scratch(l);
	if (ret < 0) {
		port_err(ret, errbuf, "out of memory");
		goto err;
	}
	begin_clock(l);
	if (rte_mbuf_dyn_rx_timestamp_register(&l->stamp_offset, &l->stamp_flag) < 0) {
		ret = port_err(-ENOMEM, errbuf, "no room in mbufs for a time: %s", rte_strerror(rte_errno));
		goto err;
	}
	ret = open_ports(l, params, errbuf);
	if (ret == 0)
		ret = set_filter(l, params->filter, errbuf);
	if (ret == 0 && l->merge)
		ret = make_rings(l, params, errbuf);
	if (ret < 0)
		goto err;
	*live = l;
	return 0;
err:
	sl_live_destroy(l);
	return ret;
}

void
sl_live_destroy(struct sl_live *live)
{
	if (!live)
		return;
	for (unsigned int i = 0; i < live->queue_count; i++) {
		struct rte_mbuf *m;

		while (live->queues[i].ring && rte_ring_sc_dequeue(live->queues[i].ring, (void **)&m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(live->queues[i].ring);
	}
	for (unsigned int i = 0; i < live->port_count; i++) {
		if (live->ports[i].spec.kind == SL_PORT_INTERFACE)
			port_interface_close(&live->ports[i]);
		else
			port_ethdev_close(&live->ports[i]);
	}
	rte_mempool_free(live->pool);
	if (live->has_filter)
		pcap_freecode(&live->filter);
	for (unsigned int i = 0; i < live->lane_count; i++)
		free(live->lanes[i].scratch);
	free(live->scratch);
	free(live);
}

/* ---------------------------------------------------------------- running */

uint32_t
sl_live_link_type(const struct sl_live *live)
{
	return live->link_type;
}

void
sl_live_start(struct sl_live *live, struct sl_store_writer *writer)
{
	live->writer = writer;
	/* What was lost before is no loss of this capture. */
	read_losses(live);
	for (int cause = 0; cause < SL_DROP_CAUSES; cause++)
		live->recorded[cause] = live_lost(live, (enum sl_drop_cause)cause);
}

void
sl_live_roll_at(struct sl_live *live, uint64_t at, const char *name)
{
	uint32_t state;

	atomic_store_explicit(&live->roll.at, UINT64_MAX, memory_order_release);
	/* One that is just being done is done first. */
	for (;;) {
		state = ROLL_ARMED;
		if (atomic_compare_exchange_strong(&live->roll.state, &state, ROLL_NONE) || state == ROLL_NONE)
			break;
		sched_yield();
	}
	if (at == UINT64_MAX)
		return;
	snprintf(live->roll.name, sizeof(live->roll.name), "%s", name ? name : "");
	atomic_store_explicit(&live->roll.state, ROLL_ARMED, memory_order_release);
	atomic_store_explicit(&live->roll.at, at, memory_order_release);
}

uint64_t
sl_live_rolls(const struct sl_live *live)
{
	return atomic_load_explicit(&live->rolls, memory_order_relaxed);
}

void
sl_live_stop(struct sl_live *live)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&live->stop_at, &none, live_now(live));
}

bool
sl_live_drained(const struct sl_live *live)
{
	return atomic_load_explicit(&live->drained, memory_order_acquire);
}

int
sl_live_finish(struct sl_live *live, char *errbuf)
{
	struct sl_store_writer *writer = live->writer;

	read_losses(live);
	live_publish(live);
	live_record_losses(live);
	live->writer = NULL;
	return sl_store_writer_close(writer, errbuf);
}

int
sl_live_error(const struct sl_live *live, char *errbuf)
{
	int error = atomic_load_explicit(&live->error, memory_order_acquire);
	const struct port *last = NULL;

	if (error) {
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "%s", live->message);
		return error;
	}
	for (unsigned int i = 0; i < live->queue_count; i++) {
		if (!atomic_load_explicit(&live->queues[i].error, memory_order_acquire))
			return 0;
		last = live->queues[i].port;
	}
	return port_err(-EIO, errbuf, "%s", last ? last->message : "no port");
}

bool
sl_live_port_failed(const struct sl_live *live, unsigned int number, char *errbuf)
{
	const struct port *port = &live->ports[number];

	for (unsigned int i = 0; i < port->queue_count; i++) {
		if (!atomic_load_explicit(&port->queues[i].error, memory_order_acquire))
			continue;
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "%s", port->message);
		return true;
	}
	return false;
}

void
sl_live_get_stats(const struct sl_live *live, struct sl_live_stats *stats)
{
	*stats = (struct sl_live_stats){
		.packets = atomic_load_explicit(&live->packets, memory_order_relaxed),
		.bytes = atomic_load_explicit(&live->bytes, memory_order_relaxed),
		.wire_bytes = atomic_load_explicit(&live->wire_bytes, memory_order_relaxed),
		.missed = live_lost(live, SL_DROP_NIC),
		.no_buffer = live_lost(live, SL_DROP_NO_BUFFER),
		.store_slow = live_lost(live, SL_DROP_STORE),
		.too_large = atomic_load_explicit(&live->too_large, memory_order_relaxed),
		.bad_times = atomic_load_explicit(&live->bad_times, memory_order_relaxed),
		.late = atomic_load_explicit(&live->late, memory_order_relaxed),
		.buffers = atomic_load_explicit(&live->buffers, memory_order_relaxed),
		.busy = atomic_load_explicit(&live->busy, memory_order_relaxed),
		.no_space = atomic_load_explicit(&live->no_space, memory_order_relaxed),
		.removed_bytes = atomic_load_explicit(&live->removed_bytes, memory_order_relaxed),
		.removed_captures = atomic_load_explicit(&live->removed_captures, memory_order_relaxed),
		.clock_steps = live->clock.steps,
		.clock_error = live->clock.error_ns,
	};
	for (unsigned int i = 0; i < live->queue_count; i++)
		stats->filtered += atomic_load_explicit(&live->queues[i].filtered, memory_order_relaxed);
}

void
sl_live_port_stats(const struct sl_live *live, unsigned int number, struct sl_live_stats *stats)
{
	const struct port *port = &live->ports[number];

	*stats = (struct sl_live_stats){
		.missed = atomic_load_explicit(&port->missed, memory_order_relaxed),
		.no_buffer = atomic_load_explicit(&port->no_buffer, memory_order_relaxed),
	};
	for (unsigned int i = 0; i < port->queue_count; i++) {
		const struct port_queue *q = &port->queues[i];

		stats->packets += atomic_load_explicit(&q->packets, memory_order_relaxed);
		stats->wire_bytes += atomic_load_explicit(&q->bytes, memory_order_relaxed);
		stats->filtered += atomic_load_explicit(&q->filtered, memory_order_relaxed);
		stats->store_slow += atomic_load_explicit(&q->no_room, memory_order_relaxed);
	}
}

void
sl_live_port_driver(const struct sl_live *live, unsigned int number, const char **driver, const char **stamps)
{
	static const char *const names[] = {
		[STAMP_CLOCK] = "TSC", [STAMP_KERNEL] = "kernel", [STAMP_FILE] = "file", [STAMP_DEVICE] = "NIC"};

	*driver = live->ports[number].driver;
	*stamps = names[live->ports[number].stamp];
}
