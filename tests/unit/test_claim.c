// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_claim.c - which way to take lines back is chosen, and when it is asked
 * again.
 *
 * Flow:  times that the test makes up -> struct vmb_claimer
 * Owns:  nothing.
 */
#include <check.h>
#include <stdlib.h>

#include "am/claim.h"

#define TRIALS_END (VMB_CLAIMER_TRIALS * VMB_CLAIMER_SLICE)

static struct vmb_claimer claimer;
static uint64_t now_ns = 1000000;

/* A round's trials, so long by the way to claim; one takes `late` longer. */
static void try_all(const uint64_t ns[VMB_CLAIMS], uint32_t slow, uint64_t late)
{
	for (uint32_t trial = 0; trial <= VMB_CLAIMER_TRIALS; trial++) {
		vmb_claimer_tried(&claimer, trial * VMB_CLAIMER_SLICE, now_ns);
		now_ns += ns[trial % VMB_CLAIMS] + (trial == slow ? late : 0);
	}
	now_ns += 123456789; /* the rest of the round */
}

START_TEST(nothing_is_claimed_before_it_was_tried)
{
	vmb_claimer_init(&claimer);
	for (uint32_t i = 0; i < VMB_CLAIMER_FIRST + VMB_CLAIMER_SLICE; i++)
		ck_assert_int_eq(vmb_claimer_turn(&claimer), VMB_CLAIM_NOT);
	ck_assert_int_eq(vmb_claimer_turn(&claimer), VMB_CLAIM_EARLY);
}
END_TEST

/* The same number of answers each way, in turn; then as it was found. */
START_TEST(trials_take_turns)
{
	vmb_claimer_init(&claimer);
	claimer.answers = 0;
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < TRIALS_END; i++)
			ck_assert_int_eq(
				vmb_claimer_turn(&claimer),
				(int)(i / VMB_CLAIMER_SLICE % VMB_CLAIMS));
		vmb_claimer_turn(&claimer); /* by the clock of this machine */
		ck_assert_uint_eq(claimer.best[0], UINT64_MAX);
		claimer.way = (enum vmb_claim)_i;
		for (uint32_t i = TRIALS_END + 1; i < VMB_CLAIMER_ROUND; i++)
			ck_assert_int_eq(vmb_claimer_turn(&claimer), _i);
	}
}
END_TEST

START_TEST(shortest_way_is_taken_until_another_is)
{
	static const struct {
		uint64_t ns[VMB_CLAIMS];
		enum vmb_claim best;
	} rounds[] = {
		{{40000, 35000, 36000}, VMB_CLAIM_EARLY},
		{{40000, 52000, 36000}, VMB_CLAIM_LATE},
		{{40000, 52000, 53000}, VMB_CLAIM_NOT},
		{{40000, 39900, 39900}, VMB_CLAIM_NOT}, /* no difference */
		{{40000, 38000, 37900}, VMB_CLAIM_EARLY},
		{{40000, 39900, 39000}, VMB_CLAIM_LATE},
	};

	vmb_claimer_init(&claimer);
	for (unsigned i = 0; i < vmb_array_size(rounds); i++) {
		try_all(rounds[i].ns, VMB_CLAIMER_TRIALS, 0);
		ck_assert_int_eq(claimer.way, rounds[i].best);
	}
}
END_TEST

/* Looped over the trials: whichever was interrupted, it is not believed. */
START_TEST(trial_that_was_interrupted_says_nothing)
{
	for (unsigned best = 0; best < VMB_CLAIMS; best++) {
		uint64_t ns[VMB_CLAIMS] = {40000, 40000, 40000};

		ns[best] = 35000;
		vmb_claimer_init(&claimer);
		try_all(ns, (uint32_t)_i, 900000);
		ck_assert_int_eq(claimer.way, (int)best);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("claim");
	TCase *tc = tcase_create("claim");
	SRunner *r;
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, nothing_is_claimed_before_it_was_tried);
	tcase_add_loop_test(tc, trials_take_turns, 0, VMB_CLAIMS);
	tcase_add_test(tc, shortest_way_is_taken_until_another_is);
	tcase_add_loop_test(tc, trial_that_was_interrupted_says_nothing, 0,
			    VMB_CLAIMER_TRIALS);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
