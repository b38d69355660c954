/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_CHUNK_H
#define SL_STORE_CHUNK_H

/**
 * @file
 * The bytes of a chunk: a 128-byte header, packets as nanosecond pcap records, an index of one u32 a packet.
 * docs/store_format.rst describes the same.
 */

#include "sl_store.h"

#define CHUNK_MAGIC 0x4b484353u /* "SCHK" */
#define CHUNK_VERSION 1u
#define CHUNK_HEADER_SIZE 128u
#define CHUNK_RECORD_HEADER 16u
#define CHUNK_INDEX_OFFSET 0xfffffu /* bits of an index entry that are an offset */

/** Largest packet that fits a chunk: one record and one index entry beside the header. */
#define CHUNK_MAX_CAPLEN (SL_CHUNK_SIZE - CHUNK_HEADER_SIZE - CHUNK_RECORD_HEADER - 4)

/** As it lies on disk, little-endian. */
struct chunk_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_size;
	struct sl_uuid capture;
	uint64_t number;
	uint32_t packets;
	uint32_t records_off; /**< from the chunk's first byte */
	uint32_t records_len;
	uint32_t index_off; /**< from the chunk's first byte, a multiple of 4, at most 3 bytes behind the records */
	uint64_t first_ts;
	uint64_t min_ts;
	uint64_t max_ts;
	uint64_t last_ts;
	uint64_t clock;
	uint64_t heartbeat;
	uint64_t wire_bytes;
	uint64_t dropped;
	/* Of dropped, by cause; the rest was lost before it came to us. Each ends at UINT32_MAX, dropped does not. */
	uint32_t dropped_no_buffer;
	uint32_t dropped_store;
	uint32_t body_crc;   /**< CRC-32C from header_size to the end of the index */
	uint32_t header_crc; /**< CRC-32C of all bytes before it */
};
_Static_assert(sizeof(struct chunk_header) == CHUNK_HEADER_SIZE, "the chunk header is 128 bytes on disk");

/** What may follow the index, and is no part of it: the number that the writer's caller gave to the chunk's last packet. */
struct chunk_mark {
	uint32_t magic;
	uint32_t crc; /**< CRC-32C of header_crc and mark, so that no leftover passes for it */
	uint64_t mark;
};
#define CHUNK_MARK_MAGIC 0x4b524d53u /* "SMRK" */

/** CRC-32C (Castagnoli; RFC 3720 appendix B.4) by ISA-L. Any thread; needs no EAL. */
uint32_t chunk_crc(const void *data, size_t len);

/** Bytes of a chunk from its start to the end of its index. */
static inline uint32_t
chunk_used(const struct chunk_header *h)
{
	return h->index_off + 4 * h->packets;
}

/**
 * Check only a chunk's header, for scans that read no bodies.
 *
 * @param buf  at least CHUNK_HEADER_SIZE bytes, 8-byte aligned
 * @return as sl_chunk_parse()
 */
int chunk_check_header(const void *buf, const struct sl_uuid *capture, uint64_t number);

/** Describe a chunk whose header has been checked. */
void chunk_view(const struct chunk_header *h, struct sl_chunk *chunk);

/** The checksum of a chunk's body while the chunk is being filled. */
struct chunk_sum {
	uint32_t state; /**< not yet inverted */
	uint32_t done;  /**< offset from the chunk's start up to which it has come */
};

#define CHUNK_SUM_INIT ((struct chunk_sum){.state = UINT32_MAX, .done = CHUNK_HEADER_SIZE})

/** Take the body on to `end` into the checksum: while it is still in the caches. */
void chunk_sum_to(struct chunk_sum *sum, const void *buf, uint32_t end);

/**
 * Finish a chunk that has been filled with records: copy the index behind them, set index_off and both checksums.
 *
 * @param buf    SL_CHUNK_SIZE bytes; every other header field and the records are in place
 * @param index  header's packets entries
 * @param sum    of the records so far
 * @return bytes used
 */
uint32_t chunk_finish(void *buf, const uint32_t *index, struct chunk_sum sum);

/** Put a mark behind a finished chunk; there must be room for sizeof(struct chunk_mark). */
void chunk_set_mark(void *buf, uint64_t mark);

#endif
