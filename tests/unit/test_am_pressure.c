// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_am_pressure.c - receivers that do not read, and what must still hold:
 * nothing is lost, order is kept, others are not held up.
 *
 * Flow:  as test_am.c; most tests step the engine, so that they decide when
 *        descriptors are taken and in what state a bounce finds its sender.
 * Owns:  three ends: a sends, b is slow, c is quick.
 * Trust: see support/ends.h.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic/engine.h"
#include "support/ends.h"
#include "support/run.h"

static struct t_end a, b, c;

static const struct vmb_geometry small = {
	.eq_slots = 64, .rx_bytes = 8192, .tx_bytes = 8192};

static void start(unsigned threads, uint32_t first_position)
{
	t_nic_start(&(struct vmb_nic_config){.threads = threads,
					     .endpoints_max = 16,
					     .spin_us = 100,
					     .first_position = first_position});
	t_end_open(&a, NULL, &small);
	t_end_open(&b, NULL, &small);
	t_end_open(&c, NULL, &small);
}

static void setup_stepped(void)
{
	start(0, 0);
}

/* a and c belong to engine 0, b to engine 1. */
static void setup_two_stepped(void)
{
	t_nic_start_stepped(&(struct vmb_nic_config){.endpoints_max = 16,
						     .spin_us = 100},
			    2);
	t_end_open(&a, NULL, &small);
	t_end_open(&b, NULL, &small);
	t_end_open(&c, NULL, &small);
}

static void setup_threads(void)
{
	start(2, 0);
}

/* 2^32 lies a few descriptors and events ahead. */
static void setup_near_wrap(void)
{
	start(1, 0u - 128u);
}

static void teardown(void)
{
	t_end_close(&a, 0);
	t_end_close(&b, 0);
	t_end_close(&c, 0);
	t_nic_stop();
}

/* Inline, pair and buffered lengths, mixed but always the same. */
static size_t mixed(uint32_t number)
{
	static const size_t lens[] = {8, 0, 41, 700, 96, 97, 40, 2000, 1};

	return lens[number % vmb_array_size(lens)];
}

static void queue_many(struct t_end *to, unsigned stream, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(t_end_post(&a, to, stream,
					    mixed(a.sent[stream]),
					    VMB_AM_QUEUE),
				 0);
}

/* ---- a receiver that does not read ------------------------------------------ */

START_TEST(slow_receiver_gets_all_in_order)
{
	queue_many(&b, 0, 1000);
	/* b does not read; an engine of its own thread takes its time */
	t_ends_until(a.am.counters.bounced > 0, &a);
	ck_assert_uint_gt(a.am.kept, 0);
	t_ends_until(b.received[0] == 1000, &a, &b);
	ck_assert_uint_eq(a.am.kept, 0);
	ck_assert_uint_eq(a.am.counters.resumed, a.am.counters.bounced);
}
END_TEST

START_TEST(slow_receiver_does_not_hold_up_others)
{
	queue_many(&b, 0, 500);
	queue_many(&c, 1, 500);
	t_ends_until(c.received[1] == 500, &a, &c); /* b does not read */
	ck_assert_uint_eq(b.received[0], 0);
	t_ends_until(b.received[0] == 500, &a, &b);
}
END_TEST

/*
 * b has read all, and what tells the engine of it is noted by a delivery from c
 * before b itself is looked at: a is told nevertheless.
 */
START_TEST(room_that_another_sender_saw_first_is_told)
{
	uint64_t cold;

	for (unsigned i = 0; i < 200; i++) /* events run out, not buffers */
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), 0);
	t_ends_until(a.am.counters.bounced > 0, &a);
	cold = vmb_now_ns() + 2000000; /* 20 times spin_us */
	while (vmb_now_ns() < cold) {
		ck_assert_int_eq(t_end_post(&c, &c, 1, 8, VMB_AM_QUEUE), 0);
		t_ends_turn((struct t_end *[]){&c}, 1);
	}
	while (vmb_am_poll(&b.am, 64) > 0)
		;
	ck_assert_uint_eq(a.am.counters.resumed, 0);
	ck_assert_int_eq(t_end_post(&c, &b, 2, 8, VMB_AM_TRY), 0);
	t_ends_until(a.am.counters.resumed > 0, &a); /* b does not read */
}
END_TEST

static void post_short(struct t_end *from, struct t_end *to, unsigned stream,
		       unsigned count)
{
	while (count--)
		ck_assert_int_eq(t_end_post(from, to, stream, 8, VMB_AM_QUEUE),
				 0);
}

static void let_sleep(unsigned engine)
{
	uint64_t stop = vmb_now_ns() + 1000000000u;

	while (!t_nic_may_sleep_one(engine)) {
		ck_assert(vmb_now_ns() < stop);
		t_nic_breathe_one(engine);
	}
}

/*
 * c has room for b, whose own queue has none to say so just now, and whose
 * engine sleeps: when b has read, it is told.
 */
START_TEST(room_that_finds_no_room_is_told_later)
{
	post_short(&b, &c, 0, 200);
	t_ends_until(b.am.counters.bounced > 0, &b);
	t_ends_until(!vmb_am_poll(&b.am, 64), &b);
	post_short(&a, &b, 1, small.eq_slots - 4); /* arrivals leave 4 */
	t_nic_settle();
	ck_assert_uint_eq(b.received[1], 0);
	let_sleep(1);
	ck_assert_uint_eq(b.am.ctl->room_arm, 0);
	while (vmb_am_poll(&c.am, 64) > 0)
		;
	/* until its neighbour tells that there is something to watch */
	while (!vmb_load_relaxed(&t_nic()->engines[1].look_all))
		t_nic_breathe_one(0);
	ck_assert_uint_eq(a.am.counters.bounced, 0);
	t_nic_breathe_one(1);
	let_sleep(1);
	ck_assert_uint_ne(b.am.ctl->room_arm, 0);
	t_ends_until(b.am.counters.resumed > 0, &b);
	t_ends_until(c.received[0] == 200, &b, &c);
}
END_TEST

static struct vmb_nic_endpoint *inside(const struct t_end *e)
{
	return t_nic()->endpoints[VMB_HANDLE_INDEX(e->am.pep.handle)];
}

/*
 * One pass of engine 0 that begins with as many untold events as it can note:
 * the next one has it tell `waits`, whose client wants to hear of its next.
 */
static void breathe_full(const struct t_end *waits, const struct t_end *other)
{
	struct vmb_engine *engine = &t_nic()->engines[0];

	waits->am.ctl->event_arm++;
	for (unsigned i = 0; i < ENGINE_TOUCHED; i++)
		engine->touched[i] = inside(i % 2 ? other : waits);
	engine->touched_count = ENGINE_TOUCHED;
	t_nic_breathe_one(0);
}

/*
 * Events of an endpoint are told while another is written to it: its lock is
 * not taken twice.
 */
START_TEST(clients_are_told_with_no_lock_held)
{
	struct t_end *to[] = {&a, &b, &c};

	for (unsigned i = 0; i < 3; i++) {
		uint32_t pos = inside(to[i])->events.pos;

		post_short(&a, to[i], i, 1);
		while (inside(to[i])->events.pos == pos)
			breathe_full(to[i], to[(i + 1) % 3]);
		t_ends_until(to[i]->received[i] == 1, &a, to[i]);
	}
	post_short(&a, &b, 3, 200);
	while (!inside(&a)->stats->bounces)
		breathe_full(&a, &c);
	t_ends_until(b.received[3] == 200, &a, &b);
}
END_TEST

/*
 * An engine finds no room for a; before it asks to be told of any, b has read
 * all, its engine has told c, and b is idle. Then a is told all the same.
 */
START_TEST(room_that_came_before_it_was_asked_for_is_told)
{
	post_short(&c, &b, 0, 200);
	t_ends_until(c.am.counters.bounced > 0, &c);
	while (vmb_am_poll(&b.am, 64) > 0)
		;
	while (inside(&b)->watch_room || inside(&b)->hot)
		t_nic_breathe_one(1);
	ck_assert_uint_eq(vmb_load_relaxed(&b.am.ctl->consumed),
			  inside(&b)->room_seen);
	post_short(&a, &b, 1, 1);
	inside(&b)->active += small.eq_slots; /* as it was when it looked */
	while (!inside(&a)->stats->bounces)
		t_nic_breathe_one(0);
	inside(&b)->active -= small.eq_slots;
	ck_assert(!inside(&b)->hot);
	t_ends_until(a.am.counters.resumed > 0, &a); /* b does not read */
}
END_TEST

/*
 * Our own queue was full, and has room by the time the engine looks for those
 * who wait for it: so our descriptors are work again.
 */
START_TEST(own_room_ends_a_stall)
{
	post_short(&c, &b, 0, 200);
	t_ends_until(c.am.counters.bounced > 0, &c);
	post_short(&c, &a, 1, small.eq_slots - 4);
	t_ends_until(vmb_ring_room(&inside(&a)->events) == EVENTS_KEPT, &c);
	post_short(&a, &b, 2, 8);
	t_nic_settle();
	ck_assert(inside(&a)->stalled);
	while (vmb_ring_due(&a.am.events, 0, vmb_ring_seq(&a.am.events)))
		ck_assert_int_ge(vmb_am_poll(&a.am, 64), 0);
	vmb_events_room_again(inside(&a)->engine, inside(&a));
	ck_assert(!inside(&a)->stalled);
	t_ends_until(b.received[2] == 8, &a, &b);
}
END_TEST

/*
 * The same of what b is owed: c has room for it, which it could not be told, and
 * by the time that its engine has tried again in vain, all is read.
 */
START_TEST(own_room_is_for_what_is_owed)
{
	post_short(&b, &c, 0, 200);
	t_ends_until(b.am.counters.bounced > 0, &b);
	t_ends_until(!vmb_am_poll(&b.am, 64), &b);
	post_short(&a, &b, 1, small.eq_slots - 4);
	t_nic_settle();
	while (vmb_am_poll(&c.am, 64) > 0)
		;
	t_nic_settle();
	ck_assert_uint_gt(inside(&b)->owed, 0);
	while (vmb_ring_due(&b.am.events, 0, vmb_ring_seq(&b.am.events)))
		ck_assert_int_ge(vmb_am_poll(&b.am, 64), 0);
	vmb_events_room_again(inside(&b)->engine, inside(&b));
	ck_assert_uint_eq(vmb_load_relaxed(&inside(&b)->watch_room),
			  VMB_ROOM_ASKED);
	t_ends_until(b.am.counters.resumed > 0, &b);
}
END_TEST

/* Who waits for room at b need not wait until b is closed. */
START_TEST(waiting_for_a_faulted_receiver_ends)
{
	post_short(&a, &b, 0, small.eq_slots); /* the last few bounce */
	t_ends_until(a.am.counters.bounced > 0, &a);
	t_nic_settle();
	vmb_ring_commit(&b.am.doorbell, &(struct vmb_slot){.op = 99});
	b.am.port->ops->kick(&b.am.pep);
	t_ends_until(a.undelivered[0] > 0 && !a.am.kept, &a);
	ck_assert_int_eq(a.code, -ECONNRESET);
}
END_TEST

/*
 * Two of four cold endpoints are to be looked at, by one word to all. The last
 * one takes the place of the first of them when that is heated.
 */
START_TEST(look_at_all_misses_nobody)
{
	struct vmb_engine *engine = &t_nic()->engines[1];
	struct vmb_nic_endpoint *first, *last;
	struct t_end more[6];

	for (unsigned i = 0; i < vmb_array_size(more); i++)
		t_end_open(&more[i], NULL, &small);
	t_nic_settle();
	let_sleep(1);
	ck_assert_uint_eq(engine->cold_count, 4);
	engine->cold_next = 0;
	first = engine->cold[1];
	last = engine->cold[3];
	vmb_publish(&first->watch_room, VMB_ROOM_ASKED);
	vmb_publish(&last->watch_room, VMB_ROOM_ASKED);
	vmb_publish(&engine->look_all, 1);
	t_nic_breathe_one(1);
	ck_assert_uint_eq(vmb_load_relaxed(&first->watch_room),
			  VMB_ROOM_UNWATCHED);
	ck_assert_uint_eq(vmb_load_relaxed(&last->watch_room),
			  VMB_ROOM_UNWATCHED);
	for (unsigned i = 0; i < vmb_array_size(more); i++)
		t_end_close(&more[i], 0);
}
END_TEST

static uint32_t looks_of(struct vmb_engine *engine)
{
	engine->cold_next = 0;
	t_nic_breathe_one(engine->index);
	return engine->cold_next;
}

/* Behind each piece of work, not while its answer may come, then in turn. */
START_TEST(cold_ones_are_looked_at_when_no_answer_is_due)
{
	struct vmb_engine *engine = &t_nic()->engines[0];
	struct t_end more[10];
	uint32_t looks, breaths = 0;

	for (unsigned i = 0; i < vmb_array_size(more); i++)
		t_end_open(&more[i], NULL, &small);
	for (unsigned round = 0; round < 5; round++) {
		engine->quiet = ENGINE_QUIET;
		post_short(&a, &c, round, 1);
		do {
			engine->cold_next = breaths % engine->cold_count;
			t_nic_breathe_one(0);
			ck_assert_uint_lt(++breaths, 1000);
		} while (engine->quiet);
		post_short(&a, &c, round, 1); /* which is hot now */
		ck_assert_uint_eq(looks_of(engine), ENGINE_COLD_LOOKS);
		for (unsigned i = 0; i < ENGINE_QUIET; i++)
			ck_assert_uint_eq(looks_of(engine), 0);
		looks = 0;
		for (unsigned i = 0; i < ENGINE_COLD_EVERY; i++)
			looks += looks_of(engine);
		ck_assert_uint_eq(looks, ENGINE_COLD_LOOKS);
	}
	for (unsigned i = 0; i < vmb_array_size(more); i++)
		t_end_close(&more[i], 0);
}
END_TEST

START_TEST(try_is_refused_until_there_is_room)
{
	int rc = 0;

	for (int i = 0; i < 1000 && !rc; i++) {
		rc = t_end_post(&a, &b, 0, mixed(a.sent[0]), VMB_AM_TRY);
		t_ends_turn((struct t_end *[]){&a}, 1);
	}
	ck_assert_int_eq(rc, -EAGAIN);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	t_ends_until(!t_end_post(&a, &b, 0, 8, VMB_AM_TRY), &a, &b);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
}
END_TEST

/*
 * Posts between a bounce and the end of it: bounced ones go first, then those
 * that were queued before they came back.
 */
START_TEST(posts_while_bounces_are_under_way_keep_their_place)
{
	for (unsigned round = 0; round < 200; round++) {
		queue_many(&b, 0, 1 + round % 9);
		if (round % 3)
			t_nic_settle(); /* bounces are written */
		if (round % 4 == 1)
			ck_assert_int_ge(vmb_am_poll(&a.am, round % 5), 0);
		if (round % 16 == 15)
			ck_assert_int_ge(vmb_am_poll(&b.am, 40), 0);
	}
	ck_assert_uint_gt(a.am.counters.bounced, 0);
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
}
END_TEST

/*
 * EV_ROOM is there while descriptors that will bounce are still in the
 * doorbell page: not a word may be sent before they are back.
 */
START_TEST(room_before_last_bounce_keeps_order)
{
	queue_many(&b, 0, 200);
	while (!a.am.counters.bounced)
		t_ends_turn((struct t_end *[]){&a}, 1);
	/* unread descriptors behind the bounces: on their own they bounce */
	for (unsigned i = 0; i < 400; i++) {
		queue_many(&b, 0, 1);
		t_nic_breathe();
		ck_assert_int_ge(vmb_am_poll(&a.am, 1), 0);
		ck_assert_int_ge(vmb_am_poll(&b.am, 1), 0);
	}
	t_ends_until(b.received[0] == a.sent[0], &a, &b);
	ck_assert_uint_eq(a.am.counters.resumed, a.am.counters.bounced);
}
END_TEST

/* Everybody to everybody, themselves too, reading at random. */
static void mixed_traffic(unsigned total, unsigned seed)
{
	struct t_end *ends[] = {&a, &b, &c};

	for (unsigned n = 0; n < total; n++) {
		unsigned from = (unsigned)rand_r(&seed) % 3;
		unsigned to = (unsigned)rand_r(&seed) % 3;
		unsigned reader = (unsigned)rand_r(&seed) % 3;
		unsigned len = (unsigned)rand_r(&seed);

		len %= n % 4 ? 100 : 3000;
		ck_assert_int_eq(t_end_post(ends[from], ends[to], 3 * from + to,
					    len, VMB_AM_QUEUE),
				 0);
		if (n % 8 == 0)
			t_ends_turn(&ends[reader], 1);
	}
	for (unsigned s = 0; s < 9; s++)
		t_ends_until(ends[s % 3]->received[s] == ends[s / 3]->sent[s],
			     &a, &b, &c);
	ck_assert_uint_gt(a.am.counters.bounced + b.am.counters.bounced +
				  c.am.counters.bounced,
			  0);
}

/* looped over seeds */
START_TEST(mixed_traffic_arrives_in_order)
{
	mixed_traffic(3000, (unsigned)_i);
}
END_TEST

START_TEST(rings_cross_2_32)
{
	ck_assert_uint_gt(a.am.doorbell.pos, 1u << 31);
	ck_assert_uint_gt(b.am.events.pos, 1u << 31);
	a.am.tx_pos = a.am.tx_free = 0u - 4096u; /* ours alone */
	mixed_traffic(3000, 1);
	ck_assert_uint_lt(a.am.doorbell.pos, 1u << 31);
	ck_assert_uint_lt(b.am.events.pos, 1u << 31);
	ck_assert_uint_lt(a.am.tx_pos, 1u << 31);
}
END_TEST

/* ---- peers that go or are forgotten ------------------------------------------- */

START_TEST(closing_receiver_gives_all_back_in_order)
{
	queue_many(&b, 0, 500);
	for (int i = 0; i < 50; i++)
		t_ends_turn((struct t_end *[]){&a}, 1);
	ck_assert_int_ge(vmb_am_poll(&b.am, 20), 0);
	t_end_close(&b, 0);
	t_ends_until(a.gone, &a);
	/* what b's queue held is lost with it; the rest comes back */
	ck_assert_uint_gt(a.undelivered[0], 400);
	ck_assert_uint_eq(a.last_undelivered[0], 499);
	ck_assert_uint_eq(a.am.kept, 0);
	ck_assert_int_eq(a.code, -ECONNRESET);
	t_end_open(&b, NULL, &small);
}
END_TEST

/* looped: a hears of it before what the engine has, or by that */
START_TEST(what_is_under_way_comes_back_before_what_waits)
{
	if (_i) {
		queue_many(&b, 0, 1);
		t_ends_until(b.received[0] == 1, &a, &b);
	}
	queue_many(&b, 0, 500); /* some are in the doorbell page */
	ck_assert_uint_lt(a.am.kept, 499);
	t_end_close(&b, 0);
	t_ends_until(!a.am.kept && a.undelivered[0] == 500, &a);
	ck_assert_uint_eq(a.last_undelivered[0], a.sent[0] - 1);
	ck_assert_uint_eq(a.gone, 1);
	ck_assert(vmb_list_empty(&a.am.settling));
	t_end_open(&b, NULL, &small);
}
END_TEST

/* Its successor is met before a has seen what came back for want of room. */
START_TEST(what_bounced_to_a_replaced_peer_comes_back)
{
	uint32_t handle = b.am.pep.handle;

	post_short(&a, &b, 0, 200);
	t_nic_settle();
	ck_assert_uint_gt(inside(&a)->stats->bounces, 0);
	vmb_am_peer(&a.am, VMB_HANDLE(VMB_HANDLE_INDEX(handle),
				      VMB_HANDLE_GEN(handle) + 1));
	ck_assert_uint_eq(a.gone, 1);
	ck_assert_uint_eq(a.undelivered[0], 0);
	while (a.am.kept) {
		ck_assert_int_ge(vmb_am_poll(&a.am, 1), 0);
		t_nic_settle();
		ck_assert(!a.undelivered[0] || a.code == -ECONNRESET);
	}
	ck_assert_uint_eq(a.last_undelivered[0], 199);
}
END_TEST

/* One that is forgotten meanwhile: nothing of it is left. */
START_TEST(gone_peer_may_be_forgotten_while_things_wait)
{
	uint32_t handle = b.am.pep.handle;

	queue_many(&b, 0, 200);
	vmb_am_peer(&a.am, VMB_HANDLE(VMB_HANDLE_INDEX(handle),
				      VMB_HANDLE_GEN(handle) + 1));
	ck_assert(!vmb_list_empty(&a.am.settling));
	vmb_am_forget_peer(&a.am, vmb_am_find_peer(&a.am, handle), -ECANCELED);
	ck_assert(vmb_list_empty(&a.am.settling));
	ck_assert_uint_eq(a.am.kept, 0);
	ck_assert_int_eq(a.code, -ECANCELED);
	for (int i = 0; i < 20; i++)
		t_ends_turn((struct t_end *[]){&a}, 1);
}
END_TEST

START_TEST(forgetting_gives_back_what_waits)
{
	struct vmb_peer *peer = t_end_peer(&a, &b);
	uint32_t taken;

	queue_many(&b, 0, 500);
	for (int i = 0; i < 50; i++)
		t_ends_turn((struct t_end *[]){&a}, 1);
	vmb_am_forget_peer(&a.am, peer, -ECANCELED);
	ck_assert_uint_gt(a.undelivered[0], 300);
	ck_assert_int_eq(a.code, -ECANCELED);
	ck_assert_uint_eq(a.am.kept, 0);
	/* who connects again begins anew */
	queue_many(&b, 1, 100);
	t_ends_until(b.received[1] == 100, &a, &b);
	taken = b.received[0];
	ck_assert_uint_eq(taken + a.undelivered[0], 500);
}
END_TEST

START_TEST(bounces_of_a_forgotten_peer_are_discarded)
{
	const struct vmb_stats *stats = vmb_nic_stats(t_nic(), b.am.pep.handle);
	struct vmb_peer *peer = t_end_peer(&a, &b);
	uint64_t bounced, arrived;

	queue_many(&b, 0, 500);
	while (!peer->blocked)
		t_ends_turn((struct t_end *[]){&a}, 1);
	t_ends_until(!peer->blocked && peer->last_post != a.am.settled, &a, &b);
	bounced = a.am.counters.bounced;
	vmb_am_forget_peer(&a.am, peer, -ECANCELED);
	ck_assert_int_eq(t_end_post(&a, &b, 1, 8, VMB_AM_TRY), -EAGAIN);
	queue_many(&b, 1, 300);
	t_nic_settle(); /* all that was posted came to its end */
	arrived = stats->arrivals;
	for (int i = 0; i < 20; i++)
		t_ends_turn((struct t_end *[]){&a}, 1);
	ck_assert_uint_gt(a.am.counters.bounced, bounced);
	t_ends_until(b.received[1] == 300, &a, &b);
	ck_assert_uint_eq(b.received[0], arrived);
}
END_TEST

START_TEST(shell_of_a_peer_goes_when_it_goes)
{
	uint32_t handle = b.am.pep.handle;

	queue_many(&b, 0, 20);
	t_ends_until(b.received[0] == 20, &a, &b);
	vmb_am_forget_peer(&a.am, t_end_peer(&a, &b), 0);
	t_end_close(&b, 0);
	t_nic_settle();
	ck_assert_int_eq(vmb_am_poll(&a.am, 16), 1); /* VMB_EV_GONE */
	ck_assert_uint_eq(a.gone, 0);
	ck_assert_ptr_null(vmb_am_find_peer(&a.am, handle));
	t_end_open(&b, NULL, &small);
}
END_TEST

static TCase *add_case(Suite *s, const char *name, SFun up)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, up, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *pressure_suite(void)
{
	Suite *s = suite_create("am_pressure");
	TCase *tc = add_case(s, "stepped", setup_stepped);

	tcase_add_test(tc, slow_receiver_gets_all_in_order);
	tcase_add_test(tc, slow_receiver_does_not_hold_up_others);
	tcase_add_test(tc, try_is_refused_until_there_is_room);
	tcase_add_test(tc, posts_while_bounces_are_under_way_keep_their_place);
	tcase_add_test(tc, room_before_last_bounce_keeps_order);
	tcase_add_test(tc, room_that_another_sender_saw_first_is_told);
	tcase_add_loop_test(tc, mixed_traffic_arrives_in_order, 0, 3);
	tc = add_case(s, "forget", setup_stepped);
	tcase_add_test(tc, closing_receiver_gives_all_back_in_order);
	tcase_add_loop_test(tc, what_is_under_way_comes_back_before_what_waits,
			    0, 2);
	tcase_add_test(tc, what_bounced_to_a_replaced_peer_comes_back);
	tcase_add_test(tc, gone_peer_may_be_forgotten_while_things_wait);
	tcase_add_test(tc, forgetting_gives_back_what_waits);
	tcase_add_test(tc, bounces_of_a_forgotten_peer_are_discarded);
	tcase_add_test(tc, shell_of_a_peer_goes_when_it_goes);
	tc = add_case(s, "two engines", setup_two_stepped);
	tcase_add_test(tc, slow_receiver_gets_all_in_order);
	tcase_add_test(tc, slow_receiver_does_not_hold_up_others);
	tcase_add_test(tc, room_that_finds_no_room_is_told_later);
	tcase_add_test(tc, clients_are_told_with_no_lock_held);
	tcase_add_test(tc, room_that_came_before_it_was_asked_for_is_told);
	tcase_add_test(tc, own_room_ends_a_stall);
	tcase_add_test(tc, own_room_is_for_what_is_owed);
	tcase_add_test(tc, waiting_for_a_faulted_receiver_ends);
	tcase_add_test(tc, look_at_all_misses_nobody);
	tcase_add_test(tc, cold_ones_are_looked_at_when_no_answer_is_due);
	tcase_add_loop_test(tc, mixed_traffic_arrives_in_order, 0, 3);
	tc = add_case(s, "threads", setup_threads);
	tcase_add_test(tc, slow_receiver_gets_all_in_order);
	tcase_add_test(tc, slow_receiver_does_not_hold_up_others);
	tcase_add_test(tc, try_is_refused_until_there_is_room);
	tcase_add_loop_test(tc, mixed_traffic_arrives_in_order, 3, 6);
	tc = add_case(s, "wrap", setup_near_wrap);
	tcase_add_test(tc, rings_cross_2_32);
	return s;
}

int main(void)
{
	return t_run(pressure_suite());
}
