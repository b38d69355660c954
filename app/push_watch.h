/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_WATCH_H
#define SL_APP_PUSH_WATCH_H

/**
 * @file
 * What the main thread of a push notes once a second for whoever asks (`sluice status`, telemetry): how far each target lies
 * behind, how busy each lcore was. It warns of targets that are about to lose packets.
 */

#include "push.h"
#include "push_lag.h"

struct push_watch;

/** @return NULL: out of memory */
struct push_watch *push_watch_create(const struct push *push);
void push_watch_destroy(struct push_watch *watch);
/** The push has other targets now: forget what was seen of them. Main thread. */
void push_watch_forget(struct push_watch *watch);
/** Look at everything. Main thread, once a second; may wait for the store's disk. */
void push_watch_look(struct push_watch *watch);

/** A target's lag as of the newest look. Any thread. */
void push_watch_lag(struct push_watch *watch, unsigned int target, struct push_lag *lag);
/** Percent of the newest second that an lcore of the map was busy. Any thread. */
unsigned int push_watch_busy(struct push_watch *watch, unsigned int lcore);

#endif
