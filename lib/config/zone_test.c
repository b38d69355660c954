/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests.h"
#include "zone.h"
#include "zone_rule.h"

#define ZONEINFO "/usr/share/zoneinfo"
#define YEAR_1901 INT64_C(-2177452800)
#define YEAR_2106 INT64_C(4291747200)

/* ---------------------------------------------------------------- against libc */

/* libc knows one zone a process, so each comparison runs in a child whose exit status is its number of faults. */
static int
in_child(int (*body)(void *), void *arg)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body(arg) > 0 ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
same(const char *name, const struct sl_zone *zone, int64_t sec)
{
	struct tm ours, libc;
	time_t t = (time_t)sec;

	sl_zone_localtime(zone, sec, &ours);
	if (!localtime_r(&t, &libc))
		return false;
	if (ours.tm_year == libc.tm_year && ours.tm_mon == libc.tm_mon && ours.tm_mday == libc.tm_mday &&
		ours.tm_hour == libc.tm_hour && ours.tm_min == libc.tm_min && ours.tm_sec == libc.tm_sec &&
		ours.tm_wday == libc.tm_wday && ours.tm_yday == libc.tm_yday && ours.tm_isdst == libc.tm_isdst &&
		ours.tm_gmtoff == libc.tm_gmtoff && !strcmp(ours.tm_zone, libc.tm_zone))
		return true;
	fprintf(stderr,
		"%s at %" PRId64
		": %04d-%02d-%02d %02d:%02d:%02d %+ld %s, libc %04d-%02d-%02d %02d:%02d:%02d %+ld %s\n",
		name, sec, ours.tm_year + 1900, ours.tm_mon + 1, ours.tm_mday, ours.tm_hour, ours.tm_min, ours.tm_sec,
		ours.tm_gmtoff, ours.tm_zone, libc.tm_year + 1900, libc.tm_mon + 1, libc.tm_mday, libc.tm_hour,
		libc.tm_min, libc.tm_sec, libc.tm_gmtoff, libc.tm_zone);
	return false;
}

static long
libc_offset(int64_t sec)
{
	struct tm tm;
	time_t t = (time_t)sec;

	return localtime_r(&t, &tm) ? tm.tm_gmtoff : -1;
}

/*
 * A walk through two centuries, and around each change: those that libc shows between two steps, found by bisection,
 * and those that we believe in.
 */
static int
compare(const char *name, const struct sl_zone *zone, int64_t begin)
{
	const int64_t step = 17 * 86400 + 4321;
	int64_t from, until;
	int faults = 0;

	for (int64_t t = begin; t < YEAR_2106 && faults < 3; t += step) {
		int64_t low = t, high = t + step;

		faults += !same(name, zone, t);
		if (libc_offset(low) == libc_offset(high))
			continue;
		while (high - low > 1) {
			int64_t middle = low + (high - low) / 2;

			if (libc_offset(middle) == libc_offset(low))
				low = middle;
			else
				high = middle;
		}
		faults += !same(name, zone, low) + !same(name, zone, high) + !same(name, zone, high + 1);
	}
	for (int64_t t = begin; t < YEAR_2106 && faults < 3; t = until) {
		if (sl_zone_span(zone, t, &from, &until) != sl_zone_offset(zone, until - 1) || from > t || until <= t) {
			fprintf(stderr, "%s at %" PRId64 ": span %" PRId64 " to %" PRId64 "\n", name, t, from, until);
			return faults + 1;
		}
		if (until < YEAR_2106)
			faults +=
				!same(name, zone, until - 1) + !same(name, zone, until) + !same(name, zone, until + 1);
	}
	return faults;
}

static int
compare_named(const char *name, int64_t begin)
{
	const struct sl_zone *zone;
	int faults = 0;

	setenv("TZ", name, 1);
	tzset();
	zone = sl_zone_get(name);
	if (!zone) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		return 1;
	}
	faults += zone != sl_zone_get(name);
	return faults + compare(name, zone, begin);
}

static int all_faults, all_zones;

static int
each_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + sizeof(ZONEINFO);
	char magic[4] = "";
	FILE *f;

	(void)st;
	(void)ftw;
	/* posix/ holds the same files once more; of right/ some are enough to see the leap seconds. */
	if (type != FTW_F || !strncmp(name, "posix/", 6) || (!strncmp(name, "right/", 6) && name[6] != 'E'))
		return 0;
	f = fopen(path, "re");
	if (f && fread(magic, 1, 4, f) == 4 && !memcmp(magic, "TZif", 4)) {
		all_zones++;
		all_faults += compare_named(name, YEAR_1901);
	}
	if (f)
		fclose(f);
	return all_faults > 20;
}

static int
every_zone(void *arg)
{
	(void)arg;
	nftw(ZONEINFO, each_file, 16, FTW_PHYS);
	if (all_zones < 300) {
		fprintf(stderr, "only %d zones in %s: is tzdata installed?\n", all_zones, ZONEINFO);
		return 1;
	}
	return all_faults;
}

static void
test_every_zone(void **state)
{
	(void)state;
	assert_int_equal(in_child(every_zone, NULL), 0);
}

static int
rule_strings(void *arg)
{
	static const char *const names[] = {"EST5EDT,M3.2.0,M11.1.0", "<+0530>-5:30", ":Europe/Berlin", "UTC0",
		"EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3", "NZST-12NZDT,M9.5.0,M4.1.0/3",
		"<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "IST-2IDT,M3.4.4/26,M10.5.0", "XXX3:30:15YYY2:15,J60/2:30,J300/1",
		"AAA-1BBB,59,299/1:2:3", "<-12>12", "EET-2EEST,M3.5.0/3,M10.5.0/4", "LHST-10:30LHDT-11,M10.1.0,M4.1.0"};
	int faults = 0;

	(void)arg;
	/* glibc gives every year before 1970 the dates of 1970. */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		faults += compare_named(names[i], 86400);
	return faults;
}

static void
test_rule_strings(void **state)
{
	(void)state;
	assert_int_equal(in_child(rule_strings, NULL), 0);
}

/* RFC 8536 section 3.3.1: daylight saving all the year. glibc 2.36 leaves it for the last hours of each year. */
static void
test_rule_all_year(void **state)
{
	const struct sl_zone *zone = sl_zone_get("WART4WARST,J1/0,J365/25");

	(void)state;
	assert_non_null(zone);
	for (int64_t t = 0; t < YEAR_2106; t += 3600)
		assert_int_equal(sl_zone_offset(zone, t), -3 * 3600);
}

static int
local_zone(void *arg)
{
	const struct sl_zone *zone;

	if (arg)
		setenv("TZ", arg, 1);
	else
		unsetenv("TZ");
	tzset();
	sl_zone_forget_local();
	zone = sl_zone_get(NULL);
	if (!zone) {
		fprintf(stderr, "TZ=%s: %s\n", (const char *)arg, strerror(errno));
		return 1;
	}
	return !same("local", zone, 1700000000) + !same("local", zone, 1720000000) + (zone != sl_zone_get(NULL));
}

static int
no_local_zone(void *arg)
{
	setenv("TZ", arg, 1);
	sl_zone_forget_local();
	errno = 0;
	return sl_zone_get(NULL) != NULL || errno != ENOENT;
}

static void
test_local_zone(void **state)
{
	char berlin[] = "Europe/Berlin", colon[] = ":America/New_York", rule[] = "AAA3BBB,M3.2.0,M11.1.0", empty[] = "",
	     file[] = ZONEINFO "/Asia/Kolkata", wrong[] = "Europe/Nowhere";

	(void)state;
	assert_int_equal(in_child(local_zone, NULL), 0);
	assert_int_equal(in_child(local_zone, berlin), 0);
	assert_int_equal(in_child(local_zone, colon), 0);
	assert_int_equal(in_child(local_zone, rule), 0);
	assert_int_equal(in_child(local_zone, file), 0);
	/* libc calls this zone "Universal". */
	assert_int_equal(in_child(local_zone, empty), 0);
	/* libc silently takes UTC. */
	assert_int_equal(in_child(no_local_zone, wrong), 0);
}

/* ---------------------------------------------------------------- what is refused */

static void
test_refused(void **state)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = {{"Europe/Nowhere", ENOENT}, {"Europe", ENOENT}, {"Europe/Berlin/x", ENOENT}, {"", EINVAL},
		{":", EINVAL}, {"../../../etc/passwd", EINVAL}, {"Europe/../Europe/Berlin", EINVAL},
		{"/etc/passwd", EINVAL}, {"/dev/zero", EINVAL}, {"EST5EDT,M3.2.0", EINVAL}, {"<+05-5:30", EINVAL},
		{"EST5EDT,M13.2.0,M11.1.0", EINVAL}, {"AB5", ENOENT}, {"EST25", ENOENT}, {"ABC5DEF,J0,J5", EINVAL},
		{"ABC5DEF,366,5", EINVAL}, {"ABC5DEF,M3.2.0/168,M11.1.0", EINVAL}, {"ABC5DEF,M3.2.0,M11.1.0x", EINVAL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		if (sl_zone_get(cases[i].name) || errno != cases[i].error)
			fail_msg("\"%s\": %s, expected %s", cases[i].name, strerror(errno), strerror(cases[i].error));
	}
	/* tzselect's spelling of the zone UTC must not need the tz database. */
	setenv("TZDIR", "/nonexistent", 1);
	assert_non_null(sl_zone_get("UTC"));
	assert_null(sl_zone_get("Asia/Tokyo"));
	assert_int_equal(errno, ENOENT);
	unsetenv("TZDIR");
	assert_non_null(sl_zone_get("Asia/Tokyo"));
}

static size_t
read_zone(const char *name, uint8_t *data, size_t size)
{
	char path[256];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), ZONEINFO "/%s", name);
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s: %s: is tzdata installed?", path, strerror(errno));
	n = fread(data, 1, size, f);
	fclose(f);
	return n;
}

/* Damaged files are refused or give some time or other; the sanitizers see what must not happen. */
static void
test_hostile_files(void **state)
{
	static const char *const names[] = {"Europe/Berlin", "right/America/New_York", "Etc/UTC"};
	static uint8_t whole[16384], damaged[16384];
	unsigned int seed = 1, refused = 0, accepted = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t size = read_zone(names[i], whole, sizeof(whole));
		struct sl_zone *zone = sl_zone_parse(whole, size);

		assert_non_null(zone);
		sl_zone_free(zone);
		for (size_t cut = 0; cut < size; cut++) {
			/* Exact memory, so that ASan sees a byte too far. */
			uint8_t *exact = malloc(cut + 1);

			memcpy(exact, whole, cut);
			zone = sl_zone_parse(exact, cut);
			if (zone)
				fail_msg("%s cut to %zu of %zu bytes was accepted", names[i], cut, size);
			free(exact);
		}
		for (int round = 0; round < 4000; round++) {
			memcpy(damaged, whole, size);
			for (int hits = 1 + round % 4; hits > 0; hits--) {
				seed = seed * 1103515245 + 12345;
				/* the loop above has seen that size is not 0 */
				damaged[(seed >> 8) % size] /* NOLINT(clang-analyzer-core.DivideZero) */ =
					(uint8_t)(seed >> 24);
			}
			zone = sl_zone_parse(damaged, size);
			refused += zone == NULL;
			accepted += zone != NULL;
			for (int64_t t = INT64_MIN; zone && t < INT64_MAX / 2; t += INT64_MAX / 7) {
				int64_t from, until;
				struct tm tm;

				sl_zone_localtime(zone, t, &tm);
				sl_zone_span(zone, t / 10000000, &from, &until);
				assert_true(tm.tm_mon >= 0 && tm.tm_mon < 12 && tm.tm_hour >= 0 && tm.tm_hour < 24);
			}
			sl_zone_free(zone);
		}
	}
	assert_true(refused > 1000 && accepted > 1000);
}

static void
test_dates(void **state)
{
	int month = 1, day = 1, m, d;
	int64_t year = 1600, y;

	(void)state;
	for (int64_t days = zone_days(1600, 1, 1); days < zone_days(2401, 1, 1); days++) {
		static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
		bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

		assert_int_equal(zone_days(year, month, day), days);
		zone_date(days, &y, &m, &d);
		assert_true(y == year && m == month && d == day);
		if (++day > lengths[month - 1] + (month == 2 && leap)) {
			day = 1;
			if (++month > 12) {
				month = 1;
				year++;
			}
		}
	}
	assert_int_equal(year, 2401);
	assert_int_equal(zone_days(1970, 1, 1), 0);
}

int
zone_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_every_zone),
		cmocka_unit_test(test_rule_strings),
		cmocka_unit_test(test_rule_all_year),
		cmocka_unit_test(test_local_zone),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hostile_files),
	};

	return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
