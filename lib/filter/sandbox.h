/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_SANDBOX_H
#define SL_FILTER_SANDBOX_H

/** @file Runs machine code that is not trusted yet, on packets that end right before memory nobody may read. */

#include <stddef.h>
#include <stdint.h>

#include "concolic.h"
#include "translate.h"

struct sl_sandbox;

/**
 * Any thread; one sandbox exists at a time, others wait here. While it exists, SIGSEGV, SIGBUS, SIGFPE and SIGILL are
 * handled; one that does not come from sl_sandbox_run() goes where it went before.
 *
 * @return 0 or -ENOMEM
 */
int sl_sandbox_create(struct sl_sandbox **sandbox);
void sl_sandbox_destroy(struct sl_sandbox *sandbox);

/**
 * Run machine code on a packet. The thread that made the sandbox.
 *
 * @param[out] data    where the packet's bytes lie until the next call
 * @param[out] result  what the code returned
 * @return 0; -EFAULT: it was stopped by a signal
 */
int sl_sandbox_run(struct sl_sandbox *sandbox, sl_filter_fn fn, const struct sl_packet *packet, const uint8_t **data,
	uint64_t *result);

#endif
