/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_UNREACH_H
#define SL_FILTER_UNREACH_H

/**
 * @file
 * Shows that an edge of a program can be taken by no packet, such as the equality of a masked value with a constant
 * outside the mask, or a second comparison of a field that an earlier one has settled.
 */

#include <stdbool.h>
#include <stdint.h>

#include <pcap/pcap.h>

/** Edge towards jt or jf of the branch at pc. */
#define SL_EDGE(pc, taken) (2 * (pc) + ((taken) ? 1 : 0))

/**
 * Clear feasible[SL_EDGE()] of every edge that is shown to be unreachable; the others are left as they are.
 * Joins what different paths know where they meet: linear in the program's length.
 *
 * @param program  one that sl_translate() takes
 * @return 0 or -ENOMEM
 */
int sl_unreach_joined(const struct bpf_program *program, bool *feasible);

/**
 * Try all paths to one edge.
 *
 * @param[in,out] steps  instructions it may still walk
 * @return 1: no path leads there; 0: not shown; -ENOMEM
 */
int sl_unreach_paths(const struct bpf_program *program, uint32_t edge, const bool *feasible, uint64_t *steps);

#endif
