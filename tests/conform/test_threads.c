// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_threads.c - one endpoint, many threads: each outcome is delivered to
 * one of them, once, and nobody sleeps through his own.
 *
 * Flow:  threads that send and wait -> counts and payloads compared
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "conform/conform.h"

#define THREADS_MAX 16
#define PER_THREAD 3000

static unsigned thread_count(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1			? 2
	       : cpus > THREADS_MAX / 2 ? THREADS_MAX
					: 2 * (unsigned)cpus;
}

static const enum vmb_wait_mode modes[] = {VMB_WAIT_ADAPTIVE, VMB_WAIT_BLOCK,
					   VMB_WAIT_SPIN};

/* Each mode alone, then with a background thread that must not disturb. */
#define MODES 3

static struct vmb_open_params params_of(int mode)
{
	return (struct vmb_open_params){
		.size = sizeof(struct vmb_open_params),
		.id = VMB_ANY_ID,
		.wait = modes[mode % MODES],
		.flags = mode < MODES ? 0 : VMB_OPEN_BACKGROUND};
}

static struct t_pair open_in_mode(int mode)
{
	struct vmb_open_params p = params_of(mode);

	return t_pair_open_with(&p);
}

/* ---- wait_any ------------------------------------------------------------------ */

struct crowd {
	struct t_pair *pair;
	unsigned total;
	unsigned taken; /* outcomes delivered, all threads */
	unsigned char times[THREADS_MAX * PER_THREAD];
};

/* Take outcomes until all are taken; the last wakes the others up. */
static void *take_any(void *arg)
{
	struct crowd *c = arg;
	struct vmb_endpoint *ep = c->pair->b;
	struct vmb_status status;
	int done;

	while (__atomic_load_n(&c->taken, __ATOMIC_SEQ_CST) < c->total) {
		t_ok(vmb_wait_any(ep, 0, 0, VMB_INFINITE, &status, &done));
		if (!done)
			continue;
		ck_assert_int_eq(status.code, 0);
		__atomic_add_fetch(&c->times[(uintptr_t)status.context], 1,
				   __ATOMIC_RELAXED);
		if (__atomic_add_fetch(&c->taken, 1, __ATOMIC_SEQ_CST) ==
		    c->total)
			break;
	}
	/* one who goes to sleep now has seen an old count: wake until gone */
	t_ok(vmb_wakeup(ep));
	return NULL;
}

static void feed(struct crowd *c)
{
	struct vmb_req *req;

	for (uintptr_t i = 0; i < c->total; i++) {
		t_ok(vmb_irecv(c->pair->b, NULL, 0, i, VMB_MATCH_ALL, (void *)i,
			       &req));
		t_ok(vmb_isend(c->pair->a, NULL, 0, c->pair->to_b, i, NULL,
			       NULL));
		if (i % 64 == 0) { /* let them fall asleep now and then */
			t_ok(vmb_progress(c->pair->a));
			sched_yield();
		}
	}
}

static unsigned rounds; /* ended, of all threads */

/* A slow machine may take its time; nothing at all for T_MS is a hang. */
static void join_all(pthread_t *threads, unsigned count,
		     struct vmb_endpoint *ep)
{
	double end = t_seconds() + T_MS / 1000;
	unsigned seen = 0;
	struct timespec t;

	for (unsigned i = 0; i < count; i++) {
		int rc;

		do {
			unsigned now =
				__atomic_load_n(&rounds, __ATOMIC_RELAXED);

			if (now != seen)
				end = t_seconds() + T_MS / 1000;
			seen = now;
			ck_assert_msg(t_seconds() < end,
				      "thread %u sleeps for ever", i);
			clock_gettime(CLOCK_REALTIME, &t);
			t.tv_nsec += 1000000;
			if (t.tv_nsec >= 1000000000) {
				t.tv_sec++;
				t.tv_nsec -= 1000000000;
			}
			rc = pthread_timedjoin_np(threads[i], NULL, &t);
			if (rc && ep)
				t_ok(vmb_wakeup(ep));
		} while (rc);
	}
}

START_TEST(crowd_takes_each_outcome_once)
{
	static struct crowd c;
	struct t_pair pair = open_in_mode(_i);
	pthread_t threads[THREADS_MAX];
	unsigned count = thread_count();

	memset(&c, 0, sizeof(c));
	c.pair = &pair;
	c.total = count * PER_THREAD;
	for (unsigned i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, take_any, &c);
	feed(&c);
	/* all outcomes are taken without any wake-up of ours */
	for (double end = t_seconds() + T_MS / 1000;
	     __atomic_load_n(&c.taken, __ATOMIC_SEQ_CST) < c.total;) {
		ck_assert_msg(t_seconds() < end, "%u of %u were taken", c.taken,
			      c.total);
		t_ok(vmb_progress(pair.a));
		sched_yield();
	}
	join_all(threads, count, pair.b);
	for (unsigned i = 0; i < c.total; i++)
		ck_assert_uint_eq(c.times[i], 1);
	t_pair_close(&pair);
}
END_TEST

/* ---- ping-pong of many pairs of threads over two endpoints ------------------------ */

struct player {
	struct vmb_endpoint *ep;
	struct vmb_addr to;
	uint64_t match;
	bool serves;
	unsigned rounds;
	size_t len;
};

static void *play(void *arg)
{
	struct player *p = arg;
	char out[2048], in[2048];
	struct vmb_status status;
	struct vmb_req *recv, *send;

	for (unsigned i = 0; i < p->rounds; i++) {
		recv = t_irecv(p->ep, p->match, VMB_MATCH_ALL, in, p->len);
		if (!p->serves) {
			status = t_finish(p->ep, recv);
			ck_assert_int_eq(status.code, 0);
			t_verify(in, p->len, i);
		}
		t_fill(out, p->len, i);
		send = t_isend(p->ep, p->to, p->match, out, p->len);
		ck_assert_int_eq(t_finish(p->ep, send).code, 0);
		if (p->serves) {
			t_finish(p->ep, recv);
			t_verify(in, p->len, i);
		}
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(threads_wait_for_their_own_requests)
{
	struct t_pair pair = open_in_mode(_i);
	struct player players[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	unsigned count = thread_count();

	for (unsigned i = 0; i < count; i++) {
		players[i] = (struct player){
			.ep = i % 2 ? pair.b : pair.a,
			.to = i % 2 ? pair.to_a : pair.to_b,
			.match = i / 2,
			.serves = i % 2 == 0,
			.rounds =
				modes[_i % MODES] == VMB_WAIT_SPIN ? 300 : 1500,
			.len = 8 + 400 * (i / 2),
		};
		pthread_create(&threads[i], NULL, play, &players[i]);
	}
	join_all(threads, count, NULL);
	t_pair_close(&pair);
}
END_TEST

/* Several threads send to themselves over one endpoint. */
START_TEST(threads_share_one_endpoint_with_themselves)
{
	struct vmb_endpoint *ep = t_open(NULL);
	struct player players[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	unsigned count = thread_count();
	struct vmb_addr self;

	t_ok(vmb_self(ep, &self));
	for (unsigned i = 0; i < count; i++) {
		players[i] = (struct player){.ep = ep,
					     .to = self,
					     .match = i,
					     .serves = true,
					     .rounds = 1000,
					     .len = 100};
		pthread_create(&threads[i], NULL, play, &players[i]);
	}
	join_all(threads, count, NULL);
	t_ok(vmb_close(ep));
}
END_TEST

/* ---- another thread's action ends a wait ------------------------------------------- */

struct one {
	struct vmb_endpoint *ep;
	struct vmb_req *req;
	struct vmb_status status;
};

static void *finish_one(void *arg)
{
	struct one *o = arg;

	o->status = t_finish(o->ep, o->req);
	return NULL;
}

/* The sleeper's request ends by a send to self of another thread. */
START_TEST(sleeper_is_told_what_another_thread_did)
{
	struct vmb_open_params p = params_of(_i);
	struct vmb_endpoint *ep = t_open(&p);
	struct vmb_addr self;
	pthread_t thread;

	t_ok(vmb_self(ep, &self));
	for (int i = 0; i < 50; i++) {
		struct one one = {.ep = ep,
				  .req = t_irecv(ep, 1, VMB_MATCH_ALL, NULL,
						 0)};

		pthread_create(&thread, NULL, finish_one, &one);
		usleep(1000);
		t_finish(ep, t_isend(ep, self, 1, NULL, 0));
		join_all(&thread, 1, NULL);
		ck_assert_int_eq(one.status.code, 0);
	}
	t_ok(vmb_close(ep));
}
END_TEST

static void *peek_at_one(void *arg)
{
	struct one *o = arg;

	t_ok(vmb_peek(o->ep, VMB_INFINITE, &o->req));
	return NULL;
}

/* A small send ends when it is posted: no event of the engine says so. */
START_TEST(sleeper_sees_a_send_that_ended_at_once)
{
	struct t_pair pair = open_in_mode(_i);
	struct one one = {.ep = pair.a};
	struct vmb_req *send;
	pthread_t thread;

	pthread_create(&thread, NULL, peek_at_one, &one);
	usleep(20000);
	send = t_isend(pair.a, pair.to_b, 1, NULL, 0);
	join_all(&thread, 1, NULL);
	ck_assert_ptr_eq(one.req, send);
	t_pair_close(&pair);
}
END_TEST

/* The sleeper must hear of a deadline that came after it fell asleep. */
START_TEST(sleeper_hears_of_an_earlier_deadline)
{
	struct t_pair pair = open_in_mode(_i);
	char *buf = t_pages(T_LARGE);
	struct one one = {.ep = pair.a};
	pthread_t thread;

	one.req = t_isend(pair.a, pair.to_b, 1, buf, T_LARGE);
	pthread_create(&thread, NULL, finish_one, &one);
	usleep(20000);
	t_ok(vmb_set_request_timeout(pair.a, one.req, 30));
	join_all(&thread, 1, NULL);
	ck_assert_int_eq(one.status.code, -ETIMEDOUT);
	t_pair_close(&pair);
}
END_TEST

/* ---- opening and closing beside each other -------------------------------------------- */

static void *open_and_close(void *arg)
{
	struct vmb_endpoint *ep;
	struct vmb_addr self;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		ep = t_open(NULL);
		t_ok(vmb_self(ep, &self));
		t_finish(ep, t_isend(ep, self, 1, NULL, 0));
		t_finish(ep, t_irecv(ep, 1, VMB_MATCH_ALL, NULL, 0));
		t_ok(vmb_close(ep));
	}
	return NULL;
}

START_TEST(threads_open_and_close_at_will)
{
	pthread_t threads[THREADS_MAX];
	unsigned count = thread_count();

	for (unsigned i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, open_and_close, NULL);
	join_all(threads, count, NULL);
}
END_TEST

/* One closes what others use: they are told, and nothing breaks. */
static void *use_until_closed(void *arg)
{
	struct vmb_endpoint *ep = arg;
	int done, rc = 0;

	while (!rc)
		rc = vmb_wait_any(ep, 0, 0, 1, NULL, &done);
	ck_assert(rc == -EBADF || rc == -EINVAL);
	return NULL;
}

START_TEST(close_under_use_is_clean)
{
	pthread_t threads[THREADS_MAX];
	unsigned count = thread_count();

	for (int round = 0; round < 20; round++) {
		struct vmb_endpoint *ep = t_open(NULL);

		for (unsigned i = 0; i < count; i++)
			pthread_create(&threads[i], NULL, use_until_closed, ep);
		usleep(500u * (unsigned)round);
		t_ok(vmb_close(ep));
		join_all(threads, count, NULL);
	}
}
END_TEST

Suite *t_threads_suite(void)
{
	Suite *s = suite_create("threads");
	TCase *tc = t_case(s, "sharing");

	tcase_add_loop_test(tc, crowd_takes_each_outcome_once, 0, 2 * MODES);
	tcase_add_loop_test(tc, threads_wait_for_their_own_requests, 0,
			    2 * MODES);
	tcase_add_test(tc, threads_share_one_endpoint_with_themselves);
	tc = t_case(s, "telling");
	tcase_add_loop_test(tc, sleeper_is_told_what_another_thread_did, 0,
			    2 * MODES);
	tcase_add_loop_test(tc, sleeper_sees_a_send_that_ended_at_once, 0,
			    2 * MODES);
	tcase_add_loop_test(tc, sleeper_hears_of_an_earlier_deadline, 0, 3);
	tc = t_case(s, "coming and going");
	tcase_add_test(tc, threads_open_and_close_at_will);
	tcase_add_test(tc, close_under_use_is_clean);
	return s;
}
