/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_RELOAD_H
#define SL_WRITER_RELOAD_H

/** @file What reload_plan.c, on the main thread, and reload.c, on the lcores and afterwards, share of a reload. */

#include "target.h"

struct sl_writers_reload {
	struct sl_writers *writers;
	unsigned int count; /**< targets of the new configuration */
	struct planned {
		unsigned int slot;
		enum sl_reload_change change;
	} * of;
	struct sl_target **leave;
	unsigned int leave_count, removed;
	struct sl_target **add;
	unsigned int add_count;
	struct sl_block_extent **extents; /**< [writer], NULL: it has blocks enough; its lcore takes them */
	unsigned int endpoints;
};

/** Does a target have a journal? */
static inline bool
sl_reload_has_journals(const struct sl_writers *all)
{
	return all->params.state_dir && all->params.sink == SL_SINK_FILE;
}

/** The target that begins when t has left, or NULL. Main thread. */
struct sl_target *sl_reload_successor(const struct sl_writers *all, const struct sl_target *t);

#endif
