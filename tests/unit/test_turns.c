// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_turns.c - who yields tells its peers that it is away, and stands by for
 * the answer of who looks.
 *
 * Flow:  struct t_end -> lib/am/turns.c -> `away` of a lane -> turns.c of the peer
 * Owns:  nothing; see lane_ends.h.
 * Trust: see support/ends.h.
 */
#include "lane_ends.h"
#include "support/run.h"

#define TRIES 6400u
#define MOST_DOUBT 6u /* then one in 64 */

static void turn_away(struct t_end *end)
{
	vmb_lanes_looked(&end->am, false);
}

/* A message that nothing answers. Does its sender stand by? */
static bool stands_by(struct t_end *from, struct t_end *to)
{
	l_send(from, to, 8);
	return vmb_lanes_answer_near(&from->am, true);
}

/* ---- away ----------------------------------------------------------------- */

START_TEST(senders_are_told)
{
	struct vmb_lane_out *from_a = l_bring_up(&a, &b);
	struct vmb_lane_out *from_c = l_bring_up(&c, &b);

	ck_assert_uint_eq(vmb_load_relaxed(&from_a->ctl->away), 0);
	turn_away(&b);
	ck_assert_uint_eq(vmb_load_relaxed(&from_a->ctl->away), 1);
	ck_assert_uint_eq(vmb_load_relaxed(&from_c->ctl->away), 1);
	vmb_lanes_look(&b.am);
	ck_assert_uint_eq(vmb_load_relaxed(&from_a->ctl->away), 0);
	ck_assert_uint_eq(vmb_load_relaxed(&from_c->ctl->away), 0);
	turn_away(&b);
	vmb_lanes_look(&b.am);
	vmb_lanes_looked(&b.am, true); /* something came */
	ck_assert_uint_eq(vmb_load_relaxed(&from_a->ctl->away), 0);
}
END_TEST

/* What it was when the lane became cold is not what it is. */
START_TEST(lane_that_becomes_hot_says_how_it_is)
{
	struct vmb_lane_out *out;

	turn_away(&b);
	out = l_bring_up(&a, &b);
	ck_assert_uint_eq(vmb_load_relaxed(&out->ctl->away), 1);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	vmb_lanes_look(&b.am);
	ck_assert_uint_eq(vmb_load_relaxed(&out->ctl->away), 1);
	l_send(&a, &b, 8); /* by LOOK */
	ck_assert_uint_eq(vmb_load_relaxed(&out->ctl->away), 0);
}
END_TEST

/* ---- standing by ------------------------------------------------------------ */

START_TEST(answer_is_expected_of_who_was_sent_to)
{
	l_bring_up(&a, &b);
	vmb_lanes_looked(&a.am, true);
	ck_assert(!vmb_lanes_answer_near(&a.am, true));
	for (unsigned i = 0; i < 100; i++) { /* b looks, and answers: always */
		ck_assert(stands_by(&a, &b));
		vmb_lanes_looked(&a.am, true);
		ck_assert(!vmb_lanes_answer_near(&a.am, true));
	}
	l_send(&b, &a, 8); /* through the engine, or its own lane */
	ck_assert(!vmb_lanes_answer_near(&a.am, true));
}
END_TEST

/* Of TRIES; came: whether it was worth it. */
static unsigned count_patience(bool came)
{
	unsigned patient = 0;

	for (unsigned i = 0; i < TRIES; i++) {
		bool stays = stands_by(&a, &b);

		/* as long as the first look said */
		ck_assert_int_eq(vmb_lanes_answer_near(&a.am, false), stays);
		patient += stays;
		vmb_lanes_looked(&a.am, stays && came);
		ck_assert(!t_end_peer(&a, &b)->lane_out->patient);
	}
	return patient;
}

START_TEST(who_does_not_come_is_left_alone)
{
	unsigned patient;

	l_bring_up(&a, &b);
	turn_away(&b);
	patient = count_patience(false);
	ck_assert_uint_lt(patient, TRIES / 64 * 2);
	ck_assert_uint_gt(patient, TRIES / 64 / 2);
	patient = count_patience(true); /* it pays: soon always */
	ck_assert_uint_gt(patient, TRIES - 1000);
}
END_TEST

/* Not away, but it computes: the same. */
START_TEST(who_looks_and_does_not_answer_is_left_alone)
{
	unsigned patient;

	l_bring_up(&a, &b);
	patient = count_patience(false);
	ck_assert_uint_lt(patient, TRIES / 64 * 2);
	turn_away(&b); /* what is known of that is another matter */
	ck_assert(stands_by(&a, &b));
}
END_TEST

/* It said so: nobody stands by any more, and it is not doubted for it. */
START_TEST(who_turns_away_meanwhile_is_not_doubted)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);

	for (unsigned i = 0; i < 100; i++) {
		vmb_lanes_look(&b.am);
		ck_assert(stands_by(&a, &b));
		turn_away(&b);
		ck_assert(!vmb_lanes_answer_near(&a.am, false));
		vmb_lanes_looked(&a.am, false);
	}
	ck_assert_uint_eq(out->doubt[true], 0);
}
END_TEST

/* Not away, but it has armed the lane: it hears of the message by the engine. */
START_TEST(who_sleeps_is_no_better)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	unsigned patient = 0;

	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	l_post(&a, &b);
	out->doubt[false] = MOST_DOUBT;
	for (unsigned i = 0; i < TRIES; i++)
		patient += vmb_lanes_answer_near(&a.am, true);
	ck_assert_uint_lt(patient, TRIES / 64 * 2);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	ck_assert(stands_by(&a, &b));
}
END_TEST

START_TEST(nothing_is_expected_of_a_lane_that_ended)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);

	ck_assert(stands_by(&a, &b));
	vmb_lane_out_end(&a.am, out);
	ck_assert_ptr_null(a.am.lanes.to); /* it will be freed */
	ck_assert(!vmb_lanes_answer_near(&a.am, true));
	vmb_lanes_looked(&a.am, false);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("turns");
	TCase *tc = l_case(s, "away");

	tcase_add_test(tc, senders_are_told);
	tcase_add_test(tc, lane_that_becomes_hot_says_how_it_is);
	tc = l_case(s, "standing by");
	tcase_add_test(tc, answer_is_expected_of_who_was_sent_to);
	tcase_add_test(tc, who_does_not_come_is_left_alone);
	tcase_add_test(tc, who_looks_and_does_not_answer_is_left_alone);
	tcase_add_test(tc, who_turns_away_meanwhile_is_not_doubted);
	tcase_add_test(tc, who_sleeps_is_no_better);
	tcase_add_test(tc, nothing_is_expected_of_a_lane_that_ended);
	return t_run(s);
}
