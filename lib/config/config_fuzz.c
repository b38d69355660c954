/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sl_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

/* What the header promises of a configuration without errors. */
static void
check_target(const struct sl_target_config *t)
{
	require(t->desc[0] != '\0' && strlen(t->desc) == strlen(t->file_desc));
	require(t->path[0] == '/');
	require(t->split_time != 0 || t->split_byte != 0);
	require((t->name_mode == SL_NAME_STRFTIME) == (t->name_format[0] != '\0'));
	require(strchr(t->separator, '/') == NULL && strchr(t->file_suffix, '/') == NULL);
	require(t->filter != NULL);
}

/* The first byte chooses where the rest stands, so that a few bytes reach deep: a whole file, the fields of a target,
 * the options of one. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *before, *after;
	} frames[] = {
		{"", ""},
		{"local Config = {Target = {}}\ntable.insert(Config.Target, { Desc = \"t\", Path = \"/x\", Split = "
		 "\"--split-time 60e9\", ",
			"})\nreturn Config\n"},
		{"return {Target = {{ Desc = \"t\", Path = \"/x\", Split = [=====[", "]=====] }}}"},
	};
	struct sl_config *config;
	char path[64];

	if (size == 0)
		return 0;
	unsigned int frame = data[0] % (sizeof(frames) / sizeof(frames[0]));
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	require(fd >= 0);
	require(write(fd, frames[frame].before, strlen(frames[frame].before)) >= 0);
	require(write(fd, data + 1, size - 1) >= 0);
	require(write(fd, frames[frame].after, strlen(frames[frame].after)) >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int rc = sl_config_load(path, &config);
	close(fd);
	require(rc == 0 || rc == -EINVAL);
	require((rc == 0) == (sl_config_errors(config) == 0));
	for (size_t i = 0; i < sl_config_findings(config); i++) {
		const struct sl_config_finding *f = sl_config_finding(config, i);
		require(f->text[0] != '\0' && strchr(f->text, '\n') == NULL);
	}
	for (size_t i = 0; rc == 0 && i < sl_config_targets(config); i++)
		check_target(sl_config_target(config, i));
	sl_config_free(config);
	return 0;
}
