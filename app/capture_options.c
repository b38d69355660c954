/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app.h"
#include "capture.h"
#include "options.h"

#define SNAP_LEN_MAX 262144u /* as tcpdump */
#define BUFFER_DEFAULT_MIB 64u
#define BUFFER_MAX_MIB 1024u
#define QUEUES_MAX 64u

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice capture [--store DIR] --port PORT... [OPTION]...\n\n"
		"Capture packets from network ports into a new capture of a store, until stopped by SIGTERM or "
		"SIGINT.\n\n"
		"  --port PORT        an interface (eth0: no preparation needed), a NIC by its PCI address "
		"(0000:01:00.0), or a\n"
		"                     virtual port of DPDK with its arguments (net_af_packet0,iface=eth0; "
		"net_pcap0,rx_pcap=FILE);\n"
		"                     several times for several ports, numbered from 0\n"
		"  --store DIR        capture store (default: %s)\n"
		"  --capture NAME     name of the capture (default: made from time and host)\n"
		"  --queues N         receive queues of each port, by RSS (default: 1)\n"
		"  --snap-len N       keep N bytes of a packet (default: %u)\n"
		"  --filter EXPR      keep only packets that match, as tcpdump does\n"
		"  --no-promiscuous   only what is meant for this host\n"
		"  --duration S       end after S seconds\n\n"
		"  --roll WHEN        begin a new capture: daily, hourly, or every so many SECONDS since 1970 UTC\n"
		"  --roll-utc         days and hours of UTC (default: of local time)\n"
		"  --roll-size SIZE   begin a new capture after about SIZE bytes (100G, 500M)\n"
		"                     SIGUSR1 begins one at once\n"
		"  --keep-free P,SIZE delete the oldest captures so that P percent and SIZE bytes of the file system "
		"stay free\n"
		"                     (default: %u,5G; 0: delete nothing)\n"
		"  --flush-interval S packets can be read from the store after S seconds (default: 1)\n\n"
		"  --map MAP          lcores, each STAGES@CPU: all@0, or rx@1,rx@2,store@3 (default: from the affinity "
		"mask)\n"
		"%s"
		"  --buffer-size MIB  the kernel's ring for an interface's queue (default: %u)\n"
		"  --store-buffers N  chunks of 1 MiB between port and disk (default: %u)\n"
		"%s"
		"  -q, --quiet        no line at a terminal, no summary\n\n"
		"Exit status: 0 done, 1 failed while running, 2 refused before anything was touched. Packets that were "
		"lost are\n"
		"counted by cause, in the summary and in the store. A second signal ends it at once.\n",
		SL_STORE_DEFAULT, SNAP_LEN_MAX, SL_RETENTION_DEFAULT_PERCENT, LCORE_USAGE_CPUS, BUFFER_DEFAULT_MIB,
		SL_STORE_BUFFERS_DEFAULT, LCORE_USAGE_EAL);
}

static int
parse_number(const char *text, unsigned long min, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || errno || text[0] == '-' || *value < min || *value > max)
		return -EINVAL;
	return 0;
}

/* "500M", "1.5G", "1000000" */
int
capture_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	double n;

	errno = 0;
	n = strtod(text, &end);
	if (end == text || errno || !isfinite(n) || n < 0)
		return -EINVAL;
	unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
	if (*end && (!unit || end[1] != '\0'))
		return -EINVAL;
	for (const char *u = units; unit && u <= unit; u++)
		n *= 1024;
	if (n > 1e18)
		return -EINVAL;
	*bytes = (uint64_t)n;
	return 0;
}

/* "10,5G"; "10"; "0" */
int
capture_parse_retention(const char *text, struct sl_retention *retention)
{
	char percent[32];
	unsigned long n;
	size_t len = strcspn(text, ",");

	if (len >= sizeof(percent))
		return -EINVAL;
	snprintf(percent, sizeof(percent), "%.*s", (int)len, text);
	if (parse_number(percent, 0, 99, &n))
		return -EINVAL;
	retention->min_free_percent = (unsigned int)n;
	retention->min_free_bytes = 0;
	return text[len] == ',' ? capture_parse_size(text + len + 1, &retention->min_free_bytes) : 0;
}

void
capture_warn_of_retention(const char *command, const char *store, const struct sl_retention *retention)
{
	uint64_t room;

	/* A store that is not there yet is warned of when it is. */
	if (retention->min_free_percent == 0 && retention->min_free_bytes == 0)
		return;
	if (sl_retention_room(store, retention, &room) < 0 || room > SL_RETENTION_LEAST_BYTES)
		return;
	fprintf(stderr,
		"sluice %s: --store %s: warning: its file system has %.1f GB beside the %u percent and %.1f GB that "
		"--keep-free leaves free, so each capture is removed soon after the next one has begun; give the store "
		"a "
		"larger one, or keep less free (0 deletes nothing)\n",
		command, store, (double)room / 1e9, retention->min_free_percent,
		(double)retention->min_free_bytes / 1e9);
}

static int
add_port(const char *text, struct capture_options *options)
{
	char errbuf[SL_CAPTURE_ERRBUF];
	int ret;

	if (options->port_count == SL_PORTS_MAX) {
		fprintf(stderr, "sluice capture: --port %s: more than %u ports\n", text, SL_PORTS_MAX);
		return SL_EXIT_REFUSED;
	}
	ret = sl_port_spec_parse(text, &options->ports[options->port_count], errbuf);
	if (ret < 0) {
		fprintf(stderr, "sluice capture: %s\n", errbuf);
		return SL_EXIT_REFUSED;
	}
	options->port_count++;
	return -1;
}

static int
complete(struct capture_options *options)
{
	struct stat st;

	if (options->port_count == 0) {
		fprintf(stderr, "sluice capture: from which port? --port eth0; --help says more\n");
		return SL_EXIT_REFUSED;
	}
	if (!options->store) {
		options->store = SL_STORE_DEFAULT;
		if (stat(options->store, &st) < 0) {
			fprintf(stderr, "sluice capture: no store at %s (%s); name one with --store DIR\n",
				options->store, strerror(errno));
			return SL_EXIT_REFUSED;
		}
	}
	if (options->store[0] == '\0' || (stat(options->store, &st) == 0 && !S_ISDIR(st.st_mode))) {
		fprintf(stderr, "sluice capture: --store '%s': not a directory; name one, or one to be made\n",
			options->store);
		return SL_EXIT_REFUSED;
	}
	return -1;
}

enum {
	OPT_STORE = OPT_OWN,
	OPT_CAPTURE,
	OPT_PORT,
	OPT_QUEUES,
	OPT_SNAP_LEN,
	OPT_FILTER,
	OPT_NO_PROMISCUOUS,
	OPT_DURATION,
	OPT_ROLL,
	OPT_ROLL_UTC,
	OPT_ROLL_SIZE,
	OPT_KEEP_FREE,
	OPT_FLUSH_INTERVAL,
	OPT_BUFFER_SIZE,
	OPT_STORE_BUFFERS,
};

static const struct option long_options[] = {
	{"store", required_argument, NULL, OPT_STORE},
	{"capture", required_argument, NULL, OPT_CAPTURE},
	{"port", required_argument, NULL, OPT_PORT},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"snap-len", required_argument, NULL, OPT_SNAP_LEN},
	{"filter", required_argument, NULL, OPT_FILTER},
	{"no-promiscuous", no_argument, NULL, OPT_NO_PROMISCUOUS},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"roll", required_argument, NULL, OPT_ROLL},
	{"roll-utc", no_argument, NULL, OPT_ROLL_UTC},
	{"roll-size", required_argument, NULL, OPT_ROLL_SIZE},
	{"keep-free", required_argument, NULL, OPT_KEEP_FREE},
	{"flush-interval", required_argument, NULL, OPT_FLUSH_INTERVAL},
	{"buffer-size", required_argument, NULL, OPT_BUFFER_SIZE},
	{"store-buffers", required_argument, NULL, OPT_STORE_BUFFERS},
	LCORE_OPTIONS,
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* @return -1: go on; else the exit status */
static int
take_number(int opt, const char *text, struct capture_options *options)
{
	unsigned long n;

	switch (opt) {
	case OPT_QUEUES:
		if (parse_number(text, 1, QUEUES_MAX, &n))
			return option_refuse("capture", "--queues", text, "a number from 1 to 64 is needed");
		options->queues = (unsigned int)n;
		break;
	case OPT_SNAP_LEN:
		if (parse_number(text, 1, SNAP_LEN_MAX, &n))
			return option_refuse("capture", "--snap-len", text, "bytes from 1 to 262144 are needed");
		options->snap_len = (uint32_t)n;
		break;
	case OPT_BUFFER_SIZE:
		if (parse_number(text, 1, BUFFER_MAX_MIB, &n))
			return option_refuse("capture", "--buffer-size", text, "MiB from 1 to 1024 are needed");
		options->buffer_bytes = (uint32_t)n << 20;
		break;
	default:
		if (parse_number(text, SL_STORE_BUFFERS_MIN, SL_STORE_BUFFERS_MAX, &n))
			return option_refuse("capture", "--store-buffers", text, "a number from 4 to 256 is needed");
		options->store_buffers = (unsigned int)n;
	}
	return -1;
}

int
capture_options_parse(int argc, char **argv, struct capture_options *options)
{
	int opt, status;

	*options = (struct capture_options){
		.queues = 1,
		.promiscuous = true,
		.snap_len = SNAP_LEN_MAX,
		.buffer_bytes = BUFFER_DEFAULT_MIB << 20,
		.store_buffers = SL_STORE_BUFFERS_DEFAULT,
		.flush_interval = 1000000000u,
		.retention = {.min_free_bytes = SL_RETENTION_DEFAULT_BYTES,
			.min_free_percent = SL_RETENTION_DEFAULT_PERCENT},
	};
	while ((opt = getopt_long(argc, argv, "hq", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_STORE:
			options->store = optarg;
			break;
		case OPT_CAPTURE:
			options->name = optarg;
			break;
		case OPT_PORT:
			status = add_port(optarg, options);
			if (status >= 0)
				return status;
			break;
		case OPT_QUEUES:
		case OPT_SNAP_LEN:
		case OPT_BUFFER_SIZE:
		case OPT_STORE_BUFFERS:
			status = take_number(opt, optarg, options);
			if (status >= 0)
				return status;
			break;
		case OPT_FILTER:
			options->filter = optarg;
			break;
		case OPT_NO_PROMISCUOUS:
			options->promiscuous = false;
			break;
		case OPT_DURATION:
			if (option_seconds(optarg, 1e9, &options->duration))
				return option_refuse("capture", "--duration", optarg, "not a number of seconds");
			break;
		case OPT_ROLL:
			if (capture_roll_parse(optarg, &options->roll))
				return option_refuse(
					"capture", "--roll", optarg, "must be daily, hourly or a number of seconds");
			break;
		case OPT_ROLL_UTC:
			options->roll.utc = true;
			break;
		case OPT_ROLL_SIZE:
			if (capture_parse_size(optarg, &options->roll.bytes) || options->roll.bytes < SL_CHUNK_SIZE)
				return option_refuse(
					"capture", "--roll-size", optarg, "a size such as 100G is needed, 1M at least");
			break;
		case OPT_KEEP_FREE:
			if (capture_parse_retention(optarg, &options->retention))
				return option_refuse("capture", "--keep-free", optarg,
					"must be PERCENT or PERCENT,SIZE such as 10,5G");
			break;
		case OPT_FLUSH_INTERVAL:
			if (option_seconds(optarg, OPTION_FLUSH_MAX, &options->flush_interval))
				return option_refuse(
					"capture", "--flush-interval", optarg, "seconds from 0 to 3600 are needed");
			break;
		case 'q':
			options->quiet = true;
			break;
		case 'h':
			usage(stdout);
			return SL_EXIT_OK;
		default:
			if (lcore_options_take(&options->lcores, opt, optarg))
				break;
			fprintf(stderr, "`sluice capture --help` lists the options.\n");
			return SL_EXIT_REFUSED;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluice capture: '%s' is not an option; a port is named with --port %s\n", argv[optind],
			argv[optind]);
		return SL_EXIT_REFUSED;
	}
	return complete(options);
}
