/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>

#include "translation.h"

#define MAX_INSNS 4096u

/* Classic targets -> eBPF distances, which have 16 bits. */
static const char *
resolve_jumps(struct sl_translation *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t distance;

		if (t->target[i] == SL_NO_TARGET)
			continue;
		distance = t->at[t->target[i]] - (i + 1);
		if (distance > INT16_MAX)
			return "a jump is too long";
		t->out[i].off = (int16_t)distance;
	}
	return NULL;
}

static int
translate(struct sl_translation *t, const char **why)
{
	uint32_t live = 0;
	int ret = sl_translation_accept(t, &live, why);

	if (ret != 0)
		return ret;
	sl_emit_start(t, live);
	for (uint32_t i = 0; i < t->in_count; i++) {
		t->at[i] = t->n;
		if (t->reachable[i])
			sl_emit_insn(t, i);
	}
	sl_emit_ends(t);
	*why = resolve_jumps(t);
	return *why == NULL ? 0 : -ENOTSUP;
}

int
sl_translate(const struct bpf_program *program, struct ebpf_insn **ins, uint32_t *count, const char **why)
{
	struct sl_translation t = {.in = program->bf_insns, .in_count = program->bf_len};
	size_t room = (size_t)program->bf_len * SL_EMIT_MAX_INSN + SL_EMIT_MAX_REST;
	int ret = -ENOMEM;

	*ins = NULL;
	*why = "no memory";
	if (program->bf_len == 0 || program->bf_len > MAX_INSNS) {
		*why = program->bf_len == 0 ? "no instructions" : "more than 4096 instructions";
		return -ENOTSUP;
	}
	t.out = calloc(room, sizeof(*t.out));
	t.target = calloc(room, sizeof(*t.target));
	t.at = calloc(t.in_count + SL_ENDS, sizeof(*t.at));
	t.reachable = calloc(t.in_count + SL_ENDS, sizeof(*t.reachable));
	if (t.out != NULL && t.target != NULL && t.at != NULL && t.reachable != NULL)
		ret = translate(&t, why);
	if (ret == 0) {
		*ins = t.out;
		*count = t.n;
	} else {
		free(t.out);
	}
	free(t.target);
	free(t.at);
	free(t.reachable);
	return ret;
}

int
sl_translate_load(const struct bpf_program *program, struct rte_bpf **bpf, sl_filter_fn *fn, const char **why)
{
	struct rte_bpf_prm prm = {0};
	struct rte_bpf_jit jit = {0};
	struct ebpf_insn *ins;
	uint32_t count;
	int ret;

	ret = sl_translate(program, &ins, &count, why);
	if (ret != 0)
		return ret;
	prm.ins = ins;
	prm.nb_ins = count;
	prm.prog_arg.type = RTE_BPF_ARG_PTR;
	/* Larger than any access that the checker can't place exactly; the program's own checks against caplen count.
	 */
	prm.prog_arg.size = 4 * (size_t)SL_TRANSLATE_MAX_CAPLEN;
	*bpf = rte_bpf_load(&prm);
	free(ins);
	if (*bpf == NULL) {
		*why = "DPDK's checker refuses it";
		return -ENOTSUP;
	}
	/* A JIT that fails says nothing when loading; and rte_bpf_exec() would be slower than libpcap. */
	if (rte_bpf_get_jit(*bpf, &jit) != 0 || jit.func == NULL) {
		rte_bpf_destroy(*bpf);
		*bpf = NULL;
		*why = "no JIT compiler for it on this machine";
		return -ENOTSUP;
	}
	*fn = (sl_filter_fn)jit.func;
	return 0;
}
