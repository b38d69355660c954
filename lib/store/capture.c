/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "chunk.h"
#include "seal.h"

/* The writer is gone without closing it: find out where it ends. */
static int
become_unclean(struct sl_capture *c)
{
	uint64_t first, committed;
	int ret;

	ret = store_unclean_range(c->dir, &c->info.uuid, c->head, &first, &committed);
	if (ret < 0)
		return ret;
	atomic_store(&c->found_first, first);
	atomic_store(&c->found_committed, committed);
	atomic_store_explicit(&c->state, SL_CAPTURE_UNCLEAN, memory_order_release);
	return 0;
}

static int
decide_state(struct sl_capture *c)
{
	if (c->head) {
		bool writer;

		if (head_is_closed(c->head)) {
			atomic_store_explicit(&c->state, SL_CAPTURE_CLOSED, memory_order_release);
			return 0;
		}
		/* The lock first: a writer that closes in between has set CLOSED before it let go. */
		writer = head_has_writer(c->head_fd);
		if (head_is_closed(c->head)) {
			atomic_store_explicit(&c->state, SL_CAPTURE_CLOSED, memory_order_release);
			return 0;
		}
		if (writer) {
			atomic_store_explicit(&c->state, SL_CAPTURE_OPEN, memory_order_release);
			return 0;
		}
	}
	return become_unclean(c);
}

static void
forget_head(struct sl_capture *c)
{
	head_unmap(c->head, c->head_fd);
	c->head = NULL;
	c->head_fd = -1;
	c->head_damaged = true;
}

/* Only while its writer lives; and a store in memory needs no second memory. */
static void
find_newest(struct sl_capture *c)
{
	static const struct sl_uuid none;
	struct stat st;

	if (!c->head || c->on_memory || sl_capture_state(c) != SL_CAPTURE_OPEN || fstat(c->head_fd, &st) < 0)
		return;
	if (memcmp(&c->head->newest, &none, sizeof(none)) == 0)
		return;
	c->newest_base = c->head->newest_base;
	c->newest = newest_open(&c->head->newest, st.st_uid);
}

bool
capture_copy_newest(const struct sl_capture *c, uint64_t number, void *buf)
{
	return c->newest && newest_copy(c->newest, c->newest_base + number, buf) &&
	       chunk_check_header(buf, &c->info.uuid, number) == 0;
}

/* Take over dir and info. */
static int
open_capture(const char *store, int dir, const struct sl_capture_info *info, struct sl_capture **capture, char *errbuf)
{
	struct sl_capture *c;
	int ret;

	*capture = NULL;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(dir);
		return store_err(-ENOMEM, errbuf, "out of memory");
	}
	c->refs = 1;
	c->info = *info;
	c->dir = dir;
	c->head_fd = c->segment_fd = -1;
	c->on_memory = store_on_memory(dir);
	snprintf(c->path, sizeof(c->path), "%s/%s", store, info->name);
	ret = head_map(dir, &info->uuid, false, &c->head, &c->head_fd);
	/* Without a head the segments still tell all that matters. */
	if (ret == -EPROTONOSUPPORT || ret == -ESTALE) {
		ret = head_refused(ret, c->path, errbuf);
		goto err;
	}
	if (ret < 0 && ret != -ENOENT && ret != -EPROTO) {
		store_err(ret, errbuf, "%s/" HEAD_NAME ": %s", c->path, strerror(-ret));
		goto err;
	}
	if (ret < 0 || head_is_damaged(c->head))
		forget_head(c);
	ret = decide_state(c);
	if (ret < 0) {
		store_err(ret, errbuf, "%s: cannot find its last chunk: %s", c->path, strerror(-ret));
		goto err;
	}
	find_newest(c);
	*capture = c;
	return 0;
err:
	capture_drop(c);
	return ret;
}

static int
open_named(const char *store, const char *name, struct sl_capture **capture, char *errbuf)
{
	struct sl_capture_info info;
	char path[PATH_MAX];
	int dir, ret;

	if (strlen(name) >= SL_CAPTURE_NAME_MAX || name[0] == '\0' || strchr(name, '/'))
		return store_err(-ENOENT, errbuf, "\"%s\" cannot be the name of a capture", name);
	snprintf(path, sizeof(path), "%s/%s", store, name);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return store_err(-ENOENT, errbuf, "%s: no such capture", path);
	if (dir < 0)
		return store_err(-errno, errbuf, "%s: %s", path, strerror(errno));
	ret = store_info_read(dir, store, name, &info, errbuf);
	if (ret < 0) {
		close(dir);
		return ret;
	}
	return open_capture(store, dir, &info, capture, errbuf);
}

int
sl_capture_open(const char *store, const char *name, struct sl_capture **capture, char *errbuf)
{
	char active[SL_CAPTURE_NAME_MAX];
	int ret;

	*capture = NULL;
	if (!name || strcmp(name, "active") == 0) {
		ret = sl_store_active(store, active, errbuf);
		if (ret < 0)
			return ret;
		name = active;
	} else if (access(store, F_OK) < 0) {
		return store_err(-errno, errbuf, "%s: no such store: %s", store, strerror(errno));
	}
	return open_named(store, name, capture, errbuf);
}

/* The first capture of the list that fits. */
static int
open_matching(const char *store, const struct sl_uuid *uuid, uint64_t after, struct sl_capture **capture, char *errbuf)
{
	struct sl_capture_info *infos;
	size_t count;
	int ret;

	*capture = NULL;
	ret = sl_store_list(store, &infos, &count, errbuf);
	if (ret < 0)
		return ret;
	ret = -ENOENT;
	for (size_t i = 0; i < count && ret == -ENOENT; i++) {
		if (uuid ? memcmp(uuid, &infos[i].uuid, sizeof(*uuid)) != 0 : infos[i].sequence <= after)
			continue;
		ret = open_named(store, infos[i].name, capture, errbuf);
	}
	free(infos);
	return ret;
}

int
sl_capture_open_uuid(const char *store, const struct sl_uuid *uuid, struct sl_capture **capture, char *errbuf)
{
	char text[37], why[SL_STORE_ERRBUF] = "";
	int ret = open_matching(store, uuid, 0, capture, why);

	if (ret < 0 && why[0] == '\0') {
		sl_uuid_format(uuid, text);
		return store_err(ret, errbuf, "%s: no capture has the UUID %s", store, text);
	}
	return ret < 0 ? store_err(ret, errbuf, "%s", why) : 0;
}

int
sl_capture_open_after(const char *store, uint64_t sequence, struct sl_capture **capture, char *errbuf)
{
	char why[SL_STORE_ERRBUF] = "";
	int ret = open_matching(store, NULL, sequence, capture, why);

	if (ret < 0 && why[0] == '\0')
		return store_err(ret, errbuf, "%s: no capture after number %" PRIu64, store, sequence);
	return ret < 0 ? store_err(ret, errbuf, "%s", why) : 0;
}

void
capture_hold(struct sl_capture *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void
capture_drop(struct sl_capture *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (c->segment_fd >= 0)
		close(c->segment_fd);
	newest_close(c->newest);
	head_unmap(c->head, c->head_fd);
	close(c->dir);
	free(c);
}

void
sl_capture_close(struct sl_capture *c)
{
	if (c)
		capture_drop(c);
}

const struct sl_capture_info *
sl_capture_info(const struct sl_capture *c)
{
	return &c->info;
}

enum sl_capture_state
sl_capture_state(const struct sl_capture *c)
{
	uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

	/* Once open here, its head is this boot's, so the word alone can be believed. */
	if (state == SL_CAPTURE_OPEN && atomic_load_explicit(&c->head->state, memory_order_acquire) == HEAD_CLOSED)
		return SL_CAPTURE_CLOSED;
	return (enum sl_capture_state)state;
}

uint64_t
sl_capture_first(const struct sl_capture *c)
{
	if (atomic_load_explicit(&c->state, memory_order_acquire) == SL_CAPTURE_UNCLEAN)
		return atomic_load_explicit(&c->found_first, memory_order_relaxed);
	return atomic_load_explicit(&c->head->first, memory_order_acquire);
}

uint64_t
sl_capture_committed(const struct sl_capture *c)
{
	if (atomic_load_explicit(&c->state, memory_order_acquire) == SL_CAPTURE_UNCLEAN)
		return atomic_load_explicit(&c->found_committed, memory_order_relaxed);
	return atomic_load_explicit(&c->head->committed, memory_order_acquire);
}

bool
sl_capture_head_damaged(const struct sl_capture *c)
{
	return c->head_damaged;
}

uint64_t
sl_capture_clock(const struct sl_capture *c)
{
	return c->head ? atomic_load_explicit(&c->head->heartbeat, memory_order_acquire) : 0;
}

enum sl_capture_state
sl_capture_recheck(struct sl_capture *c)
{
	if (sl_capture_state(c) == SL_CAPTURE_OPEN)
		/* Should the scan fail, it stays open and is asked again. */
		(void)decide_state(c);
	return sl_capture_state(c);
}

const _Atomic uint32_t *
sl_capture_bell(const struct sl_capture *c)
{
	return sl_capture_state(c) == SL_CAPTURE_OPEN ? &c->head->bell : NULL;
}

int
sl_capture_wait(const struct sl_capture *c, uint64_t committed, uint64_t timeout_ns)
{
	uint64_t now = timeout_ns ? store_now_ns(CLOCK_MONOTONIC) : 0;
	uint64_t until = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;

	for (;;) {
		const _Atomic uint32_t *bell = sl_capture_bell(c);
		uint32_t rings = bell ? atomic_load_explicit(bell, memory_order_acquire) : 0;
		struct timespec left;

		if (!bell || sl_capture_committed(c) > committed || sl_capture_state(c) != SL_CAPTURE_OPEN)
			return 0;
		if (timeout_ns == 0 || now >= until)
			return -ETIMEDOUT;
		left.tv_sec = (time_t)((until - now) / 1000000000u);
		left.tv_nsec = (long)((until - now) % 1000000000u);
		/* No FUTEX_PRIVATE_FLAG: the one who wakes is another process. */
		if (syscall(SYS_futex, bell, FUTEX_WAIT, rings, until == UINT64_MAX ? NULL : &left, NULL, 0) < 0 &&
			errno == EINTR)
			return -EINTR;
		now = store_now_ns(CLOCK_MONOTONIC);
	}
}

static int
use_segment(struct sl_capture *c, uint64_t segment)
{
	int fd;

	if (c->segment_fd >= 0 && c->segment == segment)
		return 0;
	fd = segment_open(c->dir, segment, O_RDONLY);
	if (fd < 0)
		return fd;
	if (c->segment_fd >= 0)
		close(c->segment_fd);
	c->segment_fd = fd;
	c->segment = segment;
	return 0;
}

int
sl_capture_read(struct sl_capture *c, uint64_t number, void *buf, struct sl_chunk *chunk)
{
	int ret;

	if (capture_copy_newest(c, number, buf) && sl_chunk_parse(buf, &c->info.uuid, number, chunk) == 0)
		return 0;
	ret = use_segment(c, number / SL_SEGMENT_CHUNKS);
	if (ret == 0)
		ret = segment_read(c->segment_fd, (uint32_t)(number % SL_SEGMENT_CHUNKS), buf);
	if (ret < 0)
		return ret;
	return sl_chunk_parse(buf, &c->info.uuid, number, chunk);
}

int
sl_capture_peek(struct sl_capture *c, uint64_t number, void *buf, struct sl_chunk *chunk)
{
	ssize_t n;
	int ret;

	ret = use_segment(c, number / SL_SEGMENT_CHUNKS);
	if (ret < 0)
		return ret;
	n = pread(c->segment_fd, buf, SL_STORE_ALIGN, (off_t)(number % SL_SEGMENT_CHUNKS * SL_CHUNK_SIZE));
	if (n < 0)
		return -errno;
	if (n < (ssize_t)CHUNK_HEADER_SIZE)
		return -ENODATA;
	ret = chunk_check_header(buf, &c->info.uuid, number);
	if (ret == 0)
		chunk_view(buf, chunk);
	return ret;
}

static void
add_chunk(struct sl_capture_totals *t, const struct sl_chunk *chunk)
{
	if (chunk->packets > 0) {
		t->min_ts = t->packets == 0 || chunk->min_ts < t->min_ts ? chunk->min_ts : t->min_ts;
		t->max_ts = chunk->max_ts > t->max_ts ? chunk->max_ts : t->max_ts;
	}
	t->packets += chunk->packets;
	t->record_bytes += chunk->records_len;
	t->wire_bytes += chunk->wire_bytes;
	t->dropped += chunk->dropped;
	for (unsigned int i = 0; i < SL_DROP_CAUSES; i++)
		t->dropped_by[i] += chunk->dropped_by[i];
}

int
sl_capture_sum(struct sl_capture *c, struct sl_capture_totals *t)
{
	uint64_t end = sl_capture_committed(c);
	struct sl_chunk chunk = {0};
	void *buf;

	*t = (struct sl_capture_totals){0};
	/* The writer's own sums; they do not say how much of them retention has taken since. */
	if (sl_capture_state(c) != SL_CAPTURE_UNCLEAN && atomic_load(&c->head->sums_known) &&
		atomic_load(&c->head->first) == 0) {
		t->packets = atomic_load(&c->head->packets);
		t->record_bytes = atomic_load(&c->head->record_bytes);
		t->wire_bytes = atomic_load(&c->head->wire_bytes);
		t->dropped = atomic_load(&c->head->dropped);
		head_causes(c->head, t->dropped_by);
		t->min_ts = atomic_load(&c->head->min_ts);
		t->max_ts = atomic_load(&c->head->max_ts);
		return 0;
	}
	buf = aligned_alloc(SL_STORE_ALIGN, SL_STORE_ALIGN);
	if (!buf)
		return -ENOMEM;
	for (uint64_t n = sl_capture_first(c); n < end; n++) {
		if (sl_capture_peek(c, n, buf, &chunk) == 0)
			add_chunk(t, &chunk);
		else
			t->bad_headers++;
	}
	free(buf);
	return 0;
}

int
sl_capture_disk_bytes(struct sl_capture *c, uint64_t *bytes)
{
	uint64_t low, high;
	int ret;

	*bytes = 0;
	ret = segment_range(c->dir, &low, &high);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	for (uint64_t segment = low; segment <= high; segment++) {
		char name[SEGMENT_NAME_SIZE];
		struct stat st;

		segment_name(segment, name);
		if (fstatat(c->dir, name, &st, 0) == 0)
			*bytes += (uint64_t)st.st_blocks * 512;
	}
	return 0;
}

void
sl_capture_place(const struct sl_capture *c, uint64_t number, char *path, size_t size, uint64_t *offset)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(number / SL_SEGMENT_CHUNKS, name);
	snprintf(path, size, "%s/%s", c->path, name);
	*offset = number % SL_SEGMENT_CHUNKS * SL_CHUNK_SIZE;
}
