/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Dispatches into files: which matched packets go into which window and part.
 *
 * A chunk is taken in *spans*, each of which lies in one window: usually one span a chunk, found without a look at its
 * packets. A target that has to wait (no block, no file) stops at a packet and is offered the dispatch again. What it
 * would have to undo on a crash is nothing: positions are saved as (chunk, packet) and the window state at the chunk's
 * start, from which the clock is replayed.
 */

#include <inttypes.h>
#include <string.h>

#include <isa-l/crc.h>

#include "gather.h"
#include "target.h"

static uint32_t
record_off(const struct sl_chunk *c, uint32_t i)
{
	return i < c->packets ? c->index[i] & 0xfffffu : c->records_off + c->records_len;
}

/* Largest n in [i, j] for which the records i to n - 1 fit. */
static uint32_t
fit(const struct sl_chunk *c, uint32_t i, uint32_t j, size_t room)
{
	uint32_t base = record_off(c, i), low = i, high = j;

	while (low < high) {
		uint32_t mid = low + (high - low + 1) / 2;

		if (record_off(c, mid) - base <= room)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

static void
account(struct sl_target *t, struct sl_file *f, const struct sl_chunk *c, uint32_t i, uint32_t n, size_t bytes)
{
	if (f->packets == 0)
		f->first_ts = sl_record_ts(sl_chunk_record(c, i));
	f->last_ts = sl_record_ts(sl_chunk_record(c, n - 1));
	f->packets += n - i;
	SL_COUNT(t->stats.packets, n - i);
	SL_COUNT(t->stats.bytes, bytes);
	if (t->cfg->split_time && c->min_ts < f->begin) {
		uint64_t late = 0;

		for (; i < n; i++)
			late += sl_record_ts(sl_chunk_record(c, i)) < f->begin;
		if (late) {
			f->late += late;
			SL_COUNT(t->stats.late, late);
		}
	}
}

/* As account(), for n packets of a verdict's list. */
static void
account_list(struct sl_target *t, struct sl_file *f, const struct sl_chunk *c, const uint16_t *list, uint32_t n,
	size_t bytes)
{
	if (f->packets == 0)
		f->first_ts = sl_record_ts(sl_chunk_record(c, list[0]));
	f->last_ts = sl_record_ts(sl_chunk_record(c, list[n - 1]));
	f->packets += n;
	f->size += bytes;
	t->ckpt_bytes += bytes;
	SL_COUNT(t->stats.packets, n);
	SL_COUNT(t->stats.bytes, bytes);
	if (t->cfg->split_time && c->min_ts < f->begin) {
		uint64_t late = 0;

		for (uint32_t i = 0; i < n; i++)
			late += sl_record_ts(sl_chunk_record(c, list[i])) < f->begin;
		f->late += late;
		SL_COUNT(t->stats.late, late);
	}
}

static void
put_crc(struct sl_target *t, const void *data, size_t len)
{
	if (t->writers->params.crc) {
		t->crc = crc32_gzip_refl(t->crc, data, len);
		atomic_store_explicit(&t->stats.crc, t->crc, memory_order_relaxed);
	}
}

/* Append the records i to n - 1, which fit. */
static void
put_records(struct sl_target *t, struct sl_file *f, const struct sl_chunk *c, uint32_t i, uint32_t n)
{
	const uint8_t *data = c->base + record_off(c, i);
	size_t len = record_off(c, n) - record_off(c, i);

	sl_file_append(f, data, len);
	put_crc(t, data, len);
	account(t, f, c, i, n, len);
}

static void
put_sliced(struct sl_target *t, struct sl_file *f, const struct sl_chunk *c, uint32_t i)
{
	const struct sl_record *r = sl_chunk_record(c, i);
	struct sl_record head = *r;

	if (head.caplen > t->cfg->slice)
		head.caplen = t->cfg->slice;
	sl_file_append(f, &head, sizeof(head));
	sl_file_append(f, r + 1, head.caplen);
	put_crc(t, &head, sizeof(head));
	put_crc(t, r + 1, head.caplen);
	account(t, f, c, i, i + 1, sizeof(head) + head.caplen);
}

/* The file that the next packet goes to, given the size of the record at i. NULL: stop at i. */
static struct sl_file *
file_for(struct sl_target *t, const struct sl_chunk *c, uint32_t i, size_t size)
{
	struct sl_file *f = t->cur;

	if (f && t->cfg->split_byte && f->packets && f->size + size > t->cfg->split_byte) {
		struct sl_mark mark = sl_target_mark(t, i);

		if (!sl_file_can_close(t))
			return NULL;
		sl_file_close(t, &mark);
		f = NULL;
	}
	if (!f) {
		struct sl_mark mark = sl_target_mark(t, i);

		f = sl_file_begin(t, &mark, &t->window, sl_record_ts(sl_chunk_record(c, i)));
	}
	/* failing: what is in blocks is kept, nothing more is taken */
	return t->failing ? NULL : f;
}

/* Take matched records i to j - 1. @return the first one not taken */
static uint32_t
take_run(struct sl_target *t, const struct sl_chunk *c, uint32_t i, uint32_t j)
{
	while (i < j) {
		size_t one = record_off(c, i + 1) - record_off(c, i);
		size_t room;
		struct sl_file *f;
		uint32_t n;

		if (t->cfg->slice && one > sizeof(struct sl_record) + t->cfg->slice)
			one = sizeof(struct sl_record) + t->cfg->slice;
		f = file_for(t, c, i, one);
		if (!f)
			return i;
		room = sl_file_capacity(f);
		if (t->cfg->slice) {
			if (one > room)
				return i;
			put_sliced(t, f, c, i++);
			continue;
		}
		n = j;
		if (record_off(c, n) - record_off(c, i) > room)
			n = fit(c, i, n, room);
		if (n == i)
			return i;
		if (t->cfg->split_byte) {
			size_t left = f->size < t->cfg->split_byte ? t->cfg->split_byte - f->size : 0;

			if (record_off(c, n) - record_off(c, i) > left)
				n = fit(c, i, n, left);
			if (n == i)
				n = i + 1; /* larger than a file may be: alone in one */
		}
		put_records(t, f, c, i, n);
		i = n;
	}
	return i;
}

/* EmptyFiles: the windows from `from` up to `to` have no packet. @return false: stop, and call again */
static bool
empty_windows(struct sl_target *t, uint64_t from, uint64_t to)
{
	const struct sl_writers_params *p = &t->writers->params;
	const struct sl_target_config *cfg = t->cfg;

	if (t->emitted >= from && t->emitted < to)
		from = sl_window_end(cfg, t->emitted);
	if (p->from > from)
		from = sl_window_start(cfg, p->from);
	if (p->to && p->to < to)
		to = sl_window_end(cfg, sl_window_start(cfg, p->to - 1));
	if (from >= to)
		return true;
	if ((to - from) / cfg->split_time > SL_EMPTY_FILES_MAX) {
		if (!t->said_jump && t->writers->log)
			sl_push_log_line(t->writers->log, t->index,
				"the clock jumps over %" PRIu64 " windows: no empty files for these",
				(to - from) / cfg->split_time);
		t->said_jump = true;
		return true;
	}
	while (from < to) {
		struct sl_window w = {.clock = from, .begin = from, .end = sl_window_end(cfg, from)};
		struct sl_mark mark = sl_target_mark(t, t->k);

		if (!sl_file_can_close(t) || t->failing || !sl_file_begin(t, &mark, &w, from))
			return false;
		t->cur->packets = 0;
		mark = sl_target_mark(t, t->k);
		sl_file_close(t, &mark);
		from = w.end;
	}
	return true;
}

/* Leave the open window for another one at packet t->k. @return false: stop there, and call again */
static bool
change_window(struct sl_target *t, const struct sl_window *to)
{
	if (t->cur && t->cur->begin != to->begin) {
		struct sl_mark mark = sl_target_mark(t, t->k);

		if (!sl_file_can_close(t))
			return false;
		sl_file_close(t, &mark);
	}
	if (t->cfg->empty_files && t->window.end > t->window.begin && !t->cur)
		return empty_windows(t, t->window.begin, to->begin);
	return true;
}

/* Move the clock by a heartbeat. @return false: stop, and call again */
static bool
move_clock(struct sl_target *t, uint64_t clock)
{
	struct sl_window w = t->window;

	/* a heartbeat raises the clock, it never resets it */
	if (clock <= w.clock)
		return true;
	if (sl_window_advance(&w, t->cfg, clock) && !change_window(t, &w))
		return false;
	t->window = w;
	return true;
}

/* Let the clock alone see the packets that were taken before. */
static void
replay(struct sl_target *t, const struct sl_chunk *c, const struct sl_verdict *v)
{
	for (; t->k < t->replay && t->k < c->packets; t->k++)
		(void)sl_window_advance(&t->window, t->cfg, sl_record_ts(sl_chunk_record(c, t->k)));
	if (v->kind == SL_VERDICT_LIST)
		while (t->li < v->count && v->packets[t->li] < t->k)
			t->li++;
}

/* Find how far the packets from t->k on lie in one window. @return false: stop at t->k */
static bool
begin_span(struct sl_target *t, const struct sl_chunk *c)
{
	struct sl_window w = t->window;
	uint32_t i;

	if (sl_window_holds(&w, t->cfg, c->min_ts, c->max_ts)) {
		sl_window_skip(&w, c->max_ts);
		t->span_end = c->packets;
		t->span_window = w;
		return true;
	}
	if (sl_window_advance(&w, t->cfg, sl_record_ts(sl_chunk_record(c, t->k))) && !change_window(t, &w))
		return false;
	t->window = w;
	for (i = t->k + 1; i < c->packets; i++) {
		struct sl_window after = w;

		if (sl_window_advance(&after, t->cfg, sl_record_ts(sl_chunk_record(c, i))))
			break;
		w = after;
	}
	t->span_end = i;
	t->span_window = w;
	return true;
}

/*
 * The usual case of a list, in one go: into the block that is being filled, as many of these n packets as leave it not
 * quite full. What ends or begins a block, a part or a file is for take_run(). @return packets taken
 */
static uint32_t
take_gathered(struct sl_target *t, const struct sl_chunk *c, const uint16_t *list, uint32_t n)
{
	struct sl_file *f = t->cur;
	struct sl_block *b = f ? f->cur : NULL;
	uint8_t *from, *to;

	if (!b || t->failing || t->cfg->split_byte || t->cfg->slice)
		return 0;
	from = to = b->data + b->fill;
	n = sl_gather(c, list, n, &to, b->data + t->writer->pool.block_size - 1);
	if (n == 0)
		return 0;
	b->fill += (uint32_t)(to - from);
	put_crc(t, from, (size_t)(to - from));
	account_list(t, f, c, list, n, (size_t)(to - from));
	return n;
}

/* Entries of the list below packet number `end`, which is not beyond the chunk's. */
static uint32_t
list_end(const struct sl_chunk *c, const struct sl_verdict *v, uint32_t from, uint32_t end)
{
	uint32_t low = from, high = v->count;

	if (end == c->packets)
		return high;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (v->packets[mid] < end)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Take the matched packets of the span. @return false: stop at t->k */
static bool
take_span(struct sl_target *t, const struct sl_chunk *c, const struct sl_verdict *v)
{
	if (v->kind == SL_VERDICT_ALL) {
		t->k = take_run(t, c, t->k, t->span_end);
		return t->k == t->span_end;
	}
	if (v->kind == SL_VERDICT_LIST) {
		uint32_t stop = list_end(c, v, t->li, t->span_end);

		for (;;) {
			uint32_t i, j, li, end;

			t->li += take_gathered(t, c, v->packets + t->li, stop - t->li);
			if (t->li == stop)
				break;
			i = v->packets[t->li];
			j = i + 1;
			li = t->li + 1;
			/* without blocks to gather into, as a byte split has it, runs are what is fast */
			while (li < stop && v->packets[li] == j) {
				j++;
				li++;
			}
			t->k = i;
			end = take_run(t, c, i, j);
			t->li += end - i;
			t->k = end;
			if (end < j)
				return false;
		}
	}
	t->k = t->span_end;
	return true;
}

static void
use_stream(struct sl_target *t, const struct sl_dispatch *d)
{
	if (!d->stream)
		return;
	t->source = (struct sl_source){.sequence = d->stream->info->sequence,
		.link_type = d->stream->info->link_type,
		.snap_len = d->stream->info->snap_len};
	if (d->stream->info->sequence == t->next.sequence) {
		t->capture = d->stream->info->uuid;
		t->rolled = false;
	}
}

/* Chunks that are gone are gone for every target that stands among them. */
static void
take_gap(struct sl_target *t, const struct sl_dispatch *d)
{
	uint64_t begin = t->window.clock;

	if (sl_position_cmp(&t->next, &d->position) < 0 || sl_position_cmp(&t->next, &d->next) >= 0)
		return;
	if (!t->in_gap) {
		t->in_gap = true;
		t->gap_position = t->next;
		SL_COUNT(t->stats.gaps, 1);
		/* of a chunk that was begun the window knows nothing yet */
		if (t->cur && t->cur->packets && t->cur->last_ts > begin)
			begin = t->cur->last_ts;
		atomic_store_explicit(&t->stats.gap_begin, begin, memory_order_relaxed);
		atomic_store_explicit(&t->stats.gap_end, 0, memory_order_relaxed);
	}
	if (t->next.sequence == d->next.sequence) {
		SL_COUNT(t->stats.gap_chunks, d->next.chunk - t->next.chunk);
	} else if (!t->rolled) {
		t->roll_position = t->next;
		t->rolled = true;
	}
	t->next = d->next;
}

/* Behind a gap: now it is known what is missing. */
static void
end_gap(struct sl_target *t, uint64_t first_ts)
{
	char begin[SL_TIME_SIZE] = "an unknown time", end[SL_TIME_SIZE];
	uint64_t last_ts = atomic_load_explicit(&t->stats.gap_begin, memory_order_relaxed);

	t->in_gap = false;
	atomic_store_explicit(&t->stats.gap_end, first_ts, memory_order_relaxed);
	if (last_ts)
		sl_time_format_utc(last_ts, begin);
	sl_time_format_utc(first_ts, end);
	WLOG(WARNING, "target \"%s\": lost: the packets between %s and %s are no longer in the store\n", t->cfg->desc,
		begin, end);
	sl_target_say(t,
		"lost: the packets between %s and %s are no longer in the store (chunk %" PRIu64 " of capture %" PRIu64
		" up to chunk %" PRIu64 " of capture %" PRIu64 ")",
		begin, end, t->gap_position.chunk, t->gap_position.sequence, t->next.chunk, t->next.sequence);
}

static bool
take_chunk(struct sl_target *t, const struct sl_dispatch *d)
{
	const struct sl_chunk *c = &d->chunk;
	const struct sl_verdict *v = &d->verdicts.of[d->stream->program[t->index]];

	if (!t->in_chunk) {
		/* another link type or snap length cannot share a file */
		if (t->cur && t->source.sequence != d->stream->info->sequence &&
			(t->cur->link_type != d->stream->info->link_type ||
				(t->source.sequence && t->source.snap_len != d->stream->info->snap_len))) {
			struct sl_mark mark = sl_target_mark(t, 0);

			if (!sl_file_can_close(t))
				return false;
			sl_file_close(t, &mark);
		}
		use_stream(t, d);
		sl_target_first_checkpoint(t);
		t->chunk_window = t->window;
		t->in_chunk = true;
		t->fed = false;
		t->k = t->li = t->span_end = 0;
		t->replay = t->next.packet;
	}
	if (!t->fed) {
		/* what was lost has moved the clock, too */
		if (t->in_gap) {
			if (!move_clock(t, c->clock))
				return false;
			end_gap(t, c->first_ts);
		}
		if (t->window.clock == 0 && c->clock)
			(void)sl_window_advance(&t->window, t->cfg, c->clock);
		if (t->replay) {
			if (c->heartbeat > t->window.clock)
				(void)sl_window_advance(&t->window, t->cfg, c->heartbeat);
			replay(t, c, v);
		} else if (!move_clock(t, c->heartbeat)) {
			return false;
		}
		t->fed = true;
	}
	while (t->k < c->packets) {
		if (t->span_end <= t->k && !begin_span(t, c))
			return false;
		if (!take_span(t, c, v))
			return false;
		t->window = t->span_window;
	}
	t->in_chunk = false;
	t->next = d->next;
	sl_target_checkpoint(t, false);
	return true;
}

static bool
take_end(struct sl_target *t, const struct sl_dispatch *d, bool stop)
{
	struct sl_mark mark;
	bool resume = stop && t->cfg->on_stop == SL_ON_STOP_RESUME && t->journal;

	/* After a resume at the end no chunk has named the stream, and the open window may still owe its empty file. */
	if (!t->source.sequence)
		use_stream(t, d);
	mark = sl_target_mark(t, 0);
	if (t->cur && !resume) {
		if (!sl_file_can_close(t))
			return false;
		sl_file_close(t, &mark);
	}
	if (t->cfg->empty_files && !resume && t->window.end > t->window.begin && t->source.sequence && !t->cur &&
		!empty_windows(t, t->window.begin, t->window.end))
		return false;
	t->ended = true;
	sl_target_checkpoint(t, true);
	sl_target_pump(t);
	return true;
}

bool
sl_target_take(struct sl_target *t, const struct sl_dispatch *d)
{
	enum sl_consumer_state state = sl_consumer_state(t->consumer);

	if (t->ended || state == SL_CONSUMER_DONE)
		return true;
	if (!t->begun) {
		if (d->type == SL_DISPATCH_STOP)
			sl_target_end_unbegun(t);
		return true;
	}
	if (d->type == SL_DISPATCH_STOP)
		return take_end(t, d, true);
	if (state == SL_CONSUMER_AWAY)
		return true;
	if (d->type == SL_DISPATCH_GAP) {
		take_gap(t, d);
		return true;
	}
	if (d->position.sequence != t->next.sequence || d->position.chunk != t->next.chunk)
		return true;
	/* what lies between chunks is for those that stand there */
	if (d->type != SL_DISPATCH_CHUNK && d->type != SL_DISPATCH_BAD && t->next.packet != 0)
		return true;
	t->k = t->in_chunk ? t->k : 0;
	switch (d->type) {
	case SL_DISPATCH_CHUNK:
		return take_chunk(t, d);
	case SL_DISPATCH_CLOCK:
		use_stream(t, d);
		return move_clock(t, d->clock);
	case SL_DISPATCH_BAD:
		sl_target_say(t, "damaged: chunk %" PRIu64 " is passed over", t->next.chunk);
		t->next = d->next;
		return true;
	case SL_DISPATCH_ROLL:
		/* the new capture's identity comes with its first chunk */
		if (!t->rolled)
			t->roll_position = t->next;
		t->rolled = true;
		t->next = d->next;
		return true;
	case SL_DISPATCH_END:
		return take_end(t, d, false);
	case SL_DISPATCH_GAP:
	case SL_DISPATCH_STOP:
	case SL_DISPATCH_RELOAD: /* the writer's, not a target's */
		break;
	}
	return true;
}
