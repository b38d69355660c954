/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * Writes a pcap file of mixed traffic: TCP connections from handshake to FIN, UDP, DNS, ICMP, ARP, IPv6, VLAN tags,
 * multicast, fragments, tunnels; right checksums, bursts of a flow, IMIX-like sizes, nanosecond times; or one of the
 * profiles of the performance suite. The same options give the same bytes. No dependencies, so that a test can compile
 * it anywhere.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "traffic.h"
#include "traffic_profile.h"

#define NS UINT64_C(1000000000)
#define OUT_BUFFER (4u << 20)
/* Mean bytes of a record with its header, to turn bytes into packets for the pace; measured, need not be exact. */
#define MEAN_RECORD 720.0

enum link { ETHERNET, RAW, SLL, SLL2, RADIOTAP, PPP, PPP_HDLC, PPP_ETHER, LINKS };

static const struct {
	const char *name;
	uint32_t linktype;
} links[LINKS] = {
	[ETHERNET] = {"ethernet", 1},
	[RAW] = {"raw", 101},
	[SLL] = {"sll", 113},
	[SLL2] = {"sll2", 276},
	[RADIOTAP] = {"radiotap", 127},
	[PPP] = {"ppp", 9},
	[PPP_HDLC] = {"ppp_hdlc", 50},
	[PPP_ETHER] = {"ppp_ether", 51},
};

static struct {
	uint64_t packets, bytes, start, seed, disorder;
	double duration;
	unsigned int flows, groups, snaplen;
	enum link link;
	const struct profile *profile;
	bool usec, big_endian, live;
	const char *path;
} opt = {
	.start = 1767605400 * NS, /* 2026-01-05 09:30:00 UTC */
	.seed = 1,
	.duration = 300,
	.groups = 96,
	.snaplen = 262144,
};

/* ---------------------------------------------------------------- random numbers */

uint64_t rng;

/* ---------------------------------------------------------------- a packet under construction */

uint8_t pool[POOL + MAX_FRAME]; /* payload bytes */
static uint8_t net[MAX_FRAME]; /* network layer */
static uint8_t frame[MAX_FRAME + 128];
static uint8_t vlan_tags; /* 0, 1 or 2 */
static uint16_t vlan_id;

/* Ones' complement sum of 16-bit words in host order; the result is folded and may be stored as it is (RFC 1071). */
static uint64_t
sum_bytes(const uint8_t *p, size_t n, uint64_t sum)
{
	uint16_t last = 0;

	while (n >= 4) {
		uint32_t word;

		memcpy(&word, p, 4);
		sum += word;
		p += 4;
		n -= 4;
	}
	while (n >= 2) {
		uint16_t word;

		memcpy(&word, p, 2);
		sum += word;
		p += 2;
		n -= 2;
	}
	if (n) {
		memcpy(&last, p, 1);
		sum += last;
	}
	return sum;
}

struct host {
	uint8_t v4[4];
	uint8_t v6[16];
	uint8_t mac[6];
};

struct flow {
	struct host a, b;
	uint16_t aport, bport;
	uint32_t aseq, bseq;
	uint8_t proto; /* 6 or 17 */
	uint8_t phase; /* of a TCP connection */
	bool v6, multicast, dns;
	uint8_t tags;
	uint16_t vlan, ident;
	uint32_t left; /* data packets until FIN */
	uint32_t age; /* --profile=realistic: packets until another flow takes its place */
};

enum tcp_flag { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static size_t
ip_header(const struct flow *f, bool forward, uint8_t proto, size_t payload, uint16_t ident, uint16_t frag)
{
	const struct host *src = forward ? &f->a : &f->b, *dst = forward ? &f->b : &f->a;

	if (f->v6) {
		put32(net, 0x60000000u | f->ident);
		put16(net + 4, (uint32_t)payload);
		net[6] = proto;
		net[7] = 64;
		memcpy(net + 8, src->v6, 16);
		memcpy(net + 24, dst->v6, 16);
		return 40;
	}
	net[0] = 0x45;
	net[1] = f->bport == 5060 ? 0xb8 : 0;
	put16(net + 2, (uint32_t)payload + 20);
	put16(net + 4, ident);
	put16(net + 6, frag);
	net[8] = forward ? 64 : 57;
	net[9] = proto;
	put16(net + 10, 0);
	memcpy(net + 12, src->v4, 4);
	memcpy(net + 16, dst->v4, 4);
	store_checksum(net + 10, sum_bytes(net, 20, 0));
	return 20;
}

/* Checksum with the pseudo header, which has the same sum for IPv4 and IPv6 layouts. */
static void
l4_checksum(const struct flow *f, uint8_t proto, size_t l3, size_t length, size_t at)
{
	uint8_t tail[4] = {0, proto, (uint8_t)(length >> 8), (uint8_t)length};
	uint64_t sum = f->v6 ? sum_bytes(net + 8, 32, 0) : sum_bytes(net + 12, 8, 0);

	put16(net + l3 + at, 0);
	store_checksum(net + l3 + at, sum_bytes(net + l3, length, sum_bytes(tail, 4, sum)));
	if (proto == 17 && !net[l3 + at] && !net[l3 + at + 1])
		put16(net + l3 + at, 0xffff);
}

static void
payload(uint8_t *to, size_t n)
{
	memcpy(to, pool + below(POOL), n);
}

static size_t
tcp_segment(struct flow *f, bool forward, uint8_t flags, size_t data)
{
	size_t options = flags & SYN ? 4 : 0, l3 = f->v6 ? 40 : 20;
	uint8_t *t = net + l3;

	ip_header(f, forward, 6, 20 + options + data, f->ident++, 0x4000);
	put16(t, forward ? f->aport : f->bport);
	put16(t + 2, forward ? f->bport : f->aport);
	put32(t + 4, forward ? f->aseq : f->bseq);
	put32(t + 8, flags & ACK ? (forward ? f->bseq : f->aseq) : 0);
	t[12] = (uint8_t)((20 + options) << 2);
	t[13] = flags;
	put16(t + 14, 64240);
	put32(t + 16, 0);
	if (options)
		put32(t + 20, 0x020405b4); /* maximum segment size 1460 */
	payload(t + 20 + options, data);
	l4_checksum(f, 6, l3, 20 + options + data, 16);
	*(forward ? &f->aseq : &f->bseq) += (uint32_t)data + (flags & (SYN | FIN) ? 1 : 0);
	return l3 + 20 + options + data;
}

static size_t
udp_datagram(struct flow *f, bool forward, size_t data)
{
	size_t l3 = f->v6 ? 40 : 20;
	uint8_t *u = net + l3;

	ip_header(f, forward, 17, 8 + data, f->ident++, 0);
	put16(u, forward ? f->aport : f->bport);
	put16(u + 2, forward ? f->bport : f->aport);
	put16(u + 4, (uint32_t)data + 8);
	payload(u + 8, data);
	if (f->dns) {
		static const uint8_t question[] = "\3www\7example\3com\0\0\1\0\1";

		put16(u + 8, f->ident);
		put16(u + 10, forward ? 0x0100 : 0x8180);
		put32(u + 12, forward ? 0x00010000 : 0x00010001);
		put32(u + 16, 0);
		memcpy(u + 20, question, sizeof(question) - 1);
		if (!forward) {
			put32(u + 41, 0xc00c0001);
			put32(u + 45, 0x00010000);
			put32(u + 49, 0x003c0004);
			memcpy(u + 53, f->b.v4, 4);
		}
	}
	l4_checksum(f, 17, l3, 8 + data, 6);
	return l3 + 8 + data;
}

/* ---------------------------------------------------------------- flows */

static void
make_host(struct host *h, bool server)
{
	uint32_t n = server ? below(40) : below(250);

	h->v4[0] = server ? 192 : 10;
	h->v4[1] = server ? 168 : (uint8_t)(n % 4);
	h->v4[2] = server ? 1 : (uint8_t)(n % 7);
	h->v4[3] = (uint8_t)(n + 1);
	memset(h->v6, 0, 16);
	put32(h->v6, 0x20010db8);
	h->v6[5] = server;
	h->v6[15] = (uint8_t)(n + 1);
	memcpy(h->mac, server ? "\x02\x00\x5e\x10\x00" : "\x02\x1b\x21\x3c\x4d", 5);
	h->mac[5] = (uint8_t)(n + 1);
}

static void
make_flow(struct flow *f)
{
	static const uint16_t tcp_ports[] = {80, 443, 443, 443, 22, 25, 3306, 8080, 179, 445};
	static const uint16_t udp_ports[] = {123, 443, 514, 1812, 5060, 6081, 4789, 2055, 33434, 69};

	memset(f, 0, sizeof(*f));
	make_host(&f->a, false);
	make_host(&f->b, true);
	f->aport = (uint16_t)(32768 + below(28000));
	f->proto = chance(72) ? 6 : 17;
	f->v6 = chance(10);
	f->bport = f->proto == 6 ? tcp_ports[below(10)] : udp_ports[below(10)];
	f->aseq = (uint32_t)random64();
	f->bseq = (uint32_t)random64();
	f->ident = (uint16_t)below(65536);
	f->tags = chance(8) ? (chance(20) ? 2 : 1) : 0;
	f->vlan = (uint16_t)(100 + below(5));
	f->left = 4 + below(chance(20) ? 2000 : 60);
	if (f->proto == 17 && chance(25)) {
		f->dns = true;
		f->bport = 53;
	} else if (f->proto == 17 && chance(30) && !f->v6) {
		f->multicast = true;
		memcpy(f->b.v4, (const uint8_t[]){239, 1, 1, (uint8_t)below(8)}, 4);
		memcpy(f->b.mac, (const uint8_t[]){1, 0, 0x5e, 1, 1, f->b.v4[3]}, 6);
		f->bport = 5001;
	}
}

/* As make_flow(), among thousands of hosts, with a size after which it ends. */
static void
make_realistic_flow(struct flow *f)
{
	uint32_t client = below(4000), server = below(200) + below(200);

	make_flow(f);
	memcpy(f->a.v4, (const uint8_t[]){10, 0, (uint8_t)(client / 250), (uint8_t)(1 + client % 250)}, 4);
	put16(f->a.v6 + 14, client + 1);
	put16(f->a.mac + 4, client + 1);
	if (!f->multicast) {
		memcpy(f->b.v4, (const uint8_t[]){192, 168, (uint8_t)(server / 200), (uint8_t)(1 + server % 200)}, 4);
		put16(f->b.v6 + 14, server + 1);
		put16(f->b.mac + 4, server + 1);
	}
	f->age = profile_flow_size();
	f->left = f->age;
}

static size_t
tcp_step(struct flow *f, bool *forward)
{
	*forward = true;
	switch (f->phase) {
	case 0:
		f->phase = 1;
		return tcp_segment(f, true, SYN, 0);
	case 1:
		f->phase = 2;
		*forward = false;
		return tcp_segment(f, false, SYN | ACK, 0);
	case 2:
		f->phase = 3;
		return tcp_segment(f, true, ACK, 0);
	case 3: {
		uint32_t kind = below(100);

		if (!f->left--) {
			f->phase = chance(10) ? 6 : 4;
			return tcp_segment(f, true, ACK, 0);
		}
		*forward = kind % 4 == 0;
		if (kind < 38)
			return tcp_segment(f, *forward, ACK, 0);
		if (kind < 52)
			return tcp_segment(f, *forward, ACK | PSH, 1 + below(500));
		/* 1440: an IPv6 segment still fits 1500 bytes */
		return tcp_segment(f, *forward, ACK, f->v6 ? 1440 : 1460);
	}
	case 4:
		f->phase = 5;
		return tcp_segment(f, true, FIN | ACK, 0);
	case 5:
		f->phase = 7;
		*forward = false;
		return tcp_segment(f, false, FIN | ACK, 0);
	case 6:
		f->phase = 8;
		*forward = false;
		return tcp_segment(f, false, RST, 0);
	default: {
		size_t n = tcp_segment(f, true, ACK, 0);

		f->left = 0;
		f->phase = 0;
		f->aport = (uint16_t)(32768 + below(28000));
		f->aseq = (uint32_t)random64();
		f->bseq = (uint32_t)random64();
		f->left = 4 + below(chance(20) ? 2000 : 60);
		return n;
	}
	}
}

/* ---------------------------------------------------------------- everything that is not a plain flow */

static size_t
icmp(struct flow *f, bool *forward)
{
	size_t data = 8 + 56, l3 = f->v6 ? 40 : 20;
	uint8_t proto = f->v6 ? 58 : 1, *p = net + l3;

	*forward = chance(50);
	ip_header(f, *forward, proto, data, f->ident++, 0);
	p[0] = f->v6 ? (*forward ? 128 : 129) : (*forward ? 8 : 0);
	p[1] = 0;
	put32(p + 4, 0x00010000u | f->ident);
	payload(p + 8, data - 8);
	if (f->v6) {
		l4_checksum(f, 58, l3, data, 2);
	} else {
		put16(p + 2, 0);
		store_checksum(p + 2, sum_bytes(p, data, 0));
	}
	return l3 + data;
}

static size_t
arp(const struct flow *f, bool *forward)
{
	*forward = chance(50);
	memcpy(net, "\0\1\x8\0\6\4\0", 7);
	net[7] = *forward ? 1 : 2;
	memcpy(net + 8, *forward ? f->a.mac : f->b.mac, 6);
	memcpy(net + 14, *forward ? f->a.v4 : f->b.v4, 4);
	memset(net + 18, 0, 6);
	if (!*forward)
		memcpy(net + 18, f->a.mac, 6);
	memcpy(net + 24, *forward ? f->b.v4 : f->a.v4, 4);
	return 28;
}

/* One of the two fragments of a datagram of 2,000 bytes; they come one after the other. */
static size_t
fragment(struct flow *f)
{
	static uint16_t ident;
	static bool second;
	size_t data = second ? 528 : 1480;

	if (!second)
		ident = f->ident++;
	ip_header(f, true, 17, data, ident, second ? 185 : 0x2000);
	payload(net + 20, data);
	if (!second) {
		put16(net + 20, f->aport);
		put16(net + 22, f->bport);
		put16(net + 24, 2008);
		put16(net + 26, 0); /* no checksum (RFC 768): it would cover both fragments */
	}
	second = !second;
	return 20 + data;
}

/* An IP packet of a protocol whose payload is not looked into: GRE, ESP, SCTP, IGMP, OSPF, VRRP. */
static size_t
other_ip(struct flow *f)
{
	static const uint8_t protos[] = {47, 50, 132, 2, 89, 112};
	uint8_t proto = protos[below(sizeof(protos))];
	size_t data = 32 + below(200), l3 = ip_header(f, true, proto, data, f->ident++, 0);

	payload(net + l3, data);
	if (proto == 132) {
		put16(net + l3, f->aport);
		put16(net + l3 + 2, f->bport);
	}
	return l3 + data;
}

/* ---------------------------------------------------------------- link layers */

static size_t
ethernet(const struct flow *f, bool forward, uint16_t type, size_t n)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
	const uint8_t *dst = forward ? f->b.mac : f->a.mac;
	size_t at = 12;

	memcpy(frame, type == 0x0806 && forward ? broadcast : dst, 6);
	memcpy(frame + 6, forward ? f->a.mac : f->b.mac, 6);
	if (vlan_tags == 2) {
		put32(frame + at, 0x88a80000u | 200);
		at += 4;
	}
	if (vlan_tags) {
		put32(frame + at, 0x81000000u | vlan_id);
		at += 4;
	}
	put16(frame + at, type);
	at += 2;
	if (type != 0x0806 && !vlan_tags && below(200) == 0) { /* an MPLS label */
		put16(frame + at - 2, 0x8847);
		put32(frame + at, 100u << 12 | 0x1ff);
		at += 4;
	} else if (type == 0x0800 && !vlan_tags && n < 1480 && below(200) == 0) { /* a PPPoE session */
		put16(frame + at - 2, 0x8864);
		put32(frame + at, 0x11000007);
		put16(frame + at + 4, (uint32_t)n + 2);
		put16(frame + at + 6, 0x0021);
		at += 8;
	}
	memcpy(frame + at, net, n);
	at += n;
	if (at < 60) {
		memset(frame + at, 0, 60 - at);
		at = 60;
	}
	return at;
}

static size_t
spanning_tree(void)
{
	memcpy(frame, "\x01\x80\xc2\0\0\0\x02\0\x5e\x10\0\xfe\0\x26\x42\x42\x03", 17);
	memset(frame + 17, 0, 43);
	return 60;
}

static size_t
radiotap(const struct flow *f, bool forward, uint16_t type, size_t n)
{
	uint8_t *w = frame + 12;

	/* present: flags, rate, channel */
	memcpy(frame, "\0\0\x0c\0\x04\0\0\0\x30\0\0\0", 12);
	if (below(20) == 0) { /* a beacon */
		memset(w, 0, 40);
		w[0] = 0x80;
		memset(w + 4, 255, 6);
		memcpy(w + 10, f->b.mac, 6);
		memcpy(w + 16, f->b.mac, 6);
		memcpy(w + 36, "\0\4test", 6);
		return 12 + 42;
	}
	if (below(20) == 0) { /* an acknowledgement */
		memcpy(w, "\xd4\0\0\0", 4);
		memcpy(w + 4, f->a.mac, 6);
		return 12 + 10;
	}
	memset(w, 0, 24);
	w[0] = 0x08;
	w[1] = forward ? 1 : 2; /* to or from the distribution system */
	memcpy(w + 4, f->b.mac, 6);
	memcpy(w + 10, f->a.mac, 6);
	memcpy(w + 16, forward ? f->b.mac : f->a.mac, 6);
	memcpy(w + 24, "\xaa\xaa\x03\0\0\0", 6);
	put16(w + 30, type);
	memcpy(w + 32, net, n);
	return 12 + 32 + n;
}

static size_t
wrap(const struct flow *f, bool forward, uint16_t type, size_t n)
{
	uint16_t ppp = type == 0x86dd ? 0x0057 : type == 0x0800 ? 0x0021 : 0xc021;
	size_t at = 0;

	switch (opt.link) {
	case ETHERNET:
		return ethernet(f, forward, type, n);
	case RADIOTAP:
		return radiotap(f, forward, type, n);
	case SLL:
		put16(frame, forward ? 4 : 0);
		put16(frame + 2, 1);
		put16(frame + 4, 6);
		memcpy(frame + 6, forward ? f->a.mac : f->b.mac, 6);
		put16(frame + 12, 0);
		put16(frame + 14, type);
		at = 16;
		break;
	case SLL2:
		put16(frame, type);
		put16(frame + 2, 0);
		put32(frame + 4, 2);
		put16(frame + 8, 1);
		frame[10] = forward ? 4 : 0;
		frame[11] = 6;
		memcpy(frame + 12, forward ? f->a.mac : f->b.mac, 6);
		put16(frame + 18, 0);
		at = 20;
		break;
	case PPP:
	case PPP_HDLC:
		put16(frame, 0xff03);
		put16(frame + 2, ppp);
		at = 4;
		break;
	case PPP_ETHER:
		put32(frame, 0x11000007);
		put16(frame + 4, (uint32_t)n + 2);
		put16(frame + 6, ppp);
		at = 8;
		break;
	case RAW:
	case LINKS:
		break;
	}
	memcpy(frame + at, net, n);
	return at + n;
}

/* Make the next frame; returns its length on the wire. */
static size_t
next_frame(struct flow *f)
{
	uint32_t kind = below(1000);
	bool forward = true, ip_only = opt.link == RAW;
	uint16_t type = f->v6 ? 0x86dd : 0x0800;
	size_t n;

	vlan_tags = f->tags;
	vlan_id = f->vlan;
	if (kind < 20) {
		n = icmp(f, &forward);
	} else if (kind < 28 && !ip_only) {
		n = arp(f, &forward);
		type = 0x0806;
	} else if (kind < 38 && !f->v6) {
		n = fragment(f);
	} else if (kind < 46) {
		n = other_ip(f);
	} else if (kind < 47 && opt.link == ETHERNET) {
		return spanning_tree();
	} else if (f->proto == 6) {
		n = tcp_step(f, &forward);
	} else if (f->dns) {
		forward = f->ident & 1;
		n = udp_datagram(f, forward, forward ? 33 : 49);
	} else {
		forward = f->multicast || chance(50);
		n = udp_datagram(f, forward, f->multicast ? 100 + below(400) : chance(60) ? 1200 : 20 + below(500));
	}
	return wrap(f, forward, type, n);
}

/* ---------------------------------------------------------------- output */

static uint8_t out[OUT_BUFFER + MAX_FRAME + 256];
static size_t out_used;
static int out_fd;

static void
flush_out(void)
{
	for (size_t done = 0; done < out_used;) {
		ssize_t n = write(out_fd, out + done, out_used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr, "make_traffic: %s: write: %s\n", opt.path, strerror(errno));
			exit(1);
		}
		done += (size_t)n;
	}
	out_used = 0;
}

static void
put_word(uint32_t v)
{
	if (opt.big_endian)
		put32(out + out_used, v);
	else
		memcpy(out + out_used, &v, 4);
	out_used += 4;
}

static void
put_record(uint64_t ts, size_t len)
{
	size_t caplen = len < opt.snaplen ? len : opt.snaplen;

	put_word((uint32_t)(ts / NS));
	put_word((uint32_t)(opt.usec ? ts % NS / 1000 : ts % NS));
	put_word((uint32_t)caplen);
	put_word((uint32_t)len);
	memcpy(out + out_used, frame, caplen);
	out_used += caplen;
}

static void
sleep_until(uint64_t ts)
{
	struct timespec at = {.tv_sec = (time_t)(ts / NS), .tv_nsec = (long)(ts % NS)};

	while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* Bursts: stay with a flow, else prefer those with a low number, as real flows are of uneven size. */
static struct flow *
next_flow(struct flow *flows, struct flow *f)
{
	uint32_t a, b;

	if (chance(70))
		return f;
	a = below(opt.flows);
	b = below(opt.flows);
	return &flows[a < b ? a : b];
}

static struct flow *
next_realistic_flow(struct flow *flows, struct flow *f)
{
	static uint32_t train;

	if (!train) {
		uint32_t a = below(opt.flows), b = below(opt.flows);

		f = &flows[a < b ? a : b];
		train = profile_train();
	}
	train--;
	/* A TCP connection is closed first. */
	if (f->proto == 6 ? f->age != f->left && f->phase == 0 : f->age-- == 0)
		make_realistic_flow(f);
	return f;
}

static void
fail_start(void)
{
	fprintf(stderr, "make_traffic: out of memory for %u flows\n", opt.flows);
	exit(1);
}

static void
generate(void)
{
	const struct profile *profile = opt.profile;
	struct flow *flows = calloc(opt.flows, sizeof(*flows)), *f;
	double mean_gap, ts;
	uint64_t written = 0, count;

	if (!flows)
		fail_start();
	rng = opt.seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	for (size_t i = 0; i < sizeof(pool); i += 8) {
		uint64_t v = random64();

		memcpy(pool + i, &v, 8);
	}
	if (profile && profile_start(profile, opt.flows, opt.groups))
		fail_start();
	for (unsigned int i = 0; i < opt.flows; i++)
		(profile ? make_realistic_flow : make_flow)(&flows[i]);
	f = flows;

	put_word(opt.usec ? 0xa1b2c3d4 : 0xa1b23c4d);
	put_word(opt.big_endian ? 0x00020004 : 0x00040002); /* two 16-bit numbers: version 2.4 */
	put_word(0);
	put_word(0);
	put_word(opt.snaplen);
	put_word(links[opt.link].linktype);
	written = 24;
	count = opt.packets ? opt.packets
			    : (uint64_t)((double)opt.bytes / (profile ? profile->mean_record : MEAN_RECORD)) + 1;
	mean_gap = opt.duration * (double)NS / (double)count;
	ts = 0;
	for (uint64_t i = 0; opt.packets ? i < opt.packets : written < opt.bytes; i++) {
		uint64_t stamp;
		size_t len, before = out_used;

		if (profile && profile->next) {
			len = profile->next(frame);
		} else {
			f = (profile ? next_realistic_flow : next_flow)(flows, f);
			len = next_frame(f);
		}
		stamp = opt.start + (uint64_t)ts;
		if (opt.disorder && chance(5))
			stamp -= below((uint32_t)opt.disorder);
		if (opt.live)
			sleep_until(stamp);
		put_record(stamp, len);
		written += out_used - before;
		if (opt.live || out_used >= OUT_BUFFER)
			flush_out();
		/* Exponential gaps: a Poisson stream. */
		ts -= mean_gap * log(((double)(random64() >> 11) + 1) / 9007199254740993.0);
	}
	flush_out();
	profile_end();
	free(flows);
}

/* ---------------------------------------------------------------- command line */

static void
usage(FILE *to)
{
	fprintf(to, "usage: make_traffic [OPTION]... FILE ('-' is standard output)\n\n"
		    "  --profile=NAME  traffic of the performance suite instead of a bit of everything:\n");
	profile_list(to);
	fprintf(to, "  --groups=N      multicast groups of --profile=multicast (default 96)\n"
		    "  --packets=N     packets to write (default 100000 unless --bytes is given)\n"
		    "  --bytes=N       stop after so many bytes; 2e9 is understood\n"
		    "  --duration=S    seconds that the packets span (default 300)\n"
		    "  --start=S       time of the first packet, seconds since 1970 (default 2026-01-05 09:30 UTC)\n"
		    "  --seed=N        another seed, other packets\n"
		    "  --flows=N       flows at a time (default 400, or the profile's)\n"
		    "  --link=NAME     ethernet, raw, sll, sll2, radiotap, ppp, ppp_hdlc, ppp_ether\n"
		    "  --snaplen=N     bytes kept of a packet\n"
		    "  --disorder=NS   one packet in twenty is up to so many ns (below 4e9) early in time\n"
		    "  --usec          microsecond file\n"
		    "  --big-endian    big-endian file\n"
		    "  --live          times from now, written at their time\n");
}

static double
number(const char *name, const char *text, double min)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= min) || v > 9e18) {
		fprintf(stderr, "make_traffic: --%s=%s: not a number from %g on\n", name, text, min);
		exit(2);
	}
	return v;
}

static enum link
link_by_name(const char *name)
{
	for (unsigned int i = 0; i < LINKS; i++)
		if (!strcmp(name, links[i].name))
			return (enum link)i;
	fprintf(stderr, "make_traffic: --link=%s: not known, see --help\n", name);
	exit(2);
}

static void
parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"packets", required_argument, NULL, 'p'},
		{"bytes", required_argument, NULL, 'b'},
		{"duration", required_argument, NULL, 'd'},
		{"start", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'r'},
		{"flows", required_argument, NULL, 'f'},
		{"link", required_argument, NULL, 'l'},
		{"snaplen", required_argument, NULL, 'n'},
		{"disorder", required_argument, NULL, 'o'},
		{"usec", no_argument, NULL, 'u'},
		{"big-endian", no_argument, NULL, 'e'},
		{"live", no_argument, NULL, 'L'},
		{"profile", required_argument, NULL, 'P'},
		{"groups", required_argument, NULL, 'g'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, index = 0;

	while ((c = getopt_long(argc, argv, "h", options, &index)) != -1) {
		const char *name = options[index].name;

		switch (c) {
		case 'p':
			opt.packets = (uint64_t)number(name, optarg, 1);
			break;
		case 'b':
			opt.bytes = (uint64_t)number(name, optarg, 24);
			break;
		case 'd':
			opt.duration = number(name, optarg, 0);
			break;
		case 's':
			opt.start = (uint64_t)llround(number(name, optarg, 0) * 1e6) * 1000;
			break;
		case 'r':
			opt.seed = (uint64_t)number(name, optarg, 0);
			break;
		case 'f':
			opt.flows = (unsigned int)number(name, optarg, 1);
			break;
		case 'l':
			opt.link = link_by_name(optarg);
			break;
		case 'n':
			opt.snaplen = (unsigned int)number(name, optarg, 1);
			break;
		case 'o':
			opt.disorder = (uint64_t)number(name, optarg, 0);
			break;
		case 'u':
			opt.usec = true;
			break;
		case 'e':
			opt.big_endian = true;
			break;
		case 'L':
			opt.live = true;
			break;
		case 'P':
			opt.profile = profile_by_name(optarg);
			if (!opt.profile) {
				fprintf(stderr, "make_traffic: --profile=%s: not known, see --help\n", optarg);
				exit(2);
			}
			break;
		case 'g':
			opt.groups = (unsigned int)number(name, optarg, 1);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		exit(2);
	}
	opt.path = argv[optind];
	if (opt.profile && opt.profile->next && opt.link != ETHERNET) {
		fprintf(stderr, "make_traffic: --profile=%s is Ethernet only\n", opt.profile->name);
		exit(2);
	}
	if (!opt.flows)
		opt.flows = opt.profile ? opt.profile->flows : 400;
	if (!opt.packets && !opt.bytes)
		opt.packets = 100000;
}

int
main(int argc, char **argv)
{
	parse(argc, argv);
	if (opt.live) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		opt.start = (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
	}
	out_fd = strcmp(opt.path, "-") ? open(opt.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : STDOUT_FILENO;
	if (out_fd < 0) {
		fprintf(stderr, "make_traffic: %s: %s\n", opt.path, strerror(errno));
		return 1;
	}
	generate();
	if (out_fd != STDOUT_FILENO && close(out_fd)) {
		fprintf(stderr, "make_traffic: %s: close: %s\n", opt.path, strerror(errno));
		return 1;
	}
	return 0;
}
