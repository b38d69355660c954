/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_DOMAIN_H
#define SL_FILTER_DOMAIN_H

/** @file Sets of 32-bit values, for showing that a branch can't go one way. Always supersets of the truth. */

#include <stdbool.h>
#include <stdint.h>

#define SL_DOMAIN_VALUES 16u

/** Either the listed values (listed), or all from lo to hi but the listed ones. */
struct sl_domain {
	bool listed;
	uint8_t count;
	uint32_t lo, hi;
	uint32_t values[SL_DOMAIN_VALUES]; /* ascending */
};

struct sl_domain sl_domain_range(uint32_t lo, uint32_t hi);
struct sl_domain sl_domain_one(uint32_t value);
bool sl_domain_empty(const struct sl_domain *d);
/** Exactly one value? */
bool sl_domain_single(const struct sl_domain *d, uint32_t *value);
bool sl_domain_has(const struct sl_domain *d, uint32_t value);
/** Smallest and largest value of a set that is not empty. */
uint32_t sl_domain_min(const struct sl_domain *d);
uint32_t sl_domain_max(const struct sl_domain *d);
/** All values of both, and perhaps more. */
struct sl_domain sl_domain_union(const struct sl_domain *a, const struct sl_domain *b);
/** The values that both have, and perhaps more of a range with many exceptions. */
struct sl_domain sl_domain_intersect(const struct sl_domain *a, const struct sl_domain *b);
/** All but one; the same set where a range can hold no more exceptions. */
struct sl_domain sl_domain_without(const struct sl_domain *a, uint32_t value);

#endif
