/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * table.h - things that another thread may still name after they are gone: it
 * holds a ticket, never a pointer. A ticket is an index and a generation, so
 * that the ticket of something removed finds nothing, for ever.
 *
 * Not thread-safe: the owner of the table has a lock around every call and
 * around the use of what vmb_table_find() returned.
 */
#ifndef VMB_PLATFORM_TABLE_H
#define VMB_PLATFORM_TABLE_H

#include <stdint.h>

struct vmb_table_row {
	void *thing; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct vmb_table {
	struct vmb_table_row *rows;
	uint32_t count;
	uint32_t free; /* index + 1; 0: none */
};

/* Zeroed memory is an empty table. -ENOMEM. *ticket is never 0. */
int vmb_table_add(struct vmb_table *table, void *thing, uint64_t *ticket);
void vmb_table_remove(struct vmb_table *table, uint64_t ticket);
/* NULL: there is no such thing (any more). */
void *vmb_table_find(const struct vmb_table *table, uint64_t ticket);
void vmb_table_fini(struct vmb_table *table);

#endif
