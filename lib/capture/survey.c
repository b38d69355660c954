/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "survey.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * Buffers: small for the survey, which often jumps from block to block; 1 MiB to import, since larger ones fall out of
 * the second-level cache between the read and the copy into a chunk.
 */
#define SURVEY_ROOM (256u << 10)
#define WAIT_MS 250

struct view {
	const struct sl_import_params *params;
	struct survey *survey;
	void (*complain)(void *ctx, const char *line);
	void *ctx;
	bool refused;
	time_t last_progress;
};

__attribute__((format(printf, 2, 3))) static void
refuse(struct view *view, const char *fmt, ...)
{
	char line[SL_CAPTURE_ERRBUF];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	view->complain(view->ctx, line);
	view->refused = true;
}

const char *
interface_text(const struct reader *reader, char text[80])
{
	const struct rd_interface *interface = reader_last_interface(reader);

	if (reader->format != RD_PCAPNG)
		text[0] = '\0';
	else if (interface->name[0])
		snprintf(text, 80, ": interface %u (%s)", reader_last_number(reader), interface->name);
	else
		snprintf(text, 80, ": interface %u", reader_last_number(reader));
	return text;
}

/* An interface was described. @return true: it is one that is to be imported */
static bool
take_interface(struct view *view, const struct input *input)
{
	const struct rd_interface *interface = reader_last_interface(&input->reader);
	struct survey *survey = view->survey;
	char who[80], mine[96], theirs[96];
	uint32_t snap_len;

	/* Which ports an FMADIO stream has nobody knows before its end. */
	if (view->params->interface >= 0 && input->reader.format != RD_FMADIO &&
		reader_last_number(&input->reader) != (uint32_t)view->params->interface)
		return false;
	interface_text(&input->reader, who);
	if (!survey->have_link_type) {
		survey->have_link_type = true;
		survey->link_type = interface->link_type;
		snprintf(survey->first, sizeof(survey->first), "%.200s%s", input->source.label, who);
	} else if (survey->link_type != interface->link_type) {
		refuse(view, "%s%s has link type %s, but %s has %s; a capture has one link type: %s",
			input->source.label, who, link_type_text(interface->link_type, mine), survey->first,
			link_type_text(survey->link_type, theirs),
			input->reader.format == RD_PCAPNG ? "take one interface with --interface N"
							  : "import the files separately");
	}
	snap_len = interface->snap_len ? interface->snap_len : SURVEY_SNAP_LEN;
	if (snap_len > survey->snap_len)
		survey->snap_len = snap_len;
	return true;
}

static void
refuse_unread(struct view *view, const struct input *input)
{
	const struct reader *reader = &input->reader;

	if (reader->decompressor)
		refuse(view, "%s: %s; decompress it on the way in: %s%s%s | sluice import --store %s -",
			input->source.label, reader->error, reader->decompressor, input->source.own ? " " : "",
			input->source.own ? input->path : "", view->params->store);
	else if (reader->format == RD_PCAPNG || reader->error_offset)
		refuse(view, "%s: damaged at byte %llu: %s", input->source.label,
			(unsigned long long)reader->error_offset, reader->error);
	else
		refuse(view, "%s: %s", input->source.label, reader->error);
}

static void
refuse_missing(struct view *view, const struct input *input, uint32_t interfaces)
{
	if (view->params->interface < 0)
		refuse(view, "%s: no interface is described in it, so its link type is not known", input->source.label);
	else
		refuse(view, "%s: has no interface %d (--interface); it has %u, counted from 0", input->source.label,
			view->params->interface, interfaces);
}

/* Many gigabytes of pcapng are looked through twice: say which of the two it is. */
static void
progress(struct view *view, const struct input *input)
{
	struct timespec now;

	if (!view->params->progress || input->source.size == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == view->last_progress)
		return;
	view->last_progress = now.tv_sec;
	fprintf(stderr, "\rimport: looking through %s: %.0f %%\033[K\r", input->source.label,
		100.0 * (double)input->reader.offset / (double)input->source.size);
	fflush(stderr);
}

/* All interfaces of a regular file. */
static int
survey_file(struct view *view, struct input *input)
{
	struct source *source = &input->source;
	struct reader *reader = &input->reader;
	struct rd_packet packet;
	uint32_t interfaces = 0;
	bool taken = false;
	size_t used;
	ssize_t n;

	for (;;) {
		switch (reader_next(reader, source->buf + source->pos, source_avail(source), &used, &packet)) {
		case RD_MORE:
			if (view->params->stop && *view->params->stop)
				return -EINTR;
			progress(view, input);
			n = source_fill(source, reader->need);
			if (n == -EINTR)
				continue;
			if (n < 0) {
				refuse(view, "%s: read at byte %llu: %s", source->label,
					(unsigned long long)reader->offset, strerror((int)-n));
				return 0;
			}
			if (source_avail(source) >= reader->need)
				continue;
			/* Cut short further on is for the import to say, after it has taken what is whole. */
			if (reader_end(reader, source_avail(source)) == RD_DAMAGE && !interfaces)
				refuse_unread(view, input);
			else if (!taken)
				refuse_missing(view, input, interfaces);
			return 0;
		case RD_INTERFACE:
			interfaces++;
			taken |= take_interface(view, input);
			source->pos += used;
			if (reader->format == RD_PCAPNG)
				continue;
			if (!taken)
				refuse_missing(view, input, interfaces);
			return 0;
		case RD_DAMAGE:
			if (!interfaces)
				refuse_unread(view, input);
			else if (!taken)
				refuse_missing(view, input, interfaces);
			return 0;
		default:
			source->pos += used;
			if (reader->skip)
				reader_skipped(reader, source_skip(source, reader->skip));
			/* A block that goes on past the end of the file: nothing more can come. */
			if (reader->skip && !taken)
				refuse_missing(view, input, interfaces);
			if (reader->skip)
				return 0;
		}
	}
}

/* A stream up to its first packet, but without waiting for one. */
static int
survey_stream(struct view *view, struct input *input)
{
	struct source *source = &input->source;
	struct reader *reader = &input->reader;
	uint32_t interfaces = 0;
	bool taken = false;
	size_t used;
	ssize_t n;

	for (;;) {
		switch (reader_next(reader, source->buf + source->pos, source_avail(source), &used, &input->packet)) {
		case RD_MORE:
			if (taken)
				return 0;
			if (view->params->stop && *view->params->stop)
				return -EINTR;
			n = source_wait(source, WAIT_MS);
			if (n == 0 || n == -EINTR)
				continue;
			n = source_fill(source, reader->need);
			if (n > 0 || n == -EINTR || n == -EAGAIN)
				continue;
			if (n < 0) {
				refuse(view, "%s: %s", source->label, strerror((int)-n));
				return 0;
			}
			if (reader_end(reader, source_avail(source)) == RD_DAMAGE && !interfaces)
				refuse_unread(view, input);
			else
				refuse_missing(view, input, interfaces);
			return 0;
		case RD_INTERFACE:
			interfaces++;
			taken |= take_interface(view, input);
			source->pos += used;
			continue;
		case RD_DAMAGE:
			if (!interfaces)
				refuse_unread(view, input);
			else if (!taken)
				refuse_missing(view, input, interfaces);
			return 0;
		case RD_PACKET:
			source->pos += used;
			if (!taken)
				continue;
			input->pending = true;
			return 0;
		default:
			source->pos += used;
		}
	}
}

int
survey_inputs(const struct sl_import_params *params, struct input *inputs, struct survey *survey,
	void (*complain)(void *ctx, const char *line), void *ctx)
{
	struct view view = {.params = params, .survey = survey, .complain = complain, .ctx = ctx};
	char errbuf[SL_CAPTURE_ERRBUF];
	bool have_stdin = false;
	int ret;

	memset(survey, 0, sizeof(*survey));
	for (size_t i = 0; i < params->file_count; i++) {
		struct input *input = &inputs[i];

		if (!strcmp(params->files[i], "-")) {
			if (have_stdin) {
				refuse(&view, "standard input (-) can be given once");
				continue;
			}
			have_stdin = true;
		}
		input->path = params->files[i];
		ret = source_open(&input->source, input->path, SURVEY_ROOM, errbuf);
		if (ret == -EINTR) {
			survey->streams = true; /* only to open a FIFO takes time */
			return ret;
		}
		if (ret < 0) {
			refuse(&view, "%s", errbuf);
			continue;
		}
		input->stream = !input->source.regular;
		reader_init(&input->reader, !input->stream);
		survey->streams |= input->stream;
		survey->total += input->source.size;
		ret = input->stream ? survey_stream(&view, input) : survey_file(&view, input);
		if (ret < 0)
			return ret;
		if (input->stream)
			continue;
		/* Many files may be given: none stays open but standard input, which is left as it was found. */
		ret = source_rewind(&input->source);
		if (ret < 0)
			refuse(&view, "%s: cannot be read twice: %s", input->source.label, strerror(-ret));
		source_close(&input->source);
		reader_free(&input->reader);
	}
	return view.refused ? -EINVAL : 0;
}
