/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "exec.h"

#include <stdio.h>
#include <stdlib.h>

/* Records lie at any offset of a chunk. */
static uint32_t
list_interpreted(const struct bpf_insn *insns, const struct sl_chunk *chunk, const uint16_t *packets, uint32_t count,
	uint16_t *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t packet = packets ? packets[i] : i;
		const uint8_t *at = (const uint8_t *)sl_chunk_record(chunk, packet);
		struct sl_record r;

		if (i + SL_PREFETCH_AHEAD < count)
			rte_prefetch0(sl_chunk_record(
				chunk, packets ? packets[i + SL_PREFETCH_AHEAD] : i + SL_PREFETCH_AHEAD));
		memcpy(&r, at, sizeof(r));
		out[n] = (uint16_t)packet;
		n += bpf_filter(insns, at + sizeof(r), r.len, r.caplen) != 0;
	}
	return n;
}

static inline uint32_t
accepts(sl_filter_fn fn, const struct sl_chunk *c, uint32_t packet)
{
	return fn((void *)(uintptr_t)sl_chunk_record(c, packet)) != 0;
}

static uint32_t
all_by_machine_code(sl_filter_fn fn, const struct sl_chunk *chunk, uint32_t count, uint16_t *out)
{
	/* A copy: for all the compiler knows the machine code might change what is pointed to. */
	const struct sl_chunk c = *chunk;
	uint32_t i = 0, n = 0;

	for (; i + SL_PREFETCH_AHEAD < count; i++) {
		rte_prefetch0(sl_chunk_record(&c, i + SL_PREFETCH_AHEAD));
		out[n] = (uint16_t)i;
		n += accepts(fn, &c, i);
	}
	for (; i < count; i++) {
		out[n] = (uint16_t)i;
		n += accepts(fn, &c, i);
	}
	return n;
}

static uint32_t
some_by_machine_code(
	sl_filter_fn fn, const struct sl_chunk *chunk, const uint16_t *packets, uint32_t count, uint16_t *out)
{
	const struct sl_chunk c = *chunk;
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (i + SL_PREFETCH_AHEAD < count)
			rte_prefetch0(sl_chunk_record(&c, packets[i + SL_PREFETCH_AHEAD]));
		out[n] = packets[i];
		n += accepts(fn, &c, packets[i]);
	}
	return n;
}

uint32_t
sl_exec_list(const struct sl_exec *exec, const struct sl_chunk *chunk, const uint16_t *packets, uint32_t count,
	uint16_t *out)
{
	if (!exec->fn)
		return list_interpreted(exec->insns, chunk, packets, count, out);
	if (!packets)
		return all_by_machine_code(exec->fn, chunk, count, out);
	return some_by_machine_code(exec->fn, chunk, packets, count, out);
}

void *
sl_exec_memory(void *old, size_t bytes)
{
	void *memory = realloc(old, bytes);

	if (!memory) {
		fprintf(stderr,
			"sluice: no memory for filter verdicts (%zu bytes): stopping rather than losing packets\n",
			bytes);
		abort();
	}
	return memory;
}
