/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "zone.h"

#define NS_PER_S UINT64_C(1000000000)

/* A string that remembers its first error. */
struct text {
	char *s;
	size_t size, len;
	int error;
};

/* The instant that a name is made from, in the target's zone. */
struct moment {
	uint64_t ns;
	struct tm tm;
};

static __attribute__((format(printf, 2, 3))) void
add(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	if (text->error)
		return;
	va_start(args, fmt);
	n = vsnprintf(text->s + text->len, text->size - text->len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= text->size - text->len)
		text->error = -ENAMETOOLONG;
	else
		text->len += (size_t)n;
}

/* ---------------------------------------------------------------- strftime */

static locale_t c_locale;

static void
c_locale_make(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* One conversion, from its '%' on. @return behind it, or NULL: no conversion that makes a name */
static const char *
add_conversion(struct text *text, const char *s, const struct moment *moment)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char format[16] = "+", out[128];
	size_t len, n;

	pthread_once(&once, c_locale_make);
	if (c_locale == (locale_t)0)
		return NULL;
	/* glibc's flags and a width, then POSIX's E and O. */
	len = 1 + strspn(s + 1, "-_0^#");
	len += strspn(s + len, "0123456789");
	if (s[len] == 'E' || s[len] == 'O')
		len++;
	/* Not %n and %t: white space has no place in a name. %s and %Z would know only the process's own zone. */
	if (s[len] == '\0' || !strchr("aAbBcCdDeFgGhHIjklmMpPrRsSTuUVwWxXyYzZ%", s[len]) ||
		len + 2 > sizeof(format) - 1)
		return NULL;
	if (s[len] == 's') {
		add(text, "%" PRIu64, moment->ns / NS_PER_S);
		return s + len + 1;
	}
	/* strftime() returns 0 both for "nothing" and for "too long"; with a first character only for the latter. */
	memcpy(format + 1, s, len + 1);
	format[len + 2] = '\0';
	n = strftime_l(out, sizeof(out), format, &moment->tm, c_locale);
	if (n == 0)
		text->error = -ENAMETOOLONG;
	else
		add(text, "%s", out + 1);
	return s + len + 1;
}

static void
add_format(struct text *text, const char *format, const struct moment *moment)
{
	const char *s = format;

	while (*s != '\0' && !text->error) {
		size_t literal = strcspn(s, "%");

		add(text, "%.*s", (int)literal, s);
		s += literal;
		if (*s == '%') {
			s = add_conversion(text, s, moment);
			if (!s) {
				text->error = -EINVAL;
				return;
			}
		}
	}
}

/* ---------------------------------------------------------------- the parts of a name */

/* The stamp never holds a '/': only Path makes directories. */
static void
add_stamp(struct text *text, const struct sl_target_config *target, const struct moment *moment)
{
	const struct tm *tm = &moment->tm;
	unsigned int sub = (unsigned int)(moment->ns % NS_PER_S);
	size_t from = text->len;
	long off = tm->tm_gmtoff;
	int year = tm->tm_year + 1900;

	switch (target->name_mode) {
	case SL_NAME_EPOCH_SEC:
	case SL_NAME_EPOCH_SEC_STARTEND:
		add(text, "%" PRIu64, moment->ns / NS_PER_S);
		break;
	case SL_NAME_EPOCH_MSEC:
		add(text, "%" PRIu64, moment->ns / 1000000);
		break;
	case SL_NAME_EPOCH_USEC:
		add(text, "%" PRIu64, moment->ns / 1000);
		break;
	case SL_NAME_EPOCH_NSEC:
		add(text, "%" PRIu64, moment->ns);
		break;
	case SL_NAME_TSTR_HHMM:
		add(text, "%04d%02d%02d_%02d%02d", year, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min);
		break;
	case SL_NAME_TSTR_HHMMSS:
	case SL_NAME_TSTR_HHMMSS_NS:
		add(text, "%04d%02d%02d_%02d%02d%02d", year, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min,
			tm->tm_sec);
		if (target->name_mode == SL_NAME_TSTR_HHMMSS_NS)
			add(text, ".%03u.%03u.%03u", sub / 1000000, sub / 1000 % 1000, sub % 1000);
		break;
	case SL_NAME_TSTR_HHMMSS_TZ:
		add(text, "%04d-%02d-%02d_%02d:%02d:%02d%c%02ld:%02ld", year, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour,
			tm->tm_min, tm->tm_sec, off < 0 ? '-' : '+', labs(off) / 3600, labs(off) / 60 % 60);
		/* Offsets of the railway age, as ISO 8601-1:2019 would write them were they still in use. */
		if (labs(off) % 60 != 0)
			add(text, ":%02ld", labs(off) % 60);
		break;
	case SL_NAME_TSTR_HHMMSS_SUB:
		add(text, "%04d%02d%02d_%02d-%02d-%02d.%09u", year, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour,
			tm->tm_min, tm->tm_sec, sub);
		break;
	case SL_NAME_STRFTIME:
		add_format(text, target->name_format, moment);
		break;
	default:
		text->error = -EINVAL;
		break;
	}
	for (char *s = text->s + from; !text->error && (s = strchr(s, '/'));)
		*s = '_';
}

/* Path and separator. A Path without a conversion is taken literally. */
static void
add_base(struct text *text, const struct sl_target_config *target, const struct moment *moment)
{
	if (strchr(target->path, '%'))
		add_format(text, target->path, moment);
	else
		add(text, "%s", target->path);
	add(text, "%s", target->separator);
}

static int
moment_get(const struct sl_target_config *target, uint64_t ns, struct moment *moment)
{
	const struct sl_zone *zone = sl_zone_get(target->time_zone);

	if (!zone)
		return -EINVAL;
	moment->ns = ns;
	sl_zone_localtime(zone, (int64_t)(ns / NS_PER_S), &moment->tm);
	return 0;
}

/* No component longer than a file system takes. */
static int
finish(const struct text *text)
{
	size_t len;

	if (text->error)
		return text->error;
	for (const char *s = text->s; *s != '\0'; s += len + (s[len] == '/')) {
		len = strcspn(s, "/");
		if (len > NAME_MAX)
			return -ENAMETOOLONG;
	}
	return 0;
}

/* What the final and the working name share: Path, separator and stamp. */
static int
begin_name(struct text *text, const struct sl_target_config *target, uint64_t start, char *path)
{
	struct moment moment;
	int ret;

	path[0] = '\0';
	*text = (struct text){.s = path, .size = SL_PATH_MAX};
	ret = moment_get(target, start, &moment);
	if (ret)
		return ret;
	add_base(text, target, &moment);
	add_stamp(text, target, &moment);
	return 0;
}

/* ---------------------------------------------------------------- public functions */

int
sl_name_final(const struct sl_target_config *target, uint64_t start, uint64_t end, unsigned int part, unsigned int copy,
	char *path)
{
	struct text text;
	int ret = begin_name(&text, target, start, path);

	if (ret)
		return ret;
	if (target->name_mode == SL_NAME_EPOCH_SEC_STARTEND)
		add(&text, "-%" PRIu64, end / NS_PER_S);
	if (part)
		add(&text, "_p%03u", part);
	if (copy)
		add(&text, "_%u", copy);
	add(&text, "%s", target->file_suffix);
	return finish(&text);
}

int
sl_name_pending(const struct sl_target_config *target, uint64_t start, uint64_t seq, char *path)
{
	struct text text;
	int ret = begin_name(&text, target, start, path);

	if (ret)
		return ret;
	add(&text, ".%s-%" PRIu64 ".pending", target->file_desc, seq);
	return finish(&text);
}
