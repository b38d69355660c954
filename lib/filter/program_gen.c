/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "program_gen.h"

uint8_t
sl_gen_byte(struct sl_gen *gen)
{
	if (gen->left == 0)
		return 0;
	gen->left--;
	return *gen->bytes++;
}

uint32_t
sl_gen_word(struct sl_gen *gen)
{
	uint32_t w = 0;

	for (int i = 0; i < 4; i++)
		w = w << 8 | sl_gen_byte(gen);
	return w;
}

static uint32_t
constant(struct sl_gen *gen)
{
	static const uint32_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0xfffff,
		0x100000, 0x7fffffff, 0x80000000, 0x80000001, 0xffffff80, 0xffffffff};

	switch (sl_gen_byte(gen) % 4) {
	case 0:
		return edges[sl_gen_byte(gen) % (sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return sl_gen_word(gen);
	default:
		return sl_gen_byte(gen);
	}
}

/* Mostly inside packets; sometimes far outside, but not where libpcap looks for kernel metadata. */
static uint32_t
offset(struct sl_gen *gen)
{
	uint8_t kind = sl_gen_byte(gen);
	uint32_t k;

	if (kind < 240)
		return sl_gen_byte(gen) % 80;
	k = constant(gen);
	return k >= 0xfffff000u ? k & 0xffff : k;
}

unsigned int
sl_gen_program(struct sl_gen *gen, struct bpf_insn insns[SL_GEN_MAX_INSNS])
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_H | BPF_ABS,
		BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_IND,
		BPF_LD | BPF_H | BPF_IND,
		BPF_LD | BPF_B | BPF_IND,
		BPF_LDX | BPF_MSH | BPF_B,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_LD | BPF_IMM,
		BPF_LDX | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
		BPF_ALU | BPF_ADD | BPF_X,
		BPF_ALU | BPF_SUB | BPF_X,
		BPF_ALU | BPF_MUL | BPF_X,
		BPF_ALU | BPF_DIV | BPF_X,
		BPF_ALU | BPF_MOD | BPF_X,
		BPF_ALU | BPF_AND | BPF_X,
		BPF_ALU | BPF_OR | BPF_X,
		BPF_ALU | BPF_XOR | BPF_X,
		BPF_ALU | BPF_LSH | BPF_X,
		BPF_ALU | BPF_RSH | BPF_X,
		BPF_ALU | BPF_ADD,
		BPF_ALU | BPF_SUB | BPF_K,
		BPF_ALU | BPF_MUL | BPF_K,
		BPF_ALU | BPF_DIV | BPF_K,
		BPF_ALU | BPF_MOD | BPF_K,
		BPF_ALU | BPF_AND | BPF_K,
		BPF_ALU | BPF_OR | BPF_K,
		BPF_ALU | BPF_XOR | BPF_K,
		BPF_ALU | BPF_LSH | BPF_K,
		BPF_ALU | BPF_RSH | BPF_K,
		BPF_ALU | BPF_NEG,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
		BPF_JMP | BPF_JA,
		BPF_JMP | BPF_JEQ | BPF_K,
		BPF_JMP | BPF_JGT | BPF_K,
		BPF_JMP | BPF_JGE | BPF_K,
		BPF_JMP | BPF_JSET | BPF_K,
		BPF_JMP | BPF_JEQ | BPF_X,
		BPF_JMP | BPF_JGT | BPF_X,
		BPF_JMP | BPF_JGE | BPF_X,
		BPF_JMP | BPF_JSET | BPF_X,
		BPF_RET | BPF_K,
		BPF_RET | BPF_A,
	};
	unsigned int n = 1 + sl_gen_byte(gen) % (SL_GEN_MAX_INSNS - 1);
	unsigned int m = 0; /* scratch words written so far, in any order of paths */

	for (unsigned int i = 0; i < n; i++) {
		unsigned int room = n - 1 - i; /* the last instruction is i + room */
		struct bpf_insn *p = &insns[i];
		uint16_t code = codes[sl_gen_byte(gen) % (sizeof(codes) / sizeof(codes[0]))];

		*p = (struct bpf_insn){.code = code, .k = constant(gen)};
		if (i == n - 1) {
			p->code = sl_gen_byte(gen) % 2 ? BPF_RET | BPF_K : BPF_RET | BPF_A;
			continue;
		}
		switch (BPF_CLASS(code)) {
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(code) == BPF_MEM && m == 0)
				p->code = BPF_ST;
			if (BPF_MODE(code) == BPF_MEM)
				p->k = sl_gen_byte(gen) % (m == 0 ? BPF_MEMWORDS : m);
			else if (BPF_MODE(code) != BPF_IMM)
				p->k = offset(gen);
			break;
		case BPF_ST:
		case BPF_STX:
			p->k = m < BPF_MEMWORDS ? m++ : sl_gen_byte(gen) % BPF_MEMWORDS;
			break;
		case BPF_ALU:
			if (BPF_SRC(code) == BPF_K && (BPF_OP(code) == BPF_LSH || BPF_OP(code) == BPF_RSH))
				p->k %= 32;
			if (BPF_SRC(code) == BPF_K && (BPF_OP(code) == BPF_DIV || BPF_OP(code) == BPF_MOD))
				p->k += p->k == 0;
			break;
		case BPF_JMP:
			if (BPF_OP(code) == BPF_JA) {
				p->k = sl_gen_byte(gen) % room;
				break;
			}
			p->jt = sl_gen_byte(gen) % (room < 6 ? room : 6);
			p->jf = sl_gen_byte(gen) % (room < 6 ? room : 6);
			break;
		case BPF_RET:
			/* Early ends are dull. */
			if (sl_gen_byte(gen) % 4 != 0)
				p->code = BPF_MISC | BPF_TAX;
			break;
		default:
			break;
		}
	}
	return n;
}
