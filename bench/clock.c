// SPDX-License-Identifier: BSD-2-Clause
/*
 * clock.c - choose and calibrate the clock of the measured loops.
 *
 * Flow:  bench_open() -> [here] once
 * Owns:  the speed of the clock.
 * Trust: the flags the kernel shows in /proc/cpuinfo.
 */
#include "clock.h"

#include <stdio.h>
#include <string.h>

#define CALIBRATION_NS 20000000u

bool bench_clock_is_tsc;
static double ns_per_tick = 1.0;

/* Does the time stamp run at one speed, also in sleep? */
static bool tsc_is_steady(void)
{
	char line[8192];
	bool steady = false;
	FILE *f = fopen("/proc/cpuinfo", "re");

	if (!f)
		return false;
	while (!steady && fgets(line, sizeof(line), f))
		steady = !strncmp(line, "flags", 5) &&
			 strstr(line, " constant_tsc") &&
			 strstr(line, " nonstop_tsc");
	fclose(f);
	return steady;
}

void bench_clock_init(void)
{
	uint64_t ns, ticks, end;

	bench_clock_is_tsc = tsc_is_steady();
	if (!bench_clock_is_tsc)
		return;
	ns = bench_monotonic_ns();
	ticks = bench_ticks();
	do {
		end = bench_monotonic_ns();
	} while (end - ns < CALIBRATION_NS);
	ns_per_tick = (double)(end - ns) / (double)(bench_ticks() - ticks);
}

double bench_ns_per_tick(void)
{
	return ns_per_tick;
}

double bench_clock_overhead_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 10000; i++) {
		uint64_t start = bench_ticks();
		uint64_t took = bench_ticks() - start;

		if (took < best)
			best = took;
	}
	return (double)best * ns_per_tick;
}
