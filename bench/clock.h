/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - the clock of the measured loops: the processor's time stamp where
 * it runs at one speed, else CLOCK_MONOTONIC.
 *
 * A tick is read without a system call whatever clock source the kernel has,
 * so the clock never adds to the system calls that are counted. Differences
 * are meaningful on one thread only.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

extern bool bench_clock_is_tsc;

/* Once, before any use: chooses and calibrates (some 20 ms). */
void bench_clock_init(void);
double bench_ns_per_tick(void);
/* What two readings of the clock cost at least, in ns. */
double bench_clock_overhead_ns(void);

static inline uint64_t bench_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(bench_clock_is_tsc, 1)) {
		/* earlier loads must be done, or the stamp comes too early */
		__builtin_ia32_lfence();
		return __builtin_ia32_rdtsc();
	}
#endif
	return bench_monotonic_ns();
}

#endif
