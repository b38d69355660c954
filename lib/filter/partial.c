/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "partial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "insn.h"

/* 32 bits, some of them known; the others are 0 in value. */
struct bits {
	uint32_t known, value;
};

/* What is known before an instruction, whatever path leads to it. */
struct state {
	bool reached;
	struct bits a, x, mem[BPF_MEMWORDS];
};

struct walk {
	const struct sl_known *known;
	uint32_t max_end;
	struct sl_partial *partial;
	const struct bpf_insn *insns;
	bool *live_a; /* by instruction: is A as it is before used? */
	struct state *states; /* by instruction: jumps only go forward, so one pass sees all ways to it */
	bool accepts, rejects;
};

static struct bits
constant(uint32_t value)
{
	return (struct bits){UINT32_MAX, value};
}

static bool
is_known(struct bits b)
{
	return b.known == UINT32_MAX;
}

static void
meet(struct bits *into, struct bits other)
{
	into->known &= other.known & ~(into->value ^ other.value);
	into->value &= into->known;
}

static void
flow(struct walk *w, uint32_t to, const struct state *from)
{
	struct state *s = &w->states[to];

	if (!s->reached) {
		*s = *from;
		return;
	}
	meet(&s->a, from->a);
	meet(&s->x, from->x);
	for (unsigned int i = 0; i < BPF_MEMWORDS; i++)
		meet(&s->mem[i], from->mem[i]);
}

/* @return false: the bytes cannot be named */
static bool
load_known(const struct sl_known *known, uint64_t off, uint32_t size, uint32_t max_end, struct bits *result)
{
	if (off + size > max_end || off + size > SL_TRACK_WINDOW)
		return false;
	*result = constant(0);
	for (uint64_t at = off; at < off + size; at++) {
		result->known = result->known << 8 | known->bits[at];
		result->value = result->value << 8 | known->values[at];
	}
	return true;
}

/* The same, noting that the bits of `wanted` may decide. */
static bool
load(struct walk *w, uint64_t off, uint32_t size, uint32_t wanted, struct bits *result)
{
	struct sl_partial *p = w->partial;

	if (!load_known(w->known, off, size, w->max_end, result))
		return false;
	for (uint32_t i = 0; i < size; i++)
		p->matters[off + i] |= (uint8_t)(wanted >> 8 * (size - 1 - i));
	if (off + size > p->end)
		p->end = (uint32_t)(off + size);
	return true;
}

/* Which bits of a value loaded into A by this instruction are ever looked at: often it is masked at once. */
static uint32_t
wanted_bits(const struct walk *w, uint32_t pc)
{
	const struct bpf_insn *next = &w->insns[pc + 1];

	if (next->code == (BPF_ALU | BPF_AND | BPF_K))
		return next->k;
	if (next->code == (BPF_JMP | BPF_JSET | BPF_K) && !w->live_a[pc + 2 + next->jt] &&
		!w->live_a[pc + 2 + next->jf])
		return next->k;
	return UINT32_MAX;
}

/* @return false: where it loads from cannot be told */
static bool
load_packet(struct walk *w, uint32_t pc, struct bits x, struct bits *result)
{
	const struct bpf_insn *i = &w->insns[pc];
	uint64_t off = i->k;

	if (BPF_MODE(i->code) == BPF_IND) {
		if (!is_known(x))
			return false;
		off += x.value;
	}
	return load(w, off, sl_insn_load_size(i->code), wanted_bits(w, pc), result);
}

/* Backwards: jumps only go forward. */
static void
find_live(const struct bpf_insn *insns, uint32_t count, bool *live)
{
	for (uint32_t pc = count; pc-- > 0;) {
		const struct bpf_insn *i = &insns[pc];

		switch (BPF_CLASS(i->code)) {
		case BPF_RET:
			live[pc] = BPF_RVAL(i->code) == BPF_A;
			break;
		case BPF_LD:
			live[pc] = false;
			break;
		case BPF_LDX:
		case BPF_STX:
			live[pc] = live[pc + 1];
			break;
		case BPF_MISC:
			live[pc] = BPF_MISCOP(i->code) == BPF_TAX;
			break;
		case BPF_JMP:
			live[pc] = i->code == (BPF_JMP | BPF_JA) ? live[pc + 1 + i->k] : true;
			break;
		default: /* BPF_ST, BPF_ALU */
			live[pc] = true;
			break;
		}
	}
}

static struct bits
alu(uint8_t op, struct bits a, struct bits b)
{
	uint32_t result;

	switch (op) {
	case BPF_AND: {
		uint32_t zero = (a.known & ~a.value) | (b.known & ~b.value), one = a.value & b.value;

		return (struct bits){zero | one, one};
	}
	case BPF_OR: {
		uint32_t one = a.value | b.value, zero = (a.known & ~a.value) & (b.known & ~b.value);

		return (struct bits){zero | one, one};
	}
	case BPF_LSH:
		if (is_known(b) && b.value < 32)
			return (struct bits){a.known << b.value | ((UINT32_C(1) << b.value) - 1), a.value << b.value};
		break;
	case BPF_RSH:
		if (is_known(b) && b.value < 32)
			return (struct bits){a.known >> b.value | ~(UINT32_MAX >> b.value), a.value >> b.value};
		break;
	default:
		break;
	}
	if (is_known(a) && (is_known(b) || op == BPF_NEG) && sl_insn_alu(op, a.value, b.value, &result))
		return constant(result);
	return (struct bits){0, 0};
}

/* Can the test come out true, can it come out false? */
static void
decide(uint16_t code, struct bits a, struct bits b, bool *yes, bool *no)
{
	uint32_t a_max = a.value | ~a.known, b_max = b.value | ~b.known;
	uint32_t both = a.known & b.known;

	*yes = *no = true;
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		*yes = ((a.value ^ b.value) & both) == 0;
		*no = !(is_known(a) && is_known(b) && a.value == b.value);
		break;
	case BPF_JGT:
		*yes = a_max > b.value;
		*no = a.value <= b_max;
		break;
	case BPF_JGE:
		*yes = a_max >= b.value;
		*no = a.value < b_max;
		break;
	default: /* BPF_JSET */
		*yes = (a_max & b_max) != 0;
		*no = (a.value & b.value) == 0;
		break;
	}
}

/* @return false: what follows cannot be told */
static bool
step(struct walk *w, const struct bpf_insn *i, uint32_t pc)
{
	struct state s = w->states[pc];
	struct bits k = constant(i->k), byte;
	bool yes, no;

	switch (BPF_CLASS(i->code)) {
	case BPF_RET:
		if (BPF_RVAL(i->code) == BPF_A) {
			w->accepts |= (s.a.value | ~s.a.known) != 0;
			w->rejects |= s.a.value == 0;
		} else {
			*(i->k != 0 ? &w->accepts : &w->rejects) = true;
		}
		return true;
	case BPF_LD:
		if (BPF_MODE(i->code) == BPF_IMM)
			s.a = k;
		else if (BPF_MODE(i->code) == BPF_MEM)
			s.a = s.mem[i->k];
		else if (!load_packet(w, pc, s.x, &s.a))
			return false;
		break;
	case BPF_LDX:
		if (BPF_MODE(i->code) == BPF_IMM) {
			s.x = k;
		} else if (BPF_MODE(i->code) == BPF_MEM) {
			s.x = s.mem[i->k];
		} else {
			if (!load(w, i->k, 1, 0xf, &byte))
				return false;
			s.x = alu(BPF_LSH, alu(BPF_AND, byte, constant(0xf)), constant(2));
		}
		break;
	case BPF_ST:
		s.mem[i->k] = s.a;
		break;
	case BPF_STX:
		s.mem[i->k] = s.x;
		break;
	case BPF_ALU:
		if ((BPF_OP(i->code) == BPF_DIV || BPF_OP(i->code) == BPF_MOD) && BPF_SRC(i->code) == BPF_X) {
			/* a divisor of 0 rejects */
			w->rejects |= s.x.value == 0;
			if (is_known(s.x) && s.x.value == 0)
				return true;
		}
		s.a = alu(BPF_OP(i->code), s.a, BPF_SRC(i->code) == BPF_X ? s.x : k);
		break;
	case BPF_MISC:
		if (BPF_MISCOP(i->code) == BPF_TAX)
			s.x = s.a;
		else
			s.a = s.x;
		break;
	default: /* BPF_JMP */
		if (i->code == (BPF_JMP | BPF_JA)) {
			flow(w, pc + 1 + i->k, &s);
			return true;
		}
		if (i->code == SL_BPF_JEQ_SLOT)
			yes = no = true;
		else
			decide(i->code, s.a, BPF_SRC(i->code) == BPF_X ? s.x : k, &yes, &no);
		if (yes)
			flow(w, pc + 1 + i->jt, &s);
		if (no)
			flow(w, pc + 1 + i->jf, &s);
		return true;
	}
	flow(w, pc + 1, &s);
	return true;
}

int
sl_partial_run(const struct bpf_insn *insns, uint32_t count, const struct sl_known *known, uint32_t max_end,
	struct sl_partial *partial)
{
	struct walk w = {.known = known, .max_end = max_end, .partial = partial, .insns = insns};
	bool told = true;

	*partial = (struct sl_partial){0};
	w.states = calloc(count, sizeof(*w.states));
	w.live_a = calloc(count, sizeof(*w.live_a));
	if (!w.states || !w.live_a) {
		free(w.states);
		free(w.live_a);
		return -ENOMEM;
	}
	find_live(insns, count, w.live_a);
	w.states[0] = (struct state){.reached = true, .a = constant(0), .x = constant(0)};
	for (unsigned int i = 0; i < BPF_MEMWORDS; i++)
		w.states[0].mem[i] = constant(0);
	for (uint32_t pc = 0; pc < count && told; pc++)
		if (w.states[pc].reached)
			told = step(&w, &insns[pc], pc);
	free(w.states);
	free(w.live_a);
	partial->result = !told        ? SL_PARTIAL_UNKNOWN
			  : !w.accepts ? SL_PARTIAL_REJECT
			  : !w.rejects ? SL_PARTIAL_ACCEPT
				       : SL_PARTIAL_OPEN;
	return 0;
}

/* ---------------------------------------------------------------- the one path */

/* What A or X holds: some bytes of the packet, masked and shifted, if it is not known. */
struct source {
	bool from_packet;
	uint8_t off, size, shift;
	uint32_t mask;
};

/* @return false: not masked bytes any more */
static bool
follow_alu(const struct bpf_insn *i, struct source *a)
{
	if (BPF_SRC(i->code) != BPF_K || !a->from_packet)
		return false;
	if (BPF_OP(i->code) == BPF_AND)
		a->mask &= a->shift < 32 ? i->k << a->shift : 0;
	else if (BPF_OP(i->code) == BPF_RSH && a->shift + i->k < 32)
		a->shift = (uint8_t)(a->shift + i->k);
	else
		return false;
	return true;
}

bool
sl_path_find(const struct bpf_insn *insns, const struct sl_known *known, uint32_t max_end, struct sl_path *path)
{
	struct bits a = constant(0), x = constant(0), byte;
	struct source from = {0};
	uint64_t off;

	*path = (struct sl_path){0};
	for (const struct bpf_insn *i = insns;; i++) {
		struct bits operand = BPF_SRC(i->code) == BPF_X ? x : constant(i->k);
		bool yes, no;

		switch (BPF_CLASS(i->code)) {
		case BPF_RET:
			if (BPF_RVAL(i->code) == BPF_A && !is_known(a))
				return false;
			path->accept = (BPF_RVAL(i->code) == BPF_A ? a.value : i->k) != 0;
			return true;
		case BPF_LD:
			if (BPF_MODE(i->code) == BPF_IMM) {
				a = constant(i->k);
				from.from_packet = false;
				break;
			}
			if (BPF_MODE(i->code) == BPF_MEM || (BPF_MODE(i->code) == BPF_IND && !is_known(x)))
				return false;
			off = (uint64_t)i->k + (BPF_MODE(i->code) == BPF_IND ? x.value : 0);
			if (!load_known(known, off, sl_insn_load_size(i->code), max_end, &a))
				return false;
			from = (struct source){.from_packet = true,
				.off = (uint8_t)off,
				.size = sl_insn_load_size(i->code),
				.mask = UINT32_MAX};
			break;
		case BPF_LDX:
			if (BPF_MODE(i->code) == BPF_IMM)
				x = constant(i->k);
			else if (BPF_MODE(i->code) == BPF_MEM || !load_known(known, i->k, 1, max_end, &byte))
				return false;
			else
				x = alu(BPF_LSH, alu(BPF_AND, byte, constant(0xf)), constant(2));
			break;
		case BPF_ALU:
			a = alu(BPF_OP(i->code), a, operand);
			if (!follow_alu(i, &from)) {
				if (!is_known(a))
					return false;
				from.from_packet = false;
			}
			break;
		case BPF_MISC:
			if (BPF_MISCOP(i->code) == BPF_TAX) {
				x = a;
			} else if (is_known(x)) {
				a = x;
				from.from_packet = false;
			} else {
				return false;
			}
			break;
		case BPF_JMP:
			if (i->code == (BPF_JMP | BPF_JA)) {
				i += i->k;
				break;
			}
			if (i->code == SL_BPF_JEQ_SLOT) {
				if (!from.from_packet || path->count == SL_PATH_COMPARES)
					return false;
				path->compare[path->count].slot = i->k;
				path->compare[path->count].off = from.off;
				path->compare[path->count].size = from.size;
				path->compare[path->count].shift = from.shift;
				path->compare[path->count++].mask = from.mask;
				i += i->jf;
				break;
			}
			decide(i->code, a, operand, &yes, &no);
			if (yes && no)
				return false;
			i += yes ? i->jt : i->jf;
			break;
		default: /* BPF_ST, BPF_STX: scratch memory is rare */
			return false;
		}
	}
}
