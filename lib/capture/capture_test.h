/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_TEST_H
#define CAPTURE_TEST_H

/* What this library's tests share: capture files made in memory, and a store that only remembers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

struct blob {
	uint8_t *data;
	size_t len, room;
	bool swap;     /* write in the other byte order */
	size_t mark[64]; /* offsets at which a record or block begins, and the end */
	size_t marks;
};

void blob_free(struct blob *b);
void blob_bytes(struct blob *b, const void *data, size_t len);
void blob_u16(struct blob *b, uint16_t v);
void blob_u32(struct blob *b, uint32_t v);
void blob_u64(struct blob *b, uint64_t v);
void blob_mark(struct blob *b);

#define USEC 0xa1b2c3d4u
#define NSEC 0xa1b23c4du
#define PATCHED 0xa1b2cd34u

void pcap_begin(struct blob *b, uint32_t magic, uint32_t snap_len, uint32_t link_type);
/* Data is a pattern that starts with seed. */
void pcap_packet(struct blob *b, uint32_t magic, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t seed);

void pcapng_block(struct blob *b, uint32_t type, const struct blob *body);
void pcapng_section(struct blob *b);
/* resolution < 0: no if_tsresol */
void pcapng_interface(struct blob *b, uint16_t link_type, uint32_t snap_len, int resolution, int64_t offset);
void pcapng_enhanced(struct blob *b, uint32_t interface, uint64_t units, uint32_t caplen, uint32_t len, uint8_t seed);
void pcapng_simple(struct blob *b, uint32_t caplen, uint32_t len, uint8_t seed);
void pcapng_obsolete(struct blob *b, uint16_t interface, uint16_t drops, uint64_t units, uint32_t caplen,
	uint32_t len, uint8_t seed);

/* A file in a fresh temporary directory; the path is static until the next call with the same n. */
const char *test_file(int n, const void *data, size_t len);

struct fake_packet {
	uint64_t ts;
	uint32_t caplen, len;
	uint8_t port, flags, first_byte;
};

/* What the importer did to the store since fake_reset(). */
struct fake_store {
	int created, closed, idles;
	uint32_t link_type, snap_len;
	uint64_t flush_interval;
	struct fake_packet packets[256];
	size_t count;
	uint64_t dropped;
	uint64_t clocks[64]; /* of idle calls that gave one */
	size_t clock_count;
	size_t fail_at;      /* append number that returns fail_with, from 1 */
	int fail_with;
	int create_result;
};
extern struct fake_store fake;
void fake_reset(void);

int reader_tests(void);
int reader_damage_tests(void);
int reader_libpcap_tests(void);
int import_tests(void);
int clock_tests(void);
int merge_tests(void);
int follow_order_tests(void);
int follow_state_tests(void);

#endif
