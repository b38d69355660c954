/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef CAPTURE_SURVEY_H
#define CAPTURE_SURVEY_H

/**
 * @file
 * The look at all inputs before anything is written: can each be read, and do they have one link type?
 */

#include "reader.h"
#include "sl_capture.h"
#include "source.h"

/** One input of an import. */
struct input {
	struct source source;
	struct reader reader;
	const char *path;
	bool stream;  /**< stays open from the survey on */
	bool pending; /**< the survey met a packet that it did not use */
	struct rd_packet packet;
};

/** What the inputs have in common. */
struct survey {
	bool have_link_type;
	uint32_t link_type;
	uint32_t snap_len;        /**< largest, 0 replaced by SURVEY_SNAP_LEN */
	uint64_t total;           /**< bytes of all inputs, if no input is a stream */
	bool streams;             /**< at least one is */
	char first[300];          /**< who said the link type first */
};

#define SURVEY_SNAP_LEN 262144u

/**
 * Look at all inputs. Regular files are closed again; of streams only as much is read as it takes to know an interface.
 *
 * @return 0; -EINVAL: refused, each reason reported; -EINTR: params->stop; another -errno, reported
 */
int survey_inputs(const struct sl_import_params *params, struct input *inputs, struct survey *survey,
	void (*complain)(void *ctx, const char *line), void *ctx);

/** "EN10MB (Ethernet), 1" and the like; link types as libpcap maps them. */
const char *link_type_text(uint32_t link_type, char text[96]);
/** Does libpcap have a name for it? */
bool link_type_known(uint32_t link_type);
/** ": interface 2 (eth0)", to follow a file's name; "" for a pcap file. */
const char *interface_text(const struct reader *reader, char text[80]);

#endif
