/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * span.h - address ranges in order, found by binary search.
 *
 * Flow:  regcache -> [here]
 * Owns:  the array, not the entries that it names.
 * Trust: internal. The caller keeps the one rule: no span lies within another.
 *        So starts and ends are in the same order, and among all spans that
 *        begin at or below an address the last one reaches furthest.
 */
#ifndef VMB_AM_SPAN_H
#define VMB_AM_SPAN_H

#include <stdbool.h>
#include <stdint.h>

struct vmb_regcache_entry;

struct vmb_span {
	uintptr_t start, end; /* [start, end) */
	struct vmb_regcache_entry *entry;
};

struct vmb_spans {
	struct vmb_span *at;
	unsigned count, room;
};

/* Make room for that many. -ENOMEM leaves the array as it was. */
int vmb_spans_reserve(struct vmb_spans *spans, unsigned room);
void vmb_spans_fini(struct vmb_spans *spans);

/* Index of the first span that ends after address; count when there is none. */
unsigned vmb_spans_after(const struct vmb_spans *spans, uintptr_t address);

/* The entry whose span holds all of [start, end), or NULL. */
struct vmb_regcache_entry *vmb_spans_cover(const struct vmb_spans *spans,
					   uintptr_t start, uintptr_t end);

/* Put in order. Room was reserved, and nothing holds it or is held by it. */
void vmb_spans_insert(struct vmb_spans *spans, uintptr_t start, uintptr_t end,
		      struct vmb_regcache_entry *entry);
/* Take out count spans from index first on. */
void vmb_spans_remove(struct vmb_spans *spans, unsigned first, unsigned count);

#endif
