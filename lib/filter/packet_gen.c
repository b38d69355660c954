/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "packet_gen.h"

#include <stdio.h>
#include <string.h>

static const uint16_t ports[] = {53, 80, 443, 4789, 2152, 30001, 30002, 6081};

uint32_t
sl_gen_random32(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

struct sl_gen
sl_gen_random(uint64_t *state, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)sl_gen_random32(state);
	return (struct sl_gen){.bytes = bytes, .left = n};
}

struct out {
	uint8_t *bytes;
	uint32_t len;
};

static void
put(struct out *o, const void *bytes, uint32_t n)
{
	if (o->len + n <= SL_GEN_MAX_PACKET)
		memcpy(o->bytes + o->len, bytes, n);
	o->len += o->len + n <= SL_GEN_MAX_PACKET ? n : 0;
}

static void
put_u16(struct out *o, uint32_t value)
{
	put(o, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static uint32_t
pick(struct sl_gen *gen, uint32_t n)
{
	return sl_gen_byte(gen) % n;
}

static void
put_payload(struct sl_gen *gen, struct out *o)
{
	uint32_t n = pick(gen, 60);

	for (uint32_t i = 0; i < n; i++)
		put(o, (uint8_t[]){(uint8_t)(i % 7 ? i : sl_gen_byte(gen))}, 1);
}

static void
put_transport(struct sl_gen *gen, struct out *o, uint32_t protocol)
{
	put_u16(o, protocol == 1 ? pick(gen, 16) << 8 : ports[pick(gen, 8)]);
	put_u16(o, ports[pick(gen, 8)]);
	if (protocol == 6) {
		put(o, (uint8_t[]){0, 0, 0, sl_gen_byte(gen), 0, 0, 0, 0}, 8);
		put(o, (uint8_t[]){(uint8_t)((5 + pick(gen, 3)) << 4), (uint8_t)(1u << pick(gen, 6)), 1, 0, 0, 0, 0, 0},
			8);
	} else {
		put(o, (uint8_t[]){0, 40, 0, 0}, 4);
	}
	put_payload(gen, o);
}

static void
put_network(struct sl_gen *gen, struct out *o)
{
	static const uint8_t protocols[] = {6, 17, 1, 47, 4, 41, 132, 6};
	uint32_t protocol = protocols[pick(gen, 8)], kind = pick(gen, 8);

	if (kind < 6) {
		uint32_t words = 5 + (pick(gen, 8) == 0 ? pick(gen, 11) : 0), fragment = pick(gen, 10) == 0;
		uint8_t header[20] = {(uint8_t)(0x40 | words), 0, 0, 100, 0, sl_gen_byte(gen), (uint8_t)(fragment << 5),
			(uint8_t)(fragment ? pick(gen, 3) : 0), 64, (uint8_t)protocol, 0, 0, 10, 1, 0,
			(uint8_t)pick(gen, 6), 239, 1, 1, (uint8_t)pick(gen, 12)};

		put(o, header, 20);
		for (uint32_t i = 20; i < 4 * words; i++)
			put(o, (uint8_t[]){1}, 1);
	} else {
		uint8_t header[40] = {0x60, 0, 0, sl_gen_byte(gen), 0, 40, (uint8_t)protocol, 64, 0x20, 1};

		header[23] = (uint8_t)pick(gen, 4);
		header[39] = (uint8_t)pick(gen, 4);
		put(o, header, 40);
	}
	put_transport(gen, o, protocol);
}

static void
put_ethernet(struct sl_gen *gen, struct out *o)
{
	static const uint16_t types[] = {0x0800, 0x0800, 0x0800, 0x86dd, 0x0806, 0x8847, 0x8864, 0x0040};
	uint32_t tags = pick(gen, 4), type = types[pick(gen, 8)];

	put(o, (uint8_t[]){(uint8_t)(pick(gen, 4) ? 2 : 0xff), 0, 0, 0, 0, (uint8_t)pick(gen, 4)}, 6);
	put(o, (uint8_t[]){2, 0, 0, 0, 1, (uint8_t)pick(gen, 4)}, 6);
	for (; tags < 3 && tags > 0; tags--) {
		put_u16(o, tags == 2 ? 0x88a8 : 0x8100);
		put_u16(o, 100 + pick(gen, 4));
	}
	put_u16(o, type);
	if (type == 0x0806) {
		put(o, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, sl_gen_byte(gen), 10, 1, 0}, 17);
		put(o, (uint8_t[]){(uint8_t)pick(gen, 6), 0, 0, 0, 0, 0, 0, 239, 1, 1, (uint8_t)pick(gen, 12)}, 11);
	} else if (type == 0x8847) {
		put(o, (uint8_t[]){0, 6, (uint8_t)(0x40 | pick(gen, 2)), 64, 0, 0x10, 1, 64}, 8);
	} else if (type == 0x8864) {
		put(o, (uint8_t[]){0x11, 0, 0, (uint8_t)pick(gen, 3), 0, 60, 0, 0x21}, 8);
	}
	put_network(gen, o);
}

uint32_t
sl_gen_packet(struct sl_gen *gen, uint32_t link_type, uint8_t packet[SL_GEN_MAX_PACKET])
{
	struct out o = {.bytes = packet};
	uint32_t changes;

	memset(packet, 0, SL_GEN_MAX_PACKET);
	switch (link_type) {
	case 1:
		put_ethernet(gen, &o);
		break;
	case 113:
		put(&o, (uint8_t[]){0, (uint8_t)pick(gen, 5), 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, 14);
		put_u16(&o, pick(gen, 4) ? 0x0800 : 0x86dd);
		put_network(gen, &o);
		break;
	case 276:
		put_u16(&o, pick(gen, 4) ? 0x0800 : 0x86dd);
		put(&o, (uint8_t[]){0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, 18);
		put_network(gen, &o);
		break;
	case 127:
		put(&o, (uint8_t[]){0, 0, (uint8_t)(8 + pick(gen, 3)), 0, 0, 0, 0, 0}, 8);
		put(&o, (uint8_t[]){0, 0}, pick(gen, 3));
		put(&o, (uint8_t[]){(uint8_t)(pick(gen, 4) << 2 | pick(gen, 2) << 7), (uint8_t)pick(gen, 4)}, 2);
		put_payload(gen, &o);
		break;
	default:
		put_network(gen, &o);
		break;
	}
	/* Cut, as a snap length does, or by an attacker. */
	if (pick(gen, 6) == 0)
		o.len = o.len * sl_gen_byte(gen) / 256;
	for (changes = pick(gen, 16); changes > 13 && o.len > 0; changes--)
		packet[sl_gen_byte(gen) % o.len] = sl_gen_byte(gen);
	return o.len;
}

static int
primitive(struct sl_gen *gen, char *text, size_t size)
{
	switch (pick(gen, 24)) {
	case 0:
		return snprintf(text, size, "tcp");
	case 1:
		return snprintf(text, size, "udp port %u", ports[pick(gen, 8)]);
	case 2:
		return snprintf(text, size, "ip6");
	case 3:
		return snprintf(text, size, "arp");
	case 4:
		return snprintf(text, size, "host 10.1.0.%u", pick(gen, 6));
	case 5:
		return snprintf(text, size, "net 239.1.%u.0/24", pick(gen, 3));
	case 6:
		return snprintf(text, size, "tcp[tcpflags] & %u != 0", 1u << pick(gen, 6));
	case 7:
		return snprintf(
			text, size, "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x%x", pick(gen, 2) ? 0x00010203 : 0x47455420);
	case 8:
		return snprintf(text, size, "vlan %u", 100 + pick(gen, 4));
	case 9:
		return snprintf(text, size, "portrange %u-%u", 1 + pick(gen, 100), 400 + pick(gen, 100));
	case 10:
		return snprintf(text, size, "ip[4:2] = %u", sl_gen_byte(gen));
	case 11:
		return snprintf(text, size, "greater %u", sl_gen_byte(gen));
	case 12:
		return snprintf(text, size, "icmp[0] = %u", pick(gen, 16));
	case 13:
		return snprintf(text, size, "ether[%u] = %u", sl_gen_byte(gen) % 160, sl_gen_byte(gen));
	case 14:
		return snprintf(text, size, "ip[%u:4] > %u", sl_gen_byte(gen) % 120, sl_gen_byte(gen));
	case 15:
		return snprintf(text, size, "ip host 10.1.0.%u and 239.1.1.%u", pick(gen, 6), pick(gen, 12));
	case 16:
		return snprintf(text, size, "ether multicast");
	case 17:
		return snprintf(text, size, "mpls");
	case 18:
		return snprintf(text, size, "udp[8:2] = %u", sl_gen_byte(gen));
	default:
		return snprintf(text, size, "dst host 239.1.1.%u", pick(gen, 12));
	}
}

void
sl_gen_expression(struct sl_gen *gen, char text[SL_GEN_MAX_EXPRESSION])
{
	uint32_t parts = 1 + (pick(gen, 3) == 0) + (pick(gen, 6) == 0);
	size_t n = 0;

	for (uint32_t i = 0; i < parts && n + 64 < SL_GEN_MAX_EXPRESSION; i++) {
		if (i > 0)
			n += (size_t)snprintf(text + n, SL_GEN_MAX_EXPRESSION - n, pick(gen, 2) ? " and " : " or ");
		if (pick(gen, 5) == 0)
			n += (size_t)snprintf(text + n, SL_GEN_MAX_EXPRESSION - n, "not ");
		n += (size_t)primitive(gen, text + n, SL_GEN_MAX_EXPRESSION - n);
	}
}
