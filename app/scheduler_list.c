/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler.h"
#include "zone.h"

/* ---------------------------------------------------------------- what is wrong */

static void
check_config(struct sl_schedule *schedule, size_t i, bool strict)
{
	const struct sl_schedule_row *row = sl_schedule_row(schedule, i);
	unsigned int line = sl_schedule_field_line(schedule, i, "Config");
	struct sl_config *config;
	int rc = sl_config_load(row->config, &config);

	if (!config || (rc != 0 && sl_config_errors(config) == 0))
		sl_config_add_finding(sl_schedule_findings(schedule), strict, line, row->desc, "Config", "%s: %s",
			row->config, strerror(-rc));
	else if (rc != 0 && sl_config_finding(config, 0)->line == 0)
		sl_config_add_finding(sl_schedule_findings(schedule), strict, line, row->desc, "Config", "%s: %s",
			row->config, sl_config_finding(config, 0)->text);
	else if (rc != 0)
		sl_config_add_finding(sl_schedule_findings(schedule), strict, line, row->desc, "Config",
			"%s has %zu error%s; `sluice check %s` shows them", row->config, sl_config_errors(config),
			sl_config_errors(config) == 1 ? "" : "s", row->config);
	sl_config_free(config);
}

/* What a row has fields for, or what would end by itself and be started again and again. */
static void
check_options(struct sl_schedule *schedule, size_t i)
{
	static const char *const words[][2] = {{"--config", "Config"}, {"--store", "Store"},
		{"--state-dir", "StateDir"}, {"--log-dir", "LogDir"}, {"--stop-timeout", "StopTimeout"},
		{"--once", NULL}, {"--help", NULL}};
	const struct sl_schedule_row *row = sl_schedule_row(schedule, i);
	unsigned int line = sl_schedule_field_line(schedule, i, "Options");

	for (const char *p = row->options; *p != '\0'; p += strspn(p, " \t")) {
		size_t len = strcspn(p, " \t=");

		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
			if (len < 4 || len > strlen(words[w][0]) || strncmp(p, words[w][0], len) != 0)
				continue;
			if (words[w][1])
				sl_config_add_finding(sl_schedule_findings(schedule), true, line, row->desc, "Options",
					"%s belongs into the field %s", words[w][0], words[w][1]);
			else
				sl_config_add_finding(sl_schedule_findings(schedule), true, line, row->desc, "Options",
					"with %s the push would end by itself, and be started again and again",
					words[w][0]);
			break;
		}
		p += strcspn(p, " \t");
	}
}

static void
check_state_dirs(struct sl_schedule *schedule, size_t i)
{
	const struct sl_schedule_row *row = sl_schedule_row(schedule, i);
	char dir[PATH_MAX], other_dir[PATH_MAX];

	scheduler_state_dir(row, dir);
	for (size_t k = 0; k < i; k++) {
		const struct sl_schedule_row *other = sl_schedule_row(schedule, k);

		scheduler_state_dir(other, other_dir);
		if (!other->enable || strcmp(other->config, row->config) == 0 || strcmp(dir, other_dir) != 0)
			continue;
		sl_config_add_finding(sl_schedule_findings(schedule), true,
			sl_schedule_field_line(schedule, i, row->state_dir ? "StateDir" : "Config"), row->desc,
			row->state_dir ? "StateDir" : "Config",
			"its journals would lie in %s, as those of row \"%s\", and only one push can use them; set "
			"StateDir",
			dir, other->desc);
		return;
	}
}

void
scheduler_check(struct sl_schedule *schedule, bool strict)
{
	for (size_t i = 0; i < sl_schedule_rows(schedule); i++) {
		const struct sl_schedule_row *row = sl_schedule_row(schedule, i);

		if (!row->enable || row->config[0] == '\0')
			continue;
		check_config(schedule, i, strict);
		check_options(schedule, i);
		check_state_dirs(schedule, i);
	}
}

/* ---------------------------------------------------------------- what it means */

#define MOMENT_SIZE 32

/* "2026-11-23T08:00:00+01:00", by the row's clocks. */
static int
format_moment(const struct sl_schedule_rule *rule, int64_t at, char text[MOMENT_SIZE])
{
	const struct sl_zone *zone;
	struct tm tm;
	long offset;

	if (at == SL_SCHEDULE_NEVER) {
		snprintf(text, MOMENT_SIZE, "never");
		return 0;
	}
	zone = sl_zone_get(rule->time_zone);
	if (!zone)
		return -EINVAL;
	sl_zone_localtime(zone, at, &tm);
	offset = labs(tm.tm_gmtoff) / 60;
	strftime(text, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + strlen(text), MOMENT_SIZE - strlen(text), "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
		offset / 60 % 100, offset % 60);
	return 0;
}

static int
list_row(const struct sl_schedule_row *row, int width, int64_t at)
{
	char start[MOMENT_SIZE] = "-", stop[MOMENT_SIZE] = "-", dir[PATH_MAX];
	struct sl_schedule_state state = {0};
	pid_t pid;
	int rc = 0;

	if (row->enable) {
		rc = sl_schedule_at(&row->rule, at, &state);
		if (rc == 0)
			rc = format_moment(&row->rule, state.start, start);
		if (rc == 0)
			rc = format_moment(&row->rule, state.stop, stop);
	}
	if (rc) {
		fprintf(stderr, "sluice scheduler: row \"%s\": time zone \"%s\": %s\n", row->desc,
			row->rule.time_zone ? row->rule.time_zone : "local", strerror(-rc));
		return rc;
	}
	scheduler_state_dir(row, dir);
	pid = scheduler_lock_holder(dir);
	printf("%-*s  %-8s  %-25s  %-25s  ", width, row->desc,
		!row->enable ? "disabled"
		: state.on   ? "on"
			     : "off",
		start, stop);
	if (pid > 0)
		printf("%-8ld", (long)pid);
	else
		printf("%-8s", pid < 0 ? "?" : "-");
	printf("  %-13s  %s\n", row->engine, row->config);
	return 0;
}

int
scheduler_list(const struct sl_schedule *schedule, int64_t at)
{
	size_t rows = sl_schedule_rows(schedule);
	int width = 4, rc = 0;

	for (size_t i = 0; i < rows; i++) {
		int len = (int)strlen(sl_schedule_row(schedule, i)->desc);

		width = len > width ? len : width;
	}
	printf("%-*s  %-8s  %-25s  %-25s  %-8s  %-13s  %s\n", width, "row", "state", "next start", "next stop",
		"process", "engine", "configuration");
	for (size_t i = 0; i < rows && rc == 0; i++)
		rc = list_row(sl_schedule_row(schedule, i), width, at);
	return rc;
}
