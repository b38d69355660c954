/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_RING_PIPELINE_H
#define SL_RING_PIPELINE_H

/**
 * @file
 * The pipeline's inside: slots, the rings between stages, and the reader's cursors.
 */

#include <rte_ring.h>

#include "sl_ring.h"

#define SL_MAX_LANES 64

/** A slot: one dispatch and the memory that it owns. Written by the reader until it is handed on. */
struct sl_slot {
	struct sl_dispatch dispatch;
	uint8_t *buf;      /**< SL_CHUNK_SIZE bytes, taken when a chunk is planned; NULL: none */
	struct sl_read read; /**< where the chunk lies: in buf, in a mapped segment, or to be fetched into buf */
	bool reading;
	bool catchup;      /**< served by the catch-up cursor: not counted again */
	_Alignas(SL_CACHE_LINE) _Atomic uint64_t dealt; /**< (dispatch number + 1) << 8 | filter that it was given to */
};

/** Where the reader goes on reading for a group of targets. */
struct sl_cursor {
	uint64_t sequence;
	uint64_t chunk;
	const struct sl_stream *stream; /**< NULL: to be asked for */
};

/** A writer's end of the pipeline. */
struct sl_inlet {
	_Alignas(SL_CACHE_LINE) _Atomic uint64_t passed; /**< dispatches that the writer is through with */
	_Alignas(SL_CACHE_LINE) struct sl_dispatch *current;
};

struct sl_pipeline {
	struct sl_pipeline_params params;
	struct sl_slot *slots;
	uint8_t *memory; /**< of the chunks: slots x SL_CHUNK_SIZE */
	uint64_t slot_mask;
	struct rte_ring *to_filter[SL_MAX_LANES];
	struct rte_ring *to_writer[SL_MAX_LANES][SL_MAX_LANES]; /**< [filter][writer] */
	struct rte_ring *events;
	struct sl_inlet *inlets;
	struct lane {
		_Alignas(SL_CACHE_LINE) struct sl_pipeline *pipeline;
		unsigned int number;
		_Atomic uint64_t done; /**< dispatches that this filter has handed on */
	} lanes[SL_MAX_LANES];

	/* The reader lcore's own. */
	struct sl_reader *reader;
	struct sl_cursor head, catchup;
	bool catching_up;
	unsigned int turn;   /**< head and catch-up take turns */
	uint32_t *in_group;  /**< [target]: the consumer's word when it joined the catch-up group, 0: not in it */
	unsigned int attached, group; /**< targets that the head serves, and that catch up */
	uint32_t room;       /**< chunks that every one of the group can take now */
	unsigned int catchup_in_flight; /**< dispatches of the catch-up cursor that not all writers have passed */
	bool has_end, ended; /**< an end is set; END has been sent to all that are attached */
	bool stopped;        /**< STOP has been sent */
	struct sl_position end;
	uint64_t clock;      /**< newest CLOCK sent for the head's capture */
	uint64_t planned;    /**< dispatch numbers given out */
	uint64_t sent;       /**< of these, handed to filters */
	uint64_t freed;      /**< of these, passed by all writers */
	uint64_t given[SL_MAX_LANES]; /**< dispatches given to each filter */
	uint8_t lane_order[SL_MAX_LANES]; /**< filters, those first that share their lcore with no writer */
	uint8_t **free_bufs; /**< a stack, so that what was used last and is still in a cache is used next */
	unsigned int free_count;
	unsigned int window; /**< dispatches in flight at the most */

	_Atomic bool stop;
	struct sl_reload *_Atomic reload; /**< asked for, not dispatched yet */
	_Atomic uint64_t chunks, packets, bytes, bad_chunks, catchup_chunks, first_ns, last_ns;
};

/** Add to a counter that any thread may read. */
static inline void
sl_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/** The reader's poll function (reader.c). */
enum sl_poll_result sl_reader_stage_poll(void *pipeline);

/** Hand an event to the main thread; dropped if it does not listen. */
void sl_pipeline_post(struct sl_pipeline *p, const struct sl_dispatch *d, int error);

#endif
