/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk.h"
#include "newest.h"

#define NEWEST_PREFIX "sluice-"
#define NEWEST_NAME_SIZE 64

struct newest_reader {
	const struct newest_page *page;
	uint32_t buffers; /* as checked: the page is the writer's to change */
	int fd;
};

static void
newest_path(const struct sl_uuid *name, char path[NEWEST_NAME_SIZE])
{
	char text[37];

	sl_uuid_format(name, text);
	snprintf(path, NEWEST_NAME_SIZE, NEWEST_DIR "/" NEWEST_PREFIX "%s", text);
}

static size_t
newest_size(uint32_t buffers)
{
	return NEWEST_DATA + (size_t)buffers * SL_CHUNK_SIZE;
}

/*
 * Made without a name and linked once it is locked: so nobody who sweeps takes it for a dead one's. All its memory is
 * taken now: a full /dev/shm later would be a SIGBUS.
 */
static int
make_file(const struct sl_uuid *name, uint32_t buffers)
{
	char path[NEWEST_NAME_SIZE], self[32];
	int fd, ret;

	fd = open(NEWEST_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	ret = store_on_memory(fd) ? 0 : -ENOTSUP;
	if (ret == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		ret = -errno;
	if (ret == 0 && fallocate(fd, 0, 0, (off_t)newest_size(buffers)) < 0)
		ret = -errno;
	newest_path(name, path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (ret == 0 && linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
		ret = -errno;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static void *
map_memory(int fd, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_POPULATE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd, 0);

	if (map == MAP_FAILED)
		return NULL;
	/* After a fork the parent's page would be the copy, and the disk would write the child's. */
	madvise(map, size, MADV_DONTFORK);
	madvise(map, size, MADV_DONTDUMP);
	return map;
}

int
newest_create(struct newest *n, const struct sl_uuid *name, uint32_t buffers, bool share)
{
	*n = (struct newest){.buffers = buffers, .fd = -1, .name = *name};
	if (share)
		n->fd = make_file(name, buffers);
	n->page = map_memory(n->fd < 0 ? -1 : n->fd, newest_size(buffers));
	if (!n->page) {
		newest_destroy(n);
		return -ENOMEM;
	}
	n->data = (uint8_t *)n->page + NEWEST_DATA;
	n->page->version = NEWEST_VERSION;
	n->page->buffers = buffers;
	n->page->magic = NEWEST_MAGIC;
	return 0;
}

void
newest_destroy(struct newest *n)
{
	char path[NEWEST_NAME_SIZE];

	if (n->page)
		munmap(n->page, newest_size(n->buffers));
	if (n->fd >= 0) {
		newest_path(&n->name, path);
		unlink(path);
		/* A reader that still has it open keeps a page, not the buffers. It reads them, so it gets an end, no
		 * signal. */
		(void)!ftruncate(n->fd, NEWEST_DATA);
		close(n->fd);
	}
	n->page = NULL;
	n->fd = -1;
}

/* Only what can be locked is a dead one's; who may not open it may not remove it either. */
static void
sweep_one(int dir, const char *name)
{
	struct sl_uuid uuid;
	struct stat st;
	int fd;

	if (strncmp(name, NEWEST_PREFIX, strlen(NEWEST_PREFIX)) != 0 ||
		sl_uuid_parse(name + strlen(NEWEST_PREFIX), &uuid) < 0)
		return;
	fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		unlinkat(dir, name, 0);
		(void)!ftruncate(fd, NEWEST_DATA);
	}
	close(fd);
}

void
newest_sweep(void)
{
	struct dirent *entry;
	DIR *d = opendir(NEWEST_DIR);

	if (!d)
		return;
	while ((entry = readdir(d)) != NULL)
		sweep_one(dirfd(d), entry->d_name);
	closedir(d);
}

static bool
page_is_sound(const struct newest_page *page, const struct stat *st)
{
	return page->magic == NEWEST_MAGIC && page->version == NEWEST_VERSION && page->buffers > 0 &&
	       page->buffers <= SL_STORE_BUFFERS_MAX && (uint64_t)st->st_size >= newest_size(page->buffers);
}

struct newest_reader *
newest_open(const struct sl_uuid *name, uid_t owner)
{
	char path[NEWEST_NAME_SIZE];
	struct newest_reader *r;
	struct stat st;
	void *map;

	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	newest_path(name, path);
	r->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (r->fd < 0)
		goto err;
	if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != owner || st.st_size < NEWEST_DATA)
		goto err;
	map = mmap(NULL, NEWEST_DATA, PROT_READ, MAP_SHARED, r->fd, 0);
	if (map == MAP_FAILED)
		goto err;
	r->page = map;
	if (!page_is_sound(r->page, &st))
		goto err;
	r->buffers = r->page->buffers;
	return r;
err:
	newest_close(r);
	return NULL;
}

void
newest_close(struct newest_reader *r)
{
	if (!r)
		return;
	if (r->page)
		munmap((void *)(uintptr_t)r->page, NEWEST_DATA);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

bool
newest_has(const struct newest_reader *r, uint64_t ordinal)
{
	return atomic_load_explicit(&r->page->words[ordinal % r->buffers], memory_order_acquire) == 2 * ordinal + 2;
}

static bool
copy_bytes(int fd, void *buf, size_t from, size_t to, uint64_t at)
{
	while (from < to) {
		ssize_t n = pread(fd, (uint8_t *)buf + from, to - from, (off_t)(at + from));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		from += (size_t)n;
	}
	return true;
}

/* By pread and not through a map: a file that its owner cuts is an error then, not a SIGBUS. */
bool
newest_copy(const struct newest_reader *r, uint64_t ordinal, void *buf)
{
	uint64_t at = NEWEST_DATA + ordinal % r->buffers * SL_CHUNK_SIZE;
	const struct chunk_header *h = buf;
	uint64_t used;

	if (!newest_has(r, ordinal) || !copy_bytes(r->fd, buf, 0, SL_STORE_ALIGN, at))
		return false;
	used = (uint64_t)h->index_off + 4 * (uint64_t)h->packets;
	if (used > SL_CHUNK_SIZE)
		return false;
	/* It may carry a mark. */
	used += sizeof(struct chunk_mark);
	if (!copy_bytes(r->fd, buf, SL_STORE_ALIGN, used < SL_CHUNK_SIZE ? used : SL_CHUNK_SIZE, at))
		return false;
	/* The copy before the second look at the word. */
	atomic_thread_fence(memory_order_acquire);
	return newest_has(r, ordinal);
}
