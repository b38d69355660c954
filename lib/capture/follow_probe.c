/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "follow.h"

#define PROBE_ROOM (64u << 10)
/* A print need not cover more: headers of that size differ before. */
#define PRINT_MAX (1u << 20)

int
follow_open(const struct follow_source *s, const char *name, struct stat *st)
{
	char path[PATH_MAX + NAME_MAX + 2];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	/* Whatever has come under this name since we looked: opening it must not wait, and a link leads elsewhere. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (s->only[0] ? 0 : O_NOFOLLOW));
	if (fd < 0)
		return -errno;
	ret = fstat(fd, st) < 0 ? -errno : S_ISREG(st->st_mode) ? 0 : -EISDIR;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

ssize_t
follow_read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n;

	do {
		n = pread(fd, buf, len, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* @return whether all of it could be read */
static bool
checksum(int fd, uint32_t len, uint32_t *crc)
{
	uint8_t part[8192];

	*crc = 0;
	for (uint32_t at = 0; at < len;) {
		ssize_t n = follow_read_at(fd, part, len - at < sizeof(part) ? len - at : sizeof(part), at);

		if (n <= 0)
			return false;
		*crc = follow_crc(*crc, part, (size_t)n);
		at += (uint32_t)n;
	}
	return true;
}

bool
follow_same(int fd, const struct follow_print *print)
{
	uint32_t crc;

	return checksum(fd, print->len, &crc) && crc == print->crc;
}

int
follow_make_room(uint8_t **buf, size_t *room, size_t *pos, size_t *end, size_t need)
{
	if (*pos) {
		memmove(*buf, *buf + *pos, *end - *pos);
		*end -= *pos;
		*pos = 0;
	}
	if (need > *room) {
		uint8_t *more = realloc(*buf, need);

		if (more == NULL)
			return -ENOMEM;
		*buf = more;
		*room = need;
	}
	return 0;
}

int
follow_probe(struct followed *file)
{
	size_t room = PROBE_ROOM, pos = 0, end = 0, used;
	uint8_t *buf = malloc(room);
	struct rd_packet packet;
	struct reader reader;
	int ret = buf ? 0 : -ENOMEM;

	reader_init(&reader, false);
	while (ret == 0) {
		uint64_t start = reader.offset;
		enum rd_event event = reader_next(&reader, buf + pos, end - pos, &used, &packet);
		ssize_t n;

		if (event == RD_PACKET) {
			uint64_t len = start + (uint64_t)(packet.data - (buf + pos));

			file->print.len = len < PRINT_MAX ? (uint32_t)len : PRINT_MAX;
			if (!checksum(file->fd, file->print.len, &file->print.crc))
				file->print.len = 0;
			/* Packets without a time are all alike; then it is as old as can be. */
			file->first_ts = packet.bad_time || packet.ts == 0 ? 1 : packet.ts;
			break;
		}
		pos += used;
		if (event == RD_DAMAGE)
			break;
		if (event != RD_MORE) {
			if (reader.skip && pos == end)
				reader_skipped(&reader, reader.skip);
			continue;
		}
		ret = follow_make_room(&buf, &room, &pos, &end, reader.need);
		if (ret < 0)
			break;
		n = follow_read_at(file->fd, buf + end, room - end, reader.offset + end);
		if (n <= 0)
			break;
		end += (size_t)n;
	}
	reader_free(&reader);
	free(buf);
	return ret;
}
