/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_RESUME_H
#define SL_WRITER_RESUME_H

/** @file The state directory: what the journals of a push before this one say, and how a target goes on from there. */

#include "target.h"

/** Lock the state directory, read and settle all journals. Main thread. @return 0; -EBUSY; another -errno, with a line */
int sl_resume_open(struct sl_writers *writers, char *errbuf);
/** A target goes on at its first position: with its open split if that is where its journal ended. Main thread. */
void sl_resume_start(struct sl_target *t, const struct sl_position *first);
void sl_resume_close(struct sl_writers *writers);
/**
 * Open the journal of a target that begins while others run. If it says anything about files it is settled later, by
 * SL_JOB_ADOPT: the target's endpoint may not answer. Main thread. @return 0, -errno with a line in errbuf
 */
int sl_resume_open_added(struct sl_target *t, char *errbuf);
/**
 * Rename a journal to <file_desc>.journal.removed-<UTC time>, so that a target of that name begins afresh. Main thread.
 * @return 0, also if there is none; -errno with a line in errbuf
 */
int sl_resume_archive(const struct sl_writers *writers, const char *file_desc, char *errbuf);

/** Settle a journal whose mount was missing at first. Helper thread; fills the job's result. */
void sl_job_adopt(struct sl_job *job);
/** Take over what has been settled. The lcore (main thread before it starts). */
void sl_resume_apply(struct sl_target *t);

#endif
