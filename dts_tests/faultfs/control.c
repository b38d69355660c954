/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Commands from outside: one a connection, a line of words separated by tabs; the answer ends with the connection.
 *
 *     rule OPERATION GLOB [delay=S] [hang=1] [error=ERRNO] [after=1] [ignore=1] [short=BYTES] [freeze=1]
 *          [direct=0|1] [skip=N] [every=N] [times=N]      answers the rule's number
 *     remove [RULE]   hits RULE   release   waiting   counts   log   forget-log   power   thaw
 *     cut             nothing has an effect any more; all but writes and their fsync fail
 *     loss [SEED]     after cut: only what was fsynced is there, and with a seed some of the rest; the power is on
 * again
 */

#include "control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "forget.h"
#include "rules.h"

static int listener;
static pid_t parent;

static void
loss(const char *seed, FILE *out)
{
	int rc;

	rules_drain();
	forget_lock();
	rc = forget_loss(seed ? strtoull(seed, NULL, 10) : 0, out);
	forget_unlock();
	if (rc < 0)
		fprintf(out, "error loss: %s\n", strerror(-rc));
	else
		rules_power_on();
}

static void
command(char *line, FILE *out)
{
	if (strcmp(line, "cut") == 0)
		rules_cut();
	else if (strncmp(line, "loss", 4) == 0)
		loss(line[4] == '\t' ? line + 5 : NULL, out);
	else
		rules_command(line, out);
}

static void
serve(int fd)
{
	char line[8192];
	size_t len = 0, size = 0;
	char *text = NULL;
	FILE *out;

	while (len < sizeof(line) - 1) {
		ssize_t n = read(fd, line + len, sizeof(line) - 1 - len);

		if (n <= 0)
			return;
		len += (size_t)n;
		if (memchr(line, '\n', len))
			break;
	}
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	out = open_memstream(&text, &size);
	if (!out)
		return;
	command(line, out);
	fclose(out);
	for (size_t at = 0; at < size;) {
		ssize_t n = send(fd, text + at, size - at, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	free(text);
}

static void *
control_main(void *arg)
{
	struct pollfd wait = {.fd = listener, .events = POLLIN};

	(void)arg;
	for (;;) {
		int fd;

		/* whoever started it is gone: a mount that nobody looks after hangs all who touch it */
		if (getppid() != parent)
			_exit(1);
		if (poll(&wait, 1, 500) <= 0)
			continue;
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		serve(fd);
		close(fd);
	}
	return NULL;
}

int
control_start(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pthread_t thread;
	int rc;

	parent = getppid();
	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "%s: too long for the name of a socket\n", path);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 16) < 0) {
		perror(path);
		return -errno;
	}
	rc = pthread_create(&thread, NULL, control_main, NULL);
	if (rc)
		fprintf(stderr, "thread: %s\n", strerror(rc));
	return -rc;
}
