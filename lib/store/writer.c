/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chunk.h"
#include "live.h"
#include "output.h"

/* The checksum takes so much at a time, while it is still in the nearest cache. */
#define SUM_BLOCK 16384u

struct sl_store_writer {
	struct sl_store_fill fill; /* the first: sl_store_writer_reserve() */
	struct chunk_sum sum;
	uint64_t opened_at; /* CLOCK_MONOTONIC, ns */
	uint64_t clock; /* largest time so far */
	uint64_t heartbeat; /* newest so far */
	uint64_t heartbeat_since_chunk;
	uint64_t dropped_since_chunk[SL_DROP_CAUSES];

	uint32_t tail; /* bytes that a mark takes behind the index, 0: chunks carry none */
	uint64_t next_mark; /* of the next packet */
	uint64_t mark; /* of the last packet in the chunk */

	struct live *live; /* NULL: this thread writes, by what follows */
	struct begun begun;
	struct store_output out;

	struct sl_store_writer_params params; /* its strings and set are the ones below */
	char *store, *source;
	cpu_set_t cpus;

	/* Of finished chunks. */
	uint64_t packets, bytes, chunks; /* since the last roll */
	uint64_t packets_before, bytes_before, chunks_before; /* of the captures before */
	uint64_t dropped[SL_DROP_CAUSES];
	uint64_t rolls;
	uint32_t index[SL_CHUNK_MAX_PACKETS];
};

static uint64_t
coarse_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---------------------------------------------------------------- beginning */

static void
free_writer(struct sl_store_writer *w)
{
	if (!w)
		return;
	begin_release(&w->begun);
	free(w->store);
	free(w->source);
	free(w);
}

static int
copy_params(struct sl_store_writer *w, const struct sl_store_writer_params *params)
{
	w->params = *params;
	w->store = strdup(params->store);
	w->source = strdup(params->source ? params->source : "");
	if (!w->store || !w->source)
		return -ENOMEM;
	w->params.store = w->store;
	w->params.source = w->source;
	if (params->helper_cpus) {
		memcpy(&w->cpus, params->helper_cpus, sizeof(w->cpus));
		w->params.helper_cpus = &w->cpus;
	}
	return 0;
}

static int
check_params(const struct sl_store_writer_params *params, char *errbuf)
{
	if (params->name && begin_check_name(params->name, errbuf) < 0)
		return -EINVAL;
	if (params->buffers ? params->buffers < SL_STORE_BUFFERS_MIN || params->buffers > SL_STORE_BUFFERS_MAX
			    : params->nonblocking)
		return store_err(-EINVAL, errbuf, "%u chunk buffers: must be %u to %u", params->buffers,
			SL_STORE_BUFFERS_MIN, SL_STORE_BUFFERS_MAX);
	if (params->retention.min_free_percent > 99)
		return store_err(-EINVAL, errbuf, "retention: %u percent free: must be 0 to 99",
			params->retention.min_free_percent);
	if (!params->buffers && (params->retention.min_free_percent > 0 || params->retention.min_free_bytes > 0))
		return store_err(-EINVAL, errbuf, "retention needs a writer with buffers");
	return 0;
}

/* The way without helpers: also where it goes on after a roll. */
static int
begin_blocking(struct sl_store_writer *w, const char *name, bool roll, char *errbuf)
{
	int ret = begin_describe(&w->begun.info, &w->params, errbuf);

	if (ret == 0)
		ret = begin_capture(&w->begun, w->store, name, roll, NULL, 0, errbuf);
	if (ret < 0)
		return ret;
	ret = output_init(&w->out, w->begun.dir, w->begun.path, w->begun.head);
	if (ret < 0) {
		store_err(ret, errbuf, "%s: cannot have buffers: %s", w->begun.path, strerror(-ret));
		head_close(w->begun.head, w->begun.head_fd);
	}
	w->out.tail = w->tail;
	return ret;
}

int
sl_store_writer_create(const struct sl_store_writer_params *params, struct sl_store_writer **writer, char *errbuf)
{
	struct sl_store_writer *w;
	int ret;

	*writer = NULL;
	ret = check_params(params, errbuf);
	if (ret < 0)
		return ret;
	w = calloc(1, sizeof(*w));
	if (!w)
		return store_err(-ENOMEM, errbuf, "out of memory");
	w->fill.index = w->index;
	w->begun.dir = w->begun.head_fd = -1;
	w->tail = params->marks ? sizeof(struct chunk_mark) : 0;
	ret = copy_params(w, params);
	if (ret < 0) {
		store_err(ret, errbuf, "out of memory");
		goto err;
	}
	if (params->buffers)
		ret = live_create(&w->params, w->store, &w->live, errbuf);
	else
		ret = begin_blocking(w, params->name, false, errbuf);
	if (ret < 0)
		goto err;
	*writer = w;
	return 0;
err:
	free_writer(w);
	return ret;
}

/* ---------------------------------------------------------------- chunks */

static int
writer_error(const struct sl_store_writer *w)
{
	return w->live ? live_error(w->live) : w->out.error;
}

static int
report(struct sl_store_writer *w, char *errbuf)
{
	return store_err(writer_error(w), errbuf, "%s", w->live ? w->live->message : w->out.message);
}

static uint32_t
saturated(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void
take_drops(struct sl_store_writer *w, struct chunk_header *h)
{
	uint64_t *by = w->dropped_since_chunk;

	h->dropped += by[SL_DROP_NIC] + by[SL_DROP_NO_BUFFER] + by[SL_DROP_STORE];
	h->dropped_no_buffer = saturated(h->dropped_no_buffer + by[SL_DROP_NO_BUFFER]);
	h->dropped_store = saturated(h->dropped_store + by[SL_DROP_STORE]);
	memset(by, 0, sizeof(w->dropped_since_chunk));
}

/* @return 0; -EAGAIN: every buffer waits for the disk; another -errno: the writer has failed */
static int
take_buffer(struct sl_store_writer *w, struct chunk_header **h)
{
	uint8_t *buf;

	if (!w->live) {
		*h = (struct chunk_header *)output_buffer(&w->out);
		return *h ? 0 : w->out.error;
	}
	while ((buf = live_buffer(w->live)) == NULL) {
		int ret = live_error(w->live);

		if (ret == 0)
			ret = w->params.nonblocking ? -EAGAIN : live_wait_buffer(w->live);
		if (ret < 0)
			return ret;
	}
	*h = (struct chunk_header *)buf;
	return 0;
}

static int
begin_chunk(struct sl_store_writer *w)
{
	struct chunk_header *h;
	int ret = take_buffer(w, &h);

	if (ret < 0)
		return ret;
	*h = (struct chunk_header){
		.magic = CHUNK_MAGIC,
		.version = CHUNK_VERSION,
		.header_size = CHUNK_HEADER_SIZE,
		.capture = w->begun.info.uuid,
		.number = w->out.submitted,
		.records_off = CHUNK_HEADER_SIZE,
		.clock = w->clock,
		.heartbeat = w->heartbeat_since_chunk,
	};
	if (w->live)
		live_identity(w->live, &h->capture, &h->number);
	take_drops(w, h);
	w->heartbeat_since_chunk = 0;
	w->opened_at = w->params.flush_interval ? coarse_ns() : 0;
	w->sum = CHUNK_SUM_INIT;
	w->fill = (struct sl_store_fill){
		.chunk = (uint8_t *)h,
		.index = w->index,
		.end = CHUNK_HEADER_SIZE,
		.min_ts = UINT64_MAX,
	};
	return 0;
}

static int
end_chunk(struct sl_store_writer *w)
{
	struct sl_store_fill *fill = &w->fill;
	struct chunk_header *h = (struct chunk_header *)fill->chunk;

	h->packets = fill->packets;
	h->records_len = fill->end - CHUNK_HEADER_SIZE;
	h->first_ts = sl_record_ts((const struct sl_record *)(fill->chunk + CHUNK_HEADER_SIZE));
	h->min_ts = fill->min_ts;
	h->max_ts = fill->max_ts;
	h->last_ts = fill->last_ts;
	h->wire_bytes = fill->wire_bytes;
	w->clock = fill->max_ts > w->clock ? fill->max_ts : w->clock;
	w->packets += h->packets;
	w->bytes += h->records_len;
	w->chunks++;
	/* What a port counts now was lost while this chunk was filled. */
	if (w->live)
		take_drops(w, h);
	chunk_finish(h, w->index, w->sum);
	if (w->tail)
		chunk_set_mark(h, w->mark);
	fill->chunk = NULL;
	fill->end = fill->limit = fill->packets = 0;
	if (!w->live)
		return output_submit(&w->out);
	live_submit(w->live);
	return 0;
}

/*
 * Let the next records go without a look: up to the next block of the checksum, and so far that they fit with their
 * index whatever their sizes are. A record has 16 bytes at least and an entry 4, so n bytes of records need n / 4 more.
 *
 * @return whether this record fits the chunk
 */
static bool
move_limit(struct sl_store_writer *w, uint32_t caplen)
{
	struct sl_store_fill *fill = &w->fill;
	uint32_t end = fill->end + CHUNK_RECORD_HEADER + caplen;
	uint32_t size = SL_CHUNK_SIZE - w->tail, room = size - fill->end - 4 * fill->packets, limit;

	if (fill->packets == SL_CHUNK_MAX_PACKETS || ((end + 3) & ~3u) + 4 * (fill->packets + 1) > size)
		return false;
	if (fill->end - w->sum.done >= SUM_BLOCK)
		chunk_sum_to(&w->sum, fill->chunk, fill->end);
	limit = room < 3 ? 0 : (room - 3) / 5 * 4;
	if (limit > CHUNK_RECORD_HEADER * (SL_CHUNK_MAX_PACKETS - fill->packets))
		limit = CHUNK_RECORD_HEADER * (SL_CHUNK_MAX_PACKETS - fill->packets);
	if (limit > w->sum.done + SUM_BLOCK - fill->end)
		limit = w->sum.done + SUM_BLOCK - fill->end;
	fill->limit = fill->end + limit > end ? fill->end + limit : end;
	return true;
}

/* Send out a chunk that has waited long enough. */
static int
flush_old(struct sl_store_writer *w)
{
	int ret;

	if (!w->fill.chunk || !w->params.flush_interval || coarse_ns() - w->opened_at < w->params.flush_interval)
		return 0;
	ret = end_chunk(w);
	/* Without helpers it waits for the disk: nobody may call again for a while. */
	return ret < 0 || w->live ? ret : output_drain(&w->out);
}

static int
make_room(struct sl_store_writer *w, uint64_t ts, uint32_t caplen, char *errbuf)
{
	int ret;

	if (writer_error(w))
		return report(w, errbuf);
	if (ts / 1000000000u > UINT32_MAX)
		return store_err(-ERANGE, errbuf, "packet time %" PRIu64 ".%09u s does not fit a pcap record",
			ts / 1000000000u, (unsigned int)(ts % 1000000000u));
	if (caplen > CHUNK_MAX_CAPLEN - w->tail) {
		sl_store_writer_drop_for(w, SL_DROP_STORE, 1);
		return store_err(-EMSGSIZE, errbuf, "packet of %" PRIu32 " bytes: a chunk holds at most %u", caplen,
			CHUNK_MAX_CAPLEN - w->tail);
	}
	if (w->fill.chunk && move_limit(w, caplen))
		return 0;
	if (w->fill.chunk && end_chunk(w) < 0)
		return report(w, errbuf);
	ret = begin_chunk(w);
	if (ret == -EAGAIN)
		return store_err(ret, errbuf, "every chunk buffer waits for the disk");
	if (ret < 0)
		return report(w, errbuf);
	move_limit(w, caplen);
	return 0;
}

/* ---------------------------------------------------------------- the interface */

int
sl_store_writer_append(struct sl_store_writer *w, uint64_t ts, uint32_t caplen, uint32_t len, uint8_t port,
	uint8_t flags, const void *data, char *errbuf)
{
	void *place;
	int ret;

	if (!w->live && w->out.error)
		return report(w, errbuf);
	place = sl_store_writer_reserve(w, ts, caplen, len, port, flags);
	if (!place) {
		ret = make_room(w, ts, caplen, errbuf);
		if (ret < 0)
			return ret;
		place = sl_store_writer_reserve(w, ts, caplen, len, port, flags);
	}
	memcpy(place, data, caplen);
	w->mark = w->next_mark;
	if (w->live)
		return 0;
	/* What has reached the disk in the meantime becomes visible without waiting for the next chunk. */
	if (w->out.in_flight > 0)
		output_poll(&w->out);
	return flush_old(w) < 0 ? report(w, errbuf) : 0;
}

void
sl_store_writer_mark(struct sl_store_writer *w, uint64_t mark)
{
	w->next_mark = mark;
}

void
sl_store_writer_drop(struct sl_store_writer *w, uint64_t packets)
{
	sl_store_writer_drop_for(w, SL_DROP_NIC, packets);
}

void
sl_store_writer_drop_for(struct sl_store_writer *w, enum sl_drop_cause cause, uint64_t packets)
{
	w->dropped_since_chunk[cause] += packets;
	w->dropped[cause] += packets;
}

int
sl_store_writer_poll(struct sl_store_writer *w, char *errbuf)
{
	if (writer_error(w) || (!w->live && output_poll(&w->out) < 0) || flush_old(w) < 0)
		return report(w, errbuf);
	return 0;
}

int
sl_store_writer_idle(struct sl_store_writer *w, uint64_t clock, char *errbuf)
{
	int ret = sl_store_writer_poll(w, errbuf);

	if (ret < 0)
		return ret;
	if (w->fill.chunk || clock <= w->heartbeat)
		return 0;
	/* A reader that sees it must find all chunks before it committed. */
	if (w->live && !live_is_quiet(w->live))
		return 0;
	if (!w->live && output_drain(&w->out) < 0)
		return report(w, errbuf);
	w->heartbeat = clock;
	w->heartbeat_since_chunk = clock;
	w->clock = clock > w->clock ? clock : w->clock;
	if (w->live)
		live_heartbeat(w->live, clock);
	else
		atomic_store_explicit(&w->begun.head->heartbeat, clock, memory_order_release);
	return 0;
}

/* @return 0 or the error of what was written */
static int
close_blocking(struct sl_store_writer *w, const uint64_t lost[SL_DROP_CAUSES], char *errbuf)
{
	struct store_head *head = w->begun.head;
	uint64_t stored;
	int ret, err;

	/* It failed in a roll: there is none to close. */
	if (!head)
		return report(w, errbuf);
	ret = output_close(&w->out);
	stored = atomic_load(&head->packets);
	if (ret == -ENOENT) /* what was removed is not stored, whatever the head says */
		store_err(ret, errbuf, "%s", w->out.message);
	else if (ret < 0)
		store_err(ret, errbuf, "%s (%" PRIu64 " packets are stored, the last %" PRIu64 " are not)",
			w->out.message, stored, w->packets - stored);
	/* Packets lost behind the last one have no chunk to be counted in. */
	atomic_fetch_add(&head->dropped, lost[SL_DROP_NIC] + lost[SL_DROP_NO_BUFFER] + lost[SL_DROP_STORE]);
	atomic_fetch_add(&head->dropped_no_buffer, lost[SL_DROP_NO_BUFFER]);
	atomic_fetch_add(&head->dropped_store, lost[SL_DROP_STORE]);
	err = head_close(head, w->begun.head_fd);
	if (err < 0 && ret == 0)
		ret = store_err(err, errbuf, "%s/" HEAD_NAME ": cannot mark the capture closed: %s", w->begun.path,
			strerror(-err));
	begin_release(&w->begun);
	return ret;
}

static int
roll_blocking(struct sl_store_writer *w, const char *name, char *errbuf)
{
	static const uint64_t none[SL_DROP_CAUSES];
	int ret = close_blocking(w, none, errbuf);

	if (ret == 0)
		ret = begin_blocking(w, name, true, errbuf);
	if (ret < 0 && !w->out.error) {
		w->out.error = ret;
		store_err(ret, w->out.message, "%s", errbuf ? errbuf : strerror(-ret));
	}
	return ret;
}

static int
roll_live(struct sl_store_writer *w, const char *name, char *errbuf)
{
	struct sl_capture_info info = {0};
	int ret = begin_describe(&info, &w->params, errbuf);

	if (ret == 0)
		live_roll(w->live, &info, name);
	return ret;
}

int
sl_store_writer_roll(struct sl_store_writer *w, const char *name, char *errbuf)
{
	int ret;

	if (name && begin_check_name(name, errbuf) < 0)
		return -EINVAL;
	if (writer_error(w))
		return report(w, errbuf);
	if (w->live && !live_can_roll(w->live))
		return store_err(-EAGAIN, errbuf, "the roll before this one is still under way");
	if (w->fill.chunk && end_chunk(w) < 0)
		return report(w, errbuf);
	ret = w->live ? roll_live(w, name, errbuf) : roll_blocking(w, name, errbuf);
	if (ret < 0)
		return ret;
	w->packets_before += w->packets;
	w->bytes_before += w->bytes;
	w->chunks_before += w->chunks;
	w->packets = w->bytes = w->chunks = 0;
	w->clock = w->heartbeat = w->heartbeat_since_chunk = 0;
	w->rolls++;
	return 0;
}

int
sl_store_writer_close(struct sl_store_writer *w, char *errbuf)
{
	int ret;

	if (!w)
		return 0;
	if (w->fill.chunk && !writer_error(w))
		end_chunk(w);
	ret = w->live ? live_close(w->live, w->dropped_since_chunk, errbuf)
		      : close_blocking(w, w->dropped_since_chunk, errbuf);
	free_writer(w);
	return ret;
}

static uint64_t
open_bytes(const struct sl_store_writer *w)
{
	return w->fill.chunk ? w->fill.end - CHUNK_HEADER_SIZE : 0;
}

void
sl_store_writer_stats(const struct sl_store_writer *w, uint64_t *packets, uint64_t *bytes, uint64_t *chunks)
{
	/* After an error, what was appended but not written is lost: only what is stored counts. */
	bool failed = !w->live && w->out.error != 0;

	*packets = failed ? atomic_load(&w->begun.head->packets) : w->packets + w->fill.packets;
	*bytes = failed ? atomic_load(&w->begun.head->record_bytes) : w->bytes + open_bytes(w);
	*chunks = failed ? w->out.committed : w->chunks;
}

void
sl_store_writer_look(const struct sl_store_writer *w, struct sl_store_writer_state *state)
{
	const struct live *l = w->live;

	*state = (struct sl_store_writer_state){
		.packets = w->packets_before + w->packets + w->fill.packets,
		.record_bytes = w->bytes_before + w->bytes + open_bytes(w),
		.chunks = w->chunks_before + w->chunks,
		.rolls = w->rolls,
		.buffers = l ? l->newest.buffers : OUTPUT_BUFFERS,
	};
	memcpy(state->dropped, w->dropped, sizeof(w->dropped));
	if (!l) {
		state->committed = w->chunks_before + w->out.committed;
		state->busy = (unsigned int)(w->out.submitted - w->out.committed) + (w->fill.chunk != NULL);
		return;
	}
	state->committed = atomic_load_explicit(&l->done, memory_order_acquire);
	state->busy = (unsigned int)(state->chunks - state->committed) + (w->fill.chunk != NULL);
	state->rolling = !live_can_roll(l);
	state->no_space = atomic_load_explicit(&l->no_space, memory_order_relaxed);
	state->shared = l->newest.fd >= 0;
	state->removed_bytes = atomic_load_explicit(&l->removed_bytes, memory_order_relaxed);
	state->removed_captures = atomic_load_explicit(&l->removed_captures, memory_order_relaxed);
}

const struct sl_capture_info *
sl_store_writer_info(const struct sl_store_writer *w)
{
	return w->live ? live_info(w->live) : &w->begun.info;
}
