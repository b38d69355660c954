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
#include <time.h>
#include <unistd.h>

#include "chunk.h"
#include "output.h"
#include "store.h"

struct sl_store_writer {
	struct sl_capture_info info;
	char path[PATH_MAX]; /* <store>/<name>, for messages */
	int dir;
	int head_fd;
	struct store_head *head;
	struct store_output out;
	uint64_t flush_interval;

	/* The chunk being filled; NULL while there is none. */
	struct chunk_header *chunk;
	uint64_t opened_at; /* CLOCK_MONOTONIC, ns */
	uint64_t clock; /* largest time so far */
	uint64_t heartbeat; /* newest so far */
	uint64_t heartbeat_since_chunk;
	uint64_t dropped_since_chunk;

	bool marks;
	uint64_t next_mark; /* of the next packet */
	uint64_t mark; /* of the last packet in chunk */

	uint64_t packets, bytes;
	uint32_t index[SL_CHUNK_MAX_PACKETS];
};

static uint64_t
coarse_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
check_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= SL_CAPTURE_NAME_MAX || name[0] == '.' || name[0] == '-' || strcmp(name, "active") == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (name[i] == '/' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return -EINVAL;
	return 0;
}

/* Without a name: "<host>_YYYYMMDD_HHMMSS", local time as FMADIO's captures have it, and _1, _2, ... if that is taken.
 */
static int
make_name(int store_dir, struct sl_capture_info *info)
{
	time_t now = (time_t)(info->start_ts / 1000000000u);
	char stamp[32], host[64];
	struct tm tm;

	snprintf(host, sizeof(host), "%.63s", info->host[0] ? info->host : "capture");
	host[strcspn(host, "./")] = '\0';
	if (check_name(host) < 0)
		strcpy(host, "capture");
	strftime(stamp, sizeof(stamp), "%Y%m%d_%H%M%S", localtime_r(&now, &tm));
	for (unsigned int i = 0; i < 100000; i++) {
		if (i == 0)
			snprintf(info->name, sizeof(info->name), "%s_%s", host, stamp);
		else
			snprintf(info->name, sizeof(info->name), "%s_%s_%u", host, stamp, i);
		if (faccessat(store_dir, info->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -EEXIST;
}

/* What a writer that died while it began has left; nobody else uses it, for we hold the store's lock. */
static void
remove_leftover(int store_dir, const char *name)
{
	static const char *const files[] = {HEAD_NAME, "capture.json", "capture.json.new"};
	int dir = openat(store_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlinkat(dir, files[i], 0);
	close(dir);
	unlinkat(store_dir, name, AT_REMOVEDIR);
}

/* Made complete under a hidden name, then renamed: nobody sees a capture without its description. */
static int
make_capture(struct sl_store_writer *w, int store_dir, char *errbuf)
{
	char hidden[SL_CAPTURE_NAME_MAX + 8];
	const char *what;
	int ret;

	snprintf(hidden, sizeof(hidden), ".%s.new", w->info.name);
	remove_leftover(store_dir, hidden);
	what = "mkdir";
	if (mkdirat(store_dir, hidden, 0755) < 0)
		goto err;
	what = "open";
	w->dir = openat(store_dir, hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir < 0)
		goto err;
	what = "capture.json";
	ret = store_info_write(w->dir, &w->info);
	if (ret < 0)
		goto err_ret;
	what = HEAD_NAME;
	ret = head_create(w->dir, &w->info.uuid, &w->head, &w->head_fd);
	if (ret == 0)
		ret = store_sync_fd(w->head_fd);
	if (ret == 0)
		ret = store_sync_fd(w->dir);
	if (ret < 0)
		goto err_ret;
	what = "rename";
	if (renameat(store_dir, hidden, store_dir, w->info.name) < 0)
		goto err;
	what = "fsync of the store";
	ret = store_sync_fd(store_dir);
	if (ret < 0)
		goto err_ret;
	what = "switching the link `active`";
	ret = store_set_active(store_dir, w->info.name);
	if (ret < 0)
		goto err_ret;
	return 0;
err:
	ret = -errno;
err_ret:
	store_err(ret, errbuf, "%s: cannot make the capture: %s: %s", w->path, what, strerror(-ret));
	remove_leftover(store_dir, hidden);
	return ret;
}

static void
free_writer(struct sl_store_writer *w)
{
	if (!w)
		return;
	/* The lock goes last: until then the capture has a living writer. */
	head_unmap(w->head, w->head_fd);
	if (w->dir >= 0)
		close(w->dir);
	free(w);
}

int
sl_store_writer_create(const struct sl_store_writer_params *params, struct sl_store_writer **writer, char *errbuf)
{
	int store_dir = -1, lock = -1, ret;
	struct sl_store_writer *w;
	struct timespec now;

	*writer = NULL;
	if (params->name && check_name(params->name) < 0)
		return store_err(-EINVAL, errbuf,
			"capture name \"%s\": must have 1 to %u characters, no / and no control characters, "
			"not begin with . or -, and not be \"active\"",
			params->name, SL_CAPTURE_NAME_MAX - 1);
	w = calloc(1, sizeof(*w));
	if (!w)
		return store_err(-ENOMEM, errbuf, "out of memory");
	w->dir = w->head_fd = -1;
	w->flush_interval = params->flush_interval;
	w->marks = params->marks;
	w->info.link_type = params->link_type;
	w->info.snap_len = params->snap_len;
	clock_gettime(CLOCK_REALTIME, &now);
	w->info.start_ts = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	gethostname(w->info.host, sizeof(w->info.host) - 1);
	snprintf(w->info.source, sizeof(w->info.source), "%s", params->source ? params->source : "");
	ret = store_uuid_make(&w->info.uuid);
	if (ret < 0) {
		store_err(ret, errbuf, "getrandom: %s", strerror(-ret));
		goto err;
	}
	ret = store_prepare(params->store, &store_dir, &lock, &w->info.sequence, errbuf);
	if (ret < 0)
		goto err;
	if (params->name) {
		snprintf(w->info.name, sizeof(w->info.name), "%s", params->name);
		if (faccessat(store_dir, w->info.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			ret = store_err(-EEXIST, errbuf, "%s/%s: exists; choose another --capture name", params->store,
				w->info.name);
			goto err;
		}
	} else {
		ret = make_name(store_dir, &w->info);
		if (ret < 0) {
			store_err(ret, errbuf, "%s: cannot find a name for the capture: %s", params->store,
				strerror(-ret));
			goto err;
		}
	}
	snprintf(w->path, sizeof(w->path), "%s/%s", params->store, w->info.name);
	ret = make_capture(w, store_dir, errbuf);
	if (ret < 0)
		goto err;
	ret = output_init(&w->out, w->dir, w->path, w->head);
	if (ret < 0) {
		store_err(ret, errbuf, "%s: cannot have buffers: %s", w->path, strerror(-ret));
		head_close(w->head, w->head_fd);
		goto err;
	}
	w->out.tail = w->marks ? sizeof(struct chunk_mark) : 0;
	close(lock);
	close(store_dir);
	*writer = w;
	return 0;
err:
	if (lock >= 0)
		close(lock);
	if (store_dir >= 0)
		close(store_dir);
	free_writer(w);
	return ret;
}

static int
report(struct sl_store_writer *w, char *errbuf)
{
	return store_err(w->out.error, errbuf, "%s", w->out.message);
}

static int
begin_chunk(struct sl_store_writer *w)
{
	struct chunk_header *h = (struct chunk_header *)output_buffer(&w->out);

	if (!h)
		return w->out.error;
	*h = (struct chunk_header){
		.magic = CHUNK_MAGIC,
		.version = CHUNK_VERSION,
		.header_size = CHUNK_HEADER_SIZE,
		.capture = w->info.uuid,
		.number = w->out.submitted,
		.records_off = CHUNK_HEADER_SIZE,
		.min_ts = UINT64_MAX,
		.clock = w->clock,
		.heartbeat = w->heartbeat_since_chunk,
		.dropped = w->dropped_since_chunk,
	};
	w->heartbeat_since_chunk = 0;
	w->dropped_since_chunk = 0;
	w->opened_at = w->flush_interval ? coarse_ns() : 0;
	w->chunk = h;
	return 0;
}

static int
end_chunk(struct sl_store_writer *w)
{
	struct chunk_header *h = w->chunk;

	w->chunk = NULL;
	chunk_finish(h, w->index);
	if (w->marks)
		chunk_set_mark(h, w->mark);
	return output_submit(&w->out);
}

/* Send out a chunk that has waited long enough. Waits for the disk: nobody may call again for a while. */
static int
flush_old(struct sl_store_writer *w)
{
	int ret;

	if (!w->chunk || !w->flush_interval || coarse_ns() - w->opened_at < w->flush_interval)
		return 0;
	ret = end_chunk(w);
	return ret < 0 ? ret : output_drain(&w->out);
}

int
sl_store_writer_append(struct sl_store_writer *w, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t port,
	uint8_t flags, const void *data, char *errbuf)
{
	const uint32_t tail = w->marks ? sizeof(struct chunk_mark) : 0;
	uint64_t sec = ts / 1000000000u;
	struct chunk_header *h;
	struct sl_record *r;
	uint32_t off, end;

	if (w->out.error)
		return report(w, errbuf);
	if (sec > UINT32_MAX)
		return store_err(-ERANGE, errbuf, "packet time %" PRIu64 ".%09u s does not fit a pcap record", sec,
			(unsigned int)(ts % 1000000000u));
	if (caplen > CHUNK_MAX_CAPLEN - tail) {
		w->dropped_since_chunk++;
		return store_err(-EMSGSIZE, errbuf, "packet of %" PRIu32 " bytes: a chunk holds at most %u", caplen,
			CHUNK_MAX_CAPLEN - tail);
	}
	h = w->chunk;
	if (h) {
		end = h->records_off + h->records_len + CHUNK_RECORD_HEADER + caplen;
		if (h->packets == SL_CHUNK_MAX_PACKETS ||
			((end + 3) & ~3u) + 4 * (h->packets + 1) > SL_CHUNK_SIZE - tail) {
			if (end_chunk(w) < 0)
				return report(w, errbuf);
			h = NULL;
		}
	}
	if (!h) {
		if (begin_chunk(w) < 0)
			return report(w, errbuf);
		h = w->chunk;
	}
	off = h->records_off + h->records_len;
	r = (struct sl_record *)((uint8_t *)h + off);
	*r = (struct sl_record){
		.sec = (uint32_t)sec,
		.nsec = (uint32_t)(ts - sec * 1000000000u),
		.caplen = caplen,
		.len = len,
	};
	memcpy(r + 1, data, caplen);
	w->index[h->packets] = off | (uint32_t)port << 20 | (uint32_t)(flags & 0xf) << 28;
	if (h->packets == 0)
		h->first_ts = ts;
	h->packets++;
	h->records_len += CHUNK_RECORD_HEADER + caplen;
	h->last_ts = ts;
	h->min_ts = ts < h->min_ts ? ts : h->min_ts;
	h->max_ts = ts > h->max_ts ? ts : h->max_ts;
	h->wire_bytes += len;
	w->mark = w->next_mark;
	w->clock = ts > w->clock ? ts : w->clock;
	w->packets++;
	w->bytes += CHUNK_RECORD_HEADER + caplen;
	/* What has reached the disk in the meantime becomes visible without waiting for the next chunk. */
	if (w->out.in_flight > 0)
		output_poll(&w->out);
	if (flush_old(w) < 0)
		return report(w, errbuf);
	return 0;
}

void
sl_store_writer_mark(struct sl_store_writer *w, uint64_t mark)
{
	w->next_mark = mark;
}

void
sl_store_writer_drop(struct sl_store_writer *w, uint64_t packets)
{
	w->dropped_since_chunk += packets;
}

int
sl_store_writer_idle(struct sl_store_writer *w, uint64_t clock, char *errbuf)
{
	if (w->out.error || output_poll(&w->out) < 0 || flush_old(w) < 0)
		return report(w, errbuf);
	if (w->chunk || clock <= w->heartbeat)
		return 0;
	/* A reader that sees it must find all chunks before it committed. */
	if (output_drain(&w->out) < 0)
		return report(w, errbuf);
	w->heartbeat = clock;
	w->heartbeat_since_chunk = clock;
	w->clock = clock > w->clock ? clock : w->clock;
	atomic_store_explicit(&w->head->heartbeat, clock, memory_order_release);
	return 0;
}

int
sl_store_writer_close(struct sl_store_writer *w, char *errbuf)
{
	uint64_t stored;
	int ret, err;

	if (!w)
		return 0;
	if (w->chunk && !w->out.error)
		end_chunk(w);
	ret = output_close(&w->out);
	stored = atomic_load(&w->head->packets);
	if (ret == -ENOENT) /* what was removed is not stored, whatever the head says */
		store_err(ret, errbuf, "%s", w->out.message);
	else if (ret < 0)
		store_err(ret, errbuf, "%s (%" PRIu64 " packets are stored, the last %" PRIu64 " are not)",
			w->out.message, stored, w->packets - stored);
	/* Packets lost behind the last one have no chunk to be counted in. */
	atomic_fetch_add(&w->head->dropped, w->dropped_since_chunk);
	err = head_close(w->head, w->head_fd);
	if (err < 0 && ret == 0)
		ret = store_err(
			err, errbuf, "%s/" HEAD_NAME ": cannot mark the capture closed: %s", w->path, strerror(-err));
	free_writer(w);
	return ret;
}

void
sl_store_writer_stats(const struct sl_store_writer *w, uint64_t *packets, uint64_t *bytes, uint64_t *chunks)
{
	/* After an error, what was appended but not written is lost: only what is stored counts. */
	bool failed = w->out.error != 0;

	*packets = failed ? atomic_load(&w->head->packets) : w->packets;
	*bytes = failed ? atomic_load(&w->head->record_bytes) : w->bytes;
	*chunks = failed ? w->out.committed : w->out.submitted;
}

const struct sl_capture_info *
sl_store_writer_info(const struct sl_store_writer *w)
{
	return &w->info;
}
