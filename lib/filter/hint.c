/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <string.h>

#include "counter.h"
#include "hint.h"

#define SAMPLES_A_CHUNK 32u
#define PACKETS_NEEDED 100000u

#define PORT_VXLAN 4789 /* RFC 7348 */
#define PORT_GENEVE 6081 /* RFC 8926 */
#define PORT_GTP_U 2152 /* 3GPP TS 29.281 */

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static enum sl_tunnel
tunnel_of_ip(uint8_t protocol, const uint8_t *data, uint32_t caplen)
{
	switch (protocol) {
	case 4:
	case 41:
		return SL_TUNNEL_IP;
	case 47:
		return SL_TUNNEL_GRE;
	case 17:
		break;
	default:
		return SL_TUNNEL_NONE;
	}
	switch (caplen < 4 ? 0 : be16(data + 2)) {
	case PORT_VXLAN:
		return SL_TUNNEL_VXLAN;
	case PORT_GENEVE:
		return SL_TUNNEL_GENEVE;
	case PORT_GTP_U:
		return SL_TUNNEL_GTP;
	default:
		return SL_TUNNEL_NONE;
	}
}

static enum sl_tunnel
tunnel_of(uint32_t ethertype, const uint8_t *data, uint32_t caplen)
{
	uint32_t header;

	switch (ethertype) {
	case 0x8847:
	case 0x8848:
		return SL_TUNNEL_MPLS;
	case 0x8864:
		return SL_TUNNEL_PPPOE;
	case 0x0800:
		header = 4 * (caplen > 0 ? data[0] & 0xfu : 0);
		/* Fragments behind the first have no ports. */
		if (caplen < 20 || header < 20 || header > caplen || (be16(data + 6) & 0x1fff) != 0)
			return SL_TUNNEL_NONE;
		return tunnel_of_ip(data[9], data + header, caplen - header);
	case 0x86dd:
		return caplen < 40 ? SL_TUNNEL_NONE : tunnel_of_ip(data[6], data + 40, caplen - 40);
	default:
		return SL_TUNNEL_NONE;
	}
}

static bool
is_tag(uint32_t ethertype)
{
	return ethertype == 0x8100 /* 802.1Q */ || ethertype == 0x88a8 /* 802.1ad */ || ethertype == 0x9100;
}

struct sl_encap
sl_encap_of(const uint8_t *data, uint32_t caplen)
{
	struct sl_encap encap = {0};
	uint32_t at = 12;

	while (at + 2 <= caplen && is_tag(be16(data + at))) {
		if (encap.tags < SL_ENCAP_TAGS - 1)
			encap.tags++;
		at += 4;
	}
	if (at + 2 <= caplen)
		encap.tunnel = tunnel_of(be16(data + at), data + at + 2, caplen - at - 2);
	return encap;
}

void
sl_encap_sample(struct sl_encap_counts *counts, const struct sl_chunk *chunk)
{
	uint32_t step = chunk->packets / SAMPLES_A_CHUNK + 1;

	for (uint32_t i = 0; i < chunk->packets; i += step) {
		const uint8_t *record = (const uint8_t *)sl_chunk_record(chunk, i);
		struct sl_encap encap;
		uint32_t caplen;

		memcpy(&caplen, record + offsetof(struct sl_record, caplen), sizeof(caplen));
		encap = sl_encap_of(record + sizeof(struct sl_record), caplen);
		sl_counter_add(&counts->sampled[encap.tags][encap.tunnel], 1);
	}
	sl_counter_add(&counts->packets, chunk->packets);
}

/* How often a word stands in an expression. */
static unsigned int
occurrences(const char *expression, const char *word)
{
	unsigned int n = 0;

	for (const char *s = expression; (s = strstr(s, word)) != NULL; s += strlen(word))
		n++;
	return n;
}

/* The most frequent encapsulation. @return its share in percent, 0: too few packets, or most have none */
static unsigned int
most_frequent(const struct sl_encap_counts *counts, unsigned int lanes, struct sl_encap *most)
{
	uint64_t packets = 0, samples = 0, plain = 0, best = 0;

	for (unsigned int lane = 0; lane < lanes; lane++)
		packets += atomic_load_explicit(&counts[lane].packets, memory_order_relaxed);
	for (unsigned int tags = 0; tags < SL_ENCAP_TAGS; tags++) {
		for (unsigned int tunnel = 0; tunnel < SL_TUNNELS; tunnel++) {
			uint64_t sum = 0;

			for (unsigned int lane = 0; lane < lanes; lane++)
				sum += atomic_load_explicit(&counts[lane].sampled[tags][tunnel], memory_order_relaxed);
			samples += sum;
			if (tags == 0 && tunnel == SL_TUNNEL_NONE) {
				plain = sum;
			} else if (sum > best) {
				best = sum;
				*most = (struct sl_encap){.tags = tags, .tunnel = tunnel};
			}
		}
	}
	if (packets < PACKETS_NEEDED || samples == 0 || 2 * (samples - plain) <= samples)
		return 0;
	return (unsigned int)(100 * best / samples);
}

bool
sl_encap_hint(const struct sl_encap_counts *counts, unsigned int lanes, const char *expression, char *text, size_t len)
{
	/* libpcap's expressions look into some of these, and can but match others. */
	static const struct {
		const char *what, *word, *inside, *matches;
	} tunnels[SL_TUNNELS] = {
		[SL_TUNNEL_MPLS] = {"MPLS-labelled", "mpls", "mpls and ", NULL},
		[SL_TUNNEL_PPPOE] = {"in PPPoE sessions", "pppoes", "pppoes and ", NULL},
		[SL_TUNNEL_GRE] = {"in GRE tunnels", "proto", NULL, "proto gre"},
		[SL_TUNNEL_IP] = {"IP in IP", "proto", NULL, "(proto 4 or proto 41)"},
		[SL_TUNNEL_VXLAN] = {"in VXLAN tunnels", "4789", NULL, "udp dst port 4789"},
		[SL_TUNNEL_GENEVE] = {"in Geneve tunnels", "geneve", "geneve and ", NULL},
		[SL_TUNNEL_GTP] = {"in GTP-U tunnels", "2152", NULL, "udp dst port 2152"},
	};
	static const char *const tagged[SL_ENCAP_TAGS] = {"", "VLAN-tagged", "VLAN-tagged twice"};
	static const char *const vlan[SL_ENCAP_TAGS] = {"", "vlan and ", "vlan and vlan and "};
	struct sl_encap most = {0};
	unsigned int percent = most_frequent(counts, lanes, &most), tags, asked = occurrences(expression, "vlan");
	const char *inside = tunnels[most.tunnel].inside, *matches = tunnels[most.tunnel].matches;
	const char *what = tunnels[most.tunnel].what, *word = tunnels[most.tunnel].word;

	if (percent == 0)
		return false;
	tags = most.tags > asked ? most.tags - asked : 0;
	if (word != NULL && strstr(expression, word) != NULL) {
		inside = NULL;
		matches = NULL;
	}
	if (tags == 0 && inside == NULL && matches == NULL)
		return false;
	if (matches != NULL)
		snprintf(text, len, "%u %% %s%s%s, inside which a filter does not look; '%s%s' matches the tunnels",
			percent, tagged[most.tags], most.tags ? " and " : "", what, vlan[most.tags], matches);
	else
		snprintf(text, len, "%u %% %s%s%s; try '%s%s(%s)'", percent, tagged[most.tags],
			most.tags && what ? " and " : "", what ? what : "", vlan[tags], inside ? inside : "",
			strlen(expression) > 180 ? "..." : expression);
	return true;
}
