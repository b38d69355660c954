/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_LCORE_MAP_H
#define SL_APP_LCORE_MAP_H

/**
 * @file
 * Which stages run on which lcore, and on which CPU each lcore is pinned: what the --map options of all subcommands share.
 * Main thread.
 */

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#define LCORE_MAP_MAX 64 /**< lcores of a map at the most */

/** A stage's word; a table of them ends with a NULL name. "all" means all of them. */
struct lcore_stage {
	const char *name;
	unsigned int bit;
};

/** One lcore. */
struct lcore_entry {
	unsigned int stages; /**< bits of stages */
	unsigned int cpu;
};

/**
 * Parse `reader+filter@0,writer@1` or `all@0`.
 *
 * @param stages   the words; at least two
 * @param allowed  CPUs that the process may use
 * @param[out] lcores  LCORE_MAP_MAX entries
 * @return 0; -EINVAL with one line in errbuf: a word not understood, a CPU not allowed; -ENOMEM
 */
int lcore_map_parse(const struct lcore_stage *stages, const char *text, const cpu_set_t *allowed,
	struct lcore_entry *lcores, unsigned int *count, char *errbuf, size_t errlen);

/** Lcores with a stage. */
unsigned int lcore_map_with(const struct lcore_entry *lcores, unsigned int count, unsigned int stage);

/** The text that lcore_map_parse() reads. */
void lcore_map_format(const struct lcore_stage *stages, const struct lcore_entry *lcores, unsigned int count, char *text,
	size_t len);

/** CPUs that carry an lcore. */
void lcore_map_cpus(const struct lcore_entry *lcores, unsigned int count, cpu_set_t *cpus);

/** Do two lcores share a CPU? */
bool lcore_map_shares_cpu(const struct lcore_entry *lcores, unsigned int count);

/**
 * CPUs for the main thread, helpers and kernel workers: those of a list, else the allowed ones that carry no lcore, else
 * all allowed ones.
 *
 * @param list  "0,2-3", or NULL
 * @return 0, or -EINVAL with what is wrong with the list in errbuf
 */
int lcore_map_helpers(const char *list, const struct lcore_entry *lcores, unsigned int count, const cpu_set_t *allowed,
	cpu_set_t *helpers, char *errbuf, size_t errlen);

/** Parse a CPU list such as `0,2-3`. @return 0 or -EINVAL */
int cpu_list_parse(const char *text, cpu_set_t *cpus);
/** Print one, as /proc does. */
void cpu_list_format(const cpu_set_t *cpus, char *text, size_t len);

#endif
