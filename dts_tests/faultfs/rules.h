/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef FAULTFS_RULES_H
#define FAULTFS_RULES_H

/**
 * @file
 * What is done to an operation before it takes place: rules that delay, hang, fail or shorten it, a log, and the state
 * of the power. Any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum op {
#define OP(id, name, changes) OP_##id,
#include "ops_list.h"
#undef OP
	OPS
};

/** What the rules ask of an operation. */
struct verdict {
	int error;         /**< 0, or the positive errno that it is to fail with */
	bool after;        /**< the error is returned although the operation took place, as when a reply gets lost */
	bool ignore;       /**< report success and do nothing: an fsync that lies */
	uint64_t shorten;  /**< 0, or the bytes that a write takes at the most */
};

/**
 * Apply the rules to an operation; waits while it is delayed, hung, or the power is cut.
 * @param path  below the mount point, begins with "/"
 * @param direct  the file is open with O_DIRECT
 */
struct verdict rules_apply(enum op op, const char *path, bool direct);
/** The operation that rules_apply() admitted has ended. @param text  how it is logged; NULL: not at all */
void rules_done(enum op op, int rc, const char *text);

/**
 * A command from outside.
 * @param line  words separated by tabs; changed
 * @param out  gets the answer; "error ..." if the command was not understood
 */
void rules_command(char *line, FILE *out);

/** Let go of everything that waits; all further operations fail with EIO. */
void rules_cut(void);
/** Wait until no operation is under way. */
void rules_drain(void);
/** Operations take place again. */
void rules_power_on(void);

#endif
