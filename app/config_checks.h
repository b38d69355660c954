/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_CONFIG_CHECKS_H
#define SL_APP_CONFIG_CHECKS_H

/**
 * @file
 * Checks of a configuration that need more than its text: libpcap for the filters, the writer for the names, the mounts
 * of this machine for the places. `sluice check` and `sluice push` find the same by them. One thread at a time, no EAL.
 */

#include <stddef.h>
#include <stdint.h>

#include "sl_config.h"

/**
 * Compile every target's filter; each that fails becomes an error of the configuration.
 * @param link_type  LINKTYPE_ of the capture
 * @param snap_len   bytes
 */
void config_check_filters(struct sl_config *config, uint32_t link_type, uint32_t snap_len);

/**
 * Look at where the targets' files will lie: names that no file system takes are errors; a Path that is a directory, or
 * that would fill the root file system, is a warning. Only for a configuration that was loaded without errors. Touches
 * nothing, and never asks a remote file system, which may hang.
 * @param at  ns since 1970 UTC: the time that names are made for
 */
void config_check_places(struct sl_config *config, uint64_t at);

/**
 * The name of the n-th file from now on that a target would publish, by the very function that publishes.
 * @param at         ns since 1970 UTC: "now"
 * @param n          0: the file that holds `at`
 * @param[out] path  SL_PATH_MAX bytes
 * @return as sl_name_final()
 */
int config_next_name(const struct sl_target_config *target, uint64_t at, unsigned int n, char *path);

#endif
