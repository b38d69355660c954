/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "internal.h"
#include "number.h"
#include "option.h"
#include "owner.h"
#include "strftime_check.h"
#include "suggest.h"
#include "tz_check.h"

#define TARGETS_MAX 65535u

#define IN_TARGET 1u
#define IN_TOP 2u

#define T_STRING 1u
#define T_BOOL 2u
#define T_NUMBER 4u
#define T_TABLE 8u

/* One table of fields on its way into plain structs. The field's value is on top of the Lua stack. */
struct reader {
	struct sl_config *config;
	lua_State *L;
	struct sl_target_config *target; /* NULL at the top level */
	const char *name; /* Desc, or "#3" */
	int table;
	unsigned int line;
	const char *field; /* being read */
	struct sl_options options;
};

enum field_class {
	USED,
	IGNORED, /* FMADIO's, no meaning here */
	LATER, /* of a later version: its type is checked, then it is refused unless it is off */
};

struct field {
	const char *name;
	unsigned int scope;
	enum field_class class;
	unsigned int types; /* 0: any */
	void (*read)(struct reader *r);
};

/* ---------------------------------------------------------------- findings */

static unsigned int
line_of(const struct reader *r, const char *field)
{
	unsigned int line = sl_source_field_line(&r->config->source, r->table, field);

	return line != 0 ? line : r->line;
}

static void __attribute__((format(printf, 3, 4))) finding(struct reader *r, bool is_error, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_config_add_finding(r->config, is_error, line_of(r, r->field), r->name, r->field, "%s", text);
}

#define error(r, ...) finding(r, true, __VA_ARGS__)
#define warning(r, ...) finding(r, false, __VA_ARGS__)

static void
option_finding(void *arg, bool is_error, const char *text)
{
	finding(arg, is_error, "%s", text);
}

static void
option_ignored(void *arg, const char *option)
{
	struct reader *r = arg;

	sl_config_ignore(r->config, option, line_of(r, r->field));
}

/* ---------------------------------------------------------------- values */

/* The string on top, checked for what no field may hold; NULL after a finding. */
static const char *
text_value(struct reader *r, bool one_line, size_t max)
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

/* Which of n words the string on top is, in any case; -1 after a finding. */
static int
word_value(struct reader *r, const char *const *words, size_t n)
{
	const char *text = text_value(r, true, 100);

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

/* A count of bytes: a number, or text with a unit. */
static bool
bytes_value(struct reader *r, uint64_t *value)
{
	const char *why = "is not a whole number";

	if (lua_type(r->L, -1) == LUA_TSTRING) {
		const char *text = text_value(r, true, 200);

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

/* ---------------------------------------------------------------- fields */

static void
read_nothing(struct reader *r)
{
	(void)r;
}

static void
read_mode(struct reader *r)
{
	static const char *const words[] = {"File", "rclone", "LXC", "CURL"};
	int i = word_value(r, words, 4);

	if (i > 0)
		error(r, "\"%s\" is not available in this version; use Mode = \"File\"", words[i]);
	r->target->mode = SL_MODE_FILE;
}

static void
read_path(struct reader *r)
{
	const char *path = text_value(r, true, SL_PATH_TEXT_MAX);
	char why[SL_STRFTIME_ERRBUF];

	if (path == NULL)
		return;
	if (path[0] != '/') {
		if (path[0] == '\0')
			error(r, "is empty; write the directory and the beginning of the file names, such as "
				 "\"/mnt/remote0/push/all\"");
		else
			error(r, "\"%s\" is not absolute; begin it with \"/\"", path);
		return;
	}
	if (sl_strftime_check(path, false, why) != 0) {
		error(r, "\"%s\" %s", path, why);
		return;
	}
	r->target->path = sl_config_keep(r->config, path);
}

static void
read_options(struct reader *r)
{
	const struct sl_option_report report = {option_finding, option_ignored, r};
	const char *text = text_value(r, false, 64 * 1024);

	if (text != NULL)
		sl_options_parse(&r->options, text, &report);
}

static void
read_filter(struct reader *r)
{
	const char *text = text_value(r, false, 1024 * 1024);
	bool blank = true;

	for (const char *p = text; p != NULL && *p != '\0'; p++)
		blank = blank && isspace((unsigned char)*p);
	if (text != NULL && !blank)
		r->target->filter = sl_config_keep(r->config, text);
}

static void
check_suffix(struct reader *r, const char *suffix)
{
	static const char *const compressed[] = {".gz", ".lz4", ".zst", ".xz", ".bz2"};
	size_t len = strlen(suffix);

	if (strchr(suffix, '/') != NULL) {
		error(r, "\"%s\" contains '/'; put directories into Path", suffix);
		return;
	}
	if (len >= 8 && strcmp(suffix + len - 8, ".pending") == 0) {
		error(r, "\"%s\" ends with .pending, which marks unfinished files", suffix);
		return;
	}
	if (len > 0 && isalnum((unsigned char)suffix[0]))
		warning(r, "\"%s\" follows the name directly; did you mean \".%s\"?", suffix, suffix);
	for (size_t i = 0; i < sizeof(compressed) / sizeof(compressed[0]); i++)
		if (len >= strlen(compressed[i]) && strcmp(suffix + len - strlen(compressed[i]), compressed[i]) == 0)
			warning(r, "\"%s\" looks compressed, but files are written as plain pcap", suffix);
	r->target->file_suffix = sl_config_keep(r->config, suffix);
}

static void
read_suffix(struct reader *r)
{
	const char *suffix = text_value(r, true, 60);

	if (suffix != NULL)
		check_suffix(r, suffix);
}

static void
read_follow_start(struct reader *r)
{
	if (r->target != NULL)
		r->target->follow_start = lua_toboolean(r->L, -1);
	else
		r->config->follow_start = lua_toboolean(r->L, -1);
}

static void
read_slice(struct reader *r)
{
	uint64_t v;

	if (!bytes_value(r, &v))
		return;
	if (v > INT32_MAX) {
		error(r, "%llu is too large; it is the number of bytes kept of each packet", (unsigned long long)v);
		return;
	}
	r->target->slice = (uint32_t)v;
}

static void
read_time_zone(struct reader *r)
{
	const char *name = text_value(r, true, 255);
	char near[SL_TZ_NAME_MAX];

	if (name == NULL)
		return;
	if (name[0] == '\0') {
		error(r,
			"is empty; leave it out for the local zone, or write for example \"UTC\" or \"Europe/Berlin\"");
		return;
	}
	if (sl_tz_check(name) != 0) {
		if (sl_tz_nearest(name, near) == 0)
			error(r, "there is no time zone \"%s\"; did you mean \"%s\"?", name, near);
		else
			error(r,
				"there is no time zone \"%s\" in /usr/share/zoneinfo, and it is no POSIX TZ text "
				"(package tzdata; `ls /usr/share/zoneinfo` lists the names)",
				name);
		return;
	}
	r->target->time_zone = sl_config_keep(r->config, name);
}

static void
read_split_align(struct reader *r)
{
	static const char *const words[] = {"utc", "local"};

	r->target->align_local = word_value(r, words, 2) == 1;
}

static void
read_separator(struct reader *r)
{
	const char *text = text_value(r, true, 60);

	if (text == NULL)
		return;
	if (strchr(text, '/') != NULL)
		error(r, "\"%s\" contains '/'; end Path with '/' instead", text);
	else
		r->target->separator = sl_config_keep(r->config, text);
}

static void
read_empty_files(struct reader *r)
{
	r->target->empty_files = lua_toboolean(r->L, -1);
}

static void
read_on_stop(struct reader *r)
{
	static const char *const words[] = {"close", "resume"};

	r->target->on_stop = word_value(r, words, 2) == 1 ? SL_ON_STOP_RESUME : SL_ON_STOP_CLOSE;
}

static void
read_min_free(struct reader *r)
{
	uint64_t v;

	if (bytes_value(r, &v))
		r->target->min_free = v;
}

static void
read_mount(struct reader *r)
{
	const char *text = text_value(r, true, 1000);
	char point[1001];

	if (text == NULL)
		return;
	if (text[0] != '\0' && text[0] != '/') {
		error(r, "\"%s\" is not absolute; write the mount point, such as \"/mnt/remote0\", or \"\" for none",
			text);
		return;
	}
	snprintf(point, sizeof(point), "%s", text);
	for (size_t len = strlen(point); len > 1 && point[len - 1] == '/'; len--)
		point[len - 1] = '\0';
	r->target->mount = sl_config_keep(r->config, point);
}

static void read_targets(struct reader *r);

static const struct field fields[] = {
	{"Desc", IN_TARGET, USED, T_STRING, read_nothing}, /* read first, for the findings of the others */
	{"Mode", IN_TARGET, USED, T_STRING, read_mode}, {"Path", IN_TARGET, USED, T_STRING, read_path},
	{"Split", IN_TARGET, USED, T_STRING, read_options}, {"FileName", IN_TARGET, USED, T_STRING, read_options},
	{"FilterBPF", IN_TARGET, USED, T_STRING, read_filter}, {"FileSuffix", IN_TARGET, USED, T_STRING, read_suffix},
	{"SplitCmd", IN_TARGET, USED, T_STRING, read_options},
	{"FollowStart", IN_TARGET | IN_TOP, USED, T_BOOL, read_follow_start},
	{"Slice", IN_TARGET, USED, T_NUMBER | T_STRING, read_slice},
	{"TimeZone", IN_TARGET, USED, T_STRING, read_time_zone},
	{"SplitAlign", IN_TARGET, USED, T_STRING, read_split_align},
	{"Separator", IN_TARGET, USED, T_STRING, read_separator},
	{"EmptyFiles", IN_TARGET, USED, T_BOOL, read_empty_files}, {"OnStop", IN_TARGET, USED, T_STRING, read_on_stop},
	{"MinFree", IN_TARGET, USED, T_NUMBER | T_STRING, read_min_free},
	{"Mount", IN_TARGET, USED, T_STRING, read_mount}, {"Target", IN_TOP, USED, T_TABLE, read_targets},

	{"CPU", IN_TARGET | IN_TOP, IGNORED, 0, NULL}, {"Chunked", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"StreamCat", IN_TARGET | IN_TOP, IGNORED, 0, NULL}, {"TimeoutRing", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"Instance", IN_TARGET | IN_TOP, IGNORED, 0, NULL}, {"IsSingleCat", IN_TARGET | IN_TOP, IGNORED, 0, NULL},

	{"RcloneConfig", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"SpoolMax", IN_TARGET | IN_TOP, LATER, T_NUMBER | T_STRING, NULL},
	{"PipeCmd", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"Compress", IN_TARGET | IN_TOP, LATER, T_STRING | T_BOOL, NULL},
	{"Decap", IN_TARGET | IN_TOP, LATER, T_BOOL, NULL},
	{"DecapOutput", IN_TARGET | IN_TOP, LATER, T_STRING | T_BOOL, NULL},
	{"Post", IN_TARGET | IN_TOP, LATER, T_STRING, NULL}, {"ScriptNew", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"Manifest", IN_TARGET | IN_TOP, LATER, T_BOOL | T_STRING, NULL},
	{"Format", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"FilterFrame", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"Copy", IN_TARGET | IN_TOP, LATER, T_STRING | T_TABLE, NULL},
	{"Promethues", IN_TARGET | IN_TOP, LATER, T_STRING | T_TABLE, NULL}, /* FMADIO's spelling */
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---------------------------------------------------------------- tables of fields */

static bool
check_type(struct reader *r, unsigned int types)
{
	static const char *const names[] = {"a string", "true or false", "a number", "a table"};
	char want[80] = "";
	unsigned int is;

	switch (lua_type(r->L, -1)) {
	case LUA_TSTRING:
		is = T_STRING;
		break;
	case LUA_TBOOLEAN:
		is = T_BOOL;
		break;
	case LUA_TNUMBER:
		is = T_NUMBER;
		break;
	case LUA_TTABLE:
		is = T_TABLE;
		break;
	default:
		is = 0;
	}
	if (types == 0 || (is & types) != 0)
		return true;
	for (unsigned int i = 0; i < 4; i++) {
		size_t used = strlen(want);

		if ((types & (1u << i)) != 0)
			snprintf(want + used, sizeof(want) - used, "%s%s", used > 0 ? " or " : "", names[i]);
	}
	/* A copy is converted: lua_tostring() changes a number in place. */
	lua_pushvalue(r->L, -1);
	if (is == T_STRING || is == T_NUMBER)
		error(r, "must be %s, not the %s %s%.100s%s", want, is == T_STRING ? "string" : "number",
			is == T_STRING ? "\"" : "", lua_tostring(r->L, -1), is == T_STRING ? "\"" : "");
	else if (is == T_BOOL)
		error(r, "must be %s, not %s", want, lua_toboolean(r->L, -1) ? "true" : "false");
	else
		error(r, "must be %s, not a %s", want, luaL_typename(r->L, -1));
	lua_pop(r->L, 1);
	return false;
}

static bool
is_off(lua_State *L)
{
	return (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1)) ||
	       (lua_type(L, -1) == LUA_TSTRING && *lua_tostring(L, -1) == '\0');
}

static void
read_field(struct reader *r, const struct field *f, int index)
{
	lua_State *L = r->L;

	/* Metamethods count: a table of defaults behind __index is good Lua. */
	lua_getfield(L, index, f->name);
	if (!lua_isnil(L, -1)) {
		r->field = f->name;
		if (f->class == IGNORED)
			sl_config_ignore(r->config, f->name, line_of(r, f->name));
		else if (check_type(r, f->types)) {
			if (f->class == USED)
				f->read(r);
			else if (!is_off(L))
				error(r, "is not available in this version; remove it%s",
					strcmp(f->name, "Decap") == 0 ? ", or write Decap = false" : "");
		}
		unsigned int again = r->table >= 0 ? sl_source_field_again(&r->config->source, r->table, f->name) : 0;
		if (again != 0)
			sl_config_add_finding(r->config, false, again, r->name, f->name,
				"is written twice in one target; the last one counts");
	}
	lua_pop(L, 1);
}

static void
unknown_field(struct reader *r, const char *name, unsigned int scope)
{
	const char *words[N_FIELDS];
	size_t n = 0;

	for (size_t i = 0; i < N_FIELDS; i++)
		if ((fields[i].scope & scope) != 0 && fields[i].class == USED)
			words[n++] = fields[i].name;
	const char *near = sl_suggest(name, words, n);
	bool elsewhere = false;
	for (size_t i = 0; i < N_FIELDS; i++)
		elsewhere = elsewhere || strcmp(fields[i].name, name) == 0;

	r->field = name;
	if (elsewhere)
		error(r, "belongs %s",
			scope == IN_TOP ? "into each target, not to the top level"
					: "to the top level (Config.Target), not into a target");
	else if (near != NULL)
		error(r, "unknown field; did you mean %s?", near);
	else
		error(r, "unknown field; docs/configuration.rst lists the known ones");
}

/* Names that nobody asked for. */
static void
find_unknown(struct reader *r, int index, unsigned int scope)
{
	lua_State *L = r->L;

	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		lua_pop(L, 1); /* the value; the key stays for lua_next() */
		if (lua_type(L, -1) != LUA_TSTRING) {
			r->field = "";
			error(r, "holds a value without a field name; each value is written as Field = value");
			lua_pop(L, 1);
			return; /* one such finding is enough */
		}
		const char *name = lua_tostring(L, -1);
		bool known = scope == IN_TOP && strncmp(name, "TSMode", 6) == 0;
		if (known)
			sl_config_ignore(r->config, name, line_of(r, name));
		for (size_t i = 0; i < N_FIELDS && !known; i++)
			known = (fields[i].scope & scope) != 0 && strcmp(fields[i].name, name) == 0;
		if (!known)
			unknown_field(r, name, scope);
	}
}

/* ---------------------------------------------------------------- a target */

/* Desc comes first, because every finding names the target by it. */
static void
read_desc(struct reader *r, int index, size_t number)
{
	char name[32];

	snprintf(name, sizeof(name), "#%zu", number);
	r->field = "Desc";
	lua_getfield(r->L, index, "Desc");
	const char *desc = NULL;
	if (lua_type(r->L, -1) == LUA_TSTRING)
		desc = lua_tostring(r->L, -1);
	unsigned int insert_line = sl_lua_sandbox_insert_line(r->L, index);
	r->table = sl_source_find_table(&r->config->source, insert_line, desc);
	r->line = r->table >= 0 && insert_line == 0 ? r->config->source.tables[r->table].line : insert_line;
	r->name = sl_config_keep(r->config, name);
	if (lua_isnil(r->L, -1))
		error(r, "is missing; give the target a short name, such as Desc = \"pcap-all\"");
	else if (desc != NULL && text_value(r, true, SL_DESC_MAX) != NULL) {
		if (*desc == '\0')
			error(r, "is empty; give the target a short name, such as \"pcap-all\"");
		else
			r->name = sl_config_keep(r->config, desc);
	}
	lua_pop(r->L, 1);
}

static void
set_desc(struct reader *r)
{
	char *file_desc = strdup(r->name);

	r->target->desc = r->name;
	r->target->line = r->line;
	if (file_desc == NULL) {
		r->config->oom = true;
		return;
	}
	for (char *p = file_desc; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '.' && *p != '_' && *p != '-')
			*p = '_';
	r->target->file_desc = sl_config_keep(r->config, file_desc);
	free(file_desc);
}

static void
set_owner(struct reader *r)
{
	char errbuf[SL_OWNER_ERRBUF];
	struct sl_owner owner;

	/* -Z stands in one of three fields, most likely here. */
	r->field = "SplitCmd";
	if (sl_owner_resolve(r->options.owner, &owner, errbuf) != 0) {
		error(r, "%s", errbuf);
		return;
	}
	r->target->owner_user = sl_config_keep(r->config, owner.user);
	if (owner.group[0] != '\0')
		r->target->owner_group = sl_config_keep(r->config, owner.group);
	r->target->owner_uid = owner.uid;
	r->target->owner_gid = owner.gid;
}

/* What the options of all three fields say together. */
static void
apply_options(struct reader *r, bool has_suffix, bool has_split, bool failed)
{
	const struct sl_options *o = &r->options;
	struct sl_target_config *t = r->target;

	t->split_time = o->split_time;
	t->split_byte = o->split_byte;
	if (!o->has_split_time && !o->has_split_byte && !(has_split && failed)) {
		r->field = "Split";
		error(r,
			"%s; write for example Split = \"--split-time 60e9\" (one file a minute) or \"--split-byte "
			"1e9\" (1 GB)",
			has_split ? "has neither --split-time nor --split-byte" : "is missing");
	}
	if (o->has_name)
		t->name_mode = o->name_mode;
	if (t->name_mode == SL_NAME_STRFTIME)
		t->name_format = sl_config_keep(r->config, o->name_format);
	if (o->has_suffix) {
		r->field = "FileSuffix";
		if (has_suffix)
			error(r, "is given as a field and as --filename-suffix; keep one");
		else
			check_suffix(r, o->suffix);
	}
	if (o->has_owner)
		set_owner(r);
}

static bool
has_field(struct reader *r, int index, const char *name)
{
	lua_getfield(r->L, index, name);
	bool there = !lua_isnil(r->L, -1);
	lua_pop(r->L, 1);
	return there;
}

static void
set_separator(struct reader *r, bool has_separator)
{
	struct sl_target_config *t = r->target;
	size_t len = strlen(t->path);

	if (!has_separator && len > 0)
		t->separator = isalnum((unsigned char)t->path[len - 1]) ? "_" : "";
}

/* The target on top of the stack. */
static void
read_target(struct sl_config *config, lua_State *L, size_t number)
{
	struct reader r = {.config = config, .L = L, .table = -1, .name = "", .field = ""};
	int index = lua_gettop(L);

	read_desc(&r, index, number);
	r.target = sl_config_add_target(config, r.table);
	if (r.target == NULL)
		return;
	set_desc(&r);
	size_t errors = config->n_errors;
	for (size_t i = 0; i < N_FIELDS; i++)
		if ((fields[i].scope & IN_TARGET) != 0)
			read_field(&r, &fields[i], index);
	find_unknown(&r, index, IN_TARGET);
	if (!has_field(&r, index, "Path")) {
		r.field = "Path";
		error(&r, "is missing; write the directory and the beginning of the file names, such as Path = "
			  "\"/mnt/remote0/push/all\"");
	}
	/* A Split that was refused needs no second finding that says that there is none. */
	apply_options(&r, has_field(&r, index, "FileSuffix"), has_field(&r, index, "Split"), config->n_errors > errors);
	set_separator(&r, has_field(&r, index, "Separator"));
	config->places[config->n_targets - 1].raw_path = r.target->path;
}

/* ---------------------------------------------------------------- the whole */

static void
read_targets(struct reader *r)
{
	lua_State *L = r->L;
	int index = lua_gettop(L);
	size_t n = lua_rawlen(L, index), keys = 0;

	if (n > TARGETS_MAX) {
		error(r, "has %zu entries, at most %u are possible", n, TARGETS_MAX);
		return;
	}
	lua_pushnil(L);
	while (lua_next(L, index) != 0) {
		keys++;
		lua_pop(L, 1);
	}
	if (keys != n)
		error(r, "is not a plain list: add each target with table.insert(Config.Target, { ... })");
	if (n == 0 && keys == 0)
		error(r, "is empty: there is nothing to push; add a target with table.insert(Config.Target, { ... })");
	for (size_t i = 1; i <= n; i++) {
		lua_rawgeti(L, index, (lua_Integer)i);
		if (lua_type(L, -1) == LUA_TTABLE)
			read_target(r->config, L, i);
		else
			error(r, "entry %zu must be a table { Desc = ... }, not a %s", i, luaL_typename(L, -1));
		lua_settop(L, index);
	}
}

int
sl_config_read(lua_State *L)
{
	struct reader r = {.config = lua_touserdata(L, 1), .L = L, .table = -1, .name = "", .field = ""};

	luaL_checkstack(L, 20, NULL);
	if (lua_type(L, 2) != LUA_TTABLE) {
		error(&r, "the file must end with `return Config`, where Config is a table; it returned %s",
			lua_isnil(L, 2) ? "nothing" : luaL_typename(L, 2));
		return sl_config_read_inserted(L);
	}
	/* Top-level fields before Target: FollowStart is a default of the targets. */
	for (size_t i = 0; i < N_FIELDS; i++)
		if ((fields[i].scope & IN_TOP) != 0 && fields[i].read != read_targets)
			read_field(&r, &fields[i], 2);
	find_unknown(&r, 2, IN_TOP);
	if (has_field(&r, 2, "Target"))
		for (size_t i = 0; i < N_FIELDS; i++) {
			if (fields[i].read == read_targets)
				read_field(&r, &fields[i], 2);
		}
	else {
		r.field = "Target";
		error(&r, "is missing; write Config.Target = {} and add targets with table.insert(Config.Target, { ... "
			  "})");
	}
	return 0;
}

int
sl_config_read_inserted(lua_State *L)
{
	struct sl_config *config = lua_touserdata(L, 1);

	luaL_checkstack(L, 20, NULL);
	sl_lua_sandbox_push_inserted(L);
	int list = lua_gettop(L);
	size_t n = lua_rawlen(L, list), number = 0;

	for (size_t i = 1; i <= n && i <= TARGETS_MAX; i++) {
		lua_rawgeti(L, list, (lua_Integer)i);
		lua_getfield(L, -1, "Desc");
		lua_getfield(L, -2, "Path");
		bool is_target = !lua_isnil(L, -1) || !lua_isnil(L, -2);
		lua_pop(L, 2);
		if (is_target)
			read_target(config, L, ++number);
		lua_settop(L, list);
	}
	return 0;
}
