/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "owner.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suggest.h"

/* A user or group number, as chown(2) takes it. */
static bool
is_number(const char *text, uint32_t *value)
{
	unsigned long long v = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (unsigned int)(*text - '0');
		if (v >= UINT32_MAX) /* -1 means "leave it" */
			return false;
	}
	*value = (uint32_t)v;
	return true;
}

static bool
find_user(const char *name, struct sl_owner *owner)
{
	const struct passwd *pw = getpwnam(name);

	if (pw != NULL) {
		owner->uid = pw->pw_uid;
		owner->gid = pw->pw_gid;
		return true;
	}
	if (!is_number(name, &owner->uid))
		return false;
	pw = getpwuid(owner->uid);
	owner->gid = pw != NULL ? pw->pw_gid : UINT32_MAX;
	return true;
}

static bool
find_group(const char *name, struct sl_owner *owner)
{
	const struct group *gr = getgrnam(name);

	if (gr != NULL) {
		owner->gid = gr->gr_gid;
		return true;
	}
	return is_number(name, &owner->gid);
}

static void
nearest_user(const char *name, char *near, size_t len)
{
	const struct passwd *pw;
	unsigned int best = UINT_MAX;

	near[0] = '\0';
	setpwent();
	while ((pw = getpwent()) != NULL) {
		unsigned int d = sl_suggest_distance(name, pw->pw_name);
		if (d < best && sl_suggest_is_near(name, d)) {
			best = d;
			snprintf(near, len, "%s", pw->pw_name);
		}
	}
	endpwent();
}

int
sl_owner_resolve(const char *text, struct sl_owner *owner, char *errbuf)
{
	char near[SL_OWNER_NAME_MAX];

	*owner = (struct sl_owner){0};
	if (*text == '\0' || strlen(text) >= SL_OWNER_NAME_MAX) {
		snprintf(errbuf, SL_OWNER_ERRBUF, "-Z needs a user, user.group or uid:gid");
		return -EINVAL;
	}
	snprintf(owner->user, sizeof(owner->user), "%s", text);
	/* A dot may belong to the user's name: the whole text first. */
	if (find_user(owner->user, owner))
		return 0;
	char *sep = strchr(owner->user, ':');
	if (sep == NULL)
		sep = strrchr(owner->user, '.');
	if (sep != NULL) {
		*sep = '\0';
		snprintf(owner->group, sizeof(owner->group), "%s", text + (sep - owner->user) + 1);
	}
	if (!find_user(owner->user, owner)) {
		nearest_user(owner->user, near, sizeof(near));
		if (near[0] != '\0')
			snprintf(errbuf, SL_OWNER_ERRBUF,
				"-Z: the user \"%.100s\" does not exist on this machine; did you mean \"%.100s\"?",
				owner->user, near);
		else
			snprintf(errbuf, SL_OWNER_ERRBUF,
				"-Z: the user \"%.100s\" does not exist on this machine; create it, or name another",
				owner->user);
		return -EINVAL;
	}
	if (sep != NULL && !find_group(owner->group, owner)) {
		snprintf(errbuf, SL_OWNER_ERRBUF,
			"-Z: the group \"%.100s\" does not exist on this machine; create it, or name another",
			owner->group);
		return -EINVAL;
	}
	return 0;
}
