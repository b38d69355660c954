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

static inline uint64_t
make_key(const struct sl_cache *c, const struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	struct cache_key *key)
{
	uint64_t sum;

	if (unlikely(caplen < CACHE_KEY || (cls->wide && caplen < 2 * CACHE_KEY))) {
		cache_key_make(cls, data, caplen, key);
	} else {
		half_key(cls->bits, data, key->low);
		if (unlikely(cls->wide))
			half_key(cls->bits + CACHE_KEY, data + CACHE_KEY, key->high);
	}
	sum = cache_hash_half(c->seed, key->low);
	if (unlikely(cls->wide))
		sum += cache_hash_half(c->seed + CACHE_KEY / 8, key->high);
	return sum;
}

static inline uint32_t
find_tag(const struct cache_bucket *b, uint32_t tag)
{
	uint32_t ways = 0;

	for (uint32_t way = 0; way < CACHE_WAYS; way++)
		ways |= (uint32_t)(b->tag[way] == tag) << way;
	return ways;
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

#define TARGET
#define NAME(function) function##_portable
#define MAKE_KEY make_key
#define FIND_TAG find_tag
#define SAME same
#include "cache_scan.h"
#undef TARGET
#undef NAME
#undef MAKE_KEY
#undef FIND_TAG
#undef SAME

/* ---------------------------------------------------------------- AVX-512 */

#ifdef __x86_64__
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))

static inline AVX512 __m512i
half_key_avx512(uint64_t mask, const uint8_t *bits, const uint8_t *data, uint32_t left)
{
	/* Bytes that are masked out are not read: nothing behind the packet is touched. */
	if (unlikely(left < CACHE_KEY))
		mask &= (UINT64_C(1) << left) - 1;
	return _mm512_and_si512(_mm512_maskz_loadu_epi8(mask, data), _mm512_load_si512(bits));
}

/* As cache_hash_half(), all products at once. */
static inline AVX512 __m512i
products_avx512(__m512i key, const uint64_t *seed)
{
	__m512i sums = _mm512_add_epi32(key, _mm512_load_si512(seed));

	return _mm512_mul_epu32(sums, _mm512_srli_epi64(sums, 32));
}

static inline AVX512 uint64_t
sum_avx512(__m512i words)
{
	__m256i four = _mm256_add_epi64(_mm512_castsi512_si256(words), _mm512_extracti64x4_epi64(words, 1));
	__m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));

	return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}

static inline AVX512 uint64_t
make_key_avx512(const struct sl_cache *c, const struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	struct cache_key *key)
{
	__m512i low = half_key_avx512(cls->mask[0], cls->bits, data, caplen), products = products_avx512(low, c->seed);

	_mm512_store_si512(key->low, low);
	if (unlikely(cls->wide)) {
		__m512i high = half_key_avx512(cls->mask[1], cls->bits + CACHE_KEY, data + CACHE_KEY,
			caplen > CACHE_KEY ? caplen - CACHE_KEY : 0);

		_mm512_store_si512(key->high, high);
		products = _mm512_add_epi64(products, products_avx512(high, c->seed + CACHE_KEY / 8));
	}
	return sum_avx512(products);
}

static inline AVX512 uint32_t
find_tag_avx512(const struct cache_bucket *b, uint32_t tag)
{
	__m128i equal = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)b->tag), _mm_set1_epi32((int)tag));

	return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(equal));
}

static inline AVX512 bool
same_avx512(const uint8_t *a, const uint8_t *b)
{
	return _mm512_cmpneq_epi64_mask(_mm512_load_si512(a), _mm512_load_si512(b)) == 0;
}

#define TARGET AVX512
#define NAME(function) function##_avx512
#define MAKE_KEY make_key_avx512
#define FIND_TAG find_tag_avx512
#define SAME same_avx512
#include "cache_scan.h"

#endif

bool
cache_scan_is_wide(bool portable)
{
#ifdef __x86_64__
	return !portable && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
	(void)portable;
	return false;
#endif
}

void
cache_scan_select(struct sl_cache *c)
{
	c->scan = scan_portable;
#ifdef __x86_64__
	if (cache_scan_is_wide(c->params.portable))
		c->scan = scan_avx512;
#endif
}
