// SPDX-License-Identifier: BSD-2-Clause
/* options.c - see options.h. */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmbypass/abi/control.h>
#include <vmbypass/vmb.h>

#include "base/paths.h"
#include "platform/platform.h"

#define POLICY_DEFAULT "/etc/vmbypass/vmbd.conf"
#define SPIN_US_DEFAULT 1000
#define HOLD_US_DEFAULT 20
#define ENDPOINTS_DEFAULT 4096

enum {
	OPT_LOCAL = 256,
	OPT_XEN,
	OPT_MODE,
	OPT_GROUP,
	OPT_POLICY,
	OPT_ENGINES,
	OPT_CPU,
	OPT_SPIN,
	OPT_HOLD,
	OPT_QUANTUM,
	OPT_ENDPOINTS,
	OPT_LOG,
	OPT_LOG_JSON,
	OPT_FOREGROUND,
	OPT_READY_FD,
};

static const struct argp_option rows[] = {
	{.doc = "Clients:"},
	{"local", OPT_LOCAL, NULL, 0,
	 "Serve processes of this machine over a Unix socket (the default)", 0},
	{"xen", OPT_XEN, NULL, 0,
	 "Serve guests of this Xen host, and processes as well", 0},
	{"socket", 's', "PATH", 0,
	 "Listen there, and at PATH.ctl for vmbctl (default: "
	 "/run/vmbypass/vmbd.sock for root, else "
	 "$XDG_RUNTIME_DIR/vmbypass/vmbd.sock; $VMB_SOCKET counts over both)",
	 0},
	{"mode", OPT_MODE, "OCTAL", 0, "Mode of the socket (default: 0600)", 0},
	{"group", OPT_GROUP, "NAME", 0, "Group of the socket", 0},
	{"policy", 'p', "FILE", 0,
	 "Who may open and how much (default for root: " POLICY_DEFAULT
	 ", if it is there). SIGHUP reads it again",
	 0},
	{.doc = "Engine:"},
	{"engines", OPT_ENGINES, "N", 0, "Engine threads (default: 1)", 0},
	{"cpu", OPT_CPU, "LIST", 0,
	 "Pin engine threads to these processors, in order: 2,4-6", 0},
	{"spin-us", OPT_SPIN, "N", 0,
	 "Look at an endpoint without work for so long before sleeping "
	 "(default: 1000)",
	 0},
	{"hold-us", OPT_HOLD, "N", 0,
	 "Let a message wait for room at its receiver for so long before it "
	 "is given back (default: 20)",
	 0},
	{"quantum", OPT_QUANTUM, "BYTES", 0,
	 "Bytes per visit to a protection domain of weight 1 (default: 4096)",
	 0},
	{"max-endpoints", OPT_ENDPOINTS, "N", 0,
	 "Endpoints of all clients (default: 4096)", 0},
	{.doc = "Daemon:"},
	{"log", OPT_LOG, "LEVEL", 0,
	 "none, error, warn, info (the default) or debug, to stderr", 0},
	{"log-json", OPT_LOG_JSON, NULL, 0,
	 "Each line of the log is a JSON object", 0},
	{"foreground", OPT_FOREGROUND, NULL, 0,
	 "Stay in the foreground (the only mode)", 0},
	{"ready-fd", OPT_READY_FD, "FD", 0,
	 "Write a newline there when clients can connect", 0},
	{0},
};

static const char doc[] =
	"The vmbypass daemon: admits clients, gives them endpoints, registers "
	"their memory, and runs the NIC engine."
	"\v"
	"Exit status: 0 ended by SIGTERM or SIGINT; 1 could not start or "
	"continue; 2 another daemon serves the socket; 64 bad arguments; "
	"78 the policy file is wrong.";

static uint32_t parse_count(struct argp_state *state, const char *what,
			    const char *text, uint32_t min, uint32_t max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min ||
	    value > max)
		argp_error(state, "--%s %s: allowed is %u to %u", what, text,
			   min, max);
	return (uint32_t)value;
}

static void parse_mode(struct argp_state *state, const char *text, mode_t *mode)
{
	unsigned long value;
	char *end;

	value = strtoul(text, &end, 8);
	if (end == text || *end || value & ~0777ul)
		argp_error(state,
			   "--mode %s: allowed is an octal number up "
			   "to 0777",
			   text);
	*mode = (mode_t)value;
}

static void parse_cpus(struct argp_state *state, const char *text,
		       struct vmbd_options *o)
{
	const char *at = text;
	char *end;
	long first, last;

	for (;;) {
		first = last = strtol(at, &end, 10);
		if (end == at)
			break;
		if (*end == '-') {
			at = end + 1;
			last = strtol(at, &end, 10);
			if (end == at)
				break;
		}
		if (first < 0 || last < first || last >= CPU_SETSIZE ||
		    last - first >= VMB_NIC_THREADS_MAX - (long)o->cpu_count)
			break;
		while (first <= last)
			o->cpus[o->cpu_count++] = (int)first++;
		if (!*end)
			return;
		if (*end != ',')
			break;
		at = end + 1;
	}
	argp_error(state,
		   "--cpu %s: allowed is a list like 2,4-6 of at most "
		   "%d processors",
		   text, VMB_NIC_THREADS_MAX);
}

static void parse_group(struct argp_state *state, const char *text,
			struct vmbd_options *o)
{
	const struct group *group = getgrnam(text);

	if (!group) {
		argp_error(state, "--group %s: no such group", text);
		return;
	}
	o->group = group->gr_gid;
}

static void parse_socket(struct argp_state *state, const char *text,
			 struct vmbd_options *o)
{
	if ((size_t)snprintf(o->socket, sizeof(o->socket), "%s", text) >=
	    sizeof(o->socket))
		argp_error(state, "--socket: too long");
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct vmbd_options *o = state->input;

	switch (key) {
	case OPT_FOREGROUND:
		break;
	case OPT_LOCAL:
		o->guests = false;
		break;
	case OPT_XEN:
		if (!vmb_platform_guests())
			argp_error(state, "--xen: this vmbd was built without "
					  "Xen (VMB_XEN)");
		o->guests = true;
		break;
	case 's':
		parse_socket(state, arg, o);
		break;
	case OPT_MODE:
		parse_mode(state, arg, &o->mode);
		break;
	case OPT_GROUP:
		parse_group(state, arg, o);
		break;
	case 'p':
		o->policy = arg;
		break;
	case OPT_ENGINES:
		o->engines = parse_count(state, "engines", arg, 1,
					 VMB_NIC_THREADS_MAX);
		break;
	case OPT_CPU:
		parse_cpus(state, arg, o);
		break;
	case OPT_SPIN:
		o->spin_us = parse_count(state, "spin-us", arg, 0, 1000000);
		break;
	case OPT_HOLD:
		o->hold_us = parse_count(state, "hold-us", arg, 0, 1000000);
		break;
	case OPT_QUANTUM:
		o->quantum = parse_count(state, "quantum", arg, 64, 16u << 20);
		break;
	case OPT_ENDPOINTS:
		o->endpoints_max =
			parse_count(state, "max-endpoints", arg, 1, 65535);
		break;
	case OPT_LOG:
		if (vmb_log_parse_level(arg, &o->log))
			argp_error(state,
				   "--log %s: allowed is none, error, "
				   "warn, info or debug",
				   arg);
		break;
	case OPT_LOG_JSON:
		o->log_json = true;
		break;
	case OPT_READY_FD:
		o->ready_fd =
			(int)parse_count(state, "ready-fd", arg, 0, 1u << 20);
		if (fcntl(o->ready_fd, F_GETFD) < 0)
			argp_error(state, "--ready-fd %s: not open", arg);
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no such argument", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "vmbd %d.%d.%d (control protocol %u.%u)\n",
		VMB_VERSION_MAJOR, VMB_VERSION_MINOR, VMB_VERSION_PATCH,
		VMB_ABI_MAJOR, VMB_ABI_MINOR);
}

static void check_pins(const struct vmbd_options *o)
{
	if (o->cpu_count && o->cpu_count < o->engines) {
		fprintf(stderr,
			"vmbd: --cpu names %u processors for %u "
			"engine threads\n",
			o->cpu_count, o->engines);
		exit(VMBD_EXIT_USAGE);
	}
}

static void set_paths(struct vmbd_options *o)
{
	if ((!o->socket[0] &&
	     vmb_default_socket(o->socket, sizeof(o->socket))) ||
	    (size_t)snprintf(o->admin, sizeof(o->admin), "%s.ctl", o->socket) >=
		    sizeof(o->admin)) {
		fprintf(stderr, "vmbd: the path of the socket is too long\n");
		exit(VMBD_EXIT_USAGE);
	}
	if (!o->policy && !geteuid() && !access(POLICY_DEFAULT, F_OK))
		o->policy = POLICY_DEFAULT;
}

void vmbd_options_parse(struct vmbd_options *o, int argc, char **argv)
{
	const struct argp argp = {
		.options = rows, .parser = parse_option, .doc = doc};

	*o = (struct vmbd_options){.mode = 0600,
				   .group = (gid_t)-1,
				   .engines = 1,
				   .spin_us = SPIN_US_DEFAULT,
				   .hold_us = HOLD_US_DEFAULT,
				   .endpoints_max = ENDPOINTS_DEFAULT,
				   .log = VMB_LOG_INFO,
				   .ready_fd = -1};
	argp_program_version_hook = print_version;
	argp_err_exit_status = VMBD_EXIT_USAGE;
	if (argp_parse(&argp, argc, argv, 0, NULL, o))
		exit(VMBD_EXIT_USAGE);
	check_pins(o);
	set_paths(o);
}
