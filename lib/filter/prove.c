/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "concolic.h"
#include "prove.h"
#include "sandbox.h"
#include "unreach.h"

/* Packets kept for further changes, and how many of them may reach one open branch by different paths. */
#define MAX_KEPT 8192u
#define PATHS_FEW 8u
#define PATHS_MANY 512u
/* Solutions tried for one branch of one packet. */
#define TRIES 12u
/* Bytes behind the last load that failed, when a packet is made longer. */
#define GROW_SLACK 24u
/* Random changes of each kept packet, and random packets. */
#define MUTATIONS 16u
#define RANDOM_PACKETS 256u
#define AIMED_PACKETS 2u
/* Accepted packets that are changed towards an edge, for its other outcome. */
#define OUTCOME_TRIES 6u
#define PATH_STEPS_QUICK 20000u
#define PATH_STEPS_LONG 400000u

#define PATH_SLOTS 65536u

struct prover {
	const struct bpf_program *program;
	sl_filter_fn fn;
	struct sl_sandbox *sandbox;
	struct sl_trace trace; /* of the packet whose branches are solved */
	struct sl_trace second; /* of the packets that come out */
	bool *covered; /* by edge */
	bool *feasible; /* by edge */
	bool *leads; /* by instruction: an open edge can be reached from it */
	uint8_t *outcomes; /* by edge: bit 0 a packet that took it was rejected, bit 1 one was accepted */
	uint8_t *outcome_tries; /* by edge */
	bool by_outcome; /* keep packets that add an outcome */
	uint16_t *paths; /* by branch: different paths kept */
	uint64_t *path_set; /* hashes of (branch, path to it) */
	uint32_t path_count;
	unsigned int path_limit;
	uint8_t *aimed; /* by branch and outcome: packets whose comparison was moved to its boundary */
	struct sl_packet *kept;
	uint8_t *kept_family; /* the seed that a kept packet goes back to */
	uint8_t family; /* of the packets being made */
	uint32_t kept_count;
	uint64_t deadline;
	uint64_t rng;
	unsigned int checks; /* since the clock was read */
	int error;
	struct sl_proof *proof;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64* */
static uint32_t
next_random(struct prover *p)
{
	p->rng ^= p->rng >> 12;
	p->rng ^= p->rng << 25;
	p->rng ^= p->rng >> 27;
	return (uint32_t)((p->rng * 0x2545f4914f6cdd1du) >> 32);
}

static bool
out_of_time(struct prover *p)
{
	if (p->error == 0 && ++p->checks % 64 == 0 && now_ns() > p->deadline)
		p->error = -ETIME;
	return p->error != 0;
}

/* Compare machine code and libpcap on a packet. */
static void
compare(struct prover *p, const struct sl_packet *packet)
{
	const uint8_t *data;
	uint64_t got = 0;
	uint32_t want;
	int ret;

	if (out_of_time(p))
		return;
	p->proof->packets++;
	ret = sl_sandbox_run(p->sandbox, p->fn, packet, &data, &got);
	if (ret != 0) {
		snprintf(p->proof->reason, sizeof(p->proof->reason), "machine code crashed on a packet of %u bytes",
			packet->caplen);
		p->error = -EPROTO;
		return;
	}
	want = bpf_filter(p->program->bf_insns, data, packet->len, packet->caplen);
	if (got != want) {
		snprintf(p->proof->reason, sizeof(p->proof->reason),
			"machine code disagrees with libpcap on a packet of %u bytes: %llu instead of %u",
			packet->caplen, (unsigned long long)got, want);
		p->error = -EPROTO;
	}
}

static bool
open_edge(const struct prover *p, const struct sl_branch *b)
{
	uint32_t other = SL_EDGE(b->pc, !b->taken);

	return !p->covered[other] && p->feasible[other];
}

/* Is this path to a branch new? Remembers it. */
static bool
new_path(struct prover *p, uint32_t pc, uint64_t hash)
{
	uint32_t slot;

	if (p->paths[pc] >= p->path_limit || p->path_count >= PATH_SLOTS / 2)
		return false;
	hash = (hash ^ pc) * 0x9e3779b97f4a7c15u | 1;
	slot = (uint32_t)(hash >> 40) % PATH_SLOTS;
	while (p->path_set[slot] != 0) {
		if (p->path_set[slot] == hash)
			return false;
		slot = (slot + 1) % PATH_SLOTS;
	}
	p->path_set[slot] = hash;
	p->path_count++;
	p->paths[pc]++;
	return true;
}

/* Account for the run in p->second. @return whether the packet is worth keeping */
static bool
note_trace(struct prover *p)
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
grow(struct prover *p, struct sl_packet *packet)
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
consider(struct prover *p, struct sl_packet packet)
{
	bool keep = false;

	do {
		sl_trace_run(&p->second, &packet);
		keep |= note_trace(p);
		compare(p, &packet);
	} while (p->second.out_of_bounds && p->error == 0 && grow(p, &packet));

	if (keep && p->kept_count < MAX_KEPT && p->error == 0) {
		p->kept_family[p->kept_count] = p->family;
		p->kept[p->kept_count++] = packet;
	} else {
		free(packet.data);
	}
}

static struct sl_packet
copy_packet(struct prover *p, const struct sl_packet *from)
{
	struct sl_packet c = *from;

	c.data = malloc(from->caplen > 0 ? from->caplen : 1);
	if (c.data == NULL)
		p->error = -ENOMEM;
	else
		memcpy(c.data, from->data, from->caplen);
	return c;
}

/* Solve one branch of the packet whose trace is in p->trace. */
static void
solve_branch(struct prover *p, const struct sl_packet *packet, const struct sl_branch *b, unsigned int tries)
{
	uint32_t edge = SL_EDGE(b->pc, !b->taken);
	bool was_open = !p->covered[edge];

	for (unsigned int attempt = 0; tries > 0 && !out_of_time(p); attempt++) {
		struct sl_packet c = copy_packet(p, packet);
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
pull_in(struct prover *p, const struct sl_packet *packet)
{
	for (unsigned int attempt = 0; !out_of_time(p); attempt++) {
		struct sl_packet c = copy_packet(p, packet);
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
expand(struct prover *p, uint32_t index, bool diversify)
{
	const struct sl_packet packet = p->kept[index];

	p->family = p->kept_family[index];
	sl_trace_run(&p->trace, &packet);
	if (p->trace.out_of_bounds)
		pull_in(p, &packet);
	for (uint32_t i = 0; i < p->trace.branch_count && !out_of_time(p); i++) {
		const struct sl_branch b = p->trace.branches[i];

		if (open_edge(p, &b))
			solve_branch(p, &packet, &b, TRIES);
		else if (diversify && p->leads[b.pc] && p->feasible[SL_EDGE(b.pc, !b.taken)])
			solve_branch(p, &packet, &b, 2);
	}
}

static bool
is_branch(const struct prover *p, uint32_t pc)
{
	const struct bpf_insn *i = &p->program->bf_insns[pc];

	return BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) != BPF_JA && i->jt != i->jf;
}

static unsigned int
count_open(const struct prover *p)
{
	unsigned int n = 0;

	for (uint32_t e = 0; e < 2 * p->program->bf_len; e++)
		n += p->feasible[e] && !p->covered[e];
	return n;
}

/* All edges that the graph leads to are feasible at first. @return 0 or -ENOMEM */
static int
find_edges(struct prover *p)
{
	const struct bpf_insn *insns = p->program->bf_insns;
	bool *reached = calloc(p->program->bf_len + 1, sizeof(*reached));

	if (reached == NULL)
		return -ENOMEM;
	reached[0] = true;
	for (uint32_t pc = 0; pc < p->program->bf_len; pc++) {
		const struct bpf_insn *i = &insns[pc];

		if (!reached[pc] || BPF_CLASS(i->code) == BPF_RET || sl_load_impossible(i))
			continue;
		if (BPF_CLASS(i->code) != BPF_JMP) {
			reached[pc + 1] = true;
		} else if (BPF_OP(i->code) == BPF_JA) {
			reached[pc + 1 + i->k] = true;
		} else {
			reached[pc + 1 + i->jt] = reached[pc + 1 + i->jf] = true;
			if (is_branch(p, pc)) {
				p->feasible[SL_EDGE(pc, true)] = p->feasible[SL_EDGE(pc, false)] = true;
				p->proof->edges += 2;
			}
		}
	}
	free(reached);
	return 0;
}

/*
 * Where a filter takes a header length from the packet, zeros would let headers overlap, so that no port could be what
 * it should: hence bytes first that are 20 and 24 as the length of an IPv4 header, wherever that is. Programs for
 * radiotap and PPI begin with the high byte of the length of that header: give them one of 8 bytes.
 */
static void
cover_from_seeds(struct prover *p)
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
			s.data[j] = (uint8_t)(seeds[i] >= 0 ? (uint32_t)seeds[i] : next_random(p));
		if (with_radio && i % 2 == 0)
			memcpy(s.data, radio, sizeof(radio));
		p->family = (uint8_t)i;
		consider(p, s);
		for (; next < p->kept_count && p->error == 0 && count_open(p) > 0; next++)
			expand(p, next, false);
	}
}

/* From which branches an open edge can be reached: at first all, later few. */
static void
find_leads(struct prover *p)
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
try_paths(struct prover *p, uint64_t steps_an_edge)
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
		if (now_ns() > p->deadline)
			p->error = -ETIME;
	}
}

static void
cover(struct prover *p)
{
	uint32_t i;
	int ret;

	/* First only packets that take a new edge are kept. */
	cover_from_seeds(p);
	if (count_open(p) == 0 || p->error != 0)
		return;
	ret = sl_unreach_joined(p->program, p->feasible);
	if (ret != 0) {
		p->error = ret;
		return;
	}
	try_paths(p, PATH_STEPS_QUICK);
	/* Then those that come near an open edge on a new path. */
	for (p->path_limit = PATHS_FEW; p->path_limit <= PATHS_MANY; p->path_limit *= 4)
		for (i = 0; i < p->kept_count && p->error == 0 && count_open(p) > 0; i++) {
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
static void
cover_outcomes(struct prover *p)
{
	p->by_outcome = true;
	for (uint32_t i = 0; i < p->kept_count && p->error == 0; i++) {
		const struct sl_packet packet = p->kept[i];

		p->family = p->kept_family[i];
		sl_trace_run(&p->trace, &packet);
		for (uint32_t j = 0; j < p->trace.branch_count && p->trace.result != 0 && !out_of_time(p); j++) {
			const struct sl_branch b = p->trace.branches[j];
			uint32_t edge = SL_EDGE(b.pc, !b.taken);

			if (p->outcomes[edge] == 3 || !p->feasible[edge] || p->outcome_tries[edge] >= OUTCOME_TRIES)
				continue;
			p->outcome_tries[edge]++;
			solve_branch(p, &packet, &b, 3);
		}
	}
}

static void
truncate_and_compare(struct prover *p, const struct sl_packet *packet, bool *tried)
{
	struct sl_packet c = *packet;

	memset(tried, 0, packet->caplen + 1);
	for (uint32_t i = 0; i < p->trace.load_count && p->error == 0; i++) {
		const struct sl_load *l = &p->trace.loads[i];

		for (uint32_t n = l->off > 0 ? l->off - 1 : 0; n <= l->off + l->size && n <= packet->caplen; n++) {
			if (tried[n])
				continue;
			tried[n] = true;
			/* The last n bytes would not do: an over-read must hit the guard page. */
			c.caplen = n;
			compare(p, &c);
		}
	}
}

static void
mutate_and_compare(struct prover *p, const struct sl_packet *packet)
{
	struct sl_packet c = copy_packet(p, packet);

	for (unsigned int n = 0; n < MUTATIONS && p->error == 0; n++) {
		uint32_t r = next_random(p);
		uint32_t at = r % (packet->caplen > 0 ? packet->caplen : 1);
		uint8_t *byte;

		/* Mostly where the program looks. */
		if (p->trace.load_count > 0 && (r >> 16 & 3) != 0) {
			const struct sl_load *l = &p->trace.loads[next_random(p) % p->trace.load_count];

			at = l->off + next_random(p) % l->size;
		}
		if (at >= packet->caplen)
			continue;
		byte = &c.data[at];
		switch (next_random(p) % 5) {
		case 0:
			*byte ^= (uint8_t)(1u << next_random(p) % 8);
			break;
		case 1:
			*byte += next_random(p) % 2 ? 1 : 0xff;
			break;
		case 2:
			*byte = next_random(p) % 2 ? 0 : 0xff;
			break;
		case 3:
			c.len = next_random(p) % 4 ? next_random(p) % 2048 : next_random(p);
			break;
		default:
			*byte = (uint8_t)next_random(p);
			break;
		}
		compare(p, &c);
		if (n % 4 == 3) {
			memcpy(c.data, packet->data, packet->caplen);
			c.len = packet->len;
		}
	}
	free(c.data);
}

/* Every branch at its boundary, in some packets that are accepted and some that are not. */
static void
aim_and_compare(struct prover *p, const struct sl_packet *packet)
{
	struct sl_packet c = copy_packet(p, packet);

	for (uint32_t i = 0; i < p->trace.branch_count && p->error == 0; i++) {
		const struct sl_branch *b = &p->trace.branches[i];
		uint8_t *done = &p->aimed[2 * b->pc + (p->trace.result != 0)];
		int ret = 0;

		if (*done == AIMED_PACKETS)
			continue;
		++*done;
		for (unsigned int attempt = 0; ret >= 0 && p->error == 0; attempt++) {
			ret = sl_trace_aim(&p->trace, b, attempt, &c);
			if (ret == 0)
				compare(p, &c);
			if (ret >= 0) {
				memcpy(c.data, packet->data, packet->caplen);
				c.len = packet->len;
			}
		}
	}
	free(c.data);
}

static void
random_and_compare(struct prover *p, uint32_t longest)
{
	struct sl_packet c = {.data = malloc(longest + 1)};

	if (c.data == NULL) {
		p->error = -ENOMEM;
		return;
	}
	for (unsigned int n = 0; n < RANDOM_PACKETS && p->error == 0; n++) {
		c.caplen = next_random(p) % (longest + 1);
		c.len = n % 2 ? c.caplen : next_random(p) % 65536;
		for (uint32_t i = 0; i < c.caplen; i++)
			c.data[i] = (uint8_t)next_random(p);
		compare(p, &c);
	}
	free(c.data);
}

/* Beyond the packets that cover the edges: shorter, changed and random ones. */
static void
stress(struct prover *p)
{
	bool *tried = malloc(SL_CONCOLIC_MAX_CAPLEN + 1);
	uint32_t longest = 0;

	if (tried == NULL) {
		p->error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < p->kept_count && p->error == 0; i++) {
		const struct sl_packet *k = &p->kept[i];

		sl_trace_run(&p->trace, k);
		truncate_and_compare(p, k, tried);
		mutate_and_compare(p, k);
		aim_and_compare(p, k);
		if (k->caplen > longest)
			longest = k->caplen;
	}
	random_and_compare(p, longest < 2048 ? longest : 2048);
	free(tried);
}

static void
conclude(struct prover *p)
{
	struct sl_proof *proof = p->proof;

	for (uint32_t pc = 0; pc < p->program->bf_len; pc++)
		for (int yes = 0; yes < 2 && is_branch(p, pc); yes++)
			proof->taken += p->covered[SL_EDGE(pc, yes)];
	for (uint32_t e = 0; e < 2 * p->program->bf_len; e++)
		if (p->covered[e] && !p->feasible[e]) {
			/* The analysis is wrong, so it proves nothing. */
			snprintf(proof->reason, sizeof(proof->reason), "a packet took edge %u, held unreachable", e);
			p->error = -EPROTO;
			return;
		}
	if (p->error == -EPROTO)
		return;
	proof->unreachable = proof->edges - proof->taken - count_open(p);
	if (p->error == -ETIME) {
		snprintf(proof->reason, sizeof(proof->reason), "proof took too long: %u of %u edges after %u packets",
			proof->taken + proof->unreachable, proof->edges, proof->packets);
	} else if (p->error != 0) {
		snprintf(proof->reason, sizeof(proof->reason), "no memory for the proof");
	} else if (count_open(p) > 0) {
		snprintf(proof->reason, sizeof(proof->reason), "no packet found for %u of %u edges", count_open(p),
			proof->edges);
		p->error = -ENODATA;
	} else if (proof->unreachable > 0) {
		snprintf(proof->reason, sizeof(proof->reason),
			"equal to libpcap on %u packets that take %u of %u edges; %u are unreachable", proof->packets,
			proof->taken, proof->edges, proof->unreachable);
	} else {
		snprintf(proof->reason, sizeof(proof->reason), "equal to libpcap on %u packets that take all %u edges",
			proof->packets, proof->edges);
	}
}

int
sl_prove(const struct bpf_program *program, sl_filter_fn fn, uint64_t time_limit, uint64_t seed, struct sl_proof *proof)
{
	size_t edges = 2 * (size_t)program->bf_len;
	struct prover p = {.program = program, .fn = fn, .proof = proof, .rng = seed | 1};

	*proof = (struct sl_proof){0};
	p.covered = calloc(edges, sizeof(*p.covered));
	p.feasible = calloc(edges, sizeof(*p.feasible));
	p.paths = calloc(program->bf_len, sizeof(*p.paths));
	p.path_set = calloc(PATH_SLOTS, sizeof(*p.path_set));
	p.aimed = calloc(edges, sizeof(*p.aimed));
	p.kept_family = calloc(MAX_KEPT, sizeof(*p.kept_family));
	p.outcomes = calloc(edges, sizeof(*p.outcomes));
	p.outcome_tries = calloc(edges, sizeof(*p.outcome_tries));
	p.leads = calloc(program->bf_len, sizeof(*p.leads));
	p.kept = calloc(MAX_KEPT, sizeof(*p.kept));
	if (p.covered == NULL || p.feasible == NULL || p.paths == NULL || p.path_set == NULL || p.aimed == NULL ||
		p.leads == NULL || p.outcomes == NULL || p.kept_family == NULL || p.outcome_tries == NULL ||
		p.kept == NULL || sl_trace_init(&p.trace, program) != 0 || sl_trace_init(&p.second, program) != 0 ||
		find_edges(&p) != 0 || sl_sandbox_create(&p.sandbox) != 0) {
		snprintf(proof->reason, sizeof(proof->reason), "no memory for the proof");
		p.error = -ENOMEM;
		goto out;
	}
	/* Only now: the sandbox may have been waited for. */
	p.deadline = now_ns() + time_limit;
	cover(&p);
	if (p.error == 0)
		cover_outcomes(&p);
	if (p.error == 0)
		stress(&p);
	sl_sandbox_destroy(p.sandbox);
	conclude(&p);
out:
	for (uint32_t i = 0; i < p.kept_count; i++)
		free(p.kept[i].data);
	free(p.kept);
	free(p.path_set);
	free(p.paths);
	free(p.feasible);
	free(p.covered);
	free(p.leads);
	free(p.outcomes);
	free(p.kept_family);
	free(p.outcome_tries);
	free(p.aimed);
	sl_trace_fini(&p.trace);
	sl_trace_fini(&p.second);
	return p.error;
}
