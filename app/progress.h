/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PROGRESS_H
#define SL_APP_PROGRESS_H

/** @file How far a long run over chunks has come, for somebody who waits at a terminal. Main thread. */

#include <stdint.h>

/**
 * Show it on standard error, a few times a second; nothing is shown where that is no terminal. The cursor is left at the
 * line's start, where a message overwrites it.
 *
 * @param what  "verify NAME", "push"
 * @param done  chunks (MiB) done; all, or 1 of 1, wipes the line
 * @param all   0: not known
 */
void progress_show(const char *what, uint64_t done, uint64_t all);

#endif
