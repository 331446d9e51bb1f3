// SPDX-License-Identifier: BSD-2-Clause
/*
 * types.c - data with holes: what is sent arrives, and holes stay as they were.
 */
#include <stdlib.h>
#include <string.h>

#include "conform.h"

#define HOLE 0x5a

/*
 * Send count of a type from 0 to 1; which bytes of its extent are data, MPI
 * itself is asked by packing marked memory.
 */
static void exchange(MPI_Datatype type, int count)
{
	MPI_Aint lb, extent;
	char *out, *in, *packed, *unpacked;
	int size, at = 0;
	size_t len;

	MPI_Type_commit(&type);
	MPI_Type_get_extent(type, &lb, &extent);
	MPI_Type_size(type, &size);
	CHECK_INT(lb, 0);
	len = (size_t)extent * (size_t)count;
	out = conform_alloc(len);
	in = conform_alloc(len);
	packed = conform_alloc((size_t)size * (size_t)count);
	unpacked = conform_alloc(len);
	conform_fill(out, len, 3);
	memset(in, HOLE, len);
	memset(unpacked, HOLE, len);
	if (rank == 0)
		MPI_Send(out, count, type, 1, 0, world);
	if (rank == 1) {
		MPI_Recv(in, count, type, 0, 0, world, MPI_STATUS_IGNORE);
		/* the same by way of a packed copy, without any message */
		MPI_Pack(out, count, type, packed, size * count, &at, world);
		CHECK_INT(at, size * count);
		at = 0;
		MPI_Unpack(packed, size * count, &at, unpacked, count, type,
			   world);
		CHECK(!memcmp(in, unpacked, len));
	}
	free(out);
	free(in);
	free(packed);
	free(unpacked);
	MPI_Type_free(&type);
}

static void vector(void)
{
	MPI_Datatype type;

	MPI_Type_vector(10, 3, 7, MPI_INT, &type);
	exchange(type, 1);
	MPI_Type_vector(1000, 5, 9, MPI_INT, &type);
	exchange(type, 1);
	MPI_Type_vector(100, 1, 2, MPI_DOUBLE, &type);
	exchange(type, is_short ? 100 : 3000);
}

static void indexed(void)
{
	int lens[50], at[50];
	MPI_Datatype type;

	for (int i = 0; i < 50; i++) {
		lens[i] = (i + 1) % 5;
		at[i] = 11 * i;
	}
	MPI_Type_indexed(50, lens, at, MPI_SHORT, &type);
	exchange(type, 1);
	MPI_Type_indexed(50, lens, at, MPI_SHORT, &type);
	exchange(type, 2000);
}

struct mixed {
	char c;
	double d;
	short s[3];
	int i;
};

static void structure(void)
{
	static const int lens[] = {1, 1, 3, 1};
	static const MPI_Aint at[] = {offsetof(struct mixed, c),
				      offsetof(struct mixed, d),
				      offsetof(struct mixed, s),
				      offsetof(struct mixed, i)};
	const MPI_Datatype types[] = {MPI_CHAR, MPI_DOUBLE, MPI_SHORT, MPI_INT};
	MPI_Datatype type, resized;

	for (int count = 1; count <= 20000; count *= 20) {
		MPI_Type_create_struct(4, lens, at, types, &type);
		MPI_Type_create_resized(type, 0, sizeof(struct mixed),
					&resized);
		MPI_Type_free(&type);
		exchange(resized, count);
	}
}

static void subarray(void)
{
	static const int whole[] = {200, 300}, part[] = {120, 90},
			 from[] = {17, 31};
	MPI_Datatype type;

	MPI_Type_create_subarray(2, whole, part, from, MPI_ORDER_C, MPI_INT,
				 &type);
	exchange(type, 1);
	MPI_Type_create_subarray(2, whole, part, from, MPI_ORDER_FORTRAN,
				 MPI_DOUBLE, &type);
	exchange(type, 3);
}

const struct conform_case types_cases[] = {{"vector", vector, 2, false},
					   {"indexed", indexed, 2, false},
					   {"structure", structure, 2, false},
					   {"subarray", subarray, 2, false},
					   {NULL, NULL, 0, false}};
