/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "retention.h"

/* What is removed may take so long until it is free: a reader closes a segment 2 s after its last read. */
#define UNSEEN_NS 10000000000u
#define GONE_SUFFIX ".gone"

static int
look_at_space(const char *store, uint64_t *size, uint64_t *avail)
{
	struct statvfs fs;

	if (statvfs(store, &fs) < 0)
		return -errno;
	*size = (uint64_t)fs.f_blocks * fs.f_frsize;
	*avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

/* What has become free once is not expected any more, even if others have used it since. */
static void
see_freed(struct retention *r, uint64_t avail)
{
	uint64_t shown = avail > r->free_before ? avail - r->free_before : 0;

	if (shown >= r->removed || store_now_ns(CLOCK_MONOTONIC) - r->removed_at > UNSEEN_NS)
		r->removed = 0;
	else if (shown > 0) {
		r->removed -= shown;
		r->free_before = avail;
	}
}

int
sl_retention_room(const char *store, const struct sl_retention *limits, uint64_t *bytes)
{
	uint64_t size = 0, avail = 0, want;
	int ret = look_at_space(store, &size, &avail);

	if (ret < 0)
		return ret;
	want = sl_retention_bytes(limits, size);
	*bytes = size > want ? size - want : 0;
	return 0;
}

int
retention_need(struct retention *r, uint64_t *bytes)
{
	uint64_t size = 0, avail = 0, want;
	int ret = look_at_space(r->store, &size, &avail);

	if (ret < 0)
		return ret;
	see_freed(r, avail);
	want = sl_retention_bytes(&r->limits, size);
	avail += r->removed;
	*bytes = want > avail ? want - avail : 0;
	return 0;
}

/* ---------------------------------------------------------------- removing */

/* Under a hidden name first, durably: nobody sees half a capture, not even after a power loss. */
static void
remove_capture(struct retention *r, int store_dir, const char *name)
{
	char hidden[SL_CAPTURE_NAME_MAX + 8];

	snprintf(hidden, sizeof(hidden), ".%s" GONE_SUFFIX, name);
	if (renameat(store_dir, name, store_dir, hidden) < 0 || store_sync_fd(store_dir) < 0)
		return;
	store_remove_directory(store_dir, hidden);
	r->total_captures++;
}

/* What a crash has left between the rename and the end. */
static void
remove_leftovers(int store_dir)
{
	struct dirent *entry;
	DIR *d;
	int fd = openat(store_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	while ((entry = readdir(d)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (entry->d_name[0] == '.' && len > strlen(GONE_SUFFIX) &&
			strcmp(entry->d_name + len - strlen(GONE_SUFFIX), GONE_SUFFIX) == 0)
			store_remove_directory(store_dir, entry->d_name);
	}
	closedir(d);
}

/* `first` is on the disk before the segment goes: else a power loss would leave chunks that are nowhere. */
static int
remove_segment(int dir, struct store_head *head, uint64_t segment, uint64_t committed, uint64_t *freed)
{
	uint64_t first = (segment + 1) * SL_SEGMENT_CHUNKS;
	char name[SEGMENT_NAME_SIZE];
	struct stat st;

	segment_name(segment, name);
	if (first > committed)
		first = committed;
	if (first > atomic_load_explicit(&head->first, memory_order_relaxed))
		atomic_store_explicit(&head->first, first, memory_order_release);
	if (msync(head, HEAD_SIZE, MS_SYNC) < 0)
		return -errno;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (unlinkat(dir, name, 0) < 0)
		return -errno;
	*freed += (uint64_t)st.st_blocks * 512;
	return 0;
}

/* Remove up to `need` bytes of a capture's oldest segments. @return bytes */
static uint64_t
shrink(struct retention *r, int store_dir, const struct sl_capture_info *info, uint64_t need)
{
	uint64_t low = 0, high = 0, end, committed, freed = 0;
	struct store_head *head = NULL;
	int dir, fd = -1, ret;
	bool closed = false;

	dir = openat(store_dir, info->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return 0;
	/* One that was not closed is the next writer's to seal first. */
	ret = head_map(dir, &info->uuid, true, &head, &fd);
	if (ret < 0 || (!head_is_closed(head) && !head_has_writer(fd)))
		goto out;
	closed = head_is_closed(head);
	committed = atomic_load_explicit(&head->committed, memory_order_acquire);
	ret = segment_range(dir, &low, &high);
	if (ret == -ENOENT && closed)
		remove_capture(r, store_dir, info->name);
	if (ret < 0)
		goto out;
	end = high + 1;
	if (!closed)
		end = committed / SL_SEGMENT_CHUNKS < SL_RETENTION_LEAST_SEGMENTS
			      ? 0
			      : committed / SL_SEGMENT_CHUNKS - SL_RETENTION_LEAST_SEGMENTS + 1;
	for (; low < end && freed < need; low++)
		if (remove_segment(dir, head, low, committed, &freed) < 0)
			break;
	if (closed && low > high)
		remove_capture(r, store_dir, info->name);
out:
	head_unmap(head, fd);
	close(dir);
	return freed;
}

int
retention_run(struct retention *r, uint64_t at_least)
{
	struct sl_capture_info *infos;
	uint64_t need, freed = 0, size = 0;
	size_t count;
	int dir, ret;

	ret = retention_need(r, &need);
	if (ret < 0)
		return ret;
	if (at_least > need + r->removed)
		need = at_least - r->removed;
	if (need == 0)
		return 0;
	dir = open(r->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	ret = sl_store_list(r->store, &infos, &count, NULL);
	if (ret == 0) {
		uint64_t before = 0;

		remove_leftovers(dir);
		ret = look_at_space(r->store, &size, &before);
		for (size_t i = 0; i < count && freed < need; i++)
			if (infos[i].expires)
				freed += shrink(r, dir, &infos[i], need - freed);
		if (freed > 0) {
			r->free_before = before;
			r->removed += freed;
			r->removed_at = store_now_ns(CLOCK_MONOTONIC);
			r->total_bytes += freed;
			if (look_at_space(r->store, &size, &before) == 0)
				see_freed(r, before);
		}
		free(infos);
	}
	close(dir);
	return ret;
}
