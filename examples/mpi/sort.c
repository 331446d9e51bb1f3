// SPDX-License-Identifier: BSD-2-Clause
/*
 * sort.c - numbers of all ranks, sorted: each rank sends every other one those
 * that belong there, all to all, and sorts what it got.
 *
 *   mpirun -np 4 --mca pml ob1 --mca btl self,vmb sort [NUMBERS-PER-RANK]
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int rank, ranks;

static void *allocate(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	if (!p)
		MPI_Abort(MPI_COMM_WORLD, 1);
	return p;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Equal ranges of all numbers, one a rank. */
static int home(uint32_t number)
{
	return (int)((uint64_t)number * (uint64_t)ranks >> 32);
}

/* Offsets from counts; returns the sum. */
static int offsets(const int *counts, int *at)
{
	int sum = 0;

	for (int i = 0; i < ranks; i++) {
		at[i] = sum;
		sum += counts[i];
	}
	return sum;
}

/* Returns the numbers that belong here, sorted. */
static uint32_t *exchange(uint32_t *mine, int count, int *got)
{
	int *out = allocate((size_t)ranks, sizeof(int));
	int *in = allocate((size_t)ranks, sizeof(int));
	int *out_at = allocate((size_t)ranks, sizeof(int));
	int *in_at = allocate((size_t)ranks, sizeof(int));
	uint32_t *here;

	qsort(mine, (size_t)count, sizeof(*mine), compare);
	for (int i = 0; i < count; i++)
		out[home(mine[i])]++;
	MPI_Alltoall(out, 1, MPI_INT, in, 1, MPI_INT, MPI_COMM_WORLD);
	offsets(out, out_at);
	*got = offsets(in, in_at);
	here = allocate((size_t)*got, sizeof(*here));
	MPI_Alltoallv(mine, out, out_at, MPI_UINT32_T, here, in, in_at,
		      MPI_UINT32_T, MPI_COMM_WORLD);
	qsort(here, (size_t)*got, sizeof(*here), compare);
	free(out);
	free(in);
	free(out_at);
	free(in_at);
	return here;
}

/* Is it what all ranks had, in order from rank to rank? */
static int check(const uint32_t *here, int got, const uint64_t before[2])
{
	uint64_t mine[2] = {(uint64_t)got, 0}, after[2];
	int bad = 0, all;

	for (int i = 0; i < got; i++) {
		mine[1] += here[i];
		bad |= home(here[i]) != rank || (i && here[i] < here[i - 1]);
	}
	MPI_Allreduce(mine, after, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	bad |= after[0] != before[0] || after[1] != before[1];
	MPI_Allreduce(&bad, &all, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	return all;
}

int main(int argc, char **argv)
{
	int count, got, bad;
	uint64_t mine[2] = {0, 0}, before[2];
	uint32_t *numbers, *here, seed;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	count = argc > 1 ? atoi(argv[1]) : 1000000;
	numbers = allocate((size_t)count, sizeof(*numbers));
	seed = (uint32_t)rank + 1;
	for (int i = 0; i < count; i++) {
		seed = seed * 1664525u + 1013904223u; /* Knuth, TAOCP 3.3.4 */
		numbers[i] = seed;
		mine[1] += seed;
	}
	mine[0] = (uint64_t)count;
	MPI_Allreduce(mine, before, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	here = exchange(numbers, count, &got);
	bad = check(here, got, before);
	if (!rank)
		printf("%llu numbers over %d ranks: %s\n",
		       (unsigned long long)before[0], ranks,
		       bad ? "not sorted" : "sorted");
	MPI_Finalize();
	free(numbers);
	free(here);
	return bad;
}
