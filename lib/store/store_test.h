/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_TEST_H
#define SL_STORE_TEST_H

/** @file What the test files of this library share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "chunk.h"
#include "store.h"

/** A fresh store directory, on a disk or on tmpfs. Skips the test, saying so, where there is no tmpfs. */
void test_dir_make(char path[128], bool tmpfs);
void test_dir_remove(const char *path);

/** A writer of a store; the test fails if it cannot be made. */
struct sl_store_writer *test_writer(const char *store, const char *name, uint64_t flush_interval);

/** Packet i of the test traffic: time, length and bytes follow from i. */
uint64_t test_packet(uint64_t i, uint8_t data[1600], uint32_t *len);

/** Append packets first to first + count - 1 of the test traffic. */
void test_append(struct sl_store_writer *writer, uint64_t first, uint64_t count);

/** Check that a chunk holds the test traffic from packet *next on, and advance it. */
void test_check_chunk(const struct sl_chunk *chunk, uint64_t *next);

/** Open a capture; the test fails if it cannot. */
struct sl_capture *test_open(const char *store, const char *name);

/** An aligned chunk buffer, free()d by the caller. */
void *test_buffer(void);

/** Overwrite bytes of a file of a capture. */
void test_patch(const char *store, const char *name, const char *file, uint64_t at, const void *bytes, size_t len);

/** The coarse clock runs so that every flush interval has passed at the next look. */
extern _Atomic bool test_fast_clock;

/** An asynchronous writer: SL_STORE_BUFFERS_MIN buffers unless params say more. The test fails if it cannot be made. */
struct sl_store_writer *test_live_writer(const char *store, const char *name, struct sl_store_writer_params params);

/** For what happens within milliseconds on a machine that is not busy. */
#define TEST_WAIT_MS 30000

/** Check that a closed capture holds the test traffic from packet *next on, and advance it. @return its largest time */
uint64_t test_check_capture(const char *store, const char *name, uint64_t *next);

/** Mount a tmpfs of so many MiB on a store's directory. Skips the test, saying so, without privilege. */
void test_mount(const char *path, unsigned int mib);

int chunk_tests(void);
int find_tests(void);
int info_tests(void);
int mark_tests(void);
int writer_tests(void);
int recovery_tests(void);
int reader_tests(void);
int live_tests(void);
int live_roll_tests(void);
int live_crash_tests(void);
int newest_tests(void);
int retention_tests(void);

#endif
