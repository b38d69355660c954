/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_READ_BLOB_TEST_H
#define CAPTURE_READ_BLOB_TEST_H

/* For the tests of the readers: a file in memory read to its end, and two files to begin with. */

#include "capture_test.h"
#include "reader.h"

/* What a reader said of a file. */
struct got {
	struct rd_packet packets[64];
	uint8_t data[64][128]; /* first bytes of each */
	size_t count, interfaces, too_large;
	bool damage;
	uint64_t damage_at;
	char error[200];
	const char *decompressor;
	uint32_t link_type;
};

/*
 * Read a file that is offered in pieces: after each RD_MORE, step bytes more than needed are at hand. Each call sees a
 * copy of exactly the bytes it is told of, so that a sanitizer notices any other.
 */
void read_blob(const uint8_t *data, size_t len, size_t step, bool scan, struct got *got);
/* All of it at once. */
void read_all(const struct blob *b, struct got *got);

#define TS(n) (1700000000123456789ull + (n)*1000000007ull)

/* Three packets: 60 bytes, none of 77, 33 of 1500. */
void build_pcap(struct blob *b, uint32_t magic, bool swap);
/* Two interfaces, and four packets in each kind of block that holds one; a block that nobody knows between them. */
void build_pcapng(struct blob *b, bool swap);

#endif
