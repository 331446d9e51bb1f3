// SPDX-License-Identifier: BSD-2-Clause
/*
 * module.c - what only Open MPI itself sees of its components.
 *
 * Flow:  run.sh -> mpirun -> main -> Open MPI's tables -> the module of vmb
 * Owns:  nothing.
 *
 * carriers:   all ranks exchange with all, ROUNDS times; each says of each other one
 *             what carries messages to it; then rank 0 runs a command.
 * transfers:  see transfers.c.
 */
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ompi/communicator/communicator.h>
#include <ompi/mca/bml/bml.h>
#include <ompi/proc/proc.h>

#define ROUNDS 1000

/* What Open MPI's ob1 sends to this rank by. */
static mca_bml_base_endpoint_t *ways_to(int r)
{
	ompi_proc_t *proc =
		ompi_comm_peer_lookup((ompi_communicator_t *)world, r);
	mca_bml_base_endpoint_t *ways =
		proc->proc_endpoints[OMPI_PROC_ENDPOINT_TAG_BML];

	CHECK(ways);
	return ways;
}

static const char *name_of(const mca_bml_base_btl_t *way)
{
	return way->btl->btl_component->btl_version.mca_component_name;
}

/* Open MPI asks its components for a rank when it first sends to it. */
static void exchange(void)
{
	int out, in;

	for (int i = 0; i < ROUNDS; i++)
		for (int by = 1; by < ranks; by++) {
			int to = (rank + by) % ranks;
			int from = (rank + ranks - by) % ranks;

			out = i * 100 + rank;
			MPI_Sendrecv(&out, 1, MPI_INT, to, i, &in, 1, MPI_INT,
				     from, i, world, MPI_STATUS_IGNORE);
			CHECK_INT(in, i * 100 + from);
		}
}

/* One line of all, in the order of ranks: "FROM TO first:NAME... rest:NAME...". */
static void carriers(void)
{
	char line[4096];
	int at = 0;

	for (int r = 0; r < ranks; r++) {
		const mca_bml_base_endpoint_t *ways = ways_to(r);
		const mca_bml_base_btl_array_t *arrays[] = {&ways->btl_eager,
							    &ways->btl_send};

		at += snprintf(line + at, sizeof(line) - (size_t)at, "%d %d",
			       rank, r);
		for (int a = 0; a < 2; a++)
			for (size_t i = 0; i < arrays[a]->arr_size; i++)
				at += snprintf(
					line + at, sizeof(line) - (size_t)at,
					" %s:%s", a ? "rest" : "first",
					name_of(&arrays[a]->bml_btls[i]));
		at += snprintf(line + at, sizeof(line) - (size_t)at, "\n");
		CHECK(at < (int)sizeof(line));
	}
	for (int r = 0; r < ranks; r++) {
		if (rank)
			MPI_Send(line, at + 1, MPI_CHAR, 0, 0, world);
		if (rank || !fputs(line, stdout) || r == ranks - 1)
			return;
		MPI_Recv(line, sizeof(line), MPI_CHAR, r + 1, 0, world,
			 MPI_STATUS_IGNORE);
	}
}

static struct other other_find(void)
{
	struct other other = {.rank = 1 - rank};
	mca_bml_base_endpoint_t *ways = ways_to(other.rank);

	for (size_t i = 0; i < ways->btl_rdma.arr_size; i++) {
		const mca_bml_base_btl_t *way = &ways->btl_rdma.bml_btls[i];

		if (strcmp(name_of(way), "vmb"))
			continue;
		other.btl = way->btl;
		other.endpoint = way->btl_endpoint;
	}
	CHECK(other.btl && other.endpoint);
	return other;
}

static void run(char **argv)
{
	struct other other;

	exchange();
	if (!strcmp(argv[1], "carriers")) {
		carriers();
		if (argv[2])
			conform_then(argv[2]);
	} else {
		CHECK_INT(ranks, 2);
		other = other_find();
		transfers(&other, !strcmp(argv[1], "keys-end"));
	}
}

int main(int argc, char **argv)
{
	int provided, wanted = MPI_THREAD_SINGLE;

	if (argc < 2) {
		fprintf(stderr,
			"usage: %s carriers [COMMAND]\n"
			"       %s transfers|keys-end [threads]\n",
			argv[0], argv[0]);
		return 2;
	}
	if (argc > 2 && !strcmp(argv[2], "threads"))
		wanted = MPI_THREAD_MULTIPLE;
	MPI_Init_thread(NULL, NULL, wanted, &provided);
	world = MPI_COMM_WORLD;
	MPI_Comm_rank(world, &rank);
	MPI_Comm_size(world, &ranks);
	CHECK(provided >= wanted);
	run(argv);
	MPI_Finalize();
	return 0;
}
