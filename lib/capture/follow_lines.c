/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "follow_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <isa-l/crc.h>

#include "sl_capture.h"

uint32_t
follow_crc(uint32_t crc, const void *data, size_t len)
{
	/* ISA-L does not write to it; it only lacks the const. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, ~crc);
}

int
follow_state_fail(char *errbuf, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(errbuf, SL_CAPTURE_ERRBUF, fmt, ap);
	va_end(ap);
	return error;
}

void *
follow_grow(void *list, size_t count, size_t *room, size_t size)
{
	void *more;

	if (count < *room)
		return list;
	more = realloc(list, (2 * *room + 16) * size);
	if (more)
		*room = 2 * *room + 16;
	return more;
}

void
follow_escape(char *to, const char *from)
{
	static const char hex[] = "0123456789abcdef";

	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;

		if (c < 0x20 || c == 0x7f || c == '%') {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		} else {
			*to++ = (char)c;
		}
	}
	*to = '\0';
}

void
follow_unescape(char *text)
{
	char *to = text;
	unsigned int c;

	while (*text) {
		if (*text == '%' && sscanf(text + 1, "%2x", &c) == 1) {
			*to++ = (char)c;
			text += 3;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* @return bytes of the line, its end included */
int
follow_format_line(char *line, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return snprintf(line, LINE_MAX_BYTES + 16, "%08x %s\n", follow_crc(0, text, (size_t)n), text);
}

int
follow_base_line(char *line, uint64_t position)
{
	return follow_format_line(line, "base %" PRIu64, position);
}

int
follow_capture_line(char *line, uint64_t begin, const struct sl_uuid *uuid)
{
	char text[37];

	sl_uuid_format(uuid, text);
	return follow_format_line(line, "capture %" PRIu64 " %s", begin, text);
}

int
follow_run_line(
	char *line, uint64_t begin, uint64_t offset, uint64_t ino, const struct follow_print *print, const char *path)
{
	char escaped[3 * (PATH_MAX + NAME_MAX + 2)];

	follow_escape(escaped, path);
	return follow_format_line(line, "run %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIx32 " %s", begin,
		offset, ino, print->len, print->crc, escaped);
}

int
follow_state_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

int
follow_state_sync_directory(const char *path)
{
	char dir[PATH_MAX];
	int fd, ret;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return ret;
}
