/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.h - what the stress programs share: how many messages, a generator
 * of random numbers and a watchdog.
 *
 * Flow:  stress_ring, stress_wake, stress_lane -> [here]
 * Owns:  the watchdog thread, from start to stop.
 * Trust: nothing comes from outside but VMB_STRESS in the environment.
 */
#ifndef VMB_TESTS_STRESS_H
#define VMB_TESTS_STRESS_H

#include <stdint.h>

/* 10^6 messages; 10^8 with VMB_STRESS=nightly. Exits on any other value. */
uint32_t stress_messages(void);

/* splitmix64: the same number for the same state, on both sides. */
static inline uint64_t stress_mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint64_t stress_next(uint64_t *state)
{
	return stress_mix((*state)++);
}

/*
 * Abort with dump() when *progress has not moved for STRESS_HANG_S seconds:
 * far longer than any scheduling delay, so it means a hang. One at a time.
 */
#define STRESS_HANG_S 60

void stress_watch(const uint32_t *progress, void (*dump)(void));
void stress_unwatch(void);

#endif
