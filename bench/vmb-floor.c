// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-floor.c - what can this machine do at best? The figures that those of
 * the other benches are divided by, without anything of ours between.
 *
 * Flow:  main -> rounds of all points, interleaved -> table
 * Owns:  the buffers and the child processes of the floors.
 * Trust: its user.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static const char doc[] =
	"Measure what this machine can do at best: the exchange of a cache "
	"line "
	"between two pinned threads, copies by size, and two processes that "
	"wake each other. One way is half of a round trip."
	"\vExamples:\n"
	"  vmb-floor\n"
	"  vmb-floor --sizes 64K-4M --cpu 0,1 --json floor.json";

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"HOW", "impl", BENCH_TEXT},
	{"SIZE", "size", BENCH_SIZE},
	{"MIN ns", "lat_ns.min", BENCH_FIX1},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"P99.9 ns", "lat_ns.p999", BENCH_FIX1},
	{"MAX ns", "lat_ns.max", BENCH_FIX1},
	{"ROUNDS min", "rounds.min", BENCH_FIX1},
	{"max", "rounds.max", BENCH_FIX1},
	{"MB/s", "bw_MBps", BENCH_FIX1},
	{"SYSCALLS/TURN", "syscalls_per_msg", BENCH_COUNTED},
	{0},
};

struct floors {
	struct bench bench;
	struct bench_sizes sizes;
	struct bench_copy copy[2]; /* by enum bench_memory */
	struct bench_wake wake[2]; /* eventfd, socket */
	bool line;		   /* there are two processors */
	struct bench_point *points;
	unsigned count;
};

enum {
	OPT_SIZES = 's'
};

static const struct argp_option option_list[] = {
	{"sizes", OPT_SIZES, "LIST", 0,
	 "Bytes per copy: 64,4K-4M (default 64-4M); all: 0-4M", 0},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct floors *f = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &f->bench.options;
		return 0;
	case OPT_SIZES:
		bench_parse_sizes(state, arg, &f->sizes);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static struct bench_point *point_add(struct floors *f, const char *test,
				     const char *impl, size_t size, double unit)
{
	struct bench_point *p = &f->points[f->count++];

	bench_point_init(p, test, impl, BENCH_LATENCY, size,
			 unit * bench_ns_per_tick());
	return p;
}

/* In the order in which floors_round() measures them. */
static int points_make(struct floors *f)
{
	f->points = calloc(3 + 2 * f->sizes.count, sizeof(*f->points));
	if (!f->points)
		return -ENOMEM;
	if (f->line)
		point_add(f, "line", "cache line", 8, 0.5);
	point_add(f, "wake", "eventfd", 8, 0.5);
	point_add(f, "wake", "socketpair", 8, 0.5);
	for (int m = 0; m < 2; m++)
		for (unsigned i = 0; i < f->sizes.count; i++)
			point_add(f, "memcpy",
				  bench_memory_text((enum bench_memory)m),
				  f->sizes.size[i], 1);
	return 0;
}

static void round_finish(struct floors *f, struct bench_point *p,
			 struct bench_round *r, unsigned *done)
{
	if (!strcmp(p->test, "memcpy"))
		r->bytes = r->messages * p->size;
	bench_point_add(p, r);
	++*done;
	bench_progress(&f->bench.options, *done,
		       f->bench.options.rounds * f->count, p->test);
}

/* One point's share of a round. which counts the points in their order. */
static int point_run(struct floors *f, unsigned which,
		     struct bench_syscalls *count, struct bench_round *r)
{
	const struct bench_options *o = &f->bench.options;
	struct bench_point *p = &f->points[which];
	unsigned copy = which - f->line - 2;

	if (f->line && !which)
		return bench_floor_line(o->cpus[0], o->engine_cpu,
					bench_iters(o, 500), count, r);
	if (which - f->line < 2)
		return bench_wake_run(&f->wake[which - f->line],
				      bench_iters(o, 5000), count, r);
	bench_copy_run(&f->copy[copy / f->sizes.count], p->size,
		       bench_iters(o, 20 + (double)p->size / 5), count, r);
	return 0;
}

/* Where counting changes the times, one more round is counted before them. */
static int point_round(struct floors *f, unsigned which, unsigned *done)
{
	struct bench_syscalls *count = &f->bench.syscalls;
	bool apart = bench_syscalls_disturbs(count);
	struct bench_point *p = &f->points[which];
	static struct bench_round r;
	int ret = 0;

	if (apart && !p->rounds) {
		bench_round_init(&r, p->hist.unit_ns);
		ret = point_run(f, which, count, &r);
		bench_point_count(p, &r);
	}
	bench_round_init(&r, p->hist.unit_ns);
	if (!ret)
		ret = point_run(f, which, apart ? NULL : count, &r);
	if (ret)
		return bench_fail(p->impl, ret);
	round_finish(f, p, &r, done);
	return 0;
}

static int floors_run(struct floors *f)
{
	unsigned done = 0;
	int ret = 0;

	for (unsigned round = 0; round < f->bench.options.rounds; round++)
		for (unsigned i = 0; i < f->count && !ret; i++)
			ret = point_round(f, i, &done);
	if (ret)
		return ret;
	for (unsigned i = 0; i < f->count; i++)
		bench_report_add(f->bench.report,
				 bench_point_json(&f->points[i]));
	return 0;
}

static size_t largest(const struct bench_sizes *sizes)
{
	size_t max = 0;

	for (unsigned i = 0; i < sizes->count; i++)
		max = sizes->size[i] > max ? sizes->size[i] : max;
	return max;
}

static int floors_open(struct floors *f)
{
	const struct bench_options *o = &f->bench.options;
	int ret = 0;

	f->line = o->cpus[0] != o->engine_cpu || o->cpus[0] == BENCH_CPU_ANY;
	for (int i = 0; i < 2 && !ret; i++)
		ret = bench_wake_open(&f->wake[i], i == 1, o->cpus[1]);
	if (!ret)
		ret = bench_begin(&f->bench);
	for (int i = 0; i < 2 && !ret; i++)
		ret = bench_copy_open(&f->copy[i], (enum bench_memory)i,
				      BENCH_COPY_PAIRS, largest(&f->sizes));
	return ret ? ret : points_make(f);
}

static void floors_close(struct floors *f)
{
	for (int i = 0; i < 2; i++) {
		bench_copy_close(&f->copy[i]);
		bench_wake_close(&f->wake[i]);
	}
	free(f->points);
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct floors f;
	int ret;

	bench_options_init(&f.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &f);
	if (!f.sizes.count)
		for (size_t size = 64; size <= 4u << 20; size *= 4)
			f.sizes.size[f.sizes.count++] = size;
	ret = bench_open(&f.bench, "floor", columns, 0);
	if (ret)
		return 1;
	if (!f.line && f.bench.options.cpus[0] == f.bench.options.engine_cpu)
		bench_report_note(f.bench.report,
				  "no cache line exchange: only one processor");
	ret = floors_open(&f);
	if (ret)
		bench_fail("cannot prepare the floors", ret);
	else
		ret = floors_run(&f);
	floors_close(&f);
	if (bench_close(&f.bench))
		ret = 1;
	return ret ? 1 : 0;
}
