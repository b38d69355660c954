/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "strftime_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DATE (SL_PART_YEAR | SL_PART_MONTH | SL_PART_DAY)
#define CLOCK (SL_PART_HOUR | SL_PART_MINUTE | SL_PART_SECOND)

/* strftime(3), glibc 2.36, in the C locale. */
static const struct conversion {
	char letter;
	unsigned int parts;
	bool slash; /* expands to a text with '/' */
	bool control;
} conversions[] = {
	{'a', SL_PART_DAY, false, false},
	{'A', SL_PART_DAY, false, false},
	{'b', SL_PART_MONTH, false, false},
	{'B', SL_PART_MONTH, false, false},
	{'c', DATE | CLOCK, false, false},
	{'C', 0, false, false},
	{'d', SL_PART_DAY, false, false},
	{'D', DATE, true, false},
	{'e', SL_PART_DAY, false, false},
	{'F', DATE, false, false},
	{'g', SL_PART_YEAR, false, false},
	{'G', SL_PART_YEAR, false, false},
	{'h', SL_PART_MONTH, false, false},
	{'H', SL_PART_HOUR, false, false},
	{'I', 0, false, false},
	{'j', SL_PART_MONTH | SL_PART_DAY, false, false},
	{'k', SL_PART_HOUR, false, false},
	{'l', 0, false, false},
	{'m', SL_PART_MONTH, false, false},
	{'M', SL_PART_MINUTE, false, false},
	{'n', 0, false, true},
	{'p', 0, false, false},
	{'P', 0, false, false},
	{'r', CLOCK, false, false},
	{'R', SL_PART_HOUR | SL_PART_MINUTE, false, false},
	{'s', DATE | CLOCK | SL_PART_OFFSET, false, false},
	{'S', SL_PART_SECOND, false, false},
	{'t', 0, false, true},
	{'T', CLOCK, false, false},
	{'u', SL_PART_DAY, false, false},
	{'U', SL_PART_MONTH, false, false},
	{'V', SL_PART_MONTH, false, false},
	{'w', SL_PART_DAY, false, false},
	{'W', SL_PART_MONTH, false, false},
	{'x', DATE, true, false},
	{'X', CLOCK, false, false},
	{'y', SL_PART_YEAR, false, false},
	{'Y', SL_PART_YEAR, false, false},
	{'z', SL_PART_OFFSET, false, false},
	{'Z', SL_PART_OFFSET, false, false},
	{'%', 0, false, false},
};

/* The conversion at p, which points behind '%'; *p is left on its letter. NULL if there is none. */
static const struct conversion *
find(const char **p)
{
	while (**p != '\0' && strchr("_-0^#", **p) != NULL)
		(*p)++;
	if (**p == 'E' || **p == 'O')
		(*p)++;
	for (size_t i = 0; **p != '\0' && i < sizeof(conversions) / sizeof(conversions[0]); i++)
		if (conversions[i].letter == **p)
			return &conversions[i];
	return NULL;
}

int
sl_strftime_check(const char *format, bool file_name, char *why)
{
	const char *fix = "; %% is a percent sign, strftime(3) lists the conversions";

	for (const char *p = format; *p != '\0'; p++) {
		if (file_name && *p == '/') {
			snprintf(why, SL_STRFTIME_ERRBUF,
				"has a '/': put directories into Path, which is expanded for "
				"each file too");
			return -EINVAL;
		}
		if (iscntrl((unsigned char)*p)) {
			snprintf(why, SL_STRFTIME_ERRBUF, "has a control character (byte 0x%02x)", (unsigned char)*p);
			return -EINVAL;
		}
		if (*p != '%')
			continue;
		p++;
		const struct conversion *c = find(&p);
		if (c == NULL && *p == '\0') {
			snprintf(why, SL_STRFTIME_ERRBUF, "ends with an unfinished conversion%s", fix);
			return -EINVAL;
		}
		if (c == NULL) {
			snprintf(why, SL_STRFTIME_ERRBUF, "has an unknown conversion %%%c%s",
				isprint((unsigned char)*p) ? *p : '?', fix);
			return -EINVAL;
		}
		if (c->control || (c->slash && file_name)) {
			snprintf(why, SL_STRFTIME_ERRBUF,
				"has the conversion %%%c, which does not belong in a file name%s", c->letter,
				c->slash ? " because it contains '/'; use %Y%m%d" : "");
			return -EINVAL;
		}
	}
	return 0;
}

unsigned int
sl_strftime_parts(const char *format)
{
	unsigned int parts = 0;
	bool hour12 = false, half = false;

	for (const char *p = format; *p != '\0'; p++) {
		if (*p != '%')
			continue;
		p++;
		const struct conversion *c = find(&p);
		if (c == NULL)
			break;
		parts |= c->parts;
		hour12 |= c->letter == 'I' || c->letter == 'l';
		half |= c->letter == 'p' || c->letter == 'P';
	}
	/* "07" means two hours of a day, "07PM" one. */
	if (hour12 && half)
		parts |= SL_PART_HOUR;
	return parts;
}
