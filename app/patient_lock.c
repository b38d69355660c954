/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "patient_lock.h"

#include <errno.h>
#include <sys/file.h>
#include <time.h>

#define TRIES 500u
#define PAUSE_NS 10000000

int
patient_lock(int fd)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (unsigned int i = 0; i < TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}
