// SPDX-License-Identifier: BSD-2-Clause
/*
 * groups.c - collectives between two groups: the even ranks and the odd ones.
 * Each group gets what the other one has.
 */
#include <stdlib.h>
#include <string.h>

#include "elements.h"

static const int counts[] = {0, 1, 100, 5000, 50000};

static int counts_count(void)
{
	return is_short ? 4 : 5;
}

struct sides {
	MPI_Comm half, inter;
	int mine, theirs; /* how many */
	int me;		  /* in my group */
};

static struct sides sides_make(void)
{
	struct sides s;

	MPI_Comm_split(world, rank % 2, rank, &s.half);
	MPI_Intercomm_create(s.half, 0, world, 1 - rank % 2, 7, &s.inter);
	MPI_Comm_rank(s.half, &s.me);
	MPI_Comm_size(s.half, &s.mine);
	MPI_Comm_remote_size(s.inter, &s.theirs);
	return s;
}

static void sides_free(struct sides *s)
{
	MPI_Comm_free(&s->inter);
	MPI_Comm_free(&s->half);
}

/* The rank in `world` of number i of the other group. */
static int other(int i)
{
	return 2 * i + 1 - rank % 2;
}

static long other_sum(const struct sides *s, long i)
{
	long sum = 0;

	for (int r = 0; r < s->theirs; r++)
		sum += element(other(r), i);
	return sum;
}

static void check_other_sum(const struct sides *s, const long *p, long from,
			    long n)
{
	for (long i = 0; i < n; i++)
		CHECK_INT(p[i], other_sum(s, from + i));
}

/* What the root argument is here, if number i of group `side` is the root. */
static int root_of(const struct sides *s, int side, int i)
{
	if (rank % 2 != side)
		return i;
	return s->me == i ? MPI_ROOT : MPI_PROC_NULL;
}

static int side_size(const struct sides *s, int side)
{
	return rank % 2 == side ? s->mine : s->theirs;
}

/* ---- from one to all of the others, and back ------------------------------ */

static void bcast_one(const struct sides *s, int side, int i, int n)
{
	int root = root_of(s, side, i);
	long *p = root == MPI_ROOT ? elements_make(rank, n) : elements_room(n);

	MPI_Bcast(p, n, MPI_LONG, root, s->inter);
	if (rank % 2 != side)
		elements_check(p, other(i), n);
	free(p);
}

static void reduce_one(const struct sides *s, int side, int i, int n)
{
	int root = root_of(s, side, i);
	long *mine = elements_make(rank, n), *all = elements_room(n);

	MPI_Reduce(mine, all, n, MPI_LONG, MPI_SUM, root, s->inter);
	if (root == MPI_ROOT)
		check_other_sum(s, all, 0, n);
	free(mine);
	free(all);
}

/* The root gathers from the others, and what it got goes back to them. */
static void gather_one(const struct sides *s, int side, int i, int n)
{
	int root = root_of(s, side, i);
	long *mine = elements_make(rank, n),
	     *all = elements_room((long)n * s->theirs);

	MPI_Gather(mine, n, MPI_LONG, all, n, MPI_LONG, root, s->inter);
	for (int r = 0; root == MPI_ROOT && r < s->theirs; r++)
		elements_check(all + (long)n * r, other(r), n);
	memset(mine, 0, (size_t)n * sizeof(long));
	MPI_Scatter(all, n, MPI_LONG, mine, n, MPI_LONG, root, s->inter);
	if (rank % 2 != side)
		elements_check(mine, rank, n);
	free(mine);
	free(all);
}

static void between_rooted(void)
{
	struct sides s = sides_make();

	for (int c = 0; c < counts_count(); c++)
		for (int side = 0; side < 2; side++)
			for (int i = 0; i < side_size(&s, side); i++) {
				bcast_one(&s, side, i, counts[c]);
				reduce_one(&s, side, i, counts[c]);
				gather_one(&s, side, i, counts[c]);
			}
	sides_free(&s);
}

/* ---- all with all of the others ------------------------------------------- */

static void allreduce(const struct sides *s, int n)
{
	long *mine = elements_make(rank, n), *all = elements_room(n);
	MPI_Request request;

	MPI_Allreduce(mine, all, n, MPI_LONG, MPI_SUM, s->inter);
	check_other_sum(s, all, 0, n);
	memset(all, 0, (size_t)n * sizeof(long));
	MPI_Iallreduce(mine, all, n, MPI_LONG, MPI_SUM, s->inter, &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	check_other_sum(s, all, 0, n);
	free(mine);
	free(all);
}

static void allgather(const struct sides *s, int n)
{
	long *mine = elements_make(rank, n),
	     *all = elements_room((long)n * s->theirs);

	MPI_Allgather(mine, n, MPI_LONG, all, n, MPI_LONG, s->inter);
	for (int r = 0; r < s->theirs; r++)
		elements_check(all + (long)n * r, other(r), n);
	free(mine);
	free(all);
}

/* Rank r has n + r elements, and the group one that is r, has n. */
static void allgather_unequal(const struct sides *s, int n)
{
	long *mine = elements_make(rank, n + s->me), *all;
	int lens[64], at[64], end = 0;

	for (int r = 0; r < s->theirs; r++) {
		lens[r] = n + r;
		at[r] = end;
		end += lens[r] + 1;
	}
	all = elements_room(end);
	MPI_Allgatherv(mine, n + s->me, MPI_LONG, all, lens, at, MPI_LONG,
		       s->inter);
	for (int r = 0; r < s->theirs; r++)
		elements_check(all + at[r], other(r), lens[r]);
	free(mine);
	free(all);
}

static void alltoall(const struct sides *s, int n)
{
	long *out = elements_room((long)n * s->theirs),
	     *in = elements_room((long)n * s->theirs);

	for (int r = 0; r < s->theirs; r++)
		elements_put(out + (long)n * r, rank * 100 + other(r), n);
	MPI_Alltoall(out, n, MPI_LONG, in, n, MPI_LONG, s->inter);
	for (int r = 0; r < s->theirs; r++)
		elements_check(in + (long)n * r, other(r) * 100 + rank, n);
	free(out);
	free(in);
}

/* As many for each side: what one gives is what the other one takes. */
static void reduce_scatter(const struct sides *s, int n)
{
	int each = s->theirs * n;
	long *mine = elements_make(rank, (long)n * s->mine * s->theirs),
	     *part = elements_room(each);

	MPI_Reduce_scatter_block(mine, part, each, MPI_LONG, MPI_SUM, s->inter);
	check_other_sum(s, part, (long)each * s->me, each);
	free(mine);
	free(part);
}

static void between_all(void)
{
	struct sides s = sides_make();

	for (int c = 0; c < counts_count(); c++) {
		MPI_Barrier(s.inter);
		allreduce(&s, counts[c]);
		allgather(&s, counts[c]);
		allgather_unequal(&s, counts[c]);
		alltoall(&s, counts[c]);
		reduce_scatter(&s, counts[c]);
	}
	sides_free(&s);
}

const struct conform_case groups_cases[] = {
	{"between_rooted", between_rooted, 2, false},
	{"between_all", between_all, 2, false},
	{NULL, NULL, 0, false}};
