/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reader.h"
#include "sl_capture.h"
#include "sl_store.h"
#include "source.h"
#include "survey.h"

#define IMPORT_ROOM (1u << 20)
#define SECOND_NS 1000000000ull
#define MS_NS 1000000ull

/*
 * While a live pipe is silent, time goes on all the same: readers of the store close their windows by the clock that we
 * pass on. It must not pass packets that are still under way. tcpdump and dumpcap let the kernel collect packets for up
 * to a second (libpcap's usual timeout) before they see them, and then need a moment to write them; hence 1.5 s.
 */
#define CLOCK_MARGIN (1500 * MS_NS)
/* A pipe is live if its packets are about as old as the wall clock when they come; a replayed file is not. */
#define LIVE_WITHIN (10 * SECOND_NS)
/* After a request to stop, a pipe is drained: its writer may be handing over its last packets at this moment. */
#define DRAIN_SILENCE_MS 300
#define DRAIN_AT_MOST (2 * SECOND_NS)
#define TICK_MAX_MS 250
#define PROGRESS_NS (500 * MS_NS)

struct import {
	const struct sl_import_params *params;
	struct sl_import_result *result;
	struct survey survey;
	struct input *inputs;
	struct sl_store_writer *writer;
	char *errbuf;
	int failure; /* first -errno */
	char store_error[SL_STORE_ERRBUF]; /* why the store took no more; store_errno 0: it did */
	int store_errno;

	/* the input at hand */
	uint64_t file_packets, over_snap, bad_times, too_large, no_times;
	uint64_t done_before; /* bytes of the inputs before it */
	uint64_t newest; /* time of the last packet */
	bool fresh, live;
	uint64_t stop_since;

	int tick_ms;
	uint64_t last_idle, last_progress, began;
};

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static void
say(void *ctx, const char *line)
{
	struct import *im = ctx;

	if (im->errbuf[0] == '\0')
		snprintf(im->errbuf, SL_CAPTURE_ERRBUF, "%s", line);
	if (im->params->report)
		im->params->report(im->params->report_ctx, line);
}

__attribute__((format(printf, 3, 4))) static void
fail(struct import *im, int error, const char *fmt, ...)
{
	char line[SL_CAPTURE_ERRBUF];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	say(im, line);
	if (!im->failure)
		im->failure = error;
}

__attribute__((format(printf, 2, 3))) static void
warn(struct import *im, const char *fmt, ...)
{
	char line[SL_CAPTURE_ERRBUF];
	va_list ap;

	if (!im->params->report)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	im->params->report(im->params->report_ctx, line);
}

static bool
stopping(const struct import *im)
{
	return im->params->stop && *im->params->stop;
}

/* ---------------------------------------------------------------- packets */

/* Said only when the capture is closed: then the store knows what reached the disk. */
static int
store_failed(struct import *im, int error, const char *errbuf)
{
	snprintf(im->store_error, sizeof(im->store_error), "%s", errbuf[0] ? errbuf : strerror(-error));
	im->result->incomplete = true;
	im->store_errno = error;
	return error;
}

/* @return 0, or -errno: the store takes no more */
static int
store_packet(struct import *im, const struct rd_packet *packet, uint32_t snap_len)
{
	struct sl_import_result *result = im->result;
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret;

	if (im->params->interface >= 0 && packet->interface != (uint32_t)im->params->interface)
		return 0;
	if (packet->dropped)
		sl_store_writer_drop(im->writer, packet->dropped);
	if (packet->bad_time) {
		sl_store_writer_drop(im->writer, 1);
		im->bad_times++;
		return 0;
	}
	ret = sl_store_writer_append(im->writer, packet->ts, packet->caplen, packet->len, (uint8_t)packet->interface,
		packet->flags, packet->data, errbuf);
	if (__builtin_expect(ret != 0, 0)) {
		if (ret == -EMSGSIZE) {
			im->too_large++;
			return 0;
		}
		if (ret == -ERANGE) {
			im->bad_times++;
			return 0;
		}
		return store_failed(im, ret, errbuf);
	}
	if (packet->caplen > snap_len)
		im->over_snap++;
	if (result->packets == 0 || packet->ts < result->first_ts)
		result->first_ts = packet->ts;
	if (packet->ts > result->last_ts)
		result->last_ts = packet->ts;
	result->packets++;
	result->bytes += packet->caplen;
	im->file_packets++;
	im->newest = packet->ts;
	im->fresh = true;
	return 0;
}

/* ---------------------------------------------------------------- time */

static void
progress(struct import *im, const struct input *input, bool last)
{
	uint64_t now, done;
	double seconds;
	char part[64] = "";

	if (!im->params->progress)
		return;
	now = now_ns(CLOCK_MONOTONIC);
	if (!last && now - im->last_progress < PROGRESS_NS)
		return;
	im->last_progress = now;
	done = im->done_before + (input ? input->reader.offset : 0);
	if (!im->survey.streams && done > im->survey.total)
		im->survey.total = done; /* a file that grows */
	seconds = (double)(now - im->began) / (double)SECOND_NS;
	if (!im->survey.streams && im->survey.total)
		snprintf(part, sizeof(part), "%3.0f %% of %.2f GB, ", 100.0 * (double)done / (double)im->survey.total,
			(double)im->survey.total / 1e9);
	fprintf(stderr, "\rimport: %s%.2f GB, %.0f MB/s, %" PRIu64 " packets\033[K%s", part, (double)done / 1e9,
		seconds > 0 ? (double)done / 1e6 / seconds : 0, im->result->packets, last ? "\r\033[K" : "");
	fflush(stderr);
}

/* Tell the store that time passes. @return 0 or -errno */
static int
tick(struct import *im, bool silent)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int ret;

	if (!silent && now - im->last_idle < (uint64_t)im->tick_ms * MS_NS)
		return 0;
	im->last_idle = now;
	ret = sl_store_writer_idle(im->writer, silent && im->live ? now_ns(CLOCK_REALTIME) - CLOCK_MARGIN : 0, errbuf);
	return ret < 0 ? store_failed(im, ret, errbuf) : 0;
}

static void
judge_live(struct import *im)
{
	uint64_t now = now_ns(CLOCK_REALTIME);

	if (!im->fresh)
		return;
	im->fresh = false;
	im->live = (now > im->newest ? now - im->newest : im->newest - now) <= LIVE_WITHIN;
}

/* ---------------------------------------------------------------- reading on */

enum refill { REFILL_DATA, REFILL_END, REFILL_STOP, REFILL_FAILED };

static enum refill
refill_stream(struct import *im, struct input *input)
{
	struct source *source = &input->source;
	/* Half a record at hand is a packet that is older than the silence: then the clock must wait. */
	const bool between = source_avail(source) == 0 && !input->reader.skip && !input->reader.block_len;
	ssize_t n;

	judge_live(im);
	if (tick(im, false) < 0)
		return REFILL_FAILED;
	for (;;) {
		if (stopping(im)) {
			uint64_t now = now_ns(CLOCK_MONOTONIC);

			if (!im->stop_since)
				im->stop_since = now;
			if (*im->params->stop > 1 || now - im->stop_since > DRAIN_AT_MOST)
				return REFILL_STOP;
		}
		n = source_wait(source, stopping(im) ? DRAIN_SILENCE_MS : im->tick_ms);
		if (n == -EINTR)
			continue;
		if (n == 0 && stopping(im))
			return REFILL_STOP;
		if (n == 0) {
			progress(im, input, false);
			if (tick(im, between) < 0)
				return REFILL_FAILED;
			continue;
		}
		n = source_fill(source, input->reader.need);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0) {
			fail(im, (int)n, "%s: read at byte %" PRIu64 ": %s", source->label, input->reader.offset,
				strerror((int)-n));
			return REFILL_FAILED;
		}
		return n ? REFILL_DATA : REFILL_END;
	}
}

static enum refill
refill(struct import *im, struct input *input)
{
	struct source *source = &input->source;
	ssize_t n;

	progress(im, input, false);
	if (input->stream)
		return refill_stream(im, input);
	do {
		if (stopping(im))
			return REFILL_STOP;
		n = source_fill(source, input->reader.need);
	} while (n == -EINTR);
	if (n < 0) {
		fail(im, (int)n, "%s: read at byte %" PRIu64 ": %s; the packets before it are kept", source->label,
			input->reader.offset, strerror((int)-n));
		return REFILL_FAILED;
	}
	return n ? REFILL_DATA : REFILL_END;
}

/* ---------------------------------------------------------------- one input */

static void
say_damage(struct import *im, const struct input *input)
{
	im->result->damaged++;
	fail(im, -EBADMSG, "%s: damaged at byte %" PRIu64 ": %s; whole packets before it, all kept: %" PRIu64,
		input->source.label, input->reader.error_offset, input->reader.error, im->file_packets);
}

/* The survey could not see this one: it came with a stream, or the file has changed since. */
static bool
fits(struct import *im, const struct input *input)
{
	const struct rd_interface *interface = reader_last_interface(&input->reader);
	char who[80], mine[96], theirs[96];

	if (im->params->interface >= 0 && reader_last_number(&input->reader) != (uint32_t)im->params->interface)
		return true;
	if (interface->link_type == im->survey.link_type)
		return true;
	fail(im, -EPROTOTYPE,
		"%s%s, described at byte %" PRIu64
		", has link type %s, but the capture has %s; stopped there, packets before it, all kept: %" PRIu64
		"; take one interface with --interface N",
		input->source.label, interface_text(&input->reader, who), input->reader.interface_offset,
		link_type_text(interface->link_type, mine), link_type_text(im->survey.link_type, theirs),
		im->file_packets);
	return false;
}

/* @return 0: go on with the next input (im->failure says whether this one was whole); -errno: end the import */
static int
import_input(struct import *im, struct input *input)
{
	struct source *source = &input->source;
	struct reader *reader = &input->reader;
	uint32_t snap_len = im->survey.snap_len;
	struct rd_packet packet;
	enum rd_event event;
	size_t used;
	int ret;

	if (input->pending) {
		input->pending = false;
		ret = store_packet(im, &input->packet, snap_len);
		if (ret < 0)
			return ret;
	}
	for (;;) {
		event = reader_next(reader, source->buf + source->pos, source_avail(source), &used, &packet);
		source->pos += used;
		if (__builtin_expect(event == RD_PACKET, 1)) {
			ret = store_packet(im, &packet, snap_len);
			if (ret < 0)
				return ret;
			continue;
		}
		if (event == RD_MORE) {
			switch (refill(im, input)) {
			case REFILL_DATA:
				continue;
			case REFILL_STOP:
				if (input->stream)
					return -ECANCELED; /* the normal end of a pipe; half a record is no damage */
				fail(im, -EINTR, "%s: stopped at byte %" PRIu64 "; the packets before it are kept",
					source->label, reader->offset);
				return -EINTR;
			case REFILL_FAILED:
				return im->store_errno;
			default:
				event = reader_end(reader, source_avail(source));
				if (event == RD_MORE)
					return 0;
			}
		}
		if (event == RD_TOO_LARGE) {
			sl_store_writer_drop(im->writer, 1);
			im->too_large++;
		} else if (event == RD_DAMAGE) {
			say_damage(im, input);
			return 0;
		} else if (event == RD_INTERFACE && !fits(im, input)) {
			return 0;
		} else if (reader->skip && !input->stream) {
			reader_skipped(reader, source_skip(source, reader->skip));
		}
	}
}

static int
import_each(struct import *im)
{
	char errbuf[SL_CAPTURE_ERRBUF];
	int ret;

	for (size_t i = 0; i < im->params->file_count; i++) {
		struct input *input = &im->inputs[i];

		if (!input->stream) {
			ret = source_open(&input->source, input->path, IMPORT_ROOM, errbuf);
			if (ret < 0) {
				fail(im, ret, "%s", errbuf);
				continue;
			}
			reader_init(&input->reader, false);
		}
		im->file_packets = im->over_snap = im->bad_times = im->too_large = 0;
		im->live = im->fresh = false;
		ret = import_input(im, input);
		im->result->too_large += im->too_large;
		im->result->bad_times += im->bad_times;
		if (im->too_large)
			fail(im, -EMSGSIZE, "%s: packets too large for a chunk of %u bytes, skipped: %" PRIu64,
				input->source.label, SL_CHUNK_SIZE, im->too_large);
		if (im->bad_times)
			fail(im, -ERANGE, "%s: packets with a time before 1970 or after 2106, skipped: %" PRIu64,
				input->source.label, im->bad_times);
		if (im->over_snap)
			warn(im,
				"%s: packets longer than the snapshot length %u that the files state, kept whole: "
				"%" PRIu64,
				input->source.label, im->survey.snap_len, im->over_snap);
		im->done_before += input->reader.offset;
		source_close(&input->source);
		reader_free(&input->reader);
		if (ret < 0)
			return ret == -ECANCELED ? 0 : ret;
	}
	return 0;
}

/* ---------------------------------------------------------------- all of it */

static void
describe_source(const struct sl_import_params *params, char source[1024])
{
	size_t n = 0;

	source[0] = '\0';
	for (size_t i = 0; i < params->file_count && n < 1000; i++)
		n += (size_t)snprintf(source + n, 1024 - n, "%s%s", i ? ", " : "",
			strcmp(params->files[i], "-") ? params->files[i] : "standard input");
}

static int
begin_capture(struct import *im)
{
	char source[1024], link_type[96], errbuf[SL_STORE_ERRBUF] = "";
	struct sl_store_writer_params params = {
		.store = im->params->store,
		.name = im->params->capture,
		.link_type = im->survey.link_type,
		.snap_len = im->survey.snap_len,
		.source = source,
		/* Only a pipe keeps anyone waiting; and so the chunks of a file do not depend on the time it took. */
		.flush_interval = im->survey.streams ? im->params->flush_interval : 0,
	};
	int ret;

	describe_source(im->params, source);
	if (!link_type_known(im->survey.link_type))
		warn(im, "link type %s is not known to libpcap; it is kept as it is, but few filters will compile",
			link_type_text(im->survey.link_type, link_type));
	ret = sl_store_writer_create(&params, &im->writer, errbuf);
	if (ret < 0) {
		fail(im, ret, "%s", errbuf[0] ? errbuf : strerror(-ret));
		/* A name that is taken or no name at all: refused, and nothing was touched. */
		if (ret == -EEXIST || ret == -EBUSY)
			im->failure = -EINVAL;
		return im->failure;
	}
	snprintf(im->result->capture, sizeof(im->result->capture), "%s", sl_store_writer_info(im->writer)->name);
	return 0;
}

/* @return 0, or -errno: the store failed now or before */
static int
close_capture(struct import *im)
{
	char errbuf[SL_STORE_ERRBUF] = "";
	int ret = sl_store_writer_close(im->writer, errbuf);

	/* The writer's last word has the first error in it. */
	if (ret < 0)
		store_failed(im, ret, errbuf);
	if (im->store_errno)
		fail(im, im->store_errno, "%s", im->store_error);
	return im->store_errno;
}

int
sl_import(const struct sl_import_params *params, struct sl_import_result *result, char *errbuf)
{
	struct import im = {.params = params, .result = result, .errbuf = errbuf};
	int ret;

	memset(result, 0, sizeof(*result));
	errbuf[0] = '\0';
	im.inputs = calloc(params->file_count ? params->file_count : 1, sizeof(*im.inputs));
	if (im.inputs == NULL) {
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "no memory for %zu files", params->file_count);
		return -ENOMEM;
	}
	for (size_t i = 0; i < params->file_count; i++)
		im.inputs[i].source.fd = -1;
	im.tick_ms = TICK_MAX_MS;
	if (params->flush_interval && params->flush_interval / 4 / MS_NS < TICK_MAX_MS)
		im.tick_ms = params->flush_interval / 4 / MS_NS > 10 ? (int)(params->flush_interval / 4 / MS_NS) : 10;

	ret = survey_inputs(params, im.inputs, &im.survey, say, &im);
	if (ret == -EINTR && im.survey.streams) {
		warn(&im, "stopped before the pipe's header came; no capture was made");
		ret = 0;
		goto out;
	}
	if (ret == -EINTR)
		fail(&im, ret, "stopped before anything was imported");
	if (ret < 0)
		goto out;
	ret = begin_capture(&im);
	if (ret < 0)
		goto out;
	im.began = now_ns(CLOCK_MONOTONIC);
	import_each(&im);
	progress(&im, NULL, true);
	ret = close_capture(&im);
	if (ret == -ENOSPC && !im.survey.streams)
		warn(&im, "the files have %" PRIu64 " bytes and need about as much space in the store",
			im.survey.total);
	ret = im.failure;
	/* -EINVAL is kept for "nothing was touched". */
	if (ret == -EINVAL)
		ret = -EIO;
out:
	for (size_t i = 0; i < params->file_count; i++) {
		source_close(&im.inputs[i].source);
		reader_free(&im.inputs[i].reader);
	}
	free(im.inputs);
	return ret;
}
