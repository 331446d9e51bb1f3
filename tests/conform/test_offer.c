// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_offer.c - offers of vmb_am.h: long messages that the application
 * announces and accepts itself.
 *
 * Flow:  vmb_am_offer() -> a message of ours -> vmb_am_accept() -> done, twice
 * Owns:  a pair of endpoints per test.
 * Trust: payloads are compared, and what lies behind them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"

#define DIRECT (1u << 20) /* VMB_LANE_DIRECT: longer ones are */
#define OFFER_AM 7u	  /* active message with an offer */

static void progress(struct t_pair *pair)
{
	t_ok(vmb_progress(pair->a));
	t_ok(vmb_progress(pair->b));
}

static void until_ended(struct t_pair *pair, const struct t_ended *e,
			unsigned count)
{
	double end = t_seconds() + T_MS / 1000;

	while (e->count < count) {
		progress(pair);
		ck_assert_msg(t_seconds() < end, "it does not end");
	}
	ck_assert_uint_eq(e->count, count);
}

static void expect(struct t_pair *pair, const struct t_ended *e, int code,
		   uint64_t moved)
{
	until_ended(pair, e, 1);
	ck_assert_int_eq(e->code, code);
	ck_assert_uint_eq(e->moved, moved);
}

/* with_lane: there is one, where the port makes them. */
static struct t_pair open_pair(bool with_lane)
{
	struct vmb_open_params p = {
		.size = sizeof(p),
		.id = VMB_ANY_ID,
		.flags = with_lane ? VMB_OPEN_LANES : 0,
	};
	struct t_pair pair = t_pair_open_with(&p);

	if (with_lane)
		t_exchange_until_lane(&pair);
	return pair;
}

static struct vmb_am_offer offer(struct t_pair *pair, void *ptr, size_t len,
				 struct t_ended *e)
{
	struct vmb_am_offer o;

	t_ok(vmb_am_offer(pair->a, pair->to_b, ptr, len, t_note_end, e, &o));
	return o;
}

static void accept_it(struct t_pair *pair, const struct vmb_am_offer *o,
		      void *ptr, size_t len, struct t_ended *e)
{
	t_ok(vmb_am_accept(pair->b, pair->to_a, o, ptr, len, t_note_end, e));
}

/* ---- what is moved ----------------------------------------------------------- */

static const size_t sizes[] = {0, 1, 96, 5000, 65537, 3u << 20};

START_TEST(an_offer_is_accepted)
{
	struct t_pair pair = open_pair(_i % 2);
	size_t len = sizes[_i / 2];
	char *from = malloc(len + 1), *to = malloc(len + 1);
	struct t_ended sent = {0}, got = {0};
	struct vmb_am_offer o;

	t_fill(from, len, 3);
	memset(to, 'x', len + 1);
	o = offer(&pair, from, len, &sent);
	accept_it(&pair, &o, to, len, &got);
	ck_assert_uint_eq(got.count, 0); /* never within the call */
	expect(&pair, &got, 0, len);
	expect(&pair, &sent, 0, len);
	t_verify(to, len, 3);
	ck_assert_int_eq(to[len], 'x');
	if (!strcmp(t_port->name, "local")) /* it tells who the process is */
		ck_assert_uint_eq(t_counters(pair.b).direct,
				  _i % 2 && len > DIRECT);
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

START_TEST(the_shorter_memory_counts)
{
	enum {
		LONG = 300000,
		SHORT = 200001
	};
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(LONG), *to = malloc(LONG);
	struct t_ended sent = {0}, got = {0};
	struct vmb_am_offer o;

	t_fill(from, LONG, 1);
	memset(to, 'x', LONG);
	o = offer(&pair, from, LONG, &sent);
	accept_it(&pair, &o, to, SHORT, &got);
	expect(&pair, &got, -EMSGSIZE, SHORT);
	expect(&pair, &sent, -EMSGSIZE, SHORT);
	t_verify(to, SHORT, 1);
	ck_assert_int_eq(to[SHORT], 'x');

	sent = got = (struct t_ended){0};
	o = offer(&pair, from, SHORT, &sent);
	memset(to, 'x', LONG);
	accept_it(&pair, &o, to, LONG, &got);
	expect(&pair, &got, 0, SHORT);
	expect(&pair, &sent, 0, SHORT);
	t_verify(to, SHORT, 1);
	ck_assert_int_eq(to[SHORT], 'x');

	sent = got = (struct t_ended){0};
	o = offer(&pair, from, LONG, &sent);
	accept_it(&pair, &o, NULL, 0, &got);
	expect(&pair, &got, -EMSGSIZE, 0);
	expect(&pair, &sent, -EMSGSIZE, 0);
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

START_TEST(nobody_need_hear_of_the_end)
{
	enum {
		LEN = 150000
	};
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(LEN), *to = calloc(1, LEN);
	struct vmb_am_offer o;
	struct t_ended got = {0};

	t_fill(from, LEN, 2);
	t_ok(vmb_am_offer(pair.a, pair.to_b, from, LEN, NULL, NULL, &o));
	accept_it(&pair, &o, to, LEN, &got);
	expect(&pair, &got, 0, LEN);
	t_verify(to, LEN, 2);
	t_settle(&pair);
	t_fails(vmb_am_withdraw(pair.a, &o), -EINVAL);
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

/* More than a lane has entries for, in a window, accepted by the handler. */
enum {
	MANY = 100,
	EACH = 100000
};

struct taker {
	struct t_ended got;
	char *to;
	int rc;
};

static void take_up(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		    void *context)
{
	struct taker *t = context;
	struct vmb_am_offer o;
	int rc;

	ck_assert_uint_eq(msg->len, sizeof(o));
	memcpy(&o, msg->data, sizeof(o));
	rc = vmb_am_accept(ep, msg->source, &o, t->to + msg->hdr * EACH, EACH,
			   t_note_end, &t->got);
	t->rc = t->rc ? t->rc : rc;
}

static void send_offer(struct t_pair *pair, const struct vmb_am_offer *o,
		       unsigned number)
{
	struct vmb_segment s = {(void *)(uintptr_t)o, sizeof(*o)};
	int rc;

	while ((rc = vmb_am_send(pair->a, pair->to_b, OFFER_AM, number, &s,
				 1)) == -EAGAIN)
		progress(pair);
	t_ok(rc);
}

START_TEST(many_are_under_way)
{
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(MANY * EACH);
	struct taker t = {.to = calloc(MANY, EACH)};
	struct t_ended sent = {0};

	t_ok(vmb_am_register(pair.b, OFFER_AM, take_up, &t));
	for (unsigned i = 0; i < MANY; i++) {
		struct vmb_am_offer o;

		t_fill(from + i * EACH, EACH, i);
		o = offer(&pair, from + i * EACH, EACH, &sent);
		send_offer(&pair, &o, i);
	}
	until_ended(&pair, &t.got, MANY);
	until_ended(&pair, &sent, MANY);
	t_ok(t.rc);
	t_ok(t.got.code);
	for (unsigned i = 0; i < MANY; i++)
		t_verify(t.to + i * EACH, EACH, i);
	t_pair_close(&pair);
	free(from);
	free(t.to);
}
END_TEST

/* Who has been told goes on with the next one, from within. */
struct chain {
	struct t_pair *pair;
	char *from;
	struct vmb_am_offer o;
	unsigned left;
	int code;
	bool ready;
};

static void next_offer(struct vmb_endpoint *ep, int code, uint64_t moved,
		       void *context)
{
	struct chain *c = context;

	(void)moved;
	c->code = c->code ? c->code : code;
	if (!c->left--)
		return;
	code = vmb_am_offer(ep, c->pair->to_b, c->from, EACH, next_offer, c,
			    &c->o);
	c->code = c->code ? c->code : code;
	c->ready = true;
	/* no event is taken within */
	t_fails(vmb_progress(ep), -EDEADLK);
}

START_TEST(done_may_offer_the_next)
{
	struct t_pair pair = open_pair(_i % 2);
	struct chain c = {
		.pair = &pair, .from = malloc(EACH), .left = 50, .ready = true};
	char *to = malloc(EACH);

	t_fill(c.from, EACH, 5);
	t_ok(vmb_am_offer(pair.a, pair.to_b, c.from, EACH, next_offer, &c,
			  &c.o));
	for (unsigned i = 0; i <= 50; i++) {
		struct t_ended got = {0};
		double end = t_seconds() + T_MS / 1000;

		memset(to, 0, EACH);
		while (!c.ready) {
			progress(&pair);
			ck_assert(t_seconds() < end);
		}
		c.ready = false;
		accept_it(&pair, &c.o, to, EACH, &got);
		expect(&pair, &got, 0, EACH);
		t_verify(to, EACH, 5);
	}
	t_settle(&pair);
	t_ok(c.code);
	t_pair_close(&pair);
	free(c.from);
	free(to);
}
END_TEST

/* ---- the end by one side --------------------------------------------------- */

/* -EFAULT where the claim, or the key, is found to be gone. */
static void expect_refusal(struct t_pair *pair, const struct t_ended *got)
{
	until_ended(pair, got, 1);
	ck_assert_msg(got->code == -ECONNABORTED || got->code == -EFAULT, "%d",
		      got->code);
	ck_assert_uint_eq(got->moved, 0);
}

START_TEST(a_withdrawn_offer_is_ours_again)
{
	size_t len = sizes[1 + _i / 2];
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(len), *to = calloc(1, len), *blank;
	struct t_ended sent = {0}, got = {0};
	struct vmb_am_offer o;

	t_fill(from, len, 1);
	o = offer(&pair, from, len, &sent);
	t_ok(vmb_am_withdraw(pair.a, &o));
	t_fails(vmb_am_withdraw(pair.a, &o), -EINVAL);
	expect(&pair, &sent, -ECANCELED, 0);
	memset(from, 's', len); /* a secret */
	accept_it(&pair, &o, to, len, &got);
	expect_refusal(&pair, &got);
	blank = memchr(to, 's', len);
	ck_assert_ptr_null(blank);
	t_exchange(&pair, 1, 5000); /* all goes on */
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

START_TEST(withdrawn_while_it_is_copied)
{
	enum {
		LEN = 16 << 20
	};
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(LEN), *to = malloc(LEN);
	struct t_ended sent = {0}, got = {0};
	struct vmb_am_offer o;

	t_fill(from, LEN, 1);
	o = offer(&pair, from, LEN, &sent);
	accept_it(&pair, &o, to, LEN, &got);
	t_ok(vmb_progress(pair.b));
	t_ok(vmb_progress(pair.a));
	t_ok(vmb_am_withdraw(pair.a, &o));
	expect(&pair, &sent, -ECANCELED, 0);
	/* a GET that the engine has done by then is done */
	until_ended(&pair, &got, 1);
	if (got.code)
		expect_refusal(&pair, &got);
	else
		t_verify(to, LEN, 1);
	t_exchange(&pair, 1, 5000);
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

START_TEST(an_offer_is_accepted_once)
{
	enum {
		LEN = 1 << 20
	};
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(LEN), *to = malloc(LEN), *more = calloc(1, LEN);
	struct t_ended sent = {0}, got = {0}, again = {0};
	struct vmb_am_offer o;

	t_fill(from, LEN, 1);
	o = offer(&pair, from, LEN, &sent);
	accept_it(&pair, &o, to, LEN, &got);
	t_fails(vmb_am_accept(pair.b, pair.to_a, &o, more, LEN, t_note_end,
			      &again),
		-EALREADY);
	expect(&pair, &got, 0, LEN);
	expect(&pair, &sent, 0, LEN);
	t_verify(to, LEN, 1);
	ck_assert_uint_eq(again.count, 0);
	t_pair_close(&pair);
	free(from);
	free(to);
	free(more);
}
END_TEST

START_TEST(closing_ends_both)
{
	enum {
		LEN = 1 << 20
	};
	bool acceptor = _i / 2;
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(LEN), *to = malloc(LEN);
	struct vmb_endpoint *rest = acceptor ? pair.a : pair.b;
	struct t_ended e = {0};
	struct vmb_am_offer o;
	double end = t_seconds() + T_MS / 1000;

	t_ok(vmb_am_offer(pair.a, pair.to_b, from, LEN,
			  acceptor ? t_note_end : NULL, &e, &o));
	send_offer(&pair, &o, 0); /* nobody hears of whom he never met */
	t_ok(vmb_close(acceptor ? pair.b : pair.a));
	if (!acceptor) {
		int rc = vmb_am_accept(pair.b, pair.to_a, &o, to, LEN,
				       t_note_end, &e);

		/* known by now, or found out */
		ck_assert(!rc || rc == -ECONNRESET);
		e = rc ? (struct t_ended){1, rc, 0} : e;
	}
	while (!e.count) {
		t_ok(vmb_progress(rest));
		ck_assert(t_seconds() < end);
	}
	ck_assert_int_eq(e.code, -ECONNRESET);
	/* and nothing is begun any more */
	t_fails(vmb_am_offer(rest, acceptor ? pair.to_b : pair.to_a, from, LEN,
			     t_note_end, &e, &o),
		-ECONNRESET);
	t_fails(vmb_am_accept(rest, acceptor ? pair.to_b : pair.to_a, &o, to,
			      LEN, t_note_end, &e),
		-ECONNRESET);
	t_ok(vmb_close(rest));
	free(from);
	free(to);
}
END_TEST

START_TEST(disconnecting_takes_offers_back)
{
	enum {
		LEN = 1 << 20
	};
	struct t_pair pair = open_pair(_i % 2);
	char *from = malloc(LEN);
	struct t_ended sent = {0};
	struct vmb_am_offer o = offer(&pair, from, LEN, &sent);

	t_ok(vmb_disconnect(pair.a, pair.to_b));
	expect(&pair, &sent, -ECANCELED, 0);
	t_fails(vmb_am_withdraw(pair.a, &o), -EINVAL);
	t_pair_close(&pair);
	free(from);
}
END_TEST

/* ---- liars --------------------------------------------------------------------- */

START_TEST(an_offer_to_another_is_none)
{
	enum {
		LEN = 1 << 20
	};
	struct t_pair pair = open_pair(_i % 2);
	struct vmb_endpoint *thief = t_open(NULL);
	struct vmb_addr to_a = t_connect(thief, pair.a);
	char *from = malloc(LEN), *to = malloc(LEN), *loot = calloc(1, LEN);
	struct t_ended sent = {0}, got = {0}, stolen = {0};
	struct vmb_am_offer o;
	double end = t_seconds() + T_MS / 1000;

	/* the key of a region would say more: see docs/trust.md */
	memset(from, 's', LEN);
	o = offer(&pair, from, LEN, &sent);
	t_ok(vmb_am_accept(thief, to_a, &o, loot, LEN, t_note_end, &stolen));
	while (!stolen.count) {
		t_ok(vmb_progress(thief));
		progress(&pair);
		ck_assert(t_seconds() < end);
	}
	if (_i % 2 && t_port_makes_lanes())
		ck_assert_int_ne(stolen.code, 0);
	/* the right one gets it, whoever tried before */
	ck_assert_uint_eq(sent.count, 0);
	accept_it(&pair, &o, to, LEN, &got);
	expect(&pair, &got, 0, LEN);
	expect(&pair, &sent, 0, LEN);
	ck_assert_int_eq(memcmp(from, to, LEN), 0);
	t_ok(vmb_close(thief));
	t_pair_close(&pair);
	free(from);
	free(to);
	free(loot);
}
END_TEST

START_TEST(false_offers_end_with_an_error)
{
	enum {
		PAGE = 4096,
		LEN = 49 * PAGE,
		TRIES = 200
	};
	struct t_pair pair = open_pair(_i % 2);
	/* a key opens whole pages: docs/trust.md */
	char *from = aligned_alloc(PAGE, LEN), *to = aligned_alloc(PAGE, LEN);
	struct t_ended sent = {0}, got = {0};
	struct vmb_am_offer good = offer(&pair, from, LEN, &sent);
	unsigned taken = 0;

	srand(1);
	for (unsigned i = 0; i < TRIES; i++) {
		struct vmb_am_offer o = good;
		int rc;

		o.word[rand() % 5] ^= 1ull << rand() % 64;
		rc = vmb_am_accept(pair.b, pair.to_a, &o, to, LEN, t_note_end,
				   &got);
		ck_assert_msg(!rc || rc == -EINVAL || rc == -EALREADY, "%d",
			      rc);
		taken += !rc;
		progress(&pair);
	}
	t_settle(&pair);
	/* whatever they did to this offer, nothing else is harmed */
	ck_assert_uint_gt(taken, 0);
	if (!sent.count)
		t_ok(vmb_am_withdraw(pair.a, &good));
	until_ended(&pair, &sent, 1);
	t_exchange(&pair, 2, 5000);
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	struct t_pair pair = open_pair(false);
	struct vmb_addr nowhere = {{0, 0}};
	struct vmb_am_offer o, zero = {{0}};
	char buf[10];

	t_fails(vmb_am_offer(pair.a, pair.to_b, buf, 10, NULL, NULL, NULL),
		-EINVAL);
	t_fails(vmb_am_offer(pair.a, pair.to_b, NULL, 10, NULL, NULL, &o),
		-EINVAL);
	t_fails(vmb_am_offer(pair.a, nowhere, buf, 10, NULL, NULL, &o),
		-EINVAL);
	t_fails(vmb_am_offer(pair.a, pair.to_b, buf, VMB_MESSAGE_MAX + 1ul,
			     NULL, NULL, &o),
		-EMSGSIZE);
	t_fails(vmb_am_offer(NULL, pair.to_b, buf, 10, NULL, NULL, &o),
		-EINVAL);
	t_fails(vmb_am_accept(pair.b, pair.to_a, NULL, buf, 10, NULL, NULL),
		-EINVAL);
	t_fails(vmb_am_accept(pair.b, pair.to_a, &zero, buf, 10, NULL, NULL),
		-EINVAL);
	t_ok(vmb_am_offer(pair.a, pair.to_b, buf, 10, NULL, NULL, &o));
	t_fails(vmb_am_accept(pair.b, pair.to_a, &o, NULL, 10, NULL, NULL),
		-EINVAL);
	t_fails(vmb_am_accept(pair.b, nowhere, &o, buf, 10, NULL, NULL),
		-EINVAL);
	t_fails(vmb_am_withdraw(pair.a, NULL), -EINVAL);
	t_fails(vmb_am_withdraw(pair.a, &zero), -EINVAL);
	t_fails(vmb_am_withdraw(pair.b, &o), -EINVAL);
	t_ok(vmb_am_withdraw(pair.a, &o));
	t_pair_close(&pair);
}
END_TEST

/* ---- others wait ----------------------------------------------------------------- */

struct waiter {
	struct vmb_endpoint *ep;
	struct vmb_req *req;
};

static void *wait_for_message(void *arg)
{
	struct waiter *w = arg;
	int done;

	t_ok(vmb_wait(w->ep, &w->req, VMB_INFINITE, NULL, &done));
	return NULL;
}

/* The thread that sleeps in the endpoint is woken for what another posts. */
START_TEST(a_sleeper_carries_it_out)
{
	enum {
		LEN = 1 << 20
	};
	struct vmb_open_params p = {
		.size = sizeof(p), .id = VMB_ANY_ID, .wait = VMB_WAIT_BLOCK};
	struct t_pair pair = t_pair_open_with(&p);
	char *from = malloc(LEN), *to = malloc(LEN), hello[8];
	struct waiter w = {.ep = pair.b};
	struct t_ended sent = {0}, got = {0};
	double end = t_seconds() + T_MS / 1000;
	struct vmb_am_offer o;
	struct vmb_req *last;
	pthread_t thread;

	t_fill(from, LEN, 1);
	w.req = t_irecv(pair.b, 1, VMB_MATCH_ALL, hello, 8);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_message, &w),
			 0);
	o = offer(&pair, from, LEN, &sent);
	accept_it(&pair, &o, to, LEN, &got);
	while (!__atomic_load_n(&got.count, __ATOMIC_ACQUIRE) || !sent.count) {
		t_ok(vmb_progress(pair.a)); /* and nothing in b */
		ck_assert(t_seconds() < end);
	}
	t_ok(got.code);
	t_verify(to, LEN, 1);
	last = t_isend(pair.a, pair.to_b, 1, from, 8);
	t_finish(pair.a, last);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	t_pair_close(&pair);
	free(from);
	free(to);
}
END_TEST

START_TEST(a_sleeper_tells_of_a_withdrawal)
{
	struct vmb_open_params p = {
		.size = sizeof(p), .id = VMB_ANY_ID, .wait = VMB_WAIT_BLOCK};
	struct t_pair pair = t_pair_open_with(&p);
	struct waiter w = {.ep = pair.a};
	struct t_ended sent = {0};
	double end = t_seconds() + T_MS / 1000;
	struct vmb_am_offer o;
	char hello[8] = "hello";
	pthread_t thread;

	w.req = t_irecv(pair.a, 1, VMB_MATCH_ALL, hello, 8);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_message, &w),
			 0);
	o = offer(&pair, hello, sizeof(hello), &sent);
	while (!t_counters(pair.a).sleeps)
		ck_assert(t_seconds() < end);
	t_ok(vmb_am_withdraw(pair.a, &o));
	while (!__atomic_load_n(&sent.count, __ATOMIC_ACQUIRE))
		ck_assert(t_seconds() < end);
	ck_assert_int_eq(sent.code, -ECANCELED);
	t_finish(pair.b, t_isend(pair.b, pair.to_a, 1, hello, 8));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	t_pair_close(&pair);
}
END_TEST

Suite *t_offer_suite(void)
{
	int count = (int)(sizeof(sizes) / sizeof(sizes[0]));
	Suite *s = suite_create("offer");
	TCase *tc = t_case_here(s, "moved"); /* memory of both ends */

	tcase_add_loop_test(tc, an_offer_is_accepted, 0, 2 * count);
	tcase_add_loop_test(tc, the_shorter_memory_counts, 0, 2);
	tcase_add_loop_test(tc, nobody_need_hear_of_the_end, 0, 2);
	tcase_add_loop_test(tc, many_are_under_way, 0, 2);
	tcase_add_loop_test(tc, done_may_offer_the_next, 0, 2);
	tcase_add_test(tc, a_sleeper_carries_it_out);
	tcase_add_test(tc, a_sleeper_tells_of_a_withdrawal);
	tc = t_case_here(s, "ended");
	tcase_add_loop_test(tc, a_withdrawn_offer_is_ours_again, 0,
			    2 * (count - 1));
	tcase_add_loop_test(tc, withdrawn_while_it_is_copied, 0, 2);
	tcase_add_loop_test(tc, an_offer_is_accepted_once, 0, 2);
	tcase_add_loop_test(tc, closing_ends_both, 0, 4);
	tcase_add_loop_test(tc, disconnecting_takes_offers_back, 0, 2);
	tc = t_case_here(s, "lies");
	tcase_add_loop_test(tc, an_offer_to_another_is_none, 0, 2);
	tcase_add_loop_test(tc, false_offers_end_with_an_error, 0, 2);
	tcase_add_test(tc, bad_arguments_are_refused);
	return s;
}
