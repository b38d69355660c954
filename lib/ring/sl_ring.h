/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_RING_H
#define SL_RING_H

/**
 * @file
 * Chunk slots, dispatches, the rings between lcores, and the loop that an lcore runs.
 *
 * One reader, F filters and W writers. A *dispatch* is a numbered slot that carries one chunk (or a word about the
 * stream: its clock, a bad chunk, its end). The reader gives a dispatch to the filter that has the least to do, and notes
 * in the slot which one that is; from there it goes to every writer. A writer takes dispatch d from the ring of the filter
 * that its slot names, so it sees all dispatches in ascending order, and filters of unequal speed delay nobody. Each ring
 * has one producer and one consumer and room for every slot, so an enqueue cannot fail. A slot is used again once every
 * writer has passed it.
 *
 * Limits: a stage's functions may be called only by the lcore that the stage is mapped to; stages never block.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SL_RING_ERRBUF 512u /**< bytes that hold any error line of this library */
#define SL_CACHE_LINE 64

/* ---------------------------------------------------------------- plain structs that all stages share */

/** A place in the store: the next packet to be taken. */
struct sl_position {
	uint64_t sequence; /**< capture's sequence number in the store */
	uint64_t chunk;    /**< chunk number */
	uint32_t packet;   /**< packet number within the chunk */
};

/** <0, 0, >0 as a lies before, at, or behind b. */
static inline int
sl_position_cmp(const struct sl_position *a, const struct sl_position *b)
{
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	if (a->chunk != b->chunk)
		return a->chunk < b->chunk ? -1 : 1;
	return a->packet < b->packet ? -1 : a->packet > b->packet;
}

/** A capture as the pipeline sees it. Made off the lcores; lives until the pipeline is gone. */
struct sl_stream {
	struct sl_capture *capture;
	const struct sl_capture_info *info;
	void *filters;            /**< struct sl_filter_set for this link type and snap length */
	const uint16_t *program;  /**< program[t]: index of target t's verdict in sl_verdicts */
	unsigned int programs;    /**< different programs, 1 to 65535 */
};

enum sl_verdict_kind {
	SL_VERDICT_NONE, /**< no packet */
	SL_VERDICT_ALL,  /**< every packet of the chunk */
	SL_VERDICT_LIST, /**< the packets listed */
};

/** Which packets of a chunk one filter program accepts. */
struct sl_verdict {
	enum sl_verdict_kind kind;
	uint32_t count;          /**< packets accepted, whatever the kind */
	const uint16_t *packets; /**< LIST: count packet numbers, strictly ascending; lies in the arena */
};

/** The verdicts on a chunk. Belongs to the slot; the memory is reused by the slot's next chunk. */
struct sl_verdicts {
	struct sl_verdict *of;  /**< one a program, in an array that the slot owns (programs entries) */
	uint16_t *arena;        /**< packet numbers; may be grown with realloc() by the filter stage */
	size_t arena_entries;   /**< entries that fit the arena */
};

enum sl_dispatch_type {
	SL_DISPATCH_CHUNK, /**< a checked chunk with verdicts */
	SL_DISPATCH_CLOCK, /**< no packet; the stream's clock has reached clock */
	SL_DISPATCH_BAD,   /**< the chunk at position is damaged: pass over it to next */
	SL_DISPATCH_GAP,   /**< chunks from position to next are gone: pass over them */
	SL_DISPATCH_ROLL,  /**< the capture is complete; the stream goes on at next, in another capture */
	SL_DISPATCH_END,   /**< targets whose next position is this one close their files; nothing follows for them */
	SL_DISPATCH_STOP,  /**< every target ends where it stands, as its OnStop says; nothing follows for any */
	SL_DISPATCH_RELOAD, /**< what follows is served by other streams, to other targets: see sl_pipeline_reload() */
};

/** A new generation of filters and targets, which all stages switch to at one dispatch. Made off the lcores. */
struct sl_reload {
	void *stream_ctx;       /**< for sl_pipeline_params.stream from here on */
	unsigned int targets;   /**< consumers from here on: 0 to targets - 1, at most max_targets */
	const void *writers;    /**< what the writer stages change */
	struct sl_position position; /**< [out] the head's when it was dispatched: the next chunk that the new generation sees */
	_Atomic unsigned int passed; /**< writers that have passed it */
};

/** One numbered unit of work. Written by the reader, then the filter, then read-only for the writers. */
struct sl_dispatch {
	uint64_t number;             /**< dispatch number, from 0 */
	enum sl_dispatch_type type;
	struct sl_position position; /**< what it holds: a target takes it only if that is its next position */
	struct sl_position next;     /**< the next position of a target that has taken it */
	uint64_t clock;              /**< CLOCK: the stream's clock, ns */
	const struct sl_stream *stream;
	struct sl_chunk chunk;       /**< CHUNK: the view; points into the slot's memory or a mapped segment */
	struct sl_verdicts verdicts; /**< CHUNK: filled by the filter stage */
	struct sl_reload *reload;    /**< RELOAD */
};

/* ---------------------------------------------------------------- targets as the reader sees them */

enum sl_consumer_state {
	SL_CONSUMER_ATTACHED, /**< takes what the head cursor serves */
	SL_CONSUMER_AWAY,     /**< cannot take anything (an endpoint fails or hangs); nobody waits for it */
	SL_CONSUMER_READY,    /**< wants to be served from next on */
	SL_CONSUMER_DONE,     /**< took END and has published everything, or gave up */
};

/**
 * A target's line to the reader. The writer that owns the target sets next and then AWAY, READY or DONE. The reader alone
 * turns READY into ATTACHED, once its catch-up cursor has met the head. The word counts changes, so that the reader
 * cannot mistake a target that went away and came back for one that never left.
 */
struct sl_consumer {
	_Alignas(SL_CACHE_LINE) _Atomic uint32_t word; /**< changes << 2 | enum sl_consumer_state */
	/** READY: chunks that it can take now, plus 1, so that none is read for nothing; 0: any number. */
	_Atomic uint32_t room;
	/** READY: the chunk that it takes next, as sl_position_key(); it goes on while the target catches up. */
	_Atomic uint64_t at;
	struct sl_position next; /**< where READY begins; sl_consumer_set() tells the reader */
};

/** A chunk's place as one number, ascending with it. */
static inline uint64_t
sl_position_key(const struct sl_position *position)
{
	return position->sequence << 40 | position->chunk;
}

/** A target's state as the reader or its writer sees it. Any thread. */
static inline enum sl_consumer_state
sl_consumer_state(const struct sl_consumer *consumer)
{
	return (enum sl_consumer_state)(atomic_load_explicit(&consumer->word, memory_order_acquire) & 3u);
}

/** Change the state; READY needs next set before. The owning writer only (the main thread before the lcores start). */
static inline void
sl_consumer_set(struct sl_consumer *consumer, enum sl_consumer_state state)
{
	uint32_t word = atomic_load_explicit(&consumer->word, memory_order_relaxed);

	if (state == SL_CONSUMER_READY)
		atomic_store_explicit(&consumer->at, sl_position_key(&consumer->next), memory_order_relaxed);
	/* The reader may turn READY into ATTACHED in between; that change does not count, so the new word still differs. */
	atomic_store_explicit(&consumer->word, ((word >> 2) + 1) << 2 | (uint32_t)state, memory_order_release);
}

/* ---------------------------------------------------------------- memory that lcores copy into */

/**
 * Memory for slots and blocks, SL_STORE_ALIGN aligned and not shared with forked processes: EAL's hugepages; without them
 * transparent ones, since EAL's --no-huge memory is a shared file of small pages, dear to touch and to walk through.
 * Every page has been touched. Main thread, after rte_eal_init().
 *
 * @return NULL: there is not so much
 */
void *sl_memory_alloc(const char *name, size_t bytes);
/** Give it back, with the size that it was asked for with. NULL is allowed. */
void sl_memory_free(void *memory, size_t bytes);

/* ---------------------------------------------------------------- bells: waking an idle lcore */

/**
 * A futex that an idle lcore sleeps on. Any thread may ring it; ringing costs one load while the lcore is awake.
 */
struct sl_bell {
	_Alignas(SL_CACHE_LINE) _Atomic uint32_t rings;
	_Atomic uint32_t asleep;
};

/** Wake the lcore that sleeps on the bell, if it does. Any thread; makes a system call only if it does. */
void sl_bell_ring(struct sl_bell *bell);

/* ---------------------------------------------------------------- stages and lcores */

enum sl_poll_result {
	SL_POLL_IDLE,    /**< did nothing */
	SL_POLL_BUSY,    /**< did work */
	SL_POLL_WAITING, /**< did nothing, and something outside (a disk) will end the wait without ringing: sleep briefly */
};

/** What an lcore runs: a function that does a bounded piece of work and never blocks. */
struct sl_stage {
	const char *name;
	enum sl_poll_result (*poll)(void *ctx);
	void *ctx;
	_Atomic uint64_t busy_cycles; /**< TSC cycles in polls that did work; its lcore writes it, any thread may read it */
	_Atomic uint64_t idle_cycles; /**< in other polls; not what the lcore slept */
};

#define SL_LCORE_MAX_STAGES 16

/** An lcore's list of stages and its account of cycles. */
struct sl_lcore {
	char name[16];          /**< thread name: "sl-reader", "sl-filter0", "sl-writer1", "sl-all" */
	struct sl_stage stages[SL_LCORE_MAX_STAGES];
	unsigned int stage_count;
	unsigned int timer_ms;  /**< wakes this often without a ring; 0: only when rung */
	/**
	 * A futex of another process that wakes it as well, in a shared map that outlives the lcore; NULL: none. Set by its own
	 * stages: while it is there, and the kernel can wait for two (Linux 5.16), the timer is outside_timer_ms.
	 */
	const _Atomic uint32_t *outside;
	unsigned int outside_timer_ms;
	bool poll_mode;         /**< never sleeps */
	struct sl_bell bell;
	_Atomic bool quit;      /**< set by any thread, then ring the bell */
	_Alignas(SL_CACHE_LINE) _Atomic uint64_t busy_cycles; /**< TSC cycles in polls that did work */
	_Atomic uint64_t idle_cycles; /**< TSC cycles in other polls and asleep */
};

/** Run the stages until quit is set. For rte_eal_remote_launch(); arg is a struct sl_lcore. @return 0 */
int sl_lcore_run(void *arg);

/* ---------------------------------------------------------------- the pipeline */

struct sl_pipeline;

struct sl_pipeline_params {
	unsigned int filters;      /**< 1 to 64 */
	unsigned int writers;      /**< 1 to 64 */
	unsigned int slots;        /**< dispatches in flight, a power of two, 4 to 1024 */
	unsigned int max_programs; /**< filter programs of a stream at the most */
	struct sl_consumer *consumers; /**< one a target; outlives the pipeline */
	unsigned int targets;
	unsigned int max_targets;  /**< consumers that there is room for; 0: targets */
	struct sl_lcore *reader_lcore;   /**< whose bells to ring; filled with stages by the caller */
	struct sl_lcore **filter_lcores; /**< filters entries */
	struct sl_lcore **writer_lcores; /**< writers entries */
	const void *helper_cpus;   /**< cpu_set_t for helper threads, or NULL */

	/** Fill d->verdicts. Called on filter lcore lane (0 to filters - 1) only. */
	void (*filter)(void *ctx, unsigned int lane, struct sl_dispatch *d);
	void *filter_ctx;

	/**
	 * Ask for the first capture whose sequence number is at least this one. Called on the reader lcore; must not block.
	 * @return the stream, NULL while there is none or it is not ready yet
	 */
	const struct sl_stream *(*stream)(void *ctx, uint64_t sequence);
	void *stream_ctx;
};

/** Make slots and rings. Main thread, after rte_eal_init(). @return 0, -ENOMEM or another -errno with a line in errbuf */
int sl_pipeline_create(const struct sl_pipeline_params *params, struct sl_pipeline **pipeline, char *errbuf);
/** Free all. No lcore may run its stages any more. */
void sl_pipeline_destroy(struct sl_pipeline *pipeline);
/** Bytes of EAL memory that sl_pipeline_create() takes with these params. Any thread, before EAL. */
size_t sl_pipeline_memory(const struct sl_pipeline_params *params);

/**
 * Where the stream begins and ends. Main thread, before the lcores start, once the consumers' states are set
 * (READY with a next position each, by sl_consumer_set()).
 *
 * @param end  NULL: follow; else serve up to this position, then END
 */
void sl_pipeline_start(struct sl_pipeline *pipeline, const struct sl_position *end);

/** Serve what is committed now (a bounded number of chunks of it), then STOP. Any thread; returns at once. */
void sl_pipeline_stop(struct sl_pipeline *pipeline);

/**
 * Switch to another generation: the reader puts one dispatch of type RELOAD into the stream, asks for streams by its
 * stream_ctx from there on, and looks at its number of consumers. Every dispatch before it belongs to the old generation,
 * which may be freed once sl_pipeline_reloaded(). Main thread, one at a time; returns at once. Consumers that are new must
 * have their states set before: ATTACHED for one that begins at the reload's position.
 *
 * @param reload  stays the caller's; lives until sl_pipeline_reloaded(), or until the lcores have stopped: after a stop
 *                it may never be taken
 */
void sl_pipeline_reload(struct sl_pipeline *pipeline, struct sl_reload *reload);
/** Has the reader dispatched the newest one? Then all stages will pass it. Main thread. */
bool sl_pipeline_reload_taken(const struct sl_pipeline *pipeline);
/** Has every writer, and so every stage, passed it? Main thread. */
bool sl_pipeline_reloaded(const struct sl_pipeline *pipeline, const struct sl_reload *reload);

/** The stages, to be put on lcores. */
struct sl_stage sl_pipeline_reader_stage(struct sl_pipeline *pipeline);
struct sl_stage sl_pipeline_filter_stage(struct sl_pipeline *pipeline, unsigned int lane);

/** The next dispatch that writer w has not passed, in ascending order, or NULL. Writer lcore w only; never blocks. */
struct sl_dispatch *sl_pipeline_peek(struct sl_pipeline *pipeline, unsigned int w);
/** Is there another dispatch behind the one that sl_pipeline_peek() returned? Writer lcore w only. */
bool sl_pipeline_has_more(const struct sl_pipeline *pipeline, unsigned int w);
/** A target is READY, or has more room: let the reader see it at once. Any thread. */
void sl_pipeline_wake(struct sl_pipeline *pipeline);
/** Writer w is through with the dispatch that sl_pipeline_peek() returned; it may not touch it any more. */
void sl_pipeline_pass(struct sl_pipeline *pipeline, unsigned int w);

/** Something that the user should read: the main thread collects these, since a stage may not block on a log. */
struct sl_pipeline_event {
	enum sl_dispatch_type type; /**< BAD, GAP or ROLL */
	struct sl_position position, next;
	int error;                  /**< errno, 0 for ROLL */
};

/** The oldest event not collected yet. Main thread. @return false if there is none */
bool sl_pipeline_next_event(struct sl_pipeline *pipeline, struct sl_pipeline_event *event);

/** What the reader has done so far. Any thread. */
struct sl_pipeline_stats {
	uint64_t chunks;       /**< served at the head, catch-up not counted */
	uint64_t packets;
	uint64_t bytes;        /**< record bytes */
	uint64_t bad_chunks;
	uint64_t catchup_chunks;
	uint64_t first_dispatch_ns; /**< CLOCK_MONOTONIC of the first and the newest chunk dispatch; 0: none yet */
	uint64_t last_dispatch_ns;
};
void sl_pipeline_get_stats(const struct sl_pipeline *pipeline, struct sl_pipeline_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
