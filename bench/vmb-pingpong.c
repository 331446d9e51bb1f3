// SPDX-License-Identifier: BSD-2-Clause
/*
 * vmb-pingpong.c - how long does a message take, one way, from endpoint to
 * endpoint, and how far is that from the machine's best? It goes by a lane, or
 * through the engine with VMB_LANES=0 in the environment.
 *
 * Flow:  main -> sweep, the latency test only
 * Owns:  nothing.
 * Trust: its user.
 */
#include <string.h>

#include "sweep.h"

static const char doc[] =
	"Measure the one-way latency between two endpoints: half of a round "
	"trip, and its ratio to the best this machine can do. Starts a peer "
	"process, and a private vmbd when none is running."
	"\vExamples:\n"
	"  vmb-pingpong                      two processes\n"
	"  vmb-pingpong --self --sizes 8     one process, two endpoints\n"
	"  vmb-pingpong --wait block         against a bare eventfd\n"
	"  vmb-pingpong --serve              here, and there:\n"
	"  vmb-pingpong --connect alpha:0/3";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_sweep *s = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &s->pair;
		state->child_inputs[1] = &s->bench.options;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&bench_pair_argp, 0, NULL, 0},
		{&bench_options_argp, 0, NULL, 0},
		{0}};
	static const struct argp argp = {NULL,	   parse, NULL, doc,
					 children, NULL,  NULL};
	static const size_t sizes[] = {0, 8, 64, 512, 4096, 65536, 1u << 20};
	static struct bench_sweep sweep;

	bench_sweep_init(&sweep);
	argp_parse(&argp, argc, argv, 0, NULL, &sweep);
	if (!sweep.pair.sizes.count) {
		memcpy(sweep.pair.sizes.size, sizes, sizeof(sizes));
		sweep.pair.sizes.count = sizeof(sizes) / sizeof(sizes[0]);
	}
	sweep.tests[BENCH_TEST_LATENCY] = true;
	return bench_sweep_main(&sweep, "pingpong") ? 1 : 0;
}
