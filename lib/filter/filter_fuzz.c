/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/* Bytes -> a valid program and a packet: machine code, tracer and prover must all agree with bpf_filter(). */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_log.h>

#include "concolic.h"
#include "program_gen.h"
#include "prove.h"
#include "translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s\n", what, detail);
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_gen gen = {.bytes = data, .left = size};
	struct bpf_insn insns[SL_GEN_MAX_INSNS];
	struct bpf_program program = {.bf_insns = insns};
	struct sl_packet packet = {0};
	struct sl_proof proof;
	struct sl_trace trace;
	struct rte_bpf *bpf;
	sl_filter_fn fn;
	uint8_t *record;
	const char *why;
	uint32_t want;

	rte_log_set_global_level(RTE_LOG_CRIT);
	program.bf_len = sl_gen_program(&gen, insns);
	if (!bpf_validate(insns, (int)program.bf_len))
		die("generator", "invalid program");
	if (sl_translate_load(&program, &bpf, &fn, &why) != 0)
		return 0;

	packet.len = sl_gen_byte(&gen) % 2 ? sl_gen_word(&gen) : (uint32_t)gen.left;
	packet.caplen = (uint32_t)gen.left;
	/* Exactly as long as the record, for AddressSanitizer. */
	record = malloc(sizeof(struct sl_record) + packet.caplen);
	if (record == NULL)
		abort();
	*(struct sl_record *)record = (struct sl_record){.caplen = packet.caplen, .len = packet.len};
	packet.data = record + sizeof(struct sl_record);
	memcpy(packet.data, gen.bytes, packet.caplen);
	want = bpf_filter(insns, packet.data, packet.len, packet.caplen);
	if (fn(record) != want)
		die("machine code", "differs from bpf_filter()");
	if (sl_trace_init(&trace, &program) == 0) {
		sl_trace_run(&trace, &packet);
		if (trace.result != want)
			die("tracer", "differs from bpf_filter()");
		sl_trace_fini(&trace);
	}
	if (sl_prove(&program, fn, 20000000, 1, &proof) == -EPROTO)
		die("proof", proof.reason);
	free(record);
	rte_bpf_destroy(bpf);
	return 0;
}
