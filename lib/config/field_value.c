/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "field.h"
#include "number.h"
#include "suggest.h"
#include "tz_check.h"

unsigned int
sl_field_line(const struct sl_field_reader *r, const char *field)
{
	unsigned int line = sl_source_field_line(&r->config->source, r->table, field);

	return line != 0 ? line : r->line;
}

void
sl_field_finding(struct sl_field_reader *r, bool is_error, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_config_add_finding(r->config, is_error, sl_field_line(r, r->field), r->name, r->field, "%s", text);
}

const char *
sl_field_text(struct sl_field_reader *r, bool one_line, size_t max)
{
	size_t len;
	const char *text = lua_tolstring(r->L, -1, &len);

	if (strlen(text) != len) {
		error(r, "contains a zero byte");
		return NULL;
	}
	if (len > max) {
		error(r, "is too long: %zu bytes, at most %zu", len, max);
		return NULL;
	}
	for (const char *p = text; one_line && *p != '\0'; p++)
		if (iscntrl((unsigned char)*p)) {
			error(r, "contains a control character (byte 0x%02x)", (unsigned char)*p);
			return NULL;
		}
	return text;
}

int
sl_field_word(struct sl_field_reader *r, const char *const *words, size_t n)
{
	const char *text = sl_field_text(r, true, 100);

	if (text == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(text, words[i]) == 0)
			return (int)i;
	char all[256] = "";
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(all);
		snprintf(all + used, sizeof(all) - used, "%s\"%s\"", i == 0 ? "" : i + 1 < n ? ", " : " or ", words[i]);
	}
	const char *near = sl_suggest(text, words, n);
	if (near != NULL)
		error(r, "\"%s\" is not known; did you mean \"%s\"?", text, near);
	else
		error(r, "\"%s\" is not known; it must be %s", text, all);
	return -1;
}

bool
sl_field_bytes(struct sl_field_reader *r, uint64_t *value)
{
	const char *why = "is not a whole number";

	if (lua_type(r->L, -1) == LUA_TSTRING) {
		const char *text = sl_field_text(r, true, 200);

		if (text == NULL)
			return false;
		if (sl_number_parse(text, SL_NUMBER_BYTES, value, &why) == 0)
			return true;
		error(r, "\"%s\" %s; write bytes (5e9) or a text with a unit (\"5G\")", text, why);
		return false;
	}
	if (lua_isinteger(r->L, -1)) {
		lua_Integer i = lua_tointeger(r->L, -1);
		if (i >= 0) {
			*value = (uint64_t)i;
			return true;
		}
		why = "is negative";
	} else {
		double d = lua_tonumber(r->L, -1);
		if (d >= 0 && d < 0x1p64 && floor(d) == d) {
			*value = (uint64_t)d;
			return true;
		}
		if (d < 0)
			why = "is negative";
		else if (d >= 0x1p64)
			why = "is too large";
	}
	lua_pushvalue(r->L, -1);
	error(r, "%s %s; write bytes (5e9) or a text with a unit (\"5G\")", lua_tostring(r->L, -1), why);
	lua_pop(r->L, 1);
	return false;
}

const char *
sl_field_time_zone(struct sl_field_reader *r)
{
	const char *name = sl_field_text(r, true, 255);
	char near[SL_TZ_NAME_MAX];

	if (name == NULL)
		return NULL;
	if (name[0] == '\0') {
		error(r,
			"is empty; leave it out for the local zone, or write for example \"UTC\" or \"Europe/Berlin\"");
		return NULL;
	}
	if (sl_tz_check(name) != 0) {
		if (sl_tz_nearest(name, near) == 0)
			error(r, "there is no time zone \"%s\"; did you mean \"%s\"?", name, near);
		else
			error(r,
				"there is no time zone \"%s\" in /usr/share/zoneinfo, and it is no POSIX TZ text "
				"(package tzdata; `ls /usr/share/zoneinfo` lists the names)",
				name);
		return NULL;
	}
	return sl_config_keep(r->config, name);
}
