/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "field.h"
#include "owner.h"

#define TARGETS_MAX 65535u

/* Desc comes first, because every finding names the target by it. */
static void
read_desc(struct sl_field_reader *r, int index, size_t number)
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
	else if (desc != NULL && sl_field_text(r, true, SL_DESC_MAX) != NULL) {
		if (*desc == '\0')
			error(r, "is empty; give the target a short name, such as \"pcap-all\"");
		else
			r->name = sl_config_keep(r->config, desc);
	}
	lua_pop(r->L, 1);
}

static void
set_desc(struct sl_field_reader *r)
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
set_owner(struct sl_field_reader *r)
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
apply_options(struct sl_field_reader *r, bool has_suffix, bool has_split, bool failed)
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
			sl_field_check_suffix(r, o->suffix);
	}
	if (o->has_owner)
		set_owner(r);
}

static void
set_separator(struct sl_field_reader *r, bool has_separator)
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
	struct sl_field_reader r = {.config = config, .L = L, .table = -1, .name = "", .field = ""};
	int index = lua_gettop(L);

	read_desc(&r, index, number);
	r.target = sl_config_add_target(config, r.table);
	if (r.target == NULL)
		return;
	set_desc(&r);
	size_t errors = config->n_errors;
	for (size_t i = 0; i < sl_fields_count; i++)
		if ((sl_fields[i].scope & IN_TARGET) != 0)
			sl_field_read(&r, &sl_fields[i], index);
	sl_fields_find_unknown(&r, index, IN_TARGET);
	if (!sl_field_given(&r, index, "Path")) {
		r.field = "Path";
		error(&r, "is missing; write the directory and the beginning of the file names, such as Path = "
			  "\"/mnt/remote0/push/all\"");
	}
	/* A Split that was refused needs no second finding that says that there is none. */
	apply_options(&r, sl_field_given(&r, index, "FileSuffix"), sl_field_given(&r, index, "Split"),
		config->n_errors > errors);
	set_separator(&r, sl_field_given(&r, index, "Separator"));
}

/* ---------------------------------------------------------------- the whole */

void
sl_field_read_targets(struct sl_field_reader *r)
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

unsigned int
sl_config_last_line(const char *text)
{
	unsigned int line = 1, last = 1;

	for (const char *p = text; *p != '\0'; p++)
		if (*p == '\n')
			line++;
		else if (!isspace((unsigned char)*p))
			last = line;
	return last;
}

int
sl_config_read(lua_State *L)
{
	struct sl_field_reader r = {.config = lua_touserdata(L, 1), .L = L, .table = -1, .name = "", .field = ""};

	luaL_checkstack(L, 20, NULL);
	if (lua_type(L, 2) != LUA_TTABLE) {
		r.line = sl_config_last_line(r.config->text);
		error(&r, "the file must end with `return Config`, where Config is a table; it returned %s",
			lua_isnil(L, 2) ? "nothing" : luaL_typename(L, 2));
		return sl_config_read_inserted(L);
	}
	/* Top-level fields before Target: FollowStart is a default of the targets. */
	for (size_t i = 0; i < sl_fields_count; i++)
		if ((sl_fields[i].scope & IN_TOP) != 0 && sl_fields[i].read != sl_field_read_targets)
			sl_field_read(&r, &sl_fields[i], 2);
	sl_fields_find_unknown(&r, 2, IN_TOP);
	if (sl_field_given(&r, 2, "Target"))
		for (size_t i = 0; i < sl_fields_count; i++) {
			if (sl_fields[i].read == sl_field_read_targets)
				sl_field_read(&r, &sl_fields[i], 2);
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
