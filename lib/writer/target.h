/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_TARGET_H
#define SL_WRITER_TARGET_H

/**
 * @file
 * What the parts of this library share: a target, its files, the jobs that it gives to a helper thread.
 *
 * Ownership: everything here belongs to the writer's lcore, except that while a job is under way the helper thread owns
 * the fields of struct sl_file and struct sl_target marked "helper".
 */

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <liburing.h>
#include <rte_log.h>
#include <rte_ring.h>

#include "block.h"
#include "journal.h"
#include "push_log.h"
#include "sl_writer.h"
#include "window.h"

extern int sl_writer_logtype;
#define WLOG(level, ...) rte_log(RTE_LOG_##level, (uint32_t)sl_writer_logtype, "WRITER: " __VA_ARGS__)

#define SL_TARGET_FILES 8u          /* the open file and those being published */
#define SL_URING_DEPTH 128u         /* writes in flight on one (writer, mount) ... */
#define SL_URING_SHARE 8u           /* ... of which each target can have some, whoever hangs on the others */
#define SL_EMPTY_FILES_MAX 1440u    /* EmptyFiles: windows of one jump that get a file, a day of minutes */
#define SL_CHECKPOINT_NS (10u * UINT64_C(1000000000))
#define SL_CHECKPOINT_BYTES (UINT64_C(64) << 20)
#define SL_STATUS_NS (15u * UINT64_C(1000000000))
#define SL_HELPERS 8u               /* threads for the metadata of one mounted file system ... */
#define SL_HELPERS_MAX 32u          /* ... and with those that stand in for threads that hang */
#define SL_RETRY_MIN_NS UINT64_C(100000000)
#define SL_RETRY_MAX_NS UINT64_C(10000000000)

#define SL_PCAP_HEADER 24u

struct sl_target;
struct sl_writer;
struct sl_writers;

enum sl_target_life {
	SL_TARGET_FREE,    /**< a slot without a target */
	SL_TARGET_PLANNED, /**< of a reload that not all writers have passed */
	SL_TARGET_LIVE,
	SL_TARGET_LEAVING, /**< a reload has removed or replaced it; it publishes what it has */
};

enum sl_job_type {
	SL_JOB_OPEN,       /**< make the working file */
	SL_JOB_EXTEND,     /**< allocate ahead */
	SL_JOB_PUBLISH,    /**< make durable and link */
	SL_JOB_CHECKPOINT, /**< fsync and journal the position */
	SL_JOB_ADOPT,      /**< settle what the journal says, which waited for a mount */
};

/** Work for a helper thread; at most one of each kind of chain is under way for a target. */
struct sl_job {
	enum sl_job_type type;
	struct sl_target *target;
	struct sl_file *file; /**< NULL: a checkpoint without a file */
	uint32_t epoch;
	bool busy;
	bool retry;           /**< the target was failing when this was posted */
	_Atomic bool begun;   /**< a thread has taken it */
	uint64_t posted;      /**< CLOCK_MONOTONIC ns */
	uint64_t need;        /**< OPEN, EXTEND: bytes that the file must be able to hold */
	int result;           /**< 0 or -errno */
	const char *what;     /**< operation that failed: "open", "fsync", ... */
	char path[SL_PATH_MAX]; /**< what it failed on */
};

/** A file of a target, from its first packet until it has its final name. */
struct sl_file {
	struct sl_target *target;
	struct sl_file *next; /**< list of closing files, or of free ones */
	uint64_t seq;
	uint64_t begin, end;  /**< window; both 0 without a time split */
	uint32_t part;
	uint32_t link_type, snap_len;
	uint64_t first_ts, last_ts;
	uint64_t packets, late;
	uint64_t size;         /**< bytes appended so far, header included */
	uint64_t opened_ns;    /**< CLOCK_MONOTONIC */
	struct sl_mark start;  /**< where to replay from if the working file is lost */
	struct sl_mark after;  /**< position after it, once closed */
	const struct sl_target_config *config; /**< its definition, which may be one before the target's */

	struct sl_block *cur;  /**< being filled */
	uint64_t cur_offset;   /**< file offset of the next new block */
	struct sl_block *queue, **queue_tail; /**< full, not yet submitted; ascending offsets */
	uint32_t in_flight;
	bool closed;           /**< nothing more is appended */
	bool open;             /**< OPEN has succeeded */
	bool want_extend;      /**< EXTEND is due: for space, or for a descriptor that a write has failed on */
	bool announced;        /**< the log has its opening line */

	bool ckpt_in_flight;   /**< the partial block is being written for a checkpoint */
	uint64_t ckpt_block;   /**< its offset */

	/* helper */
	int fd;                /**< -1: not open */
	bool direct;
	bool in_memory;        /**< tmpfs: a write is a copy, made on the lcore */
	bool preallocate;      /**< space is taken ahead of writes, with fallocate where that makes sense */
	uint64_t allocated;
	uint64_t ino, dev;
	uint32_t copy;         /**< the name was taken: _1, _2 ... */
	bool pending_durable;  /**< its working name is on the disk */
	bool named, renamed;   /**< it has its final name; by rename, not by link */
	char pending[SL_PATH_MAX];
	char final[SL_PATH_MAX];
};

/** What a journal was settled to, until the target goes on from there. */
struct sl_recovery {
	bool have;      /**< there is a position */
	bool deferred;  /**< the mount is missing: to be settled by SL_JOB_ADOPT */
	bool changed;   /**< the definition is another one now */
	bool closed;    /**< the file is whole and lacks its name only */
	bool rewrite;   /**< the journal must be told the position */
	struct sl_mark mark;
	struct sl_position promised; /**< what sl_writers_resume() says */
	struct sl_position first;    /**< what sl_writers_start() said */
	int fd;         /**< -1: no file */
	uint64_t dev;
	uint32_t tail;  /**< bytes in ckpt_page */
	struct sl_open_file file;
};

/** One of the threads that make an endpoint's metadata calls. */
struct sl_helper {
	struct sl_endpoint *endpoint;
	unsigned int index;
	pthread_t thread;
	_Atomic uint64_t busy_since; /**< CLOCK_MONOTONIC ns; 0: idle */
};

/**
 * A mounted file system that targets write to, with the threads that make its metadata calls. Several, because what they
 * wait for most, an fsync, takes hardly longer for eight files than for one.
 */
struct sl_endpoint {
	unsigned int index;
	char key[SL_PATH_MAX];      /**< mount point */
	_Atomic bool buffered;      /**< it refuses O_DIRECT */
	bool silent;                /**< it did not answer before the start */
	struct sl_writers *writers;
	struct rte_ring *urgent;    /**< OPEN and EXTEND: packets wait for them */
	struct rte_ring *normal;
	pthread_mutex_t lock;       /**< the helpers' ends of the rings */
	sem_t work, urgent_work;    /**< one for each job; the second only for urgent ones, and for the first helper */
	_Atomic bool quit;
	_Atomic bool starved;       /**< a job waits, and all helpers are busy: asks for one more */
	_Atomic uint64_t progress_at; /**< CLOCK_MONOTONIC ns of the newest job that has ended */
	struct sl_helper helpers[SL_HELPERS_MAX];
	unsigned int wanted;        /**< helpers */
	unsigned int started;
};

/** One (writer, mount): writes in flight. */
struct sl_uring {
	struct io_uring ring;
	bool up;
	bool fixed; /**< the blocks are registered with it */
	bool refused; /**< a write found no room: its file must be kicked when there is some */
	int error; /**< why there is no ring, to be reported: 0 or -errno */
	uint32_t in_flight;
	uint32_t unsubmitted;
	uint64_t moved_at; /**< CLOCK_MONOTONIC ns of the newest write that was begun or completed */
	/* Writes that were done at once, for the next reap: where they are begun, their target is in the middle of a chunk. */
	struct {
		void *data;
		int result;
	} copied[SL_URING_DEPTH];
	uint32_t copied_count;
};

/** Counters that any thread may read. */
#define SL_COUNT(counter, n)                                                                                           \
	atomic_store_explicit(&(counter), atomic_load_explicit(&(counter), memory_order_relaxed) + (n),                \
		memory_order_relaxed)
struct sl_target_counters {
	_Atomic uint64_t packets, bytes, published_packets, published_bytes, files, renamed, late, first_unpublished_ts;
	_Atomic uint32_t crc;
	_Atomic int error;
	_Atomic bool failing, gave_up, parked;
	_Atomic uint64_t parks, parked_ns;
	_Atomic uint64_t gaps, gap_chunks, gap_begin, gap_end;
	_Atomic uint64_t error_ns;
	const char *_Atomic error_what;
	_Atomic uint32_t text_seq; /**< odd while the texts change */
	char error_path[SL_PATH_MAX];
	char example_renamed[SL_PATH_MAX];
	char last_file[SL_PATH_MAX];
	_Atomic uint32_t position_seq; /**< odd while the position changes */
	_Atomic uint64_t position_sequence, position_chunk;
	_Atomic uint32_t position_packet;
};

/** Whether a target holds the others back, and what became of it (park.c). */
struct sl_park {
	bool aside;             /**< AWAY because it cannot take anything now */
	bool episode;           /**< it was parked, and has not caught up yet */
	bool said;              /**< the log says that it is parked, and not yet that it runs again */
	uint64_t since;         /**< of the episode */
	uint64_t aside_ns;      /**< of the episode, aside */
	uint64_t progress_at;   /**< newest completed write or job; or when there was none under way */
	uint64_t stuck_at;      /**< catching up, and it cannot take a dispatch since */
	uint64_t held_ns;       /**< it has held others back for so long, fading */
	uint64_t looked_at, weighed_at;
	_Atomic bool holding;   /**< other writers read these */
	_Atomic uint64_t latency[2]; /**< ns of a write and of a job, smoothed; 0: none has been completed yet */
};

/** What a target knows of the capture that it takes packets from: its stream goes with a reload. */
struct sl_source {
	uint64_t sequence;  /**< 0: it has seen none yet */
	uint32_t link_type, snap_len;
};

struct sl_target {
	const struct sl_target_config *cfg; /**< &own */
	struct sl_target_config own;
	unsigned int index;         /**< its slot: of consumers, streams' programs, logs */
	struct sl_writers *writers;
	struct sl_writer *writer;
	struct sl_consumer *consumer;
	struct sl_endpoint *endpoint;
	struct sl_uring *uring;
	char mount[SL_PATH_MAX];   /**< mount point that must be mounted, "" for none */
	uint64_t min_free;
	bool remote;

	/* the stream */
	struct sl_position next;
	struct sl_source source;
	struct sl_uuid capture;     /**< of next */
	struct sl_window window;
	struct sl_window chunk_window; /**< window at the start of the chunk of next */
	uint64_t passed;            /**< number + 1 of the newest dispatch it is through with */
	bool in_chunk, fed;
	bool rolled;                /**< next lies in a capture of which nothing has come yet ... */
	struct sl_position roll_position; /**< ... so the journal stays at the end of this one */
	uint32_t k, li;             /**< next packet, next entry of the verdict's list */
	uint32_t replay;            /**< packets below are already taken: only the clock looks at them */
	uint32_t span_end;          /**< packets up to here lie in one window */
	struct sl_window span_window; /**< the window state there */
	bool ended;                 /**< took END */
	bool in_gap;                /**< the store has lost what comes next ... */
	struct sl_position gap_position; /**< ... from here on */

	/* files */
	struct sl_file *cur;
	struct sl_file *closing, **closing_tail;
	unsigned int closing_count;
	struct sl_file *free_files;
	struct sl_file *files;
	uint32_t blocks_used;
	uint32_t in_flight;         /**< writes */
	uint64_t emitted;           /**< begin of the newest window that has a closed file */
	bool said_jump;             /**< EmptyFiles: a jump was too far */
	uint64_t seq;
	uint64_t part_begin;
	uint32_t part;
	_Atomic uint64_t step;      /**< helpers: bytes to allocate ahead for the next file */
	char made_dir[SL_PATH_MAX]; /**< helper: the newest directory whose own name is on the disk */
	char unlinked_dir[SL_PATH_MAX]; /**< helper: the newest working name's removal from it may not be on the disk */
	char last_base[SL_PATH_MAX]; /**< helper: newest final name without a copy number, and its copy number */
	uint32_t last_copy;

	struct sl_job urgent, chain;

	/* journal */
	struct sl_journal *journal; /**< helper; NULL: none */
	struct sl_recovery recovery; /**< helper, while deferred */
	bool journaled;             /**< the journal has a position */
	bool ckpt_wanted;           /**< one has been begun */
	bool ckpt_final;            /**< it has ended, and its last one is still to be made ... */
	bool ckpt_last;             /**< ... which the one that was begun is: it knows all that was taken */
	struct sl_checkpoint ckpt;  /**< helper: what is being written */
	struct sl_open_file intent; /**< helper: as above */
	struct sl_position ckpt_mark; /**< position of the newest one */
	uint64_t ckpt_at, ckpt_bytes; /**< time of the newest, bytes since */
	uint32_t ckpt_outstanding;  /**< writes that it waits for */
	uint8_t *ckpt_page;         /**< SL_BLOCK_ALIGN bytes: copy of the partial page */
	struct iovec ckpt_iov[2];
	uint32_t ckpt_len, ckpt_whole;

	/* failing */
	bool failing;
	uint32_t epoch;
	uint64_t failing_since, retry_at, pause, healthy_since;
	int said_errno;

	struct sl_park park;
	/* reload.c */
	enum sl_target_life life;   /**< the main thread's */
	bool doomed;                /**< the main thread's: a reload that ends it was posted */
	bool removed;               /**< the main thread's: its journal is archived when it has left */
	bool continues;             /**< the main thread's: it goes on where its predecessor has ended */
	struct sl_target *predecessor; /**< the main thread's: it begins when that one has left */
	bool from_reload;           /**< it begins at the position of its reload */
	bool leaving;               /**< it ends since a reload */
	bool begun;
	_Atomic bool may_begin;     /**< set by the main thread: what was before it has left */
	_Atomic bool left;          /**< set by its lcore: nothing there knows it any more */
	struct sl_mark end;         /**< where it ended, once it has left; before it begins: where its predecessor did */

	uint32_t crc;
	uint64_t status_at, status_packets, status_files;
	struct sl_target_counters stats;
};

struct sl_writer {
	struct sl_writers *writers;
	unsigned int index;
	struct sl_lcore *lcore;
	struct sl_block_pool pool;
	struct sl_target **targets;
	unsigned int target_count;
	struct sl_uring *urings;   /**< one an endpoint */
	unsigned int uring_count;
	unsigned int starting;     /**< targets that wait for another one to leave */
	unsigned int leaving;      /**< targets that end since a reload */
	uint32_t *used;            /**< scratch: blocks of each target */
	struct rte_ring *done;     /**< completed jobs */
	uint64_t now;              /**< CLOCK_MONOTONIC ns, read once a poll */
	uint64_t housekeeping_at;
	uint64_t dispatch;         /**< number + 1 of the dispatch under way */
	unsigned int remaining;    /**< targets not through with it */
	bool busy;                 /**< this poll did something */
	bool catching_up;          /**< there are READY targets */
	unsigned int first_look, next_look; /**< park.c: whom to look at first */
};

struct sl_writers {
	struct sl_writers_params params;
	struct sl_pipeline *pipeline;
	struct sl_target *targets;  /**< slots */
	_Atomic unsigned int target_count; /**< slots in use or free below those in use; the main thread's, lcores look */
	unsigned int max_targets;   /**< slots */
	_Atomic unsigned int left_behind; /**< targets that gave up after a reload had removed or replaced them */
	unsigned int *slot_of;      /**< [target of the configuration]: its slot */
	unsigned int configured;    /**< targets of the configuration */
	struct sl_writer *writers;
	struct sl_endpoint *endpoints; /**< max_targets + 1 */
	_Atomic unsigned int endpoint_count; /**< the main thread's */
	struct sl_push_log *log;
	int state_lock;
	uint64_t checkpoint_ns, checkpoint_bytes;
	_Atomic bool stopping;
	_Atomic uint64_t stop_deadline;
	/* the thread that starts helpers where others hang */
	pthread_t spare;
	bool spare_started;
	_Atomic bool spare_quit;
	sem_t spare_work;
};

/* ---- split.c */

/** Take a dispatch. @return true: the target is through with it; false: it must be offered again */
bool sl_target_take(struct sl_target *t, const struct sl_dispatch *d);

/* ---- file.c */

/** Begin a file at packet k of the chunk under way. @return NULL: too many files are closing */
struct sl_file *sl_file_begin(struct sl_target *t, const struct sl_mark *start, const struct sl_window *window,
	uint64_t first_ts);
/** Is there room for one more closing file? */
static inline bool
sl_file_can_close(const struct sl_target *t)
{
	return t->closing_count < SL_TARGET_FILES - 1;
}
/** Close the current file. The caller has seen that closing_count is below SL_TARGET_FILES - 1. */
void sl_file_close(struct sl_target *t, const struct sl_mark *after);
/** Bytes that can be appended now. */
size_t sl_file_capacity(const struct sl_file *f);
/** Append; len is at most sl_file_capacity(). */
void sl_file_append(struct sl_file *f, const void *data, size_t len);
/** Submit what can be submitted. */
void sl_file_kick(struct sl_file *f);
/** A write has completed. */
void sl_file_written(struct sl_block *b, int result);
/** The write of a checkpoint's partial block has completed. */
void sl_file_ckpt_written(struct sl_file *f, int result);
/** All its bytes are in the file system. */
bool sl_file_drained(const struct sl_file *f);
/** As the journal describes it. */
void sl_file_describe(const struct sl_file *f, struct sl_open_file *o);
/** Give it back. */
void sl_file_release(struct sl_file *f);
/** Write the partial block for a checkpoint of the current file. @return false: not now */
bool sl_file_ckpt_write(struct sl_file *f);

/* ---- target.c */

/** Give the helper what is due, publish, end: called after any change. */
void sl_target_pump(struct sl_target *t);
/** A job is back. */
void sl_target_job_done(struct sl_target *t, struct sl_job *job);
/** Something failed: report once, go AWAY, retry later. */
void sl_target_fail(struct sl_target *t, int error, const char *what, const char *path);
/** Something that was begun after the newest failure has worked. */
void sl_target_worked(struct sl_target *t, uint32_t epoch);
/** Nobody waits for it from here on. */
void sl_target_go_away(struct sl_target *t);
/** Its end, with what it has published; `error` and `path` are why. */
void sl_target_give_up(struct sl_target *t, int error, const char *path);
/** A line in the target's log. */
void sl_target_say(struct sl_target *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Let other threads know where the target stands. */
void sl_target_show_position(struct sl_target *t);
/** Time-driven work: retries, checkpoints, status lines. */
void sl_target_tick(struct sl_target *t);
/** The position of the target at packet k of the chunk under way, or at its next position. */
struct sl_mark sl_target_mark(const struct sl_target *t, uint32_t k);
/** Go on from a mark. */
void sl_target_set_mark(struct sl_target *t, const struct sl_mark *mark);
/** At a chunk boundary: is a checkpoint due? Then begin it. */
void sl_target_checkpoint(struct sl_target *t, bool final);
bool sl_target_idle(const struct sl_target *t);
/** One that still waits for another one to leave is to end. */
void sl_target_end_unbegun(struct sl_target *t);
/** Before the first packet: the journal must know where the target began. */
void sl_target_first_checkpoint(struct sl_target *t);

static inline bool
sl_target_is_done(const struct sl_target *t)
{
	return sl_consumer_state(t->consumer) == SL_CONSUMER_DONE;
}

static inline bool
sl_target_held(const struct sl_target *t)
{
	return t->failing && t->writer->now < t->retry_at;
}

/* ---- park.c */

/** Time-driven work: who holds the others back, who can run again. */
void sl_park_tick(struct sl_writer *w);
/** A write or a job has come back. */
void sl_park_wrote(struct sl_target *t, uint64_t submitted);
void sl_park_job_done(struct sl_target *t, const struct sl_job *job);
/** An AWAY target wants to be served again, unless it is parked. */
void sl_park_ready(struct sl_target *t);
/** Tell the reader how much a READY target can take; all READY targets of a writer. */
void sl_park_show(struct sl_target *t);
void sl_park_show_all(struct sl_writer *w);
/** It has what the others have: the end of an episode. */
void sl_park_caught_up(struct sl_target *t);
/* ---- writer.c */

/** Make a target in a zeroed slot: with a copy of its definition, files, endpoint, mount. Main thread. */
int sl_target_init(struct sl_writers *all, unsigned int slot, const struct sl_target_config *cfg, char *errbuf);
/** Free what it owns and zero the slot. Main thread, once its lcore has let go of it. */
void sl_target_free(struct sl_target *t);
/** A configuration's targets, to be freed. Main thread. @return NULL: no memory, and a line in errbuf */
const struct sl_target_config **sl_list_targets(const struct sl_config *config, char *errbuf);
/** Give it to its writer. Main thread. */
void sl_target_assign(struct sl_target *t);

/* ---- reload.c */

/** Take a dispatch of type RELOAD. The writer's lcore; never waits. */
void sl_writer_take_reload(struct sl_writer *w, const struct sl_dispatch *d);
/** Begin what may begin now, let go of what has left. The writer's lcore. */
void sl_writer_tend(struct sl_writer *w);

/* ---- uring.c */

/**
 * Begin a write. data comes back, with the result, through sl_file_written() or sl_file_ckpt_written() of a later
 * sl_uring_reap(): also if the file is in memory, where it is a copy that is made here and now.
 * @return false: there is no room; the file is kicked again when there is
 */
bool sl_uring_write(struct sl_writer *w, struct sl_uring *u, const struct sl_file *f, const struct iovec *iov,
	unsigned int iovs, uint64_t offset, void *data);
void sl_uring_reap(struct sl_writer *w, struct sl_uring *u);
/** Are writes under way that will be completed soon? Nobody rings a bell then. Not those that hang. */
bool sl_uring_awaits(const struct sl_writer *w, const struct sl_uring *u);
void sl_uring_submit(struct sl_writer *w, struct sl_uring *u);
void sl_uring_free(struct sl_uring *u);
/** io_uring works here at all. @return 0 or -errno */
int sl_uring_probe(void);

/* ---- helper.c */

/** Start a thread and one for each target, SL_HELPERS at the most. @param jobs  that can be posted at a time */
int sl_endpoint_start(struct sl_endpoint *e, struct sl_writers *writers, unsigned int jobs);
/** Another target uses it: have threads enough. Main thread. @return 0, -errno */
int sl_endpoint_grow(struct sl_endpoint *e);
/** Hand a job over. Any lcore; never blocks. A target's two jobs may run at a time. */
void sl_endpoint_post(struct sl_endpoint *e, struct sl_job *job, bool urgent);
/** A job waits for a thread: start one more if those that there are hang. Any lcore; never blocks. */
void sl_endpoint_starved(struct sl_endpoint *e);
/** The thread that starts these. @return 0 or -errno */
int sl_spare_start(struct sl_writers *writers);
void sl_spare_stop(struct sl_writers *writers);
/** End the threads. @return 0, -ETIMEDOUT: one hangs in a system call, its memory must stay */
int sl_endpoint_stop(struct sl_endpoint *e, uint64_t deadline);
struct rte_ring *sl_queue_create(unsigned int entries, bool multi_producer);

/* ---- open.c and publish.c: run in the helper thread, fill result, what and path */

void sl_job_open(struct sl_job *job);
void sl_job_extend(struct sl_job *job);
void sl_job_publish(struct sl_job *job);
void sl_job_checkpoint(struct sl_job *job);
/** Is the target's mount there? @return 0, or -ENODEV with the job's error filled in */
int sl_job_check_mount(struct sl_job *job);
/**
 * A power loss brings a working name back whose removal is not durable. The journal knows the newest one, which will be
 * removed again; the next file's fsync settles it, unless that file is in another directory: then this does.
 * @param except  the directory that is fsynced anyway
 */
int sl_job_settle_unlinked(struct sl_job *job, const char *except);
void sl_file_set_direct(struct sl_file *f);
/** Open the working file of a job that is tried again anew, at its old descriptor's number. @return 0 or -errno, as said */
int sl_file_reopen(struct sl_job *job);
int sl_job_fail(struct sl_job *job, int error, const char *what, const char *path);
/** The definition under which a file is named. */
static inline const struct sl_target_config *
sl_file_config(const struct sl_file *f)
{
	return f->config;
}

#endif
