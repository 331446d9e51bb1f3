// SPDX-License-Identifier: BSD-2-Clause
/*
 * table.c - see table.h.
 *
 * Flow:  add() gives a ticket; a kernel event or an engine thread brings it
 *        back; find() tells whether it still means something
 * Owns:  the rows, not what they point to.
 * Trust: a ticket may be any number.
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#define ROWS_FIRST 64u

static int grow(struct vmb_table *t)
{
	uint32_t count = t->count ? 2 * t->count : ROWS_FIRST;
	struct vmb_table_row *rows;

	rows = realloc(t->rows, count * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (uint32_t i = count; i-- > t->count;) {
		rows[i] = (struct vmb_table_row){.next_free = t->free};
		t->free = i + 1;
	}
	t->rows = rows;
	t->count = count;
	return 0;
}

int vmb_table_add(struct vmb_table *t, void *thing, uint64_t *ticket)
{
	struct vmb_table_row *row;
	uint32_t index;

	if (!t->free && grow(t))
		return -ENOMEM;
	index = t->free - 1;
	row = &t->rows[index];
	t->free = row->next_free;
	row->thing = thing;
	*ticket = (uint64_t)row->generation << 32 | (index + 1);
	return 0;
}

static struct vmb_table_row *row_of(const struct vmb_table *t, uint64_t ticket)
{
	uint32_t index = (uint32_t)ticket - 1;
	struct vmb_table_row *row;

	if (index >= t->count)
		return NULL;
	row = &t->rows[index];
	if (!row->thing || row->generation != (uint32_t)(ticket >> 32))
		return NULL;
	return row;
}

void *vmb_table_find(const struct vmb_table *t, uint64_t ticket)
{
	struct vmb_table_row *row = row_of(t, ticket);

	return row ? row->thing : NULL;
}

void vmb_table_remove(struct vmb_table *t, uint64_t ticket)
{
	struct vmb_table_row *row = row_of(t, ticket);

	if (!row)
		return;
	row->thing = NULL;
	row->generation++;
	row->next_free = t->free;
	t->free = (uint32_t)ticket;
}

void vmb_table_fini(struct vmb_table *t)
{
	free(t->rows);
	*t = (struct vmb_table){0};
}
