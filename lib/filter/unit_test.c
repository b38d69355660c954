/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <string.h>

#include "compile.h"
#include "filter_test.h"
#include "sl_filter.h"
#include "unit.h"

static struct bpf_program
compile(const char *text)
{
	char errbuf[SL_FILTER_ERRBUF];
	struct bpf_program program;

	assert_int_equal(sl_compile(text, 1, 262144, &program, errbuf), 0);
	return program;
}

/* The bytes read, as offsets. */
static void
check_reads(const char *text, const uint8_t *packet, uint32_t caplen, const char *want, uint32_t need, bool beyond)
{
	struct bpf_program program = compile(text);
	struct sl_track track = {0};
	char got[512] = "";
	size_t n = 0;

	assert_true(sl_track_possible(&program));
	sl_track_run(program.bf_insns, packet, caplen, &track);
	for (uint32_t i = 0; i < SL_TRACK_WINDOW; i++)
		if (track.reads[i / 64] >> (i % 64) & 1)
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%u", n ? " " : "", i);
	assert_string_equal(got, want);
	assert_int_equal(track.need, need);
	assert_int_equal(track.beyond, beyond);
	sl_compile_free(&program);
}

void
test_track(void **state)
{
	uint8_t udp[200] = {[12] = 8, [14] = 0x45, [23] = 17, [26] = 10, [30] = 239, [36] = 0, [37] = 53};
	struct bpf_program program;

	(void)state;
	check_reads("arp", udp, 60, "12 13", 14, false);
	check_reads("dst host 239.1.1.1", udp, 60, "12 13 30 31 32 33", 34, false);
	check_reads("udp dst port 53", udp, 60, "12 13 14 20 21 23 36 37", 38, false);
	/* a program stops where a load is out of bounds; that decides, the bytes do not */
	check_reads("udp dst port 53", udp, 37, "12 13 14 20 21 23", 38, false);
	check_reads("ether[62:4] = 1", udp, 200, "62 63 64 65", 66, false);
	/* behind the window nothing is noted; of a short packet it is known that it ends before */
	check_reads("udp[100:4] = 1", udp, 200, "12 13 14 20 21 23", 128, true);
	check_reads("udp[100:4] = 1", udp, 60, "12 13 14 20 21 23", 128, false);

	program = compile("len > 100");
	assert_false(sl_track_possible(&program));
	sl_compile_free(&program);
	program = compile("ether[128] = 1");
	assert_false(sl_track_possible(&program));
	sl_compile_free(&program);
	program = compile("ip6 protochain 17");
	assert_false(sl_track_possible(&program));
	sl_compile_free(&program);
}

void
test_units(void **state)
{
	static const char *const texts[] = {"dst host 10.0.0.1", "tcp", "dst host 10.0.0.2", "udp port 53",
		"dst host 10.0.0.3", "udp port 80", "udp and not ip6", "udp port 443"};
	struct bpf_program programs[8];
	const struct bpf_program *all[8];
	uint32_t numbers[8];
	struct sl_unit *units;
	unsigned int count;

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		programs[i] = compile(texts[i]);
		all[i] = &programs[i];
		numbers[i] = i;
	}
	assert_int_equal(sl_units_create(all, numbers, 8, &units, &count), 0);
	assert_int_equal(count, 4);
	for (unsigned int u = 0; u < count; u++) {
		if (units[u].count == 1) {
			assert_null(units[u].common);
			continue;
		}
		assert_non_null(units[u].common);
		assert_int_equal(units[u].count, 3);
		if (units[u].members[0] == 0)
			assert_memory_equal(units[u].members, ((uint32_t[]){0, 2, 4}), 12);
		else
			assert_memory_equal(units[u].members, ((uint32_t[]){3, 5, 7}), 12);
	}
	sl_units_free(units, count);
	for (unsigned int i = 0; i < 8; i++)
		sl_compile_free(&programs[i]);
}
