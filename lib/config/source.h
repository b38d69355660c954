/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_SOURCE_H
#define SL_CONFIG_SOURCE_H

/**
 * @file
 * Where fields stand in the text of a Lua file.
 *
 * Lua keeps no lines for table fields. So the text is scanned once for table constructors and for `Name =` within each,
 * strings and comments left out, and the tables that Lua made are matched to these constructors. Good enough to point at
 * a line; nothing is decided by it.
 */

#include <stdbool.h>
#include <stddef.h>

/** A table constructor `{ ... }`. */
struct sl_source_table {
	unsigned int line;      /**< of `{` */
	unsigned int last_line; /**< of `}` */
	int parent;             /**< the constructor around it, or -1 */
	unsigned int insert_line; /**< it is an argument of a call `insert(` on this line; 0: it is not */
	const char *desc;       /**< value of `Desc = "..."` if written as a plain string, not terminated */
	size_t desc_len;
	size_t first_field, end_field; /**< its fields, those of tables within it included, are among these */
	bool taken;             /**< matched to a target */
};

/** `Name =` directly inside a constructor, or `.Name =` outside of any. */
struct sl_source_field {
	const char *name; /**< not terminated */
	size_t len;
	unsigned int line;
	int table; /**< index, or -1: an assignment such as Config.FollowStart = true */
};

struct sl_source {
	const char *text;
	struct sl_source_table *tables;
	size_t n_tables;
	struct sl_source_field *fields;
	size_t n_fields;
};

/** Scan; text (0-terminated) must outlive the result. @return 0 or -ENOMEM */
int sl_source_scan(const char *text, struct sl_source *source);
void sl_source_free(struct sl_source *source);

/**
 * The constructor of a target, and mark it as taken.
 * @param insert_line  line of the call of table.insert, or 0 if unknown
 * @param desc         the target's Desc, or NULL
 * @return index or -1
 */
int sl_source_find_table(struct sl_source *source, unsigned int insert_line, const char *desc);

/** Line of a field in a constructor (table -1: of a plain assignment, else in an outermost constructor), 0: not written. */
unsigned int sl_source_field_line(const struct sl_source *source, int table, const char *field);

/** Line where a field is written a second time in the same constructor, 0 if it is not. */
unsigned int sl_source_field_again(const struct sl_source *source, int table, const char *field);

#endif
