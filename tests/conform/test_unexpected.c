// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_unexpected.c - the handler that sees what nobody was waiting for.
 *
 * Flow:  unmatched message -> handler -> consumed, received or queued
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <string.h>

#include "conform/conform.h"

struct seen {
	struct vmb_endpoint *ep;
	unsigned calls;
	struct vmb_addr source;
	uint64_t match, len;
	bool has_data;
	int codes[8]; /* of what was tried inside */
	enum vmb_unexpected_action answer;
	char in[8];
	struct vmb_req *req;
	uint64_t nic;
};

static enum vmb_unexpected_action note(void *context, struct vmb_addr source,
				       uint64_t match, uint64_t len,
				       const void *data)
{
	struct seen *s = context;

	s->calls++;
	s->source = source;
	s->match = match;
	s->len = len;
	s->has_data = data != NULL;
	if (data)
		t_verify(data, len, (unsigned)match);
	return s->answer;
}

static void send_filled(struct t_pair *pair, uint64_t match, size_t len)
{
	char *out = t_pages(T_LARGE);

	t_fill(out, len, (unsigned)match);
	t_isend(pair->a, pair->to_b, match, out, len);
	t_settle(pair);
}

START_TEST(handler_sees_small_messages_whole)
{
	static const size_t lens[] = {0, 1, 40, 96, 97, 1000, 4096};
	struct seen s = {.answer = VMB_UNEXPECTED_FINISHED};
	struct t_pair pair = t_pair_open();
	int done;

	t_ok(vmb_set_unexpected_handler(pair.b, note, &s));
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		send_filled(&pair, i, lens[i]);
		ck_assert_uint_eq(s.calls, i + 1);
		ck_assert_uint_eq(s.match, i);
		ck_assert_uint_eq(s.len, lens[i]);
		ck_assert(s.has_data);
		ck_assert(t_addr_equal(s.source, pair.to_a));
	}
	t_ok(vmb_iprobe(pair.b, 0, 0, NULL, &done));
	ck_assert_int_eq(done, 0); /* consumed */
	t_pair_close(&pair);
}
END_TEST

START_TEST(handler_sees_large_messages_without_data)
{
	struct seen s = {.answer = VMB_UNEXPECTED_CONTINUE};
	struct t_pair pair = t_pair_open();
	char *in = t_pages(T_LARGE);

	t_ok(vmb_set_unexpected_handler(pair.b, note, &s));
	send_filled(&pair, 3, T_LARGE);
	ck_assert_uint_eq(s.calls, 1);
	ck_assert_uint_eq(s.len, T_LARGE);
	ck_assert(!s.has_data);
	t_finish_pair(&pair, pair.b,
		      t_irecv(pair.b, 3, VMB_MATCH_ALL, in, T_LARGE));
	t_verify(in, T_LARGE, 3);
	t_pair_close(&pair);
}
END_TEST

START_TEST(large_message_that_was_finished_ends_its_send)
{
	struct seen s = {.answer = VMB_UNEXPECTED_FINISHED};
	struct t_pair pair = t_pair_open();
	char *out = t_pages(T_LARGE);
	struct vmb_status status;
	struct vmb_req *send;
	int done;

	t_ok(vmb_set_unexpected_handler(pair.b, note, &s));
	send = t_isend(pair.a, pair.to_b, 3, out, T_LARGE);
	status = t_finish_pair(&pair, pair.a, send);
	ck_assert_int_eq(status.code, -EMSGSIZE); /* nothing was taken */
	ck_assert_uint_eq(status.xfer_len, 0);
	t_ok(vmb_iprobe(pair.b, 0, 0, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(handler_is_not_called_for_expected_messages)
{
	struct seen s = {.answer = VMB_UNEXPECTED_CONTINUE};
	struct t_pair pair = t_pair_open();

	t_ok(vmb_set_unexpected_handler(pair.b, note, &s));
	t_exchange(&pair, 1, 100);
	ck_assert_uint_eq(s.calls, 0);
	send_filled(&pair, 2, 8);
	ck_assert_uint_eq(s.calls, 1);
	t_ok(vmb_set_unexpected_handler(pair.b, NULL, NULL));
	send_filled(&pair, 3, 8);
	ck_assert_uint_eq(s.calls, 1);
	t_ok(vmb_set_unexpected_handler(pair.b, note, &s));
	t_settle(&pair);
	ck_assert_uint_eq(s.calls, 1); /* queued ones are not replayed */
	t_pair_close(&pair);
}
END_TEST

/* Receives the very message from inside, answers it, and tries to wait. */
static enum vmb_unexpected_action receive_it(void *context,
					     struct vmb_addr source,
					     uint64_t match, uint64_t len,
					     const void *data)
{
	struct seen *s = context;
	struct vmb_segment seg = {s->in, len};
	struct vmb_addr addr;
	struct vmb_req *req = NULL;
	int done;

	(void)data;
	s->calls++;
	s->codes[0] =
		vmb_irecv(s->ep, &seg, 1, match, VMB_MATCH_ALL, NULL, &s->req);
	s->codes[1] = vmb_isend(s->ep, &seg, 0, source, match + 1, NULL, NULL);
	req = s->req;
	s->codes[2] = vmb_wait(s->ep, &req, T_MS, NULL, &done);
	s->codes[3] = vmb_progress(s->ep);
	s->codes[4] = vmb_close(s->ep);
	s->codes[5] = vmb_connect(s->ep, 1, 1, 0, T_MS, &addr);
	s->codes[6] = vmb_disconnect(s->ep, source);
	s->codes[7] = vmb_test(s->ep, &req, NULL, &done);
	vmb_finalize(); /* refused without a word */
	return VMB_UNEXPECTED_CONTINUE;
}

START_TEST(handler_may_post_but_not_wait)
{
	struct t_pair pair = t_pair_open();
	struct seen s = {.ep = pair.b};

	t_ok(vmb_set_unexpected_handler(pair.b, receive_it, &s));
	send_filled(&pair, 4, 8);
	ck_assert_uint_eq(s.calls, 1);
	ck_assert_int_eq(t_finish(pair.b, s.req).code, 0);
	t_verify(s.in, 8, 4);
	t_finish(pair.a, t_irecv(pair.a, 5, VMB_MATCH_ALL, NULL, 0));
	ck_assert_int_eq(s.codes[0], 0);
	ck_assert_int_eq(s.codes[1], 0);
	for (int i = 2; i < 7; i++)
		ck_assert_int_eq(s.codes[i], -EDEADLK);
	ck_assert_int_eq(s.codes[7], 0); /* a look is no wait */
	t_pair_close(&pair);
}
END_TEST

/* Connects are answered by the daemon: their answers are seen in a handler. */
static enum vmb_unexpected_action dial(void *context, struct vmb_addr source,
				       uint64_t match, uint64_t len,
				       const void *data)
{
	struct seen *s = context;
	double end = t_seconds() + T_MS / 1000;
	struct vmb_status status = {.code = 1};
	struct vmb_req *req;
	int done = 0;

	(void)match;
	(void)len;
	(void)data;
	t_ok(vmb_iconnect(s->ep, s->nic, (uint32_t)s->match, 0, 9, s, &req));
	while (!done && t_seconds() < end)
		t_ok(vmb_test(s->ep, &req, &status, &done));
	s->calls += done;
	s->codes[0] = status.code;
	s->has_data = t_addr_equal(status.peer, source);
	/* a call that need not wait does not */
	t_ok(vmb_icomplete(s->ep, 0, 9, NULL, &req));
	t_ok(vmb_wait(s->ep, &req, T_MS, NULL, &done));
	s->calls += done;
	return VMB_UNEXPECTED_FINISHED;
}

START_TEST(handler_may_await_the_answer_of_a_connect)
{
	struct t_pair pair = t_pair_open();
	struct seen s = {
		.ep = pair.b, .nic = t_nic_of(pair.a), .match = t_id(pair.a)};

	t_ok(vmb_set_unexpected_handler(pair.b, dial, &s));
	t_isend(pair.a, pair.to_b, 1, "x", 1);
	t_isend(pair.a, pair.to_b, 2, "y", 1);
	t_settle(&pair);
	ck_assert_uint_eq(s.calls, 4);
	ck_assert_int_eq(s.codes[0], 0);
	ck_assert(s.has_data); /* it is the peer that we had */
	t_pair_close(&pair);
}
END_TEST

Suite *t_unexpected_suite(void)
{
	Suite *s = suite_create("unexpected");
	TCase *tc = t_case(s, "handler");

	tcase_add_test(tc, handler_sees_small_messages_whole);
	tcase_add_test(tc, handler_sees_large_messages_without_data);
	tcase_add_test(tc, large_message_that_was_finished_ends_its_send);
	tcase_add_test(tc, handler_is_not_called_for_expected_messages);
	tcase_add_test(tc, handler_may_post_but_not_wait);
	tcase_add_test(tc, handler_may_await_the_answer_of_a_connect);
	return s;
}
