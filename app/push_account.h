/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_ACCOUNT_H
#define SL_APP_PUSH_ACCOUNT_H

/**
 * @file
 * What each stage of a push has cost so far, for the closing summary and for telemetry.
 */

#include <stdint.h>

#include "push_map.h"
#include "sl_ring.h"

/** A moment on two clocks. */
struct push_moment {
	uint64_t ns;  /**< CLOCK_MONOTONIC */
	uint64_t tsc;
};

/** Now. Any thread, no EAL. */
struct push_moment push_moment_now(void);

/** Reader, filter or writer: the sum over its lcores. */
struct push_stage_account {
	const char *name;
	unsigned int lcores;
	uint64_t busy_ns, idle_ns; /**< in polls that did work, in others */
	double ns_per_packet, ns_per_chunk; /**< busy time; 0 if there was none */
};

#define PUSH_STAGES 3

/**
 * Add up what the lcores have written down. Any thread.
 * @param begun  a moment some time ago: tells what a TSC cycle is
 */
void push_account(const struct push_map *map, struct sl_lcore *const *lcores, const struct sl_pipeline *pipeline,
	const struct push_moment *begun, struct push_stage_account accounts[PUSH_STAGES]);

/** Nanoseconds that a number of TSC cycles takes. */
uint64_t push_cycles_ns(const struct push_moment *begun, uint64_t cycles);

#endif
