/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h - rows of JSON objects as a table for people. */
#ifndef VMBCTL_TABLE_H
#define VMBCTL_TABLE_H

#include <stdio.h>

#include "text.h"
#include "vmbctl.h"

struct vmb_column {
	const char *title, *key;
	enum vmb_text_kind kind;
	bool wide; /* shown with --all only */
};

/*
 * What every list command ends with: rows (the reference is taken) as JSON,
 * or as a table; nothing: what to say instead of an empty table.
 */
int vmb_table_show(const struct vmb_options *o,
		   const struct vmb_column *columns, size_t count, json_t *rows,
		   const char *nothing);

/* The text of one cell. */
void vmb_table_cell(const struct vmb_column *column, const json_t *row,
		    char *text, size_t size);

/* The table alone, to out. -ENOMEM. */
int vmb_table_print(const struct vmb_column *columns, size_t count, bool all,
		    const json_t *rows, FILE *out);

/* One object, a line for each of its members. */
int vmb_table_print_object(const json_t *object, FILE *out);

#endif
