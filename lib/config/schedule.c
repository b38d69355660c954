/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * schedule.lua -> rows. The same sandbox, findings and line numbers as a push configuration has.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <lauxlib.h>

#include "field.h"
#include "suggest.h"

#define ROWS_MAX 1000u /* each may be a process */
#define STOP_TIMEOUT_S 30u /* as `sluice push` has it */
#define STOP_TIMEOUT_MAX_S 86400u
#define ALL_DAYS 0x7fu

struct sl_schedule {
	struct sl_config *config; /* its text and findings; it has no targets */
	struct sl_schedule_row *rows;
	int *tables; /* constructor of each row in the source, or -1 */
	size_t count;
};

static struct sl_schedule_row *
add_row(struct sl_schedule *schedule, int table)
{
	size_t n = schedule->count;

	if ((n & (n - 1)) == 0) {
		size_t room = n == 0 ? 1 : 2 * n;
		struct sl_schedule_row *rows = realloc(schedule->rows, room * sizeof(*rows));

		if (rows == NULL)
			goto err;
		schedule->rows = rows;
		int *tables = realloc(schedule->tables, room * sizeof(*tables));
		if (tables == NULL)
			goto err;
		schedule->tables = tables;
	}
	schedule->tables[n] = table;
	schedule->rows[n] = (struct sl_schedule_row){
		.desc = "",
		.enable = true,
		.rule = {.days = ALL_DAYS},
		.engine = "push_realtime",
		.config = "",
		.options = "",
		.stop_timeout = STOP_TIMEOUT_S,
	};
	return &schedule->rows[schedule->count++];
err:
	schedule->config->oom = true;
	return NULL;
}

/* ---------------------------------------------------------------- values */

static void
read_nothing(struct sl_field_reader *r)
{
	(void)r;
}

static void
read_enable(struct sl_field_reader *r)
{
	r->row->enable = lua_toboolean(r->L, -1);
}

static void
read_always(struct sl_field_reader *r)
{
	r->row->rule.always = lua_toboolean(r->L, -1);
}

static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

/* Three letters or more of a day's name. @return 0 (Sunday) to 6, or -1 */
static int
day_number(const char *word, size_t len)
{
	for (int day = 0; day < 7 && len >= 3; day++)
		if (len <= strlen(day_names[day]) && strncasecmp(word, day_names[day], len) == 0)
			return day;
	return -1;
}

/* "Mon-Fri", "Sat": a day or a range of days, which may go over the end of the week. */
static bool
add_days(struct sl_field_reader *r, const char *word, size_t len, uint8_t *days)
{
	const char *dash = memchr(word, '-', len);
	size_t first_len = dash != NULL ? (size_t)(dash - word) : len;
	int first = day_number(word, first_len);
	int last = dash != NULL ? day_number(dash + 1, len - first_len - 1) : first;

	if (first < 0 || last < 0) {
		error(r, "\"%.*s\" is no day of the week; write for example \"Mon-Fri\" or \"Mon, Wed, Sun\"", (int)len,
			word);
		return false;
	}
	for (int day = first;; day = (day + 1) % 7) {
		*days |= (uint8_t)(1u << day);
		if (day == last)
			return true;
	}
}

static bool
add_day_list(struct sl_field_reader *r, const char *text, uint8_t *days)
{
	while (*text != '\0') {
		size_t len = strcspn(text, ", \t");

		if (len > 0 && !add_days(r, text, len, days))
			return false;
		text += len;
		text += strspn(text, ", \t");
	}
	return true;
}

static void
read_days(struct sl_field_reader *r)
{
	lua_State *L = r->L;
	uint8_t days = 0;
	bool good = true;

	if (lua_type(L, -1) == LUA_TSTRING) {
		const char *text = sl_field_text(r, true, 200);

		good = text != NULL && add_day_list(r, text, &days);
	} else {
		size_t n = lua_rawlen(L, -1);

		for (size_t i = 1; i <= n && i <= 100 && good; i++) {
			const char *text = NULL;

			lua_rawgeti(L, -1, (lua_Integer)i);
			if (lua_type(L, -1) == LUA_TSTRING)
				text = sl_field_text(r, true, 200);
			else
				error(r, "holds a %s; write the days as text: { \"Mon\", \"Tue\" }",
					luaL_typename(L, -1));
			good = text != NULL && add_day_list(r, text, &days);
			lua_pop(L, 1);
		}
	}
	if (good && days == 0)
		error(r, "names no day, so this row would never run; write for example \"Mon-Fri\", or Enable = false");
	r->row->rule.days = days;
}

/* HH:MM or HH:MM:SS, and 24:00:00 for the end of the day. */
static bool
read_time(struct sl_field_reader *r, uint32_t *seconds)
{
	const char *text = sl_field_text(r, true, 100), *p = text;
	unsigned int part[3] = {0};
	int n;

	if (text == NULL)
		return false;
	for (n = 0; n < 3 && isdigit((unsigned char)p[0]) && isdigit((unsigned char)p[1]); n++) {
		part[n] = (unsigned int)(p[0] - '0') * 10 + (unsigned int)(p[1] - '0');
		p += 2;
		if (*p != ':')
			break;
		p++;
	}
	*seconds = part[0] * 3600 + part[1] * 60 + part[2];
	if (n < 1 || *p != '\0' || p[-1] == ':' || part[1] > 59 || part[2] > 59 || *seconds > SL_SCHEDULE_DAY) {
		error(r, "\"%s\" is no time of day; write HH:MM:SS, such as \"08:30:00\"", text);
		return false;
	}
	return true;
}

static void
read_start(struct sl_field_reader *r)
{
	if (read_time(r, &r->row->rule.start) && r->row->rule.start == SL_SCHEDULE_DAY) {
		error(r, "is the end of the day; write \"00:00:00\" and the day after in Days");
		r->row->rule.start = 0;
	}
}

static void
read_stop(struct sl_field_reader *r)
{
	read_time(r, &r->row->rule.stop);
}

static void
read_zone(struct sl_field_reader *r)
{
	r->row->rule.time_zone = sl_field_time_zone(r);
}

static void
read_engine(struct sl_field_reader *r)
{
	static const char *const words[] = {"push_realtime", "push_pcap", "push_lxc"};
	int i = sl_field_word(r, words, 3);

	if (i == 2)
		error(r, "\"%s\" is not available in this version; use \"push_realtime\"", words[i]);
	else if (i >= 0)
		r->row->engine = words[i];
}

/* An absolute path: the scheduler is started from anywhere. */
static const char *
read_path(struct sl_field_reader *r, const char *example)
{
	const char *text = sl_field_text(r, true, SL_PATH_TEXT_MAX);

	if (text == NULL)
		return NULL;
	if (text[0] != '/') {
		error(r, "\"%s\" is not absolute; write for example \"%s\"", text, example);
		return NULL;
	}
	return sl_config_keep(r->config, text);
}

static void
read_config(struct sl_field_reader *r)
{
	const char *path = read_path(r, SL_CONFIG_DEFAULT_FMADIO);

	if (path != NULL)
		r->row->config = path;
}

static void
read_store(struct sl_field_reader *r)
{
	r->row->store = read_path(r, "/mnt/store0/capture");
}

static void
read_state_dir(struct sl_field_reader *r)
{
	r->row->state_dir = read_path(r, "/var/lib/sluice/push_realtime");
}

static void
read_log_dir(struct sl_field_reader *r)
{
	r->row->log_dir = read_path(r, "/mnt/store0/log");
}

static void
read_options(struct sl_field_reader *r)
{
	const char *text = sl_field_text(r, true, 2000);

	if (text != NULL)
		r->row->options = sl_config_keep(r->config, text);
}

static void
read_stop_timeout(struct sl_field_reader *r)
{
	lua_Number seconds = lua_tonumber(r->L, -1);

	if (!(seconds >= 0 && seconds <= STOP_TIMEOUT_MAX_S) || seconds != (lua_Number)(uint32_t)seconds)
		error(r, "must be a whole number of seconds, 0 to %u", STOP_TIMEOUT_MAX_S);
	else
		r->row->stop_timeout = (uint32_t)seconds;
}

/* ---------------------------------------------------------------- a row */

/* clang-format off */
static const struct sl_field fields[] = {
	{"Desc", 0, USED, T_STRING, read_nothing}, /* read first, for the findings of the others */
	{"Enable", 0, USED, T_BOOL, read_enable},
	{"Always", 0, USED, T_BOOL, read_always},
	{"Days", 0, USED, T_STRING | T_TABLE, read_days},
	{"Start", 0, USED, T_STRING, read_start},
	{"Stop", 0, USED, T_STRING, read_stop},
	{"TimeZone", 0, USED, T_STRING, read_zone},
	{"Engine", 0, USED, T_STRING, read_engine},
	{"Config", 0, USED, T_STRING, read_config},
	{"Store", 0, USED, T_STRING, read_store},
	{"StateDir", 0, USED, T_STRING, read_state_dir},
	{"LogDir", 0, USED, T_STRING, read_log_dir},
	{"Options", 0, USED, T_STRING, read_options},
	{"StopTimeout", 0, USED, T_NUMBER, read_stop_timeout},
};
/* clang-format on */
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static void
read_desc(struct sl_field_reader *r, int index, size_t number)
{
	const char *desc = NULL;
	char name[32];

	snprintf(name, sizeof(name), "#%zu", number);
	r->name = sl_config_keep(r->config, name);
	r->field = "Desc";
	lua_getfield(r->L, index, "Desc");
	if (lua_type(r->L, -1) == LUA_TSTRING)
		desc = lua_tostring(r->L, -1);
	unsigned int insert_line = sl_lua_sandbox_insert_line(r->L, index);
	r->table = sl_source_find_table(&r->config->source, insert_line, desc);
	r->line = r->table >= 0 && insert_line == 0 ? r->config->source.tables[r->table].line : insert_line;
	if (lua_isnil(r->L, -1))
		error(r, "is missing; give the row a short name, such as Desc = \"office hours\"");
	else if (desc != NULL && sl_field_text(r, true, SL_DESC_MAX) != NULL) {
		if (*desc == '\0')
			error(r, "is empty; give the row a short name, such as \"office hours\"");
		else
			r->name = sl_config_keep(r->config, desc);
	}
	lua_pop(r->L, 1);
}

static void
find_unknown(struct sl_field_reader *r, int index)
{
	const char *words[FIELDS];

	for (size_t i = 0; i < FIELDS; i++)
		words[i] = fields[i].name;
	lua_pushnil(r->L);
	while (lua_next(r->L, index) != 0) {
		bool known = false;

		lua_pop(r->L, 1); /* the value; the key stays for lua_next() */
		if (lua_type(r->L, -1) != LUA_TSTRING) {
			r->field = "";
			error(r, "holds a value without a field name; each value is written as Field = value");
			lua_pop(r->L, 1);
			return;
		}
		r->field = lua_tostring(r->L, -1);
		for (size_t i = 0; i < FIELDS && !known; i++)
			known = strcmp(fields[i].name, r->field) == 0;
		const char *near = known ? NULL : sl_suggest(r->field, words, FIELDS);
		if (near != NULL)
			error(r, "unknown field; did you mean %s?", near);
		else if (!known)
			error(r, "unknown field; known are Desc, Enable, Always, Days, Start, Stop, TimeZone, Engine, "
				 "Config, Store, StateDir, LogDir, Options, StopTimeout");
		if (sl_config_findings_full(r->config)) {
			lua_pop(r->L, 1);
			return;
		}
	}
}

/* Fields that need or exclude one another. */
static void
check_row(struct sl_field_reader *r, int index)
{
	static const char *const times[] = {"Start", "Stop"};
	static const char *const windows[] = {"Days", "Start", "Stop", "TimeZone"};

	if (r->row->rule.always) {
		for (size_t i = 0; i < 4; i++) {
			r->field = windows[i];
			if (sl_field_given(r, index, r->field))
				warning(r, "means nothing beside Always = true: the row is on all the time");
		}
	} else {
		for (size_t i = 0; i < 2; i++) {
			r->field = times[i];
			if (!sl_field_given(r, index, r->field))
				error(r, "is missing; write for example %s = \"%s\", or Always = true for 24/7",
					times[i], i == 0 ? "08:00:00" : "18:00:00");
		}
	}
	r->field = "Config";
	if (!sl_field_given(r, index, "Config"))
		error(r, "is missing; write the push configuration of this row, such as Config = \"%s\"",
			SL_CONFIG_DEFAULT_FMADIO);
}

/* The row on top of the stack. */
static void
read_row(struct sl_schedule *schedule, lua_State *L, size_t number)
{
	struct sl_field_reader r = {.config = schedule->config, .L = L, .table = -1, .name = "", .field = ""};
	int index = lua_gettop(L);

	read_desc(&r, index, number);
	r.row = add_row(schedule, r.table);
	if (r.row == NULL)
		return;
	r.row->desc = r.name;
	r.row->line = r.line;
	for (size_t i = 0; i < FIELDS; i++)
		sl_field_read(&r, &fields[i], index);
	find_unknown(&r, index);
	check_row(&r, index);
}

/* ---------------------------------------------------------------- the whole */

static int
read_inserted(lua_State *L)
{
	struct sl_config *config = lua_touserdata(L, 1);
	struct sl_schedule *schedule = config->arg;

	schedule->config = config;
	luaL_checkstack(L, 20, NULL);
	sl_lua_sandbox_push_inserted(L);
	int list = lua_gettop(L);
	size_t n = lua_rawlen(L, list), number = 0;

	for (size_t i = 1; i <= n && i <= ROWS_MAX; i++) {
		lua_rawgeti(L, list, (lua_Integer)i);
		lua_getfield(L, -1, "Desc");
		lua_getfield(L, -2, "Config");
		bool is_row = !lua_isnil(L, -1) || !lua_isnil(L, -2);
		lua_pop(L, 2);
		if (is_row)
			read_row(schedule, L, ++number);
		lua_settop(L, list);
	}
	return 0;
}

static void
read_rows(struct sl_field_reader *r, struct sl_schedule *schedule)
{
	lua_State *L = r->L;
	int index = lua_gettop(L);
	size_t n = lua_rawlen(L, index);

	if (n > ROWS_MAX) {
		error(r, "has %zu entries, at most %u are possible", n, ROWS_MAX);
		return;
	}
	if (n == 0)
		error(r, "is empty: there is nothing to run; add a row with table.insert(Schedule.Row, { ... })");
	for (size_t i = 1; i <= n; i++) {
		lua_rawgeti(L, index, (lua_Integer)i);
		if (lua_type(L, -1) == LUA_TTABLE)
			read_row(schedule, L, i);
		else
			error(r, "entry %zu must be a table { Desc = ... }, not a %s", i, luaL_typename(L, -1));
		lua_settop(L, index);
	}
}

static int
read_schedule(lua_State *L)
{
	struct sl_config *config = lua_touserdata(L, 1);
	struct sl_schedule *schedule = config->arg;
	struct sl_field_reader r = {.config = config, .L = L, .table = -1, .name = "", .field = ""};

	schedule->config = config;
	luaL_checkstack(L, 20, NULL);
	if (lua_type(L, 2) != LUA_TTABLE) {
		r.line = sl_config_last_line(config->text);
		error(&r, "the file must end with `return Schedule`, where Schedule is a table; it returned %s",
			lua_isnil(L, 2) ? "nothing" : luaL_typename(L, 2));
		return read_inserted(L);
	}
	lua_pushnil(L);
	while (lua_next(L, 2) != 0) {
		lua_pop(L, 1);
		r.field = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
		if (strcmp(r.field, "Row") != 0)
			error(&r, "unknown field; all there is at the top level is Row, a list: Schedule.Row = {}");
		if (sl_config_findings_full(config))
			return 0;
	}
	r.field = "Row";
	lua_getfield(L, 2, "Row");
	if (lua_type(L, -1) == LUA_TTABLE)
		read_rows(&r, schedule);
	else
		error(&r, "is missing; write Schedule.Row = {} and add rows with table.insert(Schedule.Row, { ... })");
	return 0;
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Rows i < k that are both enabled. */
static void
check_pair(struct sl_schedule *schedule, size_t i, size_t k)
{
	const struct sl_schedule_row *a = &schedule->rows[i], *b = &schedule->rows[k];
	unsigned int line = sl_schedule_field_line(schedule, k, "Config");

	if (a->config[0] == '\0' || strcmp(a->config, b->config) != 0)
		return;
	if (!same(a->store, b->store) || !same(a->state_dir, b->state_dir) || !same(a->log_dir, b->log_dir) ||
		strcmp(a->options, b->options) != 0 || a->stop_timeout != b->stop_timeout)
		sl_config_add_finding(schedule->config, true, line, b->desc, "Config",
			"row \"%s\" runs the same configuration with another Store, StateDir, LogDir, Options or "
			"StopTimeout; it runs once at a time, so make them equal, or use a copy of the file",
			a->desc);
}

static void
check(struct sl_config *config)
{
	struct sl_schedule *schedule = config->arg;

	for (size_t k = 1; k < schedule->count; k++)
		for (size_t i = 0; i < k; i++) {
			if (schedule->rows[k].desc[0] != '#' &&
				strcmp(schedule->rows[i].desc, schedule->rows[k].desc) == 0)
				sl_config_add_finding(config, true, sl_schedule_field_line(schedule, k, "Desc"),
					schedule->rows[k].desc, "Desc",
					"another row has this name; logs would not tell which one");
			if (schedule->rows[i].enable && schedule->rows[k].enable)
				check_pair(schedule, i, k);
			if (sl_config_findings_full(config))
				return;
		}
}

int
sl_schedule_load(const char *path, struct sl_schedule **out)
{
	static const struct sl_config_kind kind = {"row", read_schedule, read_inserted, check, NULL};
	struct sl_schedule *schedule = calloc(1, sizeof(*schedule));
	struct sl_config *config;
	int rc;

	*out = NULL;
	if (schedule == NULL)
		return -ENOMEM;
	rc = sl_config_load_kind(path, &kind, schedule, &config);
	/* Reading the rows has set it before; on an error that freed it, it must not be freed again. */
	schedule->config = config;
	if (config == NULL) {
		sl_schedule_free(schedule);
		return rc;
	}
	*out = schedule;
	return rc;
}

void
sl_schedule_free(struct sl_schedule *schedule)
{
	if (schedule == NULL)
		return;
	sl_config_free(schedule->config);
	free(schedule->rows);
	free(schedule->tables);
	free(schedule);
}

const char *
sl_schedule_default_path(void)
{
	static const char *const paths[] = {SL_SCHEDULE_DEFAULT_FMADIO, SL_SCHEDULE_DEFAULT_ETC};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], F_OK) == 0)
			return paths[i];
	return NULL;
}

size_t
sl_schedule_rows(const struct sl_schedule *schedule)
{
	return schedule->count;
}

const struct sl_schedule_row *
sl_schedule_row(const struct sl_schedule *schedule, size_t i)
{
	return &schedule->rows[i];
}

unsigned int
sl_schedule_field_line(const struct sl_schedule *schedule, size_t i, const char *field)
{
	int table = schedule->tables[i];
	unsigned int line = table >= 0 ? sl_source_field_line(&schedule->config->source, table, field) : 0;

	return line != 0 ? line : schedule->rows[i].line;
}

struct sl_config *
sl_schedule_findings(struct sl_schedule *schedule)
{
	return schedule->config;
}
