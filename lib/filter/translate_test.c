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
#include "program_gen.h"
#include "prove.h"
#include "sandbox.h"
#include "sl_filter.h"
#include "translate.h"

#define PROGRAMS 3000u
#define PACKETS 40u

static uint64_t rng = 0x9e3779b97f4a7c15u;

static uint32_t
next_random(void)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (uint32_t)((rng * 0x2545f4914f6cdd1du) >> 32);
}

/* Machine code and tracer against bpf_filter(), on a random packet. */
static bool
compare_on_packet(
	struct sl_sandbox *sandbox, struct sl_trace *trace, const struct bpf_program *program, sl_filter_fn fn)
{
	uint8_t bytes[160];
	struct sl_packet packet = {.data = bytes, .caplen = next_random() % sizeof(bytes)};
	const uint8_t *data;
	uint64_t got;
	uint32_t want;

	packet.len = next_random() % 2 ? packet.caplen : next_random() >> next_random() % 32;
	for (uint32_t i = 0; i < packet.caplen; i++)
		bytes[i] = next_random() % 3 == 0 ? 0 : (uint8_t)next_random();
	if (sl_sandbox_run(sandbox, fn, &packet, &data, &got) != 0)
		return false;
	want = bpf_filter(program->bf_insns, data, packet.len, packet.caplen);
	sl_trace_run(trace, &packet);
	return got == want && trace->result == want;
}

void
test_random_programs(void **state)
{
	unsigned int translated = 0, opcodes = 0;
	bool seen[256] = {false};

	(void)state;
	rte_log_set_global_level(RTE_LOG_CRIT);
	for (unsigned int n = 0; n < PROGRAMS; n++) {
		struct bpf_insn insns[SL_GEN_MAX_INSNS];
		struct bpf_program program = {.bf_insns = insns};
		uint8_t bytes[1024];
		struct sl_gen gen = {.bytes = bytes, .left = sizeof(bytes)};
		struct sl_sandbox *sandbox;
		struct sl_trace trace;
		struct rte_bpf *bpf;
		sl_filter_fn fn;
		const char *why;
		bool ok = true;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)next_random();
		program.bf_len = sl_gen_program(&gen, insns);
		assert_true(bpf_validate(insns, (int)program.bf_len));
		if (sl_translate_load(&program, &bpf, &fn, &why) != 0)
			continue;
		translated++;
		for (unsigned int i = 0; i < program.bf_len; i++)
			seen[insns[i].code & 0xff] = true;
		assert_int_equal(sl_trace_init(&trace, &program), 0);
		assert_int_equal(sl_sandbox_create(&sandbox), 0);
		for (unsigned int i = 0; i < PACKETS; i++)
			ok &= compare_on_packet(sandbox, &trace, &program, fn);
		sl_sandbox_destroy(sandbox);
		sl_trace_fini(&trace);
		rte_bpf_destroy(bpf);
		assert_true(ok); /* only here: others wait for the sandbox */
	}
	rte_log_set_global_level(RTE_LOG_INFO);
	for (unsigned int i = 0; i < 256; i++)
		opcodes += seen[i];
	print_message("%u of %u random programs translated, %u instructions of bpf_filter() among them\n", translated,
		PROGRAMS, opcodes);
	assert_true(translated > PROGRAMS / 2);
	assert_int_equal(opcodes, 49);
}

/* One instruction each, where the random ones may miss the edge. */
void
test_single_instructions(void **state)
{
	static const uint32_t ks[] = {
		0, 1, 5, 31, 0x7f, 0x80, 0xff, 0x8000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	static const uint16_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH,
		BPF_RSH, BPF_NEG, BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	uint8_t bytes[8];
	struct sl_packet packet = {.data = bytes, .caplen = 8, .len = 8};
	struct sl_sandbox *sandbox;

	(void)state;
	for (unsigned int o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
		for (unsigned int k = 0; k < sizeof(ks) / sizeof(ks[0]); k++)
			for (unsigned int x = 0; x < 2; x++) {
				bool jump = o >= 11;
				uint16_t code = (uint16_t)((jump ? BPF_JMP : BPF_ALU) | ops[o] | (x ? BPF_X : BPF_K));
				/* X = M[0] = word 4; A = word 0; op; ret A or 1 or 2 */
				struct bpf_insn insns[] = {
					BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
					BPF_STMT(BPF_ST, 0),
					BPF_STMT(BPF_LDX | BPF_MEM, 0),
					BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
					BPF_JUMP(code, x ? 0 : ks[k], jump ? 1 : 0, 0),
					BPF_STMT(jump ? BPF_RET | BPF_K : BPF_RET | BPF_A, 1),
					BPF_STMT(BPF_RET | BPF_K, 2),
				};
				struct bpf_program program = {.bf_len = 7, .bf_insns = insns};
				struct rte_bpf *bpf;
				sl_filter_fn fn;
				const char *why;
				bool by_zero = !x && ks[k] == 0 && (ops[o] == BPF_DIV || ops[o] == BPF_MOD);
				bool wide = !x && ks[k] > 31 && (ops[o] == BPF_LSH || ops[o] == BPF_RSH);
				int ret;

				if (!jump && ops[o] == BPF_NEG)
					insns[4].code = BPF_ALU | BPF_NEG;
				/* Not for bpf_validate() to see: what would be undefined is refused here. */
				ret = sl_translate_load(&program, &bpf, &fn, &why);
				assert_int_equal(ret, !jump && (by_zero || wide) ? -ENOTSUP : 0);
				if (ret != 0)
					continue;
				assert_int_equal(sl_sandbox_create(&sandbox), 0);
				for (unsigned int a = 0; a < sizeof(ks) / sizeof(ks[0]); a++)
					for (unsigned int b = 0; b < sizeof(ks) / sizeof(ks[0]); b++) {
						uint32_t words[2] = {
							__builtin_bswap32(ks[a]), __builtin_bswap32(ks[b])};
						const uint8_t *data;
						uint64_t got;

						memcpy(bytes, words, sizeof(words));
						assert_int_equal(sl_sandbox_run(sandbox, fn, &packet, &data, &got), 0);
						assert_int_equal(got, bpf_filter(insns, data, 8, 8));
					}
				sl_sandbox_destroy(sandbox);
				rte_bpf_destroy(bpf);
			}
}

static const char *
why_not(struct bpf_insn *insns, unsigned int count)
{
	struct bpf_program program = {.bf_len = count, .bf_insns = insns};
	struct ebpf_insn *out;
	const char *why = NULL;
	uint32_t n;

	assert_int_equal(sl_translate(&program, &out, &n, &why), -ENOTSUP);
	return why;
}

void
test_not_translated(void **state)
{
	struct bpf_insn backward[] = {BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_JMP | BPF_JA, (bpf_u_int32)-2),
		BPF_STMT(BPF_RET | BPF_A, 0)};
	struct bpf_insn metadata[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0xfffff02c), BPF_STMT(BPF_RET | BPF_A, 0)};
	struct bpf_insn scratch[] = {BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_RET | BPF_A, 0)};
	struct bpf_insn end[] = {BPF_STMT(BPF_LD | BPF_IMM, 3)};
	struct bpf_insn *many = calloc(5000, sizeof(*many));

	(void)state;
	assert_string_equal(why_not(backward, 3), "backward jump (protochain)");
	assert_string_equal(why_not(metadata, 2), "reads kernel metadata");
	assert_string_equal(
		why_not(scratch, 2), "reads scratch memory that was not written: undefined in libpcap, 0 here");
	assert_string_equal(why_not(end, 1), "runs off its end");
	assert_non_null(many);
	assert_string_equal(why_not(many, 5000), "more than 4096 instructions");
	free(many);
}

/* Loads at and beyond what 16 and 32 bits hold. */
void
test_far_loads(void **state)
{
	static const char *const expressions[] = {"ether[40000] = 7", "ether[65530:4] = 0x07070707",
		"ether[ether[0:4]] = 7", "ether[ether[0:4] + 0xfffffff0] = 7", "ether[4294967295] = 7",
		"ether[1048576] = 0"};
	uint32_t size = 70000;
	uint8_t *record = malloc(sizeof(struct sl_record) + size);
	uint8_t *data = record + sizeof(struct sl_record);
	char errbuf[SL_FILTER_ERRBUF];

	(void)state;
	assert_non_null(record);
	*(struct sl_record *)record = (struct sl_record){.caplen = size, .len = size};
	for (unsigned int i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
		static const uint32_t starts[] = {0, 7, 69999, 70000, 0x10, 0xfffffff0, 0xffffffff, 0x80000000};
		struct bpf_program program;
		struct rte_bpf *bpf;
		sl_filter_fn fn;
		const char *why;

		if (sl_compile(expressions[i], 1, 262144, &program, errbuf) != 0)
			continue; /* libpcap itself refuses some of these constants */
		if (sl_translate_load(&program, &bpf, &fn, &why) != 0) {
			assert_string_equal(why, "reads kernel metadata"); /* the last bytes of 32 bits */
			sl_compile_free(&program);
			continue;
		}
		for (unsigned int j = 0; j < sizeof(starts) / sizeof(starts[0]); j++) {
			memset(data, 7, size);
			memcpy(data, (uint32_t[]){__builtin_bswap32(starts[j])}, 4);
			assert_int_equal(fn(record), bpf_filter(program.bf_insns, data, size, size));
		}
		rte_bpf_destroy(bpf);
		sl_compile_free(&program);
	}
	free(record);
}
