/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_VALUE_H
#define SL_FILTER_VALUE_H

/**
 * @file
 * The values of a trace, between concolic.c, which makes them, and solve.c, which goes back from them to packet bytes.
 * Operands are indices into sl_trace.values.
 */

#include <stdint.h>

/** Where a value came from. */
enum sl_value_op {
	SL_VALUE_CONST,
	SL_VALUE_LOAD, /**< size bytes at off */
	SL_VALUE_LEN,  /**< length on the wire */
	SL_VALUE_ALU,  /**< alu of a and b */
};

struct sl_value {
	enum sl_value_op op;
	uint32_t value;
	uint32_t off;  /**< LOAD */
	uint8_t size;  /**< LOAD */
	uint8_t alu;   /**< ALU: BPF_ADD and so on */
	uint32_t a, b; /**< ALU: operands */
};

#endif
