/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "eal_telemetry.h"
#include "patient_lock.h"

#define PREFIXES 16u
#define GREETING_MS 2000 /* what a busy machine may take to answer */

/* As EAL finds its runtime directory (eal_create_runtime_dir()); where it cannot, it would refuse to start. */
static bool
make_directory(const char *prefix, char path[PATH_MAX])
{
	const char *own = getenv("RUNTIME_DIRECTORY"); /* of a service manager */
	const char *root = own ? own : getuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");
	const char *const parts[] = {"dpdk", prefix};
	struct stat st;

	snprintf(path, PATH_MAX, "%s", root ? root : "/tmp");
	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(path);

		snprintf(path + len, PATH_MAX - len, "/%s", parts[i]);
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return false;
	}
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && access(path, W_OK | X_OK) == 0;
}

static int
lock_starts(const char *directory)
{
	/* the directory itself: a file would be left behind */
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Who has it for long hangs in its start: what the lock is against is less likely than that. */
	if (fd < 0 || patient_lock(fd) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Whether somebody listens there who does not take a connection, or does not greet as EAL's telemetry does. */
static bool
is_silent(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct pollfd greeting = {.events = POLLIN};
	bool silent;

	if (strlen(path) >= sizeof(address.sun_path))
		return false;
	strcpy(address.sun_path, path);
	greeting.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (greeting.fd < 0)
		return false;
	if (connect(greeting.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		silent = errno == EAGAIN;
	else
		silent = poll(&greeting, 1, GREETING_MS) == 0;
	close(greeting.fd);
	return silent;
}

static bool
has_silent(const char *directory)
{
	char path[PATH_MAX + NAME_MAX + 2];
	const struct dirent *entry;
	bool silent = false;
	DIR *dir = opendir(directory);

	while (dir && !silent && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, EAL_SOCKET_NAME, strlen(EAL_SOCKET_NAME)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		silent = is_silent(path);
	}
	if (dir)
		closedir(dir);
	return silent;
}

int
eal_telemetry_prefix(char prefix[EAL_PREFIX_SIZE], int *lock)
{
	char directory[PATH_MAX];

	*lock = -1;
	snprintf(prefix, EAL_PREFIX_SIZE, EAL_FILE_PREFIX);
	for (unsigned int i = 1; make_directory(prefix, directory); i++) {
		if (i == 1)
			*lock = lock_starts(directory);
		if (!has_silent(directory))
			return 0;
		if (i == PREFIXES)
			break;
		snprintf(prefix, EAL_PREFIX_SIZE, EAL_FILE_PREFIX "%u", i);
	}
	if (*lock >= 0)
		close(*lock);
	*lock = -1;
	snprintf(prefix, EAL_PREFIX_SIZE, EAL_FILE_PREFIX);
	return -ENOENT;
}
