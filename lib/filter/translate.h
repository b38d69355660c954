/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_TRANSLATE_H
#define SL_FILTER_TRANSLATE_H

/**
 * @file
 * Classic BPF -> rte_bpf's eBPF -> machine code.
 *
 * Not rte_bpf_convert(), and no mbuf: the program's argument is the packet's record (struct sl_record, the packet's
 * bytes right behind it) as it lies in a chunk. It reads caplen and len from there and checks every load itself. So
 * none of the packet loads of rte_bpf is used, which are wrong for indirect bytes and words, wrap in 32 bits, confuse
 * caplen and len and can't do more than 65,535 bytes; and a packet costs no setup.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pcap/pcap.h>
#include <rte_bpf.h>

#include "sl_store.h"

/** Packets that machine code may be given have a smaller caplen: a record always fits its 1 MiB chunk. */
#define SL_TRANSLATE_MAX_CAPLEN SL_CHUNK_SIZE

/** A load that no packet can satisfy: libpcap rejects the packet there, so the path ends. */
static inline bool
sl_load_impossible(const struct bpf_insn *i)
{
	bool load = BPF_CLASS(i->code) == BPF_LD && (BPF_MODE(i->code) == BPF_ABS || BPF_MODE(i->code) == BPF_IND);
	bool msh = BPF_CLASS(i->code) == BPF_LDX && BPF_MODE(i->code) == BPF_MSH;
	uint32_t size = BPF_SIZE(i->code) == BPF_W ? 4 : BPF_SIZE(i->code) == BPF_H ? 2 : 1;

	return (load || msh) && (uint64_t)i->k + size > SL_TRANSLATE_MAX_CAPLEN;
}

/** The machine code of a filter. @return what bpf_filter() returns: 0 rejects the packet */
typedef uint64_t (*sl_filter_fn)(void *record);

/**
 * Translate a program to eBPF. Any thread.
 *
 * @param program   passed bpf_validate()
 * @param[out] ins  instructions, to be freed with free()
 * @param[out] why  on -ENOTSUP: what is not translated; a constant string
 * @return 0; -ENOTSUP; -ENOMEM
 */
int sl_translate(const struct bpf_program *program, struct ebpf_insn **ins, uint32_t *count, const char **why);

/**
 * Translate a program and have DPDK's JIT compile it. Any thread; no EAL needed.
 *
 * @param[out] bpf  to be freed with rte_bpf_destroy()
 * @param[out] fn   the machine code; lives as long as bpf
 * @param[out] why  on failure: a constant string
 * @return 0; -ENOTSUP: not translatable, not loadable, or no JIT here; -ENOMEM
 */
int sl_translate_load(const struct bpf_program *program, struct rte_bpf **bpf, sl_filter_fn *fn, const char **why);

#endif
