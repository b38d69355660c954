/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdlib.h>
#include <string.h>

#include "read_blob_test.h"

void
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

void
read_all(const struct blob *b, struct got *got)
{
	read_blob(b->data, b->len, b->len, false, got);
}

void
build_pcap(struct blob *b, uint32_t magic, bool swap)
{
	memset(b, 0, sizeof(*b));
	b->swap = swap;
	pcap_begin(b, magic, 65535, 1);
	pcap_packet(b, magic, TS(0), 60, 60, 1);
	pcap_packet(b, magic, TS(1), 0, 77, 2);
	pcap_packet(b, magic, TS(2), 33, 1500, 3);
}

void
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
