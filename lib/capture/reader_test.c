/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include "read_blob_test.h"
#include "sl_store.h"

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
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
