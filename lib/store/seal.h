/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_SEAL_H
#define SL_STORE_SEAL_H

/**
 * @file
 * Captures whose writer is gone without closing them.
 */

#include "store.h"

/**
 * Where an unclean capture ends: where a head of this boot says; without one, one past its last valid chunk.
 *
 * @param head  its head, or NULL if there is none to be read
 * @param[out] first  its first chunk
 */
int store_unclean_range(int dir, const struct sl_uuid *capture, const struct store_head *head, uint64_t *first,
	uint64_t *committed);

/**
 * Close a capture for its dead writer: nothing is ever appended to it. A closed one is left as it is.
 *
 * @return 0; -EBUSY: it has a living writer, with a line in errbuf; another -errno
 */
int store_seal(int store_dir, const char *store, const struct sl_capture_info *info, char *errbuf);

#endif
