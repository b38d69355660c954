/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

/**
 * @file
 * The cache's loop over packets, included by cache_scan.c once for each kind of CPU with
 * SCAN: the function's name and target; MAKE_KEY(cls, data, caplen, key); SAME(key bytes, entry bytes).
 *
 * A batch at a time: first the keys of all its packets, which asks for their entries early, then the comparisons.
 */

static inline SCAN_TARGET uint16_t
SCAN_NAME(lookup)(const struct sl_cache *c, bool wide, const struct cache_key *key, uint32_t tag, uint32_t at)
{
	const struct cache_bucket *b = &c->buckets[at];

	for (unsigned int way = 0; way < CACHE_WAYS; way++) {
		size_t entry = ((size_t)at * CACHE_WAYS + way) * CACHE_KEY;

		if (b->tag[way] == tag && SAME(key->low, c->keys + entry) &&
			(!wide || SAME(key->high, c->high_keys + entry)))
			return b->set[way];
	}
	return CACHE_DIRECT;
}

static SCAN_TARGET void
SCAN_NAME(scan)(struct sl_cache *c, const struct sl_chunk *chunk, uint32_t from, uint32_t to)
{
	const struct sl_link_layout layout = c->layout;
	struct cache_key key[CACHE_BATCH];
	struct cache_class *cls[CACHE_BATCH];
	const uint8_t *data[CACHE_BATCH];
	uint32_t tag[CACHE_BATCH], caplen[CACHE_BATCH], at[CACHE_BATCH];
	bool wide[CACHE_BATCH];

	for (uint32_t base = from; base < to; base += CACHE_BATCH) {
		uint32_t n = to - base < CACHE_BATCH ? to - base : CACHE_BATCH;

		for (uint32_t j = 0; j < n; j++) {
			const struct sl_record *r = sl_chunk_record(chunk, base + j);
			uint64_t hash;

			if (base + j + SL_PREFETCH_AHEAD < chunk->packets) {
				const uint8_t *ahead =
					(const uint8_t *)sl_chunk_record(chunk, base + j + SL_PREFETCH_AHEAD);

				rte_prefetch0(ahead);
				rte_prefetch0(ahead + 64);
			}
			data[j] = (const uint8_t *)(r + 1);
			caplen[j] = r->caplen;
			cls[j] = cache_class_of(c, sl_classify(&layout, data[j], caplen[j]));
			wide[j] = cls[j]->wide;
			tag[j] = 0;
			if (cls[j]->bypass > 0)
				continue;
			MAKE_KEY(cls[j], data[j], caplen[j], &key[j]);
			tag[j] = cache_tag(cls[j], caplen[j]);
			hash = cache_hash(c, &key[j], wide[j], tag[j]);
			tag[j] |= cache_tag_hash(hash);
			at[j] = cache_bucket_of(hash);
			rte_prefetch0(&c->buckets[at[j]]);
			rte_prefetch0(c->keys + (size_t)at[j] * CACHE_WAYS * CACHE_KEY);
		}
		for (uint32_t j = 0; j < n; j++) {
			uint16_t *set = &c->set_of[base - from + j];

			if (tag[j] == 0) {
				cls[j]->bypass -= cls[j]->bypass > 0;
				*set = CACHE_DIRECT;
				continue;
			}
			/* If a packet of this batch has widened the mask, entries of the old one are still true. */
			*set = SCAN_NAME(lookup)(c, wide[j], &key[j], tag[j], at[j]);
			if (*set == CACHE_DIRECT)
				*set = cache_resolve(c, cls[j], data[j], caplen[j]);
			if (++cls[j]->seen == CACHE_JUDGE_EVERY)
				cache_judge(c, cls[j]);
		}
	}
}
