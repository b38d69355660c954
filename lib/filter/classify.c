/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include "classify.h"

#include <string.h>

static void
know(struct sl_known *known, const uint8_t *data, uint32_t off, uint8_t bits)
{
	known->bits[off] = bits;
	known->values[off] = data[off] & bits;
}

uint32_t
sl_class_known(const struct sl_link_layout *layout, uint32_t key, const uint8_t *data, struct sl_known *known)
{
	uint32_t off = layout->net_off;

	memset(known, 0, sizeof(*known));
	if (!layout->no_type) {
		know(known, data, layout->type_off, 0xff);
		know(known, data, layout->type_off + 1, 0xff);
		for (unsigned int n = 0; n < SL_CLASS_MAX_TAGS && (key >> (SL_CLASS_TAG_SHIFT + 2 * n) & 3) != 0; n++) {
			know(known, data, off + 2, 0xff);
			know(known, data, off + 3, 0xff);
			off += 4;
		}
	} else {
		know(known, data, 0, 0xf0);
	}
	if ((key & SL_CLASS_KIND) == SL_CLASS_IPV4) {
		know(known, data, off, 0xff);
		know(known, data, off + 9, 0xff);
		if (!(key & SL_CLASS_FRAGMENT)) {
			know(known, data, off + 6, 0x1f);
			know(known, data, off + 7, 0xff);
		}
	} else if ((key & SL_CLASS_KIND) == SL_CLASS_IPV6) {
		know(known, data, off + 6, 0xff);
	}
	return off;
}
