/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * The fixed-size, adversarial and multicast traffic of the performance suite. Headers are templates of a flow and sums
 * over the payload are looked up, so that a frame costs little more than its copy.
 */

#include "traffic_profile.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

#define ETHER 14
#define HEAD_TCP (ETHER + 20 + 20)
#define HEAD_UDP (ETHER + 20 + 8)
#define FRAME_MIN 60 /* 64 bytes on the wire: captures hold no FCS */
#define FRAME_MAX 1514
#define FCS 4
#define FLOW_CAP 1000000u

struct template
{
	uint8_t head[HEAD_TCP];
	uint8_t head_len;
	uint16_t ident;
	uint32_t seq, left;
};

static struct template *templates;
static unsigned int live, groups;
/* Sums of the pool's 16-bit words before each word, so that the sum of any even-aligned piece is a subtraction. */
static uint64_t *sums;

uint32_t
profile_flow_size(void)
{
	double u = ((double)(random64() >> 11) + 1) / 9007199254740993.0, size = 8 * pow(u, -1 / 1.1);

	return size < FLOW_CAP ? (uint32_t)size : FLOW_CAP;
}

uint32_t
profile_train(void)
{
	uint32_t limit = UINT32_C(1) << below(7);

	return 1 + below(limit * 2 > 64 ? 64 : limit);
}

/* ---------------------------------------------------------------- checksums */

static int
sum_pool(void)
{
	sums = malloc((POOL / 2 + MAX_FRAME / 2 + 1) * sizeof(*sums));
	if (!sums)
		return -ENOMEM;
	sums[0] = 0;
	for (size_t i = 0; i < (POOL + MAX_FRAME) / 2; i++) {
		uint16_t word;

		memcpy(&word, pool + 2 * i, 2);
		sums[i + 1] = sums[i] + word;
	}
	return 0;
}

static uint64_t
sum_words(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < n; i += 2) {
		memcpy(&word, p + i, 2);
		sum += word;
	}
	return sum;
}

/* Sum of n bytes of the pool from an even offset, as words in host order (RFC 1071). */
static uint64_t
sum_payload(uint32_t at, size_t n)
{
	uint64_t sum = sums[(at + n) / 2] - sums[at / 2];
	uint16_t last = 0;

	if (n % 2) {
		memcpy(&last, pool + at + n - 1, 1);
		sum += last;
	}
	return sum;
}

/* Lengths, checksums and payload of a frame whose headers are in place. */
static void
finish_ipv4(uint8_t *frame, size_t head, size_t len)
{
	uint8_t *ip = frame + ETHER, *l4 = ip + 20;
	size_t data = len - head, l4_len = len - ETHER - 20;
	uint32_t from = below(POOL) & ~1u;
	uint8_t pseudo[4] = {0, ip[9], (uint8_t)(l4_len >> 8), (uint8_t)l4_len};
	size_t sum_at = ip[9] == 6 ? 16 : 6;

	put16(ip + 2, (uint32_t)(len - ETHER));
	put16(ip + 10, 0);
	store_checksum(ip + 10, sum_words(ip, 20));
	if (ip[9] == 17)
		put16(l4 + 4, (uint32_t)l4_len);
	memcpy(frame + head, pool + from, data);
	if (ip[9] != 6 && ip[9] != 17)
		return;
	put16(l4 + sum_at, 0);
	store_checksum(l4 + sum_at, sum_words(l4, head - ETHER - 20) + sum_words(ip + 12, 8) + sum_words(pseudo, 4) +
					    sum_payload(from, data));
	if (ip[9] == 17 && !l4[6] && !l4[7])
		put16(l4 + 6, 0xffff);
}

/* ---------------------------------------------------------------- flows of fixed sizes */

static void
ether_ipv4(uint8_t *head, uint8_t proto, const uint8_t src[4], const uint8_t dst[4])
{
	memcpy(head, "\x02\x00\x5e\x10", 4);
	memcpy(head + 4, dst + 2, 2);
	memcpy(head + 6, "\x02\x1b\x21\x3c", 4);
	memcpy(head + 10, src + 2, 2);
	put16(head + 12, 0x0800);
	head[ETHER] = 0x45;
	head[ETHER + 1] = 0;
	put16(head + ETHER + 6, 0x4000);
	head[ETHER + 8] = 64;
	head[ETHER + 9] = proto;
	memcpy(head + ETHER + 12, src, 4);
	memcpy(head + ETHER + 16, dst, 4);
}

static void
make_template(struct template *t)
{
	static const uint16_t tcp_ports[] = {80, 443, 443, 443, 22, 25, 3306, 8080, 179, 445};
	static const uint16_t udp_ports[] = {53, 53, 123, 443, 514, 1812, 5060, 4789, 2055, 5001};
	uint32_t client = below(4000), server = below(400), port;
	uint8_t a[4] = {10, 0, (uint8_t)(client / 250), (uint8_t)(1 + client % 250)};
	uint8_t b[4] = {192, 168, (uint8_t)(server / 200), (uint8_t)(1 + server % 200)};
	bool tcp = chance(65), forward = chance(40);
	uint16_t high = (uint16_t)(32768 + below(28000));
	uint8_t *l4 = t->head + ETHER + 20;

	memset(t, 0, sizeof(*t));
	port = (tcp ? tcp_ports : udp_ports)[below(10)];
	ether_ipv4(t->head, tcp ? 6 : 17, forward ? a : b, forward ? b : a);
	put16(l4, forward ? high : port);
	put16(l4 + 2, forward ? port : high);
	if (tcp) {
		put32(l4 + 8, (uint32_t)random64());
		l4[12] = 5 << 4;
		l4[13] = 0x10; /* ACK */
		put16(l4 + 14, 64240);
	}
	t->head_len = tcp ? HEAD_TCP : HEAD_UDP;
	t->ident = (uint16_t)below(65536);
	t->seq = (uint32_t)random64();
	t->left = profile_flow_size();
}

static size_t
flow_frame(uint8_t *frame, size_t len)
{
	static struct template *t;
	static uint32_t train;

	if (!train || !t) {
		uint32_t a = below(live), b = below(live);

		t = &templates[a < b ? a : b];
		train = profile_train();
	}
	train--;
	if (!t->left--)
		make_template(t);
	memcpy(frame, t->head, HEAD_TCP);
	put16(frame + ETHER + 4, t->ident++);
	if (t->head_len == HEAD_TCP) {
		put32(frame + ETHER + 24, t->seq);
		t->seq += (uint32_t)len - HEAD_TCP;
	}
	finish_ipv4(frame, t->head_len, len);
	return len;
}

static size_t fixed_len;

static size_t
next_fixed(uint8_t *frame)
{
	return flow_frame(frame, fixed_len);
}

static size_t
next_imix(uint8_t *frame)
{
	uint32_t kind = below(12);

	return flow_frame(frame, kind < 7 ? FRAME_MIN : kind < 11 ? 590 : FRAME_MAX);
}

/* ---------------------------------------------------------------- market data */

/* A feed packs small messages of a burst into a datagram. */
static size_t
next_multicast(uint8_t *frame)
{
	static uint32_t group, train;
	uint8_t src[4] = {10, 9, 0, 0}, dst[4] = {239, 1, 0, 0}, *l4 = frame + ETHER + 20;
	size_t messages = 1 + below(chance(70) ? 6 : 30);

	if (!train) {
		/* Some feeds are busier than others, none is silent. */
		uint32_t a = below(groups), b = chance(50) ? below(groups) : groups;

		group = a < b ? a : b;
		train = 1 + below(8);
	}
	train--;
	dst[2] = (uint8_t)(group / 250);
	dst[3] = (uint8_t)(1 + group % 250);
	src[2] = dst[2];
	src[3] = dst[3];
	ether_ipv4(frame, 17, src, dst);
	memcpy(frame, "\x01\x00\x5e\x01", 4);
	put16(frame + ETHER + 4, below(65536));
	put16(l4, 40000 + group % 1000);
	put16(l4 + 2, 10000 + group % 50000);
	finish_ipv4(frame, HEAD_UDP, HEAD_UDP + 12 + 44 * messages);
	return HEAD_UDP + 12 + 44 * messages;
}

/* ---------------------------------------------------------------- nothing comes twice */

static size_t
random_ipv6(uint8_t *frame, size_t len)
{
	uint8_t *ip = frame + ETHER;

	put16(frame + 12, 0x86dd);
	put32(ip, 0x60000000u | below(1u << 20));
	put16(ip + 4, (uint32_t)(len - ETHER - 40));
	ip[6] = chance(50) ? 6 : chance(80) ? 17 : (uint8_t)below(256);
	ip[7] = (uint8_t)(1 + below(255));
	/* Addresses, ports and all that follows; a wrong checksum is a reason to look at a packet too. */
	memcpy(ip + 8, pool + below(POOL), len - ETHER - 8);
	for (size_t i = 8; i < 56; i += 8) {
		uint64_t v = random64();

		memcpy(ip + i, &v, 8);
	}
	return len;
}

static size_t
next_adversarial(uint8_t *frame)
{
	size_t len = FRAME_MIN + below(FRAME_MAX - FRAME_MIN + 1), head = HEAD_UDP;
	uint64_t addresses = random64(), macs = random64(), ports = random64();
	uint8_t proto = chance(50) ? 6 : chance(80) ? 17 : (uint8_t)below(256), *ip = frame + ETHER;

	if (chance(20))
		return random_ipv6(frame, len < 80 ? 80 : len);
	ether_ipv4(frame, proto, (uint8_t *)&addresses, (uint8_t *)&addresses + 4);
	memcpy(frame + 2, &macs, 4);
	memcpy(frame + 8, (uint8_t *)&macs + 4, 4);
	put16(ip + 4, (uint32_t)(ports >> 48));
	ip[8] = (uint8_t)(1 + below(255));
	memset(ip + 20, 0, 20);
	memcpy(ip + 20, &ports, 4);
	if (proto == 6) {
		head = HEAD_TCP;
		memcpy(ip + 24, &macs, 8);
		ip[32] = 5 << 4;
		ip[33] = (uint8_t)below(64);
	}
	finish_ipv4(frame, head, len);
	return len;
}

/* ---------------------------------------------------------------- profiles */

static const struct profile profiles[] = {
	{"realistic", "mixed protocols, heavy-tailed flows, trains of a flow, 4000 flows live", 640, 4000, NULL},
	{"imix", "frames of 64, 594 and 1518 bytes on the wire as 7:4:1 (captured: 4 less, no FCS)", 373, 4000,
		next_imix},
	{"adversarial", "no locality: every packet has new addresses, ports and size", 804, 1, next_adversarial},
	{"multicast", "market data: UDP to --groups groups 239.1.x.y, port 10000 + group", 382, 1, next_multicast},
};

#define PROFILES (sizeof(profiles) / sizeof(profiles[0]))

static const struct profile *
fixed_by_name(const char *name)
{
	static struct profile fixed = {.flows = 4000, .next = next_fixed};
	char *end;
	unsigned long wire = strtoul(name, &end, 10);

	if (*end || wire < FRAME_MIN + FCS || wire > FRAME_MAX + FCS)
		return NULL;
	fixed.name = name;
	fixed_len = wire - FCS;
	fixed.mean_record = (double)fixed_len + 16;
	return &fixed;
}

const struct profile *
profile_by_name(const char *name)
{
	for (size_t i = 0; i < PROFILES; i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return fixed_by_name(name);
}

void
profile_list(FILE *to)
{
	fprintf(to, "                  %-12s %s\n", "64 to 1518",
		"all frames of that size on the wire (captured: 4 less)");
	for (size_t i = 0; i < PROFILES; i++)
		fprintf(to, "                  %-12s %s\n", profiles[i].name, profiles[i].about);
}

int
profile_start(const struct profile *profile, unsigned int flows, unsigned int group_count)
{
	int rc = sum_pool();

	if (rc)
		return rc;
	groups = group_count;
	live = flows;
	templates = calloc(live, sizeof(*templates));
	if (!templates) {
		profile_end();
		return -ENOMEM;
	}
	for (unsigned int i = 0; profile->next && i < live; i++)
		make_template(&templates[i]);
	return 0;
}

void
profile_end(void)
{
	free(templates);
	free(sums);
	templates = NULL;
	sums = NULL;
}
