/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_CACHE_TABLE_H
#define SL_FILTER_CACHE_TABLE_H

/**
 * @file
 * Inside of the verdict cache: cache.c (what a miss does, lists) and the cache_*.c, each of which says what it is for.
 * Only these include it. One lcore.
 */

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "classify.h"
#include "verdict_sets.h"

#define CACHE_KEY 64u       /* bytes of a key; a wide one has as many again */
#define CACHE_WAYS 4u
#define CACHE_CLASSES 256u
#define CACHE_CLASS_SLOTS 1024u /* ten bits: cache_class_slot() */
#define CACHE_MASKS 0xffffu /* masks that can be told apart before all is forgotten */
#define CACHE_WHOLE 255u    /* the captured length does not matter: nothing looked behind its end */
#define CACHE_DIRECT 0xffffu /* instead of a verdict set: the packet takes the direct way */
#define CACHE_BATCH 32u
#define CACHE_JUDGE_EVERY 1024u /* lookups of a class */
#define CACHE_PAUSE_MIN 4096u   /* lookups left out, the first time */
#define CACHE_PAUSE_LONG (4 * CACHE_PAUSE_MIN) /* it does not get better by itself */

_Static_assert(SL_TRACK_WINDOW == 2 * CACHE_KEY && SL_TRACK_WINDOW < CACHE_WHOLE, "keys cover the window");
_Static_assert(SL_VERDICT_SETS_MAX < CACHE_DIRECT, "verdict set numbers");

/** Packets that steer alike, and the bytes that have decided about any of them. */
struct cache_class {
	_Alignas(256) uint64_t mask[2]; /**< bytes of which any bit belongs to the key, a bit a byte */
	uint64_t whole[2];   /**< bytes of which all bits do */
	uint32_t least;      /**< shorter packets are of another class */
	uint32_t need;       /**< from this captured length on, it decides nothing */
	uint32_t mask_id;    /**< number of this state of the mask; never used before since all was forgotten */
	bool wide;           /**< the key needs its second half */
	uint32_t bypass;     /**< packets that are not looked up */
	uint32_t seen, missed; /**< lookups since the last judgement, an estimate; and misses */
	uint32_t last_missed;
	uint32_t pause;      /**< the next bypass */
	uint32_t cost_miss, cost_direct;
	struct cache_fixed *fixed; /**< NULL: all is learned from packets */
	bool examined;       /**< it has been asked which units spoil its keys */
	_Alignas(64) uint8_t bits[SL_TRACK_WINDOW]; /**< the mask: bits of each byte that belong to the key */
};

/** What is known about a class from the start. Read-only. */
struct cache_fixed {
	uint8_t matters[SL_TRACK_WINDOW]; /**< by byte: bits that decide about open units */
	struct cache_open {
		uint32_t unit;
		uint32_t program;     /**< of a single one: its number ... */
		const struct sl_exec *exec; /**< ... and how it runs; NULL: several */
		struct sl_path *path; /**< of several: the one way through them, if there is one */
	} *open;             /**< units that it does not decide */
	uint32_t open_count;
	uint32_t *noted;     /**< units of which it is not known what they read: noted at each run */
	uint32_t noted_count;
	uint64_t *accepted;  /**< bit per program: those that it decides to accept */
};

/** Four entries; a tag tells the mask, the captured length and eight bits of the hash. */
struct cache_bucket {
	_Alignas(32) uint32_t tag[CACHE_WAYS]; /**< 0: free */
	uint16_t set[CACHE_WAYS];
	uint32_t victim;     /**< the next to go */
};

struct cache_key {
	_Alignas(64) uint8_t low[CACHE_KEY];
	uint8_t high[CACHE_KEY]; /**< of a wide class only */
};

/** A packet's key and where it belongs. */
struct cache_lookup {
	struct cache_key key;
	uint32_t tag; /**< 0: not looked up */
	uint32_t bucket;
	bool wide;
};

struct sl_cache {
	struct sl_cache_params params;
	struct sl_link_layout layout;
	void (*scan)(struct sl_cache *cache, const struct sl_chunk *chunk, uint32_t from, uint32_t to);
	struct cache_class *classes;
	unsigned int class_count;
	struct {
		uint32_t key;
		uint32_t number; /* of the class; 0: free */
	} class_of[CACHE_CLASS_SLOTS];
	uint32_t next_mask_id;
	_Alignas(64) uint64_t seed[2 * CACHE_KEY / 8]; /* of the hash, for either half of a key */
	struct cache_bucket *buckets;
	uint32_t bucket_mask;
	uint8_t *keys;      /* CACHE_KEY bytes an entry */
	uint8_t *high_keys; /* as many; touched by wide classes only */
	struct sl_verdict_sets sets;
	uint64_t *accepted; /* bitmap of the packet being resolved */
	uint32_t judged;    /* batches so far: which packet of one is counted */
	struct cache_suspect *suspect;
	bool *left_out;     /* by unit: not cached, run on all packets */
	bool *leave_out;    /* the same from the next chunk on, if leave */
	bool leave;
	bool forget;        /* numbers have run out: begin anew before the next packets */
	uint32_t cost_lookup, cost_direct; /* of all units, in ns or so */
	uint32_t instructions; /* of all units */
	uint64_t direct_cost; /* of the chunk's packets that took the direct way */
	uint32_t resting, rest; /* chunks that are not scanned at all: still, and the next time */

	uint16_t *set_of;   /* verdict set of each packet of the part under way, or CACHE_DIRECT */
	uint32_t part;      /* packets that are worked on at a time */
	uint8_t *direct_class; /* class of each packet of the part that takes the direct way */
	uint16_t *direct;   /* those of the part that take the direct way */
	uint16_t *direct_lists; /* part entries a program; made when first needed */
	uint32_t *direct_counts;
	uint16_t *lists;    /* stride entries a program */
	size_t lists_room, stride;
	uint16_t **ends;    /* by program: where its next packet goes */
	uint16_t **part_starts;

	_Atomic uint64_t packets, misses, bypassed, beyond, left_out_count, forgotten;
};

/* ---- cache_table.c */

int cache_table_init(struct sl_cache *c);
void cache_table_fini(struct sl_cache *c);
/** Forget all: classes, masks, entries, sets. */
void cache_table_clear(struct sl_cache *c);
/** A class of its own for packets like this one, if there is room. */
struct cache_class *cache_class_new(struct sl_cache *c, uint32_t key, const uint8_t *data);
/** Take what a run depended on into the mask. @return false: out of mask numbers */
bool cache_class_widen(struct sl_cache *c, struct cache_class *cls, const struct sl_track *track);
/** The key of a packet, in portable code. */
void cache_key_make(const struct cache_class *cls, const uint8_t *data, uint32_t caplen, struct cache_key *key);
/** Keep a packet's verdicts. @param found  what the lookup came to, if the class still has the same mask */
void cache_insert(struct sl_cache *c, const struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	const struct cache_lookup *found, uint16_t set);

static inline uint32_t
cache_class_slot(uint32_t key)
{
	return (key * 0x9e3779b1u) >> 22;
}

/** The class that packets of this kind have; it is made if it is new. */
static inline struct cache_class *
cache_class_of(struct sl_cache *c, uint32_t key, const uint8_t *data)
{
	uint32_t at = cache_class_slot(key);

	while (c->class_of[at].number != 0) {
		if (c->class_of[at].key == key)
			return &c->classes[c->class_of[at].number];
		at = (at + 1) % CACHE_CLASS_SLOTS;
	}
	return cache_class_new(c, key, data);
}

static inline uint32_t
cache_tag(const struct cache_class *cls, uint32_t caplen)
{
	return cls->mask_id << 16 | (caplen >= cls->need ? CACHE_WHOLE : caplen) << 8;
}

/* NH (RFC 4418, section 5.2): sums of products of 32-bit halves; vector units have the multiplication. */
static inline uint64_t
cache_hash_half(const uint64_t *seed, const uint8_t *bytes)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < CACHE_KEY / 8; i++) {
		uint64_t w;

		memcpy(&w, bytes + 8 * i, sizeof(w));
		sum += (uint64_t)((uint32_t)w + (uint32_t)seed[i]) * (uint32_t)((w >> 32) + (seed[i] >> 32));
	}
	return sum;
}

/** From the sums of both halves of a key, or of one, to its hash. Seeds are random: they must not be guessed. */
static inline uint64_t
cache_hash_end(uint64_t sum, uint32_t tag)
{
	uint64_t h = (sum ^ (uint64_t)tag << 32) * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ h >> 32;
}

static inline uint64_t
cache_hash(const struct sl_cache *c, const struct cache_key *key, bool wide, uint32_t tag)
{
	uint64_t sum = cache_hash_half(c->seed, key->low);

	if (wide)
		sum += cache_hash_half(c->seed + CACHE_KEY / 8, key->high);
	return cache_hash_end(sum, tag);
}

static inline uint32_t
cache_bucket_of(const struct sl_cache *c, uint64_t hash)
{
	return (uint32_t)hash & c->bucket_mask;
}

static inline uint32_t
cache_tag_hash(uint64_t hash)
{
	return (uint32_t)(hash >> 56);
}

/* ---- cache.c */

/** Run all programs on a packet that is not in the table, and keep the outcome. @return verdict set or CACHE_DIRECT */
uint16_t cache_resolve(struct sl_cache *c, struct cache_class *cls, const uint8_t *data, uint32_t caplen,
	const struct cache_lookup *lookup);
/** Enough packets of a class have been seen: go on looking them up? */
void cache_judge(struct sl_cache *c, struct cache_class *cls);

/** What a miss costs; fixed NULL: all units noted. */
uint32_t cache_miss_cost(const struct sl_cache *c, const struct cache_fixed *fixed);
/** What the direct way costs for a unit that a class leaves open, a packet. */
uint32_t cache_open_cost(const struct sl_cache *c, const struct cache_open *open);
/** What the direct way costs for a unit, a packet. */
uint32_t cache_unit_cost(const struct sl_unit *unit);

/** A unit as the direct way runs it where nothing is known of a class. */
static inline struct cache_open
cache_open_unit(const struct sl_cache *c, uint32_t unit)
{
	const struct sl_unit *u = &c->params.units[unit];

	if (u->common)
		return (struct cache_open){.unit = unit};
	return (struct cache_open){
		.unit = unit, .program = u->members[0], .exec = &c->params.programs[u->members[0]]};
}

/* Most sets have one word or two: too few to call for. */
static inline void
cache_accept_none(const struct sl_cache *c)
{
	for (uint32_t w = 0; w < c->sets.words; w++)
		c->accepted[w] = 0;
}

/* ---- cache_direct.c */

int cache_direct_init(struct sl_cache *c);
void cache_direct_fini(struct sl_cache *c);
/** Run the programs on those packets of the part that have CACHE_DIRECT for a set. */
void cache_direct_part(struct sl_cache *c, const struct sl_chunk *chunk, uint32_t from, uint32_t to);
/** Run all units on a whole chunk, or only those that are left out of the cache. */
void cache_direct_chunk(struct sl_cache *c, const struct sl_chunk *chunk, bool all);

/* ---- cache_fixed.c */

/** Find out what a new class decides; it may go without. */
void cache_fixed_make(struct sl_cache *c, struct cache_class *cls, uint32_t key, const uint8_t *data);
void cache_fixed_free(struct cache_fixed *fixed);
/** Run a unit of several programs that a class leaves open, into accepted. */
void cache_fixed_run_group(const struct sl_cache *c, const struct cache_open *open, const uint8_t *data, uint32_t caplen);
/** Run all that a class leaves open, into accepted; track gets what is not known from the start. */
void cache_fixed_run(const struct sl_cache *c, const struct cache_fixed *fixed, const uint8_t *data, uint32_t caplen,
	struct sl_track *track);

/* ---- cache_suspect.c */

int cache_suspect_init(struct sl_cache *c);
void cache_suspect_fini(struct sl_cache *c);
/** Sample the next misses of a class. @return false: that was done, or another class is sampled */
bool cache_suspect_begin(struct sl_cache *c, struct cache_class *cls);
/** A miss, to be called for all of them. Uses accepted. */
void cache_suspect_sample(struct sl_cache *c, const uint8_t *data, uint32_t caplen, const struct cache_class *cls);
/** The classes are about to go. */
void cache_suspect_forget(struct sl_cache *c);

/* ---- cache_scan.c */

/** The loop for this CPU. */
void cache_scan_select(struct sl_cache *c);
/** Will it be one with wide vectors? */
bool cache_scan_is_wide(bool portable);

#endif
