// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_am.c - active messages between endpoints, with the engine in this
 * process. Transfers: test_am_rdma.c; back-pressure: test_am_pressure.c; an
 * engine that lies: test_am_lies.c.
 *
 * Flow:  struct t_end -> lib/am -> lib/nic -> lib/am -> struct t_end
 * Owns:  two or three ends per test.
 * Trust: see support/ends.h.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "support/ends.h"
#include "support/run.h"

static struct t_end a, b;

static void setup(void)
{
	t_nic_start(NULL);
	t_end_open(&a, NULL, NULL);
	t_end_open(&b, NULL, NULL);
}

/* The test steps the engine, so nothing happens between two lines of it. */
static void setup_stepped(void)
{
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 64,
					     .spin_us = 1000000});
	t_end_open(&a, NULL, NULL);
	t_end_open(&b, NULL, NULL);
}

static void teardown(void)
{
	if (a.port)
		t_end_close(&a, 0);
	if (b.port)
		t_end_close(&b, 0);
	t_nic_stop();
}

static void send_one(size_t len)
{
	uint32_t number = a.sent[0];

	ck_assert_int_eq(t_end_post(&a, &b, 0, len, VMB_AM_TRY), 0);
	t_ends_until(b.received[0] == number + 1, &a, &b);
}

/* ---- messages -------------------------------------------------------------- */

START_TEST(every_short_length_arrives)
{
	for (size_t len = 0; len <= 300; len++)
		send_one(len);
}
END_TEST

START_TEST(every_long_length_arrives)
{
	for (size_t len = 301; len <= VMB_BUF_MAX; len += 1 + len / 16)
		send_one(len);
	send_one(VMB_BUF_MAX - 1);
	send_one(VMB_BUF_MAX);
}
END_TEST

START_TEST(payload_max_is_the_limit)
{
	static uint8_t data[VMB_BUF_MAX + 1];
	struct vmb_segment s = {.ptr = data, .len = sizeof(data)};

	ck_assert_uint_eq(vmb_am_payload_max(&a.am), VMB_BUF_MAX);
	ck_assert_int_eq(vmb_am_post(&a.am, t_end_peer(&a, &b), 0, 0, &s, 1, 0,
				     sizeof(data), VMB_AM_QUEUE),
			 -EMSGSIZE);
}
END_TEST

START_TEST(message_longer_than_receive_buffers_comes_back)
{
	static const struct vmb_geometry small = {
		.eq_slots = 64, .rx_bytes = 4096, .tx_bytes = 4096};
	struct t_end c;

	t_end_open(&c, NULL, &small);
	ck_assert_int_eq(t_end_post(&a, &c, 1, 2049, VMB_AM_TRY), 0);
	ck_assert_int_eq(t_end_post(&a, &c, 2, 2048, VMB_AM_TRY), 0);
	t_ends_until(c.received[2], &a, &c);
	t_ends_until(a.undelivered[1], &a, &c);
	ck_assert_int_eq(a.code, -EMSGSIZE);
	t_end_close(&c, 0);
}
END_TEST

START_TEST(message_to_self_arrives)
{
	for (size_t len = 0; len < 200; len += 9) {
		uint32_t number = a.sent[0];

		ck_assert_int_eq(t_end_post(&a, &a, 0, len, VMB_AM_TRY), 0);
		t_ends_until(a.received[0] == number + 1, &a);
	}
}
END_TEST

START_TEST(message_without_handler_is_counted)
{
	vmb_am_bind(&b.am, 3, NULL, NULL);
	ck_assert_int_eq(t_end_post(&a, &b, 3, 10, VMB_AM_TRY), 0);
	t_ends_until(b.am.counters.dropped == 1, &a, &b);
}
END_TEST

static void answer(struct vmb_am *am, const struct vmb_am_arrival *arrival,
		   void *arg)
{
	uint32_t *rounds = arg;
	struct vmb_segment s = {.ptr = &rounds[0], .len = sizeof(*rounds)};

	ck_assert(am->in_handler);
	if (++*rounds < 1000)
		ck_assert_int_eq(vmb_am_post(am, arrival->peer, 100,
					     arrival->hdr, &s, 1, 0, s.len,
					     VMB_AM_TRY),
				 0);
}

START_TEST(handlers_may_post)
{
	uint32_t rounds[2] = {0};

	vmb_am_bind(&a.am, 100, answer, &rounds[0]);
	vmb_am_bind(&b.am, 100, answer, &rounds[1]);
	ck_assert_int_eq(vmb_am_post(&a.am, t_end_peer(&a, &b), 100, 0, NULL, 0,
				     0, 0, VMB_AM_TRY),
			 0);
	t_ends_until(rounds[1] == 1000, &a, &b);
	ck_assert_uint_eq(rounds[0], 999);
}
END_TEST

START_TEST(poll_respects_budget)
{
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
	t_nic_settle();
	ck_assert_int_eq(vmb_am_poll(&b.am, 0), 0);
	ck_assert_int_eq(vmb_am_poll(&b.am, 4), 4);
	ck_assert_uint_eq(vmb_low(b.am.ctl->consumed), 0); /* in batches */
	ck_assert_int_eq(vmb_am_poll(&b.am, 64), 6);
	ck_assert_uint_eq(vmb_low(b.am.ctl->consumed), 10); /* queue empty */
	ck_assert_uint_eq(b.am.idle.left, VMB_IDLE_FIRST);
	ck_assert_int_eq(vmb_am_poll(&b.am, 64), 0);
	ck_assert_uint_eq(b.am.idle.left, VMB_IDLE_FIRST - 1);
}
END_TEST

/* ---- peers ------------------------------------------------------------------- */

START_TEST(peer_is_found_only_when_known)
{
	uint32_t handle = b.am.pep.handle;
	struct vmb_peer *peer;

	ck_assert_ptr_null(vmb_am_find_peer(&a.am, handle));
	ck_assert_ptr_null(vmb_am_peer(&a.am, 0));
	peer = vmb_am_peer(&a.am, handle);
	ck_assert_ptr_eq(vmb_am_peer(&a.am, handle), peer);
	ck_assert_ptr_eq(vmb_am_find_peer(&a.am, handle), peer);
	vmb_am_forget_peer(&a.am, peer, -ECANCELED);
	ck_assert_ptr_null(vmb_am_find_peer(&a.am, handle));
}
END_TEST

START_TEST(gone_is_told_once_after_last_message)
{
	struct t_end closed;

	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 2000, VMB_AM_TRY), 0);
	t_ends_until(b.received[0] >= 1, &b);
	closed = a;
	t_end_close(&a, 1000);
	t_ends_until(b.gone, &b);
	ck_assert_uint_eq(b.received[0], 2);
	ck_assert_int_eq(t_end_post(&b, &closed, 1, 8, VMB_AM_QUEUE),
			 -ECONNRESET);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_ge(vmb_am_poll(&b.am, 16), 0);
	ck_assert_uint_eq(b.gone, 1);
}
END_TEST

/* looped over inline, pair and buffer */
START_TEST(post_to_closed_endpoint_is_undelivered)
{
	static const size_t lens[] = {12, 60, 3000};
	struct vmb_peer *peer = t_end_peer(&a, &b);
	struct t_end closed = b;

	t_end_close(&b, 0);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(
			t_end_post(&a, &closed, 2, lens[_i], VMB_AM_TRY), 0);
	t_ends_until(a.undelivered[2] == 3, &a);
	ck_assert_int_eq(a.code, -ECONNRESET);
	ck_assert(peer->gone);
	ck_assert_uint_eq(a.gone, 1);
}
END_TEST

/* Close b and open endpoints until one has its index again, in b. */
static void reopen_same_index(void)
{
	uint32_t index = VMB_HANDLE_INDEX(b.am.pep.handle);

	t_end_close(&b, 0);
	for (int tries = 0; tries < 65536; tries++) {
		t_end_open(&b, NULL, NULL);
		if (VMB_HANDLE_INDEX(b.am.pep.handle) == index)
			return;
		t_end_close(&b, 0);
	}
	ck_abort_msg("index %u was not used again", index);
}

START_TEST(next_generation_is_another_peer)
{
	struct vmb_peer *old, *now;
	uint32_t old_handle = b.am.pep.handle;

	send_one(8);
	old = t_end_peer(&a, &b);
	reopen_same_index();
	/* not a poll of a yet: it learns from the new handle alone */
	now = t_end_peer(&a, &b);
	ck_assert_ptr_ne(old, now);
	ck_assert(old->gone && !now->gone);
	ck_assert_ptr_eq(a.gone_peer, old);
	a.sent[0] = 0;
	send_one(100);
	ck_assert_uint_eq(a.gone, 1);
	ck_assert_ptr_eq(vmb_am_find_peer(&a.am, old_handle), old);
	vmb_am_forget_peer(&a.am, old, 0);
	ck_assert_ptr_null(vmb_am_find_peer(&a.am, old_handle));
	ck_assert_ptr_eq(t_end_peer(&a, &b), now);
}
END_TEST

START_TEST(older_generation_is_made_as_gone)
{
	uint32_t old_handle = b.am.pep.handle;
	struct vmb_peer *now, *old;

	reopen_same_index();
	now = t_end_peer(&a, &b);
	old = vmb_am_peer(&a.am, old_handle);
	ck_assert(old->gone && !now->gone);
	ck_assert_ptr_eq(t_end_peer(&a, &b), now);
}
END_TEST

/* ---- sleep and the end ------------------------------------------------------------ */

START_TEST(arm_refuses_when_event_is_there)
{
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	vmb_am_disarm(&b.am);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
	t_nic_settle();
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), -EAGAIN);
	ck_assert_uint_eq(b.am.ctl->event_arm, 0);
	ck_assert_int_eq(vmb_am_poll(&b.am, 16), 1);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	vmb_am_disarm(&b.am);
}
END_TEST

START_TEST(numbers_of_armings_wrap_around_the_bit)
{
	b.am.arm_number = VMB_ARM_WORD - 2;
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_WORD), 0);
	ck_assert_uint_eq(b.am.ctl->event_arm, UINT32_MAX);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_WORD), 0);
	ck_assert_uint_eq(b.am.ctl->event_arm, 1 | VMB_ARM_WORD);
	ck_assert_int_eq(vmb_am_arm(&b.am, VMB_AM_SLEEP_FD), 0);
	ck_assert_uint_eq(b.am.ctl->event_arm, 2);
	vmb_am_disarm(&b.am);
}
END_TEST

/* Nobody tells us when the engine has taken descriptors: do not sleep on it. */
START_TEST(arm_refuses_while_posts_wait_for_the_doorbell)
{
	for (unsigned i = 0; i < 2 * VMB_DOORBELL_SLOTS; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), 0);
	ck_assert_uint_eq(a.am.kept, VMB_DOORBELL_SLOTS);
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), -EAGAIN);
	t_nic_settle();
	ck_assert_int_eq(vmb_am_poll(&a.am, 16), 0);
	ck_assert_uint_eq(a.am.kept, 0);
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), 0);
	vmb_am_disarm(&a.am);
}
END_TEST

#define WAKES 2000u

static void *sleeper(void *arg)
{
	struct t_end *e = arg;

	while (e->received[0] < WAKES) {
		if (vmb_am_poll(&e->am, 16))
			continue;
		if (!vmb_am_arm(&e->am, VMB_AM_SLEEP_FD))
			ck_assert_int_eq(t_port_inproc.wait(&e->am.pep, 10000),
					 0);
		vmb_am_disarm(&e->am);
	}
	return NULL;
}

START_TEST(sleeper_is_woken_for_every_message)
{
	pthread_t thread;

	pthread_create(&thread, NULL, sleeper, &b);
	while (a.sent[0] < WAKES) {
		ck_assert_int_eq(
			t_end_post(&a, &b, 0, a.sent[0] % 64, VMB_AM_QUEUE), 0);
		if (a.sent[0] % 7 == 0) /* let both sides fall asleep */
			nanosleep(&(struct timespec){.tv_nsec = 60000}, NULL);
		ck_assert_int_ge(vmb_am_poll(&a.am, 16), 0);
	}
	t_ends_until(!a.am.kept, &a);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(b.am.counters.sleeps, 0);
	ck_assert_uint_gt(a.am.counters.kicks, 0);
}
END_TEST

START_TEST(lost_daemon_is_noticed)
{
	uint64_t begin = vmb_now_ns();
	int rc = 0;

	t_port_lose_daemon(true);
	while (!rc && vmb_now_ns() - begin < 10000000000u)
		rc = vmb_am_poll(&a.am, 16);
	ck_assert_int_eq(rc, -EPIPE);
	ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), -EPIPE);
	ck_assert_int_eq(vmb_am_arm(&a.am, VMB_AM_SLEEP_FD), -EPIPE);
	t_port_lose_daemon(false);
}
END_TEST

/*
 * Who only sends gets no events; that the engine takes what it sends is sign
 * of life enough. Nobody but this thread moves the engine, so the longest gap
 * says whether this machine took the thread away for too long.
 */
START_TEST(sender_does_not_ask_while_the_engine_takes)
{
	uint64_t begin = vmb_now_ns(), last = begin, gap = 0, now = begin;

	t_port_lose_daemon(true); /* asking would end the endpoint */
	while (!a.am.error && now - begin < 300000000) {
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_TRY), 0);
		t_nic_settle();
		now = vmb_now_ns();
		gap = now - last > gap ? now - last : gap;
		last = now;
		ck_assert_int_ge(vmb_am_poll(&b.am, 16), 0);
		for (unsigned i = 0; i < 5000 && !a.am.error; i++)
			vmb_am_poll(&a.am, 16);
	}
	ck_assert(!a.am.error || gap > 50000000);
	t_port_lose_daemon(false);
}
END_TEST

START_TEST(close_delivers_what_was_queued)
{
	uint64_t start = vmb_now_ns();

	for (unsigned i = 0; i < 400; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, i % 130, VMB_AM_QUEUE),
				 0);
	t_end_close(&a, 10000);
	ck_assert_uint_lt(vmb_now_ns() - start, 5000000000u);
	t_ends_until(b.received[0] == 400 && b.gone, &b);
}
END_TEST

START_TEST(close_does_not_wait_for_a_stuck_peer_for_ever)
{
	uint64_t start = vmb_now_ns();

	for (unsigned i = 0; i < 3000; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), 0);
	t_end_close(&a, 1000);
	ck_assert_uint_lt(vmb_now_ns() - start, 4000000000u);
	t_ends_until(b.gone, &b);
	ck_assert_uint_lt(b.received[0], 3000);
}
END_TEST

/* A receiver that takes a few now and then, until it is told to stop. */
struct slow {
	int few, pause_ms;
	bool stop;
};

static void *take_slowly(void *arg)
{
	struct slow *slow = arg;

	while (!vmb_load_relaxed(&slow->stop)) {
		ck_assert_int_ge(vmb_am_poll(&b.am, slow->few), 0);
		poll(NULL, 0, slow->pause_ms);
	}
	return NULL;
}

/* Post that many, close a, and return how long that took. */
static uint64_t close_on(struct slow *slow, unsigned count, int linger_ms)
{
	pthread_t thread;
	uint64_t start;

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(t_end_post(&a, &b, 0, 8, VMB_AM_QUEUE), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_slowly, slow), 0);
	start = vmb_now_ns();
	t_end_close(&a, linger_ms);
	start = vmb_now_ns() - start;
	vmb_store_relaxed(&slow->stop, true);
	pthread_join(thread, NULL);
	return start;
}

/* The time is that without progress: twice as long in all is no matter. */
START_TEST(close_waits_while_a_slow_receiver_takes)
{
	struct slow slow = {.few = 250, .pause_ms = 100};

	ck_assert_uint_gt(close_on(&slow, 6000, 1000), 1000000000u);
	t_ends_until(b.gone, &b);
	ck_assert_uint_eq(b.received[0], 6000);
}
END_TEST

/* But it is bounded: who takes a few now and then holds up nobody for ever. */
START_TEST(close_does_not_wait_for_a_slow_receiver_for_ever)
{
	struct slow slow = {.few = 50, .pause_ms = 5};
	uint64_t took = close_on(&slow, 90000, 500);

	ck_assert_uint_gt(took, 1500000000u);
	ck_assert_uint_lt(took, 15000000000u);
	t_ends_until(b.gone, &b);
	ck_assert_uint_lt(b.received[0], 90000);
}
END_TEST

START_TEST(close_of_half_built_is_harmless)
{
	struct vmb_am am = {0};

	vmb_am_fini(&am, 100);
}
END_TEST

START_TEST(every_code_has_an_errno)
{
	ck_assert_int_eq(vmb_am_errno(VMB_CODE_OK), 0);
	for (unsigned code = 1; code < VMB_CODE_COUNT + 3; code++)
		ck_assert_int_lt(vmb_am_errno(code), 0);
}
END_TEST

static TCase *add_case(Suite *s, const char *name, SFun up, SFun down)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

static void add_messages(Suite *s)
{
	TCase *tc = add_case(s, "message", setup, teardown);

	tcase_add_test(tc, every_short_length_arrives);
	tcase_add_test(tc, every_long_length_arrives);
	tcase_add_test(tc, payload_max_is_the_limit);
	tcase_add_test(tc, message_longer_than_receive_buffers_comes_back);
	tcase_add_test(tc, message_to_self_arrives);
	tcase_add_test(tc, message_without_handler_is_counted);
	tcase_add_test(tc, handlers_may_post);
	tc = add_case(s, "stepped", setup_stepped, teardown);
	tcase_add_test(tc, every_short_length_arrives);
	tcase_add_test(tc, poll_respects_budget);
	tcase_add_test(tc, arm_refuses_when_event_is_there);
	tcase_add_test(tc, numbers_of_armings_wrap_around_the_bit);
	tcase_add_test(tc, arm_refuses_while_posts_wait_for_the_doorbell);
	tcase_add_test(tc, sender_does_not_ask_while_the_engine_takes);
}

static void add_peers(Suite *s)
{
	TCase *tc = add_case(s, "peer", setup, teardown);

	tcase_add_test(tc, peer_is_found_only_when_known);
	tcase_add_test(tc, gone_is_told_once_after_last_message);
	tcase_add_loop_test(tc, post_to_closed_endpoint_is_undelivered, 0, 3);
	tcase_add_test(tc, next_generation_is_another_peer);
	tcase_add_test(tc, older_generation_is_made_as_gone);
}

static Suite *am_suite(void)
{
	Suite *s = suite_create("am");
	TCase *tc;

	add_messages(s);
	add_peers(s);
	tc = add_case(s, "end", setup, teardown);
	tcase_add_test(tc, sleeper_is_woken_for_every_message);
	tcase_add_test(tc, lost_daemon_is_noticed);
	tcase_add_test(tc, close_delivers_what_was_queued);
	tcase_add_test(tc, close_does_not_wait_for_a_stuck_peer_for_ever);
	tcase_add_test(tc, close_waits_while_a_slow_receiver_takes);
	tcase_add_test(tc, close_does_not_wait_for_a_slow_receiver_for_ever);
	tcase_add_test(tc, close_of_half_built_is_harmless);
	tcase_add_test(tc, every_code_has_an_errno);
	return s;
}

int main(void)
{
	return t_run(am_suite());
}
