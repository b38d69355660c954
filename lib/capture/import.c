/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

#define IMPORT_ROOM (1u << 20)
#define TICK_MAX_MS 250

uint64_t
import_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

int
import_tick_ms(uint64_t flush_interval)
{
	uint64_t quarter = flush_interval / 4 / MS_NS;

	if (flush_interval == 0 || quarter >= TICK_MAX_MS)
		return TICK_MAX_MS;
	return quarter > 10 ? (int)quarter : 10;
}

void
import_say(void *ctx, const char *line)
{
	struct import *im = ctx;

	if (im->errbuf[0] == '\0')
		snprintf(im->errbuf, SL_CAPTURE_ERRBUF, "%s", line);
	if (im->params->report)
		im->params->report(im->params->report_ctx, line);
}

void
import_fail(struct import *im, int error, const char *fmt, ...)
{
	char line[SL_CAPTURE_ERRBUF];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	import_say(im, line);
	if (!im->failure)
		im->failure = error;
}

void
import_warn(struct import *im, const char *fmt, ...)
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

bool
import_stopping(const struct import *im)
{
	return im->params->stop && *im->params->stop;
}

int
import_store_failed(struct import *im, int error, const char *errbuf)
{
	snprintf(im->store_error, sizeof(im->store_error), "%s", errbuf[0] ? errbuf : strerror(-error));
	im->result->incomplete = true;
	im->store_errno = error;
	return error;
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
				import_fail(im, ret, "%s", errbuf);
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
			import_fail(im, -EMSGSIZE, "%s: packets too large for a chunk of %u bytes, skipped: %" PRIu64,
				input->source.label, SL_CHUNK_SIZE, im->too_large);
		if (im->bad_times)
			import_fail(im, -ERANGE, "%s: packets with a time before 1970 or after 2106, skipped: %" PRIu64,
				input->source.label, im->bad_times);
		if (im->over_snap)
			import_warn(im,
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

void
import_describe(const struct sl_import_params *params, char source[1024])
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

	import_describe(im->params, source);
	if (!link_type_known(im->survey.link_type))
		import_warn(im,
			"link type %s is not known to libpcap; it is kept as it is, but few filters will compile",
			link_type_text(im->survey.link_type, link_type));
	ret = sl_store_writer_create(&params, &im->writer, errbuf);
	if (ret < 0) {
		import_fail(im, ret, "%s", errbuf[0] ? errbuf : strerror(-ret));
		/* A name that is taken, no name at all, a store that is not ours: refused, and nothing was touched. */
		if (ret == -EEXIST || ret == -EBUSY || ret == -EACCES || ret == -EPERM || ret == -EROFS)
			im->failure = -EINVAL;
		return im->failure;
	}
	snprintf(im->result->capture, sizeof(im->result->capture), "%s", sl_store_writer_info(im->writer)->name);
	im->result->captures++;
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
		import_store_failed(im, ret, errbuf);
	if (im->store_errno)
		import_fail(im, im->store_errno, "%s", im->store_error);
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
	im.tick_ms = import_tick_ms(params->flush_interval);

	ret = survey_inputs(params, im.inputs, &im.survey, import_say, &im);
	if (ret == -EINTR && im.survey.streams) {
		import_warn(&im, "stopped before the pipe's header came; no capture was made");
		ret = 0;
		goto out;
	}
	if (ret == -EINTR)
		import_fail(&im, ret, "stopped before anything was imported");
	if (ret < 0)
		goto out;
	ret = begin_capture(&im);
	if (ret < 0)
		goto out;
	im.began = import_now_ns(CLOCK_MONOTONIC);
	import_each(&im);
	import_progress(&im, NULL, true);
	ret = close_capture(&im);
	if (ret == -ENOSPC && !im.survey.streams)
		import_warn(&im, "the files have %" PRIu64 " bytes and need about as much space in the store",
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
