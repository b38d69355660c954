/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_PROVE_H
#define SL_FILTER_PROVE_H

/**
 * @file
 * Proves machine code against libpcap's interpreter, on packets made from the program itself: branches are solved into
 * packet bytes until every conditional edge was taken or is shown to be unreachable; these packets are then truncated
 * at every length around a load, changed at random, and joined by random ones.
 */

#include <stdint.h>

#include <pcap/pcap.h>

#include "translate.h"

#define SL_PROOF_REASON 200u

struct sl_proof {
	unsigned int edges;       /**< conditional edges that some path leads to */
	unsigned int taken;       /**< of these, taken by a packet */
	unsigned int unreachable; /**< of these, shown to be unreachable */
	unsigned int packets;     /**< packets compared */
	char reason[SL_PROOF_REASON]; /**< one line, whatever the outcome */
};

/**
 * Prove. Any thread; may take up to time_limit.
 *
 * @param program     one that sl_translate() takes
 * @param time_limit  ns
 * @param seed        of the random packets
 * @return 0: proven; -EPROTO: a packet on which fn disagrees or crashes; -ENODATA: not all edges covered;
 *         -ETIME; -ENOMEM. reason says it in words.
 */
int sl_prove(const struct bpf_program *program, sl_filter_fn fn, uint64_t time_limit, uint64_t seed,
	struct sl_proof *proof);

#endif
