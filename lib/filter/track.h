/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_TRACK_H
#define SL_FILTER_TRACK_H

/**
 * @file
 * Run a classic BPF program and note what its verdict depended on: the packet bytes that it read.
 *
 * A program without LEN is a decision tree over packet bytes and the captured length. Two packets that agree in every
 * byte that one run has read, and in which of its loads were in bounds, take the same path and get the same verdict.
 * That is all that the verdict cache builds on.
 */

#include <stdbool.h>
#include <stdint.h>

#include <pcap/pcap.h>

#include "sl_filter.h"

/** Bytes from the start of a packet that can be noted one by one. */
#define SL_TRACK_WINDOW SL_FILTER_KEY_BYTES
/** Values noted of one run at the most: as many as programs have instructions is never needed. */
#define SL_TRACK_COMPARES 64u

/**
 * A code of ours: "is A one of the constants of slot k?" It notes A and goes on as if A were none of them. Not known to
 * libpcap; made by sl_unit_create() from BPF_JEQ.
 */
#define SL_BPF_JEQ_SLOT (BPF_JMP | BPF_JEQ | BPF_K | 0x100u)

/** What one or several runs on one packet depended on. Begins as sl_track_begin() leaves it. */
struct sl_track {
	uint64_t reads[SL_TRACK_WINDOW / 64]; /**< bit per byte of the window that was read */
	uint32_t need;  /**< whether caplen is below this was looked at; at most SL_TRACK_WINDOW */
	bool beyond;    /**< something outside the window decided: no key made of the window will do */
	uint32_t compare_count; /**< SL_BPF_JEQ_SLOTs met in the newest run */
	struct {
		uint32_t slot, value;
	} compare[SL_TRACK_COMPARES];
};

/** Nothing has been looked at yet. The compares are left as they are: to zero them for each packet would cost more than a run. */
static inline void
sl_track_begin(struct sl_track *track)
{
	track->reads[0] = track->reads[1] = 0;
	track->need = 0;
	track->beyond = false;
	track->compare_count = 0;
}

/** Can runs of the program be tracked: no LEN, no loop, no fixed load beyond the window? Any thread. */
bool sl_track_possible(const struct bpf_program *program);

/**
 * Run. Any thread.
 *
 * @param insns  passed bpf_validate(), sl_track_possible(); scratch memory is 0 at first
 * @param data   caplen bytes of the packet
 * @param[in,out] track  what the run depended on is added
 * @return what bpf_filter() returns
 */
uint32_t sl_track_run(const struct bpf_insn *insns, const uint8_t *data, uint32_t caplen, struct sl_track *track);

#endif
