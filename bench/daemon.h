/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - the vmbd that a bench talks to: the running one, or a private
 * one with one engine thread, which always ends with the bench.
 */
#ifndef BENCH_DAEMON_H
#define BENCH_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "options.h"

struct bench_daemon {
	bool private;
	pid_t pid;	 /* of vmbd, ours or not; 0: in another domain */
	char where[108]; /* its socket; empty: in another domain */
};

/*
 * Find or start the daemon as options->daemon says, and set VMB_PORT so that
 * vmb_init() goes there. At most one at a time. Prints what went wrong. In a
 * guest, whose daemon is in another domain, nothing is found nor set.
 */
int bench_daemon_open(struct bench_daemon *d,
		      const struct bench_options *options);
/* Ends a private one and removes its socket. */
void bench_daemon_close(struct bench_daemon *d);

/* The same in a hurry: killed, not asked. Safe in a signal handler. */
void bench_daemon_abandon(void);

/*
 * Wait until the engine sleeps, so that bare measurements have the processor
 * for themselves. false: it did not within a second. An engine in another
 * domain has a processor of its own.
 */
bool bench_daemon_settle(const struct bench_daemon *d);

#endif
