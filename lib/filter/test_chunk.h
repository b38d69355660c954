/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_TEST_CHUNK_H
#define SL_FILTER_TEST_CHUNK_H

/** @file For tests: a chunk made by hand. */

#include <stdbool.h>
#include <stdint.h>

#include "sl_store.h"

struct test_chunk {
	uint8_t *base;
	uint32_t *index;
	uint32_t end;
	struct sl_chunk view;
};

/** An empty chunk. */
struct test_chunk new_chunk(void);
void free_chunk(struct test_chunk *c);
/** Append a packet. @return false: it is full */
bool add_packet(struct test_chunk *c, const void *data, uint32_t caplen, uint32_t len);

#endif
