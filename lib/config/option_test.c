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
#include <string.h>

#include "option.h"
#include "tests.h"

/* What was reported, one line each: "E text", "W text", "I option". */
static char said[8192];

static void
take_finding(void *arg, bool is_error, const char *text)
{
	(void)arg;
	size_t used = strlen(said);
	snprintf(said + used, sizeof(said) - used, "%c %s\n", is_error ? 'E' : 'W', text);
}

static void
take_ignored(void *arg, const char *option)
{
	(void)arg;
	size_t used = strlen(said);
	snprintf(said + used, sizeof(said) - used, "I %s\n", option);
}

static struct sl_options
parse(const char *text)
{
	const struct sl_option_report report = {take_finding, take_ignored, NULL};
	struct sl_options o = {0};

	said[0] = '\0';
	sl_options_parse(&o, text, &report);
	return o;
}

static void
expect(const char *text, const char *words)
{
	if (strstr(said, words) == NULL)
		fail_msg("%s\nsaid: %s\nnot: %s", text, said, words);
}

static void
test_split(void **state)
{
	(void)state;
	static const char *const same[] = {"--split-time 60e9", "--split-time=60e9", "  --split-time   60e9  ",
		"--split-time\t60000000000.0", "--split-time '60e9'", "--split-time \"60 s\"", "--split-time 1m"};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct sl_options o = parse(same[i]);
		assert_string_equal(said, "");
		assert_true(o.has_split_time && !o.has_split_byte);
		assert_int_equal(o.split_time, 60000000000);
	}
	struct sl_options o = parse("--split-time 1h --split-byte 1e9");
	assert_string_equal(said, "");
	assert_int_equal(o.split_time, 3600000000000);
	assert_int_equal(o.split_byte, 1000000000);
	o = parse("");
	assert_false(o.has_split_time || o.has_split_byte || o.has_name || o.has_owner);
}

static void
test_names(void **state)
{
	static const struct {
		const char *text;
		enum sl_name_mode mode;
	} modes[] = {
		{"--filename-epoch-sec", SL_NAME_EPOCH_SEC},
		{"--filename-epoch-sec-startend", SL_NAME_EPOCH_SEC_STARTEND},
		{"--filename-epoch-msec", SL_NAME_EPOCH_MSEC},
		{"--filename-epoch-usec", SL_NAME_EPOCH_USEC},
		{"--filename-epoch-nsec", SL_NAME_EPOCH_NSEC},
		{"--filename-tstr-HHMM", SL_NAME_TSTR_HHMM},
		{"--filename-timestr-HHMM", SL_NAME_TSTR_HHMM},
		{"--filename-tstr-HHMMSS", SL_NAME_TSTR_HHMMSS},
		{"--filename-timestr-HHMMSS", SL_NAME_TSTR_HHMMSS},
		{"--filename-tstr-HHMMSS_NS", SL_NAME_TSTR_HHMMSS_NS},
		{"--filename-timestr-HHMMSS_NS", SL_NAME_TSTR_HHMMSS_NS},
		{"--filename-tstr-HHMMSS_TZ", SL_NAME_TSTR_HHMMSS_TZ},
		{"--filename-timestr-HHMMSS_TZ", SL_NAME_TSTR_HHMMSS_TZ},
		{"--filename-tstr-HHMMSS_SUB", SL_NAME_TSTR_HHMMSS_SUB},
		{"--filename-timestr-HHMMSS_SUB", SL_NAME_TSTR_HHMMSS_SUB},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct sl_options o = parse(modes[i].text);
		assert_string_equal(said, "");
		assert_true(o.has_name);
		assert_int_equal(o.name_mode, modes[i].mode);
	}
	static const char *const formats[] = {"--filename-strftime \"%Y-%m-%d %H:%M\"",
		"--filename-strftime '%Y-%m-%d %H:%M'", "--filename-strftime=%Y-%m-%d\\ %H:%M",
		"--filename-strftime \"%Y-%m-%d\"' '%H:%M"};
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct sl_options o = parse(formats[i]);
		assert_string_equal(said, "");
		assert_int_equal(o.name_mode, SL_NAME_STRFTIME);
		assert_string_equal(o.name_format, "%Y-%m-%d %H:%M");
	}
}

static void
test_others(void **state)
{
	(void)state;
	struct sl_options o = parse("-Z fmadio --filename-suffix .cap --split-byte 5G");
	assert_string_equal(said, "");
	assert_string_equal(o.owner, "fmadio");
	assert_string_equal(o.suffix, ".cap");
	assert_int_equal(o.split_byte, 5000000000);
	parse("--cpu 23 --split-time-roundup 15e9 -v --uid x");
	assert_string_equal(said, "I --cpu\nI --split-time-roundup\nI -v\nI --uid\n");
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"--split-tme 60e9", "did you mean \"--split-time\"?"},
		{"--Split-Time 60e9", "did you mean \"--split-time\"?"},
		{"--split-size 1G", "did you mean \"--split-byte\"?"},
		{"\xe2\x80\x93split-time 60e9", "did you mean \"--split-time\"?"}, /* an en dash, from a web page */
		{"-split-time 60e9", "did you mean \"--split-time\"?"},
		{"--filename-tstr-HHMSS", "did you mean \"--filename-tstr-HHMMSS\"?"},
		{"--filename-timestring-HHMM", "did you mean \"--filename-timestr-HHMM\"?"},
		{"--zzz", "unknown option"},
		{"60e9", "is not an option"},
		{"--split-time", "has no value"},
		{"--split-time --split-byte 5", "--split-time has no value"},
		{"--split-time=", "is not a number"},
		{"--split-time sixty", "\"sixty\""},
		{"--split-time 0", "must be above 0"},
		{"--split-time -5", "is negative"},
		{"--split-time 0.5", "not a whole number"},
		{"--split-time 1e300", "too large"},
		{"--split-time 300000d", "too large"},
		{"--split-byte 1Q", "unknown unit"},
		{"--split-time 60e9 --split-time 1h", "more than once"},
		{"--filename-epoch-sec --filename-tstr-HHMM", "more than once"},
		{"--filename-epoch-sec=5", "takes no value"},
		{"--filename-strftime \"%Y", "quote is not closed"},
		{"--filename-strftime ''", "empty format"},
		{"--filename-strftime %Q", "unknown conversion %Q"},
		{"--filename-strftime %Y/%m", "'/'"},
		{"--filename-strftime %D", "%D"},
		{"--filename-strftime 100%", "unfinished"},
		{"--pipe-cmd 'gzip -c'", "--pipe-cmd is not available in this version"},
		{"--rclone", "--rclone is not available in this version"},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse(cases[i].text);
		expect(cases[i].text, "E ");
		expect(cases[i].text, cases[i].words);
	}
	/* Two mistakes, two findings; an unknown option's value is not a third. */
	parse("--split-tim 60e9 --split-byte x");
	expect("both", "--split-time");
	expect("both", "\"x\"");
	const char *second = strstr(strchr(said, '\n') + 1, "\n");
	assert_string_equal(second, "\n");
}

static void
test_warned(void **state)
{
	(void)state;
	struct sl_options o = parse("--split-time 60");
	expect("60 ns", "W --split-time 60 is a window of 60 ns; for seconds write 60s");
	assert_int_equal(o.split_time, 60);
	parse("--split-byte 40");
	expect("40", "W --split-byte 40");
}

static void
test_long(void **state)
{
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	parse(text);
	expect("long word", "longer than");
	memcpy(text, "--split-time ", 13);
	parse(text);
	expect("long value", "longer than");
}

int
option_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_warned),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
