/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_TEST_H
#define SL_FILTER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void test_random_programs(void **state);
void test_single_instructions(void **state);
void test_not_translated(void **state);
void test_far_loads(void **state);

void test_domain_sets(void **state);

void test_prove_expressions(void **state);
void test_prove_random_programs(void **state);
void test_prove_finds_other_program(void **state);
void test_prove_finds_crash(void **state);
void test_prove_finds_mutants(void **state);
void test_prove_time_limit(void **state);
void test_checker_time(void **state);

void test_units(void **state);
void test_track(void **state);

void test_class_known(void **state);
void test_partial(void **state);

void test_cache_expressions(void **state);
void test_cache_programs(void **state);
void test_cache_few_misses(void **state);
void test_cache_mask_per_class(void **state);
void test_cache_beyond(void **state);
void test_cache_gives_way(void **state);
void test_cache_leaves_out(void **state);
void test_cache_forgets(void **state);

void test_check(void **state);
void test_merging(void **state);
void test_constant_programs(void **state);
void test_verdicts(void **state);
void test_link_types(void **state);
void test_limit(void **state);
void test_interpreted(void **state);
void test_undefined_memory(void **state);
void test_large_packets(void **state);
void test_hint(void **state);
void test_encap(void **state);

#endif
