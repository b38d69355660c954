/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_CREATE_H
#define SL_WRITER_CREATE_H

/** @file sl_writers_create() without a configuration file; for tests. */

#include "sl_writer.h"

int sl_writers_create_for(const struct sl_writers_params *params, const struct sl_target_config *const *targets,
	unsigned int count, struct sl_writers **writers, char *errbuf);
/** sl_writers_reload_plan() without a configuration file. */
int sl_writers_reload_plan_for(struct sl_writers *writers, const struct sl_target_config *const *targets,
	unsigned int count, struct sl_writers_reload **reload, char *errbuf);
/** Checkpoint after so many ns or bytes. Before the lcores start. */
void sl_writers_set_checkpoints(struct sl_writers *writers, uint64_t ns, uint64_t bytes);

#endif
