/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "sl_store.h"

#define PCAP_NSEC_MAGIC 0xa1b23c4du
#define DEFAULT_SNAP_LEN 262144u
#define PROGRESS_INTERVAL_MS 200

struct options {
	const char *store;
	const char *capture; /* NULL: the active one */
	const char *output;
	uint64_t from, to; /* ns, half-open */
};

/* As it lies at the start of a nanosecond pcap file, host byte order (draft-ietf-opsawg-pcap). */
struct pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs;
	uint32_t snap_len;
	uint32_t link_type;
};

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice store ls     [--store DIR]\n"
		"       sluice store info   [--store DIR] [NAME]\n"
		"       sluice store verify [--store DIR] [NAME]\n"
		"       sluice store export [--store DIR] [--capture NAME] [--from T] [--to T] [-o FILE]\n\n"
		"  ls       the captures of a store; * marks the active one\n"
		"  info     all that is known about one capture\n"
		"  verify   read every chunk and check it; without NAME, of every capture\n"
		"  export   write packets as a nanosecond pcap file\n\n"
		"  -s, --store DIR       the capture store; default %s\n"
		"  -c, --capture NAME    a capture; default: the active one\n"
		"      --from T          packets of this time and later\n"
		"      --to T            packets before this time\n"
		"  -o, --output FILE     the file to write; - is standard output, the default\n"
		"  -h, --help            this text\n\n"
		"T is seconds since 1970 UTC (1700000000.5), ISO 8601 (2023-11-14T22:13:20.5Z, +01:00, local time "
		"without "
		"zone)\n"
		"or YYYYMMDD_HHMMSS (local time).\n\n"
		"Exit status: 0 done, 1 failed while running or a chunk is bad, 2 refused before anything was "
		"touched.\n",
		SL_STORE_DEFAULT);
}

static const char *
state_name(enum sl_capture_state state)
{
	switch (state) {
	case SL_CAPTURE_OPEN:
		return "open";
	case SL_CAPTURE_CLOSED:
		return "closed";
	case SL_CAPTURE_UNCLEAN:
		return "unclean";
	}
	return "?";
}

/* LINKTYPE_ values are not all DLT_ values; libpcap maps them when it opens a file. */
static void
link_name(uint32_t link_type, char *text, size_t size)
{
	struct pcap_header header = {PCAP_NSEC_MAGIC, 2, 4, 0, 0, DEFAULT_SNAP_LEN, link_type};
	char errbuf[PCAP_ERRBUF_SIZE];
	const char *name = NULL;
	pcap_t *pcap = NULL;
	FILE *file;

	file = fmemopen(&header, sizeof(header), "r");
	if (file)
		pcap = pcap_fopen_offline(file, errbuf);
	if (pcap)
		name = pcap_datalink_val_to_name(pcap_datalink(pcap));
	if (name)
		snprintf(text, size, "%s", name);
	else
		snprintf(text, size, "%" PRIu32, link_type);
	if (pcap)
		pcap_close(pcap);
	else if (file)
		fclose(file);
}

/* A long run of chunks is shown on a terminal only: in a log the lines would be noise. */
static void
show_progress(const char *what, const char *name, uint64_t done, uint64_t all)
{
	static struct timespec last;
	struct timespec now;

	if (!isatty(STDERR_FILENO) || all == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (done < all &&
		(now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 < PROGRESS_INTERVAL_MS)
		return;
	last = now;
	if (done < all)
		fprintf(stderr, "\r%s %s: %" PRIu64 " %% (%" PRIu64 " of %" PRIu64 " MiB)\033[K", what, name,
			done * 100 / all, done, all);
	else
		fprintf(stderr, "\r\033[K");
}

static const char *
chunk_problem(int err)
{
	switch (err) {
	case -ENODATA:
		return "was never written";
	case -ESTALE:
		return "holds a chunk of another capture or number";
	case -EBADMSG:
		return "is damaged (checksum or bounds)";
	case -ENOENT:
		return "is gone: there is no such segment";
	default:
		return strerror(-err);
	}
}

static void
report_bad(const struct sl_capture *capture, uint64_t first, uint64_t last, int err)
{
	char path[PATH_MAX];
	uint64_t offset;

	sl_capture_place(capture, first, path, sizeof(path), &offset);
	if (first == last)
		fprintf(stderr, "%s: chunk %" PRIu64 " at byte %" PRIu64 " %s\n", path, first, offset,
			chunk_problem(err));
	else
		fprintf(stderr, "%s: chunks %" PRIu64 " to %" PRIu64 " from byte %" PRIu64 " on: each %s\n", path,
			first, last, offset, chunk_problem(err));
}

static void *
chunk_buffer(void)
{
	void *buf = aligned_alloc(SL_STORE_ALIGN, SL_CHUNK_SIZE);

	if (!buf)
		fprintf(stderr, "sluice store: out of memory\n");
	return buf;
}

/* What cannot be opened at the start was refused; a name or a directory that is not there is the user's to mend. */
static int
refuse(const char *errbuf)
{
	fprintf(stderr, "sluice store: %s\n", errbuf);
	return SL_EXIT_REFUSED;
}

/* ---------------------------------------------------------------- ls, info */

static void
list_one(const char *store, const struct sl_capture_info *info, bool active, int *status)
{
	char errbuf[SL_STORE_ERRBUF], link[32], first[SL_TIME_SIZE] = "-", last[SL_TIME_SIZE] = "-";
	struct sl_capture_totals totals;
	struct sl_capture *capture;
	int ret;

	ret = sl_capture_open(store, info->name, &capture, errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		*status = SL_EXIT_FAILED;
		return;
	}
	ret = sl_capture_sum(capture, &totals);
	if (ret < 0) {
		fprintf(stderr, "sluice store: %s/%s: %s\n", store, info->name, strerror(-ret));
		*status = SL_EXIT_FAILED;
	} else {
		if (totals.packets > 0) {
			sl_time_format(totals.min_ts, first);
			sl_time_format(totals.max_ts, last);
		}
		link_name(info->link_type, link, sizeof(link));
		printf("%c %-32s %-7s %-12s %8" PRIu64 " %12" PRIu64 " %15" PRIu64 " %-35s %s\n", active ? '*' : ' ',
			info->name, state_name(sl_capture_state(capture)), link,
			sl_capture_committed(capture) - sl_capture_first(capture), totals.packets,
			totals.record_bytes - 16 * totals.packets, first, last);
	}
	sl_capture_close(capture);
}

static int
store_ls(const struct options *o)
{
	char errbuf[SL_STORE_ERRBUF], active[SL_CAPTURE_NAME_MAX] = "";
	struct sl_capture_info *infos;
	int status = SL_EXIT_OK;
	size_t count;

	if (sl_store_list(o->store, &infos, &count, errbuf) < 0)
		return refuse(errbuf);
	if (errbuf[0]) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		status = SL_EXIT_FAILED;
	}
	sl_store_active(o->store, active, NULL);
	printf("  %-32s %-7s %-12s %8s %12s %15s %-35s %s\n", "NAME", "STATE", "LINK", "CHUNKS", "PACKETS", "BYTES",
		"FIRST", "LAST");
	for (size_t i = 0; i < count; i++)
		list_one(o->store, &infos[i], strcmp(infos[i].name, active) == 0, &status);
	free(infos);
	return status;
}

static void
print_totals(const struct sl_capture_totals *t)
{
	char text[SL_TIME_SIZE];

	printf("packets:      %" PRIu64 "\n", t->packets);
	printf("bytes:        %" PRIu64 " captured, %" PRIu64 " on the wire\n", t->record_bytes - 16 * t->packets,
		t->wire_bytes);
	printf("dropped:      %" PRIu64 "\n", t->dropped);
	if (t->packets > 0) {
		sl_time_format(t->min_ts, text);
		printf("earliest:     %s\n", text);
		sl_time_format(t->max_ts, text);
		printf("latest:       %s\n", text);
	}
	if (t->bad_headers > 0)
		printf("unreadable:   %" PRIu64 " chunks; `sluice store verify` names them\n", t->bad_headers);
}

static int
store_info(const struct options *o)
{
	char errbuf[SL_STORE_ERRBUF], uuid[37], link[32], start[SL_TIME_SIZE], active[SL_CAPTURE_NAME_MAX] = "";
	const struct sl_capture_info *info;
	struct sl_capture_totals totals;
	struct sl_capture *capture;
	uint64_t disk;
	int ret;

	if (sl_capture_open(o->store, o->capture, &capture, errbuf) < 0)
		return refuse(errbuf);
	info = sl_capture_info(capture);
	sl_store_active(o->store, active, NULL);
	sl_uuid_format(&info->uuid, uuid);
	link_name(info->link_type, link, sizeof(link));
	sl_time_format(info->start_ts, start);
	printf("name:         %s%s\n", info->name, strcmp(active, info->name) == 0 ? " (active)" : "");
	printf("state:        %s\n", state_name(sl_capture_state(capture)));
	printf("uuid:         %s\n", uuid);
	printf("sequence:     %" PRIu64 "\n", info->sequence);
	printf("link type:    %" PRIu32 " (%s)\n", info->link_type, link);
	printf("snap length:  %" PRIu32 "\n", info->snap_len);
	printf("made:         %s on %s\n", start, info->host[0] ? info->host : "an unnamed host");
	printf("source:       %s\n", info->source);
	printf("chunks:       %" PRIu64 " (%" PRIu64 " to %" PRIu64 ", exclusive)\n",
		sl_capture_committed(capture) - sl_capture_first(capture), sl_capture_first(capture),
		sl_capture_committed(capture));
	ret = sl_capture_disk_bytes(capture, &disk);
	if (ret == 0)
		printf("on disk:      %" PRIu64 " bytes\n", disk);
	if (ret == 0)
		ret = sl_capture_sum(capture, &totals);
	if (ret == 0)
		print_totals(&totals);
	else
		fprintf(stderr, "sluice store: %s/%s: %s\n", o->store, info->name, strerror(-ret));
	sl_capture_close(capture);
	return ret == 0 ? SL_EXIT_OK : SL_EXIT_FAILED;
}

/* ---------------------------------------------------------------- verify */

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
		report_bad(capture, run->first, run->last, run->err);
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

/* @return bad chunks */
static uint64_t
verify_capture(struct sl_capture *capture, void *buf)
{
	const char *name = sl_capture_info(capture)->name;
	uint64_t first = sl_capture_first(capture), end = sl_capture_committed(capture), packets = 0;
	struct bad_run run = {0};
	struct sl_chunk chunk;

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
		show_progress("verify", name, n + 1 - first, end - first);
	}
	end_bad_run(capture, &run);
	printf("%s: %s, %" PRIu64 " chunks, %" PRIu64 " packets, %" PRIu64 " bad\n", name,
		state_name(sl_capture_state(capture)), end - first, packets, run.count);
	return run.count;
}

static int
verify_named(const struct options *o, const char *name, void *buf, bool *bad)
{
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture *capture;
	int ret;

	ret = sl_capture_open(o->store, name, &capture, errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice store: %s\n", errbuf);
		return ret;
	}
	if (verify_capture(capture, buf) > 0)
		*bad = true;
	sl_capture_close(capture);
	return 0;
}

static int
store_verify(const struct options *o)
{
	struct sl_capture_info *infos = NULL;
	char errbuf[SL_STORE_ERRBUF];
	bool bad = false;
	size_t count = 0;
	void *buf;

	buf = chunk_buffer();
	if (!buf)
		return SL_EXIT_FAILED;
	if (o->capture) {
		int ret = verify_named(o, o->capture, buf, &bad);

		free(buf);
		return ret < 0 ? SL_EXIT_REFUSED : bad ? SL_EXIT_FAILED : SL_EXIT_OK;
	}
	if (sl_store_list(o->store, &infos, &count, errbuf) < 0) {
		free(buf);
		return refuse(errbuf);
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

/* ---------------------------------------------------------------- export */

/* Packets in the range, in runs that lie side by side: whole chunks are one write. */
static bool
write_chunk(FILE *out, const struct sl_chunk *chunk, const struct options *o, uint64_t *packets)
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
export_chunks(struct sl_capture *capture, const struct options *o, FILE *out, void *buf)
{
	uint64_t first = sl_capture_first(capture), end = sl_capture_committed(capture), bad = 0, packets = 0;
	const struct sl_capture_info *info = sl_capture_info(capture);
	const struct pcap_header header = {
		PCAP_NSEC_MAGIC, 2, 4, 0, 0, info->snap_len ? info->snap_len : DEFAULT_SNAP_LEN, info->link_type};
	bool whole = o->from == 0 && o->to == UINT64_MAX;
	int err = 0;

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
			report_bad(capture, n, n, ret);
			bad++;
		}
		show_progress("export", info->name, n + 1 - first, end - first);
	}
	if (fflush(out) != 0 && err == 0)
		err = errno;
	if (err != 0) {
		fprintf(stderr, "sluice store: %s: %s\n", out == stdout ? "standard output" : o->output, strerror(err));
		return SL_EXIT_FAILED;
	}
	if (bad > 0)
		fprintf(stderr, "sluice store: %" PRIu64 " bad chunks were left out\n", bad);
	if (out != stdout)
		fprintf(stderr, "%s: %" PRIu64 " packets\n", o->output, packets);
	return bad > 0 ? SL_EXIT_FAILED : SL_EXIT_OK;
}

static int
store_export(const struct options *o)
{
	bool to_stdout = strcmp(o->output, "-") == 0;
	char errbuf[SL_STORE_ERRBUF];
	struct sl_capture *capture;
	FILE *out = stdout;
	int status;
	void *buf;

	if (to_stdout && isatty(STDOUT_FILENO))
		return refuse("standard output is a terminal; use -o FILE, or a pipe");
	if (sl_capture_open(o->store, o->capture, &capture, errbuf) < 0)
		return refuse(errbuf);
	buf = chunk_buffer();
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

/* ---------------------------------------------------------------- the command */

enum { OPTION_FROM = 256, OPTION_TO };

static const struct action {
	const char *name;
	int (*run)(const struct options *o);
	const char *options; /* letters of the options it takes; f and t are --from and --to */
	bool takes_name;
} actions[] = {
	{"ls", store_ls, "s", false},
	{"info", store_info, "sc", true},
	{"verify", store_verify, "sc", true},
	{"export", store_export, "scoft", false},
};

static bool
take_time(const char *option, const char *text, uint64_t *ns)
{
	int ret = sl_time_parse(text, ns);

	if (ret < 0)
		fprintf(stderr, "sluice store: %s '%s' %s\n", option, text, sl_time_refusal(ret));
	return ret == 0;
}

/* @return 0 to go on, 1 for help, -1 for an error that has been told */
static int
parse_options(const struct action *action, int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"store", required_argument, NULL, 's'},
		{"capture", required_argument, NULL, 'c'},
		{"output", required_argument, NULL, 'o'},
		{"from", required_argument, NULL, OPTION_FROM},
		{"to", required_argument, NULL, OPTION_TO},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option, at = -1;

	optind = 1;
	while ((option = getopt_long(argc, argv, "s:c:o:h", longs, &at)) != -1) {
		char letter = option == OPTION_FROM ? 'f' : option == OPTION_TO ? 't' : (char)option;

		if (option == 'h')
			return 1;
		if (option == '?')
			return -1;
		if (!strchr(action->options, letter)) {
			fprintf(stderr, "sluice store %s: takes no %s%s\n", action->name, at >= 0 ? "--" : "-",
				at >= 0 ? longs[at].name : (char[]){letter, 0});
			return -1;
		}
		at = -1;
		if (option == 's')
			o->store = optarg;
		else if (option == 'c')
			o->capture = optarg;
		else if (option == 'o')
			o->output = optarg;
		else if ((option == OPTION_FROM && !take_time("--from", optarg, &o->from)) ||
			 (option == OPTION_TO && !take_time("--to", optarg, &o->to)))
			return -1;
	}
	if (optind < argc && action->takes_name && !o->capture)
		o->capture = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "sluice store %s: what is '%s'?\n", action->name, argv[optind]);
		return -1;
	}
	if (o->from >= o->to) {
		fprintf(stderr, "sluice store %s: --from must be before --to\n", action->name);
		return -1;
	}
	return 0;
}

int
cmd_store(int argc, char **argv)
{
	struct options o = {.store = SL_STORE_DEFAULT, .output = "-", .to = UINT64_MAX};
	const struct action *action = NULL;
	int ret, status;

	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))) {
		usage(stdout);
		return SL_EXIT_OK;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(argv[1], actions[i].name) == 0)
			action = &actions[i];
	if (!action) {
		fprintf(stderr,
			argc < 2 ? "sluice store: ls, info, verify or export?\n\n" : "sluice store: no action '%s'\n\n",
			argc < 2 ? "" : argv[1]);
		usage(stderr);
		return SL_EXIT_REFUSED;
	}
	ret = parse_options(action, argc - 1, argv + 1, &o);
	if (ret != 0) {
		if (ret > 0)
			usage(stdout);
		else
			fprintf(stderr, "`sluice store --help` says more.\n");
		return ret > 0 ? SL_EXIT_OK : SL_EXIT_REFUSED;
	}
	/* A reader that goes away (export | head) is an error of writing, not a death without a word. */
	signal(SIGPIPE, SIG_IGN);
	status = action->run(&o);
	if (fflush(stdout) != 0 && status == SL_EXIT_OK)
		status = SL_EXIT_FAILED;
	return status;
}
