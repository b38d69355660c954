/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "eal_telemetry.h"
#include "sl_store.h"
#include "status.h"

#define ANSWER_S 3 /* a process that is stopped or swapped out keeps nobody waiting for longer */
#define COMMAND_SIZE 64
#define ANSWER_MAX (1u << 20)
#define TARGETS_MAX 65536

/* ---------------------------------------------------------------- one socket */

struct line {
	int fd;
	char *buf;
	size_t size;
};

/* An answer, parsed; NULL: there was none, or it is not JSON. */
static json_t *
receive(const struct line *line)
{
	ssize_t n = recv(line->fd, line->buf, line->size, 0);

	return n > 0 ? json_loadb(line->buf, (size_t)n, 0, NULL) : NULL;
}

/*
 * What the answer to a command holds, without the command's name around it. A process that does not know the command
 * says null.
 */
static json_t *
ask(const struct line *line, const char *command)
{
	char name[COMMAND_SIZE];
	json_t *answer, *value;

	if (send(line->fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		return NULL;
	answer = receive(line);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(command, ","), command);
	value = json_incref(json_object_get(answer, name));
	json_decref(answer);
	return value;
}

/* A command about one of several. */
static const char *
about(char text[COMMAND_SIZE], const char *command, size_t number)
{
	snprintf(text, COMMAND_SIZE, "%s,%zu", command, number);
	return text;
}

/* ---------------------------------------------------------------- texts */

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "%C3%BC" -> the two bytes of a letter; in place. */
static void
decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		int high = *text == '%' ? hex_digit(text[1]) : -1, low = high >= 0 ? hex_digit(text[2]) : -1;

		if (low >= 0 && (high | low) != 0) {
			*to++ = (char)(high << 4 | low);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* File names may hold any bytes, but JSON is UTF-8 (RFC 8259 section 8.1): what is none (RFC 3629 section 4) becomes
 * '?'. */
static void
make_utf8(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		int more = *p >= 0xc2 && *p < 0xe0 ? 1 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xf0 && *p < 0xf5 ? 3 : 0;
		int n = 0;

		if (*p < 0x80)
			continue;
		while (n < more && (p[n + 1] & 0xc0) == 0x80)
			n++;
		if (more == 0 || n < more || (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
			(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
			*p = '?';
		else
			p += more;
	}
}

/* A text that a command of its own tells; NULL: none. */
static json_t *
ask_text(const struct line *line, const char *command)
{
	json_t *answer = ask(line, command), *text = NULL;
	char *copy = json_is_string(answer) ? strdup(json_string_value(answer)) : NULL;

	if (copy) {
		decode(copy);
		make_utf8(copy);
		text = json_string(copy);
	}
	free(copy);
	json_decref(answer);
	return text;
}

/* ---------------------------------------------------------------- a push */

static json_int_t
whole(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* A member of nanoseconds becomes one of seconds. */
static void
to_seconds(json_t *object, const char *ns, const char *s)
{
	json_object_set_new(object, s, json_real((double)whole(object, ns) / 1e9));
	json_object_del(object, ns);
}

/* Why it does not take what there is. */
static void
set_reason(json_t *target)
{
	const char *state = json_string_value(json_object_get(target, "state"));

	if (!state)
		return;
	if (strcmp(state, "failing") == 0 || strcmp(state, "gave up") == 0)
		json_object_set(target, "reason", json_object_get(target, "last_error"));
	else if (strcmp(state, "parked") == 0)
		json_object_set_new(target, "reason",
			json_string("where it writes hangs or crawls; the others go on, and it will catch up"));
}

static json_t *
ask_target(const struct line *line, size_t number)
{
	char command[COMMAND_SIZE], at[SL_TIME_SIZE], warning[128];
	json_t *target = ask(line, about(command, "/sluice/target", number));

	if (!json_is_object(target)) {
		json_decref(target);
		return NULL;
	}
	json_object_set_new(target, "desc", ask_text(line, about(command, "/sluice/desc", number)));
	json_object_set_new(target, "last_file", ask_text(line, about(command, "/sluice/last_file", number)));
	json_object_set_new(target, "last_error", ask_text(line, about(command, "/sluice/last_error", number)));
	if (whole(target, "error_ns") != 0) {
		sl_time_format((uint64_t)whole(target, "error_ns"), at);
		json_object_set_new(target, "last_error_at", json_string(at));
	}
	json_object_del(target, "error_ns");
	set_reason(target);
	to_seconds(target, "lag_ns", "lag_s");
	if (whole(target, "lag_warning") != 0) {
		snprintf(warning, sizeof(warning),
			"lies %d %% of the store's history behind: at 100 %% packets are removed before it has them",
			(int)whole(target, "lag_percent"));
		json_object_set_new(target, "warning", json_string(warning));
	}
	return target;
}

/* {"reader/cpu": 0, "reader/busy_percent": 3, ...} -> [{"name": "reader", "cpu": 0, "busy_percent": 3}, ...] */
static json_t *
make_lcores(json_t *flat)
{
	json_t *lcores = json_array(), *value;
	const char *key;

	json_object_foreach(flat, key, value)
	{
		const char *slash = strchr(key, '/');
		char busy[96];
		json_t *lcore;

		if (!slash || strcmp(slash, "/cpu") != 0)
			continue;
		snprintf(busy, sizeof(busy), "%.*s/busy_percent", (int)(slash - key), key);
		lcore = json_object();
		json_object_set_new(lcore, "name", json_stringn(key, (size_t)(slash - key)));
		json_object_set(lcore, "cpu", value);
		json_object_set(lcore, "busy_percent", json_object_get(flat, busy));
		json_array_append_new(lcores, lcore);
	}
	return lcores;
}

static void
set_problem(json_t *process, const char *what)
{
	json_object_set_new(process, "problem", json_string(what));
}

static void
ask_push(const struct line *line, json_t *process, json_t *push)
{
	static const char *const texts[] = {"config", "store", "state_dir"};
	json_int_t count = whole(push, "targets");
	json_t *targets = json_array(), *flat;

	json_object_del(push, "targets");
	to_seconds(push, "running_ns", "running_s");
	json_object_update(process, push);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char command[COMMAND_SIZE];

		snprintf(command, sizeof(command), "/sluice/%s", texts[i]);
		json_object_set_new(process, texts[i], ask_text(line, command));
	}
	flat = ask(line, "/sluice/lcores");
	json_object_set_new(process, "lcores", make_lcores(flat));
	json_decref(flat);
	json_object_set_new(process, "targets", targets);
	for (json_int_t t = 0; t < count && t < TARGETS_MAX; t++) {
		json_t *target = ask_target(line, (size_t)t);

		if (!target) {
			set_problem(process, "stopped answering");
			return;
		}
		json_array_append_new(targets, target);
	}
}

/* ---------------------------------------------------------------- all sockets */

/* Is it a sluice that listens there? Others may be as slow as they like. */
static bool
is_sluice(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strcmp(name, "sluice\n") == 0;
}

/* @return a connected socket; -EAGAIN: who listens takes no connections; another -errno: nobody does, or not for us */
static int
open_line(const char *path, pid_t *pid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = ANSWER_S};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	*pid = peer.pid;
	return fd;
}

static json_t *
new_process(const char *path, pid_t pid)
{
	json_t *process = json_object();

	json_object_set_new(process, "pid", pid > 0 ? json_integer(pid) : json_null());
	json_object_set_new(process, "socket", json_string(path));
	return process;
}

static void
ask_process(const struct line *line, const char *path, pid_t pid, json_t *pushes, json_t *captures)
{
	json_t *greeting = receive(line), *push = NULL, *capture = NULL, *process;

	if (greeting) {
		push = ask(line, "/sluice/push");
		capture = ask(line, "/sluice/capture");
	}
	if (json_is_object(push)) {
		process = new_process(path, pid);
		ask_push(line, process, push);
		json_array_append_new(pushes, process);
	}
	if (json_is_object(capture)) {
		process = new_process(path, pid);
		json_object_update(process, capture);
		json_array_append_new(captures, process);
	}
	if (!push && is_sluice(pid)) {
		process = new_process(path, pid);
		set_problem(process, "does not answer");
		json_array_append_new(pushes, process);
	}
	json_decref(capture);
	json_decref(push);
	json_decref(greeting);
}

static void
ask_socket(const char *path, json_t *pushes, json_t *captures)
{
	struct line line = {.size = ANSWER_MAX};
	pid_t pid = 0;

	line.fd = open_line(path, &pid);
	if (line.fd == -EAGAIN && strstr(path, "/dpdk/" EAL_FILE_PREFIX)) {
		json_t *process = new_process(path, 0);

		/* Its queue is full: it has not answered others either. */
		set_problem(process, "does not answer");
		json_array_append_new(pushes, process);
	}
	if (line.fd < 0)
		return;
	line.buf = malloc(line.size);
	if (line.buf)
		ask_process(&line, path, pid, pushes, captures);
	free(line.buf);
	close(line.fd);
}

/* One file prefix: its process, and others of the same prefix. */
static void
ask_prefix(const char *path, json_t *pushes, json_t *captures)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, versionsort);

	if (n < 0) {
		if (errno == EACCES)
			fprintf(stderr, "sluice status: %s: %s; ask as the user who runs what is there\n", path,
				strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		char name[PATH_MAX];

		if (snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name) < (int)sizeof(name) &&
			strncmp(entries[i]->d_name, EAL_SOCKET_NAME, strlen(EAL_SOCKET_NAME)) == 0)
			ask_socket(name, pushes, captures);
		free(entries[i]);
	}
	free(entries);
}

static void
ask_root(const char *root, json_t *pushes, json_t *captures)
{
	char path[PATH_MAX];
	struct dirent **entries;
	int n;

	snprintf(path, sizeof(path), "%s/dpdk", root);
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char name[PATH_MAX];

		if (entries[i]->d_name[0] != '.' &&
			snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name) < (int)sizeof(name))
			ask_prefix(name, pushes, captures);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

json_t *
status_ask(void)
{
	/* As EAL chooses (eal_create_runtime_dir()): the service manager's word alone, else by user; any user's here.
	 */
	const char *own = getenv("RUNTIME_DIRECTORY");
	const char *const roots[] = {
		own, own ? NULL : "/var/run", own ? NULL : getenv("XDG_RUNTIME_DIR"), own ? NULL : "/tmp"};
	char seen[4][PATH_MAX];
	json_t *document = json_object(), *pushes = json_array(), *captures = json_array();
	size_t count = 0;

	for (size_t i = 0; i < 4; i++) {
		bool again = false;

		if (!roots[i] || !realpath(roots[i], seen[count]))
			continue;
		for (size_t k = 0; k < count; k++)
			again = again || strcmp(seen[k], seen[count]) == 0;
		if (again)
			continue;
		ask_root(seen[count], pushes, captures);
		count++;
	}
	json_object_set_new(document, "pushes", pushes);
	json_object_set_new(document, "captures", captures);
	return document;
}

int
status_verdict(const json_t *document)
{
	const json_t *pushes = json_object_get(document, "pushes"), *captures = json_object_get(document, "captures");
	bool well = true;

	if (json_array_size(pushes) + json_array_size(captures) == 0)
		return SL_EXIT_REFUSED;
	for (size_t i = 0; i < json_array_size(pushes); i++) {
		const json_t *push = json_array_get(pushes, i), *targets = json_object_get(push, "targets");

		well = well && !json_object_get(push, "problem");
		for (size_t t = 0; t < json_array_size(targets); t++) {
			const char *state = json_string_value(json_object_get(json_array_get(targets, t), "state"));

			well = well && state && strcmp(state, "failing") != 0 && strcmp(state, "parked") != 0 &&
			       strcmp(state, "gave up") != 0;
		}
	}
	return well ? SL_EXIT_OK : SL_EXIT_FAILED;
}
