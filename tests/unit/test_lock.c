// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_lock.c - the lock of an endpoint: one thread inside at a time, whoever
 * is favoured, and nobody sleeps for ever.
 *
 * Flow:  threads -> vmb_lock_take(), _release(), _yield()
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "api/lock.h"
#include "support/run.h"
#include "support/skip.h"

#define THREADS 3
#define ROUNDS 60u
#define BURST 2000u /* in a row: enough to be favoured */

static struct vmb_lock lock;
static uint64_t count;	 /* plain: the lock protects it */
static unsigned favours; /* times that one was found inside by favour */
static unsigned inside;

static void enter(void)
{
	vmb_lock_take(&lock);
	ck_assert_uint_eq(inside, 0);
	inside = 1;
	count++;
	favours += lock.by_favour;
	inside = 0;
	vmb_lock_release(&lock);
}

static void *bursts(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = round % 2 ? BURST : (unsigned)rand_r(&seed) % 4;

		for (unsigned i = 0; i < n; i++)
			enter();
		if (round % 8 == 0)
			sched_yield();
	}
	return NULL;
}

static void setup(void)
{
	lock = (struct vmb_lock){0};
	count = favours = inside = 0;
	vmb_lock_setup();
}

START_TEST(one_thread_inside_at_a_time)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, bursts, (void *)i);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_ge(count, THREADS * (ROUNDS / 2) * BURST);
	ck_assert_uint_eq(lock.word + lock.inside + lock.sleepers + lock.wanted,
			  0);
}
END_TEST

START_TEST(thread_alone_is_favoured)
{
	for (unsigned i = 0; i < 1000; i++)
		enter();
	/* nobody is where the kernel has no membarrier */
	ck_assert_uint_ge(favours, vmb_lock_fences ? 0 : 900);
	ck_assert_uint_eq(lock.word, 0);
}
END_TEST

static void *once(void *arg)
{
	(void)arg;
	enter();
	return NULL;
}

/* Who holds it by favour and sees that it is wanted lets the other in. */
START_TEST(favoured_holder_yields)
{
	pthread_t thread;

	for (unsigned i = 0; i < 1000; i++)
		enter();
	vmb_lock_take(&lock);
	pthread_create(&thread, NULL, once, NULL);
	while (count == 1000) {
		if (vmb_lock_wanted(&lock))
			vmb_lock_yield(&lock);
	}
	vmb_lock_release(&lock);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(count, 1001);
	ck_assert_ptr_eq(lock.favoured, NULL);
}
END_TEST

static uint32_t words[2]; /* the first as if shared by processes */

static void *wake_later(void *word)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	__atomic_store_n((uint32_t *)word, 1, __ATOMIC_SEQ_CST);
	if (word == &words[0])
		vmb_futex_wake_shared(word);
	else
		vmb_futex_wake(word, 1);
	return NULL;
}

/* Each of two words ends a sleep, also one that changed before; so does time. */
START_TEST(either_word_ends_a_sleep)
{
	const struct vmb_futex_watched first = {&words[0], 0};
	const struct vmb_futex_watched second = {&words[1], 0};
	uint64_t end;
	pthread_t thread;

	if (!vmb_futex_has_either()) {
		t_skip("no futex_waitv() here");
		return;
	}
	end = vmb_now_ns() + 30000000;
	do
		vmb_futex_wait_either(&first, &second, end);
	while (vmb_now_ns() < end - 1000000);
	ck_assert_uint_lt(vmb_now_ns() - end, UINT64_MAX / 2);
	for (int i = 0; i < 2; i++) {
		pthread_create(&thread, NULL, wake_later, &words[i]);
		while (!vmb_observe(&words[i]))
			vmb_futex_wait_either(&first, &second, UINT64_MAX);
		pthread_join(thread, NULL);
		/* and not once more */
		vmb_futex_wait_either(&first, &second, UINT64_MAX);
		words[i] = 0;
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lock");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, one_thread_inside_at_a_time);
	tcase_add_test(t, thread_alone_is_favoured);
	tcase_add_test(t, favoured_holder_yields);
	tcase_add_test(t, either_word_ends_a_sleep);
	suite_add_tcase(s, t);
	return t_run(s);
}
