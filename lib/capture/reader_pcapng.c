/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "reader.h"

#include <string.h>

#include "sl_store.h"

/* draft-ietf-opsawg-pcapng, section 4 */
#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 2u /* obsolete */
#define BLOCK_SIMPLE 3u
#define BLOCK_ENHANCED 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du

#define BLOCK_MIN 12u /* type, length, length again */
#define OPT_END 0u
#define OPT_IF_NAME 2u
#define OPT_IF_TSRESOL 9u
#define OPT_IF_TSOFFSET 14u
#define OPT_PACKET_FLAGS 2u
#define OPT_PACKET_DROPS 4u
#define FLAG_CRC_ERROR (1u << 24)

#define PACKET_FIXED 28u /* of an Enhanced or obsolete Packet Block, up to its data */
#define SIMPLE_FIXED 12u

struct option {
	uint16_t code, len;
	const uint8_t *value;
};

/* The next option of a list; false at its end. A list that is cut short simply ends: the packet is whole all the same.
 */
static bool
next_option(const struct reader *reader, const uint8_t **p, const uint8_t *end, struct option *option)
{
	size_t padded;

	if (end - *p < 4)
		return false;
	option->code = rd_u16(reader, *p);
	option->len = rd_u16(reader, *p + 2);
	option->value = *p + 4;
	padded = ((size_t)option->len + 3) & ~(size_t)3;
	if (option->code == OPT_END || (size_t)(end - option->value) < padded)
		return false;
	*p = option->value + padded;
	return true;
}

static void
set_resolution(struct rd_interface *interface, uint8_t resolution)
{
	unsigned int n = resolution & 0x7f;

	if (resolution & 0x80) {
		interface->unit = RD_BINARY;
		interface->factor = n;
		return;
	}
	interface->unit = n <= 9 ? RD_TIMES : RD_DIVIDED;
	interface->factor = 1;
	for (unsigned int i = n <= 9 ? n : 9; i < (n <= 9 ? 9 : n); i++) {
		/* Units so small that 64 bits of them are less than a nanosecond. */
		if (__builtin_mul_overflow(interface->factor, (uint64_t)10, &interface->factor)) {
			interface->factor = 0;
			break;
		}
	}
}

static enum rd_event
section_block(struct reader *reader, const uint8_t *buf, uint32_t len)
{
	uint16_t major;

	if (len < 28)
		return reader_damage(reader, reader->offset, "section header of only %u bytes", len);
	major = rd_u16(reader, buf + 12);
	if (major != 1)
		return reader_damage(reader, reader->offset, "pcapng version %u.%u is not known (1.0 is)", major,
			rd_u16(reader, buf + 14));
	reader->interface_base += (uint32_t)reader->interface_count;
	reader->interface_count = 0;
	return RD_PASSED;
}

static enum rd_event
interface_block(struct reader *reader, const uint8_t *buf, uint32_t len)
{
	const uint8_t *p = buf + 16, *end = buf + len - 4;
	struct rd_interface *interface;
	struct option option;

	if (len < 20)
		return reader_damage(reader, reader->offset, "interface description of only %u bytes", len);
	interface = reader_add_interface(reader, reader->offset);
	if (interface == NULL)
		return RD_DAMAGE;
	interface->link_type = rd_u16(reader, buf + 8);
	interface->snap_len = rd_u32(reader, buf + 12);
	set_resolution(interface, 6);
	while (next_option(reader, &p, end, &option)) {
		if (option.code == OPT_IF_TSRESOL && option.len == 1) {
			set_resolution(interface, option.value[0]);
		} else if (option.code == OPT_IF_TSOFFSET && option.len == 8) {
			uint64_t v;

			memcpy(&v, option.value, sizeof(v));
			interface->offset = (int64_t)(reader->swapped ? __builtin_bswap64(v) : v);
		} else if (option.code == OPT_IF_NAME) {
			size_t n = option.len < sizeof(interface->name) - 1 ? option.len : sizeof(interface->name) - 1;

			for (size_t i = 0; i < n; i++)
				interface->name[i] =
					option.value[i] > 0x20 && option.value[i] < 0x7f ? (char)option.value[i] : '?';
			interface->name[n] = '\0';
		}
	}
	return RD_INTERFACE;
}

static void
packet_options(const struct reader *reader, const uint8_t *p, const uint8_t *end, struct rd_packet *packet)
{
	struct option option;

	while (next_option(reader, &p, end, &option)) {
		if (option.code == OPT_PACKET_FLAGS && option.len == 4) {
			if (rd_u32(reader, option.value) & FLAG_CRC_ERROR)
				packet->flags |= SL_PACKET_BAD_FCS;
		} else if (option.code == OPT_PACKET_DROPS && option.len == 8) {
			uint64_t v;

			memcpy(&v, option.value, sizeof(v));
			v = reader->swapped ? __builtin_bswap64(v) : v;
			packet->dropped = v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
		}
	}
}

/* Pass over the rest of a block of len bytes; its trailing length is still checked when it comes. */
static enum rd_event
pass_over(struct reader *reader, uint32_t len, size_t avail, size_t *used)
{
	reader->block_offset = reader->offset;
	reader->block_len = len;
	len -= 4;
	*used = len < avail ? len : avail;
	reader->skip = len - *used;
	return RD_PASSED;
}

/* The block of len bytes at buf holds a packet; as far as the fixed part is there. */
static enum rd_event
packet_block(struct reader *reader, uint32_t type, uint32_t len, uint8_t *buf, size_t avail, size_t *used,
	struct rd_packet *packet)
{
	const uint32_t fixed = type == BLOCK_SIMPLE ? SIMPLE_FIXED : PACKET_FIXED;
	const struct rd_interface *interface;
	uint32_t number = 0, room;
	uint64_t units = 0;

	if (len < fixed + 4)
		return reader_damage(reader, reader->offset, "packet block of only %u bytes", len);
	if (avail < fixed) {
		reader->need = fixed;
		return RD_MORE;
	}
	if (type == BLOCK_ENHANCED)
		number = rd_u32(reader, buf + 8);
	else if (type == BLOCK_PACKET)
		number = rd_u16(reader, buf + 8);
	if (number >= reader->interface_count)
		return reader_damage(reader, reader->offset, "packet of interface %u, which is not described", number);
	interface = &reader->interfaces[number];
	packet->dropped = 0;
	packet->flags = 0;
	if (type == BLOCK_SIMPLE) {
		packet->len = rd_u32(reader, buf + 8);
		packet->caplen = packet->len;
		if (interface->snap_len && packet->caplen > interface->snap_len)
			packet->caplen = interface->snap_len;
	} else {
		units = (uint64_t)rd_u32(reader, buf + 12) << 32 | rd_u32(reader, buf + 16);
		packet->caplen = rd_u32(reader, buf + 20);
		packet->len = rd_u32(reader, buf + 24);
		if (type == BLOCK_PACKET) {
			uint16_t drops = rd_u16(reader, buf + 10);

			packet->dropped = drops == 0xffff ? 0 : drops; /* 0xffff: not known */
		}
	}
	room = len - 4 - fixed;
	if (packet->caplen > room)
		return reader_damage(reader, reader->offset, "captured length %u does not fit its block of %u bytes",
			packet->caplen, len);
	if (packet->caplen > RD_MAX_PACKET) {
		reader->large = true;
		reader->large_offset = reader->offset;
		reader->large_interface = reader->interface_base + number;
		return pass_over(reader, len, avail, used);
	}
	if (len > RD_MAX_BLOCK)
		return reader_damage(reader, reader->offset, "packet block of %u bytes", len);
	if (avail < len) {
		reader->need = len;
		return RD_MORE;
	}
	if (rd_u32(reader, buf + len - 4) != len)
		return reader_damage(reader, reader->offset, "the two lengths of the block differ (%u and %u)", len,
			rd_u32(reader, buf + len - 4));
	packet->interface = reader->interface_base + number;
	/* A simple packet has no time: 0 plus the interface's offset, as libpcap has it. */
	packet->bad_time = !reader_time(interface, units, &packet->ts);
	packet->data = buf + fixed;
	if (type != BLOCK_SIMPLE && room >= ((packet->caplen + 3) & ~3u) + 4)
		packet_options(reader, buf + fixed + ((packet->caplen + 3) & ~3u), buf + len - 4, packet);
	if (reader->swapped)
		reader_swap_pseudo_header(interface->link_type, buf + fixed, packet->caplen, packet->len);
	*used = len;
	return RD_PACKET;
}

/* The end of a block that was passed over. */
static enum rd_event
block_trailer(struct reader *reader, const uint8_t *buf, size_t avail, size_t *used)
{
	if (avail < 4) {
		reader->need = 4;
		return RD_MORE;
	}
	if (rd_u32(reader, buf) != reader->block_len)
		return reader_damage(reader, reader->block_offset, "the two lengths of the block differ (%u and %u)",
			reader->block_len, rd_u32(reader, buf));
	reader->block_len = 0;
	*used = 4;
	if (!reader->large)
		return RD_PASSED;
	reader->large = false;
	return RD_TOO_LARGE;
}

enum rd_event
reader_pcapng_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used, struct rd_packet *packet)
{
	enum rd_event event;
	uint32_t type, len;

	if (reader->block_len)
		return block_trailer(reader, buf, avail, used);
	if (avail < BLOCK_MIN) {
		reader->need = BLOCK_MIN;
		return RD_MORE;
	}
	type = rd_u32(reader, buf);
	if (type == BLOCK_SECTION) {
		/* Each section says its own byte order, and says it before anything that needs it. */
		uint32_t order;

		memcpy(&order, buf + 8, sizeof(order));
		if (order != BYTE_ORDER_MAGIC && order != __builtin_bswap32(BYTE_ORDER_MAGIC))
			return reader_damage(reader, reader->offset, "section header without a byte-order magic");
		reader->swapped = order != BYTE_ORDER_MAGIC;
	}
	len = rd_u32(reader, buf + 4);
	if (len < BLOCK_MIN || len % 4)
		return reader_damage(reader, reader->offset, "block length %u is not possible", len);
	if (type != BLOCK_SECTION && type != BLOCK_INTERFACE) {
		if (!reader->scan && (type == BLOCK_ENHANCED || type == BLOCK_SIMPLE || type == BLOCK_PACKET))
			return packet_block(reader, type, len, buf, avail, used, packet);
		return pass_over(reader, len, avail, used);
	}
	if (len > RD_MAX_BLOCK)
		return reader_damage(reader, reader->offset, "%s of %u bytes",
			type == BLOCK_SECTION ? "section header" : "interface description", len);
	if (avail < len) {
		reader->need = len;
		return RD_MORE;
	}
	if (rd_u32(reader, buf + len - 4) != len)
		return reader_damage(reader, reader->offset, "the two lengths of the block differ (%u and %u)", len,
			rd_u32(reader, buf + len - 4));
	event = type == BLOCK_SECTION ? section_block(reader, buf, len) : interface_block(reader, buf, len);
	if (event != RD_DAMAGE)
		*used = len;
	return event;
}
