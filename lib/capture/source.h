/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_SOURCE_H
#define CAPTURE_SOURCE_H

/**
 * @file
 * Where an import's bytes come from: a regular file or a stream (pipe, FIFO, terminal, socket), through one large
 * buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct source {
	const char *label; /**< for the user: the path, or "standard input" */
	int fd;            /**< -1: closed */
	bool own;          /**< fd is to be closed by source_close() */
	bool regular;      /**< can seek and has an end that is known */
	off_t start;       /**< where it begins: standard input may have been read by others before */
	uint64_t size;     /**< bytes from start, regular files only */
	uint8_t *buf;
	size_t room, pos, end; /**< buf[pos..end) is what was read and not yet used */
	bool eof;
};

/**
 * Open a file, "-" being standard input. Opening a FIFO waits for its writer.
 *
 * @param room    bytes of the buffer
 * @param errbuf  SL_CAPTURE_ERRBUF bytes, one line
 * @return 0, or -errno; -EINTR: a signal came
 */
int source_open(struct source *source, const char *path, size_t room, char *errbuf);
void source_close(struct source *source);
/** Back to the start, for a regular file. @return 0 or -errno */
int source_rewind(struct source *source);

/** Bytes at hand. */
static inline size_t
source_avail(const struct source *source)
{
	return source->end - source->pos;
}

/**
 * Read until at least need bytes are at hand (a stream: until there are more than before). Moves what is at hand, so
 * pointers into the buffer are void.
 *
 * @return bytes added; 0: the end; -errno, -EINTR: a signal came and nothing was read
 */
ssize_t source_fill(struct source *source, size_t need);

/** Wait until a stream can be read. @return 1: it can; 0: time is up; -EINTR: a signal; -errno */
int source_wait(const struct source *source, int timeout_ms);

/**
 * Pass over up to n bytes without reading them, beginning with those at hand.
 * @return how many; fewer than n: the file ends there, or it is a stream and the rest must be read
 */
uint64_t source_skip(struct source *source, uint64_t n);

#endif
