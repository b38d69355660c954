/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_PROVER_H
#define SL_FILTER_PROVER_H

/**
 * @file
 * A proof under way, between prove.c (the whole, and the comparison of one packet), prove_cover.c (makes packets that
 * take every edge) and prove_stress.c (compares on changes of these packets). Only these include it.
 *
 * Whoever finds a reason to stop sets error; everyone looks there and ends.
 */

#include <stdbool.h>
#include <stdint.h>

#include "concolic.h"
#include "prove.h"
#include "sandbox.h"
#include "unreach.h"

#define SL_PROVE_MAX_KEPT 8192u    /**< packets kept for further changes */
#define SL_PROVE_PATH_SLOTS 65536u /**< of path_set */

struct sl_prover {
	const struct bpf_program *program;
	sl_filter_fn fn;
	struct sl_sandbox *sandbox;
	struct sl_trace trace; /**< of the packet whose branches are solved */
	struct sl_trace second; /**< of the packets that come out */
	bool *covered; /**< by edge */
	bool *feasible; /**< by edge */
	bool *leads; /**< by instruction: an open edge can be reached from it */
	uint8_t *outcomes; /**< by edge: bit 0 a packet that took it was rejected, bit 1 one was accepted */
	uint8_t *outcome_tries; /**< by edge */
	bool by_outcome; /**< keep packets that add an outcome */
	uint16_t *paths; /**< by branch: different paths kept */
	uint64_t *path_set; /**< hashes of (branch, path to it) */
	uint32_t path_count;
	unsigned int path_limit;
	uint8_t *aimed; /**< by branch and outcome: packets whose comparison was moved to its boundary */
	struct sl_packet *kept;
	uint8_t *kept_family; /**< the seed that a kept packet goes back to */
	uint8_t family; /**< of the packets being made */
	uint32_t kept_count;
	uint64_t deadline;
	uint64_t rng;
	unsigned int checks; /**< whether to stop; the clock is read at some of them */
	int error;
	struct sl_proof *proof;
};

/** Is the instruction a branch with two ways? */
bool sl_prove_is_branch(const struct sl_prover *p, uint32_t pc);
/** Edges that are feasible but not covered. */
unsigned int sl_prove_count_open(const struct sl_prover *p);

/** CLOCK_MONOTONIC, in ns, as deadline. */
uint64_t sl_prove_now_ns(void);
/** The next of the numbers that the proof's seed gives. */
uint32_t sl_prove_random(struct sl_prover *p);
/** Is there an error, or no time left (which is one)? Reads the clock at some calls only. */
bool sl_prove_stopped(struct sl_prover *p);
/** Compare machine code and libpcap on a packet; -EPROTO in error, with the reason, if they differ. */
void sl_prove_compare(struct sl_prover *p, const struct sl_packet *packet);
/** A packet with bytes of its own, to be freed; data NULL, and -ENOMEM in error, if memory is short. */
struct sl_packet sl_prove_copy(struct sl_prover *p, const struct sl_packet *from);

/** Make packets until every feasible edge is covered or nothing more is tried; cross out edges that no packet can take. */
void sl_prove_cover(struct sl_prover *p);
/** From the kept packets make such that take an edge and are accepted, and such that are rejected. */
void sl_prove_cover_outcomes(struct sl_prover *p);
/** Compare beyond the packets that cover the edges: on shorter, changed and random ones. */
void sl_prove_stress(struct sl_prover *p);

#endif
