/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "insn.h"
#include "translate.h"

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

#define MAX_INSNS 4096u
/* Room for the longest translation of one instruction, see emit_insn(). */
#define MAX_EXPANSION 12u

/* Bits of a set of things that are read before they are written: M[0] to M[15], A and X. */
#define LIVE_M(k) (1u << (k))
#define LIVE_A (1u << BPF_MEMWORDS)
#define LIVE_X (1u << (BPF_MEMWORDS + 1))
#define LIVE_ALL_M ((1u << BPF_MEMWORDS) - 1)

struct translation {
	const struct bpf_insn *in;
	uint32_t in_count;
	struct ebpf_insn *out;
	uint32_t *at; /* at[i]: first eBPF instruction of classic instruction i, or of REJECT() and LEAVE() */
	uint32_t *target; /* per eBPF instruction: classic instruction it jumps to, or NO_TARGET */
	bool *reachable; /* likewise */
	uint32_t n;
};

#define NO_TARGET UINT32_MAX

/*
 * The ends of the program. There is only one `exit`: the x86 JIT jumps back to the first one from all others, and gets
 * a jump back by 127 or 128 bytes wrong.
 */
#define REJECT(t) ((t)->in_count)
#define LEAVE(t) ((t)->in_count + 1)
#define ENDS 2u

/* The instructions that bpf_filter() knows; its switch has no other labels. */
static const char *
unsupported(const struct bpf_insn *in, uint32_t i, uint32_t count)
{
	const struct bpf_insn *p = &in[i];

	switch (p->code) {
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_W | BPF_ABS:
		/* SKF_AD_OFF: the kernel's metadata, which libpcap partly emulates. */
		return p->k >= 0xfffff000u ? "reads kernel metadata" : NULL;
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LDX | BPF_MSH | BPF_B:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_ALU | BPF_ADD | BPF_X:
	case BPF_ALU | BPF_SUB | BPF_X:
	case BPF_ALU | BPF_MUL | BPF_X:
	case BPF_ALU | BPF_DIV | BPF_X:
	case BPF_ALU | BPF_MOD | BPF_X:
	case BPF_ALU | BPF_AND | BPF_X:
	case BPF_ALU | BPF_OR | BPF_X:
	case BPF_ALU | BPF_XOR | BPF_X:
	case BPF_ALU | BPF_LSH | BPF_X:
	case BPF_ALU | BPF_RSH | BPF_X:
	case BPF_ALU | BPF_ADD: /* BPF_K is 0 */
	case BPF_ALU | BPF_SUB | BPF_K:
	case BPF_ALU | BPF_MUL | BPF_K:
	case BPF_ALU | BPF_AND | BPF_K:
	case BPF_ALU | BPF_OR | BPF_K:
	case BPF_ALU | BPF_XOR | BPF_K:
	case BPF_ALU | BPF_NEG:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return NULL;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return p->k < BPF_MEMWORDS ? NULL : "scratch memory out of range";
	case BPF_ALU | BPF_DIV | BPF_K:
	case BPF_ALU | BPF_MOD | BPF_K:
		return p->k != 0 ? NULL : "division by the constant 0";
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_K:
		/* Undefined in C, so bpf_filter() may do anything. */
		return p->k < 32 ? NULL : "shift by 32 bits or more";
	case BPF_JMP | BPF_JA:
		if (p->k >= 0x80000000u)
			return "backward jump (protochain)";
		return p->k < count - i - 1 ? NULL : "jump out of the program";
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JSET | BPF_K:
	case BPF_JMP | BPF_JEQ | BPF_X:
	case BPF_JMP | BPF_JGT | BPF_X:
	case BPF_JMP | BPF_JGE | BPF_X:
	case BPF_JMP | BPF_JSET | BPF_X:
		return i + 1 + p->jt < count && i + 1 + p->jf < count ? NULL : "jump out of the program";
	default:
		return "unknown instruction";
	}
}

/* Which instructions a path from the start leads to: rte_bpf refuses programs with others. Jumps only go forward. */
static const char *
find_reachable(struct translation *t)
{
	t->reachable[0] = true;
	for (uint32_t i = 0; i < t->in_count; i++) {
		const struct bpf_insn *p = &t->in[i];

		if (!t->reachable[i] || sl_load_impossible(p) || BPF_CLASS(p->code) == BPF_RET)
			continue;
		if (BPF_CLASS(p->code) != BPF_JMP) {
			if (i + 1 == t->in_count)
				return "runs off its end";
			t->reachable[i + 1] = true;
		} else if (BPF_OP(p->code) == BPF_JA) {
			t->reachable[i + 1 + p->k] = true;
		} else {
			t->reachable[i + 1 + p->jt] = true;
			t->reachable[i + 1 + p->jf] = true;
		}
	}
	return NULL;
}

/* What instruction i reads (given what is read behind it). */
static uint32_t
live_before(const struct bpf_insn *p, uint32_t behind)
{
	bool by_x = BPF_SRC(p->code) == BPF_X;

	switch (BPF_CLASS(p->code)) {
	case BPF_RET:
		return BPF_RVAL(p->code) == BPF_A ? LIVE_A : 0;
	case BPF_LD:
		behind &= ~LIVE_A;
		if (BPF_MODE(p->code) == BPF_IND)
			behind |= LIVE_X;
		if (BPF_MODE(p->code) == BPF_MEM)
			behind |= LIVE_M(p->k);
		return behind;
	case BPF_LDX:
		behind &= ~LIVE_X;
		if (BPF_MODE(p->code) == BPF_MEM)
			behind |= LIVE_M(p->k);
		return behind;
	case BPF_ST:
		return (behind & ~LIVE_M(p->k)) | LIVE_A;
	case BPF_STX:
		return (behind & ~LIVE_M(p->k)) | LIVE_X;
	case BPF_ALU:
		return behind | LIVE_A | (by_x && BPF_OP(p->code) != BPF_NEG ? LIVE_X : 0);
	case BPF_MISC:
		return BPF_MISCOP(p->code) == BPF_TAX ? (behind & ~LIVE_X) | LIVE_A : (behind & ~LIVE_A) | LIVE_X;
	default: /* BPF_JMP; JA reads nothing */
		return BPF_OP(p->code) == BPF_JA ? behind : behind | LIVE_A | (by_x ? LIVE_X : 0);
	}
}

/* What the program reads before it has written it. */
static int
live_at_start(const struct translation *t, uint32_t *live)
{
	uint32_t *before = calloc(t->in_count + 1, sizeof(*before));

	if (before == NULL)
		return -ENOMEM;
	for (uint32_t i = t->in_count; i-- > 0;) {
		const struct bpf_insn *p = &t->in[i];
		uint32_t behind = 0;

		if (!t->reachable[i] || sl_load_impossible(p))
			continue;
		if (BPF_CLASS(p->code) != BPF_JMP)
			behind = before[i + 1];
		else if (BPF_OP(p->code) == BPF_JA)
			behind = before[i + 1 + p->k];
		else
			behind = before[i + 1 + p->jt] | before[i + 1 + p->jf];
		before[i] = live_before(p, behind);
	}
	*live = before[0];
	free(before);
	return 0;
}

static void
emit(struct translation *t, uint8_t code, uint8_t dst, uint8_t src, int16_t off, uint32_t imm)
{
	t->target[t->n] = NO_TARGET;
	t->out[t->n++] =
		(struct ebpf_insn){.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = (int32_t)imm};
}

static void
emit_jump(struct translation *t, uint8_t code, uint8_t dst, uint8_t src, uint32_t imm, uint32_t to)
{
	emit(t, BPF_JMP | code, dst, src, 0, imm);
	t->target[t->n - 1] = to;
	t->reachable[to] = true;
}

static void
mov_imm(struct translation *t, uint8_t dst, uint32_t imm)
{
	emit(t, BPF_ALU | EBPF_MOV | BPF_K, dst, 0, 0, imm);
}

static void
mov_reg(struct translation *t, uint8_t dst, uint8_t src)
{
	emit(t, BPF_ALU | EBPF_MOV | BPF_X, dst, src, 0, 0);
}

static void
swap(struct translation *t, uint8_t dst)
{
	emit(t, BPF_ALU | EBPF_END | EBPF_TO_BE, dst, 0, 0, 32);
}

/* dst = k, of which the checker shall know nothing. */
static void
load_constant(struct translation *t, uint8_t dst, uint32_t k)
{
	mov_reg(t, dst, REG_CAPLEN);
	emit(t, BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, 0);
	emit(t, BPF_ALU | BPF_OR | BPF_K, dst, 0, 0, __builtin_bswap32(k));
	swap(t, dst);
}

/* dst = the bytes at base + off. Through the top of 32 bits, so that the checker knows as little of each size. */
static void
load_bytes(struct translation *t, uint8_t dst, uint16_t code, uint8_t base, uint32_t off)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_SIZE(code), dst, base, (int16_t)off, 0);
	if (BPF_SIZE(code) != BPF_W)
		emit(t, BPF_ALU | BPF_LSH | BPF_K, dst, 0, 0, 32 - 8 * sl_insn_load_size(code));
	swap(t, dst);
}

/* dst = size bytes at packet offset k, or reject. */
static void
load_absolute(struct translation *t, uint8_t dst, uint16_t code, uint32_t k)
{
	uint32_t off = (uint32_t)sizeof(struct sl_record) + k;

	mov_reg(t, REG_TMP, REG_CAPLEN);
	emit_jump(t, EBPF_JLT | BPF_K, REG_TMP, 0, k + sl_insn_load_size(code), REJECT(t));
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
load_indirect(struct translation *t, uint16_t code, uint32_t k)
{
	uint32_t off = (uint32_t)sizeof(struct sl_record) + k;

	mov_reg(t, REG_TMP, REG_X);
	emit(t, ALU64_ADD_K, REG_TMP, 0, 0, k + sl_insn_load_size(code));
	emit_jump(t, BPF_JGT | BPF_X, REG_TMP, REG_CAPLEN, 0, REJECT(t));
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
store_scratch(struct translation *t, uint8_t src, uint32_t k)
{
	mov_reg(t, REG_TMP, src);
	swap(t, REG_TMP);
	emit(t, BPF_STX | BPF_MEM | EBPF_DW, REG_STACK, REG_TMP, stack_offset(k), 0);
}

static void
emit_load(struct translation *t, const struct bpf_insn *p)
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
emit_alu(struct translation *t, const struct bpf_insn *p)
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
		emit_jump(t, BPF_JEQ | BPF_K, REG_TMP, 0, 0, REJECT(t));
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
prepare_comparison(struct translation *t, const struct bpf_insn *p, uint8_t *yes, uint8_t *no, uint32_t *imm)
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
emit_branch(struct translation *t, uint32_t i, const struct bpf_insn *p)
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

static void
emit_insn(struct translation *t, uint32_t i)
{
	const struct bpf_insn *p = &t->in[i];

	if (sl_load_impossible(p)) {
		emit_jump(t, BPF_JA, 0, 0, 0, REJECT(t));
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
			emit_jump(t, BPF_JA, 0, 0, 0, REJECT(t));
			break;
		}
		if (BPF_RVAL(p->code) != BPF_A)
			mov_imm(t, REG_A, p->k);
		emit_jump(t, BPF_JA, 0, 0, 0, LEAVE(t));
		break;
	}
}

/* Every register and slot that is used gets a value, the same to the checker on all paths. */
static void
emit_start(struct translation *t, uint32_t live)
{
	uint32_t slots = 0;

	emit(t, BPF_LDX | BPF_MEM | BPF_W, REG_CAPLEN, REG_RECORD, offsetof(struct sl_record, caplen), 0);
	mov_reg(t, REG_A, REG_CAPLEN);
	mov_reg(t, REG_X, REG_CAPLEN);
	mov_reg(t, REG_POINTER, REG_CAPLEN);
	if (live & LIVE_A)
		load_constant(t, REG_A, 0);
	if (live & LIVE_X)
		load_constant(t, REG_X, 0);
	for (uint32_t i = 0; i < t->in_count; i++)
		if (t->reachable[i] && (BPF_CLASS(t->in[i].code) == BPF_ST || BPF_CLASS(t->in[i].code) == BPF_STX))
			slots |= LIVE_M(t->in[i].k);
	for (uint32_t k = 0; k < BPF_MEMWORDS; k++)
		if (slots & LIVE_M(k))
			store_scratch(t, REG_CAPLEN, k);
}

/* Classic targets -> eBPF distances, which have 16 bits. */
static const char *
resolve_jumps(struct translation *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t distance;

		if (t->target[i] == NO_TARGET)
			continue;
		distance = t->at[t->target[i]] - (i + 1);
		if (distance > INT16_MAX)
			return "a jump is too long";
		t->out[i].off = (int16_t)distance;
	}
	return NULL;
}

static int
translate(struct translation *t, const char **why)
{
	uint32_t live = 0;
	int ret;

	for (uint32_t i = 0; i < t->in_count; i++) {
		*why = unsupported(t->in, i, t->in_count);
		if (*why != NULL)
			return -ENOTSUP;
	}
	*why = find_reachable(t);
	if (*why != NULL)
		return -ENOTSUP;
	ret = live_at_start(t, &live);
	if (ret != 0)
		return ret;
	if ((live & LIVE_ALL_M) != 0) {
		*why = "reads scratch memory that was not written";
		return -ENOTSUP;
	}

	emit_start(t, live);
	for (uint32_t i = 0; i < t->in_count; i++) {
		t->at[i] = t->n;
		if (t->reachable[i])
			emit_insn(t, i);
	}
	t->at[REJECT(t)] = t->n;
	if (t->reachable[REJECT(t)])
		mov_imm(t, REG_A, 0);
	t->at[LEAVE(t)] = t->n;
	emit(t, BPF_JMP | EBPF_EXIT, 0, 0, 0, 0);
	*why = resolve_jumps(t);
	return *why == NULL ? 0 : -ENOTSUP;
}

int
sl_translate(const struct bpf_program *program, struct ebpf_insn **ins, uint32_t *count, const char **why)
{
	struct translation t = {.in = program->bf_insns, .in_count = program->bf_len};
	size_t room = (size_t)program->bf_len * MAX_EXPANSION + 80;
	int ret = -ENOMEM;

	*ins = NULL;
	*why = "no memory";
	if (program->bf_len == 0 || program->bf_len > MAX_INSNS) {
		*why = "more than 4096 instructions";
		return -ENOTSUP;
	}
	t.out = calloc(room, sizeof(*t.out));
	t.target = calloc(room, sizeof(*t.target));
	t.at = calloc(t.in_count + ENDS, sizeof(*t.at));
	t.reachable = calloc(t.in_count + ENDS, sizeof(*t.reachable));
	if (t.out != NULL && t.target != NULL && t.at != NULL && t.reachable != NULL)
		ret = translate(&t, why);
	if (ret == 0) {
		*ins = t.out;
		*count = t.n;
	} else {
		free(t.out);
	}
	free(t.target);
	free(t.at);
	free(t.reachable);
	return ret;
}

int
sl_translate_load(const struct bpf_program *program, struct rte_bpf **bpf, sl_filter_fn *fn, const char **why)
{
	struct rte_bpf_prm prm = {0};
	struct rte_bpf_jit jit = {0};
	struct ebpf_insn *ins;
	uint32_t count;
	int ret;

	ret = sl_translate(program, &ins, &count, why);
	if (ret != 0)
		return ret;
	prm.ins = ins;
	prm.nb_ins = count;
	prm.prog_arg.type = RTE_BPF_ARG_PTR;
	/* Larger than any access that the checker can't place exactly; the program's own checks against caplen count.
	 */
	prm.prog_arg.size = 4 * (size_t)SL_TRANSLATE_MAX_CAPLEN;
	*bpf = rte_bpf_load(&prm);
	free(ins);
	if (*bpf == NULL) {
		*why = "DPDK's checker refuses it";
		return -ENOTSUP;
	}
	/* A JIT that fails says nothing when loading; and rte_bpf_exec() would be slower than libpcap. */
	if (rte_bpf_get_jit(*bpf, &jit) != 0 || jit.func == NULL) {
		rte_bpf_destroy(*bpf);
		*bpf = NULL;
		*why = "no JIT compiler for it on this machine";
		return -ENOTSUP;
	}
	*fn = (sl_filter_fn)jit.func;
	return 0;
}
