/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.h - the structures behind the handles we give away. Their memory is
 * never returned, so any pointer value can be checked without a crash: first
 * whether it is the address of an entry, then what state the entry is in.
 *
 * Flow:  open, register -> take; every call -> holds; close -> give
 * Owns:  the memory of the entries, for as long as the process lives.
 * Trust: a pointer is the application's, and input.
 */
#ifndef VMB_API_TABLE_H
#define VMB_API_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/barrier.h"
#include "base/list.h"

#define VMB_TABLE_CHUNKS 10 /* of 64, 128, 256 ... entries: 65472 */

/* First member of an entry. */
struct vmb_entry {
	struct vmb_list free_node;
};

struct vmb_table {
	size_t entry_bytes; /* a multiple of VMB_LINE */
	pthread_mutex_t mutex;
	char *first[VMB_TABLE_CHUNKS];	/* entries, aligned */
	void *memory[VMB_TABLE_CHUNKS]; /* as allocated */
	unsigned fresh;			/* entries ever used */
	struct vmb_list free;
};

#define VMB_TABLE_INIT(name, bytes)                                         \
	{                                                                   \
		.entry_bytes = (bytes), .mutex = PTHREAD_MUTEX_INITIALIZER, \
		.free = {.next = &(name).free, .prev = &(name).free},       \
	}

static inline size_t vmb_table_chunk_entries(unsigned chunk)
{
	return (size_t)64 << chunk;
}

/* Is p the address of an entry? */
bool vmb_table_holds_any(struct vmb_table *t, const void *p);

/* The same, quick for the first 64. bytes: entry_bytes, a constant. */
static inline bool vmb_table_holds(struct vmb_table *t, const void *p,
				   size_t bytes)
{
	char *first = vmb_observe(&t->first[0]); /* table.c: grow() */
	size_t at = (size_t)((uintptr_t)p - (uintptr_t)first);

	if (vmb_likely(first && at < vmb_table_chunk_entries(0) * bytes))
		return at % bytes == 0;
	return vmb_table_holds_any(t, p);
}

/*
 * An entry: zeroed when it is used for the first time, as it was left when
 * used before, which happens as late as possible. -ENOMEM; -EMFILE: all are
 * in use.
 */
int vmb_table_take(struct vmb_table *t, struct vmb_entry **entry);
void vmb_table_give(struct vmb_table *t, struct vmb_entry *entry);

/* The number of an entry, for vmb_table_at(). */
unsigned vmb_table_number(struct vmb_table *t, const struct vmb_entry *entry);

/* Entries 0, 1, 2 ... that were ever used; NULL after the last. */
void *vmb_table_at(struct vmb_table *t, unsigned number);

#endif
