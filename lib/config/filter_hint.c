/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "internal.h"
#include "suggest.h"

/* pcap-filter(7) of libpcap 1.10 */
static const char *const keywords[] = {"aarp", "ah", "and", "arp", "atalk", "broadcast", "carp", "clnp", "decnet",
	"dir", "dst", "esis", "esp", "ether", "fddi", "gateway", "geneve", "greater", "host", "icmp", "icmp6",
	"icmp-echo", "icmp-echoreply", "icmptype", "icmpcode", "igmp", "igrp", "inbound", "ip", "ip6", "ipx", "isis",
	"iso", "lat", "len", "less", "link", "llc", "mask", "moprc", "mopdl", "mpls", "multicast", "net", "netbeui",
	"not", "or", "outbound", "pim", "port", "portrange", "ppp", "pppoed", "pppoes", "proto", "protochain", "rarp",
	"sctp", "slip", "src", "stp", "subtype", "tcp", "tcp-ack", "tcp-fin", "tcpflags", "tcp-push", "tcp-rst",
	"tcp-syn", "tcp-urg", "tr", "type", "udp", "vlan", "vrrp", "wlan"};

#define N_KEYWORDS (sizeof(keywords) / sizeof(keywords[0]))

static bool
is_keyword(const char *word)
{
	for (size_t i = 0; i < N_KEYWORDS; i++)
		if (strcmp(word, keywords[i]) == 0)
			return true;
	return false;
}

/* Behind these a name of a host, net, port or protocol may stand. */
static bool
takes_name(const char *word)
{
	static const char *const words[] = {"host", "net", "gateway", "port", "portrange", "src", "dst", "proto"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

/* The first word that is almost a keyword: it goes to word (64 bytes), the keyword is returned. NULL: none. */
static const char *
find_slip(const char *expression, char *word)
{
	char before[64] = "";

	for (const char *p = expression; *p != '\0';) {
		size_t n = 0;

		while (isalnum((unsigned char)p[n]) || p[n] == '-' || p[n] == '_' || p[n] == '.')
			n++;
		if (n == 0) {
			p++;
			continue;
		}
		if (isalpha((unsigned char)*p) && n < sizeof(before)) {
			memcpy(word, p, n);
			word[n] = '\0';
			const char *near = sl_suggest(word, keywords, N_KEYWORDS);
			if (!is_keyword(word) && near != NULL && !takes_name(before))
				return near;
			memcpy(before, word, n + 1);
		}
		p += n;
	}
	return NULL;
}

void
sl_config_add_filter_error(struct sl_config *config, size_t i, const char *text)
{
	const struct sl_target_config *t = &config->targets[i];
	unsigned int line = sl_config_field_line(config, i, "FilterBPF");
	char word[64];
	const char *near = find_slip(t->filter, word);

	if (near != NULL)
		sl_config_add_finding(config, true, line, t->desc, "FilterBPF",
			"%s; did you mean \"%s\" instead of \"%s\"?", text, near, word);
	else
		sl_config_add_finding(config, true, line, t->desc, "FilterBPF", "%s", text);
}
