/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_HINT_H
#define SL_FILTER_HINT_H

/** @file What encapsulates the packets seen, for a word about filters that match nothing because of it. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_ring.h"

enum sl_encap {
	SL_ENCAP_NONE,
	SL_ENCAP_VLAN,
	SL_ENCAP_MPLS,
	SL_ENCAP_GRE,
	SL_ENCAP_VXLAN,
	SL_ENCAP_GTP,
	SL_ENCAPS,
};

/** One filter lcore's counts; it alone writes them. */
struct sl_encap_counts {
	_Alignas(SL_CACHE_LINE) _Atomic uint64_t packets; /**< seen */
	_Atomic uint64_t sampled[SL_ENCAPS];             /**< of some of these, the outermost encapsulation */
};

/** The outermost encapsulation of an Ethernet frame. */
enum sl_encap sl_encap_of(const uint8_t *data, uint32_t caplen);

/** Look at some packets of a chunk. The counts' own lcore. */
void sl_encap_sample(struct sl_encap_counts *counts, const struct sl_chunk *chunk);

/**
 * Say what to try instead of a filter that has matched nothing.
 *
 * @return false: too few packets yet, or most of them are not encapsulated, or the filter already asks for it
 */
bool sl_encap_hint(const struct sl_encap_counts *counts, unsigned int lanes, const char *expression, char *text,
	size_t len);

#endif
