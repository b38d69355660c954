/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_TRANSLATION_H
#define SL_FILTER_TRANSLATION_H

/**
 * @file
 * A translation under way, between translate.c (from a program to machine code), translate_accept.c (which programs are
 * taken) and translate_emit.c (eBPF for each classic instruction). Only these include it.
 */

#include "translate.h"

struct sl_translation {
	const struct bpf_insn *in; /**< classic */
	uint32_t in_count;
	struct ebpf_insn *out;
	uint32_t *at; /**< at[i]: first eBPF instruction of classic instruction i, or of SL_REJECT() and SL_LEAVE() */
	uint32_t *target; /**< per eBPF instruction: classic instruction it jumps to, or SL_NO_TARGET */
	bool *reachable; /**< as at[]: some path leads there */
	uint32_t n; /**< eBPF instructions so far */
};

#define SL_NO_TARGET UINT32_MAX

/*
 * The ends of the program. There is only one `exit`: the x86 JIT jumps back to the first one from all others, and gets
 * a jump back by 127 or 128 bytes wrong.
 */
#define SL_REJECT(t) ((t)->in_count)
#define SL_LEAVE(t) ((t)->in_count + 1)
#define SL_ENDS 2u

/* Bits of a set of things that are read before they are written: M[0] to M[15], A and X. */
#define SL_LIVE_M(k) (1u << (k))
#define SL_LIVE_A (1u << BPF_MEMWORDS)
#define SL_LIVE_X (1u << (BPF_MEMWORDS + 1))
#define SL_LIVE_ALL_M ((1u << BPF_MEMWORDS) - 1)

/**
 * Look at all instructions, mark the reachable ones and find what the program reads before it has written it.
 *
 * @param[out] live  SL_LIVE_A and SL_LIVE_X, or neither
 * @param[out] why   on -ENOTSUP: a constant string
 * @return 0; -ENOTSUP; -ENOMEM
 */
int sl_translation_accept(struct sl_translation *t, uint32_t *live, const char **why);

/** eBPF instructions that the translation of one classic instruction and the rest (start and ends) have at the most. */
#define SL_EMIT_MAX_INSN 12u
#define SL_EMIT_MAX_REST 80u

/** Emit the start: every register and slot that is used gets a value, the same to DPDK's checker on all paths. */
void sl_emit_start(struct sl_translation *t, uint32_t live);
/** Emit the translation of classic instruction i; jumps get their target, not yet their distance. */
void sl_emit_insn(struct sl_translation *t, uint32_t i);
/** Emit the ends, to which SL_REJECT() and SL_LEAVE() jump. */
void sl_emit_ends(struct sl_translation *t);

#endif
