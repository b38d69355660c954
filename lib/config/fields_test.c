/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "config_load_test.h"
#include "tests.h"

static void
test_defaults(void **state)
{
	struct sl_config *config =
		config_load_clean(ONE("Path = \"/data/x\", Split = \"--split-time 60e9\", TimeZone = \"UTC\""));
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
	struct sl_config *config = config_load_clean(
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
	check_error("Split = 60e9, Path = \"/x\"", "Split",
		"must be a string, not the number 60000000000.0; write Split = \"--split-time 60e9\"");
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
	/* A name may hold anything; the message stays one line. */
	check_error(PLACE ", [\"a\\nb\\27[2J\"] = 1", "a b [2J", "unknown field");
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
	struct sl_config *config = config_load(
		"local C = {Target = {}, TSModeDisabled = true, TimeoutRing = 5*60e9}\n"
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
test_copies(void **state)
{
	struct sl_config *config = config_load_clean("local Config = {}\nConfig.Target = {}\n"
						     "table.insert(Config.Target, { Desc = \"a\", Path = \"/data/a\", "
						     "Split = \"--split-time 60e9\", TimeZone = \"UTC\", "
						     "Mount = \"/data\" })\n"
						     "table.insert(Config.Target, { Desc = \"a b\", Path = "
						     "\"/data/b\", Split = \"--split-time 60e9\", Slice = 64 })\n"
						     "return Config\n");
	const struct sl_target_config *a = sl_config_target(config, 0), *b = sl_config_target(config, 1);
	struct sl_target_config copy, other;

	(void)state;
	assert_int_equal(sl_target_config_copy(a, &copy), 0);
	assert_int_equal(sl_target_config_copy(b, &other), 0);
	assert_ptr_not_equal(copy.path, a->path);
	assert_true(sl_target_config_same(&copy, a));
	assert_false(sl_target_config_same(&copy, &other));
	/* it outlives the configuration */
	sl_config_free(config);
	assert_string_equal(copy.path, "/data/a");
	assert_string_equal(copy.mount, "/data");
	assert_string_equal(copy.time_zone, "UTC");
	assert_null(copy.owner_user);
	assert_string_equal(other.file_desc, "a_b");
	/* what a target that runs does not notice, and what it does */
	sl_target_config_free_copy(&other);
	assert_int_equal(sl_target_config_copy(&copy, &other), 0);
	other.follow_start = !other.follow_start;
	other.line++;
	assert_true(sl_target_config_same(&copy, &other));
	other.min_free = 5;
	assert_false(sl_target_config_same(&copy, &other));
	other.min_free = copy.min_free;
	other.owner_uid = 0;
	assert_false(sl_target_config_same(&copy, &other));
	sl_target_config_free_copy(&copy);
	sl_target_config_free_copy(&other);
}

int
fields_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_later_fields),
		cmocka_unit_test(test_ignored_fields),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests_name("fields", tests, NULL, NULL);
}
