/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sym_state.h"
#include "unreach.h"

/* ---------------------------------------------------------------- joining paths */

/* @return 0 or -ENOMEM */
static int
arrive(struct sl_sym *sym, struct sl_sym_state **at, const struct sl_sym_state *s, uint32_t pc)
{
	if (at[pc] != NULL) {
		sl_sym_join(sym, at[pc], s, pc);
		return 0;
	}
	at[pc] = malloc(sizeof(*s));
	if (at[pc] == NULL)
		return -ENOMEM;
	*at[pc] = *s;
	return 0;
}

static int
joined_insn(
	struct sl_sym *sym, const struct bpf_program *program, struct sl_sym_state **at, uint32_t pc, bool *feasible)
{
	const struct bpf_insn *i = &program->bf_insns[pc];
	struct sl_sym_state *s = at[pc];
	struct sl_sym_state yes;
	bool can_yes, can_no;
	int ret = 0;

	if (BPF_CLASS(i->code) == BPF_RET)
		return 0;
	if (BPF_CLASS(i->code) != BPF_JMP) {
		sl_sym_step(sym, s, i);
		return arrive(sym, at, s, pc + 1);
	}
	if (BPF_OP(i->code) == BPF_JA)
		return arrive(sym, at, s, pc + 1 + i->k);
	if (i->jt == i->jf)
		return arrive(sym, at, s, pc + 1 + i->jt);
	yes = *s;
	can_yes = sl_sym_take(sym, &yes, i, true);
	can_no = sl_sym_take(sym, s, i, false);
	if (sym->full)
		return 0;
	if (can_yes)
		ret = arrive(sym, at, &yes, pc + 1 + i->jt);
	else
		feasible[SL_EDGE(pc, true)] = false;
	if (ret == 0 && can_no)
		ret = arrive(sym, at, s, pc + 1 + i->jf);
	else if (!can_no)
		feasible[SL_EDGE(pc, false)] = false;
	return ret;
}

int
sl_unreach_joined(const struct bpf_program *program, bool *feasible)
{
	struct sl_sym sym;
	struct sl_sym_state **at = calloc(program->bf_len + 1, sizeof(struct sl_sym_state *));
	bool *work = calloc(program->bf_len + 1, 2);
	int ret = sl_sym_init(&sym);

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
	sl_sym_start(&sym, at[0]);
	for (uint32_t pc = 0; pc < program->bf_len && ret == 0 && !sym.full; pc++) {
		if (at[pc] == NULL) {
			/* No path leads here at all. */
			work[SL_EDGE(pc, true)] = work[SL_EDGE(pc, false)] = false;
			continue;
		}
		ret = joined_insn(&sym, program, at, pc, work);
		free(at[pc]);
		at[pc] = NULL;
	}
	if (ret == 0 && !sym.full)
		for (uint32_t i = 0; i < 2 * program->bf_len; i++)
			feasible[i] = feasible[i] && work[i];
out:
	for (uint32_t pc = 0; at != NULL && pc < program->bf_len; pc++)
		free(at[pc]);
	free(at);
	free(work);
	sl_sym_fini(&sym);
	return ret;
}

/* ---------------------------------------------------------------- one path after the other */

struct pending {
	uint32_t pc;
	struct sl_sym_state state;
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
walk(struct sl_sym *sym, const struct bpf_program *program, struct pending *stack, unsigned int *depth,
	const bool *leads, uint32_t edge, uint64_t *steps)
{
	struct pending p = stack[--*depth];

	for (;;) {
		const struct bpf_insn *i = &program->bf_insns[p.pc];
		struct sl_sym_state yes;
		bool can_yes, can_no;

		if (!leads[p.pc])
			return 0;
		if (*steps == 0 || sym->full)
			return -1;
		--*steps;
		if (p.pc == edge / 2)
			return sl_sym_take(sym, &p.state, i, (edge & 1) != 0) ? -1 : 0;
		if (BPF_CLASS(i->code) != BPF_JMP) {
			sl_sym_step(sym, &p.state, i);
			p.pc++;
			continue;
		}
		if (BPF_OP(i->code) == BPF_JA || i->jt == i->jf) {
			p.pc += 1 + (BPF_OP(i->code) == BPF_JA ? i->k : i->jt);
			continue;
		}
		yes = p.state;
		can_yes = leads[p.pc + 1 + i->jt] && sl_sym_take(sym, &yes, i, true);
		can_no = leads[p.pc + 1 + i->jf] && sl_sym_take(sym, &p.state, i, false);
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
	struct sl_sym sym;
	unsigned int depth = 0;
	int ret = sl_sym_init(&sym);

	if (stack == NULL || leads == NULL)
		ret = -ENOMEM;
	if (ret == 0) {
		stack[0].pc = 0;
		sl_sym_start(&sym, &stack[0].state);
		depth = 1;
		while (depth > 0 && ret == 0)
			ret = walk(&sym, program, stack, &depth, leads, edge, steps);
		ret = ret == 0 ? 1 : 0;
	}
	free(stack);
	free(leads);
	sl_sym_fini(&sym);
	return ret;
}
