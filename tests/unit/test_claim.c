// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_claim.c - which way to take lines back is chosen, and when it is asked
 * again.
 *
 * Flow:  times that the test makes up -> struct vmb_claimer
 * Owns:  nothing.
 */
#include <check.h>
#include <string.h>

#include "am/claim.h"
#include "support/run.h"

/* One side of an exchange: what it does, and what that costs or saves. */
struct side {
	struct vmb_claimer claimer;
	int64_t cost[VMB_CLAIMS]; /* ns */
	uint32_t chosen[VMB_CLAIMS];
};

static uint64_t now_ns = 1000000;

static void side_init(struct side *s, uint32_t seed, const int64_t cost[])
{
	*s = (struct side){0};
	memcpy(s->cost, cost, sizeof(s->cost));
	vmb_claimer_init(&s->claimer, seed);
}

/* An answer comes: what the way that is taken costs. */
static int64_t answer(struct side *s)
{
	uint32_t turn = s->claimer.answers++ % VMB_CLAIMER_ROUND;
	enum vmb_claim way = s->claimer.way;

	if (turn <= VMB_CLAIMER_TRIALS)
		way = vmb_claimer_try(&s->claimer, turn, now_ns);
	else
		s->chosen[way]++;
	return s->cost[way];
}

START_TEST(nothing_is_claimed_before_it_was_tried)
{
	struct vmb_claimer c;
	bool claims = false;

	vmb_claimer_init(&c, 0);
	for (uint32_t i = 0; i < VMB_CLAIMER_FIRST; i++)
		ck_assert_int_eq(vmb_claimer_turn(&c), VMB_CLAIM_NOT);
	for (uint32_t i = 0; i < VMB_CLAIMER_TRIALS; i++)
		claims |= vmb_claimer_turn(&c) != VMB_CLAIM_NOT;
	ck_assert(claims);
}
END_TEST

/* All of them about as often, some in a row; then as it was found. */
START_TEST(trials_are_of_all_ways)
{
	uint32_t of[VMB_CLAIMS] = {0};
	enum vmb_claim way = VMB_CLAIM_NOT, last = way;
	struct vmb_claimer c;

	vmb_claimer_init(&c, (uint32_t)_i);
	c.answers = 0;
	for (uint32_t i = 0; i < VMB_CLAIMER_TRIALS; i++) {
		way = vmb_claimer_turn(&c);
		ck_assert(way == last || i % VMB_CLAIMER_SLICE == 0);
		of[last = way]++;
	}
	for (unsigned i = 0; i < VMB_CLAIMS; i++)
		ck_assert_uint_gt(of[i], VMB_CLAIMER_TRIALS / VMB_CLAIMS / 2);
	vmb_claimer_turn(&c); /* by the clock of this machine */
	c.way = (enum vmb_claim)(_i % VMB_CLAIMS);
	for (uint32_t i = VMB_CLAIMER_TRIALS + 1; i < VMB_CLAIMER_ROUND; i++)
		ck_assert_int_eq(vmb_claimer_turn(&c), c.way);
}
END_TEST

/* What is best changes from round to round. */
START_TEST(shortest_way_is_taken_until_another_is)
{
	static const struct {
		int64_t ns[VMB_CLAIMS];
		enum vmb_claim best;
	} rounds[] = {
		{{700, 650, 660}, VMB_CLAIM_EARLY},
		{{700, 810, 660}, VMB_CLAIM_LATE},
		{{700, 810, 820}, VMB_CLAIM_NOT},
		{{700, 695, 695}, VMB_CLAIM_NOT}, /* no difference */
		{{70, 650, 660}, VMB_CLAIM_NOT},
		{{700, 300, 310}, VMB_CLAIM_EARLY},
	};
	struct side s;

	side_init(&s, 77, rounds[0].ns);
	s.claimer.answers = 0;
	for (unsigned r = 0; r < vmb_array_size(rounds); r++) {
		memcpy(s.cost, rounds[r].ns, sizeof(s.cost));
		for (uint32_t i = 0; i < VMB_CLAIMER_ROUND; i++)
			now_ns += (uint64_t)answer(&s);
		ck_assert_int_eq(s.claimer.way, rounds[r].best);
	}
}
END_TEST

/*
 * Looped over lengths: after so many answers the program does something else,
 * for longer than all trials of one way take.
 */
START_TEST(rhythm_of_a_program_does_not_show)
{
	static const int64_t costs[][VMB_CLAIMS] = {
		{380, 520, 520}, {415, 525, 360}, {415, 360, 380}};
	static const enum vmb_claim best[] = {VMB_CLAIM_NOT, VMB_CLAIM_LATE,
					      VMB_CLAIM_EARLY};
	uint32_t burst = (uint32_t)_i;
	struct side s;

	for (unsigned c = 0; c < vmb_array_size(best); c++) {
		side_init(&s, burst + 1, costs[c]);
		for (uint32_t i = 1; i < 20 * VMB_CLAIMER_ROUND; i++) {
			now_ns += 2 * (uint64_t)answer(&s);
			now_ns += i % burst ? 0 : 20000;
		}
		for (unsigned way = 0; way < VMB_CLAIMS; way++)
			ck_assert(way == best[c] || !s.chosen[way] ||
				  way == VMB_CLAIM_NOT); /* at first */
		ck_assert_uint_ge(
			s.chosen[best[c]],
			19 * (VMB_CLAIMER_ROUND - 1 - VMB_CLAIMER_TRIALS) -
				VMB_CLAIMER_FIRST);
	}
}
END_TEST

/* Looped over how far they are apart: what the other one tries is not ours. */
START_TEST(both_sides_may_try_at_once)
{
	static const int64_t near[] = {0, 60, -55}, far[] = {0, -50, 60};
	struct side s[2];

	side_init(&s[0], 0x10001, near);
	side_init(&s[1], 0x10002, _i % 2 ? far : near);
	s[1].claimer.answers += (uint32_t)_i / 2 * 32;
	for (uint32_t i = 0; i < 10 * VMB_CLAIMER_ROUND; i++) {
		now_ns += (uint64_t)(700 + answer(&s[0]));
		now_ns += (uint64_t)answer(&s[1]);
	}
	ck_assert_int_eq(s[0].claimer.way, VMB_CLAIM_LATE);
	ck_assert_int_eq(s[1].claimer.way,
			 _i % 2 ? VMB_CLAIM_EARLY : VMB_CLAIM_LATE);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_ge(
			s[i].chosen[s[i].claimer.way],
			9 * (VMB_CLAIMER_ROUND - 1 - VMB_CLAIMER_TRIALS) -
				VMB_CLAIMER_FIRST);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("claim");
	TCase *tc = tcase_create("claim");

	suite_add_tcase(s, tc);
	tcase_add_test(tc, nothing_is_claimed_before_it_was_tried);
	tcase_add_loop_test(tc, trials_are_of_all_ways, 0, 20);
	tcase_add_test(tc, shortest_way_is_taken_until_another_is);
	tcase_add_loop_test(tc, rhythm_of_a_program_does_not_show, 2, 200);
	tcase_add_loop_test(tc, both_sides_may_try_at_once, 0, 60);
	return t_run(s);
}
