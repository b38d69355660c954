/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "push_registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patient_lock.h"

#define LOCK_NAME "lock"
#define NAME_MAX_HERE 48

struct push_registry {
	int dir, fd;
	char name[NAME_MAX_HERE];
};

struct key {
	const char *text;
	size_t number;
};

const char *
push_registry_path(void)
{
	static char path[64] = "/run/sluice.claims";

	if (geteuid() != 0)
		snprintf(path, sizeof(path), "/dev/shm/sluice.claims-%lu", (unsigned long)geteuid());
	return path;
}

/* A directory of ours alone: what others could write counts for nothing. */
static int
open_directory(void)
{
	struct stat st;
	int fd;

	if (mkdir(push_registry_path(), 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(push_registry_path(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
		return fd;
	close(fd);
	return -EPERM;
}

/* One push at a time looks and enters. @return a descriptor that holds the lock, or -errno */
static int
lock_directory(int dir)
{
	int fd = openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return -errno;
	rc = patient_lock(fd);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(((const struct key *)a)->text, ((const struct key *)b)->text);
}

/* @return the key that a file has too, or NULL */
static const struct key *
find_in(int fd, const struct key *keys, size_t count)
{
	const struct key *found = NULL;
	FILE *file = fdopen(dup(fd), "r");
	char *line = NULL;
	size_t size = 0;

	while (file && !found && getline(&line, &size, file) > 0) {
		struct key wanted = {.text = line};

		line[strcspn(line, "\n")] = '\0';
		found = bsearch(&wanted, keys, count, sizeof(*keys), by_text);
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

/* Look at all others' files; remove those that nobody holds any more. */
static const struct key *
find(int dir, const struct key *keys, size_t count, const struct push_registry *mine, pid_t *owner)
{
	const struct key *found = NULL;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	while (d && !found && (entry = readdir(d)) != NULL) {
		int fd;

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, LOCK_NAME) == 0 ||
			(mine && strcmp(entry->d_name, mine->name) == 0))
			continue;
		fd = openat(dir, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(dir, entry->d_name, 0);
		else
			found = find_in(fd, keys, count);
		if (found)
			*owner = (pid_t)strtol(entry->d_name, NULL, 10);
		close(fd);
	}
	if (d)
		closedir(d);
	else if (copy >= 0)
		close(copy);
	return found;
}

/* Another process may have our number, in a container. */
static int
create(int dir, char name[NAME_MAX_HERE])
{
	int fd = -1;

	for (unsigned int i = 0; fd < 0 && i < 1000; i++) {
		snprintf(name, NAME_MAX_HERE, "%ld.%u", (long)getpid(), i);
		fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

static int
write_keys(int fd, const struct key *keys, size_t count)
{
	FILE *file = fdopen(dup(fd), "w");
	bool good = file != NULL;

	for (size_t i = 0; i < count && good; i++)
		good = keys[i].text[0] == '\0' || fprintf(file, "%s\n", keys[i].text) > 0;
	if (file && fclose(file) != 0)
		good = false;
	return good ? 0 : errno ? -errno : -EIO;
}

static int
enter(int dir, const struct key *keys, size_t count, const struct push_registry *mine, struct push_registry *new,
	size_t *which, pid_t *owner)
{
	int lock = lock_directory(dir), rc = 0;
	const struct key *found;

	if (lock < 0)
		return lock;
	found = find(dir, keys, count, mine, owner);
	if (found) {
		*which = found->number;
		rc = -EBUSY;
	} else {
		new->fd = create(dir, new->name);
		rc = new->fd < 0 ? new->fd : 0;
	}
	if (rc == 0) {
		rc = flock(new->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : write_keys(new->fd, keys, count);
		if (rc) {
			unlinkat(dir, new->name, 0);
			close(new->fd);
		}
	}
	close(lock);
	return rc;
}

int
push_registry_enter(const char *const *keys, size_t count, const struct push_registry *mine,
	struct push_registry **registry, size_t *which, pid_t *owner)
{
	struct push_registry *new = calloc(1, sizeof(*new));
	struct key *sorted = calloc(count + 1, sizeof(*sorted));
	int rc = -ENOMEM;

	if (!new || !sorted)
		goto err;
	for (size_t i = 0; i < count; i++)
		sorted[i] = (struct key){.text = keys[i], .number = i};
	qsort(sorted, count, sizeof(*sorted), by_text);
	new->dir = rc = open_directory();
	if (rc < 0)
		goto err;
	rc = enter(new->dir, sorted, count, mine, new, which, owner);
	if (rc) {
		close(new->dir);
		goto err;
	}
	free(sorted);
	*registry = new;
	return 0;
err:
	free(sorted);
	free(new);
	return rc;
}

void
push_registry_leave(struct push_registry *registry)
{
	if (!registry)
		return;
	unlinkat(registry->dir, registry->name, 0);
	close(registry->fd);
	close(registry->dir);
	free(registry);
}
