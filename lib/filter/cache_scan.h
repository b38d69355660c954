/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The cache's loop over packets, included by cache_scan.c once for each kind of CPU with
 * TARGET (attribute), NAME(function), MAKE_KEY(cache, cls, data, caplen, key): makes it, gives its hash's sum;
 * FIND_TAG(bucket, tag): a bit for each way that has it; SAME(key bytes, entry bytes).
 *
 * A batch at a time: first the keys of all its packets, which asks for their entries early, then the comparisons.
 */

static inline TARGET uint16_t
NAME(find)(const struct sl_cache *c, const struct cache_lookup *l)
{
	const struct cache_bucket *b = &c->buckets[l->bucket];

	for (uint32_t ways = FIND_TAG(b, l->tag); ways != 0; ways &= ways - 1) {
		uint32_t way = (uint32_t)__builtin_ctz(ways);
		size_t entry = ((size_t)l->bucket * CACHE_WAYS + way) * CACHE_KEY;

		if (likely(SAME(l->key.low, c->keys + entry)) &&
			(!l->wide || SAME(l->key.high, c->high_keys + entry)))
			return b->set[way];
	}
	return CACHE_DIRECT;
}

static TARGET void
NAME(scan)(struct sl_cache *c, const struct sl_chunk *chunk, uint32_t from, uint32_t to)
{
	const struct sl_link_layout layout = c->layout;
	const struct sl_chunk view = *chunk;
	struct cache_lookup lookup[CACHE_BATCH];
	struct cache_class *cls[CACHE_BATCH];
	const uint8_t *data[CACHE_BATCH];
	uint32_t caplen[CACHE_BATCH];

	for (uint32_t base = from; base < to; base += CACHE_BATCH) {
		uint32_t n = to - base < CACHE_BATCH ? to - base : CACHE_BATCH, judged = c->judged++ % n;
		uint16_t *set = &c->set_of[base - from];
		uint8_t *direct_class = &c->direct_class[base - from];

		for (uint32_t j = 0; j < n; j++) {
			const struct sl_record *r = sl_chunk_record(&view, base + j);
			uint32_t ahead = base + j + SL_PREFETCH_AHEAD;
			struct cache_lookup *l = &lookup[j];
			uint32_t class_key;
			uint64_t hash;

			if (likely(ahead < view.packets)) {
				rte_prefetch0(sl_chunk_record(&view, ahead));
				rte_prefetch0((const uint8_t *)sl_chunk_record(&view, ahead) + 64);
			}
			data[j] = (const uint8_t *)(r + 1);
			caplen[j] = r->caplen;
			class_key = sl_classify(&layout, data[j], caplen[j]);
			cls[j] = cache_class_of(c, class_key, data[j]);
			if (unlikely(caplen[j] < cls[j]->least))
				cls[j] = cache_class_of(c, class_key | SL_CLASS_SHORT, data[j]);
			l->tag = 0;
			if (unlikely(cls[j]->bypass > 0))
				continue;
			l->wide = cls[j]->wide;
			l->tag = cache_tag(cls[j], caplen[j]);
			hash = cache_hash_end(MAKE_KEY(c, cls[j], data[j], caplen[j], &l->key), l->tag);
			l->tag |= cache_tag_hash(hash);
			l->bucket = cache_bucket_of(c, hash);
			rte_prefetch0(&c->buckets[l->bucket]);
		}
		for (uint32_t j = 0; j < n; j++) {
			if (unlikely(lookup[j].tag == 0)) {
				cls[j]->bypass -= cls[j]->bypass > 0;
				set[j] = CACHE_DIRECT;
				direct_class[j] = (uint8_t)(cls[j] - c->classes);
				continue;
			}
			/* If a packet of this batch has widened the mask, entries of the old one are still true. */
			set[j] = NAME(find)(c, &lookup[j]);
			if (unlikely(set[j] == CACHE_DIRECT)) {
				set[j] = cache_resolve(c, cls[j], data[j], caplen[j], &lookup[j]);
				direct_class[j] = (uint8_t)(cls[j] - c->classes);
			}
		}
		/* One packet of each batch stands for all of it. */
		if (lookup[judged].tag != 0)
			cls[judged]->seen += n;
		if (cls[judged]->seen >= CACHE_JUDGE_EVERY)
			cache_judge(c, cls[judged]);
	}
}
