/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_STORE_JSON_H
#define SL_STORE_JSON_H

/**
 * @file
 * Just enough JSON (RFC 8259) for capture.json: one object of strings and whole numbers. Other values are checked for
 * syntax and passed over, so that later versions may add what they like.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** A member of the top-level object. */
struct json_member {
	const char *key;
	const char *string; /**< NULL unless it is a string */
	bool is_number;     /**< a whole number that fits 64 bits unsigned */
	uint64_t number;
};

/**
 * Call fn for each member of the object in text.
 *
 * @param text  terminated by 0; is changed: strings are decoded in place
 * @param fn    returns 0 to go on, or -errno to stop
 * @return 0; -EPROTO: not an object, or bad syntax, *where is the byte; or what fn returned
 */
int json_members(char *text, int (*fn)(void *ctx, const struct json_member *member), void *ctx, size_t *where);

/** Write a string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void json_put_string(FILE *out, const char *text);

#endif
