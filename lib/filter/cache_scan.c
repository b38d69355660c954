/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <rte_branch_prediction.h>

#include "cache_table.h"

/* ---------------------------------------------------------------- any CPU */

static inline void
half_key(const uint8_t *mask, const uint8_t *data, uint8_t *key)
{
	uint64_t m[CACHE_KEY / 8], d[CACHE_KEY / 8];

	memcpy(m, mask, CACHE_KEY);
	memcpy(d, data, CACHE_KEY);
	for (unsigned int i = 0; i < CACHE_KEY / 8; i++)
		d[i] &= m[i];
	memcpy(key, d, CACHE_KEY);
}

static inline void
make_key(const struct cache_class *cls, const uint8_t *data, uint32_t caplen, struct cache_key *key)
{
	if (unlikely(caplen < CACHE_KEY || (cls->wide && caplen < 2 * CACHE_KEY))) {
		cache_key_make(cls, data, caplen, key);
		return;
	}
	half_key(cls->bytes, data, key->low);
	if (unlikely(cls->wide))
		half_key(cls->bytes + CACHE_KEY, data + CACHE_KEY, key->high);
}

static inline bool
same(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[CACHE_KEY / 8], y[CACHE_KEY / 8], differ = 0;

	memcpy(x, a, CACHE_KEY);
	memcpy(y, b, CACHE_KEY);
	for (unsigned int i = 0; i < CACHE_KEY / 8; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

#define SCAN_TARGET
#define SCAN_NAME(function) function##_portable
#define MAKE_KEY make_key
#define SAME same
#include "cache_scan.h"
#undef SCAN_TARGET
#undef SCAN_NAME
#undef MAKE_KEY
#undef SAME

/* ---------------------------------------------------------------- AVX-512 */

#ifdef __x86_64__
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))

static inline AVX512 __m512i
half_key_avx512(uint64_t mask, const uint8_t *data, uint32_t left)
{
	/* Bytes that are masked out are not read: nothing behind the packet is touched. */
	if (unlikely(left < CACHE_KEY))
		mask &= (UINT64_C(1) << left) - 1;
	return _mm512_maskz_loadu_epi8(mask, data);
}

static inline AVX512 void
make_key_avx512(const struct cache_class *cls, const uint8_t *data, uint32_t caplen, struct cache_key *key)
{
	_mm512_store_si512(key->low, half_key_avx512(cls->mask[0], data, caplen));
	if (unlikely(cls->wide))
		_mm512_store_si512(key->high,
			half_key_avx512(cls->mask[1], data + CACHE_KEY, caplen > CACHE_KEY ? caplen - CACHE_KEY : 0));
}

static inline AVX512 bool
same_avx512(const uint8_t *a, const uint8_t *b)
{
	return _mm512_cmpneq_epi64_mask(_mm512_load_si512(a), _mm512_load_si512(b)) == 0;
}

#define SCAN_TARGET AVX512
#define SCAN_NAME(function) function##_avx512
#define MAKE_KEY make_key_avx512
#define SAME same_avx512
#include "cache_scan.h"

static bool
has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
#endif

void
cache_scan_select(struct sl_cache *c)
{
	c->scan = scan_portable;
#ifdef __x86_64__
	if (!c->params.portable && has_avx512())
		c->scan = scan_avx512;
#endif
}
