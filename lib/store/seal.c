/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seal.h"

int
store_unclean_range(
	int dir, const struct sl_uuid *capture, const struct store_head *head, uint64_t *first, uint64_t *committed)
{
	bool believed = head && head_is_believed(head);
	uint64_t low, high;
	void *buf;
	int ret;

	*first = 0;
	if (believed) {
		/*
		 * Only the process died. What it had in flight may still reach the disk, some of it and in any order:
		 * nobody has seen it, and so nobody will. And a committed chunk is the reader's to report if it has
		 * gone bad since: it must not vanish silently.
		 */
		*first = atomic_load_explicit(&head->first, memory_order_acquire);
		*committed = atomic_load_explicit(&head->committed, memory_order_acquire);
	} else {
		buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);
		if (!buf)
			return -ENOMEM;
		ret = segment_scan(dir, capture, buf, committed);
		free(buf);
		if (ret < 0)
			return ret;
	}
	ret = segment_range(dir, &low, &high);
	if (ret == 0 && low * SL_SEGMENT_CHUNKS > *first)
		*first = low * SL_SEGMENT_CHUNKS;
	if (*first > *committed)
		*first = *committed;
	return ret == -ENOENT ? 0 : ret;
}

static int
seal_locked(int dir, const struct sl_uuid *capture, struct store_head *head, int fd)
{
	bool damaged = head_is_damaged(head);
	uint64_t first, committed;
	int ret;

	/* Its writer may have closed it between our look and our lock. */
	if (head_is_closed(head))
		return 0;
	ret = store_unclean_range(dir, capture, head, &first, &committed);
	if (ret < 0)
		return ret;
	/* What was allocated ahead. After a power loss it is left alone: there may be more in it than could be read. */
	ret = head_is_believed(head) ? segment_trim(dir, committed) : 0;
	if (ret == 0)
		ret = segment_sync_all(dir);
	if (ret < 0)
		return ret;
	/* The writer's sums hold only if nothing was found beyond what it had committed. */
	if (damaged || !head_is_believed(head) || atomic_load(&head->committed) != committed)
		atomic_store(&head->sums_known, 0);
	if (damaged)
		atomic_store(&head->heartbeat, 0);
	atomic_store(&head->first, first);
	atomic_store(&head->committed, committed);
	return head_close(head, fd);
}

/* The head was lost or damaged: make a new one. Should this be cut short, the next writer finds none and does it again.
 */
static int
replace_head(int dir, const struct sl_uuid *capture, struct store_head **head, int *fd)
{
	int ret;

	if (unlinkat(dir, HEAD_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	ret = head_create(dir, capture, head, fd);
	if (ret < 0)
		return ret;
	/* It knows nothing yet: only the scan counts. */
	memset((*head)->boot_id, 0, sizeof((*head)->boot_id));
	return store_sync_fd(dir);
}

int
store_seal(int store_dir, const char *store, const struct sl_capture_info *info, char *errbuf)
{
	struct store_head *head = NULL;
	int dir, fd = -1, ret;

	dir = openat(store_dir, info->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return store_err(-errno, errbuf, "%s/%s: %s", store, info->name, strerror(errno));
	/* First only look: a closed capture may belong to someone else and be read-only. */
	ret = head_map(dir, &info->uuid, false, &head, &fd);
	if (ret == 0) {
		if (head_is_closed(head))
			goto out;
		if (head_has_writer(fd)) {
			ret = store_err(-EBUSY, errbuf,
				"%s/%s: process %" PRIu32
				" is writing this capture; stop it first, or use another --store",
				store, info->name, head->writer_pid);
			goto out;
		}
		head_unmap(head, fd);
		ret = head_map(dir, &info->uuid, true, &head, &fd);
	}
	if (ret == -ENOENT || ret == -EPROTO)
		ret = replace_head(dir, &info->uuid, &head, &fd);
	if (ret == -EPROTONOSUPPORT || ret == -ESTALE) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", store, info->name);
		ret = head_refused(ret, path, errbuf);
		goto out;
	}
	if (ret == 0)
		ret = head_lock(fd);
	if (ret == 0)
		ret = seal_locked(dir, &info->uuid, head, fd);
	if (ret < 0)
		store_err(ret, errbuf, "%s/%s: its writer is gone without closing it, and sealing it failed: %s", store,
			info->name, strerror(-ret));
out:
	head_unmap(head, fd);
	close(dir);
	return ret;
}
