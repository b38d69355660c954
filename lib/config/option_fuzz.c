/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "option.h"
#include "strftime_check.h"
#include "suggest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take_finding(void *arg, bool is_error, const char *text)
{
	(void)is_error;
	if (*text == '\0')
		abort();
	(*(unsigned int *)arg)++;
}

static void
take_ignored(void *arg, const char *option)
{
	(void)option;
	(*(unsigned int *)arg)++;
}

static void
try_number(const char *text, enum sl_number_unit unit)
{
	uint64_t value, again;
	const char *why;
	char plain[64];

	if (sl_number_parse(text, unit, &value, &why) != 0) {
		if (*why == '\0')
			abort();
		return;
	}
	/* What was read must be written and read as the same. */
	snprintf(plain, sizeof(plain), "%" PRIu64, value);
	if (sl_number_parse(plain, unit, &again, &why) != 0 || again != value)
		abort();
	/* C's own reader is the judge of plain integers. */
	if (*text >= '1' && *text <= '9' && strlen(text) < 19 && strspn(text, "0123456789") == strlen(text) &&
		strtoull(text, NULL, 10) != value)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int findings = 0;
	const struct sl_option_report report = {take_finding, take_ignored, &findings};
	struct sl_options options = {0};
	char why[SL_STRFTIME_ERRBUF];
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	sl_options_parse(&options, text, &report);
	if (options.has_name && options.name_mode == SL_NAME_STRFTIME && findings == 0 &&
		sl_strftime_check(options.name_format, true, why) != 0)
		abort();
	if (options.has_split_time && findings == 0 && options.split_time == 0)
		abort();
	try_number(text, SL_NUMBER_TIME);
	try_number(text, SL_NUMBER_BYTES);
	(void)sl_strftime_parts(text);
	if (sl_suggest_distance(text, text) != 0)
		abort();
	free(text);
	return 0;
}
