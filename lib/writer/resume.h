/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_RESUME_H
#define SL_WRITER_RESUME_H

/** @file The state directory: what the journals of a push before this one say. Main thread. */

#include "target.h"

/** Lock the state directory, read and settle all journals. @return 0; -EBUSY; another -errno with a line in errbuf */
int sl_resume_open(struct sl_writers *writers, char *errbuf);
/** A target goes on at its first position: with its open split if that is where its journal ended. */
void sl_resume_start(struct sl_target *t, const struct sl_position *first);
void sl_resume_close(struct sl_writers *writers);

#endif
