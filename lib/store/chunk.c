/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <string.h>

#include <isa-l/crc.h>

#include "chunk.h"

/* How many records ahead of the check their headers are asked for: hides the memory's latency (measured). */
#define PREFETCH_AHEAD 16

uint32_t
chunk_crc(const void *data, size_t len)
{
	/* ISA-L does not write to it; it only lacks the const. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, 0xffffffffu);
}

static int
check_bounds(const struct chunk_header *h)
{
	if (h->version != CHUNK_VERSION || h->header_size != CHUNK_HEADER_SIZE)
		return -EBADMSG;
	if (h->packets > SL_CHUNK_MAX_PACKETS || h->records_off != CHUNK_HEADER_SIZE)
		return -EBADMSG;
	if (h->records_len > SL_CHUNK_SIZE - CHUNK_HEADER_SIZE)
		return -EBADMSG;
	if (h->index_off != ((h->records_off + h->records_len + 3) & ~3u))
		return -EBADMSG;
	if (h->index_off > SL_CHUNK_SIZE || h->packets > (SL_CHUNK_SIZE - h->index_off) / 4)
		return -EBADMSG;
	return 0;
}

int
chunk_check_header(const void *buf, const struct sl_uuid *capture, uint64_t number)
{
	const struct chunk_header *h = buf;

	if (h->magic != CHUNK_MAGIC)
		/* Never written is not damaged: a slot that was only allocated reads as zeroes. */
		return h->magic == 0 && h->header_crc == 0 && h->packets == 0 ? -ENODATA : -EBADMSG;
	if (h->header_crc != chunk_crc(h, offsetof(struct chunk_header, header_crc)))
		return -EBADMSG;
	/* The checksum holds, so this was a chunk: of another life of this slot, if these differ. */
	if (h->number != number || (capture && memcmp(capture, &h->capture, sizeof(*capture)) != 0))
		return -ESTALE;
	return check_bounds(h);
}

/*
 * Each entry must be exactly where the record before it ends. The next entry, not the record's length, says where to
 * look next: so records are independent loads that overlap, and the comparison with the length is off their path.
 */
static int
check_index(const struct chunk_header *h, const uint8_t *base, const uint32_t *index)
{
	uint64_t min = UINT64_MAX, max = 0, wire = 0, first = 0, ts = 0;
	uint32_t end = h->records_off + h->records_len;
	uint32_t n = h->packets;
	uint32_t off;

	if (n == 0)
		return h->records_len == 0 ? 0 : -EBADMSG;
	off = index[0] & CHUNK_INDEX_OFFSET;
	if (off != h->records_off)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t next = i + 1 < n ? index[i + 1] & CHUNK_INDEX_OFFSET : end;
		const struct sl_record *r = (const struct sl_record *)(base + off);

		if (i + PREFETCH_AHEAD < n)
			__builtin_prefetch(base + (index[i + PREFETCH_AHEAD] & CHUNK_INDEX_OFFSET));
		if (end - off < CHUNK_RECORD_HEADER || next > end)
			return -EBADMSG;
		if ((uint64_t)off + CHUNK_RECORD_HEADER + r->caplen != next || r->nsec >= 1000000000u)
			return -EBADMSG;
		ts = sl_record_ts(r);
		if (i == 0)
			first = ts;
		min = ts < min ? ts : min;
		max = ts > max ? ts : max;
		wire += r->len;
		off = next;
	}
	/* Windows are decided by these without looking at the packets again, so they must be true. */
	if (first != h->first_ts || ts != h->last_ts || min != h->min_ts || max != h->max_ts || wire != h->wire_bytes)
		return -EBADMSG;
	return 0;
}

/* Should the parts exceed the whole, as only a hostile file's do, the whole counts. */
static void
chunk_causes(const struct chunk_header *h, uint64_t by[SL_DROP_CAUSES])
{
	uint64_t left = h->dropped;

	by[SL_DROP_NO_BUFFER] = h->dropped_no_buffer < left ? h->dropped_no_buffer : left;
	left -= by[SL_DROP_NO_BUFFER];
	by[SL_DROP_STORE] = h->dropped_store < left ? h->dropped_store : left;
	by[SL_DROP_NIC] = left - by[SL_DROP_STORE];
}

void
chunk_view(const struct chunk_header *h, struct sl_chunk *chunk)
{
	const uint8_t *base = (const uint8_t *)h;

	*chunk = (struct sl_chunk){
		.base = base,
		.index = (const uint32_t *)(base + h->index_off),
		.number = h->number,
		.packets = h->packets,
		.records_off = h->records_off,
		.records_len = h->records_len,
		.first_ts = h->first_ts,
		.min_ts = h->min_ts,
		.max_ts = h->max_ts,
		.last_ts = h->last_ts,
		.clock = h->clock,
		.heartbeat = h->heartbeat,
		.wire_bytes = h->wire_bytes,
		.dropped = h->dropped,
	};
	chunk_causes(h, chunk->dropped_by);
}

int
sl_chunk_parse(const void *buf, const struct sl_uuid *capture, uint64_t number, struct sl_chunk *chunk)
{
	const struct chunk_header *h = buf;
	const uint8_t *base = buf;
	const uint32_t *index;
	int ret;

	ret = chunk_check_header(buf, capture, number);
	if (ret < 0)
		return ret;
	if (h->body_crc != chunk_crc(base + CHUNK_HEADER_SIZE, chunk_used(h) - CHUNK_HEADER_SIZE))
		return -EBADMSG;
	index = (const uint32_t *)(base + h->index_off);
	ret = check_index(h, base, index);
	if (ret < 0)
		return ret;
	chunk_view(h, chunk);
	return 0;
}

void
chunk_sum_to(struct chunk_sum *sum, const void *buf, uint32_t end)
{
	const uint8_t *from = (const uint8_t *)buf + sum->done;

	/* ISA-L does not write to it; it only lacks the const. */
	sum->state = crc32_iscsi((unsigned char *)(uintptr_t)from, (int)(end - sum->done), sum->state);
	sum->done = end;
}

uint32_t
chunk_finish(void *buf, const uint32_t *index, struct chunk_sum sum)
{
	struct chunk_header *h = buf;
	uint8_t *base = buf;
	uint32_t end = h->records_off + h->records_len;

	h->index_off = (end + 3) & ~3u;
	memset(base + end, 0, h->index_off - end);
	memcpy(base + h->index_off, index, 4 * (size_t)h->packets);
	chunk_sum_to(&sum, buf, chunk_used(h));
	h->body_crc = ~sum.state;
	h->header_crc = chunk_crc(h, offsetof(struct chunk_header, header_crc));
	return chunk_used(h);
}

static uint32_t
mark_crc(const struct chunk_header *h, uint64_t mark)
{
	uint8_t bytes[12];

	memcpy(bytes, &h->header_crc, 4);
	memcpy(bytes + 4, &mark, 8);
	return chunk_crc(bytes, sizeof(bytes));
}

void
chunk_set_mark(void *buf, uint64_t mark)
{
	const struct chunk_header *h = buf;
	struct chunk_mark m = {.magic = CHUNK_MARK_MAGIC, .crc = mark_crc(h, mark), .mark = mark};

	memcpy((uint8_t *)buf + chunk_used(h), &m, sizeof(m));
}

int
sl_chunk_mark(const void *buf, uint64_t *mark)
{
	const struct chunk_header *h = buf;
	struct chunk_mark m;

	if (chunk_used(h) > SL_CHUNK_SIZE - sizeof(m))
		return -ENODATA;
	memcpy(&m, (const uint8_t *)buf + chunk_used(h), sizeof(m));
	if (m.magic != CHUNK_MARK_MAGIC || m.crc != mark_crc(h, m.mark))
		return -ENODATA;
	*mark = m.mark;
	return 0;
}
