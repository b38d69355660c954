/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_FILTER_PACKET_GEN_H
#define SL_FILTER_PACKET_GEN_H

/** @file For tests and fuzzing: bytes -> packets that filters tell apart, and filters that tell them apart. */

#include <stddef.h>
#include <stdint.h>

#include "program_gen.h"

#define SL_GEN_MAX_PACKET 200u
#define SL_GEN_MAX_EXPRESSION 256u

/** The next number of a fixed series. @param state  where the series stands */
uint32_t sl_gen_random32(uint64_t *state);
/** Fill n bytes from the series; what takes its decisions from them. */
struct sl_gen sl_gen_random(uint64_t *state, uint8_t *bytes, size_t n);

/**
 * Make a packet of a link type: few addresses and ports, tags, fragments, options, tunnels, some of it cut or changed.
 *
 * @param link_type  1 or another; others are made as their own headers or as noise
 * @return bytes of it
 */
uint32_t sl_gen_packet(struct sl_gen *gen, uint32_t link_type, uint8_t packet[SL_GEN_MAX_PACKET]);

/** Make an expression that often matches such packets; not all compile for all link types. */
void sl_gen_expression(struct sl_gen *gen, char text[SL_GEN_MAX_EXPRESSION]);

#endif
