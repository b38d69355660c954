/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_LOAD_TEST_H
#define SL_CONFIG_LOAD_TEST_H

/**
 * @file
 * For tests: load a configuration from text, and look at what is said of it. A failure fails the running test.
 */

#include "sl_config.h"

/** A configuration of one target with these fields; it stands on line 3. */
#define ONE(fields)                                                                                                    \
	"local Config = {}\nConfig.Target = {}\ntable.insert(Config.Target, { Desc = \"t\", " fields                   \
	" })\nreturn Config\n"
/** Fields that a target must have. */
#define PLACE "Path = \"/data/x\", Split = \"--split-time 60e9\", FileName = \"--filename-epoch-sec\""

/** @param[out] rc  what sl_config_load() returned */
struct sl_config *config_load(const char *text, int *rc);
/** All findings as a user reads them, to be freed. */
char *config_findings(const struct sl_config *config);
/** Loads without any finding. */
struct sl_config *config_load_clean(const char *text);
/** Has a finding of that kind on that line with those words. */
void check_finding(const char *text, bool is_error, unsigned int line, const char *field, const char *words);

#define check_error(fields, field, words) check_finding(ONE(fields), true, 3, field, words)
#define check_warning(fields, field, words) check_finding(ONE(fields), false, 3, field, words)

#endif
