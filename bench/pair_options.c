// SPDX-License-Identifier: BSD-2-Clause
/*
 * pair_options.c - arguments about the two endpoints, shared by the benches
 * that measure between a pair.
 *
 * Flow:  argv -> argp -> [here] -> struct bench_pair_options
 * Owns:  nothing.
 * Trust: nobody: words and numbers are checked here.
 */
#include <string.h>

#include <vmbypass/abi/control.h>

#include "pair.h"

enum option_key {
	OPT_SELF = 0x2000,
	OPT_WAIT,
	OPT_SIZES,
	OPT_VERIFY,
	OPT_AM,
	OPT_MEMORY,
	OPT_CONNECT,
	OPT_SERVE,
	OPT_ID,
	OPT_API,
};

static const struct argp_option option_list[] = {
	{NULL, 0, NULL, 0, "The pair:", 5},
	{"self", OPT_SELF, NULL, 0,
	 "One process and thread with both endpoints, instead of two "
	 "processes",
	 5},
	{"wait", OPT_WAIT, "MODE", 0,
	 "spin, adaptive or block (default: spin when every busy thread has a "
	 "processor of its own, else block)",
	 5},
	{"sizes", OPT_SIZES, "LIST", 0,
	 "Bytes per message: 0,8,64-4K,1M; all: 0-4M", 5},
	{"verify", OPT_VERIFY, NULL, 0,
	 "Fill and check every payload (adds that to the times)", 5},
	{"am", OPT_AM, NULL, 0, "Active messages instead of matched ones", 5},
	{"api", OPT_API, "API", 0,
	 "vmb (default); mx: the same through libmyriexpress; both: in one "
	 "run, on the same endpoints",
	 5},
	{"memory", OPT_MEMORY, "KIND", 0,
	 "alloc: vmb_alloc() memory (default); malloc: ordinary memory", 5},
	{"serve", OPT_SERVE, NULL, 0,
	 "Be the peer of a bench elsewhere, until a signal", 5},
	{"id", OPT_ID, "N", 0, "Endpoint id of --serve (default: any)", 5},
	{"connect", OPT_CONNECT, "NAME/ID", 0,
	 "The peer is a --serve there, as it printed", 5},
	{0}};

static void connect_check(struct argp_state *state, const char *text)
{
	const char *slash = strrchr(text, '/');

	if (!slash || slash == text || strlen(text) >= VMB_NAME_MAX)
		argp_error(state, "connect must be NAME/ID, not %s", text);
	else
		bench_parse_number(state, "the id of --connect", slash + 1, 0,
				   VMB_ID_MAX);
}

static void parse_api(struct argp_state *state, const char *text, bool *api)
{
	bool both = !strcmp(text, "both");

	for (int i = 0; i < BENCH_APIS; i++)
		api[i] = both || !strcmp(text, bench_api_names[i]);
	if (!api[BENCH_API_VMB] && !api[BENCH_API_MX])
		argp_error(state, "api must be vmb, mx or both, not %s", text);
}

/* What does not go together, when all is known. */
static void options_check(struct argp_state *state,
			  const struct bench_pair_options *o)
{
	if (o->self + o->serve + (o->connect != NULL) > 1)
		argp_error(state,
			   "--self, --serve and --connect exclude each other");
	if (o->am && o->api[BENCH_API_MX])
		argp_error(state, "MX has no active messages");
	if (o->self && o->wait_chosen && o->wait == VMB_WAIT_BLOCK)
		argp_error(state, "--self has one thread for both endpoints "
				  "and cannot block in either");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_pair_options *o = state->input;

	switch (key) {
	case OPT_SELF:
		o->self = true;
		return 0;
	case OPT_WAIT:
		o->wait = bench_parse_wait(state, arg);
		o->wait_chosen = o->wait != VMB_WAIT_DEFAULT;
		return 0;
	case OPT_SIZES:
		bench_parse_sizes(state, arg, &o->sizes);
		return 0;
	case OPT_VERIFY:
		o->verify = true;
		return 0;
	case OPT_AM:
		o->am = true;
		return 0;
	case OPT_API:
		parse_api(state, arg, o->api);
		return 0;
	case OPT_MEMORY:
		o->memory = bench_parse_memory(state, arg);
		return 0;
	case OPT_CONNECT:
		connect_check(state, arg);
		o->connect = arg;
		return 0;
	case OPT_SERVE:
		o->serve = true;
		return 0;
	case OPT_ID:
		o->id = (uint32_t)bench_parse_number(state, "id", arg, 0,
						     VMB_ID_MAX);
		return 0;
	case ARGP_KEY_END:
		options_check(state, o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp bench_pair_argp = {
	.options = option_list,
	.parser = parse,
};
