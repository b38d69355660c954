/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_PARTIAL_H
#define SL_FILTER_PARTIAL_H

/**
 * @file
 * Evaluate a program on packets of which some bits are known: what is decided already, and which bytes it may read.
 */

#include <stdint.h>

#include "track.h"

/** What is known of a packet. */
struct sl_known {
	uint8_t bits[SL_TRACK_WINDOW];   /**< known ones, by byte */
	uint8_t values[SL_TRACK_WINDOW]; /**< their values; other bits 0 */
};

enum sl_partial_result {
	SL_PARTIAL_REJECT, /**< rejects all such packets */
	SL_PARTIAL_ACCEPT, /**< accepts all such packets */
	SL_PARTIAL_OPEN,   /**< depends on the bytes named */
	SL_PARTIAL_UNKNOWN, /**< depends on more than can be named: an offset is not known, or lies too far */
};

/** The outcome of an evaluation. */
struct sl_partial {
	enum sl_partial_result result;
	uint64_t reads[SL_TRACK_WINDOW / 64]; /**< bytes that may be read, unless UNKNOWN */
	uint32_t end; /**< no load reaches behind it; of packets that are as long, none is out of bounds */
};

/**
 * Evaluate. Any thread; time and memory linear in the program.
 *
 * @param insns    count instructions of a program for which sl_track_possible(), SL_BPF_JEQ_SLOT among them
 * @param max_end  loads that reach behind make it UNKNOWN
 * @return 0, -ENOMEM
 */
int sl_partial_run(const struct bpf_insn *insns, uint32_t count, const struct sl_known *known, uint32_t max_end,
	struct sl_partial *partial);

#endif
