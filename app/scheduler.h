/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_SCHEDULER_H
#define SL_APP_SCHEDULER_H

/**
 * @file
 * One `sluice scheduler`: what cmd_scheduler.c (options, signals), scheduler_jobs.c (the pushes) and scheduler_list.c (what is
 * wrong with a schedule, what it means) share. One thread.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sl_config.h"

/* ---------------------------------------------------------------- scheduler_jobs.c */

struct scheduler_jobs; /**< a job is a configuration: it runs while one of its rows is on, once at a time */

/** Make jobs of a schedule that has no errors. It may be freed at once. @return NULL: out of memory */
struct scheduler_jobs *scheduler_jobs_create(const struct sl_schedule *schedule);
/**
 * Go over to another schedule: a push whose command is the same goes on, others are stopped. The old jobs are part of the
 * new ones afterwards.
 * @return 0; -ENOMEM: nothing was changed
 */
int scheduler_jobs_change(struct scheduler_jobs **jobs, const struct sl_schedule *schedule);
void scheduler_jobs_free(struct scheduler_jobs *jobs);

/**
 * Start and stop what is due.
 * @param wall  seconds since 1970 UTC: for the rows
 * @param mono  CLOCK_MONOTONIC, ns: for how long things take
 * @param stopping  nothing is wanted any more
 * @return processes that still run
 */
unsigned int scheduler_jobs_serve(struct scheduler_jobs *jobs, int64_t wall, uint64_t mono, bool stopping);
/** Collect children that have ended. Serve before and after: it says what is wanted. */
void scheduler_jobs_reap(struct scheduler_jobs *jobs, uint64_t mono);
/** Whoever stops twice does not want to wait. */
void scheduler_jobs_hurry(struct scheduler_jobs *jobs);
/** Directory of a row's journals, as push derives it. */
void scheduler_state_dir(const struct sl_schedule_row *row, char dir[PATH_MAX]);
/** Process that holds a state directory's lock: 0 nobody, -1 somebody unknown. */
pid_t scheduler_lock_holder(const char *state_dir);

/* ---------------------------------------------------------------- scheduler_list.c */

/**
 * Find what is wrong with rows beyond their text: configurations that are missing or have errors, state directories that
 * two of them would share.
 * @param strict  a configuration that can't be used now is an error, else a warning: it may be mended before it is due
 */
void scheduler_check(struct sl_schedule *schedule, bool strict);
/** Show each row: is it on, when it starts and stops next. @param at  seconds since 1970 UTC @return 0 or -errno, after a message */
int scheduler_list(const struct sl_schedule *schedule, int64_t at);

#endif
