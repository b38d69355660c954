/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_JOURNAL_H
#define SL_WRITER_JOURNAL_H

/**
 * @file
 * The journal of a target: `<state-dir>/<file_desc>.journal`, lines of text, each behind its own CRC-32. Lines are
 * appended; a large journal is rewritten as its own summary. A torn last line is cut off.
 *
 * | line     | says                                                                     | fsync |
 * |----------|--------------------------------------------------------------------------|-------|
 * | `def`    | the target's definition, for all files begun below                       | yes   |
 * | `open`   | a working file of this name is about to be made                          | no    |
 * | `ckpt`   | a position, and the working file that holds everything up to it          | yes   |
 * | `intent` | a whole and durable working file is about to get its final name          | yes   |
 * | `done`   | it has it; the position behind it                                        | no    |
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_writer.h"
#include "window.h"

/** Everything needed to go on at a place of the stream. */
struct sl_mark {
	struct sl_uuid capture;
	struct sl_position position;
	struct sl_window window; /**< state at the start of the position's chunk */
	uint64_t emitted;        /**< begin of the newest window with a closed file */
	uint64_t seq;            /**< number of the next working file */
	uint64_t part_begin;     /**< window that part counts in */
	uint32_t part;           /**< parts begun in that window */
};

/** A working file as the journal knows it. */
struct sl_open_file {
	bool present;
	char pending[SL_PATH_MAX];
	uint64_t ino;
	uint64_t size;           /**< durable bytes */
	uint64_t seq;
	uint64_t begin, end;
	uint32_t part;
	uint32_t link_type, snap_len;
	uint64_t first_ts, last_ts, packets, late;
	struct sl_mark start;    /**< to replay from if the file is lost */
};

struct sl_checkpoint {
	struct sl_mark mark;
	struct sl_open_file file;
};

/** What a journal says as a whole. */
struct sl_journal_state {
	bool has_config;
	struct sl_target_config config; /**< definition; strings belong to the journal */
	bool has_mark;
	struct sl_checkpoint at;        /**< newest position and the file that was open there */
	bool has_intent;                /**< an intent without its done */
	struct sl_checkpoint intent;    /**< the file, and the position behind it */
	char intent_final[SL_PATH_MAX];
	char done_pending[SL_PATH_MAX]; /**< the newest finished file's working name */
	uint64_t done_ino;
	char **opens;                   /**< names of working files that may have been left behind */
	size_t open_count;
};

struct sl_journal; /**< NULL wherever there is no state directory: then nothing is written, and 0 returned */

/**
 * Open or make a target's journal and read it. Main thread.
 * @return 0, or -errno with a line in errbuf (SL_WRITER_ERRBUF)
 */
int sl_journal_open(const char *dir, const char *file_desc, struct sl_journal **journal, char *errbuf);
void sl_journal_close(struct sl_journal *journal);
const struct sl_journal_state *sl_journal_state(const struct sl_journal *journal);

/** Do both definitions make the same files? */
bool sl_journal_same_config(const struct sl_target_config *a, const struct sl_target_config *b);

/* Helper threads of the target, two at a time (main thread before they start). All return 0 or -errno; after an error the
 * call may be repeated. */

const char *sl_journal_path(const struct sl_journal *journal);
/**
 * The definition from here on. If a file of the old one is still to be published, it is written only behind that file's
 * `done`.
 */
int sl_journal_define(struct sl_journal *journal, const struct sl_target_config *config, bool after_done);
/** A working file of this name is about to be made. */
int sl_journal_open_intent(struct sl_journal *journal, const char *pending);
/** The file is about to get its final name; durable on return. */
int sl_journal_intent(struct sl_journal *journal, const struct sl_open_file *file, const char *final,
	const struct sl_mark *after);
/** It has its final name, durably. */
int sl_journal_done(struct sl_journal *journal, const struct sl_mark *after);
/** Everything before this is durable in the working file. Durable on return. */
int sl_journal_checkpoint(struct sl_journal *journal, const struct sl_checkpoint *checkpoint);
/** Rewrite it as a summary; done by the others when it has grown beyond a limit. */
int sl_journal_compact(struct sl_journal *journal);

#endif
