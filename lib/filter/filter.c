/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bpf.h>
#include <rte_log.h>

#include "cache.h"
#include "compile.h"
#include "hint.h"
#include "prove.h"
#include "sl_filter.h"
#include "translate.h"

RTE_LOG_REGISTER_DEFAULT(sl_filter_logtype, INFO);
#define FILTER_LOG(level, ...) rte_log(RTE_LOG_##level, sl_filter_logtype, "filter: " __VA_ARGS__)

/* Packet numbers are 16 bit, so are program numbers; one less keeps UINT16_MAX free. */
#define MAX_PROGRAMS 65535u
#define LINKTYPE_ETHERNET 1u
/* A usual filter is proven in less than a millisecond. */
#define PROOF_NS 200000000u
/* Any number; fixed, so that a start repeats what the last one did. */
#define PROOF_SEED 0x736c75696365u
#define NOT_CACHED UINT32_MAX
/* Rejections that are worth naming the filter for; long ones are cut. */
#define LOG_EXPRESSION 160

struct program {
	struct bpf_program bpf;
	struct bpf_insn *interpreted; /* by libpcap, instead of bpf itself: defined_program() */
	char *expression; /* the first that compiled to this program */
	enum sl_filter_engine engine;
	struct rte_bpf *jit;
	struct sl_exec exec;
	uint32_t cached; /* its number in the caches, or NOT_CACHED */
	char reason[SL_PROOF_REASON];
	struct sl_filter_info info;
	bool hinted; /* main thread only */
	_Atomic bool matched; /* set once by any lane */
};

struct sl_filter_set {
	uint32_t link_type;
	unsigned int lanes;
	unsigned int program_count;
	uint64_t from, to; /* times of packets that are accepted at all */
	struct program *programs;
	uint16_t *program_of; /* one an expression */
	struct sl_encap_counts *encap; /* one a lane */

	/* the programs that the verdict caches hold, by their numbers there */
	uint32_t cached_count;
	struct sl_unit *units;
	unsigned int unit_count;
	struct sl_exec *cached_exec;
	struct sl_cache **caches; /* one a lane; NULL: none */
};

int
sl_filter_check(const char *expression, uint32_t link_type, uint32_t snap_len, char *errbuf)
{
	struct bpf_program bpf;
	int ret;

	ret = sl_compile(expression, link_type, snap_len, &bpf, errbuf);
	if (ret == 0)
		sl_compile_free(&bpf);
	return ret;
}

/*
 * libpcap's code for geneve, mpls and the like can read scratch memory that it has not written: after `not geneve`, for
 * one. bpf_filter() takes what lies on the stack then, so tcpdump itself gives other packets with -w than without. Ours
 * must not depend on who called what before: such memory is 0.
 */
static struct bpf_insn *
defined_program(const struct bpf_program *bpf)
{
	uint32_t read = 0, n = 0;
	struct bpf_insn *insns;

	for (unsigned int i = 0; i < bpf->bf_len; i++) {
		const struct bpf_insn *in = &bpf->bf_insns[i];

		if (in->code == (BPF_LD | BPF_MEM) || in->code == (BPF_LDX | BPF_MEM))
			read |= 1u << in->k;
	}
	insns = calloc(bpf->bf_len + 1 + BPF_MEMWORDS, sizeof(*insns));
	if (insns == NULL)
		return NULL;
	if (read != 0)
		insns[n++] = (struct bpf_insn)BPF_STMT(BPF_LD | BPF_IMM, 0);
	for (uint32_t word = 0; word < BPF_MEMWORDS; word++)
		if (read & 1u << word)
			insns[n++] = (struct bpf_insn)BPF_STMT(BPF_ST, word);
	memcpy(insns + n, bpf->bf_insns, bpf->bf_len * sizeof(*insns));
	return insns;
}

static void
prepare_jit(struct program *p)
{
	struct sl_proof proof;
	const char *why;
	int ret;

	p->engine = SL_FILTER_LIBPCAP;
	ret = sl_translate_load(&p->bpf, &p->jit, &p->exec.fn, &why);
	if (ret != 0) {
		snprintf(p->reason, sizeof(p->reason), "%s", why);
		return;
	}
	ret = sl_prove(&p->bpf, p->exec.fn, PROOF_NS, PROOF_SEED, &proof);
	snprintf(p->reason, sizeof(p->reason), "%s", proof.reason);
	p->info.edges = proof.edges;
	p->info.edges_taken = proof.taken + proof.unreachable;
	p->info.proof_packets = proof.packets;
	if (ret == 0) {
		p->engine = SL_FILTER_JIT;
		return;
	}
	rte_bpf_destroy(p->jit);
	p->jit = NULL;
	p->exec.fn = NULL;
}

/* Choose how a program runs. */
static int
prepare(struct program *p)
{
	const struct bpf_insn *first = p->bpf.bf_insns;

	if (first->code == (BPF_RET | BPF_K)) {
		p->engine = first->k != 0 ? SL_FILTER_ALL : SL_FILTER_NONE;
		snprintf(p->reason, sizeof(p->reason), "%s every packet", first->k != 0 ? "accepts" : "rejects");
	} else {
		prepare_jit(p);
	}
	p->info.engine = p->engine;
	p->info.reason = p->reason;
	p->info.instructions = p->bpf.bf_len;
	if (p->engine != SL_FILTER_LIBPCAP)
		return 0;
	FILTER_LOG(NOTICE, "'%.*s%s' runs on libpcap's interpreter: %s\n", LOG_EXPRESSION, p->expression,
		strlen(p->expression) > LOG_EXPRESSION ? "..." : "", p->reason);
	p->interpreted = defined_program(&p->bpf);
	p->exec.insns = p->interpreted;
	return p->interpreted != NULL ? 0 : -ENOMEM;
}

int
sl_filter_set_create(const char *const *expressions, size_t count, uint32_t link_type, uint32_t snap_len,
	unsigned int lanes, struct sl_filter_set **set, char *errbuf)
{
	struct sl_filter_set *s;
	unsigned int n;
	int ret;

	if (count > MAX_PROGRAMS) {
		snprintf(errbuf, SL_FILTER_ERRBUF, "%zu filters are more than the %u possible", count, MAX_PROGRAMS);
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		goto nomem;
	s->link_type = link_type;
	s->to = UINT64_MAX;
	s->lanes = lanes;
	s->programs = calloc(count + 1, sizeof(*s->programs));
	s->program_of = calloc(count + 1, sizeof(*s->program_of));
	s->encap = aligned_alloc(SL_CACHE_LINE, (lanes + 1) * sizeof(*s->encap));
	if (s->programs == NULL || s->program_of == NULL || s->encap == NULL)
		goto nomem;
	memset(s->encap, 0, (lanes + 1) * sizeof(*s->encap));

	for (size_t i = 0; i < count; i++) {
		struct program *p = &s->programs[s->program_count];

		ret = sl_compile(expressions[i], link_type, snap_len, &p->bpf, errbuf);
		if (ret != 0)
			goto err;
		for (n = 0; n < s->program_count; n++)
			if (sl_compile_equal(&s->programs[n].bpf, &p->bpf))
				break;
		s->program_of[i] = (uint16_t)n;
		if (n < s->program_count) {
			sl_compile_free(&p->bpf);
			continue;
		}
		s->program_count++;
		p->expression = strdup(expressions[i] != NULL ? expressions[i] : "");
		if (p->expression == NULL || prepare(p) != 0)
			goto nomem;
	}
	*set = s;
	return 0;

nomem:
	snprintf(errbuf, SL_FILTER_ERRBUF, "no memory for %zu filters", count);
	ret = -ENOMEM;
err:
	sl_filter_set_free(s);
	return ret;
}

void
sl_filter_set_free(struct sl_filter_set *set)
{
	if (set == NULL)
		return;
	for (unsigned int i = 0; i < set->program_count; i++) {
		struct program *p = &set->programs[i];

		rte_bpf_destroy(p->jit);
		sl_compile_free(&p->bpf);
		free(p->interpreted);
		free(p->expression);
	}
	for (unsigned int lane = 0; set->caches && lane < set->lanes; lane++)
		sl_cache_free(set->caches[lane]);
	free(set->caches);
	free(set->cached_exec);
	sl_units_free(set->units, set->unit_count);
	free(set->programs);
	free(set->encap);
	free(set->program_of);
	free(set);
}

/* ---------------------------------------------------------------- the verdict cache */

/* Number the programs that can be cached, and find those that run as one. */
static int
make_units(struct sl_filter_set *set)
{
	const struct bpf_program **programs = calloc(set->program_count + 1, sizeof(*programs));
	uint32_t *numbers = calloc(set->program_count + 1, sizeof(*numbers));
	int ret = -ENOMEM;

	set->cached_exec = calloc(set->program_count + 1, sizeof(*set->cached_exec));
	if (programs && numbers && set->cached_exec) {
		for (unsigned int i = 0; i < set->program_count; i++) {
			struct program *p = &set->programs[i];

			/* Proven ones only: the proof has seen all their instructions. */
			if (p->engine != SL_FILTER_JIT || !sl_track_possible(&p->bpf)) {
				p->cached = NOT_CACHED;
				continue;
			}
			p->cached = set->cached_count;
			programs[p->cached] = &p->bpf;
			numbers[p->cached] = p->cached;
			set->cached_exec[set->cached_count++] = p->exec;
		}
		ret = sl_units_create(programs, numbers, set->cached_count, &set->units, &set->unit_count);
	}
	free(programs);
	free(numbers);
	return ret;
}

int
sl_filter_use_cache(struct sl_filter_set *set, enum sl_filter_vectors vectors)
{
	struct sl_cache_params params;
	int ret;

	ret = make_units(set);
	if (ret < 0)
		return ret;
	params = (struct sl_cache_params){.link_type = set->link_type,
		.units = set->units,
		.unit_count = set->unit_count,
		.programs = set->cached_exec,
		.program_count = set->cached_count,
		.portable = vectors == SL_FILTER_PORTABLE};
	if (!sl_cache_pays(&params))
		return 0;
	set->caches = calloc(set->lanes, sizeof(*set->caches));
	if (!set->caches)
		return -ENOMEM;
	for (unsigned int lane = 0; lane < set->lanes && ret == 0; lane++)
		ret = sl_cache_create(&params, &set->caches[lane]);
	return ret;
}

void
sl_filter_get_stats(const struct sl_filter_set *set, struct sl_filter_stats *stats)
{
	*stats = (struct sl_filter_stats){
		.cached_programs = set->caches ? set->cached_count : 0, .units = set->caches ? set->unit_count : 0};
	for (unsigned int lane = 0; set->caches && lane < set->lanes; lane++)
		if (set->caches[lane])
			sl_cache_add_stats(set->caches[lane], stats);
}

unsigned int
sl_filter_programs(const struct sl_filter_set *set)
{
	return set->program_count;
}

const uint16_t *
sl_filter_program_of(const struct sl_filter_set *set)
{
	return set->program_of;
}

void
sl_filter_get_info(const struct sl_filter_set *set, unsigned int program, struct sl_filter_info *info)
{
	*info = set->programs[program].info;
}

static void
need_entries(struct sl_verdicts *verdicts, size_t entries)
{
	if (entries <= verdicts->arena_entries)
		return;
	if (entries < 2 * verdicts->arena_entries)
		entries = 2 * verdicts->arena_entries;
	verdicts->arena = sl_exec_memory(verdicts->arena, entries * sizeof(*verdicts->arena));
	verdicts->arena_entries = entries;
}

/* Packets that a program accepts; their numbers are in list unless it accepts all or none. */
static uint32_t
run_program(const struct program *p, const struct sl_cache *cache, const struct sl_chunk *chunk, uint16_t *list)
{
	if (cache && p->cached != NOT_CACHED) {
		uint32_t n;
		const uint16_t *found = sl_cache_list(cache, p->cached, &n);

		memcpy(list, found, n * sizeof(*list));
		return n;
	}
	switch (p->engine) {
	case SL_FILTER_ALL:
		return chunk->packets;
	case SL_FILTER_NONE:
		return 0;
	default:
		return sl_exec_list(&p->exec, chunk, NULL, chunk->packets, list);
	}
}

void
sl_filter_limit(struct sl_filter_set *set, uint64_t from, uint64_t to)
{
	set->from = from;
	set->to = to;
}

static bool
lies_within(const struct sl_filter_set *set, const struct sl_chunk *chunk)
{
	return chunk->min_ts >= set->from && chunk->max_ts < set->to;
}

/* Of n accepted packets, those of the set's time range; all packets are listed too, since now some may go. */
static uint32_t
keep_in_range(const struct sl_filter_set *set, const struct sl_chunk *chunk, uint16_t *list, uint32_t n)
{
	bool all = n == chunk->packets;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t packet = all ? i : list[i];
		uint64_t ts = sl_record_ts(sl_chunk_record(chunk, packet));

		list[kept] = (uint16_t)packet;
		kept += ts >= set->from && ts < set->to;
	}
	return kept;
}

void
sl_filter_run(struct sl_filter_set *set, unsigned int lane, const struct sl_chunk *chunk, struct sl_verdicts *verdicts)
{
	bool idle_program = false, limited = !lies_within(set, chunk);
	struct sl_cache *cache = set->caches ? set->caches[lane] : NULL;
	size_t used = 0;

	if (cache)
		sl_cache_run(cache, chunk);
	for (unsigned int i = 0; i < set->program_count; i++) {
		struct program *p = &set->programs[i];
		struct sl_verdict *v = &verdicts->of[i];
		uint32_t n;

		need_entries(verdicts, used + chunk->packets + 1); /* so that there is an arena at all */
		n = run_program(p, cache, chunk, verdicts->arena + used);
		if (limited)
			n = keep_in_range(set, chunk, verdicts->arena + used, n);
		v->count = n;
		v->packets = NULL;
		v->kind = n == 0 ? SL_VERDICT_NONE : n == chunk->packets ? SL_VERDICT_ALL : SL_VERDICT_LIST;
		if (v->kind == SL_VERDICT_LIST)
			used += n;
		if (!atomic_load_explicit(&p->matched, memory_order_relaxed)) {
			if (n != 0)
				atomic_store_explicit(&p->matched, true, memory_order_relaxed);
			else
				idle_program = true;
		}
	}
	/* Only now: the arena may have moved while it grew. */
	used = 0;
	for (unsigned int i = 0; i < set->program_count; i++) {
		struct sl_verdict *v = &verdicts->of[i];

		if (v->kind != SL_VERDICT_LIST)
			continue;
		v->packets = verdicts->arena + used;
		used += v->count;
	}
	if (idle_program && set->link_type == LINKTYPE_ETHERNET)
		sl_encap_sample(&set->encap[lane], chunk);
}

bool
sl_filter_hint(struct sl_filter_set *set, unsigned int program, char *text, size_t len)
{
	struct program *p = &set->programs[program];

	if (p->hinted || p->engine == SL_FILTER_ALL || atomic_load_explicit(&p->matched, memory_order_relaxed))
		return false;
	p->hinted = sl_encap_hint(set->encap, set->lanes, p->expression, text, len);
	return p->hinted;
}
