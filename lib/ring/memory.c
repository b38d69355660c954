/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <stdint.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_malloc.h>

#include "sl_ring.h"

#define HUGE_SIZE (2ul << 20)

static size_t
mapped_size(size_t bytes)
{
	return (bytes + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
}

/* An aligned mapping: what lies before and behind it is given back. */
static void *
map_aligned(size_t size)
{
	uint8_t *map = mmap(
		NULL, size + HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *start;

	if (map == MAP_FAILED)
		return NULL;
	start = (uint8_t *)mapped_size((uintptr_t)map);
	if (start > map)
		munmap(map, (size_t)(start - map));
	munmap(start + size, (size_t)(map + HUGE_SIZE - start));
	return start;
}

void *
sl_memory_alloc(const char *name, size_t bytes)
{
	size_t size = mapped_size(bytes);
	uint8_t *memory;

	if (rte_eal_has_hugepages())
		return rte_malloc(name, bytes, SL_STORE_ALIGN);
	memory = map_aligned(size);
	if (!memory)
		return NULL;
	madvise(memory, size, MADV_HUGEPAGE);
	madvise(memory, size, MADV_DONTFORK);
	/* The first touch of a page is dear: here, not on an lcore. */
	for (size_t at = 0; at < size; at += 4096)
		*(volatile uint8_t *)(memory + at) = 0;
	return memory;
}

void
sl_memory_free(void *memory, size_t bytes)
{
	if (!memory)
		return;
	if (rte_eal_has_hugepages())
		rte_free(memory);
	else
		munmap(memory, mapped_size(bytes));
}
