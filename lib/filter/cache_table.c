/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "cache_table.h"

#define BUCKETS 8192u

int
cache_table_init(struct sl_cache *c)
{
	uint32_t buckets = c->params.buckets ? c->params.buckets : BUCKETS;
	size_t key_bytes = (size_t)buckets * CACHE_WAYS * CACHE_KEY;

	c->bucket_mask = buckets - 1;
	c->classes = aligned_alloc(256, CACHE_CLASSES * sizeof(*c->classes));
	c->buckets = aligned_alloc(64, buckets * sizeof(*c->buckets));
	c->keys = aligned_alloc(64, key_bytes);
	/* From the system, untouched: without wide classes it costs nothing. */
	c->high_keys = aligned_alloc(4096, key_bytes);
	if (!c->classes || !c->buckets || !c->keys || !c->high_keys)
		return -ENOMEM;
	memset(c->keys, 0, key_bytes);
	/* Only speed depends on them. */
	if (getrandom(c->seed, sizeof(c->seed), GRND_NONBLOCK) != (ssize_t)sizeof(c->seed))
		for (unsigned int i = 0; i < sizeof(c->seed) / sizeof(c->seed[0]); i++)
			c->seed[i] = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
	cache_table_clear(c);
	return 0;
}

static void
class_begin(struct sl_cache *c, struct cache_class *cls)
{
	memset(cls, 0, sizeof(*cls));
	cls->mask_id = c->next_mask_id++;
	cls->pause = CACHE_PAUSE_MIN;
	cls->cost_miss = cache_miss_cost(c, NULL);
	cls->cost_direct = c->cost_direct;
}

static void
free_classes(struct sl_cache *c)
{
	for (unsigned int i = 0; i < c->class_count; i++)
		cache_fixed_free(c->classes[i].fixed);
	c->class_count = 0;
}

void
cache_table_fini(struct sl_cache *c)
{
	free_classes(c);
	free(c->classes);
	free(c->buckets);
	free(c->keys);
	free(c->high_keys);
}

void
cache_table_clear(struct sl_cache *c)
{
	free_classes(c);
	memset(c->class_of, 0, sizeof(c->class_of));
	memset(c->buckets, 0, ((size_t)c->bucket_mask + 1) * sizeof(*c->buckets));
	c->next_mask_id = 1;
	/* The first class is of all that come when there is no room for one of their own. */
	class_begin(c, &c->classes[0]);
	c->class_count = 1;
}

static void
add_to_mask(struct cache_class *cls, const uint8_t *bits)
{
	for (uint32_t i = 0; i < SL_TRACK_WINDOW; i++) {
		cls->bits[i] |= bits[i];
		if (cls->bits[i] != 0)
			cls->mask[i / 64] |= UINT64_C(1) << i % 64;
		if (cls->bits[i] == 0xff)
			cls->whole[i / 64] |= UINT64_C(1) << i % 64;
	}
	cls->wide = cls->mask[1] != 0;
}

struct cache_class *
cache_class_new(struct sl_cache *c, uint32_t key, const uint8_t *data)
{
	uint32_t at = cache_class_slot(key);
	struct cache_class *cls;

	if (c->class_count == CACHE_CLASSES || c->next_mask_id > CACHE_MASKS)
		return &c->classes[0];
	while (c->class_of[at].number != 0)
		at = (at + 1) % CACHE_CLASS_SLOTS;
	cls = &c->classes[c->class_count];
	c->class_of[at].key = key;
	c->class_of[at].number = c->class_count++;
	class_begin(c, cls);
	cache_fixed_make(c, cls, key, data);
	if (cls->fixed)
		add_to_mask(cls, cls->fixed->matters);
	return cls;
}

bool
cache_class_widen(struct sl_cache *c, struct cache_class *cls, const struct sl_track *track)
{
	uint8_t more[SL_TRACK_WINDOW] = {0};

	if (((track->reads[0] & ~cls->whole[0]) | (track->reads[1] & ~cls->whole[1])) == 0 && track->need <= cls->need)
		return true;
	if (c->next_mask_id > CACHE_MASKS)
		return false;
	cls->mask_id = c->next_mask_id++;
	if (track->need > cls->need)
		cls->need = track->need;
	for (uint32_t i = 0; i < SL_TRACK_WINDOW; i++)
		more[i] = track->reads[i / 64] >> i % 64 & 1 ? 0xff : 0;
	add_to_mask(cls, more);
	return true;
}

static void
make_half(const uint8_t *mask, const uint8_t *data, uint32_t len, uint8_t *key)
{
	uint32_t n = len < CACHE_KEY ? len : CACHE_KEY;

	for (uint32_t i = 0; i < n; i++)
		key[i] = data[i] & mask[i];
	memset(key + n, 0, CACHE_KEY - n);
}

void
cache_key_make(const struct cache_class *cls, const uint8_t *data, uint32_t caplen, struct cache_key *key)
{
	make_half(cls->bits, data, caplen, key->low);
	if (cls->wide)
		make_half(cls->bits + CACHE_KEY, data + CACHE_KEY, caplen > CACHE_KEY ? caplen - CACHE_KEY : 0,
			key->high);
}

static void
look_up(const struct sl_cache *c, const struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	struct cache_lookup *l)
{
	uint32_t tag = cache_tag(cls, caplen);
	uint64_t hash;

	cache_key_make(cls, data, caplen, &l->key);
	hash = cache_hash(c, &l->key, cls->wide, tag);
	l->tag = tag | cache_tag_hash(hash);
	l->bucket = cache_bucket_of(c, hash);
	l->wide = cls->wide;
}

void
cache_insert(struct sl_cache *c, const struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	const struct cache_lookup *found, uint16_t set)
{
	struct cache_lookup anew;
	struct cache_bucket *b;
	size_t entry;
	uint32_t way;

	if (found->tag >> 16 != cls->mask_id) {
		look_up(c, cls, data, caplen, &anew);
		found = &anew;
	}
	b = &c->buckets[found->bucket];
	for (way = 0; way < CACHE_WAYS && b->tag[way] != 0; way++)
		;
	if (way == CACHE_WAYS)
		way = b->victim++ % CACHE_WAYS;
	b->tag[way] = found->tag;
	b->set[way] = set;
	entry = ((size_t)found->bucket * CACHE_WAYS + way) * CACHE_KEY;
	memcpy(c->keys + entry, found->key.low, CACHE_KEY);
	if (found->wide)
		memcpy(c->high_keys + entry, found->key.high, CACHE_KEY);
}
