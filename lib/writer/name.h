/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_NAME_H
#define SL_WRITER_NAME_H

/**
 * @file
 * File names of a target; sl_name_final() is public in sl_writer.h.
 */

#include "sl_writer.h"

/**
 * Working file of a split: `<Path><sep><start stamp>.<Desc>-<seq>.pending`, in the final file's directory.
 * @return as sl_name_final()
 */
int sl_name_pending(const struct sl_target_config *target, uint64_t start, uint64_t seq, char *path);

#endif
