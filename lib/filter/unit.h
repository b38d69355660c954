/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_UNIT_H
#define SL_FILTER_UNIT_H

/**
 * @file
 * Programs that differ only in constants that they compare for equality, run as one.
 *
 * Such are the 96 filters `dst host 239.1.1.<n>`. All of them take the same path through a packet until one of them
 * finds its own constant. So their common path is run once, on the assumption that no constant is met, and what was
 * compared on the way is noted; a hash then tells which programs would have met theirs, and only these are run by
 * themselves.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "track.h"

/** A program by itself, or several that differ only in constants. Read-only after creation. */
struct sl_unit {
	struct bpf_insn *common; /**< several: the common path, with SL_BPF_JEQ_SLOT; NULL: one program */
	uint32_t len;            /**< instructions of each */
	unsigned int count;
	uint32_t *members;       /**< their numbers, ascending */
	const struct bpf_insn **insns; /**< a member's own program, count entries */
	struct sl_unit_entry *table; /**< (slot, value) -> members whose constant that is; open addressing */
	uint32_t table_mask;
	uint32_t *next;          /**< by entry of list: further members with the same constant */
	uint32_t *list;          /**< indexes into members */
};

struct sl_unit_entry {
	uint32_t slot, value;
	uint32_t first; /**< entry of list plus 1; 0: free */
};

/**
 * Make units of programs: those that differ only in compared constants, if they are several, and the others alone.
 * Main thread.
 *
 * @param programs  count programs for which sl_track_possible(); must outlive the units
 * @param numbers   what a program is called: members, ascending
 * @param[out] units, unit_count  to be freed with sl_units_free()
 * @return 0, -ENOMEM
 */
int sl_units_create(const struct bpf_program *const *programs, const uint32_t *numbers, unsigned int count,
	struct sl_unit **units, unsigned int *unit_count);
void sl_units_free(struct sl_unit *units, unsigned int unit_count);

/** Say of a program in a bitmap whether it accepts. */
static inline void
sl_unit_set_accepted(uint64_t *accepted, uint32_t program, bool yes)
{
	uint64_t bit = UINT64_C(1) << program % 64;

	accepted[program / 64] = (accepted[program / 64] & ~bit) | (yes ? bit : 0);
}

/** The entry for a constant: its first is 0 if no member has it there. */
static inline const struct sl_unit_entry *
sl_unit_find(const struct sl_unit *unit, uint32_t slot, uint32_t value)
{
	uint64_t hash = ((uint64_t)slot << 32 | value) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t at = (uint32_t)(hash >> 32) & unit->table_mask;

	while (unit->table[at].first != 0 && (unit->table[at].slot != slot || unit->table[at].value != value))
		at = (at + 1) & unit->table_mask;
	return &unit->table[at];
}

/**
 * Run all programs of a unit on a packet. Filter lcore.
 *
 * @param[in,out] track     what the verdicts depended on is added
 * @param[in,out] accepted  bit per program number: set for those that accept; others are left alone
 */
void sl_unit_run(const struct sl_unit *unit, const uint8_t *data, uint32_t caplen, struct sl_track *track,
	uint64_t *accepted);

#endif
