/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "status.h"

#define COLUMNS 9

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static uint64_t
whole_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* Powers of 1000, three digits: "12.3 GB". */
static void
short_bytes(uint64_t bytes, char *text, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5 && unit < 5) {
		value /= 1000;
		unit++;
	}
	snprintf(text, size, "%.*f %s", unit > 0 && value < 99.95 ? 1 : 0, value, units[unit]);
}

static void
short_time(double seconds, char *text, size_t size)
{
	if (seconds < 60)
		snprintf(text, size, "%.1f s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%d min %d s", (int)seconds / 60, (int)seconds % 60);
	else if (seconds < 86400.0 * 2)
		snprintf(text, size, "%d h %d min", (int)(seconds / 3600), (int)(seconds / 60) % 60);
	else
		snprintf(text, size, "%.0f d %d h", seconds / 86400 - 0.5, (int)(seconds / 3600) % 24);
}

/* ---------------------------------------------------------------- targets */

struct row {
	char cells[COLUMNS][192];
};

static const struct row heads = {{"target", "state", "lag", "behind", "files", "packets", "bytes", "late", "gaps"}};

static void
fill_row(struct row *row, const json_t *target)
{
	static const char *const counts[] = {"files", "packets", NULL, "late", "gaps"};
	double lag_s = json_number_value(json_object_get(target, "lag_s"));

	snprintf(row->cells[0], sizeof(row->cells[0]), "%s", text_of(target, "desc"));
	snprintf(row->cells[1], sizeof(row->cells[1]), "%s", text_of(target, "state"));
	short_bytes(whole_of(target, "lag_bytes"), row->cells[2], sizeof(row->cells[2]));
	short_time(lag_s, row->cells[3], sizeof(row->cells[3]));
	for (size_t i = 0; i < 5; i++)
		if (counts[i])
			snprintf(row->cells[4 + i], sizeof(row->cells[0]), "%" PRIu64, whole_of(target, counts[i]));
	short_bytes(whole_of(target, "bytes"), row->cells[6], sizeof(row->cells[6]));
}

/* Characters, not bytes: what continues one in UTF-8 takes no place. */
static int
columns_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void
widen(int width[COLUMNS], const struct row *row)
{
	for (size_t c = 0; c < COLUMNS; c++) {
		int n = columns_of(row->cells[c]);

		width[c] = n > width[c] ? n : width[c];
	}
}

static void
print_row(const int width[COLUMNS], const struct row *row)
{
	printf("  %s%*s  %-*s", row->cells[0], width[0] - columns_of(row->cells[0]), "", width[1], row->cells[1]);
	for (size_t c = 2; c < COLUMNS; c++)
		printf("  %*s", width[c], row->cells[c]);
	printf("\n");
}

static void
print_texts(const json_t *target)
{
	if (text_of(target, "reason")[0])
		printf("      reason      %s\n", text_of(target, "reason"));
	if (text_of(target, "warning")[0])
		printf("      WARNING     %s\n", text_of(target, "warning"));
	if (text_of(target, "last_file")[0])
		printf("      last file   %s\n", text_of(target, "last_file"));
	if (text_of(target, "last_error")[0] && strcmp(text_of(target, "last_error"), text_of(target, "reason")) != 0)
		printf("      last error  %s (%s)\n", text_of(target, "last_error"), text_of(target, "last_error_at"));
}

static void
show_targets(const json_t *targets)
{
	int width[COLUMNS] = {0};
	struct row row;

	widen(width, &heads);
	for (size_t t = 0; t < json_array_size(targets); t++) {
		fill_row(&row, json_array_get(targets, t));
		widen(width, &row);
	}
	print_row(width, &heads);
	for (size_t t = 0; t < json_array_size(targets); t++) {
		const json_t *target = json_array_get(targets, t);

		fill_row(&row, target);
		print_row(width, &row);
		print_texts(target);
	}
}

/* ---------------------------------------------------------------- processes */

static void
show_push(const json_t *push)
{
	const json_t *lcores = json_object_get(push, "lcores");
	char since[48];

	short_time(json_number_value(json_object_get(push, "running_s")), since, sizeof(since));
	if (json_is_null(json_object_get(push, "pid"))) {
		printf("%s: who has it %s\n", text_of(push, "socket"), text_of(push, "problem"));
		return;
	}
	printf("push %" PRIu64 "%s%s: ", whole_of(push, "pid"), whole_of(push, "once") ? " (once)" : "",
		whole_of(push, "stopping") ? " (stopping)" : "");
	if (!json_object_get(push, "targets")) {
		printf("%s\n", text_of(push, "problem"));
		return;
	}
	printf("%s, store %s, for %s\n", text_of(push, "config"), text_of(push, "store"), since);
	printf("  lcores busy:");
	for (size_t i = 0; i < json_array_size(lcores); i++) {
		const json_t *lcore = json_array_get(lcores, i);

		printf(" %s %" PRIu64 " %%", text_of(lcore, "name"), whole_of(lcore, "busy_percent"));
	}
	printf("\n");
	show_targets(json_object_get(push, "targets"));
	if (text_of(push, "problem")[0])
		printf("  %s\n", text_of(push, "problem"));
}

/* What it says about itself, as it says it. */
static void
show_members(json_t *object, int indent)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (strcmp(key, "pid") == 0 || strcmp(key, "socket") == 0)
			continue;
		printf("%*s%-24s", indent, "", key);
		if (json_is_object(value)) {
			printf("\n");
			show_members(value, indent + 2);
			continue;
		}
		if (json_is_string(value))
			printf("%s\n", json_string_value(value));
		else if (json_is_integer(value))
			printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
		else
			printf("-\n");
	}
}

void
status_show(const json_t *document)
{
	const json_t *pushes = json_object_get(document, "pushes"), *captures = json_object_get(document, "captures");

	for (size_t i = 0; i < json_array_size(captures); i++) {
		json_t *capture = json_array_get(captures, i);

		printf("capture %" PRIu64 ":\n", whole_of(capture, "pid"));
		show_members(capture, 2);
		printf("\n");
	}
	for (size_t i = 0; i < json_array_size(pushes); i++) {
		show_push(json_array_get(pushes, i));
		if (i + 1 < json_array_size(pushes))
			printf("\n");
	}
}
