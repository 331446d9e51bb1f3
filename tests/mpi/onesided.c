// SPDX-License-Identifier: BSD-2-Clause
/*
 * onesided.c - windows: each way to synchronise, each way to reach memory.
 */
#include <stdlib.h>
#include <string.h>

#include "conform.h"

enum {
	N = 20000
};

struct window {
	MPI_Win win;
	long *memory;
	bool allocated;
};

static struct window window_open(bool allocate)
{
	struct window w = {.allocated = allocate};
	MPI_Aint bytes = N * sizeof(long);

	if (allocate) {
		MPI_Win_allocate(bytes, sizeof(long), MPI_INFO_NULL, world,
				 &w.memory, &w.win);
	} else {
		w.memory = conform_alloc((size_t)bytes);
		MPI_Win_create(w.memory, bytes, sizeof(long), MPI_INFO_NULL,
			       world, &w.win);
	}
	memset(w.memory, 0, (size_t)bytes);
	MPI_Barrier(world);
	return w;
}

static void window_close(struct window *w)
{
	MPI_Win_free(&w->win);
	if (!w->allocated)
		free(w->memory);
}

static long value(int r, int i)
{
	return 100000L * (r + 1) + i;
}

/* Each puts into the right neighbour, then gets from the left. */
static void fence(void)
{
	int left = (rank + ranks - 1) % ranks, right = (rank + 1) % ranks;
	static long out[N], in[N];

	for (int kind = 0; kind < 2; kind++) {
		struct window w = window_open(kind);

		for (int i = 0; i < N; i++)
			out[i] = value(rank, i);
		MPI_Win_fence(0, w.win);
		MPI_Put(out, N, MPI_LONG, right, 0, N, MPI_LONG, w.win);
		MPI_Win_fence(0, w.win);
		for (int i = 0; i < N; i++)
			CHECK_INT(w.memory[i], value(left, i));
		MPI_Win_fence(0, w.win);
		MPI_Get(in, N, MPI_LONG, right, 0, N, MPI_LONG, w.win);
		MPI_Win_fence(0, w.win);
		for (int i = 0; i < N; i++)
			CHECK_INT(in[i], value(rank, i));
		window_close(&w);
	}
}

/* 0 exposes, all others put into their share. */
static void post_start(void)
{
	MPI_Group all, others, first;
	struct window w = window_open(false);
	int zero = 0, share = N / ranks;
	static long out[N];

	MPI_Comm_group(world, &all);
	MPI_Group_incl(all, 1, &zero, &first);
	MPI_Group_excl(all, 1, &zero, &others);
	for (int i = 0; i < share; i++)
		out[i] = value(rank, i);
	if (!rank) {
		MPI_Win_post(others, 0, w.win);
		MPI_Win_wait(w.win);
		for (int r = 1; r < ranks; r++)
			for (int i = 0; i < share; i++)
				CHECK_INT(w.memory[r * share + i], value(r, i));
	} else {
		MPI_Win_start(first, 0, w.win);
		MPI_Put(out, share, MPI_LONG, 0, rank * share, share, MPI_LONG,
			w.win);
		MPI_Win_complete(w.win);
	}
	MPI_Group_free(&first);
	MPI_Group_free(&others);
	MPI_Group_free(&all);
	window_close(&w);
}

/* Everybody adds to everybody's words, under exclusive and shared locks. */
static void locks(void)
{
	struct window w = window_open(false);
	long one = 1, got = -1, ten[10];

	for (int i = 0; i < 10; i++)
		ten[i] = i * (rank + 1);
	for (int r = 0; r < ranks; r++) {
		MPI_Win_lock(MPI_LOCK_EXCLUSIVE, r, 0, w.win);
		MPI_Get(&got, 1, MPI_LONG, r, 0, 1, MPI_LONG, w.win);
		MPI_Win_flush(r, w.win);
		got++;
		MPI_Put(&got, 1, MPI_LONG, r, 0, 1, MPI_LONG, w.win);
		MPI_Win_unlock(r, w.win);
	}
	MPI_Win_lock_all(0, w.win);
	for (int r = 0; r < ranks; r++) {
		MPI_Accumulate(&one, 1, MPI_LONG, r, 1, 1, MPI_LONG, MPI_SUM,
			       w.win);
		MPI_Accumulate(ten, 10, MPI_LONG, r, 10, 10, MPI_LONG, MPI_SUM,
			       w.win);
	}
	MPI_Win_flush_all(w.win);
	MPI_Win_unlock_all(w.win);
	MPI_Barrier(world);
	MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, w.win);
	CHECK_INT(w.memory[0], ranks);
	CHECK_INT(w.memory[1], ranks);
	for (int i = 0; i < 10; i++)
		CHECK_INT(w.memory[10 + i], i * ranks * (ranks + 1) / 2);
	MPI_Win_unlock(rank, w.win);
	window_close(&w);
}

/* Tickets from one counter: each number is drawn once. */
static void fetch_and_op(void)
{
	enum {
		DRAWS = 200
	};
	struct window w = window_open(true);
	long one = 1, got, mine = 0, all, total = (long)DRAWS * ranks;

	MPI_Win_lock_all(0, w.win);
	for (int i = 0; i < DRAWS; i++) {
		MPI_Fetch_and_op(&one, &got, MPI_LONG, 0, 0, MPI_SUM, w.win);
		MPI_Win_flush(0, w.win);
		CHECK(got >= 0 && got < total);
		mine += got;
	}
	MPI_Win_unlock_all(w.win);
	MPI_Allreduce(&mine, &all, 1, MPI_LONG, MPI_SUM, world);
	CHECK_INT(all, total * (total - 1) / 2);
	window_close(&w);
}

static void compare_and_swap(void)
{
	struct window w = window_open(true);
	long want = 0, put = rank + 1, got, won, wins;

	MPI_Win_lock_all(0, w.win);
	MPI_Compare_and_swap(&put, &want, &got, MPI_LONG, 0, 5, w.win);
	MPI_Win_unlock_all(w.win);
	won = got == 0;
	MPI_Allreduce(&won, &wins, 1, MPI_LONG, MPI_SUM, world);
	CHECK_INT(wins, 1);
	window_close(&w);
}

static void get_accumulate(void)
{
	struct window w = window_open(false);
	static long out[1000], in[1000];

	for (int i = 0; i < 1000; i++)
		out[i] = i;
	for (int turn = 0; turn < ranks; turn++) {
		if (turn == rank) {
			MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, w.win);
			MPI_Get_accumulate(out, 1000, MPI_LONG, in, 1000,
					   MPI_LONG, 0, 0, 1000, MPI_LONG,
					   MPI_SUM, w.win);
			MPI_Win_unlock(0, w.win);
			for (int i = 0; i < 1000; i++)
				CHECK_INT(in[i], (long)i * turn);
		}
		MPI_Barrier(world);
	}
	window_close(&w);
}

const struct conform_case onesided_cases[] = {
	{"fence", fence, 2, false},
	{"post_start", post_start, 2, false},
	{"locks", locks, 2, false},
	{"fetch_and_op", fetch_and_op, 2, false},
	{"compare_and_swap", compare_and_swap, 2, false},
	{"get_accumulate", get_accumulate, 2, false},
	{NULL, NULL, 0, false}};
