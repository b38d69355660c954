/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stddef.h>

#include "merge.h"

static bool
refill(struct merge_stream *s)
{
	s->at = 0;
	s->count = s->take(s->ctx, s->items, MERGE_TAKE, &s->through, &s->pressed);
	return s->count > 0;
}

unsigned int
merge_run(struct merge_stream *streams, unsigned int count, uint64_t now, uint64_t window, unsigned int budget,
	void (*emit)(void *ctx, unsigned int stream, const struct merge_item *item), void *ctx)
{
	uint64_t overdue = now > window ? now - window : 0, known = UINT64_MAX;
	bool pressed = false;
	unsigned int done;

	for (unsigned int i = 0; i < count; i++) {
		if (streams[i].at == streams[i].count && !refill(&streams[i]) && streams[i].through < known)
			known = streams[i].through;
		pressed |= streams[i].at < streams[i].count && streams[i].pressed;
	}
	for (done = 0; done < budget; done++) {
		struct merge_stream *first = NULL;
		uint64_t ts = UINT64_MAX;

		for (unsigned int i = 0; i < count; i++) {
			struct merge_stream *s = &streams[i];

			if (s->at < s->count && (!first || s->items[s->at].ts < ts)) {
				first = s;
				ts = s->items[s->at].ts;
			}
		}
		if (!first || (ts > known && ts > overdue && !pressed))
			break;
		emit(ctx, (unsigned int)(first - streams), &first->items[first->at]);
		if (++first->at == first->count && !refill(first) && first->through < known)
			known = first->through;
	}
	return done;
}

bool
merge_holds(const struct merge_stream *streams, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (streams[i].at < streams[i].count)
			return true;
	return false;
}
