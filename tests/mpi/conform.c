// SPDX-License-Identifier: BSD-2-Clause
/*
 * conform.c - does MPI work over whatever carries it? Run by mpirun; each case
 * checks results that were computed, and the first wrong one ends the job.
 *
 * Flow:  run.sh -> mpirun -> main -> cases -> "ok NAME" from rank 0
 * Owns:  nothing.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

static const struct conform_case *const all_cases[] = {p2p_cases,
						       modes_cases,
						       completion_cases,
						       types_cases,
						       collectives_cases,
						       reductions_cases,
						       nonblocking_cases,
						       neighbours_cases,
						       groups_cases,
						       onesided_cases,
						       atomics_cases,
						       comms_cases,
						       NULL};

/* ---- a rank that dies, or the daemon -------------------------------------- */

static const int exchange_lens[] = {4096, 1 << 20, 40, 200000, 2 << 20};

enum {
	EXCHANGE_LENS = sizeof(exchange_lens) / sizeof(exchange_lens[0])
};

/* Round number i of all sizes, to the right and from the left. */
static void exchange_round(unsigned i, char *out, char *in)
{
	int left = (rank + ranks - 1) % ranks, right = (rank + 1) % ranks;

	for (int k = 0; k < EXCHANGE_LENS; k++) {
		size_t len = (size_t)exchange_lens[k];

		conform_fill(out, len, i * 64 + (unsigned)rank);
		memset(in, 0, len);
		MPI_Sendrecv(out, (int)len, MPI_BYTE, right, k, in, (int)len,
			     MPI_BYTE, left, k, world, MPI_STATUS_IGNORE);
		conform_verify(in, len, i * 64 + (unsigned)left);
	}
}

/*
 * All exchange until rank 0 has seen so many ms go by; what comes is checked. Rank 1
 * is killed in the midst of a round then, if somebody is to die.
 */
static void exchange(int ms, bool die)
{
	char *out = conform_alloc(2 << 20), *in = conform_alloc(2 << 20);
	double end = MPI_Wtime() + ms / 1000.0;
	int more = 1;

	which = "exchange";
	MPI_Comm_dup(MPI_COMM_WORLD, &world);
	for (unsigned i = 0; more; i++) {
		exchange_round(i, out, in);
		if (i == 0 && rank == 0) {
			printf("begun\n");
			fflush(stdout);
		}
		more = MPI_Wtime() < end;
		if (die && rank == 1 && !more)
			raise(SIGKILL);
		more |= die;
		MPI_Bcast(&more, 1, MPI_INT, 0, world);
	}
	MPI_Comm_free(&world);
	free(out);
	free(in);
	if (rank == 0)
		printf("exchanged\n");
}

/* ---- cases -------------------------------------------------------------- */

static void run_case(const struct conform_case *c, bool threads)
{
	which = c->name;
	if (ranks < c->ranks_min || (c->threads && !threads)) {
		if (!rank)
			printf("-- %s: needs %s\n", c->name,
			       c->threads && !threads ? "--threads"
						      : "more ranks");
		return;
	}
	MPI_Comm_dup(MPI_COMM_WORLD, &world);
	c->run();
	MPI_Barrier(world);
	MPI_Comm_free(&world);
	if (!rank) {
		printf("ok %s\n", c->name);
		fflush(stdout);
	}
}

static bool is_wanted(const char *name, char **names)
{
	for (char **n = names; n && *n; n++)
		if (!strcmp(*n, name))
			return true;
	return !names || !*names;
}

static void run_cases(char **names, bool threads, bool spawned)
{
	for (int i = 0; all_cases[i]; i++)
		for (const struct conform_case *c = all_cases[i]; c->name; c++)
			if (is_wanted(c->name, names) &&
			    (spawned || strcmp(c->name, "spawned")))
				run_case(c, threads);
}

struct arguments {
	bool threads;
	int die_ms, exchange_ms;
	const char *then;
	char **names;
};

static const struct argp_option option_list[] = {
	{"short", 's', NULL, 0, "Fewer and smaller", 0},
	{"threads", 't', NULL, 0, "With MPI_THREAD_MULTIPLE", 0},
	{"die", 'd', "MS", 0, "Exchange for ever; rank 1 is killed after MS",
	 0},
	{"then", 'c', "COMMAND", 0,
	 "At the end, while all still are there, rank 0 runs it", 0},
	{"exchange", 'e', "MS", 0, "Exchange for so long", 0},
	{0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 's':
		is_short = true;
		return 0;
	case 't':
		a->threads = true;
		return 0;
	case 'd':
		a->die_ms = atoi(arg);
		return 0;
	case 'c':
		a->then = arg;
		return 0;
	case 'e':
		a->exchange_ms = atoi(arg);
		return 0;
	case ARGP_KEY_ARGS:
		a->names = state->argv + state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {option_list,  parse, "[CASE...]",
					 "Check MPI.", NULL,  NULL,
					 NULL};
	struct arguments a = {0};
	static char *child_cases[] = {(char *)"spawned", NULL};
	int provided = MPI_THREAD_SINGLE, wanted;
	MPI_Comm parent;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	wanted = a.threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE;
	MPI_Init_thread(NULL, NULL, wanted, &provided);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	CHECK(provided >= wanted);
	MPI_Comm_get_parent(&parent);
	if (parent != MPI_COMM_NULL)
		a.names = child_cases;
	if (a.die_ms || a.exchange_ms)
		exchange(a.die_ms + a.exchange_ms, a.die_ms);
	else
		run_cases(a.names, a.threads, parent != MPI_COMM_NULL);
	if (a.then)
		conform_then(a.then);
	MPI_Finalize();
	return 0;
}
