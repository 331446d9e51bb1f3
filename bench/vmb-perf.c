// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-perf.c - latency, bandwidth in one and in both directions, and message
 * rate, by size.
 *
 * Flow:  main -> sweep
 * Owns:  nothing.
 * Trust: its user.
 */
#include "sweep.h"

static const char doc[] =
	"Measure a pair of endpoints, which soon have a lane (with VMB_LANES=0 "
	"in the environment all goes through the engine): latency (half of a "
	"round trip), bandwidth, both directions at once, and message rate, by "
	"message size, with the ratio to the best this machine can do. Starts "
	"a peer process, and a private vmbd when none is running."
	"\vTests: latency, bandwidth, bidirectional, rate.\n\n"
	"Examples:\n"
	"  vmb-perf --verify\n"
	"  vmb-perf --self --test rate --sizes 8 --window 64\n"
	"  vmb-perf --self --test latency --sizes 1M --memory malloc\n"
	"  vmb-perf --self --test latency --sizes 8 --endpoints-idle 1000";

enum option_key {
	OPT_TEST = 0x3000,
	OPT_WINDOW,
	OPT_IDLE,
	OPT_ONE_BUFFER,
};

static const struct argp_option option_list[] = {
	{"test", OPT_TEST, "LIST", 0, "What to measure (default: all)", 1},
	{"window", OPT_WINDOW, "N", 0,
	 "Messages under way in all tests but latency (default 64; less for "
	 "large ones: 64 MiB at most)",
	 1},
	{"one-buffer", OPT_ONE_BUFFER, NULL, 0,
	 "One buffer for all messages under way, as ucx_perftest and the OSU "
	 "benchmarks have it (default: one for each, which is more than caches "
	 "hold)",
	 1},
	{"endpoints-idle", OPT_IDLE, "N", 0,
	 "Measure again with N idle endpoints open beside the pair, each of "
	 "which has sent it a message",
	 1},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_sweep *s = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &s->pair;
		state->child_inputs[1] = &s->bench.options;
		return 0;
	case OPT_TEST:
		bench_parse_list(state, "test", bench_test_names, arg,
				 s->tests);
		return 0;
	case OPT_WINDOW:
		s->window = (unsigned)bench_parse_number(state, "window", arg,
							 1, BENCH_WINDOW_MAX);
		return 0;
	case OPT_ONE_BUFFER:
		s->one_buffer = true;
		return 0;
	case ARGP_KEY_SUCCESS:
		if (s->one_buffer && s->pair.verify)
			argp_error(state, "--verify needs a buffer for each "
					  "message, not --one-buffer");
		return 0;
	case OPT_IDLE:
		s->idle = (unsigned)bench_parse_number(state, "endpoints-idle",
						       arg, 0, 60000);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void defaults_set(struct bench_sweep *s)
{
	struct bench_sizes *sizes = &s->pair.sizes;
	bool any = false;

	for (int t = 0; t < BENCH_TESTS; t++)
		any |= s->tests[t];
	for (int t = 0; t < BENCH_TESTS && !any; t++)
		s->tests[t] = true;
	if (sizes->count)
		return;
	sizes->size[sizes->count++] = 0;
	for (size_t size = 8; size <= 4u << 20; size *= 8)
		sizes->size[sizes->count++] = size;
	sizes->size[sizes->count++] = 4u << 20;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_pair_argp, 0, NULL, 0},
		{&bench_options_argp, 0, NULL, 0},
		{0}};
	static const struct argp argp = {option_list, parse, NULL, doc,
					 children,    NULL,  NULL};
	static struct bench_sweep sweep;

	bench_sweep_init(&sweep);
	argp_parse(&argp, argc, argv, 0, NULL, &sweep);
	defaults_set(&sweep);
	return bench_sweep_main(&sweep, "perf") ? 1 : 0;
}
