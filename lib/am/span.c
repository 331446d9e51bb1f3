// SPDX-License-Identifier: BSD-2-Clause
/*
 * span.c - address ranges in order, found by binary search.
 *
 * Flow:  regcache -> [here]
 * Owns:  the array, not the entries that it names.
 * Trust: internal; see span.h for the rule that the caller keeps.
 */
#include "am/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int vmb_spans_reserve(struct vmb_spans *spans, unsigned room)
{
	struct vmb_span *at;

	if (room <= spans->room)
		return 0;
	if (room < 2 * spans->room)
		room = 2 * spans->room;
	at = reallocarray(spans->at, room, sizeof(*at));
	if (!at)
		return -ENOMEM;
	spans->at = at;
	spans->room = room;
	return 0;
}

void vmb_spans_fini(struct vmb_spans *spans)
{
	free(spans->at);
	*spans = (struct vmb_spans){0};
}

unsigned vmb_spans_after(const struct vmb_spans *spans, uintptr_t address)
{
	unsigned low = 0, high = spans->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (spans->at[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Index of the first span that starts after address. */
static unsigned starts_after(const struct vmb_spans *spans, uintptr_t address)
{
	unsigned low = 0, high = spans->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (spans->at[middle].start > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct vmb_regcache_entry *vmb_spans_cover(const struct vmb_spans *spans,
					   uintptr_t start, uintptr_t end)
{
	unsigned i = starts_after(spans, start);

	if (i == 0 || spans->at[i - 1].end < end)
		return NULL;
	return spans->at[i - 1].entry;
}

void vmb_spans_insert(struct vmb_spans *spans, uintptr_t start, uintptr_t end,
		      struct vmb_regcache_entry *entry)
{
	unsigned i = starts_after(spans, start);

	memmove(&spans->at[i + 1], &spans->at[i],
		(spans->count - i) * sizeof(*spans->at));
	spans->at[i] = (struct vmb_span){start, end, entry};
	spans->count++;
}

void vmb_spans_remove(struct vmb_spans *spans, unsigned first, unsigned count)
{
	spans->count -= count;
	memmove(&spans->at[first], &spans->at[first + count],
		(spans->count - first) * sizeof(*spans->at));
}
