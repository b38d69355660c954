/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>

#include "translation.h"

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
find_reachable(struct sl_translation *t)
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
		return BPF_RVAL(p->code) == BPF_A ? SL_LIVE_A : 0;
	case BPF_LD:
		behind &= ~SL_LIVE_A;
		if (BPF_MODE(p->code) == BPF_IND)
			behind |= SL_LIVE_X;
		if (BPF_MODE(p->code) == BPF_MEM)
			behind |= SL_LIVE_M(p->k);
		return behind;
	case BPF_LDX:
		behind &= ~SL_LIVE_X;
		if (BPF_MODE(p->code) == BPF_MEM)
			behind |= SL_LIVE_M(p->k);
		return behind;
	case BPF_ST:
		return (behind & ~SL_LIVE_M(p->k)) | SL_LIVE_A;
	case BPF_STX:
		return (behind & ~SL_LIVE_M(p->k)) | SL_LIVE_X;
	case BPF_ALU:
		return behind | SL_LIVE_A | (by_x && BPF_OP(p->code) != BPF_NEG ? SL_LIVE_X : 0);
	case BPF_MISC:
		return BPF_MISCOP(p->code) == BPF_TAX ? (behind & ~SL_LIVE_X) | SL_LIVE_A
						      : (behind & ~SL_LIVE_A) | SL_LIVE_X;
	default: /* BPF_JMP; JA reads nothing */
		return BPF_OP(p->code) == BPF_JA ? behind : behind | SL_LIVE_A | (by_x ? SL_LIVE_X : 0);
	}
}

/* What the program reads before it has written it. */
static int
live_at_start(const struct sl_translation *t, uint32_t *live)
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

int
sl_translation_accept(struct sl_translation *t, uint32_t *live, const char **why)
{
	int ret;

	for (uint32_t i = 0; i < t->in_count; i++) {
		*why = unsupported(t->in, i, t->in_count);
		if (*why != NULL)
			return -ENOTSUP;
	}
	*why = find_reachable(t);
	if (*why != NULL)
		return -ENOTSUP;
	ret = live_at_start(t, live);
	if (ret != 0) {
		*why = "no memory";
		return ret;
	}
	if ((*live & SL_LIVE_ALL_M) != 0) {
		*why = "reads scratch memory that was not written: undefined in libpcap, 0 here";
		return -ENOTSUP;
	}
	return 0;
}
