/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

/*
 * The readers over arbitrary bytes. The first byte says how the rest is cut into pieces. Besides what the sanitizers
 * see: the reader makes progress, uses no more than it is given, its packets lie within what it was given, and a file
 * in pieces reads as the same file in one, and a scan sees every interface that reading sees.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECTION_LE "\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0"
#define SECTION_BE "\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\1\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c"
#define HEADER(text)                                                                                                   \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

#define FMADIO(link) "\xb3\xba\x37\x13\2\0\4\0\0\0\0\0\0\0\0\0\xff\xff\0\0" link "\0\0\0"
#define COUNT(n) n "\0\0\0\0\0\0\0\0\0\0\0"
#define FILL32 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static const struct header {
	const char *bytes;
	size_t len;
} headers[] = {
#ifdef FUZZ_FMADIO
	/* So that little has to be guessed: chunks that go on into what the fuzzer writes. */
	HEADER(FMADIO("\1")),
	HEADER(FMADIO("\0")),
	HEADER(FMADIO("\1") COUNT("\1") "\x40\0\0\0" FILL32),
	HEADER(FMADIO("\1") COUNT("\2") "\0\1\0\0" FILL32),
	HEADER(FMADIO("\1") COUNT("\xff") "\0\0\x10\0" FILL32),
	HEADER(FMADIO("\1") COUNT("\0") "\x20\0\0\0" FILL32),
	HEADER(FMADIO("\1") COUNT("\1") "\x11\0\0\0" FILL32 "\1\2\3\4\5\6\7\x17\1\0\x40\0\3\1\0\0Z"),
	HEADER(FMADIO("\1") COUNT("\3") "\0\1\0\0" FILL32 "\1\2\3\4\5\6\7\x17\0\0\0\0\3\1\0\0"),
#else
	HEADER(""),
	HEADER("\xd4\xc3\xb2\xa1\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0"),
	HEADER("\xa1\xb2\x3c\x4d\0\2\0\4\0\0\0\0\0\0\0\0\0\4\0\0\0\0\0\xdc"), /* USB, whose headers are swapped */
	HEADER("\xa1\xb2\x3c\x4d\0\2\0\4\0\0\0\0\0\0\0\0\0\4\0\0\0\0\0\xef"), /* NFLOG */
	HEADER("\x34\xcd\xb2\xa1\2\0\3\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0"),
	HEADER(SECTION_LE "\1\0\0\0\x14\0\0\0\1\0\0\0\0\0\4\0\x14\0\0\0"),
	HEADER(SECTION_BE "\0\0\0\1\0\0\0\x14\0\x75\0\0\0\4\0\0\0\0\0\x14"), /* PFLOG */
	HEADER(SECTION_BE),
#endif
};

struct sum {
	uint64_t packets, hash, large, interfaces, damage_at, damage;
};

static void
must(int condition)
{
	if (!condition)
		abort();
}

static void
run(const uint8_t *data, size_t size, size_t step, bool scan, struct sum *sum)
{
	struct rd_packet packet;
	struct reader reader;
	size_t pos = 0, have = 0, used;
	enum rd_event event;
	uint8_t *window = NULL;
	size_t idle = 0;

	memset(sum, 0, sizeof(*sum));
	reader_init(&reader, scan);
	for (;;) {
		/* A copy of its own: packets may be changed in place. */
		free(window);
		window = malloc(have ? have : 1);
		must(window != NULL);
		memcpy(window, data + pos, have);
		event = reader_next(&reader, window, have, &used, &packet);
		must(used <= have);
		if (event == RD_MORE) {
			must(used == 0 && reader.need > have);
			if (pos + have == size)
				event = reader_end(&reader, have);
			else {
				have = reader.need > have + step ? reader.need : have + step;
				if (have > size - pos)
					have = size - pos;
				continue;
			}
			if (event == RD_MORE)
				break;
		}
		idle = used ? 0 : idle + 1;
		must(idle < 4);
		if (event == RD_PACKET) {
			must(packet.data >= window && packet.data + packet.caplen <= window + used);
			sum->packets++;
			sum->hash = sum->hash * 1099511628211u ^ packet.ts ^ packet.len ^ packet.interface;
			for (uint32_t i = 0; i < packet.caplen; i++)
				sum->hash = sum->hash * 31 + packet.data[i];
		} else if (event == RD_TOO_LARGE) {
			sum->large++;
		} else if (event == RD_INTERFACE) {
			sum->interfaces++;
		} else if (event == RD_DAMAGE) {
			must(reader.error[0] && memchr(reader.error, 0, sizeof(reader.error)) != NULL);
			must(reader.error_offset <= size);
			sum->damage = 1;
			sum->damage_at = reader.error_offset;
			break;
		}
		pos += used;
		have -= used;
	}
	free(window);
	reader_free(&reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum whole, pieces, scan;
	const struct header *header;
	size_t step, len;
	uint8_t *file;

	if (size < 1 || size > 65536)
		return 0;
	header = &headers[data[0] & 7];
	step = (size_t)(data[0] >> 3) * 5 + 1;
	len = header->len + size - 1;
	file = malloc(len + 1);
	must(file != NULL);
	memcpy(file, header->bytes, header->len);
	memcpy(file + header->len, data + 1, size - 1);
	run(file, len, len, false, &whole);
	run(file, len, step, false, &pieces);
	must(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	run(file, len, step, true, &scan);
	must(scan.interfaces >= whole.interfaces);
	free(file);
	return 0;
}
