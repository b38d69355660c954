/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_STORE_REPORT_H
#define SL_APP_STORE_REPORT_H

/** @file How bad chunks are reported on standard error, by every command that meets them. */

#include <stdint.h>

#include "sl_store.h"

/** A line that names segment, chunks, byte offset and what is wrong. err: -errno of sl_capture_read(), the same for all. */
void store_report_bad(const struct sl_capture *capture, uint64_t first, uint64_t last, int err);

#endif
