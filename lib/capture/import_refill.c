/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "import.h"

/* After a request to stop, a pipe is drained: its writer may be handing over its last packets at this moment. */
#define DRAIN_SILENCE_MS 300
#define DRAIN_AT_MOST (2 * SECOND_NS)
#define PROGRESS_NS (500 * MS_NS)

/* ---------------------------------------------------------------- time */

void
import_progress(struct import *im, const struct input *input, bool last)
{
	uint64_t now, done;
	double seconds;
	char part[64] = "";

	if (!im->params->progress)
		return;
	now = import_now_ns(CLOCK_MONOTONIC);
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
	uint64_t now = import_now_ns(CLOCK_MONOTONIC);
	int ret;

	if (!silent && now - im->last_idle < (uint64_t)im->tick_ms * MS_NS)
		return 0;
	im->last_idle = now;
	ret = sl_store_writer_idle(
		im->writer, silent && im->live ? import_now_ns(CLOCK_REALTIME) - CLOCK_MARGIN : 0, errbuf);
	return ret < 0 ? import_store_failed(im, ret, errbuf) : 0;
}

static void
judge_live(struct import *im)
{
	uint64_t now = import_now_ns(CLOCK_REALTIME);

	if (!im->fresh)
		return;
	im->fresh = false;
	im->live = import_is_live(im->newest, now);
}

/* ---------------------------------------------------------------- bytes */

static enum import_refill
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
		/* Asked once: a request that comes during the wait has its own silence to wait for. */
		const bool stopping = import_stopping(im);

		if (stopping) {
			uint64_t now = import_now_ns(CLOCK_MONOTONIC);

			if (!im->stop_since)
				im->stop_since = now;
			if (*im->params->stop > 1 || now - im->stop_since > DRAIN_AT_MOST)
				return REFILL_STOP;
		}
		n = source_wait(source, stopping ? DRAIN_SILENCE_MS : im->tick_ms);
		if (n == -EINTR)
			continue;
		if (n == 0 && stopping)
			return REFILL_STOP;
		if (n == 0) {
			import_progress(im, input, false);
			if (tick(im, between) < 0)
				return REFILL_FAILED;
			continue;
		}
		n = source_fill(source, input->reader.need);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0) {
			import_fail(im, (int)n, "%s: read at byte %" PRIu64 ": %s", source->label, input->reader.offset,
				strerror((int)-n));
			return REFILL_FAILED;
		}
		return n ? REFILL_DATA : REFILL_END;
	}
}

enum import_refill
import_refill(struct import *im, struct input *input)
{
	struct source *source = &input->source;
	ssize_t n;

	import_progress(im, input, false);
	if (input->stream)
		return refill_stream(im, input);
	do {
		if (import_stopping(im))
			return REFILL_STOP;
		n = source_fill(source, input->reader.need);
	} while (n == -EINTR);
	if (n < 0) {
		import_fail(im, (int)n, "%s: read at byte %" PRIu64 ": %s; the packets before it are kept",
			source->label, input->reader.offset, strerror((int)-n));
		return REFILL_FAILED;
	}
	return n ? REFILL_DATA : REFILL_END;
}
