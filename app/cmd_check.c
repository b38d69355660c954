/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "app.h"
#include "config_checks.h"
#include "mount.h"
#include "number.h"
#include "sl_config.h"
#include "sl_filter.h"
#include "sl_store.h"
#include "sl_writer.h"

#define LINK_TYPE_ETHERNET 1u
#define SNAP_LEN_DEFAULT 262144u
#define SECOND 1000000000ull
#define NAMES_SHOWN 3u

struct check {
	const char *path;
	const char *store;
	bool store_given;
	bool verbose;
	uint64_t at; /* ns since 1970 UTC: the time that names are shown for */
	uint32_t link_type;
	uint32_t snap_len;
	char link_reason[SL_STORE_ERRBUF + 256];
	struct sl_config *config;
	struct sl_filter_set *filters; /* only with -v */
};

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: sluice check [CONFIG] [--store DIR] [--at TIME] [-v]\n"
		"\n"
		"Validate a push configuration without touching anything, and show each target as it is understood,\n"
		"with the names of its next three files.\n"
		"\n"
		"  CONFIG       default " SL_CONFIG_DEFAULT_FMADIO ",\n"
		"               else " SL_CONFIG_DEFAULT_ETC "\n"
		"  --store DIR  check filters for the link type of this store's active capture\n"
		"               (default " SL_STORE_DEFAULT " if it is there, else Ethernet)\n"
		"  --at TIME    show the names for this time instead of now: seconds since 1970,\n"
		"               2023-11-14T22:13:20Z (or +01:00; local time without), or 20231114_221320\n"
		"  -v           also show how each filter runs, and why\n"
		"\n"
		"Exit status: 0 no errors (there may be warnings), 2 errors, each with file:line.\n");
}

/* ---------------------------------------------------------------- arguments */

/* 0: go on; else the exit status plus one */
static int
parse_arguments(struct check *c, int argc, char **argv)
{
	static const struct option longs[] = {
		{"store", required_argument, NULL, 's'},
		{"at", required_argument, NULL, 'a'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt, rc;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "vh", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			c->store = optarg;
			c->store_given = true;
			break;
		case 'a':
			rc = sl_time_parse(optarg, &c->at);
			if (rc != 0) {
				fprintf(stderr, "sluice check: --at '%s' %s\n", optarg, sl_time_refusal(rc));
				return 1 + SL_EXIT_REFUSED;
			}
			break;
		case 'v':
			c->verbose = true;
			break;
		case 'h':
			usage(stdout);
			return 1 + SL_EXIT_OK;
		default:
			fprintf(stderr, "`sluice check --help` lists the options.\n");
			return 1 + SL_EXIT_REFUSED;
		}
	}
	if (optind + 1 < argc) {
		fprintf(stderr, "sluice check: one CONFIG at a time, not also '%s'\n", argv[optind + 1]);
		return 1 + SL_EXIT_REFUSED;
	}
	c->path = optind < argc ? argv[optind] : sl_config_default_path();
	if (c->path == NULL) {
		fprintf(stderr, "sluice check: there is neither " SL_CONFIG_DEFAULT_FMADIO " nor " SL_CONFIG_DEFAULT_ETC
				"; name the configuration: sluice check CONFIG\n");
		return 1 + SL_EXIT_REFUSED;
	}
	return 0;
}

/* ---------------------------------------------------------------- the store's link type */

/* 0, or -errno after a message: a store that was named must be readable. */
static int
find_link_type(struct check *c)
{
	struct sl_capture *capture;
	char errbuf[SL_STORE_ERRBUF] = "";
	const char *store = c->store_given ? c->store : SL_STORE_DEFAULT;
	struct stat st;

	c->link_type = LINK_TYPE_ETHERNET;
	c->snap_len = SNAP_LEN_DEFAULT;
	if (stat(store, &st) != 0) {
		int rc = -errno;

		if (c->store_given) {
			fprintf(stderr, "sluice check: --store %s: %s\n", store, strerror(-rc));
			return rc;
		}
		snprintf(c->link_reason, sizeof(c->link_reason), "there is no store %s; --store DIR names one", store);
		return 0;
	}
	int rc = sl_capture_open(store, NULL, &capture, errbuf);
	if (rc != 0) {
		if (rc != -ENOENT && c->store_given) {
			fprintf(stderr, "sluice check: %s\n", errbuf);
			return rc;
		}
		if (rc == -ENOENT)
			snprintf(c->link_reason, sizeof(c->link_reason), "the store %s has no active capture", store);
		else
			snprintf(c->link_reason, sizeof(c->link_reason), "%s", errbuf);
		return 0;
	}
	const struct sl_capture_info *info = sl_capture_info(capture);
	c->link_type = info->link_type;
	c->snap_len = info->snap_len;
	snprintf(c->link_reason, sizeof(c->link_reason), "that of the capture %s in %s", info->name, store);
	sl_capture_close(capture);
	return 0;
}

/* ---------------------------------------------------------------- how filters run */

static int
make_filters(struct check *c)
{
	size_t n = sl_config_targets(c->config);
	const char **expressions = calloc(n + 1, sizeof(*expressions));
	char errbuf[SL_FILTER_ERRBUF] = "";

	if (expressions == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		expressions[i] = sl_config_target(c->config, i)->filter;
	int rc = sl_filter_set_create(expressions, n, c->link_type, c->snap_len, 1, &c->filters, errbuf);
	if (rc != 0)
		fprintf(stderr, "sluice check: filters: %s\n", errbuf[0] != '\0' ? errbuf : strerror(-rc));
	free(expressions);
	return rc;
}

/* ---------------------------------------------------------------- output */

static void
show_split(const struct sl_target_config *t)
{
	char text[64];

	printf("  split       ");
	if (t->split_time != 0) {
		sl_number_format_time(t->split_time, text, sizeof(text));
		printf("a file every %s, aligned to %s", text, t->align_local ? "local time" : "UTC");
	}
	if (t->split_byte != 0) {
		sl_number_format_bytes(t->split_byte, text, sizeof(text));
		printf("%s %s", t->split_time != 0 ? ", in parts of at most" : "files of at most", text);
	}
	printf("%s\n", t->empty_files ? "; windows without packets too" : "");
}

static void
show_mount(const struct sl_target_config *t)
{
	char point[SL_PATH_MAX];

	if (t->mount != NULL) {
		if (t->mount[0] == '\0')
			return;
		snprintf(point, sizeof(point), "%s", t->mount);
	} else if (sl_mount_expected(t->path, point) != 0 || point[0] == '\0') {
		return;
	}
	printf("  mount       %s%s; %s\n", point, t->mount != NULL ? "" : " (from fstab or a mount unit)",
		sl_mount_is_mounted(point) ? "mounted" : "NOT MOUNTED now: the target waits until it is");
}

static void
show_min_free(const struct sl_target_config *t)
{
	struct sl_mount mount;
	char text[64];

	if (t->min_free != UINT64_MAX) {
		sl_number_format_bytes(t->min_free, text, sizeof(text));
		printf("  min free    %s\n", text);
	} else if (sl_mount_find(t->path, &mount) == 0 && !mount.remote) {
		sl_number_format_bytes(SL_MIN_FREE_LOCAL, text, sizeof(text));
		printf("  min free    %s (the default on a local file system)\n", text);
	}
}

static void
show_filter(const struct check *c, size_t i)
{
	static const char *const engines[] = {
		[SL_FILTER_ALL] = "accepts every packet, nothing runs",
		[SL_FILTER_NONE] = "rejects every packet, nothing runs",
		[SL_FILTER_JIT] = "machine code",
		[SL_FILTER_LIBPCAP] = "libpcap's interpreter",
	};
	const struct sl_target_config *t = sl_config_target(c->config, i);
	struct sl_filter_info info;

	printf("  filter      %s\n", t->filter[0] != '\0' ? t->filter : "none: all packets");
	if (c->filters == NULL)
		return;
	unsigned int program = sl_filter_program_of(c->filters)[i];
	sl_filter_get_info(c->filters, program, &info);
	printf("  runs as     program %u: %s\n", program, engines[info.engine]);
	if (info.engine == SL_FILTER_JIT || info.engine == SL_FILTER_LIBPCAP)
		printf("              %u instructions; %s\n", info.instructions,
			info.reason != NULL ? info.reason : "");
}

static void
show_target(const struct check *c, size_t i)
{
	const struct sl_target_config *t = sl_config_target(c->config, i);
	char path[SL_PATH_MAX];

	printf("\ntarget \"%s\" (line %u)\n", t->desc, t->line);
	printf("  path        %s\n", t->path);
	show_split(t);
	show_filter(c, i);
	printf("  begins at   %s\n",
		t->follow_start ? "the capture's start" : "now (FollowStart = true: at the capture's start)");
	if (t->slice != 0)
		printf("  slice       %u bytes of each packet\n", t->slice);
	if (t->time_zone != NULL)
		printf("  time zone   %s\n", t->time_zone);
	if (t->owner_user != NULL)
		printf("  owner       %s%s%s\n", t->owner_user, t->owner_group != NULL ? ":" : "",
			t->owner_group != NULL ? t->owner_group : "");
	if (t->on_stop == SL_ON_STOP_RESUME)
		printf("  on stop     keep the open file and go on with it\n");
	show_min_free(t);
	show_mount(t);
	for (unsigned int n = 0; n < NAMES_SHOWN; n++)
		if (config_next_name(t, c->at, n, path) == 0)
			printf("  %-11s %s\n", n > 0 ? "" : t->split_time != 0 ? "next files" : "such as", path);
}

static void
show(const struct check *c)
{
	size_t n = sl_config_targets(c->config), warnings = sl_config_findings(c->config);

	printf("%s: %zu target%s, no errors", c->path, n, n == 1 ? "" : "s");
	if (warnings > 0)
		printf(", %zu warning%s", warnings, warnings == 1 ? "" : "s");
	printf("\nfilters are checked for link type %u%s: %s\n", c->link_type,
		c->link_type == LINK_TYPE_ETHERNET ? " (Ethernet)" : "", c->link_reason);
	for (size_t i = 0; i < n; i++)
		show_target(c, i);
}

/* ---------------------------------------------------------------- */

int
cmd_check(int argc, char **argv)
{
	struct check c = {0};
	struct timespec now;
	int status = SL_EXIT_REFUSED;

	clock_gettime(CLOCK_REALTIME, &now);
	c.at = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
	int rc = parse_arguments(&c, argc, argv);
	if (rc != 0)
		return rc - 1;
	if (find_link_type(&c) != 0)
		return SL_EXIT_REFUSED;
	rc = sl_config_load(c.path, &c.config);
	if (c.config == NULL) {
		fprintf(stderr, "sluice check: %s: %s\n", c.path, strerror(-rc));
		return SL_EXIT_FAILED;
	}
	/* Filters are checked whatever else is wrong: all errors at once. */
	config_check_filters(c.config, c.link_type, c.snap_len);
	if (rc == 0)
		config_check_places(c.config, c.at);
	sl_config_print_findings(c.config, stderr);
	size_t errors = sl_config_errors(c.config);
	if (errors > 0) {
		fprintf(stderr, "sluice check: %zu error%s in %s; nothing was touched\n", errors,
			errors == 1 ? "" : "s", c.path);
		goto err;
	}
	if (c.verbose && make_filters(&c) != 0) {
		status = SL_EXIT_FAILED;
		goto err;
	}
	show(&c);
	status = SL_EXIT_OK;
err:
	sl_filter_set_free(c.filters);
	sl_config_free(c.config);
	return status;
}
