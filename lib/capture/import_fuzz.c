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
 * in pieces reads as the same file in one.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t packets, hash, large, interfaces, damage_at;
	int damage;
};

static void
must(int condition)
{
	if (!condition)
		abort();
}

static void
run(const uint8_t *data, size_t size, size_t step, struct sum *sum)
{
	struct rd_packet packet;
	struct reader reader;
	size_t pos = 0, have = 0, used;
	enum rd_event event;
	uint8_t *window = NULL;
	size_t idle = 0;

	memset(sum, 0, sizeof(*sum));
	reader_init(&reader, false);
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
	struct sum whole, pieces;

	if (size < 1 || size > 65536)
		return 0;
	run(data + 1, size - 1, size, &whole);
	run(data + 1, size - 1, (size_t)data[0] + 1, &pieces);
	must(!memcmp(&whole, &pieces, sizeof(whole)));
	return 0;
}
