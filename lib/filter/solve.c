/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/* How concolic.h's functions that change a packet find the bytes: the operations of a value undone one by one. */

#include "concolic.h"
#include "insn.h"
#include "value.h"

/* Values tried for a comparison, see candidate(). */
#define MAX_CANDIDATES 40u
/* Constants of a list of comparisons that are tried. */
#define CHAIN 4u

/* How deep an expression is solved; programs of libpcap stay far below. */
#define SOLVE_DEPTH 32u

struct goal {
	uint32_t want; /* the value ... */
	uint32_t care; /* ... in these bits; the others may stay as they are */
};

static bool solve(const struct sl_trace *t, uint32_t value, struct goal g, unsigned int depth, bool other_first,
	struct sl_packet *p);

static void
write_bytes(const struct sl_value *v, struct goal g, struct sl_packet *p)
{
	for (uint8_t i = 0; i < v->size; i++) {
		unsigned int shift = 8u * (v->size - 1u - i);
		uint8_t care = (uint8_t)(g.care >> shift);
		uint8_t *byte = &p->data[v->off + i];

		*byte = (uint8_t)((*byte & ~care) | ((g.want >> shift) & care));
	}
}

/* The inverse of odd k modulo 2^32, by Newton's iteration (each step doubles the right bits). */
static uint32_t
inverse(uint32_t k)
{
	uint32_t r = k;

	for (int i = 0; i < 5; i++)
		r *= 2u - k * r;
	return r;
}

/* Solve "a op k == want" for a, where k is what the other operand is now. @return false: no such a */
static bool
solve_left(uint8_t op, uint32_t k, uint32_t now, struct goal *g)
{
	switch (op) {
	case BPF_ADD:
		g->want = ((g->want & g->care) | (now & ~g->care)) - k;
		g->care = UINT32_MAX;
		return true;
	case BPF_SUB:
		g->want = ((g->want & g->care) | (now & ~g->care)) + k;
		g->care = UINT32_MAX;
		return true;
	case BPF_XOR:
		g->want ^= k;
		return true;
	case BPF_AND:
		if ((g->want & g->care & ~k) != 0)
			return false;
		g->care &= k;
		return true;
	case BPF_OR:
		if ((~g->want & g->care & k) != 0)
			return false;
		g->care &= ~k;
		return true;
	case BPF_LSH:
		if (k >= 32 || (g->want & g->care & ~(UINT32_MAX << k)) != 0)
			return (g->want & g->care) == 0 && k >= 32;
		g->want >>= k;
		g->care >>= k;
		return true;
	case BPF_RSH:
		if (k >= 32 || (g->want & g->care & ~(UINT32_MAX >> k)) != 0)
			return (g->want & g->care) == 0 && k >= 32;
		g->want <<= k;
		g->care <<= k;
		return true;
	case BPF_MUL:
		g->want = (g->want & g->care) | (now & ~g->care);
		g->care = UINT32_MAX;
		if (k & 1) {
			g->want *= inverse(k);
			return true;
		}
		if (k == 0 || g->want % k != 0)
			return false;
		g->want /= k;
		return true;
	case BPF_DIV:
		g->want = (g->want & g->care) | (now & ~g->care);
		g->care = UINT32_MAX;
		if (k != 0 && g->want > UINT32_MAX / k)
			return false;
		g->want *= k;
		return true;
	case BPF_MOD:
		g->want = (g->want & g->care) | (now & ~g->care);
		g->care = UINT32_MAX;
		return g->want < k;
	default: /* BPF_NEG */
		g->want = 0u - ((g->want & g->care) | (now & ~g->care));
		g->care = UINT32_MAX;
		return true;
	}
}

/* Solve "k op b == want" for b. @return false: not tried */
static bool
solve_right(uint8_t op, uint32_t k, uint32_t now, struct goal *g)
{
	uint32_t want = (g->want & g->care) | (now & ~g->care);
	uint32_t got;

	switch (op) {
	case BPF_ADD:
	case BPF_XOR:
	case BPF_AND:
	case BPF_OR:
	case BPF_MUL:
		return solve_left(op, k, now, g);
	case BPF_SUB:
		g->want = k - want;
		break;
	case BPF_DIV:
		g->want = want != 0 ? k / want : UINT32_MAX;
		break;
	case BPF_MOD:
		if (want > k)
			return false;
		g->want = want == k ? UINT32_MAX : k - want;
		break;
	case BPF_LSH:
	case BPF_RSH:
		for (uint32_t s = 0; s <= 32; s++) {
			uint32_t r;

			sl_insn_alu(op, k, s, &r);
			if (((r ^ g->want) & g->care) != 0)
				continue;
			g->want = s;
			g->care = UINT32_MAX;
			return true;
		}
		return false;
	default:
		return false;
	}
	g->care = UINT32_MAX;
	/* Quotients and remainders don't take every value. */
	return sl_insn_alu(op, k, g->want, &got) && got == want;
}

/* Neither operand alone can do it: make the right one something simple, then solve the left one. */
static bool
solve_both(const struct sl_trace *t, const struct sl_value *v, struct goal g, unsigned int depth, bool other_first,
	struct sl_packet *p)
{
	const uint32_t simple[] = {0, 1, g.want + 1, g.want, 2, UINT8_MAX, 4, 8, 12, 16, 24};

	if (t->values[v->a].op == SL_VALUE_CONST || t->values[v->b].op == SL_VALUE_CONST || depth > 4)
		return false;
	for (unsigned int i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
		struct goal left = g, right = {.want = simple[i], .care = UINT32_MAX};

		if (solve_left(v->alu, simple[i], v->value, &left) &&
			solve(t, v->b, right, depth + 1, other_first, p) &&
			solve(t, v->a, left, depth + 1, other_first, p))
			return true;
	}
	return false;
}

static bool
solve_alu(const struct sl_trace *t, const struct sl_value *v, struct goal g, unsigned int depth, bool other_first,
	struct sl_packet *p)
{
	const struct sl_value *a = &t->values[v->a];
	const struct sl_value *b = &t->values[v->b];

	for (int side = 0; side < 2; side++) {
		struct goal sub = g;

		if ((side == 0) != other_first) {
			if (a->op != SL_VALUE_CONST && solve_left(v->alu, b->value, v->value, &sub) &&
				solve(t, v->a, sub, depth + 1, other_first, p))
				return true;
		} else {
			if (b->op != SL_VALUE_CONST && solve_right(v->alu, a->value, v->value, &sub) &&
				solve(t, v->b, sub, depth + 1, other_first, p))
				return true;
		}
	}
	return solve_both(t, v, g, depth, other_first, p);
}

/* Make a value what is wanted, everything else staying as it was in the traced run. */
static bool
solve(const struct sl_trace *t, uint32_t value, struct goal g, unsigned int depth, bool other_first,
	struct sl_packet *p)
{
	const struct sl_value *v = &t->values[value];
	uint32_t reach;

	if (((v->value ^ g.want) & g.care) == 0)
		return true;
	switch (v->op) {
	case SL_VALUE_LOAD:
		reach = v->size == 4 ? UINT32_MAX : (1u << (8 * v->size)) - 1;
		if ((g.want & g.care & ~reach) != 0)
			return false;
		write_bytes(v, g, p);
		return true;
	case SL_VALUE_LEN:
		p->len = (g.want & g.care) | (p->len & ~g.care);
		return true;
	case SL_VALUE_ALU:
		return depth < SOLVE_DEPTH && solve_alu(t, v, g, depth, other_first, p);
	default:
		return false;
	}
}

/* Values for A that make "A op k" be yes. @return false: no more */
static bool
candidate(uint8_t op, bool yes, uint32_t k, unsigned int n, struct goal *g)
{
	g->care = UINT32_MAX;
	if (op == BPF_JSET && yes) {
		/* Each bit of the mask alone. */
		for (unsigned int bit = 0; bit < 32; bit++)
			if ((k >> bit & 1) != 0 && n-- == 0) {
				g->want = g->care = 1u << bit;
				return true;
			}
		return false;
	}
	if (op == BPF_JSET) {
		g->want = 0;
		g->care = k;
		return n == 0;
	}
	if (op == BPF_JEQ && yes) {
		g->want = k;
		return n == 0;
	}
	if (op == BPF_JEQ) {
		/* One bit other, then far away. */
		g->want = n < 32 ? k ^ 1u << n : n == 32 ? 0 : n == 33 ? UINT32_MAX : k + 1;
		return n < 35;
	}
	if (op == BPF_JGT) {
		/* A > k is A >= k + 1. */
		if (k == UINT32_MAX)
			return false;
		k++;
	}
	/* JGE: at the boundary first, where mistakes are; then with more and more low bits zero, for masks and shifts.
	 */
	if (yes) {
		const uint32_t above[] = {k, UINT32_MAX, UINT16_MAX, UINT8_MAX, k + 1};
		const unsigned int fixed = sizeof(above) / sizeof(above[0]);
		unsigned int shift = n - fixed + 1;

		if (n >= fixed && shift > 31)
			return false;
		g->want = n < fixed ? above[n] : ((k >> shift) + 1) << shift;
		if (g->want < k)
			g->want = k;
		return true;
	} else {
		const uint32_t below[] = {k - 1, 0, k - 2, k / 2, 1};
		const unsigned int fixed = sizeof(below) / sizeof(below[0]);
		unsigned int shift = n - fixed + 1;

		if (k == 0 || (n >= fixed && shift > 31))
			return false;
		g->want = n < fixed ? below[n] : (k - 1) >> shift << shift;
		if (g->want >= k)
			g->want = 0;
		return true;
	}
}

/*
 * Where "A == K" leads to another comparison of A for equality when it fails, as in a list of protocols: that constant.
 */
static bool
next_constant(const struct bpf_program *program, uint32_t pc, unsigned int n, struct goal *g)
{
	const struct bpf_insn *i = &program->bf_insns[pc];

	do {
		pc += 1 + i->jf;
		i = &program->bf_insns[pc];
		if (i->code != (BPF_JMP | BPF_JEQ | BPF_K))
			return false;
	} while (n-- > 0);
	g->want = i->k;
	g->care = UINT32_MAX;
	return true;
}

/* The same comparison seen from the other side: "A op X" as a condition on X. */
static bool
candidate_right(uint8_t op, bool yes, uint32_t a, unsigned int n, struct goal *g)
{
	switch (op) {
	case BPF_JEQ:
	case BPF_JSET:
		return candidate(op, yes, a, n, g);
	case BPF_JGT: /* a > x: not x >= a */
		return candidate(BPF_JGE, !yes, a, n, g);
	default: /* a >= x: not x > a */
		return candidate(BPF_JGT, !yes, a, n, g);
	}
}

int
sl_trace_flip(
	const struct sl_trace *trace, const struct sl_branch *branch, unsigned int attempt, struct sl_packet *packet)
{
	uint8_t op = BPF_OP(trace->program->bf_insns[branch->pc].code);
	const struct sl_value *a = &trace->values[branch->left];
	const struct sl_value *b = &trace->values[branch->right];
	/* Four ways to go about each candidate: which side, and which operand of an expression first. */
	bool right = (attempt & 1) != 0;
	bool other_first = (attempt & 2) != 0;
	unsigned int n = attempt / 4;
	struct goal g;

	if (op == BPF_JEQ && branch->taken && attempt < 4 * CHAIN) {
		if ((attempt & 3) != 0 || !next_constant(trace->program, branch->pc, n, &g))
			return 1;
		return solve(trace, branch->left, g, 0, false, packet) ? 0 : 1;
	}
	n -= op == BPF_JEQ && branch->taken ? CHAIN : 0;
	if (right ? !candidate_right(op, !branch->taken, a->value, n, &g)
		  : !candidate(op, !branch->taken, b->value, n, &g))
		return attempt >= 4 * (MAX_CANDIDATES + CHAIN) ? -1 : 1;
	if ((right ? b : a)->op == SL_VALUE_CONST || (other_first && (right ? b : a)->op != SL_VALUE_ALU))
		return 1;
	return solve(trace, right ? branch->right : branch->left, g, 0, other_first, packet) ? 0 : 1;
}

int
sl_trace_pull(const struct sl_trace *trace, unsigned int attempt, struct sl_packet *packet)
{
	/* From the front of the packet, where headers are, and with the operands of an expression in either order. */
	static const uint32_t offsets[] = {40, 20, 8, 0, 60, 4, 100};
	struct goal g = {.care = UINT32_MAX};

	if (!trace->out_of_bounds || trace->oob_index == 0 || attempt / 2 >= sizeof(offsets) / sizeof(offsets[0]))
		return -1;
	g.want = offsets[attempt / 2];
	return solve(trace, trace->oob_index, g, 0, attempt % 2 != 0, packet) ? 0 : 1;
}

int
sl_trace_aim(
	const struct sl_trace *trace, const struct sl_branch *branch, unsigned int attempt, struct sl_packet *packet)
{
	bool bits = BPF_OP(trace->program->bf_insns[branch->pc].code) == BPF_JSET;
	bool right = trace->values[branch->left].op == SL_VALUE_CONST;
	uint32_t k = trace->values[right ? branch->left : branch->right].value;
	const uint32_t near[] = {bits ? 0 : k, bits ? UINT32_MAX : k - 1, bits ? k : k + 1};
	struct goal g = {.care = UINT32_MAX};

	if (attempt >= 3 + 32)
		return -1;
	g.want = attempt < 3 ? near[attempt] : 1u << (attempt - 3) ^ (bits ? 0 : k);
	return solve(trace, right ? branch->right : branch->left, g, 0, false, packet) ? 0 : 1;
}
