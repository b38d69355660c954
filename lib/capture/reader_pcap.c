/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "reader.h"

#define MAGIC_USEC 0xa1b2c3d4u
#define MAGIC_NSEC 0xa1b23c4du
#define MAGIC_PATCHED 0xa1b2cd34u /* Kuznetzov's libpcap: 8 more bytes in each record header */

#define FILE_HEADER 24u
#define RECORD_HEADER 16u
#define PATCHED_HEADER 24u

#define LINKTYPE_DBUS 231u
#define LINKTYPE_EBHSCR 279u
#define LINKTYPE_USBPCAP 249u

static bool
known(uint32_t magic)
{
	return magic == MAGIC_USEC || magic == MAGIC_NSEC || magic == MAGIC_PATCHED;
}

bool
reader_pcap_magic(struct reader *reader, uint32_t magic)
{
	reader->swapped = !known(magic);
	if (reader->swapped)
		magic = __builtin_bswap32(magic);
	reader->magic = magic;
	return known(magic);
}

/* Above this libpcap takes a captured length for damage. */
static uint32_t
sane_max(uint32_t link_type)
{
	switch (link_type) {
	case LINKTYPE_DBUS:
		return 128u << 20;
	case LINKTYPE_EBHSCR:
		return 8u << 20;
	case LINKTYPE_USBPCAP:
		return 1u << 20;
	default:
		return 262144;
	}
}

enum rd_event
reader_pcap_header(struct reader *reader, const uint8_t *buf, size_t avail, size_t *used)
{
	struct rd_interface *interface;
	uint16_t major, minor;
	uint32_t link;

	if (avail < FILE_HEADER) {
		reader->need = FILE_HEADER;
		return RD_MORE;
	}
	major = rd_u16(reader, buf + 4);
	minor = rd_u16(reader, buf + 6);
	link = rd_u32(reader, buf + 20);
	/* 543.0 is what DG/UX tcpdump wrote. */
	if (!(major == 2 && minor <= 4) && !(major == 543 && minor == 0))
		return reader_damage(reader, 4, "pcap version %u.%u is not known (2.0 to 2.4 are)", major, minor);
	if (link & 0x03ff0000u)
		return reader_damage(reader, 20, "reserved bits of the link type field are set (0x%08x)", link);
	interface = reader_add_interface(reader, 0);
	if (interface == NULL)
		return RD_DAMAGE;
	/* The upper bits say how long the frame check sequence is; the link type is the lower 16, as in libpcap. */
	interface->link_type = link & 0xffffu;
	interface->snap_len = rd_u32(reader, buf + 16);
	reader->header_len = reader->magic == MAGIC_PATCHED ? PATCHED_HEADER : RECORD_HEADER;
	reader->frac_ns = reader->magic == MAGIC_NSEC ? 1 : 1000;
	reader->sane_max = sane_max(interface->link_type);
	if (interface->snap_len <= RD_MAX_CAPLEN && interface->snap_len > reader->sane_max)
		reader->sane_max = interface->snap_len;
	/* Before 2.3 the two lengths stood the other way round, and some 2.3 writers had not heard of it. */
	if (major == 543 || minor < 3)
		reader->lengths = RD_LENGTHS_SWAPPED;
	else if (minor == 3)
		reader->lengths = RD_LENGTHS_MAYBE;
	*used = FILE_HEADER;
	return RD_INTERFACE;
}

/*
 * A packet too large for a chunk may as well be a damaged length field. What decides is whether a sound record header
 * follows it; then it was a packet.
 */
static bool
plausible(const struct reader *reader, uint32_t frac, uint32_t caplen)
{
	return caplen <= reader->sane_max && (uint64_t)frac * reader->frac_ns < 1000000000u;
}

enum rd_event
reader_pcap_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used, struct rd_packet *packet)
{
	const uint32_t header = reader->header_len;
	uint32_t sec, frac, caplen, len;

	if (avail < header) {
		reader->need = header;
		return RD_MORE;
	}
	sec = rd_u32(reader, buf);
	frac = rd_u32(reader, buf + 4);
	caplen = rd_u32(reader, buf + 8);
	len = rd_u32(reader, buf + 12);
	if (__builtin_expect(reader->lengths != RD_LENGTHS, 0) &&
		(reader->lengths == RD_LENGTHS_SWAPPED || caplen > len)) {
		uint32_t t = caplen;

		caplen = len;
		len = t;
	}
	if (__builtin_expect(reader->large, 0)) {
		reader->large = false;
		if (!plausible(reader, frac, caplen))
			return reader_damage(reader, reader->large_offset,
				"captured length out of range, and no packet follows where it leads");
		return RD_TOO_LARGE;
	}
	/* libpcap's rule: a damaged length must not swallow the packets behind it. */
	if (__builtin_expect(caplen > reader->sane_max, 0))
		return reader_damage(reader, reader->offset,
			"captured length %u is out of range (a packet of this file has %u bytes at most)", caplen,
			reader->sane_max);
	if (__builtin_expect(caplen > RD_MAX_PACKET, 0)) {
		reader->large = true;
		reader->large_offset = reader->offset;
		reader->skip = caplen;
		*used = header;
		return RD_PASSED;
	}
	if (avail - header < caplen) {
		reader->need = (size_t)header + caplen;
		return RD_MORE;
	}
	/* `cat a.pcap b.pcap`: the second header would pass for an empty packet, and the rest for nonsense. */
	if (__builtin_expect(caplen == 0 && len == 0 && sec == reader->magic && frac == (2u | 4u << 16), 0))
		return reader_damage(reader, reader->offset,
			"another pcap header begins here; give joined files as separate arguments");
	packet->ts = (uint64_t)sec * 1000000000u + (uint64_t)frac * reader->frac_ns;
	packet->bad_time = packet->ts >= ((uint64_t)1 << 32) * 1000000000u;
	packet->caplen = caplen;
	packet->len = len;
	packet->interface = 0;
	packet->dropped = 0;
	packet->flags = 0;
	packet->data = buf + header;
	if (__builtin_expect(reader->swapped, 0))
		reader_swap_pseudo_header(reader->interfaces[0].link_type, buf + header, caplen, len);
	*used = (size_t)header + caplen;
	return RD_PACKET;
}
