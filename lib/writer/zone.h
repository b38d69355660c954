/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_ZONE_H
#define SL_WRITER_ZONE_H

/**
 * @file
 * Local time in any zone of the tz database, from any thread (libc's localtime knows one zone a process).
 */

#include <stdint.h>
#include <time.h>

struct sl_zone; /**< read-only once loaded; kept until the process ends */

/**
 * Load a zone, or return the one loaded before. Blocks on the file; call it off the lcores.
 * @param name  tz database name or POSIX TZ string; NULL: the process's local zone ($TZ, else /etc/localtime)
 * @return the zone, or NULL with errno: ENOENT, EINVAL
 */
const struct sl_zone *sl_zone_get(const char *name);

/** Broken-down time with tm_gmtoff and tm_zone set. Any thread. */
void sl_zone_localtime(const struct sl_zone *zone, int64_t sec, struct tm *tm);

/** Seconds east of UTC at a time. Any thread. */
int32_t sl_zone_offset(const struct sl_zone *zone, int64_t sec);

#endif
