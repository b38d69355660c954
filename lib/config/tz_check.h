/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_TZ_CHECK_H
#define SL_CONFIG_TZ_CHECK_H

/**
 * @file
 * Is a time zone there, and does it change its offset in the course of a year? Reads files only, never changes $TZ.
 */

#include <stdbool.h>
#include <stddef.h>

#define SL_TZ_NAME_MAX 64u

/**
 * @param name  tz database name ("Europe/Berlin") or POSIX TZ string ("CET-1CEST,M3.5.0,M10.5.0/3")
 * @return 0; -ENOENT: there is no such zone; -EINVAL: it can't be a zone
 */
int sl_tz_check(const char *name);

/** Has the zone daylight saving time nowadays? @param name  as above; NULL: the local zone. Unknown zones have none */
bool sl_tz_has_dst(const char *name);

/** The tz database name nearest to a wrong one: 0 and nearest (SL_TZ_NAME_MAX bytes), or -ENOENT if none is near. */
int sl_tz_nearest(const char *name, char *nearest);

#endif
