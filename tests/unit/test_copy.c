// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_copy.c - copies past the caches: the same bytes, wherever they begin
 * and end; and the choice between the two ways.
 *
 * Flow:  costs that the test makes up -> struct vmb_copier
 * Owns:  a source, and a buffer with guards.
 * Trust: none is needed.
 */
#include <check.h>
#include <stdlib.h>

#include "base/copy.h"
#include "support/run.h"

#define GUARD 0xa5
#define ROOM 2048u

static uint8_t from[ROOM + VMB_LINE];
static uint8_t to[ROOM + 2 * VMB_LINE], expected[sizeof(to)];

/* `len` bytes from one place in a line to another; nothing beside them. */
static void copy_one(size_t src, size_t dst, size_t len)
{
	memset(to, GUARD, sizeof(to));
	memset(expected, GUARD, sizeof(expected));
	memcpy(expected + dst, from + src, len);
	vmb_copy_past(to + dst, from + src, len);
	vmb_copy_past_end();
	ck_assert_int_eq(memcmp(to, expected, sizeof(to)), 0);
}

START_TEST(copies_the_same_bytes_from_and_to_any_place)
{
	unsigned seed = 1;

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)rand_r(&seed);
	for (size_t dst = 0; dst < VMB_LINE; dst++)
		for (size_t len = 0; len <= 3 * VMB_LINE; len++)
			copy_one((dst + len) % VMB_LINE, dst, len);
	for (int i = 0; i < 2000; i++)
		copy_one((unsigned)rand_r(&seed) % VMB_LINE,
			 (unsigned)rand_r(&seed) % VMB_LINE,
			 (unsigned)rand_r(&seed) % ROOM);
}
END_TEST

/* ---- the choice ------------------------------------------------------------- */

struct costs {
	uint64_t ordinary, past; /* ns for 16 KiB */
};

static const struct costs near = {840, 1050}, far = {3700, 620};

/* Copies of 16 KiB at these costs. Returns how many went past the caches. */
static unsigned copy_some(struct vmb_copier *c, unsigned count,
			  struct costs costs)
{
	unsigned past = 0;

	while (count--) {
		bool way = vmb_copier_begin(c, 16384);

		past += way;
		if (c->from)
			vmb_copier_took(c, 16384,
					way ? costs.past : costs.ordinary);
		ck_assert_uint_eq(c->from, 0);
	}
	return past;
}

START_TEST(short_ones_are_neither_tried_nor_counted)
{
	struct vmb_copier c;

	vmb_copier_init(&c);
	copy_some(&c, 2 * VMB_COPIER_ROUND, far);
	for (unsigned i = 0; i < 2 * VMB_COPIER_ROUND; i++) {
		ck_assert(!vmb_copier_begin(&c, VMB_COPIER_MIN - 1));
		ck_assert_uint_eq(c.from, 0);
	}
	ck_assert_uint_eq(copy_some(&c, 100, far), 100);
}
END_TEST

START_TEST(memory_is_used_once_before_the_first_trial)
{
	struct vmb_copier c;

	vmb_copier_init(&c);
	for (unsigned i = 0; i < VMB_COPIER_FIRST; i++) {
		ck_assert(!vmb_copier_begin(&c, 16384));
		ck_assert_uint_eq(c.from, 0);
	}
	vmb_copier_begin(&c, 16384);
	ck_assert_uint_ne(c.from, 0);
}
END_TEST

START_TEST(far_ones_go_past_the_caches_and_near_ones_do_not)
{
	const unsigned rest = VMB_COPIER_ROUND - VMB_COPIER_TRIALS;
	const unsigned half = VMB_COPIER_TRIALS / 2; /* tried the other way */
	struct vmb_copier c;

	vmb_copier_init(&c);
	copy_some(&c, VMB_COPIER_FIRST, far);
	ck_assert_uint_eq(copy_some(&c, VMB_COPIER_ROUND, far), rest + half);
	ck_assert_uint_eq(copy_some(&c, VMB_COPIER_ROUND, near), half);
	ck_assert_uint_eq(copy_some(&c, VMB_COPIER_ROUND, far), rest + half);
	ck_assert_uint_eq(copy_some(&c, VMB_COPIER_ROUND, near), half);
}
END_TEST

/* One of four is enough, whichever way the others were held up. */
START_TEST(interrupted_trials_do_not_count)
{
	const struct costs held_up[] = {{900000, 1050}, {3700, 900000}};
	const struct costs quiet[] = {near, far};
	struct vmb_copier c;

	vmb_copier_init(&c);
	copy_some(&c, VMB_COPIER_FIRST, near);
	copy_some(&c, VMB_COPIER_TRIALS - 2, held_up[_i]);
	copy_some(&c, 2, quiet[_i]);
	ck_assert_uint_eq(copy_some(&c, 100, quiet[_i]), _i ? 100 : 0);
}
END_TEST

START_TEST(costs_are_those_of_a_byte)
{
	struct vmb_copier c;

	vmb_copier_init(&c);
	copy_some(&c, VMB_COPIER_FIRST, near);
	/* ordinary stores of 32 KiB, others of 1 KiB, in the same time */
	for (unsigned i = 0; i < VMB_COPIER_TRIALS; i++) {
		size_t len = i % 2 ? 1024 : 32768;

		ck_assert_int_eq(vmb_copier_begin(&c, len), i % 2);
		vmb_copier_took(&c, len, 1000);
	}
	ck_assert_uint_eq(copy_some(&c, 100, near), 0);
}
END_TEST

static Suite *copy_suite(void)
{
	Suite *s = suite_create("copy");
	TCase *tc = tcase_create("bytes");

	tcase_add_test(tc, copies_the_same_bytes_from_and_to_any_place);
	suite_add_tcase(s, tc);
	tc = tcase_create("choice");
	tcase_add_test(tc, short_ones_are_neither_tried_nor_counted);
	tcase_add_test(tc, memory_is_used_once_before_the_first_trial);
	tcase_add_test(tc, far_ones_go_past_the_caches_and_near_ones_do_not);
	tcase_add_loop_test(tc, interrupted_trials_do_not_count, 0, 2);
	tcase_add_test(tc, costs_are_those_of_a_byte);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return t_run(copy_suite());
}
