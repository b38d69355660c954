/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_TESTS_H
#define SL_CONFIG_TESTS_H

/**
 * @file
 * The groups of unit tests of lib/config; each returns the number of failed tests.
 */

int check_tests(void);
int config_tests(void);
int fields_tests(void);
int lua_pattern_tests(void);
int lua_sandbox_tests(void);
int number_tests(void);
int option_tests(void);
int schedule_tests(void);
int source_tests(void);
int words_tests(void);
int zone_tests(void);

#endif
