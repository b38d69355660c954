/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>

#include "concolic.h"
#include "insn.h"
#include "value.h"

/* Values an instruction makes at the most: MSH makes its load, two constants and two operations. */
#define VALUES_PER_INSN 5u

int
sl_trace_init(struct sl_trace *trace, const struct bpf_program *program)
{
	size_t n = program->bf_len;

	*trace = (struct sl_trace){.program = program};
	/* Jumps only go forward, so a run visits an instruction once at the most. */
	trace->branches = calloc(n, sizeof(*trace->branches));
	trace->loads = calloc(n, sizeof(*trace->loads));
	trace->values = calloc(n * VALUES_PER_INSN + 1, sizeof(*trace->values));
	if (trace->branches == NULL || trace->loads == NULL || trace->values == NULL) {
		sl_trace_fini(trace);
		return -ENOMEM;
	}
	return 0;
}

void
sl_trace_fini(struct sl_trace *trace)
{
	free(trace->branches);
	free(trace->loads);
	free(trace->values);
	*trace = (struct sl_trace){0};
}

static uint32_t
add_value(struct sl_trace *t, struct sl_value v)
{
	t->values[t->value_count] = v;
	return t->value_count++;
}

static uint32_t
add_const(struct sl_trace *t, uint32_t k)
{
	return add_value(t, (struct sl_value){.op = SL_VALUE_CONST, .value = k});
}

/* @return false: division by zero, which rejects the packet */
static bool
add_alu(struct sl_trace *t, uint8_t op, uint32_t a, uint32_t b, uint32_t *value)
{
	struct sl_value v = {.op = SL_VALUE_ALU, .alu = op, .a = a, .b = b};

	if (!sl_insn_alu(op, t->values[a].value, t->values[b].value, &v.value))
		return false;
	*value = add_value(t, v);
	return true;
}

/* @return false: out of bounds, which rejects the packet */
static bool
add_load(struct sl_trace *t, const struct sl_packet *p, uint64_t off, uint8_t size, uint32_t *value)
{
	struct sl_value v = {.op = SL_VALUE_LOAD, .off = (uint32_t)off, .size = size};
	struct sl_load *load = &t->loads[t->load_count++];

	load->off = off > UINT32_MAX ? UINT32_MAX : (uint32_t)off;
	load->size = size;
	if (off + size > p->caplen) {
		t->out_of_bounds = true;
		return false;
	}
	for (uint8_t i = 0; i < size; i++)
		v.value = v.value << 8 | p->data[off + i];
	*value = add_value(t, v);
	return true;
}

/* A load of either register. @return false: the packet is rejected there */
static bool
run_load(struct sl_trace *t, const struct sl_packet *p, const struct bpf_insn *i, const uint32_t *m, uint32_t x,
	uint32_t *value)
{
	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		return add_load(t, p, i->k, sl_insn_load_size(i->code), value);
	case BPF_IND:
		t->oob_index = x;
		t->oob_k = i->k;
		if (!add_load(t, p, (uint64_t)i->k + t->values[x].value, sl_insn_load_size(i->code), value))
			return false;
		t->oob_index = 0;
		return true;
	case BPF_MSH:
		if (!add_load(t, p, i->k, 1, value))
			return false;
		add_alu(t, BPF_AND, *value, add_const(t, 0xf), value);
		return add_alu(t, BPF_LSH, *value, add_const(t, 2), value);
	case BPF_LEN:
		*value = add_value(t, (struct sl_value){.op = SL_VALUE_LEN, .value = p->len});
		return true;
	case BPF_MEM:
		*value = m[i->k];
		return true;
	default: /* BPF_IMM */
		*value = add_const(t, i->k);
		return true;
	}
}

void
sl_trace_run(struct sl_trace *trace, const struct sl_packet *packet)
{
	const struct bpf_insn *insns = trace->program->bf_insns;
	uint32_t m[BPF_MEMWORDS] = {0};
	uint32_t a, x, operand;

	trace->branch_count = 0;
	trace->load_count = 0;
	trace->value_count = 0;
	trace->out_of_bounds = false;
	trace->oob_index = 0;
	trace->result = 0;
	a = x = add_const(trace, 0);

	for (uint32_t pc = 0;; pc++) {
		const struct bpf_insn *i = &insns[pc];
		uint8_t op = BPF_OP(i->code);

		switch (BPF_CLASS(i->code)) {
		case BPF_RET:
			trace->result = BPF_RVAL(i->code) == BPF_A ? trace->values[a].value : i->k;
			return;
		case BPF_LD:
			if (!run_load(trace, packet, i, m, x, &a))
				return;
			break;
		case BPF_LDX:
			if (!run_load(trace, packet, i, m, x, &x))
				return;
			break;
		case BPF_ST:
			m[i->k] = a;
			break;
		case BPF_STX:
			m[i->k] = x;
			break;
		case BPF_ALU:
			operand = op != BPF_NEG && BPF_SRC(i->code) == BPF_X ? x : add_const(trace, i->k);
			if (!add_alu(trace, op, a, operand, &a))
				return;
			break;
		case BPF_MISC:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				x = a;
			else
				a = x;
			break;
		default: { /* BPF_JMP */
			struct sl_branch b = {.pc = pc, .left = a};

			if (op == BPF_JA) {
				pc += i->k;
				break;
			}
			b.right = BPF_SRC(i->code) == BPF_X ? x : add_const(trace, i->k);
			b.taken = sl_insn_test(op, trace->values[a].value, trace->values[b.right].value);
			if (i->jt != i->jf)
				trace->branches[trace->branch_count++] = b;
			pc += b.taken ? i->jt : i->jf;
			break;
		}
		}
	}
}
