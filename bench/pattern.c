// SPDX-License-Identifier: BSD-2-Clause
/*
 * pattern.c - payloads that can be checked.
 *
 * Flow:  sender -> fill -> message -> check -> receiver
 * Owns:  nothing.
 * Trust: nothing that arrived; that is what it is for.
 */
#include "pattern.h"

#include <string.h>

/* An odd step visits all values, so no two places of a message are equal. */
#define STEP 0x9e3779b97f4a7c15ull

static uint64_t first_word(uint64_t seed)
{
	seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9ull;
	return seed ^ (seed >> 27) ^ STEP;
}

void bench_pattern_fill(void *buf, size_t len, uint64_t seed)
{
	uint64_t word = first_word(seed);
	uint8_t *at = buf;

	for (; len >= 8; len -= 8, at += 8, word += STEP)
		memcpy(at, &word, 8);
	if (len)
		memcpy(at, &word, len);
}

bool bench_pattern_check(const void *buf, size_t len, uint64_t seed)
{
	uint64_t word = first_word(seed), found, bad = 0;
	const uint8_t *at = buf;

	for (; len >= 8; len -= 8, at += 8, word += STEP) {
		memcpy(&found, at, 8);
		bad |= found ^ word;
	}
	return !bad && (!len || !memcmp(at, &word, len));
}
