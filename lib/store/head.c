/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chunk.h"
#include "store.h"

void
head_boot_id(uint8_t id[16])
{
	struct sl_uuid uuid;
	char text[37];
	FILE *file;

	memset(id, 0, 16);
	file = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!file)
		return;
	if (fgets(text, sizeof(text), file) && sl_uuid_parse(text, &uuid) == 0)
		memcpy(id, uuid.bytes, 16);
	fclose(file);
}

/*
 * An open file description lock: it goes with the writer however it dies, another descriptor of the same file does not
 * drop it, and a reader can ask for it without taking it.
 */
static struct flock
writer_lock(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
}

int
head_lock(int fd)
{
	struct flock lock = writer_lock();

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

bool
head_has_writer(int fd)
{
	struct flock lock = writer_lock();

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int
head_create(int dir, const struct sl_uuid *capture, struct store_head **head, int *fd)
{
	union {
		struct store_head head;
		uint8_t bytes[HEAD_SIZE];
	} page = {0};
	void *map;
	int ret;

	*fd = openat(dir, HEAD_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (*fd < 0)
		return -errno;
	ret = head_lock(*fd);
	if (ret < 0)
		goto err;
	page.head.magic = HEAD_MAGIC;
	page.head.version = HEAD_VERSION;
	page.head.capture = *capture;
	head_boot_id(page.head.boot_id);
	page.head.state = HEAD_OPEN;
	page.head.writer_pid = (uint32_t)getpid();
	page.head.sums_known = 1;
	/* Written, not only mapped: so that the block exists and a full disk cannot become a SIGBUS later. */
	if (pwrite(*fd, &page, sizeof(page), 0) != (ssize_t)sizeof(page)) {
		ret = errno ? -errno : -EIO;
		goto err;
	}
	map = mmap(NULL, HEAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (map == MAP_FAILED) {
		ret = -errno;
		goto err;
	}
	*head = map;
	return 0;
err:
	close(*fd);
	*fd = -1;
	return ret;
}

int
head_map(int dir, const struct sl_uuid *capture, bool write, struct store_head **head, int *fd)
{
	struct store_head *map;
	struct stat st;
	int ret;

	*head = NULL;
	*fd = openat(dir, HEAD_NAME, (write ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (fstat(*fd, &st) < 0) {
		ret = -errno;
		goto err;
	}
	ret = -EPROTO;
	if (!S_ISREG(st.st_mode) || st.st_size < HEAD_SIZE)
		goto err;
	map = mmap(NULL, HEAD_SIZE, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, *fd, 0);
	if (map == MAP_FAILED) {
		ret = -errno;
		goto err;
	}
	if (map->magic == HEAD_MAGIC && map->version != HEAD_VERSION)
		ret = -EPROTONOSUPPORT;
	else if (map->magic == HEAD_MAGIC && memcmp(&map->capture, capture, sizeof(*capture)) == 0)
		ret = 0;
	else if (map->magic == HEAD_MAGIC && !head_is_damaged(map))
		ret = -ESTALE;
	if (ret < 0) {
		head_unmap(map, -1);
		goto err;
	}
	*head = map;
	return 0;
err:
	close(*fd);
	*fd = -1;
	return ret;
}

int
head_refused(int err, const char *path, char *errbuf)
{
	if (err == -EPROTONOSUPPORT)
		return store_err(-EPROTO, errbuf, "%s/" HEAD_NAME ": made by a later version of sluice", path);
	return store_err(-EPROTO, errbuf,
		"%s: capture.json and head have different UUIDs, so one of them belongs to another capture; bytes 8 to "
		"23 of "
		"each chunk in the .seg files have the right one",
		path);
}

void
head_unmap(struct store_head *head, int fd)
{
	if (head)
		munmap(head, HEAD_SIZE);
	if (fd >= 0)
		close(fd);
}

static uint32_t
closed_crc(const struct store_head *head)
{
	struct store_head copy;

	memcpy(&copy, (const void *)head, sizeof(copy));
	atomic_store_explicit(&copy.state, HEAD_CLOSED, memory_order_relaxed);
	return chunk_crc(&copy, offsetof(struct store_head, crc));
}

/* One wrong bit of either would make a capture endless, or empty without a word. */
static bool
has_range(const struct store_head *head)
{
	/* In this order: both only grow. */
	uint64_t first = atomic_load_explicit(&head->first, memory_order_acquire);
	uint64_t committed = atomic_load_explicit(&head->committed, memory_order_acquire);

	return first == committed || (first < committed && first % SL_SEGMENT_CHUNKS == 0);
}

bool
head_is_closed(const struct store_head *head)
{
	return atomic_load_explicit(&head->state, memory_order_acquire) == HEAD_CLOSED &&
	       head->crc == closed_crc(head) && has_range(head);
}

static bool
is_of_this_boot(const struct store_head *head)
{
	static const uint8_t unknown[16];
	uint8_t boot_id[16];

	head_boot_id(boot_id);
	return memcmp(boot_id, unknown, 16) != 0 && memcmp(boot_id, head->boot_id, 16) == 0;
}

/* Each chunk holds a packet at least, and the writer counts the packets before it commits. */
static bool
is_open_and_sound(const struct store_head *head)
{
	uint64_t committed = atomic_load_explicit(&head->committed, memory_order_acquire);

	return atomic_load_explicit(&head->state, memory_order_acquire) == HEAD_OPEN &&
	       atomic_load(&head->sums_known) && committed <= atomic_load(&head->packets) && has_range(head);
}

bool
head_is_believed(const struct store_head *head)
{
	return is_of_this_boot(head) && is_open_and_sound(head);
}

bool
head_is_damaged(const struct store_head *head)
{
	/* In this order: a writer may close it between our two looks. */
	if (is_open_and_sound(head) || head_is_closed(head))
		return false;
	return atomic_load_explicit(&head->state, memory_order_acquire) != HEAD_OPEN || is_of_this_boot(head);
}

static uint32_t
causes_crc(const struct store_head *head)
{
	uint64_t causes[2] = {atomic_load_explicit(&head->dropped_no_buffer, memory_order_relaxed),
		atomic_load_explicit(&head->dropped_store, memory_order_relaxed)};

	return chunk_crc(causes, sizeof(causes));
}

int
head_close(struct store_head *head, int fd)
{
	int ret;

	head->causes_crc = causes_crc(head);
	head->crc = closed_crc(head);
	atomic_store_explicit(&head->state, HEAD_CLOSED, memory_order_release);
	/* writes what was changed through the mapping, too */
	ret = store_sync_fd(fd);
	head_ring(head);
	return ret;
}

/* A head that knows no causes, of before there were any, counts all as lost before. */
void
head_causes(const struct store_head *head, uint64_t by[SL_DROP_CAUSES])
{
	uint64_t left = atomic_load_explicit(&head->dropped, memory_order_relaxed);
	uint64_t no_buffer = atomic_load_explicit(&head->dropped_no_buffer, memory_order_relaxed);
	uint64_t store = atomic_load_explicit(&head->dropped_store, memory_order_relaxed);

	if (head_is_closed(head) && head->causes_crc != causes_crc(head))
		no_buffer = store = 0;
	by[SL_DROP_NO_BUFFER] = no_buffer < left ? no_buffer : left;
	left -= by[SL_DROP_NO_BUFFER];
	by[SL_DROP_STORE] = store < left ? store : left;
	by[SL_DROP_NIC] = left - by[SL_DROP_STORE];
}

/* Always a system call: a sleeper's map is read-only, so it cannot say that it sleeps. */
void
head_ring(struct store_head *head)
{
	atomic_fetch_add_explicit(&head->bell, 1, memory_order_release);
	syscall(SYS_futex, &head->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Relaxed: the release of committed that follows orders them for readers. One thread writes them. */
static void
add(_Atomic uint64_t *sum, uint64_t value)
{
	atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + value, memory_order_relaxed);
}

void
head_add_sums(struct store_head *head, const struct chunk_header *h)
{
	uint64_t packets = atomic_load_explicit(&head->packets, memory_order_relaxed);

	if (packets == 0 || h->min_ts < atomic_load_explicit(&head->min_ts, memory_order_relaxed))
		atomic_store_explicit(&head->min_ts, h->min_ts, memory_order_relaxed);
	if (packets == 0 || h->max_ts > atomic_load_explicit(&head->max_ts, memory_order_relaxed))
		atomic_store_explicit(&head->max_ts, h->max_ts, memory_order_relaxed);
	add(&head->packets, h->packets);
	add(&head->record_bytes, h->records_len);
	add(&head->wire_bytes, h->wire_bytes);
	add(&head->dropped, h->dropped);
	add(&head->dropped_no_buffer, h->dropped_no_buffer);
	add(&head->dropped_store, h->dropped_store);
}

void
head_commit(struct store_head *head, uint64_t committed)
{
	atomic_store_explicit(&head->committed, committed, memory_order_release);
	head_ring(head);
}
