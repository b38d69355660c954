/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_ZONE_H
#define SL_CONFIG_ZONE_H

/**
 * @file
 * Local time in any zone of the tz database, from any thread (libc's localtime knows one zone a process).
 * Files: TZif versions 1 to 4, RFC 8536; behind their last transition, and for TZ strings: zone_rule.h.
 */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct sl_zone; /**< read-only once loaded; kept until the process ends */

/**
 * Load a zone, or return the one loaded before. Blocks on the file; call it off the lcores.
 * @param name  tz database name or POSIX TZ string, a leading ':' is allowed; NULL: the process's local zone ($TZ, else
 *              /etc/localtime, else UTC; looked up once)
 * @return the zone, or NULL with errno. ENOENT: there is no such zone here (perhaps the tzdata package is not
 *         installed); EINVAL: a damaged file or TZ string; others of reading the file
 */
const struct sl_zone *sl_zone_get(const char *name);

/** Broken-down time with tm_gmtoff and tm_zone set. Any thread. */
void sl_zone_localtime(const struct sl_zone *zone, int64_t sec, struct tm *tm);

/** Seconds east of UTC at a time. Any thread. */
int32_t sl_zone_offset(const struct sl_zone *zone, int64_t sec);

/**
 * Seconds east of UTC at a time, and for how long they hold. Any thread.
 * @param[out] from   the offset holds since, INT64_MIN: always; it need not differ before
 * @param[out] until  and ends here (exclusive), INT64_MAX: never
 */
int32_t sl_zone_span(const struct sl_zone *zone, int64_t sec, int64_t *from, int64_t *until);

/**
 * A zone from the bytes of a TZif file, outside the list of known zones; for tests.
 * @return the zone, to be freed with sl_zone_free(); NULL with errno EINVAL or ENOMEM
 */
struct sl_zone *sl_zone_parse(const uint8_t *data, size_t size);
/** Free a zone of sl_zone_parse(), NULL is allowed; never one of sl_zone_get(). */
void sl_zone_free(struct sl_zone *zone);

/** Look the process's zone up again at the next sl_zone_get(NULL), for tests that change $TZ. The old one stays valid. */
void sl_zone_forget_local(void);

#endif
