/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include "read_blob_test.h"

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
	pcap_begin(&b, USEC, 4u << 20, 1);
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
	/* Longer than the link type and the file's own header allow: it must not swallow what follows, however sound.
	 */
	for (uint32_t caplen = 262144; caplen <= RD_MAX_PACKET; caplen += caplen == 262144 ? 1 : 100000) {
		b = (struct blob){0};
		pcap_begin(&b, USEC, 65535, 1);
		pcap_packet(&b, USEC, TS(0), 60, 60, 1);
		at = b.len;
		pcap_packet(&b, USEC, TS(1), caplen, caplen, 2);
		pcap_packet(&b, USEC, TS(2), 60, 60, 3);
		read_all(&b, &got);
		assert_int_equal(got.damage, caplen > 262144);
		assert_int_equal(got.count, caplen > 262144 ? 1 : 3);
		if (got.damage)
			assert_int_equal(got.damage_at, at);
		blob_free(&b);
	}
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

int
reader_damage_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_too_large_pcap),
		cmocka_unit_test(test_too_large_pcapng),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests_name("reader_damage", tests, NULL, NULL);
}
