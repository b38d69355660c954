/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * What a target must have received, from a pcap that another program wrote: packets, bytes of the records (without the
 * file's header) and their CRC-32 as in zlib. Reads standard input, prints "packets bytes crc". With --by-group one
 * line for each IPv4 destination, "address packets bytes crc", for untagged Ethernet only. The performance suite's
 * oracle, so nothing of sluice is used here.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER (4u << 20)
#define RECORD 16
#define RECORD_MAX (1u << 20)
#define SLICES 16
#define GROUPS 65536 /* last two bytes of the address; the first two are the same for all */

struct sum {
	uint64_t packets, bytes;
	uint32_t crc, address;
};

static uint32_t table[SLICES][256];
static uint8_t buffer[BUFFER + RECORD_MAX];
static struct sum sums[GROUPS];

static void
make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[0][i] = c;
	}
	for (int s = 1; s < SLICES; s++)
		for (uint32_t i = 0; i < 256; i++)
			table[s][i] = table[s - 1][i] >> 8 ^ table[0][table[s - 1][i] & 0xff];
}

/* Sixteen bytes at a step ("slicing"), little-endian machines. */
static uint32_t
crc32_add(uint32_t crc, const uint8_t *p, size_t n)
{
	crc = ~crc;
	for (; n >= SLICES; n -= SLICES, p += SLICES) {
		uint32_t first, next = 0;

		memcpy(&first, p, 4);
		first ^= crc;
		for (int i = 0; i < 4; i++)
			next ^= table[SLICES - 1 - i][first >> 8 * i & 0xff];
		for (int i = 4; i < SLICES; i++)
			next ^= table[SLICES - 1 - i][p[i]];
		crc = next;
	}
	for (; n; n--, p++)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

static void
fail(const char *what)
{
	fprintf(stderr, "pcap_sum: %s\n", what);
	exit(1);
}

/* Fill the buffer behind what is left in it. @return bytes in it */
static size_t
fill(size_t used)
{
	while (used < BUFFER) {
		ssize_t n = read(STDIN_FILENO, buffer + used, BUFFER - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail(strerror(errno));
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return used;
}

static struct sum *
sum_of(const uint8_t *frame, uint32_t len, bool by_group)
{
	struct sum *s;

	if (!by_group)
		return &sums[0];
	if (len < 34 || frame[12] != 0x08 || frame[13] != 0x00)
		fail("--by-group: a frame that is not untagged IPv4");
	s = &sums[frame[32] << 8 | frame[33]];
	if (s->packets && memcmp(&s->address, frame + 30, 4) != 0)
		fail("--by-group: addresses that differ in their first two bytes");
	memcpy(&s->address, frame + 30, 4);
	return s;
}

/* @return bytes of whole records in the n bytes at p */
static size_t
add_records(const uint8_t *p, size_t n, bool by_group)
{
	size_t at = 0;

	while (n - at >= RECORD) {
		struct sum *s;
		uint32_t caplen;

		memcpy(&caplen, p + at + 8, 4);
		if (caplen > RECORD_MAX - RECORD)
			fail("a record that is too long");
		if (n - at < RECORD + caplen)
			break;
		s = sum_of(p + at + RECORD, caplen, by_group);
		s->packets++;
		s->bytes += RECORD + caplen;
		s->crc = crc32_add(s->crc, p + at, RECORD + caplen);
		at += RECORD + caplen;
	}
	return at;
}

int
main(int argc, char **argv)
{
	bool by_group = argc == 2 && !strcmp(argv[1], "--by-group");
	size_t used, done = 24;
	uint32_t magic;

	if (argc > 2 || (argc == 2 && !by_group)) {
		fprintf(stderr, "usage: pcap_sum [--by-group] <FILE\n");
		return 2;
	}
	make_table();
	used = fill(0);
	memcpy(&magic, buffer, 4);
	if (used < 24 || magic != 0xa1b23c4d)
		fail("not a nanosecond pcap of this machine's byte order");
	for (;;) {
		size_t left;

		done += add_records(buffer + done, used - done, by_group);
		left = used - done;
		memmove(buffer, buffer + done, left);
		done = 0;
		used = fill(left);
		if (used == left)
			break;
	}
	if (used)
		fail("ends within a record");
	for (size_t i = 0; i < (by_group ? GROUPS : 1); i++) {
		const struct sum *s = &sums[i];
		const uint8_t *a = (const uint8_t *)&s->address;

		if (by_group && !s->packets)
			continue;
		if (by_group)
			printf("%u.%u.%u.%u ", a[0], a[1], a[2], a[3]);
		printf("%" PRIu64 " %" PRIu64 " %08" PRIx32 "\n", s->packets, s->bytes, s->crc);
	}
	return 0;
}
