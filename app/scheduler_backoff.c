/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "scheduler_backoff.h"

#define BACKOFF_MIN_MS 1000u
#define BACKOFF_MAX_MS 60000u

uint32_t
scheduler_backoff_ms(unsigned int failures, uint32_t random)
{
	uint32_t ms = BACKOFF_MIN_MS;

	while (--failures > 0 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
	return ms / 2 + random % (ms / 2 + 1);
}
