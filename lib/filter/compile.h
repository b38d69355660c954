/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_COMPILE_H
#define SL_FILTER_COMPILE_H

/** @file Expression -> classic BPF, by libpcap, exactly as `tcpdump -r` does it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pcap/pcap.h>

/**
 * Compile an expression for a link type. Any thread: libpcap's compiler is serialised inside.
 *
 * @param expression  NULL, "" or only blanks accept all
 * @param link_type   LINKTYPE_ value as in a pcap file
 * @param[out] program  to be freed with sl_compile_free()
 * @param errbuf      SL_FILTER_ERRBUF bytes
 * @return 0; -EINVAL with libpcap's message in errbuf; -ENOMEM
 */
int sl_compile(const char *expression, uint32_t link_type, uint32_t snap_len, struct bpf_program *program,
	char *errbuf);
void sl_compile_free(struct bpf_program *program);

/** The same instructions? */
bool sl_compile_equal(const struct bpf_program *a, const struct bpf_program *b);

#endif
