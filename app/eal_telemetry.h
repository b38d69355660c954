/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_EAL_TELEMETRY_H
#define SL_APP_EAL_TELEMETRY_H

/**
 * @file
 * Where EAL may put its telemetry socket. It takes the first free name in the directory of its file prefix, and connects
 * to those that are there to learn whether they are in use. Two things go wrong there with DPDK 22.11:
 *
 * - A process that was stopped, or killed while a system call of it hangs, still has its socket and takes no connection;
 *   once its queue is full EAL waits for it without end.
 * - Of two processes that start at the same time one may find the other's socket bound but not listening yet, and
 *   remove it.
 */

#define EAL_FILE_PREFIX "sluice" /**< of all of ours; a number may follow */
#define EAL_PREFIX_SIZE 16
#define EAL_SOCKET_NAME "dpdk_telemetry.v2" /**< a second process of the same prefix has ":1" behind it, and so on */

/**
 * Choose a file prefix whose sockets all answer: "sluice", or "sluice1" and so on. Main thread; waits up to some seconds
 * for a process that does not answer, and for others that are starting.
 *
 * @param[out] lock  to be closed when EAL has started: until then others wait. -1: there is none
 * @return 0; -ENOENT: there is no directory for sockets, or nobody may write to it
 */
int eal_telemetry_prefix(char prefix[EAL_PREFIX_SIZE], int *lock);

#endif
