/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - what every bench program begins and ends with: clock, pinning,
 * daemon, system call counter, report.
 *
 *   main():  argp_parse() -> bench_open() -> rounds -> bench_close()
 *
 * Children that measure (floors, the peer) are forked between bench_open()
 * and bench_begin(), which pins the caller; vmb_init() comes after that.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include "clock.h"
#include "cpu.h"
#include "daemon.h"
#include "floor.h"
#include "hist.h"
#include "options.h"
#include "point.h"
#include "report.h"
#include "syscalls.h"

#define BENCH_VERSION "vmbypass bench"

struct bench {
	struct bench_options options; /* filled by argp, completed by open */
	struct bench_daemon daemon;
	struct bench_syscalls syscalls;
	struct bench_report *report;
	bool engine_placed; /* by the user, who knows what shares it */
};

enum bench_needs {
	BENCH_NEEDS_DAEMON = 1, /* else: the bare machine */
	BENCH_NEEDS_TWO = 2,	/* two processes besides the engine */
	BENCH_NEEDS_SPIN = 4,	/* which spin, whatever there is */
};

/*
 * 0 or -errno, after a message on standard error; for bench_close(): results
 * could not be written. columns as in report.h.
 * Processors that nobody chose are chosen here: see docs/performance.md.
 */
int bench_open(struct bench *b, const char *name,
	       const struct bench_column *columns, unsigned needs);
int bench_begin(struct bench *b);
int bench_close(struct bench *b);

/* Say what failed and return the code. */
int bench_fail(const char *what, int code);

/* Messages of a point and round, when each takes ns_each. */
uint64_t bench_iters(const struct bench_options *o, double ns_each);
/*
 * How many messages fit the time, found by trials. A trial tells when it took an
 * eighth of the time, and each message neither less than half nor more than
 * twice of what it took in the trial before: what the first messages set up
 * (lanes, registrations) is in neither.
 */
struct bench_trials {
	uint64_t iters; /* run so many; at the end: the answer */
	double ns_each; /* in the last trial */
	unsigned count;
};

/* first: messages of the first trial, at least 1. */
void bench_trials_begin(struct bench_trials *t, uint64_t first);
/* The trial took ns. true: no further one is needed. */
bool bench_trials_end(struct bench_trials *t, const struct bench_options *o,
		      uint64_t ns);

/*
 * Messages of size bytes under way: window, or fewer when they would take more
 * than 64 MiB, but two.
 */
unsigned bench_window_fit(unsigned window, size_t size);

#endif
