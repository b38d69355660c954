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

enum sl_tunnel {
	SL_TUNNEL_NONE,
	SL_TUNNEL_MPLS,
	SL_TUNNEL_PPPOE,
	SL_TUNNEL_GRE,
	SL_TUNNEL_IP,
	SL_TUNNEL_VXLAN,
	SL_TUNNEL_GENEVE,
	SL_TUNNEL_GTP,
	SL_TUNNELS,
};

/** What is around a packet's own protocols. */
struct sl_encap {
	unsigned int tags; /**< VLAN tags: 0, 1, or 2 for more too */
	enum sl_tunnel tunnel; /**< behind the tags; the outermost one */
};
#define SL_ENCAP_TAGS 3u /**< values of sl_encap.tags */

/** One filter lcore's counts; it alone writes them. */
struct sl_encap_counts {
	_Alignas(SL_CACHE_LINE) _Atomic uint64_t packets; /**< seen */
	_Atomic uint64_t sampled[SL_ENCAP_TAGS][SL_TUNNELS]; /**< some of these, by tags and tunnel */
};

/** The encapsulation of an Ethernet frame. */
struct sl_encap sl_encap_of(const uint8_t *data, uint32_t caplen);

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
