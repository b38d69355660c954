/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include "gather.h"

#define OFFSET 0xfffffu
/* The records lie in another core's cache or beyond: asked for so many records ahead. */
#define AHEAD 12u
/* Blocks of many targets do not fit the caches either. */
#define WRITE_AHEAD 4096u
/* Records up to this size are copied as if they had it: no branch, no call. */
#define SMALL 128u

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
		uint32_t soon = list[i + AHEAD < n ? i + AHEAD : i];
		const uint8_t *ahead = base + (index[soon] & OFFSET);
		size_t len = next - off;

		__builtin_prefetch(ahead);
		__builtin_prefetch(ahead + 64);
		if (soon < last) {
			const uint8_t *behind = base + (index[soon + 1] & OFFSET);

			for (ahead += 128; ahead < behind; ahead += 64)
				__builtin_prefetch(ahead);
		}
		if (len <= SMALL && at + SMALL <= limit && off + SMALL <= SL_CHUNK_SIZE) {
			memcpy(at, base + off, SMALL);
		} else {
			if (at + len > limit)
				break;
			for (uint32_t o = 0; o < len; o += 64)
				__builtin_prefetch(at + WRITE_AHEAD + o, 1);
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
static __attribute__((target("avx2"))) uint32_t
gather_avx2(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit)
{
	return gather(c, list, n, to, limit);
}
#endif

uint32_t
sl_gather(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return gather_avx2(c, list, n, to, limit);
#endif
	return gather(c, list, n, to, limit);
}
