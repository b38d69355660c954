/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdlib.h>
#include <string.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
use(void *ctx, const struct json_member *m)
{
	size_t *total = ctx;

	*total += strlen(m->key) + (m->string ? strlen(m->string) : 0);
	return 0;
}

/* Decoded in place: neither the decoder nor a string may leave the text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	size_t where, total = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	json_members(text, use, &total, &where);
	if (where > size + 1 || total > size)
		abort();
	free(text);
	return 0;
}
