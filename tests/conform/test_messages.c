// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_messages.c - what is sent is received: sizes, order, matching.
 *
 * Flow:  vmb_isend(), vmb_issend() -> vmb_irecv() -> bytes compared
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conform/conform.h"

static const size_t sizes[] = {
	0,
	1,
	39,
	40,
	41,
	95,
	96,
	97,
	4095,
	4096,
	4097,
	8191,
	8192,
	8193,
	64u << 10,
	1u << 20,
	(4u << 20) + 3,
};

#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

/* ---- sizes ------------------------------------------------------------------------ */

START_TEST(expected_message_arrives_whole)
{
	struct t_pair pair = t_pair_open();

	for (uint64_t i = 0; i < 3; i++)
		t_exchange(&pair, i, sizes[_i]);
	t_pair_close(&pair);
}
END_TEST

static void exchange_unexpected(struct t_pair *pair, size_t len, bool sync)
{
	struct vmb_segment seg = {.len = len};
	unsigned char *out = malloc(len + 1), *in = calloc(1, len + 1);
	struct vmb_status status;
	struct vmb_req *send;

	t_fill(out, len, 9);
	seg.ptr = out;
	t_ok((sync ? vmb_issend : vmb_isend)(pair->a, &seg, 1, pair->to_b, 42,
					     &seg, &send));
	t_settle(pair);
	status = t_finish_pair(pair, pair->b,
			       t_irecv(pair->b, 42, VMB_MATCH_ALL, in, len));
	ck_assert_int_eq(status.code, 0);
	ck_assert_uint_eq(status.msg_len, len);
	ck_assert_uint_eq(status.xfer_len, len);
	ck_assert_uint_eq(status.match, 42);
	ck_assert(t_addr_equal(status.peer, pair->to_a));
	t_verify(in, len, 9);
	status = t_finish_pair(pair, pair->a, send);
	ck_assert_int_eq(status.code, 0);
	ck_assert_uint_eq(status.xfer_len, len);
	ck_assert_ptr_eq(status.context, &seg);
	ck_assert(t_addr_equal(status.peer, pair->to_b));
	free(out);
	free(in);
}

START_TEST(unexpected_message_arrives_whole)
{
	struct t_pair pair = t_pair_open();

	exchange_unexpected(&pair, sizes[_i], false);
	exchange_unexpected(&pair, sizes[_i], true);
	t_pair_close(&pair);
}
END_TEST

START_TEST(self_message_arrives_whole)
{
	struct vmb_endpoint *ep = t_open(NULL);
	size_t len = sizes[_i];
	unsigned char *out = malloc(len + 1), *in = calloc(1, len + 1);
	struct vmb_req *send, *recv;
	struct vmb_addr self;

	t_ok(vmb_self(ep, &self));
	t_fill(out, len, 3);
	for (int early = 0; early < 2; early++) {
		if (early)
			recv = t_irecv(ep, 1, VMB_MATCH_ALL, in, len);
		send = t_isend(ep, self, 1, out, len);
		if (!early)
			recv = t_irecv(ep, 1, VMB_MATCH_ALL, in, len);
		ck_assert_int_eq(t_finish(ep, recv).code, 0);
		ck_assert_int_eq(t_finish(ep, send).code, 0);
		t_verify(in, len, 3);
		memset(in, 0, len);
	}
	free(out);
	free(in);
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(four_large_sends_to_self_precede_their_receives)
{
	struct vmb_endpoint *ep = t_open(NULL);
	size_t len = 9u << 20;
	unsigned char *out[4], *in = malloc(len);
	struct vmb_req *sends[4];
	struct vmb_addr self;

	t_ok(vmb_self(ep, &self));
	for (unsigned i = 0; i < 4; i++) {
		out[i] = malloc(len);
		t_fill(out[i], len, i);
		sends[i] = t_isend(ep, self, i, out[i], len);
	}
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(
			t_finish(ep, t_irecv(ep, i, VMB_MATCH_ALL, in, len))
				.code,
			0);
		t_verify(in, len, i);
		ck_assert_int_eq(t_finish(ep, sends[i]).code, 0);
		free(out[i]);
	}
	free(in);
	t_ok(vmb_close(ep));
}
END_TEST

START_TEST(memory_of_the_engine_is_sent_and_received)
{
	struct t_pair pair = t_pair_open();
	size_t len = sizes[_i];
	struct vmb_req *send, *recv;
	void *out, *in;

	t_ok(vmb_alloc(len + 1, &out));
	t_ok(vmb_alloc(len + 1, &in));
	t_fill(out, len, 5);
	recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, in, len);
	send = t_isend(pair.a, pair.to_b, 1, out, len);
	ck_assert_int_eq(t_finish_pair(&pair, pair.b, recv).code, 0);
	ck_assert_int_eq(t_finish_pair(&pair, pair.a, send).code, 0);
	t_verify(in, len, 5);
	t_ok(vmb_free(out));
	t_ok(vmb_free(in));
	t_pair_close(&pair);
}
END_TEST

/* ---- segments ------------------------------------------------------------------------ */

/* Cut len bytes into count pieces of growing length, some of them empty. */
static unsigned cut(struct vmb_segment *segs, unsigned count, void *buf,
		    size_t len)
{
	char *p = buf;
	size_t left = len;

	for (unsigned i = 0; i < count; i++) {
		size_t n = i == count - 1 ? left : left * (i % 3) / count;

		segs[i] = (struct vmb_segment){n ? p : NULL, n};
		p += n;
		left -= n;
	}
	return count;
}

START_TEST(segments_are_gathered_and_scattered)
{
	static const unsigned counts[] = {1, 2, 7, VMB_SEGMENTS_MAX};
	struct vmb_segment from[VMB_SEGMENTS_MAX], to[VMB_SEGMENTS_MAX];
	struct t_pair pair = t_pair_open();
	size_t len = sizes[_i];
	unsigned char *out = malloc(len + 1), *in = malloc(len + 1);
	struct vmb_req *send, *recv;

	t_fill(out, len, 8);
	for (int i = 0; i < 16; i++) {
		memset(in, 0, len + 1);
		t_ok(vmb_irecv(pair.b, to, cut(to, counts[i % 4], in, len), 1,
			       VMB_MATCH_ALL, NULL, &recv));
		t_ok(vmb_isend(pair.a, from, cut(from, counts[i / 4], out, len),
			       pair.to_b, 1, NULL, &send));
		/* the arrays are ours again */
		memset(from, 0xff, sizeof(from));
		memset(to, 0xff, sizeof(to));
		ck_assert_int_eq(t_finish_pair(&pair, pair.b, recv).code, 0);
		ck_assert_int_eq(t_finish_pair(&pair, pair.a, send).code, 0);
		t_verify(in, len, 8);
	}
	free(out);
	free(in);
	t_pair_close(&pair);
}
END_TEST

START_TEST(bad_segments_are_refused)
{
	struct t_pair pair = t_pair_open();
	struct vmb_segment segs[VMB_SEGMENTS_MAX + 1] = {{0}};
	struct vmb_segment hole = {NULL, 1};
	struct vmb_segment half = {segs, 0x80000000u};
	struct vmb_segment two[2] = {half, half};
	struct vmb_segment huge = {segs, SIZE_MAX};
	struct vmb_req *req = NULL;

#define BOTH(segments, count, code)                                            \
	do {                                                                   \
		t_fails(vmb_isend(pair.a, segments, count, pair.to_b, 1, NULL, \
				  &req),                                       \
			code);                                                 \
		t_fails(vmb_issend(pair.a, segments, count, pair.to_b, 1,      \
				   NULL, &req),                                \
			code);                                                 \
		t_fails(vmb_irecv(pair.a, segments, count, 1, 1, NULL, &req),  \
			code);                                                 \
	} while (0)
	BOTH(segs, VMB_SEGMENTS_MAX + 1, -EINVAL);
	BOTH(&hole, 1, -EINVAL);
	BOTH(NULL, 1, -EINVAL);
	BOTH(two, 2, -EMSGSIZE);
	BOTH(&huge, 1, -EMSGSIZE);
#undef BOTH
	t_fails(vmb_irecv(pair.a, NULL, 0, 2, 1, NULL, &req), -EINVAL);
	ck_assert_ptr_null(req);
	t_pair_close(&pair);
}
END_TEST

/* ---- truncation ---------------------------------------------------------------------- */

START_TEST(long_message_is_truncated)
{
	struct t_pair pair = t_pair_open();
	size_t len = sizes[_i], room = len / 2;
	unsigned char *out = malloc(len + 1), *in = malloc(len + 1);
	struct vmb_req *send, *recv;
	struct vmb_status status;

	t_fill(out, len, 1);
	for (int early = 0; len && early < 2; early++) {
		memset(in, 0xee, len + 1);
		if (early)
			recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, in, room);
		send = t_isend(pair.a, pair.to_b, 1, out, len);
		if (!early) {
			t_settle(&pair);
			recv = t_irecv(pair.b, 1, VMB_MATCH_ALL, in, room);
		}
		status = t_finish_pair(&pair, pair.b, recv);
		ck_assert_int_eq(status.code, -EMSGSIZE);
		ck_assert_uint_eq(status.msg_len, len);
		ck_assert_uint_eq(status.xfer_len, room);
		t_verify(in, room, 1);
		ck_assert_uint_eq(in[room], 0xee);
		status = t_finish_pair(&pair, pair.a, send);
		/* who sent a large message learns of it, too */
		ck_assert_int_eq(status.code, len > 8192 ? -EMSGSIZE : 0);
		ck_assert_uint_eq(status.msg_len, len);
		ck_assert_uint_eq(status.xfer_len, len > 8192 ? room : len);
	}
	t_exchange(&pair, 2, len);
	free(out);
	free(in);
	t_pair_close(&pair);
}
END_TEST

/* ---- order and matching ---------------------------------------------------------------- */

/* Sizes of all protocols in turn: order is that of the sends all the same. */
START_TEST(messages_match_in_the_order_of_sends)
{
	enum {
		COUNT = 60
	};
	struct t_pair pair = t_pair_open();
	unsigned char(*out)[70000] = t_pages(COUNT * sizeof(*out));
	static unsigned char in[70000];
	struct vmb_req *sends[COUNT];
	struct vmb_status status;

	for (unsigned i = 0; i < COUNT; i++) {
		size_t len = i % 3 == 0 ? 8 : i % 3 == 1 ? 5000 : 70000;

		t_fill(out[i], len, i);
		sends[i] = t_isend(pair.a, pair.to_b, i, out[i], len);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct vmb_req *recv = t_irecv(pair.b, 0, 0, in, sizeof(in));

		status = t_finish_pair(&pair, pair.b, recv);
		ck_assert_uint_eq(status.match, i);
		t_verify(in, status.xfer_len, i);
		t_finish_pair(&pair, pair.a, sends[i]);
	}
	t_pair_close(&pair);
}
END_TEST

START_TEST(receives_match_in_the_order_of_posting)
{
	struct t_pair pair = t_pair_open();
	struct vmb_req *recvs[3];
	char in[3];

	recvs[0] = t_irecv(pair.b, 0x10, 0xf0, &in[0], 1);
	recvs[1] = t_irecv(pair.b, 0x11, VMB_MATCH_ALL, &in[1], 1);
	recvs[2] = t_irecv(pair.b, 0, 0, &in[2], 1);
	t_isend(pair.a, pair.to_b, 0x11, "a", 1);
	t_isend(pair.a, pair.to_b, 0x11, "b", 1);
	t_isend(pair.a, pair.to_b, 0x11, "c", 1);
	for (int i = 0; i < 3; i++)
		t_finish(pair.b, recvs[i]);
	ck_assert_mem_eq(in, "abc", 3);
	t_pair_close(&pair);
}
END_TEST

START_TEST(mask_selects_messages)
{
	struct t_pair pair = t_pair_open();
	struct vmb_status status;
	char in[2];

	t_isend(pair.a, pair.to_b, 0xaa01, "1", 2);
	t_isend(pair.a, pair.to_b, 0xbb01, "2", 2);
	t_isend(pair.a, pair.to_b, 0xaa02, "3", 2);
	status = t_finish(pair.b, t_irecv(pair.b, 0xbb00, 0xff00, in, 2));
	ck_assert_str_eq(in, "2");
	ck_assert_uint_eq(status.match, 0xbb01);
	t_finish(pair.b, t_irecv(pair.b, 0x02, 0xff, in, 2));
	ck_assert_str_eq(in, "3");
	t_finish(pair.b, t_irecv(pair.b, 0, 0, in, 2));
	ck_assert_str_eq(in, "1");
	t_pair_close(&pair);
}
END_TEST

START_TEST(thousands_of_posted_receives_are_served)
{
	enum {
		COUNT = 5000
	};
	struct t_pair pair = t_pair_open();
	static struct vmb_req *recvs[COUNT];
	static unsigned in[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		recvs[i] = t_irecv(pair.b, i, VMB_MATCH_ALL, &in[i],
				   sizeof(in[i]));
	for (unsigned i = COUNT; i-- > 0;) {
		t_isend(pair.a, pair.to_b, i, &i, sizeof(i));
		t_finish_pair(&pair, pair.b, recvs[i]);
		ck_assert_uint_eq(in[i], i);
	}
	t_pair_close(&pair);
}
END_TEST

/* 10,000 sends without waiting, many more than any queue holds. */
START_TEST(thousands_of_sends_are_delivered)
{
	enum {
		COUNT = 10000
	};
	struct t_pair pair = t_pair_open();
	static struct vmb_req *sends[COUNT];
	static unsigned out[COUNT];
	unsigned in;

	for (unsigned i = 0; i < COUNT; i++) {
		out[i] = i;
		sends[i] =
			t_isend(pair.a, pair.to_b, i, &out[i], sizeof(out[i]));
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct vmb_req *recv =
			t_irecv(pair.b, i, VMB_MATCH_ALL, &in, sizeof(in));

		t_finish_pair(&pair, pair.b, recv);
		ck_assert_uint_eq(in, i);
	}
	for (unsigned i = 0; i < COUNT; i++)
		ck_assert_int_eq(t_finish_pair(&pair, pair.a, sends[i]).code,
				 0);
	t_pair_close(&pair);
}
END_TEST

/* Little room for the unexpected: senders wait, nothing is lost. */
START_TEST(unexpected_limit_holds_senders_back)
{
	enum {
		COUNT = 500
	};
	struct vmb_open_params p = {
		.size = sizeof(p), .id = VMB_ANY_ID, .unexpected_max = 16384};
	struct vmb_counters counters = {.size = sizeof(counters)};
	struct t_pair pair = t_pair_open_with(&p);
	static struct vmb_req *sends[COUNT];
	static char out[COUNT][2000], in[2000];

	for (unsigned i = 0; i < COUNT; i++) {
		t_fill(out[i], sizeof(out[i]), i);
		sends[i] =
			t_isend(pair.a, pair.to_b, i, out[i], sizeof(out[i]));
	}
	/* never settled: b takes no more than it may keep */
	while (counters.unexpected < 4) {
		t_ok(vmb_progress(pair.a));
		t_ok(vmb_progress(pair.b));
		t_ok(vmb_query_counters(pair.b, &counters));
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct vmb_req *recv =
			t_irecv(pair.b, i, VMB_MATCH_ALL, in, sizeof(in));

		ck_assert_int_eq(t_finish_pair(&pair, pair.b, recv).code, 0);
		t_verify(in, sizeof(in), i);
	}
	for (unsigned i = 0; i < COUNT; i++)
		t_finish_pair(&pair, pair.a, sends[i]);
	t_pair_close(&pair);
}
END_TEST

/* ---- synchronous sends ------------------------------------------------------------------ */

START_TEST(synchronous_send_waits_for_a_match)
{
	struct t_pair pair = t_pair_open();
	struct vmb_segment seg = {(void *)(uintptr_t) "hi", 3};
	struct vmb_req *send;
	char in[3];
	int done;

	t_ok(vmb_issend(pair.a, &seg, 1, pair.to_b, 1, NULL, &send));
	t_settle(&pair);
	t_ok(vmb_test(pair.a, &send, NULL, &done));
	ck_assert_int_eq(done, 0);
	t_finish_pair(&pair, pair.b, t_irecv(pair.b, 1, VMB_MATCH_ALL, in, 3));
	ck_assert_int_eq(t_finish_pair(&pair, pair.a, send).code, 0);
	t_pair_close(&pair);
}
END_TEST

START_TEST(small_send_completes_at_once)
{
	struct t_pair pair = t_pair_open();
	char buf[40] = "first";
	struct vmb_req *send = t_isend(pair.a, pair.to_b, 1, buf, 40);
	char in[40];
	int done;

	t_ok(vmb_test(pair.a, &send, NULL, &done));
	ck_assert_int_eq(done, 1);
	memcpy(buf, "other", 6); /* ours again */
	t_finish(pair.b, t_irecv(pair.b, 1, VMB_MATCH_ALL, in, 40));
	ck_assert_str_eq(in, "first");
	t_pair_close(&pair);
}
END_TEST

Suite *t_messages_suite(void)
{
	Suite *s = suite_create("messages");
	TCase *tc = t_case(s, "sizes");

	tcase_add_loop_test(tc, expected_message_arrives_whole, 0, SIZES);
	tcase_add_loop_test(tc, unexpected_message_arrives_whole, 0, SIZES);
	tcase_add_loop_test(tc, self_message_arrives_whole, 0, SIZES);
	tcase_add_test(tc, four_large_sends_to_self_precede_their_receives);
	tcase_add_loop_test(tc, memory_of_the_engine_is_sent_and_received, 0,
			    SIZES);
	tc = t_case(s, "segments");
	tcase_add_loop_test(tc, segments_are_gathered_and_scattered, 0, SIZES);
	tcase_add_test(tc, bad_segments_are_refused);
	tc = t_case(s, "truncation");
	tcase_add_loop_test(tc, long_message_is_truncated, 0, SIZES);
	tc = t_case(s, "matching");
	tcase_add_test(tc, messages_match_in_the_order_of_sends);
	tcase_add_test(tc, receives_match_in_the_order_of_posting);
	tcase_add_test(tc, mask_selects_messages);
	tcase_add_test(tc, thousands_of_posted_receives_are_served);
	tcase_add_test(tc, thousands_of_sends_are_delivered);
	tcase_add_test(tc, unexpected_limit_holds_senders_back);
	tc = t_case(s, "synchronous");
	tcase_add_test(tc, synchronous_send_waits_for_a_match);
	tcase_add_test(tc, small_send_completes_at_once);
	return s;
}
