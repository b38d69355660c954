/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CAPTURE_H
#define SL_CAPTURE_H

/**
 * @file
 * What fills a store: the importer of pcap and pcapng files, FMADIO's chunked stream, and pipes of them, once or following;
 * and live capture from network ports.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_CAPTURE_ERRBUF 1024u /**< bytes that hold any error line of this library */

struct sl_import_params {
	const char *store;
	const char *capture;          /**< name, or NULL */
	const char *const *files;     /**< "-" is standard input */
	size_t file_count;
	int interface;                /**< interface to take (counted through a pcapng file from 0), -1: all */
	uint64_t flush_interval;      /**< ns */
	bool progress;                /**< show progress on standard error; sl_import() only */

	/** @{ sl_follow() only */
	const char *state_dir;        /**< where to keep what was imported; NULL: in the store */
	/** The next time at which a new capture is due after a time, ns since 1970 UTC; NULL: never. */
	uint64_t (*roll_next)(const void *ctx, uint64_t after);
	const void *roll_ctx;
	uint64_t roll_bytes;          /**< captured bytes after which a new capture is due; 0: never */
	uint64_t keep_free_bytes;     /**< of the store's file system; captures that such writers made may be deleted for it */
	unsigned int keep_free_percent;
	/** @} */

	/** Becomes 1 when a signal asks to end, 2 when it asks again (a pipe is not drained then); may be NULL. */
	const volatile int *stop;
	/** Called with each line that a user should read (refusals, damage, warnings); may be NULL. */
	void (*report)(void *ctx, const char *line);
	void *report_ctx;
};

struct sl_import_result {
	char capture[128];   /**< name of the capture made, "" if none was; the last one of several */
	unsigned int captures; /**< how many were made */
	bool incomplete;     /**< the store failed: it holds fewer packets than are counted here */
	uint64_t packets;
	uint64_t bytes;      /**< captured bytes, without record headers */
	uint64_t too_large;  /**< packets too large for a chunk, skipped */
	uint64_t bad_times;  /**< packets whose time no pcap record can hold (before 1970, after 2106), skipped */
	uint64_t damaged;    /**< files that ended in damage */
	uint64_t first_ts, last_ts; /**< ns; earliest and latest time */
};

/**
 * Import files into a new capture, in the order given. Blocks until done. One thread; no EAL, no privilege beyond
 * writing the store. A signal handler that sets *stop must be installed without SA_RESTART.
 *
 * A stop ends a pipe without error: what its writer hands over within a moment is still taken. A regular file that is
 * stopped has failed.
 *
 * @param errbuf  SL_CAPTURE_ERRBUF bytes: the first problem, "" if there was none (all of them go to report)
 * @return 0: all of it; -EINVAL: refused before anything was written (exit status 2);
 *         another -errno: failed while running or something was left out (exit status 1)
 */
int sl_import(const struct sl_import_params *params, struct sl_import_result *result, char *errbuf);

/**
 * Import what other programs write, for as long as they write it: files that grow or are replaced, directories that are
 * filled with files. Each packet is imported once, also across crashes and restarts: docs/import.rst says how. Blocks until
 * params->stop; then takes what is there, for ten seconds at the most. One thread; no EAL, no privilege beyond reading the
 * files and writing the store. A signal handler that sets *stop must be installed without SA_RESTART.
 *
 * Files are regular files, directories, or files that do not exist yet in a directory that does. A single pipe or standard
 * input is imported by sl_import().
 *
 * @param errbuf  SL_CAPTURE_ERRBUF bytes: the first problem, "" if there was none (all of them go to report)
 * @return as sl_import(); 0: stopped, and nothing was left out
 */
int sl_follow(const struct sl_import_params *params, struct sl_import_result *result, char *errbuf);

/* ---------------------------------------------------------------- live capture */

#define SL_PORTS_MAX 32u /**< ports of a live capture */
#define SL_LIVE_QUEUES_MAX 128u /**< queues of all of its ports together */
#define SL_LIVE_LANES_MAX 64u /**< RX lcores */

enum sl_port_kind {
	SL_PORT_INTERFACE, /**< a network interface, read by libpcap from the kernel's packet sockets */
	SL_PORT_VDEV,      /**< a virtual DPDK port such as net_null0 or net_af_packet0,iface=eth0 */
	SL_PORT_PCI,       /**< a NIC that DPDK drives, by its PCI address */
};

/** What a user means by `--port TEXT`. */
struct sl_port_spec {
	const char *text; /**< as written; not copied */
	enum sl_port_kind kind;
	char name[64];    /**< interface; name of the DPDK port ("net_null0", "0000:01:00.0") */
};

/**
 * Understand a port and find out what can be known without DPDK: whether it exists and may be used. Any thread; needs no EAL.
 *
 * @param text    "eth0"; "net_null0,size=64"; "0000:01:00.0"; outlives the spec
 * @param errbuf  SL_CAPTURE_ERRBUF bytes: what is wrong and what to do
 * @return 0; -EINVAL: not understood; -ENODEV: there is none; -EBUSY: a kernel driver has it; -ENETDOWN: it is down;
 *         -EPERM: not allowed; another -errno
 */
int sl_port_spec_parse(const char *text, struct sl_port_spec *spec, char *errbuf);

struct sl_store_writer;

struct sl_live_params {
	const struct sl_port_spec *ports; /**< copied */
	unsigned int port_count; /**< 1 to SL_PORTS_MAX */
	unsigned int queues;     /**< of each port, 1 or more: RSS, or fanout of an interface */
	unsigned int lanes;      /**< RX lcores, 1 to SL_LIVE_LANES_MAX; queue i of all queues is lane i modulo lanes */
	bool store_apart;        /**< packets go to the store on another lcore than those that receive */
	bool promiscuous;
	uint32_t snap_len;       /**< bytes kept of a packet */
	uint32_t buffer_bytes;   /**< of the kernel's ring of each interface's queue */
	/** With store_apart: called on a lane's lcore when it has handed packets to the store's, which may be asleep. Or NULL. */
	void (*wake)(void *ctx);
	void *wake_ctx;
	const char *filter;      /**< only what this expression (pcap-filter(7)) accepts is kept; NULL: all */
};

struct sl_live; /**< ports, their queues, and the way of their packets into a store */

/** Bytes of EAL memory that sl_live_create() takes. Any thread, before EAL. */
size_t sl_live_memory(const struct sl_live_params *params);

/**
 * Open, configure and start the ports. Main thread, after rte_eal_init().
 *
 * @param errbuf  SL_CAPTURE_ERRBUF bytes, one line that names the port
 * @return 0; -ENOMEM; any other -errno: refused (a port that is not there or cannot be had so, ports of different link
 *         types, a filter that does not compile), and nothing was received
 */
int sl_live_create(const struct sl_live_params *params, struct sl_live **live, char *errbuf);

/** Stop and close the ports, free all. NULL is allowed. No lcore may poll any more. Main thread. */
void sl_live_destroy(struct sl_live *live);

/** LINKTYPE_ value of all ports. Any thread. */
uint32_t sl_live_link_type(const struct sl_live *live);

/** Where packets go. Main thread, before the lcores start; the writer belongs to the lcores from there to their end. */
void sl_live_start(struct sl_live *live, struct sl_store_writer *writer);

enum sl_live_poll {
	SL_LIVE_IDLE,    /**< nothing to do; worth another look after a millisecond */
	SL_LIVE_BUSY,    /**< did work */
	SL_LIVE_WAITING, /**< nothing to do; packets may come to a NIC's short queue at any moment */
};

/**
 * Take what has arrived at a lane's queues: into the store, or to the lcore that has the store. The lane's lcore only;
 * does not block, unless the store does.
 */
enum sl_live_poll sl_live_rx_poll(struct sl_live *live, unsigned int lane);

/**
 * Write into the store what the lanes have received, in the order of time; record losses, send out chunks that are due,
 * raise the clock, roll when it is time. The store's lcore only (with one lane and no store_apart: the lane's).
 */
enum sl_live_poll sl_live_store_poll(struct sl_live *live);

/** Discipline clocks, read the ports' counters of losses. Main thread, about every 20 ms. */
void sl_live_tick(struct sl_live *live);

/** The capture's own clock: ns since 1970 UTC. Any thread. */
uint64_t sl_live_now(const struct sl_live *live);

/**
 * Go on in a new capture at the first packet with this time or a later one (or when the clock reaches it in silence).
 * Replaces what was asked for before and has not happened. Main thread.
 *
 * @param at    ns since 1970 UTC; 0: at once; UINT64_MAX: not
 * @param name  of the new capture, NULL: made from time and host
 */
void sl_live_roll_at(struct sl_live *live, uint64_t at, const char *name);

/** Rolls done so far. Any thread. */
uint64_t sl_live_rolls(const struct sl_live *live);

/** Receive no more than has arrived by now. Any thread; the lcores go on polling until sl_live_drained(). */
void sl_live_stop(struct sl_live *live);
/** Whether all that had arrived at sl_live_stop() was given to the store. Any thread. */
bool sl_live_drained(const struct sl_live *live);

/**
 * Count the last losses, close the capture durably. Main thread, when no lcore polls any more.
 *
 * @param errbuf  SL_STORE_ERRBUF bytes
 * @return as sl_store_writer_close()
 */
int sl_live_finish(struct sl_live *live, char *errbuf);

/** What is wrong since when running: 0, or -errno of the store or of the last port left, with its line. Main thread. */
int sl_live_error(const struct sl_live *live, char *errbuf);

/** Whether a port has failed and brings no more while others go on. Main thread. @param[out] errbuf  why */
bool sl_live_port_failed(const struct sl_live *live, unsigned int port, char *errbuf);

/** What has been received and lost. */
struct sl_live_stats {
	uint64_t packets;      /**< stored */
	uint64_t bytes;        /**< of these, as captured */
	uint64_t wire_bytes;   /**< of these, as on the wire */
	uint64_t filtered;     /**< not wanted by the filter */
	uint64_t missed;       /**< lost: the port had no room (imissed; a packet socket's ring was full) */
	uint64_t no_buffer;    /**< lost: the port had no buffer (rx_nombuf) */
	uint64_t store_slow;   /**< lost: the store did not keep up */
	uint64_t too_large;    /**< lost: larger than a chunk */
	uint64_t bad_times;    /**< lost: a time that no pcap record can hold */
	uint64_t late;         /**< stored behind a packet with a later time of another queue */
	unsigned int buffers;  /**< chunks between the ports and the disk */
	unsigned int busy;     /**< of these filled, and not on the disk yet */
	bool no_space;         /**< the store's file system is full: chunks wait for room */
	uint64_t removed_bytes; /**< blocks that retention has freed */
	uint64_t removed_captures; /**< captures that retention has removed whole */
	uint64_t clock_steps;  /**< times that the clock had to step forward */
	int64_t clock_error;   /**< ns: the system clock's lead over the capture's when last compared */
};
/** Any thread. */
void sl_live_get_stats(const struct sl_live *live, struct sl_live_stats *stats);

/** What came from one port: packets and bytes of received ones, stored or not, missed and no_buffer. Any thread. */
void sl_live_port_stats(const struct sl_live *live, unsigned int port, struct sl_live_stats *stats);

/** "net_null", "interface": what drives a port; where its times come from: "TSC", "kernel", "file", "NIC". Any thread. */
void sl_live_port_driver(const struct sl_live *live, unsigned int port, const char **driver, const char **stamps);

#ifdef __cplusplus
}
#endif

#endif
