/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdlib.h>
#include <string.h>

#include "feed_test.h"
#include "gather.h"

#define ROOM 8192u
#define GUARD 0xa5

typedef uint32_t gather_fn(
	const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit);

static uint32_t
random_below(uint32_t n)
{
	return (uint32_t)random() % n;
}

/* Records of any length and content behind one another, the last one at the chunk's very end half of the times. */
static void
fill_chunk(struct sl_chunk *c, uint8_t *buf, uint32_t *index)
{
	uint32_t max = random_below(2) ? 100 : 1600, off = 128, packets = 0;

	if (random_below(2))
		off = SL_CHUNK_SIZE - 4096;
	for (uint32_t at = off; at < SL_CHUNK_SIZE; at++)
		buf[at] = (uint8_t)random();
	*c = (struct sl_chunk){.base = buf, .index = index, .records_off = off};
	while (packets < 200) {
		uint32_t len = 16 + random_below(max);

		if (SL_CHUNK_SIZE - off < 16)
			break;
		if (len > SL_CHUNK_SIZE - off || SL_CHUNK_SIZE - off - len < 16)
			len = SL_CHUNK_SIZE - off < 4000 ? SL_CHUNK_SIZE - off : len;
		index[packets++] = off | random_below(4096) << 20;
		off += len;
	}
	c->packets = packets;
	c->records_len = off - c->records_off;
}

static uint32_t
record_len(const struct sl_chunk *c, uint32_t i)
{
	uint32_t end = i + 1 < c->packets ? c->index[i + 1] & 0xfffffu : c->records_off + c->records_len;

	return end - (c->index[i] & 0xfffffu);
}

static void
compare(gather_fn *fn, const struct sl_chunk *c, const uint16_t *list, uint32_t n, size_t room)
{
	static uint8_t got[ROOM + 256];
	uint32_t expected = 0, taken;
	uint8_t *to = got;
	size_t len = 0;

	while (expected < n && len + record_len(c, list[expected]) <= room)
		len += record_len(c, list[expected++]);
	memset(got, GUARD, sizeof(got));
	taken = fn(c, list, n, &to, got + room);
	assert_int_equal(taken, expected);
	assert_int_equal(to - got, len);
	len = 0;
	for (uint32_t i = 0; i < taken; i++) {
		assert_memory_equal(got + len, c->base + (c->index[list[i]] & 0xfffffu), record_len(c, list[i]));
		len += record_len(c, list[i]);
	}
	for (size_t i = room; i < sizeof(got); i++)
		assert_int_equal(got[i], GUARD);
}

static void
any_records_are_copied_exactly(void **state)
{
	uint8_t *buf =
		aligned_alloc(4096, SL_CHUNK_SIZE); /* no byte more: a sanitizer sees any that is read behind it */
	uint32_t index[256];
	uint16_t list[256] = {0};
	struct sl_chunk c = {0};

	(void)state;
	assert_non_null(buf);
	srandom(42);
	for (int round = 0; round < 3000; round++) {
		uint32_t n = 0, keep = 1 + random_below(100);
		size_t room = random_below(ROOM);

		if (round % 10 == 0)
			fill_chunk(&c, buf, index);
		for (uint32_t i = 0; i < c.packets; i++)
			if (random_below(100) < keep)
				list[n++] = (uint16_t)i;
		compare(sl_gather, &c, list, n, room);
		compare(sl_gather_portable, &c, list, n, room);
	}
	free(buf);
}

int
gather_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_records_are_copied_exactly),
	};

	return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
