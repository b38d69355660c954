/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_SUMMARY_H
#define SL_APP_PUSH_SUMMARY_H

/**
 * @file
 * What `sluice push` says at its end.
 */

#include <stdbool.h>
#include <stdio.h>

#include "push_account.h"
#include "push_map.h"
#include "sl_config.h"
#include "sl_ring.h"
#include "sl_writer.h"

struct push_summary {
	const struct sl_config *config;
	const struct sl_writers *writers;
	const struct sl_pipeline *pipeline;
	struct sl_lcore *const *lcores;
	const struct push_map *map;
	bool crc;
	bool journal; /**< there is a state directory */
	struct push_moment begun;
	uint64_t stopping_ns; /**< CLOCK_MONOTONIC of the signal, 0: it ended by itself */
};

/** Print the table of targets, what was read and how busy the lcores were. Main thread, after the lcores have stopped. */
void push_summary_print(const struct push_summary *summary, FILE *out);

/** Print how many chunks were passed over, if any. @return how many */
uint64_t push_summary_bad_chunks(const struct push_summary *summary, FILE *err);

/** Print a line for each target that could not publish everything. @return how many */
unsigned int push_summary_failures(const struct push_summary *summary, FILE *err);

#endif
