// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_lane_liar.c - lanes with the other side lying in every word it can
 * write.
 *
 * Flow:  test -> words of the lane's memory -> lib/am -> who lied is gone
 * Owns:  nothing; see lane_ends.h.
 * Trust: nobody; c goes on beside the liars.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lane_ends.h"
#include "support/run.h"

/* ---- a sender that lies -------------------------------------------------------------- */

/* What the sender writes where its next slot goes. */
static const struct lie {
	struct vmb_slot slot; /* seq: added to the right one */
	struct vmb_slot_buf buf;
	unsigned code;
} sender_lies[] = {
	{.slot = {.seq = 1, .op = VMB_EV_ARRIVE}, .code = VMB_CODE_BAD_SEQ},
	{.slot = {.seq = 0x80000000, .op = VMB_EV_ARRIVE},
	 .code = VMB_CODE_BAD_SEQ},
	{.slot = {.op = VMB_EV_GONE}, .code = VMB_CODE_BAD_OP},
	{.slot = {.op = VMB_OP_SEND}, .code = VMB_CODE_BAD_OP},
	{.slot = {.op = VMB_EV_ARRIVE, .peer = 1}, .code = VMB_CODE_BAD_OP},
	{.slot = {.op = VMB_EV_ARRIVE, .status = 1}, .code = VMB_CODE_BAD_OP},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_RESUME},
	 .code = VMB_CODE_BAD_FLAGS},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = 0x80},
	 .code = VMB_CODE_BAD_FLAGS},
	{.slot = {.op = VMB_EV_ARRIVE, .len = VMB_INLINE_ONE + 1},
	 .code = VMB_CODE_BAD_LENGTH},
	{.slot = {.op = VMB_EV_ARRIVE, .len = 0xffff},
	 .code = VMB_CODE_BAD_LENGTH},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_PAIR, .len = 50},
	 .code = VMB_CODE_BAD_LENGTH}, /* without its extension */
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF, .len = 1},
	 .buf = {.len = 100},
	 .code = VMB_CODE_BAD_RANGE},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF},
	 .buf = {.len = 0},
	 .code = VMB_CODE_BAD_RANGE},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF},
	 .buf = {.len = VMB_INLINE_PAIR},
	 .code = VMB_CODE_BAD_RANGE},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF},
	 .buf = {.len = VMB_BUF_MAX + 1},
	 .code = VMB_CODE_BAD_RANGE},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF},
	 .buf = {.len = 100, .offset = 64},
	 .code = VMB_CODE_BAD_RANGE},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF},
	 .buf = {.len = 100, .offset = 1ull << 40},
	 .code = VMB_CODE_BAD_RANGE},
	{.slot = {.op = VMB_EV_ARRIVE, .flags = VMB_F_BUF},
	 .buf = {.len = 100, .key = 1},
	 .code = VMB_CODE_BAD_RANGE},
};

START_TEST(sender_that_lies_is_found_out)
{
	const struct lie *lie = &sender_lies[_i];
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	struct vmb_slot slot = lie->slot;

	l_bring_up(&c, &b); /* who goes on */
	memcpy(slot.payload, &lie->buf, sizeof(lie->buf));
	vmb_slot_store(&out->ring.slots[out->ring.pos & out->ring.mask], &slot,
		       out->ring.pos + 1 + lie->slot.seq, VMB_SLOT_BYTES);
	t_ends_until(b.am.counters.lane_lies == 1, &b);
	ck_assert_uint_eq(b.gone, 1);
	ck_assert_ptr_eq(b.gone_peer, t_end_peer(&b, &a));
	ck_assert_uint_eq(t_port_lane_reason(), lie->code);
	ck_assert_int_eq(b.am.error, 0);
	ck_assert_int_eq(t_end_post(&b, &a, 0, 8, VMB_AM_TRY), -ECONNRESET);
	l_send(&c, &b, 100);
}
END_TEST

/* Where a glance sees it, or the pass that the glance gives way to. */
START_TEST(answer_that_is_a_lie_is_found_out)
{
	const struct lie *lie = &sender_lies[_i];
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	struct vmb_slot slot = lie->slot;

	l_send(&b, &a, 8); /* to be answered */
	l_bring_up(&c, &b);
	memcpy(slot.payload, &lie->buf, sizeof(lie->buf));
	vmb_slot_store(&out->ring.slots[out->ring.pos & out->ring.mask], &slot,
		       out->ring.pos + 1 + lie->slot.seq, VMB_SLOT_BYTES);
	b.am.lanes.watch = &l_in_of(&b, &a)->ring;
	if (vmb_am_take_answer(&b.am))
		ck_assert_uint_eq(b.am.counters.lane_lies, 1);
	ck_assert_int_ge(vmb_am_poll(&b.am, 16), 0);
	ck_assert_uint_eq(b.am.counters.lane_lies, 1);
	ck_assert_ptr_eq(b.gone_peer, t_end_peer(&b, &a));
	ck_assert_uint_eq(t_port_lane_reason(), lie->code);
	ck_assert_int_eq(b.am.error, 0);
	l_send(&c, &b, 100);
}
END_TEST

/* Its last messages are taken when its successor is met; a lie is among them. */
START_TEST(liar_that_is_replaced_is_gone_once)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	uint32_t handle = a.am.pep.handle;
	struct vmb_slot slot = {.op = VMB_EV_GONE};

	l_post(&a, &b);
	vmb_slot_store(&out->ring.slots[out->ring.pos & out->ring.mask], &slot,
		       out->ring.pos + 1, VMB_SLOT_BYTES);
	vmb_am_peer(&b.am, VMB_HANDLE(VMB_HANDLE_INDEX(handle),
				      VMB_HANDLE_GEN(handle) + 1));
	ck_assert_uint_eq(b.received[0], a.sent[0]);
	ck_assert_uint_eq(b.am.counters.lane_lies, 1);
	ck_assert_uint_eq(b.gone, 1);
}
END_TEST

static void end_sender(struct vmb_am *am, const struct vmb_am_arrival *arrival,
		       void *arg)
{
	(void)arg;
	vmb_am_forget_peer(am, arrival->peer, -ECANCELED);
	vmb_peer_gone(am, arrival->peer); /* frees it */
}

/* Its lane stays mapped until the pass is over; the peer does not stay. */
START_TEST(handler_may_end_the_sender)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);

	/* room is wanted, so that the end of the message would be told */
	vmb_store_relaxed(&out->ctl->room_arm, 77);
	vmb_am_bind(&b.am, 9, end_sender, NULL);
	for (unsigned i = 0; i < 63; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 9, 8, VMB_AM_TRY), 0);
	ck_assert_int_ge(vmb_am_poll(&b.am, 128), 0);
	ck_assert_ptr_null(vmb_am_find_peer(&b.am, a.am.pep.handle));
	ck_assert(vmb_list_empty(&b.am.lanes.hot));
}
END_TEST

/* ---- a receiver that lies ------------------------------------------------------------- */

START_TEST(receiver_that_lies_is_found_out)
{
	static const uint64_t lies[] = {
		1000,		/* ahead */
		0,		/* backwards */
		0x100000000ull, /* bytes that were never sent */
		0x80000000,
	};
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	int rc = 0;

	/* so that 0 is behind what was seen: the lane was round once */
	for (unsigned i = 0; i < 600; i++)
		l_send(&a, &b, 8);
	vmb_store_relaxed(&out->ctl->consumed,
			  lies[_i] ? vmb_pack(out->ring.pos, 0) + lies[_i] : 0);
	for (unsigned i = 0; i < 1000 && !rc; i++)
		rc = t_end_post(&a, &b, 1, 8, VMB_AM_TRY);
	/* nobody is ended under who posts */
	ck_assert_int_eq(rc, -EAGAIN);
	ck_assert_uint_eq(a.gone, 0);
	ck_assert_int_eq(t_end_post(&a, &b, 1, 8, VMB_AM_QUEUE), 0);
	ck_assert_int_ge(vmb_am_poll(&a.am, 16), 0);
	ck_assert_uint_eq(a.undelivered[1], 1);
	ck_assert_int_eq(t_end_post(&a, &b, 1, 8, VMB_AM_TRY), -ECONNRESET);
	ck_assert_uint_eq(a.gone, 1);
	ck_assert_int_eq(a.am.error, 0);
	a.sent[0] = 0;
	l_send(&a, &c, 8);
}
END_TEST

/* Its own messages count, though nobody looks for them at the moment. */
START_TEST(what_a_liar_sent_before_arrives)
{
	struct vmb_lane_out *back = l_bring_up(&b, &a);
	uint32_t sent;

	l_bring_up(&a, &b);
	for (unsigned i = 0; i < 20; i++)
		l_post(&a, &b);
	sent = a.sent[0];
	vmb_store_relaxed(&back->ctl->consumed,
			  vmb_pack(back->ring.pos + 1000, 0));
	while (t_end_post(&b, &a, 1, 8, VMB_AM_TRY) != -EAGAIN)
		ck_assert_uint_lt(b.sent[1], 1000);
	l_in_of(&b, &a)->rest_until = UINT64_MAX;
	ck_assert_int_ge(vmb_am_poll(&b.am, 16), 0);
	ck_assert_uint_eq(b.gone, 1);
	ck_assert_uint_eq(b.received[0], sent);
}
END_TEST

/* ---- anything at all -------------------------------------------------------------------- */

static void ignore(struct vmb_am *am, const struct vmb_am_arrival *arrival,
		   void *arg)
{
	uint32_t *sum = arg;

	(void)am;
	for (size_t i = 0; i < arrival->len; i++)
		*sum += ((const uint8_t *)arrival->data)[i];
}

/*
 * Random words at random places, both sides' halves alike, while messages go
 * both ways. Neither side crashes or ends, and a third pair notices nothing.
 */
START_TEST(random_words_harm_nobody_else)
{
	struct vmb_lane_out *out = l_bring_up(&a, &b);
	uint32_t *words = out->memory.base, sum = 0;
	size_t count = VMB_LANE_LEN(out->memory.slots, out->memory.bytes) / 4;
	unsigned seed = (unsigned)_i;

	l_bring_up(&a, &c);
	for (unsigned id = 0; id < VMB_AM_LANE_ID; id++)
		vmb_am_bind(&b.am, id, ignore, &sum);
	for (unsigned step = 0; step < 3000 && !b.gone && !a.gone; step++) {
		size_t at = (size_t)rand_r(&seed);
		uint32_t value = (uint32_t)rand_r(&seed);

		/* half of them near the positions, where they matter */
		at = value & 1 ? at % 64
		     : value & 2
			     ? 1024 + (b.am.lanes.passes + at % 8) * 16 % 4096
			     : at % count;
		vmb_store_relaxed(&words[at % count],
				  value & 4 ? value >> 3 : value >> 3 & 0xff);
		t_end_post(&a, &b, 0, value % 300, VMB_AM_TRY);
		vmb_am_poll(&b.am, 4);
		vmb_am_poll(&a.am, 4);
		t_nic_breathe();
	}
	ck_assert_int_eq(a.am.error, 0);
	ck_assert_int_eq(b.am.error, 0);
	a.sent[0] = c.received[0];
	l_send(&a, &c, 200);
}
END_TEST

START_TEST(words_out_of_place_are_ignored)
{
	uint64_t hdr = (uint64_t)_i;

	l_bring_up(&a, &b);
	for (unsigned len = 0; len <= 40; len += 4) {
		static const uint8_t zeros[40];
		struct vmb_segment s = {(void *)(uintptr_t)zeros, len};

		/* from a stranger, and from somebody with a lane */
		ck_assert_int_eq(vmb_am_send_now(&c.am, t_end_peer(&c, &b),
						 VMB_AM_LANE_ID, hdr, &s, 1, 0,
						 len),
				 0);
		if (hdr != VMB_LANE_OFF && hdr != VMB_LANE_END)
			ck_assert_int_eq(vmb_am_send_now(&a.am,
							 t_end_peer(&a, &b),
							 VMB_AM_LANE_ID, hdr,
							 &s, 1, 0, len),
					 0);
		t_nic_settle();
		vmb_am_poll(&b.am, 64);
	}
	l_send(&a, &b, 8);
	ck_assert_int_eq(t_end_post(&c, &b, 1, 8, VMB_AM_TRY), 0);
	t_ends_until(b.received[1] == 1, &b, &c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lane_liar");
	TCase *tc = l_case(s, "liar");

	tcase_add_loop_test(tc, sender_that_lies_is_found_out, 0,
			    (int)vmb_array_size(sender_lies));
	tcase_add_loop_test(tc, answer_that_is_a_lie_is_found_out, 0,
			    (int)vmb_array_size(sender_lies));
	tcase_add_test(tc, liar_that_is_replaced_is_gone_once);
	tcase_add_test(tc, handler_may_end_the_sender);
	tcase_add_loop_test(tc, receiver_that_lies_is_found_out, 0, 4);
	tcase_add_test(tc, what_a_liar_sent_before_arrives);
	tcase_add_loop_test(tc, random_words_harm_nobody_else, 0, 60);
	tcase_add_loop_test(tc, words_out_of_place_are_ignored, 0, 12);
	return t_run(s);
}
