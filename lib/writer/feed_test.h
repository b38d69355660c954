/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_FEED_TEST_H
#define SL_WRITER_FEED_TEST_H

/**
 * @file
 * For tests: a stream made by hand, and what stands in for the pipeline. All on one thread; helper threads are real.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "create.h"
#include "sl_writer.h"
#include "target.h"

#define S UINT64_C(1000000000)

struct feed_packet {
	uint64_t ts;
	uint32_t caplen, len;
	uint32_t match; /**< bit t: target t gets it */
};

/** A stream: chunk n holds the packets from starts[n] on. */
struct feed_stream {
	struct feed_packet *packets;
	size_t count;
	size_t starts[256];
	uint64_t heartbeats[256]; /**< before chunk n */
	uint64_t clock_after;     /**< a CLOCK dispatch before the end */
	size_t chunks;
	size_t roll_at;           /**< chunk at which another capture begins, 0: none */
	uint32_t link_type2;
	size_t gap_at, gap_to;    /**< chunks from gap_at up to gap_to are gone; 0, 0: none */
};

struct feed_options {
	const char *state_dir, *log_dir;
	enum sl_sink_kind sink;
	bool crc, once, stop; /**< stop: end with STOP, else END */
	uint64_t retry_for;
	uint64_t ckpt_ns, ckpt_bytes; /**< both 0: defaults */
	size_t upto;          /**< chunks to serve, 0: all */
	unsigned int seconds; /**< give up after, 0: 60 */
	void (*each)(struct sl_writers *writers, uint64_t number); /**< called before each dispatch is made */
};

/** Serve a stream to targets until all are done. @return 0, or -errno of create; stats has one entry a target or is NULL */
int feed_run(const struct feed_stream *stream, const struct sl_target_config *targets, unsigned int count,
	const struct feed_options *options, struct sl_target_stats *stats);

/** Random packets, `per` to a chunk, `gap` ns apart at the most. */
void feed_random(struct feed_stream *stream, unsigned int seed, size_t count, size_t per, uint64_t start, uint64_t gap,
	uint32_t max_len);
void feed_free(struct feed_stream *stream);

/** A target with the defaults of a configuration. path is kept. */
struct sl_target_config feed_target(const char *desc, const char *path);

/** A new directory under /tmp (or $TMPDIR), and its removal. */
void feed_make_dir(char *dir);
void feed_remove_dir(const char *dir);
/** Names in a directory and below, sorted, one a line, and a hash of the contents after each; free() it. */
char *feed_listing(const char *dir);
/** Packets of all pcap files of a directory, in name order: sequence numbers (see feed.c) appended to out. */
size_t feed_read(const char *path, uint32_t *numbers, size_t max);
/** What /proc says that a descriptor is open on; path has SL_PATH_MAX bytes. */
void feed_path_of(int fd, char *path);

int block_tests(void);
int gather_tests(void);
int split_tests(void);
int publish_tests(void);
int park_tests(void);
int stop_tests(void);
int journal_tests(void);
int crash_tests(void);

#endif
