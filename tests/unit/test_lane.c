// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_lane.c - lanes: how they come and go, the order of messages across
 * that, back-pressure, sleep.
 *
 * Flow:  struct t_end -> lib/am -> lane, or engine -> lib/am -> struct t_end
 * Owns:  nothing; see lane_ends.h.
 * Trust: see support/ends.h: every payload and the order are checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane_ends.h"
#include "support/run.h"

/* Polls of the receiver alone, until it has one more. */
static unsigned polls_for_one(struct t_end *to)
{
	uint32_t before = to->received[0];
	unsigned polls = 0;

	while (to->received[0] == before) {
		ck_assert_int_ge(vmb_am_poll(&to->am, 16), 0);
		ck_assert_uint_lt(++polls, 100000);
	}
	return polls;
}

/* ---- coming and going --------------------------------------------------------- */

/* Longer ones are copied past the caches, or not. */
START_TEST(lane_comes_up_and_carries_every_length)
{
	struct vmb_lane_out *lane = l_bring_up(&a, &b);
	uint64_t arrivals;

	arrivals = b.am.counters.lane_arrivals;
	for (size_t len = 0; len <= 300; len++)
		l_send(&a, &b, len);
	for (size_t len = 301; len <= VMB_BUF_MAX; len += 1 + len / 16) {
		lane->copier.past = _i;
		l_send(&a, &b, len);
	}
	l_send(&a, &b, VMB_BUF_MAX);
	ck_assert_uint_gt(b.am.counters.lane_arrivals, arrivals + 300);
	ck_assert_uint_eq(a.am.counters.lanes_out, 1);
	ck_assert_uint_eq(b.am.counters.lanes_in, 1);
	ck_assert_uint_eq(
		a.am.counters.lane_nonsense + b.am.counters.lane_nonsense, 0);
}
END_TEST

/* Several pieces, from the middle of one on: past the caches, and not. */
START_TEST(pieces_are_gathered_alike_both_ways)
{
	static uint8_t from[3000], to[4096] __attribute__((aligned(64)));
	struct vmb_segment pieces[] = {{from, 33},
				       {from + 33, 0},
				       {from + 33, 1500},
				       {from + 1533, 1}};
	struct vmb_copier copier;

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 7 + i / 251);
	vmb_copier_init(&copier);
	copier.past = _i;
	for (size_t first = 0; first < 64; first++) {
		memset(to, 0xa5, sizeof(to));
		vmb_am_gather_out(&copier, to, pieces, 4, first, 1534 - first);
		ck_assert_int_eq(memcmp(to, from + first, 1534 - first), 0);
		ck_assert_uint_eq(to[1534 - first], 0xa5);
	}
}
END_TEST

START_TEST(lane_to_oneself_works)
{
	for (unsigned i = 0; i < 500; i++) {
		ck_assert_int_eq(t_end_post(&a, &a, 0, i % 200, VMB_AM_TRY), 0);
		t_ends_until(a.received[0] == i + 1, &a);
	}
	ck_assert_uint_eq(a.am.counters.lanes_out, 1);
}
END_TEST

/* The engine, the ends and the daemon take turns at random. */
START_TEST(order_holds_across_the_switch)
{
	unsigned seed = (unsigned)_i;

	while (a.sent[0] < 2000) {
		int dice = rand_r(&seed) % 16;

		if (dice < 6)
			t_end_post(&a, &b, 0, (size_t)(rand_r(&seed) % 400),
				   dice < 3 ? VMB_AM_TRY : VMB_AM_QUEUE);
		else if (dice < 9)
			t_nic_breathe();
		else if (dice < 12)
			vmb_am_poll(&a.am, 1 + (unsigned)dice);
		else if (dice < 15)
			vmb_am_poll(&b.am, 1 + (unsigned)dice % 4);
		else
			t_port_hold_lanes(rand_r(&seed) % 2);
	}
	t_port_hold_lanes(false);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	ck_assert_uint_eq(a.am.counters.lanes_out, 1);
}
END_TEST

/* Both ways and a third party, lanes ended again and again. */
START_TEST(order_holds_while_lanes_come_and_go)
{
	struct t_end *ends[] = {&a, &b, &c};
	unsigned seed = (unsigned)_i + 1000;

	for (unsigned step = 0; step < 30000; step++) {
		unsigned dice = (unsigned)rand_r(&seed);
		struct t_end *from = ends[dice % 3];
		struct t_end *to = ends[(dice / 3) % 3];
		unsigned stream = (unsigned)(from - &a == 0 ? 0
					     : from == &b   ? 1
							    : 2) *
					  3 +
				  (dice / 3) % 3;
		struct vmb_lane_in *in;

		switch (dice >> 8 & 7) {
		case 0:
		case 1:
		case 2:
			t_end_post(from, to, stream, (dice >> 12) % 200,
				   VMB_AM_QUEUE);
			break;
		case 3:
			t_nic_breathe();
			break;
		case 4:
			in = l_in_of(from, to);
			if (in && (dice >> 16) % 32 == 0)
				vmb_lane_ask_end(&from->am, in);
			else if (!in && (dice >> 16) % 4 == 0)
				vmb_lane_want(&to->am, t_end_peer(to, from));
			break;
		default:
			vmb_am_poll(&from->am, 8);
		}
	}
	for (unsigned s = 0; s < 9; s++)
		t_ends_until(ends[s % 3]->received[s] == ends[s / 3]->sent[s],
			     &a, &b, &c);
	ck_assert_uint_gt(a.am.counters.lanes_out, 3);
	ck_assert_uint_eq(a.am.counters.lane_lies, 0);
}
END_TEST

START_TEST(refused_lane_leaves_the_engine)
{
	t_port_refuse_lanes(_i ? -EXDEV : -EDQUOT);
	for (unsigned i = 0; i < 300; i++)
		l_send(&a, &b, i);
	ck_assert(!t_end_peer(&a, &b)->lane_on);
	ck_assert_ptr_null(t_end_peer(&a, &b)->lane_out);
	ck_assert_uint_eq(b.am.counters.lane_arrivals, 0);
}
END_TEST

START_TEST(silent_daemon_delays_nothing)
{
	t_port_hold_lanes(true);
	for (unsigned i = 0; i < 500; i++)
		l_send(&a, &b, i % 100);
	ck_assert(!t_end_peer(&a, &b)->lane_on);
	t_port_hold_lanes(false);
	l_bring_up(&a, &b);
}
END_TEST

/* Its receiver has asked for a lane, of which there is no memory yet. */
START_TEST(peer_goes_before_its_lane_is_there)
{
	t_port_hold_lanes(true);
	for (unsigned i = 0; i < 100; i++)
		l_send(&a, &b, 8);
	ck_assert_ptr_nonnull(l_in_of(&b, &a));
	ck_assert_int_ne(l_in_of(&b, &a)->state, VMB_LANE_OPEN);
	t_end_close(_i ? &a : &b, 0);
	if (_i)
		t_ends_until(b.gone == 1, &b);
	else
		t_ends_until(a.gone == 1, &a);
}
END_TEST

START_TEST(lane_is_wanted_with_the_message_that_was_chosen)
{
	vmb_am_set_lanes(&a.am, LANES, 1);
	l_send(&a, &b, 8);
	ck_assert_ptr_nonnull(t_end_peer(&a, &b)->lane_out);
	t_ends_until(t_end_peer(&a, &b)->lane_on, &a, &b);
	l_send(&a, &b, 8);
	c.sent[0] = b.received[0]; /* b counts what it gets from all */
	l_send(&c, &b, 8);
	ck_assert_ptr_null(t_end_peer(&c, &b)->lane_out);
}
END_TEST

START_TEST(no_lane_where_none_are_wanted)
{
	vmb_am_set_lanes(&b.am, 0, VMB_LANE_AFTER);
	for (unsigned i = 0; i < 300; i++)
		l_send(&a, &b, 8);
	ck_assert_uint_eq(t_port_lanes(), 0);
	ck_assert_uint_eq(a.am.counters.lanes_out, 0);
}
END_TEST

START_TEST(silent_lane_gives_way_to_another)
{
	vmb_am_set_lanes(&b.am, 1, VMB_LANE_AFTER);
	l_bring_up(&a, &b);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD),
			 0); /* it is cold now */
	vmb_am_disarm(&b.am);
	c.sent[0] = b.received[0];
	/* silent for long, or not, however long this takes */
	for (unsigned i = 0; i < (_i ? 100 : 200); i++) {
		if (t_end_peer(&a, &b)->lane_on)
			l_in_of(&b, &a)->last_ns =
				vmb_now_ns() - (_i ? 1100000000 : 0);
		l_send(&c, &b, 8);
	}
	if (!_i) {
		ck_assert(t_end_peer(&a, &b)->lane_on);
		return;
	}
	t_ends_until(!t_end_peer(&a, &b)->lane_on, &a, &b);
	a.sent[0] = b.received[0];
	l_send(&a, &b, 100);
}
END_TEST

START_TEST(all_of_a_closed_peer_arrives_before_its_end)
{
	l_bring_up(&a, &b);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, i, VMB_AM_TRY), 0);
	t_end_close(&a, 0);
	t_ends_until(b.gone == 1, &b);
	ck_assert_uint_eq(b.received[0], a.sent[0]);
	ck_assert_uint_eq(t_port_lanes(), 0);
}
END_TEST

START_TEST(what_waits_for_a_closed_receiver_comes_back)
{
	l_bring_up(&a, &b);
	while (t_end_post(&a, &b, 0, 64, VMB_AM_TRY) == 0)
		;
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 1, 300, VMB_AM_QUEUE), 0);
	t_end_close(&b, 0);
	t_ends_until(a.gone == 1, &a);
	ck_assert_uint_eq(a.undelivered[1], 10);
	ck_assert_int_eq(a.code, -ECONNRESET);
	ck_assert_uint_eq(t_port_lanes(), 0);
}
END_TEST

/*
 * The peer is forgotten, but for a last word that waits in its lane, and goes
 * while the engine has something of ours for it: nothing of it is left.
 */
START_TEST(last_word_to_a_forgotten_peer_goes_with_it)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	struct vmb_peer *peer = out->peer;

	while (t_end_post(&a, &b, 0, 64, VMB_AM_TRY) == 0)
		;
	ck_assert_int_eq(t_end_post(&a, &b, 1, 8, VMB_AM_LAST), 0);
	vmb_lane_owe(&a.am, peer, VMB_LANE_LOOK);
	vmb_lanes_speak(&a.am);
	vmb_am_forget_peer(&a.am, peer, -ECANCELED);
	ck_assert_uint_eq(a.am.kept, 1);
	vmb_peer_gone(&a.am, peer); /* frees it */
	ck_assert_ptr_null(vmb_peer_lookup(&a.am, b.am.pep.handle));
	ck_assert_uint_eq(a.am.kept, 0);
	ck_assert(vmb_list_empty(&a.am.settling));
}
END_TEST

/* Who was forgotten and speaks is known again, by whatever way it speaks. */
START_TEST(message_by_lane_is_from_a_peer_that_is_known)
{
	struct vmb_peer *peer;

	l_bring_up(&a, &b);
	peer = t_end_peer(&b, &a);
	vmb_am_forget_peer(&b.am, peer, -ECANCELED);
	ck_assert(peer->forgotten && peer->lane_in);
	l_send(&a, &b, 8);
	ck_assert(!peer->forgotten);
	ck_assert_ptr_eq(vmb_peer_lookup(&b.am, a.am.pep.handle), peer);
}
END_TEST

/* ---- room, fences ---------------------------------------------------------------- */

START_TEST(full_lane_holds_back_and_loses_nothing)
{
	size_t len = _i ? 5000 : 50;

	l_bring_up(&a, &b);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, len, VMB_AM_QUEUE), 0);
	ck_assert_int_eq(t_end_post(&a, &b, 0, len, VMB_AM_TRY), -EAGAIN);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	ck_assert(!t_end_peer(&a, &b)->lane_stuck);
}
END_TEST

/* Who keeps up with a stream lets the sender get on, for a moment, also when
 * it looks once in a while only; a pause ends it. */
START_TEST(stream_is_looked_for_less_often)
{
	struct vmb_lane_in *in;

	l_bring_up(&a, &b);
	in = l_in_of(&b, &a);
	for (unsigned i = 0; i < 100; i++) {
		l_post(&a, &b);
		polls_for_one(&b);
	}
	ck_assert_uint_gt(in->rest_until, vmb_now_ns() - 1000000000u);
	l_post(&a, &b);
	while (vmb_now_ns() < in->rest_until)
		;
	ck_assert_uint_eq(polls_for_one(&b), 1);
	while (in->stream)
		ck_assert_int_eq(vmb_am_poll(&b.am, 16), 0);
	for (unsigned i = 0; i < 4; i++) {
		l_post(&a, &b);
		ck_assert_uint_eq(polls_for_one(&b), 1);
	}
}
END_TEST

/* What is answered is no stream: each is found at once. */
START_TEST(questions_are_looked_for_at_once)
{
	l_bring_up(&a, &b);
	l_bring_up(&b, &a);
	for (unsigned i = 0; i < 300; i++) {
		l_post(&a, &b);
		ck_assert_uint_eq(polls_for_one(&b), 1);
		ck_assert_uint_eq(l_in_of(&b, &a)->rest_until, 0);
		l_post(&b, &a);
		ck_assert_uint_eq(polls_for_one(&a), 1);
	}
}
END_TEST

/* A question of so many bytes is sent, and a answered; b does not look. */
static int question(size_t len)
{
	int rc = t_end_post(&a, &b, 0, len, VMB_AM_TRY);

	if (rc)
		return rc;
	l_post(&b, &a);
	polls_for_one(&a);
	return 0;
}

/* Lines of the next message, as long as this one, that were stored into. */
static unsigned claimed(struct vmb_lane_out *lane, size_t len)
{
	uint32_t end = lane->buf_pos;
	uint32_t at, lines = 0;

	vmb_rx_place(&end, lane->buf_size, (uint32_t)len, VMB_RX_ALIGN);
	at = vmb_rx_place(&end, lane->buf_size, (uint32_t)len, VMB_RX_ALIGN);
	memset(lane->buffers + at, 0xff, len);
	ck_assert_int_eq(question(len), 0);
	for (uint32_t i = at; i < at + len; i += VMB_LINE)
		lines += !*(uint64_t *)(void *)(lane->buffers + i);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	return lines;
}

/* Of questions and answers in turn; neither of a stream, nor past the caches. */
START_TEST(lines_of_the_next_question_are_owned)
{
	struct vmb_lane_out *lane = l_bring_up(&a, &b);

	l_bring_up(&b, &a);
	lane->fences = false; /* whatever this kernel has */
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(question(8), 0);
	ck_assert_int_eq(question(1000), 0); /* the position is of that time */
	ck_assert_uint_eq(claimed(lane, 768), 0);
	ck_assert_uint_eq(claimed(lane, 769), 13);
	ck_assert_uint_eq(claimed(lane, 2048), 32);
	ck_assert_uint_eq(claimed(lane, 2049), 0);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 1000, VMB_AM_TRY), 0);
	ck_assert_int_eq(question(1000), 0);
	ck_assert_uint_eq(claimed(lane, 1000), 0); /* after two at a time */
	ck_assert_uint_eq(claimed(lane, 1000), 16);
	lane->copier.past = true; /* which 1000 bytes do not go */
	ck_assert_uint_eq(claimed(lane, 1000), 16);
	ck_assert_uint_eq(claimed(lane, 1024), 0);
	lane->fences = true;
	ck_assert_uint_eq(claimed(lane, 1000), 0);
}
END_TEST

/* What somebody else says is no answer. */
START_TEST(message_of_a_third_is_no_answer)
{
	struct vmb_lane_out *lane = l_bring_up(&a, &b);

	l_bring_up(&c, &a);
	l_bring_up(&b, &a);
	lane->fences = false;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(question(1000), 0);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 1000, VMB_AM_TRY), 0);
	memset(lane->buffers + (lane->buf_pos & (lane->buf_size - 1)), 0xff,
	       2048);
	c.sent[0] = a.received[0];
	l_post(&c, &a);
	polls_for_one(&a);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 1000, VMB_AM_TRY), 0);
	ck_assert_uint_eq(lane->buffers[lane->buf_pos & (lane->buf_size - 1)],
			  0xff);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
}
END_TEST

/* What the receiver has not read yet is no free line. */
START_TEST(lines_that_are_not_read_yet_are_left_alone)
{
	struct vmb_lane_out *lane = l_bring_up(&a, &b);
	unsigned questions = 0;

	l_bring_up(&b, &a);
	lane->fences = false;
	while (!question(1900)) /* leaves an end of the memory unused */
		questions++;
	ck_assert_uint_ge(questions, lane->buf_size / 2048);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
}
END_TEST

/* What waits for room goes into the lane before it ends. */
START_TEST(ended_lane_takes_what_waits)
{
	l_bring_up(&a, &b);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 50, VMB_AM_QUEUE), 0);
	vmb_lane_ask_end(&b.am, l_in_of(&b, &a));
	vmb_lanes_speak(&b.am);
	t_nic_settle();
	vmb_am_poll(&a.am, 16); /* END, while the lane is full */
	ck_assert(t_end_peer(&a, &b)->lane_on);
	t_ends_until(!t_end_peer(&a, &b)->lane_on, &a, &b);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 50, VMB_AM_QUEUE), 0);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	t_ends_until(!l_in_of(&b, &a), &a, &b);
}
END_TEST

START_TEST(message_behind_a_fence_waits_for_it)
{
	void *memory;
	uint64_t key;
	struct vmb_slot_rdma put = {.len = 4096};

	l_bring_up(&a, &b);
	ck_assert_int_eq(a.port->ops->mem_alloc(a.port, 4096, &memory, &key),
			 0);
	put.local_key = put.remote_key = key;
	ck_assert_int_eq(vmb_am_rdma(&a.am, VMB_OP_PUT, t_end_peer(&a, &a),
				     &put, t_end_on_done, &a, VMB_AM_TRY),
			 0);
	ck_assert_int_eq(vmb_am_rdma(&a.am, VMB_OP_FENCE, NULL, NULL,
				     t_end_on_done, &a, VMB_AM_TRY),
			 0);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), 0);
	for (unsigned i = 0; i < 10; i++) { /* the engine stands still */
		vmb_am_poll(&a.am, 16);
		vmb_am_poll(&b.am, 16);
	}
	ck_assert_uint_ne(b.received[0], a.sent[0]);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	ck_assert_uint_eq(a.done, 2);
	a.port->ops->mem_free(a.port, memory, 4096, key);
}
END_TEST

/* ---- sleep ------------------------------------------------------------------------ */

START_TEST(sleeping_receiver_is_told_once)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	uint32_t posted;

	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	ck_assert_uint_ne(vmb_load_relaxed(&out->ctl->look_arm), 0);
	posted = a.am.doorbell.pos;
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
	ck_assert_uint_eq(a.am.doorbell.pos, posted + 1); /* one LOOK */
	t_nic_settle();
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), -EAGAIN);
	t_ends_until(b.received[0] == a.sent[0], &b);
	l_send(&a, &b, 8);
	ck_assert_uint_eq(a.am.doorbell.pos, posted + 1);
}
END_TEST

START_TEST(arm_refuses_when_the_lane_has_something)
{
	l_bring_up(&a, &b);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), -EAGAIN);
	ck_assert(vmb_am_due(&b.am));
	t_ends_until(b.received[0] == a.sent[0], &b);
	ck_assert(!vmb_am_due(&b.am));
}
END_TEST

/* A handler may let go of the lock: the walk above it goes on afterwards. */
START_TEST(arm_refuses_in_a_pass)
{
	l_bring_up(&a, &b);
	b.am.in_handler = true;
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), -EAGAIN);
	b.am.in_handler = false;
	b.am.polling = true;
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), -EAGAIN);
	b.am.polling = false;
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	vmb_am_disarm(&b.am);
}
END_TEST

/* There is room, and nothing may use it: the end of the fence is an event. */
START_TEST(sender_may_sleep_beside_an_open_fence)
{
	l_bring_up(&a, &b);
	a.am.fences_open++;
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), 0);
	ck_assert(t_end_peer(&a, &b)->lane_stuck);
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), 0);
	vmb_am_disarm(&a.am);
	a.am.fences_open--;
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), -EAGAIN);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
}
END_TEST

START_TEST(sleeping_sender_is_told_of_room)
{
	l_bring_up(&a, &b);
	while (t_end_post(&a, &b, 0, 8, VMB_AM_TRY) == 0)
		;
	ck_assert(vmb_am_tells_room(t_end_peer(&a, &b)));
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), 0);
	ck_assert(!vmb_am_due(&a.am));
	t_ends_until(vmb_am_due(&a.am), &b); /* ROOM: it is woken */
	vmb_am_poll(&a.am, 16);
	ck_assert(!vmb_am_tells_room(t_end_peer(&a, &b)));
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
}
END_TEST

/* Many lanes, all but a few silent: those are cold, and wake up all the same. */
/* What comes between two sleeps makes up for them, or the lane ends. */
START_TEST(lane_ends_when_it_is_slept_beside)
{
	struct vmb_peer *peer;
	unsigned few = _i == 1 ? 16 : 15, sleeps;

	vmb_am_weigh_lanes(&b.am, _i < 2);
	l_bring_up(&a, &b);
	peer = t_end_peer(&a, &b);
	for (unsigned i = 0; i < 2; i++) /* what came at first is forgotten */
		ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	for (sleeps = 0; sleeps < 2 * VMB_LANE_TRIALS && peer->lane_on;
	     sleeps++) {
		for (unsigned i = 0; i < few; i++)
			ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY),
					 0);
		t_ends_until(b.received[0] == a.sent[0], &a, &b);
		while (vmb_am_arm(&b.am, VMB_AM_SLEEP_FD)) /* END may be owed */
			vmb_am_poll(&b.am, 16);
		vmb_am_disarm(&b.am);
		t_nic_settle();
		vmb_am_poll(&a.am, 16);
	}
	ck_assert_int_eq(peer->lane_on, _i > 0);
	if (!_i)
		ck_assert_uint_ge(sleeps, VMB_LANE_TRIALS - 2);
	for (unsigned i = 0; i < 300; i++) /* and is not wanted again soon */
		l_send(&a, &b, 8);
	ck_assert_int_eq(peer->lane_on, _i > 0);
	ck_assert_int_eq(peer->lane_out != NULL, _i > 0);
}
END_TEST

/* The thread in the background sleeps while nobody waits for a message. */
START_TEST(sleeps_that_are_not_weighed_do_not_count)
{
	l_bring_up(&a, &b);
	vmb_am_weigh_lanes(&b.am, false);
	for (unsigned i = 0; i < 2 * VMB_LANE_TRIALS; i++) {
		l_send(&a, &b, 8);
		while (vmb_am_arm(&b.am, VMB_AM_SLEEP_FD))
			vmb_am_poll(&b.am, 16);
		vmb_am_disarm(&b.am);
	}
	vmb_am_weigh_lanes(&b.am, true);
	l_send(&a, &b, 8);
	while (vmb_am_arm(&b.am, VMB_AM_SLEEP_FD))
		vmb_am_poll(&b.am, 16);
	vmb_am_disarm(&b.am);
	t_nic_settle();
	vmb_am_poll(&a.am, 16);
	ck_assert(t_end_peer(&a, &b)->lane_on);
}
END_TEST

/* Of the lanes of all these to b. */
static unsigned count_hot(struct t_end *many, unsigned count)
{
	unsigned hot = 0;

	for (unsigned i = 0; i < count; i++)
		hot += l_in_of(&b, &many[i])->hot;
	return hot;
}

START_TEST(silent_lanes_become_cold)
{
	static struct t_end many[12];

	vmb_am_set_lanes(&b.am, 64, VMB_LANE_AFTER);
	for (unsigned i = 0; i < vmb_array_size(many); i++) {
		t_end_open(&many[i], NULL, NULL);
		vmb_am_set_lanes(&many[i].am, 1, VMB_LANE_AFTER);
	}
	for (unsigned i = 0; i < vmb_array_size(many); i++) {
		while (!t_end_peer(&many[i], &b)->lane_on) {
			memset(b.received, 0, sizeof(b.received));
			b.received[0] = many[i].sent[0];
			l_send(&many[i], &b, 8);
		}
	}
	t_ends_until(count_hot(many, vmb_array_size(many)) <= 4, &b);
	for (unsigned i = 0; i < 20000; i++) /* and that many stay so */
		vmb_am_poll(&b.am, 16);
	ck_assert_uint_eq(count_hot(many, vmb_array_size(many)), 4);
	for (unsigned i = 0; i < vmb_array_size(many); i++) {
		b.received[0] = many[i].sent[0];
		l_send(&many[i], &b, 8);
	}
	for (unsigned i = 0; i < vmb_array_size(many); i++)
		t_end_close(&many[i], 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lane");
	TCase *tc = l_case(s, "life");

	tcase_add_loop_test(tc, lane_comes_up_and_carries_every_length, 0, 2);
	tcase_add_loop_test(tc, pieces_are_gathered_alike_both_ways, 0, 2);
	tcase_add_test(tc, lane_to_oneself_works);
	tcase_add_loop_test(tc, order_holds_across_the_switch, 0, 40);
	tcase_add_loop_test(tc, order_holds_while_lanes_come_and_go, 0, 20);
	tcase_add_loop_test(tc, refused_lane_leaves_the_engine, 0, 2);
	tcase_add_test(tc, silent_daemon_delays_nothing);
	tcase_add_loop_test(tc, peer_goes_before_its_lane_is_there, 0, 2);
	tcase_add_test(tc, lane_is_wanted_with_the_message_that_was_chosen);
	tcase_add_test(tc, no_lane_where_none_are_wanted);
	tcase_add_loop_test(tc, silent_lane_gives_way_to_another, 0, 2);
	tcase_add_test(tc, all_of_a_closed_peer_arrives_before_its_end);
	tcase_add_test(tc, what_waits_for_a_closed_receiver_comes_back);
	tcase_add_test(tc, last_word_to_a_forgotten_peer_goes_with_it);
	tcase_add_test(tc, message_by_lane_is_from_a_peer_that_is_known);
	tc = l_case(s, "room");
	tcase_add_loop_test(tc, full_lane_holds_back_and_loses_nothing, 0, 2);
	tcase_add_test(tc, stream_is_looked_for_less_often);
	tcase_add_test(tc, questions_are_looked_for_at_once);
	tcase_add_test(tc, lines_of_the_next_question_are_owned);
	tcase_add_test(tc, message_of_a_third_is_no_answer);
	tcase_add_test(tc, lines_that_are_not_read_yet_are_left_alone);
	tcase_add_test(tc, ended_lane_takes_what_waits);
	tcase_add_test(tc, message_behind_a_fence_waits_for_it);
	tc = l_case(s, "sleep");
	tcase_add_test(tc, sleeping_receiver_is_told_once);
	tcase_add_test(tc, arm_refuses_when_the_lane_has_something);
	tcase_add_test(tc, arm_refuses_in_a_pass);
	tcase_add_test(tc, sender_may_sleep_beside_an_open_fence);
	tcase_add_test(tc, sleeping_sender_is_told_of_room);
	tcase_add_loop_test(tc, lane_ends_when_it_is_slept_beside, 0, 3);
	tcase_add_test(tc, sleeps_that_are_not_weighed_do_not_count);
	tcase_add_test(tc, silent_lanes_become_cold);
	return t_run(s);
}
