// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_lane.c - endpoints get lanes where the port makes them, whatever their
 * way to wait, and every size and protocol works through them; those that sleep
 * before each message give them back.
 *
 * Flow:  vmb_isend(), vmb_irecv() -> lane, or engine
 * Owns:  a pair of endpoints per test.
 * Trust: payloads are compared.
 */
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include "conform/conform.h"

#define MANY 200  /* messages: more than it takes to want a lane */
#define SLEEPS 40 /* more than end a lane that is slept beside */

static struct t_pair open_that_waits(enum vmb_wait_mode wait, uint32_t flags)
{
	struct vmb_open_params p = {.size = sizeof(p),
				    .id = VMB_ANY_ID,
				    .wait = wait,
				    .flags = flags};

	return t_pair_open_with(&p);
}

START_TEST(every_wait_mode_takes_a_lane)
{
	static const size_t sizes[] = {0,    8,	    40,	   41,	   96,	   97,
				       4096, 32768, 32769, 200000, 1 << 20};
	static const enum vmb_wait_mode modes[] = {
		VMB_WAIT_SPIN, VMB_WAIT_ADAPTIVE, VMB_WAIT_BLOCK};
	struct t_pair pair = open_that_waits(modes[_i], 0);
	uint64_t through;

	t_exchange_until_lane(&pair);
	through = t_counters(pair.b).lane_arrivals;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		t_exchange(&pair, i, sizes[i]);
	if (t_port_makes_lanes())
		ck_assert_uint_ge(t_counters(pair.b).lane_arrivals,
				  through + sizeof(sizes) / sizeof(sizes[0]));
	t_pair_close(&pair);
}
END_TEST

/* Both endpoints are of this process: on the local port it is told so. */
START_TEST(long_messages_are_read_from_their_sender)
{
	struct t_pair pair = open_that_waits(VMB_WAIT_ADAPTIVE, 0);
	bool direct = !strcmp(t_port->name, "local");

	t_exchange_until_lane(&pair);
	for (unsigned i = 0; i < 5; i++)
		t_exchange(&pair, i, (i + 4) * 300001);
	if (strcmp(t_port->name, "env"))
		ck_assert_uint_eq(t_counters(pair.b).direct, direct ? 5 : 0);
	t_pair_close(&pair);
}
END_TEST

/* There each maps the other's, too. */
START_TEST(blocks_are_copied_from_and_to)
{
	struct t_pair pair = open_that_waits(VMB_WAIT_ADAPTIVE, 0);
	bool direct = !strcmp(t_port->name, "local");
	size_t len = 700001;
	void *out, *in;

	t_exchange_until_lane(&pair);
	for (unsigned i = 0; i < 3; i++) {
		t_ok(vmb_alloc(len, &out));
		t_ok(vmb_alloc(len + 1, &in));
		for (unsigned k = 0; k < 4; k++)
			t_exchange_in(&pair, 4 * i + k, out, in,
				      k % 2 ? len : 40000);
		t_ok(vmb_free(out));
		t_ok(vmb_free(in));
	}
	if (strcmp(t_port->name, "env")) {
		ck_assert_uint_eq(t_counters(pair.b).direct, direct ? 12 : 0);
		ck_assert_uint_eq(t_counters(pair.b).direct_mapped > 8, direct);
	}
	t_pair_close(&pair);
}
END_TEST

/* A wait in which nothing comes, or an event loop that sleeps. */
static void sleep_once(struct vmb_endpoint *ep, bool armed)
{
	if (armed) {
		vmb_arm(ep);
	} else {
		struct vmb_status status;
		int done;

		t_ok(vmb_wait_any(ep, 0, 0, 1, &status, &done));
		ck_assert_int_eq(done, 0);
	}
}

START_TEST(lanes_that_are_slept_beside_are_given_back)
{
	struct t_pair pair = open_that_waits(VMB_WAIT_ADAPTIVE, 0);
	double begin = t_seconds();
	uint64_t before, after = 0;
	unsigned i = MANY;

	t_exchange_until_lane(&pair);
	do {
		ck_assert_double_lt(t_seconds() - begin, T_MS / 1000);
		sleep_once(pair.b, _i);
		t_ok(vmb_progress(pair.b)); /* END */
		t_ok(vmb_progress(pair.a)); /* OFF */
		before = t_counters(pair.b).lane_arrivals;
		t_exchange(&pair, i++, 8);
		after = t_counters(pair.b).lane_arrivals;
	} while (after != before);
	t_pair_close(&pair);
}
END_TEST

/* Until a counter of ep has grown past what it was; others look meanwhile. */
static void await_more(struct vmb_endpoint *ep, size_t counter, uint64_t was)
{
	double end = t_seconds() + T_MS / 1000;
	struct vmb_counters c;

	do {
		ck_assert_double_lt(t_seconds(), end);
		sched_yield();
		c = t_counters(ep);
	} while (*(uint64_t *)((char *)&c + counter) <= was);
}

/* It is not the application that sleeps: nothing is known of how it waits. */
START_TEST(lanes_outlive_sleeps_in_the_background)
{
	struct t_pair pair =
		open_that_waits(VMB_WAIT_ADAPTIVE, VMB_OPEN_BACKGROUND);
	struct vmb_counters before, now;

	t_exchange_until_lane(&pair);
	before = now = t_counters(pair.b);
	for (unsigned i = 0; i < SLEEPS; i++) {
		await_more(pair.b, offsetof(struct vmb_counters, sleeps),
			   now.sleeps);
		now = t_counters(pair.b);
		t_finish(pair.a, t_isend(pair.a, pair.to_b, i, "x", 1));
		await_more(pair.b, offsetof(struct vmb_counters, unexpected),
			   now.unexpected);
	}
	if (t_port_makes_lanes())
		ck_assert_uint_eq(t_counters(pair.b).lane_arrivals,
				  before.lane_arrivals + SLEEPS);
	t_pair_close(&pair);
}
END_TEST

/* ---- who yields --------------------------------------------------------------- */

/* Both take turns on the processor: each look may be the last for a while. */
START_TEST(those_that_yield_get_everything)
{
	struct t_pair pair = open_that_waits(VMB_WAIT_SPIN, VMB_OPEN_YIELDS);
	struct vmb_req *recv, *send;
	struct vmb_status status;
	int done = 0;

	t_exchange_until_lane(&pair);
	for (unsigned i = 0; i < MANY; i++) {
		recv = t_irecv(pair.b, i, VMB_MATCH_ALL, &done, sizeof(done));
		send = t_isend(pair.a, pair.to_b, i, &i, sizeof(i));
		for (int got = 0; !got;) {
			t_ok(vmb_progress(pair.a));
			t_ok(vmb_progress(pair.b));
			t_ok(vmb_ibuffered(pair.a, send, &got));
		}
		status = t_finish(pair.b, recv);
		ck_assert_uint_eq(status.xfer_len, sizeof(i));
		ck_assert_int_eq(done, (int)i);
		t_finish(pair.a, send);
	}
	t_pair_close(&pair);
}
END_TEST

/* The other side neither answers nor says that it is away: a look still ends. */
START_TEST(who_never_answers_does_not_hold_up_a_look)
{
	struct t_pair pair = open_that_waits(VMB_WAIT_SPIN, VMB_OPEN_YIELDS);
	struct vmb_req *sends[MANY];
	char in;

	t_exchange_until_lane(&pair);
	for (unsigned i = 0; i < MANY; i++) {
		sends[i] = t_isend(pair.a, pair.to_b, i, "x", 1);
		t_ok(vmb_progress(pair.a));
	}
	for (unsigned i = 0; i < MANY; i++)
		t_finish(pair.b, t_irecv(pair.b, i, VMB_MATCH_ALL, &in, 1));
	for (unsigned i = 0; i < MANY; i++)
		t_finish(pair.a, sends[i]);
	t_pair_close(&pair);
}
END_TEST

Suite *t_lane_suite(void)
{
	Suite *s = suite_create("lane");
	TCase *tc = t_case(s, "wait mode");

	tcase_add_loop_test(tc, every_wait_mode_takes_a_lane, 0, 3);
	tcase_add_test(tc, long_messages_are_read_from_their_sender);
	tcase_add_test(tc, blocks_are_copied_from_and_to);
	tcase_add_loop_test(tc, lanes_that_are_slept_beside_are_given_back, 0,
			    1);
	tcase_add_test(tc, those_that_yield_get_everything);
	tcase_add_test(tc, who_never_answers_does_not_hold_up_a_look);
	/* a far endpoint is looked after between calls, and has no fd */
	tc = t_case_here(s, "background and event loop");
	tcase_add_test(tc, lanes_outlive_sleeps_in_the_background);
	tcase_add_loop_test(tc, lanes_that_are_slept_beside_are_given_back, 1,
			    2);
	return s;
}
