/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice store`: its command line; the actions are in store_<action>.c.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "store_actions.h"

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

enum { OPTION_FROM = 256, OPTION_TO };

static const struct action {
	const char *name;
	int (*run)(const struct store_options *o);
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
parse_options(const struct action *action, int argc, char **argv, struct store_options *o)
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
	char name[32];

	/* getopt_long() begins its messages with argv[0]. */
	snprintf(name, sizeof(name), "sluice store %s", action->name);
	argv[0] = name;
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
		fprintf(stderr, "sluice store %s: '%s' is one argument too many\n", action->name, argv[optind]);
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
	struct store_options o = {.store = SL_STORE_DEFAULT, .output = "-", .to = UINT64_MAX};
	const struct action *action = NULL;
	int ret;

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
	return action->run(&o);
}
