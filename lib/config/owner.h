/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_OWNER_H
#define SL_CONFIG_OWNER_H

/**
 * @file
 * The argument of -Z: who owns the published files.
 */

#include <stdint.h>

#define SL_OWNER_ERRBUF 512u
#define SL_OWNER_NAME_MAX 256u

struct sl_owner {
	char user[SL_OWNER_NAME_MAX];
	char group[SL_OWNER_NAME_MAX]; /**< "" if none is given */
	uint32_t uid;
	uint32_t gid; /**< the user's own group if none is given; UINT32_MAX if that is unknown */
};

/**
 * `user`, `user.group`, `user:group`, `uid`, `uid:gid`. Asks the user database; main thread (getpwnam(3)).
 * @return 0, or -EINVAL with a line in errbuf (SL_OWNER_ERRBUF bytes)
 */
int sl_owner_resolve(const char *text, struct sl_owner *owner, char *errbuf);

#endif
