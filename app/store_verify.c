/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice store verify`: every chunk is read and checked.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "app.h"
#include "progress.h"
#include "store_actions.h"

/* A missing segment is one line, not 1024; other bad chunks get a line each. */
struct bad_run {
	uint64_t first, last, count;
	int err;
	bool open;
};

static void
end_bad_run(const struct sl_capture *capture, struct bad_run *run)
{
	if (run->open)
		store_report_bad(capture, run->first, run->last, run->err);
	run->open = false;
}

static void
add_bad(const struct sl_capture *capture, struct bad_run *run, uint64_t number, int err)
{
	run->count++;
	if (run->open && err == -ENOENT && run->err == -ENOENT && number == run->last + 1 &&
		number % SL_SEGMENT_CHUNKS != 0) {
		run->last = number;
		return;
	}
	end_bad_run(capture, run);
	run->first = run->last = number;
	run->err = err;
	run->open = true;
}

/* @return bad chunks, and one more for a bad head */
static uint64_t
verify_capture(const char *store, struct sl_capture *capture, void *buf)
{
	const char *name = sl_capture_info(capture)->name;
	uint64_t first = sl_capture_first(capture), end = sl_capture_committed(capture), packets = 0;
	struct bad_run run = {0};
	char progress[SL_CAPTURE_NAME_MAX + 8];
	struct sl_chunk chunk;

	snprintf(progress, sizeof(progress), "verify %s", name);
	/* Chunks that are missing at the end cannot be told without it. */
	if (sl_capture_head_damaged(capture)) {
		fprintf(stderr,
			"sluice store: %s/%s/head: missing or damaged; where the capture ends was found from its "
			"segments, and "
			"the next capture that begins in this store repairs it\n",
			store, name);
		run.count++;
	}
	for (uint64_t n = first; n < end; n++) {
		int ret = sl_capture_read(capture, n, buf, &chunk);

		/* Retention took it while we came: that is no damage. */
		if (ret < 0 && n < sl_capture_first(capture))
			continue;
		if (ret < 0)
			add_bad(capture, &run, n, ret);
		else {
			end_bad_run(capture, &run);
			packets += chunk.packets;
		}
		progress_show(progress, n + 1 - first, end - first);
	}
	end_bad_run(capture, &run);
	printf("%s: %s, %" PRIu64 " chunks, %" PRIu64 " packets, %" PRIu64 " bad\n", name,
		store_state_name(sl_capture_state(capture)), end - first, packets, run.count);
	return run.count;
}

static int
verify_named(const struct store_options *o, const char *name, void *buf, bool *bad)
{
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture *capture;
	int ret;

	ret = sl_capture_open(o->store, name, &capture, errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		return ret;
	}
	if (verify_capture(o->store, capture, buf) > 0)
		*bad = true;
	sl_capture_close(capture);
	return 0;
}

int
store_verify(const struct store_options *o)
{
	struct sl_capture_info *infos = NULL;
	char errbuf[SL_STORE_ERRBUF];
	bool bad = false;
	size_t count = 0;
	void *buf;

	buf = store_chunk_buffer();
	if (!buf)
		return SL_EXIT_FAILED;
	if (o->capture) {
		int ret = verify_named(o, o->capture, buf, &bad);

		free(buf);
		return ret < 0 ? SL_EXIT_REFUSED : bad ? SL_EXIT_FAILED : SL_EXIT_OK;
	}
	if (sl_store_list(o->store, &infos, &count, errbuf) < 0) {
		free(buf);
		return store_refuse(errbuf);
	}
	if (errbuf[0]) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		bad = true;
	}
	for (size_t i = 0; i < count; i++)
		if (verify_named(o, infos[i].name, buf, &bad) < 0)
			bad = true;
	free(infos);
	free(buf);
	return bad ? SL_EXIT_FAILED : SL_EXIT_OK;
}
