// SPDX-License-Identifier: BSD-2-Clause
/*
 * table.c - memory for the structures behind handles; see table.h.
 *
 * Flow:  vmb_open(), vmb_register() -> [here] -> calloc, never free
 * Owns:  the chunks.
 * Trust: see table.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/table.h"

/* Which chunk holds entry `number`, and its place there. */
static unsigned chunk_of(unsigned number, size_t *place)
{
	unsigned chunk = 0;
	size_t rest = number;

	while (rest >= vmb_table_chunk_entries(chunk))
		rest -= vmb_table_chunk_entries(chunk++);
	*place = rest;
	return chunk;
}

static int grow(struct vmb_table *t, unsigned chunk)
{
	size_t bytes = vmb_table_chunk_entries(chunk) * t->entry_bytes;
	void *memory;

	if (chunk == VMB_TABLE_CHUNKS)
		return -EMFILE;
	memory = calloc(1, bytes + VMB_LINE);
	if (!memory)
		return -ENOMEM;
	t->memory[chunk] = memory;
	/* pairs with vmb_table_holds() */
	vmb_publish(&t->first[chunk],
		    (char *)vmb_round_up((uintptr_t)memory, VMB_LINE));
	return 0;
}

static int take_fresh(struct vmb_table *t, struct vmb_entry **entry)
{
	size_t place;
	unsigned chunk = chunk_of(t->fresh, &place);
	int rc;

	if (chunk == VMB_TABLE_CHUNKS || !t->first[chunk]) {
		rc = grow(t, chunk);
		if (rc)
			return rc;
	}
	*entry = (void *)(t->first[chunk] + place * t->entry_bytes);
	vmb_publish(&t->fresh, t->fresh + 1); /* pairs with vmb_table_at() */
	vmb_list_init(&(*entry)->free_node);
	return 0;
}

/* Is there an entry that was never used and needs no new memory? */
static bool fresh_at_hand(const struct vmb_table *t)
{
	size_t place;
	unsigned chunk = chunk_of(t->fresh, &place);

	return chunk < VMB_TABLE_CHUNKS && t->first[chunk];
}

int vmb_table_take(struct vmb_table *t, struct vmb_entry **entry)
{
	int rc = 0;

	pthread_mutex_lock(&t->mutex);
	if (fresh_at_hand(t) || vmb_list_empty(&t->free)) {
		rc = take_fresh(t, entry);
	} else {
		*entry = vmb_list_first(&t->free, struct vmb_entry, free_node);
		vmb_list_remove(&(*entry)->free_node);
	}
	pthread_mutex_unlock(&t->mutex);
	return rc;
}

void vmb_table_give(struct vmb_table *t, struct vmb_entry *entry)
{
	pthread_mutex_lock(&t->mutex);
	vmb_list_append(&t->free, &entry->free_node);
	pthread_mutex_unlock(&t->mutex);
}

void *vmb_table_at(struct vmb_table *t, unsigned number)
{
	size_t place;
	unsigned chunk;

	if (number >= vmb_observe(&t->fresh))
		return NULL;
	chunk = chunk_of(number, &place);
	return t->first[chunk] + place * t->entry_bytes;
}

bool vmb_table_holds_any(struct vmb_table *t, const void *p)
{
	for (unsigned c = 0; c < VMB_TABLE_CHUNKS; c++) {
		char *first = vmb_observe(&t->first[c]); /* grow() */
		size_t at = (size_t)((uintptr_t)p - (uintptr_t)first);

		if (!first)
			return false;
		if (at < vmb_table_chunk_entries(c) * t->entry_bytes)
			return at % t->entry_bytes == 0;
	}
	return false;
}

unsigned vmb_table_number(struct vmb_table *t, const struct vmb_entry *entry)
{
	unsigned number = 0;

	for (unsigned c = 0; c < VMB_TABLE_CHUNKS; c++) {
		char *first = vmb_observe(&t->first[c]); /* grow() */
		size_t at = (uintptr_t)entry - (uintptr_t)first;

		if (at < vmb_table_chunk_entries(c) * t->entry_bytes)
			return number + (unsigned)(at / t->entry_bytes);
		number += (unsigned)vmb_table_chunk_entries(c);
	}
	return number; /* not reached: an entry is in a chunk */
}
