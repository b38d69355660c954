/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * How a writer begins, rolls and ends.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "writer.h"

/* ---------------------------------------------------------------- beginning */

static void
free_writer(struct sl_store_writer *w)
{
	if (!w)
		return;
	begin_release(&w->begun);
	free(w->store);
	free(w->source);
	free(w);
}

static int
copy_params(struct sl_store_writer *w, const struct sl_store_writer_params *params)
{
	w->params = *params;
	w->store = strdup(params->store);
	w->source = strdup(params->source ? params->source : "");
	if (!w->store || !w->source)
		return -ENOMEM;
	w->params.store = w->store;
	w->params.source = w->source;
	if (params->helper_cpus) {
		memcpy(&w->cpus, params->helper_cpus, sizeof(w->cpus));
		w->params.helper_cpus = &w->cpus;
	}
	return 0;
}

static int
check_params(const struct sl_store_writer_params *params, char *errbuf)
{
	if (params->name && begin_check_name(params->name, errbuf) < 0)
		return -EINVAL;
	if (params->buffers ? params->buffers < SL_STORE_BUFFERS_MIN || params->buffers > SL_STORE_BUFFERS_MAX
			    : params->nonblocking)
		return store_err(-EINVAL, errbuf, "%u chunk buffers: must be %u to %u", params->buffers,
			SL_STORE_BUFFERS_MIN, SL_STORE_BUFFERS_MAX);
	if (params->retention.min_free_percent > 99)
		return store_err(-EINVAL, errbuf, "retention: %u percent free: must be 0 to 99",
			params->retention.min_free_percent);
	if (!params->buffers && (params->retention.min_free_percent > 0 || params->retention.min_free_bytes > 0))
		return store_err(-EINVAL, errbuf, "retention needs a writer with buffers");
	return 0;
}

/* The way without helpers: also where it goes on after a roll. */
static int
begin_blocking(struct sl_store_writer *w, const char *name, bool roll, char *errbuf)
{
	int ret = begin_describe(&w->begun.info, &w->params, errbuf);

	if (ret == 0)
		ret = begin_capture(&w->begun, w->store, name, roll, NULL, 0, errbuf);
	if (ret < 0)
		return ret;
	ret = output_init(&w->out, w->begun.dir, w->begun.path, w->begun.head);
	if (ret < 0) {
		store_err(ret, errbuf, "%s: cannot have buffers: %s", w->begun.path, strerror(-ret));
		head_close(w->begun.head, w->begun.head_fd);
	}
	w->out.tail = w->tail;
	return ret;
}

int
sl_store_writer_create(const struct sl_store_writer_params *params, struct sl_store_writer **writer, char *errbuf)
{
	struct sl_store_writer *w;
	int ret;

	*writer = NULL;
	ret = check_params(params, errbuf);
	if (ret < 0)
		return ret;
	w = calloc(1, sizeof(*w));
	if (!w)
		return store_err(-ENOMEM, errbuf, "out of memory");
	w->fill.index = w->index;
	w->begun.dir = w->begun.head_fd = -1;
	w->tail = params->marks ? sizeof(struct chunk_mark) : 0;
	ret = copy_params(w, params);
	if (ret < 0) {
		store_err(ret, errbuf, "out of memory");
		goto err;
	}
	if (params->buffers)
		ret = live_create(&w->params, w->store, &w->live, errbuf);
	else
		ret = begin_blocking(w, params->name, false, errbuf);
	if (ret < 0)
		goto err;
	*writer = w;
	return 0;
err:
	free_writer(w);
	return ret;
}

/* @return 0 or the error of what was written */
static int
close_blocking(struct sl_store_writer *w, const uint64_t lost[SL_DROP_CAUSES], char *errbuf)
{
	struct store_head *head = w->begun.head;
	uint64_t stored;
	int ret, err;

	/* It failed in a roll: there is none to close. */
	if (!head)
		return writer_report(w, errbuf);
	ret = output_close(&w->out);
	stored = atomic_load(&head->packets);
	if (ret == -ENOENT) /* what was removed is not stored, whatever the head says */
		store_err(ret, errbuf, "%s", w->out.message);
	else if (ret < 0)
		store_err(ret, errbuf, "%s (%" PRIu64 " packets are stored, the last %" PRIu64 " are not)",
			w->out.message, stored, w->packets - stored);
	/* Packets lost behind the last one have no chunk to be counted in. */
	atomic_fetch_add(&head->dropped, lost[SL_DROP_NIC] + lost[SL_DROP_NO_BUFFER] + lost[SL_DROP_STORE]);
	atomic_fetch_add(&head->dropped_no_buffer, lost[SL_DROP_NO_BUFFER]);
	atomic_fetch_add(&head->dropped_store, lost[SL_DROP_STORE]);
	err = head_close(head, w->begun.head_fd);
	if (err < 0 && ret == 0)
		ret = store_err(err, errbuf, "%s/" HEAD_NAME ": cannot mark the capture closed: %s", w->begun.path,
			strerror(-err));
	begin_release(&w->begun);
	return ret;
}

static int
roll_blocking(struct sl_store_writer *w, const char *name, char *errbuf)
{
	static const uint64_t none[SL_DROP_CAUSES];
	int ret = close_blocking(w, none, errbuf);

	if (ret == 0)
		ret = begin_blocking(w, name, true, errbuf);
	if (ret < 0 && !w->out.error) {
		w->out.error = ret;
		store_err(ret, w->out.message, "%s", errbuf ? errbuf : strerror(-ret));
	}
	return ret;
}

static int
roll_live(struct sl_store_writer *w, const char *name, char *errbuf)
{
	struct sl_capture_info info = {0};
	int ret = begin_describe(&info, &w->params, errbuf);

	if (ret == 0)
		live_roll(w->live, &info, name);
	return ret;
}

int
sl_store_writer_roll(struct sl_store_writer *w, const char *name, char *errbuf)
{
	int ret;

	if (name && begin_check_name(name, errbuf) < 0)
		return -EINVAL;
	if (writer_error(w))
		return writer_report(w, errbuf);
	if (w->live && !live_can_roll(w->live))
		return store_err(-EAGAIN, errbuf, "the roll before this one is still under way");
	if (w->fill.chunk && writer_end_chunk(w) < 0)
		return writer_report(w, errbuf);
	ret = w->live ? roll_live(w, name, errbuf) : roll_blocking(w, name, errbuf);
	if (ret < 0)
		return ret;
	w->packets_before += w->packets;
	w->bytes_before += w->bytes;
	w->chunks_before += w->chunks;
	w->packets = w->bytes = w->chunks = 0;
	w->clock = w->heartbeat = w->heartbeat_since_chunk = 0;
	w->rolls++;
	return 0;
}

int
sl_store_writer_close(struct sl_store_writer *w, char *errbuf)
{
	int ret;

	if (!w)
		return 0;
	if (w->fill.chunk && !writer_error(w))
		writer_end_chunk(w);
	ret = w->live ? live_close(w->live, w->dropped_since_chunk, errbuf)
		      : close_blocking(w, w->dropped_since_chunk, errbuf);
	free_writer(w);
	return ret;
}

static uint64_t
open_bytes(const struct sl_store_writer *w)
{
	return w->fill.chunk ? w->fill.end - CHUNK_HEADER_SIZE : 0;
}

void
sl_store_writer_stats(const struct sl_store_writer *w, uint64_t *packets, uint64_t *bytes, uint64_t *chunks)
{
	/* After an error, what was appended but not written is lost: only what is stored counts. */
	bool failed = !w->live && w->out.error != 0;

	*packets = failed ? atomic_load(&w->begun.head->packets) : w->packets + w->fill.packets;
	*bytes = failed ? atomic_load(&w->begun.head->record_bytes) : w->bytes + open_bytes(w);
	*chunks = failed ? w->out.committed : w->chunks;
}

void
sl_store_writer_look(const struct sl_store_writer *w, struct sl_store_writer_state *state)
{
	const struct live *l = w->live;

	*state = (struct sl_store_writer_state){
		.packets = w->packets_before + w->packets + w->fill.packets,
		.record_bytes = w->bytes_before + w->bytes + open_bytes(w),
		.chunks = w->chunks_before + w->chunks,
		.rolls = w->rolls,
		.buffers = l ? l->newest.buffers : OUTPUT_BUFFERS,
	};
	memcpy(state->dropped, w->dropped, sizeof(w->dropped));
	if (!l) {
		state->committed = w->chunks_before + w->out.committed;
		state->busy = (unsigned int)(w->out.submitted - w->out.committed) + (w->fill.chunk != NULL);
		return;
	}
	state->committed = atomic_load_explicit(&l->done, memory_order_acquire);
	state->busy = (unsigned int)(state->chunks - state->committed) + (w->fill.chunk != NULL);
	state->rolling = !live_can_roll(l);
	state->no_space = atomic_load_explicit(&l->no_space, memory_order_relaxed);
	state->shared = l->newest.fd >= 0;
	state->removed_bytes = atomic_load_explicit(&l->removed_bytes, memory_order_relaxed);
	state->removed_captures = atomic_load_explicit(&l->removed_captures, memory_order_relaxed);
}

const struct sl_capture_info *
sl_store_writer_info(const struct sl_store_writer *w)
{
	return w->live ? live_info(w->live) : &w->begun.info;
}
