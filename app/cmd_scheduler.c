/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * `sluice scheduler`: starts and stops pushes by a schedule.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "monotonic.h"
#include "scheduler.h"
#include "sl_store.h"
#include "zone.h"

#define LOOK_S 1 /* at the clock, which somebody may set; and at children, should a signal be lost */

struct options {
	const char *schedule;
	bool check, list;
	bool at_given;
	int64_t at; /* seconds since 1970 UTC */
};

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice scheduler [--schedule FILE] [--check | --list [--at TIME]]\n\n"
		"Start and stop pushes by a schedule, restart what crashes, until SIGTERM or SIGINT; then all pushes "
		"are\n"
		"stopped. SIGHUP reads the schedule again.\n\n"
		"  --schedule FILE  default " SL_SCHEDULE_DEFAULT_FMADIO ",\n"
		"                   else " SL_SCHEDULE_DEFAULT_ETC "\n"
		"  --check          say what is wrong with the schedule and the configurations that it names; start\n"
		"                   nothing\n"
		"  --list           show each row: is it on, when it starts and stops next, which process pushes it\n"
		"  --at TIME        with --list: at this time instead of now: seconds since 1970,\n"
		"                   2023-11-14T22:13:20Z (or +01:00; local time without), or 20231114_221320\n\n"
		"Exit status: 0 done, 1 failed while running, 2 refused, with file:line, before anything was "
		"started.\n");
}

/* -1: go on; else the exit status */
static int
parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"schedule", required_argument, NULL, 's'},
		{"check", no_argument, NULL, 'c'},
		{"list", no_argument, NULL, 'l'},
		{"at", required_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	uint64_t ns;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			o->schedule = optarg;
			break;
		case 'c':
			o->check = true;
			break;
		case 'l':
			o->list = true;
			break;
		case 'a':
			rc = sl_time_parse(optarg, &ns);
			if (rc) {
				fprintf(stderr, "sluice scheduler: --at '%s' %s\n", optarg, sl_time_refusal(rc));
				return SL_EXIT_REFUSED;
			}
			o->at = (int64_t)(ns / 1000000000u);
			o->at_given = true;
			break;
		case 'h':
			usage(stdout);
			return SL_EXIT_OK;
		default:
			fprintf(stderr, "`sluice scheduler --help` lists the options.\n");
			return SL_EXIT_REFUSED;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluice scheduler: '%s' is not an option; the schedule is named with --schedule FILE\n",
			argv[optind]);
		return SL_EXIT_REFUSED;
	}
	if (o->at_given && !o->list) {
		fprintf(stderr, "sluice scheduler: --at belongs to --list\n");
		return SL_EXIT_REFUSED;
	}
	if (!o->schedule)
		o->schedule = sl_schedule_default_path();
	if (!o->schedule) {
		fprintf(stderr, "sluice scheduler: neither " SL_SCHEDULE_DEFAULT_FMADIO " nor " SL_SCHEDULE_DEFAULT_ETC
				" exists: name the schedule with --schedule FILE\n");
		return SL_EXIT_REFUSED;
	}
	return -1;
}

/* NULL after a message, or after findings. */
static struct sl_schedule *
load(const struct options *o)
{
	struct sl_schedule *schedule;
	int rc = sl_schedule_load(o->schedule, &schedule);
	size_t errors;

	if (!schedule) {
		fprintf(stderr, "sluice scheduler: %s: %s\n", o->schedule, strerror(-rc));
		return NULL;
	}
	if (!o->list || o->check)
		scheduler_check(schedule, o->check);
	sl_config_print_findings(sl_schedule_findings(schedule), stderr);
	errors = sl_config_errors(sl_schedule_findings(schedule));
	if (errors == 0)
		return schedule;
	fprintf(stderr, "sluice scheduler: %zu error%s in %s\n", errors, errors == 1 ? "" : "s", o->schedule);
	sl_schedule_free(schedule);
	return NULL;
}

/* ---------------------------------------------------------------- running */

static void
reload(const struct options *o, struct scheduler_jobs **jobs)
{
	struct sl_schedule *schedule = load(o);

	/* The machine may have been moved to another zone. */
	sl_zone_forget_local();
	if (!schedule)
		fprintf(stderr, "sluice scheduler: going on with the schedule as it was\n");
	else if (scheduler_jobs_change(jobs, schedule))
		fprintf(stderr, "sluice scheduler: out of memory; going on with the schedule as it was\n");
	else
		fprintf(stderr, "sluice scheduler: %s was read again\n", o->schedule);
	sl_schedule_free(schedule);
}

/* Until the next whole second, at which rows change, or a signal. */
static int
wait_for_signal(const sigset_t *set)
{
	struct timespec now, left;

	clock_gettime(CLOCK_REALTIME, &now);
	left.tv_sec = LOOK_S - 1;
	left.tv_nsec = 1000000000 - now.tv_nsec;
	if (left.tv_nsec == 1000000000) {
		left.tv_sec++;
		left.tv_nsec = 0;
	}
	return sigtimedwait(set, NULL, &left);
}

static int
run(const struct options *o, struct scheduler_jobs *jobs, const sigset_t *set)
{
	bool stopping = false;

	for (;;) {
		uint64_t mono = monotonic_ns();
		int sig;

		scheduler_jobs_reap(jobs, mono);
		if (scheduler_jobs_serve(jobs, (int64_t)time(NULL), mono, stopping) == 0 && stopping)
			break;
		sig = wait_for_signal(set);
		if (sig == SIGHUP && !stopping) {
			reload(o, &jobs);
		} else if (sig == SIGTERM || sig == SIGINT) {
			if (stopping)
				scheduler_jobs_hurry(jobs);
			stopping = true;
		}
	}
	scheduler_jobs_free(jobs);
	return SL_EXIT_OK;
}

static int
start(const struct options *o, const struct sl_schedule *schedule)
{
	struct scheduler_jobs *jobs = scheduler_jobs_create(schedule);
	sigset_t set;

	if (!jobs) {
		fprintf(stderr, "sluice scheduler: out of memory\n");
		return SL_EXIT_FAILED;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	srandom((unsigned int)(monotonic_ns() ^ (uint64_t)getpid()));
	return run(o, jobs, &set);
}

int
cmd_scheduler(int argc, char **argv)
{
	struct options o = {0};
	struct sl_schedule *schedule;
	int status = parse(argc, argv, &o);

	if (status >= 0)
		return status;
	schedule = load(&o);
	if (!schedule)
		return SL_EXIT_REFUSED;
	if (o.list)
		status =
			scheduler_list(schedule, o.at_given ? o.at : (int64_t)time(NULL)) ? SL_EXIT_FAILED : SL_EXIT_OK;
	else if (!o.check)
		status = start(&o, schedule);
	else
		status = SL_EXIT_OK;
	if (o.check && status == SL_EXIT_OK)
		printf("%s: %zu row%s, no errors\n", o.schedule, sl_schedule_rows(schedule),
			sl_schedule_rows(schedule) == 1 ? "" : "s");
	sl_schedule_free(schedule);
	return status;
}
