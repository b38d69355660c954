/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <time.h>

#include "capture.h"

#define SECOND 1000000000u
/* "NAME_20231114_221320": a capture that was named has successors of that name. */
static const char *
name_for(const struct capture *capture, uint64_t at, char name[SL_CAPTURE_NAME_MAX])
{
	time_t seconds = (time_t)(at / SECOND);
	char stamp[32] = "";
	struct tm tm;

	if (!capture->options.name)
		return NULL;
	if (capture->options.roll.utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm))
		strftime(stamp, sizeof(stamp), "%Y%m%d_%H%M%S", &tm);
	/* What is too long for a name loses of the name, not of the time. */
	snprintf(name, SL_CAPTURE_NAME_MAX, "%.*s_%s", (int)(SL_CAPTURE_NAME_MAX - sizeof(stamp) - 1),
		capture->options.name, stamp);
	return name;
}

static void
wait_for_hour(struct capture *capture)
{
	char name[SL_CAPTURE_NAME_MAX];

	capture->next_roll = capture_roll_next(&capture->options.roll, sl_live_now(capture->live));
	sl_live_roll_at(capture->live, capture->next_roll,
		capture->next_roll == UINT64_MAX ? NULL : name_for(capture, capture->next_roll, name));
}

void
capture_roll_begin(struct capture *capture)
{
	wait_for_hour(capture);
}

void
capture_roll_tick(struct capture *capture, bool now_too)
{
	uint64_t rolls = sl_live_rolls(capture->live), now, bytes;
	char name[SL_CAPTURE_NAME_MAX];
	struct sl_live_stats stats;

	sl_live_get_stats(capture->live, &stats);
	bytes = stats.bytes + stats.packets * sizeof(struct sl_record);
	if (rolls != capture->rolls_seen) {
		capture->rolls_seen = rolls;
		capture->bytes_before = bytes;
		capture->roll_asked = false;
		wait_for_hour(capture);
	}
	now_too |= capture->options.roll.bytes > 0 && bytes - capture->bytes_before >= capture->options.roll.bytes;
	if (!now_too || capture->roll_asked)
		return;
	capture->roll_asked = true;
	now = sl_live_now(capture->live);
	sl_live_roll_at(capture->live, 0, name_for(capture, now, name));
}
