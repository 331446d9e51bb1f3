// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_regcache_pins.c - addresses that one thread gives up and another is
 * given, before the kernel has reported it: with a port that pins pages, what
 * was registered before must not be handed out.
 */
#include "test_regcache.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "am/regentry.h"
#include "am/watch.h"
#include "base/barrier.h"
#include "base/util.h"
#include "support/skip.h"

#define PAGES 4u

static void *unmap(void *p)
{
	munmap(p, PAGES * T_PAGE);
	return NULL;
}

/* A thread that is inside munmap(): its pages have gone, it has not returned. */
static pthread_t unmap_beside(void *p)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, unmap, p), 0);
	while (mmap(p, PAGES * T_PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0) != p)
		ck_assert_int_eq(errno, EEXIST);
	return thread;
}

/* ---- what the kernel tells ------------------------------------------------ */

static void nobody_wakes(void *arg)
{
	(void)arg;
}

START_TEST(change_that_nobody_has_read_shows)
{
	struct vmb_watch_change change;
	struct vmb_watch *watch;
	pthread_t thread;
	char *p = t_map(PAGES);

	if (vmb_watch_open(nobody_wakes, NULL, &watch)) {
		t_skip(T_NOT_WATCHED);
		return;
	}
	ck_assert_int_eq(vmb_watch_add(watch, (uintptr_t)p,
				       (uintptr_t)p + PAGES * T_PAGE),
			 0);
	ck_assert(!vmb_watch_changing(watch));
	thread = unmap_beside(p);
	ck_assert(!vmb_watch_changed(watch)); /* nobody reads */
	ck_assert(vmb_watch_changing(watch));
	ck_assert_int_eq(vmb_watch_start(watch), 0);
	pthread_join(thread, NULL);
	ck_assert(!vmb_watch_changing(watch));
	ck_assert(vmb_watch_take(watch, &change));
	ck_assert_uint_eq(change.start, (uintptr_t)p);
	vmb_watch_close(watch);
}
END_TEST

/* ---- what the cache makes of it ---------------------------------------------- */

static sem_t stalled, go_on;
static int stall; /* the watch thread stops after its next read */

/* --wrap: between the read of one change and that of the next. */
void __real_vmb_sweeper_wake(void *cache);
void __wrap_vmb_sweeper_wake(void *cache);
void __wrap_vmb_sweeper_wake(void *cache)
{
	__real_vmb_sweeper_wake(cache);
	if (!__atomic_exchange_n(&stall, 0, __ATOMIC_SEQ_CST))
		return;
	sem_post(&stalled);
	sem_wait(&go_on);
}

static void stall_watch(struct t_cache *t)
{
	char *other = t_map(PAGES);

	t_touch(t, other, PAGES * T_PAGE);
	vmb_publish(&stall, 1);
	munmap(other, PAGES * T_PAGE);
	sem_wait(&stalled);
}

static void open_with(struct t_cache *t, bool pins)
{
	sem_init(&stalled, 0, 0);
	sem_init(&go_on, 0, 0);
	t_open(t, 8);
	t->fake.ops.pins = pins;
}

/* Of two gaps: one to keep p from becoming part of another's mapping. */
static char *map_alone(void)
{
	char *p = t_map(PAGES + 2);

	mprotect(p, T_PAGE, PROT_NONE);
	mprotect(p + (PAGES + 1) * T_PAGE, T_PAGE, PROT_NONE);
	return p + T_PAGE;
}

START_TEST(address_given_out_again_is_registered_anew)
{
	char *p = map_alone();
	struct vmb_regref ref;
	struct t_cache t;
	uint64_t old, key;
	pthread_t thread;

	open_with(&t, true);
	old = t_touch(&t, p, PAGES * T_PAGE);
	if (!t_watching(&t)) {
		t_skip(T_NOT_WATCHED);
		goto out;
	}
	ck_assert_uint_eq(t_touch(&t, p, PAGES * T_PAGE), old);
	stall_watch(&t);
	thread = unmap_beside(p);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, PAGES * T_PAGE, &ref), 0);
	ck_assert_uint_ne(ref.key, old);
	/* nor is it kept, as long as nobody knows what is old */
	key = t_touch(&t, p, PAGES * T_PAGE);
	ck_assert(key != old && key != ref.key);
	vmb_regcache_put(t.cache, &ref);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	ck_assert(fake_port_wait(&t.fake, 0));
	key = t_touch(&t, p, PAGES * T_PAGE);
	ck_assert_uint_eq(t_touch(&t, p, PAGES * T_PAGE), key);
out:
	t_close(&t);
}
END_TEST

/* What the test above would see without the care it tests. */
START_TEST(port_of_addresses_may_answer_with_the_old_key)
{
	char *p = map_alone();
	struct t_cache t;
	pthread_t thread;
	uint64_t old;

	open_with(&t, false);
	old = t_touch(&t, p, PAGES * T_PAGE);
	if (!t_watching(&t)) {
		t_skip(T_NOT_WATCHED);
		goto out;
	}
	stall_watch(&t);
	thread = unmap_beside(p);
	ck_assert_uint_eq(t_touch(&t, p, PAGES * T_PAGE), old);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	ck_assert_uint_ne(t_touch(&t, p, PAGES * T_PAGE), old);
out:
	t_close(&t);
}
END_TEST

TCase *t_pins(void)
{
	TCase *c = tcase_create("pins");

	tcase_add_test(c, change_that_nobody_has_read_shows);
	tcase_add_test(c, address_given_out_again_is_registered_anew);
	tcase_add_test(c, port_of_addresses_may_answer_with_the_old_key);
	return c;
}
