/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_PRIVATE_H
#define SL_STORE_PRIVATE_H

/**
 * @file
 * What the files of this library share: error lines, capture.json, the head page, segment files.
 */

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "sl_store.h"

/** Fill an error buffer (NULL is allowed) and return err, so that `return store_err(...)` reads well. */
int store_err(int err, char *errbuf, const char *format, ...) __attribute__((format(printf, 3, 4)));

/**
 * The line for a file system that has no room for a chunk.
 *
 * @param at  what found none
 * @param on  what is on that file system
 * @return whether it could be asked; if not, nothing is filled in
 */
bool store_err_full(int err, char *errbuf, const char *at, const char *on);

/** Time of a clock, ns. */
static inline uint64_t
store_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/** Whether an error means that the file system is full. */
static inline bool
store_is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/** A random UUID. */
int store_uuid_make(struct sl_uuid *uuid);

/** fsync a directory or file by its descriptor; a file system that knows no fsync for it is no error. */
int store_sync_fd(int fd);

/* ---------------------------------------------------------------- capture.json (info.c) */

/**
 * Read <dir>/capture.json.
 *
 * @return 0; -ENOENT: there is none; -EPROTO: not understood, with a line in errbuf; another -errno
 */
int store_info_read(int dir, const char *store, const char *name, struct sl_capture_info *info, char *errbuf);

/** Write <dir>/capture.json, durably. */
int store_info_write(int dir, const struct sl_capture_info *info);

/* ---------------------------------------------------------------- the head page (head.c) */

#define HEAD_MAGIC 0x44484c53u /* "SLHD" */
#define HEAD_VERSION 1u
#define HEAD_SIZE 4096u
#define HEAD_NAME "head"

enum head_state {
	HEAD_OPEN = 1,
	HEAD_CLOSED = 2,
};

/**
 * Mapped shared by the writer and all readers. While OPEN, to be believed only if boot_id is this boot's: the kernel
 * writes the page to disk when it likes. CLOSED with a right crc holds for ever.
 */
struct store_head {
	uint32_t magic;
	uint32_t version;
	struct sl_uuid capture;
	uint8_t boot_id[16];
	_Atomic uint32_t state; /**< enum head_state */
	uint32_t writer_pid;    /**< only to be named in messages; the lock says whether it lives */
	_Atomic uint64_t committed;
	_Atomic uint64_t heartbeat;
	/* Sums of the committed chunks. */
	_Atomic uint64_t packets;
	_Atomic uint64_t record_bytes;
	_Atomic uint64_t wire_bytes;
	_Atomic uint64_t dropped;
	_Atomic uint64_t min_ts;
	_Atomic uint64_t max_ts;
	_Atomic uint32_t sums_known; /**< 0: sealed without its writer's sums */
	uint32_t crc;                /**< CLOSED: CRC-32C of all before it, as if state were already CLOSED */
	/** Not under the crc: retention raises it in closed captures too, by whole segments. */
	_Atomic uint64_t first;
	/** Of dropped, by cause; the rest was lost before it came to us. */
	_Atomic uint64_t dropped_no_buffer;
	_Atomic uint64_t dropped_store;
	uint32_t causes_crc;   /**< CLOSED: CRC-32C of the two above */
	_Atomic uint32_t bell; /**< a futex: incremented and woken after each commit and when it closes */
	/* Not all zero: the newest chunks also lie in shared memory, see newest.h. Means nothing once the writer is gone. */
	struct sl_uuid newest;
	uint64_t newest_base; /**< what chunk 0 has for an ordinal there */
};
_Static_assert(sizeof(struct store_head) <= HEAD_SIZE, "the head is one page");

/** This boot's id, all zero where /proc does not say. */
void head_boot_id(uint8_t id[16]);

/**
 * Make <dir>/head, take the writer's lock and map it.
 *
 * @param[out] fd  holds the lock until it is closed
 */
int head_create(int dir, const struct sl_uuid *capture, struct store_head **head, int *fd);

/**
 * Map <dir>/head.
 *
 * @param write  for sealing
 * @return 0; -EPROTO: damaged; -ESTALE: a sound head of another capture; -EPROTONOSUPPORT: of a later version; another
 *         -errno
 */
int head_map(int dir, const struct sl_uuid *capture, bool write, struct store_head **head, int *fd);

/** Say why head_map() returned -ESTALE or -EPROTONOSUPPORT. @return -EPROTO */
int head_refused(int err, const char *path, char *errbuf);

void head_unmap(struct store_head *head, int fd);

/** Whether a living process holds the writer's lock. */
bool head_has_writer(int fd);

/** Take the writer's lock. @return 0 or -EAGAIN */
int head_lock(int fd);

/** Whether it says CLOSED, and rightly: its checksum holds. */
bool head_is_closed(const struct store_head *head);

/** Whether what it says of an unclean capture is to be believed: it is of this boot, and not damaged. */
bool head_is_believed(const struct store_head *head);

/**
 * Whether its numbers contradict each other or its checksum. One that is OPEN and of another boot never is damaged, only
 * not believed: the kernel may have written a part of it before another.
 */
bool head_is_damaged(const struct store_head *head);

/** Set CLOSED with its checksum, durably. All segments must be durable before. */
int head_close(struct store_head *head, int fd);

/** What was dropped, by cause. */
void head_causes(const struct store_head *head, uint64_t by[SL_DROP_CAUSES]);

/** Wake whoever waits for a commit or the end. */
void head_ring(struct store_head *head);

struct chunk_header;
/** Add a chunk's sums, as is done before it is committed. */
void head_add_sums(struct store_head *head, const struct chunk_header *chunk);

/** Commit all chunks below this one, and wake who waits for it. */
void head_commit(struct store_head *head, uint64_t committed);

/* ---------------------------------------------------------------- segments (segment.c) */

#define SEGMENT_SIZE ((uint64_t)SL_SEGMENT_CHUNKS * SL_CHUNK_SIZE)
#define SEGMENT_NAME_SIZE 16
#define SEGMENT_MAX 100000000u /* eight digits */

/** How much time a power loss may take of a running capture; see docs/store_format.rst. */
#define SYNC_INTERVAL_NS 5000000000u

/** "00000000.seg" */
void segment_name(uint64_t segment, char name[SEGMENT_NAME_SIZE]);

/** @return 0, or -EINVAL if it is not a segment's name */
int segment_parse_name(const char *name, uint64_t *segment);

/** Whether a descriptor lies on tmpfs or the like: in memory, so there is nothing that O_DIRECT could go to. */
bool store_on_memory(int fd);

/**
 * Open a segment, with O_DIRECT where the file system takes it.
 *
 * @param flags   O_RDONLY or O_RDWR | O_CREAT
 * @return descriptor or -errno
 */
int segment_open(int dir, uint64_t segment, int flags);

/**
 * Give a segment that is being written more slots. Their size is set, so that writes do not extend the file: extending
 * ones leave io_uring's fast path. Near the end of the space the steps shrink, so that the disk can be filled to the last
 * MiB.
 *
 * @param slot  how many it has
 * @param step  how many more it should have
 * @param[out] what  the system call that failed
 * @return how many it has now, or -errno
 */
int segment_allocate(int fd, bool on_memory, uint32_t slot, uint32_t step, const char **what);

/**
 * Write bytes of a slot; where O_DIRECT was taken and is refused now, without it.
 *
 * @param from, used  bytes [from, used) of the slot
 * @return 0 or -errno
 */
int segment_write(int fd, uint32_t slot, const uint8_t *data, uint32_t from, uint32_t used);

/** Give back the space of a slot behind `used` bytes, if that is worth it. */
void segment_punch(int fd, uint32_t slot, uint32_t used);

/** End a segment and close it: so many slots are kept. Without any it is removed. Durable. @return 0 or -errno */
int segment_end(int dir, int fd, uint64_t segment, uint32_t slots);

/** Read all of a slot; what lies beyond the end of the file reads as zeroes. @return 0 or -errno */
int segment_read(int fd, uint32_t slot, void *buf);

/** Lowest and highest segment that exist. @return 0; -ENOENT: none; another -errno */
int segment_range(int dir, uint64_t *low, uint64_t *high);

/**
 * One past the last valid chunk of a capture, by reading segments from the end. 0 if there is none.
 *
 * @param buf  SL_CHUNK_SIZE bytes, SL_STORE_ALIGN aligned
 */
int segment_scan(int dir, const struct sl_uuid *capture, void *buf, uint64_t *end);

/** Cut what lies behind the last committed chunk, and remove segments that have none. */
int segment_trim(int dir, uint64_t committed);

/** fsync all segments. */
int segment_sync_all(int dir);

/* ---------------------------------------------------------------- the store (store.c) */

/**
 * Prepare a store for a new capture, under the store's lock: make it, seal what is unclean, find the next sequence.
 *
 * @param[out] dir   the store's directory
 * @param[out] lock  holds the store's lock until it is closed
 */
int store_prepare(const char *store, int *dir, int *lock, uint64_t *sequence, char *errbuf);

/**
 * The same for the writer of the active capture itself, which goes on in a new one: nothing is sealed.
 */
int store_prepare_roll(const char *store, int *dir, int *lock, uint64_t *sequence, char *errbuf);

/** Note, under the store's lock, the sequence that a capture has got: it is not given again even if all captures are removed. */
void store_note_sequence(int lock, uint64_t sequence);

/** Make a store's directory if it is missing. @param[out] on_memory  whether it lies on tmpfs or the like */
int store_make(const char *store, bool *on_memory, char *errbuf);

/**
 * Remove a capture's directory: the files that this library makes, and then itself, if nobody else has put anything into
 * it. Also of one whose segments were removed: a power loss may have brought them back.
 */
void store_remove_directory(int store_dir, const char *name);

/** Point `active` at a capture, in one step. */
int store_set_active(int dir, const char *name);

#endif
