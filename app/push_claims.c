/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "push_claims.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ERRBUF 1024
#define NAME_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)
#define ANYBODY (-1)
#define NO_CONCERN (-2)
#define TAIL 48 /* bytes of what is claimed that are readable in `ss -xl` */

struct claim {
	int fd;
	char name[NAME_SIZE]; /* without the leading zero byte */
};

struct push_claims {
	struct claim *claims;
	size_t count;
};

/* FNV-1a; two of them with different beginnings make a name of 128 bits. */
static uint64_t
hash(uint64_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return h;
}

static void
make_name(char name[NAME_SIZE], const char *kind, const char *text)
{
	size_t len = strlen(text);

	snprintf(name, NAME_SIZE, "sluice/%s/%016llx%016llx%s", kind,
		(unsigned long long)hash(UINT64_C(0xcbf29ce484222325), text),
		(unsigned long long)hash(UINT64_C(0x9ae16a3b2f90404f), text), text + (len > TAIL ? len - TAIL : 0));
}

/* "/a//b/./c/../x" -> "/a/b/x": a Path is absolute, and its last part need not be there. */
static void
clean_path(const char *path, char *out)
{
	size_t n = 0;

	for (const char *p = path; *p != '\0';) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && *p == '.')) {
			out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
		/* a slash at the end is the difference between a directory and the beginning of a name */
		if (*p == '/' && p[strspn(p, "/")] == '\0')
			out[n++] = '/';
	}
	out[n] = '\0';
}

/*
 * Who listens there. @return its process number; 0: nobody any more; ANYBODY: it is not known, since so many have asked
 * before; NO_CONCERN: somebody who has no business with our names
 */
static pid_t
owner_of(int fd, const struct sockaddr_un *address, socklen_t len)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (connect(fd, (const struct sockaddr *)address, len) < 0)
		return errno == ECONNREFUSED ? 0 : ANYBODY;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return ANYBODY;
	/* Anybody may take any name: what an ordinary user takes does not stop root's push. */
	if (peer.uid != 0 && peer.uid != geteuid())
		return NO_CONCERN;
	return peer.pid;
}

static const char *
process_text(pid_t pid, char text[32])
{
	if (pid > 0)
		snprintf(text, 32, "process %ld", (long)pid);
	else
		snprintf(text, 32, "another process");
	return text;
}

/* @return 0; -EBUSY and *owner; other -errno of socket() */
static int
take(struct claim *claim, pid_t *owner)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(claim->name);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
	int rc = 0;

	memcpy(address.sun_path + 1, claim->name, len);
	claim->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (claim->fd < 0)
		return -errno;
	if (bind(claim->fd, (const struct sockaddr *)&address, size) == 0) {
		/* Others learn by it who has the name. Nobody is ever accepted, so each that asks takes a place for
		 * good. */
		if (listen(claim->fd, SOMAXCONN) == 0)
			return 0;
		rc = -errno;
	} else if (errno == EADDRINUSE) {
		*owner = owner_of(claim->fd, &address, size);
		rc = *owner > 0 || *owner == ANYBODY ? -EBUSY : 0;
	} else {
		rc = -errno;
	}
	close(claim->fd);
	claim->fd = -1;
	return rc;
}

static struct claim *
find(const struct push_claims *claims, const char *name)
{
	for (size_t i = 0; claims && i < claims->count; i++)
		if (strcmp(claims->claims[i].name, name) == 0)
			return &claims->claims[i];
	return NULL;
}

/* Add a claim, unless this process has it. An old claim's socket is shared until the old ones are freed. */
static int
add(struct push_claims *new, const struct push_claims *old, const char *kind, const char *text, pid_t *owner)
{
	struct claim *claim = &new->claims[new->count];
	const struct claim *before;
	int rc;

	make_name(claim->name, kind, text);
	if (find(new, claim->name))
		return 0;
	before = find(old, claim->name);
	if (before) {
		claim->fd = before->fd < 0 ? -1 : dup(before->fd);
		rc = before->fd >= 0 && claim->fd < 0 ? -errno : 0;
	} else {
		rc = take(claim, owner);
	}
	if (rc == 0)
		new->count++;
	return rc;
}

static int
add_target(struct push_claims *new, const struct push_claims *old, const struct sl_target_config *t,
	const char *log_dir, char *errbuf)
{
	char text[2 * PATH_MAX], clean[2 * PATH_MAX], process[32];
	pid_t owner = 0;
	int rc;

	snprintf(text, sizeof(text), "%s%s", t->path, t->separator);
	clean_path(text, clean);
	rc = add(new, old, "path", clean, &owner);
	if (rc == -EBUSY) {
		snprintf(errbuf, ERRBUF,
			"target \"%s\": Path %.500s is being pushed to by %s; give this push another one, or stop that",
			t->desc, t->path, process_text(owner, process));
		return rc;
	}
	if (rc == 0 && log_dir) {
		char real[PATH_MAX];

		snprintf(text, sizeof(text), "%s/%s", realpath(log_dir, real) ? real : log_dir, t->file_desc);
		clean_path(text, clean);
		rc = add(new, old, "log", clean, &owner);
		if (rc == -EBUSY)
			snprintf(errbuf, ERRBUF,
				"target \"%s\": %s writes a log of this name in %.500s; name another with --log-dir",
				t->desc, process_text(owner, process), log_dir);
	}
	if (rc && rc != -EBUSY)
		snprintf(errbuf, ERRBUF, "target \"%s\": a socket for its claim of %.500s: %s", t->desc, t->path,
			strerror(-rc));
	return rc;
}

int
push_claims_next(const struct push_claims *old, const struct sl_config *config, const char *log_dir,
	struct push_claims **next, char *errbuf)
{
	size_t targets = sl_config_targets(config);
	struct push_claims *new = calloc(1, sizeof(*new));
	int rc = -ENOMEM;

	if (new)
		new->claims = calloc(2 * targets + 1, sizeof(*new->claims));
	if (!new || !new->claims) {
		snprintf(errbuf, ERRBUF, "out of memory");
		goto err;
	}
	for (size_t i = 0; i < targets; i++) {
		rc = add_target(new, old, sl_config_target(config, i), log_dir, errbuf);
		if (rc)
			goto err;
	}
	*next = new;
	return 0;
err:
	push_claims_release(new);
	return rc;
}

int
push_claims_take(struct push_claims **claims, const struct sl_config *config, const char *log_dir, char *errbuf)
{
	struct push_claims *next;
	int rc = push_claims_next(*claims, config, log_dir, &next, errbuf);

	if (rc)
		return rc;
	push_claims_release(*claims);
	*claims = next;
	return 0;
}

void
push_claims_release(struct push_claims *claims)
{
	if (!claims)
		return;
	for (size_t i = 0; claims->claims && i < claims->count; i++)
		if (claims->claims[i].fd >= 0)
			close(claims->claims[i].fd);
	free(claims->claims);
	free(claims);
}
