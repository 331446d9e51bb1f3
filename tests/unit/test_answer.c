// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_answer.c - what is taken in place of a pass, and what is left to the
 * next one.
 *
 * Flow:  struct t_end -> lane, or engine -> vmb_am_take_answer() -> checks
 * Owns:  nothing; see lane_ends.h.
 * Trust: see support/ends.h: every payload and the order are checked.
 */
#include <errno.h>

#include "lane_ends.h"
#include "support/run.h"

static void rest(struct t_end *e)
{
	for (unsigned i = 0; i < 1000 && !vmb_am_at_rest(&e->am); i++)
		ck_assert_int_ge(vmb_am_poll(&e->am, 16), 0);
	ck_assert(vmb_am_at_rest(&e->am));
}

/* a has asked, and is at rest when b answers so many times. */
static void ask(unsigned answers)
{
	l_post(&a, &b);
	t_ends_until(b.received[0] == a.sent[0], &b);
	rest(&a);
	ck_assert(!vmb_am_due(&a.am));
	while (answers--)
		l_post(&b, &a);
	t_nic_settle();
	ck_assert(vmb_am_due(&a.am));
}

/* One, without a word to the sender; the pass after it tells and takes all. */
START_TEST(answer_in_a_lane_is_taken_alone)
{
	struct vmb_lane_in *in;
	uint64_t published;

	l_bring_up(&a, &b);
	l_bring_up(&b, &a);
	in = l_in_of(&a, &b);
	ask(2);
	published = in->published;
	a.am.idle.left = 7;
	ck_assert(vmb_am_take_answer(&a.am));
	/* somebody serves us */
	ck_assert_uint_eq(a.am.idle.left, VMB_IDLE_FIRST);
	ck_assert_uint_eq(a.received[0], b.sent[0] - 1);
	ck_assert_uint_eq(in->published, published);
	ck_assert(!vmb_am_at_rest(&a.am));
	ck_assert(!vmb_am_take_answer(&a.am)); /* nothing was asked since */
	ck_assert_int_eq(vmb_am_poll(&a.am, 16), 1);
	ck_assert_uint_eq(a.received[0], b.sent[0]);
	ck_assert_uint_eq(vmb_low(in->published), in->ring.pos);
	ck_assert(vmb_am_at_rest(&a.am));
}
END_TEST

START_TEST(answer_of_the_engine_is_taken_alone)
{
	uint64_t published;

	ask(2);
	published = a.am.published;
	ck_assert(vmb_am_take_answer(&a.am));
	ck_assert_uint_eq(a.received[0], b.sent[0] - 1);
	ck_assert_uint_eq(a.am.published, published);
	ck_assert(!vmb_am_take_answer(&a.am));
	ck_assert_int_eq(vmb_am_poll(&a.am, 16), 1);
	ck_assert_uint_eq(vmb_low(a.am.published), a.am.events.pos);
}
END_TEST

/* Who goes to sleep tells first what was taken: who waits for room hears of it. */
START_TEST(answer_is_told_of_before_a_sleep)
{
	struct vmb_lane_in *in = NULL;
	uint32_t posted;

	if (_i) {
		l_bring_up(&a, &b);
		vmb_store_relaxed(&l_bring_up(&b, &a)->ctl->room_arm, 77);
		in = l_in_of(&a, &b);
		in->told = 0;
	}
	ask(1);
	ck_assert(vmb_am_take_answer(&a.am));
	if (in)
		in->told = 0; /* those before were heard of */
	posted = a.am.doorbell.pos;
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), 0);
	ck_assert_uint_eq(vmb_low(a.am.published), a.am.events.pos);
	if (in) {
		ck_assert_uint_eq(vmb_low(in->ctl->consumed), in->ring.pos);
		ck_assert_uint_eq(a.am.doorbell.pos, posted + 1); /* ROOM */
	}
	vmb_am_disarm(&a.am);
}
END_TEST

START_TEST(who_has_nothing_takes_nothing)
{
	l_bring_up(&a, &b);
	l_bring_up(&b, &a);
	l_post(&a, &b);
	t_ends_until(b.received[0] == a.sent[0], &b);
	rest(&a);
	ck_assert(!vmb_am_take_answer(&a.am));
	ck_assert_uint_eq(a.received[0], b.sent[0]);
}
END_TEST

/* However many were taken one by one, a sender never runs out of room. */
START_TEST(answers_are_told_of_by_the_quarter)
{
	struct vmb_lane_out *out;

	l_bring_up(&a, &b);
	out = l_bring_up(&b, &a);
	for (uint32_t i = 0; i < 4 * (out->ring.mask + 1); i++) {
		l_post(&a, &b);
		t_ends_until(b.received[0] == a.sent[0], &b);
		l_post(&b, &a);
		ck_assert(vmb_am_take_answer(&a.am));
		ck_assert_uint_eq(a.received[0], b.sent[0]);
		ck_assert_uint_le(out->ring.pos - vmb_low(out->ctl->consumed),
				  out->ring.mask / 4 + 1);
	}
}
END_TEST

/* Where the test looks for a claim, and what was there when the handler ran. */
static uint64_t *next_word, word_in_handler;

static void look_at_word(struct vmb_am *am,
			 const struct vmb_am_arrival *arrival, void *arg)
{
	(void)am;
	(void)arrival;
	(void)arg;
	word_in_handler = vmb_load_relaxed(next_word);
}

/*
 * Into the slot of what will be said to an answer a word that says nothing is
 * written, before the answer is read, after, or not, as the claimer says; and
 * not if what was said last was long. Looped over both kinds of slots, too.
 */
START_TEST(next_slot_is_claimed_for_a_short_answer)
{
	static const size_t lens[] = {8, 64, 1000};
	enum vmb_claim way = (enum vmb_claim)(_i % VMB_CLAIMS);
	size_t len = lens[_i / VMB_CLAIMS % 3];
	struct vmb_ring *ring = &a.am.doorbell;

	if (_i / VMB_CLAIMS / 3) {
		l_bring_up(&b, &a);
		ring = &l_bring_up(&a, &b)->ring;
	}
	l_post(&a, &b); /* the last one counts */
	ck_assert_int_eq(t_end_post(&a, &b, 0, len, VMB_AM_TRY), 0);
	t_ends_until(b.received[0] == a.sent[0], &b);
	rest(&a);
	vmb_am_bind(&a.am, 9, look_at_word, NULL);
	ck_assert_int_eq(t_end_post(&b, &a, 9, 8, VMB_AM_TRY), 0);
	t_nic_settle();
	next_word =
		(uint64_t *)(void *)&ring->slots[ring->pos & ring->mask] + 1;
	vmb_store_relaxed(next_word, 77);
	ck_assert_uint_ne(a.am.claimer.random, 0);
	word_in_handler = 99;
	a.am.claimer = (struct vmb_claimer){.answers = VMB_CLAIMER_ROUND - 1,
					    .way = way};
	if (len != 8)
		way = VMB_CLAIM_NOT;
	ck_assert(vmb_am_take_answer(&a.am));
	ck_assert_uint_eq(word_in_handler, way == VMB_CLAIM_EARLY ? 0 : 77);
	ck_assert_uint_eq(vmb_load_relaxed(next_word),
			  way == VMB_CLAIM_NOT ? 77 : 0);
	l_post(&a, &b);
	t_ends_until(b.received[0] == a.sent[0], &b);
}
END_TEST

static void answer_back(struct vmb_am *am, const struct vmb_am_arrival *arrival,
			void *arg)
{
	(void)am;
	(void)arrival;
	(void)arg;
	l_post(&a, &b);
}

/* What a handler posts is told of by the end of the call, to the engine, which
 * sleeps, and to a receiver that sleeps beside its lane. */
START_TEST(sleepers_hear_of_what_a_handler_posts)
{
	bool lane = _i;
	uint64_t kicks;

	if (lane) {
		l_bring_up(&a, &b);
		l_bring_up(&b, &a);
	}
	vmb_am_bind(&a.am, 9, answer_back, NULL);
	l_post(&a, &b);
	t_ends_until(b.received[0] == a.sent[0], &b);
	rest(&a);
	ck_assert_int_eq(t_end_post(&b, &a, 9, 8, VMB_AM_TRY), 0);
	t_nic_settle();
	rest(&b);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	vmb_store_relaxed(&a.am.ctl->kick_arm, a.am.kicked + 1);
	kicks = a.am.counters.kicks;
	ck_assert(vmb_am_take_answer(&a.am));
	ck_assert_uint_eq(a.am.counters.kicks, kicks + 1);
	ck_assert(!a.am.polling);
	t_nic_settle();
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), -EAGAIN);
	t_ends_until(b.received[0] == a.sent[0], &b);
}
END_TEST

START_TEST(engine_that_lies_ends_the_endpoint)
{
	struct vmb_slot slot = {.op = VMB_EV_DONE, .hdr = 12345};

	l_post(&a, &b);
	t_ends_until(b.received[0] == a.sent[0], &b);
	rest(&a);
	vmb_slot_store(&a.am.events.slots[a.am.events.pos & a.am.events.mask],
		       &slot, a.am.events.pos + 1, VMB_SLOT_BYTES);
	ck_assert(!vmb_am_take_answer(&a.am));
	ck_assert_int_eq(a.am.error, -EIO);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("answer");
	TCase *tc = l_case(s, "answer");

	tcase_add_test(tc, answer_in_a_lane_is_taken_alone);
	tcase_add_test(tc, answer_of_the_engine_is_taken_alone);
	tcase_add_loop_test(tc, answer_is_told_of_before_a_sleep, 0, 2);
	tcase_add_test(tc, who_has_nothing_takes_nothing);
	tcase_add_test(tc, answers_are_told_of_by_the_quarter);
	tcase_add_loop_test(tc, next_slot_is_claimed_for_a_short_answer, 0, 12);
	tcase_add_loop_test(tc, sleepers_hear_of_what_a_handler_posts, 0, 2);
	tcase_add_test(tc, engine_that_lies_ends_the_endpoint);
	return t_run(s);
}
