/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_CONFIG_SUGGEST_H
#define SL_CONFIG_SUGGEST_H

/**
 * @file
 * "Did you mean ...?": the nearest of a list of valid words.
 */

#include <stddef.h>

/**
 * Optimal string alignment distance, letter case ignored: insertions, deletions, substitutions and swaps of neighbours.
 * Words above 64 bytes are cut. Any thread.
 */
unsigned int sl_suggest_distance(const char *a, const char *b);

/** Is a distance small enough, for a word as long as this, to be a slip of the keyboard? */
int sl_suggest_is_near(const char *word, unsigned int distance);

/** The nearest of n words, else the only one that begins with word, else NULL. */
const char *sl_suggest(const char *word, const char *const *words, size_t n);

#endif
