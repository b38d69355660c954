/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "journal_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/crc.h>

#define CRC_DIGITS 8u

static void
add(struct sl_line *line, const char *data, size_t len)
{
	if (line->failed)
		return;
	if (line->len + len + 1 > line->size) {
		size_t size = (line->len + len + 1) * 2;
		char *text = realloc(line->text, size);

		if (!text) {
			line->failed = true;
			return;
		}
		line->text = text;
		line->size = size;
	}
	memcpy(line->text + line->len, data, len);
	line->len += len;
	line->text[line->len] = '\0';
}

static void
add_key(struct sl_line *line, const char *key)
{
	add(line, " ", 1);
	add(line, key, strlen(key));
	add(line, "=", 1);
}

void
sl_line_begin(struct sl_line *line, const char *type)
{
	line->len = 0;
	line->failed = false;
	add(line, "00000000 ", CRC_DIGITS + 1);
	add(line, type, strlen(type));
}

void
sl_line_text(struct sl_line *line, const char *key, const char *value)
{
	add_key(line, key);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		char hex[4];

		if (c <= ' ' || c >= 0x7f || c == '%' || c == '=') {
			snprintf(hex, sizeof(hex), "%%%02x", c);
			add(line, hex, 3);
		} else {
			add(line, value, 1);
		}
	}
}

void
sl_line_number(struct sl_line *line, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	add_key(line, key);
	add(line, text, strlen(text));
}

void
sl_line_mark(struct sl_line *line, const char *key, const struct sl_mark *m)
{
	char uuid[37], text[320];

	sl_uuid_format(&m->capture, uuid);
	snprintf(text, sizeof(text),
		"%s,%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
		",%" PRIu64 ",%" PRIu32,
		uuid, m->position.sequence, m->position.chunk, m->position.packet, m->window.clock, m->window.begin,
		m->window.end, m->emitted, m->seq, m->part_begin, m->part);
	add_key(line, key);
	add(line, text, strlen(text));
}

void
sl_line_file(struct sl_line *line, const struct sl_open_file *f)
{
	sl_line_text(line, "pending", f->pending);
	sl_line_number(line, "ino", f->ino);
	sl_line_number(line, "size", f->size);
	sl_line_number(line, "file", f->seq);
	sl_line_number(line, "begin", f->begin);
	sl_line_number(line, "end", f->end);
	sl_line_number(line, "part", f->part);
	sl_line_number(line, "link", f->link_type);
	sl_line_number(line, "snap", f->snap_len);
	sl_line_number(line, "first", f->first_ts);
	sl_line_number(line, "last", f->last_ts);
	sl_line_number(line, "packets", f->packets);
	sl_line_number(line, "late", f->late);
	sl_line_mark(line, "start", &f->start);
}

void
sl_line_config(struct sl_line *line, const struct sl_target_config *c)
{
	sl_line_text(line, "path", c->path);
	sl_line_text(line, "separator", c->separator);
	sl_line_number(line, "time", c->split_time);
	sl_line_number(line, "byte", c->split_byte);
	sl_line_number(line, "mode", c->name_mode);
	sl_line_text(line, "format", c->name_format);
	sl_line_text(line, "filter", c->filter);
	sl_line_text(line, "suffix", c->file_suffix);
	sl_line_number(line, "slice", c->slice);
	sl_line_text(line, "zone", c->time_zone ? c->time_zone : "");
	sl_line_number(line, "local", c->align_local);
	sl_line_number(line, "empty", c->empty_files);
	/* not part of what makes a definition another one */
	sl_line_text(line, "desc", c->file_desc);
	sl_line_text(line, "user", c->owner_user ? c->owner_user : "");
	sl_line_number(line, "uid", c->owner_uid);
	sl_line_number(line, "gid", c->owner_gid);
}

int
sl_line_end(struct sl_line *line)
{
	char crc[CRC_DIGITS + 1];

	if (line->failed)
		return -ENOMEM;
	snprintf(crc, sizeof(crc), "%08x",
		crc32_gzip_refl(0, (const unsigned char *)line->text + CRC_DIGITS, line->len - CRC_DIGITS));
	memcpy(line->text, crc, CRC_DIGITS);
	add(line, "\n", 1);
	return line->failed ? -ENOMEM : 0;
}

void
sl_line_free(struct sl_line *line)
{
	free(line->text);
	memset(line, 0, sizeof(*line));
}

/* ---------------------------------------------------------------- reading */

size_t
sl_line_check(char *text, size_t len, char **type, char **rest)
{
	char *end = memchr(text, '\n', len);
	char crc[CRC_DIGITS + 1];
	size_t n;

	if (!end)
		return 0;
	n = (size_t)(end - text);
	if (n < CRC_DIGITS + 2 || text[CRC_DIGITS] != ' ' || memchr(text, '\0', n))
		return 0;
	snprintf(
		crc, sizeof(crc), "%08x", crc32_gzip_refl(0, (const unsigned char *)text + CRC_DIGITS, n - CRC_DIGITS));
	if (memcmp(crc, text, CRC_DIGITS) != 0)
		return 0;
	*end = '\0';
	*type = text + CRC_DIGITS + 1;
	*rest = strchr(*type, ' ');
	if (*rest)
		*(*rest)++ = '\0';
	else
		*rest = end;
	return n + 1;
}

static const char *
find(const char *rest, const char *key, size_t *len)
{
	size_t k = strlen(key);

	while (*rest) {
		size_t word = strcspn(rest, " ");

		if (word > k && memcmp(rest, key, k) == 0 && rest[k] == '=') {
			*len = word - k - 1;
			return rest + k + 1;
		}
		rest += word;
		while (*rest == ' ')
			rest++;
	}
	return NULL;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
sl_line_get_text(const char *rest, const char *key, char *value, size_t size)
{
	size_t len, n = 0, i;
	const char *s = find(rest, key, &len);

	if (!s)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%') {
			if (len - i < 3)
				return -EINVAL;
			int high = hex_digit(s[i + 1]), low = hex_digit(s[i + 2]);

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (n + 1 >= size)
			return -EINVAL;
		value[n++] = c;
	}
	value[n] = '\0';
	return 0;
}

int
sl_line_get_dup(const char *rest, const char *key, char **value)
{
	size_t len;
	const char *s = find(rest, key, &len);
	int rc;

	if (!s)
		return -EINVAL;
	*value = malloc(len + 1);
	if (!*value)
		return -ENOMEM;
	rc = sl_line_get_text(rest, key, *value, len + 1);
	if (rc < 0) {
		free(*value);
		*value = NULL;
	}
	return rc;
}

int
sl_line_get_number(const char *rest, const char *key, uint64_t *value)
{
	size_t len;
	const char *s = find(rest, key, &len);
	char *end;

	if (!s || len == 0 || *s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(s, &end, 10);
	return errno || end != s + len ? -EINVAL : 0;
}

static int
get_number32(const char *rest, const char *key, uint32_t *value)
{
	uint64_t n;

	if (sl_line_get_number(rest, key, &n) < 0 || n > UINT32_MAX)
		return -EINVAL;
	*value = (uint32_t)n;
	return 0;
}

int
sl_line_get_mark(const char *rest, const char *key, struct sl_mark *m)
{
	size_t len;
	const char *s = find(rest, key, &len);
	char uuid[37];

	if (!s || len < 38)
		return -EINVAL;
	memcpy(uuid, s, 36);
	uuid[36] = '\0';
	if (sl_uuid_parse(uuid, &m->capture) < 0)
		return -EINVAL;
	return sscanf(s + 36,
		       ",%" SCNu64 ",%" SCNu64 ",%" SCNu32 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64
		       ",%" SCNu64 ",%" SCNu32,
		       &m->position.sequence, &m->position.chunk, &m->position.packet, &m->window.clock,
		       &m->window.begin, &m->window.end, &m->emitted, &m->seq, &m->part_begin, &m->part) == 10
		       ? 0
		       : -EINVAL;
}

int
sl_line_get_file(const char *rest, struct sl_open_file *f)
{
	int rc = sl_line_get_text(rest, "pending", f->pending, sizeof(f->pending));

	f->present = rc == 0;
	if (rc < 0)
		return 0; /* a line without a file */
	if (sl_line_get_number(rest, "ino", &f->ino) < 0 || sl_line_get_number(rest, "size", &f->size) < 0 ||
		sl_line_get_number(rest, "file", &f->seq) < 0 || sl_line_get_number(rest, "begin", &f->begin) < 0 ||
		sl_line_get_number(rest, "end", &f->end) < 0 || get_number32(rest, "part", &f->part) < 0 ||
		get_number32(rest, "link", &f->link_type) < 0 || get_number32(rest, "snap", &f->snap_len) < 0 ||
		sl_line_get_number(rest, "first", &f->first_ts) < 0 ||
		sl_line_get_number(rest, "last", &f->last_ts) < 0 ||
		sl_line_get_number(rest, "packets", &f->packets) < 0 ||
		sl_line_get_number(rest, "late", &f->late) < 0 || sl_line_get_mark(rest, "start", &f->start) < 0)
		return -EINVAL;
	return 0;
}

void
sl_line_free_config(struct sl_target_config *c)
{
	free((char *)(uintptr_t)c->path);
	free((char *)(uintptr_t)c->separator);
	free((char *)(uintptr_t)c->name_format);
	free((char *)(uintptr_t)c->filter);
	free((char *)(uintptr_t)c->file_suffix);
	free((char *)(uintptr_t)c->time_zone);
	free((char *)(uintptr_t)c->file_desc);
	free((char *)(uintptr_t)c->owner_user);
	memset(c, 0, sizeof(*c));
}

static int
get_string(const char *rest, const char *key, const char **value)
{
	char *text;
	int rc = sl_line_get_dup(rest, key, &text);

	if (rc == 0)
		*value = text;
	return rc;
}

int
sl_line_get_config(const char *rest, struct sl_target_config *c)
{
	uint64_t mode, local, empty;

	memset(c, 0, sizeof(*c));
	if (get_string(rest, "path", &c->path) < 0 || get_string(rest, "separator", &c->separator) < 0 ||
		sl_line_get_number(rest, "time", &c->split_time) < 0 ||
		sl_line_get_number(rest, "byte", &c->split_byte) < 0 || sl_line_get_number(rest, "mode", &mode) < 0 ||
		mode > SL_NAME_STRFTIME || get_string(rest, "format", &c->name_format) < 0 ||
		get_string(rest, "filter", &c->filter) < 0 || get_string(rest, "suffix", &c->file_suffix) < 0 ||
		get_number32(rest, "slice", &c->slice) < 0 || get_string(rest, "zone", &c->time_zone) < 0 ||
		sl_line_get_number(rest, "local", &local) < 0 || sl_line_get_number(rest, "empty", &empty) < 0 ||
		get_string(rest, "desc", &c->file_desc) < 0 || get_string(rest, "user", &c->owner_user) < 0 ||
		get_number32(rest, "uid", &c->owner_uid) < 0 || get_number32(rest, "gid", &c->owner_gid) < 0) {
		sl_line_free_config(c);
		return -EINVAL;
	}
	c->name_mode = (enum sl_name_mode)mode;
	c->align_local = local;
	c->empty_files = empty;
	c->desc = c->file_desc;
	if (!*c->time_zone) {
		free((char *)(uintptr_t)c->time_zone);
		c->time_zone = NULL;
	}
	if (!*c->owner_user) {
		free((char *)(uintptr_t)c->owner_user);
		c->owner_user = NULL;
	}
	return 0;
}
