// SPDX-License-Identifier: BSD-2-Clause
/*
 * collectives.c - what all ranks do together, with every root and several sizes.
 */
#include <stdlib.h>
#include <string.h>

#include "elements.h"

static const int counts[] = {0, 1, 100, 10000, 100000};

static int counts_count(void)
{
	return is_short ? 4 : 5;
}

static void bcast(void)
{
	for (int c = 0; c < counts_count(); c++) {
		for (int root = 0; root < ranks; root++) {
			int n = counts[c];
			long *p = rank == root ? elements_make(root, n)
					       : elements_room(n);

			MPI_Bcast(p, n, MPI_LONG, root, world);
			for (int i = 0; i < n; i++)
				CHECK_INT(p[i], element(root, i));
			free(p);
		}
	}
}

static void reduce(void)
{
	for (int c = 0; c < counts_count(); c++) {
		int n = counts[c];
		long *mine = elements_make(rank, n), *all = elements_room(n);

		for (int root = 0; root < ranks; root++) {
			MPI_Reduce(mine, all, n, MPI_LONG, MPI_SUM, root,
				   world);
			for (int i = 0; i < n && rank == root; i++)
				CHECK_INT(all[i], elements_sum(ranks - 1, i));
		}
		MPI_Allreduce(mine, all, n, MPI_LONG, MPI_MAX, world);
		for (int i = 0; i < n; i++)
			CHECK_INT(all[i], element(ranks - 1, i));
		MPI_Allreduce(MPI_IN_PLACE, mine, n, MPI_LONG, MPI_SUM, world);
		for (int i = 0; i < n; i++)
			CHECK_INT(mine[i], elements_sum(ranks - 1, i));
		free(mine);
		free(all);
	}
}

static void scans(void)
{
	for (int c = 0; c < counts_count(); c++) {
		int n = counts[c];
		long *mine = elements_make(rank, n), *part = elements_room(n);

		MPI_Scan(mine, part, n, MPI_LONG, MPI_SUM, world);
		for (int i = 0; i < n; i++)
			CHECK_INT(part[i], elements_sum(rank, i));
		MPI_Exscan(mine, part, n, MPI_LONG, MPI_SUM, world);
		for (int i = 0; i < n && rank; i++)
			CHECK_INT(part[i], elements_sum(rank - 1, i));
		free(mine);
		free(part);
	}
}

static void reduce_scatter(void)
{
	for (int c = 0; c < counts_count(); c++) {
		int n = counts[c] / ranks;
		long *mine = elements_make(rank, (long)n * ranks),
		     *part = elements_room(n);

		MPI_Reduce_scatter_block(mine, part, n, MPI_LONG, MPI_SUM,
					 world);
		for (int i = 0; i < n; i++)
			CHECK_INT(part[i],
				  elements_sum(ranks - 1, (long)n * rank + i));
		free(mine);
		free(part);
	}
}

static void gather_and_scatter(void)
{
	for (int c = 0; c < counts_count(); c++) {
		int n = counts[c];
		long *mine = elements_make(rank, n),
		     *all = elements_room((long)n * ranks);

		for (int root = 0; root < ranks; root++) {
			MPI_Gather(mine, n, MPI_LONG, all, n, MPI_LONG, root,
				   world);
			for (int r = 0; r < ranks && rank == root; r++)
				for (int i = 0; i < n; i++)
					CHECK_INT(all[(long)r * n + i],
						  element(r, i));
			memset(mine, 0, (size_t)n * sizeof(long));
			MPI_Scatter(all, n, MPI_LONG, mine, n, MPI_LONG, root,
				    world);
			for (int i = 0; i < n; i++)
				CHECK_INT(mine[i], element(rank, i));
		}
		MPI_Allgather(mine, n, MPI_LONG, all, n, MPI_LONG, world);
		for (int r = 0; r < ranks; r++)
			for (int i = 0; i < n; i++)
				CHECK_INT(all[(long)r * n + i], element(r, i));
		free(mine);
		free(all);
	}
}

/* Rank r has n + r * 10 elements, with a gap of 3 between those of two. */
static void gather_unequal(void)
{
	int at[64], lens[64];

	CHECK(ranks <= 64);
	for (int c = 0; c < counts_count(); c++) {
		int n = counts[c], end = 0;
		long *mine = elements_make(rank, n + rank * 10), *all;

		for (int r = 0; r < ranks; r++) {
			lens[r] = n + r * 10;
			at[r] = end;
			end += lens[r] + 3;
		}
		all = elements_room(end);
		MPI_Allgatherv(mine, lens[rank], MPI_LONG, all, lens, at,
			       MPI_LONG, world);
		for (int r = 0; r < ranks; r++)
			for (int i = 0; i < lens[r]; i++)
				CHECK_INT(all[at[r] + i], element(r, i));
		for (int root = 0; root < ranks; root++) {
			memset(mine, 0, (size_t)lens[rank] * sizeof(long));
			MPI_Scatterv(all, lens, at, MPI_LONG, mine, lens[rank],
				     MPI_LONG, root, world);
			for (int i = 0; i < lens[rank]; i++)
				CHECK_INT(mine[i], element(rank, i));
			if (rank == root)
				memset(all, 0, (size_t)end * sizeof(long));
			MPI_Gatherv(mine, lens[rank], MPI_LONG, all, lens, at,
				    MPI_LONG, root, world);
			for (int r = 0; r < ranks && rank == root; r++)
				for (int i = 0; i < lens[r]; i++)
					CHECK_INT(all[at[r] + i],
						  element(r, i));
		}
		free(mine);
		free(all);
	}
}

static void alltoall(void)
{
	for (int c = 0; c < counts_count(); c++) {
		int n = counts[c];
		long *out = elements_room((long)n * ranks),
		     *in = elements_room((long)n * ranks);
		MPI_Request request;

		for (int r = 0; r < ranks; r++)
			for (int i = 0; i < n; i++)
				out[(long)r * n + i] = element_for(rank, r, i);
		for (int again = 0; again < 2; again++) {
			if (again) {
				MPI_Ialltoall(out, n, MPI_LONG, in, n, MPI_LONG,
					      world, &request);
				MPI_Wait(&request, MPI_STATUS_IGNORE);
			} else {
				MPI_Alltoall(out, n, MPI_LONG, in, n, MPI_LONG,
					     world);
			}
			for (int r = 0; r < ranks; r++)
				for (int i = 0; i < n; i++)
					CHECK_INT(in[(long)r * n + i],
						  element_for(r, rank, i));
			memset(in, 0, (size_t)n * (size_t)ranks * sizeof(long));
		}
		free(out);
		free(in);
	}
}

/* From r to s go 5 * (r + s) elements. */
static void alltoall_unequal(void)
{
	int out_n[64], out_at[64], in_at[64], end = 0;
	long *out, *in;

	for (int r = 0; r < ranks; r++) {
		out_n[r] = 5 * (rank + r);
		out_at[r] = in_at[r] = end;
		end += out_n[r];
	}
	out = elements_room(end);
	in = elements_room(end);
	for (int r = 0; r < ranks; r++)
		for (int i = 0; i < out_n[r]; i++)
			out[out_at[r] + i] = element_for(rank, r, i);
	MPI_Alltoallv(out, out_n, out_at, MPI_LONG, in, out_n, in_at, MPI_LONG,
		      world);
	for (int r = 0; r < ranks; r++)
		for (int i = 0; i < out_n[r]; i++)
			CHECK_INT(in[in_at[r] + i], element_for(r, rank, i));
	free(out);
	free(in);
}

/* Several under way at once, and messages beside them. */
static void nonblocking(void)
{
	enum {
		N = 5000
	};
	long *a = rank ? elements_room(N) : elements_make(0, N),
	     *b = elements_make(rank, N), *c = elements_room(N), out = rank,
	     in = -1;
	MPI_Request requests[5];

	MPI_Ibcast(a, N, MPI_LONG, 0, world, &requests[0]);
	MPI_Iallreduce(b, c, N, MPI_LONG, MPI_SUM, world, &requests[1]);
	MPI_Ibarrier(world, &requests[2]);
	MPI_Irecv(&in, 1, MPI_LONG, (rank + ranks - 1) % ranks, 9, world,
		  &requests[3]);
	MPI_Isend(&out, 1, MPI_LONG, (rank + 1) % ranks, 9, world,
		  &requests[4]);
	MPI_Waitall(5, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < N; i++) {
		CHECK_INT(a[i], element(0, i));
		CHECK_INT(c[i], elements_sum(ranks - 1, i));
	}
	CHECK_INT(in, (rank + ranks - 1) % ranks);
	free(a);
	free(b);
	free(c);
}

static void barrier(void)
{
	for (int i = 0; i < 1000; i++)
		MPI_Barrier(world);
}

const struct conform_case collectives_cases[] = {
	{"barrier", barrier, 1, false},
	{"bcast", bcast, 1, false},
	{"reduce", reduce, 1, false},
	{"reduce_scatter", reduce_scatter, 1, false},
	{"scans", scans, 1, false},
	{"gather_and_scatter", gather_and_scatter, 1, false},
	{"gather_unequal", gather_unequal, 1, false},
	{"alltoall", alltoall, 1, false},
	{"alltoall_unequal", alltoall_unequal, 1, false},
	{"nonblocking", nonblocking, 1, false},
	{NULL, NULL, 0, false}};
