/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <inttypes.h>

#include "push_verdicts.h"

static void
add_stream(void *ctx, const struct sl_stream *stream)
{
	struct sl_filter_stats *sum = ctx, one;

	sl_filter_get_stats(stream->filters, &one);
	if (one.cached_programs > sum->cached_programs) {
		sum->cached_programs = one.cached_programs;
		sum->units = one.units;
	}
	sum->packets += one.packets;
	sum->misses += one.misses;
	sum->direct += one.direct;
	sum->beyond += one.beyond;
	sum->left_out += one.left_out;
	sum->forgotten += one.forgotten;
}

void
push_verdicts_print(struct push_streams *streams, FILE *out)
{
	struct sl_filter_stats sum = {0};

	push_streams_each(streams, add_stream, &sum);
	if (sum.cached_programs == 0)
		return;
	fprintf(out,
		"verdict cache: %" PRIu32 " filters (%" PRIu32 " to run), %" PRIu64 " packets: %" PRIu64
		" missed, %" PRIu64 " by running the filters",
		sum.cached_programs, sum.units, sum.packets, sum.misses, sum.direct);
	if (sum.beyond)
		fprintf(out, "; %" PRIu64 " decided by bytes behind the first %u", sum.beyond, SL_FILTER_KEY_BYTES);
	if (sum.left_out)
		fprintf(out, "; %" PRIu32 " filters left out, whose bytes hardly ever come again", sum.left_out);
	if (sum.forgotten)
		fprintf(out, "; begun anew %" PRIu64 " times", sum.forgotten);
	fprintf(out, "\n");
}
