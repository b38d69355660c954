/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "rules.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RULES_MAX 64
#define LOG_MAX (1u << 20)
#define ANY OPS
#define CHANGE (OPS + 1)

enum power {
	POWER_ON,
	POWER_FROZEN, /* nothing goes on; nothing has failed yet either */
	POWER_CUT,
};

struct rule {
	unsigned int id; /* 0: free */
	int op;
	char glob[256];
	double delay;
	bool hang, freeze, direct, has_direct;
	unsigned long skip, every, times; /* times: 0 is for ever */
	unsigned long matched, hits;
	struct verdict verdict;
};

static const char *const op_names[OPS] = {
#define OP(id, name, changes) [OP_##id] = (name),
#include "ops_list.h"
#undef OP
};

static const bool op_changes[OPS] = {
#define OP(id, name, changes) [OP_##id] = (changes),
#include "ops_list.h"
#undef OP
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct rule rules[RULES_MAX];
static unsigned int last_id;
static uint64_t releases; /* those that wait go on when this changes */
static enum power power;
static unsigned int under_way;
static unsigned long counts[OPS];
static struct waiting {
	struct waiting *next;
	enum op op;
	const char *path;
} * waiting;
static char **log_lines;
static size_t log_count;

static void
init(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
	log_lines = calloc(LOG_MAX, sizeof(*log_lines));
	if (!log_lines)
		abort();
}

/* ---------------------------------------------------------------- operations */

static bool
matches(const struct rule *r, enum op op, const char *path, bool direct)
{
	const char *name = strrchr(path, '/');

	if (r->id == 0 || (r->op != (int)op && r->op != ANY && !(r->op == CHANGE && op_changes[op])))
		return false;
	if (r->has_direct && r->direct != direct)
		return false;
	/* without a slash it is the last part of the path that counts */
	if (strchr(r->glob, '/'))
		return fnmatch(r->glob, path, 0) == 0;
	return fnmatch(r->glob, name ? name + 1 : path, 0) == 0;
}

/* The first rule whose turn it is. Each rule that matches counts, whether or not one before it was taken. */
static struct rule *
take_rule(enum op op, const char *path, bool direct)
{
	struct rule *taken = NULL;

	for (size_t i = 0; i < RULES_MAX; i++) {
		struct rule *r = &rules[i];

		if (!matches(r, op, path, direct))
			continue;
		r->matched++;
		if (taken || r->matched <= r->skip || (r->times && r->hits >= r->times))
			continue;
		if (r->every > 1 && (r->matched - r->skip) % r->every != 0)
			continue;
		r->hits++;
		taken = r;
	}
	return taken;
}

static void
wait_here(enum op op, const char *path, double seconds)
{
	struct waiting me = {.next = waiting, .op = op, .path = path}, **at;
	uint64_t release = releases;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds;
	end.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	waiting = &me;
	while (release == releases && power == POWER_ON) {
		if (seconds < 0)
			pthread_cond_wait(&changed, &lock);
		else if (pthread_cond_timedwait(&changed, &lock, &end) == ETIMEDOUT)
			break;
	}
	for (at = &waiting; *at != &me; at = &(*at)->next)
		;
	*at = me.next;
}

struct verdict
rules_apply(enum op op, const char *path, bool direct)
{
	struct verdict v = {0};
	struct rule *r;

	pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	if (power == POWER_ON) {
		r = take_rule(op, path, direct);
		if (r) {
			bool hang = r->hang;
			double delay = r->delay;

			v = r->verdict;
			if (r->freeze)
				power = POWER_FROZEN;
			if (delay > 0)
				wait_here(op, path, delay);
			if (hang)
				wait_here(op, path, -1);
		}
	}
	while (power == POWER_FROZEN)
		pthread_cond_wait(&changed, &lock);
	/* a failed write would stay with the kernel's inode, and meet who opens the file after the loss */
	if (power == POWER_CUT && (op == OP_WRITE || op == OP_FSYNC))
		v = (struct verdict){.ignore = true};
	else if (power == POWER_CUT)
		v = (struct verdict){.error = EIO};
	else
		counts[op]++;
	under_way++;
	pthread_mutex_unlock(&lock);
	return v;
}

void
rules_done(enum op op, int rc, const char *text)
{
	pthread_mutex_lock(&lock);
	under_way--;
	if (under_way == 0)
		pthread_cond_broadcast(&changed);
	(void)op;
	if (text && power != POWER_CUT && log_count < LOG_MAX) {
		char *line;

		if (asprintf(&line, "%s%s%s", text, rc < 0 ? " = " : "", rc < 0 ? strerrorname_np(-rc) : "") < 0)
			abort();
		log_lines[log_count++] = line;
	}
	pthread_mutex_unlock(&lock);
}

void
rules_cut(void)
{
	pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	power = POWER_CUT;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void
rules_drain(void)
{
	pthread_mutex_lock(&lock);
	while (under_way)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void
rules_power_on(void)
{
	pthread_mutex_lock(&lock);
	power = POWER_ON;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- commands */

static int
find_op(const char *name)
{
	if (strcmp(name, "any") == 0)
		return ANY;
	if (strcmp(name, "change") == 0)
		return CHANGE;
	for (int i = 0; i < OPS; i++)
		if (strcmp(op_names[i], name) == 0)
			return i;
	return -1;
}

static bool
set_option(struct rule *r, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : 0;
	unsigned long n = value ? strtoul(value + 1, NULL, 10) : 0;

#define IS(name) (len == sizeof(name) - 1 && memcmp(word, name, len) == 0)
	if (IS("delay"))
		r->delay = strtod(value + 1, NULL);
	else if (IS("hang"))
		r->hang = n != 0;
	else if (IS("freeze"))
		r->freeze = n != 0;
	else if (IS("error"))
		r->verdict.error = (int)n;
	else if (IS("after"))
		r->verdict.after = n != 0;
	else if (IS("ignore"))
		r->verdict.ignore = n != 0;
	else if (IS("short"))
		r->verdict.shorten = n;
	else if (IS("direct"))
		r->has_direct = true, r->direct = n != 0;
	else if (IS("skip"))
		r->skip = n;
	else if (IS("every"))
		r->every = n;
	else if (IS("times"))
		r->times = n;
	else
		return false;
#undef IS
	return true;
}

static void
add_rule(char **save, FILE *out)
{
	const char *op = strtok_r(NULL, "\t", save), *glob = strtok_r(NULL, "\t", save), *word;
	struct rule r = {.op = op ? find_op(op) : -1};
	size_t i;

	if (!glob || r.op < 0 || strlen(glob) >= sizeof(r.glob)) {
		fprintf(out, "error rule: no such operation, or no pattern\n");
		return;
	}
	strcpy(r.glob, glob);
	r.id = ++last_id;
	while ((word = strtok_r(NULL, "\t", save)) != NULL)
		if (!set_option(&r, word)) {
			fprintf(out, "error rule: %s\n", word);
			return;
		}
	for (i = 0; i < RULES_MAX && rules[i].id; i++)
		;
	if (i == RULES_MAX) {
		fprintf(out, "error rule: there are %d already\n", RULES_MAX);
		return;
	}
	if (r.verdict.ignore && r.op != OP_FSYNC && r.op != OP_FSYNCDIR && r.op != OP_WRITE) {
		fprintf(out, "error rule: only fsync, fsyncdir and write can be ignored\n");
		return;
	}
	rules[i] = r;
	fprintf(out, "%u\n", r.id);
}

/* A rule is gone for what comes; what it holds up goes on as well, or a test could only end by unmounting. */
static void
remove_rule(const char *word)
{
	unsigned int id = word ? (unsigned int)strtoul(word, NULL, 10) : 0;

	for (size_t i = 0; i < RULES_MAX; i++)
		if (!word || rules[i].id == id)
			rules[i].id = 0;
	releases++;
}

static void
print_hits(const char *word, FILE *out)
{
	unsigned int id = word ? (unsigned int)strtoul(word, NULL, 10) : 0;

	for (size_t i = 0; i < RULES_MAX; i++)
		if (id && rules[i].id == id)
			fprintf(out, "%lu\n", rules[i].hits);
}

static void
clear_log(void)
{
	while (log_count)
		free(log_lines[--log_count]);
}

void
rules_command(char *line, FILE *out)
{
	static const char *const power_names[] = {"on", "frozen", "cut"};
	char *save = NULL;
	const char *word = strtok_r(line, "\t", &save);

	pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	if (!word) {
		fprintf(out, "error no command\n");
	} else if (strcmp(word, "rule") == 0) {
		add_rule(&save, out);
	} else if (strcmp(word, "remove") == 0) {
		remove_rule(strtok_r(NULL, "\t", &save));
	} else if (strcmp(word, "release") == 0) {
		releases++;
	} else if (strcmp(word, "thaw") == 0) {
		power = POWER_ON;
	} else if (strcmp(word, "hits") == 0) {
		print_hits(strtok_r(NULL, "\t", &save), out);
	} else if (strcmp(word, "waiting") == 0) {
		for (const struct waiting *w = waiting; w; w = w->next)
			fprintf(out, "%s %s\n", op_names[w->op], w->path);
	} else if (strcmp(word, "power") == 0) {
		fprintf(out, "%s\n", power_names[power]);
	} else if (strcmp(word, "counts") == 0) {
		for (int i = 0; i < OPS; i++)
			fprintf(out, "%s %lu\n", op_names[i], counts[i]);
	} else if (strcmp(word, "log") == 0) {
		for (size_t i = 0; i < log_count; i++)
			fprintf(out, "%s\n", log_lines[i]);
	} else if (strcmp(word, "forget-log") == 0) {
		clear_log();
		memset(counts, 0, sizeof(counts));
	} else {
		fprintf(out, "error %s: no such command\n", word);
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}
