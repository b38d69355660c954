/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "suggest.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 64u
#define PREFIX_MIN 4u

static unsigned int
min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;
	return m < c ? m : c;
}

unsigned int
sl_suggest_distance(const char *a, const char *b)
{
	unsigned int rows[3][WORD_MAX + 1];
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2];
	size_t la = strnlen(a, WORD_MAX), lb = strnlen(b, WORD_MAX);

	for (size_t j = 0; j <= lb; j++)
		last[j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		int ca = tolower((unsigned char)a[i - 1]);

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			int cb = tolower((unsigned char)b[j - 1]);

			row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
				cb == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		unsigned int *spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[lb];
}

int
sl_suggest_is_near(const char *word, unsigned int distance)
{
	size_t len = strlen(word);

	return distance <= (len < 4 ? 1 : len < 9 ? 2 : len / 3);
}

const char *
sl_suggest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned int best_distance = UINT_MAX;

	for (size_t i = 0; i < n; i++) {
		unsigned int d = sl_suggest_distance(word, words[i]);

		if (d < best_distance) {
			best_distance = d;
			best = words[i];
		}
	}
	size_t len = strlen(word);
	if (best == NULL || len > WORD_MAX)
		return NULL;
	if (sl_suggest_is_near(word, best_distance))
		return best;
	/* "Filter" for FilterBPF: cut short, if one word alone begins so. */
	best = NULL;
	for (size_t i = 0; i < n && len >= PREFIX_MIN; i++)
		if (strncasecmp(word, words[i], len) == 0) {
			if (best != NULL)
				return NULL;
			best = words[i];
		}
	return best;
}
