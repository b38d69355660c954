/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define CONFIG_SIZE_MAX (8u << 20)
#define FINDINGS_MAX 1000u /* beyond that nobody reads them */
#define FINDING_MAX 4096u
#define FIELD_NAME_MAX 100u

struct sl_kept {
	struct sl_kept *next;
	char text[];
};

const char *
sl_config_keep(struct sl_config *config, const char *text)
{
	size_t len = strlen(text);
	struct sl_kept *k = malloc(sizeof(*k) + len + 1);

	if (k == NULL) {
		config->oom = true;
		return "";
	}
	memcpy(k->text, text, len + 1);
	k->next = config->kept;
	config->kept = k;
	return k->text;
}

void
sl_config_ignore(struct sl_config *config, const char *name, unsigned int line)
{
	size_t len = strlen(name), used = strlen(config->ignored);

	for (const char *p = config->ignored; (p = strstr(p, name)) != NULL; p += len)
		if ((p == config->ignored || p[-1] == ' ') && (p[len] == ',' || p[len] == '\0'))
			return;
	if (used + len + 3 > sizeof(config->ignored))
		return;
	snprintf(config->ignored + used, sizeof(config->ignored) - used, "%s%s", used > 0 ? ", " : "", name);
	if (config->ignored_line == 0 || line < config->ignored_line)
		config->ignored_line = line;
}

struct sl_target_config *
sl_config_add_target(struct sl_config *config, int table)
{
	size_t n = config->n_targets;

	if ((n & (n - 1)) == 0) {
		size_t room = n == 0 ? 1 : 2 * n;
		struct sl_target_config *targets = realloc(config->targets, room * sizeof(*targets));
		if (targets == NULL)
			goto err;
		config->targets = targets;
		struct sl_target_place *places = realloc(config->places, room * sizeof(*places));
		if (places == NULL)
			goto err;
		config->places = places;
	}
	config->targets[n] = (struct sl_target_config){
		.desc = "",
		.file_desc = "",
		.path = "",
		.separator = "",
		.name_mode = SL_NAME_TSTR_HHMMSS,
		.name_format = "",
		.filter = "",
		.file_suffix = ".pcap",
		.owner_uid = UINT32_MAX,
		.owner_gid = UINT32_MAX,
		.follow_start = config->follow_start,
		.min_free = UINT64_MAX,
	};
	config->places[n] = (struct sl_target_place){.table = table};
	return &config->targets[config->n_targets++];
err:
	config->oom = true;
	return NULL;
}

/* ---------------------------------------------------------------- findings */

/* What the file says may hold anything; a finding is one line of text. */
static const char *
keep_line(struct sl_config *config, const char *text, size_t max)
{
	char *clean = strndup(text, max);

	if (clean == NULL) {
		config->oom = true;
		return "";
	}
	for (char *p = clean; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	const char *kept = sl_config_keep(config, clean);
	free(clean);
	return kept;
}

bool
sl_config_findings_full(const struct sl_config *config)
{
	return config->n_findings > FINDINGS_MAX;
}

static void
add_finding(struct sl_config *config, bool is_error, unsigned int line, const char *target, const char *field,
	const char *text)
{
	size_t n = config->n_findings;

	config->n_errors += is_error;
	if (n == FINDINGS_MAX) {
		text = "there are more findings than can be shown";
		line = 0;
		target = field = "";
	} else if (n > FINDINGS_MAX) {
		return;
	}
	if ((n & (n - 1)) == 0) {
		struct sl_config_finding *f = realloc(config->findings, (n == 0 ? 1 : 2 * n) * sizeof(*f));
		if (f == NULL) {
			config->oom = true;
			return;
		}
		config->findings = f;
	}
	config->findings[config->n_findings++] = (struct sl_config_finding){
		.is_error = is_error,
		.line = line,
		.target = keep_line(config, target, SL_DESC_MAX),
		.field = keep_line(config, field, FIELD_NAME_MAX),
		.text = keep_line(config, text, FINDING_MAX),
	};
}

void
sl_config_add_finding(struct sl_config *config, bool is_error, unsigned int line, const char *target, const char *field,
	const char *fmt, ...)
{
	char text[FINDING_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_finding(config, is_error, line, target != NULL ? target : "", field != NULL ? field : "", text);
}

size_t
sl_config_findings(const struct sl_config *config)
{
	return config->n_findings;
}

const struct sl_config_finding *
sl_config_finding(const struct sl_config *config, size_t i)
{
	return &config->findings[i];
}

size_t
sl_config_errors(const struct sl_config *config)
{
	return config->n_errors;
}

static int
by_line(const void *a, const void *b)
{
	const struct sl_config_finding *x = *(const struct sl_config_finding *const *)a;
	const struct sl_config_finding *y = *(const struct sl_config_finding *const *)b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	/* The order of the array is the order in which they were found. */
	return x < y ? -1 : x > y;
}

void
sl_config_print_findings(const struct sl_config *config, FILE *out)
{
	const size_t size = sizeof(const struct sl_config_finding *);
	const struct sl_config_finding **sorted = calloc(config->n_findings + 1, size);

	for (size_t i = 0; sorted != NULL && i < config->n_findings; i++)
		sorted[i] = &config->findings[i];
	if (sorted != NULL)
		qsort(sorted, config->n_findings, size, by_line);
	for (size_t i = 0; i < config->n_findings; i++) {
		const struct sl_config_finding *f = sorted != NULL ? sorted[i] : &config->findings[i];

		fprintf(out, "%s:", config->path);
		if (f->line > 0)
			fprintf(out, "%u:", f->line);
		fprintf(out, " %s: ", f->is_error ? "error" : "warning");
		if (f->target[0] != '\0')
			fprintf(out, "%s \"%s\": ", config->noun, f->target);
		if (f->field[0] != '\0')
			fprintf(out, "%s: ", f->field);
		fprintf(out, "%s\n", f->text);
	}
	free(sorted);
}

/* ---------------------------------------------------------------- loading */

static int
read_file(struct sl_config *config, const char *path)
{
	struct stat st;
	int rc = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = -errno;
		goto err;
	}
	if (S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
		goto err;
	}
	config->text = malloc(CONFIG_SIZE_MAX + 1);
	if (config->text == NULL) {
		rc = -ENOMEM;
		goto err;
	}
	for (;;) {
		ssize_t n = read(fd, config->text + config->text_len, CONFIG_SIZE_MAX - config->text_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = -errno;
			goto err;
		}
		if (n == 0)
			break;
		config->text_len += (size_t)n;
		if (config->text_len == CONFIG_SIZE_MAX) {
			rc = -EFBIG;
			goto err;
		}
	}
	config->text[config->text_len] = '\0';
	char *fit = realloc(config->text, config->text_len + 1);
	if (fit != NULL)
		config->text = fit;
err:
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Lua's loader of files passes over a byte order mark and a first line with '#'; its loader of buffers does not. */
static void
blank_prefix(char *text, size_t len)
{
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		memset(text, ' ', 3);
		text += 3;
	}
	if (*text == '#')
		for (; *text != '\0' && *text != '\n'; text++)
			*text = ' ';
}

static void
sandbox_finding(void *arg, bool is_error, unsigned int line, const char *text)
{
	sl_config_add_finding(arg, is_error, line, "", "", "%s", text);
}

static int
run(struct sl_config *config, const struct sl_config_kind *kind)
{
	struct sl_lua_sandbox sandbox;
	char errbuf[SL_LUA_ERRBUF];
	unsigned int line;
	int rc = sl_lua_sandbox_open(&sandbox, time(NULL), sandbox_finding, config);

	if (rc != 0)
		return rc;
	rc = sl_lua_sandbox_run(&sandbox, config->text, config->text_len, &line, errbuf);
	if (rc == -EINVAL) {
		sl_config_add_finding(config, true, line, "", "", "%s", errbuf);
		lua_pushnil(sandbox.L);
		rc = sl_lua_sandbox_call(&sandbox, kind->read_inserted, config, &line, errbuf);
		if (rc == -EINVAL) /* said already */
			rc = 0;
	} else if (rc == 0) {
		rc = sl_lua_sandbox_call(&sandbox, kind->read, config, &line, errbuf);
		if (rc == -EINVAL) {
			sl_config_add_finding(config, true, line, "", "", "%s", errbuf);
			rc = 0;
		}
	}
	if (rc == 0 && sandbox.asked_time && config->n_errors == 0 && kind->check_dates)
		kind->check_dates(config, &sandbox);
	sl_lua_sandbox_close(&sandbox);
	return rc;
}

int
sl_config_load_kind(const char *path, const struct sl_config_kind *kind, void *arg, struct sl_config **out)
{
	struct sl_config *config = calloc(1, sizeof(*config));
	int rc = -ENOMEM;

	*out = NULL;
	if (config == NULL)
		return rc;
	config->noun = kind->noun;
	config->arg = arg;
	config->path = strdup(path);
	if (config->path == NULL)
		goto err;
	rc = read_file(config, path);
	if (rc == -ENOMEM)
		goto err;
	if (rc != 0) {
		sl_config_add_finding(config, true, 0, "", "", "can't be read: %s", strerror(-rc));
		*out = config;
		return rc;
	}
	blank_prefix(config->text, config->text_len);
	rc = sl_source_scan(config->text, &config->source);
	if (rc != 0)
		goto err;
	rc = run(config, kind);
	if (rc != 0)
		goto err;
	kind->check(config);
	if (config->ignored[0] != '\0')
		sl_config_add_finding(config, false, config->ignored_line, "", "",
			"accepted, but without a meaning in sluice: %s", config->ignored);
	if (config->oom) {
		rc = -ENOMEM;
		goto err;
	}
	*out = config;
	return config->n_errors > 0 ? -EINVAL : 0;
err:
	sl_config_free(config);
	return rc;
}

int
sl_config_load(const char *path, struct sl_config **out)
{
	static const struct sl_config_kind targets = {
		"target", sl_config_read, sl_config_read_inserted, sl_config_check, sl_config_check_dates};

	return sl_config_load_kind(path, &targets, NULL, out);
}

void
sl_config_free(struct sl_config *config)
{
	if (config == NULL)
		return;
	for (struct sl_kept *k = config->kept, *next; k != NULL; k = next) {
		next = k->next;
		free(k);
	}
	sl_source_free(&config->source);
	free(config->findings);
	free(config->targets);
	free(config->places);
	free(config->text);
	free(config->path);
	free(config);
}

const char *
sl_config_path(const struct sl_config *config)
{
	return config->path;
}

size_t
sl_config_targets(const struct sl_config *config)
{
	return config->n_targets;
}

const struct sl_target_config *
sl_config_target(const struct sl_config *config, size_t i)
{
	return &config->targets[i];
}

unsigned int
sl_config_field_line(const struct sl_config *config, size_t i, const char *field)
{
	int table = config->places[i].table;
	unsigned int line = table >= 0 ? sl_source_field_line(&config->source, table, field) : 0;

	return line != 0 ? line : config->targets[i].line;
}

const char *
sl_config_default_path(void)
{
	static const char *const paths[] = {SL_CONFIG_DEFAULT_FMADIO, SL_CONFIG_DEFAULT_ETC};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], F_OK) == 0)
			return paths[i];
	return NULL;
}
