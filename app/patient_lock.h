/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PATIENT_LOCK_H
#define SL_APP_PATIENT_LOCK_H

/**
 * Lock an open file or directory against other processes, and wait for them for five seconds: who has it for longer has
 * stopped or hangs. Main thread.
 *
 * @return 0; -ETIMEDOUT: another has it still
 */
int patient_lock(int fd);

#endif
