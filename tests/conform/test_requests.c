// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_requests.c - how requests end: any, peek, probe, cancel, forget,
 * time-outs.
 *
 * Flow:  posted requests -> completion calls
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"

/* ---- any, peek, probe ------------------------------------------------------------ */

START_TEST(any_takes_the_first_that_ended)
{
	struct t_pair pair = t_pair_open();
	struct vmb_segment seg[3];
	struct vmb_status status;
	struct vmb_req *req;
	char in[3];
	int done;

	for (unsigned i = 0; i < 3; i++) {
		seg[i] = (struct vmb_segment){&in[i], 1};
		t_ok(vmb_irecv(pair.b, &seg[i], 1, i, VMB_MATCH_ALL, &in[i],
			       &req));
	}
	for (unsigned i = 3; i-- > 0;)
		t_isend(pair.a, pair.to_b, i, "x", 1);
	for (unsigned i = 3; i-- > 0;) {
		t_ok(vmb_wait_any(pair.b, 0, 0, T_MS, &status, &done));
		ck_assert_int_eq(done, 1);
		ck_assert_uint_eq(status.match, i);
		ck_assert_ptr_eq(status.context, &in[i]);
	}
	t_ok(vmb_test_any(pair.b, 0, 0, &status, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(any_selects_by_match_bits)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recv = t_irecv(pair.b, 5, VMB_MATCH_ALL, NULL, 0);
	struct vmb_status status;
	int done;

	t_isend(pair.a, pair.to_b, 5, NULL, 0);
	t_ok(vmb_wait_any(pair.b, 4, 4, T_MS, &status, &done));
	ck_assert_int_eq(done, 1);
	ck_assert_uint_eq(status.match, 5);
	/* it is gone: the handle is dead */
	t_fails(vmb_test(pair.b, &recv, &status, &done), -EINVAL);
	ck_assert_int_eq(done, 0);
	t_ok(vmb_test_any(pair.a, 2, 2, &status, &done));
	ck_assert_int_eq(done, 0); /* the send has 5 */
	t_ok(vmb_test_any(pair.a, 1, 1, &status, &done));
	ck_assert_int_eq(done, 1);
	t_pair_close(&pair);
}
END_TEST

START_TEST(peek_shows_what_ended_first)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recv = t_irecv(pair.b, 5, VMB_MATCH_ALL, NULL, 0);
	struct vmb_req *seen = recv;
	struct vmb_status status;
	int done;

	t_ok(vmb_ipeek(pair.b, &seen));
	ck_assert_ptr_null(seen);
	t_ok(vmb_peek(pair.b, 10, &seen));
	ck_assert_ptr_null(seen);
	t_isend(pair.a, pair.to_b, 5, NULL, 0);
	for (int i = 0; i < 2; i++) { /* it stays */
		t_ok(vmb_peek(pair.b, T_MS, &seen));
		ck_assert_ptr_eq(seen, recv);
	}
	t_ok(vmb_test(pair.b, &recv, &status, &done));
	ck_assert_int_eq(done, 1);
	t_ok(vmb_ipeek(pair.b, &seen));
	ck_assert_ptr_null(seen);
	t_pair_close(&pair);
}
END_TEST

START_TEST(probe_shows_an_unmatched_message)
{
	struct t_pair pair = t_pair_open();
	static char out[100000], in[100000];
	static const size_t lens[] = {0, 10, 5000, 100000};
	struct vmb_status status;
	struct vmb_req *send;
	int done;

	for (unsigned i = 0; i < 4; i++) {
		t_ok(vmb_iprobe(pair.b, 0, 0, &status, &done));
		ck_assert_int_eq(done, 0);
		send = t_isend(pair.a, pair.to_b, 7, out, lens[i]);
		t_ok(vmb_probe(pair.b, 6, 6, T_MS, &status, &done));
		ck_assert_int_eq(done, 1);
		ck_assert_uint_eq(status.match, 7);
		ck_assert_uint_eq(status.msg_len, lens[i]);
		ck_assert_uint_eq(status.xfer_len, lens[i]);
		ck_assert(t_addr_equal(status.peer, pair.to_a));
		t_ok(vmb_iprobe(pair.b, 8, 8, &status, &done));
		ck_assert_int_eq(done, 0);
		t_ok(vmb_iprobe(pair.b, 0, 0, &status, &done));
		ck_assert_int_eq(done, 1); /* it stays */
		t_finish_pair(&pair, pair.b,
			      t_irecv(pair.b, 7, VMB_MATCH_ALL, in,
				      sizeof(in)));
		t_finish_pair(&pair, pair.a, send);
	}
	t_ok(vmb_probe(pair.b, 0, 0, 10, &status, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

/* ---- cancel, forget, buffered ------------------------------------------------------- */

START_TEST(cancel_takes_back_an_unmatched_receive)
{
	struct t_pair pair = t_pair_open();
	char in = 0, other = 0;
	struct vmb_req *recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, &in, 1);
	int cancelled;

	t_ok(vmb_cancel(pair.b, &recv, &cancelled));
	ck_assert_int_eq(cancelled, 1);
	ck_assert_ptr_null(recv);
	t_isend(pair.a, pair.to_b, 1, "x", 1);
	t_finish(pair.b, t_irecv(pair.b, 1, VMB_MATCH_ALL, &other, 1));
	ck_assert_int_eq(in, 0);
	ck_assert_int_eq(other, 'x');
	t_pair_close(&pair);
}
END_TEST

START_TEST(cancel_is_too_late_after_the_end)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, NULL, 0);
	struct vmb_req *seen;
	int cancelled = 1;

	t_isend(pair.a, pair.to_b, 1, NULL, 0);
	t_ok(vmb_peek(pair.b, T_MS, &seen));
	t_ok(vmb_cancel(pair.b, &recv, &cancelled));
	ck_assert_int_eq(cancelled, 0);
	ck_assert_ptr_nonnull(recv);
	t_finish(pair.b, recv);
	t_pair_close(&pair);
}
END_TEST

START_TEST(sends_cannot_be_cancelled)
{
	struct t_pair pair = t_pair_open();
	static char buf[100000];
	struct vmb_req *send = t_isend(pair.a, pair.to_b, 1, buf, sizeof(buf));
	int cancelled = 1;

	t_fails(vmb_cancel(pair.a, &send, &cancelled), -EOPNOTSUPP);
	ck_assert_int_eq(cancelled, 0);
	ck_assert_ptr_nonnull(send);
	t_pair_close(&pair);
}
END_TEST

START_TEST(forgotten_requests_run_to_their_end)
{
	struct t_pair pair = t_pair_open();
	static char out[100000], in[100000], small[8];
	struct vmb_segment seg = {in, sizeof(in)}, seg2 = {small, 8};
	struct vmb_req *send = t_isend(pair.a, pair.to_b, 1, out, sizeof(out));
	struct vmb_status status;
	int done;

	t_fill(out, sizeof(out), 1);
	t_ok(vmb_forget(pair.a, &send));
	ck_assert_ptr_null(send);
	t_ok(vmb_irecv(pair.b, &seg, 1, 1, VMB_MATCH_ALL, NULL, NULL));
	t_ok(vmb_irecv(pair.b, &seg2, 1, 2, VMB_MATCH_ALL, NULL, NULL));
	t_ok(vmb_isend(pair.a, &(struct vmb_segment){out, 8}, 1, pair.to_b, 2,
		       NULL, NULL));
	t_settle(&pair);
	t_verify(in, sizeof(in), 1);
	t_verify(small, 8, 1);
	t_ok(vmb_test_any(pair.a, 0, 0, &status, &done));
	ck_assert_int_eq(done, 0);
	t_ok(vmb_test_any(pair.b, 0, 0, &status, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(buffered_tells_when_memory_is_free)
{
	struct t_pair pair = t_pair_open();
	char *big = t_pages(T_LARGE);
	struct vmb_segment seg = {big, 100};
	struct vmb_req *small, *large, *recv;
	int done;

	t_ok(vmb_issend(pair.a, &seg, 1, pair.to_b, 1, NULL, &small));
	t_ok(vmb_ibuffered(pair.a, small, &done));
	ck_assert_int_eq(done, 1); /* copied, though nobody matched it */
	large = t_isend(pair.a, pair.to_b, 2, big, T_LARGE);
	t_ok(vmb_ibuffered(pair.a, large, &done));
	ck_assert_int_eq(done, 0);
	recv = t_irecv(pair.b, 9, VMB_MATCH_ALL, big, 1);
	t_fails(vmb_ibuffered(pair.b, recv, &done), -EINVAL);
	t_fails(vmb_ibuffered(pair.a, recv, &done), -EINVAL);
	t_pair_close(&pair);
}
END_TEST

START_TEST(context_of_a_request_is_what_was_posted)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *req;
	void *context = NULL;

	t_ok(vmb_irecv(pair.b, NULL, 0, 1, 1, &pair, &req));
	t_ok(vmb_req_context(pair.b, req, &context));
	ck_assert_ptr_eq(context, &pair);
	t_fails(vmb_req_context(pair.a, req, &context), -EINVAL);
	t_pair_close(&pair);
}
END_TEST

START_TEST(dead_requests_are_refused)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, NULL, 0);
	struct vmb_req *dead = recv, *junk = (struct vmb_req *)(void *)&pair;
	int done;

	t_isend(pair.a, pair.to_b, 1, NULL, 0);
	t_finish(pair.b, recv);
	t_fails(vmb_test(pair.b, &dead, NULL, &done), -EINVAL);
	t_fails(vmb_wait(pair.b, &dead, T_MS, NULL, &done), -EINVAL);
	t_fails(vmb_forget(pair.b, &dead), -EINVAL);
	t_fails(vmb_test(pair.b, &junk, NULL, &done), -EINVAL);
	t_fails(vmb_wait(pair.b, &junk, T_MS, NULL, &done), -EINVAL);
	t_fails(vmb_set_request_timeout(pair.b, junk, 5), -EINVAL);
	t_pair_close(&pair);
}
END_TEST

/* ---- time-outs of requests ------------------------------------------------------------- */

START_TEST(send_times_out_when_nobody_receives)
{
	struct t_pair pair = t_pair_open();
	char *buf = t_pages(T_LARGE);
	struct vmb_req *send = t_isend(pair.a, pair.to_b, 1, buf, T_LARGE);
	double start = t_seconds();
	struct vmb_status status;

	t_ok(vmb_set_request_timeout(pair.a, send, 50));
	status = t_finish(pair.a, send);
	ck_assert_int_eq(status.code, -ETIMEDOUT);
	ck_assert(t_seconds() - start >= 0.045);
	ck_assert(t_seconds() - start < 5);
	t_exchange(&pair, 2, 100); /* the connection is as good as before */
	t_pair_close(&pair);
}
END_TEST

START_TEST(default_timeout_counts_for_later_sends)
{
	struct t_pair pair = t_pair_open();
	char *buf = t_pages(T_LARGE);
	struct vmb_req *before, *with, *after;
	int done;

	before = t_isend(pair.a, pair.to_b, 1, buf, T_LARGE);
	t_ok(vmb_set_request_timeout(pair.a, NULL, 50));
	with = t_isend(pair.a, pair.to_b, 2, buf, T_LARGE);
	t_ok(vmb_set_request_timeout(pair.a, NULL, 0));
	after = t_isend(pair.a, pair.to_b, 3, buf, T_LARGE);
	ck_assert_int_eq(t_finish(pair.a, with).code, -ETIMEDOUT);
	t_ok(vmb_test(pair.a, &before, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_ok(vmb_test(pair.a, &after, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(receives_never_time_out)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recv;
	int done;

	t_ok(vmb_set_request_timeout(pair.b, NULL, 1));
	recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, NULL, 0);
	t_ok(vmb_wait(pair.b, &recv, 60, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

/* ---- requests that were ended before they began --------------------------------- */

START_TEST(completed_request_is_like_any_other)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *req[3], *seen;
	struct vmb_status status;
	int done, cancelled;

	req[0] = t_isend(pair.a, pair.to_b, 1, "x", 1);
	t_ok(vmb_icomplete(pair.a, -ESTALE, 2, &pair, &req[1]));
	req[2] = t_isend(pair.a, pair.to_b, 3, "y", 1);
	t_ok(vmb_ibuffered(pair.a, req[1], &done));
	ck_assert_int_eq(done, 1);
	t_fails(vmb_cancel(pair.a, &req[1], &cancelled), -EOPNOTSUPP);
	for (int i = 0; i < 3; i++) { /* in order with the others */
		t_ok(vmb_ipeek(pair.a, &seen));
		ck_assert_ptr_eq(seen, req[i]);
		t_ok(vmb_test_any(pair.a, 0, 0, &status, &done));
		ck_assert_uint_eq(status.match, (uint64_t)i + 1);
		ck_assert_int_eq(status.code, i == 1 ? -ESTALE : 0);
		ck_assert_ptr_eq(status.context, i == 1 ? &pair : NULL);
	}
	t_ok(vmb_icomplete(pair.a, 0, 2, NULL, NULL));
	t_ok(vmb_ipeek(pair.a, &seen));
	ck_assert_ptr_null(seen);
	t_fails(vmb_icomplete(pair.a, 1, 2, NULL, &seen), -EINVAL);
	t_pair_close(&pair);
}
END_TEST

static void expect_status(const struct vmb_status *s,
			  const struct vmb_status *given)
{
	ck_assert_int_eq(s->code, given->code);
	ck_assert(t_addr_equal(s->peer, given->peer));
	ck_assert_uint_eq(s->match, given->match);
	ck_assert_uint_eq(s->msg_len, given->msg_len);
	ck_assert_uint_eq(s->xfer_len, given->xfer_len);
	ck_assert_ptr_eq(s->context, given->context);
}

START_TEST(completed_request_tells_the_status_given)
{
	struct t_pair pair = t_pair_open();
	const struct vmb_status given = {-EIO, {{5, 6}}, 7, 8, 3, &pair},
				none = {.code = 1};
	struct vmb_status status;
	struct vmb_req *req;
	int done, cancelled;

	t_ok(vmb_icomplete_as(pair.a, VMB_ENDED_SEND, &given, &req));
	t_fails(vmb_cancel(pair.a, &req, &cancelled), -EOPNOTSUPP);
	t_ok(vmb_ibuffered(pair.a, req, &done));
	ck_assert_int_eq(done, 1);
	t_ok(vmb_test(pair.a, &req, &status, &done));
	expect_status(&status, &given);
	t_ok(vmb_icomplete_as(pair.a, VMB_ENDED_CONNECT, &given, &req));
	t_ok(vmb_cancel(pair.a, &req, &cancelled));
	ck_assert_int_eq(cancelled, 0);
	t_fails(vmb_ibuffered(pair.a, req, &done), -EINVAL);
	t_ok(vmb_test(pair.a, &req, &status, &done));
	expect_status(&status, &given);
	t_ok(vmb_icomplete_as(pair.a, VMB_ENDED_CONNECT, &given, NULL));
	t_fails(vmb_icomplete_as(pair.a, VMB_ENDED_SEND, &none, &req), -EINVAL);
	t_fails(vmb_icomplete_as(pair.a, VMB_ENDED_SEND, NULL, &req), -EINVAL);
	t_fails(vmb_icomplete_as(pair.a, (enum vmb_ended_as)2, &given, &req),
		-EINVAL);
	t_fails(vmb_icomplete_as(NULL, VMB_ENDED_SEND, &given, &req), -EINVAL);
	t_pair_close(&pair);
}
END_TEST

Suite *t_requests_suite(void)
{
	Suite *s = suite_create("requests");
	TCase *tc = t_case(s, "looking");

	tcase_add_test(tc, any_takes_the_first_that_ended);
	tcase_add_test(tc, any_selects_by_match_bits);
	tcase_add_test(tc, peek_shows_what_ended_first);
	tcase_add_test(tc, probe_shows_an_unmatched_message);
	tc = t_case(s, "giving up");
	tcase_add_test(tc, cancel_takes_back_an_unmatched_receive);
	tcase_add_test(tc, cancel_is_too_late_after_the_end);
	tcase_add_test(tc, sends_cannot_be_cancelled);
	tcase_add_test(tc, buffered_tells_when_memory_is_free);
	tcase_add_test(tc, context_of_a_request_is_what_was_posted);
	tcase_add_test(tc, dead_requests_are_refused);
	tcase_add_test(tc, completed_request_is_like_any_other);
	tcase_add_test(tc, completed_request_tells_the_status_given);
	tc = t_case_here(s, "forgotten"); /* memory without a completion */
	tcase_add_test(tc, forgotten_requests_run_to_their_end);
	tc = t_case(s, "time-outs");
	tcase_add_test(tc, send_times_out_when_nobody_receives);
	tcase_add_test(tc, default_timeout_counts_for_later_sends);
	tcase_add_test(tc, receives_never_time_out);
	return s;
}
