/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sl_capture.h"

#define PIPE_ROOM (1 << 20)

int
source_open(struct source *source, const char *path, size_t room, char *errbuf)
{
	struct stat st;
	int ret;

	memset(source, 0, sizeof(*source));
	source->own = strcmp(path, "-") != 0;
	source->label = source->own ? path : "standard input";
	source->fd = source->own ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (source->fd < 0) {
		ret = -errno;
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "%s: %s", path, strerror(-ret));
		return ret;
	}
	if (fstat(source->fd, &st) < 0) {
		ret = -errno;
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "%s: %s", source->label, strerror(-ret));
		goto err;
	}
	if (S_ISDIR(st.st_mode)) {
		ret = -EISDIR;
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "%s: is a directory; name the capture files in it", source->label);
		goto err;
	}
	source->regular = S_ISREG(st.st_mode);
	if (source->regular) {
		source->start = lseek(source->fd, 0, SEEK_CUR);
		if (source->start < 0)
			source->start = 0;
		source->size = st.st_size > source->start ? (uint64_t)(st.st_size - source->start) : 0;
		posix_fadvise(source->fd, source->start, 0, POSIX_FADV_SEQUENTIAL);
	} else {
		/* A larger pipe means fewer wake-ups of both ends; not being allowed to have one is no harm. */
		(void)fcntl(source->fd, F_SETPIPE_SZ, PIPE_ROOM);
	}
	source->room = room;
	source->buf = malloc(room);
	if (source->buf == NULL) {
		ret = -ENOMEM;
		snprintf(errbuf, SL_CAPTURE_ERRBUF, "%s: no memory for a read buffer", source->label);
		goto err;
	}
	return 0;
err:
	source_close(source);
	return ret;
}

void
source_close(struct source *source)
{
	if (source->own && source->fd >= 0)
		close(source->fd);
	source->fd = -1;
	source->own = false;
	free(source->buf);
	source->buf = NULL;
	source->room = source->pos = source->end = 0;
}

int
source_rewind(struct source *source)
{
	if (lseek(source->fd, source->start, SEEK_SET) < 0)
		return -errno;
	source->pos = source->end = 0;
	source->eof = false;
	return 0;
}

static int
make_room(struct source *source, size_t need)
{
	uint8_t *buf;

	if (need > source->room) {
		buf = malloc(need);
		if (buf == NULL)
			return -ENOMEM;
		memcpy(buf, source->buf + source->pos, source_avail(source));
		free(source->buf);
		source->buf = buf;
		source->room = need;
	} else if (source->pos == 0) {
		return 0;
	} else if (source->pos < source->end) {
		memmove(source->buf, source->buf + source->pos, source_avail(source));
	}
	source->end -= source->pos;
	source->pos = 0;
	return 0;
}

ssize_t
source_fill(struct source *source, size_t need)
{
	size_t added = 0;
	ssize_t n;
	int ret;

	if (source->eof)
		return 0;
	if (need <= source_avail(source))
		need = source_avail(source) + 1;
	ret = make_room(source, need);
	if (ret < 0)
		return ret;
	while (source->end < need) {
		n = read(source->fd, source->buf + source->end, source->room - source->end);
		if (n < 0 && (errno == EINTR || errno == EAGAIN) && added)
			break;
		if (n < 0)
			return -errno;
		if (n == 0) {
			source->eof = true;
			break;
		}
		source->end += (size_t)n;
		added += (size_t)n;
		if (!source->regular)
			break;
	}
	return (ssize_t)added;
}

int
source_wait(const struct source *source, int timeout_ms)
{
	struct pollfd pfd = {.fd = source->fd, .events = POLLIN};
	int n = poll(&pfd, 1, timeout_ms);

	if (n < 0)
		return -errno;
	/* Hang-up and error are for read() to tell. */
	return n > 0;
}

uint64_t
source_skip(struct source *source, uint64_t n)
{
	uint64_t have = source_avail(source), rest;
	off_t here;

	if (n <= have) {
		source->pos += n;
		return n;
	}
	source->pos = source->end;
	if (!source->regular)
		return have;
	rest = n - have;
	here = lseek(source->fd, 0, SEEK_CUR);
	if (here < 0)
		return have;
	if ((uint64_t)(here - source->start) + rest > source->size)
		rest = source->size > (uint64_t)(here - source->start) ? source->size - (uint64_t)(here - source->start)
								       : 0;
	if (lseek(source->fd, (off_t)rest, SEEK_CUR) < 0)
		return have;
	return have + rest;
}
