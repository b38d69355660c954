/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * Reads a capture of a store as the reader lcore does, and does nothing with it: the rate that a depth of reads
 * reaches. Prints bytes per second. dts_tests/perf/storage_sweep.py calls it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sl_store.h"

#define DEPTH_MAX 256u
#define ROUND_UP(n) (((n) + (2ul << 20) - 1) & ~((2ul << 20) - 1))

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Huge pages if there are, as the push has them. */
static uint8_t *
get_memory(size_t size)
{
	uint8_t *memory = mmap(NULL, ROUND_UP(size), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

	if (memory != MAP_FAILED)
		return memory;
	fprintf(stderr, "read_bench: no huge pages: %s; using small ones\n", strerror(errno));
	memory = mmap(NULL, ROUND_UP(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static int
read_all(struct sl_reader *reader, struct sl_capture *capture, unsigned int depth, uint8_t *memory)
{
	uint64_t next = sl_capture_first(capture), end = sl_capture_committed(capture), left = end - next;
	unsigned int free_count = 0;
	uint8_t *free_bufs[DEPTH_MAX];

	while (free_count < depth) {
		free_bufs[free_count] = memory + (size_t)free_count * SL_CHUNK_SIZE;
		free_count++;
	}
	while (left > 0) {
		struct sl_read done[32];
		unsigned int n;

		while (free_count > 0 && next < end) {
			uint8_t *buf = free_bufs[free_count - 1];

			if (sl_reader_submit(reader, capture, next, buf, buf) < 0)
				break;
			free_count--;
			next++;
		}
		n = sl_reader_poll(reader, done, 32);
		for (unsigned int i = 0; i < n; i++) {
			if (done[i].result < 0)
				return done[i].result;
			if (!done[i].data && sl_read_fetch(&done[i], done[i].cookie) < 0)
				return -EIO;
			free_bufs[free_count++] = done[i].cookie;
			left--;
		}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	struct sl_capture *capture = NULL;
	struct sl_reader *reader = NULL;
	unsigned int depth = argc == 3 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	uint8_t *memory;
	double start;
	int rc;

	if (depth < 1 || depth > DEPTH_MAX) {
		fprintf(stderr, "usage: read_bench STORE DEPTH (1 to %u reads of 1 MiB in flight)\n", DEPTH_MAX);
		return 2;
	}
	memory = get_memory((size_t)depth * SL_CHUNK_SIZE);
	if (!memory) {
		fprintf(stderr, "read_bench: %s\n", strerror(ENOMEM));
		return 1;
	}
	rc = sl_capture_open(argv[1], NULL, &capture, errbuf);
	if (rc == 0)
		rc = sl_reader_create(depth, NULL, &reader, errbuf);
	if (rc < 0) {
		fprintf(stderr, "read_bench: %s\n", errbuf);
		return 1;
	}
	start = now();
	rc = read_all(reader, capture, depth, memory);
	if (rc < 0)
		fprintf(stderr, "read_bench: %s: %s\n", argv[1], strerror(-rc));
	else
		printf("%.0f\n", (double)(sl_capture_committed(capture) - sl_capture_first(capture)) * SL_CHUNK_SIZE /
					 (now() - start));
	sl_reader_destroy(reader);
	sl_capture_close(capture);
	return rc < 0;
}
