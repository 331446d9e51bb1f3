// SPDX-License-Identifier: BSD-2-Clause
/*
 * neighbours.c - collectives among neighbours: of a grid, whose borders have
 * nobody beyond, and of a graph in which not all have equally many.
 *
 * What source s has for its neighbour d is element_for(s, d, i); what it has for
 * all of them is element(s, i).
 */
#include <stdlib.h>
#include <string.h>

#include "elements.h"

#define MOST 64 /* neighbours */

/* Who sends to us and to whom we send, in the communicator's own order. */
struct graph {
	MPI_Comm comm;
	int me, ins, outs;
	int in[MOST], out[MOST]; /* ranks, or MPI_PROC_NULL */
	int n;			 /* elements for one neighbour */
};

/* ---- graphs --------------------------------------------------------------- */

/*
 * A dimension closes to a ring where that gives two different neighbours; with
 * fewer, which of two messages is which would be a question to Open MPI.
 */
static struct graph grid(int dimensions)
{
	int dims[2] = {0}, rings[2];
	struct graph g = {0};

	MPI_Dims_create(ranks, dimensions, dims);
	for (int i = 0; i < dimensions; i++)
		rings[i] = dims[i] > 2;
	MPI_Cart_create(world, dimensions, dims, rings, 1, &g.comm);
	MPI_Comm_rank(g.comm, &g.me);
	for (int i = 0; i < dimensions; i++) {
		MPI_Cart_shift(g.comm, i, 1, &g.in[2 * i], &g.in[2 * i + 1]);
		g.ins += 2;
	}
	memcpy(g.out, g.in, sizeof(g.in));
	g.outs = g.ins;
	return g;
}

/* To itself, to the next one, and to 0: which hears from all. */
static bool is_edge(int from, int to)
{
	return to == from || to == (from + 1) % ranks || to == 0;
}

static int weight(int from, int to)
{
	return 3 * from + to;
}

static struct graph star(bool adjacent)
{
	int in_weights[MOST], out_weights[MOST];
	struct graph g = {.me = rank};

	CHECK(ranks <= MOST);
	for (int r = 0; r < ranks; r++) {
		if (is_edge(r, rank)) {
			in_weights[g.ins] = weight(r, rank);
			g.in[g.ins++] = r;
		}
		if (is_edge(rank, r)) {
			out_weights[g.outs] = weight(rank, r);
			g.out[g.outs++] = r;
		}
	}
	if (adjacent)
		MPI_Dist_graph_create_adjacent(world, g.ins, g.in, in_weights,
					       g.outs, g.out, out_weights,
					       MPI_INFO_NULL, 0, &g.comm);
	else
		MPI_Dist_graph_create(world, 1, &rank, &g.outs, g.out,
				      out_weights, MPI_INFO_NULL, 0, &g.comm);
	return g;
}

/* The order of those who were told of each other is MPI's, and may be asked. */
static void star_order(struct graph *g)
{
	int in_weights[MOST], out_weights[MOST], ins, outs, weighted;
	bool seen[MOST] = {false};

	MPI_Dist_graph_neighbors_count(g->comm, &ins, &outs, &weighted);
	CHECK_INT(ins, g->ins);
	CHECK_INT(outs, g->outs);
	CHECK(weighted);
	MPI_Dist_graph_neighbors(g->comm, ins, g->in, in_weights, outs, g->out,
				 out_weights);
	for (int i = 0; i < ins; i++) {
		CHECK(is_edge(g->in[i], rank) && !seen[g->in[i]]);
		CHECK_INT(in_weights[i], weight(g->in[i], rank));
		seen[g->in[i]] = true;
	}
	for (int i = 0; i < outs; i++)
		CHECK_INT(out_weights[i], weight(rank, g->out[i]));
}

/* ---- what they exchange --------------------------------------------------- */

/* Block i of the result is the i-th source's; nobody's is as it was. */
static void check_block(const long *p, int source, int seed, long n)
{
	for (long i = 0; i < n; i++)
		CHECK_INT(p[i], source == MPI_PROC_NULL ? 0x1111111111111111
							: element(seed, i));
}

static void wait_for(MPI_Request *request)
{
	if (*request != MPI_REQUEST_NULL)
		MPI_Wait(request, MPI_STATUS_IGNORE);
}

static void allgather(const struct graph *g, bool wait)
{
	MPI_Request request = MPI_REQUEST_NULL;
	long *out = elements_make(g->me, g->n),
	     *in = elements_room((long)g->n * g->ins);

	if (wait)
		MPI_Ineighbor_allgather(out, g->n, MPI_LONG, in, g->n, MPI_LONG,
					g->comm, &request);
	else
		MPI_Neighbor_allgather(out, g->n, MPI_LONG, in, g->n, MPI_LONG,
				       g->comm);
	wait_for(&request);
	for (int i = 0; i < g->ins; i++)
		check_block(in + (long)g->n * i, g->in[i], g->in[i], g->n);
	free(out);
	free(in);
}

/* Rank r has n + r elements; they lie with gaps of two. */
static void allgatherv(const struct graph *g, bool wait)
{
	MPI_Request request = MPI_REQUEST_NULL;
	int lens[MOST], at[MOST], end = 0, own = g->n + g->me;
	long *out = elements_make(g->me, own), *in;

	for (int i = 0; i < g->ins; i++) {
		lens[i] = g->in[i] == MPI_PROC_NULL ? 3 : g->n + g->in[i];
		at[i] = end;
		end += lens[i] + 2;
	}
	in = elements_room(end);
	if (wait)
		MPI_Ineighbor_allgatherv(out, own, MPI_LONG, in, lens, at,
					 MPI_LONG, g->comm, &request);
	else
		MPI_Neighbor_allgatherv(out, own, MPI_LONG, in, lens, at,
					MPI_LONG, g->comm);
	wait_for(&request);
	for (int i = 0; i < g->ins; i++) {
		check_block(in + at[i], g->in[i], g->in[i], lens[i]);
		check_block(in + at[i] + lens[i], MPI_PROC_NULL, 0, 2);
	}
	free(out);
	free(in);
}

static long *for_each(const struct graph *g)
{
	long *out = elements_room((long)g->n * g->outs);

	for (int i = 0; i < g->outs; i++)
		elements_put(out + (long)g->n * i, g->me * 100 + g->out[i],
			     g->n);
	return out;
}

static void alltoall(const struct graph *g, bool wait)
{
	MPI_Request request = MPI_REQUEST_NULL;
	long *out = for_each(g), *in = elements_room((long)g->n * g->ins);

	if (wait)
		MPI_Ineighbor_alltoall(out, g->n, MPI_LONG, in, g->n, MPI_LONG,
				       g->comm, &request);
	else
		MPI_Neighbor_alltoall(out, g->n, MPI_LONG, in, g->n, MPI_LONG,
				      g->comm);
	wait_for(&request);
	for (int i = 0; i < g->ins; i++)
		check_block(in + (long)g->n * i, g->in[i],
			    g->in[i] * 100 + g->me, g->n);
	free(out);
	free(in);
}

/* s sends d the first (s + d) % n of the elements that it has for it. */
static int part(const struct graph *g, int s, int d)
{
	return s == MPI_PROC_NULL || d == MPI_PROC_NULL ? 0 : (s + d) % g->n;
}

static void alltoallv(const struct graph *g, bool wait)
{
	MPI_Request request = MPI_REQUEST_NULL;
	int out_n[MOST], out_at[MOST], in_n[MOST], in_at[MOST];
	long *out = for_each(g), *in = elements_room((long)g->n * g->ins);

	for (int i = 0; i < g->outs; i++) {
		out_n[i] = part(g, g->me, g->out[i]);
		out_at[i] = g->n * i;
	}
	for (int i = 0; i < g->ins; i++) {
		in_n[i] = part(g, g->in[i], g->me);
		in_at[i] = g->n * i;
	}
	if (wait)
		MPI_Ineighbor_alltoallv(out, out_n, out_at, MPI_LONG, in, in_n,
					in_at, MPI_LONG, g->comm, &request);
	else
		MPI_Neighbor_alltoallv(out, out_n, out_at, MPI_LONG, in, in_n,
				       in_at, MPI_LONG, g->comm);
	wait_for(&request);
	for (int i = 0; i < g->ins; i++) {
		check_block(in + in_at[i], g->in[i], g->in[i] * 100 + g->me,
			    in_n[i]);
		check_block(in + in_at[i] + in_n[i], MPI_PROC_NULL, 0,
			    g->n - in_n[i]);
	}
	free(out);
	free(in);
}

/* As longs they are sent, as bytes received. */
static void alltoallw(const struct graph *g, bool wait)
{
	MPI_Request request = MPI_REQUEST_NULL;
	MPI_Aint out_at[MOST], in_at[MOST];
	MPI_Datatype longs[MOST], bytes[MOST];
	int out_n[MOST], in_n[MOST], size = sizeof(long);
	long *out = for_each(g), *in = elements_room((long)g->n * g->ins);

	for (int i = 0; i < g->outs; i++) {
		longs[i] = MPI_LONG;
		out_n[i] = part(g, g->me, g->out[i]);
		out_at[i] = (MPI_Aint)g->n * i * size;
	}
	for (int i = 0; i < g->ins; i++) {
		bytes[i] = MPI_BYTE;
		in_n[i] = part(g, g->in[i], g->me) * size;
		in_at[i] = (MPI_Aint)g->n * i * size;
	}
	if (wait)
		MPI_Ineighbor_alltoallw(out, out_n, out_at, longs, in, in_n,
					in_at, bytes, g->comm, &request);
	else
		MPI_Neighbor_alltoallw(out, out_n, out_at, longs, in, in_n,
				       in_at, bytes, g->comm);
	wait_for(&request);
	for (int i = 0; i < g->ins; i++) {
		int n = in_n[i] / size;

		check_block(in + (long)g->n * i, g->in[i],
			    g->in[i] * 100 + g->me, n);
		check_block(in + (long)g->n * i + n, MPI_PROC_NULL, 0,
			    g->n - n);
	}
	free(out);
	free(in);
}

static void exchange(struct graph *g)
{
	static const int counts[] = {1, 30, 3000, 40000};

	for (int c = 0; c < (is_short ? 3 : 4); c++) {
		g->n = counts[c];
		for (int wait = 0; wait < 2; wait++) {
			allgather(g, wait);
			allgatherv(g, wait);
			alltoall(g, wait);
			alltoallv(g, wait);
			alltoallw(g, wait);
		}
	}
	MPI_Comm_free(&g->comm);
}

static void neighbours_of_grid(void)
{
	for (int dimensions = 1; dimensions <= 2; dimensions++) {
		struct graph g = grid(dimensions);

		exchange(&g);
	}
}

static void neighbours_of_graph(void)
{
	for (int adjacent = 0; adjacent < 2; adjacent++) {
		struct graph g = star(adjacent);

		star_order(&g);
		exchange(&g);
	}
}

const struct conform_case neighbours_cases[] = {
	{"neighbours_of_grid", neighbours_of_grid, 1, false},
	{"neighbours_of_graph", neighbours_of_graph, 1, false},
	{NULL, NULL, 0, false}};
