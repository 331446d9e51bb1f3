/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what a bench prints: one JSON object per point, of which the
 * table for people shows some columns. Both come from the same object, so
 * they cannot differ.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "hist.h"
#include "options.h"

enum bench_format {
	BENCH_TEXT,
	BENCH_SIZE,  /* bytes: "64K" */
	BENCH_COUNT, /* whole number */
	BENCH_FIX1,
	BENCH_FIX3,
	BENCH_RATIO,   /* "2.31x" */
	BENCH_COUNTED, /* number; null is "not counted" */
};

/* A column of the table: path names the value, as in "lat_ns.p50". */
struct bench_column {
	const char *title;
	const char *path;
	enum bench_format format;
};

struct bench_report;

/* columns end with a NULL title. 0, or -errno: FILE cannot be written. */
int bench_report_open(const struct bench_options *options, const char *bench,
		      const struct bench_column *columns,
		      struct bench_report **report);
/*
 * Prints the table and the notes, frees the report. NULL is ignored. 0, or
 * -errno after a message: not all results could be written.
 */
int bench_report_close(struct bench_report *report);

/* Put a value into every point that follows; value is taken over. */
void bench_report_environment(struct bench_report *report, const char *name,
			      json_t *value);
/* Add a point; it is taken over. Its JSON line is written at once. */
void bench_report_add(struct bench_report *report, json_t *point);
/* A line under the table: what was idle, pinned, not counted. */
void bench_report_note(struct bench_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* min, p50, p99, p999 and max in ns; null when empty. */
json_t *bench_hist_json(const struct bench_hist *hist);
/* A number with one digit behind the point; not finite: null. */
json_t *bench_fix1_json(double value);
json_t *bench_fix3_json(double value);

/* A bar on standard error, if that is a terminal and nobody said --quiet. */
void bench_progress(const struct bench_options *options, unsigned done,
		    unsigned total, const char *label);

#endif
