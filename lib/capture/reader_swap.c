/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "reader.h"

#include <string.h>

/*
 * Some link types put a header before the packet that the capturing host wrote in its own byte order. A chunk says
 * nothing of byte orders, as a pcap file of ours is always little-endian, so such headers are brought to that, field by
 * field and only as far as they were captured. The layouts are those of pcap-linktype(7) and the pages it names.
 */

#define LINKTYPE_LINUX_SLL 113u
#define LINKTYPE_PFLOG 117u
#define LINKTYPE_USB_LINUX 189u
#define LINKTYPE_USB_LINUX_MMAPPED 220u
#define LINKTYPE_NFLOG 239u
#define LINKTYPE_LINUX_SLL2 276u

#define PROTOCOL_CAN 0x000cu
#define PROTOCOL_CANFD 0x000du
#define PROTOCOL_CANXL 0x000eu

struct part {
	uint8_t *data;
	uint32_t caplen, len;
};

static bool
swap_field(const struct part *part, uint32_t offset, uint32_t size)
{
	if (part->caplen < size || offset > part->caplen - size)
		return false;
	for (uint32_t i = 0; i < size / 2; i++) {
		uint8_t t = part->data[offset + i];

		part->data[offset + i] = part->data[offset + size - 1 - i];
		part->data[offset + size - 1 - i] = t;
	}
	return true;
}

/* Ids of the user and process that own the socket and that loaded the rule; each only if the header is that long. */
static void
swap_pflog(const struct part *part)
{
	const uint32_t uid = 44, count = 4;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t end = uid + 4 * (i + 1);

		if (part->caplen < end || part->len < end || part->data[0] < end)
			return;
		swap_field(part, uid + 4 * i, 4);
	}
}

static void
swap_can(const struct part *part, uint32_t protocol_offset, uint32_t header)
{
	uint32_t protocol;

	if (part->caplen < header || part->len < header)
		return;
	protocol = (uint32_t)part->data[protocol_offset] << 8 | part->data[protocol_offset + 1];
	if (protocol == PROTOCOL_CAN || protocol == PROTOCOL_CANFD) {
		swap_field(part, header, 4);
	} else if (protocol == PROTOCOL_CANXL) {
		if (swap_field(part, header, 4) && swap_field(part, header + 6, 2))
			swap_field(part, header + 8, 4);
	}
}

static void
swap_usb(const struct part *part, bool mmapped)
{
	/* id, bus, seconds, microseconds, status, length of the transfer, length of its data */
	static const struct {
		uint32_t offset, size;
	} head[] = {{0, 8}, {12, 2}, {16, 8}, {24, 4}, {28, 4}, {32, 4}, {36, 4}}, tail[] = {{48, 4}, {52, 4}, {56, 4}};
	const bool isochronous = part->caplen > 9 && part->data[9] == 0;
	uint32_t count;

	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		if (!swap_field(part, head[i].offset, head[i].size))
			return;
	/* An isochronous transfer has counters where others have the setup packet, which is little-endian by itself. */
	if (isochronous && (!swap_field(part, 40, 4) || !swap_field(part, 44, 4)))
		return;
	if (!mmapped)
		return;
	for (size_t i = 0; i < sizeof(tail) / sizeof(tail[0]); i++)
		if (!swap_field(part, tail[i].offset, tail[i].size))
			return;
	if (!swap_field(part, 60, 4) || !isochronous)
		return;
	memcpy(&count, part->data + 60, sizeof(count));
	for (uint32_t i = 0, offset = 64; i < count; i++, offset += 16)
		for (uint32_t field = 0; field < 12; field += 4)
			if (!swap_field(part, offset + field, 4))
				return;
}

/* Length and type of each attribute; the values are big-endian for everyone. */
static void
swap_nflog(const struct part *part)
{
	uint32_t offset = 4;

	if (part->caplen < 4 || part->len < 4 || part->data[1] != 0)
		return;
	while (part->caplen - offset >= 4) {
		uint16_t size;
		uint32_t padded;

		swap_field(part, offset, 2);
		swap_field(part, offset + 2, 2);
		memcpy(&size, part->data + offset, sizeof(size));
		padded = ((uint32_t)size + 3) & ~3u;
		if (padded < 4 || padded > part->caplen - offset || offset > part->len || padded > part->len - offset)
			return;
		offset += padded;
	}
}

void
reader_swap_pseudo_header(uint32_t link_type, uint8_t *data, uint32_t caplen, uint32_t len)
{
	const struct part part = {data, caplen, len};

	switch (link_type) {
	case LINKTYPE_PFLOG:
		swap_pflog(&part);
		break;
	case LINKTYPE_LINUX_SLL:
		swap_can(&part, 14, 16);
		break;
	case LINKTYPE_LINUX_SLL2:
		swap_can(&part, 0, 20);
		break;
	case LINKTYPE_USB_LINUX:
		swap_usb(&part, false);
		break;
	case LINKTYPE_USB_LINUX_MMAPPED:
		swap_usb(&part, true);
		break;
	case LINKTYPE_NFLOG:
		swap_nflog(&part);
		break;
	default:
		break;
	}
}
