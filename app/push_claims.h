/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_CLAIMS_H
#define SL_APP_PUSH_CLAIMS_H

/**
 * @file
 * One Path, one push: what a running push writes to is claimed, so that a second one (a historic push beside the live one,
 * say) is refused before it mixes its files or log lines with the other's.
 *
 * A claim is a listening socket with an abstract name made of what is claimed (unix(7)). The kernel lets only one process have
 * it, says which one that is, and takes it away when the process ends, however it ends: nothing is left behind, no
 * directory is needed and no lock file can be stale. It is seen throughout a network namespace, so by all pushes of a
 * machine whatever their user, store or configuration, but not from within a container that has a network of its own.
 */

#include "sl_config.h"

struct push_claims; /**< what this process has claimed */

/**
 * Claim the Path of each target and, in its log directory, each target's log. Main thread.
 *
 * @param[in,out] claims  NULL at first; else those of an earlier configuration, which are kept where they are the same
 *                        and given up where they are not needed any more. Unchanged on error
 * @param log_dir   NULL: no logs
 * @param errbuf    at least 1024 bytes
 * @return 0; -EBUSY: another process has one of them, with a line in errbuf that says which; -ENOMEM, -EMFILE and others of
 *         socket(2), with a line
 */
int push_claims_take(struct push_claims **claims, const struct sl_config *config, const char *log_dir, char *errbuf);

/**
 * The claims of another configuration beside those of the one that runs: what both have is shared. Main thread.
 * @param[out] next  to be released, as old is
 * @return as push_claims_take()
 */
int push_claims_next(const struct push_claims *old, const struct sl_config *config, const char *log_dir,
	struct push_claims **next, char *errbuf);

/** Give all up. NULL is allowed. */
void push_claims_release(struct push_claims *claims);

#endif
