// SPDX-License-Identifier: BSD-2-Clause
/*
 * hist.c - reading and adding histograms.
 *
 * Flow:  measured loop -> bench_hist_record() (inline) -> [here] -> report
 * Owns:  nothing; the caller has the memory.
 * Trust: its callers.
 */
#include "hist.h"

#include <string.h>

void bench_hist_init(struct bench_hist *h, double unit_ns)
{
	memset(h, 0, sizeof(*h));
	h->unit_ns = unit_ns;
	h->min = UINT64_MAX;
}

void bench_hist_merge(struct bench_hist *h, const struct bench_hist *from)
{
	h->count += from->count;
	if (from->min < h->min)
		h->min = from->min;
	if (from->max > h->max)
		h->max = from->max;
	for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++)
		h->buckets[i] += from->buckets[i];
}

/* The middle of a bucket. */
static double bucket_value(unsigned index)
{
	unsigned shift;
	uint64_t low;

	if (index < BENCH_HIST_SUB)
		return index;
	shift = index / BENCH_HIST_SUB - 1;
	low = (uint64_t)(BENCH_HIST_SUB + index % BENCH_HIST_SUB) << shift;
	return (double)low + (double)((1ull << shift) - 1) / 2;
}

double bench_hist_quantile_ns(const struct bench_hist *h, double q)
{
	uint64_t rank = (uint64_t)(q * (double)h->count);
	uint64_t seen = 0;
	double v = 0;

	if (!h->count)
		return 0;
	if (rank >= h->count)
		rank = h->count - 1;
	for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > rank) {
			v = bucket_value(i);
			break;
		}
	}
	/* the middle of the outer buckets may lie outside of what was seen */
	if (v < (double)h->min)
		v = (double)h->min;
	if (v > (double)h->max)
		v = (double)h->max;
	return v * h->unit_ns;
}

double bench_hist_min_ns(const struct bench_hist *h)
{
	return h->count ? (double)h->min * h->unit_ns : 0;
}

double bench_hist_max_ns(const struct bench_hist *h)
{
	return (double)h->max * h->unit_ns;
}
