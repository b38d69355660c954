/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The writers as the program sees them: making targets, the stage that each writer lcore runs, the end.
 */

#include "sl_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "create.h"
#include "monotonic.h"
#include "mount.h"
#include "ops.h"
#include "resume.h"
#include "target.h"
#include "zone.h"

RTE_LOG_REGISTER_DEFAULT(sl_writer_logtype, INFO)

#define HOUSEKEEPING_NS UINT64_C(10000000)
#define STOP_TIMEOUT_DEFAULT (UINT64_C(5) * 1000000000u)
#define STOP_JOIN_NS UINT64_C(1000000000)

size_t
sl_writers_memory(unsigned int targets, enum sl_sink_kind sink)
{
	struct sl_block_plan plan = sl_block_plan(targets, sink, 0);

	/* every writer has a pool of its own, with a few blocks more; 2 MiB for the allocator's own headers */
	return sl_block_pool_memory(&plan, targets) + (size_t)16 * plan.extra * plan.block_size + (2u << 20);
}

/* ---------------------------------------------------------------- making targets */

static struct sl_endpoint *
find_endpoint(struct sl_writers *all, const char *key)
{
	unsigned int i;

	for (i = 0; i < all->endpoint_count; i++)
		if (strcmp(all->endpoints[i].key, key) == 0)
			return &all->endpoints[i];
	/* each reload may bring other mounts */
	if (i > all->max_targets)
		return NULL;
	all->endpoints[i].index = i;
	snprintf(all->endpoints[i].key, sizeof(all->endpoints[i].key), "%s", key);
	all->endpoint_count++;
	return &all->endpoints[i];
}

static int
find_mount(struct sl_target *t, char *errbuf)
{
	const struct sl_target_config *cfg = t->cfg;
	struct sl_mount mount;
	int rc;

	if (cfg->mount) {
		snprintf(t->mount, sizeof(t->mount), "%s", cfg->mount);
	} else {
		rc = sl_mount_expected(cfg->path, t->mount);
		if (rc < 0)
			t->mount[0] = '\0';
	}
	rc = sl_mount_find(t->mount[0] ? t->mount : cfg->path, &mount);
	if (rc < 0) {
		sl_error_text(errbuf, "target \"%s\": %s: cannot tell its file system: %s", cfg->desc, cfg->path,
			strerror(-rc));
		return rc;
	}
	t->remote = mount.remote;
	t->min_free = cfg->min_free != UINT64_MAX ? cfg->min_free : mount.remote ? 0 : SL_MIN_FREE_LOCAL;
	t->endpoint = find_endpoint(t->writers, t->mount[0] ? t->mount : mount.point);
	if (!t->endpoint) {
		sl_error_text(
			errbuf, "target \"%s\": %s: too many file systems; start the push again", cfg->desc, cfg->path);
		return -ENOSPC;
	}
	return 0;
}

static int
init_target(struct sl_target *t, char *errbuf)
{
	unsigned int i;
	int rc;

	t->recovery.fd = -1;
	t->closing_tail = &t->closing;
	t->pause = 0;
	t->files = calloc(SL_TARGET_FILES, sizeof(*t->files));
	if (posix_memalign((void **)&t->ckpt_page, SL_BLOCK_ALIGN, SL_BLOCK_ALIGN) != 0)
		t->ckpt_page = NULL;
	if (!t->files || !t->ckpt_page)
		return -ENOMEM;
	for (i = 0; i < SL_TARGET_FILES; i++) {
		t->files[i].target = t;
		t->files[i].fd = -1;
		sl_file_release(&t->files[i]);
	}
	/* windows in local time and names ask for it on threads that must not read files */
	if (!sl_zone_get(t->cfg->time_zone)) {
		rc = -errno;
		sl_error_text(errbuf, "target \"%s\": time zone \"%s\": %s", t->cfg->desc,
			t->cfg->time_zone ? t->cfg->time_zone : "local", strerror(-rc));
		return rc;
	}
	if (t->writers->params.sink == SL_SINK_NULL)
		return 0;
	return find_mount(t, errbuf);
}

int
sl_target_init(struct sl_writers *all, unsigned int slot, const struct sl_target_config *cfg, char *errbuf)
{
	struct sl_target *t = &all->targets[slot];
	int rc;

	memset(t, 0, sizeof(*t));
	rc = sl_target_config_copy(cfg, &t->own);
	if (rc < 0)
		return rc;
	t->cfg = &t->own;
	t->index = slot;
	t->writers = all;
	t->consumer = &all->params.consumers[slot];
	return init_target(t, errbuf);
}

void
sl_target_assign(struct sl_target *t)
{
	t->writer = &t->writers->writers[t->index % t->writers->params.writers];
	if (t->endpoint)
		t->uring = &t->writer->urings[t->endpoint->index];
}

static int
init_writer(struct sl_writers *all, struct sl_writer *w, unsigned int index)
{
	struct sl_block_plan plan = sl_block_plan(all->target_count, all->params.sink, all->params.block_memory);
	unsigned int i;
	int rc;

	w->writers = all;
	w->index = index;
	w->lcore = all->params.lcores ? all->params.lcores[index] : NULL;
	w->targets = calloc(all->max_targets + 1, sizeof(*w->targets));
	w->used = calloc(all->max_targets + 1, sizeof(*w->used));
	w->urings = calloc(all->max_targets + 1, sizeof(*w->urings));
	w->uring_count = all->endpoint_count;
	if (!w->targets || !w->used || !w->urings)
		return -ENOMEM;
	for (i = index; i < all->target_count; i += all->params.writers) {
		struct sl_target *t = &all->targets[i];

		sl_target_assign(t);
		w->targets[w->target_count++] = t;
	}
	w->done = sl_queue_create(2 * (all->max_targets / all->params.writers + 1) + 2, true);
	if (!w->done)
		return -ENOMEM;
	rc = sl_block_pool_init(&w->pool, &plan, w->target_count);
	w->now = monotonic_ns();
	return rc;
}

static int
open_log(struct sl_writers *all, char *errbuf)
{
	const char **names;
	unsigned int i;
	int rc;

	if (!all->params.log_dir || all->target_count == 0)
		return 0;
	names = calloc(all->max_targets, sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (i = 0; i < all->max_targets; i++)
		names[i] = i < all->target_count ? all->targets[i].cfg->file_desc : "";
	rc = sl_push_log_open(all->params.log_dir, names, all->max_targets, all->params.helper_cpus, &all->log, errbuf);
	free(names);
	return rc;
}

int
sl_writers_create_for(const struct sl_writers_params *params, const struct sl_target_config *const *targets,
	unsigned int count, struct sl_writers **writers, char *errbuf)
{
	struct sl_writers *all = calloc(1, sizeof(*all));
	unsigned int i;
	int rc = -ENOMEM;

	*writers = NULL;
	errbuf[0] = '\0';
	if (!all)
		goto err;
	all->params = *params;
	all->state_lock = -1;
	all->checkpoint_ns = SL_CHECKPOINT_NS;
	all->checkpoint_bytes = SL_CHECKPOINT_BYTES;
	all->max_targets = params->max_targets > count ? params->max_targets : count;
	/* Slots are large, and most are never used: they are zeroed, and so take memory, one by one. */
	all->targets = aligned_alloc(64, (sizeof(*all->targets) * (all->max_targets + 1) + 63) / 64 * 64);
	all->slot_of = calloc(all->max_targets + 1, sizeof(*all->slot_of));
	all->writers = calloc(params->writers, sizeof(*all->writers));
	all->endpoints = calloc(all->max_targets + 1, sizeof(*all->endpoints));
	if (!all->targets || !all->slot_of || !all->writers || !all->endpoints)
		goto err;
	/* a slot without a target must not look like one that is served */
	for (i = count; i < all->max_targets; i++)
		sl_consumer_set(&params->consumers[i], SL_CONSUMER_DONE);
	rc = sl_crash_setup();
	if (rc < 0) {
		sl_error_text(errbuf, "SLUICE_CRASH or SLUICE_CRASH_LIST: %s", strerror(-rc));
		goto err;
	}
	if (params->sink == SL_SINK_FILE) {
		rc = sl_uring_probe();
		if (rc < 0) {
			sl_error_text(errbuf, "io_uring cannot be used here (see sysctl kernel.io_uring_disabled): %s",
				strerror(-rc));
			goto err;
		}
	}
	for (i = 0; i < count; i++) {
		all->target_count = all->configured = i + 1;
		all->slot_of[i] = i;
		rc = sl_target_init(all, i, targets[i], errbuf);
		if (rc < 0)
			goto err;
		all->targets[i].life = SL_TARGET_LIVE;
		all->targets[i].begun = true;
		atomic_store_explicit(&all->targets[i].may_begin, true, memory_order_relaxed);
	}
	for (i = 0; i < params->writers; i++) {
		rc = init_writer(all, &all->writers[i], i);
		if (rc < 0)
			goto err;
	}
	rc = open_log(all, errbuf);
	if (rc < 0)
		goto err;
	if (params->state_dir && params->sink == SL_SINK_FILE) {
		rc = sl_resume_open(all, errbuf);
		if (rc < 0)
			goto err;
	}
	for (i = 0; i < all->endpoint_count; i++) {
		rc = sl_endpoint_start(&all->endpoints[i], all, all->max_targets + 1);
		if (rc < 0)
			goto err;
	}
	rc = all->endpoint_count ? sl_spare_start(all) : 0;
	if (rc < 0)
		goto err;
	*writers = all;
	return 0;
err:
	if (!errbuf[0])
		sl_error_text(errbuf, "writers: %s", strerror(-rc));
	sl_writers_destroy(all);
	/* What a hung helper thread uses is kept on purpose. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	return rc;
}

const struct sl_target_config **
sl_list_targets(const struct sl_config *config, char *errbuf)
{
	size_t n = sl_config_targets(config), i;
	const struct sl_target_config **targets = calloc(n + 1, sizeof(*targets));

	if (!targets)
		sl_error_text(errbuf, "writers: %s", strerror(ENOMEM));
	for (i = 0; targets && i < n; i++)
		targets[i] = sl_config_target(config, i);
	return targets;
}

int
sl_writers_create(const struct sl_writers_params *params, struct sl_writers **writers, char *errbuf)
{
	const struct sl_target_config **targets = sl_list_targets(params->config, errbuf);
	int rc;

	if (!targets)
		return -ENOMEM;
	rc = sl_writers_create_for(params, targets, (unsigned int)sl_config_targets(params->config), writers, errbuf);
	free(targets);
	return rc;
}

void
sl_writers_set_checkpoints(struct sl_writers *writers, uint64_t ns, uint64_t bytes)
{
	writers->checkpoint_ns = ns;
	writers->checkpoint_bytes = bytes;
}

int
sl_writers_start(struct sl_writers *writers, const struct sl_position *first, char *errbuf)
{
	unsigned int i;

	errbuf[0] = '\0';
	for (i = 0; i < writers->target_count; i++) {
		struct sl_target *t = &writers->targets[i];

		t->writer->now = t->ckpt_at = t->status_at = monotonic_ns();
		t->ckpt_mark = first[i];
		sl_resume_start(t, &first[i]);
		sl_target_show_position(t);
		t->park.progress_at = t->park.looked_at = t->park.weighed_at = t->writer->now;
		sl_consumer_set(t->consumer, SL_CONSUMER_AWAY);
		sl_park_ready(t);
		if (t->recovery.deferred)
			sl_target_fail(t, -t->chain.result, t->chain.what, t->chain.path);
	}
	return 0;
}

void
sl_writers_attach(struct sl_writers *writers, struct sl_pipeline *pipeline)
{
	writers->pipeline = pipeline;
}

/* ---------------------------------------------------------------- the stage */

static bool
serve_dispatch(struct sl_writer *w)
{
	struct sl_dispatch *d = sl_pipeline_peek(w->writers->pipeline, w->index);
	unsigned int i;

	if (!d)
		return false;
	if (d->type == SL_DISPATCH_RELOAD) {
		sl_writer_take_reload(w, d);
		sl_pipeline_pass(w->writers->pipeline, w->index);
		return true;
	}
	if (w->dispatch != d->number + 1) {
		w->dispatch = d->number + 1;
		w->remaining = w->target_count;
		for (i = 0; i < w->target_count; i++)
			w->targets[i]->passed = 0;
	}
	for (i = 0; i < w->target_count; i++) {
		struct sl_target *t = w->targets[i];
		uint32_t k = t->k;
		uint64_t seq = t->seq;

		if (t->passed)
			continue;
		if (sl_target_take(t, d)) {
			t->passed = 1;
			w->remaining--;
			w->busy = true;
			if (w->catching_up && sl_consumer_state(t->consumer) == SL_CONSUMER_READY)
				sl_park_show(t);
		} else if (t->k != k || t->seq != seq) {
			w->busy = true;
		}
	}
	if (w->remaining)
		return false;
	sl_pipeline_pass(w->writers->pipeline, w->index);
	return true;
}

static void
reap(struct sl_writer *w)
{
	unsigned int i;
	void *obj;

	for (i = 0; i < w->uring_count; i++)
		sl_uring_reap(w, &w->urings[i]);
	while (rte_ring_dequeue(w->done, &obj) == 0) {
		struct sl_job *job = obj;

		sl_target_job_done(job->target, job);
		w->busy = true;
	}
}

#define DISPATCHES_A_POLL 8

static enum sl_poll_result
writer_poll(void *ctx)
{
	struct sl_writer *w = ctx;
	bool waiting = false;
	unsigned int i;

	w->now = monotonic_ns();
	w->busy = false;
	reap(w);
	if (w->now >= w->housekeeping_at) {
		w->housekeeping_at = w->now + HOUSEKEEPING_NS;
		for (i = 0; i < w->target_count; i++)
			sl_target_tick(w->targets[i]);
		sl_park_tick(w);
		if (w->starting || w->leaving)
			sl_writer_tend(w);
	}
	for (i = 0; i < DISPATCHES_A_POLL && serve_dispatch(w); i++)
		;
	if (w->catching_up)
		sl_park_show_all(w);
	for (i = 0; i < w->uring_count; i++) {
		sl_uring_submit(w, &w->urings[i]);
		waiting |= sl_uring_awaits(w, &w->urings[i]);
	}
	if (w->busy)
		return SL_POLL_BUSY;
	return waiting ? SL_POLL_WAITING : SL_POLL_IDLE;
}

struct sl_stage
sl_writers_stage(struct sl_writers *writers, unsigned int w)
{
	return (struct sl_stage){.name = "writer", .poll = writer_poll, .ctx = &writers->writers[w]};
}

/* ---------------------------------------------------------------- any thread */

void
sl_writers_target_stats(const struct sl_writers *writers, unsigned int t, struct sl_target_stats *stats)
{
	const struct sl_target_counters *c = &writers->targets[writers->slot_of[t]].stats;
	uint32_t seq;

	stats->packets = atomic_load_explicit(&c->packets, memory_order_relaxed);
	stats->bytes = atomic_load_explicit(&c->bytes, memory_order_relaxed);
	stats->published_packets = atomic_load_explicit(&c->published_packets, memory_order_relaxed);
	stats->published_bytes = atomic_load_explicit(&c->published_bytes, memory_order_relaxed);
	stats->files = atomic_load_explicit(&c->files, memory_order_relaxed);
	stats->renamed = atomic_load_explicit(&c->renamed, memory_order_relaxed);
	stats->late = atomic_load_explicit(&c->late, memory_order_relaxed);
	stats->crc = atomic_load_explicit(&c->crc, memory_order_relaxed);
	stats->failing = atomic_load_explicit(&c->failing, memory_order_relaxed);
	stats->gave_up = atomic_load_explicit(&c->gave_up, memory_order_relaxed);
	stats->error = atomic_load_explicit(&c->error, memory_order_relaxed);
	stats->parked = atomic_load_explicit(&c->parked, memory_order_relaxed);
	stats->catching_up = sl_consumer_state(writers->targets[writers->slot_of[t]].consumer) == SL_CONSUMER_READY;
	stats->parks = atomic_load_explicit(&c->parks, memory_order_relaxed);
	stats->parked_ns = atomic_load_explicit(&c->parked_ns, memory_order_relaxed);
	stats->gaps = atomic_load_explicit(&c->gaps, memory_order_relaxed);
	stats->gap_chunks = atomic_load_explicit(&c->gap_chunks, memory_order_relaxed);
	stats->gap_begin = atomic_load_explicit(&c->gap_begin, memory_order_relaxed);
	stats->gap_end = atomic_load_explicit(&c->gap_end, memory_order_relaxed);
	stats->first_unpublished_ts = atomic_load_explicit(&c->first_unpublished_ts, memory_order_relaxed);
	do {
		seq = atomic_load_explicit(&c->text_seq, memory_order_acquire);
		memcpy(stats->error_path, c->error_path, sizeof(stats->error_path));
		memcpy(stats->example_renamed, c->example_renamed, sizeof(stats->example_renamed));
		memcpy(stats->last_file, c->last_file, sizeof(stats->last_file));
		atomic_thread_fence(memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load_explicit(&c->text_seq, memory_order_relaxed));
	do {
		seq = atomic_load_explicit(&c->position_seq, memory_order_acquire);
		stats->position.sequence = atomic_load_explicit(&c->position_sequence, memory_order_relaxed);
		stats->position.chunk = atomic_load_explicit(&c->position_chunk, memory_order_relaxed);
		stats->position.packet = atomic_load_explicit(&c->position_packet, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load_explicit(&c->position_seq, memory_order_relaxed));
	stats->state = sl_consumer_state(writers->targets[writers->slot_of[t]].consumer);
	stats->error_what = atomic_load_explicit(&c->error_what, memory_order_relaxed);
	if (!stats->error_what)
		stats->error_what = "";
	stats->error_ns = atomic_load_explicit(&c->error_ns, memory_order_relaxed);
}

void
sl_writers_log(struct sl_writers *writers, unsigned int t, const char *line)
{
	sl_push_log_line(writers->log, writers->slot_of[t], "%s", line);
}

unsigned int
sl_writers_slot(const struct sl_writers *writers, unsigned int t)
{
	return writers->slot_of[t];
}

bool
sl_writers_done(const struct sl_writers *writers)
{
	unsigned int i;

	for (i = 0; i < writers->target_count; i++) {
		const struct sl_target *t = &writers->targets[i];

		if ((t->life == SL_TARGET_LIVE || t->life == SL_TARGET_LEAVING) && !sl_target_is_done(t))
			return false;
	}
	return true;
}

void
sl_writers_stop(struct sl_writers *writers, uint64_t timeout)
{
	unsigned int i;

	atomic_store_explicit(&writers->stop_deadline, monotonic_ns() + timeout, memory_order_relaxed);
	atomic_store_explicit(&writers->stopping, true, memory_order_release);
	for (i = 0; i < writers->params.writers; i++)
		if (writers->writers[i].lcore)
			sl_bell_ring(&writers->writers[i].lcore->bell);
}

/* ---------------------------------------------------------------- the end */

void
sl_target_free(struct sl_target *t)
{
	unsigned int i;

	/* closing a file of a server that does not answer may wait for it; the end of the process does not need it */
	for (i = 0; t->files && i < SL_TARGET_FILES; i++)
		if (t->files[i].fd >= 0 && !atomic_load_explicit(&t->stats.gave_up, memory_order_relaxed))
			close(t->files[i].fd);
	free(t->files);
	free(t->ckpt_page);
	if (t->journal && t->recovery.fd >= 0)
		close(t->recovery.fd);
	sl_journal_close(t->journal);
	sl_target_config_free_copy(&t->own);
	memset(t, 0, sizeof(*t));
}

/* What it waits for: as far as that can be told from here, while a helper may be at it. */
static const char *
what_hangs(const struct sl_target *t)
{
	const struct sl_file *f = t->closing ? t->closing : t->cur;

	return f && f->pending[0] ? f->pending : t->cfg->path;
}

static void
abandon(struct sl_target *t)
{
	const char *rest = t->writers->params.state_dir ? "its journal stays as it is, and a restart goes on from there"
							: "without a state directory nothing remembers what it lacks";

	if (!atomic_load_explicit(&t->stats.failing, memory_order_relaxed)) {
		snprintf(t->stats.error_path, sizeof(t->stats.error_path), "%s", what_hangs(t));
		atomic_store_explicit(&t->stats.error, ETIME, memory_order_relaxed);
	}
	atomic_store_explicit(&t->stats.gave_up, true, memory_order_relaxed);
	WLOG(ERR, "target \"%s\": %s: has not ended in time for the stop; %s\n", t->cfg->desc, what_hangs(t), rest);
	sl_push_log_line(t->writers->log, t->index, "stopped: %s has not ended in time; %s", what_hangs(t), rest);
}

unsigned int
sl_writers_left_behind(const struct sl_writers *writers)
{
	return atomic_load(&writers->left_behind);
}

unsigned int
sl_writers_abandon(struct sl_writers *writers)
{
	unsigned int i, count = 0;

	for (i = 0; i < writers->target_count; i++) {
		struct sl_target *t = &writers->targets[i];

		if (t->life == SL_TARGET_FREE || sl_target_is_done(t))
			continue;
		abandon(t);
		count++;
	}
	return count;
}

/* Writes still under way: the kernel may read their blocks at any time. */
static bool
writes_hang(const struct sl_writers *writers)
{
	for (unsigned int i = 0; writers->writers && i < writers->params.writers; i++) {
		const struct sl_writer *w = &writers->writers[i];

		for (unsigned int e = 0; w->urings && e < w->uring_count; e++)
			if (w->urings[e].in_flight > w->urings[e].copied_count)
				return true;
	}
	return false;
}

void
sl_writers_destroy(struct sl_writers *writers)
{
	static struct sl_writers *left_behind;
	uint64_t deadline;
	bool hung = false;
	unsigned int i;

	if (!writers)
		return;
	if (atomic_load(&writers->stopping))
		deadline = atomic_load(&writers->stop_deadline) + STOP_JOIN_NS;
	else
		deadline = monotonic_ns() +
			   (writers->params.stop_timeout ? writers->params.stop_timeout : STOP_TIMEOUT_DEFAULT);
	sl_spare_stop(writers);
	for (i = 0; i < writers->endpoint_count; i++)
		if (sl_endpoint_stop(&writers->endpoints[i], deadline) < 0) {
			WLOG(WARNING, "%s: a system call hangs; left behind\n", writers->endpoints[i].key);
			hung = true;
		}
	sl_push_log_close(writers->log);
	/*
	 * What hangs still uses what would be freed; the process ends soon, or as soon as the kernel lets go of it. A
	 * restart need not wait for that: it has the locks of the files themselves.
	 */
	if (hung || writes_hang(writers)) {
		left_behind = writers;
		(void)left_behind;
		if (writers->state_lock >= 0)
			close(writers->state_lock);
		return;
	}
	for (i = 0; writers->writers && i < writers->params.writers; i++) {
		struct sl_writer *w = &writers->writers[i];
		unsigned int e;

		for (e = 0; w->urings && e < w->uring_count; e++)
			sl_uring_free(&w->urings[e]);
		sl_block_pool_free(&w->pool);
		free(w->urings);
		free(w->used);
		free(w->targets);
		free(w->done);
	}
	for (i = 0; i < writers->target_count; i++)
		sl_target_free(&writers->targets[i]);
	sl_resume_close(writers);
	free(writers->slot_of);
	free(writers->endpoints);
	free(writers->writers);
	free(writers->targets);
	free(writers);
}
