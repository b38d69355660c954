/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config_checks.h"
#include "mount.h"
#include "name.h"
#include "push_place.h"
#include "sl_filter.h"
#include "sl_writer.h"

#define SECOND 1000000000ull

/* Room that a name must leave: for a copy's `_9999`, and for the number in a working file's name. */
#define COPY_ROOM 9999u
#define SEQUENCE_ROOM UINT32_MAX

void
config_check_filters(struct sl_config *config, uint32_t link_type, uint32_t snap_len)
{
	char errbuf[SL_FILTER_ERRBUF];

	for (size_t i = 0; i < sl_config_targets(config); i++) {
		const struct sl_target_config *t = sl_config_target(config, i);

		if (t->filter[0] == '\0')
			continue;
		errbuf[0] = '\0';
		if (sl_filter_check(t->filter, link_type, snap_len, errbuf) != 0)
			sl_config_add_filter_error(config, i, errbuf);
	}
}

/* ---------------------------------------------------------------- names */

/* Times and part of a target's n-th file. */
struct split {
	uint64_t start, end;
	unsigned int part;
};

static struct split
nth_split(const struct sl_target_config *t, uint64_t at, unsigned int n)
{
	struct split split = {0};

	if (t->split_time == 0) {
		/* A size split goes by its packets; these come a little more than a second apart. */
		split.start = at + n * (SECOND + 234567891);
		split.end = split.start + SECOND;
		return split;
	}
	bool parts = t->split_byte != 0;
	split.start = sl_window_start(t, at);
	for (unsigned int window = parts ? n / 2 : n; window > 0; window--)
		split.start = sl_window_end(t, split.start);
	split.end = sl_window_end(t, split.start);
	split.part = parts ? n % 2 + 1 : 0;
	return split;
}

int
config_next_name(const struct sl_target_config *t, uint64_t at, unsigned int n, char *path)
{
	struct split split = nth_split(t, at, n);

	return sl_name_final(t, split.start, split.end, split.part, 0, path);
}

static void
check_name(struct sl_config *config, size_t i, uint64_t at)
{
	const struct sl_target_config *t = sl_config_target(config, i);
	struct split split = nth_split(t, at, 0);
	char path[SL_PATH_MAX];

	int rc = sl_name_final(t, split.start, split.end, split.part, COPY_ROOM, path);
	const char *shorten = "Path, FileName or FileSuffix";
	if (rc == 0) {
		rc = sl_name_pending(t, split.start, SEQUENCE_ROOM, path);
		shorten = "Path, FileName or Desc (the name of the file being written holds it)";
	}
	if (rc == -ENAMETOOLONG)
		sl_config_add_finding(config, true, sl_config_field_line(config, i, "Path"), t->desc, "Path",
			"file names made of it are too long: a file system takes 255 bytes for each name and %d for a "
			"path; shorten %s",
			SL_PATH_MAX - 1, shorten);
	else if (rc != 0)
		sl_config_add_finding(config, true, sl_config_field_line(config, i, "Path"), t->desc, "Path",
			"no file name can be made of it: %s", strerror(-rc));
}

/* ---------------------------------------------------------------- places */

/* A mount point that is named but not mounted fills no disk: the target waits for it. */
static bool
waits_for_mount(const struct sl_target_config *t)
{
	char point[SL_PATH_MAX];

	return t->mount != NULL || (sl_mount_expected(t->path, point) == 0 && point[0] != '\0');
}

static bool
is_local_directory(const char *path)
{
	char text[SL_PATH_MAX + 1], place[PUSH_PLACE_SIZE];
	struct sl_mount mount;
	struct stat st;

	/* With its links followed: a look at what lies behind them may never return. */
	snprintf(text, sizeof(text), "%s/", path);
	if (push_place_follow(text, place) != 0 || sl_mount_find(place, &mount) != 0 || sl_mount_may_hang(&mount))
		return false;
	return stat(place, &st) == 0 && S_ISDIR(st.st_mode);
}

static void
check_place(struct sl_config *config, size_t i, uint64_t at)
{
	const struct sl_target_config *t = sl_config_target(config, i);
	unsigned int line = sl_config_field_line(config, i, "Path");
	char path[SL_PATH_MAX];

	if (!waits_for_mount(t) && sl_mount_on_root_unexpectedly(t->path))
		sl_config_add_finding(config, false, line, t->desc, "Path",
			"\"%s\" lies on the root file system, and would fill it: nothing is mounted there, and neither "
			"/etc/fstab nor a systemd mount unit names a mount point above it; mount it, or set Mount",
			t->path);
	if (t->path[strlen(t->path) - 1] == '/' || !is_local_directory(t->path))
		return;
	if (config_next_name(t, at, 0, path) != 0)
		return;
	sl_config_add_finding(config, false, line, t->desc, "Path",
		"\"%s\" is a directory, but files will be made beside it (%s); write \"%s/\" to make them in it",
		t->path, path, t->path);
}

void
config_check_places(struct sl_config *config, uint64_t at)
{
	for (size_t i = 0; i < sl_config_targets(config); i++) {
		check_name(config, i, at);
		check_place(config, i, at);
	}
}
