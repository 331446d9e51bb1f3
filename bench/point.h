/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * point.h - one line of a result: what was measured over all rounds, and its
 * floor. A point has one number by which rounds are compared (its metric).
 */
#ifndef BENCH_POINT_H
#define BENCH_POINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "hist.h"
#include "options.h"
#include "syscalls.h"

enum bench_metric {
	BENCH_LATENCY,	 /* p50 of a round, ns: less is better */
	BENCH_BANDWIDTH, /* MB/s (10^6 bytes) */
	BENCH_RATE,	 /* messages per second */
	BENCH_TIME, /* of an operation, ns: the loop's over its operations */
};

/* Who takes part; the order of the arrays in the JSON lines. */
enum bench_party {
	BENCH_CLIENT, /* the measuring thread; with --self both endpoints */
	BENCH_SERVER,
	BENCH_ENGINE, /* vmbd, all its threads */
	BENCH_PARTIES,
};

/* What one round gave. */
struct bench_round {
	uint64_t messages, bytes;
	uint64_t ns; /* of the whole loop */
	struct bench_hist hist;
	bool counted;			 /* then syscalls are valid */
	int64_t syscalls[BENCH_PARTIES]; /* or BENCH_NOT_COUNTED */
	int64_t cpu_ns[BENCH_PARTIES];	 /* -1: not known */
	uint64_t cpu_window_ns;		 /* the time in which they used it */
};

struct bench_point {
	const char *test, *impl;
	enum bench_metric metric;
	size_t size;
	struct bench_hist hist;
	double value[BENCH_ROUNDS_MAX]; /* the metric, per round */
	unsigned rounds;
	uint64_t messages, bytes, ns;
	uint64_t counted_messages;
	int64_t syscalls[BENCH_PARTIES];
	int64_t cpu_ns[BENCH_PARTIES];
	uint64_t cpu_window_ns;
	const struct bench_point *floor; /* of the same rounds, or NULL */
};

void bench_point_init(struct bench_point *p, const char *test, const char *impl,
		      enum bench_metric metric, size_t size, double unit_ns);
void bench_round_init(struct bench_round *r, double unit_ns);
/* Take in a timed round; its counts too, when it was counted. */
void bench_point_add(struct bench_point *p, const struct bench_round *r);
/* Take in the counts of a round that was not timed for its own sake. */
void bench_point_count(struct bench_point *p, const struct bench_round *r);

/* Median of the metric over the rounds; NAN without any. */
double bench_point_median(const struct bench_point *p);
/* How many times the floor's; for rates and bandwidths the share of it. */
double bench_point_ratio(const struct bench_point *p);
/* Median of n values. Sorts them. */
double bench_median(double *values, unsigned n);

/* New object with everything above. */
json_t *bench_point_json(const struct bench_point *p);

#endif
