/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what the targets share: a check that ends the program, choices from
 * the fuzzer's bytes, and how many descriptors are open.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_FDS 64 /* no target has more open */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

/* Descriptors of this process: one that is lost is never seen otherwise. */
static inline unsigned fuzz_open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < FUZZ_FDS; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

#endif
