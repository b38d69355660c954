/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_JOURNAL_H
#define SL_WRITER_JOURNAL_H

/**
 * @file
 * The journal of a target: `<state-dir>/<file_desc>.journal`, lines of text, each with its own CRC. Appended to and, when
 * large, rewritten as its own summary. A torn last line is cut off.
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

/** A working file as a checkpoint knows it. */
struct sl_open_file {
	bool present;
	char pending[SL_PATH_MAX];
	uint64_t ino, dev;
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

struct sl_journal; /**< NULL wherever there is no state directory: then nothing is written, and 0 returned */

/* Helper thread of the target (main thread before it starts). All return 0 or -errno. */

const char *sl_journal_path(const struct sl_journal *journal);
/** A working file of this name is about to be made. */
int sl_journal_open_intent(struct sl_journal *journal, const char *pending);
/** The file is about to get its final name; durable on return. */
int sl_journal_intent(struct sl_journal *journal, const char *pending, const char *final, uint64_t ino, uint64_t dev,
	uint64_t size, const struct sl_mark *after);
/** It has its final name, durably. */
int sl_journal_done(struct sl_journal *journal, const char *final, const struct sl_mark *after);
/** Everything before this is durable in the working file. Durable on return. */
int sl_journal_checkpoint(struct sl_journal *journal, const struct sl_checkpoint *checkpoint);

#endif
