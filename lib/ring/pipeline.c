/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ring_elem.h>

#include "pipeline.h"

#define EVENT_RING 256
#define ARENA_START 4096 /* packet numbers; grows to what the traffic needs */
#define READ_DEPTH 32

static size_t
memory_bytes(const struct sl_pipeline_params *params)
{
	return (size_t)params->slots * SL_CHUNK_SIZE;
}

static size_t
ring_bytes(unsigned int slots)
{
	/* An exact-size ring rounds its table up to the next power of two above slots. */
	return sizeof(struct rte_ring) + 2ul * slots * sizeof(void *) + 4096;
}

size_t
sl_pipeline_memory(const struct sl_pipeline_params *params)
{
	size_t rings = params->filters + (size_t)params->filters * params->writers;

	return memory_bytes(params) + SL_STORE_ALIGN + rings * ring_bytes(params->slots) +
	       EVENT_RING * sizeof(struct sl_pipeline_event) * 2 + 65536;
}

static struct rte_ring *
make_ring(const struct sl_pipeline *p, const char *kind, unsigned int a, unsigned int b)
{
	char name[64]; /* EAL refuses a name of over RTE_RING_NAMESIZE */

	snprintf(name, sizeof(name), "sl_%s_%u_%u", kind, a, b);
	return rte_ring_create(name, p->params.slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

static int
make_rings(struct sl_pipeline *p)
{
	for (unsigned int f = 0; f < p->params.filters; f++) {
		p->to_filter[f] = make_ring(p, "filter", f, 0);
		if (!p->to_filter[f])
			return -rte_errno;
		for (unsigned int w = 0; w < p->params.writers; w++) {
			p->to_writer[f][w] = make_ring(p, "writer", f, w);
			if (!p->to_writer[f][w])
				return -rte_errno;
		}
	}
	/* Filters and the reader post, the main thread collects. */
	p->events = rte_ring_create_elem(
		"sl_events", sizeof(struct sl_pipeline_event), EVENT_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	return p->events ? 0 : -rte_errno;
}

static int
make_slots(struct sl_pipeline *p)
{
	p->slots = aligned_alloc(SL_CACHE_LINE, p->params.slots * sizeof(*p->slots));
	if (p->slots)
		memset(p->slots, 0, p->params.slots * sizeof(*p->slots));
	p->free_bufs = calloc(p->params.slots, sizeof(*p->free_bufs));
	if (!p->slots || !p->free_bufs)
		return -ENOMEM;
	p->memory = sl_memory_alloc("sl_slots", memory_bytes(&p->params));
	if (!p->memory)
		return -ENOMEM;
	for (unsigned int i = 0; i < p->params.slots; i++) {
		struct sl_slot *slot = &p->slots[i];

		p->free_bufs[p->free_count++] = p->memory + (size_t)i * SL_CHUNK_SIZE;
		slot->dispatch.verdicts.of = calloc(p->params.max_programs, sizeof(struct sl_verdict));
		slot->dispatch.verdicts.arena = malloc(ARENA_START * sizeof(uint16_t));
		slot->dispatch.verdicts.arena_entries = ARENA_START;
		if (!slot->dispatch.verdicts.of || !slot->dispatch.verdicts.arena)
			return -ENOMEM;
	}
	return 0;
}

static bool
has_writer(const struct sl_pipeline *p, const struct sl_lcore *lcore)
{
	for (unsigned int w = 0; w < p->params.writers; w++)
		if (p->params.writer_lcores[w] == lcore)
			return true;
	return false;
}

static void
order_lanes(struct sl_pipeline *p)
{
	unsigned int n = 0;

	for (int shared = 0; shared < 2; shared++)
		for (unsigned int f = 0; f < p->params.filters; f++)
			if (has_writer(p, p->params.filter_lcores[f]) == (shared != 0))
				p->lane_order[n++] = (uint8_t)f;
}

static unsigned int
max_targets(const struct sl_pipeline_params *params)
{
	return params->max_targets > params->targets ? params->max_targets : params->targets;
}

int
sl_pipeline_create(const struct sl_pipeline_params *params, struct sl_pipeline **pipeline, char *errbuf)
{
	struct sl_pipeline *p;
	int rc;

	if (params->filters < 1 || params->filters > SL_MAX_LANES || params->writers < 1 ||
		params->writers > SL_MAX_LANES || params->slots < 4 || params->slots > 1024 ||
		(params->slots & (params->slots - 1)) != 0) {
		snprintf(errbuf, SL_RING_ERRBUF,
			"%u filters, %u writers and %u slots: not within 1..64, 1..64, 4..1024", params->filters,
			params->writers, params->slots);
		return -EINVAL;
	}
	p = aligned_alloc(SL_CACHE_LINE, sizeof(*p));
	if (!p) {
		snprintf(errbuf, SL_RING_ERRBUF, "out of memory for the pipeline");
		return -ENOMEM;
	}
	memset(p, 0, sizeof(*p));
	p->params = *params;
	p->slot_mask = params->slots - 1;
	p->window = params->slots;
	for (unsigned int f = 0; f < params->filters; f++)
		p->lanes[f] = (struct lane){.pipeline = p, .number = f};
	order_lanes(p);
	rc = -ENOMEM;
	p->inlets = aligned_alloc(SL_CACHE_LINE, params->writers * sizeof(*p->inlets));
	p->in_group = calloc(max_targets(params), sizeof(*p->in_group));
	if (!p->inlets || !p->in_group)
		goto err_memory;
	memset(p->inlets, 0, params->writers * sizeof(*p->inlets));
	rc = make_rings(p);
	if (rc)
		goto err_memory;
	rc = make_slots(p);
	if (rc)
		goto err_memory;
	rc = sl_reader_create(
		params->slots < READ_DEPTH ? params->slots : READ_DEPTH, params->helper_cpus, &p->reader, errbuf);
	if (rc)
		goto err;
	*pipeline = p;
	return 0;

err_memory:
	snprintf(errbuf, SL_RING_ERRBUF,
		"%u chunk slots of 1 MiB do not fit the DPDK memory: %s (give it more with -m)", params->slots,
		strerror(-rc));
err:
	sl_pipeline_destroy(p);
	return rc;
}

void
sl_pipeline_destroy(struct sl_pipeline *p)
{
	if (!p)
		return;
	if (p->reader)
		sl_reader_destroy(p->reader);
	for (unsigned int f = 0; f < p->params.filters; f++) {
		rte_ring_free(p->to_filter[f]);
		for (unsigned int w = 0; w < p->params.writers; w++)
			rte_ring_free(p->to_writer[f][w]);
	}
	rte_ring_free(p->events);
	if (p->slots) {
		for (unsigned int i = 0; i < p->params.slots; i++) {
			free(p->slots[i].dispatch.verdicts.of);
			free(p->slots[i].dispatch.verdicts.arena);
		}
	}
	sl_memory_free(p->memory, memory_bytes(&p->params));
	free(p->free_bufs);
	free(p->slots);
	free(p->inlets);
	free(p->in_group);
	free(p);
}

void
sl_pipeline_stop(struct sl_pipeline *p)
{
	atomic_store_explicit(&p->stop, true, memory_order_release);
	sl_bell_ring(&p->params.reader_lcore->bell);
}

void
sl_pipeline_reload(struct sl_pipeline *p, struct sl_reload *reload)
{
	atomic_store_explicit(&reload->passed, 0, memory_order_relaxed);
	atomic_store_explicit(&p->reload, reload, memory_order_release);
	sl_bell_ring(&p->params.reader_lcore->bell);
}

bool
sl_pipeline_reload_taken(const struct sl_pipeline *p)
{
	return !atomic_load_explicit(&p->reload, memory_order_acquire);
}

bool
sl_pipeline_reloaded(const struct sl_pipeline *p, const struct sl_reload *reload)
{
	return atomic_load_explicit(&reload->passed, memory_order_acquire) == p->params.writers;
}

void
sl_pipeline_post(struct sl_pipeline *p, const struct sl_dispatch *d, int error)
{
	struct sl_pipeline_event event = {.type = d->type, .position = d->position, .next = d->next, .error = error};

	rte_ring_enqueue_elem(p->events, &event, sizeof(event));
}

bool
sl_pipeline_next_event(struct sl_pipeline *p, struct sl_pipeline_event *event)
{
	return rte_ring_dequeue_elem(p->events, event, sizeof(*event)) == 0;
}

void
sl_pipeline_get_stats(const struct sl_pipeline *p, struct sl_pipeline_stats *stats)
{
	stats->chunks = atomic_load_explicit(&p->chunks, memory_order_relaxed);
	stats->packets = atomic_load_explicit(&p->packets, memory_order_relaxed);
	stats->bytes = atomic_load_explicit(&p->bytes, memory_order_relaxed);
	stats->bad_chunks = atomic_load_explicit(&p->bad_chunks, memory_order_relaxed);
	stats->catchup_chunks = atomic_load_explicit(&p->catchup_chunks, memory_order_relaxed);
	stats->first_dispatch_ns = atomic_load_explicit(&p->first_ns, memory_order_relaxed);
	stats->last_dispatch_ns = atomic_load_explicit(&p->last_ns, memory_order_relaxed);
}

/* ---------------------------------------------------------------- filter stage */

static struct sl_slot *
slot_of(struct sl_dispatch *d)
{
	return (struct sl_slot *)((char *)d - offsetof(struct sl_slot, dispatch));
}

/* The chunk's first touch after the disk: check it here, where its bytes then stay in the cache for the filters. */
static void
check_and_filter(struct sl_pipeline *p, unsigned int lane, struct sl_dispatch *d)
{
	struct sl_slot *slot = slot_of(d);
	const void *data = slot->read.data;
	int rc = slot->read.result;

	if (rc == 0 && !data) {
		data = slot->buf;
		rc = sl_read_fetch(&slot->read, slot->buf);
	}
	if (rc == 0)
		rc = sl_chunk_parse(data, &d->stream->info->uuid, d->position.chunk, &d->chunk);
	if (rc == 0) {
		p->params.filter(p->params.filter_ctx, lane, d);
		if (!slot->catchup) {
			sl_count(&p->packets, d->chunk.packets);
			sl_count(&p->bytes, d->chunk.records_len);
		}
		return;
	}
	d->type = rc == -ENOENT ? SL_DISPATCH_GAP : SL_DISPATCH_BAD;
	sl_count(&p->bad_chunks, 1);
	sl_pipeline_post(p, d, -rc);
}

static enum sl_poll_result
filter_poll(void *ctx)
{
	struct lane *lane = ctx;
	struct sl_pipeline *p = lane->pipeline;
	void *obj;

	if (rte_ring_sc_dequeue(p->to_filter[lane->number], &obj) != 0)
		return SL_POLL_IDLE;

	struct sl_dispatch *d = obj;

	if (d->type == SL_DISPATCH_CHUNK)
		check_and_filter(p, lane->number, d);
	for (unsigned int w = 0; w < p->params.writers; w++) {
		/* Has room for every slot: cannot fail. */
		rte_ring_sp_enqueue(p->to_writer[lane->number][w], d);
		sl_bell_ring(&p->params.writer_lcores[w]->bell);
	}
	atomic_store_explicit(
		&lane->done, atomic_load_explicit(&lane->done, memory_order_relaxed) + 1, memory_order_relaxed);
	return SL_POLL_BUSY;
}

struct sl_stage
sl_pipeline_filter_stage(struct sl_pipeline *p, unsigned int lane)
{
	return (struct sl_stage){.name = "filter", .poll = filter_poll, .ctx = &p->lanes[lane]};
}

struct sl_stage
sl_pipeline_reader_stage(struct sl_pipeline *p)
{
	return (struct sl_stage){.name = "reader", .poll = sl_reader_stage_poll, .ctx = p};
}

/* ---------------------------------------------------------------- the writers' end */

struct sl_dispatch *
sl_pipeline_peek(struct sl_pipeline *p, unsigned int w)
{
	struct sl_inlet *inlet = &p->inlets[w];
	void *obj;

	if (inlet->current)
		return inlet->current;

	/* The slot says which filter has the next dispatch; what that one hands on is ascending, so nothing is sorted.
	 */
	uint64_t number = atomic_load_explicit(&inlet->passed, memory_order_relaxed);
	uint64_t dealt = atomic_load_explicit(&p->slots[number & p->slot_mask].dealt, memory_order_acquire);

	if (dealt >> 8 != number + 1 || rte_ring_sc_dequeue(p->to_writer[dealt & 0xff][w], &obj) != 0)
		return NULL;
	inlet->current = obj;
	return inlet->current;
}

bool
sl_pipeline_has_more(const struct sl_pipeline *p, unsigned int w)
{
	uint64_t next = atomic_load_explicit(&p->inlets[w].passed, memory_order_relaxed) + 1;

	return atomic_load_explicit(&p->slots[next & p->slot_mask].dealt, memory_order_relaxed) >> 8 == next + 1;
}

void
sl_pipeline_wake(struct sl_pipeline *p)
{
	sl_bell_ring(&p->params.reader_lcore->bell);
}

void
sl_pipeline_pass(struct sl_pipeline *p, unsigned int w)
{
	struct sl_inlet *inlet = &p->inlets[w];

	if (inlet->current->type == SL_DISPATCH_RELOAD)
		atomic_fetch_add_explicit(&inlet->current->reload->passed, 1, memory_order_release);
	inlet->current = NULL;
	atomic_store_explicit(
		&inlet->passed, atomic_load_explicit(&inlet->passed, memory_order_relaxed) + 1, memory_order_release);
	sl_bell_ring(&p->params.reader_lcore->bell);
}
