/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_CONCOLIC_H
#define SL_FILTER_CONCOLIC_H

/**
 * @file
 * Runs a classic BPF program on a packet and remembers of every value how it came from packet bytes; solves a
 * branch for the other direction by writing packet bytes. concolic.c runs, solve.c solves.
 */

#include <stdbool.h>
#include <stdint.h>

#include <pcap/pcap.h>

/** Packets that proofs make are no longer than this. */
#define SL_CONCOLIC_MAX_CAPLEN 262144u

struct sl_packet {
	uint8_t *data;   /**< caplen bytes, malloc()ed */
	uint32_t caplen;
	uint32_t len;    /**< on the wire; any value */
};

/** A branch that the packet took. */
struct sl_branch {
	uint32_t pc;
	bool taken;      /**< towards jt */
	uint32_t left;   /**< value of A */
	uint32_t right;  /**< value compared with: X or the constant */
};

/** A load inside or outside the packet. */
struct sl_load {
	uint32_t off;
	uint32_t size;
};

struct sl_value;

/** A run: the path that a packet takes through a program. Memory is reused from run to run. */
struct sl_trace {
	const struct bpf_program *program;
	struct sl_branch *branches;
	uint32_t branch_count;
	struct sl_load *loads;
	uint32_t load_count;
	bool out_of_bounds;    /**< ended by a load outside the packet: the last of loads */
	uint32_t oob_index;    /**< the value of X in that load; 0: it has none */
	uint32_t oob_k;        /**< its constant offset */
	uint32_t result;       /**< as bpf_filter() returns it */
	struct sl_value *values;
	uint32_t value_count;
};

/** @return 0 or -ENOMEM */
int sl_trace_init(struct sl_trace *trace, const struct bpf_program *program);
void sl_trace_fini(struct sl_trace *trace);

/** Run. The program must be one that sl_translate() takes. */
void sl_trace_run(struct sl_trace *trace, const struct sl_packet *packet);

/**
 * Change the packet so that a branch of its trace goes the other way. Earlier branches may change with it, which only
 * running it shows.
 *
 * @param attempt  0, 1, 2, ...: each tries something else
 * @return 0: changed (one way); 1: nothing changed by this attempt; -1: no further attempts
 */
int sl_trace_flip(const struct sl_trace *trace, const struct sl_branch *branch, unsigned int attempt,
	struct sl_packet *packet);

/**
 * Change the packet so that the load which ended the run, at an offset from packet bytes, reads within the packet.
 *
 * @param attempt  0, 1, 2, ...: different offsets
 * @return as sl_trace_flip()
 */
int sl_trace_pull(const struct sl_trace *trace, unsigned int attempt, struct sl_packet *packet);

/**
 * Change the packet so that a branch of its trace compares a value at the boundary: equal, one less, one more, one bit
 * other; of a test for bits each bit alone.
 *
 * @param attempt  0, 1, 2, ...
 * @return as sl_trace_flip()
 */
int sl_trace_aim(const struct sl_trace *trace, const struct sl_branch *branch, unsigned int attempt,
	struct sl_packet *packet);

#endif
