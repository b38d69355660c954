/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "prover.h"

/* Random changes of each kept packet, and random packets. */
#define MUTATIONS 16u
#define RANDOM_PACKETS 256u
/* Packets of either outcome in which a branch is moved to its boundary. */
#define AIMED_PACKETS 2u

static void
truncate_and_compare(struct sl_prover *p, const struct sl_packet *packet, bool *tried)
{
	struct sl_packet c = *packet;

	memset(tried, 0, packet->caplen + 1);
	for (uint32_t i = 0; i < p->trace.load_count && p->error == 0; i++) {
		const struct sl_load *l = &p->trace.loads[i];

		for (uint32_t n = l->off > 0 ? l->off - 1 : 0; n <= l->off + l->size && n <= packet->caplen; n++) {
			if (tried[n])
				continue;
			tried[n] = true;
			/* The last n bytes would not do: an over-read must hit the guard page. */
			c.caplen = n;
			sl_prove_compare(p, &c);
		}
	}
}

static void
mutate_and_compare(struct sl_prover *p, const struct sl_packet *packet)
{
	struct sl_packet c = sl_prove_copy(p, packet);

	for (unsigned int n = 0; n < MUTATIONS && p->error == 0; n++) {
		uint32_t r = sl_prove_random(p);
		uint32_t at = r % (packet->caplen > 0 ? packet->caplen : 1);
		uint8_t *byte;

		/* Mostly where the program looks. */
		if (p->trace.load_count > 0 && (r >> 16 & 3) != 0) {
			const struct sl_load *l = &p->trace.loads[sl_prove_random(p) % p->trace.load_count];

			at = l->off + sl_prove_random(p) % l->size;
		}
		if (at >= packet->caplen)
			continue;
		byte = &c.data[at];
		switch (sl_prove_random(p) % 5) {
		case 0:
			*byte ^= (uint8_t)(1u << sl_prove_random(p) % 8);
			break;
		case 1:
			*byte += sl_prove_random(p) % 2 ? 1 : 0xff;
			break;
		case 2:
			*byte = sl_prove_random(p) % 2 ? 0 : 0xff;
			break;
		case 3:
			c.len = sl_prove_random(p) % 4 ? sl_prove_random(p) % 2048 : sl_prove_random(p);
			break;
		default:
			*byte = (uint8_t)sl_prove_random(p);
			break;
		}
		sl_prove_compare(p, &c);
		if (n % 4 == 3) {
			memcpy(c.data, packet->data, packet->caplen);
			c.len = packet->len;
		}
	}
	free(c.data);
}

/* Every branch at its boundary, in some packets that are accepted and some that are not. */
static void
aim_and_compare(struct sl_prover *p, const struct sl_packet *packet)
{
	struct sl_packet c = sl_prove_copy(p, packet);

	for (uint32_t i = 0; i < p->trace.branch_count && p->error == 0; i++) {
		const struct sl_branch *b = &p->trace.branches[i];
		uint8_t *done = &p->aimed[2 * b->pc + (p->trace.result != 0)];
		int ret = 0;

		if (*done == AIMED_PACKETS)
			continue;
		++*done;
		for (unsigned int attempt = 0; ret >= 0 && p->error == 0; attempt++) {
			ret = sl_trace_aim(&p->trace, b, attempt, &c);
			if (ret == 0)
				sl_prove_compare(p, &c);
			if (ret >= 0) {
				memcpy(c.data, packet->data, packet->caplen);
				c.len = packet->len;
			}
		}
	}
	free(c.data);
}

static void
random_and_compare(struct sl_prover *p, uint32_t longest)
{
	struct sl_packet c = {.data = malloc(longest + 1)};

	if (c.data == NULL) {
		p->error = -ENOMEM;
		return;
	}
	for (unsigned int n = 0; n < RANDOM_PACKETS && p->error == 0; n++) {
		c.caplen = sl_prove_random(p) % (longest + 1);
		c.len = n % 2 ? c.caplen : sl_prove_random(p) % 65536;
		for (uint32_t i = 0; i < c.caplen; i++)
			c.data[i] = (uint8_t)sl_prove_random(p);
		sl_prove_compare(p, &c);
	}
	free(c.data);
}

void
sl_prove_stress(struct sl_prover *p)
{
	bool *tried = malloc(SL_CONCOLIC_MAX_CAPLEN + 1);
	uint32_t longest = 0;

	if (tried == NULL) {
		p->error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < p->kept_count && p->error == 0; i++) {
		const struct sl_packet *k = &p->kept[i];

		sl_trace_run(&p->trace, k);
		truncate_and_compare(p, k, tried);
		mutate_and_compare(p, k);
		aim_and_compare(p, k);
		if (k->caplen > longest)
			longest = k->caplen;
	}
	random_and_compare(p, longest < 2048 ? longest : 2048);
	free(tried);
}
