/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <string.h>

#include "json.h"

#define MAX_DEPTH 32

struct parser {
	char *p;
	int depth;
};

static void
skip_space(struct parser *s)
{
	while (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')
		s->p++;
}

static int
hex4(const char *p, uint32_t *value)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return -EPROTO;
	}
	*value = v;
	return 0;
}

static char *
put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* A \uXXXX at s->p (behind the u); a pair of surrogates is one character, a lone one or U+0000 becomes U+FFFD. */
static int
unicode_escape(struct parser *s, char **out)
{
	uint32_t c, low;

	if (hex4(s->p, &c) < 0)
		return -EPROTO;
	s->p += 4;
	if (c >= 0xd800 && c < 0xdc00 && s->p[0] == '\\' && s->p[1] == 'u' && hex4(s->p + 2, &low) == 0 &&
		low >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		s->p += 6;
	} else if ((c >= 0xd800 && c < 0xe000) || c == 0) {
		c = 0xfffd;
	}
	*out = put_utf8(*out, c);
	return 0;
}

/* Decode in place: what a string says is never longer than how it is written. */
static int
parse_string(struct parser *s, const char **string)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char *out;

	if (*s->p != '"')
		return -EPROTO;
	out = ++s->p;
	*string = out;
	while (*s->p != '"') {
		const char *name;

		if ((unsigned char)*s->p < 0x20)
			return -EPROTO;
		if (*s->p != '\\') {
			*out++ = *s->p++;
			continue;
		}
		s->p++;
		if (*s->p == 'u') {
			s->p++;
			if (unicode_escape(s, &out) < 0)
				return -EPROTO;
			continue;
		}
		name = *s->p ? strchr(names, *s->p) : NULL;
		if (!name)
			return -EPROTO;
		*out++ = values[name - names];
		s->p++;
	}
	s->p++;
	*out = '\0';
	return 0;
}

static int
parse_number(struct parser *s, struct json_member *member)
{
	bool whole = *s->p != '-', fits = true;
	uint64_t value = 0;
	size_t digits = 0;

	if (*s->p == '-')
		s->p++;
	for (; *s->p >= '0' && *s->p <= '9'; s->p++, digits++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*s->p - '0'), &value))
			fits = false;
	if (digits == 0)
		return -EPROTO;
	while (*s->p && strchr(".eE+-0123456789", *s->p)) {
		whole = false;
		s->p++;
	}
	member->is_number = whole && fits;
	member->number = value;
	return 0;
}

static int parse_value(struct parser *s, struct json_member *member);

/* Pass over what lies between the brackets of an array or an inner object. */
static int
skip_nested(struct parser *s, bool object)
{
	char close = object ? '}' : ']';
	struct json_member ignored;
	const char *key;
	int ret;

	if (++s->depth > MAX_DEPTH)
		return -EPROTO;
	s->p++;
	skip_space(s);
	if (*s->p == close)
		goto closed;
	for (;;) {
		if (object) {
			skip_space(s);
			ret = parse_string(s, &key);
			if (ret < 0)
				return ret;
			skip_space(s);
			if (*s->p++ != ':')
				return -EPROTO;
		}
		ret = parse_value(s, &ignored);
		if (ret < 0)
			return ret;
		skip_space(s);
		if (*s->p == close)
			goto closed;
		if (*s->p != ',')
			return -EPROTO;
		s->p++;
	}
closed:
	s->p++;
	s->depth--;
	return 0;
}

static int
parse_value(struct parser *s, struct json_member *member)
{
	static const char *const words[] = {"true", "false", "null"};

	skip_space(s);
	if (*s->p == '"')
		return parse_string(s, &member->string);
	if (*s->p == '{' || *s->p == '[')
		return skip_nested(s, *s->p == '{');
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strncmp(s->p, words[i], strlen(words[i])) == 0) {
			s->p += strlen(words[i]);
			return 0;
		}
	}
	return parse_number(s, member);
}

static int
parse_members(struct parser *s, int (*fn)(void *ctx, const struct json_member *member), void *ctx)
{
	int ret;

	skip_space(s);
	if (*s->p++ != '{')
		return -EPROTO;
	skip_space(s);
	if (*s->p == '}')
		return 0;
	for (;;) {
		struct json_member member = {0};
		char after;

		skip_space(s);
		ret = parse_string(s, &member.key);
		if (ret < 0)
			return ret;
		skip_space(s);
		if (*s->p++ != ':')
			return -EPROTO;
		ret = parse_value(s, &member);
		if (ret < 0)
			return ret;
		skip_space(s);
		after = *s->p;
		if (after != ',' && after != '}')
			return -EPROTO;
		ret = fn(ctx, &member);
		if (ret < 0 || after == '}')
			return ret;
		s->p++;
	}
}

int
json_members(char *text, int (*fn)(void *ctx, const struct json_member *member), void *ctx, size_t *where)
{
	struct parser s = {.p = text};
	int ret = parse_members(&s, fn, ctx);

	*where = (size_t)(s.p - text);
	return ret;
}

/* Bytes of the UTF-8 character at p, 0 if it is none (RFC 3629: no overlong forms, no surrogates). */
static size_t
utf8_length(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] < 0xe0)
		return (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (p[0] >= 0xe0 && p[0] < 0xf0) {
		if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0))
			return 0;
		return 3;
	}
	if (p[0] >= 0xf0 && p[0] < 0xf5) {
		if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
			return 0;
		return 4;
	}
	return 0;
}

void
json_put_string(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	fputc('"', out);
	while (*p) {
		size_t len = utf8_length(p);

		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(out, "\\u%04x", *p);
		else if (len == 0)
			fputs("\\ufffd", out);
		else
			fwrite(p, 1, len, out);
		p += len ? len : 1;
	}
	fputc('"', out);
}
