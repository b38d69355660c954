/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "internal.h"

/* Far enough that year, month, day, weekday, hour, minute and second are all others. */
#define LATER_SECONDS (400 * 86400 + 5 * 3600 + 7 * 60 + 11)

/*
 * Compare the Paths of the file run at another date with those that were read. Arguments: the configuration, and the
 * file's value.
 */
static int
compare(lua_State *L)
{
	struct sl_config *config = lua_touserdata(L, 1);

	if (lua_type(L, 2) != LUA_TTABLE || lua_getfield(L, 2, "Target") != LUA_TTABLE)
		return 0;
	int targets = lua_gettop(L);
	for (size_t i = 0; i < config->n_targets; i++) {
		lua_settop(L, targets);
		if (lua_rawgeti(L, targets, (lua_Integer)i + 1) != LUA_TTABLE ||
			lua_getfield(L, -1, "Path") != LUA_TSTRING)
			continue;
		if (strcmp(lua_tostring(L, -1), config->targets[i].path) != 0)
			config->places[i].path_from_date = true;
	}
	return 0;
}

/* Put the formats of os.date back for their results: the Path that the author meant. NULL if they are not found. */
static char *
put_formats_back(const char *path, const struct sl_lua_sandbox *first)
{
	char *text = strdup(path);
	bool any = false;

	for (size_t i = 0; i < first->n_dates && text != NULL; i++) {
		const struct sl_lua_sandbox_date *d = &first->dates[i];
		const char *format = d->format[0] == '!' ? d->format + 1 : d->format;
		char *at = d->result[0] != '\0' ? strstr(text, d->result) : NULL, *longer;

		if (at == NULL || strcmp(format, d->result) == 0)
			continue;
		if (asprintf(&longer, "%.*s%s%s", (int)(at - text), text, format, at + strlen(d->result)) < 0)
			break;
		free(text);
		text = longer;
		any = true;
	}
	if (!any) {
		free(text);
		text = NULL;
	}
	return text;
}

void
sl_config_check_dates(struct sl_config *config, const struct sl_lua_sandbox *first)
{
	struct sl_lua_sandbox again;
	char errbuf[SL_LUA_ERRBUF];
	unsigned int line;

	if (sl_lua_sandbox_open(&again, first->now + LATER_SECONDS, NULL, NULL) != 0)
		return;
	if (sl_lua_sandbox_run(&again, config->text, config->text_len, &line, errbuf) == 0)
		(void)sl_lua_sandbox_call(&again, compare, config, &line, errbuf);
	sl_lua_sandbox_close(&again);

	for (size_t i = 0; i < config->n_targets; i++) {
		if (!config->places[i].path_from_date)
			continue;
		char *meant = put_formats_back(config->targets[i].path, first);
		if (meant != NULL)
			sl_config_add_finding(config, false, sl_config_field_line(config, i, "Path"),
				config->targets[i].desc, "Path",
				"is made with os.date when this file is read, so it will not change at midnight; write "
				"Path = "
				"\"%s\", which is expanded for each file",
				meant);
		else
			sl_config_add_finding(config, false, sl_config_field_line(config, i, "Path"),
				config->targets[i].desc, "Path",
				"is made from the date when this file is read, so it will not change at midnight; "
				"write strftime "
				"conversions such as %%Y%%m%%d into Path instead, they are expanded for each file");
		free(meant);
	}
}
