/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Where `sluice push --once` begins and ends: the active capture as it is now or, with --from and --to, the captures
 * that may hold packets of that time.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "push.h"

/* May a closed capture hold packets of the range? Its own sums tell without a look at its chunks. */
static bool
may_hold(const struct push_options *o, struct sl_capture *capture)
{
	struct sl_capture_totals totals;

	if (sl_capture_state(capture) != SL_CAPTURE_CLOSED || sl_capture_sum(capture, &totals) != 0)
		return true;
	return totals.packets > 0 && totals.max_ts >= o->from && totals.min_ts < o->to;
}

/* Widen the range by an earlier capture. @return -1: go on; else the exit status, after a message */
static int
add_capture(struct push *push, const struct sl_capture_info *info)
{
	const struct push_options *o = &push->options;
	char errbuf[PUSH_ERRBUF];
	struct sl_capture *capture;
	uint64_t first, end;
	int rc = sl_capture_open(o->store, info->name, &capture, errbuf);

	if (rc)
		goto err;
	first = end = 0;
	if (may_hold(o, capture))
		rc = sl_capture_find(capture, o->from, o->to, &first, &end);
	if (rc || first == end) {
		sl_capture_close(capture);
		if (rc == 0)
			return -1;
		snprintf(errbuf, sizeof(errbuf), "%s: %s", info->name, strerror(-rc));
		goto err;
	}
	/* Of the captures in time order, the newest that has something comes first. */
	if (push->end.chunk == push->start.chunk && push->end.sequence == push->start.sequence)
		push->end = (struct sl_position){.sequence = info->sequence, .chunk = end};
	push->start = (struct sl_position){.sequence = info->sequence, .chunk = first};
	/* Opened now: a filter that means nothing for its link type is refused before anything is touched. */
	rc = push_check_filters(push, capture);
	if (rc >= 0) {
		sl_capture_close(capture);
		return rc;
	}
	if (push_streams_add(push->streams, capture, errbuf))
		return -1;
err:
	fprintf(stderr, "sluice push: %s\n", errbuf);
	return SL_EXIT_REFUSED;
}

int
push_find_range(struct push *push)
{
	const struct push_options *o = &push->options;
	uint64_t sequence = sl_capture_info(push->first)->sequence;
	char errbuf[PUSH_ERRBUF] = "";
	struct sl_capture_info *infos;
	int status = -1, rc;
	size_t count;

	push->start.sequence = push->end.sequence = sequence;
	rc = sl_capture_find(push->first, o->from, o->to, &push->start.chunk, &push->end.chunk);
	if (rc) {
		fprintf(stderr, "sluice push: %s\n", strerror(-rc));
		return SL_EXIT_FAILED;
	}
	if (o->capture || (o->from == 0 && o->to == UINT64_MAX))
		return -1;
	rc = sl_store_list(o->store, &infos, &count, errbuf);
	if (errbuf[0])
		fprintf(stderr, "sluice push: %s\n", errbuf);
	if (rc)
		return SL_EXIT_REFUSED;
	for (size_t i = count; i > 0 && status < 0; i--)
		if (infos[i - 1].sequence < sequence)
			status = add_capture(push, &infos[i - 1]);
	free(infos);
	if (status < 0 && push->start.sequence == push->end.sequence && push->start.chunk == push->end.chunk)
		fprintf(stderr, "sluice push: %s has no packets of that time\n", o->store);
	return status;
}
