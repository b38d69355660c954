/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_STORE_ACTIONS_H
#define SL_APP_STORE_ACTIONS_H

/**
 * @file
 * What `sluice store` does to a store, and how all of it reports. No EAL, no privilege, one thread.
 */

#include <stdint.h>

#include "sl_store.h"
#include "store_report.h"

/** The command line; each action takes only some of it. */
struct store_options {
	const char *store;
	const char *capture; /**< NULL: the active one; for verify: all */
	const char *output;  /**< "-": standard output */
	uint64_t from, to;   /**< ns, half-open */
};

#define STORE_PCAP_MAGIC 0xa1b23c4du /**< nanoseconds */
#define STORE_SNAP_LEN 262144u       /**< of a capture that names none: tcpdump's default */

/** As it lies at the start of a nanosecond pcap file, host byte order (draft-ietf-opsawg-pcap). */
struct store_pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs;
	uint32_t snap_len;
	uint32_t link_type;
};

/* Each returns the exit status. */
int store_ls(const struct store_options *options);
int store_info(const struct store_options *options);
int store_verify(const struct store_options *options);
int store_export(const struct store_options *options);

/* ---------------------------------------------------------------- reports (store_report.c) */

/** Static text. */
const char *store_state_name(enum sl_capture_state state);

/** A buffer for sl_capture_read(), to be freed; NULL after a message. */
void *store_chunk_buffer(void);

/**
 * What cannot be opened at the start is refused: a name or a directory that is not there is the user's to mend.
 * @return the exit status
 */
int store_refuse(const char *errbuf);

#endif
