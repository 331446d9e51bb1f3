/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pair.h - two endpoints that exchange messages: of two processes (the peer is
 * forked, or waits somewhere as --serve), or of one thread (--self).
 *
 * Client and server speak through the messages that they measure: JOB, READY,
 * data, RESULT. So a pair needs nothing in common but the NIC.
 */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include "harness.h"
#include "side.h"

/* What a user may say about the pair; see bench_pair_argp. */
struct bench_pair_options {
	bool self, serve, am, verify;
	bool api[BENCH_APIS]; /* to be measured; none: vmb */
	bool wait_chosen;
	enum vmb_wait_mode wait;
	enum bench_memory memory;
	const char *connect; /* NAME/ID of a serving peer, or NULL */
	uint32_t id;	     /* of our endpoint when serving */
	struct bench_sizes sizes;
};

extern const struct argp bench_pair_argp;

/* What endpoints are opened through: one of MX serves both. */
static inline enum bench_api
bench_pair_api(const struct bench_pair_options *options)
{
	return options->api[BENCH_API_MX] ? BENCH_API_MX : BENCH_API_VMB;
}

struct bench_pair {
	struct bench *bench;
	const struct bench_pair_options *options;
	struct bench_side a, b; /* b: with --self */
	pid_t server;
	uint32_t server_id; /* of its endpoint */
};

/* Before bench_begin(): choose the way to wait, fork the peer. */
int bench_pair_prepare(struct bench_pair *p, struct bench *bench,
		       struct bench_pair_options *options);
/* After it: vmb_init(), open, connect. Says what failed. */
int bench_pair_open(struct bench_pair *p);
void bench_pair_close(struct bench_pair *p);

/*
 * Run one job and add what it gave to *r. Fields of the job that the options
 * decide (flags but BENCH_JOB_MX, memory) are filled in here.
 */
int bench_pair_run(struct bench_pair *p, struct bench_job *job, bool count,
		   struct bench_round *r);

/* Be a peer that serves one client after the other, until a signal. */
int bench_pair_serve(struct bench_pair *p);

/* In nanoseconds per tick: the unit of a round's histogram. */
static inline double bench_pair_unit(void)
{
	return bench_ns_per_tick() / 2; /* one way of a round trip */
}

#endif
