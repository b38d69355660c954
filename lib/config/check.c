/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "number.h"
#include "option.h"
#include "strftime_check.h"
#include "tz_check.h"

#define SECOND 1000000000ull
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define BUSY_LINK 1250000000ull /* bytes a second of 10 Gb/s: how fast a byte split may come round */

static void
warn(struct sl_config *config, size_t i, const char *field, const char *text)
{
	sl_config_add_finding(
		config, false, sl_config_field_line(config, i, field), config->targets[i].desc, field, "%s", text);
}

/* ---------------------------------------------------------------- names that repeat */

/* What the stamp of a name mode tells, and how fine it is. */
static const struct stamp {
	unsigned int parts;
	uint64_t resolution; /* ns */
	const char *format; /* as a strftime format, or what no format gives */
} stamps[] = {
	[SL_NAME_EPOCH_SEC] = {SL_PART_OFFSET, SECOND, "%s"},
	[SL_NAME_EPOCH_SEC_STARTEND] = {SL_PART_OFFSET, SECOND, "<startend>"},
	[SL_NAME_EPOCH_MSEC] = {SL_PART_OFFSET, 1000000, "<msec>"},
	[SL_NAME_EPOCH_USEC] = {SL_PART_OFFSET, 1000, "<usec>"},
	[SL_NAME_EPOCH_NSEC] = {SL_PART_OFFSET, 1, "<nsec>"},
	[SL_NAME_TSTR_HHMM] = {0, 60 * SECOND, "%Y%m%d_%H%M"},
	[SL_NAME_TSTR_HHMMSS] = {0, SECOND, "%Y%m%d_%H%M%S"},
	[SL_NAME_TSTR_HHMMSS_NS] = {0, 1, "%Y%m%d_%H%M%S.<ns>"},
	[SL_NAME_TSTR_HHMMSS_TZ] = {SL_PART_OFFSET, SECOND, "%Y-%m-%d_%H:%M:%S<tz>"},
	[SL_NAME_TSTR_HHMMSS_SUB] = {0, 1, "%Y%m%d_%H-%M-%S.<sub>"},
	[SL_NAME_STRFTIME] = {0, UINT64_MAX, NULL},
};

static uint64_t
resolution_of_parts(unsigned int parts)
{
	if (parts & SL_PART_SECOND)
		return SECOND;
	if (parts & SL_PART_MINUTE)
		return 60 * SECOND;
	if (parts & SL_PART_HOUR)
		return HOUR;
	if (parts & SL_PART_DAY)
		return DAY;
	if (parts & SL_PART_MONTH)
		return 28 * DAY;
	if (parts & SL_PART_YEAR)
		return 365 * DAY;
	return UINT64_MAX;
}

static const char *
name_of_resolution(uint64_t resolution)
{
	return resolution <= SECOND        ? "second"
	       : resolution <= 60 * SECOND ? "minute"
	       : resolution <= HOUR        ? "hour"
	       : resolution <= DAY         ? "day"
	       : resolution <= 28 * DAY    ? "month"
					   : "year";
}

/* How often a name comes again because a coarser part of the time is missing; NULL if it does not. */
static const char *
repeats(unsigned int parts)
{
	static const struct {
		unsigned int missing, finer;
		const char *period;
	} gaps[] = {
		{SL_PART_YEAR, SL_PART_MONTH | SL_PART_DAY | SL_PART_HOUR | SL_PART_MINUTE | SL_PART_SECOND, "year"},
		{SL_PART_MONTH, SL_PART_DAY | SL_PART_HOUR | SL_PART_MINUTE | SL_PART_SECOND, "month"},
		{SL_PART_DAY, SL_PART_HOUR | SL_PART_MINUTE | SL_PART_SECOND, "day"},
		{SL_PART_HOUR, SL_PART_MINUTE | SL_PART_SECOND, "hour"},
		{SL_PART_MINUTE, SL_PART_SECOND, "minute"},
	};
	const char *period = NULL;

	/* The finest gap comes round first. */
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++)
		if (!(parts & gaps[i].missing) && (parts & gaps[i].finer))
			period = gaps[i].period;
	return period;
}

static const char *
finer_option(const struct sl_target_config *t)
{
	if (t->split_byte != 0 && t->split_time == 0)
		return "--filename-tstr-HHMMSS_NS or --filename-epoch-nsec";
	if (t->split_time % SECOND == 0)
		return "--filename-tstr-HHMMSS or --filename-epoch-sec";
	if (t->split_time % 1000000 == 0)
		return "--filename-tstr-HHMMSS_NS or --filename-epoch-msec";
	return "--filename-tstr-HHMMSS_NS or --filename-epoch-nsec";
}

static void
warn_of_coarse_name(struct sl_config *config, size_t i, uint64_t resolution)
{
	const struct sl_target_config *t = &config->targets[i];
	char split[64], text[512];

	if (t->split_time != 0 && t->split_time < resolution) {
		sl_number_format_time(t->split_time, split, sizeof(split));
		snprintf(text, sizeof(text),
			"names tell the %s, but a file begins every %s: several files of one %s want the same name and "
			"become ..._1, ..._2; use %s",
			name_of_resolution(resolution), split, name_of_resolution(resolution), finer_option(t));
		warn(config, i, "FileName", text);
	}
	/* Parts have numbers if there is a time split too. */
	if (t->split_time == 0 && t->split_byte != 0 && resolution >= SECOND &&
		t->split_byte / (BUSY_LINK / 1000) < resolution / 1000000) {
		sl_number_format_bytes(t->split_byte, split, sizeof(split));
		snprintf(text, sizeof(text),
			"names tell the %s, but at 10 Gb/s %s are full sooner: several files of one %s want the same "
			"name "
			"and become ..._1, ..._2; use %s",
			name_of_resolution(resolution), split, name_of_resolution(resolution), finer_option(t));
		warn(config, i, "FileName", text);
	}
}

static void
check_name(struct sl_config *config, size_t i)
{
	const struct sl_target_config *t = &config->targets[i];
	const struct stamp *stamp = &stamps[t->name_mode];
	unsigned int parts = stamp->parts | sl_strftime_parts(t->path);
	uint64_t resolution = stamp->resolution;
	char text[512];

	if (t->name_mode == SL_NAME_STRFTIME) {
		parts |= sl_strftime_parts(t->name_format);
		resolution = resolution_of_parts(parts);
		const char *period = parts & SL_PART_SECOND && parts & SL_PART_OFFSET ? NULL : repeats(parts);
		if (resolution == UINT64_MAX) {
			warn(config, i, "FileName",
				"neither the format nor Path has a time: all files want the same name and become "
				"..._1, "
				"..._2; use for example --filename-strftime \"%Y%m%d_%H%M%S\"");
			return;
		}
		if (period != NULL) {
			snprintf(text, sizeof(text),
				"the same name comes again every %s, because neither the format nor Path tells the %s",
				period, period);
			warn(config, i, "FileName", text);
		}
	} else {
		uint64_t of_path = resolution_of_parts(sl_strftime_parts(t->path));
		if (of_path < resolution)
			resolution = of_path;
	}
	warn_of_coarse_name(config, i, resolution);

	/* When clocks go back, two windows begin at the same local time, unless a window is longer than the shift. */
	bool local = t->name_mode == SL_NAME_STRFTIME ? (parts & SL_PART_HOUR) != 0 : stamp->parts == 0;
	if (local && !(parts & SL_PART_OFFSET) && (t->split_time == 0 || t->split_time <= HOUR) &&
		sl_tz_has_dst(t->time_zone)) {
		snprintf(text, sizeof(text),
			"local time in %s repeats an hour when daylight saving time ends, and the names of that hour "
			"with it "
			"(they become ..._1); use --filename-tstr-HHMMSS_TZ, an epoch name, or TimeZone = \"UTC\"",
			t->time_zone != NULL ? t->time_zone : "the local zone");
		warn(config, i, "FileName", text);
	}
}

/* ---------------------------------------------------------------- the rest of one target */

static void
check_target(struct sl_config *config, size_t i)
{
	const struct sl_target_config *t = &config->targets[i];
	size_t len;

	if (t->path[0] == '\0' || (t->split_time == 0 && t->split_byte == 0))
		return; /* said already */
	check_name(config, i);
	if (t->split_time == 0 && t->empty_files)
		warn(config, i, "EmptyFiles", "has no effect without --split-time: a size split makes no empty files");
	if (t->split_time == 0 && t->align_local)
		warn(config, i, "SplitAlign", "has no effect without --split-time");
	if (t->mount != NULL && (len = strlen(t->mount)) > 1 &&
		(strncmp(t->path, t->mount, len) != 0 || t->path[len] != '/'))
		warn(config, i, "Mount", "Path does not lie below this mount point");
}

/* ---------------------------------------------------------------- two targets, one name */

/* All that decides a file's name, as one text: targets with equal texts write files of equal names. */
static const char *
name_pattern(struct sl_config *config, const struct sl_target_config *t)
{
	char *pattern = NULL, *out;
	const char *stamp = t->name_mode == SL_NAME_STRFTIME ? t->name_format : stamps[t->name_mode].format;
	const char *part = t->split_time != 0 && t->split_byte != 0 ? "<part>" : "";

	if (asprintf(&pattern, "%s%s%s%s%s", t->path, t->separator, stamp, part, t->file_suffix) < 0) {
		config->oom = true;
		return "";
	}
	/* "//" and "/./" are "/" */
	out = pattern;
	for (const char *p = pattern; *p != '\0'; p++) {
		while (p[0] == '/' && (p[1] == '/' || (p[1] == '.' && p[2] == '/')))
			p += p[1] == '/' ? 1 : 2;
		*out++ = *p;
	}
	*out = '\0';
	const char *kept = sl_config_keep(config, pattern);
	free(pattern);
	return kept;
}

struct key {
	const char *text;
	size_t i;
};

static int
by_text(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int c = strcmp(x->text, y->text);

	return c != 0 ? c : x->i < y->i ? -1 : x->i > y->i;
}

/* "of line 12 ", or nothing if the line is not known: a target that a loop puts into the list by its index. */
static const char *
of_line(const struct sl_target_config *t, char *text, size_t size)
{
	text[0] = '\0';
	if (t->line != 0)
		snprintf(text, size, "of line %u ", t->line);
	return text;
}

static void
report_desc(struct sl_config *config, size_t first, size_t second)
{
	const struct sl_target_config *a = &config->targets[first], *b = &config->targets[second];
	unsigned int line = sl_config_field_line(config, second, "Desc");
	char where[32];

	if (strcmp(a->desc, b->desc) == 0)
		sl_config_add_finding(config, true, line, b->desc, "Desc",
			"%starget %shas this Desc too; give each target a Desc of its own",
			a->line != 0 ? "the " : "another ", of_line(a, where, sizeof(where)));
	else
		sl_config_add_finding(config, true, line, b->desc, "Desc",
			"becomes \"%s\" in file names, as \"%s\" %sdoes; change one of them (letters, digits and . _ - "
			"are kept)",
			b->file_desc, a->desc, of_line(a, where, sizeof(where)));
}

static void
report_name(struct sl_config *config, size_t first, size_t second)
{
	const struct sl_target_config *a = &config->targets[first], *b = &config->targets[second];
	char where[32];

	sl_config_add_finding(config, true, sl_config_field_line(config, second, "Path"), b->desc, "Path",
		"target \"%s\" %swrites files of the same names; give one of them another Path, FileName or FileSuffix",
		a->desc, of_line(a, where, sizeof(where)));
}

static void
check_pairs(struct sl_config *config, bool names, void (*report)(struct sl_config *, size_t, size_t))
{
	struct key *keys = calloc(config->n_targets + 1, sizeof(*keys));
	size_t n = 0;

	if (keys == NULL) {
		config->oom = true;
		return;
	}
	for (size_t i = 0; i < config->n_targets; i++) {
		const struct sl_target_config *t = &config->targets[i];

		if (names ? t->path[0] == '\0' : t->desc[0] == '\0')
			continue;
		keys[n++] = (struct key){names ? name_pattern(config, t) : t->file_desc, i};
	}
	qsort(keys, n, sizeof(*keys), by_text);
	for (size_t k = 1, first = 0; k < n; k++) {
		if (strcmp(keys[k].text, keys[first].text) == 0)
			report(config, keys[first].i, keys[k].i);
		else
			first = k;
	}
	free(keys);
}

void
sl_config_check(struct sl_config *config)
{
	for (size_t i = 0; i < config->n_targets; i++)
		check_target(config, i);
	check_pairs(config, false, report_desc);
	check_pairs(config, true, report_name);
}
