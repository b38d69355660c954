/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_TELEMETRY_H
#define SL_APP_PUSH_TELEMETRY_H

/**
 * @file
 * Commands for dpdk-telemetry.py and `sluice status`: /sluice/push, /sluice/lcores, /sluice/stages, /sluice/targets,
 * /sluice/target,N and texts of their own, which may be longer than telemetry takes within a dictionary.
 */

#include "push.h"

/** Answer commands from here on. Main thread, after rte_eal_init(), once all of push is wired. */
void push_telemetry_start(const struct push *push);

/** No answer is under way, and none is given until push_telemetry_release(): push may change. Main thread. */
void push_telemetry_hold(void);
void push_telemetry_release(void);

/** Answer no more: push may go. Main thread; waits for an answer under way. */
void push_telemetry_stop(void);

#endif
