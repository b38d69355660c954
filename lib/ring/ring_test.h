/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_RING_TEST_H
#define SL_RING_TEST_H

/** Each runs a group of tests and returns how many failed. */
int bell_tests(void);
int reader_tests(void);

#endif
