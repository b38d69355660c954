/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_OPTIONS_H
#define SL_APP_PUSH_OPTIONS_H

/**
 * @file
 * The command line of `sluice push`.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "options.h"
#include "sl_writer.h"

struct push_options {
	const char *config;
	const char *store;
	const char *capture;   /**< NULL: the active one */
	bool once;
	uint64_t from, to;     /**< times of the packets that are pushed: from <= time < to; 0 and UINT64_MAX: all */
	enum sl_sink_kind sink;
	bool crc;
	const char *state_dir; /**< NULL: none */
	const char *log_dir;   /**< NULL: none */
	uint64_t retry_for;    /**< ns */
	uint64_t stop_timeout; /**< ns */
	bool no_verdict_cache;
	struct lcore_options lcores;
	char state_dir_default[PATH_MAX];
};

/**
 * Parse and complete with defaults.
 * @return -1: go on; else the exit status, with what was wrong (or the help) printed
 */
int push_options_parse(int argc, char **argv, struct push_options *options);

/** Where a following push of a configuration keeps its journals: "/etc/x/day.lua" -> "/var/lib/sluice/day". Any thread. */
void push_default_state_dir(const char *config, char dir[PATH_MAX]);

#endif
