/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Network interfaces through libpcap, which knows what DPDK's net_af_packet does not tell: the kernel's time of each
 * packet, its length on the wire when it was cut, link types, VLAN tags that the NIC took off; and whose packet sockets
 * leave IP fragments as they came.
 */

#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "port.h"

/* A file of sysfs is dearer to read than a socket option: once in so many times. */
#define NIC_MISSED_EVERY 50u

/* LINKTYPE_ of an open handle: only libpcap knows the map from DLT_, and applies it when it writes a file's header. */
static int
link_type_of(pcap_t *pcap, uint32_t *link_type)
{
	struct pcap_file_header header;
	pcap_dumper_t *dumper;
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int ret = -EIO;

	if (!file)
		return -errno;
	dumper = pcap_dump_fopen(pcap, file);
	if (!dumper) {
		fclose(file);
	} else {
		pcap_dump_close(dumper);
		if (size >= sizeof(header)) {
			memcpy(&header, text, sizeof(header));
			*link_type = header.linktype;
			ret = 0;
		}
	}
	free(text);
	return ret;
}

static int
open_queue(struct port_queue *q, const struct sl_live_params *params, char *errbuf)
{
	const struct port *port = q->port;
	char why[PCAP_ERRBUF_SIZE] = "";
	int ret;

	q->pcap = pcap_create(port->spec.name, why);
	if (!q->pcap)
		return port_err(-EIO, errbuf, "--port %s: %s", port->spec.text, why);
	pcap_set_snaplen(q->pcap, (int)params->snap_len);
	pcap_set_promisc(q->pcap, params->promiscuous);
	pcap_set_timeout(q->pcap, INTERFACE_BLOCK_MS);
	pcap_set_buffer_size(q->pcap, (int)params->buffer_bytes);
	/* Where it can't, times are whole microseconds. */
	pcap_set_tstamp_precision(q->pcap, PCAP_TSTAMP_PRECISION_NANO);
	ret = pcap_activate(q->pcap);
	if (ret < 0)
		return port_err(ret == PCAP_ERROR_PERM_DENIED ? -EPERM : -EINVAL, errbuf, "--port %s: %s: %s",
			port->spec.text, pcap_statustostr(ret), pcap_geterr(q->pcap));
	if (pcap_setnonblock(q->pcap, 1, why) < 0)
		return port_err(-EIO, errbuf, "--port %s: %s", port->spec.text, why);
	return 0;
}

/*
 * All queues share the packets by a hash of their flow. Without the flag for it, fragments stay fragments. Until the
 * last one has joined, some see packets that others see too: so nothing counts that is older than that.
 */
static int
join_queues(struct port *port, char *errbuf)
{
	uint32_t group = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16;

	for (unsigned int i = 0; i < port->queue_count; i++) {
		int fd = pcap_fileno(port->queues[i].pcap);
		socklen_t len = sizeof(group);

		if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof(group)) < 0)
			return port_err(-errno, errbuf, "--port %s: cannot share its packets among %u queues: %s",
				port->spec.text, port->queue_count, strerror(errno));
		if (i > 0)
			continue;
		/* The kernel has chosen a number that nobody uses. */
		if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, &len) < 0)
			return port_err(-errno, errbuf, "--port %s: fanout: %s", port->spec.text, strerror(errno));
		group = (group & 0xffff) | PACKET_FANOUT_HASH << 16;
	}
	port->not_before = port_system_ns();
	return 0;
}

/* What the device under the interface had no room for, as it counts itself. */
static uint64_t
read_nic_missed(const struct port *port)
{
	unsigned long long n = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/rx_missed_errors", port->spec.name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

int
port_interface_open(struct port *port, const struct sl_live_params *params, char *errbuf)
{
	int ret = 0;

	port->driver = "interface";
	port->stamp = STAMP_KERNEL;
	for (unsigned int i = 0; i < port->queue_count && ret == 0; i++)
		ret = open_queue(&port->queues[i], params, errbuf);
	if (ret == 0 && port->queue_count > 1)
		ret = join_queues(port, errbuf);
	if (ret == 0) {
		ret = link_type_of(port->queues[0].pcap, &port->link_type);
		if (ret < 0)
			port_err(ret, errbuf, "--port %s: link type: %s", port->spec.text, strerror(-ret));
	}
	if (ret == 0)
		port->unit = pcap_get_tstamp_precision(port->queues[0].pcap) == PCAP_TSTAMP_PRECISION_NANO ? 1 : 1000;
	if (ret == 0)
		port->nic_missed_first = read_nic_missed(port);
	return ret;
}

int
port_interface_filter(struct port *port, const char *filter, char *errbuf)
{
	for (unsigned int i = 0; i < port->queue_count; i++) {
		pcap_t *pcap = port->queues[i].pcap;
		struct bpf_program program;
		int ret;

		if (pcap_compile(pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN) < 0)
			return port_err(-EINVAL, errbuf, "--filter \"%s\": %s", filter, pcap_geterr(pcap));
		ret = pcap_setfilter(pcap, &program);
		pcap_freecode(&program);
		if (ret < 0)
			return port_err(-EINVAL, errbuf, "--port %s: --filter \"%s\": %s", port->spec.text, filter,
				pcap_geterr(pcap));
	}
	return 0;
}

void
port_interface_close(struct port *port)
{
	for (unsigned int i = 0; i < port->queue_count; i++)
		if (port->queues[i].pcap)
			pcap_close(port->queues[i].pcap);
}

void
port_interface_losses(struct port *port)
{
	for (unsigned int i = 0; i < port->queue_count; i++) {
		struct tpacket_stats_v3 stats = {0};
		socklen_t len = sizeof(stats);

		/* Asking sets the kernel's counters to 0; nobody else asks, pcap_stats() neither. */
		if (getsockopt(pcap_fileno(port->queues[i].pcap), SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
			port->kernel_missed += stats.tp_drops;
	}
	if (port->loss_reads++ % NIC_MISSED_EVERY == 0)
		port->nic_missed = read_nic_missed(port) - port->nic_missed_first;
	atomic_store_explicit(&port->missed, port->kernel_missed + port->nic_missed, memory_order_relaxed);
}

int
port_interface_poll(struct port_queue *q, pcap_handler handler, uint8_t *ctx)
{
	int n = pcap_dispatch(q->pcap, INTERFACE_BURST, handler, ctx);

	if (n >= 0)
		return n;
	port_err(-EIO, q->port->message, "--port %s: %s", q->port->spec.text, pcap_geterr(q->pcap));
	return -1;
}
