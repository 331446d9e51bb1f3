// SPDX-License-Identifier: BSD-2-Clause
/*
 * atomics.c - windows that several write at once: each operation under each way to
 * synchronise that suits it, requests, and memory attached later.
 *
 * Rank 0's memory is written by all, itself too; what it holds then is computed.
 */
#include <stdlib.h>
#include <string.h>

#include "elements.h"

enum {
	N = 3000
};

struct window {
	MPI_Win win;
	long *memory; /* N longs */
};

static struct window window_open(void)
{
	struct window w;

	MPI_Win_allocate(N * sizeof(long), sizeof(long), MPI_INFO_NULL, world,
			 &w.memory, &w.win);
	/* its own stores are in an epoch, too */
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, w.win);
	memset(w.memory, 0, N * sizeof(long));
	MPI_Win_unlock(rank, w.win);
	MPI_Barrier(world);
	return w;
}

/* ---- ways to synchronise: all with rank 0 --------------------------------- */

struct way {
	const char *name;
	void (*begin)(MPI_Win win);
	void (*end)(MPI_Win win);
};

static MPI_Group group_of(int first, int last)
{
	int range[1][3] = {{first, last, 1}};
	MPI_Group all, some;

	MPI_Comm_group(world, &all);
	MPI_Group_range_incl(all, 1, range, &some);
	MPI_Group_free(&all);
	return some;
}

static void fence(MPI_Win win)
{
	MPI_Win_fence(0, win);
}

static void post_and_start(MPI_Win win)
{
	MPI_Group target = group_of(0, 0), origins = group_of(0, ranks - 1);

	if (!rank)
		MPI_Win_post(origins, 0, win);
	MPI_Win_start(target, 0, win);
	MPI_Group_free(&target);
	MPI_Group_free(&origins);
}

static void complete_and_wait(MPI_Win win)
{
	MPI_Win_complete(win);
	if (!rank)
		MPI_Win_wait(win);
}

static void lock(MPI_Win win)
{
	MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, win);
}

static void lock_exclusive(MPI_Win win)
{
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win);
}

static void unlock(MPI_Win win)
{
	MPI_Win_unlock(0, win);
}

static void lock_all(MPI_Win win)
{
	MPI_Win_lock_all(0, win);
}

static void flush_and_unlock_all(MPI_Win win)
{
	MPI_Win_flush(0, win);
	MPI_Win_unlock_all(win);
}

static const struct way ways[] = {
	{"fence", fence, fence},
	{"PSCW", post_and_start, complete_and_wait},
	{"lock", lock, unlock},
	{"exclusive lock", lock_exclusive, unlock},
	{"lock_all", lock_all, flush_and_unlock_all},
};

enum {
	WAYS = sizeof(ways) / sizeof(ways[0])
};

/* What rank 0 holds after all epochs. */
static void memory_of_0(const struct window *w, long *to)
{
	MPI_Barrier(world);
	MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w->win);
	MPI_Get(to, N, MPI_LONG, 0, 0, N, MPI_LONG, w->win);
	MPI_Win_unlock(0, w->win);
	MPI_Barrier(world);
}

/* ---- each operation under each way ---------------------------------------- */

/* All sum up into the same words, twice; the upper half is left alone. */
static void accumulate(void)
{
	static long mine[N], have[N];

	elements_put(mine, rank, N / 2);
	for (int i = 0; i < WAYS; i++) {
		struct window w = window_open();

		for (int twice = 0; twice < 2; twice++) {
			ways[i].begin(w.win);
			MPI_Accumulate(mine, N / 2, MPI_LONG, 0, 0, N / 2,
				       MPI_LONG, MPI_SUM, w.win);
			ways[i].end(w.win);
		}
		memory_of_0(&w, have);
		for (int k = 0; k < N / 2; k++)
			CHECK_INT(have[k], 2 * elements_sum(ranks - 1, k));
		for (int k = N / 2; k < N; k++)
			CHECK_INT(have[k], 0);
		MPI_Win_free(&w.win);
	}
}

/* Each its own share: replaced, then the greater of two, then read by no_op. */
static void replace_and_read(void)
{
	static long mine[N], got[N], have[N];
	int share = N / ranks, at = rank * share;

	for (int i = 0; i < WAYS; i++) {
		struct window w = window_open();

		elements_put(mine, rank, share);
		ways[i].begin(w.win);
		MPI_Accumulate(mine, share, MPI_LONG, 0, at, share, MPI_LONG,
			       MPI_REPLACE, w.win);
		ways[i].end(w.win);
		for (int k = 0; k < share; k += 2)
			mine[k] = -1; /* less than what is there */
		for (int k = 1; k < share; k += 2)
			mine[k]++;
		ways[i].begin(w.win);
		MPI_Get_accumulate(mine, share, MPI_LONG, got, share, MPI_LONG,
				   0, at, share, MPI_LONG, MPI_MAX, w.win);
		ways[i].end(w.win);
		elements_check(got, rank, share); /* as it was before */
		ways[i].begin(w.win);
		MPI_Get_accumulate(mine, share, MPI_LONG, got, share, MPI_LONG,
				   0, at, share, MPI_LONG, MPI_NO_OP, w.win);
		ways[i].end(w.win);
		memory_of_0(&w, have);
		for (int k = 0; k < share; k++) {
			CHECK_INT(got[k], element(rank, k) + k % 2);
			CHECK_INT(have[at + k], got[k]);
		}
		MPI_Win_free(&w.win);
	}
}

/* A ticket for each: all numbers are drawn, once; read and set do as they say. */
static void fetch(void)
{
	long one = 1, ticket, before, now, mine = rank + 1000, all;

	for (int i = 0; i < WAYS; i++) {
		struct window w = window_open();

		ways[i].begin(w.win);
		MPI_Fetch_and_op(&one, &ticket, MPI_LONG, 0, 5, MPI_SUM, w.win);
		MPI_Fetch_and_op(&mine, &before, MPI_LONG, 0, 10 + rank,
				 MPI_REPLACE, w.win);
		ways[i].end(w.win);
		CHECK_INT(before, 0);
		CHECK(ticket >= 0 && ticket < ranks);
		ticket = 1L << ticket;
		MPI_Allreduce(&ticket, &all, 1, MPI_LONG, MPI_SUM, world);
		CHECK_INT(all, (1L << ranks) - 1);
		ways[i].begin(w.win);
		MPI_Fetch_and_op(NULL, &now, MPI_LONG, 0, 10 + rank, MPI_NO_OP,
				 w.win);
		ways[i].end(w.win);
		CHECK_INT(now, mine);
		MPI_Win_free(&w.win);
	}
}

/* One swaps, and all others are told who did; a wrong guess changes nothing. */
static void swap(void)
{
	long free_ = 0, mine = rank + 1, wrong = -7, was, still, won, winners,
	     winner;
	static long have[N];

	for (int i = 0; i < WAYS; i++) {
		struct window w = window_open();

		ways[i].begin(w.win);
		MPI_Compare_and_swap(&mine, &free_, &was, MPI_LONG, 0, 3,
				     w.win);
		ways[i].end(w.win);
		won = was ? 0 : mine;
		MPI_Allreduce(&won, &winner, 1, MPI_LONG, MPI_SUM, world);
		won = !was;
		MPI_Allreduce(&won, &winners, 1, MPI_LONG, MPI_SUM, world);
		CHECK_INT(winners, 1);
		CHECK_INT(was, was ? winner : 0);
		ways[i].begin(w.win);
		MPI_Compare_and_swap(&mine, &wrong, &still, MPI_LONG, 0, 3,
				     w.win);
		ways[i].end(w.win);
		CHECK_INT(still, winner);
		memory_of_0(&w, have);
		CHECK_INT(have[3], winner);
		MPI_Win_free(&w.win);
	}
}

/* ---- put and get under each way, of data with holes ----------------------- */

static void put_and_get(void)
{
	int share = N / ranks, half = share / 2, at = rank * share;
	static long mine[N], got[N], have[N];
	MPI_Datatype every_second;

	MPI_Type_vector(half, 1, 2, MPI_LONG, &every_second);
	MPI_Type_commit(&every_second);
	elements_put(mine, rank, half);
	for (int i = 0; i < WAYS; i++) {
		struct window w = window_open();

		ways[i].begin(w.win);
		MPI_Put(mine, half, MPI_LONG, 0, at, 1, every_second, w.win);
		ways[i].end(w.win);
		memset(got, 0x11, sizeof(got));
		ways[i].begin(w.win);
		MPI_Get(got, half, MPI_LONG, 0, at, 1, every_second, w.win);
		ways[i].end(w.win);
		elements_check(got, rank, half);
		CHECK_INT(got[half], 0x1111111111111111);
		memory_of_0(&w, have);
		for (int r = 0; r < ranks; r++)
			for (int k = 0; k < 2 * half; k++)
				CHECK_INT(have[r * share + k],
					  k % 2 ? 0 : element(r, k / 2));
		MPI_Win_free(&w.win);
	}
	MPI_Type_free(&every_second);
}

/* ---- requests ------------------------------------------------------------- */

/* Put to the right, add to it, get it back: each is waited for, or flushed. */
static void requests_of_windows(void)
{
	int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
	static long mine[N], got[N], before[N];
	struct window w = window_open();
	MPI_Request request;

	elements_put(mine, rank, N);
	MPI_Win_lock_all(0, w.win);
	MPI_Rput(mine, N, MPI_LONG, right, 0, N, MPI_LONG, w.win, &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	MPI_Win_flush(right, w.win); /* its end here is not yet its end there */
	MPI_Raccumulate(mine, N, MPI_LONG, right, 0, N, MPI_LONG, MPI_SUM,
			w.win, &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	MPI_Win_flush_all(w.win);
	MPI_Rget_accumulate(mine, N, MPI_LONG, before, N, MPI_LONG, right, 0, N,
			    MPI_LONG, MPI_SUM, w.win, &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	MPI_Win_flush_local_all(w.win);
	MPI_Win_flush(right, w.win);
	MPI_Rget(got, N, MPI_LONG, right, 0, N, MPI_LONG, w.win, &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	for (int i = 0; i < N; i++) {
		CHECK_INT(before[i], 2 * element(rank, i));
		CHECK_INT(got[i], 3 * element(rank, i));
	}
	MPI_Barrier(world);
	MPI_Win_sync(w.win);
	for (int i = 0; i < N; i++)
		CHECK_INT(w.memory[i], 3 * element(left, i));
	MPI_Win_unlock_all(w.win);
	MPI_Win_free(&w.win);
}

/* ---- memory that is attached later ---------------------------------------- */

static void attached(void)
{
	int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
	long *memory = elements_room(N), *mine = elements_make(rank, N);
	MPI_Aint here, there;
	MPI_Win win;

	MPI_Win_create_dynamic(MPI_INFO_NULL, world, &win);
	for (int twice = 0; twice < 2; twice++) {
		memset(memory, 0, N * sizeof(long));
		MPI_Win_attach(win, memory, N * sizeof(long));
		MPI_Get_address(memory, &here);
		MPI_Sendrecv(&here, 1, MPI_AINT, left, 0, &there, 1, MPI_AINT,
			     right, 0, world, MPI_STATUS_IGNORE);
		MPI_Win_fence(0, win);
		MPI_Put(mine, N, MPI_LONG, right, there, N, MPI_LONG, win);
		MPI_Win_fence(0, win);
		elements_check(memory, left, N);
		MPI_Win_fence(0, win);
		MPI_Accumulate(mine, N, MPI_LONG, right, there, N, MPI_LONG,
			       MPI_SUM, win);
		MPI_Win_fence(0, win);
		for (int i = 0; i < N; i++)
			CHECK_INT(memory[i], 2 * element(left, i));
		MPI_Win_detach(win, memory);
		MPI_Barrier(world);
	}
	MPI_Win_free(&win);
	free(memory);
	free(mine);
}

const struct conform_case atomics_cases[] = {
	{"accumulate", accumulate, 1, false},
	{"replace_and_read", replace_and_read, 1, false},
	{"fetch", fetch, 1, false},
	{"swap", swap, 1, false},
	{"put_and_get", put_and_get, 1, false},
	{"requests_of_windows", requests_of_windows, 1, false},
	{"attached", attached, 1, false},
	{NULL, NULL, 0, false}};
