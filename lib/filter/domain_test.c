/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "domain.h"
#include "filter_test.h"

/* A random set over 0 to 63 and the same set as bits. */
static struct sl_domain
random_set(uint32_t *seed, uint64_t *bits)
{
	struct sl_domain d;
	uint32_t r = *seed = *seed * 1664525u + 1013904223u;
	uint32_t lo = r >> 8 & 63, hi = lo + (r >> 16 & 31);

	hi = hi > 63 ? 63 : hi;
	d = sl_domain_range(lo, hi);
	*bits = 0;
	for (uint32_t v = lo; v <= hi; v++)
		*bits |= 1ull << v;
	for (unsigned int i = 0; i < (r >> 24 & 7); i++) {
		uint32_t v;

		*seed = *seed * 1664525u + 1013904223u;
		v = *seed >> 20 & 63;
		d = sl_domain_without(&d, v);
		*bits &= ~(1ull << v);
	}
	for (unsigned int i = 0; i < (r >> 28 & 3); i++) {
		struct sl_domain one;
		uint32_t v;

		*seed = *seed * 1664525u + 1013904223u;
		v = *seed >> 20 & 63;
		one = sl_domain_one(v);
		d = sl_domain_union(&d, &one);
		/* A hull, so what lies between may come in. */
		for (uint32_t w = 0; w < 64; w++)
			if (sl_domain_has(&d, w))
				*bits |= 1ull << w;
		assert_true(sl_domain_has(&d, v));
	}
	return d;
}

/* Never smaller than the truth; that is what "unreachable" rests on. */
void
test_domain_sets(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t a_bits, b_bits;
		struct sl_domain a = random_set(&seed, &a_bits);
		struct sl_domain b = random_set(&seed, &b_bits);
		struct sl_domain either = sl_domain_union(&a, &b);
		struct sl_domain both = sl_domain_intersect(&a, &b);
		uint32_t single;

		assert_true(sl_domain_empty(&a) == (a_bits == 0));
		if ((a_bits & b_bits) != 0)
			assert_false(sl_domain_empty(&both));
		if (sl_domain_single(&both, &single))
			assert_true((a_bits & b_bits & ~(1ull << (single & 63))) == 0);
		for (uint32_t v = 0; v < 64; v++) {
			bool in_a = a_bits >> v & 1, in_b = b_bits >> v & 1;

			if (in_a)
				assert_true(sl_domain_has(&a, v) && v >= sl_domain_min(&a) && v <= sl_domain_max(&a));
			if (in_a || in_b)
				assert_true(sl_domain_has(&either, v));
			if (in_a && in_b)
				assert_true(sl_domain_has(&both, v));
		}
	}
}
