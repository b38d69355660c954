/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "tz_check.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "suggest.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define LOCAL_ZONE "/etc/localtime"
#define FILE_MAX (256u << 10) /* the largest zone files have a few KiB */

/* Last line of a TZif file of version 2 and later (RFC 9636, section 3.3): the rule for all times to come. */
static int
read_footer(const char *path, char *footer, size_t len)
{
	struct stat st;
	int rc = -EINVAL;
	FILE *f = fopen(path, "rbe");
	char *data = NULL;

	if (f == NULL)
		return -errno;
	if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
		goto err;
	data = malloc(FILE_MAX);
	if (data == NULL) {
		rc = -ENOMEM;
		goto err;
	}
	size_t n = fread(data, 1, FILE_MAX - 1, f);
	if (n < 44 || memcmp(data, "TZif", 4) != 0)
		goto err;
	footer[0] = '\0';
	rc = 0;
	if (data[4] < '2' || data[n - 1] != '\n')
		goto err;
	data[n - 1] = '\0';
	const char *begin = memrchr(data, '\n', n - 1);
	if (begin != NULL)
		snprintf(footer, len, "%s", begin + 1);
err:
	free(data);
	fclose(f);
	return rc;
}

static bool
skip_number(const char **p, long max)
{
	char *end;

	if (!isdigit((unsigned char)**p))
		return false;
	long v = strtol(*p, &end, 10);
	*p = end;
	return v <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool
skip_time(const char **p, long max_hours)
{
	if (**p == '+' || **p == '-')
		(*p)++;
	if (!skip_number(p, max_hours))
		return false;
	for (int i = 0; i < 2 && **p == ':'; i++) {
		(*p)++;
		if (!skip_number(p, 59))
			return false;
	}
	return true;
}

/* Three or more letters, or anything alphanumeric in <>. */
static bool
skip_zone_name(const char **p)
{
	const char *begin = *p;

	if (**p == '<') {
		while (isalnum((unsigned char)*++*p) || **p == '+' || **p == '-')
			;
		return *(*p)++ == '>' && *p - begin >= 5;
	}
	while (isalpha((unsigned char)**p))
		(*p)++;
	return *p - begin >= 3;
}

/* Mm.w.d, Jn or n, and an optional /time */
static bool
skip_rule(const char **p)
{
	if (*(*p)++ != ',')
		return false;
	if (**p == 'M') {
		(*p)++;
		if (!skip_number(p, 12) || *(*p)++ != '.' || !skip_number(p, 5) || *(*p)++ != '.' || !skip_number(p, 6))
			return false;
	} else {
		if (**p == 'J')
			(*p)++;
		if (!skip_number(p, 365))
			return false;
	}
	if (**p != '/')
		return true;
	(*p)++;
	return skip_time(p, 167);
}

/* A POSIX TZ string; one with daylight saving time must have its rules, for there is no default worth having. */
static bool
is_posix(const char *p)
{
	if (!skip_zone_name(&p) || !skip_time(&p, 24))
		return false;
	if (*p == '\0')
		return true;
	if (!skip_zone_name(&p))
		return false;
	if (*p != ',' && !skip_time(&p, 24))
		return false;
	for (int begin_and_end = 0; begin_and_end < 2; begin_and_end++)
		if (!skip_rule(&p))
			return false;
	return *p == '\0';
}

static int
zone_path(const char *name, char *path)
{
	if (name[0] == '\0' || name[0] == '/' || strstr(name, "..") != NULL || strlen(name) > 255)
		return -EINVAL;
	snprintf(path, PATH_MAX, "%s/%s", ZONE_DIR, name);
	return 0;
}

int
sl_tz_check(const char *name)
{
	char path[PATH_MAX], footer[128];

	if (zone_path(name, path) == 0 && read_footer(path, footer, sizeof(footer)) == 0)
		return 0;
	if (is_posix(name))
		return 0;
	return -ENOENT;
}

bool
sl_tz_has_dst(const char *name)
{
	char path[PATH_MAX] = LOCAL_ZONE, footer[128];

	if (name == NULL) {
		name = getenv("TZ");
		if (name != NULL && name[0] == ':')
			name++;
		/* glibc: an empty TZ is UTC. */
		if (name != NULL && name[0] == '\0')
			return false;
	}
	if (name != NULL && zone_path(name, path) != 0)
		return false;
	if (read_footer(path, footer, sizeof(footer)) == 0)
		return strchr(footer, ',') != NULL;
	return name != NULL && is_posix(name) && strchr(name, ',') != NULL;
}

int
sl_tz_nearest(const char *name, char *nearest)
{
	/* "Z <name> ..." is a zone, "L <target> <name>" another name of one. */
	FILE *f = fopen(ZONE_DIR "/tzdata.zi", "re");
	char line[512], first[128], second[128], kind;
	unsigned int best = UINT_MAX;

	if (f == NULL)
		return -ENOENT;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] != 'Z' && line[0] != 'L')
			continue;
		if (sscanf(line, "%c %127s %127s", &kind, first, second) != 3)
			continue;
		const char *zone = kind == 'Z' ? first : second;
		const char *city = strrchr(zone, '/');
		unsigned int d = sl_suggest_distance(name, zone);
		/* Many write only the city. */
		if (city != NULL && strcasecmp(city + 1, name) == 0)
			d = 0;
		if (d < best && strlen(zone) < SL_TZ_NAME_MAX) {
			best = d;
			snprintf(nearest, SL_TZ_NAME_MAX, "%.*s", SL_TZ_NAME_MAX - 1, zone);
		}
	}
	fclose(f);
	return best != UINT_MAX && sl_suggest_is_near(name, best) ? 0 : -ENOENT;
}
