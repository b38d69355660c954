/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "prover.h"

uint64_t
sl_prove_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64* */
uint32_t
sl_prove_random(struct sl_prover *p)
{
	p->rng ^= p->rng >> 12;
	p->rng ^= p->rng << 25;
	p->rng ^= p->rng >> 27;
	return (uint32_t)((p->rng * 0x2545f4914f6cdd1du) >> 32);
}

bool
sl_prove_stopped(struct sl_prover *p)
{
	if (p->error == 0 && ++p->checks % 64 == 0 && sl_prove_now_ns() > p->deadline)
		p->error = -ETIME;
	return p->error != 0;
}

void
sl_prove_compare(struct sl_prover *p, const struct sl_packet *packet)
{
	const uint8_t *data;
	uint64_t got = 0;
	uint32_t want;
	int ret;

	if (sl_prove_stopped(p))
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

struct sl_packet
sl_prove_copy(struct sl_prover *p, const struct sl_packet *from)
{
	struct sl_packet c = *from;

	c.data = malloc(from->caplen > 0 ? from->caplen : 1);
	if (c.data == NULL)
		p->error = -ENOMEM;
	else
		memcpy(c.data, from->data, from->caplen);
	return c;
}

bool
sl_prove_is_branch(const struct sl_prover *p, uint32_t pc)
{
	const struct bpf_insn *i = &p->program->bf_insns[pc];

	return BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) != BPF_JA && i->jt != i->jf;
}

unsigned int
sl_prove_count_open(const struct sl_prover *p)
{
	unsigned int n = 0;

	for (uint32_t e = 0; e < 2 * p->program->bf_len; e++)
		n += p->feasible[e] && !p->covered[e];
	return n;
}

/* All edges that the graph leads to are feasible at first. @return 0 or -ENOMEM */
static int
find_edges(struct sl_prover *p)
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
			if (sl_prove_is_branch(p, pc)) {
				p->feasible[SL_EDGE(pc, true)] = p->feasible[SL_EDGE(pc, false)] = true;
				p->proof->edges += 2;
			}
		}
	}
	free(reached);
	return 0;
}

static void
conclude(struct sl_prover *p)
{
	struct sl_proof *proof = p->proof;

	for (uint32_t pc = 0; pc < p->program->bf_len; pc++)
		for (int yes = 0; yes < 2 && sl_prove_is_branch(p, pc); yes++)
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
	proof->unreachable = proof->edges - proof->taken - sl_prove_count_open(p);
	if (p->error == -ETIME) {
		snprintf(proof->reason, sizeof(proof->reason), "proof took too long: %u of %u edges after %u packets",
			proof->taken + proof->unreachable, proof->edges, proof->packets);
	} else if (p->error != 0) {
		snprintf(proof->reason, sizeof(proof->reason), "no memory for the proof");
	} else if (sl_prove_count_open(p) > 0) {
		snprintf(proof->reason, sizeof(proof->reason), "no packet found for %u of %u edges",
			sl_prove_count_open(p), proof->edges);
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
	struct sl_prover p = {.program = program, .fn = fn, .proof = proof, .rng = seed | 1};

	*proof = (struct sl_proof){0};
	p.covered = calloc(edges, sizeof(*p.covered));
	p.feasible = calloc(edges, sizeof(*p.feasible));
	p.paths = calloc(program->bf_len, sizeof(*p.paths));
	p.path_set = calloc(SL_PROVE_PATH_SLOTS, sizeof(*p.path_set));
	p.aimed = calloc(edges, sizeof(*p.aimed));
	p.kept_family = calloc(SL_PROVE_MAX_KEPT, sizeof(*p.kept_family));
	p.outcomes = calloc(edges, sizeof(*p.outcomes));
	p.outcome_tries = calloc(edges, sizeof(*p.outcome_tries));
	p.leads = calloc(program->bf_len, sizeof(*p.leads));
	p.kept = calloc(SL_PROVE_MAX_KEPT, sizeof(*p.kept));
	if (p.covered == NULL || p.feasible == NULL || p.paths == NULL || p.path_set == NULL || p.aimed == NULL ||
		p.leads == NULL || p.outcomes == NULL || p.kept_family == NULL || p.outcome_tries == NULL ||
		p.kept == NULL || sl_trace_init(&p.trace, program) != 0 || sl_trace_init(&p.second, program) != 0 ||
		find_edges(&p) != 0 || sl_sandbox_create(&p.sandbox) != 0) {
		snprintf(proof->reason, sizeof(proof->reason), "no memory for the proof");
		p.error = -ENOMEM;
		goto out;
	}
	/* Only now: the sandbox may have been waited for. */
	p.deadline = sl_prove_now_ns() + time_limit;
	sl_prove_cover(&p);
	if (p.error == 0)
		sl_prove_cover_outcomes(&p);
	if (p.error == 0)
		sl_prove_stress(&p);
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
