/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_SCHEDULER_BACKOFF_H
#define SL_APP_SCHEDULER_BACKOFF_H

/**
 * @file
 * Pauses between starts of what does not keep running.
 */

#include <stdint.h>

/**
 * How long to wait before a push is started again.
 * @param failures  times in a row that it has ended by itself, from 1
 * @param random    any number
 * @return ms: 1 s, doubled each time up to a minute; of that a random half to all, so that pushes that a common cause has
 *         ended do not start again all at once
 */
uint32_t scheduler_backoff_ms(unsigned int failures, uint32_t random);

#endif
