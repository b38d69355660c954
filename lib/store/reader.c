/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"

/* First version: reads at submit, in order. */
struct sl_reader {
	unsigned int depth, head, count;
	struct sl_read done[256];
};

int
sl_reader_create(unsigned int depth, const void *helper_cpus, struct sl_reader **reader, char *errbuf)
{
	(void)helper_cpus;
	*reader = NULL;
	if (depth < 1 || depth > 256)
		return store_err(-EINVAL, errbuf, "reader depth %u is not 1 to 256", depth);
	*reader = calloc(1, sizeof(**reader));
	if (!*reader)
		return store_err(-ENOMEM, errbuf, "out of memory");
	(*reader)->depth = depth;
	return 0;
}

void
sl_reader_destroy(struct sl_reader *reader)
{
	free(reader);
}

int
sl_reader_submit(struct sl_reader *r, struct sl_capture *c, uint64_t number, void *buf, void *cookie)
{
	bool direct;
	int fd, ret;

	if (r->count == r->depth)
		return -EAGAIN;
	ret = fd = segment_open(c->dir, number / SL_SEGMENT_CHUNKS, O_RDONLY, &direct);
	if (fd >= 0) {
		ret = segment_read(fd, (uint32_t)(number % SL_SEGMENT_CHUNKS), buf);
		close(fd);
	}
	r->done[(r->head + r->count++) % 256] = (struct sl_read){.cookie = cookie, .data = buf, .result = ret};
	return 0;
}

unsigned int
sl_reader_poll(struct sl_reader *r, struct sl_read *done, unsigned int max)
{
	unsigned int n = 0;

	for (; n < max && r->count > 0; n++, r->count--)
		done[n] = r->done[r->head++ % 256];
	return n;
}

void
sl_reader_release(struct sl_reader *reader)
{
	(void)reader;
}

unsigned int
sl_reader_in_flight(const struct sl_reader *r)
{
	return r->count;
}
