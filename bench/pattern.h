/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pattern.h - payloads that can be checked: every 8 bytes depend on the seed
 * and on their place, so that stale, shifted, swapped or missing data differ.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void bench_pattern_fill(void *buf, size_t len, uint64_t seed);
/* false: some byte is not what fill would write. */
bool bench_pattern_check(const void *buf, size_t len, uint64_t seed);

#endif
