/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sl_config.h"

/* The strings of a target; of these, some may be NULL. */
static const size_t strings[] = {
	offsetof(struct sl_target_config, desc),
	offsetof(struct sl_target_config, file_desc),
	offsetof(struct sl_target_config, path),
	offsetof(struct sl_target_config, separator),
	offsetof(struct sl_target_config, name_format),
	offsetof(struct sl_target_config, filter),
	offsetof(struct sl_target_config, file_suffix),
	offsetof(struct sl_target_config, owner_user),
	offsetof(struct sl_target_config, owner_group),
	offsetof(struct sl_target_config, time_zone),
	offsetof(struct sl_target_config, mount),
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

static const char *
get(const struct sl_target_config *config, size_t i)
{
	const char *text;

	memcpy(&text, (const char *)config + strings[i], sizeof(text));
	return text;
}

static void
set(struct sl_target_config *config, size_t i, const char *text)
{
	memcpy((char *)config + strings[i], &text, sizeof(text));
}

int
sl_target_config_copy(const struct sl_target_config *config, struct sl_target_config *copy)
{
	bool failed = false;

	*copy = *config;
	for (size_t i = 0; i < STRINGS; i++) {
		const char *text = get(config, i);
		char *own = text ? strdup(text) : NULL;

		failed |= text && !own;
		set(copy, i, own);
	}
	if (!failed)
		return 0;
	sl_target_config_free_copy(copy);
	return -ENOMEM;
}

void
sl_target_config_free_copy(struct sl_target_config *copy)
{
	for (size_t i = 0; i < STRINGS; i++)
		free((char *)(uintptr_t)get(copy, i));
	memset(copy, 0, sizeof(*copy));
}

bool
sl_target_config_same(const struct sl_target_config *a, const struct sl_target_config *b)
{
	for (size_t i = 0; i < STRINGS; i++) {
		const char *x = get(a, i), *y = get(b, i);

		if (!x != !y || (x && strcmp(x, y) != 0))
			return false;
	}
	/* Neither where it stands in the file nor where it would begin concerns a target that runs. */
	return a->mode == b->mode && a->split_time == b->split_time && a->split_byte == b->split_byte &&
	       a->name_mode == b->name_mode && a->owner_uid == b->owner_uid && a->owner_gid == b->owner_gid &&
	       a->slice == b->slice && a->align_local == b->align_local && a->empty_files == b->empty_files &&
	       a->on_stop == b->on_stop && a->min_free == b->min_free;
}
