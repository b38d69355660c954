/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The life of a target on its lcore: jobs for the helper in order, failing and recovering, checkpoints, the end.
 */

#include "target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "resume.h"

static const struct sl_uuid no_capture;

struct sl_mark
sl_target_mark(const struct sl_target *t, uint32_t k)
{
	struct sl_mark m = {
		.capture = t->capture,
		.position = t->next,
		.window = t->window,
		.emitted = t->emitted,
		.seq = t->seq,
		.part_begin = t->part_begin,
		.part = t->part,
	};

	if (t->in_chunk) {
		m.position.packet = k > t->replay ? k : t->replay;
		m.window = t->chunk_window;
	}
	if (t->rolled)
		m.position = t->roll_position;
	return m;
}

void
sl_target_set_mark(struct sl_target *t, const struct sl_mark *mark)
{
	t->capture = mark->capture;
	t->next = mark->position;
	t->window = mark->window;
	t->emitted = mark->emitted;
	t->seq = mark->seq;
	t->part_begin = mark->part_begin;
	t->part = mark->part;
}

void
sl_target_say(struct sl_target *t, const char *fmt, ...)
{
	char line[SL_PATH_MAX + 512];
	va_list ap;

	if (!t->writers->log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sl_push_log_line(t->writers->log, t->index, "%s", line);
}

/* ---------------------------------------------------------------- texts for other threads */

static void
set_text(struct sl_target *t, char *to, const char *from)
{
	uint32_t seq = atomic_load_explicit(&t->stats.text_seq, memory_order_relaxed);

	atomic_store_explicit(&t->stats.text_seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	snprintf(to, SL_PATH_MAX, "%s", from);
	atomic_store_explicit(&t->stats.text_seq, seq + 2, memory_order_release);
}

void
sl_target_show_position(struct sl_target *t)
{
	struct sl_target_counters *c = &t->stats;
	uint32_t seq = atomic_load_explicit(&c->position_seq, memory_order_relaxed);

	atomic_store_explicit(&c->position_seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&c->position_sequence, t->next.sequence, memory_order_relaxed);
	atomic_store_explicit(&c->position_chunk, t->next.chunk, memory_order_relaxed);
	atomic_store_explicit(&c->position_packet, t->next.packet, memory_order_relaxed);
	atomic_store_explicit(&c->position_seq, seq + 2, memory_order_release);
}

static void
update_unpublished(struct sl_target *t)
{
	const struct sl_file *f = t->closing;
	uint64_t ts = 0;

	while (f && f->packets == 0)
		f = f->next;
	if (!f && t->cur && t->cur->packets)
		f = t->cur;
	if (f)
		ts = f->first_ts;
	else if (t->cur)
		ts = t->cur->first_ts; /* begun for a packet that it could not take yet */
	else if (t->recovery.deferred && t->recovery.file.present)
		ts = t->recovery.file.first_ts;
	atomic_store_explicit(&t->stats.first_unpublished_ts, ts, memory_order_relaxed);
}

/* ---------------------------------------------------------------- failing */

void
sl_target_go_away(struct sl_target *t)
{
	enum sl_consumer_state state = sl_consumer_state(t->consumer);

	if (t->ended || state == SL_CONSUMER_AWAY || state == SL_CONSUMER_DONE)
		return;
	if (t->in_chunk) {
		if (t->k > t->next.packet)
			t->next.packet = t->k;
		t->window = t->chunk_window;
		t->in_chunk = false;
	}
	t->consumer->next = t->next;
	sl_consumer_set(t->consumer, SL_CONSUMER_AWAY);
}

static void
finish(struct sl_target *t)
{
	t->ended = true;
	sl_park_caught_up(t);
	if (t->leaving)
		t->end = sl_target_mark(t, 0);
	update_unpublished(t);
	sl_target_show_position(t);
	sl_consumer_set(t->consumer, SL_CONSUMER_DONE);
}

void
sl_target_end_unbegun(struct sl_target *t)
{
	/* the main thread may be at its journal: nothing else of it is touched */
	t->ended = true;
	sl_consumer_set(t->consumer, SL_CONSUMER_DONE);
}

const char *
sl_writer_error_text(int error)
{
	if (error == ENODEV)
		return "not mounted";
	/* not a system call's own word, which a hung one never says */
	return error == ETIME ? "hangs: nothing was completed in time" : strerror(error);
}

void
sl_target_fail(struct sl_target *t, int error, const char *what, const char *path)
{
	uint64_t now = t->writer->now;
	struct timespec wall;

	t->epoch++;
	if (!t->failing) {
		t->failing = true;
		t->failing_since = now;
		/* one that fails again soon after it has worked keeps its growing pauses */
		if (t->pause == 0 || now - t->healthy_since > SL_RETRY_MAX_NS)
			t->pause = SL_RETRY_MIN_NS;
	} else {
		t->pause = t->pause * 2 > SL_RETRY_MAX_NS ? SL_RETRY_MAX_NS : t->pause * 2;
	}
	t->retry_at = now + t->pause;
	set_text(t, t->stats.error_path, path);
	clock_gettime(CLOCK_REALTIME, &wall);
	atomic_store_explicit(
		&t->stats.error_ns, (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec, memory_order_relaxed);
	atomic_store_explicit(&t->stats.error_what, what, memory_order_relaxed);
	atomic_store_explicit(&t->stats.error, error, memory_order_relaxed);
	atomic_store_explicit(&t->stats.failing, true, memory_order_relaxed);
	if (error != t->said_errno) {
		t->said_errno = error;
		WLOG(ERR, "target \"%s\": %s %s: %s; its data is kept, and it will be tried again\n", t->cfg->desc,
			what, path, sl_writer_error_text(error));
		sl_target_say(t, "failing: %s %s: %s (errno %d)", what, path, sl_writer_error_text(error), error);
	}
	sl_target_go_away(t);
	update_unpublished(t);
}

static void
recover(struct sl_target *t)
{
	t->failing = false;
	t->healthy_since = t->writer->now;
	atomic_store_explicit(&t->stats.failing, false, memory_order_relaxed);
	if (t->said_errno) {
		uint64_t ms = (t->writer->now - t->failing_since) / 1000000;

		WLOG(NOTICE, "target \"%s\": works again after %" PRIu64 ".%03" PRIu64 " s\n", t->cfg->desc, ms / 1000,
			ms % 1000);
		sl_target_say(t, "works again after %" PRIu64 ".%03" PRIu64 " s", ms / 1000, ms % 1000);
	}
	t->said_errno = 0;
	sl_park_ready(t);
}

void
sl_target_worked(struct sl_target *t, uint32_t epoch)
{
	if (t->failing && epoch == t->epoch && !sl_target_is_done(t))
		recover(t);
}

void
sl_target_give_up(struct sl_target *t, int error, const char *path)
{
	if (path != t->stats.error_path)
		set_text(t, t->stats.error_path, path);
	atomic_store_explicit(&t->stats.error, error, memory_order_relaxed);
	atomic_store_explicit(&t->stats.gave_up, true, memory_order_relaxed);
	if (t->leaving)
		atomic_fetch_add(&t->writers->left_behind, 1);
	WLOG(ERR, "target \"%s\": given up: %s: %s\n", t->cfg->desc, path, sl_writer_error_text(error));
	sl_target_say(t, "given up: %s: %s%s", path, sl_writer_error_text(error),
		t->journal ? "; the journal stays as it is, and a restart goes on from there" : "");
	/* it has not caught up, and will not */
	t->park.episode = false;
	finish(t);
}

/* ---------------------------------------------------------------- jobs */

static void
post(struct sl_target *t, struct sl_job *job, enum sl_job_type type, struct sl_file *f, uint64_t need)
{
	job->type = type;
	job->target = t;
	job->file = f;
	job->epoch = t->epoch;
	job->retry = t->failing;
	job->need = need;
	job->result = 0;
	job->what = "";
	job->posted = t->writer->now;
	atomic_store_explicit(&job->begun, false, memory_order_relaxed);
	job->busy = true;
	sl_endpoint_post(t->endpoint, job, job == &t->urgent);
}

static uint64_t
bytes_needed(const struct sl_file *f)
{
	uint64_t end = (f->size + SL_BLOCK_ALIGN - 1) & ~(uint64_t)(SL_BLOCK_ALIGN - 1);

	return end;
}

static void
count_published(struct sl_target *t, const struct sl_file *f, uint32_t copy)
{
	SL_COUNT(t->stats.published_packets, f->packets);
	SL_COUNT(t->stats.published_bytes, f->size);
	SL_COUNT(t->stats.files, 1);
	if (copy)
		SL_COUNT(t->stats.renamed, 1);
}

static void
drop_head(struct sl_target *t)
{
	struct sl_file *f = t->closing;

	t->closing = f->next;
	if (!t->closing)
		t->closing_tail = &t->closing;
	t->closing_count--;
	sl_file_release(f);
}

static void
published(struct sl_target *t)
{
	struct sl_file *f = t->closing;
	char first[SL_TIME_SIZE] = "-", last[SL_TIME_SIZE] = "-";
	uint64_t ms = (t->writer->now - f->opened_ns) / 1000000;

	count_published(t, f, f->copy);
	if (f->packets) {
		sl_time_format_utc(f->first_ts, first);
		sl_time_format_utc(f->last_ts, last);
	}
	sl_target_say(t,
		"published %s: packets %" PRIu64 ", bytes %" PRIu64 ", first %s, last %s, wall %" PRIu64 ".%03" PRIu64
		" s, late %" PRIu64,
		f->final, f->packets, f->size, first, last, ms / 1000, ms % 1000, f->late);
	set_text(t, t->stats.last_file, f->final);
	if (f->copy && !t->stats.example_renamed[0])
		set_text(t, t->stats.example_renamed, f->final);
	t->ckpt_at = t->writer->now;
	t->ckpt_bytes = t->cur ? t->cur->size : 0;
	t->journaled = t->journaled || memcmp(&f->after.capture, &no_capture, sizeof(no_capture)) != 0;
	drop_head(t);
	update_unpublished(t);
}

void
sl_target_job_done(struct sl_target *t, struct sl_job *job)
{
	struct sl_file *f = job->file;

	job->busy = false;
	sl_park_job_done(t, job);
	if (job->result < 0) {
		if (!sl_target_is_done(t))
			sl_target_fail(t, -job->result, job->what, job->path);
		return;
	}
	switch (job->type) {
	case SL_JOB_OPEN:
		f->open = true;
		if (!f->announced)
			sl_target_say(t, "open %s", f->pending);
		f->announced = true;
		break;
	case SL_JOB_EXTEND:
		f->want_extend = false;
		break;
	case SL_JOB_PUBLISH:
		published(t);
		f = NULL;
		break;
	case SL_JOB_CHECKPOINT:
		t->ckpt_wanted = false;
		/* one that was under way when the end came does not know what was taken since it was begun */
		if (t->ckpt_last)
			t->ckpt_final = false;
		t->ckpt_at = t->writer->now;
		t->ckpt_mark = t->ckpt.mark.position;
		t->journaled = true;
		break;
	case SL_JOB_ADOPT:
		t->recovery.deferred = false;
		sl_resume_apply(t);
		break;
	}
	sl_target_worked(t, job->epoch);
	if (f)
		sl_file_kick(f);
	sl_target_pump(t);
}

static void
pump_null(struct sl_target *t)
{
	while (t->closing) {
		count_published(t, t->closing, 0);
		drop_head(t);
	}
	if (t->ended && !t->cur && !sl_target_is_done(t))
		finish(t);
}

static void
pump_urgent(struct sl_target *t)
{
	struct sl_file *f = t->closing;

	while (f && f->open && !f->want_extend)
		f = f->next;
	if (!f)
		f = t->cur;
	if (!f)
		return;
	if (!f->open)
		post(t, &t->urgent, SL_JOB_OPEN, f, bytes_needed(f));
	else if (f->want_extend)
		post(t, &t->urgent, SL_JOB_EXTEND, f, bytes_needed(f));
}

static bool
knows_capture(const struct sl_target *t)
{
	return memcmp(&t->capture, &no_capture, sizeof(no_capture)) != 0;
}

static void
begin_checkpoint(struct sl_target *t)
{
	struct sl_file *f = t->cur;
	struct sl_open_file *o = &t->ckpt.file;

	if (!knows_capture(t)) {
		/* it has taken nothing yet: what the journal says is still right */
		t->ckpt_final = false;
		return;
	}
	t->ckpt_outstanding = 0;
	if (f && !sl_file_ckpt_write(f))
		return;
	t->ckpt.mark = sl_target_mark(t, 0);
	if (f)
		sl_file_describe(f, o);
	else
		o->present = false;
	t->ckpt_wanted = true;
	t->ckpt_last = t->ckpt_final;
	t->ckpt_bytes = 0;
}

void
sl_target_checkpoint(struct sl_target *t, bool final)
{
	uint64_t now = t->writer->now;

	if (!t->journal)
		return;
	if (final)
		t->ckpt_final = true;
	if (t->ckpt_wanted || t->chain.busy || t->closing_count || t->failing)
		return;
	if (!t->ckpt_final && t->journaled) {
		if (now - t->ckpt_at < t->writers->checkpoint_ns && t->ckpt_bytes < t->writers->checkpoint_bytes)
			return;
		if (sl_position_cmp(&t->next, &t->ckpt_mark) == 0)
			return;
	}
	begin_checkpoint(t);
	/* nothing else may come for long that would hand it to the helper */
	if (t->ckpt_wanted)
		sl_target_pump(t);
}

void
sl_target_first_checkpoint(struct sl_target *t)
{
	if (!t->journal || t->journaled || t->ckpt_wanted || t->chain.busy || t->closing_count || t->cur || t->failing)
		return;
	begin_checkpoint(t);
	sl_target_pump(t);
}

static void
pump_chain(struct sl_target *t)
{
	struct sl_file *f = t->closing;

	if (t->recovery.deferred) {
		post(t, &t->chain, SL_JOB_ADOPT, NULL, 0);
		return;
	}
	if (f) {
		if (sl_file_drained(f) && !f->want_extend)
			post(t, &t->chain, SL_JOB_PUBLISH, f, 0);
		return;
	}
	/* the last checkpoint waits until everything else is done */
	if (t->ckpt_final && !t->ckpt_wanted)
		begin_checkpoint(t);
	if (t->ckpt_wanted && t->ckpt_outstanding == 0 && (!t->cur || !t->cur->ckpt_in_flight))
		post(t, &t->chain, SL_JOB_CHECKPOINT, t->ckpt.file.present ? t->cur : NULL, 0);
}

bool
sl_target_idle(const struct sl_target *t)
{
	return !t->urgent.busy && !t->chain.busy && !t->closing && !t->ckpt_final && !t->ckpt_wanted &&
	       (!t->cur || (t->cur->in_flight == 0 && !t->cur->ckpt_in_flight && !t->cur->queue));
}

void
sl_target_pump(struct sl_target *t)
{
	if (t->writers->params.sink == SL_SINK_NULL) {
		pump_null(t);
		return;
	}
	if (sl_target_held(t) || sl_target_is_done(t))
		return;
	if (!t->urgent.busy)
		pump_urgent(t);
	if (!t->chain.busy)
		pump_chain(t);
	if (t->ended && sl_target_idle(t))
		finish(t);
}

/* ---------------------------------------------------------------- time */

static void
status_line(struct sl_target *t)
{
	uint64_t packets = atomic_load_explicit(&t->stats.packets, memory_order_relaxed);
	uint64_t files = atomic_load_explicit(&t->stats.files, memory_order_relaxed);

	if (t->writer->now - t->status_at < SL_STATUS_NS)
		return;
	t->status_at = t->writer->now;
	if (packets == t->status_packets && files == t->status_files)
		return;
	t->status_packets = packets;
	t->status_files = files;
	sl_target_say(t,
		"status: packets %" PRIu64 ", bytes %" PRIu64 ", files %" PRIu64 ", late %" PRIu64 ", at chunk %" PRIu64
		" of capture %" PRIu64 "%s",
		packets, atomic_load_explicit(&t->stats.bytes, memory_order_relaxed), files,
		atomic_load_explicit(&t->stats.late, memory_order_relaxed), t->next.chunk, t->next.sequence,
		t->failing                         ? ", failing"
		: t->park.aside && t->park.episode ? ", parked"
						   : "");
}

void
sl_target_tick(struct sl_target *t)
{
	const struct sl_writers_params *p = &t->writers->params;
	uint64_t now = t->writer->now;
	struct sl_file *f;

	if (sl_target_is_done(t) || !t->begun)
		return;
	status_line(t);
	update_unpublished(t);
	sl_target_show_position(t);
	if (!t->failing) {
		if (!t->in_chunk && !t->ended)
			sl_target_checkpoint(t, false);
		/* a last checkpoint for which the ring of writes had no room is begun again by nobody else */
		else if (t->ended)
			sl_target_pump(t);
		return;
	}
	if ((p->once && now - t->failing_since > p->retry_for) ||
		(atomic_load_explicit(&t->writers->stopping, memory_order_acquire) &&
			now > atomic_load_explicit(&t->writers->stop_deadline, memory_order_relaxed))) {
		sl_target_give_up(t, atomic_load_explicit(&t->stats.error, memory_order_relaxed), t->stats.error_path);
		return;
	}
	if (now < t->retry_at)
		return;
	for (f = t->closing; f; f = f->next)
		sl_file_kick(f);
	if (t->cur)
		sl_file_kick(t->cur);
	sl_target_pump(t);
	/* nothing is left that could show whether it works again: take packets and see */
	if (t->failing && !t->urgent.busy && !t->chain.busy && !t->closing && (!t->cur || t->cur->in_flight == 0))
		recover(t);
}
