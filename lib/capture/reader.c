/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCAPNG_SECTION 0x0a0d0d0au

/* Formats that are met often enough to deserve a better answer than "not a capture file". */
static const struct foreign {
	uint8_t magic[8];
	size_t len;
	const char *decompressor;
	const char *what;
} foreign[] = {
	{{0x1f, 0x8b}, 2, "zcat", "compressed with gzip"},
	{{0x28, 0xb5, 0x2f, 0xfd}, 4, "zstdcat", "compressed with zstd"},
	{{0xfd, '7', 'z', 'X', 'Z', 0}, 6, "xzcat", "compressed with xz"},
	{{'B', 'Z', 'h'}, 3, "bzcat", "compressed with bzip2"},
	{{0x04, 0x22, 0x4d, 0x18}, 4, "lz4cat", "compressed with lz4"},
	{{'s', 'n', 'o', 'o', 'p', 0, 0, 0}, 8, NULL, "a snoop file; convert it with editcap -F nsecpcap"},
};

void
reader_init(struct reader *reader, bool scan)
{
	memset(reader, 0, sizeof(*reader));
	reader->scan = scan;
}

void
reader_free(struct reader *reader)
{
	free(reader->interfaces);
	reader->interfaces = NULL;
	reader->interface_count = reader->interface_room = 0;
}

enum rd_event
reader_damage(struct reader *reader, uint64_t offset, const char *fmt, ...)
{
	va_list ap;

	reader->error_offset = offset;
	va_start(ap, fmt);
	vsnprintf(reader->error, sizeof(reader->error), fmt, ap);
	va_end(ap);
	return RD_DAMAGE;
}

struct rd_interface *
reader_add_interface(struct reader *reader, uint64_t offset)
{
	struct rd_interface *interface;

	if (reader->interface_count == RD_MAX_INTERFACES) {
		reader_damage(reader, offset, "more than %u interfaces in one section", RD_MAX_INTERFACES);
		return NULL;
	}
	if (reader->interface_count == reader->interface_room) {
		size_t room = reader->interface_room ? reader->interface_room * 2 : 4;

		interface = realloc(reader->interfaces, room * sizeof(*interface));
		if (interface == NULL) {
			reader_damage(reader, offset, "out of memory for %zu interfaces", room);
			return NULL;
		}
		reader->interfaces = interface;
		reader->interface_room = room;
	}
	interface = &reader->interfaces[reader->interface_count++];
	memset(interface, 0, sizeof(*interface));
	reader->interface_offset = offset;
	return interface;
}

const struct rd_interface *
reader_last_interface(const struct reader *reader)
{
	return &reader->interfaces[reader->interface_count - 1];
}

uint32_t
reader_last_number(const struct reader *reader)
{
	return reader->interface_base + (uint32_t)reader->interface_count - 1;
}

bool
reader_time(const struct rd_interface *interface, uint64_t units, uint64_t *ns)
{
	unsigned __int128 wide;
	__int128 sum;

	switch (interface->unit) {
	case RD_TIMES:
		wide = (unsigned __int128)units * interface->factor;
		break;
	case RD_DIVIDED:
		wide = interface->factor ? units / interface->factor : 0;
		break;
	default:
		/* Exact: whole seconds shift out whole, and the fraction is cut as libpcap cuts it. */
		wide = ((unsigned __int128)units * 1000000000u) >> interface->factor;
		break;
	}
	sum = (__int128)wide + (__int128)interface->offset * 1000000000;
	*ns = 0;
	if (sum < 0 || sum >= ((__int128)1 << 32) * 1000000000)
		return false;
	*ns = (uint64_t)sum;
	return true;
}

void
reader_skipped(struct reader *reader, uint64_t n)
{
	reader->skip -= n;
	reader->offset += n;
}

/* What the file is, from its first bytes; those are not used up. */
static enum rd_event
identify(struct reader *reader, const uint8_t *buf, size_t avail)
{
	uint32_t magic;

	if (avail < 4) {
		reader->need = 4;
		return RD_MORE;
	}
	memcpy(&magic, buf, sizeof(magic));
	if (magic == PCAPNG_SECTION) {
		reader->format = RD_PCAPNG;
		return RD_PASSED;
	}
	if (reader_pcap_magic(reader, magic)) {
		reader->format = RD_PCAP;
		return RD_PASSED;
	}
	if (reader_fmadio_magic(magic)) {
		reader->format = RD_FMADIO;
		reader->swapped = false; /* it has one byte order */
		return RD_PASSED;
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		size_t n = foreign[i].len < avail ? foreign[i].len : avail;

		if (memcmp(buf, foreign[i].magic, n) != 0)
			continue;
		reader->decompressor = foreign[i].decompressor;
		return reader_damage(reader, 0, "%s", foreign[i].what);
	}
	return reader_damage(
		reader, 0, "not a pcap or pcapng file (it begins %02x %02x %02x %02x)", buf[0], buf[1], buf[2], buf[3]);
}

enum rd_event
reader_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used, struct rd_packet *packet)
{
	enum rd_event event;

	*used = 0;
	if (reader->skip) {
		if (!avail) {
			reader->need = 1;
			return RD_MORE;
		}
		*used = reader->skip < avail ? (size_t)reader->skip : avail;
		reader_skipped(reader, *used);
		return RD_PASSED;
	}
	switch (reader->format) {
	case RD_PCAP:
		if (reader->header_len == 0)
			event = reader_pcap_header(reader, buf, avail, used);
		else
			event = reader_pcap_next(reader, buf, avail, used, packet);
		break;
	case RD_PCAPNG:
		event = reader_pcapng_next(reader, buf, avail, used, packet);
		break;
	case RD_FMADIO:
		if (reader->header_len == 0)
			event = reader_fmadio_header(reader, buf, avail, used);
		else
			event = reader_fmadio_next(reader, buf, avail, used, packet);
		break;
	default:
		event = identify(reader, buf, avail);
		break;
	}
	reader->offset += *used;
	return event;
}

enum rd_event
reader_end(struct reader *reader, size_t avail)
{
	uint64_t size = reader->offset + avail;

	if (reader->format == RD_UNKNOWN) {
		if (size == 0)
			return reader_damage(reader, 0, "empty: there is no pcap or pcapng header in it");
		return reader_damage(reader, 0, "too short for a capture file (%zu bytes)", avail);
	}
	if (reader->format != RD_PCAPNG && reader->header_len == 0)
		return reader_damage(reader, 0, "its header is cut short (%zu of 24 bytes)", avail);
	/* The last packet was passed over whole and nothing contradicts it. */
	if (reader->format == RD_PCAP && reader->large && !reader->skip) {
		reader->large = false;
		return RD_TOO_LARGE;
	}
	if (reader->format == RD_FMADIO && (avail || reader->skip || reader->chunk_left))
		return reader_damage(reader, reader->chunk_left || reader->skip ? reader->block_offset : reader->offset,
			"truncated: the file ends at byte %llu, inside the chunk that begins here",
			(unsigned long long)size);
	if (reader->skip || reader->block_len)
		return reader_damage(reader, reader->large ? reader->large_offset : reader->block_offset,
			"truncated: the file ends at byte %llu, inside the %s that begins here",
			(unsigned long long)size, reader->large ? "packet" : "block");
	if (avail)
		return reader_damage(reader, reader->offset,
			"truncated: the file ends at byte %llu, inside the %s that begins here",
			(unsigned long long)size, reader->format == RD_PCAP ? "packet" : "block");
	return RD_MORE;
}
