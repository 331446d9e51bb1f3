// SPDX-License-Identifier: BSD-2-Clause
/* table.c - see table.h. */
#include "table.h"

#include <errno.h>
#include <string.h>

#include <libsmartcols/libsmartcols.h>

static bool is_text(enum vmb_text_kind kind)
{
	return kind == VMB_TEXT_PLAIN || kind == VMB_TEXT_TIME ||
	       kind == VMB_TEXT_DOMAIN;
}

void vmb_table_cell(const struct vmb_column *column, const json_t *row,
		    char *text, size_t size)
{
	const json_t *value = json_object_get(row, column->key);
	const json_t *number = json_object_get(row, "domain");

	if (column->kind == VMB_TEXT_DOMAIN && !json_string_length(value) &&
	    json_is_integer(number))
		snprintf(text, size, "#%lld",
			 (long long)json_integer_value(number));
	else
		vmb_text_format(column->kind, value, text, size);
}

static int add_columns(struct libscols_table *table,
		       const struct vmb_column *columns, size_t count, bool all)
{
	for (size_t i = 0; i < count; i++) {
		int flags = is_text(columns[i].kind) ? 0 : SCOLS_FL_RIGHT;

		if (columns[i].wide && !all)
			continue;
		if (!scols_table_new_column(table, columns[i].title, 0, flags))
			return -ENOMEM;
	}
	return 0;
}

static int add_row(struct libscols_table *table,
		   const struct vmb_column *columns, size_t count, bool all,
		   const json_t *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[VMB_TEXT_BYTES];
	size_t at = 0;

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (columns[i].wide && !all)
			continue;
		vmb_table_cell(&columns[i], row, text, sizeof(text));
		if (scols_line_set_data(line, at++, text))
			return -ENOMEM;
	}
	return 0;
}

int vmb_table_print(const struct vmb_column *columns, size_t count, bool all,
		    const json_t *rows, FILE *out)
{
	struct libscols_table *table = scols_new_table();
	json_t *row;
	size_t i;
	int err;

	if (!table)
		return -ENOMEM;
	scols_table_set_stream(table, out);
	err = add_columns(table, columns, count, all);
	json_array_foreach(rows, i, row) if (!err) err =
		add_row(table, columns, count, all, row);
	if (!err)
		err = scols_print_table(table);
	scols_unref_table(table);
	return err;
}

int vmb_table_show(const struct vmb_options *o,
		   const struct vmb_column *columns, size_t count, json_t *rows,
		   const char *nothing)
{
	int err = 0;

	if (o->json)
		vmb_json_print(rows, false);
	else if (!json_array_size(rows))
		printf("%s\n", nothing);
	else
		err = vmb_table_print(columns, count, o->all, rows, stdout);
	json_decref(rows);
	return err ? vmb_fail(err, "table: %s", strerrordesc_np(-err)) : 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Members of an object are named so that their unit shows. */
static enum vmb_text_kind kind_of(const char *key)
{
	if (ends_with(key, "_s"))
		return VMB_TEXT_DURATION;
	if (ends_with(key, "bytes") || !strncmp(key, "memory", 6))
		return VMB_TEXT_BYTES_KIND;
	if (!strcmp(key, "handle"))
		return VMB_TEXT_HANDLE;
	return VMB_TEXT_PLAIN;
}

int vmb_table_print_object(const json_t *object, FILE *out)
{
	char label[64], text[VMB_TEXT_BYTES];
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		snprintf(label, sizeof(label), "%.*s",
			 (int)(strlen(key) - (ends_with(key, "_s") ? 2 : 0)),
			 key);
		for (char *c = label; *c; c++)
			if (*c == '_')
				*c = ' ';
		vmb_text_clean(label);
		vmb_text_format(kind_of(key), value, text, sizeof(text));
		fprintf(out, "%-16s %s\n", label, text);
	}
	return 0;
}
