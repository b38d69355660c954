/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/* Bytes -> programs, some of which differ in constants only, and packets that come again: each verdict as
 * bpf_filter()'s. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "packet_gen.h"
#include "translate.h"

#define PROGRAMS 12u
#define PACKETS 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bpf_insn insns[PROGRAMS][SL_GEN_MAX_INSNS];
static struct bpf_program programs[PROGRAMS];
static struct sl_exec execs[PROGRAMS];
static uint8_t base[SL_CHUNK_SIZE] __attribute__((aligned(64)));
static uint32_t chunk_index[PACKETS];

/* A program that may be cached, or a copy of the one before with other constants. @return programs so far */
static unsigned int
add_program(struct sl_gen *gen, unsigned int n)
{
	struct bpf_program *p = &programs[n];
	struct ebpf_insn *translated;
	const char *why;
	uint32_t count;

	p->bf_insns = insns[n];
	if (n > 0 && sl_gen_byte(gen) % 2) {
		p->bf_len = programs[n - 1].bf_len;
		memcpy(insns[n], insns[n - 1], sizeof(insns[n]));
		for (unsigned int pc = 0; pc < p->bf_len; pc++)
			if (insns[n][pc].code == (BPF_JMP | BPF_JEQ | BPF_K))
				insns[n][pc].k = sl_gen_byte(gen);
	} else {
		p->bf_len = sl_gen_program(gen, insns[n]);
	}
	if (!sl_track_possible(p) || sl_translate(p, &translated, &count, &why) != 0)
		return n;
	free(translated);
	execs[n].insns = insns[n];
	return n + 1;
}

static struct sl_chunk
make_chunk(struct sl_gen *gen)
{
	uint8_t kinds[8][SL_GEN_MAX_PACKET];
	uint32_t lens[8], off = 64, n = 0;

	for (unsigned int k = 0; k < 8; k++)
		lens[k] = sl_gen_packet(gen, 1, kinds[k]);
	for (; n < PACKETS; n++) {
		uint32_t k = sl_gen_byte(gen) % 8;
		struct sl_record r = {.caplen = lens[k], .len = lens[k]};

		if (sl_gen_byte(gen) % 8 == 0)
			r.caplen = r.caplen * sl_gen_byte(gen) / 256;
		memcpy(base + off, &r, sizeof(r));
		memcpy(base + off + sizeof(r), kinds[k], r.caplen);
		if (r.caplen > 0 && sl_gen_byte(gen) % 4 == 0)
			base[off + sizeof(r) + sl_gen_byte(gen) % r.caplen] = sl_gen_byte(gen);
		chunk_index[n] = off;
		off += (uint32_t)sizeof(r) + r.caplen;
	}
	return (struct sl_chunk){.base = base, .index = chunk_index, .packets = n, .records_off = 64};
}

static void
compare(const struct sl_cache *cache, unsigned int count, const struct sl_chunk *chunk)
{
	for (unsigned int p = 0; p < count; p++) {
		uint32_t n = 0, got;
		const uint16_t *list = sl_cache_list(cache, p, &got);

		for (uint32_t i = 0; i < chunk->packets; i++) {
			const struct sl_record *r = sl_chunk_record(chunk, i);
			bool want = bpf_filter(insns[p], (const uint8_t *)(r + 1), r->len, r->caplen) != 0;
			bool has = n < got && list[n] == i;

			if (want != has) {
				fprintf(stderr, "program %u, packet %u: %d instead of %d\n", p, i, has, want);
				abort();
			}
			n += has;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_gen gen = {.bytes = data, .left = size};
	const struct bpf_program *all[PROGRAMS];
	struct sl_cache *caches[2] = {0};
	uint32_t numbers[PROGRAMS];
	unsigned int count = 0, unit_count;
	struct sl_unit *units;

	for (unsigned int i = 0; i < PROGRAMS; i++)
		count = add_program(&gen, count);
	if (count == 0)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		all[i] = &programs[i];
		numbers[i] = i;
	}
	if (sl_units_create(all, numbers, count, &units, &unit_count) != 0)
		abort();
	for (int portable = 0; portable < 2; portable++)
		if (sl_cache_create(&(struct sl_cache_params){.link_type = 1,
					    .units = units,
					    .unit_count = unit_count,
					    .programs = execs,
					    .program_count = count,
					    .buckets = 16,
					    .portable = portable != 0},
			    &caches[portable]) != 0)
			abort();
	while (gen.left > 0) {
		struct sl_chunk chunk = make_chunk(&gen);

		for (int portable = 0; portable < 2; portable++) {
			sl_cache_run(caches[portable], &chunk);
			compare(caches[portable], count, &chunk);
		}
	}
	sl_cache_free(caches[0]);
	sl_cache_free(caches[1]);
	sl_units_free(units, unit_count);
	return 0;
}
