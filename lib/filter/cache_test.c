/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "compile.h"
#include "filter_test.h"
#include "packet_gen.h"
#include "test_chunk.h"
#include "translate.h"

#define PROGRAMS_MAX 128u
#define EXPRESSION_SETS 1500u
#define PROGRAM_SETS 1500u

/* ---------------------------------------------------------------- a cache and what it is judged by */

/* Programs run by libpcap's interpreter on the direct way, so that nothing has to be proven first. */
struct bench {
	struct bpf_program programs[PROGRAMS_MAX];
	struct sl_exec exec[PROGRAMS_MAX];
	struct sl_unit *units;
	unsigned int count, unit_count;
	struct sl_cache *cache;
	uint32_t buckets;
};

static void
begin(struct bench *b, uint32_t link_type, bool portable)
{
	const struct bpf_program *all[PROGRAMS_MAX];
	uint32_t numbers[PROGRAMS_MAX];
	struct sl_cache_params params;

	for (unsigned int i = 0; i < b->count; i++) {
		all[i] = &b->programs[i];
		numbers[i] = i;
		b->exec[i] = (struct sl_exec){.insns = b->programs[i].bf_insns};
	}
	assert_int_equal(sl_units_create(all, numbers, b->count, &b->units, &b->unit_count), 0);
	params = (struct sl_cache_params){.link_type = link_type,
		.units = b->units,
		.unit_count = b->unit_count,
		.programs = b->exec,
		.program_count = b->count,
		.buckets = b->buckets,
		.portable = portable};
	assert_int_equal(sl_cache_create(&params, &b->cache), 0);
}

static void
end(struct bench *b)
{
	sl_cache_free(b->cache);
	sl_units_free(b->units, b->unit_count);
	b->cache = NULL;
}

static void
free_programs(struct bench *b)
{
	for (unsigned int i = 0; i < b->count; i++)
		sl_compile_free(&b->programs[i]);
	b->count = 0;
}

static void
add_expression(struct bench *b, const char *text, uint32_t link_type)
{
	char errbuf[SL_FILTER_ERRBUF];

	if (b->count == PROGRAMS_MAX || sl_compile(text, link_type, 262144, &b->programs[b->count], errbuf) != 0)
		return;
	if (sl_track_possible(&b->programs[b->count]))
		b->count++;
	else
		sl_compile_free(&b->programs[b->count]);
}

/* Each list must be what bpf_filter() says. */
static void
check(const struct bench *b, const struct sl_chunk *chunk)
{
	sl_cache_run(b->cache, chunk);
	for (unsigned int p = 0; p < b->count; p++) {
		uint32_t n = 0, got;
		const uint16_t *list = sl_cache_list(b->cache, p, &got);

		for (uint32_t i = 0; i < chunk->packets; i++) {
			const struct sl_record *r = sl_chunk_record(chunk, i);
			bool want =
				bpf_filter(b->programs[p].bf_insns, (const uint8_t *)(r + 1), r->len, r->caplen) != 0;
			bool has = n < got && list[n] == i;

			if (want != has)
				fail_msg("program %u, packet %u of %u bytes: %d instead of %d", p, i, r->caplen, has,
					want);
			n += has;
		}
		assert_int_equal(n, got);
	}
}

/* ---------------------------------------------------------------- random bytes and packets */

static uint64_t rng;

static uint32_t
random32(void)
{
	return sl_gen_random32(&rng);
}

/* Packets that come again, whole, cut and changed. */
static void
fill(struct test_chunk *c, unsigned int packets, unsigned int kinds, uint32_t link_type)
{
	uint8_t(*kind)[SL_GEN_MAX_PACKET] = calloc(kinds, sizeof(*kind));
	uint32_t *len = calloc(kinds, sizeof(*len));

	assert_non_null(kind);
	assert_non_null(len);
	for (unsigned int k = 0; k < kinds; k++) {
		uint8_t bytes[200];
		struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));

		len[k] = sl_gen_packet(&gen, link_type, kind[k]);
	}
	for (unsigned int i = 0; i < packets; i++) {
		unsigned int k = random32() % kinds;
		uint8_t packet[SL_GEN_MAX_PACKET];
		uint32_t n = len[k];

		memcpy(packet, kind[k], sizeof(packet));
		if (random32() % 8 == 0)
			n = n * (random32() % 256) / 256;
		if (random32() % 8 == 0 && n > 0)
			packet[random32() % n] ^= (uint8_t)(1u << random32() % 8);
		if (!add_packet(c, packet, n, random32() % 8 ? n : random32() % 2000))
			break;
	}
	free(kind);
	free(len);
}

static void
check_on_random(struct bench *b, uint32_t link_type, unsigned int chunks, unsigned int packets)
{
	for (int portable = 0; portable < 2; portable++) {
		/* few entries, so that they are replaced */
		b->buckets = random32() % 2 ? 16 : 1024;
		begin(b, link_type, portable != 0);
		for (unsigned int n = 0; n < chunks; n++) {
			struct test_chunk c = new_chunk();

			fill(&c, packets, 1 + random32() % 100, link_type);
			check(b, &c.view);
			free_chunk(&c);
		}
		end(b);
	}
}

/* ---------------------------------------------------------------- exactness */

void
test_cache_expressions(void **state)
{
	static const uint32_t link_types[] = {1, 1, 1, 101, 113, 276, 127, 9};
	struct bench b = {0};

	(void)state;
	rng = 1;
	for (unsigned int n = 0; n < EXPRESSION_SETS; n++) {
		uint32_t link_type = link_types[random32() % 8], wanted = 1 + random32() % (n % 16 ? 12 : 100);

		for (unsigned int i = 0; i < wanted; i++) {
			char text[SL_GEN_MAX_EXPRESSION];
			uint8_t bytes[32];
			struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));

			sl_gen_expression(&gen, text);
			add_expression(&b, text, link_type);
		}
		if (b.count > 0)
			check_on_random(&b, link_type, 2, 200);
		free_programs(&b);
	}
}

/* Copies of a program with other constants in some of its tests for equality. */
static unsigned int
add_variants(struct bench *b, const struct bpf_insn *insns, unsigned int len, unsigned int copies)
{
	for (unsigned int c = 0; c < copies && b->count < PROGRAMS_MAX; c++) {
		struct bpf_program *p = &b->programs[b->count++];

		p->bf_len = len;
		p->bf_insns = malloc(len * sizeof(*insns));
		assert_non_null(p->bf_insns);
		memcpy(p->bf_insns, insns, len * sizeof(*insns));
		for (unsigned int pc = 0; pc < len && c > 0; pc++)
			if (insns[pc].code == (BPF_JMP | BPF_JEQ | BPF_K) && random32() % 2)
				p->bf_insns[pc].k = random32() % 8;
	}
	return copies;
}

/* Any instructions in any order, not only what libpcap makes of expressions. */
void
test_cache_programs(void **state)
{
	struct bench b = {0};
	unsigned int sets = 0;

	(void)state;
	rng = 2;
	while (sets < PROGRAM_SETS) {
		for (unsigned int tries = 0; tries < 12; tries++) {
			struct bpf_insn insns[SL_GEN_MAX_INSNS];
			struct bpf_program program = {.bf_insns = insns};
			struct ebpf_insn *translated;
			uint8_t bytes[1024];
			struct sl_gen gen = sl_gen_random(&rng, bytes, sizeof(bytes));
			const char *why;
			uint32_t count;

			program.bf_len = sl_gen_program(&gen, insns);
			/* What is not translated is not cached: undefined scratch memory, for one. */
			if (!sl_track_possible(&program) || sl_translate(&program, &translated, &count, &why) != 0)
				continue;
			free(translated);
			add_variants(&b, insns, program.bf_len, 1 + random32() % 6);
		}
		if (b.count > 0) {
			check_on_random(&b, 1, 1, 200);
			sets++;
		}
		for (unsigned int i = 0; i < b.count; i++)
			free(b.programs[i].bf_insns);
		b.count = 0;
	}
}

/* ---------------------------------------------------------------- what it is for */

static void
add_groups(struct bench *b, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		char text[64];

		snprintf(text, sizeof(text), "udp and dst host 239.1.1.%u", i);
		add_expression(b, text, 1);
	}
}

/* UDP to a multicast group, checksum and payload never the same. */
static void
add_group_packet(struct test_chunk *c, unsigned int group, uint32_t noise)
{
	uint8_t p[64] = {[12] = 8, [14] = 0x45, [23] = 17, [26] = 10, [30] = 239, [31] = 1, [32] = 1, [36] = 0x75};

	p[33] = (uint8_t)group;
	memcpy(p + 40, &noise, 4);
	memcpy(p + 50, &noise, 4);
	assert_true(add_packet(c, p, sizeof(p), sizeof(p)));
}

/* ARP: its target address lies where the others have noise. */
static void
add_arp_packet(struct test_chunk *c, uint32_t noise)
{
	uint8_t p[60] = {[12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4, [21] = 1, [28] = 10, [38] = 10};

	memcpy(p + 46, &noise, 4);
	assert_true(add_packet(c, p, sizeof(p), sizeof(p)));
}

static struct sl_filter_stats
stats_of(const struct bench *b)
{
	struct sl_filter_stats stats = {0};

	sl_cache_add_stats(b->cache, &stats);
	return stats;
}

void
test_cache_few_misses(void **state)
{
	struct bench b = {0};

	(void)state;
	add_groups(&b, 96);
	assert_int_equal(b.count, 96);
	begin(&b, 1, false);
	assert_int_equal(b.unit_count, 1);
	for (unsigned int n = 0; n < 10; n++) {
		struct test_chunk c = new_chunk();

		for (unsigned int i = 0; i < 5000; i++)
			add_group_packet(&c, random32() % 96, random32());
		check(&b, &c.view);
		free_chunk(&c);
	}
	assert_int_equal(stats_of(&b).packets, 50000);
	assert_in_range(stats_of(&b).misses, 96, 96 + 20); /* each group once, and while the mask is learned */
	assert_in_range(stats_of(&b).direct, 0, 9000); /* the first window has many misses */
	end(&b);
	free_programs(&b);
}

void
test_cache_mask_per_class(void **state)
{
	struct bench b = {0};

	(void)state;
	add_expression(&b, "host 10.0.0.1", 1);
	add_expression(&b, "host 10.0.0.2", 1);
	add_expression(&b, "net 10.0.0.0/24", 1);
	add_expression(&b, "udp port 30000", 1);
	begin(&b, 1, false);
	for (unsigned int n = 0; n < 4; n++) {
		struct test_chunk c = new_chunk();

		for (unsigned int i = 0; i < 4000; i++) {
			if (i % 10 == 0)
				add_arp_packet(&c, random32());
			else
				add_group_packet(&c, random32() % 10, random32());
		}
		check(&b, &c.view);
		free_chunk(&c);
	}
	/* ten destinations, one ARP question, and while the masks are learned */
	assert_in_range(stats_of(&b).misses, 11, 60);
	end(&b);
	free_programs(&b);
}

/* What lies behind the key decides: such packets are not kept, though all bytes of their keys are the same. */
void
test_cache_beyond(void **state)
{
	struct bench b = {0};

	(void)state;
	add_expression(&b, "udp[100:4] = 7", 1);
	add_expression(&b, "udp", 1);
	add_expression(&b, "port 53", 1);
	for (int portable = 0; portable < 2; portable++) {
		struct test_chunk c = new_chunk();

		begin(&b, 1, portable != 0);
		for (unsigned int i = 0; i < 500; i++) {
			uint8_t p[160] = {[12] = 8, [14] = 0x45, [23] = 17};

			p[137] = (uint8_t)(random32() % 2 ? 7 : i);
			assert_true(add_packet(&c, p, i % 3 ? sizeof(p) : 100 + random32() % 60, sizeof(p)));
		}
		check(&b, &c.view);
		assert_in_range(stats_of(&b).beyond, 300, 500);
		end(&b);
		free_chunk(&c);
	}
	free_programs(&b);
}

/* Nothing ever comes again: lookups are left out, verdicts are right all the same. */
void
test_cache_gives_way(void **state)
{
	struct bench b = {0};
	struct sl_filter_stats stats;

	(void)state;
	add_groups(&b, 60);
	add_expression(&b, "not dst host 239.1.1.1", 1);
	add_expression(&b, "not dst host 239.1.1.2", 1);
	add_expression(&b, "not dst host 239.1.1.3", 1);
	for (unsigned int i = 0; i < 30; i++) {
		char text[100];

		snprintf(text, sizeof(text), "udp[6:4] > %u and udp[10] != %u", i << 20, i);
		add_expression(&b, text, 1);
		snprintf(text, sizeof(text), "ip[%u] > 3 or port %u", 10 + i, 30000 + i);
		add_expression(&b, text, 1);
	}
	for (int portable = 0; portable < 2; portable++) {
		begin(&b, 1, portable != 0);
		for (unsigned int n = 0; n < 20; n++) {
			struct test_chunk c = new_chunk();

			/* some of a class that is found, so that lists are merged */
			for (unsigned int i = 0; i < 2000; i++) {
				if (random32() % 4 == 0)
					add_arp_packet(&c, 1);
				else
					add_group_packet(&c, random32() % 60, random32());
			}
			check(&b, &c.view);
			free_chunk(&c);
		}
		stats = stats_of(&b);
		assert_in_range(stats.direct, 20000, 40000);
		assert_in_range(stats.misses, 1000, 10000);
		end(&b);
	}
	free_programs(&b);
}

/* One filter on payload among many: it is left out, and the others are found again. */
void
test_cache_leaves_out(void **state)
{
	struct bench b = {0};

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		char text[100];

		snprintf(text, sizeof(text), "ip[%u] > %u or port %u", 12 + i % 8, i, 30000 + i);
		add_expression(&b, text, 1);
	}
	add_expression(&b, "udp[8:4] = 0x47455420", 1);
	add_expression(&b, "not udp[8] = 7", 1);
	begin(&b, 1, false);
	for (unsigned int n = 0; n < 60; n++) {
		struct test_chunk c = new_chunk();

		for (unsigned int i = 0; i < 2000; i++)
			add_group_packet(&c, random32() % 60, 0);
		/* the payload alone is new each time */
		for (unsigned int i = 0; i < 2000; i++) {
			uint8_t *packet = c.base + (c.index[i] & 0xfffff) + sizeof(struct sl_record);
			uint32_t noise = random32();

			memcpy(packet + 42, &noise, 4);
		}
		check(&b, &c.view);
		free_chunk(&c);
	}
	assert_in_range(stats_of(&b).misses, 1000, 20000);
	assert_in_range(stats_of(&b).direct, 5000, 60000);
	end(&b);
	free_programs(&b);
}

/* More sets of verdicts than there are numbers. */
void
test_cache_forgets(void **state)
{
	struct bench b = {0};

	(void)state;
	for (unsigned int bit = 0; bit < 17; bit++) {
		char text[64];

		snprintf(text, sizeof(text), "ether[20:4] & 0x%x != 0", 1u << bit);
		add_expression(&b, text, 1);
	}
	begin(&b, 1, false);
	for (unsigned int n = 0, value = 0; n < 400; n++) {
		struct test_chunk c = new_chunk();

		for (unsigned int i = 0; i < 3000; i++) {
			uint8_t p[60] = {[12] = 8};

			/* sixteen times, so that lookups pay */
			value += i % 16 == 0;
			p[21] = (uint8_t)(value >> 16 & 1);
			p[22] = (uint8_t)(value >> 8);
			p[23] = (uint8_t)value;
			assert_true(add_packet(&c, p, sizeof(p), sizeof(p)));
		}
		check(&b, &c.view);
		free_chunk(&c);
	}
	assert_int_equal(stats_of(&b).forgotten, 1);
	end(&b);
	free_programs(&b);
}
