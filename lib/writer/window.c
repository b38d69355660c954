/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include "window.h"
#include "zone.h"

#define NS_PER_S INT64_C(1000000000)

/* Sums of times and offsets in ns: a time is a u64, and local time may lie on either side of its range. */
typedef __int128 wide_ns;

static uint64_t
clamp_ns(wide_ns ns)
{
	return ns < 0 ? 0 : ns > (wide_ns)UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

static wide_ns
floor_div(wide_ns a, wide_ns b)
{
	wide_ns q = a / b;

	return a % b < 0 ? q - 1 : q;
}

/* A stretch of time with one offset, and the number of the window that an instant of it has in local time. */
struct span {
	wide_ns from, until; /* seconds beyond 64 bits of ns count as never */
	wide_ns offset;
	wide_ns number;
};

static struct span
span_at(const struct sl_zone *zone, wide_ns ns, uint64_t length)
{
	int64_t from, until;
	struct span span;

	span.offset = (wide_ns)sl_zone_span(zone, (int64_t)floor_div(ns, NS_PER_S), &from, &until) * NS_PER_S;
	span.from = (wide_ns)from * NS_PER_S;
	span.until = (wide_ns)until * NS_PER_S;
	span.number = floor_div(ns + span.offset, length);
	return span;
}

/*
 * Local windows: the longest stretches of time during which floor(local time / T) stays the same. So a day of 23 or 25
 * hours is one window, however its change falls, and windows of one hour join the two hours of one name; shorter ones
 * repeat (their files then get _1). For T that does not divide a day they are multiples of T since 1970-01-01 00:00
 * local time.
 */
static uint64_t
local_start(const struct sl_zone *zone, uint64_t length, uint64_t ts)
{
	wide_ns t = ts;

	/* One turn for each change of the offset within the window. */
	for (;;) {
		struct span span = span_at(zone, t, length);
		wide_ns begin = span.number * length - span.offset;

		if (begin > span.from || begin < 0)
			return clamp_ns(begin);
		if (span.from <= 0)
			return 0;
		if (span_at(zone, span.from - 1, length).number != span.number)
			return clamp_ns(span.from);
		t = span.from - 1;
	}
}

static uint64_t
local_end(const struct sl_zone *zone, uint64_t length, uint64_t start)
{
	wide_ns t = start;

	for (;;) {
		struct span span = span_at(zone, t, length);
		wide_ns end = (span.number + 1) * length - span.offset;

		if (end < span.until || span.until > (wide_ns)UINT64_MAX)
			return clamp_ns(end);
		if (span_at(zone, span.until, length).number != span.number)
			return clamp_ns(span.until);
		t = span.until;
	}
}

/* A zone that cannot be loaded is refused before any target runs; UTC is only a way not to crash. */
static const struct sl_zone *
window_zone(const struct sl_target_config *target)
{
	return target->align_local ? sl_zone_get(target->time_zone) : NULL;
}

uint64_t
sl_window_start(const struct sl_target_config *target, uint64_t ts)
{
	const struct sl_zone *zone;

	if (target->split_time == 0)
		return ts;
	zone = window_zone(target);
	return zone ? local_start(zone, target->split_time, ts) : ts - ts % target->split_time;
}

uint64_t
sl_window_end(const struct sl_target_config *target, uint64_t start)
{
	const struct sl_zone *zone;

	if (target->split_time == 0)
		return start;
	zone = window_zone(target);
	if (zone)
		return local_end(zone, target->split_time, start);
	start -= start % target->split_time;
	return start > UINT64_MAX - target->split_time ? UINT64_MAX : start + target->split_time;
}

bool
sl_window_advance(struct sl_window *window, const struct sl_target_config *target, uint64_t ts)
{
	bool open = window->end > window->begin;
	uint64_t begin;

	if (target->split_time == 0) {
		sl_window_skip(window, ts);
		return false;
	}
	if (!open || ts > window->clock || (ts < window->begin && window->begin - ts > target->split_time))
		window->clock = ts;
	if (open && window->clock >= window->begin && window->clock < window->end)
		return false;

	begin = sl_window_start(target, window->clock);
	/* At the end of time itself a window's end lies within it. */
	if (open && begin == window->begin)
		return false;
	window->begin = begin;
	window->end = sl_window_end(target, begin);
	return true;
}
