// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-open.c - how long do opening and closing an endpoint take, and how much
 * memory does the engine give to each?
 *
 * Flow:  main -> vmb_open(), vmb_close(); the daemon's /proc/PID/status
 * Owns:  the endpoints that it opens.
 * Trust: its user.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmbypass/abi/doorbell.h>

#include "harness.h"

static const char doc[] =
	"Measure how long vmb_open() and vmb_close() take, alone and beside "
	"open endpoints, and the memory that vmbd takes per endpoint."
	"\vENGINE KiB is the growth of the daemon's address space per open "
	"endpoint, which includes the endpoint's whole shared area; RESIDENT "
	"is "
	"what of it is really there.\n\n"
	"Example:\n"
	"  vmb-open --endpoints 1000";

static const struct bench_column columns[] = {
	{"TEST", "test", BENCH_TEXT},
	{"BESIDE", "beside", BENCH_COUNT},
	{"P50 ns", "lat_ns.p50", BENCH_FIX1},
	{"P99 ns", "lat_ns.p99", BENCH_FIX1},
	{"MAX ns", "lat_ns.max", BENCH_FIX1},
	{"ROUNDS min", "rounds.min", BENCH_FIX1},
	{"max", "rounds.max", BENCH_FIX1},
	{"AREA KiB", "memory.area_kib", BENCH_FIX1},
	{"ENGINE KiB", "memory.engine_kib", BENCH_FIX1},
	{"RESIDENT KiB", "memory.resident_kib", BENCH_FIX1},
	{0},
};

enum {
	OPEN,
	CLOSE,
	OPEN_BESIDE,
	CLOSE_BESIDE,
	POINTS
};

struct opener {
	struct bench bench;
	struct bench_point points[POINTS];
	struct vmb_endpoint **endpoints;
	unsigned count; /* of endpoints to hold open */
	/* growth in the first round: later ones reuse what that one got */
	double engine_kib, resident_kib;
};

enum {
	OPT_ENDPOINTS = 'e'
};

static const struct argp_option option_list[] = {
	{"endpoints", OPT_ENDPOINTS, "N", 0,
	 "Endpoints to hold open for memory and BESIDE (default 500)", 1},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct opener *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->bench.options;
		return 0;
	case OPT_ENDPOINTS:
		o->count = (unsigned)bench_parse_number(state, "endpoints", arg,
							1, 60000);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Open and close one after the other; both are timed. */
static int pair_measure(struct opener *o, unsigned first)
{
	static struct bench_round opened, closed;
	uint64_t iters = bench_iters(&o->bench.options, 1000000);
	int ret = 0;

	bench_round_init(&opened, bench_ns_per_tick());
	bench_round_init(&closed, bench_ns_per_tick());
	for (uint64_t i = 0; i < iters && !ret; i++) {
		struct vmb_endpoint *ep;
		uint64_t start = bench_ticks(), middle;

		ret = vmb_open(NULL, &ep);
		if (ret)
			break;
		middle = bench_ticks();
		bench_hist_record(&opened.hist, middle - start);
		ret = vmb_close(ep);
		bench_hist_record(&closed.hist, bench_ticks() - middle);
	}
	opened.messages = closed.messages = iters;
	opened.ns = closed.ns = 1;
	bench_point_add(&o->points[first], &opened);
	bench_point_add(&o->points[first + 1], &closed);
	return ret;
}

static int memory_read(const struct opener *o, uint64_t *size, uint64_t *rss)
{
	pid_t pid = o->bench.daemon.pid;
	int ret = bench_proc_kb(pid, "status", "VmSize", size);

	return ret ? ret : bench_proc_kb(pid, "status", "VmRSS", rss);
}

static void endpoints_close(struct opener *o)
{
	for (unsigned i = 0; i < o->count; i++) {
		vmb_close(o->endpoints[i]);
		o->endpoints[i] = NULL;
	}
}

/* Hold many open: what does the daemon grow by, and does it get slower? */
static int round_run(struct opener *o, bool first)
{
	uint64_t size[2], rss[2];
	int ret = pair_measure(o, OPEN);

	if (!ret)
		ret = memory_read(o, &size[0], &rss[0]);
	for (unsigned i = 0; i < o->count && !ret; i++)
		ret = vmb_open(NULL, &o->endpoints[i]);
	if (!ret)
		ret = memory_read(o, &size[1], &rss[1]);
	if (!ret && first) {
		o->engine_kib = ((double)size[1] - (double)size[0]) / o->count;
		o->resident_kib = ((double)rss[1] - (double)rss[0]) / o->count;
	}
	if (!ret)
		ret = pair_measure(o, OPEN_BESIDE);
	endpoints_close(o);
	return ret;
}

static double area_kib(void)
{
	const struct vmb_geometry g = {VMB_EQ_SLOTS_DEFAULT,
				       VMB_RX_BYTES_DEFAULT,
				       VMB_TX_BYTES_DEFAULT, 0};

	return VMB_AREA_BYTES(&g) / 1024.0;
}

static json_t *memory_json(const struct opener *o)
{
	return json_pack("{s:o,s:o,s:o}", "area_kib",
			 bench_fix1_json(area_kib()), "engine_kib",
			 bench_fix1_json(o->engine_kib), "resident_kib",
			 bench_fix1_json(o->resident_kib));
}

static void points_report(struct opener *o)
{
	for (int i = 0; i < POINTS; i++) {
		json_t *point = bench_point_json(&o->points[i]);

		json_object_set_new(point, "beside",
				    json_integer(i < OPEN_BESIDE ? 0
								 : o->count));
		/* calls, not messages */
		json_object_del(point, "rate_mps");
		json_object_del(point, "cpu_pct");
		if (i == OPEN_BESIDE)
			json_object_set_new(point, "memory", memory_json(o));
		bench_report_add(o->bench.report, point);
	}
}

static int opener_run(struct opener *o)
{
	const struct bench_options *options = &o->bench.options;

	o->endpoints = calloc(o->count, sizeof(struct vmb_endpoint *));
	if (!o->endpoints)
		return -ENOMEM;
	for (int i = 0; i < POINTS; i++)
		bench_point_init(&o->points[i], i % 2 ? "close" : "open",
				 "vmb-local", BENCH_LATENCY, 0,
				 bench_ns_per_tick());
	for (unsigned i = 0; i < options->rounds; i++) {
		int ret;

		bench_progress(options, i, options->rounds, "open and close");
		ret = round_run(o, !i);
		if (ret)
			return bench_fail("open and close", ret);
	}
	bench_progress(options, 1, 1, "");
	points_report(o);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_options_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct opener o = {.count = 500};
	int ret;

	bench_options_init(&o.bench.options);
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	ret = bench_open(&o.bench, "open", columns, BENCH_NEEDS_DAEMON);
	if (ret)
		return 1;
	ret = bench_begin(&o.bench);
	if (!ret) {
		ret = vmb_init();
		if (ret)
			bench_fail("cannot attach to the daemon", ret);
	}
	if (!ret) {
		ret = opener_run(&o);
		vmb_finalize();
	}
	if (bench_close(&o.bench))
		ret = 1;
	free(o.endpoints);
	return ret ? 1 : 0;
}
