/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <string.h>

#include "hint.h"

#define SAMPLES_A_CHUNK 32u
#define PACKETS_NEEDED 100000u

#define PORT_VXLAN 4789 /* RFC 7348 */
#define PORT_GTP_U 2152 /* 3GPP TS 29.281 */

static uint32_t
be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static enum sl_encap
encap_of_ip(uint8_t protocol, const uint8_t *data, uint32_t caplen)
{
	if (protocol == 47)
		return SL_ENCAP_GRE;
	if (protocol != 17 || caplen < 4)
		return SL_ENCAP_NONE;
	switch (be16(data + 2)) {
	case PORT_VXLAN:
		return SL_ENCAP_VXLAN;
	case PORT_GTP_U:
		return SL_ENCAP_GTP;
	default:
		return SL_ENCAP_NONE;
	}
}

enum sl_encap
sl_encap_of(const uint8_t *data, uint32_t caplen)
{
	uint32_t header;

	if (caplen < 14)
		return SL_ENCAP_NONE;
	switch (be16(data + 12)) {
	case 0x8100: /* 802.1Q */
	case 0x88a8: /* 802.1ad */
	case 0x9100:
		return SL_ENCAP_VLAN;
	case 0x8847:
	case 0x8848:
		return SL_ENCAP_MPLS;
	case 0x0800:
		header = 14 + 4 * (caplen > 14 ? data[14] & 0xfu : 0);
		/* Fragments behind the first have no ports. */
		if (caplen < 34 || header < 34 || header > caplen || (be16(data + 20) & 0x1fff) != 0)
			return SL_ENCAP_NONE;
		return encap_of_ip(data[23], data + header, caplen - header);
	case 0x86dd:
		return caplen < 54 ? SL_ENCAP_NONE : encap_of_ip(data[20], data + 54, caplen - 54);
	default:
		return SL_ENCAP_NONE;
	}
}

/* One writer, so no read-modify-write is needed. */
static void
add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

void
sl_encap_sample(struct sl_encap_counts *counts, const struct sl_chunk *chunk)
{
	uint32_t step = chunk->packets / SAMPLES_A_CHUNK + 1;

	for (uint32_t i = 0; i < chunk->packets; i += step) {
		const uint8_t *record = (const uint8_t *)sl_chunk_record(chunk, i);
		uint32_t caplen;

		memcpy(&caplen, record + offsetof(struct sl_record, caplen), sizeof(caplen));
		add(&counts->sampled[sl_encap_of(record + sizeof(struct sl_record), caplen)], 1);
	}
	add(&counts->packets, chunk->packets);
}

bool
sl_encap_hint(const struct sl_encap_counts *counts, unsigned int lanes, const char *expression, char *text, size_t len)
{
	static const struct {
		const char *what, *word, *instead;
	} kinds[SL_ENCAPS] = {
		[SL_ENCAP_VLAN] = {"VLAN-tagged", "vlan", NULL},
		[SL_ENCAP_MPLS] = {"MPLS-labelled", "mpls", NULL},
		[SL_ENCAP_GRE] = {"in GRE tunnels", "proto", "proto gre"},
		[SL_ENCAP_VXLAN] = {"in VXLAN tunnels", "4789", "udp dst port 4789"},
		[SL_ENCAP_GTP] = {"in GTP-U tunnels", "2152", "udp dst port 2152"},
	};
	uint64_t packets = 0, samples = 0, sum[SL_ENCAPS] = {0};
	unsigned int most = SL_ENCAP_VLAN;
	int percent;

	for (unsigned int i = 0; i < lanes; i++) {
		packets += atomic_load_explicit(&counts[i].packets, memory_order_relaxed);
		for (unsigned int k = 0; k < SL_ENCAPS; k++)
			sum[k] += atomic_load_explicit(&counts[i].sampled[k], memory_order_relaxed);
	}
	for (unsigned int k = 0; k < SL_ENCAPS; k++) {
		samples += sum[k];
		if (k != SL_ENCAP_NONE && sum[k] > sum[most])
			most = k;
	}
	if (packets < PACKETS_NEEDED || samples == 0 || 2 * (samples - sum[SL_ENCAP_NONE]) <= samples)
		return false;
	if (strstr(expression, kinds[most].word) != NULL)
		return false;
	percent = (int)(100 * sum[most] / samples);
	if (kinds[most].instead != NULL)
		snprintf(text, len, "%d %% %s, inside which a filter does not look; '%s' matches the tunnels", percent,
			kinds[most].what, kinds[most].instead);
	else if (strlen(expression) > 180)
		snprintf(text, len, "%d %% %s; try '%s and (...)'", percent, kinds[most].what, kinds[most].word);
	else
		snprintf(text, len, "%d %% %s; try '%s and (%s)'", percent, kinds[most].what, kinds[most].word,
			expression);
	return true;
}
