// SPDX-License-Identifier: BSD-2-Clause
/*
 * report.c - tables, JSON lines, and the bar that shows how far it is.
 *
 * Flow:  program -> point (JSON object) -> [here] -> JSON line, table row
 * Owns:  the output file, the table until it is printed.
 * Trust: its callers.
 */
#include "report.h"

#include <errno.h>
#include <libsmartcols.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "environment.h"
#include "harness.h"

struct bench_report {
	const char *bench;
	const struct bench_column *columns;
	FILE *json;		      /* NULL: none */
	struct libscols_table *table; /* NULL: none */
	json_t *environment;
	char *notes;
	size_t notes_len;
	const char *json_name;
	int error; /* of the first write that failed, or 0 */
};

/* Once: what follows would say the same. */
static void write_failed(struct bench_report *r, const char *where)
{
	if (!r->error)
		r->error = bench_fail(where, errno ? -errno : -EIO);
}

json_t *bench_fix1_json(double value)
{
	return isfinite(value) ? json_real(round(value * 10) / 10)
			       : json_null();
}

json_t *bench_fix3_json(double value)
{
	return isfinite(value) ? json_real(round(value * 1000) / 1000)
			       : json_null();
}

json_t *bench_hist_json(const struct bench_hist *hist)
{
	json_t *o;

	if (!hist->count)
		return json_null();
	o = json_object();
	json_object_set_new(o, "min", bench_fix1_json(bench_hist_min_ns(hist)));
	json_object_set_new(o, "p50",
			    bench_fix1_json(bench_hist_quantile_ns(hist, 0.5)));
	json_object_set_new(
		o, "p99", bench_fix1_json(bench_hist_quantile_ns(hist, 0.99)));
	json_object_set_new(
		o, "p999",
		bench_fix1_json(bench_hist_quantile_ns(hist, 0.999)));
	json_object_set_new(o, "max", bench_fix1_json(bench_hist_max_ns(hist)));
	return o;
}

static int table_open(struct bench_report *r)
{
	const struct bench_column *c;

	r->table = scols_new_table();
	if (!r->table)
		return -ENOMEM;
	for (c = r->columns; c->title; c++)
		if (!scols_table_new_column(
			    r->table, c->title, 0,
			    c->format == BENCH_TEXT ? 0 : SCOLS_FL_RIGHT))
			return -ENOMEM;
	return 0;
}

static int json_open(struct bench_report *r, const char *name)
{
	int fd;

	if (!name)
		return 0;
	r->json_name = strcmp(name, "-") ? name : "standard output";
	if (strcmp(name, "-")) {
		r->json = fopen(name, "ae");
		return r->json ? 0 : -errno;
	}
	fd = dup(STDOUT_FILENO);
	if (fd < 0)
		return -errno;
	r->json = fdopen(fd, "w");
	return r->json ? 0 : -errno;
}

int bench_report_open(const struct bench_options *options, const char *bench,
		      const struct bench_column *columns,
		      struct bench_report **report)
{
	struct bench_report *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return -ENOMEM;
	r->bench = bench;
	r->columns = columns;
	r->environment = bench_environment();
	ret = json_open(r, options->json);
	if (!ret && (!options->json || strcmp(options->json, "-")))
		ret = table_open(r);
	if (ret) {
		bench_report_close(r);
		return ret;
	}
	*report = r;
	return 0;
}

void bench_report_environment(struct bench_report *report, const char *name,
			      json_t *value)
{
	json_object_set_new(report->environment, name, value);
}

/* The value of "a.b" in a point, or NULL. */
static json_t *point_find(json_t *point, const char *path)
{
	json_t *at = point;

	while (at && *path) {
		size_t len = strcspn(path, ".");
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		at = json_object_get(at, name);
		path += len + (path[len] == '.');
	}
	return at;
}

/* Text of a cell; false: there is no such value. */
static bool cell_format(json_t *value, enum bench_format format, char *text,
			size_t size)
{
	char number[24];

	if (format == BENCH_TEXT) {
		if (!json_is_string(value))
			return false;
		snprintf(text, size, "%s", json_string_value(value));
		return true;
	}
	if (!json_is_number(value)) {
		snprintf(text, size, "%s",
			 format == BENCH_COUNTED ? "not counted" : "-");
		return true;
	}
	switch (format) {
	case BENCH_SIZE:
		snprintf(text, size, "%s",
			 bench_size_text((uint64_t)json_number_value(value),
					 number));
		break;
	case BENCH_COUNT:
		snprintf(text, size, "%.0f", json_number_value(value));
		break;
	case BENCH_FIX1:
		snprintf(text, size, "%.1f", json_number_value(value));
		break;
	case BENCH_RATIO:
		snprintf(text, size, "%.2fx", json_number_value(value));
		break;
	case BENCH_COUNTED:
		snprintf(text, size, "%.6g", json_number_value(value));
		break;
	default:
		snprintf(text, size, "%.3f", json_number_value(value));
	}
	return true;
}

static void table_add(struct bench_report *r, json_t *point)
{
	struct libscols_line *line = scols_table_new_line(r->table, NULL);
	char text[128];

	for (size_t i = 0; line && r->columns[i].title; i++) {
		const struct bench_column *c = &r->columns[i];

		if (cell_format(point_find(point, c->path), c->format, text,
				sizeof(text)))
			scols_line_set_data(line, i, text);
	}
}

void bench_report_add(struct bench_report *r, json_t *point)
{
	json_t *line = json_object();

	json_object_set_new(line, "bench", json_string(r->bench));
	json_object_update(line, point);
	json_object_update(line, r->environment);
	if (r->json && (json_dumpf(line, r->json,
				   JSON_COMPACT | JSON_REAL_PRECISION(12)) ||
			fputc('\n', r->json) == EOF || fflush(r->json)))
		write_failed(r, r->json_name);
	if (r->table)
		table_add(r, line);
	json_decref(line);
	json_decref(point);
}

void bench_report_note(struct bench_report *r, const char *format, ...)
{
	char line[512];
	size_t len;
	char *more;
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	len = strlen(line);
	more = realloc(r->notes, r->notes_len + len + 2);
	if (!more)
		return;
	memcpy(more + r->notes_len, line, len);
	memcpy(more + r->notes_len + len, "\n", 2);
	r->notes = more;
	r->notes_len += len + 1;
}

static void table_print(struct bench_report *r)
{
	if (scols_table_get_nlines(r->table) &&
	    (scols_print_table(r->table) ||
	     printf("%s", r->notes ? r->notes : "") < 0 || fflush(stdout)))
		write_failed(r, "standard output");
	scols_unref_table(r->table);
}

int bench_report_close(struct bench_report *r)
{
	int ret;

	if (!r)
		return 0;
	if (r->table)
		table_print(r);
	if (r->json && fclose(r->json))
		write_failed(r, r->json_name);
	ret = r->error;
	json_decref(r->environment);
	free(r->notes);
	free(r);
	return ret;
}

void bench_progress(const struct bench_options *options, unsigned done,
		    unsigned total, const char *label)
{
	static const char bar[] = "##############################";
	unsigned width = sizeof(bar) - 1;

	if (options->quiet || !isatty(STDERR_FILENO) || !total)
		return;
	if (done >= total)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r[%-*.*s] %3u%%  %s\033[K", (int)width,
			(int)(width * done / total), bar, 100 * done / total,
			label);
	fflush(stderr);
}
