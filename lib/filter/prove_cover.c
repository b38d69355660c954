/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "prover.h"

/* How many of the kept packets may reach one open branch by different paths. */
#define PATHS_FEW 8u
#define PATHS_MANY 512u
/* Solutions tried for one branch of one packet. */
#define TRIES 12u
/* Bytes behind the last load that failed, when a packet is made longer. */
#define GROW_SLACK 24u
/* Accepted packets that are changed towards an edge, for its other outcome. */
#define OUTCOME_TRIES 6u
/* Instructions walked to show that one edge is unreachable: before packets are looked for by many paths, and after. */
#define PATH_STEPS_QUICK 20000u
#define PATH_STEPS_LONG 400000u

static bool
open_edge(const struct sl_prover *p, const struct sl_branch *b)
{
	uint32_t other = SL_EDGE(b->pc, !b->taken);

	return !p->covered[other] && p->feasible[other];
}

/* Is this path to a branch new? Remembers it. */
static bool
new_path(struct sl_prover *p, uint32_t pc, uint64_t hash)
{
	uint32_t slot;

	if (p->paths[pc] >= p->path_limit || p->path_count >= SL_PROVE_PATH_SLOTS / 2)
		return false;
	hash = (hash ^ pc) * 0x9e3779b97f4a7c15u | 1;
	slot = (uint32_t)(hash >> 40) % SL_PROVE_PATH_SLOTS;
	while (p->path_set[slot] != 0) {
		if (p->path_set[slot] == hash)
			return false;
		slot = (slot + 1) % SL_PROVE_PATH_SLOTS;
	}
	p->path_set[slot] = hash;
	p->path_count++;
	p->paths[pc]++;
	return true;
}

/* Account for the run in p->second. @return whether the packet is worth keeping */
static bool
note_trace(struct sl_prover *p)
{
	const struct sl_trace *t = &p->second;
	uint64_t hash = p->family;
	bool keep = false;

	for (uint32_t i = 0; i < t->branch_count; i++) {
		const struct sl_branch *b = &t->branches[i];
		uint8_t outcome = t->result != 0 ? 2 : 1;

		if (!(p->outcomes[SL_EDGE(b->pc, b->taken)] & outcome)) {
			p->outcomes[SL_EDGE(b->pc, b->taken)] |= outcome;
			keep |= p->by_outcome;
		}
		if (!p->covered[SL_EDGE(b->pc, b->taken)]) {
			p->covered[SL_EDGE(b->pc, b->taken)] = true;
			keep = true;
		}
		if (p->leads[b->pc] && new_path(p, b->pc, hash))
			keep = true;
		hash = (hash ^ SL_EDGE(b->pc, b->taken)) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	return keep;
}

/* Make the packet long enough for the load that failed. @return false: it can't be */
static bool
grow(struct sl_prover *p, struct sl_packet *packet)
{
	const struct sl_load *l = &p->second.loads[p->second.load_count - 1];
	uint64_t caplen = (uint64_t)l->off + l->size + GROW_SLACK;
	uint8_t *data;

	if ((uint64_t)l->off + l->size > SL_CONCOLIC_MAX_CAPLEN)
		return false;
	if (caplen > SL_CONCOLIC_MAX_CAPLEN)
		caplen = SL_CONCOLIC_MAX_CAPLEN;
	data = realloc(packet->data, caplen);
	if (data == NULL) {
		p->error = -ENOMEM;
		return false;
	}
	/* As its end, so that header lengths found there are those of its seed. */
	memset(data + packet->caplen, packet->caplen > 0 ? data[packet->caplen - 1] : 0, caplen - packet->caplen);
	packet->data = data;
	packet->caplen = (uint32_t)caplen;
	return true;
}

/* Run, grow, compare and perhaps keep a packet, whose bytes are taken over. */
static void
consider(struct sl_prover *p, struct sl_packet packet)
{
	bool keep = false;

	do {
		sl_trace_run(&p->second, &packet);
		keep |= note_trace(p);
		sl_prove_compare(p, &packet);
	} while (p->second.out_of_bounds && p->error == 0 && grow(p, &packet));

	if (keep && p->kept_count < SL_PROVE_MAX_KEPT && p->error == 0) {
		p->kept_family[p->kept_count] = p->family;
		p->kept[p->kept_count++] = packet;
	} else {
		free(packet.data);
	}
}

/* Solve one branch of the packet whose trace is in p->trace. */
static void
solve_branch(struct sl_prover *p, const struct sl_packet *packet, const struct sl_branch *b, unsigned int tries)
{
	uint32_t edge = SL_EDGE(b->pc, !b->taken);
	bool was_open = !p->covered[edge];

	for (unsigned int attempt = 0; tries > 0 && !sl_prove_stopped(p); attempt++) {
		struct sl_packet c = sl_prove_copy(p, packet);
		int ret = c.data == NULL ? -1 : sl_trace_flip(&p->trace, b, attempt, &c);

		if (ret != 0) {
			free(c.data);
			if (ret < 0)
				return;
			continue;
		}
		consider(p, c);
		tries--;
		if (was_open && p->covered[edge])
			return;
	}
}

/* Where a load at an offset from the packet ended the run: try offsets within the packet. */
static void
pull_in(struct sl_prover *p, const struct sl_packet *packet)
{
	for (unsigned int attempt = 0; !sl_prove_stopped(p); attempt++) {
		struct sl_packet c = sl_prove_copy(p, packet);
		int ret = c.data == NULL ? -1 : sl_trace_pull(&p->trace, attempt, &c);

		if (ret == 0) {
			consider(p, c);
			continue;
		}
		free(c.data);
		if (ret < 0)
			return;
	}
}

/* Solve the open branches of a kept packet; with diversify the others too, for new paths to the open ones. */
static void
expand(struct sl_prover *p, uint32_t index, bool diversify)
{
	const struct sl_packet packet = p->kept[index];

	p->family = p->kept_family[index];
	sl_trace_run(&p->trace, &packet);
	if (p->trace.out_of_bounds)
		pull_in(p, &packet);
	for (uint32_t i = 0; i < p->trace.branch_count && !sl_prove_stopped(p); i++) {
		const struct sl_branch b = p->trace.branches[i];

		if (open_edge(p, &b))
			solve_branch(p, &packet, &b, TRIES);
		else if (diversify && p->leads[b.pc] && p->feasible[SL_EDGE(b.pc, !b.taken)])
			solve_branch(p, &packet, &b, 2);
	}
}

/*
 * Where a filter takes a header length from the packet, zeros would let headers overlap, so that no port could be what
 * it should: hence bytes first that are 20 and 24 as the length of an IPv4 header, wherever that is. Programs for
 * radiotap and PPI begin with the high byte of the length of that header: give them one of 8 bytes.
 */
static void
cover_from_seeds(struct sl_prover *p)
{
	static const uint8_t radio[] = {0, 0, 8, 0, 0, 0, 0, 0};
	static const int seeds[] = {0x45, 0x46, 0, 0x50, -1, -1}; /* -1: random */
	const struct bpf_insn *first = p->program->bf_insns;
	bool with_radio = first->code == (BPF_LD | BPF_B | BPF_ABS) && first->k == 3;
	uint32_t next = 0;

	for (unsigned int i = 0; i < sizeof(seeds) / sizeof(seeds[0]) && p->error == 0; i++) {
		struct sl_packet s = {.caplen = 96, .len = 96 + 1000 * (i & 1)};

		s.data = malloc(s.caplen);
		if (s.data == NULL) {
			p->error = -ENOMEM;
			return;
		}
		for (uint32_t j = 0; j < s.caplen; j++)
			s.data[j] = (uint8_t)(seeds[i] >= 0 ? (uint32_t)seeds[i] : sl_prove_random(p));
		if (with_radio && i % 2 == 0)
			memcpy(s.data, radio, sizeof(radio));
		p->family = (uint8_t)i;
		consider(p, s);
		for (; next < p->kept_count && p->error == 0 && sl_prove_count_open(p) > 0; next++)
			expand(p, next, false);
	}
}

/* From which branches an open edge can be reached: at first all, later few. */
static void
find_leads(struct sl_prover *p)
{
	const struct bpf_insn *insns = p->program->bf_insns;

	for (uint32_t pc = p->program->bf_len; pc-- > 0;) {
		const struct bpf_insn *i = &insns[pc];
		uint32_t yes = SL_EDGE(pc, true), no = SL_EDGE(pc, false);

		if (BPF_CLASS(i->code) == BPF_RET)
			p->leads[pc] = false;
		else if (BPF_CLASS(i->code) != BPF_JMP)
			p->leads[pc] = p->leads[pc + 1];
		else if (BPF_OP(i->code) == BPF_JA || i->jt == i->jf)
			p->leads[pc] = p->leads[pc + 1 + (BPF_OP(i->code) == BPF_JA ? i->k : i->jt)];
		else
			p->leads[pc] = (p->feasible[yes] && (!p->covered[yes] || p->leads[pc + 1 + i->jt])) ||
				       (p->feasible[no] && (!p->covered[no] || p->leads[pc + 1 + i->jf]));
	}
}

/* Cross out edges that no packet can take. */
static void
try_paths(struct sl_prover *p, uint64_t steps_an_edge)
{
	for (uint32_t e = 0; e < 2 * p->program->bf_len && p->error == 0; e++) {
		uint64_t steps = steps_an_edge;
		int ret;

		if (!p->feasible[e] || p->covered[e])
			continue;
		ret = sl_unreach_paths(p->program, e, p->feasible, &steps);
		if (ret < 0)
			p->error = ret;
		else if (ret == 1)
			p->feasible[e] = false;
		if (p->error == 0 && sl_prove_now_ns() > p->deadline)
			p->error = -ETIME;
	}
}

void
sl_prove_cover(struct sl_prover *p)
{
	uint32_t i;
	int ret;

	/* First only packets that take a new edge are kept. */
	cover_from_seeds(p);
	if (sl_prove_count_open(p) == 0 || p->error != 0)
		return;
	ret = sl_unreach_joined(p->program, p->feasible);
	if (ret != 0) {
		p->error = ret;
		return;
	}
	try_paths(p, PATH_STEPS_QUICK);
	/* Then those that come near an open edge on a new path. */
	for (p->path_limit = PATHS_FEW; p->path_limit <= PATHS_MANY; p->path_limit *= 4)
		for (i = 0; i < p->kept_count && p->error == 0 && sl_prove_count_open(p) > 0; i++) {
			if (i % 16 == 0)
				find_leads(p);
			expand(p, i, true);
		}
	try_paths(p, PATH_STEPS_LONG);
}

/*
 * A wrong comparison shows only in a packet whose verdict hangs on it. So look for packets that take an edge and are
 * accepted, and such that are rejected: by changing accepted ones.
 */
void
sl_prove_cover_outcomes(struct sl_prover *p)
{
	p->by_outcome = true;
	for (uint32_t i = 0; i < p->kept_count && p->error == 0; i++) {
		const struct sl_packet packet = p->kept[i];

		p->family = p->kept_family[i];
		sl_trace_run(&p->trace, &packet);
		for (uint32_t j = 0; j < p->trace.branch_count && p->trace.result != 0 && !sl_prove_stopped(p); j++) {
			const struct sl_branch b = p->trace.branches[j];
			uint32_t edge = SL_EDGE(b.pc, !b.taken);

			if (p->outcomes[edge] == 3 || !p->feasible[edge] || p->outcome_tries[edge] >= OUTCOME_TRIES)
				continue;
			p->outcome_tries[edge]++;
			solve_branch(p, &packet, &b, 3);
		}
	}
}
