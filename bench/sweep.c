// SPDX-License-Identifier: BSD-2-Clause
/*
 * sweep.c - measure a pair by tests and sizes, in interleaved rounds.
 *
 * Flow:  vmb-pingpong, vmb-perf -> [here] -> pair, floors -> report
 * Owns:  the points, the floors, the idle endpoints beside.
 * Trust: its callers.
 */
#include "sweep.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "beside.h"

/* Up to here a message is a matter of cache lines, beyond of copying. */
#define LINE_SIZE_MAX 4096
#define CALIBRATION_ITERS 64
/* a window may be under way when measuring begins: it must not count for much */
#define WINDOWS_MIN 16

const char *const bench_test_names[BENCH_TESTS + 1] = {
	"latency", "bandwidth", "bidirectional", "rate", NULL};

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"API", "api", BENCH_TEXT},
	{"SIZE", "size", BENCH_SIZE},
	{"IDLE", "endpoints_idle", BENCH_COUNT},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"P99.9 ns", "lat_ns.p999", BENCH_FIX1},
	{"MAX ns", "lat_ns.max", BENCH_FIX1},
	{"MSG/s", "rate_mps", BENCH_COUNT},
	{"MB/s", "bw_MBps", BENCH_FIX1},
	{"ROUNDS min", "rounds.min", BENCH_FIX1},
	{"max", "rounds.max", BENCH_FIX1},
	{"SYSCALLS/MSG", "syscalls_per_msg", BENCH_COUNTED},
	{"FLOOR", "floor.impl", BENCH_TEXT},
	{"P50 ns", "floor.rounds.median", BENCH_FIX1},
	{"RATIO", "floor_ratio", BENCH_RATIO},
	{"VS VMB", "api_ratio", BENCH_RATIO},
	{"VS NO IDLE", "idle_ratio", BENCH_RATIO},
	{0},
};

/* A point, and the job that it takes to measure it. */
struct entry {
	struct bench_point point;
	enum bench_test test;
	struct bench_job job;
	unsigned idle;		   /* endpoints open beside */
	const struct entry *alone; /* the same without them */
	enum bench_api api;
	const struct entry *beneath; /* the same through vmb.h, or NULL */
};

struct run {
	struct bench_sweep *sweep;
	struct bench_pair pair;
	struct entry *entries;
	unsigned count;
	struct bench_point *copies; /* per size: memcpy */
	struct bench_point line;    /* or wake, when the pair blocks */
	struct bench_copy copy;
	struct bench_wake wake;
	bool blocks, has_line;
	unsigned unsettled; /* rounds in which the engine did not sleep */
	struct bench_beside beside;
	unsigned done;
};

void bench_sweep_init(struct bench_sweep *s)
{
	memset(s, 0, sizeof(*s));
	bench_options_init(&s->bench.options);
	s->pair.id = VMB_ANY_ID;
	s->window = 64;
}

/* ---- floors ------------------------------------------------------------- */

/*
 * Which of the floors a message of this size is compared with. With one buffer
 * for all messages memcpy has one pair, too: a floor of streams, but not of a
 * ping-pong, whose two directions have one each.
 */
static struct bench_point *floor_of(struct run *r, enum bench_test test,
				    unsigned size_index)
{
	size_t size = r->sweep->pair.sizes.size[size_index];

	if (size > LINE_SIZE_MAX)
		return r->sweep->one_buffer && test == BENCH_TEST_LATENCY
			       ? NULL
			       : &r->copies[size_index];
	return r->has_line || r->blocks ? &r->line : NULL;
}

static int floor_line(struct run *r, struct bench_round *round)
{
	const struct bench_options *o = &r->sweep->bench.options;
	int ret;

	if (!r->blocks && !r->has_line)
		return 0;
	bench_round_init(round, r->line.hist.unit_ns);
	if (r->blocks)
		ret = bench_wake_run(&r->wake, bench_iters(o, 10000), NULL,
				     round);
	else
		ret = bench_floor_line(o->cpus[0], o->engine_cpu,
				       bench_iters(o, 2000), NULL, round);
	if (!ret)
		bench_point_add(&r->line, round);
	return ret;
}

static int floors_run(struct run *r, struct bench_round *round)
{
	const struct bench_sizes *sizes = &r->sweep->pair.sizes;
	int ret;

	if (!bench_daemon_settle(&r->sweep->bench.daemon))
		r->unsettled++;
	ret = floor_line(r, round);
	for (unsigned i = 0; i < sizes->count && !ret; i++) {
		size_t size = sizes->size[i];

		if (size <= LINE_SIZE_MAX)
			continue;
		bench_round_init(round, r->copies[i].hist.unit_ns);
		bench_copy_run(&r->copy, size,
			       bench_iters(&r->sweep->bench.options,
					   (double)size),
			       NULL, round);
		bench_point_add(&r->copies[i], round);
	}
	return ret;
}

/* ---- points ------------------------------------------------------------- */

static void entry_init(struct run *r, struct entry *e, enum bench_test test,
		       enum bench_api api, unsigned size_index)
{
	static const enum bench_metric metrics[] = {
		BENCH_LATENCY, BENCH_BANDWIDTH, BENCH_BANDWIDTH, BENCH_RATE};
	static const enum bench_pattern patterns[] = {BENCH_PINGPONG,
						      BENCH_STREAM,
						      BENCH_BIDIRECTIONAL,
						      BENCH_STREAM};
	static const char *const names[][2] = {{"vmb-local", "vmb-xen"},
					       {"mx-local", "mx-xen"}};
	size_t size = r->sweep->pair.sizes.size[size_index];

	bench_point_init(
		&e->point, bench_test_names[test],
		names[api == BENCH_API_MX][!r->sweep->bench.daemon.pid],
		metrics[test], size, bench_pair_unit());
	e->api = api;
	e->point.floor = floor_of(r, test, size_index);
	e->test = test;
	e->job = (struct bench_job){
		.pattern = patterns[test],
		.flags = (api == BENCH_API_MX ? BENCH_JOB_MX : 0) |
			 (r->sweep->one_buffer ? BENCH_JOB_ONE_BUFFER : 0),
		.window = test == BENCH_TEST_LATENCY
				  ? 1
				  : bench_window_fit(r->sweep->window, size),
		.size = size,
		.seed = 1,
	};
}

/* Every job gets the largest arena, so none has to make a new one. */
static void arenas_equal(struct run *r)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < r->count; i++) {
		uint64_t bytes = bench_job_bytes(&r->entries[i].job);

		most = bytes > most ? bytes : most;
	}
	for (unsigned i = 0; i < r->count; i++)
		r->entries[i].job.arena = most;
}

/* One for each API, side by side. */
static void entries_add(struct run *r, enum bench_test test,
			unsigned size_index)
{
	const bool *api = r->sweep->pair.api;
	bool mx = api[BENCH_API_MX], vmb = api[BENCH_API_VMB] || !mx;

	if (vmb)
		entry_init(r, &r->entries[r->count++], test, BENCH_API_VMB,
			   size_index);
	if (!mx)
		return;
	if (vmb)
		r->entries[r->count].beneath = &r->entries[r->count - 1];
	entry_init(r, &r->entries[r->count++], test, BENCH_API_MX, size_index);
}

static double ratio_of(const struct entry *e, const struct entry *base)
{
	return base ? bench_point_median(&e->point) /
			       bench_point_median(&base->point)
		    : NAN;
}

static int entries_make(struct run *r)
{
	const struct bench_sweep *s = r->sweep;
	unsigned variants = s->idle ? 2 : 1;

	r->entries = calloc(BENCH_TESTS * BENCH_APIS * variants *
				    s->pair.sizes.count,
			    sizeof(*r->entries));
	if (!r->entries)
		return -ENOMEM;
	for (unsigned v = 0; v < variants; v++) {
		unsigned base = r->count;

		for (int t = 0; t < BENCH_TESTS; t++) {
			for (unsigned i = 0;
			     s->tests[t] && i < s->pair.sizes.count; i++)
				entries_add(r, (enum bench_test)t, i);
		}
		for (unsigned i = 0; v && i < base; i++) {
			r->entries[base + i].idle = s->idle;
			r->entries[base + i].alone = &r->entries[i];
		}
	}
	arenas_equal(r);
	return 0;
}

static void progress_show(struct run *r, const struct entry *e)
{
	char label[64], size[24];

	snprintf(label, sizeof(label), "%s %s", e->point.test,
		 bench_size_text(e->point.size, size));
	bench_progress(&r->sweep->bench.options, r->done,
		       r->sweep->bench.options.rounds * r->count, label);
}

/* Trials tell how many messages fit the time; an eighth more warms up. */
static int entry_calibrate(struct run *r, struct entry *e,
			   struct bench_round *round)
{
	const struct bench_options *o = &r->sweep->bench.options;
	struct bench_trials trials;
	uint64_t iters;
	int ret;

	bench_trials_begin(&trials, e->job.window * 2 + CALIBRATION_ITERS);
	do {
		e->job.iters = 2 * trials.iters;
		e->job.warm = trials.iters;
		bench_round_init(round, bench_pair_unit());
		ret = bench_pair_run(&r->pair, &e->job, false, round);
	} while (!ret && !bench_trials_end(&trials, o, round->ns));
	iters = trials.iters;
	if (!o->iters && iters < (uint64_t)WINDOWS_MIN * e->job.window)
		iters = (uint64_t)WINDOWS_MIN * e->job.window;
	e->job.warm = iters / 8 + 2 * e->job.window;
	e->job.iters = iters + e->job.warm;
	return ret;
}

static int entry_run(struct run *r, struct entry *e, struct bench_round *round)
{
	bool apart = bench_syscalls_disturbs(&r->sweep->bench.syscalls);
	int ret = 0;

	progress_show(r, e);
	if (!e->job.iters)
		ret = entry_calibrate(r, e, round);
	if (!ret && apart && !e->point.rounds) {
		bench_round_init(round, bench_pair_unit());
		ret = bench_pair_run(&r->pair, &e->job, true, round);
		bench_point_count(&e->point, round);
	}
	bench_round_init(round, bench_pair_unit());
	e->job.seed += 1ull << 33;
	if (!ret)
		ret = bench_pair_run(&r->pair, &e->job, !apart, round);
	if (ret)
		return bench_fail(e->point.test, ret);
	bench_point_add(&e->point, round);
	r->done++;
	return 0;
}

static int beside_open(struct run *r)
{
	int ret = bench_beside_open(&r->beside, r->pair.a.ep);

	return ret ? bench_fail("cannot open the idle endpoints", ret) : 0;
}

static int round_run(struct run *r, struct bench_round *round)
{
	int ret = floors_run(r, round);

	if (ret)
		return bench_fail("floor", ret);
	for (unsigned i = 0; i < r->count && !ret; i++) {
		if (r->entries[i].idle && !r->beside.open)
			ret = beside_open(r);
		if (!ret)
			ret = entry_run(r, &r->entries[i], round);
	}
	bench_beside_close(&r->beside);
	return ret;
}

/* ---- results ------------------------------------------------------------ */

/*
 * By a lane from one endpoint of a thread to the other one a short message
 * comes to no other processor, so the exchange of a line is no floor of it.
 * Whether there was a lane is known at the end.
 */
static bool lines_stayed(const struct run *r)
{
	struct vmb_counters c = {.size = sizeof(c)};

	return r->sweep->pair.self && !r->blocks &&
	       !vmb_query_counters(r->pair.b.ep, &c) && c.lanes;
}

static void line_floors_drop(struct run *r)
{
	bool any = false;

	for (unsigned i = 0; i < r->count; i++) {
		struct bench_point *p = &r->entries[i].point;

		if (p->floor != &r->line)
			continue;
		p->floor = NULL;
		any = true;
	}
	if (any)
		bench_report_note(
			r->sweep->bench.report,
			"one thread with a lane between its endpoints: short "
			"messages come to no other processor, and are not "
			"compared with a line that does");
}

static void entry_report(struct run *r, const struct entry *e)
{
	const struct bench_pair_options *o = &r->sweep->pair;
	json_t *point = bench_point_json(&e->point);

	json_object_set_new(point, "window", json_integer(e->job.window));
	json_object_set_new(point, "one_buffer",
			    json_boolean(r->sweep->one_buffer));
	json_object_set_new(point, "processes", json_integer(o->self ? 1 : 2));
	json_object_set_new(point, "wait",
			    json_string(bench_wait_text(o->wait)));
	json_object_set_new(point, "transport",
			    json_string(o->am ? "am" : "match"));
	json_object_set_new(point, "memory",
			    json_string(bench_memory_text(o->memory)));
	json_object_set_new(point, "verified", json_boolean(o->verify));
	json_object_set_new(point, "endpoints_idle", json_integer(e->idle));
	json_object_set_new(point, "lanes_idle",
			    json_integer(e->idle ? r->beside.lanes : 0));
	json_object_set_new(point, "idle_ratio",
			    bench_fix3_json(ratio_of(e, e->alone)));
	json_object_set_new(point, "api", json_string(bench_api_names[e->api]));
	json_object_set_new(point, "api_ratio",
			    bench_fix3_json(ratio_of(e, e->beneath)));
	bench_report_add(r->sweep->bench.report, point);
}

static void notes_add(struct run *r)
{
	const struct bench_pair_options *o = &r->sweep->pair;
	struct bench_report *report = r->sweep->bench.report;
	const int *cpus = r->sweep->bench.options.cpus;

	bench_report_note(
		report, "%s, wait %s, %s, memory %s%s",
		o->self ? "one process with two endpoints" : "two processes",
		bench_wait_text(o->wait),
		o->am ? "active messages" : "matched messages",
		bench_memory_text(o->memory),
		o->verify ? ", every payload filled and checked" : "");
	if (!o->self && o->wait != VMB_WAIT_BLOCK && cpus[0] >= 0 &&
	    cpus[0] == cpus[1])
		bench_report_note(report, "two busy processes share a "
					  "processor: the times show the "
					  "scheduler");
	if (r->beside.count)
		bench_report_note(report,
				  "%u of %u idle endpoints have a lane to the "
				  "measuring side",
				  r->beside.lanes, r->beside.count);
	if (r->unsettled)
		bench_report_note(report,
				  "the engine did not sleep during the floors "
				  "of %u rounds",
				  r->unsettled);
}

/* ---- the run ------------------------------------------------------------ */

static int run_prepare(struct run *r)
{
	const struct bench_sizes *sizes = &r->sweep->pair.sizes;
	const struct bench_options *o = &r->sweep->bench.options;
	size_t largest = 0;

	r->blocks = r->sweep->pair.wait == VMB_WAIT_BLOCK;
	r->has_line = o->cpus[0] != o->engine_cpu;
	r->copies = calloc(sizes->count, sizeof(*r->copies));
	r->beside.count = r->sweep->idle;
	r->beside.ep = calloc(r->sweep->idle + 1, sizeof(*r->beside.ep));
	if (!r->copies || !r->beside.ep)
		return -ENOMEM;
	bench_point_init(&r->line, "floor",
			 r->blocks ? "eventfd" : "cache line", BENCH_LATENCY, 8,
			 bench_pair_unit());
	for (unsigned i = 0; i < sizes->count; i++) {
		bench_point_init(&r->copies[i], "floor", "memcpy",
				 BENCH_LATENCY, sizes->size[i],
				 bench_ns_per_tick());
		largest = sizes->size[i] > largest ? sizes->size[i] : largest;
	}
	return bench_copy_open(&r->copy, r->sweep->pair.memory,
			       r->sweep->one_buffer ? 1 : BENCH_COPY_PAIRS,
			       largest);
}

static int run_measure(struct run *r)
{
	static struct bench_round round;
	struct bench_sweep *s = r->sweep;
	int ret = entries_make(r);

	for (unsigned i = 0; i < s->bench.options.rounds && !ret; i++)
		ret = round_run(r, &round);
	if (ret)
		return ret;
	bench_progress(&s->bench.options, 1, 1, "");
	if (lines_stayed(r))
		line_floors_drop(r);
	for (unsigned i = 0; i < r->count; i++)
		entry_report(r, &r->entries[i]);
	notes_add(r);
	return 0;
}

static void run_free(struct run *r)
{
	bench_copy_close(&r->copy);
	free(r->entries);
	free(r->copies);
	free(r->beside.ep);
}

static int sweep_run(struct bench_sweep *s)
{
	struct run r = {.sweep = s};
	int ret = bench_pair_prepare(&r.pair, &s->bench, &s->pair);

	if (ret)
		return ret;
	ret = bench_wake_open(&r.wake, false, s->bench.options.cpus[1]);
	if (ret) {
		bench_fail("cannot make the eventfd floor", ret);
		goto err_close_pair;
	}
	ret = bench_begin(&s->bench);
	if (!ret)
		ret = run_prepare(&r);
	if (!ret)
		ret = bench_pair_open(&r.pair);
	if (!ret)
		ret = s->pair.serve ? bench_pair_serve(&r.pair)
				    : run_measure(&r);
	run_free(&r);
	bench_wake_close(&r.wake);
err_close_pair:
	bench_pair_close(&r.pair);
	return ret;
}

int bench_sweep_main(struct bench_sweep *s, const char *name)
{
	unsigned needs = BENCH_NEEDS_DAEMON;
	int ret, closed;

	if (!s->pair.self)
		needs |= BENCH_NEEDS_TWO;
	if (s->pair.wait_chosen && s->pair.wait == VMB_WAIT_SPIN)
		needs |= BENCH_NEEDS_SPIN;
	ret = bench_open(&s->bench, name, columns, needs);
	if (ret)
		return ret;
	ret = sweep_run(s);
	closed = bench_close(&s->bench);
	return ret ? ret : closed;
}
