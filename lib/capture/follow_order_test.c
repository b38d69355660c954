/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "capture_test.h"

#include <stdio.h>
#include <string.h>

#include "follow.h"

#define MANY 32

/* Names and seconds of first packets, in the order expected; they are given in another. */
static void
check(const char *what, size_t count, const char *const names[], const int seconds[])
{
	struct follow_order files[MANY];

	for (size_t shift = 0; shift < count; shift++) {
		for (size_t i = 0; i < count; i++) {
			size_t from = (i * 7 + shift) % count;

			if (count % 7 == 0)
				from = (i + shift) % count;
			files[i] = (struct follow_order){.name = names[from],
				.ts = seconds[from] < 0 ? 0 : (uint64_t)(seconds[from] + 1) * SECOND_NS,
				.mtime = seconds[from] < 0 ? (uint64_t)-seconds[from] : 0};
		}
		follow_order(files, count);
		for (size_t i = 0; i < count; i++)
			if (strcmp(files[i].name, names[i]) != 0)
				fail_msg("%s: place %zu has %s, expected %s", what, i, files[i].name, names[i]);
	}
}

static void
test_names(void **state)
{
	static const char *const size[] = {"cap", "cap1", "cap2", "cap9", "cap10", "cap11", "cap100"};
	static const char *const both[] = {
		"a-101010.pcap", "a-101010.pcap1", "a-101010.pcap2", "a-101011.pcap", "a-101011.pcap1"};
	static const char *const ring[] = {
		"x_00099_20260105100000.pcapng", "x_00100_20260105100100.pcapng", "x_00101_20260105100200.pcapng"};

	(void)state;
	check("tcpdump -C", 7, size, (const int[]){0, 100, 200, 300, 400, 500, 600});
	check("all at one time", 7, size, (const int[]){5, 5, 5, 5, 5, 5, 5});
	check("a little out of order", 7, size, (const int[]){0, 10, 8, 20, 30, 29, 40});
	check("tcpdump -G -C", 5, both, (const int[]){0, 1, 2, 3, 4});
	check("dumpcap -b", 3, ring, (const int[]){0, 60, 120});
}

static void
test_rings(void **state)
{
	static const char *const three[] = {"c2", "c0", "c1"};
	static const char *const dumpcap[] = {"x_99998_20260105100000.pcapng", "x_99999_20260105100100.pcapng",
		"x_00000_20260105100200.pcapng", "x_00001_20260105100300.pcapng"};
	static const char *const midnight[] = {"22.pcap", "23.pcap", "00.pcap", "01.pcap"};

	(void)state;
	check("tcpdump -W", 3, three, (const int[]){100, 200, 300});
	check("tcpdump -W, a little out of order", 3, three, (const int[]){100, 200, 199});
	check("dumpcap after 99999", 4, dumpcap, (const int[]){0, 60, 120, 180});
	check("hours", 4, midnight, (const int[]){0, 3600, 7200, 10800});
}

static void
test_times(void **state)
{
	static const char *const days[] = {"30112026.pcap", "01122026.pcap", "02122026.pcap", "01012027.pcap"};
	static const char *const twice[] = {"x_00001_1000.pcapng", "x_00002_1100.pcapng", "x_00003_1200.pcapng",
		"x_00001_2000.pcapng", "x_00002_2100.pcapng", "x_00003_2200.pcapng"};
	static const char *const silent[] = {"b", "c", "z", "a"};

	(void)state;
	check("day first", 4, days, (const int[]){0, 86400, 172800, 2678400});
	check("started twice", 6, twice, (const int[]){1000, 1100, 1200, 2000, 2100, 2200});
	/* Without packets: by their last change, behind all others. */
	check("no packets yet", 4, silent, (const int[]){0, 60, -5, -7});
}

int
follow_order_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests_name("follow_order", tests, NULL, NULL);
}
