/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Pushes that are killed at every named point and at random moments, then restarted: the files must be those of a push
 * that was never killed. The whole program is put through the same by TestSuite_crash.py.
 */

#include "feed_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"

#define T0 (UINT64_C(1700000040) * S)
#define TARGETS 3

static char dir[256], out[300], state_dir[300];
static struct feed_stream stream;
static char *reference;

/* A short first window, a long one that outgrows its allocation, then many; silence at the end. */
static void
make_stream(void)
{
	size_t i;

	feed_random(&stream, 42, 8200, 400, T0, S, 1500);
	for (i = 0; i < stream.count; i++)
		stream.packets[i].ts = i < 100    ? T0 + i * 1000
				       : i < 7500 ? T0 + 60 * S + i * 1000
						  : T0 + (i - 7300) * S;
	for (i = 0; i < 100; i++)
		stream.packets[i * 37].match |= 1u;
	stream.clock_after = T0 + 2000 * S;
}

static int
run_targets(const char *crash)
{
	struct sl_target_config cfg[TARGETS];
	struct feed_options options = {.state_dir = state_dir, .ckpt_ns = 3600 * S, .ckpt_bytes = 150000};
	static char paths[TARGETS][400];
	unsigned int t;

	snprintf(paths[0], sizeof(paths[0]), "%s/all/%%H%%M/a", out);
	snprintf(paths[1], sizeof(paths[1]), "%s/b", out);
	snprintf(paths[2], sizeof(paths[2]), "%s/c", out);
	for (t = 0; t < TARGETS; t++)
		cfg[t] = feed_target(t == 0 ? "all" : t == 1 ? "bytes" : "both", paths[t]);
	cfg[0].split_time = 60 * S;
	cfg[0].owner_user = "root";
	cfg[0].owner_uid = cfg[0].owner_gid = (uint32_t)getuid();
	cfg[1].split_byte = 200000;
	cfg[1].name_mode = SL_NAME_TSTR_HHMM; /* collides: _1, _2 ... */
	cfg[2].split_time = 300 * S;
	cfg[2].split_byte = 60000;
	cfg[2].empty_files = true;
	if (crash)
		setenv("SLUICE_CRASH", crash, 1);
	else
		unsetenv("SLUICE_CRASH");
	return feed_run(&stream, cfg, TARGETS, &options, NULL);
}

/* @return true if it was killed; fails the test if it failed */
static bool
run_child(const char *crash, unsigned int kill_after_us)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		/* a failed assertion ends the child, it does not run the parent's other tests */
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		_exit(run_targets(crash) == 0 ? 0 : 1);
	}
	if (kill_after_us) {
		usleep(kill_after_us);
		kill(pid, SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("crash %s: status %x", crash ? crash : "-", status);
	return false;
}

static void
clean(void)
{
	char command[1000];

	snprintf(command, sizeof(command), "rm -rf '%s' '%s'; mkdir -p '%s'", out, state_dir, out);
	assert_int_equal(system(command), 0);
}

static void
compare(const char *what)
{
	char *list = feed_listing(out);

	if (strcmp(list, reference) != 0) {
		/* cmocka cuts long messages */
		fprintf(stderr, "--- expected\n%s--- found\n%s", reference, list);
		fail_msg("%s: files differ", what);
	}
	free(list);
}

static int
setup(void **state)
{
	(void)state;
	feed_make_dir(dir);
	snprintf(out, sizeof(out), "%s/out", dir);
	snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	make_stream();
	clean();
	assert_false(run_child(NULL, 0));
	reference = feed_listing(out);
	assert_null(strstr(reference, ".pending"));
	assert_non_null(strstr(reference, "_1.pcap"));
	assert_non_null(strstr(reference, "_p002.pcap"));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(reference);
	feed_free(&stream);
	feed_remove_dir(dir);
	return 0;
}

/* What resumes is reached only after a crash with a working file, or with later ones: when that is depends on timing.
 */
static bool
crash_at(const char *name, const char *crash)
{
	const char *before = NULL;
	unsigned int n;

	if (strcmp(name, "resume.ftruncate") == 0)
		before = "checkpoint.append.after";
	else if (strcmp(name, "resume.fsync-name") == 0)
		before = "publish.link.after";
	else if (strcmp(name, "resume.unlink") == 0)
		before = "open.create.after";
	if (!before)
		return run_child(crash, 0);
	for (n = 1; n <= 16; n++) {
		char first[80];

		clean();
		snprintf(first, sizeof(first), "%s:%u", before, n);
		if (!run_child(first, 0))
			return false;
		if (run_child(crash, 0))
			return true;
	}
	return false;
}

static void
test_points(void **state)
{
	static const char *const names[] = {
#define POINT(id, name) name,
#include "crash_points.h"
#undef POINT
	};
	static const unsigned int passages[] = {1, 4};
	size_t i;
	unsigned int side, n;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		/* TestSuite_crash takes the directory away, TestSuite_power_loss reloads */
		if (strncmp(names[i], "rescue.", 7) == 0 || strncmp(names[i], "archive.", 8) == 0)
			continue;
		for (side = 0; side < 2; side++)
			for (n = 0; n < 2; n++) {
				char crash[80];
				bool hit = false;
				/* whether a checkpoint falls between two files is a race with the disk */
				int tries = n == 0 ? 10 : 1;

				snprintf(crash, sizeof(crash), "%s.%s:%u", names[i], side ? "after" : "before",
					passages[n]);
				if (getenv("SLUICE_TEST_VERBOSE"))
					print_message("%s\n", crash);
				while (!hit && tries-- > 0) {
					clean();
					hit = crash_at(names[i], crash);
				}
				if (!hit && n == 0)
					fail_msg("%s was never reached", crash);
				if (hit)
					assert_false(run_child(NULL, 0));
				compare(crash);
			}
	}
}

static void
test_moments(void **state)
{
	unsigned int x = 12345, round, kills = 0;

	(void)state;
	for (round = 0; round < 25; round++) {
		unsigned int n;
		char what[40];

		clean();
		for (n = 0; n < 6; n++) {
			x = x * 1103515245 + 12345;
			if (!run_child(NULL, 1 + (x >> 8) % 60000))
				break;
			kills++;
		}
		if (n == 6)
			assert_false(run_child(NULL, 0));
		snprintf(what, sizeof(what), "round %u, %u kills", round, n);
		compare(what);
	}
	assert_true(kills > 20);
}

static void
test_lock(void **state)
{
	char lock[400];
	int fd;

	(void)state;
	clean();
	assert_false(run_child(NULL, 0));
	snprintf(lock, sizeof(lock), "%s/lock", state_dir);
	fd = open(lock, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(sl_ops.flock(fd, 2 | 4), 0);
	assert_int_equal(run_targets(NULL), -EBUSY);
	close(fd);
}

int
crash_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests_name("crash", tests, setup, teardown);
}
