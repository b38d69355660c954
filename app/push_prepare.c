/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What `sluice push` does before EAL starts: refuse what cannot work, while nothing has been touched.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "app.h"
#include "config_checks.h"
#include "push.h"
#include "push_claims.h"

#define OTHER_DESCRIPTORS 256 /* the store's segments, rings, EAL */
#define CLAIMS 4 /* sockets of a target: its Path, its log, each as text and as place */

/* Printed again only if there is more to say. */
static void
print_findings(struct push *push)
{
	if (sl_config_findings(push->config) > push->findings_said)
		sl_config_print_findings(push->config, stderr);
	push->findings_said = sl_config_findings(push->config);
}

static void
check_filters(struct push *push, const struct sl_capture *capture)
{
	const struct sl_capture_info *info = sl_capture_info(capture);

	config_check_filters(push->config, info->link_type, info->snap_len);
}

int
push_load_config(struct push *push)
{
	struct sl_capture *capture;
	char errbuf[PUSH_ERRBUF];
	struct timespec now;
	int rc = sl_config_load(push->options.config, &push->config);

	if (!push->config) {
		fprintf(stderr, "sluice push: %s: %s\n", push->options.config, strerror(-rc));
		return SL_EXIT_FAILED;
	}
	push->targets = (unsigned int)sl_config_targets(push->config);
	clock_gettime(CLOCK_REALTIME, &now);
	/* The null sink makes no file. */
	if (rc == 0 && push->options.sink == SL_SINK_FILE)
		config_check_places(push->config, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	if (sl_config_errors(push->config) == 0)
		return -1;
	/* All errors at once: those of the filters too, if there is a capture to check them for. */
	if (sl_capture_open(push->options.store, push->options.capture, &capture, errbuf) == 0) {
		check_filters(push, capture);
		sl_capture_close(capture);
	}
	print_findings(push);
	return SL_EXIT_REFUSED;
}

/*
 * A target that may open no more files could not even publish those that it has, and they keep their descriptors until
 * then: so there must be enough from the start.
 */
int
push_raise_limits(unsigned int targets)
{
	rlim_t need = OTHER_DESCRIPTORS + (rlim_t)targets * (SL_WRITER_DESCRIPTORS + CLAIMS);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= need)
		return -1;
	limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
	if (limit.rlim_cur == need && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return -1;
	fprintf(stderr,
		"sluice push: %u targets may need %llu open files, and the limit is %llu; raise it (ulimit -Hn, or "
		"LimitNOFILE= of the service)\n",
		targets, (unsigned long long)need, (unsigned long long)limit.rlim_max);
	return SL_EXIT_REFUSED;
}

int
push_claim(struct push *push)
{
	char errbuf[PUSH_ERRBUF];
	int rc;

	/* The null sink writes no file. */
	if (push->options.sink != SL_SINK_FILE)
		return -1;
	rc = push_claims_take(&push->claims, push->config, push->options.log_dir, errbuf);
	if (rc == 0)
		return -1;
	fprintf(stderr, "sluice push: %s\n", errbuf);
	return rc == -EBUSY ? SL_EXIT_REFUSED : SL_EXIT_FAILED;
}

int
push_choose_cpus(struct push *push)
{
	const struct push_options *o = &push->options;
	char errbuf[PUSH_ERRBUF];

	if (sched_getaffinity(0, sizeof(push->allowed), &push->allowed)) {
		fprintf(stderr, "sluice push: CPU affinity: %s\n", strerror(errno));
		return SL_EXIT_REFUSED;
	}
	if (!o->lcores.map) {
		push_map_choose(&push->allowed, push->targets, &push->map);
	} else if (push_map_parse(o->lcores.map, &push->allowed, &push->map, errbuf, sizeof(errbuf))) {
		fprintf(stderr, "sluice push: --map: %s\n", errbuf);
		return SL_EXIT_REFUSED;
	}
	return lcore_options_helpers(
		"push", &o->lcores, push->map.lcores, push->map.count, &push->allowed, &push->helper_cpus);
}

/* A filter has a meaning only for a link type, so for a capture. */
int
push_check_filters(struct push *push, const struct sl_capture *capture)
{
	check_filters(push, capture);
	print_findings(push);
	return sl_config_errors(push->config) > 0 ? SL_EXIT_REFUSED : -1;
}

/*
 * The sequence number of the newest capture that nobody writes any more; 0 if there is none. One that is being made is
 * in the list a moment before the link `active` leads to it: it is one that comes.
 */
static uint64_t
newest_ended(const char *store)
{
	struct sl_capture_info *infos = NULL;
	char errbuf[SL_STORE_ERRBUF];
	uint64_t newest;
	size_t count = 0;

	if (sl_store_list(store, &infos, &count, errbuf) < 0)
		count = 0;
	for (; count > 0; count--) {
		struct sl_capture *capture;
		bool is_open;

		if (sl_capture_open(store, infos[count - 1].name, &capture, errbuf) < 0)
			break;
		is_open = sl_capture_state(capture) == SL_CAPTURE_OPEN;
		sl_capture_close(capture);
		if (!is_open)
			break;
	}
	newest = count > 0 ? infos[count - 1].sequence : 0;

	free(infos);
	return newest;
}

/*
 * Following may begin before the first capture does. What is waited for is the first one that comes, not the one that
 * is active when this looks again: several may have come and gone by then.
 */
int
push_open_first_capture(struct push *push)
{
	char errbuf[PUSH_ERRBUF];
	bool waits = !push->options.once && !push->options.capture, said = false;
	/* before the first look: a capture that begins in between is one that has come */
	uint64_t newest = waits ? newest_ended(push->options.store) : 0;

	while (!push_stopping()) {
		struct sl_capture *capture;
		int rc = said ? sl_capture_open_after(push->options.store, newest, &capture, errbuf)
			      : sl_capture_open(push->options.store, push->options.capture, &capture, errbuf);

		if (rc == 0) {
			int status = push_check_filters(push, capture);

			if (status >= 0) {
				sl_capture_close(capture);
				return status;
			}
			if (push_streams_add(push->streams, capture, errbuf)) {
				push->first = capture;
				return -1;
			}
			rc = -errno;
		}
		if (rc != -ENOENT || !waits) {
			fprintf(stderr, "sluice push: %s%s\n", errbuf,
				rc == -ENOENT && !push->options.capture ? "; `sluice import` makes one" : "");
			return SL_EXIT_REFUSED;
		}
		print_findings(push);
		if (push_reload_asked()) {
			fprintf(stderr,
				"sluice push: SIGHUP: the configuration is read again once there is a capture\n");
			push->reload_due = true;
		}
		if (!said)
			fprintf(stderr, "sluice push: waiting for the first capture in %s\n", push->options.store);
		said = true;
		push_tick();
	}
	return SL_EXIT_OK;
}
