/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A writer that does not flush stops only where its buffer was full: at multiples of this. */
#define BUFFER_STEP 4096u
/* Of a capture that fills faster than we read there is no end. */
#define DRAIN_AT_MOST (10 * SECOND_NS)
#define WAIT_MAX_MS 1000
/* As long as the store needs to make durable what it has committed, several times over. */
#define COMPACT_AGE (60 * SECOND_NS)
#define NAMES_MAX 100000u
/* Chunks between us and the disk. Files wait where they are, so not many. */
#define BUFFERS 16u
#define STORE_WAIT_MS 2
#define ROOM_WAIT_MS 200

/* ---------------------------------------------------------------- captures */

/* Told once, and again when it is over. */
static void
look_at_space(struct follow *f)
{
	struct sl_store_writer_state state;

	if (f->im.writer == NULL)
		return;
	sl_store_writer_look(f->im.writer, &state);
	if (state.no_space == f->full)
		return;
	f->full = state.no_space;
	if (f->full)
		import_warn(&f->im, "%s: no space left; reading goes on when there is room", f->im.params->store);
	else
		import_warn(&f->im, "%s: there is room again", f->im.params->store);
}

int
follow_wait_room(struct follow *f)
{
	const struct timespec pause = {.tv_nsec = ROOM_WAIT_MS * (long)MS_NS};

	if (!f->full)
		import_warn(&f->im, "%s: no space left; reading goes on when there is room", f->im.params->store);
	f->full = true;
	if (import_stopping(&f->im))
		return -ECANCELED;
	nanosleep(&pause, NULL);
	return 0;
}

int
follow_wait_store(struct follow *f)
{
	const struct timespec pause = {.tv_nsec = STORE_WAIT_MS * (long)MS_NS};
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret = sl_store_writer_poll(f->im.writer, errbuf);

	if (ret < 0)
		return import_store_failed(&f->im, ret, errbuf);
	look_at_space(f);
	/* A slow disk is waited for, a full one is not. */
	if (import_stopping(&f->im) &&
		(f->full || *f->im.params->stop > 1 || (f->stop_at && import_now_ns(CLOCK_MONOTONIC) > f->stop_at)))
		return -ECANCELED;
	nanosleep(&pause, NULL);
	return 0;
}

/* Closing does not wait for room, so wait before. @return as follow_wait_store() */
static int
wait_committed(struct follow *f)
{
	struct sl_store_writer_state state;
	int ret = 0;

	for (;;) {
		sl_store_writer_look(f->im.writer, &state);
		if (!state.no_space)
			return 0;
		ret = follow_wait_store(f);
		if (ret < 0)
			return ret;
	}
}

int
follow_end_capture(struct follow *f)
{
	char store_error[SL_STORE_ERRBUF] = "", errbuf[SL_CAPTURE_ERRBUF];
	struct import *im = &f->im;
	int ret;

	if (im->writer == NULL)
		return 0;
	wait_committed(f);
	ret = sl_store_writer_close(im->writer, store_error);
	im->writer = NULL;
	f->capture_bytes = f->roll_at = 0;
	/* The writer's last word has the first error in it. */
	if (ret < 0)
		import_store_failed(im, ret, store_error);
	if (im->store_errno) {
		import_fail(im, im->store_errno, "%s", im->store_error);
		return im->store_errno;
	}
	f->run_file = NULL;
	f->full = false;
	ret = follow_state_closed(&f->state, f->position, errbuf);
	/* Without that line the mark of the last chunk says the same. */
	if (ret == -ENOSPC)
		return 0;
	if (ret < 0)
		import_fail(im, ret, "%s", errbuf);
	return ret;
}

static int
create_writer(struct follow *f, struct sl_store_writer_params *params, char *errbuf)
{
	char name[SL_CAPTURE_NAME_MAX + 16];
	int ret = sl_store_writer_create(params, &f->im.writer, errbuf);

	/* A service that is started again has the same --capture as before. */
	for (unsigned int i = 1; ret == -EEXIST && f->im.params->capture && i < NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "%s_%u", f->im.params->capture, i);
		params->name = name;
		ret = sl_store_writer_create(params, &f->im.writer, errbuf);
		params->name = f->im.params->capture;
	}
	return ret;
}

int
follow_capture(struct follow *f, uint32_t link_type, uint32_t snap_len)
{
	char source[1024], text[96], store_error[SL_STORE_ERRBUF] = "", errbuf[SL_CAPTURE_ERRBUF];
	struct import *im = &f->im;
	struct sl_store_writer_params params = {
		.store = im->params->store,
		.name = im->params->capture,
		.link_type = link_type,
		.snap_len = snap_len,
		.source = source,
		.flush_interval = im->params->flush_interval,
		.marks = true,
		.buffers = BUFFERS,
		.nonblocking = true,
		.retention = {im->params->keep_free_bytes, im->params->keep_free_percent},
	};
	int ret;

	if (im->writer && f->link_type == link_type && f->snap_len == snap_len)
		return 0;
	if (im->writer) {
		import_warn(im, "link type %s, snapshot length %" PRIu32 " from here on: a new capture begins",
			link_type_text(link_type, text), snap_len);
		ret = follow_end_capture(f);
		if (ret < 0)
			return ret;
	}
	import_describe(im->params, source);
	while ((ret = create_writer(f, &params, store_error)) == -ENOSPC) {
		ret = follow_wait_room(f);
		if (ret < 0)
			return ret;
	}
	if (ret < 0) {
		import_fail(im, ret, "%s", store_error[0] ? store_error : strerror(-ret));
		return ret;
	}
	snprintf(im->result->capture, sizeof(im->result->capture), "%s", sl_store_writer_info(im->writer)->name);
	im->result->captures++;
	f->link_type = link_type;
	f->snap_len = snap_len;
	while ((ret = follow_state_capture(&f->state, f->position, &sl_store_writer_info(im->writer)->uuid, errbuf)) ==
		-ENOSPC) {
		ret = follow_wait_room(f);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		import_fail(im, ret, "%s", errbuf);
	return ret;
}

/* ---------------------------------------------------------------- time */

/*
 * Can no packet be under way that is older than the margin, as far as this source goes? Not in the memory of the
 * program that writes: docs/import.rst says which files allow to say so. live: it has packets of now.
 */
static bool
is_quiet(const struct follow_source *s, bool *live)
{
	const struct followed *newest = NULL;
	uint64_t written;

	for (size_t i = 0; i < s->count; i++) {
		const struct followed *file = s->files[i];

		if (file->ignored || file->damaged)
			continue;
		if (follow_unread(file))
			return false;
		/* Empty: its writer has the first packets in memory, for all we know. */
		if (file->size == 0)
			return false;
		newest = file;
	}
	if (newest == NULL)
		return true; /* nobody writes here yet */
	if (newest != s->tail || !newest->between || newest->size % BUFFER_STEP == 0)
		return false;
	for (size_t i = 0; i < s->count; i++) {
		const struct followed *file = s->files[i];

		written = (uint64_t)file->mtime.tv_sec * SECOND_NS + (uint64_t)file->mtime.tv_nsec;
		if (file->newest_ts && import_is_live(file->newest_ts, written))
			*live = true;
	}
	return true;
}

static uint64_t
clock_reached(const struct follow *f)
{
	bool live = false;

	for (size_t i = 0; i < f->source_count; i++)
		if (!is_quiet(&f->sources[i], &live))
			return 0;
	return live ? import_now_ns(CLOCK_REALTIME) - CLOCK_MARGIN : 0;
}

/* Tell the store that time passes. @return 0 or -errno, remembered */
static int
tick(struct follow *f, bool silent)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	uint64_t now = import_now_ns(CLOCK_MONOTONIC);
	int ret;

	if (f->im.writer == NULL || (!silent && now - f->im.last_idle < (uint64_t)f->im.tick_ms * MS_NS))
		return 0;
	f->im.last_idle = now;
	look_at_space(f);
	ret = sl_store_writer_idle(f->im.writer, silent ? clock_reached(f) : 0, errbuf);
	return ret < 0 ? import_store_failed(&f->im, ret, errbuf) : 0;
}

/* ---------------------------------------------------------------- the state */

/* What the store has committed by now. */
static uint64_t
committed(struct follow *f)
{
	struct sl_capture *capture;
	uint64_t mark = 0, n;
	struct sl_chunk chunk;
	void *buf;

	buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);
	if (buf == NULL)
		return 0;
	if (sl_capture_open_uuid(f->im.params->store, &sl_store_writer_info(f->im.writer)->uuid, &capture, NULL) == 0) {
		n = sl_capture_committed(capture);
		if (n == 0 || sl_capture_read(capture, n - 1, buf, &chunk) < 0 || sl_chunk_mark(buf, &mark) < 0)
			mark = 0;
		sl_capture_close(capture);
	}
	free(buf);
	return mark;
}

/* Each file adds a line: once in a while those that no crash can need any more are left out. */
static int
shorten_state(struct follow *f)
{
	uint64_t now = import_now_ns(CLOCK_MONOTONIC);
	char errbuf[SL_CAPTURE_ERRBUF];
	int ret;

	if (!follow_state_is_long(&f->state) || f->im.writer == NULL || now - f->compacted_at < COMPACT_AGE)
		return 0;
	ret = follow_state_compact(&f->state, f->committed_then, errbuf);
	/* It can stay long for another minute. */
	if (ret == -ENOSPC)
		ret = 0;
	if (ret < 0)
		import_fail(&f->im, ret, "%s", errbuf);
	f->compacted_at = now;
	f->committed_then = committed(f);
	return ret;
}

/* ---------------------------------------------------------------- the loop */

static enum follow_turn
go_round(struct follow *f)
{
	enum follow_turn turn = TURN_IDLE;

	for (size_t i = 0; i < f->source_count; i++) {
		struct follow_source *s = &f->sources[i];

		if (s->rescan && follow_scan(f, s) < 0) {
			import_fail(&f->im, -ENOMEM, "%s: no memory for its files", s->given);
			return TURN_FAILED;
		}
		switch (follow_turn(f, s)) {
		case TURN_STOPPED:
			return TURN_STOPPED;
		case TURN_FAILED:
			return TURN_FAILED;
		case TURN_BUSY:
			turn = TURN_BUSY;
			break;
		default:
			break;
		}
	}
	return turn;
}

/* @return 0: stopped; -errno: failed, reported or remembered */
static int
follow_on(struct follow *f)
{
	for (;;) {
		enum follow_turn turn;

		if (import_stopping(&f->im) && !f->stop_at) {
			/* A last look at everything: files may have come since. */
			f->stop_at = import_now_ns(CLOCK_MONOTONIC) + DRAIN_AT_MOST;
			for (size_t i = 0; i < f->source_count; i++)
				f->sources[i].rescan = true;
		}
		turn = go_round(f);
		if (turn == TURN_STOPPED)
			return 0;
		if (turn == TURN_FAILED)
			return f->im.store_errno ? f->im.store_errno : f->im.failure;
		if (tick(f, turn == TURN_IDLE) < 0)
			return f->im.store_errno;
		if (f->stop_at &&
			(turn == TURN_IDLE || *f->im.params->stop > 1 || import_now_ns(CLOCK_MONOTONIC) > f->stop_at))
			return 0;
		if (shorten_state(f) < 0)
			return f->im.failure;
		if (turn == TURN_BUSY)
			follow_wait(f, 0);
		else if (!f->stop_at)
			follow_wait(f, f->im.writer ? f->im.tick_ms : WAIT_MAX_MS);
	}
}

/* ---------------------------------------------------------------- beginning and end */

/* What the store has, and where to go on. @return 0, or -EINVAL: refused, nothing was imported */
static int
begin(struct follow *f)
{
	char errbuf[SL_CAPTURE_ERRBUF], store_error[SL_STORE_ERRBUF] = "";
	uint64_t lost;
	int ret;

	ret = sl_store_seal(f->im.params->store, store_error);
	if (ret < 0)
		return follow_refuse(f, "%s", store_error[0] ? store_error : strerror(-ret));
	ret = follow_state_open(&f->state, f->im.params->store, f->im.params->state_dir, errbuf);
	if (ret < 0)
		return follow_refuse(f, "%s", errbuf);
	ret = follow_state_recover(&f->state, &f->position, &lost, errbuf);
	while (ret == -ENOSPC) {
		ret = follow_wait_room(f);
		if (ret == 0)
			ret = follow_state_compact(&f->state, f->position, errbuf);
	}
	if (ret == -ECANCELED)
		return ret;
	if (ret < 0)
		return follow_refuse(f, "%s", errbuf);
	if (lost)
		import_fail(&f->im, -EIO,
			"%s: the store has lost %" PRIu64
			" bytes of packets that were imported long before the crash; they are not imported again",
			f->im.params->store, lost);
	return 0;
}

int
sl_follow(const struct sl_import_params *params, struct sl_import_result *result, char *errbuf)
{
	struct follow f = {.im = {.params = params, .result = result, .errbuf = errbuf}, .inotify = -1};
	int ret;

	memset(result, 0, sizeof(*result));
	errbuf[0] = '\0';
	f.state.fd = -1;
	f.im.tick_ms = import_tick_ms(params->flush_interval);
	f.sources = calloc(params->file_count ? params->file_count : 1, sizeof(*f.sources));
	if (f.sources == NULL) {
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "no memory for %zu sources", params->file_count);
		return -ENOMEM;
	}
	f.source_count = params->file_count;
	ret = follow_name_sources(&f);
	if (ret == 0)
		ret = begin(&f);
	if (ret == -ECANCELED)
		ret = -ENOSPC;
	if (ret < 0)
		goto out;
	follow_watch(&f);
	follow_on(&f);
	follow_end_capture(&f);
	ret = f.im.failure;
	/* -EINVAL is kept for "nothing was touched". */
	if (ret == -EINVAL)
		ret = -EIO;
out:
	follow_unwatch(&f);
	for (size_t i = 0; i < f.source_count; i++) {
		follow_forget(&f, &f.sources[i]);
		reader_free(&f.sources[i].reader);
		free(f.sources[i].files);
		free(f.sources[i].buf);
	}
	follow_state_close(&f.state);
	free(f.sources);
	return ret;
}
