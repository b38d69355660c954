/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * Another configuration while the push runs.
 *
 * The main thread plans (reload_plan.c). One dispatch carries the plan to all
 * writers; there targets that go end as at a stop, and new ones begin. A target that has changed is a new one that
 * begins where the old one has ended, once that has published what it had: they share a journal, and so a kill at any
 * moment leaves what a restart with a changed definition finds.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "reload.h"
#include "resume.h"

/* ---------------------------------------------------------------- afterwards: the main thread */

/* What was before it has left: its place in the stream, and its journal, are free. */
static void
let_begin(struct sl_target *t)
{
	struct sl_recovery *r = &t->recovery;
	char errbuf[SL_WRITER_ERRBUF];

	if (sl_reload_has_journals(t->writers) && sl_resume_open_added(t, errbuf) < 0) {
		if (!t->said_errno)
			WLOG(ERR, "target \"%s\": cannot begin: %s; it will be tried again\n", t->cfg->desc, errbuf);
		t->said_errno = EIO;
		sl_journal_close(t->journal);
		t->journal = NULL;
		return;
	}
	t->said_errno = 0;
	if (t->continues) {
		r->first = r->have ? r->promised : t->end.position;
		t->seq = t->end.seq;
		t->from_reload = false;
	}
	atomic_store_explicit(&t->may_begin, true, memory_order_release);
	if (t->writer->lcore)
		sl_bell_ring(&t->writer->lcore->bell);
}

/* Its lcore knows it no more: nobody does but its successor. */
static void
release(struct sl_target *t)
{
	struct sl_writers *all = t->writers;
	struct sl_target *next = sl_reload_successor(all, t);
	char errbuf[SL_WRITER_ERRBUF];

	sl_journal_close(t->journal);
	t->journal = NULL;
	/* The journal of one that could not publish all says what is missing. */
	if (t->removed && !atomic_load_explicit(&t->stats.gave_up, memory_order_relaxed) &&
		sl_reload_has_journals(all) && sl_resume_archive(all, t->cfg->file_desc, errbuf) < 0)
		WLOG(WARNING, "target \"%s\" has left: %s\n", t->cfg->desc, errbuf);
	if (next) {
		next->predecessor = NULL;
		next->end = t->end;
		next->continues = !t->removed && (t->begun || t->continues);
	}
	(void)sl_push_log_rename(all->log, t->index, "");
	sl_target_free(t);
}

void
sl_writers_tend(struct sl_writers *all)
{
	unsigned int i;

	for (i = 0; i < all->target_count; i++) {
		struct sl_target *t = &all->targets[i];
		const struct sl_target *next;

		if (t->life != SL_TARGET_LEAVING || t->predecessor ||
			!atomic_load_explicit(&t->left, memory_order_acquire))
			continue;
		next = sl_reload_successor(all, t);
		if (!next || next->life != SL_TARGET_PLANNED)
			release(t);
	}
	for (i = 0; i < all->target_count; i++) {
		struct sl_target *t = &all->targets[i];

		if (t->life == SL_TARGET_LIVE && !t->predecessor && !t->doomed &&
			!atomic_load_explicit(&t->may_begin, memory_order_relaxed))
			let_begin(t);
	}
}

/* ---------------------------------------------------------------- on the writer's lcore */

static void
share_blocks(struct sl_writer *w)
{
	unsigned int i, n = 0;

	for (i = 0; i < w->target_count; i++)
		if (w->targets[i]->begun)
			w->used[n++] = w->targets[i]->blocks_used;
	sl_block_pool_share(&w->pool, w->used, n);
}

/* at: the reload's position if it comes just now, else NULL */
static void
begin(struct sl_target *t, const struct sl_position *at)
{
	struct sl_recovery *r = &t->recovery;
	struct sl_position first;

	if (at && t->from_reload)
		r->first = *at;
	first = r->first;
	t->begun = true;
	t->ckpt_at = t->status_at = t->writer->now;
	t->ckpt_mark = first;
	t->park.progress_at = t->park.looked_at = t->park.weighed_at = t->writer->now;
	sl_resume_start(t, &first);
	sl_push_log_line(t->writers->log, t->index, "begins at chunk %" PRIu64 " of capture %" PRIu64, first.chunk,
		first.sequence);
	if (r->deferred) {
		/* as one that fails: SL_JOB_ADOPT ends that, without a word if it goes well */
		t->failing = true;
		t->failing_since = t->retry_at = t->writer->now;
		t->pause = SL_RETRY_MIN_NS;
		sl_target_pump(t);
		return;
	}
	if (at && t->from_reload)
		sl_consumer_set(t->consumer, SL_CONSUMER_ATTACHED);
	else
		sl_park_ready(t);
}

static void
begin_waiting(struct sl_target *t)
{
	t->writer->starting--;
	if (!t->ended)
		begin(t, NULL);
}

static bool
may_begin(const struct sl_target *t)
{
	return atomic_load_explicit(&t->may_begin, memory_order_acquire);
}

static void
leave(struct sl_target *t)
{
	struct sl_mark mark;

	if (!t->begun && may_begin(t))
		begin_waiting(t);
	t->leaving = true;
	t->writer->leaving++;
	sl_push_log_line(t->writers->log, t->index, "the configuration has changed: what is open is published");
	if (t->ended)
		return;
	if (!t->begun) {
		t->writer->starting--;
		sl_target_end_unbegun(t);
		return;
	}
	if (t->cur) {
		/* its last file: there need not be room for another one */
		mark = sl_target_mark(t, 0);
		sl_file_close(t, &mark);
	}
	t->ended = true;
	sl_target_checkpoint(t, true);
	sl_target_pump(t);
}

void
sl_writer_take_reload(struct sl_writer *w, const struct sl_dispatch *d)
{
	const struct sl_writers_reload *r = d->reload->writers;
	unsigned int i;

	sl_block_pool_add(&w->pool, r->extents[w->index]);
	r->extents[w->index] = NULL;
	w->uring_count = r->endpoints;
	for (i = 0; i < r->leave_count; i++)
		if (r->leave[i]->writer == w)
			leave(r->leave[i]);
	for (i = 0; i < r->add_count; i++) {
		struct sl_target *t = r->add[i];

		if (t->writer != w)
			continue;
		t->passed = 1;
		w->targets[w->target_count++] = t;
		if (may_begin(t)) {
			begin(t, &d->position);
			continue;
		}
		if (t->from_reload)
			t->recovery.first = d->position;
		w->starting++;
	}
	share_blocks(w);
	w->busy = true;
}

static bool
has_left(const struct sl_target *t)
{
	return t->leaving && sl_target_is_done(t) && !t->closing && t->in_flight == 0 && sl_target_idle(t);
}

void
sl_writer_tend(struct sl_writer *w)
{
	unsigned int i, kept = 0, before = w->target_count;
	bool changed = false;

	for (i = 0; i < before; i++) {
		struct sl_target *t = w->targets[i];

		if (!t->begun && !t->ended && may_begin(t)) {
			begin_waiting(t);
			changed = true;
		}
		if (!has_left(t)) {
			w->targets[kept++] = t;
			continue;
		}
		if (!t->passed && w->remaining)
			w->remaining--;
		w->leaving--;
		atomic_store_explicit(&t->left, true, memory_order_release);
	}
	w->target_count = kept;
	if (changed || kept != before)
		share_blocks(w);
}
