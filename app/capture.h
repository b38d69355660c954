/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_CAPTURE_H
#define SL_APP_CAPTURE_H

/**
 * @file
 * One `sluice capture`: what cmd_capture.c (runs it), capture_options.c (its command line), capture_roll.c (new
 * captures) and capture_report.c (what it says) share. Main thread only.
 */

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture_when.h"
#include "lcore_map.h"
#include "options.h"
#include "sl_capture.h"
#include "sl_ring.h"
#include "sl_store.h"

#define CAPTURE_STAGE_RX 1u
#define CAPTURE_STAGE_STORE 2u

struct capture_options {
	const char *store;
	const char *name;         /**< NULL: made from time and host */
	struct sl_port_spec ports[SL_PORTS_MAX];
	unsigned int port_count;
	unsigned int queues;
	bool promiscuous;
	uint32_t snap_len;
	uint32_t buffer_bytes;    /**< of an interface's ring */
	unsigned int store_buffers; /**< chunks */
	const char *filter;       /**< NULL: all */
	uint64_t flush_interval;  /**< ns */
	uint64_t duration;        /**< ns; 0: until it is stopped */
	struct capture_roll_options roll;
	struct sl_retention retention;
	struct lcore_options lcores;
	bool quiet;
};

struct capture {
	struct capture_options options;
	struct lcore_entry map[LCORE_MAP_MAX];
	unsigned int lcore_count;
	unsigned int lanes;
	cpu_set_t allowed, helper_cpus;
	struct sl_lcore *lcores[LCORE_MAP_MAX]; /**< as in the map */
	struct capture_lane {
		struct sl_live *live;
		unsigned int number;
	} lane[SL_LIVE_LANES_MAX];
	struct sl_live *live;
	char source[1024];      /**< for capture.json */
	char first_name[SL_CAPTURE_NAME_MAX]; /**< the capture that it began with */

	uint64_t begun, ended;  /**< CLOCK_MONOTONIC, ns; the last packets have come by then */

	/* Rolls. */
	uint64_t next_roll;     /**< ns since 1970; UINT64_MAX: no hour is waited for */
	uint64_t rolls_seen;
	uint64_t bytes_before;  /**< record bytes of the captures before this one */
	bool roll_asked;        /**< by size or signal, and not done yet */

	bool no_space;          /**< that was said */
	/* The line at a terminal. */
	uint64_t shown_at, shown_packets, shown_bytes;
};

/* ---------------------------------------------------------------- capture_options.c */

/**
 * Parse and complete with defaults; ports are looked at.
 * @return -1: go on; else the exit status, with what was wrong (or the help) printed
 */
int capture_options_parse(int argc, char **argv, struct capture_options *options);

/** "500M", "1.5G", "1000000": bytes. @return 0 or -EINVAL */
int capture_parse_size(const char *text, uint64_t *bytes);
/** "10,5G", "10", "0": percent and bytes to keep free. @return 0 or -EINVAL */
int capture_parse_retention(const char *text, struct sl_retention *retention);
/** Say so if a store's file system is too small for captures to be kept beside what is to stay free. */
void capture_warn_of_retention(const char *command, const char *store, const struct sl_retention *retention);

/* ---------------------------------------------------------------- capture_roll.c */

/** Begin to wait for the first roll. */
void capture_roll_begin(struct capture *capture);
/** See to rolls that are due, or have been done. `now_too`: a signal asks for one. About every 20 ms. */
void capture_roll_tick(struct capture *capture, bool now_too);

/* ---------------------------------------------------------------- capture_report.c */

/** At a terminal: what comes in, once a second. */
void capture_report_line(struct capture *capture);
/** When the store's file system is full, or no longer: say it once. */
void capture_report_space(struct capture *capture);
/** At the end: what was stored, and what was lost and why. whole: all that was taken could be written. */
void capture_report_summary(const struct capture *capture, bool whole);

/** Answer /sluice/capture and /sluice/capture_port from here on. After rte_eal_init(). */
void capture_telemetry_start(const struct capture *capture);
/** Answer no more; waits for an answer under way. */
void capture_telemetry_stop(void);

#endif
