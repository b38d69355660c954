/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "push_place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mount.h"

#define LINKS_MAX 40u /* as the kernel */

void
push_place_clean(const char *path, char *out)
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
		if (*p == '/' && p[strspn(p, "/")] == '\0')
			out[n++] = '/';
	}
	out[n] = '\0';
}

struct walk {
	char done[PUSH_PLACE_SIZE]; /* no link in it, as far as is known */
	char rest[PUSH_PLACE_SIZE];
	unsigned int links;
	bool look; /* links are followed; else the rest is text */
	bool clear; /* of all that is left nothing lies on another file system */
};

/* Is done itself on a file system that answers for sure? */
static bool
may_look(struct walk *w)
{
	struct sl_mount mount;

	if (w->clear)
		return true;
	return sl_mount_find(w->done, &mount) == 0 && !sl_mount_may_hang(&mount);
}

/* With nothing mounted further down the way there is no need to look at each step. */
static void
look_ahead(struct walk *w)
{
	char whole[PUSH_PLACE_SIZE];
	struct sl_mount mount;

	/* `..` goes back from where nobody else leads */
	w->clear = !strstr(w->rest, "..") &&
		   snprintf(whole, sizeof(whole), "%s/%s", w->done, w->rest) < (int)sizeof(whole) &&
		   sl_mount_find(whole, &mount) == 0 && strcmp(mount.point, "/") == 0 && !sl_mount_may_hang(&mount);
}

/* The newest component of done is a link: go on where it leads. */
static int
take_link(struct walk *w, const char *to)
{
	char rest[PUSH_PLACE_SIZE];

	if (snprintf(rest, sizeof(rest), "%s/%s", to, w->rest) >= (int)sizeof(rest))
		return -ENAMETOOLONG;
	strcpy(w->rest, rest);
	*strrchr(w->done, '/') = '\0';
	if (to[0] == '/')
		w->done[0] = '\0';
	look_ahead(w);
	return 0;
}

static int
step(struct walk *w, const char *name, size_t len)
{
	size_t end = strlen(w->done);
	char to[PATH_MAX];
	ssize_t n;

	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		if (end > 0)
			*strrchr(w->done, '/') = '\0';
		return 0;
	}
	if (end + 1 + len >= sizeof(w->done))
		return -ENAMETOOLONG;
	sprintf(w->done + end, "/%.*s", (int)len, name);
	if (!w->look || !may_look(w)) {
		w->look = false;
		return 0;
	}
	n = readlink(w->done, to, sizeof(to) - 1);
	if (n < 0) {
		/* EINVAL: it is there, and no link */
		w->look = errno == EINVAL;
		return 0;
	}
	to[n] = '\0';
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	return take_link(w, to);
}

/* Bytes of a Path's directory, as far as it is the same for every file. */
static size_t
fixed_length(const char *path)
{
	size_t len = strcspn(path, "%");

	while (len > 0 && path[len - 1] != '/')
		len--;
	return len;
}

int
push_place_follow(const char *path, char *out)
{
	size_t fixed = fixed_length(path);
	struct walk w = {.look = true};
	int rc;

	if (strlen(path) >= sizeof(w.rest))
		return -ENAMETOOLONG;
	snprintf(w.rest, sizeof(w.rest), "%.*s", (int)fixed, path);
	look_ahead(&w);
	while (w.rest[0] != '\0') {
		char name[PATH_MAX];
		size_t len = strcspn(w.rest, "/"), next = len + strspn(w.rest + len, "/");

		if (len >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, w.rest, len);
		memmove(w.rest, w.rest + next, strlen(w.rest + next) + 1);
		rc = step(&w, name, len);
		if (rc == -ELOOP)
			w.look = false;
		else if (rc)
			return rc;
	}
	if (snprintf(w.rest, sizeof(w.rest), "%s/%s", w.done, path + fixed) >= (int)sizeof(w.rest))
		return -ENAMETOOLONG;
	push_place_clean(w.rest, out);
	return 0;
}

int
push_place_name(const char *path, char *out)
{
	struct sl_mount mount;
	int rc = sl_mount_find(path, &mount);
	int n;

	if (rc)
		return rc;
	n = snprintf(out, PUSH_PLACE_SIZE, "%u:%u:%s%s", mount.major, mount.minor,
		strcmp(mount.root, "/") == 0 ? "" : mount.root,
		path + (strcmp(mount.point, "/") == 0 ? 0 : strlen(mount.point)));
	return n < PUSH_PLACE_SIZE ? 0 : -ENAMETOOLONG;
}
