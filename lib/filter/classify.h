/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_CLASSIFY_H
#define SL_FILTER_CLASSIFY_H

/**
 * @file
 * Packets that programs look at in the same places: the bytes that steer where further bytes lie.
 *
 * The verdict cache keeps one mask of key bytes for each class. A class decides only how good the mask is, never whether
 * a verdict is right: an ARP packet's target address lies where UDP has its checksum, so one mask for both would make
 * every UDP packet a key of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "partial.h"

#define SL_LINKTYPE_ETHERNET 1u
#define SL_LINKTYPE_RAW 101u
#define SL_LINKTYPE_LINUX_SLL 113u
#define SL_LINKTYPE_LINUX_SLL2 276u

/** Where a link type has its EtherType and its network header. */
struct sl_link_layout {
	uint8_t type_off; /**< of the EtherType */
	uint8_t net_off;  /**< of the network header */
	bool known;       /**< else all packets are of one class */
	bool no_type;     /**< the network header's first nibble tells */
};

/** The layout of a link type; those without a fixed one are not known. Any thread. */
static inline struct sl_link_layout
sl_link_layout(uint32_t link_type)
{
	switch (link_type) {
	case SL_LINKTYPE_ETHERNET:
		return (struct sl_link_layout){.known = true, .type_off = 12, .net_off = 14};
	case SL_LINKTYPE_RAW:
		return (struct sl_link_layout){.known = true, .no_type = true};
	case SL_LINKTYPE_LINUX_SLL:
		return (struct sl_link_layout){.known = true, .type_off = 14, .net_off = 16};
	case SL_LINKTYPE_LINUX_SLL2:
		return (struct sl_link_layout){.known = true, .type_off = 0, .net_off = 20};
	default:
		return (struct sl_link_layout){.known = false};
	}
}

static inline uint32_t
sl_classify_u16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

#define SL_CLASS_NONE 0u       /**< nothing is known of such packets */
#define SL_CLASS_IPV4 (1u << 29)
#define SL_CLASS_IPV6 (2u << 29)
#define SL_CLASS_OTHER (3u << 29)
#define SL_CLASS_KIND (3u << 29)
#define SL_CLASS_SHORT (1u << 31) /**< never set here: for whoever tells short packets apart */
#define SL_CLASS_FRAGMENT (1u << 24) /**< an IPv4 fragment behind the first: it has no ports */
#define SL_CLASS_MAX_TAGS 2u
#define SL_CLASS_TAG_SHIFT 25u /* two bits a tag: which EtherType it has */

/** Which EtherType of a VLAN tag it is, from 1; 0: another one. */
static inline uint32_t
sl_classify_tag(uint32_t type)
{
	return type == 0x8100 ? 1 : type == 0x88a8 ? 2 : type == 0x9100 ? 3 : 0;
}

/**
 * The class of a packet: equal numbers, equal class. Filter lcore.
 *
 * From EtherType, VLAN tags (two at the most), IP version, header length, fragment offset, protocol: packets of a class
 * agree in all bits that sl_class_known() names.
 */
static inline uint32_t
sl_classify(const struct sl_link_layout *layout, const uint8_t *data, uint32_t caplen)
{
	uint32_t type, off = layout->net_off, tags = 0, tag;

	if (!layout->known || caplen < off + 20u)
		return SL_CLASS_NONE;
	if (layout->no_type) {
		type = data[0] >> 4 == 4 ? 0x0800 : data[0] >> 4 == 6 ? 0x86dd : data[0] >> 4;
	} else {
		type = sl_classify_u16(data + layout->type_off);
		for (unsigned int n = 0; n < SL_CLASS_MAX_TAGS; n++) {
			tag = sl_classify_tag(type);
			if (tag == 0 || caplen < off + 24u)
				break;
			tags |= tag << (SL_CLASS_TAG_SHIFT + 2 * n);
			type = sl_classify_u16(data + off + 2);
			off += 4;
		}
	}
	if (type == 0x0800) {
		if ((sl_classify_u16(data + off + 6) & 0x1fff) != 0)
			tags |= SL_CLASS_FRAGMENT;
		return SL_CLASS_IPV4 | tags | (uint32_t)data[off] << 8 | data[off + 9];
	}
	if (type == 0x86dd)
		return SL_CLASS_IPV6 | tags | data[off + 6];
	return SL_CLASS_OTHER | tags | type;
}

/**
 * What is known of all packets of a class. Any thread.
 *
 * @param key        sl_classify()'s for this packet, not SL_CLASS_NONE
 * @param data       one packet of the class, from which the values come
 * @param[out] known the bits on which its packets agree
 * @return offset of the network header
 */
uint32_t sl_class_known(const struct sl_link_layout *layout, uint32_t key, const uint8_t *data, struct sl_known *known);

#endif
