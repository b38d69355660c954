/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_STATUS_H
#define SL_APP_STATUS_H

/**
 * @file
 * One `sluice status`: status_ask.c asks all running processes over DPDK's telemetry sockets and makes one document of it,
 * status_show.c prints that for people, cmd_status.c for programs. One thread, no EAL.
 */

#include <jansson.h>

/**
 * Ask every DPDK process of this machine that has commands of sluice's.
 *
 * @return {"pushes": [...], "captures": [...]}, to be given back with json_decref(); NULL: out of memory. A process that
 *         does not answer is there with "pid", "socket" and "problem" only.
 *         A push has "pid", "socket", "config", "store", "state_dir", "running_s", "once", "stopping", "lcores" (each "name",
 *         "cpu", "busy_percent") and "targets" (each "desc", "state", "lag_bytes", "lag_s" ... as /sluice/target has them,
 *         "last_file", "last_error", "last_error_at", and "warning" if its lag gives reason for one).
 *         A capture has "pid", "socket" and what /sluice/capture says.
 */
json_t *status_ask(void);

/** 0: all is well; 1: something fails, is parked, gave up or does not answer; 2: nothing runs. */
int status_verdict(const json_t *document);

/** Print the document for people. */
void status_show(const json_t *document);

#endif
