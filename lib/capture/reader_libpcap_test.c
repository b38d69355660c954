/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

#include "read_blob_test.h"

static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* libpcap is the judge. @return packets that it reads before an end or error */
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
reader_libpcap_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_libpcap),
		cmocka_unit_test(test_pseudo_headers),
	};

	return cmocka_run_group_tests_name("reader_libpcap", tests, NULL, NULL);
}
