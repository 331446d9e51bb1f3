// SPDX-License-Identifier: BSD-2-Clause
/*
 * transfers.c - memory that is registered, put into and got from with its key, by
 * the functions of the module: ob1 calls them seldom, and windows, which would, do
 * not in Open MPI 4.1.
 *
 * One rank acts and the other one looks: both know what the looker's memory has to
 * hold, and after each step he compares all of it. Then they change places.
 */
#include "module.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <opal/constants.h>
#include <opal/runtime/opal_params.h>
#include <opal/runtime/opal_progress.h>

#define PAGE ((size_t)4096)
#define LONGEST ((size_t)8 << 20)
#define LEN (LONGEST + 16 * PAGE) /* of the region */
#define ALL (PAGE + LEN + PAGE)	  /* of the memory that is looked at */
#define AROUND ((size_t)64)	  /* of local memory, which stays as it is */
#define UNTOUCHED 0x5a
#define HANDLE_MAX 256
#define READ MCA_BTL_REG_FLAG_REMOTE_READ
#define WRITE MCA_BTL_REG_FLAG_REMOTE_WRITE

static const struct other *other;
static bool acts;
static char *memory;   /* the looker's: a page, the region, a page */
static char *expected; /* what it has to hold */
static char *local;    /* the actor's: AROUND, what is moved, AROUND */

/* What the actor knows of the looker's memory. */
struct remote {
	uint64_t base;
	char handle[HANDLE_MAX];
};

static mca_btl_base_registration_handle_t *handle_of(struct remote *r)
{
	return (mca_btl_base_registration_handle_t *)r->handle;
}

static void look(void)
{
	MPI_Barrier(world);
	if (!acts)
		CHECK(!memcmp(memory, expected, ALL));
	MPI_Barrier(world);
}

/* ---- registered memory ---------------------------------------------------- */

/* len bytes of the region, for whoever has the key, or to offer to one. */
static struct remote expose(bool offered, size_t len, uint32_t access,
			    mca_btl_base_registration_handle_t **handle)
{
	size_t size = other->btl->btl_registration_handle_size;
	struct remote r = {0};

	CHECK(size <= HANDLE_MAX);
	if (acts) {
		MPI_Recv(&r, sizeof(r), MPI_BYTE, other->rank, 3, world,
			 MPI_STATUS_IGNORE);
		*handle = NULL;
		return r;
	}
	*handle = other->btl->btl_register_mem(other->btl,
					       offered ? other->endpoint : NULL,
					       memory + PAGE, len, access);
	CHECK(*handle);
	r.base = (uintptr_t)(memory + PAGE);
	memcpy(r.handle, *handle, size);
	MPI_Send(&r, sizeof(r), MPI_BYTE, other->rank, 3, world);
	return r;
}

static void withdraw(mca_btl_base_registration_handle_t *handle)
{
	if (!acts)
		CHECK_INT(other->btl->btl_deregister_mem(other->btl, handle),
			  OPAL_SUCCESS);
	MPI_Barrier(world);
}

/* ---- one transfer --------------------------------------------------------- */

struct transfer {
	char *from;
	int ended, status;
};

static void ended(mca_btl_base_module_t *btl,
		  struct mca_btl_base_endpoint_t *endpoint, void *local_address,
		  mca_btl_base_registration_handle_t *local_handle,
		  void *context, void *data, int status)
{
	struct transfer *t = context;

	CHECK(btl == other->btl && endpoint == other->endpoint);
	CHECK(local_address == t->from && !local_handle);
	CHECK(data == &local);
	t->ended++;
	t->status = status;
}

/* Returns what the module does, but not that it has no room now. */
static int begin(struct transfer *t, bool put, char *from, struct remote *r,
		 int64_t at, size_t len)
{
	mca_btl_base_module_t *btl = other->btl;
	uint64_t to = r->base + (uint64_t)at;
	int rc;

	*t = (struct transfer){.from = from};
	for (;;) {
		rc = put ? btl->btl_put(btl, other->endpoint, from, to, NULL,
					handle_of(r), len, 0, MCA_BTL_NO_ORDER,
					ended, t, &local)
			 : btl->btl_get(btl, other->endpoint, from, to, NULL,
					handle_of(r), len, 0, MCA_BTL_NO_ORDER,
					ended, t, &local);
		if (rc != OPAL_ERR_OUT_OF_RESOURCE)
			return rc;
		opal_progress();
	}
}

/* at: from where the region begins. Returns how it ended. */
static int move(bool put, char *from, struct remote *r, int64_t at, size_t len)
{
	struct transfer t;

	CHECK_INT(begin(&t, put, from, r, at, len), OPAL_SUCCESS);
	while (!t.ended)
		opal_progress();
	CHECK_INT(other->btl->btl_flush(other->btl, other->endpoint),
		  OPAL_SUCCESS);
	CHECK_INT(t.ended, 1);
	return t.status;
}

/* Local memory at an address that is no multiple of anything. */
static char *place_for(size_t len)
{
	return local + AROUND + len % 13;
}

static bool is_untouched(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != UNTOUCHED)
			return false;
	return true;
}

static void put(struct remote *r, size_t at, size_t len, unsigned seed)
{
	if (acts) {
		conform_fill(place_for(len), len, seed);
		CHECK_INT(move(true, place_for(len), r, (int64_t)at, len),
			  OPAL_SUCCESS);
		conform_verify(place_for(len), len, seed);
	}
	conform_fill(expected + PAGE + at, len, seed);
	look();
}

static void get(struct remote *r, size_t at, size_t len)
{
	char *to = place_for(len);

	if (acts) {
		memset(to - AROUND, UNTOUCHED, AROUND + len + AROUND);
		CHECK_INT(move(false, to, r, (int64_t)at, len), OPAL_SUCCESS);
		CHECK(!memcmp(to, expected + PAGE + at, len));
		CHECK(is_untouched(to - AROUND, AROUND));
		CHECK(is_untouched(to + len, AROUND));
	}
	look();
}

/* ---- what has to work ----------------------------------------------------- */

static void every_size(struct remote *r)
{
	static const size_t lens[] = {
		1,    2,    7,	  8,	 63,	64,	65,	 511,
		4095, 4096, 4097, 32768, 65537, 131071, 1 << 20, LONGEST,
	};

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		size_t odd = 1 + i * 4099 % (LEN - LONGEST - 1);

		put(r, odd, lens[i], i + 1);
		get(r, odd, lens[i]);
		get(r, LEN - lens[i], lens[i]); /* to the last byte */
		put(r, 0, lens[i], i + 100);	/* from the first */
	}
}

/* Many under way; flush returns when all have ended. */
static void many(struct remote *r, bool of_all)
{
	enum {
		MANY = 100,
		EACH = 10007
	};
	static struct transfer t[MANY];
	struct mca_btl_base_endpoint_t *whom = of_all ? NULL : other->endpoint;

	for (int dir = 0; dir < 2; dir++) {
		conform_fill(expected + PAGE + 3, MANY * EACH, 7 + of_all);
		if (acts && !dir)
			memcpy(local, expected + PAGE + 3, MANY * EACH);
		else if (acts)
			memset(local, UNTOUCHED, MANY * EACH);
		for (int i = 0; acts && i < MANY; i++)
			CHECK_INT(begin(&t[i], !dir, local + i * EACH, r,
					3 + i * EACH, EACH),
				  OPAL_SUCCESS);
		if (acts)
			CHECK_INT(other->btl->btl_flush(other->btl, whom),
				  OPAL_SUCCESS);
		for (int i = 0; acts && i < MANY; i++) {
			CHECK_INT(t[i].ended, 1);
			CHECK_INT(t[i].status, OPAL_SUCCESS);
		}
		if (acts)
			CHECK(!memcmp(local, expected + PAGE + 3, MANY * EACH));
		look();
	}
}

/* ---- what must not -------------------------------------------------------- */

/* It ends with an error, and nothing changes, there or here. */
static void refused(bool put, struct remote *r, int64_t at, size_t len)
{
	char *here = place_for(len);

	if (acts) {
		memset(here - AROUND, UNTOUCHED, AROUND + len + AROUND);
		CHECK(move(put, here, r, at, len) != OPAL_SUCCESS);
		CHECK(is_untouched(here - AROUND, AROUND + len + AROUND));
	}
	look();
}

static void outside(struct remote *r)
{
	static const struct {
		int64_t at;
		size_t len;
	} wrong[] = {
		{LEN - 99, 100},	{LEN, 1},	{LEN, PAGE},
		{LEN - PAGE, 2 * PAGE}, {-1, 1},	{-64, 128},
		{-(int64_t)PAGE, PAGE}, {1LL << 40, 8}, {INT64_MIN, 8},
		{LEN - 100000, 200000},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		refused(true, r, wrong[i].at, wrong[i].len);
		refused(false, r, wrong[i].at, wrong[i].len);
	}
}

/* The key is the first word of a handle (docs/mpi.md). */
static void forged(const struct remote *r)
{
	for (unsigned bit = 0; bit < 64; bit += 9) {
		struct remote wrong = *r;

		wrong.handle[bit / 8] ^= (char)(1 << bit % 8);
		refused(true, &wrong, 5, 1000);
		refused(false, &wrong, 5, 1000);
	}
}

/*
 * Open MPI's cache keeps a registration, with all that it allows, for as long as the
 * memory is there, unless it is told not to. Then a key is worth nothing after its
 * time, and the next one is another.
 */
static void stale(void)
{
	mca_btl_base_registration_handle_t *handle;
	struct remote old = expose(false, LEN, READ | WRITE, &handle), new;

	CHECK_INT(opal_leave_pinned, 0);
	put(&old, 11, 5000, 41);
	withdraw(handle);
	refused(true, &old, 11, 5000);
	refused(false, &old, 11, 5000);
	new = expose(false, LEN, READ | WRITE, &handle);
	put(&new, 12, 5000, 42);
	refused(true, &old, 11, 5000);
	refused(false, &old, 11, 5000);
	withdraw(handle);
}

static void one_way_only(void)
{
	mca_btl_base_registration_handle_t *handle;
	struct remote r = expose(false, LEN, READ, &handle);

	get(&r, 77, 300000);
	refused(true, &r, 77, 300000);
	withdraw(handle);
	r = expose(false, LEN, WRITE, &handle);
	put(&r, 78, 300000, 51);
	refused(false, &r, 78, 300000);
	withdraw(handle);
}

/* What is offered to one peer is got once, whole, and not put into. */
static void offered(void)
{
	mca_btl_base_registration_handle_t *handle;
	size_t len = 3 << 20;
	struct transfer t;
	struct remote r;

	r = expose(true, len, READ, &handle);
	get(&r, 0, len);
	withdraw(handle);
	r = expose(true, len, READ, &handle);
	refused(true, &r, 0, len);
	if (acts) /* ob1 never does, so it is told at once */
		CHECK_INT(begin(&t, false, local, &r, 64, len - 64),
			  OPAL_ERR_BAD_PARAM);
	withdraw(handle);
	refused(false, &r, 0, len);
}

/* ---- the two places ------------------------------------------------------- */

static void memory_open(void)
{
	memory = mmap(NULL, ALL, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	expected = conform_alloc(ALL);
	local = conform_alloc(LONGEST + 3 * AROUND);
}

static void memory_close(void)
{
	munmap(memory, ALL);
	free(expected);
	free(local);
}

void transfers(const struct other *with, bool keys_end)
{
	mca_btl_base_registration_handle_t *handle;
	struct remote r;

	other = with;
	memory_open();
	for (int actor = 0; actor < 2; actor++) {
		acts = rank == actor;
		conform_fill(expected, ALL, (unsigned)actor);
		memcpy(memory, expected, ALL);
		r = expose(false, LEN, READ | WRITE, &handle);
		every_size(&r);
		many(&r, false);
		many(&r, true);
		outside(&r);
		forged(&r);
		put(&r, 1, LONGEST, 60); /* after all that, as before */
		get(&r, 1, LONGEST);
		withdraw(handle);
		if (keys_end) {
			stale();
			one_way_only();
		}
		offered();
	}
	memory_close();
}
