/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef FAULTFS_CONTROL_H
#define FAULTFS_CONTROL_H

/** Listen to commands on a Unix socket, in a thread. @return 0 or -errno, reported */
int control_start(const char *path);

#endif
