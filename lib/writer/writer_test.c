/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "feed_test.h"

#include <stdlib.h>
#include <string.h>

int window_tests(void);
int name_tests(void);
int mount_tests(void);
int push_log_tests(void);

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} groups[] = {
		{"window", window_tests},
		{"name", name_tests},
		{"mount", mount_tests},
		{"push_log", push_log_tests},
		{"block", block_tests},
		{"gather", gather_tests},
		{"split", split_tests},
		{"park", park_tests},
		{"publish", publish_tests},
		{"stop", stop_tests},
		{"journal", journal_tests},
		{"crash", crash_tests},
	};
	int failed = 0;
	size_t i;

	/* with names of groups: these only */
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int a = 1;

		while (a < argc && strcmp(argv[a], groups[i].name) != 0)
			a++;
		if (argc == 1 || a < argc)
			failed += groups[i].run();
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
