// SPDX-License-Identifier: BSD-2-Clause
/*
 * reductions.c - operations that do not commute, that tell where, that somebody
 * defined; unequal shares; and collectives in place.
 */
#include <stdlib.h>
#include <string.h>

#include "elements.h"

#define RANKS_MAX 64

static const int counts[] = {1, 100, 3000, 40000};

static int counts_count(void)
{
	return is_short ? 3 : 4;
}

/* ---- 2x2 matrices do not commute ---------------------------------------- */

static void multiply(void *a, void *b, int *n, MPI_Datatype *type)
{
	const unsigned *x = a;
	unsigned *y = b, z[4];

	(void)type;
	for (int i = 0; i < *n; i++, x += 4, y += 4) {
		z[0] = x[0] * y[0] + x[1] * y[2];
		z[1] = x[0] * y[1] + x[1] * y[3];
		z[2] = x[2] * y[0] + x[3] * y[2];
		z[3] = x[2] * y[1] + x[3] * y[3];
		memcpy(y, z, sizeof(z));
	}
}

static void matrix(int r, int i, unsigned m[4])
{
	m[0] = 1 + (unsigned)(r + i) % 5;
	m[1] = (unsigned)r + 2;
	m[2] = (unsigned)i % 7;
	m[3] = 3;
}

typedef unsigned matrix_t[4];

/* They are n products of ranks 0 to last, in this order, from number from. */
static void check_products(matrix_t *have, int last, int from, int n)
{
	int one = 1;

	for (int i = 0; i < n; i++) {
		unsigned want[4], left[4];

		matrix(last, from + i, want);
		for (int r = last; r-- > 0;) {
			matrix(r, from + i, left);
			multiply(left, want, &one, NULL);
		}
		CHECK(!memcmp(have[i], want, sizeof(want)));
	}
}

static void reduce_in_order(void)
{
	enum {
		N = 64 * 6
	};
	static matrix_t mine[N], all[N];
	MPI_Datatype type;
	int share = N / ranks;
	MPI_Op op;

	MPI_Type_contiguous(4, MPI_UNSIGNED, &type);
	MPI_Type_commit(&type);
	MPI_Op_create(multiply, 0, &op);
	for (int i = 0; i < N; i++)
		matrix(rank, i, mine[i]);
	for (int root = 0; root < ranks; root++) {
		MPI_Reduce(mine, all, N, type, op, root, world);
		if (rank == root)
			check_products(all, ranks - 1, 0, N);
	}
	memset(all, 0, sizeof(all));
	MPI_Allreduce(mine, all, N, type, op, world);
	check_products(all, ranks - 1, 0, N);
	MPI_Scan(mine, all, N, type, op, world);
	check_products(all, rank, 0, N);
	MPI_Exscan(mine, all, N, type, op, world);
	if (rank)
		check_products(all, rank - 1, 0, N);
	MPI_Reduce_scatter_block(mine, all, share, type, op, world);
	check_products(all, ranks - 1, rank * share, share);
	MPI_Op_free(&op);
	MPI_Type_free(&type);
}

/* ---- where ---------------------------------------------------------------- */

struct place {
	long value;
	int where;
};

/* Each rank is least in some places, and greatest in others; two are equal. */
static long place_value(int r, int i)
{
	return (r * 7 + i * 5) % (ranks + 3) / 2;
}

static struct place place_of(int i, int sign)
{
	struct place best = {place_value(0, i), 0};

	for (int r = 1; r < ranks; r++)
		if (sign * place_value(r, i) < sign * best.value)
			best = (struct place){place_value(r, i), r};
	return best;
}

static void check_places(const struct place *have, int n, int sign)
{
	for (int i = 0; i < n; i++) {
		CHECK_INT(have[i].value, place_of(i, sign).value);
		CHECK_INT(have[i].where, place_of(i, sign).where);
	}
}

static void places(void)
{
	enum {
		N = 3000
	};
	static struct place mine[N], all[N];

	for (int i = 0; i < N; i++)
		mine[i] = (struct place){place_value(rank, i), rank};
	MPI_Allreduce(mine, all, N, MPI_LONG_INT, MPI_MINLOC, world);
	check_places(all, N, 1);
	MPI_Allreduce(mine, all, N, MPI_LONG_INT, MPI_MAXLOC, world);
	check_places(all, N, -1);
	for (int root = 0; root < ranks; root++) {
		memset(all, 0, sizeof(all));
		MPI_Reduce(mine, all, N, MPI_LONG_INT, MPI_MINLOC, root, world);
		if (rank == root)
			check_places(all, N, 1);
		MPI_Reduce(mine, all, N, MPI_LONG_INT, MPI_MAXLOC, root, world);
		if (rank == root)
			check_places(all, N, -1);
	}
}

/* ---- what MPI brings ------------------------------------------------------ */

static long apply(int which_op, long a, long b)
{
	switch (which_op) {
	case 0:
		return a > b ? a : b;
	case 1:
		return a < b ? a : b;
	case 2:
		return a + b;
	case 3: /* no overflow, which would not be defined */
		return (long)((unsigned long)a * (unsigned long)b);
	case 4:
		return a && b;
	case 5:
		return a || b;
	case 6:
		return !a != !b;
	case 7:
		return a & b;
	case 8:
		return a | b;
	default:
		return a ^ b;
	}
}

static void operations(void)
{
	const MPI_Op ops[] = {MPI_MAX, MPI_MIN,	 MPI_SUM,  MPI_PROD, MPI_LAND,
			      MPI_LOR, MPI_LXOR, MPI_BAND, MPI_BOR,  MPI_BXOR};
	enum {
		N = 1000
	};
	static long mine[N], all[N];

	/* small ones, so that 0 and 1 are among them */
	for (int i = 0; i < N; i++)
		mine[i] = element(rank, i) % 3;
	for (int op = 0; op < 10; op++) {
		MPI_Allreduce(mine, all, N, MPI_LONG, ops[op], world);
		for (int i = 0; i < N; i++) {
			long want = element(0, i) % 3;

			for (int r = 1; r < ranks; r++)
				want = apply(op, want, element(r, i) % 3);
			CHECK_INT(all[i], want);
		}
	}
}

/* ---- unequal shares ------------------------------------------------------- */

/* Rank r gets n + 7 * r elements of the sum, rank 1 none. */
static void reduce_scatter_unequal(void)
{
	for (int c = 0; c < counts_count(); c++) {
		int lens[RANKS_MAX], total = 0, before = 0;
		long *mine, *part;

		for (int r = 0; r < ranks; r++) {
			lens[r] = r == 1 ? 0 : counts[c] + 7 * r;
			before += r < rank ? lens[r] : 0;
			total += lens[r];
		}
		mine = elements_make(rank, total);
		part = elements_room(total);
		MPI_Reduce_scatter(mine, part, lens, MPI_LONG, MPI_SUM, world);
		elements_check_sum(part, ranks - 1, before, lens[rank]);
		MPI_Reduce_scatter(MPI_IN_PLACE, mine, lens, MPI_LONG, MPI_SUM,
				   world);
		elements_check_sum(mine, ranks - 1, before, lens[rank]);
		free(mine);
		free(part);
	}
}

/* ---- in place ------------------------------------------------------------- */

static void in_place_reduce(int n)
{
	long *p = elements_make(rank, (long)n * ranks);

	for (int root = 0; root < ranks; root++) {
		elements_put(p, rank, n);
		MPI_Reduce(rank == root ? MPI_IN_PLACE : p,
			   rank == root ? p : NULL, n, MPI_LONG, MPI_SUM, root,
			   world);
		if (rank == root)
			elements_check_sum(p, ranks - 1, 0, n);
		else
			elements_check(p, rank, n);
	}
	elements_put(p, rank, n);
	MPI_Scan(MPI_IN_PLACE, p, n, MPI_LONG, MPI_SUM, world);
	elements_check_sum(p, rank, 0, n);
	elements_put(p, rank, n);
	MPI_Exscan(MPI_IN_PLACE, p, n, MPI_LONG, MPI_SUM, world);
	if (rank)
		elements_check_sum(p, rank - 1, 0, n);
	elements_put(p, rank, (long)n * ranks);
	MPI_Reduce_scatter_block(MPI_IN_PLACE, p, n, MPI_LONG, MPI_SUM, world);
	elements_check_sum(p, ranks - 1, (long)n * rank, n);
	free(p);
}

static void in_place_gather(int n)
{
	long *all = elements_room((long)n * ranks),
	     *mine = all + (long)n * rank;

	for (int root = 0; root < ranks; root++) {
		memset(all, 0x11, (size_t)n * (size_t)ranks * sizeof(long));
		elements_put(mine, rank, n);
		if (rank == root)
			MPI_Gather(MPI_IN_PLACE, 0, MPI_LONG, all, n, MPI_LONG,
				   root, world);
		else
			MPI_Gather(mine, n, MPI_LONG, NULL, 0, MPI_LONG, root,
				   world);
		for (int r = 0; r < ranks && rank == root; r++)
			elements_check(all + (long)n * r, r, n);
		if (rank == root) {
			MPI_Scatter(all, n, MPI_LONG, MPI_IN_PLACE, 0, MPI_LONG,
				    root, world);
		} else {
			memset(mine, 0, (size_t)n * sizeof(long));
			MPI_Scatter(NULL, 0, MPI_LONG, mine, n, MPI_LONG, root,
				    world);
		}
		elements_check(mine, rank, n);
	}
	memset(all, 0x11, (size_t)n * (size_t)ranks * sizeof(long));
	elements_put(mine, rank, n);
	MPI_Allgather(MPI_IN_PLACE, 0, MPI_LONG, all, n, MPI_LONG, world);
	for (int r = 0; r < ranks; r++)
		elements_check(all + (long)n * r, r, n);
	free(all);
}

static void in_place_alltoall(int n)
{
	long *all = elements_room((long)n * ranks);

	for (int r = 0; r < ranks; r++)
		elements_put(all + (long)n * r, rank * 100 + r, n);
	MPI_Alltoall(MPI_IN_PLACE, 0, MPI_LONG, all, n, MPI_LONG, world);
	for (int r = 0; r < ranks; r++)
		elements_check(all + (long)n * r, r * 100 + rank, n);
	free(all);
}

static void in_place(void)
{
	for (int c = 0; c < counts_count(); c++) {
		in_place_reduce(counts[c]);
		in_place_gather(counts[c]);
		in_place_alltoall(counts[c]);
	}
}

/* ---- each to each, of its own type ---------------------------------------- */

/* r sends to s 50 * (r + s) elements; s takes them in with a hole after each. */
static void alltoall_types(void)
{
	int out_n[RANKS_MAX], out_at[RANKS_MAX], in_n[RANKS_MAX],
		in_at[RANKS_MAX], out_end = 0, in_end = 0;
	MPI_Datatype dense[RANKS_MAX], sparse[RANKS_MAX];
	long *out, *in;

	for (int r = 0; r < ranks; r++) {
		int n = 50 * (rank + r);

		out_n[r] = n;
		in_n[r] = 1;
		dense[r] = MPI_LONG;
		MPI_Type_vector(n, 1, 2, MPI_LONG, &sparse[r]);
		MPI_Type_commit(&sparse[r]);
		out_at[r] = out_end * (int)sizeof(long);
		in_at[r] = in_end * (int)sizeof(long);
		out_end += n;
		in_end += 2 * n;
	}
	out = elements_room(out_end);
	in = elements_room(in_end);
	for (int r = 0; r < ranks; r++)
		elements_put(out + out_at[r] / (int)sizeof(long),
			     rank * 100 + r, out_n[r]);
	MPI_Alltoallw(out, out_n, out_at, dense, in, in_n, in_at, sparse,
		      world);
	for (int r = 0; r < ranks; r++) {
		const long *p = in + in_at[r] / (int)sizeof(long);

		for (int i = 0; i < out_n[r]; i++) {
			CHECK_INT(p[2 * i], element_for(r, rank, i));
			CHECK_INT(p[2 * i + 1], 0x1111111111111111);
		}
		MPI_Type_free(&sparse[r]);
	}
	free(out);
	free(in);
}

const struct conform_case reductions_cases[] = {
	{"reduce_in_order", reduce_in_order, 1, false},
	{"places", places, 1, false},
	{"operations", operations, 1, false},
	{"reduce_scatter_unequal", reduce_scatter_unequal, 1, false},
	{"in_place", in_place, 1, false},
	{"alltoall_types", alltoall_types, 1, false},
	{NULL, NULL, 0, false}};
