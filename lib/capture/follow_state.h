/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_FOLLOW_STATE_H
#define CAPTURE_FOLLOW_STATE_H

/**
 * @file
 * What a follower must know after a crash: which bytes of which files are in the store.
 *
 * All bytes that were ever taken are counted through: that count is the *position*. The state file says which bytes of
 * which file lie from which position on (a *run*), and it says so durably before the first of them is given to the store.
 * Each chunk of the store carries, as its mark, the position behind its last packet. So the last chunk says how far all
 * was taken, the runs say where that is, and nothing has to be written in step with anything else. docs/import.rst has
 * the whole of it.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_store.h"

/** What a file is known by besides its name: its bytes up to its first packet's data. That has the packet's time in it. */
struct follow_print {
	uint32_t len;
	uint32_t crc;
};

/** CRC-32C. @param crc  0 to begin, or the value so far */
uint32_t follow_crc(uint32_t crc, const void *data, size_t len);

/** A file that was read. */
struct follow_known {
	char *path;    /**< absolute */
	uint64_t ino;
	struct follow_print print;
	uint64_t consumed; /**< bytes of it that are in the store for good */
	uint64_t left;     /**< its size when it was left for the next one; 0: not left */
};

/** Bytes of a file from `offset` on that lie from position `begin` on, up to the next run. */
struct follow_run {
	uint64_t begin, offset;
	size_t known; /**< index */
};

struct follow_capture {
	uint64_t begin;
	struct sl_uuid uuid;
};

struct follow_state {
	char path[PATH_MAX];
	char store[PATH_MAX]; /**< absolute */
	int fd;
	uint64_t size;      /**< bytes of the file */
	uint64_t allocated; /**< bytes that the file system has promised */
	uint64_t compacted; /**< bytes after it was last written anew */
	uint64_t base;      /**< everything before it is in the store for good */
	struct follow_known *known;
	size_t known_count, known_room;
	struct follow_run *runs;
	size_t run_count, run_room;
	struct follow_capture *captures;
	size_t capture_count, capture_room;
};

/**
 * Open the state, made if it is missing, and keep all others from it.
 *
 * @param store      the store's directory, which must exist
 * @param state_dir  where to keep it; NULL: in the store
 * @param errbuf     SL_CAPTURE_ERRBUF bytes, one line
 * @return 0; -EBUSY: another process has it; -EPROTO: damaged, or of another store; another -errno
 */
int follow_state_open(struct follow_state *state, const char *store, const char *state_dir, char *errbuf);
/** Give it back. All zero but fd -1 is allowed. */
void follow_state_close(struct follow_state *state);

/**
 * Ask the store how far it came, and know for each file what of it is there. No capture of the store may be unclean.
 *
 * @param[out] position  where to go on
 * @param[out] lost  bytes that the state held for safe but the store no longer has
 */
int follow_state_recover(struct follow_state *state, uint64_t *position, uint64_t *lost, char *errbuf);

/** The file of that directory that was read under this name or had this inode number, with these first bytes; or NULL. */
const struct follow_known *follow_state_find(const struct follow_state *state, const char *dir, const char *name,
	uint64_t ino, const struct follow_print *print);
/** Was a file that is known by this path seen with this inode number? */
bool follow_state_had(const struct follow_state *state, const char *dir, const char *name, uint64_t ino);

/** From position `begin` on, packets go into this capture. Durable when it returns. */
int follow_state_capture(struct follow_state *state, uint64_t begin, const struct sl_uuid *uuid, char *errbuf);
/** Everything before this position is in the store, durably. */
int follow_state_closed(struct follow_state *state, uint64_t position, char *errbuf);
/** From position `begin` on come the bytes of a file from `offset` on. Durable when it returns. */
int follow_state_run(struct follow_state *state, uint64_t begin, const char *dir, const char *name, uint64_t ino,
	const struct follow_print *print, uint64_t offset, char *errbuf);
/** A file was left at this size: unless that changes it need not be opened again. */
void follow_state_left(struct follow_state *state, const char *dir, const char *name, uint64_t ino,
	const struct follow_print *print, uint64_t size);

/** Is the file much longer than what it says? */
bool follow_state_is_long(const struct follow_state *state);
/**
 * Write the file anew, with what is still needed: in one step, so a crash finds the old or the new one.
 *
 * @param safe  everything before this position is in the store, and was for a minute
 */
int follow_state_compact(struct follow_state *state, uint64_t safe, char *errbuf);

#endif
