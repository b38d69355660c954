/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_NUMBER_H
#define SL_CONFIG_NUMBER_H

/**
 * @file
 * Exact whole numbers from any spelling that Lua or C prints: `60e9`, `60000000000.0`, `1e+15`, `0x10`, and with a unit
 * (`60s`, `100M`). No binary floating point: what is not exactly a whole number is refused, never rounded.
 */

#include <stddef.h>
#include <stdint.h>

enum sl_number_unit {
	SL_NUMBER_TIME,  /**< ns, us, ms, s, m, h, d; the result is nanoseconds, a bare number is nanoseconds */
	SL_NUMBER_BYTES, /**< k, M, G, T (powers of 1000), Ki, Mi, Gi, Ti (powers of 1024), each with or without B */
};

/**
 * Parse one number. Any thread.
 *
 * @param text  spaces around the number and between number and unit are allowed; nothing else may follow
 * @param[out] why  static text: what is wrong, if not 0
 * @return 0; -EINVAL: not a number or unit; -EDOM: not a whole number, or negative; -ERANGE: above 2^64 - 1
 */
int sl_number_parse(const char *text, enum sl_number_unit unit, uint64_t *value, const char **why);

/** Text for a user: "60 s", "1.5 h", "250 ms", "17 ns". */
void sl_number_format_time(uint64_t ns, char *text, size_t len);
/** Text for a user: "1 GB", "1500 B". Powers of 1000. */
void sl_number_format_bytes(uint64_t bytes, char *text, size_t len);

#endif
