/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"capture", cmd_capture, "capture packets from network ports into a capture store"},
	{"check", cmd_check, "validate a push configuration and show what it means"},
	{"import", cmd_import, "read pcap or pcapng files, or a pipe, into a capture store; or follow them"},
	{"push", cmd_push, "push a capture store to every target of a configuration"},
	{"scheduler", cmd_scheduler, "start and stop pushes by a schedule"},
	{"status", cmd_status, "how the running pushes and captures are doing"},
	{"store", cmd_store, "list, inspect, verify and export captures"},
};

static void
usage(FILE *out)
{
	fprintf(out, "usage: sluice COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`sluice COMMAND --help` says more. Exit status: 0 done, 1 failed while running,\n"
		     "2 input refused before anything was touched.\n");
}

static int
run(const struct command *command, int argc, char **argv)
{
	static char name[32];
	int status;

	/* getopt_long() begins its messages with argv[0]. */
	snprintf(name, sizeof(name), "sluice %s", command->name);
	argv[0] = name;
	status = command->run(argc, argv);
	/* What was shown but could not be written was not done. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == SL_EXIT_OK) {
		fprintf(stderr, "%s: standard output: %s\n", name, strerror(errno));
		status = SL_EXIT_FAILED;
	}
	return status;
}

/* A descriptor that the caller has closed would be the next file's, and messages would go into that file. */
static int
hold_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) < 0)
			return -errno;
	return 0;
}

int
main(int argc, char **argv)
{
	if (hold_standard_descriptors() != 0)
		return SL_EXIT_FAILED;
	if (argc < 2) {
		usage(stderr);
		return SL_EXIT_REFUSED;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		printf("sluice %s\n", SLUICE_VERSION);
		return SL_EXIT_OK;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return SL_EXIT_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return run(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "sluice: no command '%s'\n\n", argv[1]);
	usage(stderr);
	return SL_EXIT_REFUSED;
}
