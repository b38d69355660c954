/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_INTERNAL_H
#define SL_CONFIG_INTERNAL_H

/**
 * @file
 * The configuration while it is read, or the schedule. Only lib/config includes this.
 */

#include "lua_sandbox.h"
#include "sl_config.h"
#include "source.h"

#define SL_DESC_MAX 160u  /**< bytes of a Desc: it is part of file names, which end at 255 */
#define SL_PATH_TEXT_MAX 3800u

/** Where a target stands in the text. */
struct sl_target_place {
	int table; /**< its constructor in the source, or -1 */
	bool path_from_date; /**< Path was made from the date while the file ran */
};

struct sl_kept; /**< strings that live as long as the configuration */

struct sl_config {
	const char *noun; /**< what its list is made of, for findings */
	void *arg; /**< of the kind's functions */
	char *path;
	char *text; /**< of the file, 0-terminated */
	size_t text_len;
	struct sl_source source;
	struct sl_target_config *targets;
	struct sl_target_place *places;
	size_t n_targets;
	struct sl_config_finding *findings;
	size_t n_findings, n_errors;
	struct sl_kept *kept;
	bool oom;
	bool follow_start; /**< top level */
	char ignored[512]; /**< names of fields and options without a meaning here, comma separated */
	unsigned int ignored_line;
};

/** A kind of Lua file: what makes plain structs of the value that it returns. */
struct sl_config_kind {
	const char *noun;
	lua_CFunction read;          /**< for sl_lua_sandbox_call(): the configuration, the file's value */
	lua_CFunction read_inserted; /**< the file ended with an error: what was inserted into tables so far */
	void (*check)(struct sl_config *config); /**< more than one field or entry */
	/** What was made from the date while the file ran; may be NULL. */
	void (*check_dates)(struct sl_config *config, const struct sl_lua_sandbox *first);
};

/** sl_config_load() of any kind of file. @param arg  for the kind's functions, as config->arg */
int sl_config_load_kind(const char *path, const struct sl_config_kind *kind, void *arg, struct sl_config **out);

/** Copy a string into the configuration. Never NULL: if memory is short, "" and config->oom. */
const char *sl_config_keep(struct sl_config *config, const char *text);

/** There are as many findings as are shown: looking for more of them is wasted time. */
bool sl_config_findings_full(const struct sl_config *config);

/** Remember a field or option for the one warning about those without a meaning here. */
void sl_config_ignore(struct sl_config *config, const char *name, unsigned int line);

/** Room for one more target, zeroed; NULL if memory is short. */
struct sl_target_config *sl_config_add_target(struct sl_config *config, int table);

/** A line that is not blank, the last one of the text: there a return is missing. target.c */
unsigned int sl_config_last_line(const char *text);
/** Read the value that the file returned (a lua_CFunction for sl_lua_sandbox_call(): config, value). target.c */
int sl_config_read(lua_State *L);
/** Read what was inserted into tables although the file ended with an error: its other mistakes are worth showing too. */
int sl_config_read_inserted(lua_State *L);

/** The checks that need more than one field or target. check.c */
void sl_config_check(struct sl_config *config);

/** Warn of each Path that was made from the date while the file ran: run it again at another date and compare. rerun.c */
void sl_config_check_dates(struct sl_config *config, const struct sl_lua_sandbox *first);

#endif
