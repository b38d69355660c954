/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_log.h>

#include "compile.h"
#include "filter_test.h"
#include "hint.h"
#include "sl_filter.h"
#include "test_chunk.h"

/* ---------------------------------------------------------------- chunks and sets */

/* IPv4 with TCP, UDP or ICMP on Ethernet, small ports, truncated now and then. */
static void
fill_ipv4(struct test_chunk *c, unsigned int packets, uint32_t seed)
{
	static const uint8_t protocols[] = {6, 17, 1, 47};

	for (unsigned int n = 0; n < packets; n++) {
		uint8_t p[80] = {0};
		uint32_t r = seed = seed * 1664525u + 1013904223u;

		p[12] = 8;
		p[14] = 0x45;
		p[23] = protocols[r >> 30];
		p[26] = 10;
		p[29] = (uint8_t)(r >> 8 & 3);
		p[30] = 10;
		p[33] = (uint8_t)(r >> 10 & 3);
		p[35] = (uint8_t)(r >> 12 & 0x7f);
		p[37] = (uint8_t)(r >> 19 & 0x7f);
		if (!add_packet(c, p, r % 5 == 0 ? r >> 20 & 63 : sizeof(p), r % 7 == 0 ? 1500 : sizeof(p)))
			return;
	}
}

struct run {
	struct sl_filter_set *set;
	struct sl_verdict of[64];
	struct sl_verdicts verdicts;
};

static struct run
start(const char *const *expressions, size_t count, uint32_t link_type)
{
	char errbuf[SL_FILTER_ERRBUF] = "";
	struct run r = {0};

	if (sl_filter_set_create(expressions, count, link_type, 262144, 2, &r.set, errbuf) != 0)
		fail_msg("%s", errbuf);
	return r;
}

static void
run_on(struct run *r, const struct sl_chunk *chunk)
{
	r->verdicts.of = r->of;
	sl_filter_run(r->set, 1, chunk, &r->verdicts);
}

static void
stop(struct run *r)
{
	free(r->verdicts.arena);
	sl_filter_set_free(r->set);
}

/* The verdict must be what bpf_filter() says of each packet, in the form that the counts ask for. */
static void
check_verdict(const struct sl_verdict *v, const char *expression, uint32_t link_type, const struct sl_chunk *chunk)
{
	char errbuf[SL_FILTER_ERRBUF];
	struct bpf_program program;
	uint32_t n = 0;

	assert_int_equal(sl_compile(expression, link_type, 262144, &program, errbuf), 0);
	for (uint32_t i = 0; i < chunk->packets; i++) {
		const uint8_t *at = (const uint8_t *)sl_chunk_record(chunk, i);
		struct sl_record r;

		memcpy(&r, at, sizeof(r));
		if (bpf_filter(program.bf_insns, at + sizeof(r), r.len, r.caplen) == 0)
			continue;
		if (v->kind == SL_VERDICT_LIST)
			assert_int_equal(v->packets[n], i);
		n++;
	}
	assert_int_equal(v->count, n);
	assert_int_equal(v->kind, n == 0 ? SL_VERDICT_NONE : n == chunk->packets ? SL_VERDICT_ALL : SL_VERDICT_LIST);
	sl_compile_free(&program);
}

/* ---------------------------------------------------------------- tests */

void
test_check(void **state)
{
	char errbuf[SL_FILTER_ERRBUF];

	(void)state;
	assert_int_equal(sl_filter_check("tcp port 80", 1, 65535, errbuf), 0);
	assert_int_equal(sl_filter_check(NULL, 1, 65535, errbuf), 0);
	assert_int_equal(sl_filter_check("", 12345, 65535, errbuf), 0);
	assert_int_equal(sl_filter_check("ip broadcast", 1, 65535, errbuf), 0); /* as tcpdump -r: netmask 0 */
	assert_int_equal(sl_filter_check("tpc port 80", 1, 65535, errbuf), -EINVAL);
	assert_non_null(strstr(errbuf, "tpc"));
	assert_null(strchr(errbuf, '\n'));
	assert_int_equal(sl_filter_check("vlan 5", 101, 65535, errbuf), -EINVAL);
	assert_non_null(strstr(errbuf, "no VLAN support"));
}

void
test_merging(void **state)
{
	const char *const e[] = {"tcp", NULL, "", " tcp ", "udp", "ip6 proto 6 or ip proto 6", "udp", "  "};
	struct run r = start(e, 8, 1);
	const uint16_t *of = sl_filter_program_of(r.set);

	(void)state;
	assert_int_equal(of[0], 0);
	assert_int_equal(of[1], 1);
	assert_int_equal(of[2], 1);
	assert_int_equal(of[3], 0);
	assert_int_equal(of[4], of[6]);
	assert_int_equal(of[7], 1);
	assert_true(sl_filter_programs(r.set) <= 4);
	stop(&r);
}

void
test_constant_programs(void **state)
{
	const char *const e[] = {NULL, "less 4294967295", "tcp"};
	struct run r = start(e, 3, 1);
	struct sl_filter_info info;

	(void)state;
	sl_filter_get_info(r.set, 0, &info);
	assert_int_equal(info.engine, SL_FILTER_ALL);
	sl_filter_get_info(r.set, sl_filter_program_of(r.set)[2], &info);
	assert_int_equal(info.engine, SL_FILTER_JIT);
	assert_int_equal(info.instructions, 12);
	assert_int_equal(info.edges, info.edges_taken);
	assert_non_null(strstr(info.reason, "equal to libpcap on "));
	stop(&r);
}

void
test_verdicts(void **state)
{
	const char *const e[] = {"tcp", "udp port 53", "", "ip6", "ip or not ip", "host 10.0.0.1 or host 10.0.0.2",
		"less 100", "tcp[tcpflags] & tcp-syn != 0", "icmp or portrange 10-90", "greater 1500", "ip[8] = 0"};
	size_t count = sizeof(e) / sizeof(e[0]);
	struct run r = start(e, count, 1);

	(void)state;
	for (unsigned int packets = 0; packets < 9000; packets = packets * 2 + 1) {
		struct test_chunk c = new_chunk();

		fill_ipv4(&c, packets, packets + 1);
		run_on(&r, &c.view);
		for (size_t i = 0; i < count; i++)
			check_verdict(&r.of[sl_filter_program_of(r.set)[i]], e[i], 1, &c.view);
		free_chunk(&c);
	}
	stop(&r);
}

void
test_link_types(void **state)
{
	static const uint32_t link_types[] = {0, 1, 9, 101, 105, 113, 127, 192, 276};
	const char *const e[] = {"tcp", "udp port 53 or host 10.0.0.1", "ip6 and len > 60"};
	struct test_chunk c = new_chunk();
	uint32_t seed = 5;

	(void)state;
	for (unsigned int n = 0; n < 3000; n++) {
		uint8_t p[100];

		for (size_t i = 0; i < sizeof(p); i++) {
			static const uint8_t likely[] = {0, 8, 0x45, 6, 17, 0x60, 10, 2, 0x21, 0xdd, 0x86, 53};

			seed = seed * 1664525u + 1013904223u;
			p[i] = likely[(seed >> 20) % sizeof(likely)];
		}
		assert_true(add_packet(&c, p, seed >> 8 & 63, 100));
	}
	for (unsigned int i = 0; i < sizeof(link_types) / sizeof(link_types[0]); i++) {
		struct run r = start(e, 3, link_types[i]);

		run_on(&r, &c.view);
		for (size_t j = 0; j < 3; j++)
			check_verdict(&r.of[sl_filter_program_of(r.set)[j]], e[j], link_types[i], &c.view);
		stop(&r);
	}
	free_chunk(&c);
}

/* What can't be translated runs all the same, and says why. */
/* What libpcap's interpreter finds in scratch memory that a program has not written. */
__attribute__((noinline)) static void
poison_stack(int byte)
{
	volatile uint8_t garbage[16384];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)byte;
}

/* libpcap's code for these reads memory that it has not written; the verdict must not depend on what lies there. */
void
test_undefined_memory(void **state)
{
	static const char *const expressions[] = {"not pppoes", "not geneve and multicast",
		"vlan and pppoes or not mpls 100", "not pppoes or not geneve"};
	static const int garbage[] = {0, 0xff, 1, 0x10, 0x80};
	static const uint8_t radiotap[64] = {0, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0x5e};
	struct sl_verdicts verdicts = {.of = calloc(1, sizeof(*verdicts.of))};
	struct test_chunk c = new_chunk();

	(void)state;
	assert_non_null(verdicts.of);
	for (uint32_t i = 0; i < 256; i++) {
		uint8_t p[64];

		memcpy(p, radiotap, sizeof(p));
		p[4] = (uint8_t)i;
		p[8] = (uint8_t)(i >> 4 | 8);
		p[12] = (uint8_t)(i & 1);
		assert_true(add_packet(&c, p, sizeof(p), sizeof(p)));
	}
	for (size_t e = 0; e < sizeof(expressions) / sizeof(expressions[0]); e++) {
		uint16_t first[256] = {0};
		uint32_t count = 0;

		for (size_t g = 0; g < sizeof(garbage) / sizeof(garbage[0]); g++) {
			char err[SL_FILTER_ERRBUF];
			struct sl_filter_set *set;

			assert_int_equal(sl_filter_set_create(&expressions[e], 1, 127, 262144, 1, &set, err), 0);
			poison_stack(garbage[g]);
			sl_filter_run(set, 0, &c.view, &verdicts);
			if (g == 0)
				count = verdicts.of[0].count;
			assert_int_equal(verdicts.of[0].count, count);
			if (g == 0 && verdicts.of[0].kind == SL_VERDICT_LIST)
				memcpy(first, verdicts.of[0].packets, count * sizeof(first[0]));
			else if (verdicts.of[0].kind == SL_VERDICT_LIST)
				assert_memory_equal(first, verdicts.of[0].packets, count * sizeof(first[0]));
			sl_filter_set_free(set);
		}
	}
	free(verdicts.arena);
	free(verdicts.of);
	free_chunk(&c);
}

/* A range of time holds for every kind of verdict. */
void
test_limit(void **state)
{
	const char *const e[] = {"", "udp", "ip6 protochain 17", "arp"};
	struct test_chunk c = new_chunk();
	uint64_t from, to;
	struct run r;

	(void)state;
	rte_log_set_global_level(RTE_LOG_CRIT);
	r = start(e, 4, 1);
	rte_log_set_global_level(RTE_LOG_INFO);
	fill_ipv4(&c, 500, 3);
	from = sl_record_ts(sl_chunk_record(&c.view, 100));
	to = sl_record_ts(sl_chunk_record(&c.view, 300));
	sl_filter_limit(r.set, from, to);
	run_on(&r, &c.view);
	for (unsigned int p = 0; p < 4; p++) {
		const struct sl_verdict *v = &r.of[p];

		assert_int_not_equal(v->kind, SL_VERDICT_ALL);
		for (uint32_t i = 0; v->kind == SL_VERDICT_LIST && i < v->count; i++) {
			uint64_t ts = sl_record_ts(sl_chunk_record(&c.view, v->packets[i]));

			assert_true(ts >= from && ts < to);
			assert_true(i == 0 || v->packets[i] > v->packets[i - 1]);
		}
	}
	assert_int_equal(r.of[0].kind, SL_VERDICT_LIST);
	assert_int_equal(r.of[0].count, 200);
	sl_filter_limit(r.set, 0, UINT64_MAX);
	run_on(&r, &c.view);
	assert_int_equal(r.of[0].kind, SL_VERDICT_ALL);
	free_chunk(&c);
	stop(&r);
}

void
test_interpreted(void **state)
{
	const char *const e[] = {"ip6 protochain 17", "ip protochain 47 or tcp"};
	struct test_chunk c = new_chunk();
	struct sl_filter_info info;
	struct run r;

	(void)state;
	rte_log_set_global_level(RTE_LOG_CRIT);
	r = start(e, 2, 1);
	rte_log_set_global_level(RTE_LOG_INFO);
	fill_ipv4(&c, 500, 3);
	run_on(&r, &c.view);
	for (unsigned int i = 0; i < 2; i++) {
		sl_filter_get_info(r.set, i, &info);
		assert_int_equal(info.engine, SL_FILTER_LIBPCAP);
		assert_string_equal(info.reason, "backward jump (protochain)");
		check_verdict(&r.of[i], e[i], 1, &c.view);
	}
	free_chunk(&c);
	stop(&r);
}

/* More than the 16 bits of an mbuf's length, and wire lengths beyond the captured ones. */
void
test_large_packets(void **state)
{
	const char *const e[] = {"ether[69999] = 7", "ether[65600:4] = 0x07070707", "ether[70000] = 7", "len > 100000",
		"len = 90000 and ether[40000] = 7"};
	uint8_t *big = malloc(300000);
	struct test_chunk c = new_chunk();
	struct run r;

	(void)state;
	rte_log_set_global_level(RTE_LOG_CRIT); /* some of these are too far out for a proof */
	r = start(e, 5, 1);
	rte_log_set_global_level(RTE_LOG_INFO);
	assert_non_null(big);
	memset(big, 7, 300000);
	assert_true(add_packet(&c, big, 70000, 70000));
	assert_true(add_packet(&c, big, 69999, 90000));
	assert_true(add_packet(&c, big, 70001, 4000000000u));
	assert_true(add_packet(&c, big, 65535, 65535));
	assert_true(add_packet(&c, big, 300000, 90000));
	run_on(&r, &c.view);
	for (size_t i = 0; i < 5; i++) {
		check_verdict(&r.of[sl_filter_program_of(r.set)[i]], e[i], 1, &c.view);
	}
	assert_int_equal(r.of[0].count, 3);
	assert_int_equal(r.of[3].count, 1);
	free(big);
	free_chunk(&c);
	stop(&r);
}

static uint64_t
hint_after(struct run *r, const uint8_t *frame, uint32_t len, unsigned int program, char *text)
{
	struct test_chunk c = new_chunk();
	uint64_t packets = 0;
	bool hint = false;

	while (add_packet(&c, frame, len, len))
		;
	while (packets < 300000 && !hint) {
		run_on(r, &c.view);
		packets += c.view.packets;
		hint = sl_filter_hint(r->set, program, text, 256);
	}
	assert_false(sl_filter_hint(r->set, program, text + 128, 128)); /* once */
	free_chunk(&c);
	return hint ? packets : 0;
}

void
test_hint(void **state)
{
	const char *const e[] = {"tcp port 80", "vlan 9", "arp or udp", ""};
	uint8_t vlan[60] = {[12] = 0x81, [15] = 7, [16] = 8, [18] = 0x45, [27] = 6};
	uint8_t qinq[60] = {[12] = 0x88, [13] = 0xa8, [15] = 7, [16] = 0x81, [19] = 8, [20] = 8, [22] = 0x45, [31] = 6};
	uint8_t mpls[60] = {[12] = 0x88, [13] = 0x47};
	uint8_t vxlan[80] = {[12] = 8, [14] = 0x45, [23] = 17, [36] = 4789 >> 8, [37] = 4789 & 0xff};
	uint8_t plain[60] = {[12] = 8, [14] = 0x45, [23] = 1};
	char text[256];
	struct run r = start(e, 4, 1);
	uint64_t packets;

	(void)state;
	packets = hint_after(&r, vlan, 60, 0, text);
	assert_in_range(packets, 100000, 130000);
	assert_string_equal(text, "100 % VLAN-tagged; try 'vlan and (tcp port 80)'");
	assert_int_equal(hint_after(&r, vlan, 60, 1, text), 0); /* asks for vlan already */
	assert_int_equal(hint_after(&r, vlan, 60, 3, text), 0); /* takes all */
	stop(&r);

	r = start(e, 4, 1);
	assert_true(hint_after(&r, mpls, 60, 2, text) != 0);
	assert_string_equal(text, "100 % MPLS-labelled; try 'mpls and (arp or udp)'");
	stop(&r);

	r = start(e, 4, 1);
	assert_int_equal(hint_after(&r, vxlan, 80, 2, text), 0); /* matches udp */
	assert_true(hint_after(&r, vxlan, 80, 0, text) != 0);
	assert_non_null(strstr(text, "VXLAN"));
	stop(&r);

	r = start(e, 4, 1);
	assert_int_equal(hint_after(&r, plain, 60, 0, text), 0);
	stop(&r);

	r = start(e, 4, 1);
	assert_true(hint_after(&r, qinq, 60, 1, text) != 0); /* asks for one tag of two */
	assert_string_equal(text, "100 % VLAN-tagged twice; try 'vlan and (vlan 9)'");
	assert_true(hint_after(&r, qinq, 60, 0, text) != 0);
	assert_string_equal(text, "100 % VLAN-tagged twice; try 'vlan and vlan and (tcp port 80)'");
	stop(&r);
}

void
test_encap(void **state)
{
	const uint8_t inner[60] = {[0] = 0x45, [9] = 17, [22] = 6081 >> 8, [23] = 6081 & 0xff};
	uint8_t frame[80] = {[12] = 8};
	struct sl_encap encap;

	(void)state;
	memcpy(frame + 14, inner, sizeof(inner));
	assert_int_equal(sl_encap_of(frame, 80).tunnel, SL_TUNNEL_GENEVE);
	assert_int_equal(sl_encap_of(frame, 37).tunnel, SL_TUNNEL_NONE); /* the port is cut */
	frame[21] = 1;
	assert_int_equal(sl_encap_of(frame, 80).tunnel, SL_TUNNEL_NONE); /* a later fragment has no port */
	memcpy(frame + 12, (uint8_t[]){0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x91, 0, 0, 7, 8, 0}, 14);
	memcpy(frame + 26, inner, 50);
	encap = sl_encap_of(frame, 80);
	assert_int_equal(encap.tags, 2);
	assert_int_equal(encap.tunnel, SL_TUNNEL_GENEVE);
	assert_int_equal(sl_encap_of(frame, 15).tags, 1); /* the next ethertype is cut */
	assert_int_equal(sl_encap_of(frame, 13).tags, 0);
	assert_int_equal(sl_encap_of(frame, 0).tags, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domain_sets),
		cmocka_unit_test(test_single_instructions),
		cmocka_unit_test(test_random_programs),
		cmocka_unit_test(test_not_translated),
		cmocka_unit_test(test_far_loads),
		cmocka_unit_test(test_checker_time),
		cmocka_unit_test(test_prove_expressions),
		cmocka_unit_test(test_prove_random_programs),
		cmocka_unit_test(test_prove_finds_other_program),
		cmocka_unit_test(test_prove_finds_crash),
		cmocka_unit_test(test_prove_finds_mutants),
		cmocka_unit_test(test_prove_time_limit),
		cmocka_unit_test(test_track),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_class_known),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_cache_expressions),
		cmocka_unit_test(test_cache_programs),
		cmocka_unit_test(test_cache_few_misses),
		cmocka_unit_test(test_cache_mask_per_class),
		cmocka_unit_test(test_cache_beyond),
		cmocka_unit_test(test_cache_gives_way),
		cmocka_unit_test(test_cache_leaves_out),
		cmocka_unit_test(test_cache_forgets),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_merging),
		cmocka_unit_test(test_constant_programs),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_link_types),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_interpreted),
		cmocka_unit_test(test_undefined_memory),
		cmocka_unit_test(test_large_packets),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_encap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
