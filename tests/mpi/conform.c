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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conform.h"

int rank, ranks;
MPI_Comm world;
bool is_short;
const char *which = "start";

static const struct conform_case *const all_cases[] = {
	p2p_cases,	types_cases, collectives_cases,
	onesided_cases, comms_cases, NULL};

void conform_fail(const char *file, int line, const char *what, long have,
		  long want)
{
	fprintf(stderr, "%s:%d: rank %d of %d, case %s: %s is %ld, not %ld\n",
		file, line, rank, ranks, which, what, have, want);
	MPI_Abort(MPI_COMM_WORLD, 1);
	abort();
}

void *conform_alloc(size_t len)
{
	void *p = malloc(len ? len : 1);

	CHECK(p);
	return p;
}

/* One multiplication for 8 bytes: large messages take no longer to check. */
static uint64_t word(size_t at, unsigned seed)
{
	return (at + 1) * 0x9e3779b97f4a7c15u ^ seed * 0xc2b2ae3d27d4eb4fu;
}

void conform_fill(void *buf, size_t len, unsigned seed)
{
	for (size_t at = 0; at < len; at += 8) {
		uint64_t w = word(at, seed);

		memcpy((char *)buf + at, &w, len - at < 8 ? len - at : 8);
	}
}

void conform_verify(const void *buf, size_t len, unsigned seed)
{
	for (size_t at = 0; at < len; at += 8) {
		uint64_t w = word(at, seed);

		if (memcmp((const char *)buf + at, &w,
			   len - at < 8 ? len - at : 8))
			conform_fail(__FILE__, __LINE__, "first wrong byte",
				     (long)at, (long)len);
	}
}

/* ---- a rank that dies --------------------------------------------------- */

static double now(void)
{
	return MPI_Wtime();
}

/* All exchange, for ever; rank 1 is killed meanwhile. */
static void die(int ms)
{
	enum {
		LONG = 1 << 20
	};
	char *out = conform_alloc(LONG), *in = conform_alloc(LONG);
	int left = (rank + ranks - 1) % ranks, right = (rank + 1) % ranks;
	double end = now() + ms / 1000.0;

	for (unsigned i = 0;; i++) {
		int len = i % 2 ? LONG : 4096;

		MPI_Sendrecv(out, len, MPI_BYTE, right, 0, in, len, MPI_BYTE,
			     left, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		if (rank == 1 && now() > end)
			raise(SIGKILL);
	}
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

struct arguments {
	bool threads;
	int die_ms;
	char **names;
};

static const struct argp_option option_list[] = {
	{"short", 's', NULL, 0, "Fewer and smaller", 0},
	{"threads", 't', NULL, 0, "With MPI_THREAD_MULTIPLE", 0},
	{"die", 'd', "MS", 0, "Exchange for ever; rank 1 is killed after MS",
	 0},
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
	if (a.die_ms)
		die(a.die_ms);
	for (int i = 0; all_cases[i]; i++)
		for (const struct conform_case *c = all_cases[i]; c->name; c++)
			if (is_wanted(c->name, a.names) &&
			    (parent != MPI_COMM_NULL ||
			     strcmp(c->name, "spawned")))
				run_case(c, a.threads);
	MPI_Finalize();
	return 0;
}
