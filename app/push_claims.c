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

#include "push_place.h"
#include "push_registry.h"

#define ERRBUF 1024
#define ANYBODY (-1)
#define NO_CONCERN (-2)
#define KEY_SIZE 48
#define TAIL 48 /* bytes of what is claimed that are readable in `ss -xl` */

struct claim {
	int fd; /* -1: none is needed, or none that counts is to be had */
	char key[KEY_SIZE]; /* "path/" or "log/" and a hash; "": none */
};

/* What a target writes to is claimed twice: as its text, and as the place that the text leads to now. */
enum { BY_TEXT, BY_PLACE, WAYS };

struct thing {
	struct claim claims[WAYS];
};

struct push_claims {
	struct thing *things;
	size_t count;
	struct push_registry *registry; /* NULL: none is to be had */
	char root[PUSH_PLACE_SIZE]; /* of this process: a text means the same for all that see the same root */
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
make_key(char key[KEY_SIZE], const char *kind, const char *text)
{
	snprintf(key, KEY_SIZE, "%s/%016llx%016llx", kind, (unsigned long long)hash(UINT64_C(0xcbf29ce484222325), text),
		(unsigned long long)hash(UINT64_C(0x9ae16a3b2f90404f), text));
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
take(struct claim *claim, const char *text, pid_t *owner)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(text);
	socklen_t size;
	int rc = 0;

	/* behind the zero byte that makes it abstract */
	len = (size_t)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "sluice/%s%s", claim->key,
		text + (len > TAIL ? len - TAIL : 0));
	if (len >= sizeof(address.sun_path) - 1)
		len = sizeof(address.sun_path) - 2;
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
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

static const struct claim *
find(const struct push_claims *claims, const char *key)
{
	for (size_t i = 0; claims && i < claims->count; i++)
		for (unsigned int way = 0; way < WAYS; way++)
			if (strcmp(claims->things[i].claims[way].key, key) == 0)
				return &claims->things[i].claims[way];
	return NULL;
}

/* A socket that this process has is shared until all who know it have given it up. */
static int
share(struct claim *claim, const struct claim *other)
{
	*claim = *other;
	claim->fd = other->fd < 0 ? -1 : dup(other->fd);
	return other->fd >= 0 && claim->fd < 0 ? -errno : 0;
}

static int
take_or_share(struct push_claims *new, const struct push_claims *old, struct claim *claim, const char *kind,
	const char *text, pid_t *owner)
{
	const struct claim *mine;
	char key[KEY_SIZE];
	int rc;

	make_key(key, kind, text);
	mine = find(new, key);
	if (!mine)
		mine = find(old, key);
	if (mine)
		return share(claim, mine);
	memcpy(claim->key, key, sizeof(key));
	rc = take(claim, text, owner);
	if (rc)
		claim->key[0] = '\0';
	return rc;
}

static int
add(struct push_claims *new, const struct push_claims *old, const char *kind, const char *path, pid_t *owner)
{
	char clean[PUSH_PLACE_SIZE], text[2 * PUSH_PLACE_SIZE], place[PUSH_PLACE_SIZE];
	struct thing *thing = &new->things[new->count++];
	int rc;

	thing->claims[BY_TEXT].fd = thing->claims[BY_PLACE].fd = -1;
	push_place_clean(path, clean);
	snprintf(text, sizeof(text), "%s%s", new->root, clean);
	rc = take_or_share(new, old, &thing->claims[BY_TEXT], kind, text, owner);
	if (rc)
		return rc;
	/* Where nothing is known of mounts the text has to do. */
	if (push_place_follow(path, clean) || push_place_name(clean, place))
		return 0;
	snprintf(text, sizeof(text), "place %s", place);
	return take_or_share(new, old, &thing->claims[BY_PLACE], kind, text, owner);
}

static void
say_busy(const struct sl_target_config *t, const char *log_dir, pid_t owner, char *errbuf)
{
	char process[32];

	if (log_dir)
		snprintf(errbuf, ERRBUF,
			"target \"%s\": %s writes a log of this name in %.500s; name another with --log-dir", t->desc,
			process_text(owner, process), log_dir);
	else
		snprintf(errbuf, ERRBUF,
			"target \"%s\": Path %.500s is being pushed to by %s; give this push another one, or stop that",
			t->desc, t->path, process_text(owner, process));
}

static int
add_target(struct push_claims *new, const struct push_claims *old, const struct sl_target_config *t,
	const char *log_dir, char *errbuf)
{
	char text[PUSH_PLACE_SIZE], cwd[PATH_MAX] = "";
	pid_t owner = 0;
	int rc;

	snprintf(text, sizeof(text), "%s%s", t->path, t->separator);
	rc = add(new, old, "path", text, &owner);
	if (rc == -EBUSY)
		say_busy(t, NULL, owner, errbuf);
	if (rc == 0 && log_dir) {
		if (log_dir[0] != '/' && !getcwd(cwd, sizeof(cwd)))
			cwd[0] = '\0';
		snprintf(text, sizeof(text), "%s/%s/%s", cwd, log_dir, t->file_desc);
		rc = add(new, old, "log", text, &owner);
		if (rc == -EBUSY)
			say_busy(t, log_dir, owner, errbuf);
	}
	if (rc && rc != -EBUSY)
		snprintf(errbuf, ERRBUF, "target \"%s\": a socket for its claim of %.500s: %s", t->desc, t->path,
			strerror(-rc));
	return rc;
}

/* Sockets with abstract names are seen within a network namespace; pushes in others are found by a registry. */
static int
add_to_registry(struct push_claims *new, const struct push_claims *old, const struct sl_config *config,
	const char *log_dir, char *errbuf)
{
	size_t kinds = log_dir ? 2 : 1, which = 0;
	const char **keys = calloc(WAYS * new->count + 1, sizeof(*keys));
	pid_t owner = 0;
	int rc = -ENOMEM;

	for (size_t i = 0; keys && i < WAYS * new->count; i++)
		keys[i] = new->things[i / WAYS].claims[i % WAYS].key;
	if (keys)
		rc = push_registry_enter(
			keys, WAYS * new->count, old ? old->registry : NULL, &new->registry, &which, &owner);
	free(keys);
	if (rc == -EBUSY) {
		which /= WAYS;
		say_busy(sl_config_target(config, which / kinds), which % kinds ? log_dir : NULL, owner, errbuf);
		return rc;
	}
	if (rc)
		fprintf(stderr,
			"sluice push: %s: %s; pushes to the same Paths from other network namespaces are not seen\n",
			push_registry_path(), strerror(-rc));
	return 0;
}

int
push_claims_next(const struct push_claims *old, const struct sl_config *config, const char *log_dir,
	struct push_claims **next, char *errbuf)
{
	size_t targets = sl_config_targets(config);
	struct push_claims *new = calloc(1, sizeof(*new));
	int rc = -ENOMEM;

	if (new)
		new->things = calloc(2 * targets + 1, sizeof(*new->things));
	if (!new || !new->things) {
		snprintf(errbuf, ERRBUF, "out of memory");
		goto err;
	}
	if (push_place_name("/", new->root))
		new->root[0] = '\0';
	for (size_t i = 0; i < targets; i++) {
		rc = add_target(new, old, sl_config_target(config, i), log_dir, errbuf);
		if (rc)
			goto err;
	}
	rc = add_to_registry(new, old, config, log_dir, errbuf);
	if (rc)
		goto err;
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
	for (size_t i = 0; claims->things && i < claims->count; i++)
		for (unsigned int way = 0; way < WAYS; way++)
			if (claims->things[i].claims[way].fd >= 0)
				close(claims->things[i].claims[way].fd);
	push_registry_leave(claims->registry);
	free(claims->things);
	free(claims);
}
