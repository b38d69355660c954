/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "insn.h"
#include "translation.h"

/*
 * Registers. All of them are caller-saved in the x86-64 JIT, so a program without scratch memory needs no prologue.
 * X is R4 because that is RCX there, where shifts want their count.
 *
 * DPDK's checker follows every path and knows a path again only if each register and stack slot is known no better
 * than the time before: a filter whose paths leave different ranges behind may take it more than a minute. So
 * comparisons are always made on a copy in REG_TMP, which each writes first; the pointer register is set back after
 * use; and what goes to scratch memory, or comes from a constant, is byte-swapped once there and back, which is nothing
 * to the machine and leaves the checker with "any 32 bits". Registers are made from REG_CAPLEN rather than from
 * constants because the checker leaves part of its description of a constant uninitialised.
 */
#define REG_A EBPF_REG_0
#define REG_RECORD EBPF_REG_1
#define REG_TMP EBPF_REG_2
#define REG_CAPLEN EBPF_REG_3
#define REG_X EBPF_REG_4
#define REG_POINTER EBPF_REG_5
#define REG_STACK EBPF_REG_10

/* BPF_K is 0, as BPF_ADD is. */
#define ALU64_ADD_K (EBPF_ALU64 | BPF_ADD)

static void
emit(struct sl_translation *t, uint8_t code, uint8_t dst, uint8_t src, int16_t off, uint32_t imm)
{
	t->target[t->n] = SL_NO_TARGET;
	t->out[t->n++] =
		(struct ebpf_insn){.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = (int32_t)imm};
}

static void
emit_jump(struct sl_translation *t, uint8_t code, uint8_t dst, uint8_t src, uint32_t imm, uint32_t to)
{
	emit(t, BPF_JMP | code, dst, src, 0, imm);
	t->target[t->n - 1] = to;
	t->reachable[to] = true;
}

static void
mov_imm(struct sl_translation *t, uint8_t dst, uint32_t imm)
{
	emit(t, BPF_ALU | EBPF_MOV | BPF_K, dst, 0, 0, imm);
}

static void
mov_reg(struct sl_translation *t, uint8_t dst, uint8_t src)
{
	emit(t, BPF_ALU | EBPF_MOV | BPF_X, dst, src, 0, 0);
}

static void
swap(struct sl_translation *t, uint8_t dst)
{
	emit(t, BPF_ALU | EBPF_END | EBPF_TO_BE, dst, 0, 0, 32);
}

/* dst = k, of which the checker shall know nothing. */
static void
load_constant(struct sl_translation *t, uint8_t dst, uint32_t k)
{
	mov_reg(t, dst, REG_CAPLEN);
	emit(t, BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, 0);
	emit(t, BPF_ALU | BPF_OR | BPF_K, dst, 0, 0, __builtin_bswap32(k));
	swap(t, dst);
}

/* dst = the bytes at base + off. Through the top of 32 bits, so that the checker knows as little of each size. */
static void
load_bytes(struct sl_translation *t, uint8_t dst, uint16_t code, uint8_t base, uint32_t off)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_SIZE(code), dst, base, (int16_t)off, 0);
	if (BPF_SIZE(code) != BPF_W)
		emit(t, BPF_ALU | BPF_LSH | BPF_K, dst, 0, 0, 32 - 8 * sl_insn_load_size(code));
	swap(t, dst);
}

/* dst = size bytes at packet offset k, or reject. */
static void
load_absolute(struct sl_translation *t, uint8_t dst, uint16_t code, uint32_t k)
{
	uint32_t off = (uint32_t)sizeof(struct sl_record) + k;

	mov_reg(t, REG_TMP, REG_CAPLEN);
	emit_jump(t, EBPF_JLT | BPF_K, REG_TMP, 0, k + sl_insn_load_size(code), SL_REJECT(t));
	if (off <= INT16_MAX) {
		load_bytes(t, dst, code, REG_RECORD, off);
		return;
	}
	emit(t, EBPF_ALU64 | EBPF_MOV | BPF_X, REG_POINTER, REG_RECORD, 0, 0);
	emit(t, ALU64_ADD_K, REG_POINTER, 0, 0, off);
	load_bytes(t, dst, code, REG_POINTER, 0);
	mov_reg(t, REG_POINTER, REG_CAPLEN);
}

/* A = size bytes at packet offset X + k, or reject; the sum does not wrap. */
static void
load_indirect(struct sl_translation *t, uint16_t code, uint32_t k)
{
	uint32_t off = (uint32_t)sizeof(struct sl_record) + k;

	mov_reg(t, REG_TMP, REG_X);
	emit(t, ALU64_ADD_K, REG_TMP, 0, 0, k + sl_insn_load_size(code));
	emit_jump(t, BPF_JGT | BPF_X, REG_TMP, REG_CAPLEN, 0, SL_REJECT(t));
	/* X is below caplen here, so the mask changes nothing; it tells the checker the bound. */
	mov_reg(t, REG_TMP, REG_X);
	emit(t, EBPF_ALU64 | BPF_AND | BPF_K, REG_TMP, 0, 0, SL_TRANSLATE_MAX_CAPLEN - 1);
	emit(t, EBPF_ALU64 | EBPF_MOV | BPF_X, REG_POINTER, REG_RECORD, 0, 0);
	emit(t, EBPF_ALU64 | BPF_ADD | BPF_X, REG_POINTER, REG_TMP, 0, 0);
	if (off > INT16_MAX) {
		emit(t, ALU64_ADD_K, REG_POINTER, 0, 0, off);
		off = 0;
	}
	load_bytes(t, REG_A, code, REG_POINTER, off);
	mov_reg(t, REG_POINTER, REG_CAPLEN);
}

static int16_t
stack_offset(uint32_t k)
{
	return (int16_t)(-8 * (int)(k + 1));
}

/* Scratch memory holds values byte-swapped. */
static void
store_scratch(struct sl_translation *t, uint8_t src, uint32_t k)
{
	mov_reg(t, REG_TMP, src);
	swap(t, REG_TMP);
	emit(t, BPF_STX | BPF_MEM | EBPF_DW, REG_STACK, REG_TMP, stack_offset(k), 0);
}

static void
emit_load(struct sl_translation *t, const struct bpf_insn *p)
{
	uint8_t dst = BPF_CLASS(p->code) == BPF_LD ? REG_A : REG_X;

	switch (BPF_MODE(p->code)) {
	case BPF_ABS:
		load_absolute(t, dst, p->code, p->k);
		break;
	case BPF_IND:
		load_indirect(t, p->code, p->k);
		break;
	case BPF_MSH:
		load_absolute(t, dst, p->code, p->k);
		emit(t, BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, 0xf);
		emit(t, BPF_ALU | BPF_LSH | BPF_K, dst, 0, 0, 2);
		break;
	case BPF_LEN:
		emit(t, BPF_LDX | BPF_MEM | BPF_W, dst, REG_RECORD, offsetof(struct sl_record, len), 0);
		break;
	case BPF_MEM:
		emit(t, BPF_LDX | BPF_MEM | EBPF_DW, dst, REG_STACK, stack_offset(p->k), 0);
		swap(t, dst);
		break;
	default: /* BPF_IMM */
		load_constant(t, dst, p->k);
		break;
	}
}

static void
emit_alu(struct sl_translation *t, const struct bpf_insn *p)
{
	uint8_t op = BPF_OP(p->code);

	if (op == BPF_NEG) {
		emit(t, BPF_ALU | BPF_NEG, REG_A, 0, 0, 0);
		return;
	}
	if (BPF_SRC(p->code) == BPF_K) {
		emit(t, BPF_ALU | op | BPF_K, REG_A, 0, 0, p->k);
		return;
	}
	switch (op) {
	case BPF_DIV:
	case BPF_MOD:
		mov_reg(t, REG_TMP, REG_X);
		emit_jump(t, BPF_JEQ | BPF_K, REG_TMP, 0, 0, SL_REJECT(t));
		emit(t, BPF_ALU | op | BPF_X, REG_A, REG_X, 0, 0);
		break;
	case BPF_LSH:
	case BPF_RSH:
		/* As bpf_filter(): all bits are gone from 32 on. The machine would take the count modulo 32. */
		mov_reg(t, REG_TMP, REG_X);
		emit(t, BPF_JMP | EBPF_JLT | BPF_K, REG_TMP, 0, 2, 32);
		emit(t, BPF_ALU | BPF_AND | BPF_K, REG_A, 0, 0, 0);
		emit(t, BPF_JMP | BPF_JA, 0, 0, 1, 0);
		emit(t, BPF_ALU | op | BPF_X, REG_A, REG_X, 0, 0);
		break;
	default:
		emit(t, BPF_ALU | op | BPF_X, REG_A, REG_X, 0, 0);
		break;
	}
}

/*
 * Put into REG_TMP what is to be compared with a constant, a non-negative one: jumps compare 64 bits with a
 * sign-extended constant. No `jset`, which the x86 JIT gets wrong.
 *
 * @param[out] yes, no  the jump if the comparison holds, and its opposite
 */
static void
prepare_comparison(struct sl_translation *t, const struct bpf_insn *p, uint8_t *yes, uint8_t *no, uint32_t *imm)
{
	uint8_t src = BPF_SRC(p->code);
	uint8_t op = BPF_OP(p->code);
	bool ordered = op == BPF_JGT || op == BPF_JGE;

	*imm = 0;
	mov_reg(t, REG_TMP, REG_A);
	if (ordered && src == BPF_X) {
		/* Both are below 2^32, so the difference has the right sign in 64 bits. */
		emit(t, EBPF_ALU64 | BPF_SUB | BPF_X, REG_TMP, REG_X, 0, 0);
		*yes = op == BPF_JGT ? EBPF_JSGT : EBPF_JSGE;
		*no = op == BPF_JGT ? EBPF_JSLE : EBPF_JSLT;
	} else if (ordered && p->k > INT32_MAX) {
		/* A > k is ~A < ~k. */
		emit(t, BPF_ALU | BPF_XOR | BPF_K, REG_TMP, 0, 0, UINT32_MAX);
		*imm = ~p->k;
		*yes = op == BPF_JGT ? EBPF_JLT : EBPF_JLE;
		*no = op == BPF_JGT ? BPF_JGE : BPF_JGT;
	} else if (ordered) {
		*imm = p->k;
		*yes = op;
		*no = op == BPF_JGT ? EBPF_JLE : EBPF_JLT;
	} else if (op == BPF_JSET) {
		emit(t, BPF_ALU | BPF_AND | src, REG_TMP, src == BPF_X ? REG_X : 0, 0, src == BPF_X ? 0 : p->k);
		*yes = EBPF_JNE;
		*no = BPF_JEQ;
	} else {
		if (src == BPF_K && p->k <= INT32_MAX)
			*imm = p->k;
		else
			emit(t, BPF_ALU | BPF_XOR | src, REG_TMP, src == BPF_X ? REG_X : 0, 0, src == BPF_X ? 0 : p->k);
		*yes = BPF_JEQ;
		*no = EBPF_JNE;
	}
}

static void
emit_branch(struct sl_translation *t, uint32_t i, const struct bpf_insn *p)
{
	uint32_t if_yes = i + 1 + p->jt;
	uint32_t if_no = i + 1 + p->jf;
	uint8_t yes, no;
	uint32_t imm;

	if (BPF_OP(p->code) == BPF_JA || if_yes == if_no) {
		emit_jump(t, BPF_JA, 0, 0, 0, BPF_OP(p->code) == BPF_JA ? i + 1 + p->k : if_yes);
		return;
	}
	prepare_comparison(t, p, &yes, &no, &imm);
	if (if_yes == i + 1) {
		emit_jump(t, no | BPF_K, REG_TMP, 0, imm, if_no);
		return;
	}
	emit_jump(t, yes | BPF_K, REG_TMP, 0, imm, if_yes);
	if (if_no != i + 1)
		emit_jump(t, BPF_JA, 0, 0, 0, if_no);
}

void
sl_emit_insn(struct sl_translation *t, uint32_t i)
{
	const struct bpf_insn *p = &t->in[i];

	if (sl_load_impossible(p)) {
		emit_jump(t, BPF_JA, 0, 0, 0, SL_REJECT(t));
		return;
	}
	switch (BPF_CLASS(p->code)) {
	case BPF_LD:
	case BPF_LDX:
		emit_load(t, p);
		break;
	case BPF_ST:
	case BPF_STX:
		store_scratch(t, BPF_CLASS(p->code) == BPF_ST ? REG_A : REG_X, p->k);
		break;
	case BPF_ALU:
		emit_alu(t, p);
		break;
	case BPF_JMP:
		emit_branch(t, i, p);
		break;
	case BPF_MISC:
		if (BPF_MISCOP(p->code) == BPF_TXA) {
			mov_reg(t, REG_A, REG_X);
			break;
		}
		mov_reg(t, REG_X, REG_A);
		swap(t, REG_X);
		swap(t, REG_X);
		break;
	default: /* BPF_RET */
		if (BPF_RVAL(p->code) == BPF_K && p->k == 0) {
			emit_jump(t, BPF_JA, 0, 0, 0, SL_REJECT(t));
			break;
		}
		if (BPF_RVAL(p->code) != BPF_A)
			mov_imm(t, REG_A, p->k);
		emit_jump(t, BPF_JA, 0, 0, 0, SL_LEAVE(t));
		break;
	}
}

void
sl_emit_start(struct sl_translation *t, uint32_t live)
{
	uint32_t slots = 0;

	emit(t, BPF_LDX | BPF_MEM | BPF_W, REG_CAPLEN, REG_RECORD, offsetof(struct sl_record, caplen), 0);
	mov_reg(t, REG_A, REG_CAPLEN);
	mov_reg(t, REG_X, REG_CAPLEN);
	mov_reg(t, REG_POINTER, REG_CAPLEN);
	if (live & SL_LIVE_A)
		load_constant(t, REG_A, 0);
	if (live & SL_LIVE_X)
		load_constant(t, REG_X, 0);
	for (uint32_t i = 0; i < t->in_count; i++)
		if (t->reachable[i] && (BPF_CLASS(t->in[i].code) == BPF_ST || BPF_CLASS(t->in[i].code) == BPF_STX))
			slots |= SL_LIVE_M(t->in[i].k);
	for (uint32_t k = 0; k < BPF_MEMWORDS; k++)
		if (slots & SL_LIVE_M(k))
			store_scratch(t, REG_CAPLEN, k);
}

void
sl_emit_ends(struct sl_translation *t)
{
	t->at[SL_REJECT(t)] = t->n;
	if (t->reachable[SL_REJECT(t)])
		mov_imm(t, REG_A, 0);
	t->at[SL_LEAVE(t)] = t->n;
	emit(t, BPF_JMP | EBPF_EXIT, 0, 0, 0, 0);
}
