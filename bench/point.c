// SPDX-License-Identifier: BSD-2-Clause
/*
 * point.c - what was measured over all rounds.
 *
 * Flow:  measured loop -> struct bench_round -> [here] -> report
 * Owns:  nothing.
 * Trust: its callers.
 */
#include "point.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

void bench_round_init(struct bench_round *r, double unit_ns)
{
	memset(r, 0, sizeof(*r));
	bench_hist_init(&r->hist, unit_ns);
	for (unsigned i = 0; i < BENCH_PARTIES; i++) {
		r->syscalls[i] = BENCH_NOT_COUNTED;
		r->cpu_ns[i] = -1;
	}
}

void bench_point_init(struct bench_point *p, const char *test, const char *impl,
		      enum bench_metric metric, size_t size, double unit_ns)
{
	memset(p, 0, sizeof(*p));
	p->test = test;
	p->impl = impl;
	p->metric = metric;
	p->size = size;
	bench_hist_init(&p->hist, unit_ns);
}

/* An unknown in one round makes the sum unknown. */
static void sums_add(int64_t *sums, const int64_t *values, bool first)
{
	for (unsigned i = 0; i < BENCH_PARTIES; i++) {
		if (first)
			sums[i] = values[i];
		else if (sums[i] >= 0)
			sums[i] = values[i] < 0 ? -1 : sums[i] + values[i];
	}
}

static double round_value(const struct bench_round *r, enum bench_metric metric)
{
	if (metric == BENCH_LATENCY)
		return bench_hist_quantile_ns(&r->hist, 0.5);
	if (!r->ns)
		return NAN;
	if (metric == BENCH_BANDWIDTH)
		return (double)r->bytes * 1e3 / (double)r->ns;
	if (metric == BENCH_TIME)
		return (double)r->ns / (double)r->messages;
	return (double)r->messages * 1e9 / (double)r->ns;
}

void bench_point_count(struct bench_point *p, const struct bench_round *r)
{
	if (!r->counted)
		return;
	sums_add(p->syscalls, r->syscalls, !p->counted_messages);
	p->counted_messages += r->messages;
}

void bench_point_add(struct bench_point *p, const struct bench_round *r)
{
	if (p->rounds == BENCH_ROUNDS_MAX)
		return;
	sums_add(p->cpu_ns, r->cpu_ns, !p->rounds);
	p->value[p->rounds++] = round_value(r, p->metric);
	bench_hist_merge(&p->hist, &r->hist);
	p->messages += r->messages;
	p->bytes += r->bytes;
	p->ns += r->ns;
	p->cpu_window_ns += r->cpu_window_ns;
	bench_point_count(p, r);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n)
{
	if (!n)
		return NAN;
	qsort(values, n, sizeof(*values), by_value);
	return (values[n / 2] + values[(n - 1) / 2]) / 2;
}

double bench_point_median(const struct bench_point *p)
{
	double sorted[BENCH_ROUNDS_MAX];

	memcpy(sorted, p->value, p->rounds * sizeof(*sorted));
	return bench_median(sorted, p->rounds);
}

/* Time of one message, in which points of different metrics compare. */
static double point_ns(const struct bench_point *p)
{
	double median = bench_point_median(p);

	switch (p->metric) {
	case BENCH_LATENCY:
	case BENCH_TIME:
		return median;
	case BENCH_BANDWIDTH:
		return (double)p->size * 1e3 / median;
	default:
		return 1e9 / median;
	}
}

double bench_point_ratio(const struct bench_point *p)
{
	double own, floor;

	if (!p->floor)
		return NAN;
	own = point_ns(p);
	floor = point_ns(p->floor);
	return p->metric == BENCH_LATENCY || p->metric == BENCH_TIME
		       ? own / floor
		       : floor / own;
}

static json_t *rounds_json(const struct bench_point *p)
{
	static const char *const names[] = {
		[BENCH_LATENCY] = "lat_ns.p50",
		[BENCH_BANDWIDTH] = "bw_MBps",
		[BENCH_RATE] = "rate_mps",
		[BENCH_TIME] = "time_ns",
	};
	double sorted[BENCH_ROUNDS_MAX];
	json_t *o = json_object();

	memcpy(sorted, p->value, p->rounds * sizeof(*sorted));
	json_object_set_new(o, "metric", json_string(names[p->metric]));
	json_object_set_new(o, "count", json_integer(p->rounds));
	json_object_set_new(o, "median",
			    bench_fix1_json(bench_median(sorted, p->rounds)));
	json_object_set_new(o, "min",
			    bench_fix1_json(p->rounds ? sorted[0] : NAN));
	json_object_set_new(o, "max",
			    bench_fix1_json(p->rounds ? sorted[p->rounds - 1]
						      : NAN));
	return o;
}

static json_t *cpu_json(const struct bench_point *p)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < BENCH_PARTIES; i++)
		json_array_append_new(
			list,
			bench_fix1_json(p->cpu_window_ns && p->cpu_ns[i] >= 0
						? 100.0 * p->cpu_ns[i] /
							  p->cpu_window_ns
						: NAN));
	return list;
}

static void syscalls_json(const struct bench_point *p, json_t *o)
{
	json_t *list = json_array();
	bool known = p->counted_messages > 0;
	int64_t sum = 0;

	for (unsigned i = 0; i < BENCH_PARTIES; i++) {
		bool part = p->counted_messages && p->syscalls[i] >= 0;

		json_array_append_new(list, part ? json_integer(p->syscalls[i])
						 : json_null());
		known = known && part;
		sum += part ? p->syscalls[i] : 0;
	}
	json_object_set_new(o, "syscalls", list);
	json_object_set_new(
		o, "syscalls_per_msg",
		known ? json_real((double)sum / (double)p->counted_messages)
		      : json_null());
}

static void floor_json(const struct bench_point *p, json_t *o)
{
	json_t *floor;

	if (!p->floor) {
		json_object_set_new(o, "floor", json_null());
		json_object_set_new(o, "floor_ratio", json_null());
		return;
	}
	floor = json_object();
	json_object_set_new(floor, "impl", json_string(p->floor->impl));
	json_object_set_new(floor, "lat_ns", bench_hist_json(&p->floor->hist));
	json_object_set_new(floor, "rounds", rounds_json(p->floor));
	json_object_set_new(o, "floor", floor);
	json_object_set_new(o, "floor_ratio",
			    bench_fix3_json(bench_point_ratio(p)));
}

json_t *bench_point_json(const struct bench_point *p)
{
	json_t *o = json_object();
	double median = bench_point_median(p);
	double ns = (double)p->ns;
	double bw = p->bytes ? (double)p->bytes * 1e3 / ns : NAN;

	json_object_set_new(o, "test", json_string(p->test));
	json_object_set_new(o, "impl", json_string(p->impl));
	json_object_set_new(o, "size", json_integer((json_int_t)p->size));
	json_object_set_new(o, "iters", json_integer((json_int_t)p->messages));
	json_object_set_new(o, "lat_ns", bench_hist_json(&p->hist));
	if (p->metric == BENCH_TIME)
		json_object_set_new(o, "time_ns", bench_fix1_json(median));
	json_object_set_new(
		o, "rate_mps",
		bench_fix1_json(p->metric == BENCH_RATE
					? median
					: (double)p->messages * 1e9 / ns));
	json_object_set_new(
		o, "bw_MBps",
		bench_fix1_json(p->metric == BENCH_BANDWIDTH ? median : bw));
	json_object_set_new(o, "rounds", rounds_json(p));
	json_object_set_new(o, "cpu_pct", cpu_json(p));
	syscalls_json(p, o);
	floor_json(p, o);
	return o;
}
