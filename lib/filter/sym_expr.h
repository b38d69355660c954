/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_SYM_EXPR_H
#define SL_FILTER_SYM_EXPR_H

/**
 * @file
 * Symbolic expressions over a packet: what a value in a program is made of, whatever the packet. Equal expressions have
 * one number, and a packet gives an expression one value.
 */

#include <stdbool.h>
#include <stdint.h>

#include <pcap/pcap.h>

enum sl_sym_op {
	SL_SYM_CONST, /**< k */
	SL_SYM_LEN,   /**< length on the wire */
	SL_SYM_LOAD,  /**< size bytes at k + value of a (a: SL_SYM_NONE for none) */
	SL_SYM_ALU,   /**< alu of a and b */
	SL_SYM_JOIN,  /**< what register b holds where paths meet at instruction k */
};

struct sl_sym_expr {
	enum sl_sym_op op;
	uint8_t alu; /**< BPF_ADD and so on */
	uint8_t size;
	uint32_t a, b, k;
};

#define SL_SYM_NONE 0u /**< the number of no expression */

/** The expressions of one program. One thread. */
struct sl_sym {
	struct sl_sym_expr *exprs; /**< by number, from 1 */
	uint32_t expr_count;
	uint32_t *hash; /**< open addressing */
	bool full;      /**< out of numbers: the last one made may stand for anything, so nothing more is shown */
};

/** @return 0 or -ENOMEM; sl_sym_fini() is due in both cases */
int sl_sym_init(struct sl_sym *sym);
void sl_sym_fini(struct sl_sym *sym);

/** The number of an expression; when there is none left, any number, and sym->full. */
uint32_t sl_sym_make(struct sl_sym *sym, struct sl_sym_expr e);
uint32_t sl_sym_const(struct sl_sym *sym, uint32_t k);
/** "a op b"; a constant where both are. */
uint32_t sl_sym_alu(struct sl_sym *sym, uint8_t alu, uint32_t a, uint32_t b);

/** The value of "a op k". What a division by zero gives does not matter: no packet gets past it. */
uint32_t sl_sym_alu_value(uint8_t op, uint32_t a, uint32_t k);

#endif
