/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_FOLLOW_LINES_H
#define CAPTURE_FOLLOW_LINES_H

/**
 * @file
 * Between follow_state.c (the state of a follower) and follow_compact.c (written anew): lines of the file, and small things.
 *
 * One line a fact, each with its checksum in front, appended and synced; a line that a crash cut short is the last one,
 * and what it would have said was not relied on yet. Paths are the last field, so only line ends need an escape.
 */

#include "follow_state.h"

#define STATE_VERSION 1u
#define LINE_MAX_BYTES (3 * PATH_MAX + 256) /**< of a line without its checksum and end */

/** Fill an error buffer. @return error */
int follow_state_fail(char *errbuf, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** A list with room for one more, or NULL: then the list is as it was. */
void *follow_grow(void *list, size_t count, size_t *room, size_t size);
/** A path without line ends. @param to  three times as long, and one */
void follow_escape(char *to, const char *from);
/** And back, in place. */
void follow_unescape(char *text);
/** @param line  LINE_MAX_BYTES + 16 bytes. @return bytes of the line, its end included */
int follow_format_line(char *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A line that all before a position is in the store; as follow_format_line(). */
int follow_base_line(char *line, uint64_t position);
/** A line that from a position on packets go into a capture. */
int follow_capture_line(char *line, uint64_t begin, const struct sl_uuid *uuid);
/** A line that from a position on come the bytes of a file from `offset` on. */
int follow_run_line(char *line, uint64_t begin, uint64_t offset, uint64_t ino, const struct follow_print *print,
	const char *path);
/** Keep all others from a file, as long as it is open. @return 0; -EAGAIN or -EACCES: another has it; another -errno */
int follow_state_lock(int fd);
/** Make the names in a file's directory durable. @return 0 or -errno */
int follow_state_sync_directory(const char *path);

/* ---- follow_state.c */

/** What runs say about bytes that lie before a position becomes what is known of their files. */
void follow_state_fold(struct follow_state *state, uint64_t position);
/** Take space for lines to come, if there is any. */
void follow_state_allocate(struct follow_state *state);

#endif
