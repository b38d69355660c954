/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_OPTIONS_H
#define SL_APP_OPTIONS_H

/**
 * @file
 * What the command lines of several subcommands share. Main thread.
 */

#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "lcore_map.h"

#define OPTION_FLUSH_MAX 3600 /**< seconds, --flush-interval */

/** "sluice push: --sink tape: must be file ..." @return SL_EXIT_REFUSED */
int option_refuse(const char *command, const char *option, const char *value, const char *what);

/** "1.5": seconds from 0 to max. @return 0 or -EINVAL */
int option_seconds(const char *text, double max, uint64_t *ns);

/* ---------------------------------------------------------------- of subcommands that have lcores */

struct lcore_options {
	const char *map;         /**< NULL: chosen from the affinity mask */
	const char *helper_cpus; /**< CPU list, or NULL */
	const char *eal;         /**< more words for EAL, or NULL */
	bool poll;
	bool no_huge;
};

/** What getopt_long() returns for them; a subcommand's own begin at OPT_OWN. */
enum {
	OPT_MAP = 256,
	OPT_HELPER_CPUS,
	OPT_POLL,
	OPT_NO_HUGE,
	OPT_EAL,
	OPT_OWN,
};

/** Their entries in a table for getopt_long(). */
#define LCORE_OPTIONS \
	{"map", required_argument, NULL, OPT_MAP}, \
	{"helper-cpus", required_argument, NULL, OPT_HELPER_CPUS}, \
	{"poll", no_argument, NULL, OPT_POLL}, \
	{"no-huge", no_argument, NULL, OPT_NO_HUGE}, \
	{"eal", required_argument, NULL, OPT_EAL}

/** Their help; --map is each subcommand's own, since its stages are. */
#define LCORE_USAGE_CPUS \
	"  --helper-cpus LIST CPUs for the main thread, helpers and kernel I/O workers\n" \
	"                     (default: allowed CPUs that carry no stage, else all allowed)\n" \
	"  --poll             never sleep; only with a CPU for each lcore\n"
#define LCORE_USAGE_EAL \
	"  --no-huge          ordinary memory even if there are hugepages\n" \
	"  --eal WORDS        more arguments for DPDK's EAL, in one string\n"

/** Take one of them. @return false: opt is none of them */
bool lcore_options_take(struct lcore_options *options, int opt, const char *value);

/**
 * With the map known: refuse --poll on lcores that share a CPU, find the CPUs for everything else.
 * @return -1: go on; else the exit status, after a message
 */
int lcore_options_helpers(const char *command, const struct lcore_options *options, const struct lcore_entry *lcores,
	unsigned int count, const cpu_set_t *allowed, cpu_set_t *helpers);

#endif
