// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_handler.c - the handler of unexpected messages, and progression on and
 * off. (What data it is given: row 9 of the checklist; what its senders see:
 * row 10.)
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: the handler may run in a thread of the library.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mxtest.h"

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)

struct seen {
	mx_endpoint_t ep;
	unsigned calls;
	bool wrong; /* a check in the handler has failed */
	uint64_t nic;
	uint32_t id;
	char in[100];
	mx_request_t request;
};

static void wait_calls(struct seen *s, unsigned calls)
{
	double end = t_seconds() + T_MS / 1000;

	while (LOAD(s->calls) < calls) {
		T_OK(mx_progress(s->ep));
		T_CHECK(t_seconds() < end);
	}
}

/* ---- once each, in order ---------------------------------------------------------- */

#define MANY 200

static mx_unexp_handler_action_t count(void *context, mx_endpoint_addr_t source,
				       uint64_t match, uint32_t length,
				       void *data)
{
	struct seen *s = context;
	void *other = s;

	(void)data;
	if (match & T_CONTROL)
		return MX_RECV_CONTINUE;
	if (mx_get_endpoint_addr_context(source, &other) || other ||
	    match != s->calls || length != match * 100)
		s->wrong = true;
	STORE(s->calls, s->calls + 1);
	return match % 2 ? MX_RECV_FINISHED : MX_RECV_CONTINUE;
}

START_TEST(called_once_for_each_in_order)
{
	struct peer p = t_begin("once");
	struct seen s = {.ep = p.ep};
	uint32_t result;

	T_OK(mx_register_unexp_handler(p.ep, count, &s));
	t_sync(&p);
	wait_calls(&s, MANY);
	/* what it let go on is queued, in order */
	for (unsigned i = 0; i < MANY; i += 2)
		t_take(&p, i, i * 100);
	T_OK(mx_iprobe(p.ep, 1, 1, NULL, &result));
	T_EQ(result, 0);
	T_EQ(LOAD(s.calls), MANY);
	T_CHECK(!s.wrong);
	T_OK(mx_register_unexp_handler(p.ep, NULL, NULL));
	t_end(&p);
}
END_TEST

static void far_once(struct peer *p)
{
	t_sync(p);
	for (unsigned i = 0; i < MANY; i++)
		t_put(p, i, i * 100);
}

/* ---- receives posted inside --------------------------------------------------------- */

static mx_unexp_handler_action_t receive(void *context,
					 mx_endpoint_addr_t source,
					 uint64_t match, uint32_t length,
					 void *data)
{
	struct seen *s = context;
	mx_segment_t seg = {s->in, sizeof(s->in)};

	(void)source;
	(void)length;
	(void)data;
	if (match == 1 &&
	    mx_irecv(s->ep, &seg, 1, 1, MX_MATCH_MASK_NONE, s, &s->request))
		s->wrong = true;
	if (match == 2 && mx_irecv(s->ep, NULL, 0, 2, MX_MATCH_MASK_NONE, NULL,
				   NULL)) /* forgotten */
		s->wrong = true;
	STORE(s->calls, s->calls + !(match & T_CONTROL));
	return MX_RECV_CONTINUE;
}

START_TEST(receives_posted_inside_count)
{
	struct peer p = t_begin("inside");
	struct seen s = {.ep = p.ep};
	mx_status_t status;
	uint32_t result;

	T_OK(mx_register_unexp_handler(p.ep, receive, &s));
	t_sync(&p);
	wait_calls(&s, 2);
	status = t_finish_well(&p, s.request);
	T_EQ(status.msg_length, 50);
	ck_assert_ptr_eq(status.context, &s);
	t_verify(s.in, 50, 1);
	t_sync(&p); /* the far half's issend has been met */
	T_OK(mx_iprobe(p.ep, 0, T_CONTROL, NULL, &result));
	T_EQ(result, 0);
	T_CHECK(!s.wrong);
	T_OK(mx_register_unexp_handler(p.ep, NULL, NULL));
	t_end(&p);
}
END_TEST

static void far_inside(struct peer *p)
{
	t_sync(p);
	t_put(p, 1, 50);
	T_EQ(t_finish(p, t_issend(p, 2, "xy", 2)).code, MX_STATUS_TRUNCATED);
	t_sync(p);
}

/* ---- sends and connects inside -------------------------------------------------------- */

/* As a runtime that connects on demand: ask, poll, answer. */
static mx_unexp_handler_action_t dial(void *context, mx_endpoint_addr_t source,
				      uint64_t match, uint32_t length,
				      void *data)
{
	double end = t_seconds() + T_MS / 1000;
	struct seen *s = context;
	mx_status_t status = {.code = MX_STATUS_PENDING};
	mx_request_t request;
	uint32_t result = 0;

	(void)length;
	(void)data;
	if (match != 1)
		return MX_RECV_CONTINUE;
	if (mx_decompose_endpoint_addr(source, &s->nic, &s->id) ||
	    mx_iconnect(s->ep, s->nic, s->id, 0, 9, s, &request))
		s->wrong = true;
	while (!s->wrong && !result)
		if (mx_test(s->ep, &request, &status, &result) ||
		    t_seconds() > end)
			s->wrong = true;
	if (status.code != MX_STATUS_SUCCESS || status.match_info != 9 ||
	    memcmp(&status.source, &source, sizeof(source)) ||
	    mx_isend(s->ep, NULL, 0, status.source, 2, NULL, NULL))
		s->wrong = true;
	STORE(s->calls, 1);
	return MX_RECV_FINISHED;
}

START_TEST(connect_on_demand_works_inside)
{
	struct peer p = t_begin("dial");
	struct seen s = {.ep = p.ep};

	T_OK(mx_register_unexp_handler(p.ep, dial, &s));
	t_sync(&p);
	wait_calls(&s, 1);
	T_CHECK(!s.wrong);
	t_end(&p);
}
END_TEST

static void far_dial(struct peer *p)
{
	t_sync(p);
	t_put(p, 1, 3);
	t_take(p, 2, 0);
}

/* ---- the deprecated form -------------------------------------------------------------- */

static void old_callback(void *context, uint64_t match, int length)
{
	struct seen *s = context;

	if (match & T_CONTROL)
		return;
	if (match != 4 || length != 33)
		s->wrong = true;
	STORE(s->calls, s->calls + 1);
}

START_TEST(old_callback_is_told_and_the_message_queued)
{
	struct peer p = t_begin("old");
	struct seen s = {.ep = p.ep};

	T_OK(mx_register_unexp_callback(p.ep, old_callback, &s));
	t_sync(&p);
	wait_calls(&s, 1);
	T_CHECK(!s.wrong);
	t_take(&p, 4, 33);
	T_OK(mx_register_unexp_callback(p.ep, NULL, NULL));
	t_end(&p);
}
END_TEST

static void far_old(struct peer *p)
{
	t_sync(p);
	t_put(p, 4, 33);
}

/* Nothing is replayed to one that comes later. */
START_TEST(queued_messages_are_not_replayed)
{
	struct peer p = t_begin("replay");
	struct seen s = {.ep = p.ep};

	t_probe(&p, 0);
	T_OK(mx_register_unexp_handler(p.ep, count, &s));
	t_take(&p, 0, 0);
	T_EQ(LOAD(s.calls), 0);
	t_end(&p);
}
END_TEST

static void far_replay(struct peer *p)
{
	t_put(p, 0, 0);
}

/* ---- progression ----------------------------------------------------------------------- */

START_TEST(nothing_is_processed_while_disabled)
{
	struct peer p = t_begin("off");
	struct seen s = {.ep = p.ep};
	mx_request_t request;
	mx_status_t status;
	uint32_t result;
	char in;

	T_OK(mx_register_unexp_handler(p.ep, count, &s));
	request = t_irecv(&p, 1000, &in, 1);
	T_OK(mx_disable_progression(p.ep));
	T_OK(mx_disable_progression(p.ep)); /* not counted */
	/* posting works, and a message that needs no answer leaves */
	T_OK(mx_isend(p.ep, NULL, 0, p.to, 5, NULL, NULL));
	for (int i = 0; i < 20; i++) {
		t_compute(0.005); /* messages are on their way */
		T_OK(mx_progress(p.ep));
		T_OK(mx_test(p.ep, &request, &status, &result));
		T_EQ(result, 0);
		T_EQ(LOAD(s.calls), 0);
	}
	T_OK(mx_wait(p.ep, &request, 30, &status, &result));
	T_EQ(result, 0);
	T_OK(mx_reenable_progression(p.ep));
	wait_calls(&s, 1);
	t_finish_well(&p, request);
	T_OK(mx_reenable_progression(p.ep)); /* ignored */
	T_CHECK(!s.wrong);
	t_end(&p);
}
END_TEST

static void far_off(struct peer *p)
{
	t_take(p, 5, 0); /* it is disabled now */
	t_put(p, 0, 0);
	t_put(p, 1000, 1);
}

/* Takes its time. */
static mx_unexp_handler_action_t linger(void *context,
					mx_endpoint_addr_t source,
					uint64_t match, uint32_t length,
					void *data)
{
	struct seen *s = context;

	(void)source;
	(void)match;
	(void)length;
	(void)data;
	STORE(s->calls, 1);
	t_compute(0.1);
	STORE(s->calls, 2);
	return MX_RECV_FINISHED;
}

static void *progress_until_called(void *arg)
{
	struct seen *s = arg;

	wait_calls(s, 1);
	return NULL;
}

START_TEST(disable_waits_for_a_handler_in_another_thread)
{
	double end = t_seconds() + T_MS / 1000;
	struct seen s = {0};
	mx_endpoint_addr_t self;
	pthread_t thread;

	t_attach();
	s.ep = t_open();
	T_OK(mx_get_endpoint_addr(s.ep, &self));
	T_OK(mx_register_unexp_handler(s.ep, linger, &s));
	T_EQ(pthread_create(&thread, NULL, progress_until_called, &s), 0);
	T_OK(mx_isend(s.ep, NULL, 0, self, 1, NULL, NULL));
	while (!LOAD(s.calls)) /* no progress by this thread */
		T_CHECK(t_seconds() < end);
	T_OK(mx_disable_progression(s.ep));
	T_EQ(LOAD(s.calls), 2);
	T_OK(mx_reenable_progression(s.ep));
	T_EQ(pthread_join(thread, NULL), 0);
	t_detach();
}
END_TEST

/* ---- tables ------------------------------------------------------------------------------ */

const struct far_half t_handler_far[] = {
	{"once", far_once}, {"inside", far_inside}, {"dial", far_dial},
	{"old", far_old},   {"replay", far_replay}, {"off", far_off},
	{NULL, NULL},
};

Suite *t_handler_suite(void)
{
	Suite *s = suite_create("handler");
	TCase *tc = t_case(s, "unexpected");

	tcase_add_test(tc, called_once_for_each_in_order);
	tcase_add_test(tc, receives_posted_inside_count);
	tcase_add_test(tc, connect_on_demand_works_inside);
	tcase_add_test(tc, old_callback_is_told_and_the_message_queued);
	tcase_add_test(tc, queued_messages_are_not_replayed);
	tc = t_case(s, "progression");
	tcase_add_test(tc, nothing_is_processed_while_disabled);
	tcase_add_test(tc, disable_waits_for_a_handler_in_another_thread);
	return s;
}
