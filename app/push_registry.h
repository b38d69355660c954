/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_REGISTRY_H
#define SL_APP_PUSH_REGISTRY_H

/**
 * @file
 * What the pushes of one user have claimed, for those that cannot see each other's sockets: a directory in memory, in it a
 * file for each push with a line for each claim. The push has its file locked, so the kernel knows which of them count; what a
 * push that was killed has left is removed by the next one. Main thread.
 */

#include <stddef.h>
#include <sys/types.h>

struct push_registry; /**< this push's file */

/**
 * Enter claims, unless another push has one of them.
 *
 * @param keys     without newlines; "" is none
 * @param mine     of this process, to be passed over; NULL: none
 * @param[out] which, owner  with -EBUSY: the claim's number, and the process that has it
 * @return 0; -EBUSY: another push has one; else -errno: nothing can be entered
 */
int push_registry_enter(const char *const *keys, size_t count, const struct push_registry *mine,
	struct push_registry **registry, size_t *which, pid_t *owner);

/** NULL is allowed. */
void push_registry_leave(struct push_registry *registry);

/** Where it is, for a message: root's is in /run, others' in /dev/shm. */
const char *push_registry_path(void);

#endif
