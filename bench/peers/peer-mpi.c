// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer-mpi.c - MPI as a transport, between the two ranks of a job:
 *
 *   mpirun -np 1 peer-mpi --connect 1 : -np 1 peer-mpi --serve 0
 *
 * Flow:  peer.c -> [here] -> MPI_Send, MPI_Irecv ...
 * Owns:  the requests under way.
 * Trust: MPI ends the job at an error (its default handler); lengths are
 *        checked.
 */
#include <errno.h>
#include <mpi.h>
#include <stdlib.h>

#include "peer.h"

#define TAG 1

struct mpi {
	int peer; /* rank */
	MPI_Request under_way[PEER_WINDOW_MAX];
	size_t expected[PEER_WINDOW_MAX]; /* SIZE_MAX: a send */
};

static int mpi_open(const struct peer_where *where, void **conn)
{
	static struct mpi mpi;
	int rank, ranks;
	char *end;

	mpi.peer = (int)strtol(where->address, &end, 10);
	if (*end || MPI_Init(NULL, NULL))
		return -EINVAL;
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (ranks != 2 || mpi.peer != 1 - rank) {
		MPI_Finalize();
		return -EINVAL;
	}
	*conn = &mpi;
	return 0;
}

static int length_check(const MPI_Status *status, size_t len)
{
	int count;

	MPI_Get_count(status, MPI_BYTE, &count);
	return (size_t)count == len ? 0 : -EBADMSG;
}

static int mpi_send(void *conn, const void *buf, size_t len, bool spin)
{
	const struct mpi *mpi = conn;

	(void)spin; /* it does, always */
	MPI_Send(buf, (int)len, MPI_BYTE, mpi->peer, TAG, MPI_COMM_WORLD);
	return 0;
}

static int mpi_receive(void *conn, void *buf, size_t len, bool spin)
{
	const struct mpi *mpi = conn;
	MPI_Status status;

	(void)spin;
	MPI_Recv(buf, (int)len, MPI_BYTE, mpi->peer, TAG, MPI_COMM_WORLD,
		 &status);
	return length_check(&status, len);
}

static int mpi_start(void *conn, enum peer_direction direction, unsigned slot,
		     void *buf, size_t len)
{
	struct mpi *mpi = conn;
	bool send = direction == PEER_SEND;

	mpi->expected[slot] = send ? SIZE_MAX : len;
	if (send)
		MPI_Isend(buf, (int)len, MPI_BYTE, mpi->peer, TAG,
			  MPI_COMM_WORLD, &mpi->under_way[slot]);
	else
		MPI_Irecv(buf, (int)len, MPI_BYTE, mpi->peer, TAG,
			  MPI_COMM_WORLD, &mpi->under_way[slot]);
	return 0;
}

static int mpi_finish(void *conn, unsigned slot, bool spin)
{
	struct mpi *mpi = conn;
	MPI_Status status;

	(void)spin;
	MPI_Wait(&mpi->under_way[slot], &status);
	if (mpi->expected[slot] == SIZE_MAX)
		return 0;
	return length_check(&status, mpi->expected[slot]);
}

static void mpi_close(void *conn)
{
	(void)conn;
	MPI_Finalize();
}

int main(int argc, char **argv)
{
	static const struct peer_transport transport = {
		.name = "mpi",
		.doc = "MPI",
		.traits = PEER_MESSAGES | PEER_NO_BLOCK | PEER_BY_LAUNCH,
		.open = mpi_open,
		.send = mpi_send,
		.receive = mpi_receive,
		.start = mpi_start,
		.finish = mpi_finish,
		.close = mpi_close,
	};

	return peer_main(&transport, argc, argv);
}
