/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep.h - measure a pair by tests and sizes: all points and their floors in
 * interleaved rounds, so that a disturbance of the machine meets them all.
 */
#ifndef BENCH_SWEEP_H
#define BENCH_SWEEP_H

#include "pair.h"

enum bench_test {
	BENCH_TEST_LATENCY,
	BENCH_TEST_BANDWIDTH,
	BENCH_TEST_BIDIRECTIONAL,
	BENCH_TEST_RATE,
	BENCH_TESTS,
};

extern const char *const bench_test_names[BENCH_TESTS + 1];

struct bench_sweep {
	struct bench bench;
	struct bench_pair_options pair;
	bool tests[BENCH_TESTS];
	unsigned window; /* of all tests but latency */
	unsigned idle;	 /* endpoints opened beside; 0: not measured */
	bool one_buffer; /* for all messages of a window */
};

void bench_sweep_init(struct bench_sweep *s);
/* The whole run after argp. 0 or -errno, after a message. */
int bench_sweep_main(struct bench_sweep *s, const char *name);

#endif
