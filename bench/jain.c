// SPDX-License-Identifier: BSD-2-Clause
/*
 * jain.c - how equal are parts?
 *
 * Flow:  vmb-fair -> [here]
 * Owns:  nothing.
 * Trust: its callers.
 */
#include "jain.h"

#include <math.h>

/* Sums from which the index follows, so that parts need no array. */
struct sums {
	double sum, squares;
};

static void sums_add(struct sums *s, double part)
{
	s->sum += part;
	s->squares += part * part;
}

static double sums_index(const struct sums *s, unsigned n)
{
	return s->squares > 0 ? s->sum * s->sum / (n * s->squares) : NAN;
}

double bench_jain(const double *got, unsigned n)
{
	struct sums sums = {0};

	for (unsigned i = 0; i < n; i++)
		sums_add(&sums, got[i]);
	return sums_index(&sums, n);
}

double bench_jain_entitled(const double *got, const double *alone,
			   unsigned bounded, unsigned n)
{
	struct sums sums = {0};
	double rest = 0, share;

	for (unsigned i = 0; i < n; i++)
		rest += got[i];
	share = rest / n;
	for (unsigned i = 0; i < bounded; i++) {
		double entitled = fmin(alone[i], share);

		sums_add(&sums, got[i] / entitled);
		rest -= entitled;
	}
	for (unsigned i = bounded; i < n; i++)
		sums_add(&sums, got[i] / (rest / (n - bounded)));
	return sums_index(&sums, n);
}
