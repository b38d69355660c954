/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "resume.h"

int
sl_resume_open(struct sl_writers *writers, char *errbuf)
{
	(void)writers;
	(void)errbuf;
	return 0;
}

bool
sl_writers_resume(const struct sl_writers *writers, unsigned int t, struct sl_resume *resume)
{
	(void)writers;
	(void)t;
	(void)resume;
	return false;
}

void
sl_resume_start(struct sl_target *t, const struct sl_position *first)
{
	t->next = *first;
}

void
sl_resume_close(struct sl_writers *writers)
{
	(void)writers;
}
