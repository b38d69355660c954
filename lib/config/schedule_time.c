/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * When a row of a schedule is on: windows in local time, turned into moments.
 */

#include <errno.h>
#include <time.h>

#include "sl_config.h"
#include "zone.h"
#include "zone_rule.h"

#define DAY ((int64_t)SL_SCHEDULE_DAY)
/* Offsets from UTC lie within -25 and +26 hours (RFC 8536 section 3.2): so near to UTC lies any local time. */
#define OFFSET_MAX (27 * 3600)
/* A window may begin two days before, by a clock that has since been put back; and the date here may be another one. */
#define DAYS_BEFORE 3
/* A week until the next one, another if that day's window falls into the hour that is left out, and the days before. */
#define DAYS_AHEAD 24
/* One that is on for so long has no gap in its week. */
#define ENDLESS (10 * DAY)

/*
 * The moment of a local time, in seconds of the zone's clocks since 1970-01-01 00:00. If clocks pass over it, that is
 * the moment of the change; if they show it twice, the first or the last one.
 */
static int64_t
moment(const struct sl_zone *zone, int64_t local, bool last)
{
	int64_t shown = INT64_MIN, passed = INT64_MIN, from, until;

	for (int64_t t = local - OFFSET_MAX; t <= local + OFFSET_MAX; t = until) {
		int64_t at = local - sl_zone_span(zone, t, &from, &until); /* when this offset would show it */

		if (from < t)
			from = t;
		if (at >= from && at < until && (last || shown == INT64_MIN))
			shown = at;
		if (at < from && passed == INT64_MIN)
			passed = from;
	}
	return shown != INT64_MIN ? shown : passed;
}

struct window {
	int64_t begin, end;
};

/* The window that begins on a day, counted from 1970-01-01. @return false: it is not that weekday, or nothing is left
 * of it */
static bool
window_of(const struct sl_schedule_rule *rule, const struct sl_zone *zone, int64_t day, struct window *w)
{
	int weekday = (int)(((day + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */

	if (!(rule->days >> weekday & 1))
		return false;
	w->begin = moment(zone, day * DAY + rule->start, false);
	w->end = moment(zone, (rule->stop > rule->start ? day : day + 1) * DAY + rule->stop, true);
	return w->begin < w->end;
}

int
sl_schedule_at(const struct sl_schedule_rule *rule, int64_t now, struct sl_schedule_state *state)
{
	const struct sl_zone *zone = rule->always ? NULL : sl_zone_get(rule->time_zone);
	int64_t today, end = INT64_MIN;
	struct window w;

	*state = (struct sl_schedule_state){.on = rule->always, .start = SL_SCHEDULE_NEVER, .stop = SL_SCHEDULE_NEVER};
	if (rule->always)
		return 0;
	if (!zone)
		return -errno;
	today = now + sl_zone_offset(zone, now);
	today = (today >= 0 ? today : today - (DAY - 1)) / DAY;
	/* Windows that touch or overlap are one; the first that ends behind now is the one to tell of. */
	for (int64_t day = today - DAYS_BEFORE; day <= today + DAYS_AHEAD; day++) {
		if (!window_of(rule, zone, day, &w) || w.end <= now)
			continue;
		if (end == INT64_MIN) {
			state->on = w.begin <= now;
			if (!state->on)
				state->start = w.begin;
			end = w.end;
		} else if (w.begin <= end) {
			end = w.end > end ? w.end : end;
		} else {
			/* on: when it begins again; off: what lies between is known */
			if (state->on)
				state->start = w.begin;
			break;
		}
	}
	if (end == INT64_MIN)
		return 0;
	state->stop = end;
	if (state->on ? end - now > ENDLESS : end - state->start > ENDLESS)
		state->stop = SL_SCHEDULE_NEVER;
	return 0;
}
