// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_wait.c - how calls wait: time-outs, wake-up, hold, event loops.
 *
 * Flow:  a thread waits; another makes it return
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conform/conform.h"

static const enum vmb_wait_mode modes[] = {VMB_WAIT_SPIN, VMB_WAIT_ADAPTIVE,
					   VMB_WAIT_BLOCK};

static struct vmb_open_params in_mode(int mode)
{
	return (struct vmb_open_params){.size = sizeof(struct vmb_open_params),
					.id = VMB_ANY_ID,
					.wait = modes[mode]};
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- time-outs ---------------------------------------------------------------------- */

START_TEST(waiting_ends_in_time)
{
	struct vmb_open_params p = in_mode(_i);
	struct t_pair pair = t_pair_open_with(&p);
	struct vmb_req *recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, NULL, 0);
	struct vmb_req *seen;
	double start = t_seconds();
	int done;

	t_ok(vmb_wait(pair.b, &recv, 20, NULL, &done));
	ck_assert_int_eq(done, 0);
	ck_assert_ptr_nonnull(recv);
	t_ok(vmb_wait_any(pair.b, 0, 0, 20, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_ok(vmb_probe(pair.b, 0, 0, 20, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_ok(vmb_peek(pair.b, 20, &seen));
	ck_assert_ptr_null(seen);
	ck_assert(t_seconds() - start >= 0.08);
	ck_assert(t_seconds() - start < 5);
	t_ok(vmb_wait(pair.b, &recv, 0, NULL, &done)); /* one look */
	ck_assert_int_eq(done, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(sleeping_costs_no_processor_time)
{
	struct vmb_open_params p = in_mode(_i);
	struct vmb_counters c = {.size = sizeof(c)};
	struct t_pair pair = t_pair_open_with(&p);
	double before = cpu_seconds();
	int done;

	t_ok(vmb_wait_any(pair.b, 0, 0, 500, NULL, &done));
	ck_assert(cpu_seconds() - before < 0.3); /* to spin takes 0.5 */
	t_ok(vmb_query_counters(pair.b, &c));
	ck_assert_uint_ge(c.sleeps, 1);
	ck_assert_uint_le(c.sleeps, 50);
	t_pair_close(&pair);
}
END_TEST

/* Sends a message after some time, from another endpoint. */
struct later {
	struct t_pair *pair;
	unsigned count;
	int delay_ms;
};

static void *send_later(void *arg)
{
	struct later *l = arg;

	for (unsigned i = 0; i < l->count; i++) {
		poll(NULL, 0, l->delay_ms);
		t_finish(l->pair->a,
			 t_isend(l->pair->a, l->pair->to_b, i, &i, sizeof(i)));
	}
	return NULL;
}

START_TEST(sleeper_is_woken_by_each_message)
{
	struct vmb_open_params p = in_mode(_i);
	struct t_pair pair = t_pair_open_with(&p);
	struct later later = {&pair, 100, 3};
	unsigned in = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, send_later, &later);
	for (unsigned i = 0; i < later.count; i++) {
		struct vmb_status status =
			t_finish(pair.b, t_irecv(pair.b, i, VMB_MATCH_ALL, &in,
						 sizeof(in)));

		ck_assert_int_eq(status.code, 0);
		ck_assert_uint_eq(in, i);
	}
	pthread_join(thread, NULL);
	t_pair_close(&pair);
}
END_TEST

/* ---- wake-up, close, hold -------------------------------------------------------------- */

enum way {
	WAIT,
	WAIT_ANY,
	PROBE,
	PEEK,
	CONNECT,
	WAYS
};

struct waiter {
	struct vmb_endpoint *ep;
	enum way way;
	pthread_t thread;
	int there; /* its thread's number: it is about to wait */
	int rc, done;
};

static void *wait_somehow(void *arg)
{
	struct waiter *w = arg;
	struct vmb_req *req = NULL, *seen = NULL;
	struct vmb_addr addr;

	if (w->way == WAIT)
		t_ok(vmb_irecv(w->ep, NULL, 0, 99, VMB_MATCH_ALL, NULL, &req));
	__atomic_store_n(&w->there, gettid(), __ATOMIC_SEQ_CST);
	switch (w->way) {
	case WAIT:
		w->rc = vmb_wait(w->ep, &req, VMB_INFINITE, NULL, &w->done);
		break;
	case WAIT_ANY:
		w->rc = vmb_wait_any(w->ep, 0, 0, VMB_INFINITE, NULL, &w->done);
		break;
	case PROBE:
		w->rc = vmb_probe(w->ep, 0, 0, VMB_INFINITE, NULL, &w->done);
		break;
	case PEEK:
		w->rc = vmb_peek(w->ep, VMB_INFINITE, &seen);
		break;
	default:
		w->rc = vmb_connect(w->ep, t_nic_id(), 7, 0, VMB_INFINITE,
				    &addr);
		break;
	}
	return NULL;
}

static int load(const int *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static bool is_asleep(int tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
	fclose(f);
	return state == 'S';
}

static void await_sleep(const struct waiter *ws, unsigned count)
{
	double end = t_seconds() + T_MS / 1000;
	unsigned asleep;

	do {
		ck_assert_msg(t_seconds() < end, "they do not sleep");
		poll(NULL, 0, 10);
		asleep = 0;
		for (unsigned i = 0; i < count; i++)
			asleep += is_asleep(load(&ws[i].there));
	} while (asleep < count);
}

/* Each way of waiting, as many threads as there are ways. */
static unsigned start_waiters(struct waiter *ws, struct vmb_endpoint *ep,
			      enum vmb_wait_mode mode)
{
	unsigned count = t_port->hold_connects ? WAYS : WAYS - 1;

	if (t_port->hold_connects)
		t_port->hold_connects(true);
	for (unsigned i = 0; i < count; i++) {
		ws[i] = (struct waiter){.ep = ep, .way = (enum way)i};
		pthread_create(&ws[i].thread, NULL, wait_somehow, &ws[i]);
	}
	for (unsigned i = 0; i < count; i++)
		while (!load(&ws[i].there))
			sched_yield();
	if (mode == VMB_WAIT_SPIN)
		poll(NULL, 0, 300); /* from there it is a few instructions */
	else
		await_sleep(ws, count);
	return count;
}

static bool has_ended(pthread_t thread)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += T_MS / 1000;
	return pthread_timedjoin_np(thread, NULL, &t) == 0;
}

START_TEST(wakeup_returns_every_waiter)
{
	struct vmb_open_params p = in_mode(_i);
	struct vmb_endpoint *ep = t_open(&p);
	struct waiter ws[WAYS];
	unsigned count = start_waiters(ws, ep, p.wait);

	t_ok(vmb_wakeup(ep));
	for (unsigned i = 0; i < count; i++) {
		ck_assert_msg(has_ended(ws[i].thread), "waiter %u sleeps", i);
		ck_assert_int_eq(ws[i].rc,
				 ws[i].way == CONNECT ? -ETIMEDOUT : 0);
		ck_assert_int_eq(ws[i].done, 0);
	}
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(wakeup_is_not_remembered)
{
	struct vmb_endpoint *ep = t_open(NULL);
	double start = t_seconds();
	int done;

	t_ok(vmb_wakeup(ep));
	t_ok(vmb_wait_any(ep, 0, 0, 50, NULL, &done));
	ck_assert(t_seconds() - start >= 0.05);
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(close_turns_every_waiter_out)
{
	struct vmb_open_params p = in_mode(_i);
	struct vmb_endpoint *ep = t_open(&p);
	struct waiter ws[WAYS];
	unsigned count = start_waiters(ws, ep, p.wait);

	t_ok(vmb_close(ep));
	for (unsigned i = 0; i < count; i++) {
		ck_assert_msg(has_ended(ws[i].thread), "waiter %u sleeps", i);
		ck_assert_int_eq(ws[i].rc, -EBADF);
		ck_assert_int_eq(ws[i].done, 0);
	}
}
END_TEST

START_TEST(hold_stops_arrivals)
{
	struct vmb_open_params p = in_mode(_i);
	struct t_pair pair = t_pair_open_with(&p);
	struct vmb_req *recv;
	char in = 0;
	int done;

	t_ok(vmb_hold(pair.b, 1));
	recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, &in, 1); /* is allowed */
	t_isend(pair.a, pair.to_b, 1, "x", 1);
	t_flush(&pair, pair.a); /* it is there */
	t_ok(vmb_wait(pair.b, &recv, 30, NULL, &done));
	ck_assert_int_eq(done, 0);
	ck_assert_int_eq(in, 0);
	t_ok(vmb_hold(pair.b, 0));
	t_finish(pair.b, recv);
	ck_assert_int_eq(in, 'x');
	t_pair_close(&pair);
}
END_TEST

static void *release_later(void *arg)
{
	poll(NULL, 0, 50);
	t_ok(vmb_hold(arg, 0));
	return NULL;
}

START_TEST(end_of_hold_wakes_the_waiter)
{
	struct vmb_open_params p = in_mode(_i);
	struct t_pair pair = t_pair_open_with(&p);
	pthread_t thread;
	char in;

	t_ok(vmb_hold(pair.b, 1));
	t_isend(pair.a, pair.to_b, 1, "x", 1);
	pthread_create(&thread, NULL, release_later, pair.b);
	t_finish(pair.b, t_irecv(pair.b, 1, VMB_MATCH_ALL, &in, 1));
	pthread_join(thread, NULL);
	t_pair_close(&pair);
}
END_TEST

/* A handler that takes its time, as long as the gate is shut, and says when. */
static int handler_state, gate_shut;

static enum vmb_unexpected_action dawdle(void *context, struct vmb_addr source,
					 uint64_t match, uint64_t len,
					 const void *data)
{
	(void)context;
	(void)source;
	(void)match;
	(void)len;
	(void)data;
	__atomic_store_n(&handler_state, 1, __ATOMIC_SEQ_CST);
	do
		poll(NULL, 0, 50);
	while (load(&gate_shut));
	__atomic_store_n(&handler_state, 2, __ATOMIC_SEQ_CST);
	return VMB_UNEXPECTED_FINISHED;
}

static void *wait_for_any(void *arg)
{
	int done;

	vmb_wait_any(arg, 0, 0, VMB_INFINITE, NULL, &done);
	return NULL;
}

/* Start a slow handler in another thread; return when it runs. */
static pthread_t run_handler(struct t_pair *pair)
{
	double end = t_seconds() + T_MS / 1000;
	pthread_t thread;

	handler_state = 0;
	t_ok(vmb_set_unexpected_handler(pair->b, dawdle, NULL));
	pthread_create(&thread, NULL, wait_for_any, pair->b);
	t_isend(pair->a, pair->to_b, 1, "x", 1);
	while (!load(&handler_state))
		ck_assert_msg(t_seconds() < end, "handler was not called");
	return thread;
}

START_TEST(hold_returns_when_the_handler_has_ended)
{
	struct t_pair pair = t_pair_open();
	pthread_t thread = run_handler(&pair);

	t_ok(vmb_hold(pair.b, 1));
	ck_assert_int_eq(load(&handler_state), 2);
	t_ok(vmb_hold(pair.b, 0));
	t_ok(vmb_wakeup(pair.b));
	pthread_join(thread, NULL);
	t_pair_close(&pair);
}
END_TEST

START_TEST(close_returns_when_the_handler_has_ended)
{
	struct t_pair pair = t_pair_open();
	pthread_t thread = run_handler(&pair);

	t_ok(vmb_close(pair.b));
	ck_assert_int_eq(load(&handler_state), 2);
	pthread_join(thread, NULL);
	t_ok(vmb_close(pair.a));
}
END_TEST

START_TEST(requests_are_posted_while_a_handler_runs)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recv;
	pthread_t thread;

	gate_shut = 1;
	thread = run_handler(&pair);
	recv = t_irecv(pair.b, 5, VMB_MATCH_ALL, NULL, 0);
	t_isend(pair.b, pair.to_a, 6, NULL, 0);
	ck_assert_int_eq(load(&handler_state), 1); /* it waits for us */
	__atomic_store_n(&gate_shut, 0, __ATOMIC_SEQ_CST);
	t_isend(pair.a, pair.to_b, 5, NULL, 0);
	t_finish(pair.b, recv);
	t_finish(pair.a, t_irecv(pair.a, 6, VMB_MATCH_ALL, NULL, 0));
	t_ok(vmb_wakeup(pair.b));
	pthread_join(thread, NULL);
	t_pair_close(&pair);
}
END_TEST

/* ---- event loops -------------------------------------------------------------------------- */

/* Sleep in epoll until the request has ended, as an event loop does. */
static struct vmb_status loop_until(struct vmb_endpoint *ep, int epoll_fd,
				    struct vmb_req *req)
{
	struct vmb_status status;
	struct epoll_event event;
	int done, rc;

	for (;;) {
		t_ok(vmb_test(ep, &req, &status, &done));
		if (done)
			return status;
		rc = vmb_arm(ep);
		if (rc == -EAGAIN)
			continue;
		t_ok(rc);
		ck_assert_msg(epoll_wait(epoll_fd, &event, 1, T_MS) == 1,
			      "the descriptor did not become readable");
	}
}

static int make_epoll(struct vmb_endpoint *ep)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd, epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	t_ok(vmb_fd(ep, &fd));
	t_ok(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
	return epoll_fd;
}

START_TEST(epoll_reports_messages)
{
	struct t_pair pair = t_pair_open();
	struct later later = {&pair, 100, 2};
	int epoll_fd = make_epoll(pair.b);
	unsigned in = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, send_later, &later);
	for (unsigned i = 0; i < later.count; i++) {
		loop_until(pair.b, epoll_fd,
			   t_irecv(pair.b, i, VMB_MATCH_ALL, &in, sizeof(in)));
		ck_assert_uint_eq(in, i);
	}
	pthread_join(thread, NULL);
	close(epoll_fd);
	t_pair_close(&pair);
}
END_TEST

START_TEST(epoll_reports_timeouts_and_connects)
{
	struct t_pair pair = t_pair_open();
	int epoll_fd = make_epoll(pair.a);
	char *buf = t_pages(T_LARGE);
	struct vmb_req *req;

	t_ok(vmb_iconnect(pair.a, t_nic_id(), t_id(pair.b), 0, 1, NULL, &req));
	ck_assert_int_eq(loop_until(pair.a, epoll_fd, req).code, 0);
	req = t_isend(pair.a, pair.to_b, 1, buf, T_LARGE);
	t_ok(vmb_set_request_timeout(pair.a, req, 50));
	ck_assert_int_eq(loop_until(pair.a, epoll_fd, req).code, -ETIMEDOUT);
	close(epoll_fd);
	t_pair_close(&pair);
}
END_TEST

/* One thread sleeps in vmb_wait(), one in poll(): both hear of it. */
START_TEST(poll_and_wait_share_an_endpoint)
{
	struct vmb_open_params p = in_mode(2);
	struct t_pair pair = t_pair_open_with(&p);
	struct pollfd pfd = {.events = POLLIN};
	pthread_t thread;

	t_ok(vmb_fd(pair.b, &pfd.fd));
	for (int i = 0; i < 20; i++) {
		pthread_create(&thread, NULL, wait_for_any, pair.b);
		poll(NULL, 0, 5);
		while (vmb_arm(pair.b))
			t_ok(vmb_progress(pair.b));
		t_irecv(pair.b, 1, VMB_MATCH_ALL, NULL, 0);
		t_isend(pair.a, pair.to_b, 1, NULL, 0);
		ck_assert_int_eq(poll(&pfd, 1, T_MS), 1);
		ck_assert(has_ended(thread));
	}
	t_pair_close(&pair);
}
END_TEST

/* Send back what comes, asleep most of the time, until told to stop. */
static void *echo(void *arg)
{
	struct t_pair *pair = arg;
	struct vmb_req *recv;
	unsigned word;
	int done;

	do {
		recv = t_irecv(pair->b, 0, 0, &word, sizeof(word));
		do /* a vmb_wakeup() ends a wait */
			t_ok(vmb_wait(pair->b, &recv, T_MS, NULL, &done));
		while (!done);
		t_finish(pair->b,
			 t_isend(pair->b, pair->to_a, 2, &word, sizeof(word)));
	} while (word);
	return NULL;
}

static void send_and_hear(struct t_pair *pair, unsigned word)
{
	unsigned in = ~word;
	struct vmb_req *recv =
		t_irecv(pair->a, 2, VMB_MATCH_ALL, &in, sizeof(in));

	t_finish(pair->a, t_isend(pair->a, pair->to_b, 1, &word, sizeof(word)));
	t_finish(pair->a, recv);
	ck_assert_uint_eq(in, word);
}

/*
 * One that is woken all the time sleeps in another way than one that waits for
 * long. It misses nothing, whatever else happens to its endpoint.
 */
START_TEST(busy_sleeper_misses_nothing)
{
	struct vmb_open_params p = in_mode(_i);
	struct t_pair pair = t_pair_open_with(&p);
	struct vmb_counters c = {.size = sizeof(c)};
	struct pollfd pfd = {.events = POLLIN};
	pthread_t thread;

	t_ok(vmb_fd(pair.b, &pfd.fd));
	pthread_create(&thread, NULL, echo, &pair);
	for (unsigned i = 2000; i; i--) {
		bool armed = i % 5 == 0 && !vmb_arm(pair.b);

		for (volatile unsigned turns = i * 7919 % 4096; turns; turns--)
			;
		if (i % 3 == 0)
			t_ok(vmb_wakeup(pair.b));
		send_and_hear(&pair, i);
		ck_assert(!armed || poll(&pfd, 1, T_MS) == 1);
		if (i % 500 == 0) /* longer than it sleeps in that way */
			poll(NULL, 0, 30);
	}
	send_and_hear(&pair, 0);
	ck_assert(has_ended(thread));
	t_ok(vmb_query_counters(pair.b, &c));
	/* an adaptive one may find all by spinning */
	ck_assert_uint_ge(c.sleeps, modes[_i] == VMB_WAIT_BLOCK ? 100 : 1);
	t_pair_close(&pair);
}
END_TEST

/* A wait that ends in between does not take the arming away. */
START_TEST(arming_outlives_a_wait_that_times_out)
{
	struct vmb_open_params p = in_mode(2);
	struct t_pair pair = t_pair_open_with(&p);
	struct pollfd pfd = {.events = POLLIN};
	int done;

	t_ok(vmb_fd(pair.b, &pfd.fd));
	t_ok(vmb_arm(pair.b));
	t_ok(vmb_wait_any(pair.b, 0, 0, 20, NULL, &done));
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	t_isend(pair.a, pair.to_b, 1, NULL, 0);
	ck_assert_int_eq(poll(&pfd, 1, T_MS), 1);
	t_pair_close(&pair);
}
END_TEST

START_TEST(arm_sees_work_at_hand)
{
	struct t_pair pair = t_pair_open();
	double end = t_seconds() + T_MS / 1000;

	t_isend(pair.a, pair.to_b, 1, NULL, 0);
	while (!vmb_arm(pair.b))
		ck_assert(t_seconds() < end);
	ck_assert_int_eq(vmb_arm(pair.b), -EAGAIN);
	t_settle(&pair);
	t_ok(vmb_arm(pair.b));
	t_pair_close(&pair);
}
END_TEST

/* No progress can be made before something is received: that is no work. */
START_TEST(arm_does_not_wait_for_receives)
{
	struct vmb_open_params p = in_mode(1);
	double end = t_seconds() + T_MS / 1000;
	struct pollfd pfd = {.events = POLLIN};
	static char data[60][1000];
	struct t_pair pair;
	unsigned i;

	p.unexpected_max = 8000;
	pair = t_pair_open_with(&p);
	t_ok(vmb_fd(pair.b, &pfd.fd));
	for (i = 0; i < 60; i++)
		t_isend(pair.a, pair.to_b, i, data[i], sizeof(data[i]));
	while (t_counters(pair.b).unexpected < 6) {
		t_ok(vmb_progress(pair.a));
		t_ok(vmb_progress(pair.b));
		ck_assert_msg(t_seconds() < end, "they do not arrive");
	}
	for (i = 0; i < 10; i++) { /* and more that cannot be taken */
		t_ok(vmb_progress(pair.a));
		poll(NULL, 0, 1);
	}
	while (vmb_arm(pair.b) == -EAGAIN) {
		t_ok(vmb_progress(pair.b));
		ck_assert_msg(t_seconds() < end, "work for ever");
	}
	for (i = 0; i < 60; i++) {
		t_finish_pair(&pair, pair.b,
			      t_irecv(pair.b, i, VMB_MATCH_ALL, data[i],
				      sizeof(data[i])));
		if (i == 30) /* that made room */
			ck_assert_int_eq(poll(&pfd, 1, T_MS), 1);
	}
	t_pair_close(&pair);
}
END_TEST

Suite *t_wait_suite(void)
{
	Suite *s = suite_create("wait");
	TCase *tc = t_case(s, "time");

	tcase_add_loop_test(tc, waiting_ends_in_time, 0, 3);
	tcase_add_loop_test(tc, sleeping_costs_no_processor_time, 1, 3);
	tcase_add_loop_test(tc, sleeper_is_woken_by_each_message, 0, 3);
	tc = t_case(s, "others");
	tcase_add_loop_test(tc, wakeup_returns_every_waiter, 0, 3);
	tcase_add_test(tc, wakeup_is_not_remembered);
	tcase_add_loop_test(tc, close_turns_every_waiter_out, 0, 3);
	tcase_add_loop_test(tc, hold_stops_arrivals, 0, 3);
	tcase_add_loop_test(tc, end_of_hold_wakes_the_waiter, 0, 3);
	tcase_add_test(tc, hold_returns_when_the_handler_has_ended);
	tcase_add_test(tc, close_returns_when_the_handler_has_ended);
	tcase_add_test(tc, requests_are_posted_while_a_handler_runs);
	tc = t_case(s, "event loop");
	tcase_add_test(tc, epoll_reports_messages);
	tcase_add_test(tc, epoll_reports_timeouts_and_connects);
	tcase_add_test(tc, poll_and_wait_share_an_endpoint);
	tcase_add_loop_test(tc, busy_sleeper_misses_nothing, 1, 3);
	tcase_add_test(tc, arming_outlives_a_wait_that_times_out);
	tcase_add_test(tc, arm_sees_work_at_hand);
	tcase_add_test(tc, arm_does_not_wait_for_receives);
	return s;
}
