// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_am_lies.c - events that no honest engine writes. Each ends the
 * endpoint with -EIO or changes nothing; none crashes, or reaches a handler.
 *
 * Flow:  the test writes the event queue and the control page in the engine's
 *        place; the engine is stepped, and never is.
 * Owns:  one endpoint, and the producer side of its event queue.
 * Trust: that of lib/am is what is tested.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "am/internal.h"
#include "support/inproc.h"
#include "support/run.h"

#define PEER VMB_HANDLE(7, 1)
#define RX 8192u
#define TX 4096u

static struct vmb_port *port;
static struct vmb_am am;
static struct vmb_ring engine; /* producer of events */
static unsigned arrived, undelivered, gone, done;
static volatile unsigned sum;

static void look_at(const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += ((const uint8_t *)data)[i];
}

static void on_arrival(struct vmb_am *a, const struct vmb_am_arrival *arrival,
		       void *arg)
{
	(void)a;
	(void)arg;
	arrived++;
	look_at(arrival->data, arrival->len);
}

static void on_undelivered(struct vmb_am *a,
			   const struct vmb_am_arrival *arrival, unsigned id,
			   int code, void *arg)
{
	(void)a;
	(void)id;
	(void)arg;
	ck_assert_int_lt(code, 0);
	undelivered++;
	look_at(arrival->data, arrival->len);
}

static void on_gone(struct vmb_am *a, struct vmb_peer *peer, void *arg)
{
	(void)a;
	(void)peer;
	(void)arg;
	gone++;
}

static void on_done(struct vmb_am *a, int code, uint64_t moved, void *arg)
{
	(void)a;
	(void)code;
	(void)moved;
	(void)arg;
	done++;
}

static void setup(void)
{
	static const struct vmb_geometry g = {
		.eq_slots = 64, .rx_bytes = RX, .tx_bytes = TX};

	arrived = undelivered = gone = done = 0;
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 16});
	ck_assert_int_eq(t_port_inproc.open(NULL, NULL, &port), 0);
	ck_assert_int_eq(vmb_am_init(&am, port, VMB_ID_ANY, 0, &g,
				     on_undelivered, on_gone, NULL),
			 0);
	for (unsigned id = 0; id < VMB_AM_ID_COUNT; id++)
		vmb_am_bind(&am, id, on_arrival, NULL);
	vmb_ring_init(&engine, (char *)am.pep.area + VMB_AREA_EQ, g.eq_slots,
		      0);
}

static void teardown(void)
{
	vmb_am_fini(&am, 0);
	t_port_inproc.close(port);
	t_nic_stop();
}

static void say(const struct vmb_slot *slot)
{
	vmb_ring_commit(&engine, slot);
}

static void assert_faulted(void)
{
	struct vmb_segment none = {0};

	ck_assert_int_eq(vmb_am_poll(&am, 16), -EIO);
	ck_assert_int_eq(am.error, -EIO);
	ck_assert_int_eq(vmb_am_poll(&am, 16), -EIO);
	ck_assert_int_eq(vmb_am_arm(&am, VMB_AM_SLEEP_FD), -EIO);
	ck_assert_int_eq(vmb_am_post(&am, vmb_am_peer(&am, PEER), 0, 0, &none,
				     1, 0, 0, VMB_AM_QUEUE),
			 -EIO);
	ck_assert_uint_eq(arrived + undelivered + gone + done, 0);
}

/* ---- slots that are wrong by themselves ------------------------------------ */

#define ARRIVE(...)                                            \
	{                                                      \
		.op = VMB_EV_ARRIVE, .peer = PEER, __VA_ARGS__ \
	}
#define BOUNCE(...)                                                            \
	{                                                                      \
		.op = VMB_EV_BOUNCE, .peer = PEER, .status = VMB_CODE_NO_ROOM, \
		__VA_ARGS__                                                    \
	}

static const struct vmb_slot lies[] = {
	{.op = 0},
	{.op = VMB_OP_SEND, .peer = PEER},
	{.op = VMB_EV_ARRIVE - 1, .peer = PEER},
	{.op = VMB_EV_FAULT + 1, .peer = PEER},
	{.op = 0xff, .peer = PEER},
	{.op = VMB_EV_FAULT},
	ARRIVE(.flags = 0x08),
	ARRIVE(.flags = 0x80),
	ARRIVE(.flags = VMB_F_PAIR | VMB_F_BUF),
	ARRIVE(.len = VMB_INLINE_ONE + 1),
	ARRIVE(.len = 0xffff),
	ARRIVE(.flags = VMB_F_PAIR, .len = VMB_INLINE_PAIR + 1),
	ARRIVE(.flags = VMB_F_PAIR, .len = 50), /* no second slot */
	{.op = VMB_EV_ARRIVE, .peer = 0, .len = 1},
	BOUNCE(.len = VMB_INLINE_ONE + 1),
	BOUNCE(.flags = 0x08),
	{.op = VMB_EV_BOUNCE, .peer = PEER},	/* no reason */
	{.op = VMB_EV_DONE, .hdr = 0},		/* nothing was begun */
	{.op = VMB_EV_DONE, .hdr = 64},		/* past the table */
	{.op = VMB_EV_DONE, .hdr = 5ull << 32}, /* a use to come */
	{.op = VMB_EV_DONE, .hdr = 0xffffffffull},
};

START_TEST(wrong_slot_ends_the_endpoint)
{
	say(&lies[_i]);
	assert_faulted();
}
END_TEST

/* ---- payload that lies elsewhere --------------------------------------------- */

struct buf_lie {
	uint8_t op, flags;
	uint16_t slot_len;
	struct vmb_slot_buf buf;
};

static const struct buf_lie buf_lies[] = {
	{VMB_EV_ARRIVE, 0, 0, {.offset = 64, .len = 100}},
	{VMB_EV_ARRIVE, 0, 0, {.offset = RX, .len = 100}},
	{VMB_EV_ARRIVE, 0, 0, {.offset = -64ull, .len = 100}},
	{VMB_EV_ARRIVE, 0, 0, {.offset = 1ull << 32, .len = 100}},
	{VMB_EV_ARRIVE, 0, 0, {.key = VMB_KEY_TX, .len = 100}},
	{VMB_EV_ARRIVE, 0, 0, {.len = 0}},
	{VMB_EV_ARRIVE, 0, 0, {.len = RX / 2 + 1}},
	{VMB_EV_ARRIVE, 0, 0, {.len = VMB_BUF_MAX + 1}},
	{VMB_EV_ARRIVE, 0, 0, {.len = 0xffffffffu}},
	{VMB_EV_ARRIVE, 0, 100, {.len = 100}},
	{VMB_EV_BOUNCE, 0, 0, {.offset = 0, .len = 100}}, /* key */
	{VMB_EV_BOUNCE, 0, 0, {VMB_KEY_TX, TX - 99, 100, 0}},
	{VMB_EV_BOUNCE, 0, 0, {VMB_KEY_TX, TX + 1, 100, 0}},
	{VMB_EV_BOUNCE, 0, 0, {VMB_KEY_TX, -50ull, 100, 0}},
	{VMB_EV_BOUNCE, 0, 0, {VMB_KEY_TX, 0, TX + 1, 0}},
	{VMB_EV_BOUNCE, 0, 0, {VMB_KEY_TX, 0, 0, 0}},
};

START_TEST(wrong_buffer_ends_the_endpoint)
{
	const struct buf_lie *l = &buf_lies[_i];
	struct vmb_slot slot = {
		.op = l->op,
		.flags = l->flags | VMB_F_BUF,
		.len = l->slot_len,
		.peer = PEER,
		.status = l->op == VMB_EV_BOUNCE ? VMB_CODE_NO_ROOM : 0};

	vmb_am_peer(&am, PEER);
	memcpy(slot.payload, &l->buf, sizeof(l->buf));
	say(&slot);
	assert_faulted();
}
END_TEST

START_TEST(placement_of_one_lap_ago_ends_the_endpoint)
{
	struct vmb_slot_buf buf = {.len = 3000};
	struct vmb_slot slot = ARRIVE(.flags = VMB_F_BUF);

	memcpy(slot.payload, &buf, sizeof(buf));
	say(&slot);
	ck_assert_int_eq(vmb_am_poll(&am, 16), 1);
	arrived = 0;
	say(&slot); /* where the first was */
	assert_faulted();
}
END_TEST

/* ---- words ---------------------------------------------------------------------- */

START_TEST(seq_of_the_future_ends_the_endpoint)
{
	engine.slots[0].seq = 2;
	assert_faulted();
}
END_TEST

static int post_one(void)
{
	struct vmb_segment s = {.ptr = (char[8]){0}, .len = 8};

	return vmb_am_post(&am, vmb_am_peer(&am, PEER), 0, 0, &s, 1, 0, 8,
			   VMB_AM_TRY);
}

/* looped: progress ahead by 1, by half of the positions, backwards */
START_TEST(impossible_progress_ends_the_endpoint)
{
	static const uint32_t ahead[] = {1, 1u << 31, 0u - 64u - 1u};

	for (unsigned i = 0; i < VMB_DOORBELL_SLOTS; i++)
		ck_assert_int_eq(post_one(), 0);
	ck_assert_int_eq(post_one(), -EAGAIN);
	vmb_publish(&am.ctl->progress, am.doorbell.pos + ahead[_i]);
	ck_assert_int_eq(post_one(), -EIO);
	assert_faulted();
}
END_TEST

START_TEST(faulted_state_is_noticed)
{
	int rc = 0;

	vmb_store_relaxed(&am.ctl->state, VMB_STATE_FAULTED);
	for (unsigned i = 0; i <= 65536 && !rc; i++)
		rc = vmb_am_poll(&am, 16);
	ck_assert_int_eq(rc, -EIO);
}
END_TEST

/* ---- what is odd but hurts nobody -------------------------------------------------- */

START_TEST(word_about_a_stranger_is_ignored)
{
	struct vmb_slot slot = BOUNCE(.len = 8);

	say(&slot);
	slot.op = VMB_EV_ROOM;
	say(&slot);
	slot.op = VMB_EV_GONE;
	say(&slot);
	ck_assert_int_eq(vmb_am_poll(&am, 16), 3);
	ck_assert_ptr_null(vmb_am_find_peer(&am, PEER));
	ck_assert_uint_eq(gone + undelivered, 0);
}
END_TEST

START_TEST(room_without_bounce_is_ignored)
{
	struct vmb_peer *peer = vmb_am_peer(&am, PEER);

	say(&(struct vmb_slot){.op = VMB_EV_ROOM, .peer = PEER});
	ck_assert_int_eq(vmb_am_poll(&am, 16), 1);
	ck_assert(!peer->blocked && !peer->resume);
	ck_assert_int_eq(post_one(), 0);
}
END_TEST

START_TEST(repeated_end_of_a_transfer_is_counted)
{
	struct vmb_slot slot = {.op = VMB_EV_DONE};

	for (int use = 1; use <= 2; use++) {
		ck_assert_int_eq(vmb_am_rdma(&am, VMB_OP_FENCE, NULL, NULL,
					     on_done, NULL, VMB_AM_TRY),
				 0);
		if (use == 2) {
			say(&slot); /* of the use before, while this runs */
			ck_assert_int_eq(vmb_am_poll(&am, 16), 1);
			ck_assert_uint_eq(done, 1);
		}
		slot.hdr = vmb_pack(0, (uint32_t)use);
		say(&slot);
		say(&slot);
		ck_assert_int_eq(vmb_am_poll(&am, 16), 2);
		ck_assert_uint_eq(done, use);
	}
	ck_assert_uint_eq(am.counters.repeated, 3);
}
END_TEST

/* ---- send buffers, whose bytes must outlive their bounces ------------------------- */

static int post_half_of_buffers(uint32_t to)
{
	static char data[TX / 2];
	struct vmb_segment s = {.ptr = data, .len = sizeof(data)};

	return vmb_am_post(&am, vmb_am_peer(&am, to), 0, 0, &s, 1, 0, s.len,
			   VMB_AM_TRY);
}

START_TEST(buffers_wait_for_events_before_progress)
{
	ck_assert_int_eq(post_half_of_buffers(PEER), 0);
	ck_assert_int_eq(post_half_of_buffers(PEER), 0);
	ck_assert_int_eq(post_half_of_buffers(PEER), -EAGAIN);
	/* both were taken, but an event that may be a bounce is unread */
	say(&(struct vmb_slot){.op = VMB_EV_ROOM, .peer = PEER});
	vmb_publish(&am.ctl->progress, vmb_pack(2, 1));
	ck_assert_int_eq(post_half_of_buffers(PEER), -EAGAIN);
	ck_assert_int_eq(vmb_am_poll(&am, 16), 1);
	ck_assert_int_eq(post_half_of_buffers(PEER), 0);
}
END_TEST

START_TEST(mark_is_not_taken_from_an_overwritten_entry)
{
	ck_assert_int_eq(post_one(), 0);
	vmb_publish(&am.ctl->progress, vmb_pack(1, 1));
	vmb_am_refresh(&am); /* to be reached after one event */
	ck_assert_int_eq(post_one(), 0);
	vmb_publish(&am.ctl->progress, vmb_pack(2, 1));
	vmb_am_refresh(&am);
	for (unsigned i = 0; i < VMB_DOORBELL_SLOTS - 2; i++)
		ck_assert_int_eq(post_one(), 0);
	ck_assert_int_eq(post_half_of_buffers(PEER), 0);
	ck_assert_int_eq(post_half_of_buffers(PEER), 0);
	say(&(struct vmb_slot){.op = VMB_EV_ROOM, .peer = PEER});
	ck_assert_int_eq(vmb_am_poll(&am, 16), 1);
	vmb_am_refresh(&am);
	ck_assert_uint_eq(am.settled, 1);
	ck_assert_uint_eq(am.tx_free, 0);
}
END_TEST

/* ---- at random ------------------------------------------------------------------- */

static void random_bytes(void *dst, size_t len, unsigned *seed)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)dst)[i] = (uint8_t)(rand_r(seed) >> 8);
}

/* Mostly valid, so that the deeper checks are reached. */
static void say_something(unsigned *seed)
{
	struct vmb_slot_ext ext;
	struct vmb_slot slot;
	struct vmb_slot_buf buf = {.len = (uint32_t)rand_r(seed) % 5000,
				   .key = (uint64_t)rand_r(seed) % 2};

	random_bytes(&slot, sizeof(slot), seed);
	random_bytes(&ext, sizeof(ext), seed);
	slot.op = (uint8_t)(VMB_EV_ARRIVE + rand_r(seed) % 5);
	slot.flags &= rand_r(seed) % 8 ? 7 : 0xff;
	slot.peer = VMB_HANDLE(rand_r(seed) % 4, 1 + rand_r(seed) % 4);
	slot.status %= VMB_CODE_COUNT + 1;
	slot.len %= 110;
	if (slot.op == VMB_EV_DONE)
		slot.hdr = vmb_pack((uint32_t)rand_r(seed) % 65,
				    (uint32_t)rand_r(seed) % 3);
	if (slot.flags & VMB_F_BUF) {
		buf.offset = rand_r(seed) % 2 ? am.rx_pos & (RX - 1)
					      : (uint64_t)rand_r(seed);
		slot.len = 0;
		memcpy(slot.payload, &buf, sizeof(buf));
	}
	if (rand_r(seed) % 4 && (slot.flags & VMB_F_PAIR))
		vmb_ring_commit_pair(&engine, &slot, &ext);
	else
		say(&slot);
}

START_TEST(random_events_never_crash)
{
	unsigned seed = (unsigned)_i, errors = 0;

	for (unsigned n = 0; n < 20000; n++) {
		int rc;

		say_something(&seed);
		if (rand_r(&seed) % 4 == 0)
			post_one();
		rc = vmb_am_poll(&am, 16);
		ck_assert(rc >= 0 || rc == -EIO);
		if (rc >= 0)
			continue;
		errors++; /* go on as if it had not been */
		am.error = 0;
		am.events.pos = engine.pos;
	}
	ck_assert_uint_gt(errors, 0);
	ck_assert_uint_gt(arrived, 0);
	ck_assert_uint_gt(undelivered, 0);
	ck_assert_uint_gt(gone, 0);
}
END_TEST

static Suite *lies_suite(void)
{
	Suite *s = suite_create("am_lies");
	TCase *tc = tcase_create("engine");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, wrong_slot_ends_the_endpoint, 0,
			    vmb_array_size(lies));
	tcase_add_loop_test(tc, wrong_buffer_ends_the_endpoint, 0,
			    vmb_array_size(buf_lies));
	tcase_add_test(tc, placement_of_one_lap_ago_ends_the_endpoint);
	tcase_add_test(tc, seq_of_the_future_ends_the_endpoint);
	tcase_add_loop_test(tc, impossible_progress_ends_the_endpoint, 0, 3);
	tcase_add_test(tc, faulted_state_is_noticed);
	tcase_add_test(tc, word_about_a_stranger_is_ignored);
	tcase_add_test(tc, room_without_bounce_is_ignored);
	tcase_add_test(tc, repeated_end_of_a_transfer_is_counted);
	tcase_add_test(tc, buffers_wait_for_events_before_progress);
	tcase_add_test(tc, mark_is_not_taken_from_an_overwritten_entry);
	tcase_add_loop_test(tc, random_events_never_crash, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return t_run(lies_suite());
}
