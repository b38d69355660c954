/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_CAPTURE_WHEN_H
#define SL_APP_CAPTURE_WHEN_H

/** @file When a new capture begins. Main thread. */

#include <stdbool.h>
#include <stdint.h>

struct capture_roll_options {
	enum {
		CAPTURE_ROLL_NEVER,
		CAPTURE_ROLL_DAILY,
		CAPTURE_ROLL_HOURLY,
		CAPTURE_ROLL_SECONDS,
	} every;
	uint64_t seconds; /**< ROLL_SECONDS: at multiples of this since 1970 UTC */
	bool utc;         /**< midnight and full hours of UTC instead of local time */
	uint64_t bytes;   /**< record bytes after which a new one begins; 0: never */
};

/** Parse `daily`, `hourly` or seconds. @return 0 or -EINVAL */
int capture_roll_parse(const char *text, struct capture_roll_options *roll);

/** The next time at which a new capture is due after a time; UINT64_MAX: never. ns since 1970 UTC. */
uint64_t capture_roll_next(const struct capture_roll_options *roll, uint64_t after);

#endif
