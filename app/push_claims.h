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
 * lock file can be stale. It is seen throughout a network namespace, by all pushes whatever their user, store or configuration;
 * those of the same user in other network namespaces are found by a registry besides (push_registry.h), as long as they see the
 * same /run (root) or /dev/shm (others): containers mostly do not.
 *
 * A Path is claimed as text, among those who see the same root directory, and as the place where it leads: file system and
 * directory in it, from /proc/self/mountinfo, symbolic links followed (push_place.h). Not found to be the same: a Path by a
 * symbolic link that lies on a network or FUSE file system, since that is not touched; one file system by two mounts that the
 * kernel takes for two (an NFS export by two names of its server, nosharecache, an overlay and what lies below it); one whose
 * file system was mounted only after the push began, spelled otherwise; strftime conversions that give the same directory.
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
