/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_PORT_H
#define CAPTURE_PORT_H

/**
 * @file
 * Ports of a live capture and their queues. A port is a DPDK ethdev (port_ethdev.c) or a network interface that libpcap
 * reads from the kernel's packet sockets (port_interface.c).
 */

#include <pcap/pcap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "sl_capture.h"

#define PORT_BURST 64u          /* packets taken from a queue at once */
#define INTERFACE_BURST 256u
#define PORT_RX_DESCRIPTORS 4096u /* what is asked for; a port may have fewer */
#define PORT_MBUF_CACHE 256u
#define PORT_SNAP_MAX 262144u   /* what tcpdump takes */

/* The kernel hands over a block of packets when it is full or this old. */
#define INTERFACE_BLOCK_MS 4
/* A packet may have been stamped so long before it can be seen. */
#define INTERFACE_LAG_NS (3000000u * INTERFACE_BLOCK_MS)
#define DEVICE_LAG_NS 1000000u

/** Where the time of a packet comes from. */
enum port_stamp {
	STAMP_CLOCK,  /**< our own clock when it was received */
	STAMP_KERNEL, /**< the kernel, when it arrived */
	STAMP_FILE,   /**< the file that the port plays: nothing to do with now */
	STAMP_DEVICE, /**< the NIC */
};

struct port;

struct port_queue {
	struct port *port;
	struct sl_live *live;
	uint16_t number;       /**< within its port */
	pcap_t *pcap;          /**< interfaces only */
	uint64_t last_ts;      /**< the lane's own */
	uint64_t after_stop;   /**< the lane's own: packets taken since it was to stop */
	struct rte_ring *ring; /**< merging only: mbufs with their times, to the store's lcore */

	/* What the lane has seen; it alone writes. */
	_Alignas(64) _Atomic uint64_t through; /**< nothing older than this will come any more, ns; 0: not known */
	_Atomic uint64_t packets, bytes, filtered;
	_Atomic uint64_t no_room; /**< packets lost: the store's lcore did not take them in time */
	_Atomic int error;     /**< it failed: -errno, with a line in the port */
	_Atomic bool drained;  /**< nothing that came before the stop is left */
};

struct port {
	struct sl_port_spec spec;
	uint8_t number;        /**< as recorded with each packet */
	const char *driver;
	enum port_stamp stamp;
	uint32_t link_type;
	unsigned int queue_count;
	struct port_queue *queues;
	uint32_t unit;         /**< ns of what libpcap calls a microsecond: 1 or 1000 */
	uint64_t not_before;   /**< packets with an earlier time are another capture's, ns */

	/* Losses. The main thread alone writes. */
	_Atomic uint64_t missed, no_buffer;
	uint64_t kernel_missed; /**< interfaces: the sum of what the kernel told */
	unsigned int loss_reads;
	uint64_t nic_missed, nic_missed_first; /**< interfaces: rx_missed_errors of the device under it */
	char message[SL_CAPTURE_ERRBUF]; /**< of a queue that failed */

	/* DPDK ports. */
	uint16_t id;
	bool opened, started, promiscuous;
	struct rte_mempool *pool;
	struct clock device_clock;
};

/** Fill an error buffer with one line. @return err */
int port_err(int err, char *errbuf, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** CLOCK_REALTIME, ns. */
uint64_t port_system_ns(void);

/* ---------------------------------------------------------------- network interfaces */

int port_interface_open(struct port *port, const struct sl_live_params *params, char *errbuf);
/** Compile and set the filter. @return 0 or -EINVAL */
int port_interface_filter(struct port *port, const char *filter, char *errbuf);
void port_interface_close(struct port *port);
/** Read what the kernel has lost. The main thread. */
void port_interface_losses(struct port *port);
/**
 * Take packets. The lane's lcore.
 *
 * @return packets seen; -1: it failed, and will bring no more
 */
int port_interface_poll(struct port_queue *queue, pcap_handler handler, uint8_t *ctx);

/* ---------------------------------------------------------------- DPDK ports */

/** Bytes of EAL memory that a port takes. */
size_t port_ethdev_memory(const struct sl_port_spec *spec, const struct sl_live_params *params, bool merge);
int port_ethdev_open(struct port *port, const struct sl_live_params *params, bool merge, char *errbuf);
void port_ethdev_close(struct port *port);
void port_ethdev_losses(struct port *port);
/** Discipline the clock of a NIC that stamps packets. The main thread. */
void port_ethdev_tick(struct port *port, uint64_t now);

#define PORT_MERGE_RING 8192u /* packets of a queue on their way to the store's lcore */

/** Value of a devarg such as iface= in a port's text, copied. @return whether it is there */
bool port_devarg(const char *text, const char *key, char *value, size_t size);

/**
 * Mbufs with room for so many bytes each.
 *
 * @param dma  a device is to write to them: without it, and without hugepages, they have no bus addresses
 * @return NULL with rte_errno set
 */
struct rte_mempool *port_make_pool(const char *name, unsigned int size, uint32_t room, int socket, bool dma);

/** What the queues of a port may need of a pool: descriptors, bursts, and what is on its way. */
unsigned int port_pool_size(const struct sl_live_params *params, bool merge);

#endif
