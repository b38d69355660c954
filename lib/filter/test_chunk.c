/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "test_chunk.h"

#include <stdlib.h>
#include <string.h>

#include "filter_test.h"

struct test_chunk
new_chunk(void)
{
	struct test_chunk c = {.base = aligned_alloc(64, SL_CHUNK_SIZE), .index = calloc(65536, sizeof(uint32_t))};

	assert_non_null(c.base);
	assert_non_null(c.index);
	c.end = 64;
	c.view = (struct sl_chunk){.base = c.base, .index = c.index, .records_off = 64};
	return c;
}

void
free_chunk(struct test_chunk *c)
{
	free(c->base);
	free(c->index);
}

bool
add_packet(struct test_chunk *c, const void *data, uint32_t caplen, uint32_t len)
{
	struct sl_record r = {.sec = 1, .nsec = c->view.packets, .caplen = caplen, .len = len};

	if (c->end + sizeof(r) + caplen > SL_CHUNK_SIZE || c->view.packets == SL_CHUNK_MAX_PACKETS)
		return false;
	memcpy(c->base + c->end, &r, sizeof(r));
	memcpy(c->base + c->end + sizeof(r), data, caplen);
	c->index[c->view.packets++] = c->end | 3u << 20;
	c->end += (uint32_t)sizeof(r) + caplen;
	c->view.min_ts = 1000000000u;
	c->view.max_ts = sl_record_ts(&r);
	return true;
}
