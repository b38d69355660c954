/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "reader.h"
#include "sl_store.h"

/*
 * FMADIO's chunked stream, as its stream_cat writes it: a header in the shape of pcap's with a magic of its own, then
 * chunks of a 48-byte header and packets without alignment, all little-endian. The layout is that of FMADIO's public
 * pcap_split and pcap2json (structures FMADHeader_t and FMADPacket_t).
 */

#define MAGIC_CHUNKED 0x1337bab3u
#define FILE_HEADER 24u
#define CHUNK_HEADER 48u
#define PACKET_HEADER 16u
#define CHUNK_PAYLOAD_MAX (1u << 20)
#define LINKTYPE_ETHERNET 1u
#define FLAG_BAD_FCS 0x1u

bool
reader_fmadio_magic(uint32_t magic)
{
	return magic == MAGIC_CHUNKED;
}

enum rd_event
reader_fmadio_header(struct reader *reader, const uint8_t *buf, size_t avail, size_t *used)
{
	struct rd_interface *interface;
	uint32_t link_type;

	if (avail < FILE_HEADER) {
		reader->need = FILE_HEADER;
		return RD_MORE;
	}
	interface = reader_add_interface(reader, 0);
	if (interface == NULL)
		return RD_DAMAGE;
	link_type = rd_u32(reader, buf + 20) & 0xffffu;
	/* Its ports are Ethernet; where nobody filled the field in, that is what is meant. */
	interface->link_type = link_type ? link_type : LINKTYPE_ETHERNET;
	interface->snap_len = rd_u32(reader, buf + 16);
	reader->header_len = FILE_HEADER;
	*used = FILE_HEADER;
	return RD_INTERFACE;
}

static enum rd_event
chunk_header(struct reader *reader, const uint8_t *buf, size_t avail, size_t *used)
{
	uint32_t length;

	if (avail < CHUNK_HEADER) {
		reader->need = CHUNK_HEADER;
		return RD_MORE;
	}
	length = rd_u32(reader, buf + 12);
	if (length > CHUNK_PAYLOAD_MAX)
		return reader_damage(
			reader, reader->offset, "chunk of %u bytes (one has %u at most)", length, CHUNK_PAYLOAD_MAX);
	reader->block_offset = reader->offset;
	*used = CHUNK_HEADER;
	if (rd_u16(reader, buf) == 0)
		reader->skip = length; /* idle: whatever it carries is no packet */
	else
		reader->chunk_left = length;
	return RD_PASSED;
}

enum rd_event
reader_fmadio_next(struct reader *reader, uint8_t *buf, size_t avail, size_t *used, struct rd_packet *packet)
{
	uint32_t caplen, total;
	uint16_t len;

	if (reader->chunk_left == 0)
		return chunk_header(reader, buf, avail, used);
	if (reader->chunk_left < PACKET_HEADER)
		return reader_damage(reader, reader->offset,
			"%u bytes are left in the chunk at byte %llu, too few for a packet", reader->chunk_left,
			(unsigned long long)reader->block_offset);
	if (avail < PACKET_HEADER) {
		reader->need = PACKET_HEADER;
		return RD_MORE;
	}
	caplen = rd_u16(reader, buf + 8);
	len = rd_u16(reader, buf + 10);
	total = PACKET_HEADER + caplen;
	if (total > reader->chunk_left)
		return reader_damage(reader, reader->offset,
			"packet of %u bytes, but the chunk at byte %llu has only %u left", caplen,
			(unsigned long long)reader->block_offset, reader->chunk_left - PACKET_HEADER);
	if (avail < total) {
		reader->need = total;
		return RD_MORE;
	}
	reader->chunk_left -= total;
	*used = total;
	if (len == 0)
		return RD_PASSED; /* a filler, which only says what time it is */
	*packet = (struct rd_packet){
		.ts = (uint64_t)rd_u32(reader, buf + 4) << 32 | rd_u32(reader, buf),
		.caplen = caplen,
		.len = len,
		.interface = buf[12],
		.flags = buf[13] & FLAG_BAD_FCS ? SL_PACKET_BAD_FCS : 0,
		.data = buf + PACKET_HEADER,
	};
	packet->bad_time = packet->ts >= ((uint64_t)1 << 32) * 1000000000u;
	return RD_PACKET;
}
