/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include "port.h"

#define DATA_ROOM 2048u /* of an mbuf, unless the port's packets need more in one piece */
#define DATA_ROOM_MAX 65407u /* an mbuf's lengths are 16 bit, and its headroom is in them */
#define NIC_MTU 9600u /* jumbo frames are no reason to lose packets; a NIC may take less */
#define TX_DESCRIPTORS 512u /* never used, but some drivers want as many TX queues as RX queues */
#define MBUF_OVERHEAD 448u /* header, headroom, mempool's own, alignment */
#define DMA_PAGE 4096u /* without hugepages an mbuf of a device has pages to itself, to be in one piece for it */
#define DEVICE_CLOCK_LOOK_NS 20000000
#define RSS_KEY_MAX 64u

/* All of a flow, in both directions, to one queue: the Toeplitz hash of a key that repeats 16 bits is symmetric. */
static uint8_t rss_key[RSS_KEY_MAX];

static uint32_t
devarg_number(const struct sl_port_spec *spec, const char *key)
{
	char value[32];

	return port_devarg(spec->text, key, value, sizeof(value)) ? (uint32_t)strtoul(value, NULL, 0) : 0;
}

/* Virtual devices copy a packet into one mbuf, however long it is. */
static uint32_t
data_room(const struct sl_port_spec *spec)
{
	uint32_t room = DATA_ROOM, frame = devarg_number(spec, "framesz"), size = devarg_number(spec, "size");

	room = frame > room ? frame : room;
	room = size > room ? size : room;
	return room < DATA_ROOM_MAX ? room : DATA_ROOM_MAX;
}

/* Whether a device writes to the mbufs, by their bus addresses; virtual ones have the CPU copy into them. */
static bool
has_dma(const struct sl_port_spec *spec)
{
	return spec->kind == SL_PORT_PCI;
}

unsigned int
port_pool_size(const struct sl_live_params *params, bool merge)
{
	unsigned int need = params->queues * (PORT_RX_DESCRIPTORS + 4 * PORT_BURST + (merge ? PORT_MERGE_RING : 0));
	unsigned int size = 1024;

	need += (params->lanes + 1) * PORT_MBUF_CACHE * 3 / 2;
	while (size - 1 < need)
		size *= 2;
	return size - 1; /* a mempool has no better size than that */
}

size_t
port_ethdev_memory(const struct sl_port_spec *spec, const struct sl_live_params *params, bool merge)
{
	size_t mbuf = data_room(spec) + MBUF_OVERHEAD;
	size_t mbufs = (size_t)port_pool_size(params, merge) * (has_dma(spec) ? RTE_ALIGN_CEIL(mbuf, DMA_PAGE) : mbuf);
	size_t frames = (size_t)params->queues * devarg_number(spec, "framecnt") * 32; /* net_af_packet's tables */

	return mbufs + frames + (params->queues * PORT_RX_DESCRIPTORS * 64) + (4u << 20);
}

/* As many queues as asked for, where the device has to be told. */
static void
complete_devargs(const struct sl_port_spec *spec, unsigned int queues, char *text, size_t size)
{
	static const struct {
		const char *prefix, *key;
	} keys[] = {{"net_af_packet", "qpairs"}, {"net_af_xdp", "queue_count"}};
	char value[16];

	snprintf(text, size, "%s", spec->text);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && queues > 1; i++)
		if (strncmp(spec->name, keys[i].prefix, strlen(keys[i].prefix)) == 0 &&
			!port_devarg(spec->text, keys[i].key, value, sizeof(value)))
			snprintf(text, size, "%s,%s=%u", spec->text, keys[i].key, queues);
}

static int
find_port(struct port *port, char *errbuf)
{
	const struct sl_port_spec *spec = &port->spec;
	char devargs[1024];
	int ret;

	if (spec->kind == SL_PORT_VDEV) {
		complete_devargs(spec, port->queue_count, devargs, sizeof(devargs));
		ret = rte_dev_probe(devargs);
		if (ret == -EFAULT) /* what EAL says of a name that no driver knows */
			return port_err(-EINVAL, errbuf,
				"--port %s: DPDK has no such virtual device; there are net_af_packet0, net_af_xdp0, "
				"net_pcap0, "
				"net_ring0, net_null0, net_tap0 and others",
				spec->text);
		if (ret < 0)
			return port_err(-EINVAL, errbuf,
				"--port %s: DPDK cannot make this port (%s); what it said above, its name and its "
				"arguments "
				"are to be looked at",
				spec->text, ret == -1 ? "refused by its driver" : strerror(-ret));
	}
	if (rte_eth_dev_get_port_by_name(spec->name, &port->id) != 0)
		return port_err(
			-EINVAL, errbuf, "--port %s: DPDK has no driver for it, or could not start it", spec->text);
	port->opened = true;
	return 0;
}

/* A driver that does not tell its largest MTU (e1000) tells its longest frame. */
static uint32_t
largest_mtu(const struct rte_eth_dev_info *info)
{
	const uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	uint32_t mtu = info->max_mtu;

	if (mtu == UINT16_MAX && info->max_rx_pktlen > overhead)
		mtu = info->max_rx_pktlen - overhead;
	return RTE_MIN(mtu, NIC_MTU);
}

static void
configure_rss(const struct rte_eth_dev_info *info, unsigned int queues, struct rte_eth_conf *conf)
{
	struct rte_eth_rss_conf *rss = &conf->rx_adv_conf.rss_conf;

	/* Virtual devices that have several queues share packets out by themselves. */
	rss->rss_hf =
		info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
	if (queues == 1 || rss->rss_hf == 0) {
		rss->rss_hf = 0;
		return;
	}
	for (unsigned int i = 0; i < RSS_KEY_MAX; i += 2) {
		rss_key[i] = 0x6d;
		rss_key[i + 1] = 0x5a;
	}
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	if (info->hash_key_size > 0 && info->hash_key_size <= RSS_KEY_MAX) {
		rss->rss_key = rss_key;
		rss->rss_key_len = info->hash_key_size;
	}
}

static int
set_up_queues(struct port *port, const struct rte_eth_dev_info *info, const struct rte_eth_conf *conf,
	uint16_t tx_queues, char *errbuf)
{
	struct rte_eth_rxconf rx = info->default_rxconf;
	uint16_t rx_desc = PORT_RX_DESCRIPTORS, tx_desc = TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(port->id), ret;

	rx.offloads = conf->rxmode.offloads;
	ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx_desc, &tx_desc);
	if (ret < 0)
		return port_err(ret, errbuf, "--port %s: its queues: %s", port->spec.text, strerror(-ret));
	for (unsigned int i = 0; i < port->queue_count; i++) {
		ret = rte_eth_rx_queue_setup(port->id, (uint16_t)i, rx_desc, (unsigned int)socket, &rx, port->pool);
		if (ret < 0)
			return port_err(ret, errbuf, "--port %s: RX queue %u: %s", port->spec.text, i, strerror(-ret));
	}
	for (uint16_t q = 0; q < tx_queues; q++) {
		ret = rte_eth_tx_queue_setup(port->id, q, tx_desc, (unsigned int)socket, NULL);
		if (ret < 0)
			return port_err(ret, errbuf, "--port %s: TX queue %u: %s", port->spec.text, q, strerror(-ret));
	}
	return 0;
}

struct rte_mempool *
port_make_pool(const char *name, unsigned int size, uint32_t room, int socket, bool dma)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = (uint16_t)(room + RTE_PKTMBUF_HEADROOM)};
	/* Mbufs without bus addresses, which no device may be given, share pages where these are small. */
	unsigned int flags = dma || rte_eal_has_hugepages() ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
	struct rte_mempool *pool;

	pool = rte_mempool_create_empty(name, size, (unsigned int)sizeof(struct rte_mbuf) + private.mbuf_data_room_size,
		PORT_MBUF_CACHE, sizeof(private), socket, flags);
	if (!pool)
		return NULL;
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) < 0)
		goto err;
	rte_pktmbuf_pool_init(pool, &private);
	if (rte_mempool_populate_default(pool) < 0)
		goto err;
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
err:
	rte_mempool_free(pool);
	return NULL;
}

static int
make_pool(struct port *port, const struct sl_live_params *params, bool merge, uint32_t room, char *errbuf)
{
	unsigned int size = port_pool_size(params, merge);
	char name[32];

	snprintf(name, sizeof(name), "sl-port%u", port->number);
	port->pool = port_make_pool(name, size, room, rte_eth_dev_socket_id(port->id), has_dma(&port->spec));
	if (port->pool)
		return 0;
	return port_err(-ENOMEM, errbuf, "--port %s: no memory for %u packet buffers of %u bytes: %s", port->spec.text,
		size, room, rte_strerror(rte_errno));
}

/* A NIC's clock: ticks of its own, told apart from nanoseconds since 1970 by asking it twice. */
static void
begin_device_clock(struct port *port)
{
	const struct timespec look = {.tv_nsec = DEVICE_CLOCK_LOOK_NS};
	uint64_t ticks[2], ns[2];

	port->stamp = STAMP_CLOCK;
	if (rte_eth_read_clock(port->id, &ticks[0]) != 0)
		return;
	ns[0] = port_system_ns();
	nanosleep(&look, NULL);
	if (rte_eth_read_clock(port->id, &ticks[1]) != 0 || ticks[1] <= ticks[0])
		return;
	ns[1] = port_system_ns();
	clock_begin(&port->device_clock, ticks[1], ns[1], (double)(ns[1] - ns[0]) / (double)(ticks[1] - ticks[0]));
	port->stamp = STAMP_DEVICE;
}

int
port_ethdev_open(struct port *port, const struct sl_live_params *params, bool merge, char *errbuf)
{
	struct rte_eth_conf conf = {.rxmode = {.mq_mode = RTE_ETH_MQ_RX_NONE}};
	uint32_t room = data_room(&port->spec);
	struct rte_eth_dev_info info;
	char value[PATH_MAX];
	uint16_t tx_queues;
	int ret;

	ret = find_port(port, errbuf);
	if (ret < 0)
		return ret;
	ret = rte_eth_dev_info_get(port->id, &info);
	if (ret < 0)
		return port_err(ret, errbuf, "--port %s: %s", port->spec.text, strerror(-ret));
	port->driver = info.driver_name;
	port->link_type = 1; /* LINKTYPE_ETHERNET */
	if (params->queues > info.max_rx_queues)
		return port_err(-EINVAL, errbuf, "--port %s: has %u RX queue%s, and --queues asks for %u",
			port->spec.text, info.max_rx_queues, info.max_rx_queues == 1 ? "" : "s", params->queues);
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP;
	if (port->spec.kind == SL_PORT_PCI) {
		conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
		conf.rxmode.mtu = largest_mtu(&info);
		if (!(conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER))
			room = RTE_MAX(room, conf.rxmode.mtu + 64);
	}
	configure_rss(&info, port->queue_count, &conf);
	tx_queues = (uint16_t)RTE_MIN((uint32_t)info.max_tx_queues, port->queue_count);
	ret = rte_eth_dev_configure(port->id, (uint16_t)port->queue_count, tx_queues, &conf);
	if (ret < 0)
		return port_err(ret, errbuf, "--port %s: cannot be configured: %s", port->spec.text, strerror(-ret));
	ret = make_pool(port, params, merge, room, errbuf);
	if (ret == 0)
		ret = set_up_queues(port, &info, &conf, tx_queues, errbuf);
	if (ret < 0)
		return ret;
	if (params->promiscuous) {
		ret = rte_eth_promiscuous_enable(port->id);
		port->promiscuous = ret == 0;
		if (ret < 0 && port->spec.kind == SL_PORT_PCI)
			return port_err(ret, errbuf, "--port %s: cannot be promiscuous (%s); try --no-promiscuous",
				port->spec.text, strerror(-ret));
	}
	ret = rte_eth_dev_start(port->id);
	if (ret < 0)
		return port_err(ret, errbuf, "--port %s: cannot be started: %s", port->spec.text, strerror(-ret));
	port->started = true;
	if (strcmp(info.driver_name, "net_pcap") == 0)
		port->stamp = port_devarg(port->spec.text, "rx_pcap", value, sizeof(value)) ? STAMP_FILE : STAMP_KERNEL;
	else if (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TIMESTAMP)
		begin_device_clock(port);
	return 0;
}

void
port_ethdev_close(struct port *port)
{
	if (port->promiscuous)
		(void)rte_eth_promiscuous_disable(port->id);
	if (port->started)
		(void)rte_eth_dev_stop(port->id);
	if (port->opened)
		(void)rte_eth_dev_close(port->id);
	rte_mempool_free(port->pool);
}

void
port_ethdev_losses(struct port *port)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port->id, &stats) != 0)
		return;
	atomic_store_explicit(&port->missed, stats.imissed, memory_order_relaxed);
	atomic_store_explicit(&port->no_buffer, stats.rx_nombuf, memory_order_relaxed);
}

void
port_ethdev_tick(struct port *port, uint64_t system_ns)
{
	uint64_t ticks;

	if (port->stamp == STAMP_DEVICE && rte_eth_read_clock(port->id, &ticks) == 0)
		clock_discipline(&port->device_clock, ticks, system_ns);
}
