// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_regcache.c - what the registration cache keeps, for how long, and what
 * it does when it may keep nothing.
 */
#include "support/run.h"
#include "test_regcache.h"
#include "support/skip.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

void t_open(struct t_cache *t, unsigned entries)
{
	fake_port_init(&t->fake);
	ck_assert_int_eq(vmb_regcache_open(&t->fake.port, entries, &t->cache),
			 0);
}

void t_close(struct t_cache *t)
{
	vmb_regcache_close(t->cache);
	ck_assert_uint_eq(fake_port_live(&t->fake), 0);
	ck_assert_uint_eq(t->fake.wrong, 0);
	fake_port_fini(&t->fake);
}

void *t_map(size_t pages)
{
	void *p = mmap(NULL, pages * T_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

uint64_t t_touch(struct t_cache *t, const void *addr, size_t len)
{
	struct vmb_regref ref;

	ck_assert_int_eq(vmb_regcache_get(t->cache, addr, len, &ref), 0);
	vmb_regcache_put(t->cache, &ref);
	return ref.key;
}

struct vmb_regcache_counters t_counters(struct t_cache *t)
{
	struct vmb_regcache_counters counters;

	vmb_regcache_query(t->cache, &counters);
	return counters;
}

bool t_watching(struct t_cache *t)
{
	return t_counters(t).watching;
}

/* ---- what is kept ------------------------------------------------------ */

START_TEST(get_registers_the_whole_pages)
{
	struct vmb_regref ref;
	struct fake_record r;
	struct t_cache t;
	char *p = t_map(4);

	t_open(&t, 8);
	ck_assert_int_eq(
		vmb_regcache_get(t.cache, p + T_PAGE + 100, T_PAGE, &ref), 0);
	r = fake_port_record(&t.fake, ref.key);
	ck_assert_uint_eq(r.start, (uintptr_t)p + T_PAGE);
	ck_assert_uint_eq(r.end, (uintptr_t)p + 3 * T_PAGE);
	ck_assert_uint_eq(ref.offset, 100);
	vmb_regcache_put(t.cache, &ref);
	vmb_regcache_put(t.cache, &ref); /* a second put does nothing */
	t_close(&t);
}
END_TEST

START_TEST(get_within_a_kept_range_hits)
{
	struct vmb_regref ref;
	struct t_cache t;
	char *p = t_map(4);
	uint64_t key;

	t_open(&t, 8);
	key = t_touch(&t, p, 4 * T_PAGE);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p + 5000, 10, &ref), 0);
	ck_assert_uint_eq(ref.key, key);
	ck_assert_uint_eq(ref.offset, 5000);
	vmb_regcache_put(t.cache, &ref);
	ck_assert_uint_eq(t_counters(&t).hits, 1);
	ck_assert_uint_eq(t_counters(&t).misses, 1);
	t_close(&t);
}
END_TEST

START_TEST(larger_get_replaces_what_it_holds)
{
	struct vmb_regref inner;
	struct t_cache t;
	char *p = t_map(8);
	uint64_t key;

	t_open(&t, 8);
	t_touch(&t, p, T_PAGE);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p + T_PAGE, 1, &inner), 0);
	key = t_touch(&t, p, 8 * T_PAGE);
	ck_assert_uint_eq(fake_port_live(&t.fake), 2); /* inner is in use */
	ck_assert(fake_port_record(&t.fake, inner.key).live);
	vmb_regcache_put(t.cache, &inner);
	ck_assert_uint_eq(fake_port_live(&t.fake), 1);
	ck_assert_uint_eq(t_touch(&t, p + T_PAGE, 1), key);
	t_close(&t);
}
END_TEST

START_TEST(overlapping_gets_are_kept_side_by_side)
{
	struct t_cache t;
	char *p = t_map(6);
	uint64_t low, high;

	t_open(&t, 8);
	low = t_touch(&t, p, 4 * T_PAGE);
	high = t_touch(&t, p + 2 * T_PAGE, 4 * T_PAGE);
	ck_assert_uint_ne(low, high);
	ck_assert_uint_eq(t_touch(&t, p, T_PAGE), low);
	ck_assert_uint_eq(t_touch(&t, p + 5 * T_PAGE, T_PAGE), high);
	/* and each dies with its own part alone */
	munmap(p, T_PAGE);
	ck_assert(fake_port_wait(&t.fake, 1));
	ck_assert_uint_eq(t_touch(&t, p + 2 * T_PAGE, 4 * T_PAGE), high);
	munmap(p + 3 * T_PAGE, T_PAGE);
	ck_assert(fake_port_wait(&t.fake, 0));
	t_close(&t);
}
END_TEST

START_TEST(oldest_idle_goes_when_full)
{
	struct vmb_regref busy;
	char *p = t_map(64);
	struct t_cache t;
	uint64_t key[4];

	t_open(&t, 4);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 1, &busy), 0);
	for (unsigned i = 1; i < 4; i++)
		key[i] = t_touch(&t, p + 2 * i * T_PAGE, 1);
	t_touch(&t, p + 2 * T_PAGE, 1); /* 2 is the oldest now */
	t_touch(&t, p + 20 * T_PAGE, 1);
	ck_assert_uint_eq(fake_port_live(&t.fake), 4);
	ck_assert(fake_port_record(&t.fake, busy.key).live);
	ck_assert(fake_port_record(&t.fake, key[1]).live);
	ck_assert(!fake_port_record(&t.fake, key[2]).live);
	ck_assert(fake_port_record(&t.fake, key[3]).live);
	vmb_regcache_put(t.cache, &busy);
	t_close(&t);
}
END_TEST

START_TEST(full_of_busy_ones_keeps_no_more)
{
	struct vmb_regref busy[4];
	char *p = t_map(64);
	struct t_cache t;

	t_open(&t, 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(vmb_regcache_get(t.cache, p + 2 * i * T_PAGE,
						  1, &busy[i]),
				 0);
	t_touch(&t, p + 20 * T_PAGE, 1);
	ck_assert_uint_eq(fake_port_live(&t.fake), 4);
	for (unsigned i = 0; i < 4; i++)
		vmb_regcache_put(t.cache, &busy[i]);
	ck_assert_uint_eq(fake_port_live(&t.fake), 4);
	t_close(&t);
}
END_TEST

START_TEST(close_ends_what_is_in_use)
{
	struct vmb_regref ref, loose;
	char *p = t_map(4);
	struct t_cache t;

	t_open(&t, 1);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 1, &ref), 0);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p + T_PAGE, 1, &loose), 0);
	t_close(&t);
}
END_TEST

START_TEST(invalidate_forgets_the_range_alone)
{
	struct vmb_regref busy;
	char *p = t_map(64);
	struct t_cache t;
	uint64_t kept;

	t_open(&t, 8);
	t_touch(&t, p, 4 * T_PAGE);
	kept = t_touch(&t, p + 8 * T_PAGE, 4 * T_PAGE);
	vmb_regcache_invalidate(t.cache, p + T_PAGE, 1);
	ck_assert_uint_eq(fake_port_live(&t.fake), 1);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p + 8 * T_PAGE, 1, &busy),
			 0);
	ck_assert_uint_eq(busy.key, kept);
	vmb_regcache_invalidate(t.cache, NULL, SIZE_MAX);
	ck_assert(fake_port_record(&t.fake, kept).live);
	vmb_regcache_put(t.cache, &busy);
	ck_assert_uint_eq(fake_port_live(&t.fake), 0);
	ck_assert_uint_eq(t_counters(&t).invalidated, 2);
	t_close(&t);
}
END_TEST

static void *touch_again(void *arg)
{
	struct t_cache *t = arg;

	for (int i = 0; i < 500; i++) {
		char *p = t_map(2);

		t_touch(t, p, 1);
		munmap(p, 2 * T_PAGE);
	}
	return NULL;
}

struct t_race {
	struct t_cache t;
	pthread_barrier_t start;
	char *memory;
};

static void *miss_together(void *arg)
{
	struct t_race *race = arg;

	for (int i = 0; i < 200; i++) {
		pthread_barrier_wait(&race->start);
		t_touch(&race->t, race->memory + i * T_PAGE, T_PAGE);
	}
	return NULL;
}

START_TEST(misses_at_once_leave_one_registration)
{
	struct t_race race = {.memory = t_map(200)};
	pthread_t other;

	t_open(&race.t, 1000);
	pthread_barrier_init(&race.start, NULL, 2);
	pthread_create(&other, NULL, miss_together, &race);
	miss_together(&race);
	pthread_join(other, NULL);
	ck_assert_uint_eq(fake_port_live(&race.t.fake), 200);
	pthread_barrier_destroy(&race.start);
	t_close(&race.t);
}
END_TEST

START_TEST(threads_that_map_and_unmap_leave_nothing)
{
	pthread_t other[2];
	struct t_cache t;

	t_open(&t, 8);
	for (int i = 0; i < 2; i++)
		pthread_create(&other[i], NULL, touch_again, &t);
	for (int i = 0; i < 2; i++)
		pthread_join(other[i], NULL);
	ck_assert(fake_port_wait(&t.fake, 0));
	t_close(&t);
}
END_TEST

/* ---- errors ------------------------------------------------------------ */

START_TEST(no_room_evicts_the_idle_and_tries_once_more)
{
	struct vmb_regref busy, ref;
	char *p = t_map(64);
	struct t_cache t;
	void *own;

	t_open(&t, 16);
	t.fake.live_max = 4;
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 1, &busy), 0);
	for (unsigned i = 1; i < 4; i++)
		t_touch(&t, p + i * 2 * T_PAGE, 1);
	t_touch(&t, p + 20 * T_PAGE, 1);
	ck_assert_uint_eq(fake_port_live(&t.fake), 2);
	ck_assert(fake_port_record(&t.fake, busy.key).live);

	t.fake.live_max = 2; /* the idle one makes room for memory too */
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, 1, &own), 0);
	t.fake.calls = 0;
	ck_assert_int_eq(vmb_regcache_get(t.cache, p + 2 * T_PAGE, 1, &ref),
			 -EDQUOT);
	ck_assert_uint_eq(t.fake.calls, 2);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, 1, &own), -EDQUOT);
	vmb_regcache_put(t.cache, &busy);
	t_close(&t);
}
END_TEST

START_TEST(error_of_the_port_is_reported_and_forgotten)
{
	struct vmb_regref ref;
	char *p = t_map(4);
	struct t_cache t;

	t_open(&t, 8);
	t.fake.error = -EOPNOTSUPP;
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 1, &ref), -EOPNOTSUPP);
	ck_assert_uint_eq(t.fake.calls, 1);
	t.fake.error = -EPIPE;
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 1, &ref), -EPIPE);
	munmap(p, 4 * T_PAGE); /* nobody watches it: must not matter */
	t.fake.error = 0;
	p = t_map(4);
	t_touch(&t, p, 1);
	t_close(&t);
}
END_TEST

START_TEST(senseless_ranges_are_refused)
{
	struct vmb_regref ref;
	struct t_cache t;
	char *p = t_map(1);
	void *own;

	t_open(&t, 8);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 0, &ref), -EINVAL);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, SIZE_MAX, &ref), -EFAULT);
	ck_assert_int_eq(vmb_regcache_get(t.cache, (void *)(UINTPTR_MAX - 10),
					  1, &ref),
			 -EFAULT);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, 0, &own), -EINVAL);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, SIZE_MAX, &own), -ENOMEM);
	ck_assert_uint_eq(t.fake.calls, 0);
	/* ranges that the kernel does not know are the port's to judge */
	t_touch(&t, (void *)(uintptr_t)T_PAGE, 1);
	ck_assert_uint_eq(fake_port_live(&t.fake), 0);
	t_close(&t);
}
END_TEST

/* ---- memory of the engine's kind --------------------------------------- */

START_TEST(own_memory_costs_a_look_up)
{
	struct vmb_regref ref;
	struct t_cache t;
	char *p, *q;

	t_open(&t, 8);
	ck_assert_int_eq(
		vmb_regcache_alloc(t.cache, 3 * T_PAGE - 5, (void **)&p), 0);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, T_PAGE, (void **)&q), 0);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p + 9000, 3000, &ref), 0);
	ck_assert_uint_eq(ref.offset, 9000);
	ck_assert_uint_eq(fake_port_record(&t.fake, ref.key).start,
			  (uintptr_t)p);
	ck_assert_uint_eq(t.fake.calls, 2);
	ck_assert_uint_eq(t_counters(&t).misses, 0);
	/* freed under a reference: gone for everybody else */
	ck_assert_int_eq(vmb_regcache_free(t.cache, p), 0);
	ck_assert_int_eq(vmb_regcache_free(t.cache, p), -EINVAL);
	vmb_regcache_put(t.cache, &ref);
	ck_assert_int_eq(vmb_regcache_free(t.cache, q + 1), -EINVAL);
	ck_assert_int_eq(vmb_regcache_free(t.cache, q), 0);
	ck_assert_int_eq(vmb_regcache_free(t.cache, NULL), -EINVAL);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, T_PAGE, (void **)&q), 0);
	t_close(&t); /* frees what was forgotten */
}
END_TEST

START_TEST(own_memory_that_was_unmapped_is_tolerated)
{
	struct vmb_regref ref;
	struct t_cache t;
	char *p, *q;

	t_open(&t, 8);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, 8 * T_PAGE, (void **)&p),
			 0);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 1, &ref), 0);
	munmap(p, 8 * T_PAGE);
	t.fake.place = p + 2 * T_PAGE; /* its place is given out again */
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, T_PAGE, (void **)&q), 0);
	ck_assert_ptr_eq(q, p + 2 * T_PAGE);
	ck_assert_uint_ne(t_touch(&t, q, 1), ref.key);
	ck_assert_int_eq(vmb_regcache_free(t.cache, p), -EINVAL);
	vmb_regcache_put(t.cache, &ref);
	ck_assert(!fake_port_record(&t.fake, ref.key).live);

	t.fake.place = NULL;
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, T_PAGE, (void **)&p), 0);
	munmap(p, T_PAGE);
	ck_assert_int_eq(vmb_regcache_free(t.cache, p), 0);
	t_close(&t);
}
END_TEST

/* ---- nothing may be kept ----------------------------------------------- */

static void check_nothing_is_kept(void)
{
	struct vmb_regref ref, same;
	char *p = t_map(8);
	struct t_cache t;
	void *own;

	t_open(&t, 8);
	ck_assert(!t_watching(&t));
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 9, &ref), 0);
	ck_assert_int_eq(vmb_regcache_get(t.cache, p, 9, &same), 0);
	ck_assert_uint_ne(ref.key, same.key);
	vmb_regcache_put(t.cache, &ref);
	vmb_regcache_put(t.cache, &same);
	ck_assert_uint_eq(fake_port_live(&t.fake), 0);
	ck_assert_int_eq(vmb_regcache_alloc(t.cache, 1, &own), 0);
	t_touch(&t, own, 1);
	ck_assert_uint_eq(t_counters(&t).hits, 1);
	ck_assert_int_eq(vmb_regcache_free(t.cache, own), 0);
	munmap(p, 8 * T_PAGE);
	t_close(&t);
}

START_TEST(environment_switches_it_off)
{
	setenv("VMB_REGCACHE", "0", 1);
	check_nothing_is_kept();
	unsetenv("VMB_REGCACHE");
}
END_TEST

START_TEST(sandbox_without_userfaultfd_registers_each_time)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program),
			 0);
	check_nothing_is_kept();
}
END_TEST

START_TEST(no_entries_means_nothing_is_kept)
{
	char *p = t_map(1);
	struct t_cache t;

	t_open(&t, 0);
	t_touch(&t, p, 1);
	ck_assert_uint_eq(fake_port_live(&t.fake), 0);
	t_close(&t);
}
END_TEST

static void add_kept(Suite *s)
{
	TCase *kept = tcase_create("kept");

	tcase_add_test(kept, get_within_a_kept_range_hits);
	tcase_add_test(kept, larger_get_replaces_what_it_holds);
	tcase_add_test(kept, overlapping_gets_are_kept_side_by_side);
	tcase_add_test(kept, oldest_idle_goes_when_full);
	tcase_add_test(kept, full_of_busy_ones_keeps_no_more);
	tcase_add_test(kept, invalidate_forgets_the_range_alone);
	tcase_add_test(kept, misses_at_once_leave_one_registration);
	tcase_add_test(kept, no_room_evicts_the_idle_and_tries_once_more);
	suite_add_tcase(s, kept);
	suite_add_tcase(s, t_changes());
	suite_add_tcase(s, t_sequence());
	suite_add_tcase(s, t_pins());
}

static Suite *regcache_suite(bool watching)
{
	Suite *s = suite_create("regcache");
	TCase *any = tcase_create("any");

	tcase_add_test(any, get_registers_the_whole_pages);
	tcase_add_test(any, close_ends_what_is_in_use);
	tcase_add_test(any, threads_that_map_and_unmap_leave_nothing);
	tcase_add_test(any, error_of_the_port_is_reported_and_forgotten);
	tcase_add_test(any, senseless_ranges_are_refused);
	tcase_add_test(any, own_memory_costs_a_look_up);
	tcase_add_test(any, own_memory_that_was_unmapped_is_tolerated);
	tcase_add_test(any, environment_switches_it_off);
	tcase_add_test(any, sandbox_without_userfaultfd_registers_each_time);
	tcase_add_test(any, no_entries_means_nothing_is_kept);
	suite_add_tcase(s, any);
	if (watching)
		add_kept(s);
	return s;
}

/* Outside of a test nothing may be asserted. */
static bool system_lets_us_watch(void)
{
	struct t_cache t;
	bool watching = false;

	fake_port_init(&t.fake);
	if (!vmb_regcache_open(&t.fake.port, 1, &t.cache)) {
		watching = t_watching(&t);
		vmb_regcache_close(t.cache);
	}
	fake_port_fini(&t.fake);
	return watching;
}

int main(void)
{
	bool watching = system_lets_us_watch();

	if (!watching)
		t_skip(T_NOT_WATCHED);
	return t_run(regcache_suite(watching));
}
