/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "push_log.h"
#include "sl_writer.h"

int push_log_tests(void);

#define THREADS 4
#define LINES_EACH 20000

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sluice-log-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct sl_push_log *
open_log(const char *where, const char *const *names, size_t count)
{
	char errbuf[SL_WRITER_ERRBUF] = "";
	struct sl_push_log *log;

	if (sl_push_log_open(where, names, count, NULL, &log, errbuf))
		fail_msg("%s", errbuf);
	return log;
}

/* A whole file as a string in static memory. */
static const char *
read_file(const char *where, const char *name, size_t *size)
{
	static char text[32 << 20];
	char path[512];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", where, name);
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	if (size)
		*size = n;
	return text;
}

static int
count_files(const char *where, const char *prefix)
{
	struct dirent *entry;
	DIR *list = opendir(where);
	int n = 0;

	assert_non_null(list);
	while ((entry = readdir(list)))
		n += !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(list);
	return n;
}

static void
test_lines(void **state)
{
	static const char *const names[] = {"all", "tcp"};
	static char longer[6000];
	char nested[128], link[256], target[256];
	struct sl_push_log *log;
	const char *text;
	ssize_t n;
	int y, mo, d, h, mi, s, ms, end;

	(void)state;
	snprintf(nested, sizeof(nested), "%s/a/b//c", dir);
	log = open_log(nested, names, 2);
	sl_push_log_line(log, 0, "first %d", 1);
	sl_push_log_line(log, 0, "two\nlines\x1b");
	memset(longer, 'x', sizeof(longer) - 1);
	sl_push_log_line(log, 0, "%s", longer);
	sl_push_log_line(log, 7, "no such target");
	sl_push_log_line(NULL, 0, "no log");
	sl_push_log_close(log);
	sl_push_log_close(NULL);

	assert_int_equal(count_files(nested, "push_tcp"), 0);
	snprintf(link, sizeof(link), "%s/push_all.cur", nested);
	n = readlink(link, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_int_equal(strlen(target), strlen("push_all_YYYYMMDD_HHMM"));
	text = read_file(nested, "push_all.cur", NULL);
	assert_int_equal(sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d.%3d first 1%n", &y, &mo, &d, &h, &mi, &s, &ms, &end), 7);
	assert_int_equal(text[end], '\n');
	assert_non_null(strstr(text, " two?lines?\n"));
	assert_non_null(strstr(text, "xxx...\n"));
	assert_int_equal(strlen(text) / 1000, 5);
}

static void
test_bad_directory(void **state)
{
	static const char *const names[] = {"all"};
	char errbuf[SL_WRITER_ERRBUF] = "";
	struct sl_push_log *log;

	(void)state;
	assert_int_equal(sl_push_log_open("/proc/nothing/here", names, 1, NULL, &log, errbuf), -ENOENT);
	assert_non_null(strstr(errbuf, "/proc/nothing/here: No such file or directory"));
	assert_null(log);
	assert_int_equal(sl_push_log_open("/dev/null/x", names, 1, NULL, &log, errbuf), -ENOTDIR);
	assert_int_equal(sl_push_log_open("", names, 1, NULL, &log, errbuf), -EINVAL);
}

/* A second start within a minute makes a file of its own, and so does a full one; .cur is the newest. */
static void
test_roll_and_collide(void **state)
{
	static const char *const names[] = {"r"};
	struct sl_push_log *log;
	const char *text;

	(void)state;
	for (int start = 0; start < 2; start++) {
		log = open_log(dir, names, 1);
		sl_push_log_line(log, 0, "start %d", start);
		sl_push_log_close(log);
	}
	assert_int_equal(count_files(dir, "push_r_"), 2);
	assert_non_null(strstr(read_file(dir, "push_r.cur", NULL), "start 1"));

	log = open_log(dir, names, 1);
	sl_push_log_set_roll_bytes(log, 100);
	for (int i = 0; i < 6; i++)
		sl_push_log_line(log, 0, "0123456789 %d", i);
	sl_push_log_close(log);
	assert_int_equal(count_files(dir, "push_r_"), 2 + 3);
	text = read_file(dir, "push_r.cur", NULL);
	assert_non_null(strstr(text, "0123456789 4\n"));
	assert_non_null(strstr(text, "0123456789 5\n"));
	assert_null(strstr(text, "0123456789 3\n"));
	assert_int_equal(count_files(dir, ".push"), 0);
}

static void
name_of_day(char *name, size_t size, const char *desc, int days_ago, const char *tail)
{
	time_t t = time(NULL) - days_ago * 86400;
	struct tm tm;

	localtime_r(&t, &tm);
	snprintf(name, size, "%s/push_%s_%04d%02d%02d_%s", dir, desc, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		tail);
}

static void
test_keeps_thirty_days(void **state)
{
	static const struct {
		const char *desc;
		int days_ago;
		const char *tail;
		bool kept;
	} cases[] = {{"k", 1, "1200", true}, {"k", 29, "1200", true}, {"k", 32, "1200", false},
		{"k", 32, "1200_1", false}, {"k", 400, "0000_12", false}, {"k", 400, "0000_", true},
		{"k", 400, "0000_1x", true}, {"k", 400, "000", true}, {"k", 400, "0000.gz", true},
		{"k", 400, "00000", true}, {"other", 400, "0000", true}, {"k_2", 400, "0000", true},
		{"kk", 400, "0000", true}};
	static const char *const names[] = {"k"};
	struct sl_push_log *log;
	char path[256];
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		name_of_day(path, sizeof(path), cases[i].desc, cases[i].days_ago, cases[i].tail);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		close(fd);
	}
	name_of_day(path, sizeof(path), "k", 500, "0000");
	assert_int_equal(symlink("/etc/passwd", path), 0);
	log = open_log(dir, names, 1);
	sl_push_log_line(log, 0, "x");
	sl_push_log_close(log);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stat st;

		name_of_day(path, sizeof(path), cases[i].desc, cases[i].days_ago, cases[i].tail);
		if ((lstat(path, &st) == 0) != cases[i].kept)
			fail_msg("%s: %s", path, cases[i].kept ? "was deleted" : "was kept");
	}
	name_of_day(path, sizeof(path), "k", 500, "0000");
	assert_int_equal(unlink(path), 0);
}

/* ---------------------------------------------------------------- many threads, nothing lost unsaid */

struct talker {
	struct sl_push_log *log;
	int number;
};

static void *
talk(void *arg)
{
	const struct talker *talker = arg;

	for (int i = 0; i < LINES_EACH; i++)
		sl_push_log_line(talker->log, (size_t)talker->number % 2, "thread %d line %d", talker->number, i);
	return NULL;
}

static void
test_threads(void **state)
{
	static const char *const names[] = {"t0", "t1"};
	struct talker talkers[THREADS];
	pthread_t threads[THREADS];
	struct sl_push_log *log = open_log(dir, names, 2);
	long written = 0, lost = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		talkers[i] = (struct talker){log, i};
		assert_int_equal(pthread_create(&threads[i], NULL, talk, &talkers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	sl_push_log_close(log);

	for (int f = 0; f < 2; f++) {
		int last[THREADS];
		char name[32];

		memset(last, -1, sizeof(last));
		snprintf(name, sizeof(name), "push_t%d.cur", f);
		for (const char *s = read_file(dir, name, NULL); *s != '\0'; s = strchr(s, '\n') + 1) {
			int thread, line;
			long n;

			if (sscanf(s + 24, "log: lines lost: %ld", &n) == 1) {
				lost += n;
				continue;
			}
			/* each line whole, each thread's lines in their order */
			if (sscanf(s + 24, "thread %d line %d", &thread, &line) != 2)
				fail_msg("not a line: %.80s", s);
			assert_true(thread >= 0 && thread < THREADS && thread % 2 == f && line > last[thread]);
			last[thread] = line;
			written++;
		}
	}
	assert_int_equal(written + lost, THREADS * LINES_EACH);
	assert_true(written > 1000);
}

/* ---------------------------------------------------------------- trouble with the directory */

/*
 * A file that may not grow, in a child of its own, behaves as one on a full disk: a short write, then errors. It needs
 * no privilege.
 */
static int
limited(void)
{
	static const char *const names[] = {"full"};
	const struct rlimit limit = {.rlim_cur = 20560, .rlim_max = 20560};
	struct timespec from, to;
	struct sl_push_log *log;
	char errbuf[SL_WRITER_ERRBUF];
	const char *text;
	size_t size;

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) || sl_push_log_open(dir, names, 1, NULL, &log, errbuf))
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &from);
	/* 100 lines of 1 KiB: more than fit */
	for (int i = 0; i < 100; i++)
		sl_push_log_line(log, 0, "%01000d", i);
	sl_push_log_close(log);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (to.tv_sec - from.tv_sec > 3)
		return 3;
	/* twenty whole lines, no half one */
	text = read_file(dir, "push_full.cur", &size);
	return size != 20 * (24 + 1000 + 1) || text[size - 1] != '\n' ? 4 : 0;
}

static void
test_full_disk(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(limited());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(count_files(dir, "push_full_"), 1);
}

static void
wait_for_file(const char *where, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	for (int i = 0; i < 500 && access(path, F_OK); i++)
		usleep(10000);
	assert_int_equal(access(path, F_OK), 0);
}

/* A deleted log begins again; a directory that is gone costs lines and nothing else. */
static void
test_lost_directory(void **state)
{
	static const char *const names[] = {"gone"};
	char inner[128], command[300];
	struct sl_push_log *log;

	(void)state;
	snprintf(inner, sizeof(inner), "%s/inner", dir);
	log = open_log(inner, names, 1);
	sl_push_log_line(log, 0, "before");
	wait_for_file(inner, "push_gone.cur");
	snprintf(command, sizeof(command), "rm %s/push_gone*", inner);
	assert_int_equal(system(command), 0);
	sl_push_log_line(log, 0, "again");
	wait_for_file(inner, "push_gone.cur");
	assert_non_null(strstr(read_file(inner, "push_gone.cur", NULL), "again"));
	snprintf(command, sizeof(command), "rm -r %s", inner);
	assert_int_equal(system(command), 0);
	for (int i = 0; i < 50; i++)
		sl_push_log_line(log, 0, "lost");
	sl_push_log_close(log);
	/* It was perhaps a mount point: it is not made again. */
	assert_int_not_equal(access(inner, F_OK), 0);
}

static void
test_another_name(void **state)
{
	static const char *const names[] = {"kept", ""};
	struct sl_push_log *log;
	char where[300];
	size_t size;

	(void)state;
	snprintf(where, sizeof(where), "%s/names", dir);
	log = open_log(where, names, 2);
	sl_push_log_line(log, 1, "for nobody");
	assert_int_equal(sl_push_log_rename(log, 1, "one"), 0);
	sl_push_log_line(log, 1, "first");
	assert_int_equal(sl_push_log_rename(log, 1, "two"), 0);
	sl_push_log_line(log, 1, "second");
	assert_int_equal(sl_push_log_rename(log, 1, ""), 0);
	sl_push_log_line(log, 1, "for nobody");
	sl_push_log_line(log, 0, "all the time");
	assert_int_equal(sl_push_log_rename(log, 2, "beyond"), 0);
	sl_push_log_close(log);
	/* each line where it belongs, and nowhere else */
	assert_non_null(strstr(read_file(where, "push_one.cur", &size), " first\n"));
	assert_null(strstr(read_file(where, "push_one.cur", &size), "second"));
	assert_non_null(strstr(read_file(where, "push_two.cur", &size), " second\n"));
	assert_null(strstr(read_file(where, "push_two.cur", &size), "nobody"));
	assert_non_null(strstr(read_file(where, "push_kept.cur", &size), " all the time\n"));
}

static void
test_thread_is_named_and_pinned(void **state)
{
	static const char *const names[] = {"n"};
	char errbuf[SL_WRITER_ERRBUF], path[300], comm[32] = "";
	struct sl_push_log *log;
	struct dirent *entry;
	cpu_set_t cpus, got;
	bool found = false;
	DIR *tasks;

	(void)state;
	CPU_ZERO(&cpus);
	CPU_SET((unsigned int)sched_getcpu(), &cpus);
	assert_int_equal(sl_push_log_open(dir, names, 1, &cpus, &log, errbuf), 0);
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strcmp(comm, "sl-log\n")) {
			found = true;
			assert_int_equal(sched_getaffinity(atoi(entry->d_name), sizeof(got), &got), 0);
			assert_true(CPU_EQUAL(&got, &cpus));
		}
		fclose(f);
	}
	closedir(tasks);
	sl_push_log_close(log);
	assert_true(found);
}

int
push_log_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_directory),
		cmocka_unit_test(test_roll_and_collide),
		cmocka_unit_test(test_keeps_thirty_days),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_lost_directory),
		cmocka_unit_test(test_another_name),
		cmocka_unit_test(test_thread_is_named_and_pinned),
	};

	return cmocka_run_group_tests_name("push_log", tests, setup, teardown);
}
