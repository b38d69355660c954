/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */
#ifndef SL_APP_PUSH_VERDICTS_H
#define SL_APP_PUSH_VERDICTS_H

/** @file What the verdict caches of all captures have done, for the closing summary. Main thread. */

#include <stdio.h>

#include "push_streams.h"

/** Print a line, if any capture's filters had a cache. */
void push_verdicts_print(struct push_streams *streams, FILE *out);

#endif
