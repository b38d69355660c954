/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config_load_test.h"

struct sl_config *
config_load(const char *text, int *rc)
{
	struct sl_config *config;
	char path[64];
	int fd = memfd_create("push_realtime.lua", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*rc = sl_config_load(path, &config);
	close(fd);
	assert_non_null(config);
	return config;
}

char *
config_findings(const struct sl_config *config)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	sl_config_print_findings(config, f);
	fclose(f);
	return text;
}

struct sl_config *
config_load_clean(const char *text)
{
	int rc;
	struct sl_config *config = config_load(text, &rc);
	char *said = config_findings(config);

	if (rc != 0 || said[0] != '\0')
		fail_msg("%s\n%d: %s", text, rc, said);
	free(said);
	return config;
}

void
check_finding(const char *text, bool is_error, unsigned int line, const char *field, const char *words)
{
	int rc;
	struct sl_config *config = config_load(text, &rc);
	bool found = false;

	for (size_t i = 0; i < sl_config_findings(config); i++) {
		const struct sl_config_finding *f = sl_config_finding(config, i);
		found = found || (f->is_error == is_error && f->line == line && strcmp(f->field, field) == 0 &&
					 strstr(f->text, words));
	}
	char *said = config_findings(config);
	if (!found || rc != (sl_config_errors(config) > 0 ? -EINVAL : 0) || (is_error && rc == 0))
		fail_msg("%s\n%d: %s\nnot: line %u: %s: %s", text, rc, said, line, field, words);
	free(said);
	sl_config_free(config);
}
