/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_log.h>

#include "compile.h"
#include "filter_test.h"
#include "program_gen.h"
#include "prove.h"
#include "sl_filter.h"

/* Sanitizers slow a proof down. */
#define LIMIT 20000000000u

static const char *const usual[] = {
	"tcp",
	"tcp port 80",
	"udp[udp[8:4]:4]=1",
	"tcp[tcpflags] & tcp-syn != 0",
	"ether multicast",
	"ether broadcast or ether multicast",
	"ip and not multicast",
	"host 1.2.3.4 or host 5.6.7.8 or host 2001:db8::1",
	"len > 100 and ip[2:2]*3/2 % 7 = 3",
	"ip[6]&32!=0",
	"vlan and mpls and tcp",
	"greater 3000000000",
	"tcp[tcp[12]>>2:4] = 0x47455420",
	"ip[0]<<ip[1] = 4",
	"ip broadcast",
	"net 10.0.0.0/8 and portrange 1000-2000",
	"tcp[0]+tcp[1]=5 and ip[8] > ip[9]",
	"geneve and udp",
	"tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
	"(tcp or udp) and (port 53 or port 80 or port 443) and not host 10.0.0.1",
	"icmp[0]=8 or icmp6[0]=128",
	"llc or stp",
	"atalk or ipx or netbeui or decnet",
	"len - ip[2:2] > 18",
};

static struct bpf_program
compiled(const char *expression, uint32_t link_type)
{
	char errbuf[SL_FILTER_ERRBUF];
	struct bpf_program program;

	if (sl_compile(expression, link_type, 65535, &program, errbuf) != 0)
		fail_msg("%s", errbuf);
	return program;
}

/* Every conditional edge of usual filters is taken by a packet or shown to be unreachable. */
void
test_prove_expressions(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		struct bpf_program program = compiled(usual[i], 1);
		struct sl_proof proof;
		struct rte_bpf *bpf;
		sl_filter_fn fn;
		const char *why;

		assert_int_equal(sl_translate_load(&program, &bpf, &fn, &why), 0);
		if (sl_prove(&program, fn, LIMIT, i, &proof) != 0)
			fail_msg("%s: %s", usual[i], proof.reason);
		assert_true(proof.edges > 0 && proof.taken + proof.unreachable == proof.edges);
		assert_true(proof.packets > 250);
		rte_bpf_destroy(bpf);
		sl_compile_free(&program);
	}
}

/* No proof may ever find a difference, and no packet may take an edge that was shown to be unreachable. */
void
test_prove_random_programs(void **state)
{
	unsigned int proven = 0, open = 0;
	uint32_t seed = 7;

	(void)state;
	rte_log_set_global_level(RTE_LOG_CRIT);
	for (unsigned int n = 0; n < 300; n++) {
		struct bpf_insn insns[SL_GEN_MAX_INSNS];
		struct bpf_program program = {.bf_insns = insns};
		uint8_t bytes[1024];
		struct sl_gen gen = {.bytes = bytes, .left = sizeof(bytes)};
		struct sl_proof proof;
		struct rte_bpf *bpf;
		sl_filter_fn fn;
		const char *why;
		int ret;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
		program.bf_len = sl_gen_program(&gen, insns);
		if (sl_translate_load(&program, &bpf, &fn, &why) != 0)
			continue;
		ret = sl_prove(&program, fn, 50000000, n, &proof);
		if (ret == -EPROTO)
			fail_msg("random program %u: %s", n, proof.reason);
		proven += ret == 0;
		open += ret != 0;
		rte_bpf_destroy(bpf);
	}
	rte_log_set_global_level(RTE_LOG_INFO);
	print_message("random programs: %u proven, %u without full coverage\n", proven, open);
	assert_true(proven > open);
}

/* The machine code of one filter offered as that of another, which differs in one constant or one word. */
void
test_prove_finds_other_program(void **state)
{
	/* Coverage is that of the right one, so what only the wrong code looks at may go unseen: one way then. */
	static const struct {
		const char *filter[2];
		bool one_way;
	} pairs[] = {
		{{"tcp port 80", "tcp port 81"}, false},
		{{"tcp port 80", "tcp dst port 80"}, true},
		{{"host 1.2.3.4", "host 1.2.3.5"}, false},
		{{"net 10.0.0.0/8", "net 10.0.0.0/9"}, false},
		{{"less 100", "less 101"}, false},
		{{"len > 100", "len >= 100"}, false},
		{{"tcp[13] & 2 != 0", "tcp[13] & 3 != 0"}, false},
		{{"ip[2:2] > 60000", "ip[2:2] > 60001"}, false},
		{{"ip6 and greater 55", "ip6"}, true},
		{{"portrange 1000-2000", "portrange 1000-2001"}, false},
		{{"ip[8] < 5 and ip[9] != 77", "ip[8] < 5"}, true},
		{{"vlan 7", "vlan 8"}, false},
		{{"ether[5000] = 1 or ether[5001] = 1", "ether[5000] = 1"}, true},
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		for (int swap = 0; swap < (pairs[i].one_way ? 1 : 2); swap++) {
			struct bpf_program right = compiled(pairs[i].filter[swap], 1);
			struct bpf_program wrong = compiled(pairs[i].filter[!swap], 1);
			struct sl_proof proof;
			struct rte_bpf *bpf;
			sl_filter_fn fn;
			const char *why;
			int ret;

			assert_int_equal(sl_translate_load(&wrong, &bpf, &fn, &why), 0);
			ret = sl_prove(&right, fn, LIMIT, i, &proof);
			if (ret != -EPROTO)
				fail_msg("'%s' passed for '%s': %s", pairs[i].filter[!swap], pairs[i].filter[swap],
					proof.reason);
			rte_bpf_destroy(bpf);
			sl_compile_free(&right);
			sl_compile_free(&wrong);
		}
}

static uint64_t
reads_too_far(void *record)
{
	const struct sl_record *r = record;
	const volatile uint8_t *data = (const uint8_t *)(r + 1);

	return data[r->caplen];
}

void
test_prove_finds_crash(void **state)
{
	struct bpf_program program = compiled("tcp", 1);
	struct sl_proof proof;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sl_prove(&program, reads_too_far, LIMIT, 1, &proof), -EPROTO);
		assert_non_null(strstr(proof.reason, "crashed"));
	}
	sl_compile_free(&program);
}

struct mutants {
	unsigned int made, found;
};

static void
try_mutant(const struct bpf_program *program, struct ebpf_insn *ins, uint32_t count, struct mutants *m)
{
	struct rte_bpf_prm prm = {.ins = ins, .nb_ins = count};
	struct rte_bpf_jit jit = {0};
	struct sl_proof proof;
	struct rte_bpf *bpf;

	prm.prog_arg.type = RTE_BPF_ARG_PTR;
	prm.prog_arg.size = 4 * (size_t)SL_TRANSLATE_MAX_CAPLEN;
	bpf = rte_bpf_load(&prm);
	if (bpf == NULL)
		return;
	assert_int_equal(rte_bpf_get_jit(bpf, &jit), 0);
	assert_non_null(jit.func);
	m->made++;
	m->found += sl_prove(program, (sl_filter_fn)jit.func, LIMIT, 1, &proof) == -EPROTO;
	rte_bpf_destroy(bpf);
}

/*
 * One constant of the translation changed: the proof must see it. A bounds check that is one byte short shows only if
 * no earlier one on all paths asks for as much, hence not all of those.
 */
void
test_prove_finds_mutants(void **state)
{
	struct mutants comparisons = {0}, bounds = {0};

	(void)state;
	rte_log_set_global_level(RTE_LOG_CRIT);
	for (unsigned int i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		struct bpf_program program = compiled(usual[i], 1);
		struct ebpf_insn *ins;
		const char *why;
		uint32_t count;

		assert_int_equal(sl_translate(&program, &ins, &count, &why), 0);
		for (uint32_t at = 1; at < count; at++) {
			struct ebpf_insn before = ins[at];
			/* See load_absolute(): a copy of caplen, then the comparison. */
			bool bound =
				ins[at - 1].code == (BPF_ALU | EBPF_MOV | BPF_X) && ins[at - 1].src_reg == EBPF_REG_3;

			if (BPF_CLASS(before.code) != BPF_JMP || before.code == (BPF_JMP | BPF_JA) ||
				before.code == (BPF_JMP | EBPF_EXIT) || BPF_SRC(before.code) == BPF_X)
				continue;
			ins[at].imm = bound ? before.imm - 1 : before.imm ^ 1;
			try_mutant(&program, ins, count, bound ? &bounds : &comparisons);
			ins[at] = before;
		}
		free(ins);
		sl_compile_free(&program);
	}
	rte_log_set_global_level(RTE_LOG_INFO);
	print_message("wrong constants: %u of %u comparisons and %u of %u bounds found\n", comparisons.found,
		comparisons.made, bounds.found, bounds.made);
	assert_true(comparisons.made > 100 && bounds.made > 80);
	assert_true(comparisons.found * 100 >= comparisons.made * 88);
	assert_true(bounds.found * 100 >= bounds.made * 60);
}

void
test_prove_time_limit(void **state)
{
	struct bpf_program program = compiled("tcp port 80", 1);
	struct sl_proof proof;
	struct rte_bpf *bpf;
	sl_filter_fn fn;
	const char *why;

	(void)state;
	assert_int_equal(sl_translate_load(&program, &bpf, &fn, &why), 0);
	assert_int_equal(sl_prove(&program, fn, 0, 1, &proof), -ETIME);
	assert_non_null(strstr(proof.reason, "too long"));
	rte_bpf_destroy(bpf);
	sl_compile_free(&program);
}

/* DPDK's checker walks all paths unless it recognises where it has been; more than a minute without our care. */
void
test_checker_time(void **state)
{
	static const uint32_t link_types[] = {1, 105, 127, 113};
	char expression[2000] = "host 10.1.0.7";
	struct timespec a, b;

	(void)state;
	for (int i = 1; i < 40; i++)
		snprintf(expression + strlen(expression), sizeof(expression) - strlen(expression), " or host 10.1.%d.7",
			i);
	for (unsigned int i = 0; i < sizeof(link_types) / sizeof(link_types[0]); i++) {
		struct bpf_program program = compiled(expression, link_types[i]);
		struct rte_bpf *bpf;
		sl_filter_fn fn;
		const char *why;

		clock_gettime(CLOCK_MONOTONIC, &a);
		assert_int_equal(sl_translate_load(&program, &bpf, &fn, &why), 0);
		clock_gettime(CLOCK_MONOTONIC, &b);
		assert_true(b.tv_sec - a.tv_sec < 5);
		rte_bpf_destroy(bpf);
		sl_compile_free(&program);
	}
}
