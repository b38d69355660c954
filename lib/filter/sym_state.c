/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <string.h>

#include "insn.h"
#include "sym_state.h"

/* Values of "a op k" over a range of a. */
static struct sl_domain
alu_range(uint8_t op, const struct sl_domain *a, uint32_t k)
{
	uint32_t lo = sl_domain_min(a), hi = sl_domain_max(a);

	switch (op) {
	case BPF_ADD:
		if (hi <= UINT32_MAX - k)
			return sl_domain_range(lo + k, hi + k);
		break;
	case BPF_SUB:
		if (lo >= k)
			return sl_domain_range(lo - k, hi - k);
		break;
	case BPF_MUL:
		if (k == 0 || hi <= UINT32_MAX / k)
			return sl_domain_range(lo * k, hi * k);
		break;
	case BPF_DIV:
		if (k != 0)
			return sl_domain_range(lo / k, hi / k);
		break;
	case BPF_MOD:
		if (k != 0)
			return hi < k ? sl_domain_range(lo, hi) : sl_domain_range(0, k - 1);
		break;
	case BPF_AND:
		return sl_domain_range(0, hi < k ? hi : k);
	case BPF_OR:
		return sl_domain_range(k > lo ? k : lo, UINT32_MAX);
	case BPF_LSH:
		if (k >= 32)
			return sl_domain_one(0);
		if (hi <= UINT32_MAX >> k)
			return sl_domain_range(lo << k, hi << k);
		break;
	case BPF_RSH:
		return k < 32 ? sl_domain_range(lo >> k, hi >> k) : sl_domain_one(0);
	default:
		break;
	}
	return sl_domain_range(0, UINT32_MAX);
}

static const struct sl_domain *
find_fact(const struct sl_sym_state *s, uint32_t expr)
{
	for (unsigned int i = 0; i < s->fact_count; i++)
		if (s->facts[i].expr == expr)
			return &s->facts[i].domain;
	return NULL;
}

static struct sl_domain value_of(
	const struct sl_sym *sym, const struct sl_sym_state *s, uint32_t expr, unsigned int depth);

static struct sl_domain
alu_value_of(const struct sl_sym *sym, const struct sl_sym_state *s, const struct sl_sym_expr *e, unsigned int depth)
{
	struct sl_domain a, b, r;
	uint32_t k;

	if (depth > 16)
		return sl_domain_range(0, UINT32_MAX);
	a = value_of(sym, s, e->a, depth + 1);
	b = value_of(sym, s, e->b, depth + 1);
	if (sl_domain_empty(&a) || sl_domain_empty(&b))
		return sl_domain_range(0, UINT32_MAX);
	if (!sl_domain_single(&b, &k))
		return e->alu == BPF_AND ? sl_domain_range(0, sl_domain_max(&a) < sl_domain_max(&b) ? sl_domain_max(&a)
												    : sl_domain_max(&b))
					 : sl_domain_range(0, UINT32_MAX);
	if (!a.listed)
		return alu_range(e->alu, &a, k);
	r = (struct sl_domain){.listed = true};
	for (unsigned int i = 0; i < a.count; i++) {
		struct sl_domain one = sl_domain_one(sl_sym_alu_value(e->alu, a.values[i], k));

		r = sl_domain_union(&r, &one);
	}
	return r;
}

/* All values an expression can have, as far as known. */
static struct sl_domain
value_of(const struct sl_sym *sym, const struct sl_sym_state *s, uint32_t expr, unsigned int depth)
{
	const struct sl_domain *known = find_fact(s, expr);
	const struct sl_sym_expr *e = &sym->exprs[expr];
	struct sl_domain r = sl_domain_range(0, UINT32_MAX);

	switch (e->op) {
	case SL_SYM_CONST:
		return sl_domain_one(e->k);
	case SL_SYM_LOAD:
		if (e->size < 4)
			r = sl_domain_range(0, (1u << (8 * e->size)) - 1);
		break;
	case SL_SYM_ALU:
		r = alu_value_of(sym, s, e, depth);
		break;
	default:
		break;
	}
	return known != NULL ? sl_domain_intersect(&r, known) : r;
}

static void
set_fact(struct sl_sym_state *s, uint32_t expr, const struct sl_domain *d)
{
	for (unsigned int i = 0; i < s->fact_count; i++)
		if (s->facts[i].expr == expr) {
			s->facts[i].domain = *d;
			return;
		}
	if (s->fact_count == SL_SYM_MAX_FACTS) {
		/* Forget the oldest: knowing less only shows less. */
		memmove(&s->facts[0], &s->facts[1], (SL_SYM_MAX_FACTS - 1) * sizeof(s->facts[0]));
		s->fact_count--;
	}
	s->facts[s->fact_count++] = (struct sl_sym_fact){.expr = expr, .domain = *d};
}

/* Take from a short list of values those that contradict what is known of expressions of them. */
static struct sl_domain
filter_by_masks(const struct sl_sym *sym, const struct sl_sym_state *s, uint32_t expr, struct sl_domain d)
{
	if (!d.listed)
		return d;
	for (unsigned int i = 0; i < s->fact_count; i++) {
		const struct sl_sym_expr *e = &sym->exprs[s->facts[i].expr];
		struct sl_domain kept = {.listed = true};

		if (e->op != SL_SYM_ALU || e->a != expr || sym->exprs[e->b].op != SL_SYM_CONST)
			continue;
		for (unsigned int j = 0; j < d.count; j++) {
			struct sl_domain one = sl_domain_one(d.values[j]);

			if (sl_domain_has(
				    &s->facts[i].domain, sl_sym_alu_value(e->alu, d.values[j], sym->exprs[e->b].k)))
				kept = sl_domain_union(&kept, &one);
		}
		d = kept;
	}
	return d;
}

static uint32_t
byte_of(uint32_t value, uint8_t size, uint32_t i)
{
	return value >> (8u * (size - 1u - i)) & 0xff;
}

/* Do two loads agree in the bytes that both read? Only what is one value is looked at. */
static bool
loads_agree(const struct sl_sym_expr *a, uint32_t va, const struct sl_sym_expr *b, uint32_t vb)
{
	for (uint32_t i = 0; i < a->size; i++) {
		uint32_t j = a->k + i - b->k;

		if (a->k + i >= b->k && j < b->size && byte_of(va, a->size, i) != byte_of(vb, b->size, j))
			return false;
	}
	return true;
}

static bool
agrees_with_loads(const struct sl_sym *sym, const struct sl_sym_state *s, uint32_t expr, uint32_t value)
{
	const struct sl_sym_expr *e = &sym->exprs[expr];
	uint32_t other;

	for (unsigned int i = 0; i < s->fact_count; i++) {
		const struct sl_sym_expr *f = &sym->exprs[s->facts[i].expr];

		if (f->op == SL_SYM_LOAD && f->a == e->a && sl_domain_single(&s->facts[i].domain, &other) &&
			!loads_agree(e, value, f, other))
			return false;
	}
	return true;
}

/*
 * The value of an expression when a load has a given value.
 *
 * @return false: it depends on something else too
 */
static bool
evaluate(const struct sl_sym *sym, uint32_t expr, uint32_t load, uint32_t value, unsigned int depth, uint32_t *result)
{
	const struct sl_sym_expr *e = &sym->exprs[expr];
	uint32_t a, b;

	if (expr == load) {
		*result = value;
		return true;
	}
	if (e->op == SL_SYM_CONST) {
		*result = e->k;
		return true;
	}
	if (e->op != SL_SYM_ALU || depth > 8 || !evaluate(sym, e->a, load, value, depth + 1, &a) ||
		!evaluate(sym, e->b, load, value, depth + 1, &b))
		return false;
	*result = sl_sym_alu_value(e->alu, a, b);
	return true;
}

/* The load of one byte that an expression is made of, if there is one. */
static uint32_t
find_byte(const struct sl_sym *sym, uint32_t expr, unsigned int depth)
{
	const struct sl_sym_expr *e = &sym->exprs[expr];
	uint32_t found;

	if (e->op == SL_SYM_LOAD)
		return e->size == 1 ? expr : SL_SYM_NONE;
	if (e->op != SL_SYM_ALU || depth > 8)
		return SL_SYM_NONE;
	found = find_byte(sym, e->a, depth + 1);
	return found != SL_SYM_NONE ? found : find_byte(sym, e->b, depth + 1);
}

/* Is there a value of that byte with which all that is known of it is true? */
static bool
byte_possible(const struct sl_sym *sym, const struct sl_sym_state *s, uint32_t load)
{
	for (uint32_t v = 0; v < 256; v++) {
		bool ok = agrees_with_loads(sym, s, load, v);

		for (unsigned int i = 0; i < s->fact_count && ok; i++) {
			uint32_t r;

			if (evaluate(sym, s->facts[i].expr, load, v, 0, &r))
				ok = sl_domain_has(&s->facts[i].domain, r);
		}
		if (ok)
			return true;
	}
	return false;
}

/* Learn that an expression lies in d. @return false: it can't */
static bool
learn(const struct sl_sym *sym, struct sl_sym_state *s, uint32_t expr, const struct sl_domain *d)
{
	struct sl_domain now = value_of(sym, s, expr, 0);
	uint32_t value, byte;

	now = sl_domain_intersect(&now, d);
	now = filter_by_masks(sym, s, expr, now);
	if (sl_domain_empty(&now))
		return false;
	if (sym->exprs[expr].op != SL_SYM_CONST)
		set_fact(s, expr, &now);
	if (sym->exprs[expr].op == SL_SYM_LOAD && sl_domain_single(&now, &value) &&
		!agrees_with_loads(sym, s, expr, value))
		return false;
	byte = find_byte(sym, expr, 0);
	return byte == SL_SYM_NONE || byte_possible(sym, s, byte);
}

/* Values v with "v op k" as said. */
static bool
learn_comparison(const struct sl_sym *sym, struct sl_sym_state *s, uint8_t op, bool yes, uint32_t expr, uint32_t k)
{
	struct sl_domain d;

	switch (op) {
	case BPF_JEQ:
		d = yes ? sl_domain_one(k) : value_of(sym, s, expr, 0);
		if (!yes)
			d = sl_domain_without(&d, k);
		break;
	case BPF_JGT:
		if (yes && k == UINT32_MAX)
			return false;
		d = yes ? sl_domain_range(k + 1, UINT32_MAX) : sl_domain_range(0, k);
		break;
	default: /* BPF_JGE */
		if (!yes && k == 0)
			return false;
		d = yes ? sl_domain_range(k, UINT32_MAX) : sl_domain_range(0, k - 1);
		break;
	}
	return learn(sym, s, expr, &d);
}

bool
sl_sym_take(struct sl_sym *sym, struct sl_sym_state *s, const struct bpf_insn *i, bool yes)
{
	uint8_t op = BPF_OP(i->code);
	uint32_t left = s->reg[SL_SYM_A];
	uint32_t right = BPF_SRC(i->code) == BPF_X ? s->reg[SL_SYM_X] : sl_sym_const(sym, i->k);
	struct sl_domain a, b;
	uint32_t k;

	if (sym->full)
		return true;
	if (op == BPF_JSET) {
		/* "A & k is zero, or not" is knowledge about the masked value. */
		left = sl_sym_make(sym, (struct sl_sym_expr){.op = SL_SYM_ALU, .alu = BPF_AND, .a = left, .b = right});
		if (sym->full)
			return true;
		return learn_comparison(sym, s, BPF_JEQ, !yes, left, 0);
	}
	b = value_of(sym, s, right, 0);
	if (sl_domain_single(&b, &k))
		return learn_comparison(sym, s, op, yes, left, k);
	if (left == right)
		return op == BPF_JGT ? !yes : yes;
	a = value_of(sym, s, left, 0);
	if (sl_domain_empty(&a) || sl_domain_empty(&b))
		return true;
	switch (op) {
	case BPF_JEQ:
		a = sl_domain_intersect(&a, &b);
		return !yes || !sl_domain_empty(&a);
	case BPF_JGT:
		return yes ? sl_domain_max(&a) > sl_domain_min(&b) : sl_domain_min(&a) <= sl_domain_max(&b);
	default:
		return yes ? sl_domain_max(&a) >= sl_domain_min(&b) : sl_domain_min(&a) < sl_domain_max(&b);
	}
}

static uint32_t
make_load(struct sl_sym *sym, const struct sl_sym_state *s, const struct bpf_insn *i)
{
	uint32_t e;

	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		return sl_sym_make(
			sym, (struct sl_sym_expr){.op = SL_SYM_LOAD, .size = sl_insn_load_size(i->code), .k = i->k});
	case BPF_IND:
		e = s->reg[SL_SYM_X];
		return sl_sym_make(sym,
			(struct sl_sym_expr){.op = SL_SYM_LOAD, .size = sl_insn_load_size(i->code), .a = e, .k = i->k});
	case BPF_MSH:
		e = sl_sym_make(sym, (struct sl_sym_expr){.op = SL_SYM_LOAD, .size = 1, .k = i->k});
		e = sl_sym_alu(sym, BPF_AND, e, sl_sym_const(sym, 0xf));
		return sl_sym_alu(sym, BPF_LSH, e, sl_sym_const(sym, 2));
	case BPF_LEN:
		return sl_sym_make(sym, (struct sl_sym_expr){.op = SL_SYM_LEN});
	case BPF_MEM:
		return s->reg[i->k];
	default: /* BPF_IMM */
		return sl_sym_const(sym, i->k);
	}
}

void
sl_sym_step(struct sl_sym *sym, struct sl_sym_state *s, const struct bpf_insn *i)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		s->reg[SL_SYM_A] = make_load(sym, s, i);
		break;
	case BPF_LDX:
		s->reg[SL_SYM_X] = make_load(sym, s, i);
		break;
	case BPF_ST:
		s->reg[i->k] = s->reg[SL_SYM_A];
		break;
	case BPF_STX:
		s->reg[i->k] = s->reg[SL_SYM_X];
		break;
	case BPF_ALU:
		s->reg[SL_SYM_A] = sl_sym_alu(sym, BPF_OP(i->code), s->reg[SL_SYM_A],
			BPF_OP(i->code) != BPF_NEG && BPF_SRC(i->code) == BPF_X ? s->reg[SL_SYM_X]
										: sl_sym_const(sym, i->k));
		break;
	default: /* BPF_MISC */
		if (BPF_MISCOP(i->code) == BPF_TAX)
			s->reg[SL_SYM_X] = s->reg[SL_SYM_A];
		else
			s->reg[SL_SYM_A] = s->reg[SL_SYM_X];
		break;
	}
}

void
sl_sym_start(struct sl_sym *sym, struct sl_sym_state *s)
{
	*s = (struct sl_sym_state){0};
	s->reg[SL_SYM_A] = s->reg[SL_SYM_X] = sl_sym_const(sym, 0);
}

static struct sl_domain
reg_domain(const struct sl_sym *sym, const struct sl_sym_state *s, uint32_t expr)
{
	return expr == SL_SYM_NONE ? sl_domain_range(0, UINT32_MAX) : value_of(sym, s, expr, 0);
}

void
sl_sym_join(struct sl_sym *sym, struct sl_sym_state *into, const struct sl_sym_state *from, uint32_t pc)
{
	struct sl_sym_state r = {0};

	for (unsigned int i = 0; i < SL_SYM_REGS; i++) {
		struct sl_domain a, b;

		if (into->reg[i] == from->reg[i]) {
			r.reg[i] = into->reg[i];
			continue;
		}
		r.reg[i] = sl_sym_make(sym, (struct sl_sym_expr){.op = SL_SYM_JOIN, .b = i, .k = pc});
		if (sym->full)
			return;
		a = reg_domain(sym, into, into->reg[i]);
		b = reg_domain(sym, from, from->reg[i]);
		a = sl_domain_union(&a, &b);
		if (i >= SL_SYM_A)
			set_fact(&r, r.reg[i], &a);
	}
	for (unsigned int i = 0; i < into->fact_count + from->fact_count; i++) {
		const struct sl_sym_fact *f =
			i < into->fact_count ? &into->facts[i] : &from->facts[i - into->fact_count];
		struct sl_domain a, b;

		if (find_fact(&r, f->expr) != NULL || r.fact_count == SL_SYM_MAX_FACTS)
			continue;
		/* A join's expression means the value at its own instruction; both states must speak of that. */
		a = value_of(sym, into, f->expr, 0);
		b = value_of(sym, from, f->expr, 0);
		a = sl_domain_union(&a, &b);
		set_fact(&r, f->expr, &a);
	}
	*into = r;
}
