/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_PROGRAM_GEN_H
#define SL_FILTER_PROGRAM_GEN_H

/** @file For tests and fuzzing: bytes -> a valid classic BPF program. */

#include <stddef.h>
#include <stdint.h>

#include <pcap/pcap.h>

#define SL_GEN_MAX_INSNS 64u

/** Bytes that decisions are taken from; zeros when they are used up. */
struct sl_gen {
	const uint8_t *bytes;
	size_t left;
};

uint8_t sl_gen_byte(struct sl_gen *gen);
uint32_t sl_gen_word(struct sl_gen *gen);

/** Make a program that bpf_validate() accepts, of every instruction that bpf_filter() knows. @return instructions */
unsigned int sl_gen_program(struct sl_gen *gen, struct bpf_insn insns[SL_GEN_MAX_INSNS]);

#endif
