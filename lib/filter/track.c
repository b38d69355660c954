/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "track.h"

#include <string.h>

#include <rte_byteorder.h>

#include "insn.h"

static bool
is_packet_load(const struct bpf_insn *i)
{
	return BPF_CLASS(i->code) == BPF_LD && (BPF_MODE(i->code) == BPF_ABS || BPF_MODE(i->code) == BPF_IND);
}

bool
sl_track_possible(const struct bpf_program *program)
{
	for (unsigned int pc = 0; pc < program->bf_len; pc++) {
		const struct bpf_insn *i = &program->bf_insns[pc];

		/* The wire length would make nearly every packet a key of its own. */
		if (i->code == (BPF_LD | BPF_W | BPF_LEN) || i->code == (BPF_LDX | BPF_W | BPF_LEN))
			return false;
		if (is_packet_load(i) && BPF_MODE(i->code) == BPF_ABS &&
			(uint64_t)i->k + sl_insn_load_size(i->code) > SL_TRACK_WINDOW)
			return false;
		if (BPF_CLASS(i->code) == BPF_LDX && BPF_MODE(i->code) == BPF_MSH && i->k >= SL_TRACK_WINDOW)
			return false;
		/* protochain jumps back, by a k that is negative */
		if (i->code == (BPF_JMP | BPF_JA) && i->k >= program->bf_len - pc)
			return false;
	}
	return true;
}

/* Note a load. @return is it in bounds? */
static inline bool
note(struct sl_track *t, uint64_t off, uint32_t size, uint32_t caplen)
{
	uint64_t end = off + size, bits = (UINT64_C(1) << size) - 1;

	if (end > SL_TRACK_WINDOW) {
		/* Outside; but whether a packet is shorter than the window can be told, and then it is out of bounds.
		 */
		t->need = SL_TRACK_WINDOW;
		if (caplen >= SL_TRACK_WINDOW)
			t->beyond = true;
		return end <= caplen;
	}
	if (end > t->need)
		t->need = (uint32_t)end;
	if (end > caplen)
		return false;
	if (off < 64)
		t->reads[0] |= bits << off;
	if (off >= 64)
		t->reads[1] |= bits << (off - 64);
	else if (end > 64)
		t->reads[1] |= bits >> (64 - off);
	return true;
}

static inline uint32_t
load(const uint8_t *at, uint32_t size)
{
	uint32_t word;
	uint16_t half;

	switch (size) {
	case 4:
		memcpy(&word, at, sizeof(word));
		return rte_be_to_cpu_32(word);
	case 2:
		memcpy(&half, at, sizeof(half));
		return rte_be_to_cpu_16(half);
	default:
		return *at;
	}
}

uint32_t
sl_track_run(const struct bpf_insn *insns, const uint8_t *data, uint32_t caplen, struct sl_track *track)
{
	uint32_t mem[BPF_MEMWORDS] = {0};
	uint32_t a = 0, x = 0;

	track->compare_count = 0;
	for (const struct bpf_insn *i = insns;; i++) {
		uint32_t size;
		uint64_t off;

		switch (i->code) {
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_RET | BPF_A:
			return a;
		case BPF_LD | BPF_W | BPF_ABS:
		case BPF_LD | BPF_H | BPF_ABS:
		case BPF_LD | BPF_B | BPF_ABS:
			size = sl_insn_load_size(i->code);
			if (!note(track, i->k, size, caplen))
				return 0;
			a = load(data + i->k, size);
			break;
		case BPF_LD | BPF_W | BPF_IND:
		case BPF_LD | BPF_H | BPF_IND:
		case BPF_LD | BPF_B | BPF_IND:
			size = sl_insn_load_size(i->code);
			off = (uint64_t)x + i->k; /* 33 bits: nothing wraps into the packet */
			if (!note(track, off, size, caplen))
				return 0;
			a = load(data + off, size);
			break;
		case BPF_LDX | BPF_MSH | BPF_B:
			if (!note(track, i->k, 1, caplen))
				return 0;
			x = (data[i->k] & 0xfu) << 2;
			break;
		case BPF_LD | BPF_IMM:
			a = i->k;
			break;
		case BPF_LDX | BPF_IMM:
			x = i->k;
			break;
		case BPF_LD | BPF_MEM:
			a = mem[i->k];
			break;
		case BPF_LDX | BPF_MEM:
			x = mem[i->k];
			break;
		case BPF_ST:
			mem[i->k] = a;
			break;
		case BPF_STX:
			mem[i->k] = x;
			break;
		case BPF_MISC | BPF_TAX:
			x = a;
			break;
		case BPF_MISC | BPF_TXA:
			a = x;
			break;
		case BPF_JMP | BPF_JA:
			i += i->k;
			break;
		case SL_BPF_JEQ_SLOT:
			track->compare[track->compare_count].slot = i->k;
			track->compare[track->compare_count++].value = a;
			i += i->jf;
			break;
		default:
			if (BPF_CLASS(i->code) == BPF_JMP)
				i += sl_insn_test(BPF_OP(i->code), a, BPF_SRC(i->code) == BPF_X ? x : i->k) ? i->jt
													    : i->jf;
			else if (!sl_insn_alu(BPF_OP(i->code), a, BPF_SRC(i->code) == BPF_X ? x : i->k, &a))
				return 0;
			break;
		}
	}
}
