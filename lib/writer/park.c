/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Targets whose endpoint hangs or crawls step aside, so that the others go on.
 *
 * A target that cannot take a dispatch *holds* it, and with it everybody: that is back-pressure, and usually right. It
 * is parked when nothing of its own has been completed for 2 s, or when it alone has held back, for 2 s, others that
 * could have gone on. Targets that share a slow disk are slow together: their writes take equally long, so none of them
 * counts as one that could have gone on. Several at a time that hold back the targets of other file systems get five
 * times as long, since then a file system is more likely busy than broken.
 *
 * A parked target is AWAY. What it has taken stays in its blocks and goes on being written; once half of its own blocks
 * are free it is READY, and the reader's catch-up cursor serves it. While it catches up it never holds the others: what
 * it has no room for is not read (struct sl_consumer), and if it must wait nevertheless it steps aside again.
 */

#include <errno.h>
#include <inttypes.h>

#include "target.h"

#define PARK_NS (2 * UINT64_C(1000000000))
#define STEP_ASIDE_NS UINT64_C(50000000) /* catching up: how long it may hold the others */
#define STARVED_NS UINT64_C(500000000) /* a job that no thread has begun for so long needs one more */
#define TOGETHER 5u /* time runs so much slower for several that hold back others together */
#define FORGET 8u /* time held is forgotten so much slower than it is gathered */
#define ALIKE 16u /* two that wait for one disk take equally long, within this factor */
#define LOOKS 2048u /* targets that a tick may compare with each other */

static const char *
what_is_under_way(const struct sl_target *t)
{
	const struct sl_job *job = t->urgent.busy ? &t->urgent : &t->chain;

	if (t->chain.busy && (!sl_file_can_close(t) || t->ended))
		job = &t->chain;
	if (!job->busy || (job == &t->chain && t->in_flight && sl_file_can_close(t)))
		return "writing";
	switch (job->type) {
	case SL_JOB_OPEN:
		return "opening a file";
	case SL_JOB_EXTEND:
		return "allocating space";
	case SL_JOB_PUBLISH:
		return "publishing a file";
	case SL_JOB_CHECKPOINT:
		return "syncing a file";
	case SL_JOB_ADOPT:
		return "taking up its journal";
	}
	return "";
}

static bool
is_under_way(const struct sl_target *t)
{
	return t->urgent.busy || t->chain.busy || t->in_flight;
}

static bool
has_work(const struct sl_target *t)
{
	if (is_under_way(t))
		return true;
	for (const struct sl_file *f = t->closing; f; f = f->next)
		if (f->queue)
			return true;
	return t->cur && t->cur->queue;
}

/* Room for what comes next: not just for one block, or it would be aside again at once. */
static bool
can_run(const struct sl_target *t)
{
	if (t->ended)
		return t->writer->now - t->park.progress_at < PARK_NS;
	return t->closing_count <= SL_TARGET_FILES / 2 && t->blocks_used <= t->writer->pool.reserve / 2;
}

/* ---------------------------------------------------------------- what the reader sees */

void
sl_park_show(struct sl_target *t)
{
	const struct sl_block_pool *pool = &t->writer->pool;
	uint32_t old = atomic_load_explicit(&t->consumer->room, memory_order_relaxed), room = 0;

	if (t->writers->params.sink == SL_SINK_NULL)
		return;
	if (sl_file_can_close(t)) {
		uint64_t bytes = (uint64_t)sl_block_available(pool, t->blocks_used) * pool->block_size;

		room = (uint32_t)(bytes / SL_CHUNK_SIZE);
		/* small blocks: part of a chunk is better than nothing */
		if (room == 0 && can_run(t))
			room = 1;
	}
	atomic_store_explicit(&t->consumer->at, sl_position_key(&t->next), memory_order_relaxed);
	atomic_store_explicit(&t->consumer->room, room + 1, memory_order_relaxed);
	if (room + 1 > old && old <= 2)
		sl_pipeline_wake(t->writers->pipeline);
}

void
sl_park_ready(struct sl_target *t)
{
	if (t->ended || t->park.aside || sl_consumer_state(t->consumer) != SL_CONSUMER_AWAY)
		return;
	t->consumer->next = t->next;
	t->writer->catching_up = true;
	sl_park_show(t);
	sl_consumer_set(t->consumer, SL_CONSUMER_READY);
	sl_pipeline_wake(t->writers->pipeline);
}

void
sl_park_show_all(struct sl_writer *w)
{
	bool any = false;

	for (unsigned int i = 0; i < w->target_count; i++) {
		struct sl_target *t = w->targets[i];

		if (sl_consumer_state(t->consumer) != SL_CONSUMER_READY)
			continue;
		any = true;
		sl_park_show(t);
	}
	w->catching_up = any;
}

/* ---------------------------------------------------------------- parking, and running again */

static void
announce(struct sl_target *t, const char *why, uint64_t ns)
{
	uint64_t tenths = (ns + 50000000) / 100000000;

	if (!t->park.episode) {
		t->park.since = t->writer->now;
		t->park.aside_ns = 0;
	}
	t->park.episode = t->park.said = true;
	SL_COUNT(t->stats.parks, 1);
	atomic_store_explicit(&t->stats.parked, true, memory_order_relaxed);
	WLOG(WARNING,
		"target \"%s\": parked after %" PRIu64 ".%" PRIu64
		" s %s (%s, %s); the others go on, its data stays in the store\n",
		t->cfg->desc, tenths / 10, tenths % 10, why, what_is_under_way(t), t->cfg->path);
	sl_target_say(t, "parked after %" PRIu64 ".%" PRIu64 " s %s (%s), at chunk %" PRIu64 " of capture %" PRIu64,
		tenths / 10, tenths % 10, why, what_is_under_way(t), t->next.chunk, t->next.sequence);
}

static void
step_aside(struct sl_target *t)
{
	t->park.aside = true;
	t->park.held_ns = 0;
	t->park.stuck_at = 0;
	atomic_store_explicit(&t->park.holding, false, memory_order_relaxed);
	sl_target_go_away(t);
}

static void
run_again(struct sl_target *t)
{
	uint64_t ms = (t->writer->now - t->park.since) / 1000000;

	t->park.aside = false;
	atomic_store_explicit(&t->stats.parked, false, memory_order_relaxed);
	if (t->park.said) {
		WLOG(NOTICE, "target \"%s\": runs again after %" PRIu64 ".%03" PRIu64 " s\n", t->cfg->desc, ms / 1000,
			ms % 1000);
		sl_target_say(t,
			"runs again after %" PRIu64 ".%03" PRIu64 " s, catching up from chunk %" PRIu64
			" of capture %" PRIu64,
			ms / 1000, ms % 1000, t->next.chunk, t->next.sequence);
	}
	t->park.said = false;
	sl_park_ready(t);
}

void
sl_park_caught_up(struct sl_target *t)
{
	uint64_t ms = (t->writer->now - t->park.since) / 1000000, aside = t->park.aside_ns / 1000000;

	if (!t->park.episode)
		return;
	t->park.episode = t->park.said = false;
	atomic_store_explicit(&t->stats.parked, false, memory_order_relaxed);
	WLOG(NOTICE, "target \"%s\": caught up after %" PRIu64 ".%03" PRIu64 " s\n", t->cfg->desc, ms / 1000,
		ms % 1000);
	sl_target_say(t, "caught up after %" PRIu64 ".%03" PRIu64 " s, of these parked %" PRIu64 ".%03" PRIu64 " s",
		ms / 1000, ms % 1000, aside / 1000, aside % 1000);
}

/* ---------------------------------------------------------------- who holds whom */

enum { WRITES, JOBS };

static void
smooth(_Atomic uint64_t *latency, uint64_t ns)
{
	uint64_t old = atomic_load_explicit(latency, memory_order_relaxed);

	atomic_store_explicit(latency, old ? (3 * old + ns) / 4 + 1 : ns + 1, memory_order_relaxed);
}

void
sl_park_wrote(struct sl_target *t, uint64_t submitted)
{
	t->park.progress_at = t->writer->now;
	smooth(&t->park.latency[WRITES], t->writer->now - submitted);
}

void
sl_park_job_done(struct sl_target *t, const struct sl_job *job)
{
	t->park.progress_at = t->writer->now;
	smooth(&t->park.latency[JOBS], t->writer->now - job->posted);
}

/* Both wait for the same file system, and it makes both of them wait. */
static bool
are_alike(struct sl_target *t, struct sl_target *other)
{
	unsigned int kind = !sl_file_can_close(t) || (t->cur && !t->cur->open) ? JOBS : WRITES;
	uint64_t mine = atomic_load_explicit(&t->park.latency[kind], memory_order_relaxed);
	uint64_t its = atomic_load_explicit(&other->park.latency[kind], memory_order_relaxed);

	/* nothing is known of one that has completed nothing */
	return other->endpoint == t->endpoint && (its == 0 || its * ALIKE >= mine);
}

/* By its consumer: a slot may be free, or be made ready for a target, but then that is not ATTACHED. */
static bool
is_attached(const struct sl_writers *all, unsigned int slot)
{
	return sl_consumer_state(&all->params.consumers[slot]) == SL_CONSUMER_ATTACHED;
}

/* Are there others that could go on if t did not hold them? together: it is not the only one that holds them */
static bool
holds_others(struct sl_target *t, bool *together)
{
	bool any = false;

	*together = false;
	for (unsigned int i = 0; i < t->writers->target_count; i++) {
		struct sl_target *other = &t->writers->targets[i];

		if (other == t || !is_attached(t->writers, i))
			continue;
		if (atomic_load_explicit(&other->park.holding, memory_order_relaxed) || are_alike(t, other))
			*together = true;
		else
			any = true;
	}
	return any;
}

/* Others that are not catching up themselves. */
static bool
somebody_else_is_attached(const struct sl_target *t)
{
	for (unsigned int i = 0; i < t->writers->target_count; i++) {
		const struct sl_target *other = &t->writers->targets[i];

		if (other != t && is_attached(t->writers, i))
			return true;
	}
	return false;
}

static void
weigh(struct sl_target *t)
{
	struct sl_park *p = &t->park;
	uint64_t now = t->writer->now, ns = now - p->weighed_at;
	bool together;

	p->weighed_at = now;
	if (!sl_pipeline_has_more(t->writers->pipeline, t->writer->index) || !holds_others(t, &together)) {
		p->held_ns -= p->held_ns < ns / FORGET ? p->held_ns : ns / FORGET;
		return;
	}
	p->held_ns += together ? ns / TOGETHER : ns;
	if (p->held_ns < PARK_NS)
		return;
	announce(t, together ? "of holding the others back" : "of holding the others back alone", p->held_ns);
	step_aside(t);
}

/* ---------------------------------------------------------------- each tick */

/* A job that no thread has begun is in a queue: it hangs only if that queue does, and then it needs one more thread. */
static void
watch_job(struct sl_target *t, struct sl_job *job)
{
	uint64_t progress;

	if (!job->busy || atomic_load_explicit(&job->begun, memory_order_relaxed))
		return;
	progress = atomic_load_explicit(&t->endpoint->progress_at, memory_order_relaxed);
	if (progress > t->park.progress_at)
		t->park.progress_at = progress < t->writer->now ? progress : t->writer->now;
	if (t->writer->now - job->posted > STARVED_NS)
		sl_endpoint_starved(t->endpoint);
}

static bool
hangs(const struct sl_target *t)
{
	return has_work(t) && t->writer->now - t->park.progress_at >= PARK_NS;
}

static void
look_aside(struct sl_target *t, uint64_t ns)
{
	if (t->park.episode) {
		SL_COUNT(t->stats.parked_ns, ns);
		t->park.aside_ns += ns;
	}
	if (!t->park.said && !t->failing && hangs(t))
		announce(t, "without a completed write", t->writer->now - t->park.progress_at);
	if (!t->failing && can_run(t))
		run_again(t);
}

/* @return true: to be weighed */
static bool
look(struct sl_target *t)
{
	struct sl_park *p = &t->park;
	uint64_t now = t->writer->now, ns = now - p->looked_at;
	enum sl_consumer_state state = sl_consumer_state(t->consumer);
	bool holding, full;

	p->looked_at = now;
	/* one that fails pauses with its work in its hands */
	if (!has_work(t) || (t->failing && !is_under_way(t)))
		p->progress_at = now;
	watch_job(t, &t->urgent);
	watch_job(t, &t->chain);
	if (p->aside) {
		look_aside(t, ns);
		return false;
	}
	if (p->episode && state == SL_CONSUMER_ATTACHED)
		sl_park_caught_up(t);
	/* it is asked before each dispatch: what is not passed was refused */
	holding = !t->ended && t->writer->remaining && !t->passed &&
		  (state == SL_CONSUMER_ATTACHED || state == SL_CONSUMER_READY);
	atomic_store_explicit(&p->holding, holding, memory_order_relaxed);
	/* then the reader sends nothing that it could hold, nor anything to those that catch up with it */
	full = state == SL_CONSUMER_READY && atomic_load_explicit(&t->consumer->room, memory_order_relaxed) == 1;
	if ((holding || full || t->ended) && !t->failing && hangs(t)) {
		announce(t, "without a completed write", now - p->progress_at);
		step_aside(t);
		return false;
	}
	if (!holding && !full) {
		p->stuck_at = 0;
		p->weighed_at = now;
		p->held_ns -= p->held_ns < ns / FORGET ? p->held_ns : ns / FORGET;
		return false;
	}
	if (state == SL_CONSUMER_READY) {
		if (p->stuck_at == 0)
			p->stuck_at = now;
		else if (now - p->stuck_at >= STEP_ASIDE_NS && (full || somebody_else_is_attached(t)))
			step_aside(t);
		return false;
	}
	return true;
}

/* A push that is to end, with a target whose operations do not. */
static void
look_at_end(struct sl_target *t)
{
	const struct sl_writers_params *p = &t->writers->params;
	uint64_t idle = t->writer->now - t->park.progress_at;

	if (!hangs(t) || t->failing)
		return;
	if ((p->once && idle > p->retry_for + PARK_NS) ||
		(atomic_load_explicit(&t->writers->stopping, memory_order_acquire) &&
			t->writer->now > atomic_load_explicit(&t->writers->stop_deadline, memory_order_relaxed)))
		sl_target_give_up(t, ETIME, t->cfg->path);
}

void
sl_park_tick(struct sl_writer *w)
{
	unsigned int budget = LOOKS / (w->writers->target_count + 1) + 1;

	if (w->writers->params.sink == SL_SINK_NULL)
		return;
	for (unsigned int i = 0; i < w->target_count; i++) {
		/* not always the same ones first: the budget is for all in turn */
		struct sl_target *t = w->targets[(i + w->first_look) % w->target_count];

		if (sl_target_is_done(t) || !t->begun)
			continue;
		if (look(t) && budget) {
			weigh(t);
			if (--budget == 0)
				w->next_look = (i + w->first_look + 1) % w->target_count;
		}
		look_at_end(t);
	}
	w->first_look = w->next_look;
}
