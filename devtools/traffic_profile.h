/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef TRAFFIC_PROFILE_H
#define TRAFFIC_PROFILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Traffic of the performance suite; Ethernet only, except for "realistic". */
struct profile {
	const char *name;
	const char *about;
	double mean_record; /* bytes of a record with its header; measured, for the pace */
	unsigned int flows; /* live at a time, unless asked otherwise */
	/* Writes a frame, returns its length. NULL: make_traffic's own flows and frames, with long-lived locality. */
	size_t (*next)(uint8_t *frame);
};

/* @return NULL if there is none of that name */
const struct profile *profile_by_name(const char *name);
void profile_list(FILE *to);
/* Before the first frame, once the pool is filled. @return 0 or -ENOMEM */
int profile_start(const struct profile *profile, unsigned int flows, unsigned int groups);
void profile_end(void);

/* Packets of a flow: Pareto with exponent 1.1, so that a few elephants carry most bytes and most flows are mice. */
uint32_t profile_flow_size(void);
/* Packets of a train of one flow: 1 to 64, mean 6. */
uint32_t profile_train(void);

#endif
