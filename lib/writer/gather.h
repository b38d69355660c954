/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_WRITER_GATHER_H
#define SL_WRITER_GATHER_H

/**
 * @file
 * Copies scattered records of a chunk to one place: what a filtered target does with each packet it gets.
 */

#include <stdint.h>

#include "sl_store.h"

/**
 * Copy listed records one behind the other, as many as fit whole. Bytes between the last record and the limit may be
 * overwritten with anything.
 *
 * @param list  n packet numbers of the chunk
 * @param[in,out] to  where the first goes; behind the last one on return
 * @param limit  the first byte that may not be written
 * @return how many were copied
 */
uint32_t sl_gather(const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit);

/** The same with instructions that every CPU has. For tests. */
uint32_t sl_gather_portable(
	const struct sl_chunk *c, const uint16_t *list, uint32_t n, uint8_t **to, const uint8_t *limit);

#endif
