/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

/* What make_traffic's files share: random numbers, payload bytes, words in network order, checksums. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MAX_FRAME 2048
#define POOL (1u << 20)

extern uint64_t rng; /* state; set from the seed */
extern uint8_t pool[POOL + MAX_FRAME]; /* random payload bytes */

/* splitmix64: the same on every machine, unlike rand(). */
static inline uint64_t
random64(void)
{
	uint64_t z = (rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint32_t
below(uint32_t n)
{
	return (uint32_t)((random64() >> 32) * n >> 32);
}

static inline bool
chance(unsigned int percent)
{
	return below(100) < percent;
}

static inline void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* A sum of words in host order, folded and inverted, as it stands in a header (RFC 1071). */
static inline void
store_checksum(uint8_t *at, uint64_t sum)
{
	uint16_t folded;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	folded = (uint16_t)~sum;
	memcpy(at, &folded, 2);
}

#endif
