/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"
#include "insn.h"
#include "unreach.h"

enum expr_op {
	EXPR_CONST, /* k */
	EXPR_LEN,
	EXPR_LOAD, /* size bytes at k + value of a (a: NO_EXPR for none) */
	EXPR_ALU, /* alu of a and b */
	EXPR_JOIN, /* what register b holds where paths meet at instruction k */
};

/* An expression over the packet. Equal expressions have one number, and a packet gives an expression one value. */
struct expr {
	enum expr_op op;
	uint8_t alu;
	uint8_t size;
	uint32_t a, b, k;
};

#define NO_EXPR 0u
#define MAX_EXPRS 65536u
#define MAX_FACTS 24u
#define REGS (BPF_MEMWORDS + 2)
#define REG_A BPF_MEMWORDS
#define REG_X (BPF_MEMWORDS + 1)

struct fact {
	uint32_t expr;
	struct sl_domain domain;
};

/* What is known at an instruction. */
struct state {
	uint32_t reg[REGS]; /* expressions; NO_EXPR: not written */
	unsigned int fact_count;
	struct fact facts[MAX_FACTS];
};

struct analysis {
	const struct bpf_insn *insns;
	uint32_t count;
	struct expr *exprs;
	uint32_t expr_count;
	uint32_t *hash; /* open addressing, 2 * MAX_EXPRS */
	bool full; /* out of expressions: nothing more is shown */
};

static int
analysis_init(struct analysis *an, const struct bpf_program *program)
{
	*an = (struct analysis){.insns = program->bf_insns, .count = program->bf_len, .expr_count = 1};
	an->exprs = calloc(MAX_EXPRS, sizeof(*an->exprs));
	an->hash = calloc(2 * MAX_EXPRS, sizeof(*an->hash));
	return an->exprs != NULL && an->hash != NULL ? 0 : -ENOMEM;
}

static void
analysis_fini(struct analysis *an)
{
	free(an->exprs);
	free(an->hash);
}

static bool
same_expr(const struct expr *a, const struct expr *b)
{
	return a->op == b->op && a->alu == b->alu && a->size == b->size && a->a == b->a && a->b == b->b && a->k == b->k;
}

static uint32_t
make(struct analysis *an, struct expr e)
{
	uint64_t h = ((uint64_t)e.op << 16 | (uint64_t)e.alu << 8 | e.size) * 0x9e3779b97f4a7c15u;
	uint32_t slot;

	h = (h ^ e.a) * 0x9e3779b97f4a7c15u;
	h = (h ^ (h >> 29) ^ e.b) * 0x9e3779b97f4a7c15u;
	h = (h ^ (h >> 29) ^ e.k) * 0x9e3779b97f4a7c15u;
	slot = (uint32_t)(h >> 32) % (2 * MAX_EXPRS);
	while (an->hash[slot] != 0) {
		if (same_expr(&an->exprs[an->hash[slot]], &e))
			return an->hash[slot];
		slot = (slot + 1) % (2 * MAX_EXPRS);
	}
	if (an->expr_count == MAX_EXPRS) {
		an->full = true;
		return 1;
	}
	an->exprs[an->expr_count] = e;
	an->hash[slot] = an->expr_count;
	return an->expr_count++;
}

static uint32_t
make_const(struct analysis *an, uint32_t k)
{
	return make(an, (struct expr){.op = EXPR_CONST, .k = k});
}

/* What a division by zero gives does not matter: no packet gets past it. */
static uint32_t
alu_value(uint8_t op, uint32_t a, uint32_t k)
{
	uint32_t result;

	(void)sl_insn_alu(op, a, k, &result);
	return result;
}

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
find_fact(const struct state *s, uint32_t expr)
{
	for (unsigned int i = 0; i < s->fact_count; i++)
		if (s->facts[i].expr == expr)
			return &s->facts[i].domain;
	return NULL;
}

static struct sl_domain value_of(const struct analysis *an, const struct state *s, uint32_t expr, unsigned int depth);

static struct sl_domain
alu_value_of(const struct analysis *an, const struct state *s, const struct expr *e, unsigned int depth)
{
	struct sl_domain a, b, r;
	uint32_t k;

	if (depth > 16)
		return sl_domain_range(0, UINT32_MAX);
	a = value_of(an, s, e->a, depth + 1);
	b = value_of(an, s, e->b, depth + 1);
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
		struct sl_domain one = sl_domain_one(alu_value(e->alu, a.values[i], k));

		r = sl_domain_union(&r, &one);
	}
	return r;
}

/* All values an expression can have, as far as known. */
static struct sl_domain
value_of(const struct analysis *an, const struct state *s, uint32_t expr, unsigned int depth)
{
	const struct sl_domain *known = find_fact(s, expr);
	const struct expr *e = &an->exprs[expr];
	struct sl_domain r = sl_domain_range(0, UINT32_MAX);

	switch (e->op) {
	case EXPR_CONST:
		return sl_domain_one(e->k);
	case EXPR_LOAD:
		if (e->size < 4)
			r = sl_domain_range(0, (1u << (8 * e->size)) - 1);
		break;
	case EXPR_ALU:
		r = alu_value_of(an, s, e, depth);
		break;
	default:
		break;
	}
	return known != NULL ? sl_domain_intersect(&r, known) : r;
}

static void
set_fact(struct state *s, uint32_t expr, const struct sl_domain *d)
{
	for (unsigned int i = 0; i < s->fact_count; i++)
		if (s->facts[i].expr == expr) {
			s->facts[i].domain = *d;
			return;
		}
	if (s->fact_count == MAX_FACTS) {
		/* Forget the oldest: knowing less only shows less. */
		memmove(&s->facts[0], &s->facts[1], (MAX_FACTS - 1) * sizeof(s->facts[0]));
		s->fact_count--;
	}
	s->facts[s->fact_count++] = (struct fact){.expr = expr, .domain = *d};
}

/* Take from a short list of values those that contradict what is known of expressions of them. */
static struct sl_domain
filter_by_masks(const struct analysis *an, const struct state *s, uint32_t expr, struct sl_domain d)
{
	if (!d.listed)
		return d;
	for (unsigned int i = 0; i < s->fact_count; i++) {
		const struct expr *e = &an->exprs[s->facts[i].expr];
		struct sl_domain kept = {.listed = true};

		if (e->op != EXPR_ALU || e->a != expr || an->exprs[e->b].op != EXPR_CONST)
			continue;
		for (unsigned int j = 0; j < d.count; j++) {
			struct sl_domain one = sl_domain_one(d.values[j]);

			if (sl_domain_has(&s->facts[i].domain, alu_value(e->alu, d.values[j], an->exprs[e->b].k)))
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
loads_agree(const struct expr *a, uint32_t va, const struct expr *b, uint32_t vb)
{
	for (uint32_t i = 0; i < a->size; i++) {
		uint32_t j = a->k + i - b->k;

		if (a->k + i >= b->k && j < b->size && byte_of(va, a->size, i) != byte_of(vb, b->size, j))
			return false;
	}
	return true;
}

static bool
agrees_with_loads(const struct analysis *an, const struct state *s, uint32_t expr, uint32_t value)
{
	const struct expr *e = &an->exprs[expr];
	uint32_t other;

	for (unsigned int i = 0; i < s->fact_count; i++) {
		const struct expr *f = &an->exprs[s->facts[i].expr];

		if (f->op == EXPR_LOAD && f->a == e->a && sl_domain_single(&s->facts[i].domain, &other) &&
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
evaluate(const struct analysis *an, uint32_t expr, uint32_t load, uint32_t value, unsigned int depth, uint32_t *result)
{
	const struct expr *e = &an->exprs[expr];
	uint32_t a, b;

	if (expr == load) {
		*result = value;
		return true;
	}
	if (e->op == EXPR_CONST) {
		*result = e->k;
		return true;
	}
	if (e->op != EXPR_ALU || depth > 8 || !evaluate(an, e->a, load, value, depth + 1, &a) ||
		!evaluate(an, e->b, load, value, depth + 1, &b))
		return false;
	*result = alu_value(e->alu, a, b);
	return true;
}

/* The load of one byte that an expression is made of, if there is one. */
static uint32_t
find_byte(const struct analysis *an, uint32_t expr, unsigned int depth)
{
	const struct expr *e = &an->exprs[expr];
	uint32_t found;

	if (e->op == EXPR_LOAD)
		return e->size == 1 ? expr : NO_EXPR;
	if (e->op != EXPR_ALU || depth > 8)
		return NO_EXPR;
	found = find_byte(an, e->a, depth + 1);
	return found != NO_EXPR ? found : find_byte(an, e->b, depth + 1);
}

/* Is there a value of that byte with which all that is known of it is true? */
static bool
byte_possible(const struct analysis *an, const struct state *s, uint32_t load)
{
	for (uint32_t v = 0; v < 256; v++) {
		bool ok = agrees_with_loads(an, s, load, v);

		for (unsigned int i = 0; i < s->fact_count && ok; i++) {
			uint32_t r;

			if (evaluate(an, s->facts[i].expr, load, v, 0, &r))
				ok = sl_domain_has(&s->facts[i].domain, r);
		}
		if (ok)
			return true;
	}
	return false;
}

/* Learn that an expression lies in d. @return false: it can't */
static bool
learn(const struct analysis *an, struct state *s, uint32_t expr, const struct sl_domain *d)
{
	struct sl_domain now = value_of(an, s, expr, 0);
	uint32_t value, byte;

	now = sl_domain_intersect(&now, d);
	now = filter_by_masks(an, s, expr, now);
	if (sl_domain_empty(&now))
		return false;
	if (an->exprs[expr].op != EXPR_CONST)
		set_fact(s, expr, &now);
	if (an->exprs[expr].op == EXPR_LOAD && sl_domain_single(&now, &value) && !agrees_with_loads(an, s, expr, value))
		return false;
	byte = find_byte(an, expr, 0);
	return byte == NO_EXPR || byte_possible(an, s, byte);
}

/* Values v with "v op k" as said. */
static bool
learn_comparison(const struct analysis *an, struct state *s, uint8_t op, bool yes, uint32_t expr, uint32_t k)
{
	struct sl_domain d;

	switch (op) {
	case BPF_JEQ:
		d = yes ? sl_domain_one(k) : value_of(an, s, expr, 0);
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
	return learn(an, s, expr, &d);
}

/* Go one way at a branch. @return false: no packet can */
static bool
take(struct analysis *an, struct state *s, const struct bpf_insn *i, bool yes)
{
	uint8_t op = BPF_OP(i->code);
	uint32_t left = s->reg[REG_A];
	uint32_t right = BPF_SRC(i->code) == BPF_X ? s->reg[REG_X] : make_const(an, i->k);
	struct sl_domain a, b;
	uint32_t k;

	if (an->full)
		return true;
	if (op == BPF_JSET) {
		/* "A & k is zero, or not" is knowledge about the masked value. */
		left = make(an, (struct expr){.op = EXPR_ALU, .alu = BPF_AND, .a = left, .b = right});
		if (an->full)
			return true;
		return learn_comparison(an, s, BPF_JEQ, !yes, left, 0);
	}
	b = value_of(an, s, right, 0);
	if (sl_domain_single(&b, &k))
		return learn_comparison(an, s, op, yes, left, k);
	if (left == right)
		return op == BPF_JGT ? !yes : yes;
	a = value_of(an, s, left, 0);
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
make_alu(struct analysis *an, uint8_t alu, uint32_t a, uint32_t b)
{
	const struct expr *ea = &an->exprs[a], *eb = &an->exprs[b];

	if (ea->op == EXPR_CONST && eb->op == EXPR_CONST)
		return make_const(an, alu_value(alu, ea->k, eb->k));
	return make(an, (struct expr){.op = EXPR_ALU, .alu = alu, .a = a, .b = b});
}

static uint32_t
make_load(struct analysis *an, const struct state *s, const struct bpf_insn *i)
{
	uint32_t e;

	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		return make(an, (struct expr){.op = EXPR_LOAD, .size = sl_insn_load_size(i->code), .k = i->k});
	case BPF_IND:
		e = s->reg[REG_X];
		return make(an, (struct expr){.op = EXPR_LOAD, .size = sl_insn_load_size(i->code), .a = e, .k = i->k});
	case BPF_MSH:
		e = make(an, (struct expr){.op = EXPR_LOAD, .size = 1, .k = i->k});
		e = make_alu(an, BPF_AND, e, make_const(an, 0xf));
		return make_alu(an, BPF_LSH, e, make_const(an, 2));
	case BPF_LEN:
		return make(an, (struct expr){.op = EXPR_LEN});
	case BPF_MEM:
		return s->reg[i->k];
	default: /* BPF_IMM */
		return make_const(an, i->k);
	}
}

/* An instruction that is no jump and no end. */
static void
step(struct analysis *an, struct state *s, const struct bpf_insn *i)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		s->reg[REG_A] = make_load(an, s, i);
		break;
	case BPF_LDX:
		s->reg[REG_X] = make_load(an, s, i);
		break;
	case BPF_ST:
		s->reg[i->k] = s->reg[REG_A];
		break;
	case BPF_STX:
		s->reg[i->k] = s->reg[REG_X];
		break;
	case BPF_ALU:
		s->reg[REG_A] = make_alu(an, BPF_OP(i->code), s->reg[REG_A],
			BPF_OP(i->code) != BPF_NEG && BPF_SRC(i->code) == BPF_X ? s->reg[REG_X] : make_const(an, i->k));
		break;
	default: /* BPF_MISC */
		if (BPF_MISCOP(i->code) == BPF_TAX)
			s->reg[REG_X] = s->reg[REG_A];
		else
			s->reg[REG_A] = s->reg[REG_X];
		break;
	}
}

static void
start_state(struct analysis *an, struct state *s)
{
	*s = (struct state){0};
	s->reg[REG_A] = s->reg[REG_X] = make_const(an, 0);
}

/* ---------------------------------------------------------------- joining paths */

static struct sl_domain
reg_domain(const struct analysis *an, const struct state *s, uint32_t expr)
{
	return expr == NO_EXPR ? sl_domain_range(0, UINT32_MAX) : value_of(an, s, expr, 0);
}

/* What holds in both states holds where they meet. */
static void
join(struct analysis *an, struct state *into, const struct state *from, uint32_t pc)
{
	struct state r = {0};

	for (unsigned int i = 0; i < REGS; i++) {
		struct sl_domain a, b;

		if (into->reg[i] == from->reg[i]) {
			r.reg[i] = into->reg[i];
			continue;
		}
		r.reg[i] = make(an, (struct expr){.op = EXPR_JOIN, .b = i, .k = pc});
		if (an->full)
			return;
		a = reg_domain(an, into, into->reg[i]);
		b = reg_domain(an, from, from->reg[i]);
		a = sl_domain_union(&a, &b);
		if (i >= REG_A)
			set_fact(&r, r.reg[i], &a);
	}
	for (unsigned int i = 0; i < into->fact_count + from->fact_count; i++) {
		const struct fact *f = i < into->fact_count ? &into->facts[i] : &from->facts[i - into->fact_count];
		struct sl_domain a, b;

		if (find_fact(&r, f->expr) != NULL || r.fact_count == MAX_FACTS)
			continue;
		/* A join's expression means the value at its own instruction; both states must speak of that. */
		a = value_of(an, into, f->expr, 0);
		b = value_of(an, from, f->expr, 0);
		a = sl_domain_union(&a, &b);
		set_fact(&r, f->expr, &a);
	}
	*into = r;
}

/* @return 0 or -ENOMEM */
static int
arrive(struct analysis *an, struct state **at, const struct state *s, uint32_t pc)
{
	if (at[pc] != NULL) {
		join(an, at[pc], s, pc);
		return 0;
	}
	at[pc] = malloc(sizeof(*s));
	if (at[pc] == NULL)
		return -ENOMEM;
	*at[pc] = *s;
	return 0;
}

static int
joined_insn(struct analysis *an, struct state **at, uint32_t pc, bool *feasible)
{
	const struct bpf_insn *i = &an->insns[pc];
	struct state *s = at[pc];
	struct state yes;
	bool can_yes, can_no;
	int ret = 0;

	if (BPF_CLASS(i->code) == BPF_RET)
		return 0;
	if (BPF_CLASS(i->code) != BPF_JMP) {
		step(an, s, i);
		return arrive(an, at, s, pc + 1);
	}
	if (BPF_OP(i->code) == BPF_JA)
		return arrive(an, at, s, pc + 1 + i->k);
	if (i->jt == i->jf)
		return arrive(an, at, s, pc + 1 + i->jt);
	yes = *s;
	can_yes = take(an, &yes, i, true);
	can_no = take(an, s, i, false);
	if (an->full)
		return 0;
	if (can_yes)
		ret = arrive(an, at, &yes, pc + 1 + i->jt);
	else
		feasible[SL_EDGE(pc, true)] = false;
	if (ret == 0 && can_no)
		ret = arrive(an, at, s, pc + 1 + i->jf);
	else if (!can_no)
		feasible[SL_EDGE(pc, false)] = false;
	return ret;
}

int
sl_unreach_joined(const struct bpf_program *program, bool *feasible)
{
	struct analysis an;
	struct state **at = calloc(program->bf_len + 1, sizeof(struct state *));
	bool *work = calloc(program->bf_len + 1, 2);
	int ret = analysis_init(&an, program);

	if (at == NULL || work == NULL)
		ret = -ENOMEM;
	if (ret != 0)
		goto out;
	memset(work, true, 2 * ((size_t)program->bf_len + 1));
	at[0] = malloc(sizeof(*at[0]));
	if (at[0] == NULL) {
		ret = -ENOMEM;
		goto out;
	}
	start_state(&an, at[0]);
	for (uint32_t pc = 0; pc < program->bf_len && ret == 0 && !an.full; pc++) {
		if (at[pc] == NULL) {
			/* No path leads here at all. */
			work[SL_EDGE(pc, true)] = work[SL_EDGE(pc, false)] = false;
			continue;
		}
		ret = joined_insn(&an, at, pc, work);
		free(at[pc]);
		at[pc] = NULL;
	}
	if (ret == 0 && !an.full)
		for (uint32_t i = 0; i < 2 * program->bf_len; i++)
			feasible[i] = feasible[i] && work[i];
out:
	for (uint32_t pc = 0; at != NULL && pc < program->bf_len; pc++)
		free(at[pc]);
	free(at);
	free(work);
	analysis_fini(&an);
	return ret;
}

/* ---------------------------------------------------------------- one path after the other */

struct pending {
	uint32_t pc;
	struct state state;
};

/* Instructions from which the branch can still be reached. */
static bool *
find_leading(const struct bpf_program *program, uint32_t goal, const bool *feasible)
{
	bool *leads = calloc(program->bf_len + 1, sizeof(*leads));

	if (leads == NULL)
		return NULL;
	leads[goal] = true;
	for (uint32_t pc = goal; pc-- > 0;) {
		const struct bpf_insn *i = &program->bf_insns[pc];

		if (BPF_CLASS(i->code) == BPF_RET)
			continue;
		if (BPF_CLASS(i->code) != BPF_JMP)
			leads[pc] = leads[pc + 1];
		else if (BPF_OP(i->code) == BPF_JA)
			leads[pc] = pc + 1 + i->k <= goal && leads[pc + 1 + i->k];
		else
			leads[pc] = (feasible[SL_EDGE(pc, true)] && leads[pc + 1 + i->jt]) ||
				    (feasible[SL_EDGE(pc, false)] && leads[pc + 1 + i->jf]);
	}
	return leads;
}

#define MAX_PENDING 512u

/* Walk a path until it ends; where it forks, one way is put aside. @return -1: edge reached or out of room; else 0 */
static int
walk(struct analysis *an, struct pending *stack, unsigned int *depth, const bool *leads, uint32_t edge, uint64_t *steps)
{
	struct pending p = stack[--*depth];

	for (;;) {
		const struct bpf_insn *i = &an->insns[p.pc];
		struct state yes;
		bool can_yes, can_no;

		if (!leads[p.pc])
			return 0;
		if (*steps == 0 || an->full)
			return -1;
		--*steps;
		if (p.pc == edge / 2)
			return take(an, &p.state, i, (edge & 1) != 0) ? -1 : 0;
		if (BPF_CLASS(i->code) != BPF_JMP) {
			step(an, &p.state, i);
			p.pc++;
			continue;
		}
		if (BPF_OP(i->code) == BPF_JA || i->jt == i->jf) {
			p.pc += 1 + (BPF_OP(i->code) == BPF_JA ? i->k : i->jt);
			continue;
		}
		yes = p.state;
		can_yes = leads[p.pc + 1 + i->jt] && take(an, &yes, i, true);
		can_no = leads[p.pc + 1 + i->jf] && take(an, &p.state, i, false);
		if (!can_yes && !can_no)
			return 0;
		if (can_yes && can_no) {
			if (*depth == MAX_PENDING)
				return -1;
			stack[*depth].pc = p.pc + 1 + i->jt;
			stack[(*depth)++].state = yes;
		}
		if (can_no) {
			p.pc += 1 + i->jf;
		} else {
			p.state = yes;
			p.pc += 1 + i->jt;
		}
	}
}

int
sl_unreach_paths(const struct bpf_program *program, uint32_t edge, const bool *feasible, uint64_t *steps)
{
	struct pending *stack = malloc(MAX_PENDING * sizeof(*stack));
	bool *leads = find_leading(program, edge / 2, feasible);
	struct analysis an;
	unsigned int depth = 0;
	int ret = analysis_init(&an, program);

	if (stack == NULL || leads == NULL)
		ret = -ENOMEM;
	if (ret == 0) {
		stack[0].pc = 0;
		start_state(&an, &stack[0].state);
		depth = 1;
		while (depth > 0 && ret == 0)
			ret = walk(&an, stack, &depth, leads, edge, steps);
		ret = ret == 0 ? 1 : 0;
	}
	free(stack);
	free(leads);
	analysis_fini(&an);
	return ret;
}
