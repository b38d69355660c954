/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice store export`: packets back as a nanosecond pcap file.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "progress.h"
#include "store_actions.h"

/* Packets in the range, in runs that lie side by side: whole chunks are one write. */
static bool
write_chunk(FILE *out, const struct sl_chunk *chunk, const struct store_options *o, uint64_t *packets)
{
	uint32_t i = 0, n = chunk->packets;

	if (chunk->min_ts >= o->from && chunk->max_ts < o->to) {
		*packets += n;
		return fwrite(chunk->base + chunk->records_off, 1, chunk->records_len, out) == chunk->records_len;
	}
	while (i < n) {
		const uint8_t *begin, *end;
		uint64_t ts = sl_record_ts(sl_chunk_record(chunk, i));

		if (ts < o->from || ts >= o->to) {
			i++;
			continue;
		}
		begin = (const uint8_t *)sl_chunk_record(chunk, i);
		do {
			i++;
			++*packets;
			ts = i < n ? sl_record_ts(sl_chunk_record(chunk, i)) : 0;
		} while (i < n && ts >= o->from && ts < o->to);
		end = i < n ? (const uint8_t *)sl_chunk_record(chunk, i)
			    : chunk->base + chunk->records_off + chunk->records_len;
		if (fwrite(begin, 1, (size_t)(end - begin), out) != (size_t)(end - begin))
			return false;
	}
	return true;
}

static int
export_chunks(struct sl_capture *capture, const struct store_options *o, FILE *out, void *buf)
{
	uint64_t first = sl_capture_first(capture), end = sl_capture_committed(capture), bad = 0, packets = 0;
	const struct sl_capture_info *info = sl_capture_info(capture);
	const struct store_pcap_header header = {
		STORE_PCAP_MAGIC, 2, 4, 0, 0, info->snap_len ? info->snap_len : STORE_SNAP_LEN, info->link_type};
	bool whole = o->from == 0 && o->to == UINT64_MAX;
	char progress[SL_CAPTURE_NAME_MAX + 8];
	int err = 0;

	snprintf(progress, sizeof(progress), "export %s", info->name);
	if (fwrite(&header, sizeof(header), 1, out) != 1)
		err = errno;
	for (uint64_t n = first; n < end && err == 0; n++) {
		struct sl_chunk chunk;
		int ret = 0;

		if (!whole) {
			ret = sl_capture_peek(capture, n, buf, &chunk);
			if (ret == 0 && (chunk.max_ts < o->from || chunk.min_ts >= o->to))
				continue;
		}
		if (ret == 0)
			ret = sl_capture_read(capture, n, buf, &chunk);
		if (ret == 0) {
			if (!write_chunk(out, &chunk, o, &packets))
				err = errno;
		} else {
			store_report_bad(capture, n, n, ret);
			bad++;
		}
		progress_show(progress, n + 1 - first, end - first);
	}
	if (fflush(out) != 0 && err == 0)
		err = errno;
	if (err != 0) {
		if (out == stdout)
			fprintf(stderr, "sluice store: standard output: %s\n", strerror(err));
		else
			fprintf(stderr, "sluice store: %s: %s; it holds only a part of the packets\n", o->output,
				strerror(err));
		return SL_EXIT_FAILED;
	}
	if (bad > 0)
		fprintf(stderr, "sluice store: %" PRIu64 " bad chunks were left out\n", bad);
	if (out != stdout)
		fprintf(stderr, "%s: %" PRIu64 " packets\n", o->output, packets);
	return bad > 0 ? SL_EXIT_FAILED : SL_EXIT_OK;
}

/* A capture's files would be cut to nothing before they are read. */
static bool
lies_in_capture(const char *output)
{
	char path[PATH_MAX + 16], *slash;

	/* Through links, if it is there; else its directory tells. */
	if (!realpath(output, path))
		snprintf(path, PATH_MAX, "%s", output);
	slash = strrchr(path, '/');
	snprintf(slash ? slash : path, 16, "%s", slash ? "/capture.json" : "capture.json");
	return access(path, F_OK) == 0;
}

int
store_export(const struct store_options *o)
{
	bool to_stdout = strcmp(o->output, "-") == 0;
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture *capture;
	FILE *out = stdout;
	int status;
	void *buf;

	if (to_stdout && isatty(STDOUT_FILENO))
		return store_refuse("standard output is a terminal; use -o FILE, or a pipe");
	if (!to_stdout && lies_in_capture(o->output)) {
		fprintf(stderr, "sluice store: %s: lies in the directory of a capture; write to another one\n",
			o->output);
		return SL_EXIT_REFUSED;
	}
	if (sl_capture_open(o->store, o->capture, &capture, errbuf) < 0)
		return store_refuse(errbuf);
	buf = store_chunk_buffer();
	if (!buf) {
		sl_capture_close(capture);
		return SL_EXIT_FAILED;
	}
	if (!to_stdout) {
		out = fopen(o->output, "we");
		if (!out) {
			fprintf(stderr, "sluice store: %s: %s\n", o->output, strerror(errno));
			free(buf);
			sl_capture_close(capture);
			return SL_EXIT_REFUSED;
		}
	}
	status = export_chunks(capture, o, out, buf);
	if (!to_stdout && fclose(out) != 0 && status == SL_EXIT_OK) {
		fprintf(stderr, "sluice store: %s: %s\n", o->output, strerror(errno));
		status = SL_EXIT_FAILED;
	}
	free(buf);
	sl_capture_close(capture);
	return status;
}
