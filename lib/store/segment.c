/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "chunk.h"
#include "store.h"

void
segment_name(uint64_t segment, char name[SEGMENT_NAME_SIZE])
{
	snprintf(name, SEGMENT_NAME_SIZE, "%08" PRIu64 ".seg", segment % SEGMENT_MAX);
}

int
segment_parse_name(const char *name, uint64_t *segment)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(name[i] - '0');
	}
	if (strcmp(name + 8, ".seg") != 0)
		return -EINVAL;
	*segment = value;
	return 0;
}

bool
store_on_memory(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
}

int
sl_direct_alignment(int fd, uint32_t *memory, uint32_t *offset)
{
	*memory = *offset = SL_STORE_ALIGN;
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 || !(stx.stx_mask & STATX_DIOALIGN))
		return 0;
	if (stx.stx_dio_offset_align == 0 || stx.stx_dio_mem_align == 0)
		return -EOPNOTSUPP;
	*memory = stx.stx_dio_mem_align;
	*offset = stx.stx_dio_offset_align;
#else
	(void)fd;
#endif
	return 0;
}

/* Chunks are read and written whole, from and to aligned buffers. */
static bool
direct_fits(int fd)
{
	uint32_t memory, offset;

	return sl_direct_alignment(fd, &memory, &offset) == 0 && memory <= SL_STORE_ALIGN && offset <= SL_STORE_ALIGN;
}

/* @return whether it had O_DIRECT, and has it no more */
static bool
drop_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_DIRECT) && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

int
segment_open(int dir, uint64_t segment, int flags)
{
	char name[SEGMENT_NAME_SIZE];
	int fd;

	segment_name(segment, name);
	if (!store_on_memory(dir)) {
		fd = openat(dir, name, flags | O_DIRECT | O_CLOEXEC, 0644);
		if (fd >= 0) {
			/* it was taken, but means nothing here, or would fail with each read */
			if (!direct_fits(fd))
				(void)drop_direct(fd);
			return fd;
		}
		if (errno != EINVAL && errno != EOPNOTSUPP)
			return -errno;
	}
	fd = openat(dir, name, flags | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

int
segment_read(int fd, uint32_t slot, void *buf)
{
	uint64_t at = (uint64_t)slot * SL_CHUNK_SIZE;
	size_t have = 0;

	while (have < SL_CHUNK_SIZE) {
		ssize_t n = pread(fd, (uint8_t *)buf + have, SL_CHUNK_SIZE - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
		/* The end of a file that was cut: what follows of an O_DIRECT read would not be aligned any more. */
		if (n % 512 != 0)
			break;
	}
	memset((uint8_t *)buf + have, 0, SL_CHUNK_SIZE - have);
	return 0;
}

int
segment_allocate(int fd, bool on_memory, uint32_t slot, uint32_t step, const char **what)
{
	if (step > SL_SEGMENT_CHUNKS - slot)
		step = SL_SEGMENT_CHUNKS - slot;
	*what = "fallocate";
	/* In memory there is nothing to gain, and the promise would cost the memory at once. */
	while (!on_memory) {
		if (fallocate(fd, 0, (off_t)slot * SL_CHUNK_SIZE, (off_t)step * SL_CHUNK_SIZE) == 0)
			return (int)(slot + step);
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP)
			break;
		if (!store_is_full(-errno) || step == 1)
			return -errno;
		step /= 2;
	}
	*what = "ftruncate";
	return ftruncate(fd, (off_t)SEGMENT_SIZE) < 0 ? -errno : (int)SL_SEGMENT_CHUNKS;
}

int
segment_write(int fd, uint32_t slot, const uint8_t *data, uint32_t from, uint32_t used)
{
	uint64_t at = (uint64_t)slot * SL_CHUNK_SIZE;

	while (from < used) {
		ssize_t n = pwrite(fd, data + from, used - from, (off_t)(at + from));

		if (n > 0) {
			from += (uint32_t)n;
			continue;
		}
		if (n == 0)
			return -EIO;
		/* Taken at open, refused now: some file systems decide by the extent. */
		if (errno == EINTR || (errno == EINVAL && drop_direct(fd)))
			continue;
		return -errno;
	}
	return 0;
}

void
segment_punch(int fd, uint32_t slot, uint32_t used)
{
	if (SL_CHUNK_SIZE - used >= SL_HOLE_MIN)
		/* A file system that cannot only keeps the space. */
		(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)slot * SL_CHUNK_SIZE + (off_t)used, SL_CHUNK_SIZE - used);
}

int
segment_end(int dir, int fd, uint64_t segment, uint32_t slots)
{
	char name[SEGMENT_NAME_SIZE];
	int ret = 0;

	if (slots == 0) {
		segment_name(segment, name);
		unlinkat(dir, name, 0);
		/* or a power loss brings it back, with up to a GiB that was taken for it */
		ret = store_sync_fd(dir);
	} else {
		ret = ftruncate(fd, (off_t)slots * SL_CHUNK_SIZE) < 0 ? -errno : store_sync_fd(fd);
	}
	close(fd);
	return ret;
}

/* Call fn for each segment of a directory, in no order. */
static int
for_each_segment(int dir, int (*fn)(void *ctx, uint64_t segment), void *ctx)
{
	struct dirent *entry;
	int fd, ret = 0;
	DIR *d;

	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (ret == 0 && (errno = 0, entry = readdir(d)) != NULL) {
		uint64_t segment;

		if (segment_parse_name(entry->d_name, &segment) == 0)
			ret = fn(ctx, segment);
	}
	if (ret == 0 && errno != 0)
		ret = -errno;
	closedir(d);
	return ret;
}

struct range {
	uint64_t low, high;
	bool any;
};

static int
widen_range(void *ctx, uint64_t segment)
{
	struct range *range = ctx;

	if (!range->any || segment < range->low)
		range->low = segment;
	if (!range->any || segment > range->high)
		range->high = segment;
	range->any = true;
	return 0;
}

int
segment_range(int dir, uint64_t *low, uint64_t *high)
{
	struct range range = {0};
	int ret = for_each_segment(dir, widen_range, &range);

	if (ret < 0)
		return ret;
	if (!range.any)
		return -ENOENT;
	*low = range.low;
	*high = range.high;
	return 0;
}

/*
 * Last valid chunk of one segment. Headers first: a slot never written costs one small read. Errors of reading are
 * passed over, as a bad chunk is: what can be read counts.
 */
static bool
scan_segment(int dir, const struct sl_uuid *capture, uint64_t segment, void *buf, uint64_t *end)
{
	struct sl_chunk chunk;
	bool found = false;
	struct stat st;
	uint64_t slot;
	int fd;

	fd = segment_open(dir, segment, O_RDONLY);
	if (fd < 0)
		return false;
	slot = fstat(fd, &st) < 0 ? 0 : ((uint64_t)st.st_size + SL_CHUNK_SIZE - 1) / SL_CHUNK_SIZE;
	if (slot > SL_SEGMENT_CHUNKS)
		slot = SL_SEGMENT_CHUNKS;
	while (slot-- > 0 && !found) {
		uint64_t number = segment * SL_SEGMENT_CHUNKS + slot;

		if (pread(fd, buf, SL_STORE_ALIGN, (off_t)(slot * SL_CHUNK_SIZE)) < (ssize_t)CHUNK_HEADER_SIZE)
			continue;
		if (chunk_check_header(buf, capture, number) < 0)
			continue;
		if (segment_read(fd, (uint32_t)slot, buf) < 0 || sl_chunk_parse(buf, capture, number, &chunk) < 0)
			continue;
		*end = number + 1;
		found = true;
	}
	close(fd);
	return found;
}

int
segment_scan(int dir, const struct sl_uuid *capture, void *buf, uint64_t *end)
{
	uint64_t low, high;
	int ret;

	*end = 0;
	ret = segment_range(dir, &low, &high);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	for (uint64_t segment = high + 1; segment-- > low;)
		if (scan_segment(dir, capture, segment, buf, end))
			break;
	return 0;
}

static int
sync_segment(void *ctx, uint64_t segment)
{
	const int *dir = ctx;
	char name[SEGMENT_NAME_SIZE];
	int fd, ret;

	segment_name(segment, name);
	fd = openat(*dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = store_sync_fd(fd);
	close(fd);
	return ret;
}

int
segment_sync_all(int dir)
{
	return for_each_segment(dir, sync_segment, &dir);
}

struct trim_context {
	int dir;
	uint64_t committed;
};

static int
trim_segment(void *ctx, uint64_t segment)
{
	const struct trim_context *trim = ctx;
	uint64_t first = segment * SL_SEGMENT_CHUNKS;
	char name[SEGMENT_NAME_SIZE];
	struct stat st;
	off_t size;
	int fd, ret = 0;

	segment_name(segment, name);
	if (first >= trim->committed)
		return unlinkat(trim->dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (first + SL_SEGMENT_CHUNKS <= trim->committed)
		return 0;
	fd = openat(trim->dir, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	size = (off_t)((trim->committed - first) * SL_CHUNK_SIZE);
	if (fstat(fd, &st) < 0 || (st.st_size > size && ftruncate(fd, size) < 0))
		ret = -errno;
	close(fd);
	return ret;
}

int
segment_trim(int dir, uint64_t committed)
{
	struct trim_context trim = {.dir = dir, .committed = committed};

	return for_each_segment(dir, trim_segment, &trim);
}
