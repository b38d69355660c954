/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_BEGIN_H
#define SL_STORE_BEGIN_H

/**
 * @file
 * How a capture begins: its directory, its description, its head with the writer's lock, the switch of `active`.
 */

#include <limits.h>

#include "store.h"

/** A capture that this process writes. */
struct begun {
	struct sl_capture_info info;
	char path[PATH_MAX]; /**< <store>/<name>, for messages */
	int dir;
	int head_fd;         /**< holds the lock */
	struct store_head *head;
};

/** Whether a capture may have this name. @return 0 or -EINVAL with a line in errbuf */
int begin_check_name(const char *name, char *errbuf);

/** Fill in what does not depend on the store: UUID, time, host. @return 0 or -errno with a line in errbuf */
int begin_describe(struct sl_capture_info *info, const struct sl_store_writer_params *params, char *errbuf);

/** The chunk buffers in shared memory that the head is to name. */
struct newest;

/**
 * Begin a capture whose info has been described. Blocks on the file system.
 *
 * @param name   or NULL: made up from the clock
 * @param roll   the active capture is this writer's own: nothing is sealed, and a name that is taken gets _1, _2, ...
 * @param newest  NULL: none
 * @param newest_base  ordinal of its chunk 0 there
 * @return 0, or -errno with a line in errbuf and nothing left behind
 */
int begin_capture(struct begun *b, const char *store, const char *name, bool roll, const struct newest *newest,
	uint64_t newest_base, char *errbuf);

/** Let go of it, its lock last: until then the capture has a living writer. */
void begin_release(struct begun *b);

#endif
