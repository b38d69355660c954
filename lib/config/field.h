/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_FIELD_H
#define SL_CONFIG_FIELD_H

/**
 * @file
 * A table of fields on its way into plain structs, between field_value.c (takes a value from the Lua stack, or says what
 * is wrong with it), fields.c (every field that is known), field_table.c (goes through a table: right type, known,
 * written once) and target.c (what makes a target of its fields; the list of targets; the top level).
 *
 * All of it runs in one sl_lua_sandbox_call(): any call into Lua may end the function by a Lua error, so nothing here
 * holds memory across one that the configuration does not own.
 */

#include "internal.h"
#include "option.h"

struct sl_field_reader {
	struct sl_config *config;
	lua_State *L; /**< the field's value is on top */
	struct sl_target_config *target; /**< NULL at the top level, and in a schedule */
	struct sl_schedule_row *row; /**< in a schedule */
	const char *name; /**< Desc, or "#3" */
	int table; /**< the constructor in the source, or -1 */
	unsigned int line; /**< of the target, if the field's own is not known */
	const char *field; /**< being read */
	struct sl_options options; /**< of all fields that hold options */
};

/** @{ Where a field may stand */
#define IN_TARGET 1u
#define IN_TOP 2u
/** @} */
/** @{ Types of a value */
#define T_STRING 1u
#define T_BOOL 2u
#define T_NUMBER 4u
#define T_TABLE 8u
/** @} */

enum sl_field_class {
	USED,
	IGNORED, /**< FMADIO's, no meaning here */
	LATER,   /**< of a later version: its type is checked, then it is refused unless it is off */
};

struct sl_field {
	const char *name;
	unsigned int scope; /**< IN_ */
	enum sl_field_class class;
	unsigned int types; /**< T_; 0: any */
	void (*read)(struct sl_field_reader *r); /**< USED only: the value on top into the target or configuration */
};

/* ---- field_value.c */

/** The line that a field stands on, or that of its target. */
unsigned int sl_field_line(const struct sl_field_reader *r, const char *field);
/** Add a finding about r->field. */
void sl_field_finding(struct sl_field_reader *r, bool is_error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define error(r, ...) sl_field_finding(r, true, __VA_ARGS__)
#define warning(r, ...) sl_field_finding(r, false, __VA_ARGS__)

/** The string on top, checked for what no field may hold; valid while it is there. NULL after a finding. */
const char *sl_field_text(struct sl_field_reader *r, bool one_line, size_t max);
/** Which of n words the string on top is, in any case; -1 after a finding. */
int sl_field_word(struct sl_field_reader *r, const char *const *words, size_t n);
/** The name of a time zone on top, checked and kept; NULL after a finding. */
const char *sl_field_time_zone(struct sl_field_reader *r);
/** A count of bytes on top: a number, or text with a unit. @return false after a finding */
bool sl_field_bytes(struct sl_field_reader *r, uint64_t *value);

/* ---- fields.c */

/** All fields. */
extern const struct sl_field sl_fields[];
extern const size_t sl_fields_count;
/** Check and keep a suffix for the target's files, from whichever field. */
void sl_field_check_suffix(struct sl_field_reader *r, const char *suffix);

/* ---- field_table.c */

/** Read one field of the table at a stack index, if it is there. */
void sl_field_read(struct sl_field_reader *r, const struct sl_field *f, int index);
/** Find the names in the table at a stack index that no field of this scope has. */
void sl_fields_find_unknown(struct sl_field_reader *r, int index, unsigned int scope);
/** Does the table at a stack index have a field, whatever its value? */
bool sl_field_given(struct sl_field_reader *r, int index, const char *name);

/* ---- target.c */

/** Read the list of targets on top. */
void sl_field_read_targets(struct sl_field_reader *r);

#endif
