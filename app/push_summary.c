/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "push_summary.h"
#include "sl_store.h"

#define RATE_FROM_S 0.001 /* of less, most lies in the slots still: no rate can be told */

static void
print_lcores(const struct push_summary *s, FILE *out)
{
	char map[2048];

	/* A map that was chosen can be asked for by this. */
	push_map_format(s->map, map, sizeof(map));
	fprintf(out, "map: %s\nlcores busy:", map);
	for (unsigned int i = 0; i < s->map->count; i++) {
		double busy = (double)s->lcores[i]->busy_cycles, idle = (double)s->lcores[i]->idle_cycles;

		fprintf(out, " %s %.0f %%", s->lcores[i]->name, busy + idle > 0 ? 100 * busy / (busy + idle) : 0);
	}
	fprintf(out, "\n");
}

static void
print_stages(const struct push_summary *s, FILE *out)
{
	struct push_stage_account accounts[PUSH_STAGES];

	push_account(s->map, s->lcores, s->pipeline, &s->begun, accounts);
	fprintf(out, "stages:");
	for (unsigned int i = 0; i < PUSH_STAGES; i++)
		fprintf(out, "%s %s %.1f ns/packet, %.1f us/chunk, busy %.3f s, idle polls %.3f s", i ? ";" : "",
			accounts[i].name, accounts[i].ns_per_packet, accounts[i].ns_per_chunk / 1e3,
			(double)accounts[i].busy_ns / 1e9, (double)accounts[i].idle_ns / 1e9);
	fprintf(out, "\n");
}

/* The ends of a run, apart from its steady state. */
static void
print_ends(const struct push_summary *s, FILE *out)
{
	uint64_t now = push_moment_now().ns, from = s->stopping_ns;
	struct sl_pipeline_stats stats;

	sl_pipeline_get_stats(s->pipeline, &stats);
	if (!stats.first_dispatch_ns)
		return;
	if (!from)
		from = stats.last_dispatch_ns;
	fprintf(out, "start to first dispatch %.3f s, %s to end %.3f s\n",
		(double)(stats.first_dispatch_ns - s->begun.ns) / 1e9, s->stopping_ns ? "signal" : "last dispatch",
		(double)(now - from) / 1e9);
}

static void
print_read(const struct push_summary *s, FILE *out)
{
	struct sl_pipeline_stats stats;
	double seconds;

	sl_pipeline_get_stats(s->pipeline, &stats);
	seconds = (double)(stats.last_dispatch_ns - stats.first_dispatch_ns) / 1e9;
	fprintf(out, "read: %" PRIu64 " packets, %" PRIu64 " bytes in %" PRIu64 " chunks", stats.packets, stats.bytes,
		stats.chunks);
	if (seconds > 0)
		fprintf(out, ", first to last dispatch %.3f s", seconds);
	if (seconds >= RATE_FROM_S)
		fprintf(out, ", %.3f GB/s", (double)stats.bytes / seconds / 1e9);
	if (stats.bad_chunks)
		fprintf(out, ", %" PRIu64 " damaged or missing chunks passed over", stats.bad_chunks);
	if (stats.catchup_chunks)
		fprintf(out, ", %" PRIu64 " chunks read again for targets that had to wait", stats.catchup_chunks);
	fprintf(out, "\n");
}

/* What happened to a target besides its packets. */
static void
print_incidents(const char *desc, const struct sl_target_stats *stats, FILE *out)
{
	char begin[SL_TIME_SIZE] = "an unknown time", end[SL_TIME_SIZE] = "the end";

	if (stats->parks)
		fprintf(out, "target \"%s\": parked %" PRIu64 " time%s, %.1f s in all%s\n", desc, stats->parks,
			stats->parks == 1 ? "" : "s", (double)stats->parked_ns / 1e9,
			stats->parked        ? ", and still is"
			: stats->catching_up ? ", and has not caught up"
			: stats->gave_up     ? ""
					     : "; the others went on, and it caught up");
	if (!stats->gaps)
		return;
	if (stats->gap_begin)
		sl_time_format_utc(stats->gap_begin, begin);
	if (stats->gap_end)
		sl_time_format_utc(stats->gap_end, end);
	fprintf(out,
		"target \"%s\": %" PRIu64 " gap%s: %" PRIu64
		" chunks were no longer in the store; the newest between %s and %s\n",
		desc, stats->gaps, stats->gaps == 1 ? "" : "s", stats->gap_chunks, begin, end);
}

void
push_summary_print(const struct push_summary *s, FILE *out)
{
	struct sl_target_stats *stats = calloc(1, sizeof(*stats));
	uint64_t renamed = 0;
	char *example = NULL;
	size_t width = 6;

	if (!stats)
		return;
	for (size_t t = 0; t < sl_config_targets(s->config); t++) {
		size_t len = strlen(sl_config_target(s->config, t)->desc);

		if (len > width)
			width = len < 48 ? len : 48;
	}
	fprintf(out, "%-*s %12s %15s %8s %8s%s\n", (int)width, "target", "packets", "bytes", "files", "late",
		s->crc ? "   crc-32" : "");
	for (size_t t = 0; t < sl_config_targets(s->config); t++) {
		sl_writers_target_stats(s->writers, (unsigned int)t, stats);
		fprintf(out, "%-*s %12" PRIu64 " %15" PRIu64 " %8" PRIu64 " %8" PRIu64, (int)width,
			sl_config_target(s->config, t)->desc, stats->packets, stats->bytes, stats->files, stats->late);
		if (s->crc)
			fprintf(out, " %08" PRIx32, stats->crc);
		fprintf(out, "\n");
		renamed += stats->renamed;
		if (stats->example_renamed[0] && !example)
			example = strdup(stats->example_renamed);
	}
	for (size_t t = 0; t < sl_config_targets(s->config); t++) {
		sl_writers_target_stats(s->writers, (unsigned int)t, stats);
		print_incidents(sl_config_target(s->config, t)->desc, stats, out);
	}
	if (renamed)
		fprintf(out, "%" PRIu64 " files already existed; written as _1 (such as %s)\n", renamed,
			example ? example : "");
	print_read(s, out);
	print_ends(s, out);
	print_lcores(s, out);
	print_stages(s, out);
	free(example);
	free(stats);
}

uint64_t
push_summary_bad_chunks(const struct push_summary *s, FILE *err)
{
	struct sl_pipeline_stats stats;

	sl_pipeline_get_stats(s->pipeline, &stats);
	if (stats.bad_chunks)
		fprintf(err,
			"sluice push: %" PRIu64
			" damaged or missing chunks were passed over: the files lack their packets\n",
			stats.bad_chunks);
	return stats.bad_chunks;
}

static const char *
failure_text(int error)
{
	return error ? sl_writer_error_text(error) : "not finished in time";
}

unsigned int
push_summary_failures(const struct push_summary *s, FILE *err)
{
	struct sl_target_stats *stats = calloc(1, sizeof(*stats));
	unsigned int failures = 0, left;

	if (!stats) {
		fprintf(err, "sluice push: out of memory\n");
		return 1;
	}
	for (size_t t = 0; t < sl_config_targets(s->config); t++) {
		sl_writers_target_stats(s->writers, (unsigned int)t, stats);
		if (!stats->failing && !stats->gave_up)
			continue;
		failures++;
		fprintf(err, "sluice push: target \"%s\": %s: %s; not published from ",
			sl_config_target(s->config, t)->desc, stats->error_path, failure_text(stats->error));
		if (stats->first_unpublished_ts) {
			char when[SL_TIME_SIZE];

			sl_time_format(stats->first_unpublished_ts, when);
			fprintf(err, "packet time %" PRIu64 ".%09" PRIu64 " (%s) on",
				stats->first_unpublished_ts / 1000000000, stats->first_unpublished_ts % 1000000000,
				when);
		} else {
			fprintf(err, "its start on");
		}
		fprintf(err, "; mend that and run the same command again%s\n",
			s->journal ? " with the same --state-dir"
				   : ", which pushes all packets again: without --state-dir nothing remembers them");
	}
	free(stats);
	left = sl_writers_left_behind(s->writers);
	if (left > 0)
		fprintf(err,
			"sluice push: %u target%s that a reload had removed or changed could not publish all of %s "
			"packets; "
			"%s\n",
			left, left == 1 ? "" : "s", left == 1 ? "its" : "their",
			s->journal ? "a configuration that has the name again goes on there, with the same --state-dir"
				   : "without --state-dir nothing remembers them");
	return failures + left;
}
