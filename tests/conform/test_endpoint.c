// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_endpoint.c - open, close, handles, counters.
 *
 * Flow:  vmb_open() -> calls with good and bad handles -> vmb_close()
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"

static struct vmb_open_params params(void)
{
	return (struct vmb_open_params){.size = sizeof(struct vmb_open_params),
					.id = VMB_ANY_ID};
}

/* ---- open ----------------------------------------------------------------------- */

START_TEST(any_id_is_the_lowest_free_one)
{
	struct vmb_endpoint *eps[3];

	for (uint32_t i = 0; i < 3; i++) {
		eps[i] = t_open(NULL);
		ck_assert_uint_eq(t_id(eps[i]), i);
	}
	t_ok(vmb_close(eps[1]));
	eps[1] = t_open(NULL);
	ck_assert_uint_eq(t_id(eps[1]), 1);
	for (int i = 0; i < 3; i++)
		t_ok(vmb_close(eps[i]));
}
END_TEST

START_TEST(open_gives_the_id_that_was_asked_for)
{
	struct vmb_open_params p = params();
	struct vmb_endpoint *ep, *other = NULL;

	p.id = 65535;
	ep = t_open(&p);
	ck_assert_uint_eq(t_id(ep), 65535);
	t_fails(vmb_open(&p, &other), -EBUSY);
	ck_assert_ptr_null(other);
	t_ok(vmb_close(ep));
	ep = t_open(&p);
	t_ok(vmb_close(ep));
}
END_TEST

/* Of a program that was built before there were more. */
START_TEST(open_reads_no_further_than_the_size)
{
	struct vmb_open_params p = params();
	struct vmb_endpoint *ep;

	p.size = offsetof(struct vmb_open_params, linger_ms);
	p.id = 65535;
	p.linger_ms = UINT32_MAX;
	ep = t_open(&p);
	ck_assert_uint_eq(t_id(ep), 65535);
	t_ok(vmb_close(ep));
	p.size--;
	t_fails(vmb_open(&p, &ep), -EINVAL);
}
END_TEST

static void spoil_size(struct vmb_open_params *p)
{
	p->size = 8;
}

static void spoil_id(struct vmb_open_params *p)
{
	p->id = 65536;
}

static void spoil_wait(struct vmb_open_params *p)
{
	p->wait = (enum vmb_wait_mode)4;
}

static void spoil_flags(struct vmb_open_params *p)
{
	p->flags = 8;
}

static void few_eager_bytes(struct vmb_open_params *p)
{
	p->eager_max = 4095;
}

static void many_eager_bytes(struct vmb_open_params *p)
{
	p->eager_max = 32769;
}

static void odd_eq_slots(struct vmb_open_params *p)
{
	p->eq_slots = 1000;
}

static void few_eq_slots(struct vmb_open_params *p)
{
	p->eq_slots = 32;
}

static void many_eq_slots(struct vmb_open_params *p)
{
	p->eq_slots = 131072;
}

static void odd_rx_bytes(struct vmb_open_params *p)
{
	p->rx_bytes = 65537;
}

static void few_rx_bytes(struct vmb_open_params *p)
{
	p->rx_bytes = 32768;
}

static void many_tx_bytes(struct vmb_open_params *p)
{
	p->tx_bytes = 32u << 20;
}

static void (*const spoilers[])(struct vmb_open_params *) = {
	spoil_size,   spoil_id,	    spoil_wait,	   spoil_flags,
	odd_eq_slots, few_eq_slots, many_eq_slots, few_eager_bytes,
	odd_rx_bytes, few_rx_bytes, many_tx_bytes, many_eager_bytes,
};

START_TEST(open_refuses_bad_parameters)
{
	struct vmb_open_params p = params();
	struct vmb_endpoint *ep = NULL;

	spoilers[_i](&p);
	t_fails(vmb_open(&p, &ep), -EINVAL);
	ck_assert_ptr_null(ep);
}
END_TEST

START_TEST(open_takes_larger_parameters_of_zeroes_only)
{
	struct {
		struct vmb_open_params p;
		char more[16];
	} big = {.p = params()};
	struct vmb_endpoint *ep;

	big.p.size = sizeof(big);
	ep = t_open(&big.p);
	t_ok(vmb_close(ep));
	big.more[3] = 1;
	t_fails(vmb_open(&big.p, &ep), -EINVAL);
	t_fails(vmb_open(NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(smallest_endpoint_moves_every_size)
{
	struct vmb_open_params p = params();
	struct t_pair pair;

	p.eq_slots = 64;
	p.rx_bytes = 65536;
	p.tx_bytes = 4096;
	pair = t_pair_open_with(&p);
	for (size_t len = 0; len < 20000; len += 777)
		t_exchange(&pair, len, len);
	t_pair_close(&pair);
}
END_TEST

/* Larger sends wait for their receiver, others do not. */
START_TEST(eager_max_is_the_endpoints_own)
{
	static const uint32_t maxes[] = {4096, 32768};
	static char buf[32769];

	for (int i = 0; i < 2; i++) {
		struct vmb_open_params p = params();
		struct vmb_req *small, *large;
		struct t_pair pair;
		int done;

		p.eager_max = maxes[i];
		pair = t_pair_open_with(&p);
		small = t_isend(pair.a, pair.to_b, 1, buf, maxes[i]);
		large = t_isend(pair.a, pair.to_b, 2, buf, maxes[i] + 1);
		t_settle(&pair);
		t_ok(vmb_test(pair.a, &small, NULL, &done));
		ck_assert_int_eq(done, 1);
		t_ok(vmb_test(pair.a, &large, NULL, &done));
		ck_assert_int_eq(done, 0);
		t_pair_close(&pair);
	}
}
END_TEST

START_TEST(limits_say_what_is_allowed)
{
	struct vmb_limits l = {.size = sizeof(l)}, old = {.size = 12};

	t_ok(vmb_query_limits(&l));
	ck_assert_uint_eq(l.size, sizeof(l));
	ck_assert_uint_gt(l.endpoints_max, 0);
	ck_assert_uint_eq(l.inline_max, 96);
	ck_assert_uint_ge(l.eager_max, 4096);
	ck_assert_uint_gt(l.memory_max, 0);
	t_ok(vmb_query_limits(&old)); /* as much as fits */
	ck_assert_uint_eq(old.endpoints_max, l.endpoints_max);
	ck_assert_uint_eq(old.inline_max, 0);
	t_fails(vmb_query_limits(NULL), -EINVAL);
	l.size = 0;
	t_fails(vmb_query_limits(&l), -EINVAL);
	vmb_finalize();
	l.size = sizeof(l);
	t_fails(vmb_query_limits(&l), -ENOTCONN);
	t_ok(vmb_init());
}
END_TEST

START_TEST(many_endpoints_open_and_close)
{
	struct vmb_endpoint *eps[100];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++)
			eps[i] = t_open(NULL);
		for (int i = 0; i < 100; i++)
			t_ok(vmb_close(eps[i]));
	}
}
END_TEST

/* ---- handles ---------------------------------------------------------------------- */

static enum vmb_unexpected_action refuse(void *context, struct vmb_addr source,
					 uint64_t match, uint64_t len,
					 const void *data)
{
	(void)context;
	(void)source;
	(void)match;
	(void)len;
	(void)data;
	return VMB_UNEXPECTED_CONTINUE;
}

/* Every call that takes an endpoint says so when it is none. */
static void expect_refusal(struct vmb_endpoint *ep, int code)
{
	struct vmb_counters counters = {.size = sizeof(counters)};
	struct vmb_addr addr = {{0, 0}};
	struct vmb_req *req = NULL, *live = (struct vmb_req *)&counters;
	struct vmb_status status;
	void *context;
	size_t max;
	int done, fd;

	t_fails(vmb_self(ep, &addr), code);
	t_fails(vmb_addr_query(ep, addr, NULL, NULL, NULL), code);
	t_fails(vmb_addr_set_context(ep, addr, NULL), code);
	t_fails(vmb_addr_get_context(ep, addr, &context), code);
	t_fails(vmb_fd(ep, &fd), code);
	t_fails(vmb_arm(ep), code);
	t_fails(vmb_progress(ep), code);
	t_fails(vmb_wakeup(ep), code);
	t_fails(vmb_hold(ep, 1), code);
	t_fails(vmb_connect(ep, 1, 1, 0, 0, &addr), code);
	t_fails(vmb_iconnect(ep, 1, 1, 0, 0, NULL, &req), code);
	t_fails(vmb_disconnect(ep, addr), code);
	t_fails(vmb_isend(ep, NULL, 0, addr, 0, NULL, &req), code);
	t_fails(vmb_issend(ep, NULL, 0, addr, 0, NULL, &req), code);
	t_fails(vmb_irecv(ep, NULL, 0, 0, 0, NULL, &req), code);
	t_fails(vmb_test(ep, &live, &status, &done), code);
	t_fails(vmb_wait(ep, &live, 0, &status, &done), code);
	t_fails(vmb_test_any(ep, 0, 0, &status, &done), code);
	t_fails(vmb_wait_any(ep, 0, 0, 0, &status, &done), code);
	t_fails(vmb_ipeek(ep, &req), code);
	t_fails(vmb_peek(ep, 0, &req), code);
	t_fails(vmb_iprobe(ep, 0, 0, &status, &done), code);
	t_fails(vmb_probe(ep, 0, 0, 0, &status, &done), code);
	t_fails(vmb_cancel(ep, &live, &done), code);
	t_fails(vmb_forget(ep, &live), code);
	t_fails(vmb_ibuffered(ep, live, &done), code);
	t_fails(vmb_req_context(ep, live, &context), code);
	t_fails(vmb_set_request_timeout(ep, NULL, 1), code);
	t_fails(vmb_set_unexpected_handler(ep, refuse, NULL), code);
	t_fails(vmb_query_counters(ep, &counters), code);
	t_fails(vmb_am_register(ep, 0, NULL, NULL), code);
	t_fails(vmb_am_max(ep, &max), code);
	t_fails(vmb_am_send(ep, addr, 0, 0, NULL, 0), code);
	t_fails(vmb_am_fence(ep, NULL, NULL), code);
}

START_TEST(closed_handle_is_refused)
{
	struct vmb_endpoint *ep = t_open(NULL);

	t_ok(vmb_close(ep));
	expect_refusal(ep, -EINVAL);
	t_fails(vmb_close(ep), -EINVAL);
}
END_TEST

START_TEST(garbage_handle_is_refused)
{
	struct vmb_endpoint *ep = t_open(NULL);
	char *heap = calloc(1, 64), stack[64] = {0};

	expect_refusal(NULL, -EINVAL);
	expect_refusal((struct vmb_endpoint *)(void *)1, -EINVAL);
	expect_refusal((struct vmb_endpoint *)(void *)UINTPTR_MAX, -EINVAL);
	expect_refusal((struct vmb_endpoint *)(void *)heap, -EINVAL);
	expect_refusal((struct vmb_endpoint *)(void *)stack, -EINVAL);
	for (size_t at = 1; at < 4096; at++) /* inside of a good one */
		t_fails(vmb_progress((void *)((char *)ep + at)), -EINVAL);
	t_ok(vmb_close(NULL));
	free(heap);
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(handle_is_reused_late)
{
	struct vmb_endpoint *old = t_open(NULL), *ep;

	t_ok(vmb_close(old));
	for (int i = 0; i < 32; i++) {
		ep = t_open(NULL);
		ck_assert_ptr_ne(ep, old);
		t_ok(vmb_close(ep));
	}
}
END_TEST

START_TEST(missing_results_are_refused)
{
	struct vmb_endpoint *ep = t_open(NULL);
	struct vmb_req *req = NULL;
	struct vmb_counters small = {.size = 4};
	struct vmb_addr self;
	int done = 7;

	t_ok(vmb_self(ep, &self));
	t_fails(vmb_self(ep, NULL), -EINVAL);
	t_fails(vmb_fd(ep, NULL), -EINVAL);
	t_fails(vmb_addr_get_context(ep, self, NULL), -EINVAL);
	t_fails(vmb_connect(ep, 1, 1, 0, 0, NULL), -EINVAL);
	t_fails(vmb_test(ep, &req, NULL, &done), -EINVAL);
	ck_assert_int_eq(done, 0); /* always written */
	t_fails(vmb_test(ep, NULL, NULL, &done), -EINVAL);
	t_fails(vmb_test(ep, &req, NULL, NULL), -EINVAL);
	t_fails(vmb_wait(ep, &req, -2, NULL, &done), -EINVAL);
	t_fails(vmb_test_any(ep, 0, 0, NULL, NULL), -EINVAL);
	t_fails(vmb_wait_any(ep, 1, 0, 0, NULL, &done), -EINVAL);
	t_fails(vmb_wait_any(ep, 0, 0, -5, NULL, &done), -EINVAL);
	t_fails(vmb_iprobe(ep, 2, 1, NULL, &done), -EINVAL);
	t_fails(vmb_ipeek(ep, NULL), -EINVAL);
	t_fails(vmb_cancel(ep, &req, &done), -EINVAL);
	t_fails(vmb_cancel(ep, NULL, NULL), -EINVAL);
	t_fails(vmb_forget(ep, NULL), -EINVAL);
	t_fails(vmb_forget(ep, &req), -EINVAL);
	t_fails(vmb_ibuffered(ep, NULL, &done), -EINVAL);
	t_fails(vmb_req_context(ep, NULL, NULL), -EINVAL);
	t_fails(vmb_query_counters(ep, NULL), -EINVAL);
	t_fails(vmb_query_counters(ep, &small), -EINVAL);
	t_ok(vmb_close(ep));
}
END_TEST

/* ---- close ------------------------------------------------------------------------- */

START_TEST(close_delivers_what_was_reported_complete)
{
	struct t_pair pair = t_pair_open();
	char in[1000][8];
	struct vmb_status status;
	struct vmb_req *req;

	for (unsigned i = 0; i < 1000; i++) {
		char out[8];

		t_fill(out, 8, i);
		req = t_isend(pair.a, pair.to_b, i, out, 8);
		t_finish(pair.a, req);
	}
	t_ok(vmb_close(pair.a));
	for (unsigned i = 0; i < 1000; i++) {
		req = t_irecv(pair.b, i, VMB_MATCH_ALL, in[i], 8);
		status = t_finish(pair.b, req);
		ck_assert_int_eq(status.code, 0);
		t_verify(in[i], 8, i);
	}
	t_ok(vmb_close(pair.b));
}
END_TEST

START_TEST(close_drops_what_is_pending)
{
	struct t_pair pair = t_pair_open();
	size_t len = 4u << 20;
	char *buf = calloc(1, len);

	for (int i = 0; i < 100; i++) {
		t_irecv(pair.a, 1, VMB_MATCH_ALL, buf, len);
		t_isend(pair.a, pair.to_b, 2, buf, len);
	}
	t_pair_close(&pair);
	free(buf);
}
END_TEST

START_TEST(peer_that_closes_resets_the_rest)
{
	struct t_pair pair = t_pair_open();
	size_t len = 1u << 20;
	char *buf = calloc(1, len);
	struct vmb_req *send = t_isend(pair.a, pair.to_b, 1, buf, len);
	struct vmb_status status;

	t_settle(&pair);
	t_ok(vmb_close(pair.b));
	status = t_finish(pair.a, send);
	ck_assert_int_eq(status.code, -ECONNRESET);
	ck_assert(t_addr_equal(status.peer, pair.to_b));
	t_ok(vmb_close(pair.a));
	free(buf);
}
END_TEST

/* ---- counters ------------------------------------------------------------------------ */

START_TEST(counters_count)
{
	struct vmb_counters c = {.size = sizeof(c)};
	struct t_pair pair = t_pair_open();

	t_exchange(&pair, 1, 10);
	t_exchange(&pair, 2, 1000000);
	t_ok(vmb_query_counters(pair.a, &c));
	ck_assert_uint_eq(c.size, sizeof(c));
	ck_assert_uint_eq(c.eager, 1);
	ck_assert_uint_eq(c.rendezvous + c.pipelined, 1);
	t_ok(vmb_query_counters(pair.b, &c));
	ck_assert_uint_eq(c.expected, 2);
	ck_assert_uint_eq(c.unexpected, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(counters_fit_older_and_newer_callers)
{
	struct {
		struct vmb_counters c;
		char more[32];
	} big;
	struct t_pair pair = t_pair_open();

	t_exchange(&pair, 1, 10);
	memset(&big, 0xaa, sizeof(big));
	big.c.size = 16; /* size and eager */
	t_ok(vmb_query_counters(pair.a, &big.c));
	ck_assert_uint_eq(big.c.eager, 1);
	ck_assert_uint_eq(big.c.rendezvous, 0xaaaaaaaaaaaaaaaaull);
	big.c.size = sizeof(big);
	t_ok(vmb_query_counters(pair.a, &big.c));
	ck_assert_uint_eq((unsigned char)big.more[31], 0);
	t_pair_close(&pair);
}
END_TEST

Suite *t_endpoint_suite(void)
{
	Suite *s = suite_create("endpoint");
	TCase *tc = t_case(s, "open");

	tcase_add_test(tc, any_id_is_the_lowest_free_one);
	tcase_add_test(tc, open_gives_the_id_that_was_asked_for);
	tcase_add_test(tc, open_reads_no_further_than_the_size);
	tcase_add_loop_test(tc, open_refuses_bad_parameters, 0,
			    (int)(sizeof(spoilers) / sizeof(spoilers[0])));
	tcase_add_test(tc, open_takes_larger_parameters_of_zeroes_only);
	tcase_add_test(tc, smallest_endpoint_moves_every_size);
	tcase_add_test(tc, eager_max_is_the_endpoints_own);
	tcase_add_test(tc, limits_say_what_is_allowed);
	tcase_add_test(tc, many_endpoints_open_and_close);
	tc = t_case(s, "handles");
	tcase_add_test(tc, closed_handle_is_refused);
	tcase_add_test(tc, garbage_handle_is_refused);
	tcase_add_test(tc, handle_is_reused_late);
	tcase_add_test(tc, missing_results_are_refused);
	tc = t_case(s, "close");
	tcase_add_test(tc, close_delivers_what_was_reported_complete);
	tcase_add_test(tc, close_drops_what_is_pending);
	tcase_add_test(tc, peer_that_closes_resets_the_rest);
	tc = t_case(s, "counters");
	tcase_add_test(tc, counters_count);
	tcase_add_test(tc, counters_fit_older_and_newer_callers);
	return s;
}
