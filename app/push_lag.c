/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "push_lag.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#define SAMPLES 32u /* chunk headers that are read to tell how long chunks are */
#define HISTORY_S 10 /* how long what is known of the store's size holds */

struct part {
	struct sl_capture *capture;
	uint64_t sequence;
	uint64_t committed; /* at the newest look */
	uint64_t asked_first, bytes, disk, ns_from; /* of the newest question: targets often stand at the same place */
	bool asked;
};

struct push_lag_store {
	const char *store, *single;
	struct sl_position end;
	bool has_end;
	struct part *parts; /* ascending */
	size_t count;
	char newest[SL_CAPTURE_NAME_MAX];
	uint64_t lowest;
	uint64_t head_ns;
	uint64_t capacity; /* bytes; 0: not known */
	time_t capacity_at;
	void *header; /* SL_STORE_ALIGN bytes */
};

int
push_lag_create(const char *store, const char *single, const struct sl_position *end, struct push_lag_store **lag)
{
	struct push_lag_store *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->header = aligned_alloc(SL_STORE_ALIGN, SL_STORE_ALIGN);
	if (!l->header) {
		free(l);
		return -ENOMEM;
	}
	l->store = store;
	l->single = single;
	l->lowest = UINT64_MAX;
	if (end) {
		l->end = *end;
		l->has_end = true;
	}
	*lag = l;
	return 0;
}

static void
close_parts(struct push_lag_store *l)
{
	for (size_t i = 0; i < l->count; i++)
		sl_capture_close(l->parts[i].capture);
	free(l->parts);
	l->parts = NULL;
	l->count = 0;
}

void
push_lag_destroy(struct push_lag_store *l)
{
	if (!l)
		return;
	close_parts(l);
	free(l->header);
	free(l);
}

/* ---------------------------------------------------------------- which captures */

static bool
counts(const struct push_lag_store *l, const struct sl_capture_info *info)
{
	if (l->single && strcmp(l->single, info->name) != 0)
		return false;
	return info->sequence >= l->lowest && (!l->has_end || info->sequence <= l->end.sequence);
}

static void
open_parts(struct push_lag_store *l)
{
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture_info *infos;
	size_t count;

	close_parts(l);
	if (sl_store_list(l->store, &infos, &count, errbuf) != 0)
		return;
	l->parts = calloc(count + 1, sizeof(*l->parts));
	for (size_t i = 0; l->parts && i < count; i++) {
		struct part *part = &l->parts[l->count];

		if (!counts(l, &infos[i]) || sl_capture_open(l->store, infos[i].name, &part->capture, errbuf) != 0)
			continue;
		part->sequence = infos[i].sequence;
		l->count++;
	}
	free(infos);
}

static uint64_t
committed(const struct push_lag_store *l, const struct part *part)
{
	uint64_t n = sl_capture_committed(part->capture);

	return l->has_end && part->sequence == l->end.sequence && l->end.chunk < n ? l->end.chunk : n;
}

/* The newest time that the store knows of: of a packet, or of silence. */
static uint64_t
head_time(struct push_lag_store *l)
{
	struct sl_chunk chunk;
	uint64_t ns = 0;

	for (size_t i = l->count; i > 0 && ns == 0; i--) {
		const struct part *part = &l->parts[i - 1];

		if (!l->has_end)
			ns = sl_capture_clock(part->capture);
		if (part->committed > sl_capture_first(part->capture) &&
			sl_capture_peek(part->capture, part->committed - 1, l->header, &chunk) == 0 &&
			chunk.max_ts > ns)
			ns = chunk.max_ts;
	}
	return ns;
}

void
push_lag_look(struct push_lag_store *l, uint64_t lowest_sequence)
{
	char name[SL_CAPTURE_NAME_MAX] = "", errbuf[SL_STORE_ERRBUF];

	if (!l->single)
		(void)sl_store_active(l->store, name, errbuf);
	/* A capture that nobody lies behind in any more is closed the next time that there is a new one. */
	if (l->count == 0 || strcmp(name, l->newest) != 0 || lowest_sequence < l->lowest) {
		memcpy(l->newest, name, sizeof(name));
		l->lowest = lowest_sequence;
		open_parts(l);
	}
	for (size_t i = 0; i < l->count; i++) {
		l->parts[i].committed = committed(l, &l->parts[i]);
		l->parts[i].asked = false;
	}
	l->head_ns = 0;
}

/* ---------------------------------------------------------------- how far */

/* What `read` chunks have, of all of them. */
static uint64_t
scaled(uint64_t sum, uint64_t read, uint64_t chunks)
{
	return read == 0 ? chunks * SL_CHUNK_SIZE : read == chunks ? sum : sum / read * chunks;
}

/*
 * Bytes of the chunks from first on, and the time of the first one. The last one is always read: all others are
 * full, if packets come fast enough that chunks must be estimated.
 */
static void
ask(struct push_lag_store *l, struct part *part, uint64_t first)
{
	uint64_t chunks = part->committed - first - 1, sum = 0, disk = 0, read = 0;
	uint64_t samples = chunks < SAMPLES ? chunks : SAMPLES;
	struct sl_chunk chunk;

	part->ns_from = 0;
	for (uint64_t i = 0; i < samples; i++) {
		if (sl_capture_peek(part->capture, first + i * chunks / samples, l->header, &chunk) != 0)
			continue;
		sum += chunk.records_len;
		disk += sl_chunk_disk_bytes(&chunk);
		read++;
		if (part->ns_from == 0)
			part->ns_from = chunk.min_ts;
	}
	part->bytes = scaled(sum, read, chunks);
	part->disk = scaled(disk, read, chunks);
	if (sl_capture_peek(part->capture, part->committed - 1, l->header, &chunk) == 0) {
		part->bytes += chunk.records_len;
		part->disk += sl_chunk_disk_bytes(&chunk);
		if (part->ns_from == 0)
			part->ns_from = chunk.min_ts;
	}
	part->asked_first = first;
	part->asked = true;
}

/*
 * What the store can hold before retention removes the oldest of it: what it holds now that may be removed, and what is
 * free beyond what the newest live capture keeps free. A disk that is too full already is going to hold less. A store
 * of imports alone, of which nothing is ever removed: all of it.
 */
static uint64_t
capacity(struct push_lag_store *l)
{
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture_info *infos;
	struct statvfs fs;
	struct timespec now;
	struct sl_retention keep = {SL_RETENTION_DEFAULT_BYTES, SL_RETENTION_DEFAULT_PERCENT};
	uint64_t bytes = 0, expiring = 0, all, stays, one;
	size_t count;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (l->capacity != 0 && now.tv_sec - l->capacity_at < HISTORY_S)
		return l->capacity;
	l->capacity_at = now.tv_sec;
	l->capacity = 0;
	if (sl_store_list(l->store, &infos, &count, errbuf) != 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct sl_capture *capture;

		if (sl_capture_open(l->store, infos[i].name, &capture, errbuf) != 0)
			continue;
		one = 0;
		(void)sl_capture_disk_bytes(capture, &one);
		if (infos[i].expires) {
			expiring += one;
			keep = infos[i].retention;
		}
		bytes += one;
		sl_capture_close(capture);
	}
	free(infos);
	if (expiring != 0)
		bytes = expiring;
	all = bytes;
	if (statvfs(l->store, &fs) == 0) {
		uint64_t spare = (uint64_t)fs.f_bavail * fs.f_frsize;
		uint64_t wanted = sl_retention_bytes(&keep, (uint64_t)fs.f_blocks * fs.f_frsize);

		all = bytes + spare > wanted ? bytes + spare - wanted : 0;
	}
	/* the last segments of a capture are not removed while it is written */
	stays = bytes < SL_RETENTION_LEAST_BYTES ? bytes : SL_RETENTION_LEAST_BYTES;
	l->capacity = all > stays ? all : stays;
	return l->capacity;
}

void
push_lag_of(struct push_lag_store *l, const struct sl_position *position, struct push_lag *lag)
{
	uint64_t from = 0, disk = 0;

	*lag = (struct push_lag){0};
	for (size_t i = 0; i < l->count; i++) {
		struct part *part = &l->parts[i];
		uint64_t first = sl_capture_first(part->capture);

		if (part->sequence < position->sequence)
			continue;
		if (part->sequence == position->sequence && position->chunk > first)
			first = position->chunk;
		if (first >= part->committed)
			continue;
		if (!part->asked || part->asked_first != first)
			ask(l, part, first);
		lag->chunks += part->committed - first;
		lag->bytes += part->bytes;
		disk += part->disk;
		if (from == 0) {
			from = part->ns_from;
			lag->expires = sl_capture_info(part->capture)->expires;
		}
	}
	if (lag->chunks == 0)
		return;
	if (l->head_ns == 0)
		l->head_ns = head_time(l);
	lag->ns = l->head_ns > from ? l->head_ns - from : 0;
	uint64_t all = capacity(l);
	if (all != 0)
		lag->percent = disk >= all ? 100 : (unsigned int)((double)disk * 100 / (double)all);
}
