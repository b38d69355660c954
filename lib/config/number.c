/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

__extension__ typedef unsigned __int128 u128;

#define MANTISSA_MAX ((u128)1 << 76) /* times the largest unit (a day in ns, 2^47) still fits 128 bits */
#define EXPONENT_MAX 100000 /* beyond it every number is too large or not whole anyway */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = {
	{"", 1},
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000000},
	{"s", 1000000000},
	{"sec", 1000000000},
	{"m", 60000000000},
	{"min", 60000000000},
	{"h", 3600000000000},
	{"d", 86400000000000},
	{NULL, 0},
};

static const struct unit byte_units[] = {
	{"", 1},
	{"B", 1},
	{"k", 1000},
	{"kB", 1000},
	{"M", 1000000},
	{"MB", 1000000},
	{"G", 1000000000},
	{"GB", 1000000000},
	{"T", 1000000000000},
	{"TB", 1000000000000},
	{"Ki", 1ull << 10},
	{"KiB", 1ull << 10},
	{"Mi", 1ull << 20},
	{"MiB", 1ull << 20},
	{"Gi", 1ull << 30},
	{"GiB", 1ull << 30},
	{"Ti", 1ull << 40},
	{"TiB", 1ull << 40},
	{NULL, 0},
};

static int
digit_value(char c, unsigned int base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && isxdigit((unsigned char)c))
		return tolower((unsigned char)c) - 'a' + 10;
	return -1;
}

/* A mantissa and an exponent of `radix`: value = mantissa * radix^exponent. */
struct scan {
	u128 mantissa;
	int64_t exponent;
	unsigned int radix;
	bool too_long;
};

/* Digits with an optional point. Zeros are held back until another digit follows, so that they cost no precision. */
static const char *
scan_digits(const char *p, unsigned int base, struct scan *s)
{
	/* A hexadecimal digit moves the binary exponent by 4, a decimal digit the decimal one by 1. */
	const int step = base == 16 ? 4 : 1;
	int64_t held = 0;
	bool point = false, any = false;

	for (;; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		int d = digit_value(*p, base);
		if (d < 0)
			break;
		any = true;
		if (point)
			s->exponent -= step;
		held++;
		if (d == 0)
			continue;
		for (; held > 0; held--) {
			if (s->mantissa == 0) {
				held = 0;
				break;
			}
			if (s->mantissa >= MANTISSA_MAX / base) {
				s->too_long = true;
				break;
			}
			s->mantissa *= base;
		}
		if (s->too_long) {
			/* What is dropped is not zero, so the number is inexact or huge; the caller refuses both. */
			held = 0;
			if (!point)
				s->exponent += step;
			continue;
		}
		s->mantissa += (u128)d;
	}
	if (!any)
		return NULL;
	s->exponent += held * step;
	return p;
}

static const char *
scan_exponent(const char *p, int64_t *exponent)
{
	bool negative = *p == '-';
	int64_t e = 0;

	if (*p == '-' || *p == '+')
		p++;
	if (!isdigit((unsigned char)*p))
		return NULL;
	for (; isdigit((unsigned char)*p); p++)
		if (e < EXPONENT_MAX)
			e = e * 10 + (*p - '0');
	*exponent += negative ? -e : e;
	return p;
}

static int
resolve(const struct scan *s, uint64_t factor, uint64_t *value, const char **why)
{
	u128 v = s->mantissa * factor;
	int64_t e = s->exponent;

	if (s->mantissa == 0) {
		*value = 0;
		return 0;
	}
	for (; e < 0; e++) {
		if (v % s->radix != 0) {
			*why = "is not a whole number";
			return -EDOM;
		}
		v /= s->radix;
	}
	for (; e > 0 && v <= UINT64_MAX; e--)
		v *= s->radix;
	if (v > UINT64_MAX) {
		*why = "is too large";
		return -ERANGE;
	}
	*value = (uint64_t)v;
	return 0;
}

int
sl_number_parse(const char *text, enum sl_number_unit unit, uint64_t *value, const char **why)
{
	const struct unit *units = unit == SL_NUMBER_TIME ? time_units : byte_units;
	struct scan s = {.radix = 10};
	const char *p = text;
	bool negative = false, hex = false;

	*why = "";
	while (isspace((unsigned char)*p))
		p++;
	if (*p == '-' || *p == '+')
		negative = *p++ == '-';
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		hex = true;
		s.radix = 2;
		p += 2;
	}
	p = scan_digits(p, hex ? 16 : 10, &s);
	if (p != NULL && (hex ? (*p == 'p' || *p == 'P') : (*p == 'e' || *p == 'E')))
		p = scan_exponent(p + 1, &s.exponent);
	if (p == NULL) {
		*why = "is not a number";
		return -EINVAL;
	}
	while (isspace((unsigned char)*p))
		p++;
	size_t len = strlen(p);
	while (len > 0 && isspace((unsigned char)p[len - 1]))
		len--;
	for (; units->name != NULL; units++)
		/* Case means something in a time ("m" is a minute); for bytes nobody means milli or bits. */
		if (strlen(units->name) == len &&
			(unit == SL_NUMBER_TIME ? strncmp(p, units->name, len) : strncasecmp(p, units->name, len)) == 0)
			break;
	if (units->name == NULL) {
		*why = unit == SL_NUMBER_TIME ? "has an unknown unit (known: ns, us, ms, s, m, h, d)"
					      : "has an unknown unit (known: k, M, G, T, Ki, Mi, Gi, Ti)";
		return -EINVAL;
	}
	if (negative && s.mantissa != 0) {
		*why = "is negative";
		return -EDOM;
	}
	if (s.too_long) {
		*why = s.exponent < 0 ? "is not a whole number" : "is too large";
		return s.exponent < 0 ? -EDOM : -ERANGE;
	}
	return resolve(&s, units->factor, value, why);
}

/* Up to three decimals, without trailing zeros; false if that would round. */
static bool
format_scaled(uint64_t value, uint64_t factor, const char *unit, char *text, size_t len)
{
	uint64_t whole = value / factor, rest = value % factor;
	char decimals[8];

	if (rest == 0) {
		snprintf(text, len, "%" PRIu64 " %s", whole, unit);
		return true;
	}
	u128 milli = (u128)rest * 1000;
	if (milli % factor != 0)
		return false;
	snprintf(decimals, sizeof(decimals), "%03u", (unsigned int)(milli / factor));
	for (size_t i = strlen(decimals); i > 1 && decimals[i - 1] == '0'; i--)
		decimals[i - 1] = '\0';
	snprintf(text, len, "%" PRIu64 ".%s %s", whole, decimals, unit);
	return true;
}

static void
format_units(uint64_t value, const struct unit *units, char *text, size_t len)
{
	for (; units->factor > 1; units++)
		if (value >= units->factor && format_scaled(value, units->factor, units->name, text, len))
			return;
	snprintf(text, len, "%" PRIu64 " %s", value, units->name);
}

void
sl_number_format_time(uint64_t ns, char *text, size_t len)
{
	static const struct unit units[] = {{"d", 86400000000000}, {"h", 3600000000000}, {"min", 60000000000},
		{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};

	/* One minute reads best as the 60 s that is written in most configurations. */
	if (ns < 120000000000 && ns >= 1000000000 && format_scaled(ns, 1000000000, "s", text, len))
		return;
	format_units(ns, units, text, len);
}

void
sl_number_format_bytes(uint64_t bytes, char *text, size_t len)
{
	static const struct unit units[] = {
		{"TB", 1000000000000}, {"GB", 1000000000}, {"MB", 1000000}, {"kB", 1000}, {"B", 1}};

	format_units(bytes, units, text, len);
}
