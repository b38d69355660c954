/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "follow.h"

/* So far may a packet be older than one written before it: several interfaces or queues in one file. */
#define DISORDER (10 * SECOND_NS)

/* Numbers as numbers, so that cap2 comes before cap10, and cap before cap1. Leading zeroes do not count. */
static int
compare_names(const char *a, const char *b)
{
	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			size_t m, n;
			int c;

			a += strspn(a, "0");
			b += strspn(b, "0");
			m = strspn(a, "0123456789");
			n = strspn(b, "0123456789");
			if (m != n)
				return m < n ? -1 : 1;
			c = strncmp(a, b, m);
			if (c)
				return c;
			a += m;
			b += n;
			continue;
		}
		if (*a != *b)
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		a++;
		b++;
	}
	return *a ? 1 : *b ? -1 : 0;
}

/* Those without packets behind the others. */
static int
by_name(const void *a, const void *b)
{
	const struct follow_order *x = a, *y = b;

	if (!x->ts != !y->ts)
		return x->ts ? -1 : 1;
	if (!x->ts && x->mtime != y->mtime)
		return x->mtime < y->mtime ? -1 : 1;
	return compare_names(x->name, y->name);
}

static int
by_time(const void *a, const void *b)
{
	const struct follow_order *x = a, *y = b;

	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return compare_names(x->name, y->name);
}

static void
rotate(struct follow_order *files, size_t count, size_t start)
{
	struct follow_order *copy;

	copy = malloc(count * sizeof(*copy));
	if (copy == NULL) {
		/* The times alone are as good unless the capture itself is out of order. */
		qsort(files, count, sizeof(*files), by_time);
		return;
	}
	for (size_t i = 0; i < count; i++)
		copy[i] = files[(start + i) % count];
	memcpy(files, copy, count * sizeof(*copy));
	free(copy);
}

void
follow_order(struct follow_order *files, size_t count)
{
	uint64_t largest = 0;
	size_t start = 0, n = 0;

	if (count < 2)
		return;
	qsort(files, count, sizeof(*files), by_name);
	while (n < count && files[n].ts)
		n++;
	if (n < 2)
		return;
	/* A ring that has wrapped: its last name is older than its first, and the oldest follows the largest step back.
	 */
	if (files[n - 1].ts <= files[0].ts) {
		for (size_t i = 1; i < n; i++) {
			if (files[i].ts < files[i - 1].ts && files[i - 1].ts - files[i].ts > largest) {
				largest = files[i - 1].ts - files[i].ts;
				start = i;
			}
		}
	}
	for (size_t i = 1; i < n; i++) {
		const struct follow_order *before = &files[(start + i - 1) % n], *here = &files[(start + i) % n];

		if (here->ts < before->ts && before->ts - here->ts > DISORDER) {
			/* The names say nothing: 01122026 after 30112026, or two programs that count for themselves. */
			qsort(files, n, sizeof(*files), by_time);
			return;
		}
	}
	if (start)
		rotate(files, n, start);
}
