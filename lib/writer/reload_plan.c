/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * What a reload will do, found out and prepared by the main thread while everything runs on: which targets stay, which
 * go, and those that come, in free slots, with all that they need. reload.c does it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "create.h"
#include "ops.h"
#include "reload.h"
#include "resume.h"

/* ---------------------------------------------------------------- planning: the main thread */

static struct sl_target *
find_live(const struct sl_writers *all, const char *desc)
{
	unsigned int i;

	for (i = 0; i < all->target_count; i++)
		if (all->targets[i].life == SL_TARGET_LIVE && strcmp(all->targets[i].cfg->desc, desc) == 0)
			return &all->targets[i];
	return NULL;
}

struct sl_target *
sl_reload_successor(const struct sl_writers *all, const struct sl_target *t)
{
	unsigned int i;

	for (i = 0; i < all->target_count; i++)
		if (all->targets[i].life != SL_TARGET_FREE && all->targets[i].predecessor == t)
			return &all->targets[i];
	return NULL;
}

/* Who has the journal that a target of this name will have. */
static struct sl_target *
find_predecessor(const struct sl_writers_reload *r, const char *file_desc)
{
	const struct sl_writers *all = r->writers;
	unsigned int i;

	for (i = 0; i < r->leave_count; i++)
		if (strcmp(r->leave[i]->cfg->file_desc, file_desc) == 0)
			return r->leave[i];
	for (i = 0; i < all->target_count; i++) {
		struct sl_target *t = &all->targets[i];

		if (t->life == SL_TARGET_LEAVING && strcmp(t->cfg->file_desc, file_desc) == 0 &&
			!sl_reload_successor(all, t))
			return t;
	}
	return NULL;
}

static struct sl_target *
free_slot(struct sl_writers *all)
{
	unsigned int i;

	for (i = 0; i < all->target_count; i++)
		if (all->targets[i].life == SL_TARGET_FREE)
			return &all->targets[i];
	if (all->target_count == all->max_targets)
		return NULL;
	memset(&all->targets[i], 0, sizeof(all->targets[i]));
	all->target_count++;
	return &all->targets[i];
}

static int
make_endpoint(struct sl_writers *all, struct sl_endpoint *e)
{
	if (!e)
		return 0;
	return e->writers ? sl_endpoint_grow(e) : sl_endpoint_start(e, all, all->max_targets + 1);
}

static int
add_target(struct sl_writers_reload *r, unsigned int i, const struct sl_target_config *cfg, char *errbuf)
{
	struct sl_writers *all = r->writers;
	struct sl_target *t = free_slot(all), *before = find_predecessor(r, cfg->file_desc);
	int rc;

	if (!t) {
		sl_error_text(errbuf,
			"there is room for %u targets, those that still publish what they have included; start the "
			"push again",
			all->max_targets);
		return -ENOSPC;
	}
	rc = sl_target_init(all, (unsigned int)(t - all->targets), cfg, errbuf);
	t->life = SL_TARGET_PLANNED;
	r->of[i].slot = (unsigned int)(t - all->targets);
	r->add[r->add_count++] = t;
	if (rc < 0)
		return rc;
	t->from_reload = true;
	t->predecessor = before;
	sl_target_assign(t);
	rc = make_endpoint(all, t->endpoint);
	if (rc == 0)
		rc = sl_push_log_rename(all->log, t->index, cfg->file_desc);
	if (rc < 0 || before)
		return rc;
	atomic_store_explicit(&t->may_begin, true, memory_order_relaxed);
	return sl_reload_has_journals(all) ? sl_resume_open_added(t, errbuf) : 0;
}

/* What can be had without swapping, as the kernel estimates it; UINT64_MAX if it does not say. */
static uint64_t
available_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t kib = UINT64_MAX >> 10;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib << 10;
}

static int
plan_blocks(struct sl_writers_reload *r, char *errbuf)
{
	struct sl_writers *all = r->writers;
	uint32_t size = all->writers[0].pool.block_size;
	unsigned int w, i;

	for (w = 0; w < all->params.writers; w++) {
		const struct sl_block_pool *pool = &all->writers[w].pool;
		unsigned int targets = 0;
		uint32_t lacks;
		int rc = -ENOMEM;

		for (i = w; i < all->target_count; i += all->params.writers)
			/* one that waits for another has that one's blocks then */
			targets += all->targets[i].life != SL_TARGET_FREE && !all->targets[i].predecessor;
		lacks = sl_block_pool_lacks(pool->count, targets);
		if (!lacks)
			continue;
		if (all->params.hugepages || (uint64_t)lacks * size < available_memory())
			rc = sl_block_extent_create(size, lacks, &r->extents[w]);
		if (rc < 0) {
			sl_error_text(errbuf, "%u targets need %" PRIu64 " MiB more of %s for write blocks: %s",
				r->count, ((uint64_t)lacks * size + (1u << 20) - 1) >> 20,
				all->params.hugepages ? "hugepages" : "memory", strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int
plan_targets(struct sl_writers_reload *r, const struct sl_target_config *const *targets, char *errbuf)
{
	struct sl_writers *all = r->writers;
	unsigned int i, k;
	int rc = 0;

	for (i = 0; i < r->count; i++) {
		const struct sl_target *t = find_live(all, targets[i]->desc);

		r->of[i].change = !t                                          ? SL_RELOAD_ADDED
				  : sl_target_config_same(t->cfg, targets[i]) ? SL_RELOAD_SAME
									      : SL_RELOAD_CHANGED;
		if (r->of[i].change == SL_RELOAD_SAME)
			r->of[i].slot = t->index;
	}
	for (k = 0; k < all->target_count; k++) {
		struct sl_target *t = &all->targets[k];

		if (t->life != SL_TARGET_LIVE)
			continue;
		for (i = 0; i < r->count; i++)
			if (strcmp(targets[i]->desc, t->cfg->desc) == 0)
				break;
		if (i < r->count && r->of[i].change == SL_RELOAD_SAME)
			continue;
		r->leave[r->leave_count++] = t;
		r->removed += i == r->count;
	}
	for (i = 0; i < r->count && rc == 0; i++)
		if (r->of[i].change != SL_RELOAD_SAME)
			rc = add_target(r, i, targets[i], errbuf);
	return rc;
}

int
sl_writers_reload_plan_for(struct sl_writers *all, const struct sl_target_config *const *targets, unsigned int count,
	struct sl_writers_reload **reload, char *errbuf)
{
	struct sl_writers_reload *r = calloc(1, sizeof(*r));
	int rc = -ENOMEM;

	*reload = NULL;
	errbuf[0] = '\0';
	if (!r)
		goto err;
	r->writers = all;
	r->count = count;
	r->of = calloc(count + 1, sizeof(*r->of));
	r->leave = calloc(all->max_targets + 1, sizeof(struct sl_target *));
	r->add = calloc(all->max_targets + 1, sizeof(struct sl_target *));
	r->extents = calloc(all->params.writers, sizeof(struct sl_block_extent *));
	if (!r->of || !r->leave || !r->add || !r->extents)
		goto err;
	rc = plan_targets(r, targets, errbuf);
	if (rc == 0)
		rc = plan_blocks(r, errbuf);
	if (rc < 0)
		goto err;
	r->endpoints = all->endpoint_count;
	*reload = r;
	return 0;
err:
	if (!errbuf[0])
		sl_error_text(errbuf, "writers: %s", strerror(-rc));
	sl_writers_reload_cancel(r);
	return rc;
}

int
sl_writers_reload_plan(
	struct sl_writers *all, const struct sl_config *config, struct sl_writers_reload **reload, char *errbuf)
{
	const struct sl_target_config **targets = sl_list_targets(config, errbuf);
	int rc;

	*reload = NULL;
	if (!targets)
		return -ENOMEM;
	rc = sl_writers_reload_plan_for(all, targets, (unsigned int)sl_config_targets(config), reload, errbuf);
	free(targets);
	return rc;
}

static void
free_plan(struct sl_writers_reload *r)
{
	unsigned int w;

	for (w = 0; r->extents && w < r->writers->params.writers; w++)
		sl_block_extent_free(r->extents[w]);
	free(r->extents);
	free(r->of);
	free(r->leave);
	free(r->add);
	free(r);
}

void
sl_writers_reload_abandon(struct sl_writers_reload *r)
{
	free_plan(r);
}

void
sl_writers_reload_cancel(struct sl_writers_reload *r)
{
	unsigned int i;

	if (!r)
		return;
	for (i = 0; i < r->add_count; i++) {
		struct sl_target *t = r->add[i];

		/* a journal that was made for it says nothing yet */
		if (t->journal && !t->recovery.deferred)
			(void)sl_ops.unlink(sl_journal_path(t->journal));
		(void)sl_push_log_rename(r->writers->log, t->index, "");
		sl_target_free(t);
	}
	free_plan(r);
}

unsigned int
sl_writers_reload_slot(const struct sl_writers_reload *r, unsigned int i)
{
	return r->of[i].slot;
}

enum sl_reload_change
sl_writers_reload_change(const struct sl_writers_reload *r, unsigned int i)
{
	return r->of[i].change;
}

unsigned int
sl_writers_reload_removed(const struct sl_writers_reload *r)
{
	return r->removed;
}

unsigned int
sl_writers_reload_slots(const struct sl_writers_reload *r)
{
	return r->writers->target_count;
}

bool
sl_writers_reload_resume(const struct sl_writers_reload *r, unsigned int i, struct sl_resume *resume)
{
	const struct sl_target *t = &r->writers->targets[r->of[i].slot];

	if (r->of[i].change != SL_RELOAD_ADDED || !t->journal || !t->recovery.have)
		return false;
	resume->capture = t->recovery.mark.capture;
	resume->position = t->recovery.promised;
	return true;
}

void
sl_writers_reload_first(struct sl_writers_reload *r, unsigned int i, const struct sl_position *first)
{
	struct sl_target *t = &r->writers->targets[r->of[i].slot];

	t->recovery.first = *first;
	t->from_reload = false;
}

void
sl_writers_reload_post(struct sl_writers_reload *r)
{
	unsigned int i;

	for (i = 0; i < r->leave_count; i++) {
		r->leave[i]->doomed = true;
		/* with a successor its journal lives on, unless that is another target of the same name */
		r->leave[i]->removed = true;
	}
	for (i = 0; i < r->count; i++) {
		struct sl_target *t = &r->writers->targets[r->of[i].slot];

		if (r->of[i].change == SL_RELOAD_CHANGED && t->predecessor)
			t->predecessor->removed = false;
	}
	/* The reader may know a slot that is used again: it must see nothing there before the writer has taken it over.
	 */
	for (i = 0; i < r->add_count; i++)
		sl_consumer_set(r->add[i]->consumer, SL_CONSUMER_AWAY);
}

void
sl_writers_reload_done(struct sl_writers_reload *r)
{
	struct sl_writers *all = r->writers;
	unsigned int i;

	for (i = 0; i < r->leave_count; i++)
		r->leave[i]->life = SL_TARGET_LEAVING;
	for (i = 0; i < r->add_count; i++)
		r->add[i]->life = SL_TARGET_LIVE;
	for (i = 0; i < r->count; i++)
		all->slot_of[i] = r->of[i].slot;
	all->configured = r->count;
	free_plan(r);
}
