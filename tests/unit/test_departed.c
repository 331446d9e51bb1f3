// SPDX-License-Identifier: BSD-2-Clause
/* test_departed.c - what the daemon remembers of endpoints that have gone. */
#include <check.h>
#include <string.h>

#include "support/run.h"
#include "vmbd/departed.h"

#define MAX 3u

static struct vmbd_departed departed;

static void start(void)
{
	memset(&departed, 0, sizeof(departed));
	ck_assert_int_eq(vmbd_departed_init(&departed, MAX), 0);
}

static void stop(void)
{
	vmbd_departed_fini(&departed);
}

static void leave(uint32_t handle, uint32_t session)
{
	const struct vmbd_identity who = {.handle = handle, .session = session};

	vmbd_departed_note(&departed, &who);
}

/* 0: nobody is known. */
static uint32_t session_of(uint32_t handle)
{
	const struct vmbd_identity *who =
		vmbd_departed_by_handle(&departed, handle);

	ck_assert(!who || who->handle == handle);
	return who ? who->session : 0;
}

START_TEST(nobody_is_known_at_first)
{
	ck_assert_uint_eq(session_of(0), 0);
	leave(0x10001, 7);
	ck_assert_uint_eq(session_of(0x10001), 7);
	/* places that are empty yet are nobody's */
	ck_assert_ptr_null(vmbd_departed_by_handle(&departed, 0));
	ck_assert_uint_eq(session_of(0x20001), 0);
}
END_TEST

START_TEST(newest_take_the_place_of_the_oldest)
{
	for (uint32_t i = 1; i <= 10 * MAX; i++) {
		leave(i << 16, i);
		for (uint32_t k = 1; k <= i; k++)
			ck_assert_uint_eq(session_of(k << 16),
					  i - k < MAX ? k : 0);
	}
}
END_TEST

/* Looped: the second one stands behind the first, or before it. */
START_TEST(newest_of_a_handle_counts)
{
	for (int i = 0; i < _i; i++)
		leave(0x50001, 5);
	leave(0x10001, 1);
	leave(0x10001, 2);
	ck_assert_uint_eq(session_of(0x10001), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("departed");
	TCase *tc = tcase_create("departed");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, start, stop);
	tcase_add_test(tc, nobody_is_known_at_first);
	tcase_add_test(tc, newest_take_the_place_of_the_oldest);
	tcase_add_loop_test(tc, newest_of_a_handle_counts, 0, MAX);
	return t_run(s);
}
