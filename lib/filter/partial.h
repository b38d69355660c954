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
	uint8_t matters[SL_TRACK_WINDOW]; /**< by byte: bits that may decide, unless UNKNOWN */
	uint32_t end; /**< no load reaches behind it; of packets that are as long, none is out of bounds */
};

#define SL_PATH_COMPARES 8u

/**
 * The one path that all packets take through a program with SL_BPF_JEQ_SLOT, as long as none of the slots' constants is
 * met: a few values are looked at, and that is all.
 */
struct sl_path {
	uint32_t count;
	struct {
		uint32_t slot;
		uint8_t off, size; /**< of the bytes, in network order, that make the value ... */
		uint8_t shift;     /**< ... shifted right by this ... */
		uint32_t mask;     /**< ... after this was applied */
	} compare[SL_PATH_COMPARES];
	bool accept; /**< what comes out if no constant is met */
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

/**
 * Find the one path, if there is one. Any thread; arguments as sl_partial_run()'s.
 *
 * @return false: which way packets take depends on more than the slots
 */
bool sl_path_find(const struct bpf_insn *insns, const struct sl_known *known, uint32_t max_end, struct sl_path *path);

/** The value that a packet has for compare n of a path; the packet must have these bytes. */
static inline uint32_t
sl_path_value(const struct sl_path *path, uint32_t n, const uint8_t *data)
{
	const uint8_t *at = data + path->compare[n].off;
	uint32_t value;

	switch (path->compare[n].size) {
	case 4:
		value = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
		break;
	case 2:
		value = (uint32_t)at[0] << 8 | at[1];
		break;
	default:
		value = at[0];
		break;
	}
	return (value & path->compare[n].mask) >> path->compare[n].shift;
}

#endif
