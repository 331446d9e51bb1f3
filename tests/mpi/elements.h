/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * elements.h - what collectives are given and give: element i of rank r is
 * element(r, i), so that each result can be computed.
 */
#ifndef TESTS_MPI_ELEMENTS_H
#define TESTS_MPI_ELEMENTS_H

#include <stdlib.h>
#include <string.h>

#include "conform.h"

static inline long element(int r, long i)
{
	return 1000003L * (r + 1) + 7 * i + i % 13 * r;
}

/* Element i of what r has for s. */
static inline long element_for(int r, int s, long i)
{
	return element(r * 100 + s, i);
}

/* Of ranks 0 to last. */
static inline long elements_sum(int last, long i)
{
	long s = 0;

	for (int r = 0; r <= last; r++)
		s += element(r, i);
	return s;
}

static inline void elements_put(long *p, int r, long n)
{
	for (long i = 0; i < n; i++)
		p[i] = element(r, i);
}

static inline long *elements_make(int r, long n)
{
	long *p = conform_alloc((size_t)n * sizeof(long));

	elements_put(p, r, n);
	return p;
}

/* Filled with what no element is. */
static inline long *elements_room(long n)
{
	long *p = conform_alloc((size_t)n * sizeof(long));

	memset(p, 0x11, (size_t)n * sizeof(long));
	return p;
}

/* They are n elements of r, from the first. */
static inline void elements_check(const long *p, int r, long n)
{
	for (long i = 0; i < n; i++)
		CHECK_INT(p[i], element(r, i));
}

/* They are n sums of ranks 0 to last, beginning with the sum of elements from. */
static inline void elements_check_sum(const long *p, int last, long from,
				      long n)
{
	for (long i = 0; i < n; i++)
		CHECK_INT(p[i], elements_sum(last, from + i));
}

#endif
