/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sl_config.h"
#include "tests.h"

#define HEAD "local S = {Row = {}}\n"
#define TAIL "\nreturn S\n"
#define ROW(fields) HEAD "table.insert(S.Row, { Desc = \"a\", Config = \"/c.lua\", " fields " })" TAIL
#define TIMES "Start = \"08:00:00\", Stop = \"18:00:00\""

static struct sl_schedule *
load(const char *text, int *rc)
{
	struct sl_schedule *schedule;
	char path[64];
	int fd = memfd_create("schedule.lua", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*rc = sl_schedule_load(path, &schedule);
	close(fd);
	assert_non_null(schedule);
	return schedule;
}

static void
expect(const char *text, bool is_error, unsigned int line, const char *field, const char *words)
{
	int rc;
	struct sl_schedule *schedule = load(text, &rc);
	struct sl_config *findings = sl_schedule_findings(schedule);
	bool found = false;

	for (size_t i = 0; i < sl_config_findings(findings); i++) {
		const struct sl_config_finding *f = sl_config_finding(findings, i);

		found = found || (f->is_error == is_error && f->line == line && strcmp(f->field, field) == 0 &&
					 strstr(f->text, words));
	}
	if (!found || (is_error && rc != -EINVAL)) {
		sl_config_print_findings(findings, stderr);
		fail_msg("%s\n%d: not: line %u: %s: %s", text, rc, line, field, words);
	}
	sl_schedule_free(schedule);
}

static void
test_rows(void **state)
{
	int rc;
	struct sl_schedule *schedule = load(HEAD
		"table.insert(S.Row, {\n Desc = \"office\", Enable = true, Engine = \"Push_PCAP\",\n"
		" Config = \"/etc/x.lua\", Days = \"mon-WED, saturday\", Start = \"08:30\", Stop = \"24:00:00\",\n"
		" TimeZone = \"Europe/Berlin\", Store = \"/s\", StateDir = \"/d\", LogDir = \"/l\",\n"
		" Options = \"--no-huge --poll\", StopTimeout = 5 })\n"
		"S.Row[2] = { Desc = \"all\", Config = \"/y.lua\", Always = true, Enable = false }\n"
		"S.Row[3] = { Desc = \"list\", Config = \"/z.lua\", Days = { \"Fri-Mon\", \"Tue\" },\n"
		" Start = \"22:00:00\", Stop = \"06:00:01\" }" TAIL,
		&rc);
	const struct sl_schedule_row *row = sl_schedule_row(schedule, 0);
	(void)state;

	sl_config_print_findings(sl_schedule_findings(schedule), stderr);
	assert_int_equal(rc, 0);
	assert_int_equal(sl_schedule_rows(schedule), 3);
	assert_string_equal(row->desc, "office");
	assert_string_equal(row->engine, "push_pcap");
	assert_string_equal(row->rule.time_zone, "Europe/Berlin");
	assert_int_equal(row->rule.days, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6);
	assert_int_equal(row->rule.start, 8 * 3600 + 30 * 60);
	assert_int_equal(row->rule.stop, SL_SCHEDULE_DAY);
	assert_int_equal(row->stop_timeout, 5);
	assert_string_equal(row->options, "--no-huge --poll");
	assert_int_equal(row->line, 2);
	assert_int_equal(sl_schedule_field_line(schedule, 0, "Days"), 4);
	row = sl_schedule_row(schedule, 1);
	assert_true(row->rule.always);
	assert_false(row->enable);
	row = sl_schedule_row(schedule, 2);
	assert_int_equal(row->rule.days, 0x7f & ~(1 << 3 | 1 << 4));
	assert_int_equal(row->rule.stop, 6 * 3600 + 1);
	assert_null(row->rule.time_zone);
	sl_schedule_free(schedule);
}

static void
test_findings(void **state)
{
	(void)state;
	expect("", true, 1, "", "must end with `return Schedule`");
	expect("return {}", true, 0, "Row", "is missing");
	expect("return {Row = {}}", true, 1, "Row", "is empty");
	expect("return {Row = {5}}", true, 1, "Row", "entry 1 must be a table");
	expect("return {\nRows = {}}", true, 2, "Rows", "all there is at the top level is Row");
	expect(ROW(""), true, 2, "Start", "is missing");
	expect(ROW("Start = \"08:00:00\""), true, 2, "Stop", "Always = true");
	expect(ROW(TIMES ",\nDays = \"Mon-Fry\""), true, 3, "Days", "\"Mon-Fry\" is no day");
	expect(ROW(TIMES ",\nDays = \"M\""), true, 3, "Days", "no day");
	expect(ROW(TIMES ",\nDays = \"\""), true, 3, "Days", "names no day");
	expect(ROW(TIMES ",\nDays = {}"), true, 3, "Days", "names no day");
	expect(ROW(TIMES ",\nDays = { 1 }"), true, 3, "Days", "holds a number");
	expect(ROW(TIMES ",\nDays = 1"), true, 3, "Days", "must be a string or a table");
	expect(ROW("Stop = \"09:00:00\",\nStart = \"8:00\""), true, 3, "Start", "no time of day");
	expect(ROW("Stop = \"09:00:00\",\nStart = \"08\""), true, 3, "Start", "no time of day");
	expect(ROW("Stop = \"09:00:00\",\nStart = \"08:60\""), true, 3, "Start", "no time of day");
	expect(ROW("Stop = \"09:00:00\",\nStart = \"08:00:00 \""), true, 3, "Start", "no time of day");
	expect(ROW("Stop = \"09:00:00\",\nStart = \"08:00:\""), true, 3, "Start", "no time of day");
	expect(ROW("Stop = \"09:00:00\",\nStart = \"24:00:00\""), true, 3, "Start", "end of the day");
	expect(ROW("Start = \"09:00:00\",\nStop = \"24:00:01\""), true, 3, "Stop", "no time of day");
	expect(ROW(TIMES ",\nTimeZone = \"Europe/Berlim\""), true, 3, "TimeZone", "did you mean \"Europe/Berlin\"");
	expect(ROW(TIMES ",\nEngine = \"push_lxc\""), true, 3, "Engine", "not available");
	expect(ROW(TIMES ",\nEngine = \"push_realtme\""), true, 3, "Engine", "did you mean \"push_realtime\"");
	expect(ROW(TIMES ",\nStore = \"x\""), true, 3, "Store", "not absolute");
	expect(ROW(TIMES ",\nStopTimeout = -1"), true, 3, "StopTimeout", "whole number of seconds");
	expect(ROW(TIMES ",\nStopTimeout = 0.5"), true, 3, "StopTimeout", "whole number of seconds");
	expect(ROW(TIMES ",\nEnabled = true"), true, 3, "Enabled", "did you mean Enable?");
	expect(ROW(TIMES ",\nEnable = 1"), true, 3, "Enable", "must be true or false");
	expect(ROW(TIMES ",\nEnable = true,\nEnable = false"), false, 4, "Enable", "twice in one row");
	expect(ROW("Always = true,\nDays = \"Mon\""), false, 3, "Days", "beside Always = true");
	expect("return {Row = {{ Desc = \"a\", Always = true }}}", true, 1, "Config", "is missing");
	expect("return {Row = {{ Config = \"/c\", Always = true }}}", true, 0, "Desc", "is missing");
	expect("return {Row = {{ Desc = \"a\", Config = \"c\", Always = true }}}", true, 1, "Config", "not absolute");
	expect("return {Row = {\n{ Desc = \"a\", Config = \"/c\", Always = true },\n"
	       "{ Desc = \"a\", Config = \"/d\", Always = true }}}",
		true, 3, "Desc", "another row has this name");
	expect("return {Row = {\n{ Desc = \"a\", Config = \"/c\", Always = true, Store = \"/s\" },\n"
	       "{ Desc = \"b\", Config = \"/c\", Always = true }}}",
		true, 3, "Config", "row \"a\" runs the same configuration");
	/* What stands before an error is read too. */
	expect(HEAD "table.insert(S.Row, { Desc = \"a\", Config = \"/c\", Start = \"x\" })\nerror(\"no\")", true, 2,
		"Start", "no time of day");
}

struct moment {
	int64_t now;
	bool on;
	int64_t start, stop;
};

static void
check_moments(const struct sl_schedule_rule *rule, const struct moment *moments, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct moment *m = &moments[i];
		struct sl_schedule_state s;

		assert_int_equal(sl_schedule_at(rule, m->now, &s), 0);
		if (s.on != m->on || s.start != m->start || s.stop != m->stop)
			fail_msg("at %" PRId64 ": %d, %" PRId64 " to %" PRId64 ", expected %d, %" PRId64 " to %" PRId64,
				m->now, s.on, s.start, s.stop, m->on, m->start, m->stop);
	}
}

#define CHECK(rule, ...)                                                                                               \
	do {                                                                                                           \
		const struct moment moments[] = __VA_ARGS__;                                                           \
		check_moments(rule, moments, sizeof(moments) / sizeof(moments[0]));                                    \
	} while (0)

#define MONDAY INT64_C(1767571200) /* 2026-01-05 00:00:00 UTC */
#define DAY 86400
#define NEVER SL_SCHEDULE_NEVER

static void
test_times(void **state)
{
	struct sl_schedule_rule rule = {.days = 1 << 1, .start = 3600, .stop = 7200, .time_zone = "UTC"};
	(void)state;

	CHECK(&rule, {
			     {MONDAY, false, MONDAY + 3600, MONDAY + 7200},
			     {MONDAY + 3599, false, MONDAY + 3600, MONDAY + 7200},
			     {MONDAY + 3600, true, MONDAY + 7 * DAY + 3600, MONDAY + 7200},
			     {MONDAY + 7199, true, MONDAY + 7 * DAY + 3600, MONDAY + 7200},
			     {MONDAY + 7200, false, MONDAY + 7 * DAY + 3600, MONDAY + 7 * DAY + 7200},
		     });
	/* over midnight: Monday's window ends on Tuesday */
	rule = (struct sl_schedule_rule){.days = 1 << 1, .start = 79200, .stop = 21600, .time_zone = "UTC"};
	CHECK(&rule, {
			     {MONDAY, false, MONDAY + 79200, MONDAY + DAY + 21600},
			     {MONDAY + DAY, true, MONDAY + 7 * DAY + 79200, MONDAY + DAY + 21600},
		     });
	/* equal: a whole day; days that touch are one run, and a whole week has no end */
	rule = (struct sl_schedule_rule){.days = 0x3e, .start = 0, .stop = 0, .time_zone = "UTC"};
	CHECK(&rule, {
			     {MONDAY + 1, true, MONDAY + 7 * DAY, MONDAY + 5 * DAY},
			     {MONDAY + 5 * DAY, false, MONDAY + 7 * DAY, MONDAY + 12 * DAY},
		     });
	rule.days = 0x7f;
	CHECK(&rule, {{MONDAY + 1, true, NEVER, NEVER}});
	rule = (struct sl_schedule_rule){.always = true};
	CHECK(&rule, {{MONDAY, true, NEVER, NEVER}});
	rule = (struct sl_schedule_rule){.days = 1, .start = 0, .stop = 1, .time_zone = "No/Where"};
	assert_int_equal(sl_schedule_at(&rule, MONDAY, &(struct sl_schedule_state){0}), -ENOENT);
}

/* Europe/Berlin 2026: 29 March 02:00 becomes 03:00 (01:00 UTC), 25 October 03:00 becomes 02:00 (01:00 UTC). */
static void
test_daylight_saving(void **state)
{
	const int64_t spring = 1774746000, autumn = 1792890000;
	struct sl_schedule_rule rule = {.days = 1, .start = 9000, .stop = 12600, .time_zone = "Europe/Berlin"};
	(void)state;

	/* 02:30 to 03:30: the start is no time of that day, so it is the change itself */
	CHECK(&rule, {
			     {spring - 1, false, spring, spring + 1800},
			     {spring, true, spring + 7 * DAY - 1800, spring + 1800},
			     /* 02:30 comes twice: the first one counts */
			     {autumn - 1801, false, autumn - 1800, autumn + 5400},
			     {autumn, true, autumn + 7 * DAY + 1800, autumn + 5400},
		     });
	/* 01:30 to 02:30: ends at the change, or when 02:30 comes the second time */
	rule.start = 5400;
	rule.stop = 9000;
	CHECK(&rule, {
			     {spring - 1, true, spring + 7 * DAY - 5400, spring},
			     {autumn - 1, true, autumn + 7 * DAY - 1800, autumn + 1800},
		     });
	/* 02:10 to 02:50 of a day that has no such hour: nothing; the next one is a week later */
	rule.start = 7800;
	rule.stop = 10200;
	CHECK(&rule, {{spring - 60, false, spring + 7 * DAY - 3000, spring + 7 * DAY - 600}});
}

int
schedule_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_daylight_saving),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
