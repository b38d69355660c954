/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "journal.h"

const char *
sl_journal_path(const struct sl_journal *journal)
{
	(void)journal;
	return "";
}

int
sl_journal_open_intent(struct sl_journal *journal, const char *pending)
{
	(void)journal;
	(void)pending;
	return 0;
}

int
sl_journal_intent(struct sl_journal *journal, const char *pending, const char *final, uint64_t ino, uint64_t dev,
	uint64_t size, const struct sl_mark *after)
{
	(void)journal;
	(void)pending;
	(void) final;
	(void)ino;
	(void)dev;
	(void)size;
	(void)after;
	return 0;
}

int
sl_journal_done(struct sl_journal *journal, const char *final, const struct sl_mark *after)
{
	(void)journal;
	(void) final;
	(void)after;
	return 0;
}

int
sl_journal_checkpoint(struct sl_journal *journal, const struct sl_checkpoint *checkpoint)
{
	(void)journal;
	(void)checkpoint;
	return 0;
}
