/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "push_place.h"

static char base[PATH_MAX]; /* realpath(3) is the oracle */

static void
in_base(const char *name, char path[PATH_MAX])
{
	assert_true(snprintf(path, PATH_MAX, "%s%s", base, name) < PATH_MAX);
}

static void
make_link(const char *name, const char *to)
{
	char path[PATH_MAX];

	in_base(name, path);
	assert_int_equal(symlink(to, path), 0);
}

static void
make_directory(const char *name)
{
	char path[PATH_MAX];

	in_base(name, path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int
make_base(void **state)
{
	char template[] = "/tmp/sluice-place-XXXXXX", path[PATH_MAX];

	(void)state;
	assert_non_null(mkdtemp(template));
	assert_non_null(realpath(template, base));
	make_directory("/a");
	make_directory("/a/b");
	make_directory("/c");
	make_link("/relative", "a/b");
	make_link("/c/up", "../a");
	in_base("/a", path);
	make_link("/absolute", path);
	make_link("/chain", "absolute/b");
	make_link("/loop", "loop");
	make_link("/dangling", "nowhere/x");
	return 0;
}

static int
remove_base(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", base);
	return system(command);
}

static void
test_clean(void **state)
{
	static const char *const cases[][2] = {{"/a//b/./c/../x", "/a/b/x"}, {"/a/b/", "/a/b/"}, {"/a/b//", "/a/b/"},
		{"/../x", "/x"}, {"/x/..", ""}, {"//x", "/x"}};
	char out[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		push_place_clean(cases[i][0], out);
		assert_string_equal(out, cases[i][1]);
	}
}

/* A directory's place is realpath's; what follows the last slash is no link, whatever lies there. */
static void
test_follow(void **state)
{
	static const char *const dirs[] = {"/a/b/", "/a/./b//", "/relative/", "/c/up/b/", "/absolute/b/", "/chain/",
		"/relative/../b/", "/c/up/../chain/", "/c/../relative/"};
	char path[PATH_MAX], text[2 * PATH_MAX], real[PATH_MAX], want[2 * PATH_MAX], out[PUSH_PLACE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		in_base(dirs[i], path);
		assert_non_null(realpath(path, real));
		snprintf(text, sizeof(text), "%sx_", path);
		snprintf(want, sizeof(want), "%s/x_", real);
		assert_int_equal(push_place_follow(text, out), 0);
		assert_string_equal(out, want);
	}
	in_base("/relative", path);
	assert_int_equal(push_place_follow(path, out), 0);
	assert_string_equal(out, path);
}

/* What is not there, or different for each file, is text. */
static void
test_text(void **state)
{
	static const char *const cases[][2] = {{"/relative/new/./x", "/a/b/new/x"}, {"/chain/%Y/../x", "/a/b/x"},
		{"/chain/%Y/relative/x", "/a/b/%Y/relative/x"}, {"/new/relative/x", "/new/relative/x"},
		{"/dangling/x", "/nowhere/x/x"}, {"/loop/x", "/loop/x"}, {"/chain%Y/x", "/chain%Y/x"}};
	char path[PATH_MAX], want[PATH_MAX], out[PUSH_PLACE_SIZE], longer[PUSH_PLACE_SIZE + 1] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in_base(cases[i][0], path);
		in_base(cases[i][1], want);
		assert_int_equal(push_place_follow(path, out), 0);
		assert_string_equal(out, want);
	}
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = longer[sizeof(longer) - 2] = '/';
	assert_int_equal(push_place_follow(longer, out), -ENAMETOOLONG);
}

/* File system and path in it: stat(2) knows the file system's number. */
static void
test_name(void **state)
{
	char path[PATH_MAX], out[PUSH_PLACE_SIZE], device[32];

	(void)state;
	in_base("/a/x", path);
	assert_int_equal(push_place_name(path, out), 0);
	assert_string_equal(out + strlen(out) - 4, "/a/x");
	assert_int_equal(sscanf(out, "%31[0-9:]", device), 1);
	assert_int_equal(strspn(device, "0123456789"), strcspn(device, ":"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean), cmocka_unit_test(test_follow),
		cmocka_unit_test(test_text), cmocka_unit_test(test_name)};

	return cmocka_run_group_tests_name("push_place", tests, make_base, remove_base);
}
