/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_STREAMS_H
#define SL_APP_PUSH_STREAMS_H

/**
 * @file
 * The captures that a push reads, each with the filters for its link type. The reader lcore asks for the next one
 * without blocking; the main thread opens it and compiles its filters.
 *
 * Filters belong to a *generation*: those of one configuration. A reload makes the next one; while the stages switch there
 * are two.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sl_config.h"
#include "sl_filter.h"
#include "sl_ring.h"

struct push_streams;
struct push_generation;

/**
 * @param config  of the first generation, whose target i has slot i; must outlive it
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

/** For sl_pipeline_params.stream, with a generation as its context: any thread, never blocks. */
const struct sl_stream *push_streams_get(void *generation, uint64_t sequence);

/** What a pipeline is to begin with as its stream_ctx. Main thread. */
void *push_streams_generation(struct push_streams *streams);

/** Just this capture, NULL if it was never opened. Any thread, never blocks. */
struct sl_capture *push_streams_find(struct push_streams *streams, uint64_t sequence);

/** The newest capture that was opened. Main thread. */
struct sl_capture *push_streams_newest(struct push_streams *streams);

/** Do what the reader has asked for, and look whether open captures still have a writer. Main thread, every 100 ms. */
void push_streams_serve(struct push_streams *streams);

/** Is a writer still appending to one of the captures? Main thread, never blocks. */
bool push_streams_growing(struct push_streams *streams);

/** Call fn for each stream of the newest generation that was made so far. Main thread. */
void push_streams_each(struct push_streams *streams, void (*fn)(void *ctx, const struct sl_stream *stream), void *ctx);

/* ---------------------------------------------------------------- reload */

/**
 * Compile and prove the filters of a configuration for a capture. Any thread: it takes a while.
 * @param lanes   filter lcores
 * @param cache   with the verdict cache
 * @param errbuf  SL_FILTER_ERRBUF bytes
 * @return 0; as sl_filter_set_create()
 */
int push_streams_compile(const struct sl_config *config, const struct sl_capture_info *info, unsigned int lanes,
	bool cache, struct sl_filter_set **set, char *errbuf);

/**
 * The next generation, beside the one that runs. Main thread, when there is only one.
 *
 * @param config   must outlive it
 * @param slot_of  slot of each of its targets
 * @param slots    one more than the highest slot
 * @param capture  that the set was compiled for; others are compiled when they are asked for
 * @param set      taken over, also on error
 * @param[out] ctx for sl_reload.stream_ctx
 * @return 0, -ENOMEM
 */
int push_streams_next(struct push_streams *streams, const struct sl_config *config, const unsigned int *slot_of,
	unsigned int slots, struct sl_capture *capture, struct sl_filter_set *set, void **ctx);
/** All stages have passed the switch: free the old generation. Main thread. */
void push_streams_switched(struct push_streams *streams);

#endif
