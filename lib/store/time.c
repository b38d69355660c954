/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sl_store.h"

/* Exactly n digits. */
static bool
take_digits(const char **p, int n, int *value)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if ((*p)[i] < '0' || (*p)[i] > '9')
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*value = v;
	return true;
}

static bool
take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

/* An optional ".5" to ".123456789". */
static bool
take_fraction(const char **p, uint64_t *ns)
{
	uint64_t unit = 100000000;

	*ns = 0;
	if (!take_char(p, '.'))
		return true;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; ++*p, unit /= 10) {
		/* More digits than a nanosecond has cannot be kept; dropping them silently would move the bound. */
		if (unit == 0 && **p != '0')
			return false;
		*ns += unit * (uint64_t)(**p - '0');
	}
	return true;
}

/* Nothing (local), Z, +hh:mm, +hhmm or +hh. */
static bool
take_zone(const char **p, bool *local, int *offset)
{
	int hours, minutes = 0, sign;

	*local = **p == '\0';
	*offset = 0;
	if (*local || take_char(p, 'Z') || take_char(p, 'z'))
		return true;
	sign = **p == '-' ? -1 : 1;
	if (!take_char(p, '+') && !take_char(p, '-'))
		return false;
	if (!take_digits(p, 2, &hours))
		return false;
	if (**p != '\0' && (take_char(p, ':'), !take_digits(p, 2, &minutes)))
		return false;
	*offset = sign * (hours * 3600 + minutes * 60);
	return hours < 24 && minutes < 60;
}

/* @return 0; -EINVAL: this is no such number; -ERANGE: one too large */
static int
take_epoch(const char *p, uint64_t *ns)
{
	uint64_t sec = 0, fraction;
	bool too_large = false;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (!too_large)
			sec = sec * 10 + (uint64_t)(*p - '0');
		too_large = sec > UINT32_MAX;
	}
	if (!take_fraction(&p, &fraction) || *p != '\0')
		return -EINVAL;
	if (too_large)
		return -ERANGE;
	*ns = sec * 1000000000u + fraction;
	return 0;
}

/* YYYYMMDD_HHMM[SS[.f]] or YYYY-MM-DD[THH:MM[:SS[.f]]], with an optional zone. */
static bool
take_calendar(const char *p, struct tm *tm, uint64_t *fraction, bool *local, int *offset)
{
	bool compact = strlen(p) > 8 && p[8] == '_';

	*fraction = 0;
	if (!take_digits(&p, 4, &tm->tm_year) || (!compact && !take_char(&p, '-')) ||
		!take_digits(&p, 2, &tm->tm_mon) || (!compact && !take_char(&p, '-')) ||
		!take_digits(&p, 2, &tm->tm_mday))
		return false;
	if (compact ? take_char(&p, '_') : take_char(&p, 'T') || take_char(&p, ' ')) {
		if (!take_digits(&p, 2, &tm->tm_hour) || (!compact && !take_char(&p, ':')) ||
			!take_digits(&p, 2, &tm->tm_min))
			return false;
		if (compact ? *p >= '0' && *p <= '9' : take_char(&p, ':')) {
			if (!take_digits(&p, 2, &tm->tm_sec) || !take_fraction(&p, fraction))
				return false;
		}
	}
	return take_zone(&p, local, offset) && *p == '\0';
}

int
sl_time_parse(const char *text, uint64_t *ns)
{
	struct tm tm = {0}, check;
	uint64_t fraction;
	int offset;
	time_t sec;
	bool local;
	int rc;

	rc = take_epoch(text, ns);
	if (rc != -EINVAL)
		return rc;
	if (!take_calendar(text, &tm, &fraction, &local, &offset))
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
		return -EINVAL;
	check = tm;
	sec = timegm(&check);
	/* 31 February would silently become 3 March. */
	if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon || check.tm_year != tm.tm_year)
		return -EINVAL;
	if (local) {
		tm.tm_isdst = -1;
		sec = mktime(&tm);
	} else {
		sec -= offset;
	}
	if (sec < 0 || sec > (time_t)UINT32_MAX)
		return -ERANGE;
	*ns = (uint64_t)sec * 1000000000u + fraction;
	return 0;
}

#define TIME_FORMS                                                                                                     \
	"seconds since 1970 (1700000000.5), 2023-11-14T22:13:20Z (or +01:00; local time without), or 20231114_221320 " \
	"(local time)"

const char *
sl_time_refusal(int rc)
{
	return rc == -ERANGE ? "is before 1970 or after 2106, which no pcap file can hold; write " TIME_FORMS
			     : "is not a time; write " TIME_FORMS;
}

void
sl_time_format(uint64_t ns, char text[SL_TIME_SIZE])
{
	time_t sec = (time_t)(ns / 1000000000u);
	char date[24], zone[8];
	struct tm tm;

	if (!localtime_r(&sec, &tm)) {
		snprintf(text, SL_TIME_SIZE, "%" PRIu64, ns);
		return;
	}
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	/* ISO 8601 wants +hh:mm; strftime gives +hhmm. */
	snprintf(text, SL_TIME_SIZE, "%s.%09u%.3s:%.2s", date, (unsigned int)(ns % 1000000000u), zone, zone + 3);
}

void
sl_time_format_utc(uint64_t ns, char text[SL_TIME_SIZE])
{
	time_t sec = (time_t)(ns / 1000000000u);
	char date[24];
	struct tm tm;

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&sec, &tm));
	snprintf(text, SL_TIME_SIZE, "%s.%09uZ", date, (unsigned int)(ns % 1000000000u));
}
