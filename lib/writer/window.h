/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_WINDOW_H
#define SL_WRITER_WINDOW_H

/**
 * @file
 * The clock of a target and the window that it has reached.
 *
 * The clock at a packet is the largest time so far of the whole capture, matched or not, raised by heartbeats. A time
 * more than one window length below the open window's start resets the clock to itself. The packet belongs to the window
 * of the clock; one older than that window's start is late.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sl_writer.h"

/** Plain state: may be copied, and is what a checkpoint stores. */
struct sl_window {
	uint64_t clock; /**< ns, 0: nothing seen yet */
	uint64_t begin; /**< start of the clock's window, ns (0 with begin == end: no time split or nothing seen) */
	uint64_t end;
};

/** Move the clock by one time (a packet's, or a heartbeat's). @return true if the window is another one now */
bool sl_window_advance(struct sl_window *window, const struct sl_target_config *target, uint64_t ts);

/**
 * Would every packet of a chunk with these extremes stay in the open window? Then the caller needs no look at each
 * packet: it calls sl_window_skip(), and packets older than begin are late.
 */
static inline bool
sl_window_holds(const struct sl_window *window, const struct sl_target_config *target, uint64_t min_ts, uint64_t max_ts)
{
	return target->split_time == 0 ||
		(window->end > window->begin && max_ts < window->end && min_ts + target->split_time >= window->begin);
}

/** Move the clock over a chunk for which sl_window_holds(). */
static inline void
sl_window_skip(struct sl_window *window, uint64_t max_ts)
{
	if (max_ts > window->clock)
		window->clock = max_ts;
}

#endif
