/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "compile.h"
#include "filter_test.h"
#include "packet_gen.h"
#include "sl_filter.h"
#include "translate.h"

static uint64_t rng;

static uint32_t
random32(void)
{
	return sl_gen_random32(&rng);
}

/* Packets of one class agree in what is said to be known of it. */
void
test_class_known(void **state)
{
	static const uint32_t link_types[] = {1, 101, 113, 276};
	unsigned int pairs = 0;

	(void)state;
	rng = 3;
	for (unsigned int t = 0; t < 4; t++) {
		const struct sl_link_layout layout = sl_link_layout(link_types[t]);
		struct {
			uint32_t key;
			uint8_t packet[SL_GEN_MAX_PACKET];
		} *seen = calloc(1024, sizeof(*seen));

		assert_non_null(seen);
		for (unsigned int n = 0; n < 60000; n++) {
			uint8_t bytes[200], packet[SL_GEN_MAX_PACKET];
			struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));
			uint32_t len = sl_gen_packet(&gen, link_types[t], packet);
			uint32_t key = sl_classify(&layout, packet, len), at = key * 0x9e3779b1u >> 22;
			struct sl_known known;

			if (key == SL_CLASS_NONE)
				continue;
			assert_int_equal(key & SL_CLASS_SHORT, 0);
			if (seen[at].key == key) {
				sl_class_known(&layout, key, seen[at].packet, &known);
				for (uint32_t i = 0; i < SL_TRACK_WINDOW; i++)
					assert_int_equal(packet[i] & known.bits[i], known.values[i]);
				pairs++;
			}
			seen[at].key = key;
			memcpy(seen[at].packet, packet, sizeof(packet));
		}
		free(seen);
	}
	assert_true(pairs > 50000);
}

struct tally {
	unsigned int results[4];
};

/* Whatever the unknown bits are, the program does what was said, and reads what was named. */
static void
check_program(const struct bpf_program *program, struct tally *tally)
{
	uint8_t base[SL_GEN_MAX_PACKET], bytes[200], packet[SL_GEN_MAX_PACKET];
	struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));
	struct sl_known known = {0};
	struct sl_partial partial;

	sl_gen_packet(&gen, 1, base);
	for (uint32_t i = 0; i < SL_TRACK_WINDOW; i++) {
		uint32_t kind = random32() % 8;

		known.bits[i] = kind < 3 || i == 12 || i == 13 ? 0xff : kind == 3 ? (uint8_t)random32() : 0;
		known.values[i] = base[i] & known.bits[i];
	}
	assert_int_equal(
		sl_partial_run(program->bf_insns, program->bf_len, &known, random32() % 2 ? 128 : 54, &partial), 0);
	tally->results[partial.result]++;
	for (unsigned int n = 0; n < 30; n++) {
		struct sl_track track = {0};
		uint32_t len = partial.end + random32() % (SL_GEN_MAX_PACKET - partial.end), got;

		for (uint32_t i = 0; i < sizeof(packet); i++) {
			uint8_t bits = i < SL_TRACK_WINDOW ? known.bits[i] : 0;

			packet[i] = (base[i] & bits) | ((random32() % 2 ? base[i] : (uint8_t)random32()) & ~bits);
		}
		if (partial.result == SL_PARTIAL_REJECT)
			len = random32() % SL_GEN_MAX_PACKET; /* shorter ones as well */
		got = bpf_filter(program->bf_insns, packet, len, len);
		if (partial.result == SL_PARTIAL_REJECT)
			assert_int_equal(got, 0);
		if (partial.result == SL_PARTIAL_ACCEPT)
			assert_int_not_equal(got, 0);
		if (partial.result != SL_PARTIAL_OPEN)
			continue;
		assert_int_equal(sl_track_run(program->bf_insns, packet, len, &track), got);
		assert_true(track.need <= partial.end);
		/* what neither is known nor matters may be anything */
		for (uint32_t i = 0; i < len; i++) {
			uint8_t bits = i < SL_TRACK_WINDOW ? known.bits[i] | partial.matters[i] : 0;

			packet[i] = (packet[i] & bits) | ((uint8_t)random32() & ~bits);
		}
		assert_int_equal(sl_track_run(program->bf_insns, packet, len, &track) != 0, got != 0);
	}
}

void
test_partial(void **state)
{
	struct tally programs = {0}, expressions = {0};

	(void)state;
	rng = 4;
	for (unsigned int n = 0; n < 20000; n++) {
		struct bpf_insn insns[SL_GEN_MAX_INSNS];
		struct bpf_program program = {.bf_insns = insns};
		struct ebpf_insn *translated;
		uint8_t bytes[1024];
		struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));
		const char *why;
		uint32_t count;

		program.bf_len = sl_gen_program(&gen, insns);
		if (!sl_track_possible(&program) || sl_translate(&program, &translated, &count, &why) != 0)
			continue;
		free(translated);
		check_program(&program, &programs);
	}
	for (unsigned int n = 0; n < 4000; n++) {
		char text[SL_GEN_MAX_EXPRESSION], errbuf[SL_FILTER_ERRBUF];
		struct bpf_program program;
		uint8_t bytes[32];
		struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));

		sl_gen_expression(&gen, text);
		if (sl_compile(text, 1, 262144, &program, errbuf) != 0)
			continue;
		for (unsigned int i = 0; i < 10 && sl_track_possible(&program); i++)
			check_program(&program, &expressions);
		sl_compile_free(&program);
	}
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(programs.results[i] > 300);
		assert_true(expressions.results[i] > 300);
	}
}
