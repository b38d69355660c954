/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include "domain.h"

struct sl_domain
sl_domain_range(uint32_t lo, uint32_t hi)
{
	if (lo == hi)
		return sl_domain_one(lo);
	return (struct sl_domain){.lo = lo, .hi = hi};
}

struct sl_domain
sl_domain_one(uint32_t value)
{
	return (struct sl_domain){.listed = true, .count = 1, .values = {value}};
}

static bool
in_list(const struct sl_domain *d, uint32_t value)
{
	for (unsigned int i = 0; i < d->count; i++)
		if (d->values[i] == value)
			return true;
	return false;
}

/* @return false: the list is full */
static bool
insert(struct sl_domain *d, uint32_t value)
{
	unsigned int i = d->count;

	if (in_list(d, value))
		return true;
	if (d->count == SL_DOMAIN_VALUES)
		return false;
	for (; i > 0 && d->values[i - 1] > value; i--)
		d->values[i] = d->values[i - 1];
	d->values[i] = value;
	d->count++;
	return true;
}

static void
drop(struct sl_domain *d, uint32_t value)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < d->count; i++)
		if (d->values[i] != value)
			d->values[n++] = d->values[i];
	d->count = (uint8_t)n;
}

/* Exceptions at the ends become narrower ends. */
static void
trim(struct sl_domain *d)
{
	while (!d->listed && d->lo <= d->hi && in_list(d, d->lo)) {
		drop(d, d->lo);
		if (d->lo++ == UINT32_MAX) {
			*d = (struct sl_domain){.listed = true};
			return;
		}
	}
	while (!d->listed && d->lo <= d->hi && in_list(d, d->hi)) {
		drop(d, d->hi);
		if (d->hi-- == 0) {
			*d = (struct sl_domain){.listed = true};
			return;
		}
	}
}

bool
sl_domain_empty(const struct sl_domain *d)
{
	/* A range with exceptions inside still has its ends, see trim(). */
	return d->listed ? d->count == 0 : d->lo > d->hi;
}

bool
sl_domain_single(const struct sl_domain *d, uint32_t *value)
{
	if (d->listed) {
		*value = d->values[0];
		return d->count == 1;
	}
	*value = d->lo;
	return d->lo == d->hi;
}

bool
sl_domain_has(const struct sl_domain *d, uint32_t value)
{
	if (d->listed)
		return in_list(d, value);
	return value >= d->lo && value <= d->hi && !in_list(d, value);
}

uint32_t
sl_domain_min(const struct sl_domain *d)
{
	return d->listed ? d->values[0] : d->lo;
}

uint32_t
sl_domain_max(const struct sl_domain *d)
{
	return d->listed ? d->values[d->count - 1] : d->hi;
}

struct sl_domain
sl_domain_union(const struct sl_domain *a, const struct sl_domain *b)
{
	struct sl_domain r;

	if (sl_domain_empty(a))
		return *b;
	if (sl_domain_empty(b))
		return *a;
	if (a->listed && b->listed) {
		r = *a;
		for (unsigned int i = 0; i < b->count; i++)
			if (!insert(&r, b->values[i]))
				goto wide;
		return r;
	}
	if (a->listed)
		return sl_domain_union(b, a);
wide:
	/* A range: all from the lowest to the highest, except what is an exception in a range and not in the other. */
	r = (struct sl_domain){0};
	r.lo = sl_domain_min(a) < sl_domain_min(b) ? sl_domain_min(a) : sl_domain_min(b);
	r.hi = sl_domain_max(a) > sl_domain_max(b) ? sl_domain_max(a) : sl_domain_max(b);
	for (unsigned int i = 0; i < a->count && !a->listed; i++)
		if (!sl_domain_has(b, a->values[i]))
			insert(&r, a->values[i]);
	for (unsigned int i = 0; i < b->count && !b->listed; i++)
		if (!sl_domain_has(a, b->values[i]))
			insert(&r, b->values[i]);
	trim(&r);
	return r;
}

struct sl_domain
sl_domain_intersect(const struct sl_domain *a, const struct sl_domain *b)
{
	struct sl_domain r = {0};

	if (a->listed || b->listed) {
		const struct sl_domain *list = a->listed ? a : b;
		const struct sl_domain *other = a->listed ? b : a;

		r.listed = true;
		for (unsigned int i = 0; i < list->count; i++)
			if (sl_domain_has(other, list->values[i]))
				insert(&r, list->values[i]);
		return r;
	}
	r.lo = a->lo > b->lo ? a->lo : b->lo;
	r.hi = a->hi < b->hi ? a->hi : b->hi;
	/* Exceptions that find no room are forgotten: the set only grows by that. */
	for (unsigned int i = 0; i < a->count; i++)
		if (a->values[i] >= r.lo && a->values[i] <= r.hi)
			insert(&r, a->values[i]);
	for (unsigned int i = 0; i < b->count; i++)
		if (b->values[i] >= r.lo && b->values[i] <= r.hi)
			insert(&r, b->values[i]);
	trim(&r);
	return r;
}

struct sl_domain
sl_domain_without(const struct sl_domain *a, uint32_t value)
{
	struct sl_domain r = *a;

	if (!sl_domain_has(a, value))
		return r;
	if (r.listed) {
		drop(&r, value);
		return r;
	}
	/* At an end the range shrinks, even where the list is full. */
	if (r.lo == r.hi)
		return (struct sl_domain){.listed = true};
	if (value == r.lo)
		r.lo++;
	else if (value == r.hi)
		r.hi--;
	else
		insert(&r, value);
	trim(&r);
	return r;
}
