/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_INSN_H
#define SL_FILTER_INSN_H

/** @file What single classic BPF instructions do, as bpf_filter() of libpcap does it. Any thread. */

#include <stdbool.h>
#include <stdint.h>

#include <pcap/pcap.h>

/** Bytes that a packet load of this code reads: 4, 2 or 1. */
static inline uint8_t
sl_insn_load_size(uint16_t code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

/**
 * "a op b" on 32 bits; a shift by 32 or more leaves 0.
 *
 * @param op           BPF_ADD to BPF_XOR; BPF_NEG ignores b
 * @param[out] result  0 where there is none
 * @return false: division by zero, which rejects the packet
 */
static inline bool
sl_insn_alu(uint8_t op, uint32_t a, uint32_t b, uint32_t *result)
{
	switch (op) {
	case BPF_ADD:
		*result = a + b;
		return true;
	case BPF_SUB:
		*result = a - b;
		return true;
	case BPF_MUL:
		*result = a * b;
		return true;
	case BPF_DIV:
		*result = b != 0 ? a / b : 0;
		return b != 0;
	case BPF_MOD:
		*result = b != 0 ? a % b : 0;
		return b != 0;
	case BPF_AND:
		*result = a & b;
		return true;
	case BPF_OR:
		*result = a | b;
		return true;
	case BPF_XOR:
		*result = a ^ b;
		return true;
	case BPF_LSH:
		*result = b < 32 ? a << b : 0;
		return true;
	case BPF_RSH:
		*result = b < 32 ? a >> b : 0;
		return true;
	default: /* BPF_NEG */
		*result = 0u - a;
		return true;
	}
}

/** "a op b", op being BPF_JEQ to BPF_JSET: does the jump take its true side? */
static inline bool
sl_insn_test(uint8_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default: /* BPF_JSET */
		return (a & b) != 0;
	}
}

#endif
