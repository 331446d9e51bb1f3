// SPDX-License-Identifier: BSD-2-Clause
/*
 * jacobi.c - heat in a plate, by Jacobi's method: each rank has some rows and
 * exchanges the rows at its edges (the halo) with its neighbours.
 *
 *   mpirun -np 2 --mca pml ob1 --mca btl self,vmb jacobi
 *
 * The upper edge is at 1, the other three at 0. At the end the value in the
 * middle is compared with the exact one, which is 1/4 by symmetry.
 */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE 129 /* rows and columns, edges included; odd: it has a middle */
#define STEPS_MAX 200000
#define SMALL 1e-8 /* change of a point in one step */

struct plate {
	int rank, ranks;
	int first, rows;    /* of ours, without the halo */
	double *now, *next; /* rows + 2 */
};

static double *row(double *values, int i)
{
	return values + (size_t)i * SIZE;
}

static void plate_init(struct plate *p)
{
	int inner = SIZE - 2;

	MPI_Comm_rank(MPI_COMM_WORLD, &p->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &p->ranks);
	p->first = 1 + inner * p->rank / p->ranks;
	p->rows = 1 + inner * (p->rank + 1) / p->ranks - p->first;
	p->now = calloc((size_t)(p->rows + 2) * SIZE, sizeof(double));
	p->next = calloc((size_t)(p->rows + 2) * SIZE, sizeof(double));
	if (!p->now || !p->next)
		MPI_Abort(MPI_COMM_WORLD, 1);
	for (int k = 1; p->rank == 0 && k < SIZE - 1; k++)
		p->now[k] = p->next[k] = 1;
}

static void exchange(struct plate *p)
{
	int up = p->rank ? p->rank - 1 : MPI_PROC_NULL;
	int down = p->rank < p->ranks - 1 ? p->rank + 1 : MPI_PROC_NULL;
	MPI_Request r[4];

	MPI_Irecv(row(p->now, 0), SIZE, MPI_DOUBLE, up, 0, MPI_COMM_WORLD,
		  &r[0]);
	MPI_Irecv(row(p->now, p->rows + 1), SIZE, MPI_DOUBLE, down, 0,
		  MPI_COMM_WORLD, &r[1]);
	MPI_Isend(row(p->now, 1), SIZE, MPI_DOUBLE, up, 0, MPI_COMM_WORLD,
		  &r[2]);
	MPI_Isend(row(p->now, p->rows), SIZE, MPI_DOUBLE, down, 0,
		  MPI_COMM_WORLD, &r[3]);
	MPI_Waitall(4, r, MPI_STATUSES_IGNORE);
}

/* Returns the largest change. */
static double step(struct plate *p)
{
	double change = 0, *swap;

	for (int i = 1; i <= p->rows; i++) {
		const double *above = row(p->now, i - 1);
		const double *here = row(p->now, i);
		const double *below = row(p->now, i + 1);
		double *to = row(p->next, i);

		for (int k = 1; k < SIZE - 1; k++) {
			to[k] = (above[k] + below[k] + here[k - 1] +
				 here[k + 1]) /
				4;
			change = fmax(change, fabs(to[k] - here[k]));
		}
	}
	swap = p->now;
	p->now = p->next;
	p->next = swap;
	return change;
}

int main(int argc, char **argv)
{
	struct plate p;
	double change = 1, mine, middle = 0, value = 0;
	int steps = 0, at = SIZE / 2;

	MPI_Init(&argc, &argv);
	plate_init(&p);
	for (; change > SMALL && steps < STEPS_MAX; steps++) {
		exchange(&p);
		mine = step(&p);
		MPI_Allreduce(&mine, &change, 1, MPI_DOUBLE, MPI_MAX,
			      MPI_COMM_WORLD);
	}
	if (at >= p.first && at < p.first + p.rows)
		middle = row(p.now, at - p.first + 1)[at];
	MPI_Reduce(&middle, &value, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
	if (!p.rank)
		printf("%d steps over %d ranks: %.4f in the middle, should be "
		       "0.2500\n",
		       steps, p.ranks, value);
	MPI_Finalize();
	free(p.now);
	free(p.next);
	return p.rank ? 0 : fabs(value - 0.25) > 1e-3;
}
