/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_H
#define SL_APP_PUSH_H

/**
 * @file
 * One `sluice push`: what cmd_push.c (runs it), push_prepare.c (before EAL) and push_wire.c (stages onto lcores) share.
 * Main thread only.
 */

#include <sched.h>
#include <stdbool.h>

#include "push_account.h"
#include "push_map.h"
#include "push_options.h"
#include "push_streams.h"
#include "sl_config.h"
#include "sl_ring.h"
#include "sl_writer.h"

#define PUSH_ERRBUF 1024 /**< holds the message of any library */

struct push_claims;
struct push_watch;

struct push {
	struct push_options options;
	struct sl_config *config;
	size_t findings_said; /**< of the configuration's */
	unsigned int targets;
	unsigned int max_targets; /**< slots, for those that reloads add */
	struct push_map map;
	cpu_set_t allowed, helper_cpus;
	struct push_streams *streams;
	struct sl_capture *first;  /**< that was active when the push began; the streams' own */
	struct sl_position start, end; /**< with --once: of the stream that is pushed */
	struct sl_consumer *consumers;
	struct sl_lcore *lcores[PUSH_MAP_MAX]; /**< as in the map */
	struct sl_lcore *reader_lcore, *filter_lcores[PUSH_MAP_MAX], *writer_lcores[PUSH_MAP_MAX];
	struct sl_pipeline *pipeline;
	struct sl_writers *writers;
	struct push_claims *claims; /**< on Paths and logs; NULL: none */
	struct push_watch *watch; /**< NULL: not running yet */
	bool *hinted; /**< one a target: it was told why its filter may match nothing */
	bool hugepages;
	struct push_moment begun;
	struct push_reload *reload; /**< under way, else NULL */
	bool reload_due;            /**< SIGHUP came before there was anything to reload */
};

/* ---------------------------------------------------------------- cmd_push.c */

/** Has a signal asked for the end? */
bool push_stopping(void);
/** Sleep for the main thread's tick. */
void push_tick(void);
/** Has SIGHUP come that nobody has been told about? Asked once for each. */
bool push_reload_asked(void);

/* ---------------------------------------------------------------- push_prepare.c: refuse what cannot work */

/** Load the configuration and find all that is wrong with it. @return -1: go on; else the exit status, after a message */
int push_load_config(struct push *push);
/** Have descriptors enough for all targets. @return -1: go on; else the exit status, after a message */
int push_raise_limits(unsigned int targets);
/** Claim what is written to, so that no other push does. @return -1: go on; else the exit status, after a message */
int push_claim(struct push *push);
/** Map and CPUs from options or affinity. @return -1: go on; else the exit status, after a message */
int push_choose_cpus(struct push *push);
/**
 * Open the capture to begin with and check the filters for its link type; when following, wait for the first capture.
 * @return -1: go on; else the exit status, after a message unless it was stopped
 */
int push_open_first_capture(struct push *push);

/** Refuse filters that mean nothing for the capture's link type. @return -1: go on; else the exit status, after a message */
int push_check_filters(struct push *push, const struct sl_capture *capture);

/* ---------------------------------------------------------------- push_range.c */

/** With --once: set start and end. @return -1: go on; else the exit status, after a message */
int push_find_range(struct push *push);

/* ---------------------------------------------------------------- push_wire.c */

/** Lcores of the map with their names, and consumers; nothing of EAL yet. @return 0 or -ENOMEM */
int push_make_lcores(struct push *push);
/** Start EAL with memory for all of it. @return as eal_init(), after a message */
int push_start_eal(struct push *push, char **argv);
/** Pipeline, writers, where each target begins, stages onto lcores. @return 0 or -errno, after a message */
int push_wire(struct push *push);
/** Where a target begins that has no journal and FollowStart. */
struct sl_position push_capture_start(struct sl_capture *capture);
/**
 * Where a target goes on whose journal has a position: there, as long as the store has it.
 * @param fresh        where it would begin otherwise
 * @param[out] first   fresh, or the place
 * @return 0; -errno after a message: the capture is there, but can't be opened
 */
int push_resume_position(const struct push *push, const char *desc, const struct sl_resume *resume,
	const struct sl_position *fresh, struct sl_position *first);

/* ---------------------------------------------------------------- push_reload.c */

struct push_reload;

/** SIGHUP has come: begin to read the configuration again, unless that is under way. Returns at once. */
void push_reload_begin(struct push *push);
/** Go on with a reload under way, tidy up after one. Main thread, every tick. */
void push_reload_tick(struct push *push);
/** Are the stages about to switch? Then they do so before they end. */
bool push_reload_switching(const struct push *push);
/** The lcores have stopped: free what is under way. */
void push_reload_end(struct push *push);

#endif
