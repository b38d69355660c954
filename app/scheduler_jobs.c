/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The pushes that a scheduler runs. What should run is asked of the rows anew every time, by the wall clock; so a clock
 * that is set, a suspended machine or a change of daylight saving needs no care here. How long things take is told by
 * the monotonic clock.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "push_options.h"
#include "scheduler.h"
#include "scheduler_backoff.h"

#define SECOND UINT64_C(1000000000)
#define HEALTHY (60 * SECOND) /* one that has run so long has not failed to start */
#define HELD_PAUSE (2 * SECOND) /* between looks at a lock that another push has */
#define KILL_AFTER (15 * SECOND) /* beyond its stop timeout a push needs time to end its threads */

struct job {
	char *name; /* Desc of the row that it was started for */
	char *state_dir;
	char **command; /* argv, NULL at the end; [3] is the configuration */
	struct sl_schedule_rule *rules; /* of all rows of this configuration */
	size_t rule_count;
	uint32_t stop_timeout;
	bool dropped; /* no row of the schedule any more: stop, then go */

	pid_t pid; /* 0: not running */
	uint64_t started, kill_at, retry_at;
	unsigned int failures; /* ends in a row that nobody asked for */
	bool asked; /* it was sent SIGTERM */
	bool said_held;
};

struct scheduler_jobs {
	struct job *jobs;
	size_t count;
};

/* ---------------------------------------------------------------- making */

void
scheduler_state_dir(const struct sl_schedule_row *row, char dir[PATH_MAX])
{
	if (row->state_dir)
		snprintf(dir, PATH_MAX, "%s", row->state_dir);
	else
		push_default_state_dir(row->config, dir);
}

static void
free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static void
free_job(struct job *job)
{
	for (size_t i = 0; job->rules && i < job->rule_count; i++)
		free((char *)job->rules[i].time_zone);
	free(job->rules);
	free(job->name);
	free(job->state_dir);
	free_words(job->command);
}

void
scheduler_jobs_free(struct scheduler_jobs *jobs)
{
	if (!jobs)
		return;
	for (size_t i = 0; i < jobs->count; i++)
		free_job(&jobs->jobs[i]);
	free(jobs->jobs);
	free(jobs);
}

/* @return false: out of memory */
static bool
add_word(char **words, size_t *n, const char *word)
{
	words[*n] = strdup(word);
	return words[(*n)++] != NULL;
}

static char **
make_command(const struct sl_schedule_row *row)
{
	const char *const options[][2] = {{"--config", row->config}, {"--store", row->store},
		{"--state-dir", row->state_dir}, {"--log-dir", row->log_dir}};
	char **words = calloc(strlen(row->options) / 2 + 16, sizeof(*words));
	char timeout[16], *copy = strdup(row->options), *save;
	size_t n = 0;
	bool good = words && copy && add_word(words, &n, "sluice") && add_word(words, &n, "push");

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && good; i++)
		if (options[i][1])
			good = add_word(words, &n, options[i][0]) && add_word(words, &n, options[i][1]);
	snprintf(timeout, sizeof(timeout), "%u", row->stop_timeout);
	good = good && add_word(words, &n, "--stop-timeout") && add_word(words, &n, timeout);
	for (char *w = good ? strtok_r(copy, " \t", &save) : NULL; w && good; w = strtok_r(NULL, " \t", &save))
		good = add_word(words, &n, w);
	free(copy);
	if (good)
		return words;
	free_words(words);
	return NULL;
}

static bool
add_rule(struct job *job, const struct sl_schedule_row *row)
{
	struct sl_schedule_rule *rules = realloc(job->rules, (job->rule_count + 1) * sizeof(*rules));

	if (!rules)
		return false;
	job->rules = rules;
	rules[job->rule_count] = row->rule;
	if (row->rule.time_zone)
		rules[job->rule_count].time_zone = strdup(row->rule.time_zone);
	job->rule_count++;
	return !row->rule.time_zone || rules[job->rule_count - 1].time_zone;
}

static bool
make_job(struct job *job, const struct sl_schedule_row *row)
{
	char dir[PATH_MAX];

	scheduler_state_dir(row, dir);
	job->name = strdup(row->desc);
	job->state_dir = strdup(dir);
	job->command = make_command(row);
	job->stop_timeout = row->stop_timeout;
	return job->name && job->state_dir && job->command;
}

struct scheduler_jobs *
scheduler_jobs_create(const struct sl_schedule *schedule)
{
	struct scheduler_jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return NULL;
	jobs->jobs = calloc(sl_schedule_rows(schedule) + 1, sizeof(*jobs->jobs));
	if (!jobs->jobs)
		goto err;
	for (size_t i = 0; i < sl_schedule_rows(schedule); i++) {
		const struct sl_schedule_row *row = sl_schedule_row(schedule, i);
		size_t k = 0;

		if (!row->enable)
			continue;
		while (k < jobs->count && strcmp(jobs->jobs[k].command[3], row->config) != 0)
			k++;
		if (k == jobs->count) {
			jobs->count++;
			if (!make_job(&jobs->jobs[k], row))
				goto err;
		}
		if (!add_rule(&jobs->jobs[k], row))
			goto err;
	}
	return jobs;
err:
	scheduler_jobs_free(jobs);
	return NULL;
}

static bool
same_command(const struct job *a, const struct job *b)
{
	size_t i = 0;

	while (a->command[i] && b->command[i] && strcmp(a->command[i], b->command[i]) == 0)
		i++;
	return !a->command[i] && !b->command[i];
}

int
scheduler_jobs_change(struct scheduler_jobs **jobs, const struct sl_schedule *schedule)
{
	struct scheduler_jobs *old = *jobs, *new = scheduler_jobs_create(schedule);
	struct job *all;

	all = new ? realloc(new->jobs, (new->count + old->count + 1) * sizeof(*all)) : NULL;
	if (!all) {
		scheduler_jobs_free(new);
		return -ENOMEM;
	}
	new->jobs = all;
	for (size_t i = 0, fresh = new->count; i < old->count; i++) {
		struct job *from = &old->jobs[i];
		size_t k = 0;

		while (k < fresh && (from->dropped || !same_command(from, &all[k])))
			k++;
		if (k < fresh) {
			all[k].pid = from->pid;
			all[k].started = from->started;
			all[k].kill_at = from->kill_at;
			all[k].retry_at = from->retry_at;
			all[k].failures = from->failures;
			all[k].asked = from->asked;
			all[k].said_held = from->said_held;
		} else if (from->pid) {
			from->dropped = true;
			all[new->count++] = *from;
			memset(from, 0, sizeof(*from));
		}
	}
	scheduler_jobs_free(old);
	*jobs = new;
	return 0;
}

/* ---------------------------------------------------------------- who pushes it already */

pid_t
scheduler_lock_holder(const char *state_dir)
{
	char path[PATH_MAX + 8], pid[32] = "";
	ssize_t n;
	long value;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", state_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	/* Nobody is kept from taking it: a shared lock for the moment that it takes to close the file. */
	if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
		close(fd);
		return 0;
	}
	n = pread(fd, pid, sizeof(pid) - 1, 0);
	close(fd);
	value = n > 0 ? strtol(pid, NULL, 10) : 0;
	return value > 0 ? (pid_t)value : -1;
}

/* ---------------------------------------------------------------- start and stop */

static void
become_push(const struct job *job, pid_t scheduler)
{
	sigset_t none;

	/* Ctrl-C at a terminal must reach a push once, through the scheduler: a second signal ends it at once. */
	setpgid(0, 0);
	/* A push that nobody looks after would run beyond its window. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != scheduler)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", job->command);
	fprintf(stderr, "sluice scheduler: %s: cannot start sluice push: %s\n", job->name, strerror(errno));
	_exit(1);
}

static void
start(struct job *job, uint64_t mono)
{
	pid_t holder = scheduler_lock_holder(job->state_dir), self = getpid(), pid;

	if (holder != 0) {
		if (!job->said_held)
			fprintf(stderr,
				"sluice scheduler: %s: %s is being pushed by process %ld already (it has %s); waiting "
				"until that ends\n",
				job->name, job->command[3], (long)holder, job->state_dir);
		job->said_held = true;
		job->retry_at = mono + HELD_PAUSE;
		return;
	}
	job->said_held = false;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become_push(job, self);
	if (pid < 0) {
		job->failures++;
		job->retry_at = mono + scheduler_backoff_ms(job->failures, (uint32_t)random()) * UINT64_C(1000000);
		fprintf(stderr, "sluice scheduler: %s: cannot start: %s; trying again\n", job->name, strerror(errno));
		return;
	}
	job->pid = pid;
	job->started = mono;
	job->asked = false;
	fprintf(stderr, "sluice scheduler: %s: started process %ld for %s\n", job->name, (long)pid, job->command[3]);
}

static void
stop(struct job *job, uint64_t mono)
{
	if (!job->asked) {
		job->asked = true;
		job->kill_at = mono + job->stop_timeout * SECOND + KILL_AFTER;
		kill(job->pid, SIGTERM);
		fprintf(stderr, "sluice scheduler: %s: stopping process %ld\n", job->name, (long)job->pid);
	} else if (mono >= job->kill_at) {
		fprintf(stderr,
			"sluice scheduler: %s: process %ld did not end within its %u s and some; killed; its journals "
			"let the next one go on\n",
			job->name, (long)job->pid, job->stop_timeout);
		kill(job->pid, SIGKILL);
		job->kill_at = mono + KILL_AFTER;
	}
}

static bool
is_wanted(const struct job *job, int64_t wall)
{
	struct sl_schedule_state state;

	if (job->dropped)
		return false;
	for (size_t i = 0; i < job->rule_count; i++)
		if (sl_schedule_at(&job->rules[i], wall, &state) == 0 && state.on)
			return true;
	return false;
}

unsigned int
scheduler_jobs_serve(struct scheduler_jobs *jobs, int64_t wall, uint64_t mono, bool stopping)
{
	unsigned int running = 0;

	for (size_t i = 0; i < jobs->count; i++) {
		struct job *job = &jobs->jobs[i];
		bool wanted = !stopping && is_wanted(job, wall);

		if (!wanted) {
			job->failures = 0;
			job->retry_at = 0;
			job->said_held = false;
		}
		/* What was told to stop must end, also if it is wanted again by now. */
		if (job->pid && (!wanted || job->asked))
			stop(job, mono);
		else if (!job->pid && wanted && mono >= job->retry_at)
			start(job, mono);
		running += job->pid != 0;
	}
	return running;
}

static void
describe_end(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status), sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 2)
		snprintf(text, size, "refused to start (exit status 2, it says why)");
	else
		snprintf(text, size, "ended with exit status %d", WEXITSTATUS(status));
}

static void
ended(struct job *job, int status, uint64_t mono)
{
	bool asked = job->asked;
	char how[96];
	uint32_t ms;

	describe_end(status, how, sizeof(how));
	job->pid = 0;
	job->asked = false;
	if (asked) {
		fprintf(stderr, "sluice scheduler: %s: %s\n", job->name, status == 0 ? "stopped" : how);
		job->retry_at = 0;
		return;
	}
	job->failures = mono - job->started >= HEALTHY ? 1 : job->failures + 1;
	ms = scheduler_backoff_ms(job->failures, (uint32_t)random());
	job->retry_at = mono + ms * UINT64_C(1000000);
	fprintf(stderr, "sluice scheduler: %s: process %s; next start in %u.%u s\n", job->name, how, ms / 1000,
		ms % 1000 / 100);
}

void
scheduler_jobs_reap(struct scheduler_jobs *jobs, uint64_t mono)
{
	size_t kept = 0;

	for (size_t i = 0; i < jobs->count; i++) {
		struct job *job = &jobs->jobs[i];
		int status;

		if (job->pid && waitpid(job->pid, &status, WNOHANG) == job->pid)
			ended(job, status, mono);
		if (job->dropped && !job->pid)
			free_job(job);
		else
			jobs->jobs[kept++] = *job;
	}
	jobs->count = kept;
}

void
scheduler_jobs_hurry(struct scheduler_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->jobs[i].pid)
			kill(jobs->jobs[i].pid, SIGTERM);
}
