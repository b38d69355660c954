/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_STRFTIME_CHECK_H
#define SL_CONFIG_STRFTIME_CHECK_H

/**
 * @file
 * What a strftime(3) format tells and how fine it is, without expanding it.
 */

#include <stdbool.h>
#include <stdint.h>

#define SL_STRFTIME_ERRBUF 256u

/** Parts of a date and time that a text names. */
#define SL_PART_YEAR 0x01u
#define SL_PART_MONTH 0x02u
#define SL_PART_DAY 0x04u
#define SL_PART_HOUR 0x08u
#define SL_PART_MINUTE 0x10u
#define SL_PART_SECOND 0x20u
#define SL_PART_OFFSET 0x40u /**< the zone or its offset, or seconds since 1970: the time is unambiguous */

/**
 * Check the conversions of a format.
 *
 * @param file_name  true: it may not expand to a directory separator
 * @param[out] why   SL_STRFTIME_ERRBUF bytes: what is wrong, such as "has an unknown conversion %Q ..."
 * @return 0 or -EINVAL
 */
int sl_strftime_check(const char *format, bool file_name, char *why);

/** Which SL_PART_* a (valid) format tells. */
unsigned int sl_strftime_parts(const char *format);

#endif
