/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_IMPORT_H
#define CAPTURE_IMPORT_H

/**
 * @file
 * An import under way, between import.c (all inputs into one capture), import_input.c (one input: its packets into the
 * store) and import_refill.c (more bytes of an input, and what is due while they are waited for). One thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "sl_capture.h"
#include "sl_store.h"
#include "survey.h"

#define SECOND_NS 1000000000ull
#define MS_NS 1000000ull

/*
 * While packets that were live do not come, time goes on all the same: readers of the store close their windows by the
 * clock that we pass on. It must not pass packets that are still under way. tcpdump and dumpcap let the kernel collect
 * packets for up to a second (libpcap's usual timeout) before they see them, and then need a moment to write them; hence
 * 1.5 s.
 */
#define CLOCK_MARGIN (1500 * MS_NS)
#define LIVE_WITHIN (10 * SECOND_NS)

/** Whether a packet was about as old as the wall clock when it came; those of a replayed file are not. */
static inline bool
import_is_live(uint64_t ts, uint64_t came)
{
	return (came > ts ? came - ts : ts - came) <= LIVE_WITHIN;
}

struct import {
	const struct sl_import_params *params;
	struct sl_import_result *result;
	struct survey survey;
	struct input *inputs;
	struct sl_store_writer *writer;
	char *errbuf;
	int failure; /**< first -errno */
	char store_error[SL_STORE_ERRBUF]; /**< why the store took no more; store_errno 0: it did */
	int store_errno;

	/** @{ the input at hand */
	uint64_t file_packets, over_snap, bad_times, too_large;
	uint64_t done_before; /**< bytes of the inputs before it */
	uint64_t newest; /**< time of the last packet, ns */
	bool fresh; /**< a packet came since live was judged */
	bool live;  /**< its packets are about as old as the wall clock says */
	/** @} */
	uint64_t stop_since; /**< CLOCK_MONOTONIC ns at which a stop was first seen; 0: none */

	int tick_ms; /**< how often the store hears of silence */
	uint64_t last_idle, last_progress, began; /**< CLOCK_MONOTONIC ns */
};

/* ---- import.c */

uint64_t import_now_ns(clockid_t clock);
/** Report a line, and remember the first one and its -errno: the import has failed, though it may go on. */
void import_fail(struct import *im, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** Report a line that is no failure. */
void import_warn(struct import *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A tick of this library, in ms: how often the store must hear of silence for a flush interval in ns. */
int import_tick_ms(uint64_t flush_interval);
/** What the user named, for capture.json. */
void import_describe(const struct sl_import_params *params, char source[1024]);
/** Say a line that belongs to the result: the first one is kept in errbuf. ctx is a struct import. */
void import_say(void *ctx, const char *line);
/** Was a stop asked for? */
bool import_stopping(const struct import *im);
/**
 * Remember why the store takes no more. It is said only when the capture is closed: then the store knows what reached
 * the disk.
 *
 * @return error
 */
int import_store_failed(struct import *im, int error, const char *errbuf);

/* ---- import_input.c */

/**
 * Bring a packet into the store and count it, unless it is of an interface that is not wanted or has no valid time.
 *
 * @return 0; -EAGAIN: the store has no room at this moment, and its writer does not wait; another -errno: the store takes no
 *         more
 */
int import_packet(struct import *im, const struct rd_packet *packet, uint32_t snap_len);

/**
 * Bring the packets of one input into the store. The fields of the input at hand must be clear.
 *
 * @return 0: go on with the next input (im->failure says whether this one was whole); -ECANCELED: a pipe was stopped,
 *         which is the normal end of the import; another -errno: end the import, it failed
 */
int import_input(struct import *im, struct input *input);

/* ---- import_refill.c */

enum import_refill {
	REFILL_DATA,   /**< there is more */
	REFILL_END,    /**< of the file */
	REFILL_STOP,   /**< a stop was asked for, and a pipe is drained */
	REFILL_FAILED, /**< reported, or remembered by import_store_failed() */
};

/** Get more bytes of an input, at least what its reader needs unless it ends. Waits for a pipe. */
enum import_refill import_refill(struct import *im, struct input *input);

/** Show progress if it is wanted and due. @param last  the import is over: always, and clear the line */
void import_progress(struct import *im, const struct input *input, bool last);

#endif
