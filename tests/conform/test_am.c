// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_am.c - active messages and one-sided transfers of vmb_am.h.
 *
 * Flow:  vmb_am_send() -> handler; vmb_am_put(), vmb_am_get() -> done
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"

struct arrival {
	unsigned count;
	struct vmb_addr source;
	uint64_t hdr;
	size_t len;
	bool in_order;
	struct vmb_endpoint *ep;
	int answer; /* what the handler's own send gave */
};

static void note(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		 void *context)
{
	struct arrival *a = context;

	if (msg->hdr != a->count)
		a->in_order = false;
	a->count++;
	a->ep = ep;
	a->source = msg->source;
	a->hdr = msg->hdr;
	a->len = msg->len;
	if (msg->len > 96)
		ck_assert_uint_eq((uintptr_t)msg->data % 16, 0);
	t_verify(msg->data, msg->len, (unsigned)msg->hdr);
}

static void answer(struct vmb_endpoint *ep, const struct vmb_am_msg *msg,
		   void *context)
{
	struct vmb_segment seg = {(void *)(uintptr_t)msg->data, msg->len};
	struct arrival *a = context;

	a->count++;
	a->answer = vmb_am_send(ep, msg->source, 2, msg->hdr, &seg, 1);
}

/* Send until there is room. */
static void send_am(struct t_pair *pair, unsigned id, uint64_t hdr,
		    const void *buf, size_t len)
{
	struct vmb_segment seg = {(void *)(uintptr_t)buf, len};
	double end = t_seconds() + T_MS / 1000;
	int rc;

	while ((rc = vmb_am_send(pair->a, pair->to_b, id, hdr, &seg, 1)) ==
	       -EAGAIN) {
		t_ok(vmb_progress(pair->a));
		t_ok(vmb_progress(pair->b));
		ck_assert_msg(t_seconds() < end, "no room for ever");
	}
	t_ok(rc);
}

static void until_count(struct t_pair *pair, const unsigned *count,
			unsigned wanted)
{
	double end = t_seconds() + T_MS / 1000;

	while (*count < wanted) {
		t_ok(vmb_progress(pair->a));
		t_ok(vmb_progress(pair->b));
		ck_assert_msg(t_seconds() < end, "%u of %u came", *count,
			      wanted);
	}
	ck_assert_uint_eq(*count, wanted);
}

START_TEST(active_messages_arrive_in_order)
{
	struct t_pair pair = t_pair_open();
	struct arrival a = {.in_order = true};
	static char out[40000];
	size_t max;

	t_ok(vmb_am_max(pair.a, &max));
	ck_assert_uint_ge(max, 4096);
	ck_assert_uint_le(max, sizeof(out));
	t_ok(vmb_am_register(pair.b, VMB_AM_IDS - 1, note, &a));
	for (unsigned i = 0; i < 3000; i++) {
		size_t len = i % 10 == 9 ? max : (i * 37) % 200;

		t_fill(out, len, i);
		send_am(&pair, VMB_AM_IDS - 1, i, out, len);
	}
	until_count(&pair, &a.count, 3000);
	ck_assert(a.in_order);
	ck_assert(t_addr_equal(a.source, pair.to_a));
	ck_assert_ptr_eq(a.ep, pair.b);
	t_pair_close(&pair);
}
END_TEST

START_TEST(handler_may_answer)
{
	struct t_pair pair = t_pair_open();
	struct arrival there = {0}, back = {0};
	char out[20];

	t_ok(vmb_am_register(pair.b, 1, answer, &there));
	t_ok(vmb_am_register(pair.a, 2, note, &back));
	t_fill(out, sizeof(out), 5);
	send_am(&pair, 1, 5, out, sizeof(out));
	until_count(&pair, &back.count, 1);
	ck_assert_int_eq(there.answer, 0);
	ck_assert_uint_eq(back.hdr, 5);
	ck_assert_uint_eq(back.len, sizeof(out));
	t_pair_close(&pair);
}
END_TEST

START_TEST(messages_without_handler_are_dropped)
{
	struct t_pair pair = t_pair_open();
	struct arrival a = {0};

	t_ok(vmb_am_register(pair.b, 1, note, &a));
	send_am(&pair, 3, 0, NULL, 0);
	send_am(&pair, 1, 0, NULL, 0);
	until_count(&pair, &a.count, 1);
	t_ok(vmb_am_register(pair.b, 1, NULL, NULL));
	send_am(&pair, 1, 0, NULL, 0);
	t_settle(&pair);
	ck_assert_uint_eq(a.count, 1);
	t_exchange(&pair, 1, 100);
	t_pair_close(&pair);
}
END_TEST

START_TEST(bad_active_messages_are_refused)
{
	struct t_pair pair = t_pair_open();
	struct vmb_segment big = {NULL, 0}, hole = {NULL, 1};
	size_t max;

	t_ok(vmb_am_max(pair.a, &max));
	big = (struct vmb_segment){malloc(max + 1), max + 1};
	t_fails(vmb_am_send(pair.a, pair.to_b, 1, 0, &big, 1), -EMSGSIZE);
	t_fails(vmb_am_send(pair.a, pair.to_b, 1, 0, &hole, 1), -EINVAL);
	t_fails(vmb_am_send(pair.a, pair.to_b, VMB_AM_IDS, 0, NULL, 0),
		-EINVAL);
	t_fails(vmb_am_register(pair.a, VMB_AM_IDS, note, NULL), -EINVAL);
	t_fails(vmb_am_max(pair.a, NULL), -EINVAL);
	free(big.ptr);
	t_pair_close(&pair);
}
END_TEST

/* Active and matched messages share one order. */
struct mixed {
	struct vmb_endpoint *ep;
	unsigned count;
	int seen[8]; /* was the matched message there before? */
};

static void look_for_match(struct vmb_endpoint *ep,
			   const struct vmb_am_msg *msg, void *context)
{
	struct mixed *m = context;

	(void)msg;
	t_ok(vmb_iprobe(ep, m->count, VMB_MATCH_ALL, NULL, &m->seen[m->count]));
	m->count++;
}

START_TEST(active_and_matched_messages_share_an_order)
{
	struct t_pair pair = t_pair_open();
	struct mixed m = {0};

	t_ok(vmb_am_register(pair.b, 1, look_for_match, &m));
	for (unsigned i = 0; i < 8; i++) {
		t_isend(pair.a, pair.to_b, i, "x", 1);
		send_am(&pair, 1, 0, NULL, 0);
	}
	until_count(&pair, &m.count, 8);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(m.seen[i], 1);
	t_pair_close(&pair);
}
END_TEST

/* Also when more matched ones were posted than there is room for. */
START_TEST(active_message_does_not_pass_those_that_wait)
{
	static char data[100][8000];
	struct t_pair pair = t_pair_open();
	struct mixed m = {.count = 7};
	int rc;

	t_ok(vmb_am_register(pair.b, 1, look_for_match, &m));
	for (int i = 0; i < 100; i++)
		t_isend(pair.a, pair.to_b, i < 99 ? 1000 : 7, data[i],
			sizeof(data[i]));
	rc = vmb_am_send(pair.a, pair.to_b, 1, 0, NULL, 0);
	ck_assert_int_eq(rc, -EAGAIN);
	send_am(&pair, 1, 0, NULL, 0);
	until_count(&pair, &m.count, 8);
	ck_assert_int_eq(m.seen[7], 1);
	t_pair_close(&pair);
}
END_TEST

START_TEST(send_to_a_closed_peer_is_reset)
{
	struct t_pair pair = t_pair_open();
	double end = t_seconds() + T_MS / 1000;
	int rc;

	send_am(&pair, 1, 0, NULL, 0);
	t_settle(&pair);
	t_ok(vmb_close(pair.b));
	do {
		t_ok(vmb_progress(pair.a));
		rc = vmb_am_send(pair.a, pair.to_b, 1, 0, NULL, 0);
		ck_assert_msg(t_seconds() < end, "never told");
	} while (!rc || rc == -EAGAIN);
	ck_assert_int_eq(rc, -ECONNRESET);
	t_ok(vmb_close(pair.a));
}
END_TEST

/* ---- transfers --------------------------------------------------------------------- */

/* Two pieces of memory, of either kind, that each other may reach. */
struct window {
	struct t_pair pair;
	char *ours, *theirs;
	size_t len;
	bool allocated;
	struct vmb_mem *our_mem, *their_mem;
	uint64_t key;
};

static struct window window_open(size_t len, bool allocated, unsigned access)
{
	struct window w = {
		.pair = t_pair_open(), .len = len, .allocated = allocated};

	if (allocated) {
		t_ok(vmb_alloc(len, (void **)&w.ours));
		t_ok(vmb_alloc(len, (void **)&w.theirs));
	} else {
		w.ours = malloc(len);
		w.theirs = malloc(len);
	}
	memset(w.ours, 0, len);
	memset(w.theirs, 0, len);
	t_ok(vmb_register(w.ours, len, 0, &w.our_mem));
	t_ok(vmb_register(w.theirs, len, access, &w.their_mem));
	t_ok(vmb_mem_key(w.their_mem, &w.key));
	return w;
}

static void window_close(struct window *w)
{
	t_ok(vmb_deregister(w->our_mem));
	if (w->their_mem)
		t_ok(vmb_deregister(w->their_mem));
	if (w->allocated) {
		t_ok(vmb_free(w->ours));
		t_ok(vmb_free(w->theirs));
	} else {
		free(w->ours);
		free(w->theirs);
	}
	t_pair_close(&w->pair);
}

static int put(struct window *w, uint64_t at, uint64_t remote, uint64_t len,
	       struct t_ended *e)
{
	return vmb_am_put(w->pair.a, w->pair.to_b, w->our_mem, at, w->key,
			  remote, len, t_note_end, e);
}

static int get(struct window *w, uint64_t at, uint64_t remote, uint64_t len,
	       struct t_ended *e)
{
	return vmb_am_get(w->pair.a, w->pair.to_b, w->our_mem, at, w->key,
			  remote, len, t_note_end, e);
}

static const size_t sizes[] = {1, 40, 4096, 65537, 3u << 20};

START_TEST(put_and_get_move_the_bytes)
{
	size_t len = sizes[_i / 2];
	struct window w =
		window_open(len, _i % 2, VMB_REMOTE_READ | VMB_REMOTE_WRITE);
	struct t_ended e = {0};

	t_fill(w.ours, len, 1);
	t_ok(put(&w, 0, 0, len, &e));
	until_count(&w.pair, &e.count, 1);
	ck_assert_int_eq(e.code, 0);
	ck_assert_uint_eq(e.moved, len);
	t_verify(w.theirs, len, 1);

	t_fill(w.theirs, len, 2);
	t_ok(get(&w, 0, 0, len, &e));
	until_count(&w.pair, &e.count, 2);
	ck_assert_int_eq(e.code, 0);
	ck_assert_uint_eq(e.moved, len);
	t_verify(w.ours, len, 2);
	window_close(&w);
}
END_TEST

START_TEST(offsets_count_from_the_registration)
{
	struct window w = window_open(10000, _i, VMB_REMOTE_WRITE);
	struct vmb_mem *inner;
	struct t_ended e = {0};

	t_fill(w.ours + 1000, 500, 3);
	t_ok(put(&w, 1000, 7000, 500, &e));
	until_count(&w.pair, &e.count, 1);
	t_verify(w.theirs + 7000, 500, 3);
	ck_assert_int_eq(w.theirs[6999], 0);
	ck_assert_int_eq(w.theirs[7500], 0);

	t_ok(vmb_register(w.ours + 1000, 500, 0, &inner));
	t_ok(vmb_am_put(w.pair.a, w.pair.to_b, inner, 0, w.key, 100, 500,
			t_note_end, &e));
	until_count(&w.pair, &e.count, 2);
	t_verify(w.theirs + 100, 500, 3);
	t_ok(vmb_deregister(inner));
	window_close(&w);
}
END_TEST

START_TEST(transfers_past_the_end_are_refused)
{
	struct window w =
		window_open(10000, _i, VMB_REMOTE_READ | VMB_REMOTE_WRITE);
	struct t_ended e = {0};

	/* ours: at once */
	t_fails(put(&w, 0, 0, 10001, &e), -ERANGE);
	t_fails(put(&w, 10001, 0, 0, &e), -ERANGE);
	t_fails(put(&w, 5000, 0, UINT64_MAX - 10, &e), -ERANGE);
	t_fails(get(&w, UINT64_MAX, 0, 1, &e), -ERANGE);
	/* theirs: the engine says so */
	t_ok(put(&w, 0, 9999, 2, &e));
	until_count(&w.pair, &e.count, 1);
	ck_assert_int_eq(e.code, -ERANGE);
	ck_assert_uint_eq(e.moved, 0);
	t_ok(get(&w, 0, UINT64_MAX - 1, 100, &e));
	until_count(&w.pair, &e.count, 2);
	ck_assert_int_eq(e.code, -ERANGE);
	/* and nothing else was hurt */
	t_ok(put(&w, 0, 9999, 1, &e));
	until_count(&w.pair, &e.count, 3);
	ck_assert_int_eq(e.code, 0);
	window_close(&w);
}
END_TEST

/* A part that begins and ends inside of pages, in memory that goes on. */
START_TEST(a_registered_part_ends_at_its_bytes)
{
	enum {
		AT = 5000,
		LEN = 9001
	};
	struct window w = window_open(20000, _i, 0);
	struct vmb_mem *part;
	struct t_ended e = {0};

	t_ok(vmb_register(w.theirs + AT, LEN,
			  VMB_REMOTE_READ | VMB_REMOTE_WRITE, &part));
	t_ok(vmb_mem_key(part, &w.key));
	memset(w.ours, 7, w.len);
	t_ok(put(&w, 0, 0, LEN, &e));
	until_count(&w.pair, &e.count, 1);
	ck_assert_int_eq(e.code, 0);
	for (size_t i = 0; i < w.len; i++)
		ck_assert_int_eq(w.theirs[i], i >= AT && i < AT + LEN ? 7 : 0);
	memset(w.ours, 9, w.len);
	t_ok(put(&w, 0, LEN, 1, &e));
	until_count(&w.pair, &e.count, 2);
	ck_assert_int_eq(e.code, -ERANGE);
	t_ok(put(&w, 0, LEN - 1, 2, &e));
	until_count(&w.pair, &e.count, 3);
	ck_assert_int_eq(e.code, -ERANGE);
	t_ok(put(&w, 0, UINT64_MAX, 1, &e)); /* the byte before */
	until_count(&w.pair, &e.count, 4);
	ck_assert_int_eq(e.code, -ERANGE);
	ck_assert_int_eq(w.theirs[AT - 1], 0);
	ck_assert_int_eq(w.theirs[AT + LEN - 1], 7);
	ck_assert_int_eq(w.theirs[AT + LEN], 0);
	t_ok(vmb_deregister(part));
	window_close(&w);
}
END_TEST

START_TEST(access_is_what_was_granted)
{
	struct window r = window_open(100, _i, VMB_REMOTE_READ);
	struct window none = window_open(100, _i, 0);
	struct t_ended e = {0};

	t_ok(put(&r, 0, 0, 100, &e));
	until_count(&r.pair, &e.count, 1);
	ck_assert_int_eq(e.code, -EACCES);
	t_ok(get(&r, 0, 0, 100, &e));
	until_count(&r.pair, &e.count, 2);
	ck_assert_int_eq(e.code, 0);
	t_ok(get(&none, 0, 0, 100, &e));
	until_count(&none.pair, &e.count, 3);
	ck_assert_int_eq(e.code, -EACCES);
	window_close(&none);
	window_close(&r);
}
END_TEST

START_TEST(keys_of_ended_registrations_are_stale)
{
	struct window w = window_open(100, _i, VMB_REMOTE_WRITE);
	struct t_ended e = {0};

	t_ok(vmb_deregister(w.their_mem));
	w.their_mem = NULL;
	t_ok(put(&w, 0, 0, 100, &e));
	until_count(&w.pair, &e.count, 1);
	ck_assert_int_eq(e.code, -ENOKEY);
	w.key ^= 1ull << 40; /* guessed */
	t_ok(put(&w, 0, 0, 100, &e));
	until_count(&w.pair, &e.count, 2);
	ck_assert_int_eq(e.code, -ENOKEY);
	w.key = 0;
	t_ok(put(&w, 0, 0, 100, &e));
	until_count(&w.pair, &e.count, 3);
	ck_assert_int_eq(e.code, -ENOKEY);
	window_close(&w);
}
END_TEST

START_TEST(bad_transfers_are_refused)
{
	struct window w = window_open(100, false, VMB_REMOTE_WRITE);
	struct vmb_mem *dead;
	struct vmb_addr bad = {{1, 2}};
	char buf[10];

	t_ok(vmb_register(buf, sizeof(buf), 0, &dead));
	t_ok(vmb_deregister(dead));
	t_fails(vmb_am_put(w.pair.a, bad, w.our_mem, 0, w.key, 0, 1, NULL,
			   NULL),
		-EINVAL);
	t_fails(vmb_am_put(w.pair.a, w.pair.to_b, NULL, 0, w.key, 0, 1, NULL,
			   NULL),
		-EINVAL);
	t_fails(vmb_am_get(w.pair.a, w.pair.to_b, dead, 0, w.key, 0, 1, NULL,
			   NULL),
		-EINVAL);
	window_close(&w);
}
END_TEST

START_TEST(many_transfers_all_end)
{
	struct window w =
		window_open(100000, true, VMB_REMOTE_READ | VMB_REMOTE_WRITE);
	double end = t_seconds() + T_MS / 1000;
	struct t_ended e = {0};
	unsigned posted = 0;
	int rc;

	t_fill(w.ours, w.len, 1);
	while (posted < 1000) {
		rc = put(&w, posted * 100, posted * 100, 100, &e);
		if (rc == -EAGAIN)
			t_ok(vmb_progress(w.pair.a));
		else
			t_ok(rc);
		posted += rc == 0;
		ck_assert(t_seconds() < end);
	}
	until_count(&w.pair, &e.count, 1000);
	t_verify(w.theirs, w.len, 1);
	window_close(&w);
}
END_TEST

START_TEST(fence_orders_a_message_after_a_put)
{
	size_t len = 2u << 20;
	struct window w = window_open(len, _i, VMB_REMOTE_WRITE);
	struct t_ended e = {0}, fence = {0};
	struct vmb_req *recv, *send;

	for (unsigned round = 0; round < 5; round++) {
		t_fill(w.ours, len, round);
		recv = t_irecv(w.pair.b, 1, VMB_MATCH_ALL, NULL, 0);
		t_ok(put(&w, 0, 0, len, &e));
		t_ok(vmb_am_fence(w.pair.a, t_note_end, &fence));
		send = t_isend(w.pair.a, w.pair.to_b, 1, NULL, 0);
		t_finish_pair(&w.pair, w.pair.b, recv);
		t_verify(w.theirs, len, round); /* at once, not later */
		t_finish_pair(&w.pair, w.pair.a, send);
		until_count(&w.pair, &e.count, round + 1);
		until_count(&w.pair, &fence.count, round + 1);
		ck_assert_int_eq(fence.code, 0);
	}
	t_ok(vmb_am_fence(w.pair.a, NULL, NULL));
	window_close(&w);
}
END_TEST

Suite *t_am_suite(void)
{
	int count = (int)(sizeof(sizes) / sizeof(sizes[0]));
	Suite *s = suite_create("am");
	TCase *tc = t_case(s, "messages");

	tcase_add_test(tc, active_messages_arrive_in_order);
	tcase_add_test(tc, handler_may_answer);
	tcase_add_test(tc, messages_without_handler_are_dropped);
	tcase_add_test(tc, bad_active_messages_are_refused);
	tcase_add_test(tc, active_and_matched_messages_share_an_order);
	tcase_add_test(tc, active_message_does_not_pass_those_that_wait);
	tcase_add_test(tc, send_to_a_closed_peer_is_reset);
	tc = t_case_here(s, "transfers"); /* of registered memory */
	tcase_add_loop_test(tc, put_and_get_move_the_bytes, 0, 2 * count);
	tcase_add_loop_test(tc, offsets_count_from_the_registration, 0, 2);
	tcase_add_loop_test(tc, transfers_past_the_end_are_refused, 0, 2);
	tcase_add_loop_test(tc, a_registered_part_ends_at_its_bytes, 0, 2);
	tcase_add_loop_test(tc, access_is_what_was_granted, 0, 2);
	tcase_add_loop_test(tc, keys_of_ended_registrations_are_stale, 0, 2);
	tcase_add_test(tc, bad_transfers_are_refused);
	tcase_add_test(tc, many_transfers_all_end);
	tcase_add_loop_test(tc, fence_orders_a_message_after_a_put, 0, 2);
	return s;
}
