/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "strftime_check.h"

static void
option_finding(void *arg, bool is_error, const char *text)
{
	sl_field_finding(arg, is_error, "%s", text);
}

static void
option_ignored(void *arg, const char *option)
{
	struct sl_field_reader *r = arg;

	sl_config_ignore(r->config, option, sl_field_line(r, r->field));
}

static void
read_nothing(struct sl_field_reader *r)
{
	(void)r;
}

static void
read_mode(struct sl_field_reader *r)
{
	static const char *const words[] = {"File", "rclone", "LXC", "CURL"};
	int i = sl_field_word(r, words, 4);

	if (i > 0)
		error(r, "\"%s\" is not available in this version; use Mode = \"File\"", words[i]);
	r->target->mode = SL_MODE_FILE;
}

static void
read_path(struct sl_field_reader *r)
{
	const char *path = sl_field_text(r, true, SL_PATH_TEXT_MAX);
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
read_options(struct sl_field_reader *r)
{
	const struct sl_option_report report = {option_finding, option_ignored, r};
	const char *text = sl_field_text(r, false, 64 * 1024);

	if (text != NULL)
		sl_options_parse(&r->options, text, &report);
}

static void
read_filter(struct sl_field_reader *r)
{
	const char *text = sl_field_text(r, false, 1024 * 1024);
	bool blank = true;

	for (const char *p = text; p != NULL && *p != '\0'; p++)
		blank = blank && isspace((unsigned char)*p);
	if (text != NULL && !blank)
		r->target->filter = sl_config_keep(r->config, text);
}

void
sl_field_check_suffix(struct sl_field_reader *r, const char *suffix)
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
read_suffix(struct sl_field_reader *r)
{
	const char *suffix = sl_field_text(r, true, 60);

	if (suffix != NULL)
		sl_field_check_suffix(r, suffix);
}

static void
read_follow_start(struct sl_field_reader *r)
{
	if (r->target != NULL)
		r->target->follow_start = lua_toboolean(r->L, -1);
	else
		r->config->follow_start = lua_toboolean(r->L, -1);
}

static void
read_slice(struct sl_field_reader *r)
{
	uint64_t v;

	if (!sl_field_bytes(r, &v))
		return;
	if (v > INT32_MAX) {
		error(r, "%llu is too large; it is the number of bytes kept of each packet", (unsigned long long)v);
		return;
	}
	r->target->slice = (uint32_t)v;
}

static void
read_time_zone(struct sl_field_reader *r)
{
	const char *name = sl_field_time_zone(r);

	if (name != NULL)
		r->target->time_zone = name;
}

static void
read_split_align(struct sl_field_reader *r)
{
	static const char *const words[] = {"utc", "local"};

	r->target->align_local = sl_field_word(r, words, 2) == 1;
}

static void
read_separator(struct sl_field_reader *r)
{
	const char *text = sl_field_text(r, true, 60);

	if (text == NULL)
		return;
	if (strchr(text, '/') != NULL)
		error(r, "\"%s\" contains '/'; end Path with '/' instead", text);
	else
		r->target->separator = sl_config_keep(r->config, text);
}

static void
read_empty_files(struct sl_field_reader *r)
{
	r->target->empty_files = lua_toboolean(r->L, -1);
}

static void
read_on_stop(struct sl_field_reader *r)
{
	static const char *const words[] = {"close", "resume"};

	r->target->on_stop = sl_field_word(r, words, 2) == 1 ? SL_ON_STOP_RESUME : SL_ON_STOP_CLOSE;
}

static void
read_min_free(struct sl_field_reader *r)
{
	uint64_t v;

	if (sl_field_bytes(r, &v))
		r->target->min_free = v;
}

static void
read_mount(struct sl_field_reader *r)
{
	const char *text = sl_field_text(r, true, 1000);
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

/* A field a line: a test reads this table too. */
/* clang-format off */
const struct sl_field sl_fields[] = {
	{"Desc", IN_TARGET, USED, T_STRING, read_nothing}, /* read first, for the findings of the others */
	{"Mode", IN_TARGET, USED, T_STRING, read_mode},
	{"Path", IN_TARGET, USED, T_STRING, read_path},
	{"Split", IN_TARGET, USED, T_STRING, read_options},
	{"FileName", IN_TARGET, USED, T_STRING, read_options},
	{"FilterBPF", IN_TARGET, USED, T_STRING, read_filter},
	{"FileSuffix", IN_TARGET, USED, T_STRING, read_suffix},
	{"SplitCmd", IN_TARGET, USED, T_STRING, read_options},
	{"FollowStart", IN_TARGET | IN_TOP, USED, T_BOOL, read_follow_start},
	{"Slice", IN_TARGET, USED, T_NUMBER | T_STRING, read_slice},
	{"TimeZone", IN_TARGET, USED, T_STRING, read_time_zone},
	{"SplitAlign", IN_TARGET, USED, T_STRING, read_split_align},
	{"Separator", IN_TARGET, USED, T_STRING, read_separator},
	{"EmptyFiles", IN_TARGET, USED, T_BOOL, read_empty_files},
	{"OnStop", IN_TARGET, USED, T_STRING, read_on_stop},
	{"MinFree", IN_TARGET, USED, T_NUMBER | T_STRING, read_min_free},
	{"Mount", IN_TARGET, USED, T_STRING, read_mount},
	{"Target", IN_TOP, USED, T_TABLE, sl_field_read_targets},

	{"CPU", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"Chunked", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"StreamCat", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"TimeoutRing", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"Instance", IN_TARGET | IN_TOP, IGNORED, 0, NULL},
	{"IsSingleCat", IN_TARGET | IN_TOP, IGNORED, 0, NULL},

	{"RcloneConfig", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"SpoolMax", IN_TARGET | IN_TOP, LATER, T_NUMBER | T_STRING, NULL},
	{"PipeCmd", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"Compress", IN_TARGET | IN_TOP, LATER, T_STRING | T_BOOL, NULL},
	{"Decap", IN_TARGET | IN_TOP, LATER, T_BOOL, NULL},
	{"DecapOutput", IN_TARGET | IN_TOP, LATER, T_STRING | T_BOOL, NULL},
	{"Post", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"ScriptNew", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"Manifest", IN_TARGET | IN_TOP, LATER, T_BOOL | T_STRING, NULL},
	{"Format", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"FilterFrame", IN_TARGET | IN_TOP, LATER, T_STRING, NULL},
	{"Copy", IN_TARGET | IN_TOP, LATER, T_STRING | T_TABLE, NULL},
	{"Promethues", IN_TARGET | IN_TOP, LATER, T_STRING | T_TABLE, NULL}, /* FMADIO's spelling */
};
/* clang-format on */

const size_t sl_fields_count = sizeof(sl_fields) / sizeof(sl_fields[0]);
