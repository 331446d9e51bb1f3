/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pattern.h - payloads whose bytes depend on their place and on a seed, so that
 * a byte that is lost, moved or of another message is noticed.
 */
#ifndef TESTS_SUPPORT_PATTERN_H
#define TESTS_SUPPORT_PATTERN_H

#include <stddef.h>

static inline unsigned char t_pattern_byte(size_t place, unsigned seed)
{
	return (unsigned char)(place * 31 + (place >> 8) * 7 + seed * 101 + 1);
}

static inline void t_pattern_fill(void *buf, size_t len, unsigned seed)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = t_pattern_byte(i, seed);
}

/* The place of the first byte that is wrong, or len. */
static inline size_t t_pattern_check(const void *buf, size_t len, unsigned seed)
{
	const unsigned char *p = buf;
	size_t i = 0;

	while (i < len && p[i] == t_pattern_byte(i, seed))
		i++;
	return i;
}

#endif
