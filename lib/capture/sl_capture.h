/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CAPTURE_H
#define SL_CAPTURE_H

/**
 * @file
 * What fills a store. Now: the importer of pcap and pcapng files and pipes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_CAPTURE_ERRBUF 1024u /**< bytes that hold any error line of this library */

struct sl_import_params {
	const char *store;
	const char *capture;          /**< name, or NULL */
	const char *const *files;     /**< "-" is standard input */
	size_t file_count;
	int interface;                /**< interface to take (counted through a pcapng file from 0), -1: all */
	uint64_t flush_interval;      /**< ns */
	bool progress;                /**< show progress on standard error */
	/** Becomes 1 when a signal asks to end, 2 when it asks again (a pipe is not drained then); may be NULL. */
	const volatile int *stop;
	/** Called with each line that a user should read (refusals, damage, warnings); may be NULL. */
	void (*report)(void *ctx, const char *line);
	void *report_ctx;
};

struct sl_import_result {
	char capture[128];   /**< name of the capture made, "" if none was */
	bool incomplete;     /**< the store failed: it holds fewer packets than are counted here */
	uint64_t packets;
	uint64_t bytes;      /**< captured bytes, without record headers */
	uint64_t too_large;  /**< packets too large for a chunk, skipped */
	uint64_t bad_times;  /**< packets whose time no pcap record can hold (before 1970, after 2106), skipped */
	uint64_t damaged;    /**< files that ended in damage */
	uint64_t first_ts, last_ts; /**< ns; earliest and latest time */
};

/**
 * Import files into a new capture, in the order given. Blocks until done. One thread; no EAL, no privilege beyond
 * writing the store. A signal handler that sets *stop must be installed without SA_RESTART.
 *
 * A stop ends a pipe without error: what its writer hands over within a moment is still taken. A regular file that is
 * stopped has failed.
 *
 * @param errbuf  SL_CAPTURE_ERRBUF bytes: the first problem, "" if there was none (all of them go to report)
 * @return 0: all of it; -EINVAL: refused before anything was written (exit status 2);
 *         another -errno: failed while running or something was left out (exit status 1)
 */
int sl_import(const struct sl_import_params *params, struct sl_import_result *result, char *errbuf);

#ifdef __cplusplus
}
#endif

#endif
