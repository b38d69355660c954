/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_OPTION_H
#define SL_CONFIG_OPTION_H

/**
 * @file
 * The command line options inside Split, FileName and SplitCmd, as FMADIO's pcap_split takes them.
 *
 * FMADIO joins the three fields to one command line, so each option is understood in each field.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_config.h"

#define SL_OPTION_TEXT_MAX 1024u /**< bytes of one word, the terminating 0 included */

/** Options of one target, gathered from all its fields. Zero-initialise. */
struct sl_options {
	bool has_split_time, has_split_byte, has_name, has_owner, has_suffix;
	uint64_t split_time; /**< ns */
	uint64_t split_byte;
	enum sl_name_mode name_mode;
	char name_format[SL_OPTION_TEXT_MAX];
	char owner[SL_OPTION_TEXT_MAX]; /**< argument of -Z */
	char suffix[SL_OPTION_TEXT_MAX];
};

/** Where findings go; text is one line. */
struct sl_option_report {
	void (*finding)(void *arg, bool is_error, const char *text);
	void (*ignored)(void *arg, const char *option); /**< an option of FMADIO's without a meaning here */
	void *arg;
};

/** Parse one field's text into options. Errors are reported, parsing goes on behind them. Any thread. */
void sl_options_parse(struct sl_options *options, const char *text, const struct sl_option_report *report);

/** The option that selects a name mode, "--filename-tstr-HHMM" for instance. */
const char *sl_option_of_name_mode(enum sl_name_mode mode);

#endif
