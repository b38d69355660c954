/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sl_config.h"
#include "tests.h"

/* A configuration of one target with these fields; it stands on line 3. */
#define ONE(fields)                                                                                                    \
	"local Config = {}\nConfig.Target = {}\ntable.insert(Config.Target, { Desc = \"t\", " fields                   \
	" })\nreturn Config\n"
#define PLACE "Path = \"/data/x\", Split = \"--split-time 60e9\", FileName = \"--filename-epoch-sec\""

static struct sl_config *
load(const char *text, int *rc)
{
	struct sl_config *config;
	char path[64];
	int fd = memfd_create("push_realtime.lua", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*rc = sl_config_load(path, &config);
	close(fd);
	assert_non_null(config);
	return config;
}

static char *
findings(const struct sl_config *config)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	sl_config_print_findings(config, f);
	fclose(f);
	return text;
}

/* Loads without any finding. */
static struct sl_config *
load_clean(const char *text)
{
	int rc;
	struct sl_config *config = load(text, &rc);
	char *said = findings(config);

	if (rc != 0 || said[0] != '\0')
		fail_msg("%s\n%d: %s", text, rc, said);
	free(said);
	return config;
}

/* Has a finding of that kind on that line with those words. */
static void
check_finding(const char *text, bool is_error, unsigned int line, const char *field, const char *words)
{
	int rc;
	struct sl_config *config = load(text, &rc);
	bool found = false;

	for (size_t i = 0; i < sl_config_findings(config); i++) {
		const struct sl_config_finding *f = sl_config_finding(config, i);
		found = found || (f->is_error == is_error && f->line == line && strcmp(f->field, field) == 0 &&
					 strstr(f->text, words));
	}
	char *said = findings(config);
	if (!found || rc != (sl_config_errors(config) > 0 ? -EINVAL : 0) || (is_error && rc == 0))
		fail_msg("%s\n%d: %s\nnot: line %u: %s: %s", text, rc, said, line, field, words);
	free(said);
	sl_config_free(config);
}

#define check_error(fields, field, words) check_finding(ONE(fields), true, 3, field, words)
#define check_warning(fields, field, words) check_finding(ONE(fields), false, 3, field, words)

static void
test_defaults(void **state)
{
	struct sl_config *config =
		load_clean(ONE("Path = \"/data/x\", Split = \"--split-time 60e9\", TimeZone = \"UTC\""));
	const struct sl_target_config *t = sl_config_target(config, 0);
	(void)state;

	assert_int_equal(sl_config_targets(config), 1);
	assert_string_equal(t->desc, "t");
	assert_string_equal(t->file_desc, "t");
	assert_int_equal(t->mode, SL_MODE_FILE);
	assert_string_equal(t->path, "/data/x");
	assert_string_equal(t->separator, "_");
	assert_int_equal(t->split_time, 60000000000);
	assert_int_equal(t->split_byte, 0);
	assert_int_equal(t->name_mode, SL_NAME_TSTR_HHMMSS);
	assert_string_equal(t->name_format, "");
	assert_string_equal(t->filter, "");
	assert_string_equal(t->file_suffix, ".pcap");
	assert_null(t->owner_user);
	assert_null(t->owner_group);
	assert_int_equal(t->owner_uid, UINT32_MAX);
	assert_int_equal(t->owner_gid, UINT32_MAX);
	assert_false(t->follow_start);
	assert_int_equal(t->slice, 0);
	assert_string_equal(t->time_zone, "UTC");
	assert_false(t->align_local || t->empty_files);
	assert_int_equal(t->on_stop, SL_ON_STOP_CLOSE);
	assert_true(t->min_free == UINT64_MAX);
	assert_null(t->mount);
	assert_int_equal(t->line, 3);
	sl_config_free(config);
}

static void
test_all_fields(void **state)
{
	struct sl_config *config = load_clean(
		"local Config = { FollowStart = true, Decap = false }\nConfig.Target = {}\n"
		"table.insert(Config.Target, { Desc = \"caf\xc3\xa9 1/2\", Mode = \"FILE\", Path = "
		"\"/data/%Y%m%d/all-\",\n"
		"Split = \"--split-time 1d --split-byte 5G\", FileName = '--filename-strftime \"%H%M%S %z\"', "
		"FilterBPF = \"tcp\",\n"
		"FileSuffix = \".cap\", SplitCmd = \"-Z root.daemon\", FollowStart = false, Slice = 128, TimeZone = "
		"\"Europe/Berlin\",\n"
		"SplitAlign = \"Local\", Separator = \"--\", EmptyFiles = true, OnStop = \"resume\", MinFree = \"5G\", "
		"Mount = \"/data/\",\n"
		"PipeCmd = \"\", Decap = false, FilterFrame = nil })\n"
		"table.insert(Config.Target, { Desc = \"b\", Path = \"/data/b_\", Split = \"--split-byte 100e6\",\n"
		"FileName = \"--filename-epoch-nsec\", FilterBPF = \" \", Slice = 96.0, MinFree = 1e9, Mount = \"\" "
		"})\nreturn Config\n");
	const struct sl_target_config *t = sl_config_target(config, 0);
	(void)state;

	assert_string_equal(t->desc, "caf\xc3\xa9 1/2");
	assert_string_equal(t->file_desc, "caf___1_2");
	assert_string_equal(t->path, "/data/%Y%m%d/all-");
	assert_int_equal(t->split_time, 86400000000000);
	assert_int_equal(t->split_byte, 5000000000);
	assert_int_equal(t->name_mode, SL_NAME_STRFTIME);
	assert_string_equal(t->name_format, "%H%M%S %z");
	assert_string_equal(t->filter, "tcp");
	assert_string_equal(t->file_suffix, ".cap");
	assert_string_equal(t->owner_user, "root");
	assert_string_equal(t->owner_group, "daemon");
	assert_int_equal(t->owner_uid, 0);
	assert_int_equal(t->owner_gid, 1);
	assert_false(t->follow_start);
	assert_int_equal(t->slice, 128);
	assert_string_equal(t->time_zone, "Europe/Berlin");
	assert_true(t->align_local && t->empty_files);
	assert_string_equal(t->separator, "--");
	assert_int_equal(t->on_stop, SL_ON_STOP_RESUME);
	assert_int_equal(t->min_free, 5000000000);
	assert_string_equal(t->mount, "/data");
	t = sl_config_target(config, 1);
	assert_true(t->follow_start);
	assert_string_equal(t->separator, "");
	assert_string_equal(t->filter, "");
	assert_int_equal(t->slice, 96);
	assert_int_equal(t->min_free, 1000000000);
	assert_string_equal(t->mount, "");
	assert_int_equal(sl_config_field_line(config, 0, "Mount"), 6);
	assert_int_equal(sl_config_field_line(config, 0, "OnStop"), 6);
	assert_int_equal(sl_config_field_line(config, 1, "MinFree"), 9);
	assert_int_equal(sl_config_field_line(config, 1, "TimeZone"), 8);
	sl_config_free(config);
}

static void
test_bad_fields(void **state)
{
	(void)state;
	check_finding("local C = {Target = {}}\ntable.insert(C.Target, { Path = \"/x\" })\nreturn C", true, 2, "Desc",
		"missing");
	check_finding("return {Target = {{ Desc = 5 }}}", true, 1, "Desc", "must be a string, not the number 5");
	check_finding("return {Target = {{ Desc = \"\" }}}", true, 1, "Desc", "empty");
	check_finding("return {Target = {{ Desc = (\"x\"):rep(161) }}}", true, 1, "Desc", "too long");
	check_finding("return {Target = {{ Desc = \"a\\nb\" }}}", true, 1, "Desc", "control character");
	check_error("Path = \"/x\"", "Split", "is missing; write for example");
	check_error("Split = \"\", Path = \"/x\"", "Split", "neither --split-time nor --split-byte");
	check_error("Split = 60e9, Path = \"/x\"", "Split", "must be a string, not the number 60000000000.0");
	check_error("Split = \"--split-time 60e9\"", "Path", "is missing");
	check_error(PLACE ", Mode = \"Fil\"", "Mode", "did you mean \"File\"?");
	check_error(PLACE ", Mode = \"rclone\"", "Mode", "\"rclone\" is not available in this version");
	check_error(PLACE ", Mode = \"LXC\"", "Mode", "not available");
	check_error("Split = \"--split-time 1m\", Path = \"data/x\"", "Path", "not absolute");
	check_error("Split = \"--split-time 1m\", Path = \"\"", "Path", "empty");
	check_error("Split = \"--split-time 1m\", Path = \"/a\\0b\"", "Path", "zero byte");
	check_error("Split = \"--split-time 1m\", Path = \"/a\\tb\"", "Path", "control character");
	check_error("Split = \"--split-time 1m\", Path = \"/a/%Q\"", "Path", "unknown conversion %Q");
	check_error("Split = \"--split-time 1m\", Path = \"/a/\" .. (\"x\"):rep(4000)", "Path", "too long");
	check_error("Split = \"--split-time 1m\", Path = {}", "Path", "must be a string, not a table");
	check_error("Split = \"--split-time 1m\", Path = true", "Path", "must be a string, not true");
	check_error(PLACE ", FilterBPF = 5", "FilterBPF", "must be a string");
	check_error(PLACE ", FileSuffix = \"/x\"", "FileSuffix", "'/'");
	check_error(PLACE ", FileSuffix = \".pending\"", "FileSuffix", ".pending");
	check_error(PLACE ", FileSuffix = \".a\", SplitCmd = \"--filename-suffix .b\"", "FileSuffix", "keep one");
	check_error(PLACE ", SplitCmd = \"-Z nosuchuser\"", "SplitCmd",
		"the user \"nosuchuser\" does not exist on this machine");
	check_error(PLACE ", FollowStart = 1", "FollowStart", "must be true or false, not the number 1");
	check_error(PLACE ", Slice = -1", "Slice", "negative");
	check_error(PLACE ", Slice = 1.5", "Slice", "not a whole number");
	check_error(PLACE ", Slice = 0/0", "Slice", "not a whole number");
	check_error(PLACE ", Slice = 1e300", "Slice", "too large");
	check_error(PLACE ", Slice = 1e10", "Slice", "too large");
	check_error(PLACE ", TimeZone = \"Europe/Berln\"", "TimeZone", "did you mean \"Europe/Berlin\"?");
	check_error(PLACE ", TimeZone = \"\"", "TimeZone", "empty");
	check_error(PLACE ", SplitAlign = \"lokal\"", "SplitAlign", "did you mean \"local\"?");
	check_error(PLACE ", SplitAlign = \"x\"", "SplitAlign", "it must be \"utc\" or \"local\"");
	check_error(PLACE ", Separator = \"/\"", "Separator", "end Path with '/'");
	check_error(PLACE ", EmptyFiles = \"true\"", "EmptyFiles", "must be true or false, not the string \"true\"");
	check_error(PLACE ", OnStop = \"keep\"", "OnStop", "it must be \"close\" or \"resume\"");
	check_error(PLACE ", MinFree = \"5 apples\"", "MinFree", "unknown unit");
	check_error(PLACE ", MinFree = {}", "MinFree", "must be a string or a number");
	check_error(PLACE ", Mount = \"data\"", "Mount", "not absolute");
	check_error(PLACE ", Filter = \"tcp\"", "Filter", "unknown field");
	check_error(PLACE ", FiterBFP = \"tcp\"", "FiterBFP", "did you mean FilterBPF?");
	check_error(PLACE ", Target = {}", "Target", "top level");
	check_error(PLACE ", \"--split-time 60e9\"", "", "without a field name");
}

static void
test_later_fields(void **state)
{
	static const char *const fields[] = {"RcloneConfig = \"x\"", "SpoolMax = 5e9", "PipeCmd = \"gzip -c\"",
		"Compress = \"zstd\"", "Decap = true", "DecapOutput = \"inner\"", "Post = \"x\"", "ScriptNew = \"x\"",
		"Manifest = true", "Format = \"pcapng\"", "FilterFrame = \"x\"", "Copy = \"/y\"", "Promethues = {}"};
	char text[512];
	(void)state;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(fields[i], " "), fields[i]);
		snprintf(text, sizeof(text), ONE(PLACE ", %s"), fields[i]);
		check_finding(text, true, 3, name, "is not available in this version");
		snprintf(text, sizeof(text), "local C = {Target = {}}\nC.%s\nreturn C", fields[i]);
		check_finding(text, true, 2, name, "is not available in this version");
	}
	check_error(PLACE ", PipeCmd = 5", "PipeCmd", "must be a string, not the number 5");
	check_error(PLACE ", Decap = \"no\"", "Decap", "must be true or false");
}

static void
test_ignored_fields(void **state)
{
	int rc;
	struct sl_config *config =
		load("local C = {Target = {}, TSModeDisabled = true, TimeoutRing = 5*60e9}\n"
		     "for i = 1, 3 do\n table.insert(C.Target, { Desc = \"t\" .. i, Path = \"/data/\" .. i,\n"
		     " Split = \"--split-time 60e9 --cpu 5\", FileName = \"--filename-epoch-sec\", CPU = {1, 2},\n"
		     " Chunked = true, StreamCat = \"--x \", Instance = 1, IsSingleCat = false })\nend\nreturn C\n",
			&rc);
	(void)state;

	assert_int_equal(rc, 0);
	assert_int_equal(sl_config_findings(config), 1);
	const struct sl_config_finding *f = sl_config_finding(config, 0);
	assert_false(f->is_error);
	static const char *const names[] = {
		"CPU", "Chunked", "StreamCat", "TimeoutRing", "Instance", "IsSingleCat", "TSModeDisabled", "--cpu"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *first = strstr(f->text, names[i]);
		assert_non_null(first);
		assert_null(strstr(first + 1, names[i]));
	}
	sl_config_free(config);
}

static void
test_top_level(void **state)
{
	(void)state;
	check_finding("", true, 0, "", "must end with `return Config`");
	check_finding("return 5", true, 0, "", "it returned number");
	check_finding("return {}", true, 0, "Target", "is missing");
	check_finding("return {Target = {}}", true, 0, "Target", "is empty");
	check_finding("local C = {}\nC.Target = 5\nreturn C", true, 2, "Target", "must be a table");
	check_finding("return {Target = {5}}", true, 0, "Target", "entry 1 must be a table");
	check_finding("return {Target = {all = {}}}", true, 0, "Target", "not a plain list");
	check_finding("local C = {Target = {}}\nC.FolowStart = true\nreturn C", true, 2, "FolowStart",
		"did you mean FollowStart?");
	check_finding("local C = {Target = {}}\nC.FollowStart = 1\nreturn C", true, 2, "FollowStart",
		"must be true or false");
	check_finding("local C = {Target = {}}\nC.Path = \"/x\"\nreturn C", true, 2, "Path", "into each target");
	check_finding("return {\nTarget = {\n{ Desc = \"a\", Path = \"x\" } } }", true, 3, "Path", "not absolute");
	check_finding("local C = {Target = {}}\nlocal t = { Desc = \"a\",\nPath = \"x\" }\nC.Target[1] = t\nreturn C",
		true, 3, "Path", "not absolute");
}

/* All mistakes at once, sorted by line; also those of targets before a Lua error. */
static void
test_all_at_once(void **state)
{
	int rc;
	struct sl_config *config = load(
		"local C = {Target = {}}\n"
		"table.insert(C.Target, { Desc = \"a\", Path = \"x\", Split = \"--split-tim 1m\" })\n"
		"table.insert(C.Target, { Desc = \"b\", Path = \"/b\", FilterBPF = tcp, Split = \"--split-byte x\" })\n"
		"C.Targt.x = 5\nreturn C\n",
		&rc);
	char *said = findings(config);
	unsigned long last = 0, lines = 0;
	(void)state;

	assert_int_equal(rc, -EINVAL);
	for (char *p = strtok(said, "\n"); p != NULL; p = strtok(NULL, "\n"), lines++) {
		unsigned long line = strtoul(strchr(strstr(p, "fd/"), ':') + 1, NULL, 10);
		assert_true(line > 0);
		assert_true(line >= last);
		last = line;
	}
	assert_int_equal(lines, 5);
	assert_int_equal(last, 4);
	free(said);
	sl_config_free(config);
}

#define TWO(a, b)                                                                                                      \
	"local C = {Target = {}}\ntable.insert(C.Target, { " a " })\ntable.insert(C.Target, { " b " })\nreturn C\n"
#define MINUTES ", Split = \"--split-time 60e9\", FileName = \"--filename-epoch-sec\""

static void
test_collisions(void **state)
{
	(void)state;
	check_finding(TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"a\", Path = \"/b\"" MINUTES), true, 3,
		"Desc", "the target of line 2 has this Desc too");
	check_finding(TWO("Desc = \"a b\", Path = \"/a\"" MINUTES, "Desc = \"a/b\", Path = \"/b\"" MINUTES), true, 3,
		"Desc", "becomes \"a_b\"");
	static const char *const same[] = {
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"//./a_\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Separator = \"_\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Split = \"--split-byte 5G\", "
							   "FileName = '--filename-strftime %s'"),
		TWO("Desc = \"a\", Path = \"/a/%Y%m%d\", Split = \"--split-time 1m\", FileName = '--filename-strftime "
		    "%H%M'",
			"Desc = \"b\", Path = \"/a/\", Split = \"--split-time 1h\", FileName = "
			"\"--filename-timestr-HHMM\""),
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		check_finding(same[i], true, 3, "Path", "target \"a\" of line 2 writes files of the same names");
	static const char *const different[] = {
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES,
			"Desc = \"b\", Path = \"/a\", FileSuffix = \".cap\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a-\"" MINUTES),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Split = \"--split-time 1m\", "
							   "FileName = \"--filename-epoch-sec-startend\""),
		TWO("Desc = \"a\", Path = \"/a\"" MINUTES, "Desc = \"b\", Path = \"/a\", Split = \"--split-time 1m "
							   "--split-byte 1G\", FileName = \"--filename-epoch-sec\""),
	};
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
		sl_config_free(load_clean(different[i]));
}

static void
test_warnings(void **state)
{
	(void)state;
	check_warning(
		"Path = \"/x\", Split = \"--split-time 10s\", FileName = \"--filename-tstr-HHMM\", TimeZone = \"UTC\"",
		"FileName", "names tell the minute, but a file begins every 10 s");
	check_warning("Path = \"/x\", Split = \"--split-time 10ms\", FileName = \"--filename-epoch-sec\"", "FileName",
		"names tell the second");
	check_warning("Path = \"/x\", Split = \"--split-byte 100M\", FileName = \"--filename-tstr-HHMM\"", "FileName",
		"use --filename-tstr-HHMMSS_NS");
	check_warning("Path = \"/x\", Split = \"--split-byte 1G\", FileName = \"--filename-epoch-sec\"", "FileName",
		"at 10 Gb/s 1 GB are full sooner");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-strftime %H%M\"", "FileName",
		"comes again every day");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-strftime %Y%m%d\"",
		"FileName", "names tell the day");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-strftime fixed\"",
		"FileName", "all files want the same name");
	check_warning("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-tstr-HHMM\", TimeZone = "
		      "\"Europe/Berlin\"",
		"FileName", "Europe/Berlin repeats an hour");
	check_warning("Path = \"/x\", Split = \"--split-byte 5G\", FileName = \"--filename-tstr-HHMMSS_NS\", "
		      "TimeZone = \"America/New_York\"",
		"FileName", "America/New_York repeats an hour");
	check_warning(PLACE ", FileSuffix = \"pcap\"", "FileSuffix", "did you mean \".pcap\"?");
	check_warning(PLACE ", FileSuffix = \".pcap.gz\"", "FileSuffix", "looks compressed");
	check_warning(PLACE ", Mount = \"/other\"", "Mount", "does not lie below");
	check_warning(
		"Path = \"/x\", Split = \"--split-byte 5G\", FileName = \"--filename-epoch-nsec\", EmptyFiles = true",
		"EmptyFiles", "no effect");
	check_warning(PLACE ", Path = \"/again\"", "Path", "written twice");
	static const char *const quiet[] = {
		ONE("Path = \"/x/%Y%m%d/\", Split = \"--split-time 1m\", FileName = \"--filename-strftime %H%M\", "
		    "TimeZone = \"UTC\""),
		ONE("Path = \"/x\", Split = \"--split-time 90s\", FileName = \"--filename-tstr-HHMM\", TimeZone = "
		    "\"Asia/Tokyo\""),
		ONE("Path = \"/x\", Split = \"--split-time 2h\", FileName = \"--filename-tstr-HHMM\", TimeZone = "
		    "\"Europe/Berlin\""),
		ONE("Path = \"/x\", Split = \"--split-time 1m\", FileName = \"--filename-tstr-HHMMSS_TZ\", TimeZone = "
		    "\"Europe/Berlin\""),
		ONE("Path = \"/x\", Split = \"--split-time 1h --split-byte 1M\", FileName = \"--filename-epoch-sec\""),
		ONE("Path = \"/x\", Split = \"--split-byte 1M\", FileName = \"--filename-epoch-nsec\""),
		ONE("Path = \"/x\", Split = \"--split-byte 5G\", FileName = \"--filename-epoch-sec\""),
	};
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		sl_config_free(load_clean(quiet[i]));
}

static void
test_dates(void **state)
{
	(void)state;
	check_warning(
		"Path = os.date(\"/x/%Y%m%d/all-\"), Split = \"--split-time 1m\", FileName = \"--filename-epoch-sec\"",
		"Path", "write Path = \"/x/%Y%m%d/all-\"");
	check_warning("Path = \"/x/\" .. os.date(\"!%Y/%m/%d\") .. \"/all\", Split = \"--split-time 1m\", "
		      "FileName = \"--filename-epoch-sec\"",
		"Path", "write Path = \"/x/%Y/%m/%d/all\"");
	check_warning("Path = \"/x/\" .. os.date(\"*t\").year .. \"/\", Split = \"--split-time 1m\", "
		      "FileName = \"--filename-epoch-sec\"",
		"Path", "will not change at midnight");
	check_warning("Path = \"/x/\" .. os.time() .. \"/\", Split = \"--split-time 1m\", FileName = "
		      "\"--filename-epoch-sec\"",
		"Path", "will not change at midnight");
	/* A date that goes nowhere, or is a given one, surprises nobody. */
	sl_config_free(load_clean(ONE(PLACE ", FilterBPF = os.date() and \"tcp\"")));
	sl_config_free(load_clean(ONE(
		"Path = os.date(\"/x/%Y/\", 0), Split = \"--split-time 1m\", FileName = \"--filename-epoch-sec\"")));
}

static void
test_idioms(void **state)
{
	/* As in FMADIO's configuration of 48 targets: a function, concatenated numbers, defaults by metatable. */
	struct sl_config *config =
		load_clean("\xef\xbb\xbf#!/usr/bin/lua\r\nlocal Config = {}\r\nConfig.Target = {}\r\n"
			   "local D = { Split = \"--split-time \"..(60e9*1), FileName = \"--filename-epoch-sec\" }\r\n"
			   "for i = 1, 48 do\r\n"
			   "  table.insert(Config.Target, setmetatable({ Desc = string.format(\"g%02d\", i),\r\n"
			   "    Path = \"/mnt/remote0/push/g\" .. i .. \"-\",\r\n"
			   "    FilterBPF = \"net 239.100.\" .. i .. \".0/24\" }, { __index = D }))\r\n"
			   "end\r\nreturn Config\r\n");
	(void)state;

	assert_int_equal(sl_config_targets(config), 48);
	assert_string_equal(sl_config_target(config, 47)->desc, "g48");
	assert_string_equal(sl_config_target(config, 47)->filter, "net 239.100.48.0/24");
	assert_int_equal(sl_config_target(config, 47)->split_time, 60000000000);
	sl_config_free(config);
}

static void
test_files(void **state)
{
	struct sl_config *config;
	(void)state;

	assert_int_equal(sl_config_load("/nonexistent/push.lua", &config), -ENOENT);
	assert_int_equal(sl_config_errors(config), 1);
	char *said = findings(config);
	assert_string_equal(said, "/nonexistent/push.lua: error: can't be read: No such file or directory\n");
	free(said);
	sl_config_free(config);
	assert_int_equal(sl_config_load("/", &config), -EISDIR);
	sl_config_free(config);
	assert_int_equal(sl_config_load("/dev/zero", &config), -EFBIG);
	sl_config_free(config);
	sl_config_free(NULL);
}

static void
test_callers_findings(void **state)
{
	struct sl_config *config = load_clean(ONE(PLACE));
	char long_text[6000];
	(void)state;

	sl_config_add_finding(config, false, 0, NULL, NULL, "for %s", "all");
	sl_config_add_finding(config, true, 3, "t", "FilterBPF", "%s", "two\nlines");
	assert_int_equal(sl_config_findings(config), 2);
	assert_int_equal(sl_config_errors(config), 1);
	assert_string_equal(sl_config_finding(config, 1)->text, "two lines");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (int i = 0; i < 2000; i++)
		sl_config_add_finding(config, true, 1, "t", "x", "%s", long_text);
	assert_int_equal(sl_config_errors(config), 2001);
	assert_int_equal(sl_config_findings(config), 1001);
	sl_config_free(config);
}

static void
test_filter_hints(void **state)
{
	static const struct {
		const char *filter, *words;
	} cases[] = {
		{"tcpp", "syntax error; did you mean \"tcp\" instead of \"tcpp\"?"},
		{"udp and prt 53", "did you mean \"port\" instead of \"prt\"?"},
		{"nto host 192.168.1.100", "did you mean \"not\" instead of \"nto\"?"},
		{"tcp[tcpflag] & tcp-syn != 0", "did you mean \"tcpflags\" instead of \"tcpflag\"?"},
		{"host tcpp.example.com", NULL},
		{"port htttp", NULL},
		{"tcp port", NULL},
		{"((", NULL},
	};
	char text[512];
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), ONE(PLACE ",\nFilterBPF = \"%s\""), cases[i].filter);
		struct sl_config *config = load_clean(text);
		sl_config_add_filter_error(config, 0, "syntax error");
		const struct sl_config_finding *f = sl_config_finding(config, 0);
		assert_true(f->is_error);
		assert_int_equal(f->line, 4);
		assert_string_equal(f->target, "t");
		assert_string_equal(f->field, "FilterBPF");
		if (cases[i].words != NULL)
			assert_non_null(strstr(f->text, cases[i].words));
		else
			assert_string_equal(f->text, "syntax error");
		sl_config_free(config);
	}
}

int
config_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_later_fields),
		cmocka_unit_test(test_ignored_fields),
		cmocka_unit_test(test_top_level),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_idioms),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_callers_findings),
		cmocka_unit_test(test_filter_hints),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
