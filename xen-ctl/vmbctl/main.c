// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - vmbctl: see and steer a running vmbd.
 *
 * Flow:  arguments -> a row of the table of commands -> its run()
 * Owns:  the options. Trust: nobody's arguments.
 */
#include "vmbctl.h"

#include <argp.h>
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmbypass/vmb.h>

#include "base/paths.h"
#include "base/util.h"
#include "text.h"

#define ANSWER_MS 5000
#define ANSWER_LONG_MS 60000
#define FOLLOW_MS 500
#define TOP_MS 1000
#define FAULTS_SHOWN 1024 /* without --max */
#define SAMPLES_MAX 1000000
#define MESSAGE_BYTES 1024

enum {
	OPT_JSON = 256,
	OPT_TIMEOUT,
	OPT_FOLLOW,
	OPT_MAX,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_CLIENT,
	OPT_DOMAIN,
	OPT_ENDPOINTS,
	OPT_MEMORY,
};

static const struct vmb_command commands[] = {
	{"status", "the daemon: version, platform, totals", "",
	 "What the daemon says of itself.\v"
	 "Examples:\n"
	 "  vmbctl status\n"
	 "  vmbctl status --json | jq .endpoints\n",
	 0, 0, 0, vmb_status_run},
	{"clients", "attached processes, and what they may hold", "",
	 "Attached processes, with what they hold and may hold.\v"
	 "Examples:\n"
	 "  vmbctl clients\n"
	 "  vmbctl clients --all       with user and domain numbers\n",
	 0, 0, VMB_TAKES_ALL, vmb_clients_run},
	{"guests", "attached guests, and what they may hold", "",
	 "Guests that are attached: what they hold and may hold, and the "
	 "faults "
	 "of their control path.\v"
	 "Examples:\n"
	 "  vmbctl guests\n"
	 "  vmbctl guests --all        with uuid, domain number and regions\n",
	 0, 0, VMB_TAKES_ALL, vmb_guests_run},
	{"attach", "let a guest's processes be clients", "GUEST",
	 "Attach a running guest, given by name or number.\v"
	 "Examples:\n"
	 "  vmbctl attach web\n"
	 "  vmbctl attach 7\n",
	 1, 1, VMB_TAKES_LONG, vmb_attach_run},
	{"detach", "end the clients of a guest", "GUEST",
	 "Detach a guest: its endpoints and memory are let go at once; it "
	 "stays "
	 "in the list until it has closed its side.\v"
	 "Examples:\n"
	 "  vmbctl detach web\n",
	 1, 1, VMB_TAKES_LONG, vmb_detach_run},
	{"domains", "protection domains", "",
	 "Protection domains: all that one client, or the clients of one "
	 "name, may touch.\v"
	 "Examples:\n"
	 "  vmbctl domains\n",
	 0, 0, 0, vmb_domains_run},
	{"endpoints", "open endpoints, their owner and traffic", "",
	 "Open endpoints.\v"
	 "Examples:\n"
	 "  vmbctl endpoints\n"
	 "  vmbctl endpoints --all     with queue sizes, board and thread\n"
	 "  vmbctl endpoints --json | jq '.[] | select(.faults > 0)'\n",
	 0, 0, VMB_TAKES_ALL, vmb_endpoints_run},
	{"regions", "registered memory", "",
	 "Registered memory. Keys are shown without their secret part.\v"
	 "Examples:\n"
	 "  vmbctl regions\n"
	 "  vmbctl regions --json | jq '[.[].bytes] | add'\n",
	 0, 0, 0, vmb_regions_run},
	{"lanes", "lanes between endpoints of this host, and why not", "",
	 "Lanes: rings from one endpoint to another of this host that need no "
	 "engine, and the last ones that were refused.\v"
	 "Examples:\n"
	 "  vmbctl lanes\n"
	 "  vmbctl lanes --json | jq '.[] | select(.state == \"refused\")'\n",
	 0, 0, 0, vmb_lanes_run},
	{"peers", "boards by name, and the endpoints open on them", "",
	 "Boards, by the name that an application connects to.\v"
	 "Examples:\n"
	 "  vmbctl peers\n",
	 0, 0, 0, vmb_peers_run},
	{"counters", "what the engine counted, per endpoint", "[HANDLE]",
	 "Counters of all endpoints, or all counters of one. Read from the "
	 "engine's statistics memory, which disturbs nobody.\v"
	 "Examples:\n"
	 "  vmbctl counters\n"
	 "  vmbctl counters 0x10000\n"
	 "  vmbctl counters --json | jq '.[] | {id, stalls}'\n",
	 0, 1, VMB_TAKES_ALL, vmb_counters_run},
	{"faults", "what the engine refused, from whom, and why", "",
	 "The fault log, oldest record first. Times are UTC.\v"
	 "Examples:\n"
	 "  vmbctl faults\n"
	 "  vmbctl faults --follow     print new records as they come\n"
	 "  vmbctl faults --all        with code, region, address, length\n",
	 0, 0, VMB_TAKES_ALL | VMB_TAKES_FOLLOW | VMB_TAKES_INTERVAL,
	 vmb_faults_run},
	{"limits", "the policy in force", "",
	 "The policy in force, section by section.\v"
	 "Examples:\n"
	 "  vmbctl limits\n",
	 0, 0, 0, vmb_limits_run},
	{"set-limit", "change what a client or a domain may hold", "",
	 "Change what one client, or one named domain, may hold. What it "
	 "holds already stays.\v"
	 "Examples:\n"
	 "  vmbctl set-limit --client 3 --endpoints 16\n"
	 "  vmbctl set-limit --domain web --memory 2G\n",
	 0, 0, VMB_TAKES_LIMITS, vmb_set_limit_run},
	{"weights", "shares of the engine", "",
	 "The share of each protection domain when all have work.\v"
	 "Examples:\n"
	 "  vmbctl weights\n",
	 0, 0, 0, vmb_weights_run},
	{"set-weight", "change a domain's share of the engine", "DOMAIN WEIGHT",
	 "Change the weight (1 to 256) of a protection domain, given by "
	 "name or number. #3 is the number where 3 is a name, too.\v"
	 "Examples:\n"
	 "  vmbctl set-weight web 4\n"
	 "  vmbctl set-weight 3 1\n",
	 2, 2, 0, vmb_set_weight_run},
	{"top", "live rates by domain and endpoint", "",
	 "Messages and bytes a second, busiest first. On a terminal: until q "
	 "is pressed. Elsewhere: once, or --count times; --json goes on "
	 "without --count. Read from the engine's statistics memory, which "
	 "disturbs nobody.\v"
	 "Examples:\n"
	 "  vmbctl top\n"
	 "  vmbctl top --interval 0.5\n"
	 "  vmbctl top --count 3 > rates.txt\n"
	 "  vmbctl top --json --count 10 | jq .domains\n",
	 0, 0, VMB_TAKES_SAMPLES | VMB_TAKES_INTERVAL, vmb_top_run},
};

/* Options of all commands; which of them one takes is in `takes`. */
static const struct {
	unsigned takes; /* 0: every command */
	struct argp_option option;
} known[] = {
	{0, {"socket", 's', "PATH", 0, "Socket of the daemon", 0}},
	{0, {"json", OPT_JSON, NULL, 0, "JSON, exact numbers", 0}},
	{0,
	 {"timeout", OPT_TIMEOUT, "SECONDS", 0,
	  "Wait so long for the daemon (default: 5; attach and detach: 60)",
	  0}},
	{VMB_TAKES_ALL, {"all", 'a', NULL, 0, "All columns, however wide", 0}},
	{VMB_TAKES_FOLLOW,
	 {"follow", OPT_FOLLOW, NULL, 0, "Go on with new records", 0}},
	{VMB_TAKES_FOLLOW,
	 {"max", OPT_MAX, "N", 0, "The newest N records only", 0}},
	{VMB_TAKES_INTERVAL,
	 {"interval", OPT_INTERVAL, "SECONDS", 0, "Time between two looks", 0}},
	{VMB_TAKES_SAMPLES,
	 {"count", OPT_COUNT, "N", 0, "Leave after N looks", 0}},
	{VMB_TAKES_LIMITS,
	 {"client", OPT_CLIENT, "NUMBER", 0, "Of this client", 0}},
	{VMB_TAKES_LIMITS,
	 {"domain", OPT_DOMAIN, "DOMAIN", 0, "Of this domain", 0}},
	{VMB_TAKES_LIMITS,
	 {"endpoints", OPT_ENDPOINTS, "N", 0, "Endpoints at once", 0}},
	{VMB_TAKES_LIMITS,
	 {"memory", OPT_MEMORY, "SIZE", 0,
	  "Registered memory at once: bytes, or with K, M, G, T", 0}},
};

int vmb_fail(int code, const char *format, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	vmb_text_clean(text); /* the words may be the daemon's */
	fflush(stdout);
	fprintf(stderr, "vmbctl: %s\n", text);
	return code;
}

/* JSON lets DEL stand as it is; terminals do not. */
static int print_piece(const char *text, size_t len, void *out)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == 0x7f)
			fputs("\\u007f", out);
		else
			putc(text[i], out);
	}
	return 0;
}

void vmb_json_print(const json_t *json, bool compact)
{
	size_t flags = compact ? JSON_COMPACT : JSON_INDENT(2);

	if (isatty(STDOUT_FILENO))
		flags |= JSON_ENSURE_ASCII; /* 0x80 to 0x9f may steer it */
	json_dump_callback(json, print_piece, stdout, flags);
	printf("\n");
}

/* ---- arguments ---------------------------------------------------------- */

static void parse_socket(struct argp_state *state, const char *path,
			 struct vmb_options *o)
{
	if (!*path)
		argp_error(state, "socket: no path");
	else if (strlen(path) >= sizeof(o->socket) - strlen(".ctl"))
		argp_error(state, "socket %s: path too long", path);
	else
		strcpy(o->socket, path);
}

/* Where programs find it, too, when nobody has told us: in the same order. */
static int default_socket(struct vmb_options *o)
{
	const char *port = getenv("VMB_PORT"), local[] = "local:";
	size_t len = strlen(local), size = sizeof(o->socket) - strlen(".ctl");

	if (!port || strncmp(port, local, len) || !port[len])
		return vmb_default_socket(o->socket, size);
	if ((size_t)snprintf(o->socket, size, "%s", port + len) >= size)
		return -ENAMETOOLONG;
	return 0;
}

static unsigned parse_count(struct argp_state *state, const char *what,
			    const char *text, unsigned max)
{
	uint64_t value = 0;

	if (vmb_text_parse_number(text, max, &value) || !value)
		argp_error(state, "%s %s: not a number from 1 to %u", what,
			   text, max);
	return (unsigned)value;
}

static unsigned parse_seconds(struct argp_state *state, const char *what,
			      const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		argp_error(state, "%s %s: not from 0.1 to 3600 seconds", what,
			   text);
	return (unsigned)(seconds * 1000);
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct vmb_options *o = state->input;

	switch (key) {
	case 's':
		parse_socket(state, arg, o);
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_TIMEOUT:
		o->timeout_ms = parse_seconds(state, "timeout", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct vmb_options *o = state->input;

	switch (key) {
	case 'a':
		o->all = true;
		return 0;
	case OPT_FOLLOW:
		o->follow = true;
		return 0;
	case OPT_MAX:
		o->max = parse_count(state, "max", arg, VMB_FAULTS_MAX);
		return 0;
	case OPT_INTERVAL:
		o->interval_ms = parse_seconds(state, "interval", arg);
		return 0;
	case OPT_COUNT:
		o->count = parse_count(state, "count", arg, SAMPLES_MAX);
		return 0;
	case OPT_CLIENT:
		o->client = arg;
		return 0;
	case OPT_DOMAIN:
		o->domain = arg;
		return 0;
	case OPT_ENDPOINTS:
		o->endpoints = arg;
		return 0;
	case OPT_MEMORY:
		o->memory = arg;
		return 0;
	case ARGP_KEY_ARGS:
		o->args = state->argv + state->next;
		o->arg_count = (unsigned)(state->argc - state->next);
		return 0;
	default:
		return parse_common(key, arg, state);
	}
}

/* What was shown must have come out: 1 when it has not, else code. */
static int check_output(int code)
{
	int err = fflush(stdout) ? errno : 0;

	if (!err && !ferror(stdout))
		return code;
	return vmb_fail(EXIT_FAILURE, "standard output: %s",
			err ? strerrordesc_np(err) : "cannot be written");
}

static int run_command(const struct vmb_command *c, struct vmb_options *o,
		       int argc, char **argv)
{
	struct argp_option rows[vmb_array_size(known) + 1] = {0};
	struct argp argp = {.options = rows,
			    .parser = parse_option,
			    .args_doc = c->args,
			    .doc = c->help};
	char name[64];
	size_t n = 0;
	int err;

	for (size_t i = 0; i < vmb_array_size(known); i++)
		if (!known[i].takes || known[i].takes & c->takes)
			rows[n++] = known[i].option;
	o->interval_ms = c->takes & VMB_TAKES_FOLLOW ? FOLLOW_MS : TOP_MS;
	if (!o->timeout_ms)
		o->timeout_ms =
			c->takes & VMB_TAKES_LONG ? ANSWER_LONG_MS : ANSWER_MS;
	snprintf(name, sizeof(name), "vmbctl %s", c->name);
	argv[0] = name;
	argp_parse(&argp, argc, argv, 0, NULL, o);
	if (o->arg_count < c->args_min || o->arg_count > c->args_max) {
		vmb_fail(0, "%s takes %s; see `vmbctl %s --help`", c->name,
			 *c->args ? c->args : "options only", c->name);
		return VMB_EXIT_USAGE;
	}
	if (!*o->socket && default_socket(o))
		return vmb_fail(VMB_EXIT_USAGE,
				"VMB_PORT, VMB_SOCKET or XDG_RUNTIME_DIR: path "
				"too long");
	err = c->run(o);
	return check_output(err < 0 ? EXIT_FAILURE : err);
}

/* ---- the command -------------------------------------------------------- */

struct chosen {
	struct vmb_options options; /* first: parse_common() takes it */
	int first;		    /* index of the command's name, or 0 */
};

static error_t parse_main(int key, char *arg, struct argp_state *state)
{
	struct chosen *chosen = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		chosen->first = state->next - 1;
		state->next = state->argc; /* the rest is the command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_state_help(state, stderr, ARGP_HELP_STD_ERR);
		return 0;
	default:
		return parse_common(key, arg, state);
	}
}

/* One line for each command, before the options. */
static char *filter_help(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t size = 0;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)text;
	f = open_memstream(&out, &size);
	if (!f)
		return (char *)text;
	fprintf(f, "%s\n\nCommands:\n", text);
	for (size_t i = 0; i < vmb_array_size(commands); i++)
		fprintf(f, "  %-11s %s\n", commands[i].name,
			commands[i].summary);
	fprintf(f, "\n`vmbctl COMMAND --help` has its options and examples.\n");
	fclose(f);
	return out;
}

static const struct vmb_command *find_command(const char *name)
{
	for (size_t i = 0; i < vmb_array_size(commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static void print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "vmbctl %d.%d.%d\n", VMB_VERSION_MAJOR, VMB_VERSION_MINOR,
		VMB_VERSION_PATCH);
}

int main(int argc, char **argv)
{
	struct argp_option rows[] = {
		known[0].option, known[1].option, known[2].option, {0}};
	struct argp argp = {.options = rows,
			    .parser = parse_main,
			    .args_doc = "COMMAND [ARGUMENT...]",
			    .doc = "See and steer a running vmbd.",
			    .help_filter = filter_help};
	struct chosen chosen = {.options.max = FAULTS_SHOWN};
	const struct vmb_command *command;

	setlocale(LC_CTYPE, "");
	argp_err_exit_status = VMB_EXIT_USAGE;
	argp_program_version_hook = print_version;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &chosen);
	command = find_command(argv[chosen.first]);
	if (!command)
		return vmb_fail(VMB_EXIT_USAGE,
				"%s: no such command; see `vmbctl --help`",
				argv[chosen.first]);
	return run_command(command, &chosen.options, argc - chosen.first,
			   argv + chosen.first);
}
