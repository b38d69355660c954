/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_WRITER_H
#define SL_STORE_WRITER_H

/**
 * @file
 * What a writer is made of: chunks are filled in append.c; captures begin, roll and end in writer.c.
 */

#include "chunk.h"
#include "live.h"
#include "output.h"

struct sl_store_writer {
	struct sl_store_fill fill; /* the first: sl_store_writer_reserve() */
	struct chunk_sum sum;
	uint64_t opened_at; /* CLOCK_MONOTONIC, ns */
	uint64_t clock; /* largest time so far */
	uint64_t heartbeat; /* newest so far */
	uint64_t heartbeat_since_chunk;
	uint64_t dropped_since_chunk[SL_DROP_CAUSES];

	uint32_t tail; /* bytes that a mark takes behind the index, 0: chunks carry none */
	uint64_t next_mark; /* of the next packet */
	uint64_t mark; /* of the last packet in the chunk */

	struct live *live; /* NULL: this thread writes, by what follows */
	struct begun begun;
	struct store_output out;

	struct sl_store_writer_params params; /* its strings and set are the ones below */
	char *store, *source;
	cpu_set_t cpus;

	/* Of finished chunks. */
	uint64_t packets, bytes, chunks; /* since the last roll */
	uint64_t packets_before, bytes_before, chunks_before; /* of the captures before */
	uint64_t dropped[SL_DROP_CAUSES];
	uint64_t rolls;
	uint32_t index[SL_CHUNK_MAX_PACKETS];
};

/** The first error of whoever writes, 0 if there is none. */
int writer_error(const struct sl_store_writer *w);

/** Tell it. @return it */
int writer_report(struct sl_store_writer *w, char *errbuf);

/** Finish the open chunk, of which there is one, and send it out. @return 0 or the error */
int writer_end_chunk(struct sl_store_writer *w);

#endif
