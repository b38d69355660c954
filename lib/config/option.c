/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "option.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "number.h"
#include "strftime_check.h"
#include "suggest.h"

enum option_kind {
	OPT_SPLIT_TIME,
	OPT_SPLIT_BYTE,
	OPT_NAME,
	OPT_NAME_STRFTIME,
	OPT_SUFFIX,
	OPT_OWNER,
	OPT_IGNORED, /* no meaning here */
	OPT_IGNORED_ARG,
	OPT_LATER, /* understood, built later */
	OPT_LATER_ARG,
};

static const struct option_word {
	const char *word;
	enum option_kind kind;
	enum sl_name_mode mode;
} options[] = {
	{"--split-time", OPT_SPLIT_TIME, 0},
	{"--split-byte", OPT_SPLIT_BYTE, 0},
	{"--filename-epoch-sec", OPT_NAME, SL_NAME_EPOCH_SEC},
	{"--filename-epoch-sec-startend", OPT_NAME, SL_NAME_EPOCH_SEC_STARTEND},
	{"--filename-epoch-msec", OPT_NAME, SL_NAME_EPOCH_MSEC},
	{"--filename-epoch-usec", OPT_NAME, SL_NAME_EPOCH_USEC},
	{"--filename-epoch-nsec", OPT_NAME, SL_NAME_EPOCH_NSEC},
	{"--filename-tstr-HHMM", OPT_NAME, SL_NAME_TSTR_HHMM},
	{"--filename-tstr-HHMMSS", OPT_NAME, SL_NAME_TSTR_HHMMSS},
	{"--filename-tstr-HHMMSS_NS", OPT_NAME, SL_NAME_TSTR_HHMMSS_NS},
	{"--filename-tstr-HHMMSS_TZ", OPT_NAME, SL_NAME_TSTR_HHMMSS_TZ},
	{"--filename-tstr-HHMMSS_SUB", OPT_NAME, SL_NAME_TSTR_HHMMSS_SUB},
	{"--filename-timestr-HHMM", OPT_NAME, SL_NAME_TSTR_HHMM},
	{"--filename-timestr-HHMMSS", OPT_NAME, SL_NAME_TSTR_HHMMSS},
	{"--filename-timestr-HHMMSS_NS", OPT_NAME, SL_NAME_TSTR_HHMMSS_NS},
	{"--filename-timestr-HHMMSS_TZ", OPT_NAME, SL_NAME_TSTR_HHMMSS_TZ},
	{"--filename-timestr-HHMMSS_SUB", OPT_NAME, SL_NAME_TSTR_HHMMSS_SUB},
	{"--filename-strftime", OPT_NAME_STRFTIME, SL_NAME_STRFTIME},
	{"--filename-suffix", OPT_SUFFIX, 0},
	{"-Z", OPT_OWNER, 0},
	{"--split-time-roundup", OPT_IGNORED_ARG, 0},
	{"--roll-period", OPT_IGNORED_ARG, 0},
	{"--cpu", OPT_IGNORED_ARG, 0},
	{"--uid", OPT_IGNORED_ARG, 0},
	{"-v", OPT_IGNORED, 0},
	{"--packet-chomp", OPT_LATER_ARG, 0},
	{"--pipe-cmd", OPT_LATER_ARG, 0},
	{"--rclone", OPT_LATER, 0},
	{"--curl", OPT_LATER_ARG, 0},
	{"--ssh", OPT_LATER_ARG, 0},
	{"--null", OPT_LATER, 0},
	{"--ring", OPT_LATER_ARG, 0},
	{"--script-new", OPT_LATER_ARG, 0},
	{"--script-close", OPT_LATER_ARG, 0},
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

const char *
sl_option_of_name_mode(enum sl_name_mode mode)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if ((options[i].kind == OPT_NAME || options[i].kind == OPT_NAME_STRFTIME) && options[i].mode == mode)
			return options[i].word;
	return "?";
}

static void __attribute__((format(printf, 2, 3))) error(const struct sl_option_report *report, const char *fmt, ...)
{
	char text[4 * SL_OPTION_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report->finding(report->arg, true, text);
}

static void __attribute__((format(printf, 2, 3))) warning(const struct sl_option_report *report, const char *fmt, ...)
{
	char text[2 * SL_OPTION_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report->finding(report->arg, false, text);
}

/* Next word of a command line: blanks separate, quotes join, a backslash outside single quotes takes the next byte as
 * it is. Returns 1: a word; 0: the end; -1: refused, and reported. */
static int
next_word(const char **text, char *word, const struct sl_option_report *report)
{
	const char *p = *text;
	size_t len = 0;
	char quote = 0;

	while (isspace((unsigned char)*p))
		p++;
	*text = p;
	if (*p == '\0')
		return 0;
	for (; *p != '\0' && (quote || !isspace((unsigned char)*p)); p++) {
		char c = *p;

		if (quote == 0 && (c == '"' || c == '\'')) {
			quote = c;
			continue;
		}
		if (c == quote) {
			quote = 0;
			continue;
		}
		if (c == '\\' && quote != '\'' && p[1] != '\0')
			c = *++p;
		if (len == SL_OPTION_TEXT_MAX - 1) {
			error(report, "a word is longer than %u bytes", SL_OPTION_TEXT_MAX - 1);
			return -1;
		}
		word[len++] = c;
	}
	word[len] = '\0';
	*text = p;
	if (quote) {
		error(report, "a %s quote is not closed", quote == '"' ? "double" : "single");
		return -1;
	}
	return 1;
}

/* "100M"-like number of an option. */
static bool
parse_number(const char *option, const char *arg, enum sl_number_unit unit, uint64_t *value,
	const struct sl_option_report *report)
{
	const char *why;
	int rc = sl_number_parse(arg, unit, value, &why);

	if (rc != 0) {
		error(report, "the value \"%s\" of %s %s; write for example %s %s", arg, option, why, option,
			unit == SL_NUMBER_TIME ? "60e9 (nanoseconds) or 60s" : "1e9 or 100M");
		return false;
	}
	if (*value == 0) {
		error(report, "%s must be above 0; leave it out if files are not to be split by %s", option,
			unit == SL_NUMBER_TIME ? "time" : "size");
		return false;
	}
	return true;
}

static void
set_split_time(struct sl_options *o, const char *arg, const struct sl_option_report *report)
{
	if (!parse_number("--split-time", arg, SL_NUMBER_TIME, &o->split_time, report))
		return;
	/* A window's end must be a time too: half the range of 64 bits is 292 years. */
	if (o->split_time > INT64_MAX / 2) {
		error(report, "the value \"%s\" of --split-time is too large", arg);
		return;
	}
	if (o->split_time < 1000000)
		warning(report, "--split-time %s is a window of %llu ns; for seconds write %ss", arg,
			(unsigned long long)o->split_time, arg);
}

static void
set_split_byte(struct sl_options *o, const char *arg, const struct sl_option_report *report)
{
	if (!parse_number("--split-byte", arg, SL_NUMBER_BYTES, &o->split_byte, report))
		return;
	if (o->split_byte <= 24 + 16)
		warning(report,
			"--split-byte %s is not more than the headers of a file with one packet (40 bytes): every "
			"packet "
			"gets a file of its own",
			arg);
}

static void
set_strftime(struct sl_options *o, const char *arg, const struct sl_option_report *report)
{
	char why[SL_STRFTIME_ERRBUF];

	if (*arg == '\0')
		error(report, "--filename-strftime has an empty format; write for example --filename-strftime "
			      "\"%%Y%%m%%d_%%H%%M%%S\"");
	else if (sl_strftime_check(arg, true, why) != 0)
		error(report, "the format \"%s\" of --filename-strftime %s", arg, why);
	snprintf(o->name_format, sizeof(o->name_format), "%s", arg);
}

static bool
takes_argument(enum option_kind kind)
{
	return kind != OPT_NAME && kind != OPT_IGNORED && kind != OPT_LATER;
}

static bool
seen(bool *flag, const char *what, const struct sl_option_report *report)
{
	if (*flag)
		error(report, "%s more than once; keep one", what);
	bool before = *flag;
	*flag = true;
	return before;
}

static void
apply(struct sl_options *o, const struct option_word *word, const char *arg, const struct sl_option_report *report)
{
	switch (word->kind) {
	case OPT_SPLIT_TIME:
		if (!seen(&o->has_split_time, "--split-time is given", report))
			set_split_time(o, arg, report);
		break;
	case OPT_SPLIT_BYTE:
		if (!seen(&o->has_split_byte, "--split-byte is given", report))
			set_split_byte(o, arg, report);
		break;
	case OPT_NAME:
	case OPT_NAME_STRFTIME:
		if (seen(&o->has_name, "a --filename- option is given", report))
			break;
		o->name_mode = word->mode;
		if (word->kind == OPT_NAME_STRFTIME)
			set_strftime(o, arg, report);
		break;
	case OPT_SUFFIX:
		if (!seen(&o->has_suffix, "--filename-suffix is given", report))
			snprintf(o->suffix, sizeof(o->suffix), "%s", arg);
		break;
	case OPT_OWNER:
		if (!seen(&o->has_owner, "-Z is given", report))
			snprintf(o->owner, sizeof(o->owner), "%s", arg);
		break;
	case OPT_IGNORED:
	case OPT_IGNORED_ARG:
		report->ignored(report->arg, word->word);
		break;
	case OPT_LATER:
	case OPT_LATER_ARG:
		error(report, "%s is not available in this version; remove it", word->word);
		break;
	}
}

static void
unknown(const char *word, const struct sl_option_report *report)
{
	const char *words[N_OPTIONS];
	size_t n = 0;

	if (word[0] != '-' && (unsigned char)word[0] < 0x80) {
		error(report, "\"%s\" is not an option; options begin with \"--\"", word);
		return;
	}
	/* What is of no use here is no good advice either. */
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (options[i].kind < OPT_IGNORED)
			words[n++] = options[i].word;
	/* The appliance's manual has this one in an example; by its letters it is nearer to --split-time. */
	const char *near = strncmp(word, "--split-size", 12) == 0 ? "--split-byte" : sl_suggest(word, words, n);
	if (near != NULL)
		error(report, "unknown option \"%s\"; did you mean \"%s\"?", word, near);
	else
		error(report,
			"unknown option \"%s\"; known are --split-time, --split-byte, --filename-..., "
			"--filename-suffix and -Z",
			word);
}

void
sl_options_parse(struct sl_options *o, const char *text, const struct sl_option_report *report)
{
	char word[SL_OPTION_TEXT_MAX], arg[SL_OPTION_TEXT_MAX];

	while (next_word(&text, word, report) == 1) {
		const struct option_word *found = NULL;
		char *equals = word[0] == '-' ? strchr(word, '=') : NULL;

		if (equals != NULL)
			*equals = '\0';
		for (size_t i = 0; i < N_OPTIONS && found == NULL; i++)
			if (strcmp(word, options[i].word) == 0)
				found = &options[i];
		if (found == NULL) {
			unknown(word, report);
			/* Its argument, if it is one, is not a second mistake. */
			const char *ahead = text;
			while (isspace((unsigned char)*ahead))
				ahead++;
			if (equals == NULL && *ahead != '-' && next_word(&text, arg, report) < 0)
				return;
			continue;
		}
		if (!takes_argument(found->kind)) {
			if (equals != NULL)
				error(report, "%s takes no value", found->word);
			apply(o, found, "", report);
			continue;
		}
		if (equals != NULL) {
			memmove(arg, equals + 1, strlen(equals + 1) + 1);
		} else {
			const char *ahead = text;
			while (isspace((unsigned char)*ahead))
				ahead++;
			if (*ahead == '\0' || (ahead[0] == '-' && ahead[1] == '-')) {
				error(report, "%s has no value", found->word);
				continue;
			}
			if (next_word(&text, arg, report) != 1)
				return;
		}
		apply(o, found, arg, report);
	}
}
