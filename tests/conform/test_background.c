// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_background.c - VMB_OPEN_BACKGROUND: what goes on while the application
 * is away, and that it costs nothing when it is there or nothing happens.
 *
 * Flow:  this thread touches one end only; the other end has its own
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "conform/conform.h"

static unsigned char *out, *in; /* a large message */

static void setup(void)
{
	out = t_pages(T_LARGE);
	in = t_pages(T_LARGE);
}

static struct vmb_endpoint *open_end(uint32_t flags)
{
	struct vmb_open_params p = {
		.size = sizeof(p), .id = VMB_ANY_ID, .flags = flags};

	return t_open(&p);
}

/* Only b has the thread. */
static struct t_pair open_pair(uint32_t flags_of_b)
{
	struct t_pair pair = {.a = t_open(NULL), .b = open_end(flags_of_b)};
	pair.to_b = t_connect(pair.a, pair.b);
	pair.to_a = t_connect(pair.b, pair.a);
	return pair;
}

/* ---- messages ------------------------------------------------------------------ */

START_TEST(receiver_that_is_away_gets_a_large_message)
{
	struct t_pair pair = open_pair(VMB_OPEN_BACKGROUND);
	struct vmb_status status;
	struct vmb_req *recv;
	int done;

	for (unsigned i = 0; i < 20; i++) {
		t_fill(out, T_LARGE, i);
		recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, in, T_LARGE);
		status = t_finish(pair.a,
				  t_isend(pair.a, pair.to_b, 1, out, T_LARGE));
		ck_assert_int_eq(status.code, 0);
		t_verify(in, T_LARGE, i);
		t_ok(vmb_wait(pair.b, &recv, T_MS, &status, &done));
		ck_assert_int_eq(done, 1);
		ck_assert_uint_eq(status.xfer_len, T_LARGE);
	}
	t_pair_close(&pair);
}
END_TEST

START_TEST(sender_that_is_away_is_told_of_the_end)
{
	struct t_pair pair = open_pair(VMB_OPEN_BACKGROUND);
	struct vmb_req *send;
	int done = 0;

	send = t_isend(pair.b, pair.to_a, 1, out, T_LARGE);
	t_finish(pair.a, t_irecv(pair.a, 1, VMB_MATCH_ALL, in, T_LARGE));
	t_ok(vmb_hold(pair.a, 0)); /* nothing of b's */
	for (double end = t_seconds() + T_MS / 1000; !done;) {
		/* buffered looks at the request and makes no progress */
		t_ok(vmb_ibuffered(pair.b, send, &done));
		ck_assert(t_seconds() < end);
		sched_yield();
	}
	t_finish(pair.b, send);
	t_pair_close(&pair);
}
END_TEST

/* The same without the thread: nothing moves. This is what it is for. */
START_TEST(without_it_the_message_waits)
{
	struct t_pair pair = open_pair(0);
	struct vmb_req *recv, *send;
	int done;

	recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, in, T_LARGE);
	send = t_isend(pair.a, pair.to_b, 1, out, T_LARGE);
	t_ok(vmb_wait(pair.a, &send, 50, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_finish_pair(&pair, pair.a, send);
	t_finish(pair.b, recv);
	t_pair_close(&pair);
}
END_TEST

START_TEST(time_limits_are_kept)
{
	struct t_pair pair = open_pair(VMB_OPEN_BACKGROUND);
	struct vmb_req *send;
	int done = 0;

	t_ok(vmb_set_request_timeout(pair.b, NULL, 20));
	send = t_isend(pair.b, pair.to_a, 1, out,
		       T_LARGE); /* nobody receives */
	for (double end = t_seconds() + T_MS / 1000; !done;) {
		t_ok(vmb_ibuffered(pair.b, send, &done));
		ck_assert(t_seconds() < end);
		sched_yield();
	}
	ck_assert_int_eq(t_finish(pair.b, send).code, -ETIMEDOUT);
	t_pair_close(&pair);
}
END_TEST

/* ---- handlers ------------------------------------------------------------------- */

struct noted {
	struct vmb_endpoint *ep;
	unsigned calls;
	int closing; /* what vmb_close() said inside */
	int leave;   /* set: the handler may return */
};

static enum vmb_unexpected_action note(void *context, struct vmb_addr source,
				       uint64_t match, uint64_t len,
				       const void *data)
{
	struct noted *n = context;

	(void)source;
	(void)match;
	(void)len;
	(void)data;
	n->closing = vmb_close(n->ep);
	__atomic_add_fetch(&n->calls, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&n->leave, __ATOMIC_SEQ_CST))
		sched_yield();
	return VMB_UNEXPECTED_FINISHED;
}

static void wait_calls(struct noted *n, unsigned calls)
{
	double end = t_seconds() + T_MS / 1000;

	while (__atomic_load_n(&n->calls, __ATOMIC_SEQ_CST) < calls) {
		ck_assert_msg(t_seconds() < end, "handler was not called");
		sched_yield();
	}
}

START_TEST(handlers_run_in_it)
{
	struct t_pair pair = open_pair(VMB_OPEN_BACKGROUND);
	struct noted n = {.ep = pair.b, .leave = 1};

	t_ok(vmb_set_unexpected_handler(pair.b, note, &n));
	for (unsigned i = 1; i <= 10; i++) {
		t_finish(pair.a, t_isend(pair.a, pair.to_b, 1, "x", 1));
		wait_calls(&n, i);
		ck_assert_int_eq(n.closing, -EDEADLK);
	}
	t_pair_close(&pair);
}
END_TEST

START_TEST(hold_keeps_it_off)
{
	struct t_pair pair = open_pair(VMB_OPEN_BACKGROUND);
	struct noted n = {.ep = pair.b, .leave = 1};

	t_ok(vmb_set_unexpected_handler(pair.b, note, &n));
	for (unsigned i = 1; i <= 5; i++) {
		t_ok(vmb_hold(pair.b, 1));
		t_finish(pair.a, t_isend(pair.a, pair.to_b, 1, "x", 1));
		poll(NULL, 0, 20); /* ten looks: time to do wrong */
		ck_assert_uint_eq(n.calls, i - 1);
		t_ok(vmb_hold(pair.b, 0));
		wait_calls(&n, i);
	}
	t_pair_close(&pair);
}
END_TEST

struct closer {
	struct vmb_endpoint *ep;
	int rc;
};

static void *close_it(void *arg)
{
	struct closer *c = arg;

	c->rc = vmb_close(c->ep);
	return NULL;
}

START_TEST(close_waits_for_its_handler)
{
	struct t_pair pair = open_pair(VMB_OPEN_BACKGROUND);
	struct noted n = {.ep = pair.b};
	struct closer c = {.ep = pair.b, .rc = 1};
	pthread_t thread;

	t_ok(vmb_set_unexpected_handler(pair.b, note, &n));
	t_finish(pair.a, t_isend(pair.a, pair.to_b, 1, "x", 1));
	wait_calls(&n, 1);
	t_ok(pthread_create(&thread, NULL, close_it, &c));
	poll(NULL, 0, 20);
	ck_assert_int_eq(__atomic_load_n(&c.rc, __ATOMIC_SEQ_CST), 1);
	__atomic_store_n(&n.leave, 1, __ATOMIC_SEQ_CST);
	t_ok(pthread_join(thread, NULL));
	ck_assert_int_eq(c.rc, 0);
	t_ok(vmb_close(pair.a));
}
END_TEST

/* ---- cost ------------------------------------------------------------------------ */

static uint64_t sleeps_of(struct vmb_endpoint *ep)
{
	struct vmb_counters c = {.size = sizeof(c)};

	t_ok(vmb_query_counters(ep, &c));
	return c.sleeps;
}

START_TEST(it_sleeps_when_nothing_happens)
{
	struct vmb_endpoint *ep = open_end(VMB_OPEN_BACKGROUND);
	double end = t_seconds() + T_MS / 1000;
	uint64_t before;

	while (!sleeps_of(ep)) {
		ck_assert_msg(t_seconds() < end, "it never sleeps");
		sched_yield();
	}
	before = sleeps_of(ep);
	poll(NULL, 0, 200);
	ck_assert_uint_le(sleeps_of(ep) - before, 1);
	t_ok(vmb_close(ep));
}
END_TEST

/* It gives its sleep away, and is back when the waiter has left. */
START_TEST(waiters_take_the_sleep_over)
{
	struct vmb_open_params p = {.size = sizeof(p),
				    .id = VMB_ANY_ID,
				    .wait = VMB_WAIT_BLOCK,
				    .flags = VMB_OPEN_BACKGROUND};
	struct t_pair pair = t_pair_open_with(&p);
	struct vmb_req *recv;
	int done;

	for (int i = 0; i < 10; i++) {
		poll(NULL, 0, 10); /* it sleeps */
		recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, in, T_LARGE);
		t_ok(vmb_wait(pair.b, &recv, 10, NULL, &done));
		ck_assert_int_eq(done, 0);
		t_finish(pair.a, t_isend(pair.a, pair.to_b, 1, out, T_LARGE));
		t_finish(pair.b, recv);
	}
	t_pair_close(&pair);
}
END_TEST

START_TEST(open_and_close_at_any_moment)
{
	for (int i = 0; i < 60; i++) {
		struct vmb_endpoint *ep = open_end(VMB_OPEN_BACKGROUND);
		double until = t_seconds() + i * 1e-4;

		while (t_seconds() < until)
			t_ok(vmb_progress(ep));
		t_ok(vmb_close(ep));
	}
}
END_TEST

/* Whoever finds it first, a request ends with it, and the call does not. */
START_TEST(dead_daemon_ends_requests)
{
	struct vmb_endpoint *ep;
	struct vmb_req *recv;
	int rc = 0;

	ep = open_end(_i ? VMB_OPEN_BACKGROUND : 0);
	recv = t_irecv(ep, 1, VMB_MATCH_ALL, NULL, 0);
	poll(NULL, 0, 10);
	t_port->kill();
	for (double end = t_seconds() + T_MS / 1000; !rc || rc == -EAGAIN;) {
		rc = vmb_arm(ep); /* makes no progress */
		ck_assert(t_seconds() < end);
	}
	ck_assert_int_eq(rc, -EPIPE);
	ck_assert_int_eq(t_finish(ep, recv).code, -EPIPE);
	t_fails(vmb_progress(ep), -EPIPE);
	t_ok(vmb_close(ep));
}
END_TEST

/* The loss is found by posts while the thread is kept off; it tells all the same. */
START_TEST(dead_daemon_ends_transfers)
{
	struct t_pair pair = {.a = open_end(VMB_OPEN_BACKGROUND),
			      .b = t_open(NULL)};
	struct t_ended ended = {0};
	struct vmb_mem *mem;
	double end = t_seconds() + T_MS / 1000;
	int rc = 0;

	pair.to_b = t_connect(pair.a, pair.b);
	t_ok(vmb_register(out, 4096, 0, &mem));
	t_ok(vmb_hold(pair.a, 1));
	/* its end is not taken while the thread is kept off */
	t_ok(vmb_am_put(pair.a, pair.to_b, mem, 0, 1, 0, 8, t_note_end,
			&ended));
	t_port->kill();
	while (!rc || rc == -EAGAIN) {
		rc = vmb_am_put(pair.a, pair.to_b, mem, 0, 1, 0, 8, NULL, NULL);
		ck_assert(t_seconds() < end);
	}
	ck_assert_int_eq(rc, -EPIPE);
	ck_assert_uint_eq(ended.count, 0);
	t_ok(vmb_hold(pair.a, 0));
	while (!__atomic_load_n(&ended.count, __ATOMIC_SEQ_CST)) {
		poll(NULL, 0, 1);
		ck_assert(t_seconds() < end);
	}
	ck_assert_int_eq(ended.code, -EPIPE);
	t_pair_close(&pair);
}
END_TEST

Suite *t_background_suite(void)
{
	Suite *s = suite_create("background");
	TCase *tc = t_case(s, "messages");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, receiver_that_is_away_gets_a_large_message);
	tcase_add_test(tc, sender_that_is_away_is_told_of_the_end);
	tcase_add_test(tc, without_it_the_message_waits);
	tcase_add_test(tc, time_limits_are_kept);
	tc = t_case(s, "handlers");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, handlers_run_in_it);
	tcase_add_test(tc, hold_keeps_it_off);
	tcase_add_test(tc, close_waits_for_its_handler);
	tc = t_case(s, "cost");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, it_sleeps_when_nothing_happens);
	tcase_add_test(tc, waiters_take_the_sleep_over);
	tcase_add_test(tc, open_and_close_at_any_moment);
	if (t_port->kill) {
		tcase_add_loop_test(tc, dead_daemon_ends_requests, 0, 2);
		tcase_add_test(tc, dead_daemon_ends_transfers);
	}
	return s;
}
