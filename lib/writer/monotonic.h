/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_MONOTONIC_H
#define SL_WRITER_MONOTONIC_H

/**
 * @file
 * For how long things take. Any thread.
 */

#include <stdint.h>
#include <time.h>

/** CLOCK_MONOTONIC, ns. */
static inline uint64_t
monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
