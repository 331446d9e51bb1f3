// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_lane.c - endpoints that spin get lanes where the port makes them, and
 * every size and protocol works through them; the others get none.
 *
 * Flow:  vmb_isend(), vmb_irecv() -> lane, or engine
 * Owns:  a pair of endpoints per test.
 * Trust: payloads are compared.
 */
#include <string.h>

#include "conform/conform.h"

#define MANY 200 /* messages: more than it takes to want a lane */

static struct t_pair open_that_waits(enum vmb_wait_mode wait)
{
	struct vmb_open_params p = {
		.size = sizeof(p), .id = VMB_ANY_ID, .wait = wait};

	return t_pair_open_with(&p);
}

static struct vmb_counters counters_of(struct vmb_endpoint *ep)
{
	struct vmb_counters c = {.size = sizeof(c)};

	t_ok(vmb_query_counters(ep, &c));
	return c;
}

/* Where the port has none, the engine carries everything. */
static bool port_makes_lanes(void)
{
	return !strcmp(t_port->name, "local") ||
	       !strcmp(t_port->name, "inproc");
}

START_TEST(spinning_endpoints_take_a_lane)
{
	static const size_t sizes[] = {0,    8,	    40,	   41,	   96,	   97,
				       4096, 32768, 32769, 200000, 1 << 20};
	struct t_pair pair = open_that_waits(VMB_WAIT_SPIN);
	double begin = t_seconds();
	uint64_t through;

	/* until the daemon has answered, messages take the engine */
	for (unsigned i = 0;
	     i < MANY || (port_makes_lanes() && !counters_of(pair.a).lanes &&
			  t_seconds() - begin < T_MS / 1000);
	     i++)
		t_exchange(&pair, i, 8);
	if (strcmp(t_port->name, "env")) /* that may be any */
		ck_assert_uint_eq(counters_of(pair.a).lanes != 0,
				  port_makes_lanes());
	through = counters_of(pair.b).lane_arrivals;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		t_exchange(&pair, i, sizes[i]);
	if (port_makes_lanes())
		ck_assert_uint_ge(counters_of(pair.b).lane_arrivals,
				  through + sizeof(sizes) / sizeof(sizes[0]));
	t_pair_close(&pair);
}
END_TEST

START_TEST(sleeping_endpoints_take_none)
{
	struct t_pair pair =
		open_that_waits(_i ? VMB_WAIT_BLOCK : VMB_WAIT_ADAPTIVE);

	for (unsigned i = 0; i < MANY; i++)
		t_exchange(&pair, i, 8);
	ck_assert_uint_eq(counters_of(pair.a).lanes, 0);
	ck_assert_uint_eq(counters_of(pair.b).lane_arrivals, 0);
	t_pair_close(&pair);
}
END_TEST

Suite *t_lane_suite(void)
{
	Suite *s = suite_create("lane");
	TCase *tc = t_case(s, "wait mode");

	tcase_add_test(tc, spinning_endpoints_take_a_lane);
	tcase_add_loop_test(tc, sleeping_endpoints_take_none, 0, 2);
	return s;
}
