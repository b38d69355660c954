/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * What libc's memcpy does here: one pinned core, a pre-faulted source larger than the last-level cache, 1 MiB blocks
 * into a reused ring of 64 MiB. Prints the best of five runs in bytes a second. The yardstick for the null sink, which
 * copies every matched byte once.
 */

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (UINT64_C(1) << 20)
#define RING (UINT64_C(64) << 20)

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
	uint64_t size = UINT64_C(512) << 20;
	int cpu = argc > 1 ? (int)strtol(argv[1], NULL, 10) : sched_getcpu();
	uint8_t *source, *ring;
	double best = 0;
	cpu_set_t set;

	while (cache > 0 && size < (uint64_t)cache * 2)
		size *= 2;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		fprintf(stderr, "memcpy_bench: CPU %d: %s\n", cpu, strerror(errno));
		return 1;
	}
	source = aligned_alloc(4096, size);
	ring = aligned_alloc(4096, RING);
	if (!source || !ring) {
		fprintf(stderr, "memcpy_bench: %s\n", strerror(errno));
		free(source);
		free(ring);
		return 1;
	}
	memset(source, 0x5a, size);
	memset(ring, 0, RING);
	for (int run = 0; run < 5; run++) {
		double start = now(), rate;

		for (uint64_t at = 0; at < size; at += BLOCK)
			memcpy(ring + at % RING, source + at, BLOCK);
		/* The copies must not be optimised away. */
		__asm__ volatile("" : : "r"(ring) : "memory");
		rate = (double)size / (now() - start);
		if (rate > best)
			best = rate;
	}
	printf("%.0f\n", best);
	free(source);
	free(ring);
	return 0;
}
