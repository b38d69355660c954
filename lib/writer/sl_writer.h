/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_H
#define SL_WRITER_H

/**
 * @file
 * Targets: split, name, aligned buffers, sink, journal, log.
 *
 * A writer owns whole targets (target t belongs to writer t mod W) and runs as a stage on one lcore. It copies matched
 * records into aligned blocks and writes them with io_uring, or on tmpfs by itself; everything that touches a file system's
 * metadata runs in helper threads, which each mounted file system has of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_config.h"
#include "sl_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SL_WRITER_ERRBUF 1024u /**< bytes that hold any error line of this library */
#define SL_PATH_MAX 4096u
#define SL_MIN_FREE_LOCAL (UINT64_C(1) << 30) /**< MinFree's default on local file systems; 0 on remote ones */
#define SL_WRITER_DESCRIPTORS 12u /**< open files that a target has at the most */

/* ---------------------------------------------------------------- names (any thread, no EAL) */

/**
 * Final path of a file of a target, as `sluice check` shows it and as publish chooses it.
 *
 * @param start  window's start (time split) or first packet's time (byte split only), ns
 * @param end    window's end, or last packet's time, ns
 * @param part   0: no part number; else `_p001` and so on (both splits)
 * @param copy   0: none; else `_1`, `_2` before the suffix, because the name was taken
 * @param[out] path  SL_PATH_MAX bytes
 * @return 0; -ENAMETOOLONG; -EINVAL: the zone or format can't be used
 */
int sl_name_final(const struct sl_target_config *target, uint64_t start, uint64_t end, unsigned int part,
	unsigned int copy, char *path);

/** Start of the window that holds ts: a multiple of split_time in UTC or, if align_local, in the target's zone. */
uint64_t sl_window_start(const struct sl_target_config *target, uint64_t ts);
/** End of the window that starts at start. */
uint64_t sl_window_end(const struct sl_target_config *target, uint64_t start);

/* ---------------------------------------------------------------- the writers */

enum sl_sink_kind {
	SL_SINK_FILE, /**< working file -> durable -> final name */
	SL_SINK_NULL, /**< all but the write call and the files */
};

struct sl_writers;
struct sl_writer; /**< one writer lcore's share */

struct sl_writers_params {
	const struct sl_config *config;
	unsigned int writers;          /**< 1 to 64 */
	unsigned int max_targets;      /**< slots for targets, reloads included; 0: as many as there are targets */
	struct sl_consumer *consumers; /**< one a slot, shared with the pipeline */
	struct sl_lcore **lcores;      /**< writers entries: whose bells helper threads ring */
	enum sl_sink_kind sink;
	bool crc;                      /**< keep a CRC-32 (zlib's) of each target's record bytes */
	uint64_t from, to;             /**< EmptyFiles: no file for windows outside these times, ns; to is 0 for no end */
	bool once;                     /**< give up a failing target after retry_for */
	uint64_t retry_for;            /**< ns */
	uint64_t stop_timeout;         /**< ns, for sl_writers_destroy() without sl_writers_stop() */
	const char *state_dir;         /**< NULL: no journal */
	const char *log_dir;           /**< NULL: no per-target logs */
	const void *helper_cpus;       /**< cpu_set_t for helper threads and kernel I/O workers, or NULL */
	size_t block_memory;           /**< bytes of write blocks for all targets; 0: chosen from the target count */
	bool hugepages;                /**< EAL memory is on hugepages */
};

/**
 * Make targets, read their journals, start helper and log threads. Main thread, after rte_eal_init().
 * Locks state_dir: -EBUSY if another push has it.
 */
int sl_writers_create(const struct sl_writers_params *params, struct sl_writers **writers, char *errbuf);
/** Bytes of EAL memory that sl_writers_create() takes for so many targets on this sink. Any thread, before EAL. */
size_t sl_writers_memory(unsigned int targets, enum sl_sink_kind sink);

/** Where target t's journal says to go on. */
struct sl_resume {
	struct sl_uuid capture;
	struct sl_position position;
};
/** @return true if the journal has a position. Main thread, before sl_writers_start(). */
bool sl_writers_resume(const struct sl_writers *writers, unsigned int t, struct sl_resume *resume);

/** Set each target's first position (n entries) and, from the journals, its open split. Main thread, before the lcores. */
int sl_writers_start(struct sl_writers *writers, const struct sl_position *first, char *errbuf);

/** Tell the writers which pipeline feeds them. Main thread, before the lcores start. */
struct sl_pipeline;
void sl_writers_attach(struct sl_writers *writers, struct sl_pipeline *pipeline);

/** Writer w's stage. */
struct sl_stage sl_writers_stage(struct sl_writers *writers, unsigned int w);

/** What a failing target's errno means: strerror(), but "not mounted" for ENODEV. Any thread. */
const char *sl_writer_error_text(int error);

/* ---------------------------------------------------------------- another configuration while running */

/**
 * The way to another configuration. A target is matched by its Desc. One that is the same goes on without notice; one that
 * has changed is replaced by another target that begins where it ends; one that is gone publishes what it has, and its
 * journal is renamed to `<Desc>.journal.removed-<time>`.
 *
 * Targets have slots: the first ones those of their order in the configuration, later ones any that is free. Streams'
 * programs and consumers are by slot.
 */
struct sl_writers_reload;

/** What a reload means for a target of the new configuration. */
enum sl_reload_change { SL_RELOAD_SAME, SL_RELOAD_CHANGED, SL_RELOAD_ADDED };

/**
 * Plan the way to another configuration; nothing of what runs changes. Main thread, while the lcores run; opens journals and
 * may take memory for more blocks. The configuration is not needed any more afterwards.
 *
 * @return 0; -ENOSPC: no slot is free; -ENOMEM; -ETIMEDOUT: the log directory does not answer; another -errno of the state
 *         directory. All with a line in errbuf
 */
int sl_writers_reload_plan(struct sl_writers *writers, const struct sl_config *config, struct sl_writers_reload **reload,
	char *errbuf);
/** Forget a plan that was not given to the pipeline. Main thread. */
void sl_writers_reload_cancel(struct sl_writers_reload *reload);
/** Slot of target i of the new configuration. */
unsigned int sl_writers_reload_slot(const struct sl_writers_reload *reload, unsigned int i);
enum sl_reload_change sl_writers_reload_change(const struct sl_writers_reload *reload, unsigned int i);
/** Targets that are gone. */
unsigned int sl_writers_reload_removed(const struct sl_writers_reload *reload);
/** One more than the highest slot in use: for sl_reload.targets. */
unsigned int sl_writers_reload_slots(const struct sl_writers_reload *reload);
/** Where the journal of an added target says to go on. @return true if it has one with a position */
bool sl_writers_reload_resume(const struct sl_writers_reload *reload, unsigned int i, struct sl_resume *resume);
/** An added target begins here; without this at the position of the reload. */
void sl_writers_reload_first(struct sl_writers_reload *reload, unsigned int i, const struct sl_position *first);
/** The plan is about to be given to the pipeline, as sl_reload.writers. Main thread. */
void sl_writers_reload_post(struct sl_writers_reload *reload);
/**
 * All writers have passed it: from here on the targets of sl_writers_target_stats() are those of the new configuration. Frees
 * the plan. Main thread; not while another thread asks for stats.
 */
void sl_writers_reload_done(struct sl_writers_reload *reload);
/** The lcores have stopped before they took it: free the plan. Its targets go with sl_writers_destroy(). Main thread. */
void sl_writers_reload_abandon(struct sl_writers_reload *reload);
/**
 * Free targets that have left, archive their journals, let those begin that have waited for them. Main thread, some times a
 * second; makes system calls on the state directory only.
 */
void sl_writers_tend(struct sl_writers *writers);

/** What became of a target; any thread. */
struct sl_target_stats {
	uint64_t packets, bytes;  /**< matched and taken; bytes are record bytes */
	uint64_t published_packets, published_bytes; /**< in files under their final names; bytes are file sizes */
	uint64_t files;           /**< published */
	uint64_t renamed;         /**< of these, under _1, _2 ... because the name was taken */
	uint64_t late;            /**< packets older than their window */
	uint32_t crc;             /**< CRC-32 of all record bytes in order */
	bool failing;             /**< cannot write now */
	bool gave_up;             /**< --once: retry_for is over; or stopped: it did not end in time */
	int error;                /**< errno of the newest failure, positive; ETIME: it hangs (sl_writer_error_text()) */
	bool parked;              /**< its endpoint hangs or crawls; the others go on */
	bool catching_up;         /**< takes again, behind the others */
	uint64_t parks;           /**< times parked */
	uint64_t parked_ns;       /**< in all, until now */
	uint64_t gaps;            /**< ranges that the store had lost before the target came to them */
	uint64_t gap_chunks;      /**< chunks of these; of a capture that is gone as a whole the number is unknown */
	uint64_t gap_begin;       /**< of the newest gap: time of the last packet before it, ns; 0: unknown */
	uint64_t gap_end;         /**< ... and of the first one behind it; 0: none has come yet */
	uint64_t first_unpublished_ts; /**< ns, 0 if none */
	char error_path[SL_PATH_MAX];
	const char *error_what;   /**< operation that failed, static text; "" if none has */
	uint64_t error_ns;        /**< wall clock of the newest failure, ns since 1970; 0: none */
	char example_renamed[SL_PATH_MAX]; /**< one file that got _1, or "" */
	char last_file[SL_PATH_MAX]; /**< published last, or "" */
	enum sl_consumer_state state;
	struct sl_position position; /**< the next packet to be taken, not older than 100 ms */
};
void sl_writers_target_stats(const struct sl_writers *writers, unsigned int t, struct sl_target_stats *stats);

/** Add a line to a target's log, if there are logs. Any thread; never blocks. */
void sl_writers_log(struct sl_writers *writers, unsigned int t, const char *line);

/** Slot of target t of the configuration in force. Main thread. */
unsigned int sl_writers_slot(const struct sl_writers *writers, unsigned int t);

/** True once every target is DONE. Any thread. */
bool sl_writers_done(const struct sl_writers *writers);

/**
 * The push is being stopped: a target that fails is tried for so long, then gives up and is DONE. One that hangs is not:
 * see sl_writers_abandon(). Any thread. The pipeline must be stopped too (sl_pipeline_stop()).
 * @param timeout  ns
 */
void sl_writers_stop(struct sl_writers *writers, uint64_t timeout);

/** Targets that a reload has removed or replaced, and that gave up before they had published all. Any thread. */
unsigned int sl_writers_left_behind(const struct sl_writers *writers);

/**
 * After the lcores have stopped: targets that have not ended are given up, with a line each, in their logs too. What their
 * journals say stays: a restart goes on there. Main thread. @return how many, those that were leaving included
 */
unsigned int sl_writers_abandon(struct sl_writers *writers);

/**
 * After the lcores have stopped: end the helper threads, write the last journal entries, free all. Waits no longer than
 * a second beyond the time given to sl_writers_stop() (stop_timeout, if that was not called) for a hung endpoint. Main thread.
 */
void sl_writers_destroy(struct sl_writers *writers);

#ifdef __cplusplus
}
#endif

#endif
