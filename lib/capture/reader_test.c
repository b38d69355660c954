/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture_test.h"
#include "reader.h"
#include "sl_store.h"

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
static void
read_blob(const uint8_t *data, size_t len, size_t step, bool scan, struct got *got)
{
	struct rd_packet packet;
	struct reader reader;
	size_t pos = 0, have = 0, used;
	enum rd_event event;
	uint8_t *window;

	memset(got, 0, sizeof(*got));
	reader_init(&reader, scan);
	for (;;) {
		window = malloc(have ? have : 1);
		assert_non_null(window);
		memcpy(window, data + pos, have);
		event = reader_next(&reader, window, have, &used, &packet);
		assert_true(used <= have);
		if (event == RD_MORE) {
			assert_int_equal(used, 0);
			assert_true(reader.need > have);
			if (pos + have == len)
				event = reader_end(&reader, have);
		}
		if (event == RD_PACKET) {
			size_t n = packet.caplen < 128 ? packet.caplen : 128;

			assert_true(got->count < 64);
			memcpy(got->data[got->count], packet.data, n);
			got->packets[got->count++] = packet;
		}
		free(window);
		pos += used;
		have -= used;
		assert_int_equal(reader.offset, pos);
		got->too_large += event == RD_TOO_LARGE;
		if (event == RD_INTERFACE) {
			got->interfaces++;
			got->link_type = reader_last_interface(&reader)->link_type;
		}
		if (event == RD_DAMAGE) {
			got->damage = true;
			got->damage_at = reader.error_offset;
			got->decompressor = reader.decompressor;
			memcpy(got->error, reader.error, sizeof(got->error));
			break;
		}
		if (event != RD_MORE)
			continue;
		if (pos + have == len)
			break; /* reader_end() found it clean */
		have = reader.need > have + step ? reader.need : have + step;
		if (have > len - pos)
			have = len - pos;
	}
	reader_free(&reader);
}

static void
read_all(const struct blob *b, struct got *got)
{
	read_blob(b->data, b->len, b->len, false, got);
}

#define TS(n) (1700000000123456789ull + (n)*1000000007ull)

static void
build_pcap(struct blob *b, uint32_t magic, bool swap)
{
	memset(b, 0, sizeof(*b));
	b->swap = swap;
	pcap_begin(b, magic, 65535, 1);
	pcap_packet(b, magic, TS(0), 60, 60, 1);
	pcap_packet(b, magic, TS(1), 0, 77, 2);
	pcap_packet(b, magic, TS(2), 33, 1500, 3);
}

static void
build_pcapng(struct blob *b, bool swap)
{
	struct blob body = {.swap = swap};

	memset(b, 0, sizeof(*b));
	b->swap = swap;
	pcapng_section(b);
	pcapng_interface(b, 1, 0, 9, 0);
	pcapng_interface(b, 1, 96, -1, -3600);
	pcapng_enhanced(b, 0, TS(0), 61, 61, 1);
	blob_bytes(&body, "skip me please", 14);
	pcapng_block(b, 0x0bad, &body); /* an unknown block */
	pcapng_enhanced(b, 1, TS(1) / 1000, 0, 5, 2);
	pcapng_simple(b, 40, 40, 3);
	pcapng_obsolete(b, 1, 3, TS(3) / 1000, 22, 99, 4);
	blob_free(&body);
}

static void
test_pcap_formats(void **state)
{
	static const uint32_t magics[] = {USEC, NSEC, PATCHED};
	struct blob b;
	struct got got;

	(void)state;
	for (size_t m = 0; m < 3; m++) {
		for (int swap = 0; swap < 2; swap++) {
			build_pcap(&b, magics[m], swap);
			read_all(&b, &got);
			assert_false(got.damage);
			assert_int_equal(got.count, 3);
			for (uint64_t i = 0; i < 3; i++)
				assert_int_equal(got.packets[i].ts, magics[m] == NSEC ? TS(i) : TS(i) / 1000 * 1000);
			assert_int_equal(got.packets[1].caplen, 0);
			assert_int_equal(got.packets[1].len, 77);
			assert_int_equal(got.packets[2].caplen, 33);
			assert_int_equal(got.packets[2].len, 1500);
			assert_int_equal(got.data[2][0], 3);
			assert_int_equal(got.data[2][32], (uint8_t)(3 + 32 * 7));
			assert_int_equal(got.link_type, 1);
			blob_free(&b);
		}
	}
}

static void
test_pcap_header(void **state)
{
	struct blob b = {0};
	struct got got;

	(void)state;
	pcap_begin(&b, USEC, 0, 0xf4000000u | 113);
	read_all(&b, &got);
	assert_false(got.damage);
	assert_int_equal(got.link_type, 113); /* 15 words of FCS are no part of the link type */
	b.data[22] = 1;
	read_all(&b, &got);
	assert_true(got.damage);
	assert_int_equal(got.damage_at, 20);
	b.data[22] = 0;
	b.data[6] = 5;
	read_all(&b, &got);
	assert_non_null(strstr(got.error, "version 2.5"));
	blob_free(&b);

	/* lengths the other way round */
	for (uint8_t minor = 2; minor <= 3; minor++) {
		pcap_begin(&b, USEC, 65535, 1);
		b.data[6] = minor;
		pcap_packet(&b, USEC, TS(0), 60, 20, 1); /* on file: 60 then 20, so caplen 20 */
		b.len -= 40;
		read_all(&b, &got);
		assert_false(got.damage);
		assert_int_equal(got.packets[0].caplen, 20);
		assert_int_equal(got.packets[0].len, 60);
		blob_free(&b);
	}
	/* hostile but as tcpdump: more captured than was on the wire */
	pcap_begin(&b, USEC, 65535, 1);
	pcap_packet(&b, USEC, TS(0), 60, 20, 1);
	read_all(&b, &got);
	assert_int_equal(got.packets[0].caplen, 60);
	assert_int_equal(got.packets[0].len, 20);
	blob_free(&b);
}

static void
test_pcapng_blocks(void **state)
{
	struct blob b;
	struct got got;

	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		build_pcapng(&b, swap);
		read_all(&b, &got);
		assert_false(got.damage);
		assert_int_equal(got.interfaces, 2);
		assert_int_equal(got.count, 4);
		assert_int_equal(got.packets[0].ts, TS(0));
		assert_int_equal(got.packets[0].caplen, 61);
		assert_int_equal(got.packets[1].ts, TS(1) / 1000 * 1000 - 3600 * 1000000000ull);
		assert_int_equal(got.packets[1].interface, 1);
		assert_int_equal(got.packets[2].ts, 0);
		assert_int_equal(got.packets[2].caplen, 40);
		assert_int_equal(got.packets[3].interface, 1);
		assert_int_equal(got.packets[3].dropped, 3);
		assert_int_equal(got.packets[3].len, 99);
		assert_int_equal(got.data[3][0], 4);
		read_blob(b.data, b.len, b.len, true, &got);
		assert_int_equal(got.interfaces, 2);
		assert_int_equal(got.count, 0);
		assert_false(got.damage);
		blob_free(&b);
	}
}

static void
test_pcapng_sections(void **state)
{
	struct blob b = {0}, other;
	struct got got;

	(void)state;
	build_pcapng(&b, false);
	build_pcapng(&other, true);
	blob_bytes(&b, other.data, other.len);
	read_all(&b, &got);
	assert_false(got.damage);
	assert_int_equal(got.interfaces, 4);
	assert_int_equal(got.count, 8);
	assert_int_equal(got.packets[5].interface, 3); /* counted on through the file */
	assert_int_equal(got.packets[5].ts, got.packets[1].ts);
	blob_free(&b);
	blob_free(&other);
}

static void
test_pcapng_resolutions(void **state)
{
	static const struct {
		int resolution;
		int64_t offset;
		uint64_t units, ns;
		bool bad;
	} cases[] = {
		{-1, 0, 1700000000123456, 1700000000123456000, false},
		{6, 0, 1700000000123456, 1700000000123456000, false},
		{9, 0, 1700000000123456789, 1700000000123456789, false},
		{3, 0, 1700000000123, 1700000000123000000, false},
		{0, 0, 1700000000, 1700000000000000000, false},
		{0, 0, 4294967295, 4294967295000000000, false},
		{0, 0, 4294967296, 0, true},
		{0, 0, UINT64_MAX, 0, true},
		{12, 0, 17000000001234567890u, 17000000001234567, false},
		{19, 0, UINT64_MAX, 1844674407, false},
		{28, 0, UINT64_MAX, 1, false},
		{29, 0, UINT64_MAX, 0, false},
		{127, 0, UINT64_MAX, 0, false},
		{0x80 | 10, 0, 1700000000ull << 10 | 512, 1700000000500000000, false},
		{0x80 | 30, 0, 1700000000ull << 30 | 1, 1700000000000000000, false},
		{0x80 | 30, 0, 1700000000ull << 30 | 3, 1700000000000000002, false},
		{0x80 | 32, 0, 1700000000ull << 32 | 0xffffffff, 1700000000999999999, false},
		{0x80 | 63, 0, 3ull << 62, 1500000000, false},
		{0x80 | 64, 0, 1ull << 63, 500000000, false},
		{0x80 | 127, 0, UINT64_MAX, 0, false},
		{9, 1000000000, 700000000123456789, 1700000000123456789, false},
		{9, -1, 1700000000123456789, 1699999999123456789, false},
		{9, -1, 999999999, 0, true},
		{9, INT64_MIN, 999999999, 0, true},
		{9, INT64_MAX, 999999999, 0, true},
	};
	struct blob b = {0};
	struct got got;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b.swap = i & 1;
		pcapng_section(&b);
		pcapng_interface(&b, 1, 0, cases[i].resolution, cases[i].offset);
		pcapng_enhanced(&b, 0, cases[i].units, 1, 1, 1);
		read_all(&b, &got);
		assert_int_equal(got.count, 1);
		assert_int_equal(got.packets[0].bad_time, cases[i].bad);
		assert_int_equal(got.packets[0].ts, cases[i].ns);
		blob_free(&b);
	}
}

static void
test_pcapng_options(void **state)
{
	struct blob b = {0}, body = {0};
	struct got got;

	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		b.swap = body.swap = swap;
		pcapng_section(&b);
		pcapng_interface(&b, 1, 0, 9, 0);
		blob_u32(&body, 0);
		blob_u64(&body, 0);
		blob_u32(&body, 5);
		blob_u32(&body, 5);
		blob_bytes(&body, "abcde\0\0\0", 8);
		blob_u16(&body, 1); /* a comment */
		blob_u16(&body, 3);
		blob_bytes(&body, "hi!", 4);
		blob_u16(&body, 2);
		blob_u16(&body, 4);
		blob_u32(&body, 1u << 24 | 1);
		blob_u16(&body, 4);
		blob_u16(&body, 8);
		blob_u64(&body, 17);
		blob_u16(&body, 1); /* a length that leads out of the block */
		blob_u16(&body, 65535);
		pcapng_block(&b, 6, &body);
		read_all(&b, &got);
		assert_false(got.damage);
		assert_int_equal(got.packets[0].flags, SL_PACKET_BAD_FCS);
		assert_int_equal(got.packets[0].dropped, 17);
		blob_free(&b);
		blob_free(&body);
	}
}

/* Every prefix of a file gives its whole packets, and says where the broken record begins. */
static void
check_prefixes(const struct blob *b, size_t header)
{
	struct got whole, got;

	read_all(b, &whole);
	for (size_t n = 0; n <= b->len; n++) {
		size_t packets = 0, start = 0;
		bool clean = false;

		read_blob(b->data, n, b->len, false, &got);
		for (size_t i = 0; i < b->marks; i++) {
			clean |= b->mark[i] == n;
			if (b->mark[i] <= n)
				start = b->mark[i];
		}
		for (size_t i = 0; i < whole.count; i++)
			packets += got.count > i && !memcmp(got.data[i], whole.data[i], 128) &&
				   got.packets[i].ts == whole.packets[i].ts;
		assert_int_equal(packets, got.count);
		assert_int_equal(got.damage, !clean);
		if (!clean && n >= header) {
			assert_int_equal(got.damage_at, start);
			assert_non_null(strstr(got.error, "truncated"));
		}
		if (n == b->len)
			assert_int_equal(got.count, whole.count);
	}
	/* How the bytes arrive makes no difference. */
	for (size_t step = 1; step < 70; step += 3) {
		read_blob(b->data, b->len, step, false, &got);
		assert_int_equal(got.count, whole.count);
		assert_memory_equal(got.data, whole.data, sizeof(got.data));
		assert_false(got.damage);
	}
}

static void
test_truncation(void **state)
{
	static const uint32_t magics[] = {USEC, NSEC, PATCHED};
	struct blob b;

	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		for (size_t m = 0; m < 3; m++) {
			build_pcap(&b, magics[m], swap);
			check_prefixes(&b, 24);
			blob_free(&b);
		}
		build_pcapng(&b, swap);
		check_prefixes(&b, 4);
		blob_free(&b);
	}
}

static void
test_too_large_pcap(void **state)
{
	const uint32_t size = RD_MAX_PACKET + 1;
	struct blob b = {0};
	struct got got;
	size_t at;

	(void)state;
	pcap_begin(&b, USEC, 262144, 1);
	pcap_packet(&b, USEC, TS(0), 60, 60, 1);
	at = b.len;
	pcap_packet(&b, USEC, TS(1), size, size, 2);
	/* at the very end */
	read_all(&b, &got);
	assert_false(got.damage);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.too_large, 1);
	/* cut short */
	read_blob(b.data, b.len - 1, b.len, false, &got);
	assert_true(got.damage);
	assert_int_equal(got.too_large, 0);
	assert_int_equal(got.damage_at, at);
	/* followed by a packet */
	pcap_packet(&b, USEC, TS(2), RD_MAX_PACKET, RD_MAX_PACKET, 3);
	read_all(&b, &got);
	assert_false(got.damage);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.too_large, 1);
	read_blob(b.data, b.len, 100000, false, &got);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.too_large, 1);
	/* followed by nonsense: it was no packet but a damaged length */
	memset(b.data + at + 16 + size, 0xee, 16);
	read_all(&b, &got);
	assert_true(got.damage);
	assert_int_equal(got.damage_at, at);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.too_large, 0);
	/* beyond all reason */
	memset(b.data + at + 8, 0xff, 4);
	read_all(&b, &got);
	assert_true(got.damage);
	assert_int_equal(got.damage_at, at);
	blob_free(&b);
}

static void
test_too_large_pcapng(void **state)
{
	const uint32_t size = RD_MAX_PACKET + 3;
	struct blob b = {0};
	struct got got;
	size_t at;

	(void)state;
	pcapng_section(&b);
	pcapng_interface(&b, 1, 0, 9, 0);
	at = b.len;
	pcapng_enhanced(&b, 0, TS(0), size, size, 2);
	pcapng_enhanced(&b, 0, TS(1), 10, 10, 3);
	read_blob(b.data, b.len, 4096, false, &got);
	assert_false(got.damage);
	assert_int_equal(got.too_large, 1);
	assert_int_equal(got.count, 1);
	read_blob(b.data, at + size, 4096, false, &got);
	assert_true(got.damage);
	assert_int_equal(got.damage_at, at);
	assert_int_equal(got.too_large, 0);
	blob_free(&b);
}

static void
damaged_at(const struct blob *b, size_t at, size_t packets, const char *what)
{
	struct got got;

	read_all(b, &got);
	assert_true(got.damage);
	assert_int_equal(got.damage_at, at);
	assert_int_equal(got.count, packets);
	if (!strstr(got.error, what))
		fail_msg("'%s' does not say '%s'", got.error, what);
}

static void
test_damage(void **state)
{
	struct blob b, second;
	size_t at;

	(void)state;
	build_pcap(&b, NSEC, false);
	at = b.mark[1];
	memset(b.data + at + 8, 0xff, 4);
	damaged_at(&b, at, 1, "out of range");
	blob_free(&b);

	build_pcap(&b, USEC, false);
	build_pcap(&second, USEC, false);
	at = b.len;
	blob_bytes(&b, second.data, second.len);
	damaged_at(&b, at, 3, "another pcap header");
	blob_free(&b);
	blob_free(&second);

	build_pcapng(&b, false);
	at = b.mark[4]; /* the second enhanced packet */
	b.data[at + 4] ^= 1;
	damaged_at(&b, at, 1, "block length");
	b.data[at + 4] ^= 1;
	b.data[at + 8] = 2;
	damaged_at(&b, at, 1, "interface 2");
	b.data[at + 8] = 1;
	b.data[at + 20] = 77;
	damaged_at(&b, at, 1, "does not fit");
	b.data[at + 20] = 0;
	b.data[b.mark[5] - 4] ^= 4;
	damaged_at(&b, at, 1, "two lengths");
	b.data[b.mark[5] - 4] ^= 4;
	b.data[b.mark[4] - 4] ^= 4; /* of a block that is only passed over */
	damaged_at(&b, b.mark[3], 1, "two lengths");
	b.data[b.mark[4] - 4] ^= 4;
	b.data[b.mark[0] + 8 + 36] = 1;
	blob_free(&b);
}

static void
test_foreign(void **state)
{
	static const struct {
		const char *bytes, *decompressor, *what;
	} cases[] = {
		{"\x1f\x8b\x08\x00\x00\x00\x00\x00", "zcat", "gzip"},
		{"\x28\xb5\x2f\xfd\x00\x00\x00\x00", "zstdcat", "zstd"},
		{"\xfd"
		 "7zXZ\0\0\0",
			"xzcat", "xz"},
		{"BZh91AY&", "bzcat", "bzip2"},
		{"hello wo", NULL, "not a pcap"},
	};
	struct got got;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_blob((const uint8_t *)cases[i].bytes, 8, 8, false, &got);
		assert_true(got.damage);
		assert_non_null(strstr(got.error, cases[i].what));
		if (cases[i].decompressor)
			assert_string_equal(got.decompressor, cases[i].decompressor);
		else
			assert_null(got.decompressor);
	}
	read_blob((const uint8_t *)"", 0, 1, false, &got);
	assert_non_null(strstr(got.error, "empty"));
	read_blob((const uint8_t *)"\xd4\xc3", 2, 1, false, &got);
	assert_non_null(strstr(got.error, "too short"));
}

/* ---- libpcap as the judge */

static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* @return packets that libpcap reads before an end or error */
static size_t
compare_with_libpcap(const struct blob *b, const char *what)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *data;
	struct got got;
	size_t n = 0;
	pcap_t *pcap;
	FILE *f;

	f = fmemopen(b->data, b->len, "r");
	assert_non_null(f);
	pcap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, errbuf);
	if (pcap == NULL)
		fail_msg("%s: %s", what, errbuf);
	read_all(b, &got);
	while (pcap_next_ex(pcap, &header, &data) == 1) {
		/* libpcap reads the seconds of a pcap file as signed; the 32 bits are the same. */
		uint64_t ts = (uint64_t)(uint32_t)header->ts.tv_sec * 1000000000u + (uint64_t)header->ts.tv_usec;

		if (n >= got.count)
			fail_msg("%s: libpcap has more than %zu packets", what, n);
		if (ts != got.packets[n].ts || header->caplen != got.packets[n].caplen ||
			header->len != got.packets[n].len ||
			memcmp(data, got.data[n], header->caplen < 128 ? header->caplen : 128) != 0)
			fail_msg("%s: packet %zu differs from libpcap's", what, n);
		n++;
	}
	assert_int_equal(n, got.count);
	pcap_close(pcap);
	return n;
}

static void
test_against_libpcap(void **state)
{
	static const uint32_t magics[] = {USEC, NSEC, PATCHED};
	static const int resolutions[] = {-1, 0, 3, 6, 9, 12, 0x80 | 10, 0x80 | 20, 0x80 | 33};
	uint64_t seed = 88172645463325252u;
	size_t total = 0;

	(void)state;
	for (unsigned int round = 0; round < 400; round++) {
		struct blob b = {.swap = round & 1};
		uint32_t magic = magics[round / 2 % 3];
		char what[64];

		snprintf(what, sizeof(what), "round %u", round);
		if (round % 4 < 2) {
			pcap_begin(&b, magic, 0, 1);
			for (int i = 0; i < 20; i++)
				pcap_packet(&b, magic, next_random(&seed) % (4000000000ull * 1000000000),
					(uint32_t)(next_random(&seed) % 2000), (uint32_t)next_random(&seed),
					(uint8_t)i);
		} else {
			pcapng_section(&b);
			for (int i = 0; i < 4; i++)
				pcapng_interface(&b, 1, 0, resolutions[next_random(&seed) % 9],
					(int64_t)(next_random(&seed) % 1000));
			for (int i = 0; i < 20; i++) {
				uint32_t caplen = (uint32_t)(next_random(&seed) % 2000);
				uint64_t units = next_random(&seed) >> 32;

				if (i % 3 == 0)
					pcapng_obsolete(&b, (uint16_t)(next_random(&seed) % 4), 0, units, caplen, 9999,
						(uint8_t)i);
				else if (i % 3 == 1)
					pcapng_enhanced(
						&b, (uint32_t)(next_random(&seed) % 4), units, caplen, 3, (uint8_t)i);
				else
					pcapng_simple(&b, caplen, caplen, (uint8_t)i);
			}
		}
		/* damage in every second file: neither reads past it, both have what comes before */
		if (round & 2)
			b.len -= next_random(&seed) % 500;
		total += compare_with_libpcap(&b, what);
		blob_free(&b);
	}
	assert_true(total > 5000);
}

/* Headers in the byte order of the capturing host: random contents, with the fields that matter made likely. */
static void
test_pseudo_headers(void **state)
{
	static const struct {
		uint32_t link_type;
		uint32_t min;
	} cases[] = {{113, 16}, {117, 48}, {189, 48}, {220, 64}, {239, 4}};
	uint64_t seed = 4101842887655102017u;
	size_t total = 0;

	(void)state;
	for (unsigned int round = 0; round < 1000; round++) {
		const uint32_t link_type = cases[round % 5].link_type;
		struct blob b = {.swap = true};
		char what[64];

		snprintf(what, sizeof(what), "link type %u, round %u", link_type, round);
		pcap_begin(&b, NSEC, 0, link_type);
		for (int i = 0; i < 8; i++) {
			uint32_t caplen = (uint32_t)(next_random(&seed) % 120);
			uint8_t *data;

			pcap_packet(&b, NSEC, TS(i), caplen, 3000, 0);
			data = b.data + b.len - caplen;
			for (uint32_t j = 0; j < caplen; j++)
				data[j] = (uint8_t)next_random(&seed);
			if (link_type == 113 && caplen > 16)
				memcpy(data + 14, i & 1 ? "\0\x0c" : "\0\x0d", 2);
			if (link_type == 117 && caplen)
				data[0] = (uint8_t)(40 + next_random(&seed) % 30);
			if ((link_type == 189 || link_type == 220) && caplen > 9) {
				data[9] = (uint8_t)(i & 1);
				if (caplen > 63)
					memcpy(data + 60, "\0\0\0\2", 4);
				if (caplen > 15)
					data[15] = 1; /* no data, so that libpcap does not correct the length */
			}
			if (link_type == 239)
				for (uint32_t at = 1; at + 4 < caplen; at += 3 + (at == 1 ? 0 : 5))
					memcpy(data + at, at == 1 ? "\0\0\0" : "\0\x08\0", 3);
		}
		total += compare_with_libpcap(&b, what);
		blob_free(&b);
	}
	assert_int_equal(total, 8000);
}

int
reader_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcap_formats),
		cmocka_unit_test(test_pcap_header),
		cmocka_unit_test(test_pcapng_blocks),
		cmocka_unit_test(test_pcapng_sections),
		cmocka_unit_test(test_pcapng_resolutions),
		cmocka_unit_test(test_pcapng_options),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_too_large_pcap),
		cmocka_unit_test(test_too_large_pcapng),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_against_libpcap),
		cmocka_unit_test(test_pseudo_headers),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
