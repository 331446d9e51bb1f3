/* SPDX-License-Identifier: BSD-2-Clause */
/* jain.h - how equal are parts? Of what parties got in one and the same time. */
#ifndef BENCH_JAIN_H
#define BENCH_JAIN_H

/*
 * Jain's index: 1 when all are equal, 1/n when one has everything. NAN when
 * nobody has anything.
 */
double bench_jain(const double *got, unsigned n);

/*
 * The same of the parts that each got of what it was entitled to (max-min
 * fairness). The first `bounded` parties move alone[i] when they are alone: one
 * that moves less than an equal share even then has all that as its part; the
 * others share the rest equally.
 */
double bench_jain_entitled(const double *got, const double *alone,
			   unsigned bounded, unsigned n);

#endif
