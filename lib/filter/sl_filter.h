/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_H
#define SL_FILTER_H

/**
 * @file
 * Filter expressions -> proven programs -> verdicts.
 *
 * libpcap is the language and the judge: for every packet a verdict equals pcap_offline_filter() on the program that
 * pcap_compile() makes for the capture's link type, truncated packets included. Where that program reads scratch memory that
 * it has not written, libpcap's own answer depends on what was on the stack; there such memory is 0.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SL_FILTER_KEY_BYTES 128u /**< first bytes of a packet that the verdict cache looks at */
#define SL_FILTER_ERRBUF 1024u /**< bytes that hold any error line of this library */

struct sl_filter_set; /**< the compiled filters of all targets for one link type; read-only after creation */

/** How a program runs. */
enum sl_filter_engine {
	SL_FILTER_ALL,    /**< accepts every packet: nothing runs */
	SL_FILTER_NONE,   /**< rejects every packet: nothing runs */
	SL_FILTER_JIT,    /**< proven machine code by rte_bpf's JIT */
	SL_FILTER_LIBPCAP,/**< libpcap's interpreter */
};

struct sl_filter_info {
	enum sl_filter_engine engine;
	const char *reason;       /**< why not JIT, or how it was proven; one line, owned by the set */
	unsigned int instructions; /**< classic BPF instructions */
	unsigned int edges;        /**< conditional edges of the program */
	unsigned int edges_taken;  /**< of these, taken by a proof packet or shown unreachable */
	unsigned int proof_packets; /**< packets on which it was compared with libpcap */
};

/**
 * Check that an expression compiles for a link type. Any thread (serialised inside), no EAL.
 *
 * @param link_type  LINKTYPE_ value as in a pcap file
 * @return 0, or -EINVAL with libpcap's message in errbuf
 */
int sl_filter_check(const char *expression, uint32_t link_type, uint32_t snap_len, char *errbuf);

/**
 * Compile and prove the filters of all targets. Equal programs are merged. Any thread, no EAL needed. May take
 * milliseconds a filter.
 *
 * @param expressions  count expressions; NULL or "" accepts all
 * @param lanes        filter lcores that will run it
 * @return 0; -EINVAL: an expression does not compile, named in errbuf; -ENOMEM
 */
int sl_filter_set_create(const char *const *expressions, size_t count, uint32_t link_type, uint32_t snap_len,
	unsigned int lanes, struct sl_filter_set **set, char *errbuf);
void sl_filter_set_free(struct sl_filter_set *set);

/** Which instructions the verdict cache compares with. */
enum sl_filter_vectors {
	SL_FILTER_WIDE,     /**< the widest that the CPU has */
	SL_FILTER_PORTABLE, /**< those that every CPU has: for tests and measurements */
};

/**
 * Let packets that agree with an earlier one in all bytes that decided its verdicts have its verdicts, without running the
 * programs. Main thread, once, before the first sl_filter_run(). Does nothing where it would not pay. A lane's cache
 * takes some 3 MB; wide keys double that.
 *
 * @return 0, -ENOMEM
 */
int sl_filter_use_cache(struct sl_filter_set *set, enum sl_filter_vectors vectors);

/** What the verdict caches of all lanes have done. */
struct sl_filter_stats {
	uint32_t cached_programs; /**< programs whose verdicts are cached; 0: no cache */
	uint32_t units;           /**< of these, those that differ in constants only counted as one */
	uint64_t packets;         /**< packets looked at */
	uint64_t misses;          /**< not found: all programs were run and the verdicts kept */
	uint64_t direct;          /**< not looked up, since too few of their class were found: programs were run */
	uint32_t left_out;        /**< units that spoilt the keys of others and run on every packet */
	uint64_t beyond;          /**< of the misses, those that bytes behind the key decided: not kept */
	uint64_t forgotten;       /**< times that all was forgotten, since numbers had run out */
};
/** Any thread; the counts may lag behind. */
void sl_filter_get_stats(const struct sl_filter_set *set, struct sl_filter_stats *stats);

/** Different programs in the set. */
unsigned int sl_filter_programs(const struct sl_filter_set *set);
/** program[i]: the program of expression i; count entries, owned by the set. */
const uint16_t *sl_filter_program_of(const struct sl_filter_set *set);
/** Facts about a program; the strings live as long as the set. */
void sl_filter_get_info(const struct sl_filter_set *set, unsigned int program, struct sl_filter_info *info);

/**
 * Let only packets with from <= time < to be accepted, whatever a program says. At first all times are.
 * Main thread, before the first sl_filter_run().
 *
 * @param from, to  ns since 1970
 */
void sl_filter_limit(struct sl_filter_set *set, uint64_t from, uint64_t to);

/**
 * Give the verdicts of all programs on a chunk. Filter lcore only; never blocks.
 *
 * @param lane      the calling filter lcore, 0 to lanes - 1
 * @param verdicts  of[] has an entry for each program; the arena is grown with realloc() as needed. If memory is short
 *                  the verdict of a program can't be kept: the process aborts with a line that says so, because a wrong
 *                  verdict is worse
 */
void sl_filter_run(struct sl_filter_set *set, unsigned int lane, const struct sl_chunk *chunk,
	struct sl_verdicts *verdicts);

/**
 * Once per program: true when it has matched nothing in 100,000 packets most of which carry VLAN tags or tunnels.
 * Main thread, about once a second.
 *
 * @param[out] text  at least 256 bytes: such as "98 % VLAN-tagged; try 'vlan and (tcp)'"
 */
bool sl_filter_hint(struct sl_filter_set *set, unsigned int program, char *text, size_t len);

#ifdef __cplusplus
}
#endif

#endif
