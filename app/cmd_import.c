/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "capture.h"
#include "options.h"
#include "sl_capture.h"
#include "sl_store.h"

static volatile int stop;
static bool progress_shown;

static void
on_signal(int number)
{
	(void)number;
	/* Only "once" and "more than once" matter. */
	if (stop < 2)
		stop = stop + 1;
}

static void
on_line(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%ssluice import: %s\n", progress_shown ? "\r\033[K" : "", line);
}

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice import [--store DIR] [OPTION]... FILE...\n"
		"       sluice import --follow [--store DIR] [--state-dir DIR] [OPTION]... SOURCE...\n\n"
		"Reads pcap and pcapng files and FMADIO's chunked stream, in the order given, into a new capture of a "
		"store,\n"
		"which becomes the store's active capture. - is standard input, a growing pipe too:\n\n"
		"  tcpdump -i eth0 --nano --immediate-mode -U -w - | sluice import --store DIR -\n\n"
		"With --follow it goes on until it is stopped: a SOURCE is a file that grows or is replaced, or a "
		"directory that\n"
		"another program fills, such as\n\n"
		"  dumpcap -i eth0 -b duration:60 -b files:100 -w /data/eth0.pcapng\n"
		"  tcpdump -i eth0 --nano -U -G 60 -w /data/eth0-%%Y%%m%%d-%%H%%M%%S.pcap\n\n"
		"Each packet is imported once, also when it is killed and started again.\n\n"
		"  --store DIR           the capture store; default %s\n"
		"  --capture NAME        name of the capture; default: made from time and host\n"
		"  --follow              go on with what is written, see above\n"
		"  --state-dir DIR       with --follow: where to keep what was imported; default: in the store\n"
		"  --roll WHEN           with --follow: begin a new capture: daily, hourly, or every so many SECONDS "
		"since 1970\n"
		"                        UTC, by the packets' time; --roll-utc: days and hours of UTC\n"
		"  --roll-size SIZE      with --follow: begin a new capture after about SIZE bytes (100G, 500M)\n"
		"  --keep-free P,SIZE    with --follow: delete the oldest captures that were made so, that P percent "
		"and SIZE\n"
		"                        bytes of the file system stay free; default %u,5G; 0: delete nothing\n"
		"  --interface N         take only interface N of each pcapng file, counted from 0; of an FMADIO\n"
		"                        stream, port N\n"
		"  --flush-interval S    packets of a pipe can be read from the store after S seconds; default 1,\n"
		"                        0: only when a chunk of %u KiB is full\n"
		"  -q, --quiet           no progress, no summary\n"
		"  -h, --help            this text\n\n"
		"All files must have one link type; with --follow another one begins a new capture. Exit status: 0 all "
		"was imported, 1 something was left out (damaged "
		"or\n"
		"truncated file, packet too large) or it failed while running, 2 refused before anything was written.\n"
		"SIGINT and SIGTERM end the import; what was read is kept, and for a pipe that is a normal end.\n",
		SL_STORE_DEFAULT, SL_RETENTION_DEFAULT_PERCENT, SL_CHUNK_SIZE / 1024);
}

static bool
parse_interface(const char *text, int *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 0 || n > INT32_MAX) {
		fprintf(stderr, "sluice import: --interface '%s': a number from 0 on is needed\n", text);
		return false;
	}
	*value = (int)n;
	return true;
}

static int
refuse(const char *option, const char *text, const char *why)
{
	fprintf(stderr, "sluice import: %s '%s': %s\n", option, text, why);
	return SL_EXIT_REFUSED;
}

static uint64_t
next_roll(const void *ctx, uint64_t after)
{
	return capture_roll_next(ctx, after);
}

/* One pipe, FIFO or device: that needs no following, it is read until it ends. */
static bool
is_stream(const struct sl_import_params *params)
{
	struct stat st;

	if (params->file_count != 1)
		return false;
	if (!strcmp(params->files[0], "-"))
		return true;
	return stat(params->files[0], &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static void
summary(const struct sl_import_params *params, const struct sl_import_result *result)
{
	char first[SL_TIME_SIZE], last[SL_TIME_SIZE];

	if (!result->capture[0])
		return;
	if (result->incomplete) {
		printf("capture %s: incomplete; `sluice store info --store %s %s` says what it holds\n",
			result->capture, params->store, result->capture);
		return;
	}
	if (result->captures > 1)
		printf("%u captures, the last one ", result->captures);
	else
		printf("capture ");
	printf("%s: %" PRIu64 " packets, %" PRIu64 " bytes", result->capture, result->packets, result->bytes);
	if (result->packets) {
		sl_time_format_utc(result->first_ts, first);
		sl_time_format_utc(result->last_ts, last);
		printf(", %s to %s", first, last);
	}
	if (result->too_large)
		printf(", %" PRIu64 " too large", result->too_large);
	if (result->bad_times)
		printf(", %" PRIu64 " without a valid time", result->bad_times);
	printf("\n");
}

int
cmd_import(int argc, char **argv)
{
	static const struct option options[] = {
		{"store", required_argument, NULL, 's'},
		{"capture", required_argument, NULL, 'c'},
		{"interface", required_argument, NULL, 'i'},
		{"flush-interval", required_argument, NULL, 'f'},
		{"follow", no_argument, NULL, 'F'},
		{"state-dir", required_argument, NULL, 'S'},
		{"roll", required_argument, NULL, 'R'},
		{"roll-utc", no_argument, NULL, 'U'},
		{"roll-size", required_argument, NULL, 'Z'},
		{"keep-free", required_argument, NULL, 'K'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct sl_import_params params = {
		.interface = -1,
		.flush_interval = 1000000000u,
		.progress = isatty(STDERR_FILENO),
		.stop = &stop,
		.report = on_line,
	};
	struct sigaction action = {.sa_handler = on_signal};
	char errbuf[SL_CAPTURE_ERRBUF];
	struct sl_import_result result;
	struct sl_retention retention = {SL_RETENTION_DEFAULT_BYTES, SL_RETENTION_DEFAULT_PERCENT};
	struct capture_roll_options roll = {0};
	bool quiet = false, follow = false;
	const char *only_follow = NULL;
	struct stat st;
	int c, ret;

	while ((c = getopt_long(argc, argv, "hq", options, NULL)) != -1) {
		switch (c) {
		case 's':
			params.store = optarg;
			break;
		case 'c':
			params.capture = optarg;
			break;
		case 'i':
			if (!parse_interface(optarg, &params.interface))
				return SL_EXIT_REFUSED;
			break;
		case 'f':
			if (option_seconds(optarg, OPTION_FLUSH_MAX, &params.flush_interval))
				return refuse("--flush-interval", optarg, "seconds from 0 to 3600 are needed");
			break;
		case 'F':
			follow = true;
			break;
		case 'S':
			params.state_dir = optarg;
			only_follow = "--state-dir";
			break;
		case 'R':
			only_follow = "--roll";
			if (capture_roll_parse(optarg, &roll))
				return refuse("--roll", optarg, "daily, hourly or a number of seconds is needed");
			break;
		case 'U':
			only_follow = "--roll-utc";
			roll.utc = true;
			break;
		case 'Z':
			only_follow = "--roll-size";
			if (capture_parse_size(optarg, &params.roll_bytes) || params.roll_bytes < SL_CHUNK_SIZE)
				return refuse("--roll-size", optarg, "a size such as 100G is needed, 1M at least");
			break;
		case 'K':
			only_follow = "--keep-free";
			if (capture_parse_retention(optarg, &retention))
				return refuse("--keep-free", optarg, "PERCENT or PERCENT,SIZE such as 10,5G is needed");
			break;
		case 'q':
			quiet = true;
			params.progress = false;
			break;
		case 'h':
			usage(stdout);
			return SL_EXIT_OK;
		default:
			fprintf(stderr, "`sluice import --help` lists the options.\n");
			return SL_EXIT_REFUSED;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "sluice import: which file%s? - is standard input; --help says more\n",
			follow ? " or directory" : "");
		return SL_EXIT_REFUSED;
	}
	if (params.store == NULL) {
		params.store = SL_STORE_DEFAULT;
		if (stat(params.store, &st) < 0) {
			fprintf(stderr, "sluice import: no store at %s (%s); name one with --store DIR\n", params.store,
				strerror(errno));
			return SL_EXIT_REFUSED;
		}
	}
	if (stat(params.store, &st) == 0 && !S_ISDIR(st.st_mode)) {
		fprintf(stderr, "sluice import: --store %s: not a directory; name one, or one to be made\n",
			params.store);
		return SL_EXIT_REFUSED;
	}
	params.files = (const char *const *)&argv[optind];
	params.file_count = (size_t)(argc - optind);
	if (only_follow && !follow) {
		fprintf(stderr, "sluice import: %s is for --follow\n", only_follow);
		return SL_EXIT_REFUSED;
	}
	params.keep_free_bytes = retention.min_free_bytes;
	params.keep_free_percent = retention.min_free_percent;
	if (roll.every != CAPTURE_ROLL_NEVER) {
		params.roll_next = next_roll;
		params.roll_ctx = &roll;
	}
	follow = follow && !is_stream(&params);
	if (follow)
		capture_warn_of_retention("import", params.store, &retention);
	progress_shown = params.progress && !follow;

	/* Not restarted: a read or an open that waits must notice. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ret = follow ? sl_follow(&params, &result, errbuf) : sl_import(&params, &result, errbuf);
	if (!quiet)
		summary(&params, &result);
	if (ret == 0)
		return SL_EXIT_OK;
	return ret == -EINVAL ? SL_EXIT_REFUSED : SL_EXIT_FAILED;
}
