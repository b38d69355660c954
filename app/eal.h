/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_EAL_H
#define SL_APP_EAL_H

/**
 * @file
 * Starting DPDK's EAL: its lcores from a map, its memory from what will be needed, on hugepages when there are enough
 * free ones. For all subcommands that need lcores.
 */

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "lcore_map.h"

#define EAL_PCI_MAX 32 /**< PCI devices at the most */

struct eal {
	const char *command;             /**< "push": for messages, and to start anew */
	const struct lcore_entry *lcores;
	unsigned int lcore_count;
	const cpu_set_t *helper_cpus;    /**< where the main thread runs */
	const cpu_set_t *allowed;        /**< where this process could run when it began */
	size_t memory;                   /**< bytes that will be taken from EAL */
	bool no_huge;                    /**< as asked for */
	const char *const *pci;          /**< addresses of the PCI devices to be used; no other is looked at */
	unsigned int pci_count;
	const char *extra;               /**< more words, or NULL */
	bool hugepages;                  /**< [out] memory is on hugepages */
};

/**
 * Initialise EAL. Lcore i + 1 is entry i of the map; lcore 0 is the main thread.
 * If hugepages vanish between the look and the taking (another program was quicker), the process starts itself anew with
 * --no-huge.
 * @param argv  the command line, for that
 * @return 0; -EINVAL: EAL does not understand `extra`; other -errno. Each with a line printed
 */
int eal_init(struct eal *eal, char **argv);

#endif
