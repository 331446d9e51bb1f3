// SPDX-License-Identifier: BSD-2-Clause
/*
 * check.c - how a program of ours says that something is wrong, and bytes that tell
 * where they belong.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

int rank, ranks;
MPI_Comm world;
bool is_short;
const char *which = "start";

void conform_fail(const char *file, int line, const char *what, long have,
		  long want)
{
	fprintf(stderr, "%s:%d: rank %d of %d, case %s: %s is %ld, not %ld\n",
		file, line, rank, ranks, which, what, have, want);
	MPI_Abort(MPI_COMM_WORLD, 1);
	abort();
}

void *conform_alloc(size_t len)
{
	void *p = malloc(len ? len : 1);

	CHECK(p);
	return p;
}

/* One multiplication for 8 bytes: large messages take no longer to check. */
static uint64_t word(size_t at, unsigned seed)
{
	return (at + 1) * 0x9e3779b97f4a7c15u ^ seed * 0xc2b2ae3d27d4eb4fu;
}

void conform_fill(void *buf, size_t len, unsigned seed)
{
	for (size_t at = 0; at < len; at += 8) {
		uint64_t w = word(at, seed);

		memcpy((char *)buf + at, &w, len - at < 8 ? len - at : 8);
	}
}

void conform_verify(const void *buf, size_t len, unsigned seed)
{
	for (size_t at = 0; at < len; at += 8) {
		uint64_t w = word(at, seed);

		if (memcmp((const char *)buf + at, &w,
			   len - at < 8 ? len - at : 8))
			conform_fail(__FILE__, __LINE__, "first wrong byte",
				     (long)at, (long)len);
	}
}

void conform_then(const char *command)
{
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0)
		CHECK_INT(system(command), 0);
	MPI_Barrier(MPI_COMM_WORLD);
}
