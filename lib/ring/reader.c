/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The reader stage: plans dispatches, keeps chunk reads in flight, sends what is complete in order.
 *
 * The head cursor serves all attached targets. Targets that were away and are ready again share one catch-up cursor at
 * the lowest of their positions; it runs in turns with the head until it meets it, and then they are attached. A
 * dispatch that a target has had already, or cannot take yet, is ignored by it, so a cursor needs to know no target.
 *
 * Catching up must not slow the others down: while the head has something to serve, a few targets that catch up get
 * only a small share of the dispatches, and never more chunks than they have said they have room for.
 */

#include <errno.h>
#include <time.h>

#include "pipeline.h"

#define STOP_CHUNKS 64 /* committed chunks that a stop still serves: what a push that keeps up may lie behind */
#define COMPLETIONS 32
#define CATCHUP_SHARE 32 /* one dispatch in so many is for a few that catch up while the head is busy */

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---------------------------------------------------------------- slots */

static void
free_passed(struct sl_pipeline *p)
{
	uint64_t passed = UINT64_MAX;

	for (unsigned int w = 0; w < p->params.writers; w++) {
		uint64_t one = atomic_load_explicit(&p->inlets[w].passed, memory_order_acquire);

		if (one < passed)
			passed = one;
	}
	for (; p->freed < passed; p->freed++) {
		struct sl_slot *slot = &p->slots[p->freed & p->slot_mask];

		if (slot->buf)
			p->free_bufs[p->free_count++] = slot->buf;
		slot->buf = NULL;
		p->catchup_in_flight -= slot->catchup;
	}
}

static bool
has_free_slot(const struct sl_pipeline *p)
{
	return p->planned - p->freed < p->window;
}

/* The slot that the next dispatch will take; it is taken only when planned is advanced. */
static struct sl_slot *
next_slot(struct sl_pipeline *p, enum sl_dispatch_type type, const struct sl_cursor *cursor)
{
	struct sl_slot *slot = &p->slots[p->planned & p->slot_mask];
	struct sl_dispatch *d = &slot->dispatch;

	slot->read.result = 0;
	slot->reading = false;
	slot->catchup = cursor != &p->head;
	d->number = p->planned;
	d->type = type;
	d->stream = cursor->stream;
	d->clock = 0;
	d->position = (struct sl_position){.sequence = cursor->sequence, .chunk = cursor->chunk};
	d->next = d->position;
	return slot;
}

/* ---------------------------------------------------------------- who is served from where */

static uint32_t
consumer_word(const struct sl_consumer *consumer)
{
	return atomic_load_explicit(&consumer->word, memory_order_acquire);
}

static void
attach(struct sl_pipeline *p, unsigned int t, uint32_t word)
{
	uint32_t attached = (word & ~3u) | SL_CONSUMER_ATTACHED;

	/* Fails if the target has changed since: then it is looked at anew. */
	atomic_compare_exchange_strong(&p->params.consumers[t].word, &word, attached);
	p->in_group[t] = 0;
	p->attached++;
	/* what was said at the head while it was not there: the end, and a clock that may not move any more */
	p->ended = false;
	p->clock = 0;
}

static int
cursor_cmp(const struct sl_cursor *cursor, const struct sl_position *position)
{
	if (cursor->sequence != position->sequence)
		return cursor->sequence < position->sequence ? -1 : 1;
	return cursor->chunk < position->chunk ? -1 : cursor->chunk > position->chunk;
}

static uint64_t
cursor_key(const struct sl_cursor *cursor)
{
	const struct sl_position position = {.sequence = cursor->sequence, .chunk = cursor->chunk};

	return sl_position_key(&position);
}

static void
set_catchup(struct sl_pipeline *p, uint64_t key)
{
	uint64_t sequence = key >> 40;

	/* The capture is asked for only if it is another one. */
	if (sequence != p->catchup.sequence)
		p->catchup.stream = NULL;
	p->catchup.sequence = sequence;
	p->catchup.chunk = key & ((UINT64_C(1) << 40) - 1);
	p->catching_up = true;
}

static bool
is_stopping(const struct sl_pipeline *p)
{
	return p->has_end && p->end.packet == UINT32_MAX;
}

/* Attach the target if the head will still serve it; else it joins, or is in, the catch-up group. @return its place */
static uint64_t
welcome(struct sl_pipeline *p, unsigned int t, uint32_t word)
{
	struct sl_consumer *consumer = &p->params.consumers[t];
	uint64_t at = atomic_load_explicit(&consumer->at, memory_order_relaxed);
	uint32_t room = atomic_load_explicit(&consumer->room, memory_order_relaxed);

	/* The top bit tells a word of 0 changes from "not in the group". */
	if ((word | 1u << 31) != p->in_group[t]) {
		if (cursor_key(&p->head) <= at) {
			attach(p, t, word);
			return UINT64_MAX;
		}
		p->in_group[t] = word | 1u << 31;
		if (!is_stopping(p) && (!p->catching_up || cursor_key(&p->catchup) > at))
			set_catchup(p, at);
	}
	p->group++;
	if (room != 0 && room - 1 < p->room)
		p->room = room - 1;
	return at;
}

/* Who is attached, who is ready and where, who has gone away. */
static void
look_at_targets(struct sl_pipeline *p)
{
	uint64_t lowest = UINT64_MAX;

	p->attached = p->group = 0;
	p->room = UINT32_MAX;
	for (unsigned int t = 0; t < p->params.targets; t++) {
		uint32_t word = consumer_word(&p->params.consumers[t]);
		uint64_t at;

		if ((word & 3u) != SL_CONSUMER_READY) {
			p->attached += (word & 3u) == SL_CONSUMER_ATTACHED;
			p->in_group[t] = 0;
			continue;
		}
		at = welcome(p, t, word);
		if (at < lowest)
			lowest = at;
	}
	if (p->group == 0)
		p->catching_up = false;
	/* those for whom it went on here have gone away again */
	else if (p->catching_up && cursor_key(&p->catchup) < lowest)
		set_catchup(p, lowest);
}

/* The catch-up cursor has met the head: its whole group goes on with the head. */
static void
merge_catchup(struct sl_pipeline *p)
{
	p->catching_up = false;
	p->group = 0;
	for (unsigned int t = 0; t < p->params.targets; t++) {
		uint32_t word = consumer_word(&p->params.consumers[t]);

		if (p->in_group[t] != 0 && (word | 1u << 31) == p->in_group[t])
			attach(p, t, word);
		p->in_group[t] = 0;
	}
}

/* ---------------------------------------------------------------- planning */

enum plan {
	PLAN_NOTHING, /* this cursor has nothing to serve now */
	PLAN_DONE, /* one dispatch planned */
	PLAN_LATER, /* the store reader is full, or opens a segment */
};

static enum plan
plan_chunk(struct sl_pipeline *p, struct sl_cursor *cursor)
{
	struct sl_slot *slot = next_slot(p, SL_DISPATCH_CHUNK, cursor);

	uint8_t *buf = p->free_bufs[p->free_count - 1];

	if (sl_reader_submit(p->reader, cursor->stream->capture, cursor->chunk, buf, slot) != 0)
		return PLAN_LATER;
	slot->buf = buf;
	p->free_count--;
	slot->reading = true;
	slot->dispatch.next.chunk = ++cursor->chunk;
	p->catchup_in_flight += slot->catchup;
	p->planned++;
	return PLAN_DONE;
}

/* A dispatch without data, which needs no read. */
static enum plan
plan_word(struct sl_pipeline *p, enum sl_dispatch_type type, struct sl_cursor *cursor, const struct sl_cursor *next)
{
	struct sl_slot *slot = next_slot(p, type, cursor);
	struct sl_dispatch *d = &slot->dispatch;

	if (next) {
		d->next = (struct sl_position){.sequence = next->sequence, .chunk = next->chunk};
		/* the head has told of a roll that a catch-up cursor comes to later */
		if (type == SL_DISPATCH_GAP || cursor == &p->head)
			sl_pipeline_post(p, d, type == SL_DISPATCH_GAP ? ENOENT : 0);
		*cursor = *next;
	}
	p->catchup_in_flight += slot->catchup;
	p->planned++;
	return PLAN_DONE;
}

/* One past the last chunk that the cursor may serve in its capture. */
static uint64_t
limit(const struct sl_pipeline *p, const struct sl_cursor *cursor)
{
	uint64_t committed = sl_capture_committed(cursor->stream->capture);

	if (p->has_end && cursor->sequence == p->end.sequence && p->end.chunk < committed)
		return p->end.chunk;
	return committed;
}

static bool
at_end(const struct sl_pipeline *p, const struct sl_cursor *cursor)
{
	return p->has_end && cursor_cmp(cursor, &p->end) >= 0;
}

static enum plan
plan_roll(struct sl_pipeline *p, struct sl_cursor *cursor)
{
	const struct sl_stream *stream = p->params.stream(p->params.stream_ctx, cursor->sequence + 1);

	if (!stream)
		return PLAN_NOTHING;
	if (cursor == &p->head)
		p->clock = 0;
	return plan_word(
		p, SL_DISPATCH_ROLL, cursor, &(struct sl_cursor){.sequence = stream->info->sequence, .stream = stream});
}

static enum plan
plan_cursor(struct sl_pipeline *p, struct sl_cursor *cursor)
{
	if (!cursor->stream) {
		cursor->stream = p->params.stream(p->params.stream_ctx, cursor->sequence);
		if (!cursor->stream)
			return PLAN_NOTHING;
		if (cursor->stream->info->sequence != cursor->sequence) {
			/* The capture that a journal names is gone: its targets go on with the oldest one behind it. */
			struct sl_cursor next = {.sequence = cursor->stream->info->sequence, .stream = cursor->stream};

			return plan_word(p, SL_DISPATCH_GAP, cursor, &next);
		}
	}
	if (at_end(p, cursor))
		return PLAN_NOTHING;

	/* The order of these three reads is what makes the clock safe: a heartbeat read first precedes every chunk
	 * that was not yet committed afterwards. And a capture seen closed commits nothing more. */
	enum sl_capture_state state = sl_capture_state(cursor->stream->capture);
	uint64_t clock = sl_capture_clock(cursor->stream->capture);
	uint64_t first = sl_capture_first(cursor->stream->capture);

	atomic_thread_fence(memory_order_acquire);
	if (cursor->chunk < first) {
		struct sl_cursor next = {.sequence = cursor->sequence, .chunk = first, .stream = cursor->stream};

		return plan_word(p, SL_DISPATCH_GAP, cursor, &next);
	}
	if (cursor->chunk < limit(p, cursor))
		return plan_chunk(p, cursor);
	if (state != SL_CAPTURE_OPEN)
		return plan_roll(p, cursor);
	if (cursor == &p->head && !p->has_end && clock > p->clock) {
		next_slot(p, SL_DISPATCH_CLOCK, cursor)->dispatch.clock = clock;
		p->planned++;
		p->clock = clock;
		return PLAN_DONE;
	}
	return PLAN_NOTHING;
}

/* After a stop request: fix the end at what is committed now, unless that is far away. */
static void
take_stop(struct sl_pipeline *p)
{
	uint64_t chunk = p->head.chunk;

	if (p->stopped || is_stopping(p) || !atomic_load_explicit(&p->stop, memory_order_acquire))
		return;
	if (p->head.stream && p->attached) {
		uint64_t committed = limit(p, &p->head);

		if (committed > chunk && committed - chunk <= STOP_CHUNKS)
			chunk = committed;
	}
	/* The packet number marks that this end is a stop. */
	p->end = (struct sl_position){.sequence = p->head.sequence, .chunk = chunk, .packet = UINT32_MAX};
	p->has_end = true;
	p->catching_up = false;
}

/*
 * A new generation: cursors ask for its streams from here on. The head's is there already, in general; a cursor whose
 * stream is still being made waits for it.
 */
static enum plan
plan_reload(struct sl_pipeline *p)
{
	struct sl_reload *reload = atomic_load_explicit(&p->reload, memory_order_acquire);
	struct sl_dispatch *d;

	if (!reload || p->stopped)
		return PLAN_NOTHING;
	d = &next_slot(p, SL_DISPATCH_RELOAD, &p->head)->dispatch;
	d->stream = NULL;
	d->reload = reload;
	reload->position = d->position;
	p->planned++;
	p->params.stream_ctx = reload->stream_ctx;
	p->params.targets = reload->targets;
	p->head.stream = p->params.stream(p->params.stream_ctx, p->head.sequence);
	if (p->head.stream && p->head.stream->info->sequence != p->head.sequence)
		p->head.stream = NULL;
	p->catchup.stream = NULL;
	/* new targets have not heard it */
	p->clock = 0;
	atomic_store_explicit(&p->reload, NULL, memory_order_release);
	return PLAN_DONE;
}

static enum plan
plan_end(struct sl_pipeline *p)
{
	if (!p->has_end || !at_end(p, &p->head) || p->stopped)
		return PLAN_NOTHING;
	if (p->end.packet == UINT32_MAX) {
		p->stopped = true;
		return plan_word(p, SL_DISPATCH_STOP, &p->head, NULL);
	}
	if (p->ended)
		return PLAN_NOTHING;
	p->ended = true;
	return plan_word(p, SL_DISPATCH_END, &p->head, NULL);
}

/* With nobody there to take it, what the head would read would only be read again. */
static enum plan
plan_head(struct sl_pipeline *p)
{
	enum plan plan;

	if (p->attached == 0 && !is_stopping(p))
		return PLAN_NOTHING;
	plan = plan_cursor(p, &p->head);
	return plan == PLAN_NOTHING ? plan_end(p) : plan;
}

static enum plan
plan_catchup(struct sl_pipeline *p)
{
	unsigned int most = p->attached ? p->window / 2 : p->window;

	if (!p->catching_up || p->catchup_in_flight >= most || p->catchup_in_flight >= p->room)
		return PLAN_NOTHING;
	return plan_cursor(p, &p->catchup);
}

static enum plan
plan_one(struct sl_pipeline *p)
{
	enum plan plan = plan_reload(p);
	unsigned int turns;

	if (plan != PLAN_NOTHING)
		return plan;
	take_stop(p);
	look_at_targets(p);
	if (p->catching_up) {
		const struct sl_position head = {.sequence = p->head.sequence, .chunk = p->head.chunk};

		if (cursor_cmp(&p->catchup, &head) >= 0)
			merge_catchup(p);
	}
	turns = p->group * 2 > p->attached ? 2 : CATCHUP_SHARE;
	if (++p->turn % turns == 0) {
		plan = plan_catchup(p);
		if (plan != PLAN_NOTHING)
			return plan;
	}
	plan = plan_head(p);
	return plan == PLAN_NOTHING ? plan_catchup(p) : plan;
}

/* ---------------------------------------------------------------- sending */

/*
 * A disk wants many reads in flight. A store in memory does not, and chunks that wait longer than need be are pushed
 * out of the caches before they are copied.
 */
static unsigned int
memory_window(const struct sl_pipeline *p)
{
	unsigned int window = 8 + 4 * (p->params.filters + p->params.writers);

	return window < p->params.slots ? window : p->params.slots;
}

static bool
collect_reads(struct sl_pipeline *p)
{
	struct sl_read done[COMPLETIONS];
	unsigned int count = sl_reader_poll(p->reader, done, COMPLETIONS);

	for (unsigned int i = 0; i < count; i++) {
		struct sl_slot *slot = done[i].cookie;

		slot->read = done[i];
		if (done[i].result == 0)
			p->window = done[i].data == slot->buf ? p->params.slots : memory_window(p);
		slot->reading = false;
	}
	return count > 0;
}

/* The filter with the least to do. A tie is for one whose lcore has no writer to run as well. */
static unsigned int
choose_lane(const struct sl_pipeline *p)
{
	unsigned int best = p->lane_order[0];
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < p->params.filters && least > 0; i++) {
		unsigned int lane = p->lane_order[i];
		uint64_t waiting = p->given[lane] - atomic_load_explicit(&p->lanes[lane].done, memory_order_relaxed);

		if (waiting < least) {
			least = waiting;
			best = lane;
		}
	}
	return best;
}

static bool
send_complete(struct sl_pipeline *p)
{
	bool any = false;

	while (p->sent < p->planned) {
		struct sl_slot *slot = &p->slots[p->sent & p->slot_mask];
		unsigned int lane;

		if (slot->reading)
			break;
		if (slot->dispatch.type == SL_DISPATCH_CHUNK) {
			uint64_t now = now_ns();

			sl_count(slot->catchup ? &p->catchup_chunks : &p->chunks, 1);
			if (atomic_load_explicit(&p->first_ns, memory_order_relaxed) == 0)
				atomic_store_explicit(&p->first_ns, now, memory_order_relaxed);
			atomic_store_explicit(&p->last_ns, now, memory_order_relaxed);
		}
		lane = choose_lane(p);
		p->given[lane]++;
		p->sent++;
		atomic_store_explicit(&slot->dealt, p->sent << 8 | lane, memory_order_release);
		/* Has room for every slot: cannot fail. */
		rte_ring_sp_enqueue(p->to_filter[lane], &slot->dispatch);
		sl_bell_ring(&p->params.filter_lcores[lane]->bell);
		any = true;
	}
	return any;
}

enum sl_poll_result
sl_reader_stage_poll(void *ctx)
{
	struct sl_pipeline *p = ctx;
	bool busy = collect_reads(p);

	free_passed(p);
	while (has_free_slot(p)) {
		if (plan_one(p) != PLAN_DONE)
			break;
		busy = true;
	}
	if (send_complete(p))
		busy = true;
	if (busy)
		return SL_POLL_BUSY;
	if (sl_reader_in_flight(p->reader) > 0)
		return SL_POLL_WAITING;
	/* Somebody who waits for a commit need not ask for it a hundred times a second. */
	p->params.reader_lcore->outside =
		p->head.stream && !p->has_end ? sl_capture_bell(p->head.stream->capture) : NULL;
	/* Idle, and nobody reads what was handed out: a mapped segment that retention removes must not live on here. */
	if (p->freed == p->planned)
		sl_reader_release(p->reader);
	return SL_POLL_IDLE;
}

void
sl_pipeline_start(struct sl_pipeline *p, const struct sl_position *end)
{
	struct sl_position head = {0};

	/* The head begins at the most advanced target; those that lie behind catch up. */
	for (unsigned int t = 0; t < p->params.targets; t++)
		if (sl_position_cmp(&p->params.consumers[t].next, &head) > 0)
			head = p->params.consumers[t].next;
	p->head = (struct sl_cursor){.sequence = head.sequence, .chunk = head.chunk};
	if (end) {
		p->end = *end;
		p->has_end = true;
	}
}
