/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdlib.h>
#include <string.h>

#include "chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

/* Follow everything that a caller may follow without checks; the sanitizer watches the bounds. */
static void
walk(const struct sl_chunk *c)
{
	uint64_t end = c->records_off, min = UINT64_MAX, max = 0;
	uint8_t seen = 0;

	for (uint32_t i = 0; i < c->packets; i++) {
		const struct sl_record *r = sl_chunk_record(c, i);
		const uint8_t *bytes = (const uint8_t *)(r + 1);
		uint64_t ts = sl_record_ts(r);

		if ((uint64_t)((const uint8_t *)r - c->base) != end || r->nsec >= 1000000000u)
			abort();
		for (uint32_t b = 0; b < r->caplen; b++)
			seen ^= bytes[b];
		end += sizeof(*r) + r->caplen;
		min = ts < min ? ts : min;
		max = ts > max ? ts : max;
	}
	sink = seen;
	if (end != c->records_off + c->records_len || (c->packets > 0 && (min != c->min_ts || max != c->max_ts)))
		abort();
}

/*
 * The input is the start of a chunk. As it is, hardly any input passes a checksum; so it is tried again with the
 * checksums put right, and once more with magic, version and sizes put right too, as a hostile writer would have them.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *buf;
	static size_t dirty;
	struct chunk_header *h;
	struct sl_chunk chunk;

	if (!buf) {
		buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);
		if (!buf)
			abort();
		memset(buf, 0, SL_CHUNK_SIZE);
	}
	if (size > SL_CHUNK_SIZE)
		size = SL_CHUNK_SIZE;
	memcpy(buf, data, size);
	if (size < dirty)
		memset(buf + size, 0, dirty - size);
	dirty = size > CHUNK_HEADER_SIZE ? size : CHUNK_HEADER_SIZE;
	h = (struct chunk_header *)buf;
	for (int effort = 0; effort < 3; effort++) {
		uint64_t used;

		if (effort == 2) {
			h->magic = CHUNK_MAGIC;
			h->version = CHUNK_VERSION;
			h->header_size = CHUNK_HEADER_SIZE;
			h->records_off = CHUNK_HEADER_SIZE;
			h->records_len &= SL_CHUNK_SIZE - 1;
			h->index_off = (h->records_off + h->records_len + 3) & ~3u;
		}
		used = (uint64_t)h->index_off + 4 * (uint64_t)h->packets;
		if (effort > 0 && used >= CHUNK_HEADER_SIZE && used <= SL_CHUNK_SIZE)
			h->body_crc = chunk_crc(buf + CHUNK_HEADER_SIZE, used - CHUNK_HEADER_SIZE);
		if (effort > 0)
			h->header_crc = chunk_crc(h, offsetof(struct chunk_header, header_crc));
		if (sl_chunk_parse(buf, NULL, h->number, &chunk) == 0)
			walk(&chunk);
	}
	return 0;
}
