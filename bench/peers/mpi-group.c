// SPDX-License-Identifier: BSD-2-Clause
/*
 * mpi-group.c - what MPI programs do together, measured by rank 0:
 *
 *   mpirun -np 4 mpi-group --test allreduce --sizes 8,64K
 *
 * bidirectional (two ranks): windows of messages both ways at once, all bytes.
 * allreduce: of doubles, the sum. alltoall: SIZE bytes for each rank. Their time
 * is that of the loop over its operations: where ranks take turns on a
 * processor, one operation takes no time and the next a turn.
 *
 * Flow:  rank 0: calibrate -> warm up -> rounds -> report; the others follow
 * Owns:  the buffers.
 * Trust: MPI ends the job at an error; each result is checked once a round.
 */
#include <errno.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "../harness.h"

#define WINDOW 64
#define CALIBRATION_ITERS 20
#define SETTLING_MAX 4 /* rounds that are not counted */
#define SIZE_MAX_HERE (4u << 20)

static const char doc[] = "Measure what the ranks of an MPI job do together."
			  "\vStarted by mpirun; rank 0 reports. Ranks are "
			  "pinned to the processors "
			  "of --cpu in turn.";

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"RANKS", "processes", BENCH_COUNT},
	{"SIZE", "size", BENCH_SIZE},
	{"TIME ns", "time_ns", BENCH_FIX1},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"MB/s", "bw_MBps", BENCH_FIX1},
	{"ROUNDS min", "rounds.min", BENCH_FIX1},
	{"max", "rounds.max", BENCH_FIX1},
	{0},
};

enum group_test {
	GROUP_BIDIRECTIONAL,
	GROUP_ALLREDUCE,
	GROUP_ALLTOALL,
	GROUP_TESTS,
};

static const char *const test_names[GROUP_TESTS + 1] = {
	"bidirectional", "allreduce", "alltoall", NULL};

struct group {
	struct bench bench;
	struct bench_sizes sizes;
	bool tests[GROUP_TESTS];
	int rank, ranks;
	unsigned window;
	char *out, *in;
	struct bench_round round;
};

enum {
	OPT_SIZES = 's',
	OPT_TESTS = 't',
};

static const struct argp_option option_list[] = {
	{"sizes", OPT_SIZES, "LIST", 0, "Bytes: 8,64K (default 8,4K,64K)", 0},
	{"test", OPT_TESTS, "LIST", 0,
	 "bidirectional, allreduce, alltoall (default: allreduce,alltoall)", 0},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct group *g = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &g->bench.options;
		return 0;
	case OPT_SIZES:
		bench_parse_sizes(state, arg, &g->sizes);
		for (unsigned i = 0; i < g->sizes.count; i++)
			if (g->sizes.size[i] > SIZE_MAX_HERE)
				argp_error(state, "at most 4M a message");
		return 0;
	case OPT_TESTS:
		bench_parse_list(state, "test", test_names, arg, g->tests);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- one operation, on all ranks ---------------------------------------- */

static void bidirectional(struct group *g, size_t size)
{
	MPI_Request requests[2 * WINDOW];

	for (unsigned i = 0; i < g->window; i++) {
		MPI_Irecv(g->in + i * size, (int)size, MPI_BYTE, 1 - g->rank, 0,
			  MPI_COMM_WORLD, &requests[2 * i]);
		MPI_Isend(g->out + i * size, (int)size, MPI_BYTE, 1 - g->rank,
			  0, MPI_COMM_WORLD, &requests[2 * i + 1]);
	}
	MPI_Waitall((int)(2 * g->window), requests, MPI_STATUSES_IGNORE);
}

static void operate(struct group *g, enum group_test test, size_t size)
{
	if (test == GROUP_BIDIRECTIONAL)
		bidirectional(g, size);
	else if (test == GROUP_ALLREDUCE)
		MPI_Allreduce(g->out, g->in, (int)(size / sizeof(double)),
			      MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
	else
		MPI_Alltoall(g->out, (int)size, MPI_BYTE, g->in, (int)size,
			     MPI_BYTE, MPI_COMM_WORLD);
}

/* Bytes of a buffer that an operation uses. */
static size_t extent(const struct group *g, enum group_test test, size_t size)
{
	if (test == GROUP_BIDIRECTIONAL)
		return g->window * size;
	return test == GROUP_ALLTOALL ? (size_t)g->ranks * size : size;
}

/* Each rank sends its number + 1, as bytes or as doubles. */
static void fill(struct group *g, enum group_test test, size_t size)
{
	double *values = (double *)(void *)g->out;

	memset(g->in, 0, extent(g, test, size));
	memset(g->out, g->rank + 1, extent(g, test, size));
	for (size_t i = 0; test == GROUP_ALLREDUCE && i < size / sizeof(double);
	     i++)
		values[i] = g->rank + 1;
}

static bool check(const struct group *g, enum group_test test, size_t size)
{
	const double *values = (const double *)(const void *)g->in;
	const double sum = g->ranks * (g->ranks + 1) / 2.0;
	size_t len = extent(g, test, size);
	bool good = true;

	for (size_t i = 0; test == GROUP_ALLREDUCE && i < size / sizeof(double);
	     i++)
		good &= values[i] == sum;
	for (size_t i = 0; test == GROUP_ALLTOALL && i < len; i++)
		good &= g->in[i] == (char)(i / size + 1);
	for (size_t i = 0; test == GROUP_BIDIRECTIONAL && i < len; i++)
		good &= g->in[i] == 2 - g->rank;
	return good;
}

/* ---- points ------------------------------------------------------------- */

/* iters operations; rank 0 takes the time of each. */
static void repeat(struct group *g, enum group_test test, size_t size,
		   uint64_t iters)
{
	uint64_t begin = bench_monotonic_ns(), last = bench_ticks();

	for (uint64_t i = 0; i < iters; i++) {
		uint64_t now;

		operate(g, test, size);
		now = bench_ticks();
		bench_hist_record(&g->round.hist, now - last);
		last = now;
	}
	g->round.ns = bench_monotonic_ns() - begin;
	g->round.messages = iters;
	if (test == GROUP_BIDIRECTIONAL)
		g->round.bytes = 2 * iters * g->window * size;
}

/*
 * A job begins with connections, in which an operation takes a hundred times as
 * long. Who was calibrated by those has rounds that are too short: again.
 */
static uint64_t settle(struct group *g, enum group_test test, size_t size,
		       uint64_t iters)
{
	const struct bench_options *o = &g->bench.options;
	uint64_t before = 0;

	for (unsigned i = 0; i < SETTLING_MAX && iters > 2 * before; i++) {
		bench_round_init(&g->round, bench_ns_per_tick());
		repeat(g, test, size, iters);
		before = iters;
		iters = bench_iters(o, (double)g->round.ns / (double)iters);
		MPI_Bcast(&iters, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
	}
	return iters;
}

/* Rank 0 decides for all. */
static uint64_t calibrate(struct group *g, enum group_test test, size_t size)
{
	struct bench_trials trials;
	int done;

	bench_trials_begin(&trials, CALIBRATION_ITERS);
	do {
		bench_round_init(&g->round, bench_ns_per_tick());
		repeat(g, test, size, trials.iters);
		done = bench_trials_end(&trials, &g->bench.options,
					g->round.ns);
		MPI_Bcast(&done, 1, MPI_INT, 0, MPI_COMM_WORLD);
		MPI_Bcast(&trials.iters, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
	} while (!done);
	return settle(g, test, size, trials.iters);
}

static int point_run(struct group *g, struct bench_point *p,
		     enum group_test test, size_t size)
{
	uint64_t iters;

	g->window = bench_window_fit(WINDOW, size);
	fill(g, test, size);
	iters = calibrate(g, test, size);
	for (unsigned i = 0; i < g->bench.options.rounds; i++) {
		bench_round_init(&g->round, bench_ns_per_tick());
		repeat(g, test, size, iters / 8 + 1);
		MPI_Barrier(MPI_COMM_WORLD);
		bench_round_init(&g->round, bench_ns_per_tick());
		repeat(g, test, size, iters);
		bench_point_add(p, &g->round);
		if (!check(g, test, size))
			return bench_fail(test_names[test], -EBADMSG);
	}
	return 0;
}

static int point(struct group *g, enum group_test test, size_t size)
{
	static struct bench_point p;
	json_t *json;
	int ret;

	bench_point_init(&p, test_names[test], "mpi",
			 test == GROUP_BIDIRECTIONAL ? BENCH_BANDWIDTH
						     : BENCH_TIME,
			 size, bench_ns_per_tick());
	ret = point_run(g, &p, test, size);
	if (ret || g->rank)
		return ret;
	json = bench_point_json(&p);
	json_object_set_new(json, "wait", json_string("spin"));
	json_object_set_new(json, "processes", json_integer(g->ranks));
	bench_report_add(g->bench.report, json);
	return 0;
}

static int points_run(struct group *g)
{
	int ret = 0;

	for (enum group_test test = 0; test < GROUP_TESTS; test++)
		for (unsigned i = 0; i < g->sizes.count && !ret; i++)
			if (g->tests[test])
				ret = point(g, test, g->sizes.size[i]);
	return ret;
}

/* ---- the run ------------------------------------------------------------ */

/* Of each of the two buffers: guests are small. */
static size_t bytes_needed(const struct group *g)
{
	size_t most = 1;

	for (enum group_test test = 0; test < GROUP_TESTS; test++)
		for (unsigned i = 0; g->tests[test] && i < g->sizes.count;
		     i++) {
			size_t size = g->sizes.size[i];
			size_t bytes = test == GROUP_BIDIRECTIONAL
					       ? WINDOW * size
					       : (size_t)g->ranks * size;

			most = bytes > most ? bytes : most;
		}
	return most;
}

static int group_open(struct group *g)
{
	const struct bench_options *o = &g->bench.options;
	size_t bytes = bytes_needed(g);

	if (g->tests[GROUP_BIDIRECTIONAL] && g->ranks != 2) {
		fprintf(stderr, "mpi-group: bidirectional takes two ranks\n");
		return -EINVAL;
	}
	g->out = malloc(bytes);
	g->in = malloc(bytes);
	if (!g->out || !g->in)
		return -ENOMEM;
	return bench_cpu_pin(o->cpus[g->rank % 2]);
}

static int group_run(struct group *g)
{
	int ret;

	MPI_Init(NULL, NULL);
	MPI_Comm_rank(MPI_COMM_WORLD, &g->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &g->ranks);
	if (g->rank)
		g->bench.options.json = "/dev/null";
	ret = bench_open(&g->bench, "mpi", columns, 0);
	if (!ret)
		ret = group_open(g);
	if (!ret)
		ret = points_run(g);
	if (ret)
		MPI_Abort(MPI_COMM_WORLD, 1);
	if (!g->rank && bench_close(&g->bench))
		ret = 1;
	MPI_Finalize();
	return ret;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct group g = {
		.tests = {[GROUP_ALLREDUCE] = true, [GROUP_ALLTOALL] = true}};

	bench_options_init(&g.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &g);
	if (!g.sizes.count)
		bench_parse_sizes(NULL, "8,4K,64K", &g.sizes);
	return group_run(&g) ? 1 : 0;
}
