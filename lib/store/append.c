/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Packets into chunks.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "writer.h"

/* The checksum takes so much at a time, while it is still in the nearest cache. */
#define SUM_BLOCK 16384u

int
writer_error(const struct sl_store_writer *w)
{
	return w->live ? live_error(w->live) : w->out.error;
}

int
writer_report(struct sl_store_writer *w, char *errbuf)
{
	return store_err(writer_error(w), errbuf, "%s", w->live ? w->live->message : w->out.message);
}

/* ---------------------------------------------------------------- chunks */

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
	w->opened_at = w->params.flush_interval ? store_now_ns(CLOCK_MONOTONIC_COARSE) : 0;
	w->sum = CHUNK_SUM_INIT;
	w->fill = (struct sl_store_fill){
		.chunk = (uint8_t *)h,
		.index = w->index,
		.end = CHUNK_HEADER_SIZE,
		.min_ts = UINT64_MAX,
	};
	return 0;
}

int
writer_end_chunk(struct sl_store_writer *w)
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

	if (!w->fill.chunk || !w->params.flush_interval ||
		store_now_ns(CLOCK_MONOTONIC_COARSE) - w->opened_at < w->params.flush_interval)
		return 0;
	ret = writer_end_chunk(w);
	/* Without helpers it waits for the disk: nobody may call again for a while. */
	return ret < 0 || w->live ? ret : output_drain(&w->out);
}

static int
make_room(struct sl_store_writer *w, uint64_t ts, uint32_t caplen, char *errbuf)
{
	int ret;

	if (writer_error(w))
		return writer_report(w, errbuf);
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
	if (w->fill.chunk && writer_end_chunk(w) < 0)
		return writer_report(w, errbuf);
	ret = begin_chunk(w);
	if (ret == -EAGAIN)
		return store_err(ret, errbuf, "every chunk buffer waits for the disk");
	if (ret < 0)
		return writer_report(w, errbuf);
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
		return writer_report(w, errbuf);
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
	return flush_old(w) < 0 ? writer_report(w, errbuf) : 0;
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
		return writer_report(w, errbuf);
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
		return writer_report(w, errbuf);
	w->heartbeat = clock;
	w->heartbeat_since_chunk = clock;
	w->clock = clock > w->clock ? clock : w->clock;
	if (w->live)
		live_heartbeat(w->live, clock);
	else
		atomic_store_explicit(&w->begun.head->heartbeat, clock, memory_order_release);
	return 0;
}
