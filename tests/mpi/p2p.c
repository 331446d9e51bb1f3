// SPDX-License-Identifier: BSD-2-Clause
/*
 * p2p.c - messages between ranks 0 and 1; the others look on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conform.h"

#define KIB 1024

/* Around every size at which something changes. */
static const int sizes[] = {0,
			    1,
			    7,
			    8,
			    40,
			    41,
			    95,
			    96,
			    97,
			    4095,
			    4096,
			    4097,
			    16 * KIB - 100,
			    16 * KIB - 14,
			    16 * KIB,
			    16 * KIB + 1,
			    32 * KIB - 1,
			    32 * KIB,
			    32 * KIB + 1,
			    65535,
			    65536,
			    131071,
			    131072,
			    1 << 20,
			    (1 << 20) + 1,
			    4 << 20,
			    16 << 20,
			    64 << 20};

static int sizes_count(void)
{
	int n = (int)(sizeof(sizes) / sizeof(sizes[0]));

	while (is_short && sizes[n - 1] > 1 << 20)
		n--;
	return n;
}

typedef int (*send_fn)(const void *buf, int count, MPI_Datatype type, int dest,
		       int tag, MPI_Comm comm);

static void one_way(send_fn send, int size, int tag)
{
	char *buf = conform_alloc((size_t)size);
	MPI_Status status;
	int count;

	if (rank == 0) {
		conform_fill(buf, (size_t)size, (unsigned)tag);
		send(buf, size, MPI_BYTE, 1, tag, world);
	} else if (rank == 1) {
		memset(buf, 0, (size_t)size);
		MPI_Recv(buf, size, MPI_BYTE, 0, tag, world, &status);
		MPI_Get_count(&status, MPI_BYTE, &count);
		CHECK_INT(count, size);
		CHECK_INT(status.MPI_SOURCE, 0);
		CHECK_INT(status.MPI_TAG, tag);
		conform_verify(buf, (size_t)size, (unsigned)tag);
	}
	free(buf);
}

static void every_size(send_fn send)
{
	for (int i = 0; i < sizes_count(); i++)
		for (int k = 0; k < (sizes[i] > 1 << 20 ? 1 : 3); k++)
			one_way(send, sizes[i], 10 * i + k);
}

static void standard(void)
{
	every_size(MPI_Send);
}

static void synchronous(void)
{
	every_size(MPI_Ssend);
}

static void buffered(void)
{
	int len = (2 << 20) + MPI_BSEND_OVERHEAD;
	void *space = conform_alloc((size_t)len);

	MPI_Buffer_attach(space, len);
	for (int i = 0; sizes[i] <= 1 << 20; i++)
		one_way(MPI_Bsend, sizes[i], i);
	MPI_Buffer_detach(&space, &len);
	free(space);
}

/* The receive is there before the send begins: rank 1 says so. */
static void ready(void)
{
	char *buf = conform_alloc(1 << 20);
	MPI_Request request;
	char go = 0;

	for (int i = 0; sizes[i] <= 1 << 20; i++) {
		if (rank == 1) {
			MPI_Irecv(buf, sizes[i], MPI_BYTE, 0, 1, world,
				  &request);
			MPI_Send(&go, 1, MPI_BYTE, 0, 2, world);
			MPI_Wait(&request, MPI_STATUS_IGNORE);
			conform_verify(buf, (size_t)sizes[i], (unsigned)i);
		} else if (rank == 0) {
			conform_fill(buf, (size_t)sizes[i], (unsigned)i);
			MPI_Recv(&go, 1, MPI_BYTE, 1, 2, world,
				 MPI_STATUS_IGNORE);
			MPI_Rsend(buf, sizes[i], MPI_BYTE, 1, 1, world);
		}
	}
	free(buf);
}

/* Both at once, of all sizes. */
static void both_ways(void)
{
	for (int i = 0; i < sizes_count() && rank < 2; i++) {
		char *out = conform_alloc((size_t)sizes[i]);
		char *in = conform_alloc((size_t)sizes[i]);

		conform_fill(out, (size_t)sizes[i], (unsigned)(100 + rank));
		MPI_Sendrecv(out, sizes[i], MPI_BYTE, 1 - rank, i, in, sizes[i],
			     MPI_BYTE, 1 - rank, i, world, MPI_STATUS_IGNORE);
		conform_verify(in, (size_t)sizes[i], (unsigned)(101 - rank));
		free(out);
		free(in);
	}
}

static void to_oneself(void)
{
	for (int i = 0; sizes[i] <= 1 << 20; i++) {
		char *out = conform_alloc((size_t)sizes[i]);
		char *in = conform_alloc((size_t)sizes[i]);

		conform_fill(out, (size_t)sizes[i], 5);
		MPI_Sendrecv(out, sizes[i], MPI_BYTE, rank, 0, in, sizes[i],
			     MPI_BYTE, rank, 0, world, MPI_STATUS_IGNORE);
		conform_verify(in, (size_t)sizes[i], 5);
		free(out);
		free(in);
	}
}

/* All others send to 0, who asks for anything. */
static void wildcards(void)
{
	int seen[64] = {0}, value;
	MPI_Status status;

	for (int i = 0; rank && i < 100; i++) {
		value = 1000 * rank + i;
		MPI_Send(&value, 1, MPI_INT, 0, i % 7, world);
	}
	for (int i = 0; !rank && i < 100 * (ranks - 1); i++) {
		MPI_Recv(&value, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, world,
			 &status);
		CHECK_INT(value,
			  1000 * status.MPI_SOURCE + seen[status.MPI_SOURCE]);
		CHECK_INT(status.MPI_TAG, seen[status.MPI_SOURCE]++ % 7);
	}
}

/* Equal tags are received in the order of the sends, short and long mixed. */
static void order(void)
{
	static const int lens[] = {4, 100, 20000, 4, 300000, 8};
	char *buf = conform_alloc(300000);
	int at;

	for (int i = 0; i < 300 && rank < 2; i++) {
		int len = lens[i % 6];

		if (rank == 0) {
			memcpy(buf, &i, sizeof(i));
			MPI_Send(buf, len, MPI_BYTE, 1, 3, world);
		} else {
			MPI_Recv(buf, 300000, MPI_BYTE, 0, 3, world,
				 MPI_STATUS_IGNORE);
			memcpy(&at, buf, sizeof(at));
			CHECK_INT(at, i);
		}
	}
	free(buf);
}

/* Many arrive before anybody asks, and are asked for backwards. */
static void unexpected(void)
{
	enum {
		MANY = 500
	};
	char buf[3000];

	for (int i = 0; rank == 0 && i < MANY; i++) {
		conform_fill(buf, (size_t)(i * 6), (unsigned)i);
		MPI_Send(buf, i * 6, MPI_BYTE, 1, i, world);
	}
	MPI_Barrier(world);
	for (int i = MANY; rank == 1 && i-- > 0;) {
		MPI_Recv(buf, sizeof(buf), MPI_BYTE, 0, i, world,
			 MPI_STATUS_IGNORE);
		conform_verify(buf, (size_t)(i * 6), (unsigned)i);
	}
}

/* A thousand under way in each direction, ended in every way there is. */
static void outstanding(void)
{
	enum {
		MANY = 1000,
		LEN = 200
	};
	static char out[MANY][LEN], in[MANY][LEN];
	static MPI_Request requests[2 * MANY];
	int index, flag = 0, some, done[8];

	if (rank > 1)
		return;
	for (int i = 0; i < MANY; i++) {
		conform_fill(out[i], LEN, (unsigned)(i + rank));
		MPI_Irecv(in[i], LEN, MPI_BYTE, 1 - rank, i, world,
			  &requests[i]);
	}
	for (int i = 0; i < MANY; i++)
		MPI_Isend(out[i], LEN, MPI_BYTE, 1 - rank, i, world,
			  &requests[MANY + i]);
	for (int i = 0; i < 10; i++)
		MPI_Waitany(2 * MANY, requests, &index, MPI_STATUS_IGNORE);
	for (int i = 0; i < 10; i++) {
		MPI_Waitsome(8, requests + 8 * i, &some, done,
			     MPI_STATUSES_IGNORE);
		CHECK(some == MPI_UNDEFINED || some > 0);
	}
	while (!flag)
		MPI_Testall(2 * MANY, requests, &flag, MPI_STATUSES_IGNORE);
	for (int i = 0; i < MANY; i++)
		conform_verify(in[i], LEN, (unsigned)(i + 1 - rank));
}

/* Bytes of memory that this process has. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages;

	CHECK(f);
	CHECK_INT(fscanf(f, "%*s %ld", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* A window of short messages, faster than they are received, costs the sender
 * no memory but the window's. It is more than the component lets wait. */
static void ahead(void)
{
	enum {
		WINDOW = 1000,
		ROUNDS = 64,
		MOST = 64 << 20
	};
	MPI_Request requests[WINDOW];
	long before = resident();
	double values[WINDOW];

	for (int i = 0; i < ROUNDS && rank < 2; i++) {
		for (int j = 0; j < WINDOW; j++) {
			values[j] = rank ? 0 : i * WINDOW + j;
			if (rank)
				MPI_Irecv(&values[j], 1, MPI_DOUBLE, 0, 6,
					  world, &requests[j]);
			else
				MPI_Isend(&values[j], 1, MPI_DOUBLE, 1, 6,
					  world, &requests[j]);
		}
		MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
		for (int j = 0; j < WINDOW; j++)
			CHECK(values[j] == i * WINDOW + j);
	}
	if (rank == 0)
		CHECK(resident() - before < MOST);
}

static void persistent(void)
{
	enum {
		LEN = 50000
	};
	static char out[LEN], in[LEN];
	MPI_Request requests[2];

	if (rank > 1)
		return;
	MPI_Send_init(out, LEN, MPI_BYTE, 1 - rank, 4, world, &requests[0]);
	MPI_Recv_init(in, LEN, MPI_BYTE, 1 - rank, 4, world, &requests[1]);
	for (unsigned i = 0; i < 50; i++) {
		conform_fill(out, LEN, i + (unsigned)rank);
		MPI_Startall(2, requests);
		MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
		conform_verify(in, LEN, i + 1 - (unsigned)rank);
	}
	MPI_Request_free(&requests[0]);
	MPI_Request_free(&requests[1]);
}

static void probe(void)
{
	static const int lens[] = {0, 50, 5000, 500000};
	char *buf = conform_alloc(500000);
	MPI_Message message;
	MPI_Status status;
	int count, flag;

	for (int i = 0; i < 4 && rank == 0; i++) {
		conform_fill(buf, (size_t)lens[i], (unsigned)i);
		MPI_Send(buf, lens[i], MPI_BYTE, 1, 20 + i, world);
		MPI_Send(buf, lens[i], MPI_BYTE, 1, 20 + i, world);
	}
	for (int i = 0; i < 4 && rank == 1; i++) {
		MPI_Probe(0, MPI_ANY_TAG, world, &status);
		MPI_Get_count(&status, MPI_BYTE, &count);
		CHECK_INT(status.MPI_TAG, 20 + i);
		CHECK_INT(count, lens[i]);
		MPI_Recv(buf, count, MPI_BYTE, 0, 20 + i, world,
			 MPI_STATUS_IGNORE);
		conform_verify(buf, (size_t)count, (unsigned)i);
		do
			MPI_Improbe(MPI_ANY_SOURCE, 20 + i, world, &flag,
				    &message, &status);
		while (!flag);
		MPI_Mrecv(buf, lens[i], MPI_BYTE, &message, MPI_STATUS_IGNORE);
		conform_verify(buf, (size_t)lens[i], (unsigned)i);
		MPI_Iprobe(0, 20 + i, world, &flag, MPI_STATUS_IGNORE);
		CHECK_INT(flag, 0);
	}
	free(buf);
}

static void cancel(void)
{
	MPI_Request request;
	MPI_Status status;
	int value = 7, flag;

	if (rank == 1) {
		MPI_Irecv(&value, 1, MPI_INT, 0, 999, world, &request);
		MPI_Cancel(&request);
		MPI_Wait(&request, &status);
		MPI_Test_cancelled(&status, &flag);
		CHECK(flag);
		MPI_Recv(&value, 1, MPI_INT, 0, 5, world, MPI_STATUS_IGNORE);
		CHECK_INT(value, 7);
	} else if (rank == 0) {
		MPI_Send(&value, 1, MPI_INT, 1, 5, world);
	}
}

/* Too long for the receive: it says so, and what is behind it is whole. */
static void truncated(void)
{
	static const int lens[] = {100, 10000, 200000};
	char *buf = conform_alloc(200000);
	int class, rc;

	MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
	for (int i = 0; i < 3; i++) {
		if (rank == 0) {
			MPI_Send(buf, lens[i], MPI_BYTE, 1, 1, world);
			MPI_Send(&lens[i], 1, MPI_INT, 1, 2, world);
		} else if (rank == 1) {
			int value;

			rc = MPI_Recv(buf, lens[i] / 2, MPI_BYTE, 0, 1, world,
				      MPI_STATUS_IGNORE);
			MPI_Error_class(rc, &class);
			CHECK_INT(class, MPI_ERR_TRUNCATE);
			MPI_Recv(&value, 1, MPI_INT, 0, 2, world,
				 MPI_STATUS_IGNORE);
			CHECK_INT(value, lens[i]);
		}
	}
	free(buf);
}

const struct conform_case p2p_cases[] = {{"standard", standard, 2, false},
					 {"synchronous", synchronous, 2, false},
					 {"buffered", buffered, 2, false},
					 {"ready", ready, 2, false},
					 {"both_ways", both_ways, 2, false},
					 {"to_oneself", to_oneself, 1, false},
					 {"wildcards", wildcards, 2, false},
					 {"order", order, 2, false},
					 {"unexpected", unexpected, 2, false},
					 {"outstanding", outstanding, 2, false},
					 {"ahead", ahead, 2, false},
					 {"persistent", persistent, 2, false},
					 {"probe", probe, 2, false},
					 {"cancel", cancel, 2, false},
					 {"truncated", truncated, 2, false},
					 {NULL, NULL, 0, false}};
