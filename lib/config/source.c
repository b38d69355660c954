/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "source.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 256u /* Lua itself allows 200 nested constructs */

/* An open bracket. */
struct open {
	char bracket;
	int table; /* of `{` */
	unsigned int insert_line; /* of `(` behind `insert` */
};

struct scan {
	struct sl_source *source;
	const char *p;
	unsigned int line;
	struct open open[DEPTH_MAX];
	size_t depth;
	/* The name before the current token and the one before that decide what `=` and `(` mean. */
	const char *name;
	size_t name_len;
	unsigned int name_line;
	bool name_is_member; /* `.Name` */
	int pending; /* index of the field whose value comes next, or -1 */
};

/* Length of a long bracket's opening `[==[` at p, 0 if it is none. */
static size_t
long_bracket(const char *p)
{
	size_t n = 1;

	if (*p != '[')
		return 0;
	while (p[n] == '=')
		n++;
	return p[n] == '[' ? n + 1 : 0;
}

static void
skip_long(struct scan *s, size_t open_len)
{
	const char *p = s->p + open_len;

	for (; *p != '\0'; p++) {
		if (*p == '\n')
			s->line++;
		if (*p != ']')
			continue;
		size_t n = 1;
		while (n < open_len - 1 && p[n] == '=')
			n++;
		if (n == open_len - 1 && p[n] == ']') {
			s->p = p + open_len;
			return;
		}
	}
	s->p = p;
}

static void
skip_comment(struct scan *s)
{
	s->p += 2;
	size_t n = long_bracket(s->p);
	if (n > 0) {
		skip_long(s, n);
		return;
	}
	while (*s->p != '\0' && *s->p != '\n')
		s->p++;
}

/* A quoted string; remembers it if it is the value of Desc. */
static void
take_string(struct scan *s)
{
	char quote = *s->p;
	const char *begin = ++s->p;

	while (*s->p != '\0' && *s->p != quote && *s->p != '\n') {
		if (*s->p == '\\' && s->p[1] != '\0') {
			s->p++;
			if (*s->p == '\n')
				s->line++;
		}
		s->p++;
	}
	if (s->pending >= 0) {
		const struct sl_source_field *f = &s->source->fields[s->pending];

		/* One with an escape is left to be found by its place: Lua's value has another text. */
		bool plain = memchr(begin, '\\', (size_t)(s->p - begin)) == NULL;

		if (plain && f->table >= 0 && f->len == 4 && memcmp(f->name, "Desc", 4) == 0) {
			s->source->tables[f->table].desc = begin;
			s->source->tables[f->table].desc_len = (size_t)(s->p - begin);
		}
	}
	if (*s->p == quote)
		s->p++;
}

static int
grow(void **array, size_t n, size_t size)
{
	/* Doubles at each power of two. */
	if (n != 0 && (n & (n - 1)) != 0)
		return 0;
	void *bigger = realloc(*array, (n == 0 ? 1 : 2 * n) * size);
	if (bigger == NULL)
		return -ENOMEM;
	*array = bigger;
	return 0;
}

static int
add_field(struct scan *s, int table)
{
	struct sl_source *src = s->source;

	if (grow((void **)&src->fields, src->n_fields, sizeof(*src->fields)) != 0)
		return -ENOMEM;
	src->fields[src->n_fields] = (struct sl_source_field){s->name, s->name_len, s->name_line, table};
	s->pending = (int)src->n_fields++;
	return 0;
}

static int
open_bracket(struct scan *s)
{
	struct sl_source *src = s->source;
	struct open o = {.bracket = *s->p, .table = -1};

	if (s->depth == DEPTH_MAX)
		return -E2BIG;
	if (o.bracket == '(' && s->name != NULL && s->name_len == 6 && memcmp(s->name, "insert", 6) == 0)
		o.insert_line = s->line;
	if (o.bracket == '{') {
		struct sl_source_table t = {.line = s->line, .last_line = s->line, .parent = -1};
		t.first_field = src->n_fields;
		t.end_field = SIZE_MAX;

		if (grow((void **)&src->tables, src->n_tables, sizeof(*src->tables)) != 0)
			return -ENOMEM;
		if (s->depth > 0)
			t.insert_line = s->open[s->depth - 1].insert_line;
		for (size_t i = s->depth; i > 0 && t.parent < 0; i--)
			t.parent = s->open[i - 1].table;
		o.table = (int)src->n_tables;
		src->tables[src->n_tables++] = t;
	}
	s->open[s->depth++] = o;
	return 0;
}

static void
close_bracket(struct scan *s)
{
	if (s->depth == 0)
		return;
	s->depth--;
	if (s->open[s->depth].table >= 0) {
		struct sl_source_table *t = &s->source->tables[s->open[s->depth].table];

		t->last_line = s->line;
		t->end_field = s->source->n_fields;
	}
}

static int
take_equals(struct scan *s)
{
	if (s->p[1] == '=') {
		s->p += 2;
		s->name = NULL;
		return 0;
	}
	int rc = 0;
	if (s->name != NULL && s->depth > 0 && s->open[s->depth - 1].bracket == '{')
		rc = add_field(s, s->open[s->depth - 1].table);
	else if (s->name != NULL && s->name_is_member && s->depth == 0)
		rc = add_field(s, -1);
	s->p++;
	s->name = NULL;
	return rc;
}

static void
take_name(struct scan *s, const char *before)
{
	const char *begin = s->p;

	while (isalnum((unsigned char)*s->p) || *s->p == '_')
		s->p++;
	s->name = begin;
	s->name_len = (size_t)(s->p - begin);
	s->name_line = s->line;
	s->name_is_member = before != NULL && *before == '.';
}

int
sl_source_scan(const char *text, struct sl_source *source)
{
	struct scan s = {.source = source, .p = text, .line = 1, .pending = -1};
	const char *before = NULL; /* the last character that is neither blank nor comment */
	int rc = 0;

	*source = (struct sl_source){.text = text};
	while (*s.p != '\0' && rc == 0) {
		char c = *s.p;
		const char *here = s.p;

		if (c == '\n') {
			s.line++;
			s.p++;
			continue;
		}
		if (isspace((unsigned char)c)) {
			s.p++;
			continue;
		}
		if (c == '-' && s.p[1] == '-') {
			skip_comment(&s);
			continue;
		}
		if (isalpha((unsigned char)c) || c == '_') {
			take_name(&s, before);
			before = here;
			s.pending = -1;
			continue;
		}
		if (c == '=') {
			rc = take_equals(&s);
			before = here;
			continue;
		}
		if (c == '"' || c == '\'') {
			take_string(&s);
		} else if (c == '[' && long_bracket(s.p) > 0) {
			skip_long(&s, long_bracket(s.p));
		} else {
			if (c == '{' || c == '(')
				rc = open_bracket(&s);
			else if (c == '}' || c == ')')
				close_bracket(&s);
			s.p++;
		}
		before = here;
		s.name = NULL;
		s.pending = -1;
	}
	if (rc == -ENOMEM)
		sl_source_free(source);
	/* Too deep for us is too deep for Lua, which will say so. */
	return rc == -E2BIG ? 0 : rc;
}

void
sl_source_free(struct sl_source *source)
{
	free(source->tables);
	free(source->fields);
	*source = (struct sl_source){0};
}

int
sl_source_find_table(struct sl_source *source, unsigned int insert_line, const char *desc)
{
	int found = -1;

	for (size_t i = 0; i < source->n_tables; i++) {
		struct sl_source_table *t = &source->tables[i];
		bool same_desc = desc != NULL && t->desc != NULL && strlen(desc) == t->desc_len &&
				 memcmp(desc, t->desc, t->desc_len) == 0;

		if (insert_line != 0 && t->insert_line == insert_line) {
			/* A loop or a function inserts many targets from one constructor: it stays free for all. */
			if (found < 0 || same_desc)
				found = (int)i;
			if (same_desc)
				break;
		} else if (insert_line == 0 && !t->taken && same_desc) {
			t->taken = true;
			return (int)i;
		}
	}
	if (found >= 0 || insert_line != 0)
		return found;
	/* An entry of a list whose Desc is computed or missing: the first that looks like a target. */
	for (size_t i = 0; i < source->n_tables; i++) {
		struct sl_source_table *t = &source->tables[i];

		if (!t->taken && t->desc == NULL && t->parent >= 0 &&
			(sl_source_field_line(source, (int)i, "Desc") != 0 ||
				sl_source_field_line(source, (int)i, "Path") != 0)) {
			t->taken = true;
			return (int)i;
		}
	}
	return -1;
}

static unsigned int
field_line(const struct sl_source *source, int table, const char *field, unsigned int nth)
{
	size_t first = table >= 0 ? source->tables[table].first_field : 0;
	size_t end = table >= 0 ? source->tables[table].end_field : SIZE_MAX;

	for (size_t i = first; i < end && i < source->n_fields; i++) {
		const struct sl_source_field *f = &source->fields[i];

		if (f->table == table && f->len == strlen(field) && memcmp(f->name, field, f->len) == 0 && nth-- == 0)
			return f->line;
	}
	return 0;
}

/* The last assignment is the one that counts. */
static unsigned int
last_field_line(const struct sl_source *source, int table, const char *field)
{
	unsigned int line = 0, next;

	for (unsigned int n = 0; (next = field_line(source, table, field, n)) != 0; n++)
		line = next;
	return line;
}

unsigned int
sl_source_field_line(const struct sl_source *source, int table, const char *field)
{
	unsigned int line = last_field_line(source, table, field);

	/* The top level may be written as one constructor: return { Target = { ... }, FollowStart = true } */
	for (size_t i = 0; table < 0 && line == 0 && i < source->n_tables; i++)
		if (source->tables[i].parent < 0 && source->tables[i].insert_line == 0)
			line = last_field_line(source, (int)i, field);
	return line;
}

unsigned int
sl_source_field_again(const struct sl_source *source, int table, const char *field)
{
	return field_line(source, table, field, 1);
}
