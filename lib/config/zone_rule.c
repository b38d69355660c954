/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <ctype.h>
#include <string.h>

#include "zone_rule.h"

#define DAY 86400

/*
 * Days since the epoch by counting years from March, so that the leap day is the last of its year; a cycle of 400 years
 * has 146097 days.
 */
int64_t
zone_days(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t cycle = (y >= 0 ? y : y - 399) / 400;
	int64_t of_cycle = y - cycle * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return cycle * 146097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719468;
}

void
zone_date(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t cycle = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_cycle = z - cycle * 146097;
	int64_t y = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
	int64_t of_year = of_cycle - (365 * y + y / 4 - y / 100);
	int64_t from_march = (5 * of_year + 2) / 153;

	*day = (int)(of_year - (153 * from_march + 2) / 5 + 1);
	*month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
	*year = y + cycle * 400 + (*month <= 2);
}

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* An abbreviation: three or more letters, or letters, digits and signs between < and >. */
static const char *
parse_name(const char *s, char *name)
{
	const char *from = s;
	size_t len;

	if (*s == '<') {
		for (from = ++s; isalnum((unsigned char)*s) || *s == '+' || *s == '-'; s++)
			;
		if (*s != '>')
			return NULL;
	} else {
		for (; isalpha((unsigned char)*s); s++)
			;
	}
	len = (size_t)(s - from);
	if (len < 3 || len >= ZONE_ABBR_MAX)
		return NULL;
	memcpy(name, from, len);
	name[len] = '\0';
	return *s == '>' ? s + 1 : s;
}

static const char *
parse_number(const char *s, int min, int max, int *value)
{
	int v = 0, digits = 0;

	for (; isdigit((unsigned char)*s); s++) {
		if (++digits > 3)
			return NULL;
		v = v * 10 + (*s - '0');
	}
	if (digits == 0 || v < min || v > max)
		return NULL;
	*value = v;
	return s;
}

/* [+-]hh[:mm[:ss]] */
static const char *
parse_time(const char *s, int max_hours, int32_t *seconds)
{
	int sign = 1, h = 0, m = 0, sec = 0;

	if (*s == '+' || *s == '-')
		sign = *s++ == '-' ? -1 : 1;
	s = parse_number(s, 0, max_hours, &h);
	if (s && *s == ':')
		s = parse_number(s + 1, 0, 59, &m);
	if (s && *s == ':')
		s = parse_number(s + 1, 0, 59, &sec);
	if (s)
		*seconds = sign * (h * 3600 + m * 60 + sec);
	return s;
}

static const char *
parse_change(const char *s, struct zone_change *change)
{
	change->time = 2 * 3600;
	if (*s == 'J') {
		change->kind = 'J';
		s = parse_number(s + 1, 1, 365, &change->day);
	} else if (*s == 'M') {
		change->kind = 'M';
		s = parse_number(s + 1, 1, 12, &change->month);
		if (s)
			s = *s == '.' ? parse_number(s + 1, 1, 5, &change->week) : NULL;
		if (s)
			s = *s == '.' ? parse_number(s + 1, 0, 6, &change->day) : NULL;
	} else {
		change->kind = 'D';
		s = parse_number(s, 0, 365, &change->day);
	}
	if (s && *s == '/')
		s = parse_time(s + 1, 167, &change->time);
	return s;
}

bool
zone_rule_parse(const char *text, struct zone_rule *rule)
{
	const char *s = text;

	memset(rule, 0, sizeof(*rule));
	s = parse_name(s, rule->std);
	if (s)
		s = parse_time(s, 24, &rule->std_offset);
	if (!s)
		return false;
	/* The string counts hours west of Greenwich. */
	rule->std_offset = -rule->std_offset;
	if (*s == '\0')
		return true;

	rule->has_dst = true;
	s = parse_name(s, rule->dst);
	if (!s)
		return false;
	rule->dst_offset = rule->std_offset + 3600;
	if (*s != '\0' && *s != ',') {
		s = parse_time(s, 24, &rule->dst_offset);
		if (!s)
			return false;
		rule->dst_offset = -rule->dst_offset;
	}
	/* "EST5EDT" alone leaves the dates to the implementation: those of the USA, as in glibc and the tz code. */
	if (*s == '\0')
		s = ",M3.2.0,M11.1.0";
	s = *s == ',' ? parse_change(s + 1, &rule->start) : NULL;
	if (s)
		s = *s == ',' ? parse_change(s + 1, &rule->end) : NULL;
	return s && *s == '\0';
}

/* Midnight of the change's day in a year, in seconds of local time. */
static int64_t
change_day(const struct zone_change *change, int64_t year)
{
	int64_t day, first;
	int weekday, length;

	switch (change->kind) {
	case 'J':
		day = zone_days(year, 1, 1) + change->day - 1;
		if (is_leap(year) && change->day >= 60)
			day++;
		break;
	case 'M':
		first = zone_days(year, change->month, 1);
		/* 1970-01-01 was a Thursday. */
		weekday = (int)(((first + 4) % 7 + 7) % 7);
		day = first + (change->day - weekday + 7) % 7 + (change->week - 1) * 7;
		length = (int)((change->month == 12 ? zone_days(year + 1, 1, 1)
						    : zone_days(year, change->month + 1, 1)) -
			       first);
		if (day >= first + length)
			day -= 7;
		break;
	default:
		day = zone_days(year, 1, 1) + change->day;
		break;
	}
	return day * DAY;
}

void
zone_rule_at(const struct zone_rule *rule, int64_t sec, struct zone_rule_at *at)
{
	/*
	 * A change may lie a week outside its year. Two years on each side always hold the changes before and behind
	 * sec.
	 */
	struct {
		int64_t at;
		bool dst;
	} changes[10], moved;
	int64_t local = sec + rule->std_offset, year;
	unsigned int n = 0;
	int month, day;

	at->dst = false;
	at->from = INT64_MIN;
	at->until = INT64_MAX;
	if (!rule->has_dst)
		return;

	zone_date((local >= 0 ? local : local - (DAY - 1)) / DAY, &year, &month, &day);
	for (int64_t y = year - 2; y <= year + 2; y++) {
		changes[n].at = change_day(&rule->start, y) + rule->start.time - rule->std_offset;
		changes[n++].dst = true;
		changes[n].at = change_day(&rule->end, y) + rule->end.time - rule->dst_offset;
		changes[n++].dst = false;
	}
	/* An end at the very instant of the next start means daylight saving all the year: the start comes last. */
	for (unsigned int i = 1; i < n; i++) {
		moved = changes[i];
		unsigned int j = i;

		for (; j > 0 && (changes[j - 1].at > moved.at ||
					(changes[j - 1].at == moved.at && changes[j - 1].dst && !moved.dst));
			j--)
			changes[j] = changes[j - 1];
		changes[j] = moved;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (changes[i].at > sec) {
			at->until = changes[i].at;
			break;
		}
		at->dst = changes[i].dst;
		at->from = changes[i].at;
	}
}
