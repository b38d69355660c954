/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>

#include "insn.h"
#include "sym_expr.h"

#define MAX_EXPRS 65536u

int
sl_sym_init(struct sl_sym *sym)
{
	*sym = (struct sl_sym){.expr_count = 1};
	sym->exprs = calloc(MAX_EXPRS, sizeof(*sym->exprs));
	sym->hash = calloc(2 * MAX_EXPRS, sizeof(*sym->hash));
	return sym->exprs != NULL && sym->hash != NULL ? 0 : -ENOMEM;
}

void
sl_sym_fini(struct sl_sym *sym)
{
	free(sym->exprs);
	free(sym->hash);
}

static bool
same_expr(const struct sl_sym_expr *a, const struct sl_sym_expr *b)
{
	return a->op == b->op && a->alu == b->alu && a->size == b->size && a->a == b->a && a->b == b->b && a->k == b->k;
}

uint32_t
sl_sym_make(struct sl_sym *sym, struct sl_sym_expr e)
{
	uint64_t h = ((uint64_t)e.op << 16 | (uint64_t)e.alu << 8 | e.size) * 0x9e3779b97f4a7c15u;
	uint32_t slot;

	h = (h ^ e.a) * 0x9e3779b97f4a7c15u;
	h = (h ^ (h >> 29) ^ e.b) * 0x9e3779b97f4a7c15u;
	h = (h ^ (h >> 29) ^ e.k) * 0x9e3779b97f4a7c15u;
	slot = (uint32_t)(h >> 32) % (2 * MAX_EXPRS);
	while (sym->hash[slot] != 0) {
		if (same_expr(&sym->exprs[sym->hash[slot]], &e))
			return sym->hash[slot];
		slot = (slot + 1) % (2 * MAX_EXPRS);
	}
	if (sym->expr_count == MAX_EXPRS) {
		sym->full = true;
		return 1;
	}
	sym->exprs[sym->expr_count] = e;
	sym->hash[slot] = sym->expr_count;
	return sym->expr_count++;
}

uint32_t
sl_sym_const(struct sl_sym *sym, uint32_t k)
{
	return sl_sym_make(sym, (struct sl_sym_expr){.op = SL_SYM_CONST, .k = k});
}

uint32_t
sl_sym_alu_value(uint8_t op, uint32_t a, uint32_t k)
{
	uint32_t result;

	(void)sl_insn_alu(op, a, k, &result);
	return result;
}

uint32_t
sl_sym_alu(struct sl_sym *sym, uint8_t alu, uint32_t a, uint32_t b)
{
	const struct sl_sym_expr *ea = &sym->exprs[a], *eb = &sym->exprs[b];

	if (ea->op == SL_SYM_CONST && eb->op == SL_SYM_CONST)
		return sl_sym_const(sym, sl_sym_alu_value(alu, ea->k, eb->k));
	return sl_sym_make(sym, (struct sl_sym_expr){.op = SL_SYM_ALU, .alu = alu, .a = a, .b = b});
}
