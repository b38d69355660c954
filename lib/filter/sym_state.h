/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_SYM_STATE_H
#define SL_FILTER_SYM_STATE_H

/**
 * @file
 * Symbolic states: what is known of every packet that comes to an instruction. A state may know less than is true, never
 * more; so where it allows no value there is no packet.
 */

#include "domain.h"
#include "sym_expr.h"

#define SL_SYM_MAX_FACTS 24u
#define SL_SYM_REGS (BPF_MEMWORDS + 2) /**< scratch memory, then A, then X */
#define SL_SYM_A BPF_MEMWORDS
#define SL_SYM_X (BPF_MEMWORDS + 1)

/** The values that an expression can have. */
struct sl_sym_fact {
	uint32_t expr;
	struct sl_domain domain;
};

struct sl_sym_state {
	uint32_t reg[SL_SYM_REGS]; /**< expressions; SL_SYM_NONE: not written */
	unsigned int fact_count;
	struct sl_sym_fact facts[SL_SYM_MAX_FACTS];
};

/** The state before the first instruction. */
void sl_sym_start(struct sl_sym *sym, struct sl_sym_state *s);

/** Go through an instruction that is no jump and no end. */
void sl_sym_step(struct sl_sym *sym, struct sl_sym_state *s, const struct bpf_insn *i);

/** Go one way (yes: towards jt) at a conditional branch. @return false: no packet can, and the state is of no more use */
bool sl_sym_take(struct sl_sym *sym, struct sl_sym_state *s, const struct bpf_insn *i, bool yes);

/** Keep in a state only what another one knows too, as paths meet at instruction pc. */
void sl_sym_join(struct sl_sym *sym, struct sl_sym_state *into, const struct sl_sym_state *from, uint32_t pc);

#endif
