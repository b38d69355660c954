/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chunk.h"
#include "json.h"
#include "store.h"

#define INFO_FORMAT 1
#define INFO_NAME "capture.json"
#define INFO_NAME_NEW "capture.json.new"
#define INFO_MAX_SIZE 65536
#define INFO_CRC "\t\"crc\": "

struct read_context {
	struct sl_capture_info *info;
	uint64_t format;
	uint64_t crc;
	bool has_uuid, has_sequence, has_link_type, has_crc;
};

static int
take_u32(const struct json_member *m, uint32_t *value)
{
	if (!m->is_number || m->number > UINT32_MAX)
		return -EPROTO;
	*value = (uint32_t)m->number;
	return 0;
}

/* Members that later versions add are passed over. */
static int
take_member(void *ctx, const struct json_member *m)
{
	struct read_context *read = ctx;
	struct sl_capture_info *info = read->info;

	if (strcmp(m->key, "format") == 0) {
		read->format = m->is_number ? m->number : 0;
	} else if (strcmp(m->key, "uuid") == 0) {
		if (!m->string || sl_uuid_parse(m->string, &info->uuid) < 0)
			return -EPROTO;
		read->has_uuid = true;
	} else if (strcmp(m->key, "sequence") == 0) {
		if (!m->is_number)
			return -EPROTO;
		info->sequence = m->number;
		read->has_sequence = true;
	} else if (strcmp(m->key, "link_type") == 0) {
		read->has_link_type = true;
		return take_u32(m, &info->link_type);
	} else if (strcmp(m->key, "snap_len") == 0) {
		return take_u32(m, &info->snap_len);
	} else if (strcmp(m->key, "start_ns") == 0) {
		if (!m->is_number)
			return -EPROTO;
		info->start_ts = m->number;
	} else if (strcmp(m->key, "expires") == 0) {
		info->expires = m->is_number && m->number == 1;
	} else if (strcmp(m->key, "keep_free_bytes") == 0 && m->is_number) {
		info->retention.min_free_bytes = m->number;
	} else if (strcmp(m->key, "keep_free_percent") == 0 && m->is_number && m->number <= 99) {
		info->retention.min_free_percent = (unsigned int)m->number;
	} else if (strcmp(m->key, "crc") == 0) {
		if (!m->is_number)
			return -EPROTO;
		read->crc = m->number;
		read->has_crc = true;
	} else if (strcmp(m->key, "host") == 0 && m->string) {
		snprintf(info->host, sizeof(info->host), "%s", m->string);
	} else if (strcmp(m->key, "source") == 0 && m->string) {
		snprintf(info->source, sizeof(info->source), "%s", m->string);
	}
	return 0;
}

static int
read_text(int dir, char **text)
{
	struct stat st;
	ssize_t n;
	int fd, ret = -EPROTO;

	/* Who put a FIFO there does not stop us. */
	fd = openat(dir, INFO_NAME, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > INFO_MAX_SIZE)
		goto out;
	*text = malloc((size_t)st.st_size + 1);
	if (!*text) {
		ret = -ENOMEM;
		goto out;
	}
	n = read(fd, *text, (size_t)st.st_size);
	if (n < 0) {
		ret = -errno;
		free(*text);
		*text = NULL;
		goto out;
	}
	(*text)[n] = '\0';
	ret = 0;
out:
	close(fd);
	return ret;
}

/* The checksum is of all bytes before its own line. Taken before the text is parsed, which changes it. */
static uint32_t
checksum(const char *text)
{
	const char *line = NULL;

	for (const char *p = text; (p = strstr(p, INFO_CRC)) != NULL; p++)
		line = p;
	return chunk_crc(text, line ? (size_t)(line - text) : strlen(text));
}

int
store_info_read(int dir, const char *store, const char *name, struct sl_capture_info *info, char *errbuf)
{
	struct read_context read = {.info = info};
	size_t where = 0;
	char *text = NULL;
	uint32_t crc;
	int ret;

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "%s", name);
	ret = read_text(dir, &text);
	if (ret == -EPROTO)
		return store_err(ret, errbuf, "%s/%s/" INFO_NAME ": not a small regular file", store, name);
	if (ret < 0 || !text)
		return store_err(ret, errbuf, "%s/%s/" INFO_NAME ": %s", store, name, strerror(-ret));
	crc = checksum(text);
	ret = json_members(text, take_member, &read, &where);
	free(text);
	if (ret < 0)
		return store_err(-EPROTO, errbuf, "%s/%s/" INFO_NAME ": damaged at byte %zu", store, name, where);
	if (read.format != INFO_FORMAT)
		return store_err(-EPROTO, errbuf,
			"%s/%s/" INFO_NAME ": format %" PRIu64 " is not one that this version knows (%d)", store, name,
			read.format, INFO_FORMAT);
	if (!read.has_uuid || !read.has_sequence || !read.has_link_type)
		return store_err(-EPROTO, errbuf, "%s/%s/" INFO_NAME ": %s is missing", store, name,
			!read.has_uuid       ? "uuid"
			: !read.has_sequence ? "sequence"
					     : "link_type");
	/* from before it was recorded */
	if (info->expires && info->retention.min_free_bytes == 0 && info->retention.min_free_percent == 0)
		info->retention = (struct sl_retention){SL_RETENTION_DEFAULT_BYTES, SL_RETENTION_DEFAULT_PERCENT};
	/* Without one it is believed: who changes the file by hand leaves that line out. */
	if (read.has_crc && read.crc != crc)
		return store_err(-EPROTO, errbuf,
			"%s/%s/" INFO_NAME
			": damaged: its checksum is wrong (was it changed on purpose? Then take out the line "
			"\"crc\")",
			store, name);
	return 0;
}

static int
write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

int
store_info_write(int dir, const struct sl_capture_info *info)
{
	time_t start = (time_t)(info->start_ts / 1000000000u);
	char uuid[37], stamp[32], *text = NULL;
	size_t size = 0;
	struct tm tm;
	FILE *out;
	int fd, ret = 0;

	out = open_memstream(&text, &size);
	if (!out)
		return -errno;
	sl_uuid_format(&info->uuid, uuid);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&start, &tm));
	fprintf(out, "{\n\t\"format\": %d,\n\t\"uuid\": \"%s\",\n", INFO_FORMAT, uuid);
	fprintf(out, "\t\"sequence\": %" PRIu64 ",\n\t\"link_type\": %" PRIu32 ",\n", info->sequence, info->link_type);
	fprintf(out, "\t\"snap_len\": %" PRIu32 ",\n\t\"start_ns\": %" PRIu64 ",\n", info->snap_len, info->start_ts);
	fprintf(out, "\t\"start\": \"%s\",\n\t\"host\": ", stamp);
	json_put_string(out, info->host);
	fputs(",\n\t\"source\": ", out);
	json_put_string(out, info->source);
	fputs(",\n", out);
	if (info->expires)
		fprintf(out, "\t\"expires\": 1,\n\t\"keep_free_percent\": %u,\n\t\"keep_free_bytes\": %" PRIu64 ",\n",
			info->retention.min_free_percent, info->retention.min_free_bytes);
	if (fflush(out) == 0)
		fprintf(out, INFO_CRC "%" PRIu32 "\n}\n", chunk_crc(text, size));
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	fd = openat(dir, INFO_NAME_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		ret = -errno;
		free(text);
		return ret;
	}
	ret = write_all(fd, text, size);
	free(text);
	if (ret == 0)
		ret = store_sync_fd(fd);
	close(fd);
	if (ret == 0 && renameat(dir, INFO_NAME_NEW, dir, INFO_NAME) < 0)
		ret = -errno;
	if (ret < 0)
		unlinkat(dir, INFO_NAME_NEW, 0);
	return ret;
}
