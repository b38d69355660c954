/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_EAL_H
#define SL_APP_PUSH_EAL_H

/**
 * @file
 * Starting DPDK's EAL: its lcores from the map, its memory from what the pipeline needs, on hugepages when there are
 * enough free ones.
 */

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "push_map.h"

struct push_eal {
	const struct push_map *map;
	const cpu_set_t *helper_cpus; /**< where the main thread runs */
	const cpu_set_t *allowed;     /**< where this process could run when it began */
	size_t memory;                /**< bytes that the pipeline and the writers will take */
	bool no_huge;                 /**< as asked for */
	const char *extra;            /**< more words, or NULL */
	bool hugepages;               /**< [out] memory is on hugepages */
};

/**
 * Initialise EAL. Lcore i + 1 is entry i of the map; lcore 0 is the main thread.
 * If hugepages vanish between the look and the taking (another program was quicker), the process starts itself anew with
 * --no-huge.
 * @param argv  the command line, for that
 * @return 0; -EINVAL: EAL does not understand `extra`; other -errno. Each with a line printed
 */
int push_eal_init(struct push_eal *eal, char **argv);

#endif
