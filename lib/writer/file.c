/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * An output file as its lcore sees it: bytes into blocks, blocks into writes.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "target.h"

struct pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snap_len, link_type;
};
_Static_assert(sizeof(struct pcap_header) == SL_PCAP_HEADER, "pcap file header");

static bool
is_null(const struct sl_target *t)
{
	return t->writers->params.sink == SL_SINK_NULL;
}

static void
queue_add(struct sl_file *f, struct sl_block *b)
{
	b->next = NULL;
	*f->queue_tail = b;
	f->queue_tail = &b->next;
}

static void
queue_return(struct sl_file *f, struct sl_block *b)
{
	b->next = f->queue;
	if (!f->queue)
		f->queue_tail = &b->next;
	f->queue = b;
}

static void
put_block(struct sl_target *t, struct sl_block *b)
{
	sl_block_put(&t->writer->pool, &t->blocks_used, b);
}

struct sl_file *
sl_file_begin(struct sl_target *t, const struct sl_mark *start, const struct sl_window *window, uint64_t first_ts)
{
	struct sl_file *f = t->free_files;
	struct pcap_header header = {.magic = 0xa1b23c4d, .major = 2, .minor = 4};

	if (!f || sl_block_available(&t->writer->pool, t->blocks_used) == 0)
		return NULL;
	t->free_files = f->next;
	/* not the texts: they are large, and written before they are read */
	memset(f, 0, offsetof(struct sl_file, pending));
	f->pending[0] = f->final[0] = '\0';
	f->target = t;
	f->fd = -1;
	f->queue_tail = &f->queue;
	f->seq = t->seq++;
	f->begin = window->begin;
	f->end = window->end;
	f->start = *start;
	f->first_ts = f->last_ts = first_ts;
	f->opened_ns = t->writer->now;
	if (t->cfg->split_time && t->cfg->split_byte) {
		if (t->part_begin != f->begin)
			t->part = 0;
		t->part_begin = f->begin;
		f->part = ++t->part;
	}
	f->config = t->cfg;
	f->link_type = t->source.link_type;
	f->snap_len = t->source.snap_len;
	if (t->cfg->slice && (t->cfg->slice < f->snap_len || f->snap_len == 0))
		f->snap_len = t->cfg->slice;
	header.snap_len = f->snap_len;
	header.link_type = f->link_type;
	t->cur = f;
	sl_file_append(f, &header, sizeof(header));
	sl_target_pump(t);
	return f;
}

size_t
sl_file_capacity(const struct sl_file *f)
{
	const struct sl_block_pool *pool = &f->target->writer->pool;
	size_t room = (size_t)sl_block_available(pool, f->target->blocks_used) * pool->block_size;

	if (is_null(f->target))
		return SIZE_MAX;
	return room + (f->cur ? pool->block_size - f->cur->fill : 0);
}

static void
finish_block(struct sl_file *f, uint32_t len)
{
	struct sl_block *b = f->cur;

	f->cur = NULL;
	b->len = len;
	f->cur_offset = b->offset + len;
	queue_add(f, b);
	sl_file_kick(f);
}

void
sl_file_append(struct sl_file *f, const void *data, size_t len)
{
	struct sl_target *t = f->target;
	struct sl_block_pool *pool = &t->writer->pool;
	const uint8_t *from = data;

	f->size += len;
	t->ckpt_bytes += len;
	while (len) {
		struct sl_block *b = f->cur;
		size_t n;

		if (!b) {
			b = sl_block_get(pool, &t->blocks_used);
			b->file = f;
			b->offset = f->cur_offset;
			f->cur = b;
		}
		n = pool->block_size - b->fill;
		if (n > len)
			n = len;
		memcpy(b->data + b->fill, from, n);
		b->fill += (uint32_t)n;
		from += n;
		len -= n;
		if (b->fill == pool->block_size)
			finish_block(f, b->fill);
	}
}

void
sl_file_close(struct sl_target *t, const struct sl_mark *after)
{
	struct sl_file *f = t->cur;

	f->after = *after;
	/* a definition before this one had windows of its own */
	if (f->config == t->cfg)
		f->after.emitted = t->emitted = f->begin;
	f->closed = true;
	f->next = NULL;
	t->cur = NULL;
	*t->closing_tail = f;
	t->closing_tail = &f->next;
	t->closing_count++;
	/* the position behind this file will be in the journal's intent: a checkpoint that has not begun is obsolete */
	if (t->ckpt_wanted && !t->chain.busy)
		t->ckpt_wanted = false;
	if (f->cur) {
		struct sl_block *b = f->cur;
		uint32_t len = (b->fill + SL_BLOCK_ALIGN - 1) & ~(SL_BLOCK_ALIGN - 1);

		memset(b->data + b->fill, 0, len - b->fill);
		finish_block(f, len);
	}
	sl_target_pump(t);
}

void
sl_file_kick(struct sl_file *f)
{
	struct sl_target *t = f->target;
	struct sl_block *b;

	if (is_null(t)) {
		while ((b = f->queue) != NULL) {
			f->queue = b->next;
			put_block(t, b);
		}
		f->queue_tail = &f->queue;
		return;
	}
	if (!f->open || sl_target_held(t))
		return;
	while ((b = f->queue) != NULL && !f->want_extend) {
		struct iovec iov = {b->data + b->done, b->len - b->done};
		uint64_t end = b->offset + b->len;

		/* two direct writes to one place have no order */
		if (f->ckpt_in_flight && f->ckpt_block == b->offset)
			break;
		if (f->preallocate && end > f->allocated) {
			f->want_extend = true;
			break;
		}
		b->epoch = t->epoch;
		b->submitted = t->writer->now;
		b->direct = f->direct;
		if (!sl_uring_write(t->writer, t->uring, f, &iov, 1, b->offset + b->done, b))
			break;
		f->queue = b->next;
		if (!f->queue)
			f->queue_tail = &f->queue;
		f->in_flight++;
	}
	if (f->want_extend)
		sl_target_pump(t);
}

/* The file system refuses this direct write: go on through the page cache. */
static void
go_buffered(struct sl_file *f)
{
	int flags = fcntl(f->fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(f->fd, F_SETFL, flags & ~O_DIRECT);
	f->direct = false;
	if (!atomic_exchange(&f->target->endpoint->buffered, true))
		WLOG(NOTICE, "%s: the file system refuses direct I/O; using buffered I/O\n", f->target->endpoint->key);
}

/* Errors that may be the descriptor's, not the file's: sl_file_reopen(). */
static bool
needs_helper(int error)
{
	return error == EIO || error == ESTALE || error == EBADF || error == ETIMEDOUT || error == ENOLCK;
}

void
sl_file_written(struct sl_block *b, int result)
{
	struct sl_file *f = b->file;
	struct sl_target *t = f->target;

	f->in_flight--;
	sl_park_wrote(t, b->submitted);
	if (result < 0 || result == 0) {
		queue_return(f, b);
		if (result == -EAGAIN || result == -EINTR || result == -ECANCELED) {
			/* as if it had not been submitted */
		} else if (result == -EINVAL && b->direct) {
			/* the first of them that comes back says so for all that were under way */
			if (f->direct)
				go_buffered(f);
		} else {
			/* when it is tried again, a helper sees to the descriptor first */
			f->want_extend |= needs_helper(-result);
			/* one failure, however many writes were under way */
			if (!t->failing || b->epoch == t->epoch)
				sl_target_fail(t, result ? -result : ENOSPC, "write", f->pending);
			return;
		}
		sl_file_kick(f);
		return;
	}
	b->done += (uint32_t)result;
	if (b->done < b->len) {
		/* a direct write goes on at an aligned place only */
		b->done &= ~(SL_BLOCK_ALIGN - 1);
		queue_return(f, b);
		sl_file_kick(f);
		return;
	}
	if (t->ckpt_wanted && t->ckpt_outstanding && t->cur == f && b->offset < f->ckpt_block)
		t->ckpt_outstanding--;
	put_block(t, b);
	sl_target_worked(t, b->epoch);
	sl_file_kick(f);
	if (f->closed || t->ckpt_wanted)
		sl_target_pump(t);
}

bool
sl_file_drained(const struct sl_file *f)
{
	return f->open && !f->cur && !f->queue && f->in_flight == 0 && !f->ckpt_in_flight;
}

void
sl_file_describe(const struct sl_file *f, struct sl_open_file *o)
{
	o->present = true;
	memcpy(o->pending, f->pending, sizeof(o->pending));
	o->ino = f->ino;
	o->size = f->size;
	o->seq = f->seq;
	o->begin = f->begin;
	o->end = f->end;
	o->part = f->part;
	o->link_type = f->link_type;
	o->snap_len = f->snap_len;
	o->first_ts = f->first_ts;
	o->last_ts = f->last_ts;
	o->packets = f->packets;
	o->late = f->late;
	o->start = f->start;
}

void
sl_file_release(struct sl_file *f)
{
	f->next = f->target->free_files;
	f->target->free_files = f;
}

/*
 * The partial block goes out as two pieces: whole pages straight from the block, where appending does not touch them
 * any more, and a copy of the last page, which later packets go on to fill.
 */
bool
sl_file_ckpt_write(struct sl_file *f)
{
	struct sl_target *t = f->target;
	struct sl_block *b = f->cur;
	struct sl_block *q;
	uint32_t whole, first, tail;
	unsigned int n = 0;

	if (!f->open || f->ckpt_in_flight || f->want_extend)
		return false;
	t->ckpt_outstanding = f->in_flight;
	for (q = f->queue; q; q = q->next)
		t->ckpt_outstanding++;
	f->ckpt_block = b ? b->offset : f->cur_offset;
	if (!b || b->fill == 0)
		return true;
	whole = b->fill & ~(SL_BLOCK_ALIGN - 1);
	tail = b->fill - whole;
	first = b->done;
	if (f->preallocate && b->offset + whole + (tail ? SL_BLOCK_ALIGN : 0) > f->allocated) {
		/* a resumed file has no space ahead, and what is here may be too little to ask for any by itself */
		f->want_extend = true;
		sl_target_pump(t);
		return false;
	}
	if (whole > first)
		t->ckpt_iov[n++] = (struct iovec){b->data + first, whole - first};
	if (tail) {
		memcpy(t->ckpt_page, b->data + whole, tail);
		memset(t->ckpt_page + tail, 0, SL_BLOCK_ALIGN - tail);
		t->ckpt_iov[n++] = (struct iovec){t->ckpt_page, SL_BLOCK_ALIGN};
	}
	if (n == 0)
		return true;
	t->ckpt_len = (whole > first ? whole - first : 0) + (tail ? SL_BLOCK_ALIGN : 0);
	if (!sl_uring_write(t->writer, t->uring, f, t->ckpt_iov, n, b->offset + first, (void *)((uintptr_t)f | 1)))
		return false;
	t->ckpt_whole = whole;
	f->ckpt_in_flight = true;
	t->ckpt_outstanding++;
	return true;
}

void
sl_file_ckpt_written(struct sl_file *f, int result)
{
	struct sl_target *t = f->target;
	bool refused = result == -EINVAL && f->direct;

	f->ckpt_in_flight = false;
	if (refused)
		go_buffered(f);
	f->want_extend |= result < 0 && needs_helper(-result);
	if (result != (int)t->ckpt_len) {
		/* the data is still here, and goes out with its block: a failure of the target only if nothing follows
		 */
		if (t->ckpt_wanted && t->ckpt_last && !refused && t->cur == f)
			sl_target_fail(t, result < 0 ? -result : EIO, "write", f->pending);
		t->ckpt_wanted = false;
	} else {
		struct sl_block *b = f->cur && f->cur->offset == f->ckpt_block ? f->cur : f->queue;

		if (b && b->offset == f->ckpt_block && b->done < t->ckpt_whole)
			b->done = t->ckpt_whole;
		if (t->ckpt_wanted && t->ckpt_outstanding && t->cur == f)
			t->ckpt_outstanding--;
	}
	sl_file_kick(f);
	sl_target_pump(t);
}
