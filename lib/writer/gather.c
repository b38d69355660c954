/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include "gather.h"

#define OFFSET 0xfffffu
/* The records lie in another core's cache or beyond: asked for so many records ahead, so many lines of each. */
#define AHEAD 8u
#define AHEAD_LINES 4
/* Blocks of many targets do not fit the caches either. */
#define WRITE_AHEAD 4096u
/*
 * Records are copied as if they had one of these sizes, or a multiple of the larger: what is too much is overwritten by
 * the next one. A loop that ends at the right byte ends somewhere else each time, which costs more than 448 bytes.
 */
#define SMALL 128u
#define LARGE 512u

typedef uint8_t line __attribute__((vector_size(64), aligned(1), may_alias));

static inline __attribute__((always_inline)) void
copy_lines(uint8_t *to, const uint8_t *from, int lines)
{
	int i;

	/* or the compiler makes memcpy() of it, with its search for the size */
	__asm__ volatile("" ::: "memory");
#pragma GCC unroll 8
	for (i = 0; i < lines; i++)
		((line *)to)[i] = ((const line *)from)[i];
}

static inline __attribute__((always_inline)) uint32_t
gather(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit)
{
	const uint8_t *base = c->base;
	const uint32_t *index = c->index;
	uint32_t last = c->packets - 1, end = c->records_off + c->records_len, i;
	uint8_t *at = *to;

	for (i = 0; i < n; i++) {
		uint32_t off = index[list[i]] & OFFSET;
		uint32_t next = list[i] < last ? index[list[i] + 1] & OFFSET : end;
		const uint8_t *ahead = base + (index[list[i + AHEAD < n ? i + AHEAD : n - 1]] & OFFSET);
		uint32_t len = next - off, room = (len + LARGE - 1) / LARGE * LARGE, o;

		for (o = 0; o < AHEAD_LINES; o++)
			__builtin_prefetch(ahead + o * 64);
		if (len <= SMALL && at + SMALL <= limit && off + SMALL <= SL_CHUNK_SIZE) {
			copy_lines(at, base + off, SMALL / 64);
		} else if (at + room <= limit && off + room <= SL_CHUNK_SIZE) {
			for (o = 0; o < AHEAD_LINES; o++)
				__builtin_prefetch(at + WRITE_AHEAD + o * 64, 1);
			for (o = 0; o < len; o += LARGE)
				copy_lines(at + o, base + off + o, LARGE / 64);
		} else {
			if (at + len > limit)
				break;
			memcpy(at, base + off, len);
		}
		at += len;
	}
	*to = at;
	return i;
}

uint32_t
sl_gather_portable(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit)
{
	return gather(c, list, n, to, limit);
}

#ifdef __x86_64__
#ifdef __clang__ /* does not know the word for registers of full width */
#define WIDE "avx512f,avx512bw,avx512vl"
#else
#define WIDE "avx512f,avx512bw,avx512vl,prefer-vector-width=512"
#endif
static __attribute__((target(WIDE))) uint32_t
gather_avx512(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit)
{
	return gather(c, list, n, to, limit);
}
#endif

uint32_t
sl_gather(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
		return gather_avx512(c, list, n, to, limit);
#endif
	return gather(c, list, n, to, limit);
}
