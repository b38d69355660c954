/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_ZONE_RULE_H
#define SL_CONFIG_ZONE_RULE_H

/**
 * @file
 * POSIX TZ strings (POSIX.1-2017, Base Definitions, 8.3), with the extensions of RFC 8536 section 3.3.1: what a zone does
 * behind the last transition of its file, and a zone of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#define ZONE_ABBR_MAX 32u /**< bytes that hold any abbreviation */

/** When daylight saving begins or ends in a year. */
struct zone_change {
	char kind;     /**< 'J': day 1 to 365 without 29 February; 'D': day 0 to 365; 'M': weekday of a week of a month */
	int month, week, day;
	int32_t time;  /**< seconds after that day's midnight, in the offset valid before the change */
};

struct zone_rule {
	bool has_dst;
	int32_t std_offset, dst_offset; /**< seconds east of UTC */
	char std[ZONE_ABBR_MAX], dst[ZONE_ABBR_MAX];
	struct zone_change start, end;  /**< of daylight saving */
};

/** What a rule says about one instant. */
struct zone_rule_at {
	bool dst;
	int64_t from, until; /**< it has been so since, and is so until (exclusive), seconds since the epoch */
};

/** @return true if text is a whole, valid TZ string */
bool zone_rule_parse(const char *text, struct zone_rule *rule);

/** sec must lie within +-2^55. */
void zone_rule_at(const struct zone_rule *rule, int64_t sec, struct zone_rule_at *at);

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar; month 1 to 12. */
int64_t zone_days(int64_t year, int month, int day);
/** The inverse. */
void zone_date(int64_t days, int64_t *year, int *month, int *day);

#endif
