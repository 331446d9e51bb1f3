// SPDX-License-Identifier: BSD-2-Clause
/*
 * completion.c - requests that end in another order than they began: each call
 * that tells of ends tells of each once, with what belongs to it.
 *
 * Rank 1 receives MANY messages, which rank 0 sends in the order of send_of();
 * the others look on.
 */
#include <stdlib.h>
#include <string.h>

#include "conform.h"

enum {
	MANY = 60,
	LEN = 40000
};

/* Which message is sent as number i: all of them, as 17 and MANY share nothing. */
static int send_of(int i)
{
	return (i * 17 + 5) % MANY;
}

static int length_of(int message)
{
	return message * message * 11 % LEN;
}

static char in[MANY][LEN];
static MPI_Request requests[MANY];
static int ended;

static void receives_post(void)
{
	memset(in, 0, sizeof(in));
	ended = 0;
	for (int i = 0; i < MANY; i++)
		MPI_Irecv(in[i], LEN, MPI_BYTE, 0, i, world, &requests[i]);
}

static void send_all(void)
{
	static char out[LEN];

	for (int i = 0; i < MANY; i++) {
		int message = send_of(i);

		conform_fill(out, (size_t)length_of(message),
			     (unsigned)message);
		MPI_Send(out, length_of(message), MPI_BYTE, 1, message, world);
	}
}

/* Message i has ended, for the first time. */
static void end(int i, const MPI_Status *status)
{
	int count;

	CHECK(i >= 0 && i < MANY);
	CHECK(requests[i] == MPI_REQUEST_NULL);
	CHECK_INT(status->MPI_TAG, i);
	CHECK_INT(status->MPI_SOURCE, 0);
	MPI_Get_count(status, MPI_BYTE, &count);
	CHECK_INT(count, length_of(i));
	conform_verify(in[i], (size_t)count, (unsigned)i);
	memset(in[i], 0xff, LEN); /* told a second time, it would be wrong */
	ended++;
}

static void waitany(void)
{
	MPI_Status status;
	int i;

	for (;;) {
		MPI_Waitany(MANY, requests, &i, &status);
		if (i == MPI_UNDEFINED)
			return;
		end(i, &status);
	}
}

static void testany(void)
{
	MPI_Status status;
	int i, flag;

	while (ended < MANY) {
		MPI_Testany(MANY, requests, &i, &flag, &status);
		if (flag)
			end(i, &status);
		else
			CHECK_INT(i, MPI_UNDEFINED);
	}
	MPI_Testany(MANY, requests, &i, &flag, &status);
	CHECK(flag);
	CHECK_INT(i, MPI_UNDEFINED);
}

typedef int (*some_fn)(int count, MPI_Request array[], int *done, int indices[],
		       MPI_Status statuses[]);

static void some_of(some_fn fn)
{
	MPI_Status statuses[MANY];
	int indices[MANY], done;

	for (;;) {
		fn(MANY, requests, &done, indices, statuses);
		if (done == MPI_UNDEFINED)
			return;
		CHECK(fn == MPI_Testsome || done > 0);
		for (int k = 0; k < done; k++)
			end(indices[k], &statuses[k]);
	}
}

static void waitsome(void)
{
	some_of(MPI_Waitsome);
}

static void testsome(void)
{
	some_of(MPI_Testsome);
}

static void waitall(void)
{
	MPI_Status statuses[MANY];

	MPI_Waitall(MANY, requests, statuses);
	for (int i = 0; i < MANY; i++)
		end(i, &statuses[i]);
}

static void testall(void)
{
	MPI_Status statuses[MANY];
	int flag = 0;

	while (!flag)
		MPI_Testall(MANY, requests, &flag, statuses);
	for (int i = 0; i < MANY; i++)
		end(i, &statuses[i]);
}

/* Looking takes no message's end away. */
static void get_status(void)
{
	MPI_Status status;
	int flag;

	for (int i = MANY; i-- > 0;) {
		do
			MPI_Request_get_status(requests[i], &flag, &status);
		while (!flag);
		CHECK(requests[i] != MPI_REQUEST_NULL);
		MPI_Test(&requests[i], &flag, &status);
		CHECK(flag);
		end(i, &status);
	}
}

static void completion(void)
{
	static void (*const ways[])(void) = {waitany,	testany, waitsome,
					     testsome,	waitall, testall,
					     get_status};

	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		if (rank == 1)
			receives_post();
		MPI_Barrier(world);
		if (rank == 0) {
			send_all();
		} else if (rank == 1) {
			ways[way]();
			CHECK_INT(ended, MANY);
		}
	}
}

/* What is cancelled is out of the way of what comes; the rest is as it was. */
static void cancel_some(void)
{
	MPI_Status status;
	int cancelled;

	if (rank == 1)
		receives_post();
	for (int i = 0; rank == 1 && i < MANY; i += 3) {
		MPI_Cancel(&requests[i]);
		MPI_Wait(&requests[i], &status);
		MPI_Test_cancelled(&status, &cancelled);
		CHECK(cancelled);
	}
	MPI_Barrier(world);
	if (rank == 0)
		send_all();
	for (int i = 0; rank == 1 && i < MANY; i += 3)
		MPI_Irecv(in[i], LEN, MPI_BYTE, 0, i, world, &requests[i]);
	for (int i = 0; rank == 1 && i < MANY; i++) {
		MPI_Wait(&requests[i], &status);
		MPI_Test_cancelled(&status, &cancelled);
		CHECK(!cancelled);
		end(i, &status);
	}
}

const struct conform_case completion_cases[] = {
	{"completion", completion, 2, false},
	{"cancel_some", cancel_some, 2, false},
	{NULL, NULL, 0, false}};
