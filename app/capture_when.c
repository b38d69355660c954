/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture_when.h"

#define SECOND 1000000000u
#define HOUR 3600u
#define DAY (24u * HOUR)

int
capture_roll_parse(const char *text, struct capture_roll_options *roll)
{
	char *end;
	long n;

	if (!strcmp(text, "daily")) {
		roll->every = CAPTURE_ROLL_DAILY;
		return 0;
	}
	if (!strcmp(text, "hourly")) {
		roll->every = CAPTURE_ROLL_HOURLY;
		return 0;
	}
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end != '\0' || n < 1 || n > 366l * DAY)
		return -EINVAL;
	roll->every = CAPTURE_ROLL_SECONDS;
	roll->seconds = (uint64_t)n;
	return 0;
}

/* The next local midnight; where the clocks change at midnight, the first moment of the day. */
static time_t
next_midnight(time_t after)
{
	struct tm tm;
	time_t next;

	if (!localtime_r(&after, &tm))
		return after - after % (time_t)DAY + (time_t)DAY;
	tm.tm_mday++;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	next = mktime(&tm);
	return next > after ? next : after - after % (time_t)DAY + (time_t)DAY;
}

uint64_t
capture_roll_next(const struct capture_roll_options *roll, uint64_t after)
{
	time_t seconds = (time_t)(after / SECOND);
	long step, offset = 0;
	struct tm tm;

	switch (roll->every) {
	case CAPTURE_ROLL_NEVER:
		return UINT64_MAX;
	case CAPTURE_ROLL_DAILY:
		if (!roll->utc)
			return (uint64_t)next_midnight(seconds) * SECOND;
		step = DAY;
		break;
	case CAPTURE_ROLL_HOURLY:
		/* Full hours on the wall, which are not those of UTC everywhere. */
		if (!roll->utc && localtime_r(&seconds, &tm))
			offset = tm.tm_gmtoff;
		step = HOUR;
		break;
	default:
		step = (long)roll->seconds;
	}
	return (uint64_t)(((seconds + offset) / step + 1) * step - offset) * SECOND;
}
