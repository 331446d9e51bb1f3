// SPDX-License-Identifier: BSD-2-Clause
/*
 * comms.c - communicators that come and go, threads, spawned processes.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conform.h"

#define THREADS 4

static void come_and_go(void)
{
	for (int i = 0; i < (is_short ? 30 : 200); i++) {
		MPI_Comm copy, half;
		int n, sum;

		MPI_Comm_dup(world, &copy);
		MPI_Comm_split(copy, rank % 2, -rank, &half);
		MPI_Comm_size(half, &n);
		MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, half);
		CHECK_INT(n, (ranks + 1 - rank % 2) / 2);
		CHECK_INT(sum, n * (n - 1) + n * (rank % 2));
		MPI_Comm_free(&half);
		MPI_Comm_free(&copy);
	}
}

static void between(void)
{
	MPI_Comm half, inter, all;
	int got = -1, n, sum, mine;

	MPI_Comm_split(world, rank % 2, rank, &half);
	MPI_Intercomm_create(half, 0, world, 1 - rank % 2, 7, &inter);
	MPI_Comm_rank(half, &mine);
	MPI_Comm_remote_size(inter, &n);
	if (mine < n) {
		MPI_Sendrecv(&rank, 1, MPI_INT, mine, 0, &got, 1, MPI_INT, mine,
			     0, inter, MPI_STATUS_IGNORE);
		CHECK_INT(got, rank ^ 1);
	}
	MPI_Intercomm_merge(inter, rank % 2, &all);
	MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
	CHECK_INT(sum, ranks * (ranks - 1) / 2);
	MPI_Comm_free(&all);
	MPI_Comm_free(&inter);
	MPI_Comm_free(&half);
}

/* ---- threads ------------------------------------------------------------ */

struct worker {
	pthread_t thread;
	int number;
	MPI_Comm comm;
};

/* With the worker of the same number, of mixed sizes, both ways. */
static void *work(void *arg)
{
	static const int lens[] = {0, 8, 500, 5000, 20000, 200000};
	struct worker *w = arg;
	int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
	char *out = conform_alloc(200000), *in = conform_alloc(200000);

	for (unsigned i = 0; i < (is_short ? 200 : 1000); i++) {
		int len = lens[(i + (unsigned)w->number) % 6];
		unsigned seed = i * 100 + (unsigned)w->number * 10;

		conform_fill(out, (size_t)len, seed + (unsigned)rank);
		MPI_Sendrecv(out, len, MPI_BYTE, right, w->number, in, len,
			     MPI_BYTE, left, w->number,
			     w->number % 2 ? w->comm : world,
			     MPI_STATUS_IGNORE);
		conform_verify(in, (size_t)len, seed + (unsigned)left);
	}
	free(out);
	free(in);
	return NULL;
}

static void threads(void)
{
	struct worker workers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		workers[i].number = i;
		MPI_Comm_dup(world, &workers[i].comm);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK_INT(pthread_create(&workers[i].thread, NULL, work,
					 &workers[i]),
			  0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		MPI_Comm_free(&workers[i].comm);
	}
}

/* ---- spawned processes -------------------------------------------------- */

/* What the parents sent comes back, one more for each hop. */
static void talk(MPI_Comm others, bool child)
{
	enum {
		LEN = 300000
	};
	char *buf = conform_alloc(LEN);

	if (rank == 0 && !child) {
		conform_fill(buf, LEN, 77);
		MPI_Send(buf, LEN, MPI_BYTE, 0, 1, others);
		memset(buf, 0, LEN);
		MPI_Recv(buf, LEN, MPI_BYTE, 1, 2, others, MPI_STATUS_IGNORE);
		conform_verify(buf, LEN, 77);
	} else if (rank == 0) {
		MPI_Recv(buf, LEN, MPI_BYTE, 0, 1, others, MPI_STATUS_IGNORE);
		MPI_Send(buf, LEN, MPI_BYTE, 1, 3, world);
	} else if (rank == 1 && child) {
		MPI_Recv(buf, LEN, MPI_BYTE, 0, 3, world, MPI_STATUS_IGNORE);
		MPI_Send(buf, LEN, MPI_BYTE, 0, 2, others);
	}
	free(buf);
}

static void spawn(void)
{
	char program[4096] = "";
	MPI_Comm children;
	int errors[2];

	CHECK(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
	MPI_Comm_spawn(program, MPI_ARGV_NULL, 2, MPI_INFO_NULL, 0, world,
		       &children, errors);
	CHECK_INT(errors[0], MPI_SUCCESS);
	CHECK_INT(errors[1], MPI_SUCCESS);
	talk(children, false);
	MPI_Comm_disconnect(&children);
}

static void spawned(void)
{
	MPI_Comm parent;

	MPI_Comm_get_parent(&parent);
	talk(parent, true);
	MPI_Comm_disconnect(&parent);
}

const struct conform_case comms_cases[] = {
	{"come_and_go", come_and_go, 1, false}, {"between", between, 2, false},
	{"threads", threads, 2, true},		{"spawn", spawn, 1, false},
	{"spawned", spawned, 2, false},		{NULL, NULL, 0, false}};
