// SPDX-License-Identifier: BSD-2-Clause
/*
 * modes.c - each way to begin a message between ranks 0 and 1 and to hear of its
 * end; the others look on.
 */
#include <stdlib.h>
#include <string.h>

#include "conform.h"

#define LONGEST ((1 << 20) + 1)

/*
 * A persistent buffered send that is longer than one fragment sends wrong bytes
 * when it is started for the second time: in Open MPI 4.1, over tcp and vader too.
 */
#define BUFFERED_MAX 4000

/* Short, in fragments, offered. */
static const int sizes[] = {0, 1, 40, 4097, 16384, 32769, 200000, LONGEST};

enum {
	SIZES = sizeof(sizes) / sizeof(sizes[0])
};

enum mode {
	STANDARD,
	SYNCHRONOUS,
	BUFFERED,
	READY,
	MODES
};

static void *space_attach(void)
{
	int len = 2 * LONGEST + 2 * MPI_BSEND_OVERHEAD;
	void *space = conform_alloc((size_t)len);

	MPI_Buffer_attach(space, len);
	return space;
}

static void space_detach(void)
{
	void *space;
	int len;

	MPI_Buffer_detach(&space, &len);
	free(space);
}

/* From 1 to 0: you may go on. */
static void signal_other(void)
{
	MPI_Send(NULL, 0, MPI_BYTE, 1 - rank, 99, world);
}

static void wait_for_other(void)
{
	MPI_Recv(NULL, 0, MPI_BYTE, 1 - rank, 99, world, MPI_STATUS_IGNORE);
}

/* ---- requests of one message -------------------------------------------- */

typedef int (*isend_fn)(const void *buf, int count, MPI_Datatype type, int dest,
			int tag, MPI_Comm comm, MPI_Request *request);

/* The receive is there before the send begins, as a ready one wants it. */
static void immediate_one(isend_fn isend, int size, int tag)
{
	char *buf = conform_alloc((size_t)size);
	MPI_Request request;
	MPI_Status status;
	int count;

	if (rank == 0) {
		conform_fill(buf, (size_t)size, (unsigned)tag);
		wait_for_other();
		isend(buf, size, MPI_BYTE, 1, tag, world, &request);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
	} else {
		memset(buf, 0, (size_t)size);
		MPI_Irecv(buf, size, MPI_BYTE, 0, tag, world, &request);
		signal_other();
		MPI_Wait(&request, &status);
		MPI_Get_count(&status, MPI_BYTE, &count);
		CHECK_INT(count, size);
		CHECK_INT(status.MPI_TAG, tag);
		conform_verify(buf, (size_t)size, (unsigned)tag);
	}
	free(buf);
}

static void immediate(void)
{
	static const isend_fn sends[MODES] = {MPI_Isend, MPI_Issend, MPI_Ibsend,
					      MPI_Irsend};

	if (rank > 1)
		return;
	space_attach();
	for (int mode = 0; mode < MODES; mode++)
		for (int i = 0; i < SIZES; i++)
			immediate_one(sends[mode], sizes[i], 10 * i + mode);
	space_detach();
}

/* A synchronous send has no end before its receive begins. */
static void synchronous_waits(int size)
{
	char *buf = conform_alloc((size_t)size);
	MPI_Request request;
	int flag;

	if (rank == 0) {
		conform_fill(buf, (size_t)size, 1);
		MPI_Issend(buf, size, MPI_BYTE, 1, 1, world, &request);
		for (int i = 0; i < 100; i++) {
			signal_other();
			wait_for_other();
			MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
			CHECK(!flag);
		}
		signal_other();
		MPI_Wait(&request, MPI_STATUS_IGNORE);
	} else {
		for (int i = 0; i < 100; i++) {
			wait_for_other();
			signal_other();
		}
		wait_for_other();
		MPI_Recv(buf, size, MPI_BYTE, 0, 1, world, MPI_STATUS_IGNORE);
		conform_verify(buf, (size_t)size, 1);
	}
	free(buf);
}

/* A buffered one ends though nobody receives, and its memory may be used. */
static void buffered_ends(int size)
{
	char *buf = conform_alloc((size_t)size);
	MPI_Request request;

	if (rank == 0) {
		conform_fill(buf, (size_t)size, 2);
		MPI_Ibsend(buf, size, MPI_BYTE, 1, 2, world, &request);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
		memset(buf, 0, (size_t)size);
		signal_other();
	} else {
		wait_for_other();
		MPI_Recv(buf, size, MPI_BYTE, 0, 2, world, MPI_STATUS_IGNORE);
		conform_verify(buf, (size_t)size, 2);
	}
	free(buf);
}

static void modes(void)
{
	if (rank > 1)
		return;
	space_attach();
	for (int i = 0; i < SIZES; i++) {
		synchronous_waits(sizes[i]);
		buffered_ends(sizes[i]);
	}
	space_detach();
}

/* ---- requests that are started again ------------------------------------ */

static const isend_fn inits[MODES] = {MPI_Send_init, MPI_Ssend_init,
				      MPI_Bsend_init, MPI_Rsend_init};

static void persistent_one(enum mode mode, int size)
{
	char *buf = conform_alloc((size_t)size);
	MPI_Request request;
	MPI_Status status;
	int count;

	if (rank == 0)
		inits[mode](buf, size, MPI_BYTE, 1, 5, world, &request);
	else
		MPI_Recv_init(buf, size, MPI_BYTE, 0, 5, world, &request);
	for (unsigned i = 0; i < 10; i++) {
		if (rank == 0) {
			wait_for_other();
			conform_fill(buf, (size_t)size, i);
			MPI_Start(&request);
			MPI_Wait(&request, MPI_STATUS_IGNORE);
		} else {
			MPI_Start(&request);
			signal_other();
			MPI_Wait(&request, &status);
			MPI_Get_count(&status, MPI_BYTE, &count);
			CHECK_INT(count, size);
			conform_verify(buf, (size_t)size, i);
		}
		CHECK(request != MPI_REQUEST_NULL);
	}
	MPI_Request_free(&request);
	free(buf);
}

static void persistent_modes(void)
{
	if (rank > 1)
		return;
	space_attach();
	for (int mode = 0; mode < MODES; mode++)
		for (int i = 0; i < SIZES; i++)
			if (mode != BUFFERED || sizes[i] <= BUFFERED_MAX)
				persistent_one(mode, sizes[i]);
	space_detach();
}

/* One of each mode, both ways, all of them started at once. */
static void persistent_together(void)
{
	enum {
		LEN = BUFFERED_MAX
	};
	static char out[MODES][LEN], in[MODES][LEN];
	MPI_Request requests[2 * MODES];

	if (rank > 1)
		return;
	space_attach();
	for (int i = 0; i < MODES; i++) {
		MPI_Recv_init(in[i], LEN, MPI_BYTE, 1 - rank, i, world,
			      &requests[i]);
		inits[i](out[i], LEN, MPI_BYTE, 1 - rank, i, world,
			 &requests[MODES + i]);
	}
	for (unsigned turn = 0; turn < 20; turn++) {
		for (unsigned i = 0; i < MODES; i++)
			conform_fill(out[i], LEN,
				     turn * 8 + i * 2 + (unsigned)rank);
		MPI_Startall(MODES, requests);
		signal_other();
		wait_for_other();
		MPI_Startall(MODES, requests + MODES);
		MPI_Waitall(2 * MODES, requests, MPI_STATUSES_IGNORE);
		for (unsigned i = 0; i < MODES; i++)
			conform_verify(in[i], LEN,
				       turn * 8 + i * 2 + 1 - (unsigned)rank);
	}
	for (int i = 0; i < 2 * MODES; i++)
		MPI_Request_free(&requests[i]);
	space_detach();
}

/* ---- what was found is nobody else's ------------------------------------ */

/* Three of the same tag. */
static void matched_send(int size)
{
	MPI_Request requests[3];
	char *bufs[3];

	for (unsigned i = 0; i < 3; i++) {
		bufs[i] = conform_alloc((size_t)size);
		conform_fill(bufs[i], (size_t)size, i);
		MPI_Isend(bufs[i], size, MPI_BYTE, 1, 8, world, &requests[i]);
	}
	MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
	for (int i = 0; i < 3; i++)
		free(bufs[i]);
}

/* The first is found, and the second; a receive then gets the third. */
static void matched_receive(int size)
{
	char *buf = conform_alloc((size_t)size);
	MPI_Message first, second;
	MPI_Request request;
	MPI_Status status;
	int count, flag = 0;

	MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, world, &first, &status);
	MPI_Get_count(&status, MPI_BYTE, &count);
	CHECK_INT(count, size);
	CHECK_INT(status.MPI_SOURCE, 0);
	CHECK_INT(status.MPI_TAG, 8);
	while (!flag)
		MPI_Improbe(0, 8, world, &flag, &second, &status);
	MPI_Recv(buf, size, MPI_BYTE, 0, 8, world, MPI_STATUS_IGNORE);
	conform_verify(buf, (size_t)size, 2);
	MPI_Imrecv(buf, size, MPI_BYTE, &second, &request);
	MPI_Wait(&request, &status);
	MPI_Get_count(&status, MPI_BYTE, &count);
	CHECK_INT(count, size);
	conform_verify(buf, (size_t)size, 1);
	MPI_Mrecv(buf, size, MPI_BYTE, &first, MPI_STATUS_IGNORE);
	conform_verify(buf, (size_t)size, 0);
	CHECK(first == MPI_MESSAGE_NULL);
	CHECK(second == MPI_MESSAGE_NULL);
	MPI_Iprobe(0, 8, world, &flag, MPI_STATUS_IGNORE);
	CHECK(!flag);
	free(buf);
}

static void matched(void)
{
	for (int i = 0; i < SIZES; i++) {
		if (rank == 0)
			matched_send(sizes[i]);
		else if (rank == 1)
			matched_receive(sizes[i]);
		MPI_Barrier(world);
	}
}

/* ---- in place, in pieces, to nobody ------------------------------------- */

/* Once around: what everybody has at the end is his own. */
static void replace(void)
{
	int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
	char *buf = conform_alloc(LONGEST);
	MPI_Status status;

	for (int i = 0; i < SIZES; i++) {
		conform_fill(buf, (size_t)sizes[i], (unsigned)(i + rank));
		for (int hop = 1; hop <= ranks; hop++) {
			int from = (rank + ranks - hop % ranks) % ranks;

			MPI_Sendrecv_replace(buf, sizes[i], MPI_BYTE, right,
					     hop, left, hop, world, &status);
			CHECK_INT(status.MPI_SOURCE, left);
			conform_verify(buf, (size_t)sizes[i],
				       (unsigned)(i + from));
		}
	}
	free(buf);
}

/* Where piece i of len bytes begins: they are of very unequal lengths. */
static size_t piece_at(size_t len, int i, int pieces)
{
	return len * (size_t)(i * i) / (size_t)(pieces * pieces);
}

/* One memory, cut into messages that are all under way at once. */
static void pieces_of(size_t len)
{
	enum {
		PIECES = 37
	};
	char *buf = conform_alloc(len);
	MPI_Request requests[PIECES];

	if (rank == 0)
		conform_fill(buf, len, 4);
	else
		memset(buf, 0, len);
	for (int k = 0; k < PIECES; k++) {
		int i = rank ? PIECES - 1 - k : k; /* received backwards */
		size_t at = piece_at(len, i, PIECES);
		int size = (int)(piece_at(len, i + 1, PIECES) - at);

		if (rank == 0)
			MPI_Isend(buf + at, size, MPI_BYTE, 1, i, world,
				  &requests[k]);
		else
			MPI_Irecv(buf + at, size, MPI_BYTE, 0, i, world,
				  &requests[k]);
	}
	MPI_Waitall(PIECES, requests, MPI_STATUSES_IGNORE);
	if (rank == 1)
		conform_verify(buf, len, 4);
	free(buf);
}

static void pieces(void)
{
	if (rank > 1)
		return;
	for (size_t len = 1; len <= (is_short ? 4 << 20 : 64 << 20); len *= 4)
		pieces_of(len - 1);
	pieces_of(is_short ? 4 << 20 : 64 << 20);
}

static void nobody(void)
{
	MPI_Message message;
	MPI_Status status;
	int value = 5, flag, count;

	MPI_Send(&value, 1, MPI_INT, MPI_PROC_NULL, 0, world);
	MPI_Sendrecv_replace(&value, 1, MPI_INT, MPI_PROC_NULL, 0,
			     MPI_PROC_NULL, 0, world, &status);
	CHECK_INT(value, 5);
	CHECK_INT(status.MPI_SOURCE, MPI_PROC_NULL);
	MPI_Improbe(MPI_PROC_NULL, 0, world, &flag, &message, &status);
	CHECK(flag);
	CHECK(message == MPI_MESSAGE_NO_PROC);
	MPI_Mrecv(&value, 1, MPI_INT, &message, &status);
	MPI_Get_count(&status, MPI_INT, &count);
	CHECK_INT(count, 0);
	CHECK_INT(value, 5);
}

const struct conform_case modes_cases[] = {
	{"immediate", immediate, 2, false},
	{"modes", modes, 2, false},
	{"persistent_modes", persistent_modes, 2, false},
	{"persistent_together", persistent_together, 2, false},
	{"matched", matched, 2, false},
	{"replace", replace, 1, false},
	{"pieces", pieces, 2, false},
	{"nobody", nobody, 1, false},
	{NULL, NULL, 0, false}};
