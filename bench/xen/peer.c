// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer.c - arguments, rounds and report of the peers beside us.
 *
 * Flow:  peer-tcp, peer-vchan -> [here] -> job.c -> report
 * Owns:  the points.
 * Trust: its user.
 */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "../harness.h"
#include "job.h"

#define CALIBRATION_ITERS 32
#define RING_DEFAULT (256u << 10)

enum option_key {
	OPT_SERVE = 0x2000,
	OPT_CONNECT,
	OPT_NAME,
	OPT_RING,
	OPT_SIZES,
	OPT_WAIT,
	OPT_VERIFY,
	OPT_TESTS,
};

static const struct argp_option option_list[] = {
	{"serve", OPT_SERVE, "PEER", 0,
	 "Be the peer of one client: an address or domain from which it may "
	 "come",
	 0},
	{"connect", OPT_CONNECT, "PEER", 0, "The address or domain that serves",
	 0},
	{"name", OPT_NAME, "NAME", 0, "TCP port, or path in xenstore", 0},
	{"ring", OPT_RING, "BYTES", 0,
	 "Of each direction, where the transport has rings (default 256K)", 0},
	{"sizes", OPT_SIZES, "LIST", 0, "Bytes per message: 8,64-4K,64K", 0},
	{"wait", OPT_WAIT, "MODE", 0, "spin or block (default: both)", 0},
	{"tests", OPT_TESTS, "LIST", 0, "latency, bandwidth, or both (default)",
	 0},
	{"verify", OPT_VERIFY, NULL, 0,
	 "Fill and check every payload (adds that to the times)", 0},
	{0}};

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"WAIT", "wait", BENCH_TEXT},
	{"SIZE", "size", BENCH_SIZE},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"MAX ns", "lat_ns.max", BENCH_FIX1},
	{"MSG/s", "rate_mps", BENCH_COUNT},
	{"MB/s", "bw_MBps", BENCH_FIX1},
	{"ROUNDS min", "rounds.min", BENCH_FIX1},
	{"max", "rounds.max", BENCH_FIX1},
	{"SYSCALLS/MSG", "syscalls_per_msg", BENCH_COUNTED},
	{0},
};

struct entry {
	struct bench_point point;
	struct peer_job job;
};

struct run {
	const struct peer_transport *transport;
	struct bench bench;
	struct peer_where where;
	struct bench_sizes sizes;
	bool latency, bandwidth, spin, block, verify;
	struct peer_side side;
	struct entry *entries;
	unsigned count;
};

/* ---- arguments ---------------------------------------------------------- */

static void where_set(struct argp_state *state, struct run *r, bool serve,
		      const char *peer)
{
	if (r->where.address)
		argp_error(state, "--serve and --connect exclude each other");
	r->where.serve = serve;
	r->where.address = peer;
}

static void tests_set(struct argp_state *state, struct run *r, const char *text)
{
	r->latency = !strcmp(text, "latency") || !strcmp(text, "both");
	r->bandwidth = !strcmp(text, "bandwidth") || !strcmp(text, "both");
	if (!r->latency && !r->bandwidth)
		argp_error(state,
			   "tests must be latency, bandwidth or both, not %s",
			   text);
}

static void wait_set(struct argp_state *state, struct run *r, const char *text)
{
	enum vmb_wait_mode mode = bench_parse_wait(state, text);

	if (mode == VMB_WAIT_ADAPTIVE)
		argp_error(state, "wait must be spin or block, not %s", text);
	r->spin = mode != VMB_WAIT_BLOCK;
	r->block = mode != VMB_WAIT_SPIN;
}

static void sizes_check(struct argp_state *state, const struct bench_sizes *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (!s->size[i] || s->size[i] > PEER_SIZE_MAX)
			argp_error(state, "sizes must be from 1 to 4M");
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run *r = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->bench.options;
		return 0;
	case OPT_SERVE:
		where_set(state, r, true, arg);
		return 0;
	case OPT_CONNECT:
		where_set(state, r, false, arg);
		return 0;
	case OPT_NAME:
		r->where.name = arg;
		return 0;
	case OPT_RING:
		r->where.ring_bytes =
			bench_parse_number(state, "ring", arg, 1024, 1u << 20);
		return 0;
	case OPT_SIZES:
		bench_parse_sizes(state, arg, &r->sizes);
		sizes_check(state, &r->sizes);
		return 0;
	case OPT_WAIT:
		wait_set(state, r, arg);
		return 0;
	case OPT_TESTS:
		tests_set(state, r, arg);
		return 0;
	case OPT_VERIFY:
		r->verify = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	case ARGP_KEY_END:
		if (!r->where.address)
			argp_error(state, "--serve or --connect is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- points ------------------------------------------------------------- */

static void entry_init(struct run *r, size_t size, bool stream, bool spin)
{
	struct entry *e = &r->entries[r->count++];

	bench_point_init(&e->point, stream ? "bandwidth" : "latency",
			 r->transport->name,
			 stream ? BENCH_BANDWIDTH : BENCH_LATENCY, size,
			 bench_ns_per_tick() / 2);
	e->job = (struct peer_job){
		.flags = (stream ? PEER_JOB_STREAM : 0) |
			 (spin ? PEER_JOB_SPIN : 0) |
			 (r->verify ? PEER_JOB_VERIFY : 0),
		.size = size,
	};
}

static int entries_make(struct run *r)
{
	r->entries = calloc(4 * r->sizes.count, sizeof(*r->entries));
	if (!r->entries)
		return -ENOMEM;
	for (unsigned i = 0; i < 4 * r->sizes.count; i++) {
		bool stream = i / 2 >= r->sizes.count, spin = i & 1;

		if ((stream ? r->bandwidth : r->latency) &&
		    (spin ? r->spin : r->block))
			entry_init(r, r->sizes.size[i / 2 % r->sizes.count],
				   stream, spin);
	}
	return 0;
}

/* A few messages tell how many fit the time; an eighth more warms up. */
static int entry_calibrate(struct run *r, struct entry *e,
			   struct bench_round *round)
{
	uint64_t iters = CALIBRATION_ITERS;
	int ret;

	e->job.iters = 2 * iters;
	e->job.warm = iters;
	bench_round_init(round, e->point.hist.unit_ns);
	ret = peer_job_run(&r->side, &e->job, round);
	iters = bench_iters(&r->bench.options,
			    (double)round->ns / (double)iters);
	e->job.warm = iters / 8 + 2;
	e->job.iters = iters + e->job.warm;
	return ret;
}

static int entry_run(struct run *r, struct entry *e, struct bench_round *round)
{
	bool apart = bench_syscalls_disturbs(&r->side.syscalls);
	int ret = 0;

	if (!e->job.iters)
		ret = entry_calibrate(r, e, round);
	if (!ret && apart && !e->point.rounds) {
		bench_round_init(round, e->point.hist.unit_ns);
		e->job.flags |= PEER_JOB_COUNT;
		ret = peer_job_run(&r->side, &e->job, round);
		e->job.flags &= ~PEER_JOB_COUNT;
		bench_point_count(&e->point, round);
	}
	if (!apart)
		e->job.flags |= PEER_JOB_COUNT;
	bench_round_init(round, e->point.hist.unit_ns);
	e->job.seed += 1ull << 33;
	if (!ret)
		ret = peer_job_run(&r->side, &e->job, round);
	if (ret)
		return bench_fail(e->point.test, ret);
	bench_point_add(&e->point, round);
	return 0;
}

static void entry_report(struct run *r, const struct entry *e)
{
	json_t *point = bench_point_json(&e->point);

	json_object_set_new(
		point, "wait",
		json_string(e->job.flags & PEER_JOB_SPIN ? "spin" : "block"));
	json_object_set_new(point, "verified", json_boolean(r->verify));
	bench_report_add(r->bench.report, point);
}

static int run_measure(struct run *r)
{
	static struct bench_round round;
	int ret = entries_make(r);

	for (unsigned i = 0; i < r->bench.options.rounds && !ret; i++) {
		for (unsigned j = 0; j < r->count && !ret; j++)
			ret = entry_run(r, &r->entries[j], &round);
	}
	for (unsigned i = 0; i < r->count && !ret; i++)
		entry_report(r, &r->entries[i]);
	if (!ret)
		ret = peer_job_end(&r->side);
	free(r->entries);
	return ret;
}

/* ---- the run ------------------------------------------------------------ */

static int run_connected(struct run *r)
{
	int ret = peer_side_open(&r->side, r->transport, &r->where,
				 r->bench.options.count);

	if (ret)
		return bench_fail(r->where.address, ret);
	ret = r->where.serve ? peer_job_serve(&r->side) : run_measure(r);
	if (ret)
		bench_fail(r->where.serve ? "serving ended" : "measuring ended",
			   ret);
	peer_side_close(&r->side);
	return ret;
}

int peer_main(const struct peer_transport *transport, int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	char doc[256];
	struct argp argp = {option_list, parse, NULL, doc,
			    children,	 NULL,	NULL};
	static struct run run;
	int ret;

	snprintf(doc, sizeof(doc),
		 "Measure messages between two guests over %s.",
		 transport->doc);
	run = (struct run){
		.transport = transport,
		.where.ring_bytes = RING_DEFAULT,
		.sizes = {.size = {8, 64, 512, 4096, 65536}, .count = 5},
		.latency = true,
		.bandwidth = true,
		.spin = true,
		.block = true,
	};
	bench_options_init(&run.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &run);
	ret = bench_open(&run.bench, transport->name, columns, 0);
	if (ret)
		return 1;
	ret = bench_begin(&run.bench);
	if (!ret)
		ret = run_connected(&run);
	bench_close(&run.bench);
	return ret ? 1 : 0;
}
