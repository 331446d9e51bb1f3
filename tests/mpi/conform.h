/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform.h - an MPI program that checks what it gets: its cases, and how they
 * say that something is wrong.
 *
 *   conform.c      arguments, the list of cases
 *   check.c        what goes wrong; module.h has it, too
 *   p2p.c          messages between two ranks
 *   modes.c        each way to begin a message: modes, persistent, matched
 *   completion.c   each way to hear of its end
 *   types.c        derived datatypes with holes
 *   collectives.c  what all ranks do together
 *   reductions.c   operations, unequal shares, in place
 *   nonblocking.c  collectives with a request, all at once
 *   neighbours.c   collectives of a grid and of a graph
 *   groups.c       collectives between two groups
 *   onesided.c     windows
 *   atomics.c      windows that several write at once
 *   comms.c        communicators, threads, spawned processes
 *   elements.h     what collectives are given, and what they have to give
 */
#ifndef TESTS_MPI_CONFORM_H
#define TESTS_MPI_CONFORM_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

extern int rank, ranks;	  /* in `world` */
extern MPI_Comm world;	  /* of the case alone */
extern bool is_short;	  /* fewer and smaller */
extern const char *which; /* the case that runs */

struct conform_case {
	const char *name;
	void (*run)(void);
	int ranks_min;
	bool threads; /* needs MPI_THREAD_MULTIPLE */
};

extern const struct conform_case p2p_cases[], modes_cases[], completion_cases[],
	types_cases[], collectives_cases[], reductions_cases[],
	nonblocking_cases[], neighbours_cases[], groups_cases[],
	onesided_cases[], atomics_cases[], comms_cases[];

/* Says where and what, and ends the job. */
void conform_fail(const char *file, int line, const char *what, long have,
		  long want) __attribute__((noreturn));

#define CHECK_INT(have, want)                                                  \
	do {                                                                   \
		long have_ = (long)(have), want_ = (long)(want);               \
		if (have_ != want_)                                            \
			conform_fail(__FILE__, __LINE__, #have, have_, want_); \
	} while (0)
#define CHECK(what) CHECK_INT(!!(what), 1)

void *conform_alloc(size_t len);
/* Bytes that depend on the seed and on their place. */
void conform_fill(void *buf, size_t len, unsigned seed);
/* All of them are as filled with this seed. */
void conform_verify(const void *buf, size_t len, unsigned seed);
/* Rank 0 runs a command of the shell, while all are still there. */
void conform_then(const char *command);

#endif
