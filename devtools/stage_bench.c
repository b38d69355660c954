/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/*
 * What the machine allows a push of one unfiltered target on the null sink: the bound of that bar.
 *
 *     stage_bench STORE CPU[,CPU...] [MODE]
 *
 * One pinned thread a CPU; thread i of T takes chunks i, i + T, ... of the store's active capture. Modes:
 *
 *   read      get a chunk as the pipeline does (sl_reader and sl_read_fetch: on a tmpfs of small pages a copy into a
 *             buffer that is still in the cache, on one of huge pages nothing, the chunk is mapped), and do nothing
 * with it crc       the CRC-32C of records and index, of chunks that lie where the read left them copy      memcpy of
 * the records from there into blocks of 512 KiB, which are used again and again together  all three for each chunk,
 * before the next one sum       calculated: 1 / (1/read + 1/crc + 1/copy)
 *
 * THE BOUND IS "together": on the same CPUs, every byte is read, checked and copied once by whoever got the chunk, and
 * nothing else happens. No chunk moves between CPUs, packets come in no order, no index is looked at, there is no
 * filter, ring, target or file. A pipeline has all of these, so it can come near the bound but not reach it. "sum"
 * tells how far the three share caches; where they do, "together" is the stricter one.
 *
 * Prints one number a mode: bytes of records a second over all CPUs, the best of five runs, as push counts its GB/s.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "chunk.h"

#define MAX_CPUS 64
#define BUFFERS 8u /* chunks that a thread has in work */
#define BLOCK (512u << 10)
#define BLOCKS 2u
#define HUGE_SIZE ((size_t)2 << 20)
#define RUNS 5

enum mode {
	READ,
	CRC,
	COPY,
	TOGETHER,
	MODES,
};

static const char *const names[MODES] = {"read", "crc", "copy", "together"};

struct worker {
	pthread_t thread;
	int cpu;
	unsigned int number;
	enum mode mode;
	struct sl_reader *reader;
	uint8_t *buffers, *blocks;
	const uint8_t *last[BUFFERS]; /* where the newest chunks lie */
	size_t fill;
	uint64_t bytes;
	uint32_t sum; /* so that no CRC can be left out */
	double from, to;
};

static struct sl_capture *capture;
static unsigned int workers;
static pthread_barrier_t barrier;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what, int error)
{
	fprintf(stderr, "stage_bench: %s: %s\n", what, strerror(error));
	exit(1);
}

static void *
huge_memory(size_t size)
{
	void *memory = aligned_alloc(HUGE_SIZE, (size + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));

	if (!memory)
		die("memory", ENOMEM);
	madvise(memory, size, MADV_HUGEPAGE);
	memset(memory, 1, size);
	return memory;
}

static const uint8_t *
read_chunk(struct worker *w, uint64_t number, uint8_t *buf)
{
	struct sl_read read;

	while (sl_reader_submit(w->reader, capture, number, buf, NULL) != 0)
		;
	while (sl_reader_poll(w->reader, &read, 1) == 0)
		;
	if (read.result == 0 && !read.data) {
		read.result = sl_read_fetch(&read, buf);
		read.data = buf;
	}
	if (read.result != 0)
		die("read", -read.result);
	return read.data;
}

static void
copy_records(struct worker *w, const struct chunk_header *h)
{
	const uint8_t *from = (const uint8_t *)h + h->records_off;
	size_t left = h->records_len;

	while (left > 0) {
		size_t n = BLOCK - w->fill % BLOCK;

		if (n > left)
			n = left;
		memcpy(w->blocks + w->fill, from, n);
		w->fill = (w->fill + n) % ((size_t)BLOCKS * BLOCK);
		from += n;
		left -= n;
	}
	__asm__ volatile("" : : "r"(w->blocks) : "memory");
}

static void
work(struct worker *w)
{
	uint64_t end = sl_capture_committed(capture);
	unsigned int turn = 0;

	w->bytes = 0;
	for (uint64_t n = sl_capture_first(capture) + w->number; n < end; n += workers, turn++) {
		uint8_t *buf = w->buffers + (size_t)(turn % BUFFERS) * SL_CHUNK_SIZE;
		const struct chunk_header *h;

		if (w->mode == READ || w->mode == TOGETHER)
			w->last[turn % BUFFERS] = read_chunk(w, n, buf);
		h = (const struct chunk_header *)w->last[turn % BUFFERS];
		if (w->mode == CRC || w->mode == TOGETHER)
			w->sum += chunk_crc((const uint8_t *)h + CHUNK_HEADER_SIZE, chunk_used(h) - CHUNK_HEADER_SIZE);
		if (w->mode == COPY || w->mode == TOGETHER)
			copy_records(w, h);
		w->bytes += h->records_len;
	}
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	char errbuf[SL_STORE_ERRBUF];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)w->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		die("CPU", EINVAL);
	if (!w->reader && sl_reader_create(BUFFERS, NULL, &w->reader, errbuf) < 0) {
		fprintf(stderr, "stage_bench: %s\n", errbuf);
		exit(1);
	}
	if (!w->buffers) {
		w->buffers = huge_memory((size_t)BUFFERS * SL_CHUNK_SIZE);
		w->blocks = huge_memory((size_t)BLOCKS * BLOCK);
	}
	pthread_barrier_wait(&barrier);
	w->from = now();
	work(w);
	w->to = now();
	return NULL;
}

/* One run on all CPUs. @return bytes a second */
static double
run(struct worker *all, enum mode mode)
{
	double from = 1e300, to = 0;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < workers; i++) {
		all[i].mode = mode;
		if (pthread_create(&all[i].thread, NULL, worker_main, &all[i]) != 0)
			die("thread", EAGAIN);
	}
	for (unsigned int i = 0; i < workers; i++) {
		pthread_join(all[i].thread, NULL);
		bytes += all[i].bytes;
		from = all[i].from < from ? all[i].from : from;
		to = all[i].to > to ? all[i].to : to;
	}
	return (double)bytes / (to - from);
}

int
main(int argc, char **argv)
{
	static struct worker all[MAX_CPUS];
	char errbuf[SL_STORE_ERRBUF];
	double best[MODES] = {0}, sum = 0;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: stage_bench STORE CPU[,CPU...] [read|crc|copy|together|sum]\n");
		return 2;
	}
	if (sl_capture_open(argv[1], NULL, &capture, errbuf) < 0) {
		fprintf(stderr, "stage_bench: %s\n", errbuf);
		return 2;
	}
	for (char *word = strtok(argv[2], ","); word && workers < MAX_CPUS; word = strtok(NULL, ",")) {
		all[workers].number = workers;
		all[workers].cpu = (int)strtol(word, NULL, 10);
		workers++;
	}
	if (workers == 0 || sl_capture_committed(capture) - sl_capture_first(capture) < (uint64_t)workers * BUFFERS) {
		fprintf(stderr, "stage_bench: too few CPUs or chunks\n");
		return 2;
	}
	pthread_barrier_init(&barrier, NULL, workers);
	/* Reads come first: the others take what they left. The first of all warms up. */
	run(all, READ);
	for (int i = 0; i < RUNS; i++)
		for (unsigned int m = 0; m < MODES; m++) {
			double rate = run(all, (enum mode)m);

			best[m] = rate > best[m] ? rate : best[m];
		}
	for (unsigned int m = 0; m < MODES; m++) {
		if (m != TOGETHER)
			sum += 1 / best[m];
		if (argc == 3)
			printf("%s %.0f\n", names[m], best[m]);
		else if (strcmp(argv[3], names[m]) == 0)
			printf("%.0f\n", best[m]);
	}
	if (argc == 3)
		printf("sum %.0f\n", 1 / sum);
	else if (strcmp(argv[3], "sum") == 0)
		printf("%.0f\n", 1 / sum);
	for (unsigned int i = 0; i < workers; i++) {
		sl_reader_destroy(all[i].reader);
		free(all[i].buffers);
		free(all[i].blocks);
	}
	sl_capture_close(capture);
	return 0;
}
