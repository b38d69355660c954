/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_FOLLOW_H
#define CAPTURE_FOLLOW_H

/**
 * @file
 * Following files that other programs write, between follow.c (the loop, captures, the clock), follow_names.c (what the
 * user named), follow_scan.c (what files a source has, and in which order), follow_probe.c (what a file is known by),
 * follow_read.c (one file: its packets into the store), follow_watch.c (waiting) and follow_state.c (what survives a
 * crash). One thread.
 *
 * A file is a bag of bytes of which the first `consumed` are in the store. Whatever has more is read, in order; that a file
 * is finished is nowhere believed, so a file that grows after its successor began is still taken whole.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "follow_state.h"
#include "import.h"
#include "reader.h"

/** A file of a source. */
struct followed {
	char name[NAME_MAX + 1];
	uint64_t ino;
	uint64_t size;          /**< when last looked at */
	struct timespec mtime;
	int fd;                 /**< -1: closed */
	bool seen;              /**< by the scan under way */
	bool gone;              /**< it has no name any more, but is still open */
	bool ignored;           /**< no regular file */
	bool damaged;           /**< nothing more can be read of it unless it is written anew */
	bool told;              /**< that it ends inside a record, or cannot be opened */
	bool looked_up;         /**< in the state */
	struct follow_print print; /**< len 0: no packet was seen in it yet */
	uint64_t first_ts;      /**< of its first packet */
	uint64_t probed;        /**< size when a first packet was last looked for */
	uint64_t consumed;      /**< bytes up to the end of the last packet taken */
	uint64_t looked;        /**< size at which it had nothing more to give */
	uint64_t packets;       /**< taken */
	uint64_t newest_ts;     /**< of the packets taken */
	bool between;           /**< `looked` is between two records */
};

/** What the user named: a directory, or one file. */
struct follow_source {
	const char *given;
	char dir[PATH_MAX];        /**< absolute */
	char only[NAME_MAX + 1];   /**< one file; "": the directory */
	int watch;                 /**< inotify's, -1: none */
	bool network;              /**< inotify does not see what other machines write */
	bool rescan;               /**< something was made, renamed or removed */
	bool missing;              /**< told that there is no such file or directory */
	uint64_t dir_ino;          /**< of the directory that is watched */
	bool scanned;
	uint64_t scanned_at;       /**< CLOCK_MONOTONIC, ns */
	struct followed **files;   /**< in order */
	size_t count, room;

	/** @{ the file being read */
	struct followed *tail;
	struct reader reader;
	uint8_t *buf;
	size_t buf_room, pos, end; /**< buf[pos..end) lies at reader.offset in the file */
	uint32_t fits;             /**< interfaces below this were looked at */
	uint32_t link_type, snap_len; /**< of the file */
	bool has_link_type;
	/** @} */
};

struct follow {
	struct import im;
	struct follow_source *sources;
	size_t source_count;
	struct follow_state state;
	uint32_t link_type, snap_len; /**< of the capture, if there is a writer */
	unsigned int held;            /**< files held open ahead of reading */
	int inotify;

	/** @{ the run of bytes being taken: position = run_begin + (offset in the file - run_offset) */
	struct followed *run_file;
	uint64_t run_begin, run_offset;
	uint64_t position;
	/** @} */

	uint64_t stop_at;       /**< CLOCK_MONOTONIC ns at which to end at the latest; 0: nobody asked to stop */
	uint64_t roll_at;       /**< time of a packet that begins a new capture */
	uint64_t capture_bytes; /**< captured bytes in this one */
	bool full;              /**< the store's disk is full; that was told */
	uint64_t compacted_at;
	uint64_t committed_then; /**< position that the store had committed when the state was last compacted */
};

static inline const char *
follow_label(const struct follow_source *s, const struct followed *file, char label[PATH_MAX + NAME_MAX + 2])
{
	snprintf(label, PATH_MAX + NAME_MAX + 2, "%s/%s", s->dir, file->name);
	return label;
}

/** Does it have bytes that were not looked at? */
static inline bool
follow_unread(const struct followed *file)
{
	return !file->ignored && !file->damaged && file->size != file->looked;
}

/* ---- follow.c */

/**
 * See to it that there is a capture with this link type and snapshot length, beginning a new one if need be.
 *
 * @return 0, or -errno: reported
 */
int follow_capture(struct follow *f, uint32_t link_type, uint32_t snap_len);
/** End the capture, if there is one, durably. @return 0, or -errno: reported */
int follow_end_capture(struct follow *f);
/** The disk has no room for anything: tell it once, wait a moment. @return 0: try again; -ECANCELED: stop */
int follow_wait_room(struct follow *f);
/** The store has no room for a packet: wait a moment. @return 0: try again; -ECANCELED: stop; another -errno: it failed */
int follow_wait_store(struct follow *f);

/* ---- follow_names.c */

/** Say why nothing is touched. @return -EINVAL */
int follow_refuse(struct follow *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** What the parameters name becomes sources. @return 0, or -EINVAL: refused, all of it was said */
int follow_name_sources(struct follow *f);

/* ---- follow_scan.c */

/** Look at what there is. Problems are reported; it goes on with what it can see. @return 0 or -ENOMEM */
int follow_scan(struct follow *f, struct follow_source *s);
/** Forget all files of a source. */
void follow_forget(struct follow *f, struct follow_source *s);
/** Begin a file anew: it has other contents now. */
void follow_renew(struct follow *f, struct follow_source *s, struct followed *file);

/* ---- follow_order.c */

struct follow_order {
	const char *name;
	uint64_t ts;    /**< of the first packet, 0: none yet */
	uint64_t mtime; /**< ns */
	struct followed *file;
};

/**
 * Put files into the order in which a capturing program wrote them. Those with packets come first: by name, numbers counting
 * as numbers, beginning at the oldest if a ring of names has wrapped; but by time of their first packets if that
 * contradicts the names. Those without packets follow, by time of their last change, then by name.
 */
void follow_order(struct follow_order *files, size_t count);

/* ---- follow_read.c */

enum follow_turn {
	TURN_IDLE,   /**< there was nothing */
	TURN_BUSY,   /**< something was read */
	TURN_STOPPED, /**< the store has no room, and a stop was asked for */
	TURN_FAILED, /**< the store or the state takes no more: reported, or remembered by import_store_failed() */
};

/** Read on in a source, in order, up to a few MiB. */
enum follow_turn follow_turn(struct follow *f, struct follow_source *s);

/* ---- follow_probe.c */

/** Are the first bytes of an open file those that were seen before? */
bool follow_same(int fd, const struct follow_print *print);
/** Open a file of a source. @return descriptor or -errno; -EISDIR, -ELOOP, -ENXIO and so on for what is no regular file */
int follow_open(const struct follow_source *s, const char *name, struct stat *st);
/** Look for the first packet: fills print and first_ts. The file must be open. @return 0 or -ENOMEM */
int follow_probe(struct followed *file);
/** pread(2), again after a signal. @return bytes, 0: the end, or -errno */
ssize_t follow_read_at(int fd, void *buf, size_t len, uint64_t offset);
/** Move what is at hand, buf[pos..end), to the front, with room for `need` bytes. @return 0 or -ENOMEM */
int follow_make_room(uint8_t **buf, size_t *room, size_t *pos, size_t *end, size_t need);

/* ---- follow_watch.c */

/** Begin to watch all sources. Where that does not work, follow_wait() looks again by itself. */
void follow_watch(struct follow *f);
void follow_unwatch(struct follow *f);
/** Wait for something to read, at most so long. Sets rescan of sources where files came or went. */
void follow_wait(struct follow *f, int timeout_ms);

#endif
