/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_JOURNAL_LINE_H
#define SL_WRITER_JOURNAL_LINE_H

/** @file Lines of a journal: `<crc32, 8 hex digits> <type> <key>=<value>...\n`, values percent-encoded. */

#include "journal.h"

struct sl_line {
	char *text;
	size_t len, size;
	bool failed; /**< out of memory */
};

void sl_line_begin(struct sl_line *line, const char *type);
void sl_line_text(struct sl_line *line, const char *key, const char *value);
void sl_line_number(struct sl_line *line, const char *key, uint64_t value);
void sl_line_mark(struct sl_line *line, const char *key, const struct sl_mark *mark);
void sl_line_file(struct sl_line *line, const struct sl_open_file *file);
void sl_line_config(struct sl_line *line, const struct sl_target_config *config);
/** Put the CRC in front and the newline behind. @return 0, -ENOMEM */
int sl_line_end(struct sl_line *line);
void sl_line_free(struct sl_line *line);

/**
 * Check one line, which ends before len with its newline, and cut it into words in place.
 * @return bytes of the line, newline included; 0: torn or damaged
 */
size_t sl_line_check(char *text, size_t len, char **type, char **rest);
/* Values of a line's rest; -EINVAL if the key is missing or its value damaged. */
int sl_line_get_text(const char *rest, const char *key, char *value, size_t size);
int sl_line_get_dup(const char *rest, const char *key, char **value);
int sl_line_get_number(const char *rest, const char *key, uint64_t *value);
int sl_line_get_mark(const char *rest, const char *key, struct sl_mark *mark);
int sl_line_get_file(const char *rest, struct sl_open_file *file);
/** Strings are allocated: sl_line_free_config(). */
int sl_line_get_config(const char *rest, struct sl_target_config *config);
void sl_line_free_config(struct sl_target_config *config);

#endif
