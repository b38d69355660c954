/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice status`: how the running pushes and captures are doing.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "app.h"
#include "status.h"

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice status [--json]\n\n"
		"Show every running push and capture of this machine: each target's state, how far it lies behind the\n"
		"store, what it has published, what failed. Asks the processes by DPDK's telemetry sockets, so they "
		"must\n"
		"belong to the same user, or root asks.\n\n"
		"  --json  for programs\n\n"
		"Exit status: 0 all is well, 1 a target fails, is parked or gave up, or a process does not answer,\n"
		"2 nothing runs.\n");
}

int
cmd_status(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool json = false;
	json_t *document;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 'h':
			usage(stdout);
			return SL_EXIT_OK;
		default:
			fprintf(stderr, "`sluice status --help` lists the options.\n");
			return SL_EXIT_REFUSED;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluice status: '%s' is not an option\n", argv[optind]);
		return SL_EXIT_REFUSED;
	}
	document = status_ask();
	if (!document) {
		fprintf(stderr, "sluice status: out of memory\n");
		return SL_EXIT_FAILED;
	}
	status = status_verdict(document);
	if (json) {
		json_object_set_new(document, "status", json_integer(status));
		json_dumpf(document, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		status_show(document);
		if (status == SL_EXIT_REFUSED)
			fprintf(stderr,
				"sluice status: no push and no capture runs (or none that this user may ask)\n");
	}
	json_decref(document);
	return status;
}
