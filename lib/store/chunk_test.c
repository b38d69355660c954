/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_test.h"

static const struct sl_uuid uuid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* A chunk of n packets of len bytes each, made without the writer. */
static void
build(void *buf, uint32_t n, uint32_t len, uint32_t *index)
{
	struct chunk_header *h = buf;
	uint32_t off = CHUNK_HEADER_SIZE;

	memset(buf, 0, SL_CHUNK_SIZE);
	for (uint32_t i = 0; i < n; i++) {
		struct sl_record r = {.sec = 1000 + i, .nsec = i, .caplen = len, .len = len + 1};

		memcpy((uint8_t *)buf + off, &r, sizeof(r));
		memset((uint8_t *)buf + off + sizeof(r), (int)i, len);
		index[i] = off;
		off += (uint32_t)sizeof(r) + len;
	}
	*h = (struct chunk_header){
		.magic = CHUNK_MAGIC,
		.version = CHUNK_VERSION,
		.header_size = CHUNK_HEADER_SIZE,
		.capture = uuid,
		.number = 42,
		.packets = n,
		.records_off = CHUNK_HEADER_SIZE,
		.records_len = off - CHUNK_HEADER_SIZE,
		.first_ts = n ? 1000000000000u : 0,
		.min_ts = n ? 1000000000000u : UINT64_MAX,
		.max_ts = n ? (999ull + n) * 1000000000u + n - 1 : 0,
		.last_ts = n ? (999ull + n) * 1000000000u + n - 1 : 0,
		.wire_bytes = (uint64_t)n * (len + 1),
	};
	chunk_finish(buf, index, CHUNK_SUM_INIT);
}

/* Make both checksums right again, as a hostile writer would. */
static void
reseal(void *buf)
{
	struct chunk_header *h = buf;
	uint64_t used = (uint64_t)h->index_off + 4 * (uint64_t)h->packets;

	if (used >= CHUNK_HEADER_SIZE && used <= SL_CHUNK_SIZE)
		h->body_crc = chunk_crc((uint8_t *)buf + CHUNK_HEADER_SIZE, used - CHUNK_HEADER_SIZE);
	h->header_crc = chunk_crc(h, offsetof(struct chunk_header, header_crc));
}

static void
test_crc(void **state)
{
	(void)state;
	/* The check value of CRC-32C: RFC 3720's polynomial over "123456789". */
	assert_int_equal(chunk_crc("123456789", 9), 0xe3069283u);
}

static void
test_layout(void **state)
{
	uint32_t index[3], word;
	uint8_t *buf = test_buffer();
	struct sl_chunk c;

	(void)state;
	build(buf, 3, 5, index);
	/* Offsets as docs/store_format.rst gives them: a change here is a new format version. */
	assert_memory_equal(buf, "SCHK\x01\x00\x80\x00", 8);
	assert_memory_equal(buf + 8, &uuid, 16);
	assert_memory_equal(buf + 24, "\x2a\0\0\0\0\0\0\0", 8);
	assert_memory_equal(buf + 32, "\x03\0\0\0\x80\0\0\0", 8);
	memcpy(&word, buf + 40, 4);
	assert_int_equal(word, 3 * 21);
	memcpy(&word, buf + 44, 4);
	assert_int_equal(word, 192);
	assert_memory_equal(buf + 128, "\xe8\x03\0\0\0\0\0\0\x05\0\0\0\x06\0\0\0", 16);
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), 0);
	assert_int_equal(c.packets, 3);
	assert_int_equal(c.records_len, 63);
	assert_true(c.min_ts == 1000000000000u && c.max_ts == 1002000000002u);
	assert_int_equal(sl_chunk_record(&c, 2)->caplen, 5);
	assert_int_equal(sl_chunk_parse(buf, NULL, 42, &c), 0);
	free(buf);
}

static void
test_not_this_chunk(void **state)
{
	struct sl_uuid other = uuid;
	uint8_t *buf = test_buffer();
	uint32_t index[4];
	struct sl_chunk c;

	(void)state;
	memset(buf, 0, SL_CHUNK_SIZE);
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), -ENODATA);
	memset(buf, 0xff, SL_CHUNK_SIZE);
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), -EBADMSG);
	build(buf, 4, 100, index);
	assert_int_equal(sl_chunk_parse(buf, &uuid, 43, &c), -ESTALE);
	other.bytes[15]++;
	assert_int_equal(sl_chunk_parse(buf, &other, 42, &c), -ESTALE);
	/* An empty chunk is allowed by the format. */
	build(buf, 0, 0, index);
	((struct chunk_header *)buf)->min_ts = 0;
	reseal(buf);
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), 0);
	assert_int_equal(c.packets, 0);
	free(buf);
}

static void
test_each_bit(void **state)
{
	uint8_t *buf = test_buffer();
	uint32_t index[20], used;
	struct sl_chunk c;

	(void)state;
	build(buf, 20, 33, index);
	used = chunk_used((struct chunk_header *)buf);
	for (uint32_t bit = 0; bit < 8 * used; bit++) {
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), -EBADMSG);
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), 0);
	/* What lies behind the index belongs to nobody. */
	buf[used] ^= 1;
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), 0);
	free(buf);
}

/* Right checksums, wrong content: nothing may be followed out of bounds, nothing untrue believed. */
static void
test_hostile(void **state)
{
	uint8_t *buf = test_buffer(), *good = test_buffer();
	struct chunk_header *h = (struct chunk_header *)buf;
	struct sl_record *r = (struct sl_record *)(buf + CHUNK_HEADER_SIZE);
	uint32_t index[20], *entry;
	struct sl_chunk c;

	(void)state;
	build(good, 20, 33, index);
	entry = (uint32_t *)(buf + ((struct chunk_header *)good)->index_off);
#define HOSTILE(change)                                                                                                \
	do {                                                                                                           \
		memcpy(buf, good, SL_CHUNK_SIZE);                                                                      \
		change;                                                                                                \
		reseal(buf);                                                                                           \
		assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), -EBADMSG);                                        \
	} while (0)
	HOSTILE(h->version++);
	HOSTILE(h->header_size = 64);
	HOSTILE(h->packets = SL_CHUNK_MAX_PACKETS + 1);
	HOSTILE(h->packets = UINT32_MAX);
	HOSTILE(h->packets--);
	HOSTILE(h->packets++);
	HOSTILE(h->packets = 0);
	HOSTILE(h->records_off = 0);
	HOSTILE(h->records_len--);
	HOSTILE(h->records_len = UINT32_MAX);
	HOSTILE(h->records_len = SL_CHUNK_SIZE);
	HOSTILE(h->index_off += 4);
	HOSTILE(h->index_off = UINT32_MAX - 3);
	HOSTILE(h->first_ts++);
	HOSTILE(h->min_ts--);
	HOSTILE(h->max_ts++);
	HOSTILE(h->last_ts = 0);
	HOSTILE(h->wire_bytes = 0);
	HOSTILE(r->nsec = 1000000000u; h->first_ts = h->min_ts = sl_record_ts(r));
	HOSTILE(r->caplen++);
	HOSTILE(r->caplen = UINT32_MAX);
	HOSTILE(r->caplen = UINT32_MAX - 15);
	HOSTILE(entry[0] = 0);
	HOSTILE(entry[0] += 4);
	HOSTILE(entry[5] = entry[6]);
	HOSTILE(entry[5] = 0xfffff);
	HOSTILE(entry[19] = 0xfffff);
	HOSTILE(entry[19] = entry[18] + 1);
#undef HOSTILE
	/* Port and flags are the capture's own affair. */
	memcpy(buf, good, SL_CHUNK_SIZE);
	entry[3] |= 0xfff00000u;
	reseal(buf);
	assert_int_equal(sl_chunk_parse(buf, &uuid, 42, &c), 0);
	assert_int_equal(sl_chunk_port(&c, 3), 0xff);
	free(buf);
	free(good);
}

int
chunk_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_not_this_chunk),
		cmocka_unit_test(test_each_bit),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
