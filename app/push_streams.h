/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_STREAMS_H
#define SL_APP_PUSH_STREAMS_H

/**
 * @file
 * The captures that a push reads, each with the filters for its link type. The reader lcore asks for the next one
 * without blocking; the main thread opens it and compiles its filters.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sl_config.h"
#include "sl_filter.h"
#include "sl_ring.h"

struct push_streams;

/**
 * @param single  the capture of --capture: no other one is ever opened; NULL: all captures of the store in sequence
 * @param lanes   filter lcores
 */
int push_streams_create(const struct sl_config *config, const char *store, const char *single, unsigned int lanes,
	struct push_streams **streams);
void push_streams_destroy(struct push_streams *streams);
/** Run every filter on every packet. Main thread, before any capture is added. */
void push_streams_no_verdict_cache(struct push_streams *streams);
/** Let only packets with from <= time < to match, ns since 1970. Main thread, before any capture is added. */
void push_streams_limit(struct push_streams *streams, uint64_t from, uint64_t to);

/**
 * Compile the filters for a capture, which is taken over, also on error. Main thread, blocks.
 * @param errbuf  SL_FILTER_ERRBUF bytes
 * @return the stream, or NULL with errno
 */
const struct sl_stream *push_streams_add(struct push_streams *streams, struct sl_capture *capture, char *errbuf);

/** For sl_pipeline_params.stream: any thread, never blocks. */
const struct sl_stream *push_streams_get(void *streams, uint64_t sequence);

/** The stream of just this capture, NULL if it was never opened. Any thread, never blocks. */
const struct sl_stream *push_streams_find(struct push_streams *streams, uint64_t sequence);

/** Do what the reader has asked for, and look whether open captures still have a writer. Main thread, every 100 ms. */
void push_streams_serve(struct push_streams *streams);

/** Is a writer still appending to one of the captures? Main thread, never blocks. */
bool push_streams_growing(struct push_streams *streams);

/** Call fn for each stream opened so far. Main thread. */
void push_streams_each(struct push_streams *streams, void (*fn)(void *ctx, const struct sl_stream *stream), void *ctx);

#endif
