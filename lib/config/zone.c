/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zone.h"
#include "zone_rule.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define ZONE_FILE_MAX (256u << 10) /* the largest zone has 4 KiB */
#define ZONE_SEC_MAX (INT64_C(1) << 55) /* a thousand million years: struct tm and our sums hold it */

struct zone_type {
	int32_t offset;
	bool dst;
	char abbr[ZONE_ABBR_MAX];
};

struct zone_leap {
	int64_t at;
	int32_t correction;
};

struct sl_zone {
	struct sl_zone *next; /* in the list of loaded zones */
	size_t transitions;
	int64_t *at; /* strictly ascending */
	uint8_t *type_at; /* type from at[i] on */
	unsigned int types;
	struct zone_type *type;
	unsigned int first_type; /* before the first transition */
	size_t leaps; /* only the tz database's "right" zones count them */
	struct zone_leap *leap;
	bool has_rule; /* behind the last transition */
	struct zone_rule rule;
	char key[];
};

/* What is true at one instant. */
struct zone_at {
	int32_t offset;
	bool dst;
	const char *abbr;
	int64_t from, until;
};

/* ---------------------------------------------------------------- TZif, RFC 8536 section 3 */

struct tzif_header {
	char magic[4];
	char version;
	char reserved[15];
	uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};
_Static_assert(sizeof(struct tzif_header) == 44, "RFC 8536 section 3.1");

static int64_t
be_time(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | p[i];
	return size == 4 ? (int32_t)v : (int64_t)v;
}

/* Read and check the header at *pos, step over it. @return bytes of the data block behind it, or -EINVAL */
static int64_t
tzif_header(const uint8_t *data, size_t size, size_t *pos, size_t time_size, struct tzif_header *h)
{
	int64_t block;

	if (size - *pos < sizeof(*h))
		return -EINVAL;
	memcpy(h, data + *pos, sizeof(*h));
	*pos += sizeof(*h);
	h->isutcnt = be32toh(h->isutcnt);
	h->isstdcnt = be32toh(h->isstdcnt);
	h->leapcnt = be32toh(h->leapcnt);
	h->timecnt = be32toh(h->timecnt);
	h->typecnt = be32toh(h->typecnt);
	h->charcnt = be32toh(h->charcnt);
	/* A slim file's 32-bit block may be empty but for one type; counts are bounded, so the sum cannot overflow. */
	if (memcmp(h->magic, "TZif", 4) != 0 || h->typecnt == 0 || h->typecnt > 256 || h->charcnt == 0 ||
		h->charcnt > 4096 || h->timecnt > ZONE_FILE_MAX || h->leapcnt > ZONE_FILE_MAX ||
		(h->isutcnt != 0 && h->isutcnt != h->typecnt) || (h->isstdcnt != 0 && h->isstdcnt != h->typecnt))
		return -EINVAL;
	block = (int64_t)h->timecnt * (int64_t)(time_size + 1) + (int64_t)h->typecnt * 6 + h->charcnt +
		(int64_t)h->leapcnt * (int64_t)(time_size + 4) + h->isstdcnt + h->isutcnt;
	return block > (int64_t)(size - *pos) ? -EINVAL : block;
}

static int
tzif_types(struct sl_zone *zone, const uint8_t *records, const char *chars, uint32_t charcnt)
{
	for (unsigned int i = 0; i < zone->types; i++) {
		const uint8_t *p = records + (size_t)i * 6;
		struct zone_type *type = &zone->type[i];
		size_t len;

		type->offset = (int32_t)be_time(p, 4);
		type->dst = p[4] != 0;
		/* RFC 8536 section 3.2: more than -25 and less than 26 hours. */
		if (type->offset <= -25 * 3600 || type->offset >= 26 * 3600 || p[4] > 1 || p[5] >= charcnt)
			return -EINVAL;
		len = strnlen(chars + p[5], charcnt - p[5]);
		if (len == charcnt - p[5] || len >= ZONE_ABBR_MAX)
			return -EINVAL;
		/* It becomes part of file names. */
		for (size_t c = 0; c < len; c++) {
			if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-",
				    chars[p[5] + c]))
				return -EINVAL;
		}
		memcpy(type->abbr, chars + p[5], len);
	}
	return 0;
}

static int
tzif_block(struct sl_zone *zone, const uint8_t *p, const struct tzif_header *h, size_t time_size)
{
	const uint8_t *times = p, *indices = times + h->timecnt * time_size, *records = indices + h->timecnt;
	const char *chars = (const char *)records + (size_t)h->typecnt * 6;
	const uint8_t *leaps = (const uint8_t *)chars + h->charcnt;
	int ret;

	zone->at = calloc(h->timecnt + 1, sizeof(*zone->at));
	zone->type_at = calloc(h->timecnt + 1, 1);
	zone->type = calloc(h->typecnt, sizeof(*zone->type));
	zone->leap = calloc(h->leapcnt + 1, sizeof(*zone->leap));
	if (!zone->at || !zone->type_at || !zone->type || !zone->leap)
		return -ENOMEM;

	zone->types = h->typecnt;
	ret = tzif_types(zone, records, chars, h->charcnt);
	if (ret)
		return ret;

	zone->transitions = h->timecnt;
	for (size_t i = 0; i < h->timecnt; i++) {
		zone->at[i] = be_time(times + i * time_size, time_size);
		zone->type_at[i] = indices[i];
		if (indices[i] >= h->typecnt || (i > 0 && zone->at[i] <= zone->at[i - 1]))
			return -EINVAL;
	}
	zone->leaps = h->leapcnt;
	for (size_t i = 0; i < h->leapcnt; i++) {
		zone->leap[i].at = be_time(leaps + i * (time_size + 4), time_size);
		zone->leap[i].correction = (int32_t)be_time(leaps + i * (time_size + 4) + time_size, 4);
		if (zone->leap[i].correction < -86400 || zone->leap[i].correction > 86400 ||
			(i > 0 && zone->leap[i].at <= zone->leap[i - 1].at))
			return -EINVAL;
	}
	return 0;
}

static int
tzif_parse(struct sl_zone *zone, const uint8_t *data, size_t size)
{
	struct tzif_header h;
	char footer[256];
	size_t pos = 0, time_size = 4;
	const uint8_t *end;
	int64_t block;
	int ret;

	block = tzif_header(data, size, &pos, time_size, &h);
	if (block < 0)
		return -EINVAL;
	if (h.version >= '2') {
		pos += (size_t)block;
		time_size = 8;
		block = tzif_header(data, size, &pos, time_size, &h);
		if (block < 0)
			return -EINVAL;
	}
	ret = tzif_block(zone, data + pos, &h, time_size);
	if (ret)
		return ret;
	pos += (size_t)block;

	/* glibc's rule where RFC 8536 says "type 0"; in the tz database both are local mean time. */
	for (unsigned int i = 0; i < zone->types; i++) {
		if (!zone->type[i].dst) {
			zone->first_type = i;
			break;
		}
	}
	if (time_size == 4)
		return 0;
	if (pos >= size || data[pos] != '\n')
		return -EINVAL;
	end = memchr(data + pos + 1, '\n', size - pos - 1);
	if (!end || (size_t)(end - data - pos) > sizeof(footer))
		return -EINVAL;
	block = end - data - (int64_t)pos - 1;
	memcpy(footer, data + pos + 1, (size_t)block);
	footer[block] = '\0';
	zone->has_rule = footer[0] != '\0';
	return zone->has_rule && !zone_rule_parse(footer, &zone->rule) ? -EINVAL : 0;
}

static int
tzif_load(struct sl_zone *zone, const char *path)
{
	uint8_t *data = NULL;
	struct stat st;
	ssize_t n = 0;
	size_t size = 0;
	int fd, ret = -EINVAL;

	/* O_NONBLOCK: a FIFO in place of the file must not hang us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, &st)) {
		ret = -errno;
		goto err;
	}
	if (S_ISDIR(st.st_mode)) {
		ret = -ENOENT;
		goto err;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > ZONE_FILE_MAX)
		goto err;
	data = malloc((size_t)st.st_size + 1);
	if (!data) {
		ret = -ENOMEM;
		goto err;
	}
	while (size < (size_t)st.st_size && (n = read(fd, data + size, (size_t)st.st_size - size)) > 0)
		size += (size_t)n;
	ret = n < 0 ? -errno : tzif_parse(zone, data, size);
err:
	free(data);
	close(fd);
	return ret;
}

/* ---------------------------------------------------------------- the zones loaded so far */

/*
 * Zones are only ever added, at the head, so a reader needs no lock: an lcore that asks for a known zone never waits
 * for a thread that reads a file.
 */
static _Atomic(struct sl_zone *) zones;
static _Atomic(const struct sl_zone *) zone_local;
static pthread_mutex_t zone_lock = PTHREAD_MUTEX_INITIALIZER;

void
sl_zone_free(struct sl_zone *zone)
{
	if (!zone)
		return;
	free(zone->at);
	free(zone->type_at);
	free(zone->type);
	free(zone->leap);
	free(zone);
}

struct sl_zone *
sl_zone_parse(const uint8_t *data, size_t size)
{
	struct sl_zone *zone = calloc(1, sizeof(*zone) + 1);
	int ret = zone ? tzif_parse(zone, data, size) : -ENOMEM;

	if (ret) {
		sl_zone_free(zone);
		errno = -ret;
		return NULL;
	}
	return zone;
}

static const struct sl_zone *
zone_find(const char *key)
{
	const struct sl_zone *zone = atomic_load_explicit(&zones, memory_order_acquire);

	while (zone && strcmp(zone->key, key) != 0)
		zone = zone->next;
	return zone;
}

/* Does a name step out of the zone directory? */
static bool
has_dotdot(const char *name)
{
	for (const char *s = name; (s = strstr(s, "..")); s += 2) {
		if ((s == name || s[-1] == '/') && (s[2] == '/' || s[2] == '\0'))
			return true;
	}
	return false;
}

static int
zone_read(struct sl_zone *zone, const char *name)
{
	const char *dir = getenv("TZDIR");
	char path[PATH_MAX];
	int ret, len;

	if (name[0] == '\0')
		return zone_rule_parse("UTC0", &zone->rule) ? 0 : -EINVAL;
	if (has_dotdot(name))
		return -EINVAL;
	if (name[0] == '/')
		len = snprintf(path, sizeof(path), "%s", name);
	else
		len = snprintf(path, sizeof(path), "%s/%s", dir && *dir ? dir : ZONE_DIR, name);
	if (len >= (int)sizeof(path))
		return -EINVAL;
	ret = tzif_load(zone, path);
	if (ret != -ENOENT)
		return ret;
	/* UTC is a rule too, so that a system without the tz database knows it. */
	if (!strcmp(name, "UTC") || !strcmp(name, "Etc/UTC"))
		name = "UTC0";
	if (zone_rule_parse(name, &zone->rule))
		return 0;
	return strpbrk(name, "<>,") ? -EINVAL : -ENOENT;
}

/* Load a zone and list it under its key. Under the lock. */
static int
zone_add(const char *key, const char *name, const struct sl_zone **out)
{
	struct sl_zone *zone = calloc(1, sizeof(*zone) + strlen(key) + 1);
	int ret;

	if (!zone)
		return -ENOMEM;
	strcpy(zone->key, key);
	ret = zone_read(zone, name);
	if (ret) {
		sl_zone_free(zone);
		return ret;
	}
	if (zone->types == 0)
		zone->has_rule = true;
	zone->next = atomic_load_explicit(&zones, memory_order_relaxed);
	atomic_store_explicit(&zones, zone, memory_order_release);
	*out = zone;
	return 0;
}

/* The process's zone, as localtime(3) finds it, but a $TZ that names no zone is an error and not silently UTC. */
static int
zone_get_local(const struct sl_zone **out)
{
	const char *name = getenv("TZ");
	int ret;

	if (name)
		return zone_add("", *name == ':' ? name + 1 : name, out);
	ret = zone_add("", "/etc/localtime", out);
	return ret == -ENOENT ? zone_add("", "", out) : ret;
}

const struct sl_zone *
sl_zone_get(const char *name)
{
	const struct sl_zone *zone;
	int ret = 0;

	if (name && *name == ':')
		name++;
	if (name && *name == '\0') {
		errno = EINVAL;
		return NULL;
	}
	zone = name ? zone_find(name) : atomic_load_explicit(&zone_local, memory_order_acquire);
	if (zone)
		return zone;

	pthread_mutex_lock(&zone_lock);
	if (!name) {
		zone = atomic_load_explicit(&zone_local, memory_order_relaxed);
		if (!zone)
			ret = zone_get_local(&zone);
		if (!ret)
			atomic_store_explicit(&zone_local, zone, memory_order_release);
	} else {
		zone = zone_find(name);
		if (!zone)
			ret = zone_add(name, name, &zone);
	}
	pthread_mutex_unlock(&zone_lock);
	if (ret) {
		errno = -ret;
		return NULL;
	}
	return zone;
}

void
sl_zone_forget_local(void)
{
	atomic_store_explicit(&zone_local, NULL, memory_order_release);
}

/* ---------------------------------------------------------------- looking up */

static int64_t
clamp_sec(int64_t sec)
{
	return sec > ZONE_SEC_MAX ? ZONE_SEC_MAX : sec < -ZONE_SEC_MAX ? -ZONE_SEC_MAX : sec;
}

static void
zone_at(const struct sl_zone *zone, int64_t sec, struct zone_at *at)
{
	size_t low = 0, high = zone->transitions; /* at[low - 1] <= sec < at[high] */
	const struct zone_type *type;
	struct zone_rule_at rule;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (zone->at[middle] <= sec)
			low = middle + 1;
		else
			high = middle;
	}
	at->from = low > 0 ? zone->at[low - 1] : INT64_MIN;
	at->until = low < zone->transitions ? zone->at[low] : INT64_MAX;
	if (low == zone->transitions && zone->has_rule) {
		zone_rule_at(&zone->rule, sec, &rule);
		at->dst = rule.dst;
		at->offset = rule.dst ? zone->rule.dst_offset : zone->rule.std_offset;
		at->abbr = rule.dst ? zone->rule.dst : zone->rule.std;
		if (rule.from > at->from)
			at->from = rule.from;
		at->until = rule.until;
		return;
	}
	type = &zone->type[low > 0 ? zone->type_at[low - 1] : zone->first_type];
	at->dst = type->dst;
	at->offset = type->offset;
	at->abbr = type->abbr;
}

/* Leap seconds counted before sec; *hit: sec is itself one. */
static int32_t
zone_leaps(const struct sl_zone *zone, int64_t sec, bool *hit, struct zone_at *at)
{
	size_t i = zone->leaps;

	*hit = false;
	while (i > 0 && zone->leap[i - 1].at > sec)
		i--;
	if (i < zone->leaps && zone->leap[i].at < at->until)
		at->until = zone->leap[i].at;
	if (i == 0)
		return 0;
	if (zone->leap[i - 1].at > at->from)
		at->from = zone->leap[i - 1].at;
	*hit = zone->leap[i - 1].at == sec && zone->leap[i - 1].correction > (i > 1 ? zone->leap[i - 2].correction : 0);
	return zone->leap[i - 1].correction;
}

void
sl_zone_localtime(const struct sl_zone *zone, int64_t sec, struct tm *tm)
{
	struct zone_at at;
	int64_t local, days, year;
	int month, day, of_day;
	bool hit;

	sec = clamp_sec(sec);
	zone_at(zone, sec, &at);
	local = sec + at.offset;
	local -= zone_leaps(zone, sec, &hit, &at);
	days = (local >= 0 ? local : local - 86399) / 86400;
	of_day = (int)(local - days * 86400);
	zone_date(days, &year, &month, &day);

	memset(tm, 0, sizeof(*tm));
	tm->tm_year = (int)(year - 1900);
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	tm->tm_hour = of_day / 3600;
	tm->tm_min = of_day / 60 % 60;
	tm->tm_sec = of_day % 60 + (hit ? 1 : 0);
	tm->tm_wday = (int)(((days + 4) % 7 + 7) % 7);
	tm->tm_yday = (int)(days - zone_days(year, 1, 1));
	tm->tm_isdst = at.dst;
	tm->tm_gmtoff = at.offset;
	tm->tm_zone = at.abbr;
}

int32_t
sl_zone_offset(const struct sl_zone *zone, int64_t sec)
{
	int64_t from, until;

	return sl_zone_span(zone, sec, &from, &until);
}

int32_t
sl_zone_span(const struct sl_zone *zone, int64_t sec, int64_t *from, int64_t *until)
{
	struct zone_at at;
	bool hit;

	sec = clamp_sec(sec);
	zone_at(zone, sec, &at);
	at.offset -= zone_leaps(zone, sec, &hit, &at);
	*from = at.from;
	*until = at.until;
	return at.offset;
}
