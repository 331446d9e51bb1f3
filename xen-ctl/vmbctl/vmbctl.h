/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmbctl.h - what the commands of vmbctl share.
 *
 * Flow:  main.c parses -> one command's run() -> admin.c (ask the daemon) or
 *        reader.c (look at its statistics) -> table.c or JSON
 * Every run() returns 0 or -errno, or VMB_EXIT_USAGE for arguments that are
 * wrong whatever the daemon says. It has said what went wrong by then.
 */
#ifndef VMBCTL_H
#define VMBCTL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define VMB_EXIT_USAGE 2
#define VMB_FAULTS_MAX 4096 /* records in one answer of the daemon */

/* As parsed; what a command does not take is left at its default. */
struct vmb_options {
	char socket[108]; /* of the daemon; the admin socket adds ".ctl" */
	bool json, all, follow;
	unsigned timeout_ms; /* for an answer of the daemon */
	unsigned interval_ms;
	unsigned count;	    /* samples of top; 0: no limit */
	unsigned max;	    /* fault records */
	const char *client; /* set-limit: text as given, or NULL */
	const char *domain;
	const char *endpoints;
	const char *memory;
	char **args; /* what is no option */
	unsigned arg_count;
};

/* Options beside --socket and --json that a command takes. */
enum vmb_option_set {
	VMB_TAKES_ALL = 1,
	VMB_TAKES_FOLLOW = 2, /* and --max */
	VMB_TAKES_SAMPLES = 4,
	VMB_TAKES_LIMITS = 8,
	VMB_TAKES_INTERVAL = 16,
	VMB_TAKES_LONG = 32, /* the daemon may have to wait for others */
};

struct vmb_command {
	const char *name, *summary;
	const char *args; /* for the usage line, or "" */
	const char *help; /* what it shows, and examples */
	unsigned args_min, args_max;
	unsigned takes; /* enum vmb_option_set */
	int (*run)(const struct vmb_options *o);
};

int vmb_status_run(const struct vmb_options *o);
int vmb_clients_run(const struct vmb_options *o);
int vmb_guests_run(const struct vmb_options *o);
int vmb_attach_run(const struct vmb_options *o);
int vmb_detach_run(const struct vmb_options *o);
int vmb_domains_run(const struct vmb_options *o);
int vmb_endpoints_run(const struct vmb_options *o);
int vmb_regions_run(const struct vmb_options *o);
int vmb_lanes_run(const struct vmb_options *o);
int vmb_peers_run(const struct vmb_options *o);
int vmb_limits_run(const struct vmb_options *o);
int vmb_weights_run(const struct vmb_options *o);
int vmb_counters_run(const struct vmb_options *o);
int vmb_faults_run(const struct vmb_options *o);
int vmb_set_limit_run(const struct vmb_options *o);
int vmb_set_weight_run(const struct vmb_options *o);
int vmb_top_run(const struct vmb_options *o);

/* "vmbctl: ..." on stderr, clean (text.h); returns code. */
int vmb_fail(int code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * One JSON document and a newline on stdout; compact: on one line. For a
 * terminal all that is not ASCII is escaped.
 */
void vmb_json_print(const json_t *json, bool compact);

#endif
