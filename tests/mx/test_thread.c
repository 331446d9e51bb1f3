// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_thread.c - many threads in one endpoint, and many endpoints.
 *
 * Flow:  near halves are libcheck tests; far halves have the same name
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mxtest.h"

#define THREADS 12
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)

static void join_all(pthread_t *threads, int count)
{
	for (int i = 0; i < count; i++)
		T_EQ(pthread_join(threads[i], NULL), 0);
}

/* ---- each completion once ------------------------------------------------------------- */

#define TOTAL 3000u

struct crowd {
	struct peer *p;
	unsigned taken;
	unsigned char times[TOTAL];
};

static void *take_any(void *arg)
{
	struct crowd *c = arg;
	mx_status_t status;
	uint32_t result;

	while (LOAD(c->taken) < TOTAL) {
		T_OK(mx_wait_any(c->p->ep, MX_INFINITE, 0, 0, &status,
				 &result));
		if (!result)
			continue; /* woken up: it is over */
		T_EQ(status.code, MX_STATUS_SUCCESS);
		__atomic_add_fetch(&c->times[(uintptr_t)status.context], 1,
				   __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&c->taken, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

START_TEST(crowd_takes_each_completion_once)
{
	struct peer p = t_begin("crowd");
	static struct crowd c;
	pthread_t threads[THREADS];
	double end;

	c.p = &p;
	for (uintptr_t i = 0; i < TOTAL; i++)
		T_OK(mx_irecv(p.ep, NULL, 0, 1, MX_MATCH_MASK_NONE, (void *)i,
			      &(mx_request_t){NULL}));
	t_sync(&p);
	for (int i = 0; i < THREADS; i++)
		T_EQ(pthread_create(&threads[i], NULL, take_any, &c), 0);
	end = t_seconds() + T_MS / 1000;
	while (LOAD(c.taken) < TOTAL) {
		T_CHECK(t_seconds() < end);
		usleep(1000);
	}
	for (int i = 0; i < THREADS; i++) {
		/* who goes to sleep just now is woken by the next one */
		while (pthread_tryjoin_np(threads[i], NULL))
			T_OK(mx_wakeup(p.ep));
	}
	for (unsigned i = 0; i < TOTAL; i++)
		T_EQ(c.times[i], 1);
	t_end(&p);
}
END_TEST

static void far_crowd(struct peer *p)
{
	t_sync(p);
	for (unsigned i = 0; i < TOTAL; i++) {
		T_OK(mx_isend(p->ep, NULL, 0, p->to, 1, NULL, NULL));
		if (i % 50 == 0) /* let them fall asleep now and then */
			usleep(1000);
	}
}

/* ---- wake up -------------------------------------------------------------------------------- */

struct waiter {
	mx_endpoint_t ep;
	int kind;
	unsigned *there;
};

static void *wait_somehow(void *arg)
{
	struct waiter *w = arg;
	mx_request_t request, seen;
	mx_status_t status;
	uint32_t result = 7;

	T_OK(mx_irecv(w->ep, NULL, 0, 1, MX_MATCH_MASK_NONE, NULL, &request));
	__atomic_add_fetch(w->there, 1, __ATOMIC_SEQ_CST);
	switch (w->kind) {
	case 0:
		T_OK(mx_wait(w->ep, &request, 0, &status, &result));
		break;
	case 1:
		T_OK(mx_wait_any(w->ep, 0, 0, 0, &status, &result));
		break;
	case 2:
		T_OK(mx_peek(w->ep, 0, &seen, &result));
		break;
	default:
		T_OK(mx_probe(w->ep, 0, 0, 0, &status, &result));
		break;
	}
	T_EQ(result, 0);
	return NULL;
}

START_TEST(one_wakeup_wakes_all)
{
	pthread_t threads[THREADS];
	struct waiter w[THREADS];
	mx_endpoint_t ep;
	unsigned there = 0;

	t_attach();
	ep = t_open();
	T_OK(mx_wakeup(ep)); /* nobody waits: not remembered */
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct waiter){ep, i % 4, &there};
		T_EQ(pthread_create(&threads[i], NULL, wait_somehow, &w[i]), 0);
	}
	while (LOAD(there) < THREADS)
		sched_yield();
	/* from there to the sleep are a few instructions, on a busy machine
	 * some milliseconds */
	usleep(500000);
	T_OK(mx_wakeup(ep));
	join_all(threads, THREADS); /* a sleeper is ended by the test's limit */
	t_detach();
}
END_TEST

/* ---- each for himself -------------------------------------------------------------------------- */

#define ROUNDS 100

struct talker {
	struct peer p;
	uint64_t number;
};

static size_t talk_len(unsigned i)
{
	return i % 10 ? i * 7 : 50000;
}

static void *talk(void *arg)
{
	struct talker *t = arg;
	mx_status_t status;
	uint32_t result;

	for (unsigned i = 0; i < ROUNDS; i++) {
		t_put(&t->p, t->number << 20 | i, talk_len(i));
		T_OK(mx_iprobe(t->p.ep, t->number << 20, ~UINT64_C(0xfffff),
			       &status, &result));
		t_take(&t->p, t->number << 20 | i, talk_len(i));
	}
	return NULL;
}

/* Threads that send, receive and probe; one that connects all the time. */
START_TEST(threads_talk_through_one_endpoint)
{
	struct peer p = t_begin("talk");
	struct talker talkers[4];
	pthread_t threads[4];
	mx_endpoint_addr_t again;

	for (int i = 0; i < 4; i++) {
		talkers[i] = (struct talker){p, (uint64_t)i + 1};
		T_EQ(pthread_create(&threads[i], NULL, talk, &talkers[i]), 0);
	}
	for (int i = 0; i < 50; i++) {
		T_OK(mx_connect(p.ep, t_far_nic(), t_far_id, 0, T_MS, &again));
		ck_assert_mem_eq(&again, &p.to, sizeof(again));
	}
	join_all(threads, 4);
	t_end(&p);
}
END_TEST

static void *answer(void *arg)
{
	struct talker *t = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		t_take(&t->p, t->number << 20 | i, talk_len(i));
		t_put(&t->p, t->number << 20 | i, talk_len(i));
	}
	return NULL;
}

static void far_talk(struct peer *p)
{
	struct talker talkers[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		talkers[i] = (struct talker){*p, (uint64_t)i + 1};
		T_EQ(pthread_create(&threads[i], NULL, answer, &talkers[i]), 0);
	}
	join_all(threads, 4);
}

/* ---- endpoints ------------------------------------------------------------------------------------ */

static void *open_and_close(void *arg)
{
	(void)arg;
	for (int i = 0; i < 16; i++) {
		struct peer p = {.ep = t_open()};

		T_OK(mx_get_endpoint_addr(p.ep, &p.to));
		t_put(&p, 1, 1000);
		t_take(&p, 1, 1000);
		T_OK(mx_close_endpoint(p.ep));
	}
	return NULL;
}

START_TEST(threads_open_and_close_endpoints)
{
	pthread_t threads[4];
	mx_endpoint_t ep;

	t_attach();
	for (int i = 0; i < 4; i++)
		T_EQ(pthread_create(&threads[i], NULL, open_and_close, NULL),
		     0);
	join_all(threads, 4);
	ep = t_open();
	T_EQ(t_id(ep), 0); /* all ids are free again */
	t_detach();
}
END_TEST

/* A process may have what MX offered: 32, and they reach each other. */
START_TEST(many_endpoints_reach_each_other)
{
	mx_endpoint_t eps[32];

	t_attach();
	for (int i = 0; i < 32; i++)
		eps[i] = t_open();
	for (int i = 0; i < 32; i++) {
		struct peer a = {.ep = eps[i]}, b = {.ep = eps[(i + 1) % 32]};
		mx_request_t request;

		a.to = t_connect(a.ep, b.ep);
		request = t_isend(&a, 1, NULL, 0);
		t_take(&b, 1, 0);
		t_finish_well(&a, request);
	}
	t_detach(); /* closes them all */
}
END_TEST

START_TEST(init_finalize_init)
{
	for (int i = 0; i < 5; i++) {
		mx_endpoint_t old;

		t_attach();
		old = t_open();
		t_detach();
		T_FAILS(mx_progress(old), MX_NOT_INITIALIZED);
		t_attach();
		T_FAILS(mx_progress(old), MX_BAD_ENDPOINT);
		t_detach();
	}
}
END_TEST

/* ---- tables ------------------------------------------------------------------------------ */

const struct far_half t_thread_far[] = {
	{"crowd", far_crowd},
	{"talk", far_talk},
	{NULL, NULL},
};

Suite *t_thread_suite(void)
{
	Suite *s = suite_create("thread");
	TCase *tc = t_case(s, "one endpoint");

	tcase_add_test(tc, crowd_takes_each_completion_once);
	tcase_add_test(tc, one_wakeup_wakes_all);
	tcase_add_test(tc, threads_talk_through_one_endpoint);
	tc = t_case(s, "endpoints");
	tcase_add_test(tc, threads_open_and_close_endpoints);
	tcase_add_test(tc, many_endpoints_reach_each_other);
	tcase_add_test(tc, init_finalize_init);
	return s;
}
