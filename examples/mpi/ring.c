// SPDX-License-Identifier: BSD-2-Clause
/*
 * ring.c - a number goes round, and each rank adds its own to it.
 *
 *   mpirun -np 4 --mca pml ob1 --mca btl self,vmb ring
 */
#include <mpi.h>
#include <stdio.h>

#define ROUNDS 1000

int main(int argc, char **argv)
{
	long token = 0, wanted;
	int rank, ranks, left, right;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	left = (rank + ranks - 1) % ranks;
	right = (rank + 1) % ranks;
	wanted = (long)ROUNDS * ranks * (ranks - 1) / 2;

	for (int i = 0; i < ROUNDS; i++) {
		if (rank || i)
			MPI_Recv(&token, 1, MPI_LONG, left, 0, MPI_COMM_WORLD,
				 MPI_STATUS_IGNORE);
		token += rank;
		MPI_Send(&token, 1, MPI_LONG, right, 0, MPI_COMM_WORLD);
	}
	if (!rank) {
		MPI_Recv(&token, 1, MPI_LONG, left, 0, MPI_COMM_WORLD,
			 MPI_STATUS_IGNORE);
		printf("%d rounds over %d ranks: %ld, should be %ld\n", ROUNDS,
		       ranks, token, wanted);
	}
	MPI_Finalize();
	return rank ? 0 : token != wanted;
}
