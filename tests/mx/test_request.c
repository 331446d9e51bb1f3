// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_request.c - how requests complete, in which order, and what else can be
 * done with them.
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "mxtest.h"

#define LARGE (1u << 20)

static uint32_t copy_send_max(mx_endpoint_t ep)
{
	uint32_t value = 0;

	T_OK(mx_get_info(ep, MX_COPY_SEND_MAX, NULL, 0, &value, sizeof(value)));
	return value;
}

static void open_self(struct peer *p)
{
	*p = (struct peer){0};
	t_attach();
	p->ep = t_open();
	T_OK(mx_get_endpoint_addr(p->ep, &p->to));
}

static bool tested(struct peer *p, mx_request_t *request)
{
	mx_status_t status;
	uint32_t result;

	T_OK(mx_test(p->ep, request, &status, &result));
	return result != 0;
}

/* ---- when -------------------------------------------------------------------------- */

/* The far half does not receive before we say so. */
START_TEST(eager_sends_need_no_receiver)
{
	struct peer p = t_begin("eager");
	uint32_t max = copy_send_max(p.ep);
	char *buf = t_alloc(LARGE);
	mx_request_t small[20], large, synchronous;

	ck_assert_uint_ge(max, 32768); /* what programs are used to */
	for (int i = 0; i < 20; i++)
		small[i] = t_isend(&p, 1, buf, max);
	large = t_isend(&p, 2, buf, max + 1);
	synchronous = t_issend(&p, 3, buf, 1);
	for (int i = 0; i < 20; i++)
		t_finish_well(&p, small[i]);
	t_compute(0.05);
	T_CHECK(!tested(&p, &large));
	T_CHECK(!tested(&p, &synchronous));
	t_sync(&p);
	t_finish_well(&p, large);
	t_finish_well(&p, synchronous);
	t_end(&p);
	free(buf);
}
END_TEST

static void far_eager(struct peer *p)
{
	uint32_t max = copy_send_max(p->ep);
	char *buf = t_alloc(LARGE);

	t_sync(p);
	for (int i = 0; i < 20; i++)
		t_finish_well(p, t_irecv(p, 1, buf, LARGE));
	T_EQ(t_finish_well(p, t_irecv(p, 2, buf, LARGE)).msg_length, max + 1);
	t_finish_well(p, t_irecv(p, 3, buf, LARGE));
	free(buf);
}

/* Nothing has ended, so nothing is said of it. */
START_TEST(status_is_untouched_without_a_result)
{
	mx_status_t status, before;
	mx_request_t request;
	struct peer p;
	uint32_t r[6] = {7, 7, 7, 7, 7, 7};

	open_self(&p);
	request = t_irecv(&p, 1, NULL, 0);
	memset(&status, 0xee, sizeof(status));
	before = status;
	T_OK(mx_test(p.ep, &request, &status, &r[0]));
	T_OK(mx_wait(p.ep, &request, 1, &status, &r[1]));
	T_OK(mx_test_any(p.ep, 0, 0, &status, &r[2]));
	T_OK(mx_wait_any(p.ep, 1, 0, 0, &status, &r[3]));
	T_OK(mx_iprobe(p.ep, 0, 0, &status, &r[4]));
	T_OK(mx_probe(p.ep, 1, 0, 0, &status, &r[5]));
	for (int i = 0; i < 6; i++)
		T_EQ(r[i], 0);
	ck_assert_mem_eq(&status, &before, sizeof(status));
	t_detach();
}
END_TEST

/* ---- order of completion ----------------------------------------------------------- */

#define N 50

START_TEST(peek_gives_sends_in_the_order_of_their_end)
{
	struct peer p;
	mx_request_t sends[N], seen;
	mx_status_t status;
	uint32_t result;

	open_self(&p);
	for (uintptr_t i = 0; i < N; i++)
		T_OK(mx_issend(p.ep, NULL, 0, p.to, i, (void *)(i + 1),
			       &sends[i]));
	for (unsigned i = 0; i < N; i++) /* waited for, one after the other */
		t_finish_well(&p, t_irecv(&p, i, NULL, 0));
	for (uintptr_t i = 0; i < N; i++) {
		T_OK(mx_peek(p.ep, T_MS, &seen, &result));
		T_EQ(result, 1);
		ck_assert_ptr_eq(seen, sends[i]);
		T_OK(mx_test(p.ep, &seen, &status, &result));
		T_EQ(result, 1);
		ck_assert_ptr_eq(status.context, (void *)(i + 1));
	}
	T_OK(mx_ipeek(p.ep, &seen, &result));
	T_EQ(result, 0);
	t_detach();
}
END_TEST

/* Bit 41 tells sends from receives: a send is found by its own bits. */
START_TEST(any_finds_by_match_bits_oldest_first)
{
	const uint64_t sending = UINT64_C(1) << 41;
	struct peer p;
	mx_request_t mine, other;
	mx_status_t status;
	uint32_t result;

	open_self(&p);
	for (uint64_t i = 0; i < 10; i++) {
		t_finish_well(&p, t_isend(&p, i, NULL, 0));
		other = t_irecv(&p, i, NULL, 0); /* ends now */
		mine = t_isend(&p, sending | i, NULL, 0);
	}
	T_CHECK(tested(&p, &mine)); /* and is not found by the others */
	for (uint64_t i = 0; i < 9; i++) {
		T_OK(mx_test_any(p.ep, sending, sending, &status, &result));
		T_EQ(result, 1);
		ck_assert_uint_eq(status.match_info, sending | i);
		ck_assert_mem_eq(&status.source, &p.to, sizeof(p.to));
	}
	T_OK(mx_test_any(p.ep, sending, sending, &status, &result));
	T_EQ(result, 0);
	for (uint64_t i = 0; i < 9; i++) {
		T_OK(mx_wait_any(p.ep, T_MS, 0, 0, &status, &result));
		ck_assert_uint_eq(status.match_info, i);
	}
	t_finish_well(&p, other);
	t_detach();
}
END_TEST

/* ---- forget, buffered, context ------------------------------------------------------ */

START_TEST(forgotten_requests_run_to_their_end)
{
	struct peer p = t_begin("forget");
	char *in = t_alloc(LARGE), *out = t_alloc(LARGE);
	mx_request_t receive, send, complete;
	mx_status_t status;
	uint32_t result;

	receive = t_irecv(&p, 1, in, LARGE);
	send = t_isend(&p, 2, out, LARGE);
	complete = t_isend(&p, 3, "x", 1);
	T_OK(mx_forget(p.ep, &receive)); /* pending, both */
	T_OK(mx_forget(p.ep, &send));
	T_OK(mx_forget(p.ep, &complete)); /* has ended */
	T_CHECK(!receive && !send && !complete);
	T_OK(mx_irecv(p.ep, NULL, 0, 5, MX_MATCH_MASK_NONE, NULL, NULL));
	t_sync(&p);
	t_verify(in, LARGE, 1);
	T_OK(mx_test_any(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0);
	t_end(&p);
	free(in);
	free(out);
}
END_TEST

static void far_forget(struct peer *p)
{
	char *in = t_alloc(LARGE);

	t_put(p, 1, LARGE);
	t_finish_well(p, t_irecv(p, 2, in, LARGE));
	t_finish_well(p, t_irecv(p, 3, in, LARGE));
	t_finish_well(p, t_issend(p, 5, "y", 0)); /* met by the forgotten one */
	t_sync(p);
	free(in);
}

START_TEST(buffered_tells_when_memory_is_free)
{
	struct peer p = t_begin("buffered");
	uint32_t max = copy_send_max(p.ep), result = 7;
	char *out = t_alloc(LARGE);
	mx_request_t small, large;
	double end = t_seconds() + T_MS / 1000;

	small = t_isend(&p, 1, out, max);
	T_OK(mx_ibuffered(p.ep, &small, &result));
	T_EQ(result, 1);
	large = t_isend(&p, 2, out, LARGE);
	T_OK(mx_ibuffered(p.ep, &large, &result));
	T_EQ(result, 0);
	t_sync(&p);
	while (!result) { /* 1 once it has ended, not collected */
		T_OK(mx_progress(p.ep));
		T_OK(mx_ibuffered(p.ep, &large, &result));
		T_CHECK(t_seconds() < end);
	}
	t_finish_well(&p, small);
	t_finish_well(&p, large);
	t_end(&p);
	free(out);
}
END_TEST

static void far_buffered(struct peer *p)
{
	char *in = t_alloc(LARGE);

	t_sync(p);
	t_finish_well(p, t_irecv(p, 1, in, LARGE));
	t_finish_well(p, t_irecv(p, 2, in, LARGE));
	free(in);
}

START_TEST(context_of_pending_and_ended_requests)
{
	mx_endpoint_t other;
	mx_request_t pending, ended;
	struct peer p;
	void *context;

	open_self(&p);
	other = t_open(); /* mx_context() has to find out whose it is */
	T_OK(mx_irecv(other, NULL, 0, 1, 1, &other, &pending));
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 1, &p, &ended));
	T_OK(mx_context(&pending, &context));
	ck_assert_ptr_eq(context, &other);
	T_OK(mx_context(&ended, &context));
	ck_assert_ptr_eq(context, &p);
	t_detach();
}
END_TEST

/* ---- cancel, close ------------------------------------------------------------------- */

START_TEST(cancel_is_too_late_after_the_match)
{
	struct peer p = t_begin("late");
	mx_request_t request, connect;
	mx_status_t status;
	uint32_t result = 7;
	char in;

	request = t_irecv(&p, 1, &in, 1);
	t_sync(&p);
	t_sync(&p); /* it has matched */
	T_OK(mx_cancel(p.ep, &request, &result));
	T_EQ(result, 0);
	t_finish_well(&p, request);
	/* a connect can be cancelled until its answer is taken */
	T_OK(mx_iconnect(p.ep, t_far_nic(), t_far_id, 0, 3, NULL, &connect));
	T_OK(mx_cancel(p.ep, &connect, &result));
	if (!result)
		t_finish_well(&p, connect);
	T_OK(mx_test_any(p.ep, 0, 0, &status, &result));
	T_EQ(result, 0);
	t_sync(&p); /* until here it was there to be connected to */
	t_end(&p);
}
END_TEST

static void far_late(struct peer *p)
{
	t_sync(p);
	t_put(p, 1, 1);
	t_sync(p);
	t_sync(p);
}

START_TEST(close_with_pending_requests_and_again)
{
	char *buf = t_alloc(LARGE);
	struct peer p;

	open_self(&p);
	for (int round = 0; round < 16; round++) {
		for (unsigned i = 0; i < 100; i++) {
			t_irecv(&p, i, buf, LARGE);
			t_isend(&p, 1000 + i, buf, i % 2 ? LARGE : 10);
			t_issend(&p, 2000 + i, buf, 10);
		}
		T_OK(mx_close_endpoint(p.ep));
		p.ep = t_open(); /* the id is free at once */
		T_EQ(t_id(p.ep), 0);
		T_OK(mx_get_endpoint_addr(p.ep, &p.to));
		t_put(&p, 1, 10);
		t_take(&p, 1, 10);
	}
	t_detach();
	free(buf);
}
END_TEST

START_TEST(never_implemented_calls_say_so)
{
	mx_request_t request = (mx_request_t)(void *)&request;
	uint32_t result = 7;
	struct peer p;

	open_self(&p);
	/* the default handler would abort: it is not told */
	mx_set_error_handler(MX_ERRORS_ARE_FATAL);
	T_FAILS(mx_iput(p.ep, NULL, 0, p.to, 0, NULL, &request), MX_FAILURE);
	ck_assert_ptr_null(request);
	T_FAILS(mx_iget(p.ep, NULL, 0, p.to, 0, NULL, NULL), MX_FAILURE);
	T_FAILS(mx_buffered(p.ep, &request, 1, &result), MX_FAILURE);
	T_EQ(result, 0);
	t_detach();
}
END_TEST

/* ---- tables ------------------------------------------------------------------------------ */

const struct far_half t_request_far[] = {
	{"eager", far_eager},
	{"forget", far_forget},
	{"buffered", far_buffered},
	{"late", far_late},
	{NULL, NULL},
};

Suite *t_request_suite(void)
{
	Suite *s = suite_create("request");
	TCase *tc = t_case(s, "requests");

	tcase_add_test(tc, eager_sends_need_no_receiver);
	tcase_add_test(tc, status_is_untouched_without_a_result);
	tcase_add_test(tc, peek_gives_sends_in_the_order_of_their_end);
	tcase_add_test(tc, any_finds_by_match_bits_oldest_first);
	tcase_add_test(tc, forgotten_requests_run_to_their_end);
	tcase_add_test(tc, buffered_tells_when_memory_is_free);
	tcase_add_test(tc, context_of_pending_and_ended_requests);
	tcase_add_test(tc, cancel_is_too_late_after_the_match);
	tcase_add_test(tc, close_with_pending_requests_and_again);
	tcase_add_test(tc, never_implemented_calls_say_so);
	return s;
}
