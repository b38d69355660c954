/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "store.h"

int
store_uuid_make(struct sl_uuid *uuid)
{
	ssize_t n = getrandom(uuid->bytes, sizeof(uuid->bytes), 0);

	if (n != (ssize_t)sizeof(uuid->bytes))
		return n < 0 ? -errno : -EIO;
	uuid->bytes[6] = (uint8_t)((uuid->bytes[6] & 0x0f) | 0x40);
	uuid->bytes[8] = (uint8_t)((uuid->bytes[8] & 0x3f) | 0x80);
	return 0;
}

void
sl_uuid_format(const struct sl_uuid *uuid, char text[37])
{
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", uuid->bytes[i]);
	}
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
sl_uuid_parse(const char *text, struct sl_uuid *uuid)
{
	const char *p = text;

	for (int i = 0; i < 16; i++) {
		int high, low;

		if (i == 4 || i == 6 || i == 8 || i == 10)
			if (*p++ != '-')
				return -EINVAL;
		high = hex_digit(p[0]);
		low = high < 0 ? -1 : hex_digit(p[1]);
		if (low < 0)
			return -EINVAL;
		uuid->bytes[i] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	return *p == '\0' ? 0 : -EINVAL;
}
