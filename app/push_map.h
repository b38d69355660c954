/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_MAP_H
#define SL_APP_PUSH_MAP_H

/**
 * @file
 * --map: which stages run on which lcore, and on which CPU each lcore is pinned.
 */

#include "lcore_map.h"

#define PUSH_MAP_MAX LCORE_MAP_MAX

#define PUSH_STAGE_READER 1u
#define PUSH_STAGE_FILTER 2u
#define PUSH_STAGE_WRITER 4u

struct push_map {
	struct lcore_entry lcores[PUSH_MAP_MAX];
	unsigned int count;
	unsigned int filters, writers; /**< lcores with that stage */
};

/**
 * Parse `reader+filter@0,writer@1` or `all@0`.
 * @param allowed  CPUs that the process may use
 * @return 0, or -EINVAL with one line in errbuf: a word not understood, a CPU not allowed, a stage missing or a second
 *         reader
 */
int push_map_parse(const char *text, const cpu_set_t *allowed, struct push_map *map, char *errbuf, size_t errlen);

/** A map for the CPUs that the process may use; no more writers than targets. */
void push_map_choose(const cpu_set_t *allowed, unsigned int targets, struct push_map *map);

/** As --map takes it. */
void push_map_format(const struct push_map *map, char *text, size_t len);

#endif
