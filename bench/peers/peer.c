// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer.c - arguments, rounds and report of the peers beside us.
 *
 * Flow:  peer-tcp, peer-mpi ... -> [here] -> job.c -> report
 * Owns:  the points; with --local the process that serves.
 * Trust: its user.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../child.h"
#include "../harness.h"
#include "job.h"

#define CALIBRATION_ITERS 32
#define RING_DEFAULT (256u << 10)
#define IDLE_TRAFFIC 1000 /* messages before it is quiet */
#define IDLE_SIZE 8

enum peer_test {
	PEER_LATENCY,
	PEER_BANDWIDTH,
	PEER_RATE,
	PEER_IDLE,
	PEER_TESTS,
};

static const char *const test_names[PEER_TESTS + 1] = {"latency", "bandwidth",
						       "rate", "idle", NULL};

enum option_key {
	OPT_SERVE = 0x2000,
	OPT_CONNECT,
	OPT_NAME,
	OPT_RING,
	OPT_SIZES,
	OPT_WAIT,
	OPT_VERIFY,
	OPT_TESTS,
	OPT_WINDOW,
	OPT_LOCAL,
	OPT_SECONDS,
	OPT_ONE_BUFFER,
};

static const struct argp_option option_list[] = {
	{"serve", OPT_SERVE, "PEER", 0,
	 "Be the peer of one client: an address or domain from which it may "
	 "come",
	 0},
	{"local", OPT_LOCAL, NULL, 0,
	 "Both sides on this machine: start the peer, too", 0},
	{"connect", OPT_CONNECT, "PEER", 0, "The address or domain that serves",
	 0},
	{"name", OPT_NAME, "NAME", 0,
	 "TCP port (a server's 0: a free one, which it tells), path in "
	 "xenstore, name of shared memory",
	 0},
	{"ring", OPT_RING, "BYTES", 0,
	 "Of each direction, where the transport has rings (default 256K)", 0},
	{"sizes", OPT_SIZES, "LIST", 0, "Bytes per message: 8,64-4K,64K", 0},
	{"wait", OPT_WAIT, "MODE", 0, "spin or block (default: both)", 0},
	{"test", OPT_TESTS, "LIST", 0,
	 "latency, bandwidth, rate, idle (default: latency,bandwidth)", 0},
	{"window", OPT_WINDOW, "N", 0,
	 "Messages under way in bandwidth and rate, where the transport knows "
	 "messages (default 64; less for large ones: 64 MiB at most)",
	 0},
	{"one-buffer", OPT_ONE_BUFFER, NULL, 0,
	 "One buffer for all messages under way (default: one for each)", 0},
	{"seconds", OPT_SECONDS, "N", 0, "How long idle looks (default 1)", 0},
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
	{"IDLE CPU %", "cpu", BENCH_FIX3},
	{"SYSCALLS/MSG", "syscalls_per_msg", BENCH_COUNTED},
	{0},
};

struct entry {
	struct bench_point point;
	struct peer_job job;
	enum peer_test test;
};

struct run {
	const struct peer_transport *transport;
	struct bench bench;
	struct peer_where where;
	struct bench_sizes sizes;
	bool tests[PEER_TESTS];
	bool spin, block, verify, one_buffer;
	unsigned window, seconds;
	struct peer_side side;
	struct entry *entries;
	unsigned count;
};

/* ---- arguments ---------------------------------------------------------- */

static void where_set(struct argp_state *state, struct run *r, bool serve,
		      const char *peer)
{
	if (r->where.address || r->where.local)
		argp_error(state, "--serve, --connect and --local exclude each "
				  "other");
	r->where.serve = serve;
	r->where.local = !peer;
	r->where.address = peer;
}

static void wait_set(struct argp_state *state, struct run *r, const char *text)
{
	enum vmb_wait_mode mode = bench_parse_wait(state, text);

	if (mode == VMB_WAIT_ADAPTIVE)
		argp_error(state, "wait must be spin or block, not %s", text);
	if (mode == VMB_WAIT_BLOCK && r->transport->traits & PEER_NO_BLOCK)
		argp_error(state, "%s cannot block", r->transport->doc);
	r->spin = mode != VMB_WAIT_BLOCK;
	r->block = mode != VMB_WAIT_SPIN &&
		   !(r->transport->traits & PEER_NO_BLOCK);
}

static void sizes_check(struct argp_state *state, const struct run *r)
{
	size_t min = r->transport->traits & PEER_MESSAGES ? 0 : 1;

	for (unsigned i = 0; i < r->sizes.count; i++) {
		if (r->sizes.size[i] < min || r->sizes.size[i] > PEER_SIZE_MAX)
			argp_error(state, "sizes must be from %zu to 16M", min);
	}
}

static void where_check(struct argp_state *state, const struct run *r)
{
	bool launched = r->transport->traits & PEER_BY_LAUNCH;
	bool only_local = r->transport->traits & PEER_ONLY_LOCAL;

	if (only_local && !r->where.local)
		argp_error(state, "%s needs --local", r->transport->doc);
	if (!r->where.address && !r->where.local)
		argp_error(state, "--serve, --connect or --local is needed");
	if (r->where.local && launched)
		argp_error(state, "%s starts both sides itself: no --local",
			   r->transport->doc);
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
	case OPT_LOCAL:
		where_set(state, r, false, NULL);
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
		sizes_check(state, r);
		return 0;
	case OPT_WAIT:
		wait_set(state, r, arg);
		return 0;
	case OPT_TESTS:
		bench_parse_list(state, "test", test_names, arg, r->tests);
		return 0;
	case OPT_WINDOW:
		r->window = (unsigned)bench_parse_number(state, "window", arg,
							 1, PEER_WINDOW_MAX);
		return 0;
	case OPT_SECONDS:
		r->seconds = (unsigned)bench_parse_number(state, "seconds", arg,
							  1, 60);
		return 0;
	case OPT_ONE_BUFFER:
		r->one_buffer = true;
		return 0;
	case ARGP_KEY_SUCCESS:
		if (r->one_buffer && r->verify)
			argp_error(state, "--verify needs a buffer for each "
					  "message, not --one-buffer");
		return 0;
	case OPT_VERIFY:
		r->verify = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	case ARGP_KEY_END:
		where_check(state, r);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- points ------------------------------------------------------------- */

static void entry_init(struct run *r, enum peer_test test, size_t size,
		       bool spin)
{
	static const enum bench_metric metrics[] = {
		BENCH_LATENCY, BENCH_BANDWIDTH, BENCH_RATE, BENCH_LATENCY};
	struct entry *e = &r->entries[r->count++];
	bool stream = test == PEER_BANDWIDTH || test == PEER_RATE;

	bench_point_init(&e->point, test_names[test], r->transport->name,
			 metrics[test], size, bench_ns_per_tick() / 2);
	e->test = test;
	e->job = (struct peer_job){
		.flags = (stream ? PEER_JOB_STREAM : 0) |
			 (spin ? PEER_JOB_SPIN : 0) |
			 (r->verify ? PEER_JOB_VERIFY : 0) |
			 (r->one_buffer ? PEER_JOB_ONE_BUFFER : 0),
		.window = stream ? bench_window_fit(r->window, size) : 1,
		.size = size,
	};
	if (test != PEER_IDLE)
		return;
	e->job.warm = IDLE_TRAFFIC;
	e->job.iters = IDLE_TRAFFIC + 1;
	e->job.pause_ns = r->seconds * 1000000000ull;
}

static void entries_add(struct run *r, enum peer_test test, size_t size)
{
	if (r->block)
		entry_init(r, test, size, false);
	if (r->spin)
		entry_init(r, test, size, true);
}

static int entries_make(struct run *r)
{
	r->entries =
		calloc(2 * PEER_TESTS * r->sizes.count, sizeof(*r->entries));
	if (!r->entries)
		return -ENOMEM;
	for (enum peer_test test = 0; test < PEER_IDLE; test++) {
		for (unsigned i = 0; i < r->sizes.count && r->tests[test]; i++)
			entries_add(r, test, r->sizes.size[i]);
	}
	if (r->tests[PEER_IDLE])
		entries_add(r, PEER_IDLE, IDLE_SIZE);
	return 0;
}

/* Trials tell how many messages fit the time; an eighth more warms up. */
static int entry_calibrate(struct run *r, struct entry *e,
			   struct bench_round *round)
{
	struct bench_trials trials;
	int ret;

	bench_trials_begin(&trials, CALIBRATION_ITERS);
	do {
		e->job.iters = 2 * trials.iters;
		e->job.warm = trials.iters;
		bench_round_init(round, e->point.hist.unit_ns);
		ret = peer_job_run(&r->side, &e->job, round);
	} while (!ret &&
		 !bench_trials_end(&trials, &r->bench.options, round->ns));
	e->job.warm = trials.iters / 8 + 2;
	e->job.iters = trials.iters + e->job.warm;
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

/* Of the side that waits: the other one sleeps by decree. */
static json_t *idle_json(const struct run *r, const struct bench_point *p)
{
	double cpu = p->cpu_ns[BENCH_SERVER] < 0
			     ? NAN
			     : 100.0 * (double)p->cpu_ns[BENCH_SERVER] /
				       (double)p->cpu_window_ns;

	return json_pack("{s:s,s:s,s:i,s:o}", "test", p->test, "impl", p->impl,
			 "seconds", r->seconds, "cpu", bench_fix3_json(cpu));
}

static void entry_report(struct run *r, const struct entry *e)
{
	bool idle = e->test == PEER_IDLE;
	json_t *point =
		idle ? idle_json(r, &e->point) : bench_point_json(&e->point);

	json_object_set_new(
		point, "wait",
		json_string(e->job.flags & PEER_JOB_SPIN ? "spin" : "block"));
	json_object_set_new(point, "window", json_integer(e->job.window));
	json_object_set_new(point, "one_buffer", json_boolean(r->one_buffer));
	json_object_set_new(point, "processes", json_integer(2));
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
	free(r->entries);
	return ret;
}

/* ---- the run ------------------------------------------------------------ */

/* Until the side's part is done; it is not closed when this fails. */
static int side_work(struct run *r)
{
	const char *what = r->where.serve ? "serving ended" : "measuring ended";
	int ret = peer_side_open(&r->side, r->transport, &r->where,
				 r->bench.options.count);

	if (ret)
		return bench_fail("cannot connect", ret);
	ret = r->where.serve ? peer_job_serve(&r->side) : run_measure(r);
	return ret ? bench_fail(what, ret) : 0;
}

static int side_run(struct run *r)
{
	int ret = side_work(r);

	if (!ret && !r->where.serve)
		ret = peer_job_end(&r->side);
	if (!ret)
		peer_side_close(&r->side);
	return ret;
}

static volatile pid_t server;

/* Some transports never tell that the other side has gone. */
static void child_ended(int signal)
{
	static const char text[] = "the peer process has ended\n";

	(void)signal;
	if (waitpid(server, NULL, WNOHANG) == server)
		_exit(write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ? 2 : 1);
}

static void serve_and_exit(struct run *r)
{
	int ret = bench_cpu_pin(r->bench.options.cpus[1]);

	if (ret)
		bench_fail("cannot pin the peer to the processor of --cpu",
			   ret);
	r->where.serve = true;
	_exit(ret || side_run(r) ? 1 : 0);
}

/* The server may end now; how did it? */
static int server_finish(struct run *r)
{
	int status, ret;

	signal(SIGCHLD, SIG_DFL);
	ret = peer_job_end(&r->side);
	if (ret)
		return bench_fail("ending the peer", ret);
	if (waitpid(server, &status, 0) != server)
		return bench_fail("waiting for the peer", -errno);
	server = 0;
	peer_side_close(&r->side);
	return status ? bench_fail("the peer", -EPIPE) : 0;
}

/* With --local: the server is our child. */
static int pair_run(struct run *r)
{
	int ret = r->transport->listen ? r->transport->listen(&r->where) : 0;

	if (ret)
		return bench_fail("cannot listen", ret);
	server = bench_child_fork();
	if (server < 0)
		return bench_fail("cannot start the peer", server);
	if (!server)
		serve_and_exit(r);
	signal(SIGCHLD, child_ended);
	child_ended(0); /* it may have been too early for the signal */
	ret = side_work(r);
	if (!ret)
		ret = server_finish(r);
	signal(SIGCHLD, SIG_DFL);
	bench_child_end(server);
	return ret;
}

/*
 * Both of --local spin, and there is no engine: a processor for each, if there
 * are two and nobody chose.
 */
static void local_cpus_choose(struct bench_options *o)
{
	int cpus[BENCH_CPUS_MAX];

	if (o->cpus[0] != BENCH_CPU_UNSET ||
	    bench_cpu_list(cpus, BENCH_CPUS_MAX) < 2)
		return;
	o->cpus[0] = cpus[0];
	o->cpus[1] = cpus[1];
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
		 "Measure messages between two guests, or two processes, "
		 "over %s.",
		 transport->doc);
	run = (struct run){
		.transport = transport,
		.where.ring_bytes = RING_DEFAULT,
		.sizes = {.size = {8, 64, 512, 4096, 65536}, .count = 5},
		.tests = {[PEER_LATENCY] = true, [PEER_BANDWIDTH] = true},
		.window = 64,
		.seconds = 1,
		.spin = true,
		.block = !(transport->traits & PEER_NO_BLOCK),
	};
	bench_options_init(&run.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &run);
	if (run.where.local)
		local_cpus_choose(&run.bench.options);
	ret = bench_open(&run.bench, transport->name, columns, 0);
	if (ret)
		return 1;
	ret = bench_begin(&run.bench);
	if (!ret)
		ret = run.where.local ? pair_run(&run) : side_run(&run);
	if (bench_close(&run.bench))
		ret = 1;
	return ret ? 1 : 0;
}
