/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What the user named: directories, files that may still be to come; nothing twice.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "follow.h"

int
follow_refuse(struct follow *f, const char *fmt, ...)
{
	char line[SL_CAPTURE_ERRBUF];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	import_say(&f->im, line);
	return -EINVAL;
}

static int
name_source(struct follow *f, struct follow_source *s, const char *given)
{
	char path[PATH_MAX], *slash;
	const char *name;
	struct stat st;

	s->given = given;
	s->watch = -1;
	s->rescan = true;
	if (strlen(given) >= sizeof(path))
		return follow_refuse(f, "%s: too long a path", given);
	if (stat(given, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (realpath(given, s->dir) == NULL)
			return follow_refuse(f, "%s: %s", given, strerror(errno));
		return 0;
	}
	if (!strcmp(given, "-") || (stat(given, &st) == 0 && !S_ISREG(st.st_mode)))
		return follow_refuse(f,
			"%s: a pipe cannot be followed beside other sources; import it alone, into a store of its own",
			strcmp(given, "-") ? given : "standard input");
	/* A file, perhaps one that is still to come. */
	strcpy(path, given);
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	if (name[0] == '\0')
		return follow_refuse(f, "%s: no such directory; it must exist before it is followed", given);
	if (strlen(name) > NAME_MAX)
		return follow_refuse(f, "%s: too long a name", given);
	memcpy(s->only, name, strlen(name) + 1);
	if (slash)
		*slash = '\0';
	if (realpath(slash == NULL ? "." : path[0] ? path : "/", s->dir) == NULL)
		return follow_refuse(f, "%s: %s", given, strerror(errno));
	return 0;
}

int
follow_name_sources(struct follow *f)
{
	const struct sl_import_params *params = f->im.params;
	int ret = 0;

	for (size_t i = 0; i < params->file_count; i++) {
		struct follow_source *s = &f->sources[i];

		if (name_source(f, s, params->files[i]) < 0)
			ret = -EINVAL;
		for (size_t j = 0; j < i && ret == 0; j++)
			if (!strcmp(f->sources[j].dir, s->dir) &&
				(!f->sources[j].only[0] || !s->only[0] || !strcmp(f->sources[j].only, s->only)))
				ret = follow_refuse(f, "%s: is followed already by %s; name each file once", s->given,
					f->sources[j].given);
	}
	return ret;
}
