// SPDX-License-Identifier: BSD-2-Clause
/*
 * nonblocking.c - each collective that has a request, all of them under way at
 * once and several times over; the results are looked at when all have ended.
 */
#include <stdlib.h>
#include <string.h>

#include "elements.h"

#define RANKS_MAX 64

enum {
	ROUNDS = 3, /* of all of them, at the same time */
	KINDS = 17
};

/* What the collectives of one round are given, and where they put it. */
struct round {
	int n, root;
	int lens[RANKS_MAX], at[RANKS_MAX], end; /* unequal: n + r */
	long *mine;				 /* n * ranks elements */
	long *each;				 /* n for each rank */
	long *unequal;				 /* of this rank */
	long *bcast, *gather, *gatherv, *scatter, *scatterv, *allgather,
		*allgatherv, *alltoall, *alltoallv, *alltoallw, *reduce,
		*allreduce, *reduce_scatter, *block, *scan, *exscan;
	MPI_Datatype types[RANKS_MAX];
	int byte_at[RANKS_MAX], equal[RANKS_MAX], equal_at[RANKS_MAX];
	MPI_Request requests[KINDS];
};

static void layout(struct round *x)
{
	for (int r = 0; r < ranks; r++) {
		x->lens[r] = x->n + r;
		x->at[r] = x->end;
		x->end += x->lens[r] + 2;
		x->types[r] = MPI_LONG;
		x->equal[r] = x->n;
		x->equal_at[r] = x->n * r;
		x->byte_at[r] = x->n * r * (int)sizeof(long);
	}
}

static long *room(struct round *x)
{
	return elements_room((long)x->n * ranks + x->end);
}

static struct round *round_make(int n, int root)
{
	struct round *x = conform_alloc(sizeof(*x));

	*x = (struct round){.n = n, .root = root};
	layout(x);
	x->mine = elements_make(rank, (long)n * ranks + x->end);
	x->unequal = elements_make(rank, x->lens[rank]);
	x->each = room(x);
	for (int r = 0; r < ranks; r++)
		elements_put(x->each + (long)n * r, rank * 100 + r, n);
	x->bcast = rank == root ? elements_make(root, n) : room(x);
	x->gather = room(x);
	x->gatherv = room(x);
	x->scatter = room(x);
	x->scatterv = room(x);
	x->allgather = room(x);
	x->allgatherv = room(x);
	x->alltoall = room(x);
	x->alltoallv = room(x);
	x->alltoallw = room(x);
	x->reduce = room(x);
	x->allreduce = room(x);
	x->reduce_scatter = room(x);
	x->block = room(x);
	x->scan = room(x);
	x->exscan = room(x);
	return x;
}

static void begin_rooted(struct round *x)
{
	MPI_Request *q = x->requests;
	int n = x->n, own = x->lens[rank];

	MPI_Ibarrier(world, &q[0]);
	MPI_Ibcast(x->bcast, n, MPI_LONG, x->root, world, &q[1]);
	MPI_Igather(x->mine, n, MPI_LONG, x->gather, n, MPI_LONG, x->root,
		    world, &q[2]);
	MPI_Igatherv(x->unequal, own, MPI_LONG, x->gatherv, x->lens, x->at,
		     MPI_LONG, x->root, world, &q[3]);
	MPI_Iscatter(x->each, n, MPI_LONG, x->scatter, n, MPI_LONG, x->root,
		     world, &q[4]);
	MPI_Iscatterv(x->mine, x->lens, x->at, MPI_LONG, x->scatterv, own,
		      MPI_LONG, x->root, world, &q[5]);
	MPI_Ireduce(x->mine, x->reduce, n, MPI_LONG, MPI_SUM, x->root, world,
		    &q[6]);
}

static void begin_each(struct round *x)
{
	MPI_Request *q = x->requests;
	int n = x->n, own = x->lens[rank];

	MPI_Iallgather(x->mine, n, MPI_LONG, x->allgather, n, MPI_LONG, world,
		       &q[7]);
	MPI_Iallgatherv(x->unequal, own, MPI_LONG, x->allgatherv, x->lens,
			x->at, MPI_LONG, world, &q[8]);
	MPI_Ialltoall(x->each, n, MPI_LONG, x->alltoall, n, MPI_LONG, world,
		      &q[9]);
	MPI_Ialltoallv(x->each, x->equal, x->equal_at, MPI_LONG, x->alltoallv,
		       x->equal, x->equal_at, MPI_LONG, world, &q[10]);
	MPI_Ialltoallw(x->each, x->equal, x->byte_at, x->types, x->alltoallw,
		       x->equal, x->byte_at, x->types, world, &q[11]);
	MPI_Iallreduce(x->mine, x->allreduce, n, MPI_LONG, MPI_SUM, world,
		       &q[12]);
	MPI_Ireduce_scatter(x->mine, x->reduce_scatter, x->lens, MPI_LONG,
			    MPI_SUM, world, &q[13]);
	MPI_Ireduce_scatter_block(x->mine, x->block, n, MPI_LONG, MPI_SUM,
				  world, &q[14]);
	MPI_Iscan(x->mine, x->scan, n, MPI_LONG, MPI_SUM, world, &q[15]);
	MPI_Iexscan(x->mine, x->exscan, n, MPI_LONG, MPI_SUM, world, &q[16]);
}

/* The root scattered elements of its own: of `each`, and of `mine`, with gaps. */
static void check_rooted(const struct round *x)
{
	int n = x->n;

	elements_check(x->bcast, x->root, n);
	elements_check(x->scatter, x->root * 100 + rank, n);
	for (int i = 0; i < x->lens[rank]; i++)
		CHECK_INT(x->scatterv[i], element(x->root, x->at[rank] + i));
	if (rank != x->root)
		return;
	for (int r = 0; r < ranks; r++) {
		elements_check(x->gather + (long)n * r, r, n);
		elements_check(x->gatherv + x->at[r], r, x->lens[r]);
	}
	elements_check_sum(x->reduce, ranks - 1, 0, n);
}

static void check_each(const struct round *x)
{
	int n = x->n, before = 0;

	for (int r = 0; r < ranks; r++) {
		elements_check(x->allgather + (long)n * r, r, n);
		elements_check(x->allgatherv + x->at[r], r, x->lens[r]);
		elements_check(x->alltoall + (long)n * r, r * 100 + rank, n);
		elements_check(x->alltoallv + (long)n * r, r * 100 + rank, n);
		elements_check(x->alltoallw + (long)n * r, r * 100 + rank, n);
	}
	for (int r = 0; r < rank; r++)
		before += x->lens[r];
	elements_check_sum(x->allreduce, ranks - 1, 0, n);
	elements_check_sum(x->reduce_scatter, ranks - 1, before, x->lens[rank]);
	elements_check_sum(x->block, ranks - 1, (long)n * rank, n);
	elements_check_sum(x->scan, rank, 0, n);
	if (rank)
		elements_check_sum(x->exscan, rank - 1, 0, n);
}

static void round_end(struct round *x)
{
	long *all[] = {x->mine,		 x->each,     x->unequal,
		       x->bcast,	 x->gather,   x->gatherv,
		       x->scatter,	 x->scatterv, x->allgather,
		       x->allgatherv,	 x->alltoall, x->alltoallv,
		       x->alltoallw,	 x->reduce,   x->allreduce,
		       x->scan,		 x->exscan,   x->block,
		       x->reduce_scatter};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
	free(x);
}

static void all_at_once(void)
{
	static const int counts[] = {1, 50, 2000, 20000};

	for (int c = 0; c < (is_short ? 3 : 4); c++) {
		struct round *rounds[ROUNDS];

		for (int i = 0; i < ROUNDS; i++) {
			rounds[i] = round_make(counts[c], (c + i) % ranks);
			begin_rooted(rounds[i]);
			begin_each(rounds[i]);
		}
		for (int i = ROUNDS; i-- > 0;)
			MPI_Waitall(KINDS, rounds[i]->requests,
				    MPI_STATUSES_IGNORE);
		for (int i = 0; i < ROUNDS; i++) {
			check_rooted(rounds[i]);
			check_each(rounds[i]);
			round_end(rounds[i]);
		}
	}
}

/* It does not end before all have begun it: rank 0 comes when it was told. */
static void barrier_waits(void)
{
	int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks, flag;
	MPI_Request request;

	if (rank) {
		MPI_Ibarrier(world, &request);
		MPI_Recv(NULL, 0, MPI_BYTE, left, 3, world, MPI_STATUS_IGNORE);
		MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
		CHECK(!flag);
		MPI_Send(NULL, 0, MPI_BYTE, right, 3, world);
	} else {
		MPI_Send(NULL, 0, MPI_BYTE, right, 3, world);
		MPI_Recv(NULL, 0, MPI_BYTE, left, 3, world, MPI_STATUS_IGNORE);
		MPI_Ibarrier(world, &request);
	}
	MPI_Wait(&request, MPI_STATUS_IGNORE);
}

const struct conform_case nonblocking_cases[] = {
	{"all_at_once", all_at_once, 1, false},
	{"barrier_waits", barrier_waits, 2, false},
	{NULL, NULL, 0, false}};
