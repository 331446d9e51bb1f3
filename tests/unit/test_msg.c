// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_msg.c - messages between peers that mean well: every protocol, every
 * size around its limits, in order, whole, and reported right on both sides.
 *
 * Flow:  test -> msg_ends.c -> lib/msg over the engine in this process
 * Owns:  nothing beyond one test.
 * Trust: every payload is compared, and the memory beside it.
 */
#include <errno.h>
#include <string.h>

#include "msg/wire.h"
#include "support/run.h"
#include "unit/msg_ends.h"

#define ALL VMB_MATCH_ALL
#define MANY 10000

static struct m_end *a, *b;

static void setup(void)
{
	m_setup();
	a = m_open(NULL);
	b = m_open(NULL);
}

static unsigned next_random(void)
{
	static unsigned state = 12345;

	state = state * 1103515245u + 12345u;
	return state >> 16;
}

/* ---- sizes ------------------------------------------------------------------- */

static const size_t sizes[] = {
	0,	     1,
	39,	     40,
	41,	     95,
	96,	     97,
	4095,	     4096,
	4097,	     16376,
	16377,	     M_EAGER_MAX - 1,
	M_EAGER_MAX, M_EAGER_MAX + 1,
	40000,	     300001,
	3 << 20,
};

/* variant: 1 synchronous, 2 receive comes later, 4 memory out of reach */
static void exchange(size_t len, size_t room, unsigned variant)
{
	bool synchronous = variant & 1;
	bool eager = len <= M_EAGER_MAX && !synchronous;
	size_t taken = vmb_min(len, room);
	int code = taken < len ? -EMSGSIZE : 0;
	uint8_t *from = m_payload(len, variant), *to = m_blank(room);
	struct vmb_req *send, *recv = NULL;
	struct vmb_status status;

	t_port_refuse_register(variant & 4);
	if (!(variant & 2))
		recv = m_recv(b, to, room, 77, ALL);
	send = m_send(a, b, from, len, 77, synchronous);
	m_settle();
	ck_assert_int_eq(m_has_ended(a, send), eager || !(variant & 2));
	if (variant & 2)
		recv = m_recv(b, to, room, 77, ALL);
	status = m_wait(b, recv);
	ck_assert_int_eq(status.code, code);
	ck_assert_uint_eq(status.msg_len, len);
	ck_assert_uint_eq(status.xfer_len, taken);
	ck_assert_uint_eq(status.match, 77);
	ck_assert_ptr_eq(status.context, to);
	ck_assert_uint_eq((uint32_t)status.peer.opaque[0], a->am.pep.handle);
	m_check(to, room, taken, variant);
	m_expect(a, send, eager ? 0 : code, len, eager ? len : taken);
}

START_TEST(message_arrives_whole)
{
	unsigned variant = (unsigned)_i % 8;
	size_t len = sizes[_i / 8];

	exchange(len, len, variant);
	exchange(len, len + 100, variant);
	ck_assert_uint_eq(m_count(b).unexpected, variant & 2 ? 2 : 0);
	ck_assert_uint_eq(m_count(b).expected, variant & 2 ? 0 : 2);
	ck_assert_uint_eq(m_count(a).pipelined,
			  variant & 4 && len > M_EAGER_MAX ? 2 : 0);
	ck_assert_uint_eq(m_count(a).eager + m_count(a).rendezvous, 2);
	ck_assert_uint_eq(m_count(a).nonsense + m_count(b).nonsense, 0);
}
END_TEST

START_TEST(truncation_is_told_to_both)
{
	static const size_t lens[] = {1, 40, 5000, 100000};

	for (unsigned i = 0; i < vmb_array_size(lens); i++) {
		exchange(lens[i], 0, (unsigned)_i);
		exchange(lens[i], lens[i] / 2, (unsigned)_i);
		exchange(lens[i], lens[i] - 1, (unsigned)_i);
	}
}
END_TEST

START_TEST(forty_bytes_travel_in_one_slot)
{
	struct m_end *raw = m_open(&(struct m_options){.raw = true});
	uint8_t *from = m_payload(40, 5);

	m_expect(a, m_send(a, raw, from, 40, 99, false), 0, 40, 40);
	m_settle();
	ck_assert_uint_eq(raw->heard[VMB_MSG_EAGER], 1);
	ck_assert_uint_eq(raw->last_hdr, 99);
	ck_assert_mem_eq(raw->last, from, 40);
	ck_assert_uint_eq(a->am.doorbell.pos, 1);
}
END_TEST

/* ---- order --------------------------------------------------------------------- */

#define ORDERED 400

/* One match value for all: the n-th receive gets the n-th message. */
START_TEST(messages_match_in_order_of_sends)
{
	static struct vmb_req *sends[ORDERED], *recvs[ORDERED];
	static uint8_t *to[ORDERED];
	static size_t lens[ORDERED];
	unsigned posted = 0, sent = 0;

	while (sent < ORDERED || posted < ORDERED) {
		unsigned what = next_random() % 8;

		if (what < 3 && sent < ORDERED) {
			lens[sent] = sizes[next_random() % 18] % 50000;
			t_port_refuse_register(next_random() % 4 == 0);
			sends[sent] =
				m_send(a, b, m_payload(lens[sent], sent),
				       lens[sent], 1, next_random() % 3 == 0);
			sent++;
		} else if (what < 6 && posted < ORDERED) {
			to[posted] = m_blank(50000);
			recvs[posted] = m_recv(b, to[posted], 50000, 1,
					       next_random() % 2 ? ALL : 1);
			posted++;
		} else if (what == 7) {
			m_turn();
		}
	}
	for (unsigned i = 0; i < ORDERED; i++) {
		m_expect(b, recvs[i], 0, lens[i], lens[i]);
		m_check(to[i], 50000, lens[i], i);
		m_expect(a, sends[i], 0, lens[i], lens[i]);
	}
}
END_TEST

START_TEST(oldest_receive_takes_the_message)
{
	uint8_t *buf = m_blank(8);
	struct vmb_req *any = m_recv(b, buf, 8, 0, 0);
	struct vmb_req *exact = m_recv(b, buf, 8, 5, ALL);
	struct vmb_req *half = m_recv(b, buf, 8, 1, 1);

	m_send(a, b, buf, 1, 5, false);
	m_expect(b, any, 0, 1, 1);
	m_send(a, b, buf, 2, 3, false);
	m_expect(b, half, 0, 2, 2);
	m_send(a, b, buf, 3, 5, false);
	m_expect(b, exact, 0, 3, 3);
}
END_TEST

/* ---- segments -------------------------------------------------------------------- */

/* Cut [buf, buf + len) into pieces, with empty ones among them. */
static unsigned cut(struct vmb_segment *s, uint8_t *buf, size_t len,
		    unsigned pieces)
{
	unsigned n = 0;

	while (n + 1 < pieces) {
		size_t part = next_random() % 4 ? next_random() % (len + 1) : 0;

		s[n++] = (struct vmb_segment){part ? buf : NULL, part};
		buf += part;
		len -= part;
	}
	s[n++] = (struct vmb_segment){buf, len};
	return n;
}

/* The pieces in another place each, so that they are not neighbours. */
static void scatter(struct vmb_segment *s, unsigned count, bool copy)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t *place = m_blank(s[i].len);

		if (copy && s[i].len)
			memcpy(place, s[i].ptr, s[i].len);
		if (s[i].len)
			s[i].ptr = place;
	}
}

static void gather(uint8_t *to, const struct vmb_segment *s, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (s[i].len)
			memcpy(to, s[i].ptr, s[i].len);
		to += s[i].len;
	}
}

/* variant: 1 many send pieces, 2 many receive pieces, 4 synchronous */
START_TEST(segments_are_gathered_and_scattered)
{
	struct vmb_segment out[VMB_SEGMENTS_MAX], in[VMB_SEGMENTS_MAX];
	unsigned variant = (unsigned)_i;

	for (unsigned round = 0; round < 40; round++) {
		size_t len = next_random() % 200000 >> next_random() % 12;
		unsigned n_out = cut(out, m_payload(len, round), len,
				     variant & 1 ? 1 + next_random() % 256 : 1);
		unsigned n_in = cut(in, m_blank(len), len,
				    variant & 2 ? 1 + next_random() % 24 : 1);
		struct vmb_req *send, *recv;
		uint8_t *whole = m_blank(len);

		scatter(out, n_out, true);
		scatter(in, n_in, false);
		ck_assert_int_eq(vmb_msg_irecv(b->msg, in, n_in, len, 3, ALL,
					       NULL, &recv),
				 0);
		ck_assert_int_eq(vmb_msg_isend(a->msg, out, n_out, len,
					       m_peer(a, b), 3, variant & 4,
					       NULL, &send),
				 0);
		m_expect(b, recv, 0, len, len);
		m_expect(a, send, 0, len, len);
		gather(whole, in, n_in);
		m_check(whole, len, len, round);
	}
}
END_TEST

START_TEST(no_segments_is_an_empty_message)
{
	struct vmb_segment none = {NULL, 0};
	struct vmb_req *send, *recv;

	for (int synchronous = 0; synchronous < 2; synchronous++) {
		ck_assert_int_eq(vmb_msg_irecv(b->msg, NULL, 0, 0, 3, ALL, NULL,
					       &recv),
				 0);
		ck_assert_int_eq(vmb_msg_isend(a->msg, &none, 1, 0,
					       m_peer(a, b), 3, synchronous,
					       NULL, &send),
				 0);
		m_expect(b, recv, 0, 0, 0);
		m_expect(a, send, 0, 0, 0);
	}
}
END_TEST

/* ---- completion -------------------------------------------------------------------- */

START_TEST(probe_sees_the_first_and_leaves_it)
{
	static const size_t lens[] = {10, 100000, 0};
	struct vmb_status status;
	uint8_t *to = m_blank(100000);

	ck_assert(!vmb_msg_probe(b->msg, 0, 0, &status));
	for (unsigned i = 0; i < 3; i++)
		m_send(a, b, m_payload(lens[i], i), lens[i], 0x10 + i, i == 2);
	m_settle();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(vmb_msg_probe(b->msg, 0x10, 0x10, &status));
		ck_assert(vmb_msg_probe(b->msg, 0x10, 0x10, NULL));
		ck_assert_uint_eq(status.match, 0x10 + i);
		ck_assert_uint_eq(status.msg_len, lens[i]);
		ck_assert_uint_eq(status.xfer_len, lens[i]);
		ck_assert(vmb_msg_probe(b->msg, 0x12, ALL, &status));
		ck_assert(!vmb_msg_probe(b->msg, 0x13, ALL, &status));
		m_expect(b, m_recv(b, to, 100000, 0, 0), 0, lens[i], lens[i]);
	}
	ck_assert(!vmb_msg_probe(b->msg, 0, 0, &status));
}
END_TEST

START_TEST(cancel_takes_back_what_is_unmatched)
{
	uint8_t *buf = m_payload(100000, 1), *to = m_blank(100000);
	struct vmb_req *recv = m_recv(b, to, 100000, 1, ALL);
	struct vmb_req *later = m_recv(b, to, 100000, 1, ALL);
	struct vmb_req *send;
	int cancelled = 7;

	ck_assert_int_eq(vmb_msg_cancel(b->msg, recv, &cancelled), 0);
	ck_assert_int_eq(cancelled, 1);
	ck_assert(!vmb_msg_owns(b->msg, recv));
	send = m_send(a, b, buf, 100000, 1, false);
	ck_assert_int_eq(vmb_msg_cancel(a->msg, send, &cancelled), -EOPNOTSUPP);
	ck_assert_int_eq(cancelled, 0);
	m_settle();
	cancelled = 7;
	ck_assert_int_eq(vmb_msg_cancel(b->msg, later, &cancelled), 0);
	ck_assert_int_eq(cancelled, 0);
	m_expect(b, later, 0, 100000, 100000);
	m_expect(a, send, 0, 100000, 100000);
}
END_TEST

START_TEST(forgotten_requests_run_to_their_end)
{
	static const size_t lens[] = {8, 100000};

	for (unsigned i = 0; i < 4; i++) {
		size_t len = lens[i / 2];
		uint8_t *buf = m_payload(len, i), *to = m_blank(len);
		struct vmb_segment in = {to, len}, out = {buf, len};
		struct vmb_req *recv;

		if (i % 2) {
			ck_assert_int_eq(vmb_msg_irecv(b->msg, &in, 1, len, 1,
						       ALL, NULL, NULL),
					 0);
			ck_assert_int_eq(vmb_msg_isend(a->msg, &out, 1, len,
						       m_peer(a, b), 1, true,
						       NULL, NULL),
					 0);
		} else {
			recv = m_recv(b, to, len, 1, ALL);
			vmb_msg_forget(b->msg, recv);
			ck_assert(!vmb_msg_owns(b->msg, recv));
			vmb_msg_forget(a->msg, m_send(a, b, buf, len, 1, 0));
		}
		m_settle();
		m_check(to, len, len, i);
		ck_assert_ptr_null(vmb_msg_first_done(b->msg, 0, 0));
		ck_assert_ptr_null(vmb_msg_first_done(a->msg, 0, 0));
	}
	ck_assert_uint_eq(a->completed + b->completed, 1); /* eager, at once */
}
END_TEST

START_TEST(forget_drops_what_has_ended)
{
	struct vmb_req *send = m_send(a, b, NULL, 0, 1, false);

	ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 1, ALL), send);
	vmb_msg_forget(a->msg, send);
	ck_assert_ptr_null(vmb_msg_first_done(a->msg, 1, ALL));
	ck_assert(!vmb_msg_owns(a->msg, send));
}
END_TEST

START_TEST(buffered_says_when_memory_is_free)
{
	uint8_t *buf = m_payload(100000, 0);
	struct vmb_req *eager = m_send(a, b, buf, 10, 1, false);
	struct vmb_req *sync = m_send(a, b, buf, 10, 2, true);
	struct vmb_req *large = m_send(a, b, buf, 100000, 3, false);
	struct vmb_req *recv = m_recv(b, m_blank(100000), 100000, 3, ALL);
	int done = 7;

	ck_assert_int_eq(vmb_msg_buffered(a->msg, eager, &done), 0);
	ck_assert_int_eq(done, 1);
	ck_assert_int_eq(vmb_msg_buffered(a->msg, sync, &done), 0);
	ck_assert_int_eq(done, 1);
	ck_assert_int_eq(vmb_msg_buffered(a->msg, large, &done), 0);
	ck_assert_int_eq(done, 0);
	ck_assert_int_eq(vmb_msg_buffered(b->msg, recv, &done), -EINVAL);
	m_settle();
	ck_assert_int_eq(vmb_msg_buffered(a->msg, large, &done), 0);
	ck_assert_int_eq(done, 1);
	ck_assert_ptr_eq(vmb_msg_context(a->msg, large), buf);
}
END_TEST

START_TEST(first_done_is_the_oldest_that_matches)
{
	struct vmb_req *sends[64];

	for (unsigned i = 0; i < 64; i++)
		sends[i] = m_send(a, b, NULL, 0, i, false);
	for (unsigned i = 1; i < 64; i += 2) {
		ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 1, 1), sends[i]);
		m_expect(a, sends[i], 0, 0, 0);
	}
	ck_assert_ptr_null(vmb_msg_first_done(a->msg, 1, 1));
	ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 0, 0), sends[0]);
	ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 62, ALL), sends[62]);
}
END_TEST

START_TEST(owns_is_safe_for_any_pointer)
{
	struct vmb_req *req = m_recv(a, NULL, 0, 1, ALL);
	uintptr_t at = (uintptr_t)req;

	ck_assert(vmb_msg_owns(a->msg, req));
	ck_assert(!vmb_msg_owns(b->msg, req));
	for (unsigned i = 1; i < 4096; i++)
		ck_assert(!vmb_msg_owns(a->msg, (void *)(at + i)));
	ck_assert(!vmb_msg_owns(a->msg, NULL));
	ck_assert(!vmb_msg_owns(a->msg, (void *)UINTPTR_MAX));
	ck_assert(!vmb_msg_owns(a->msg, (void *)&req));
}
END_TEST

/* ---- many at a time ------------------------------------------------------------------- */

static struct vmb_req *many_sends[MANY], *many_recvs[MANY];
static uint64_t values[MANY];

/* variant: 1 synchronous, 2 receives first, 4 matched from the last on */
START_TEST(ten_thousand_wait_on_both_sides)
{
	unsigned variant = (unsigned)_i;
	bool first = variant & 2;

	for (unsigned i = 0; i < MANY; i++) {
		unsigned k = variant & 4 ? MANY - 1 - i : i;

		values[i] = i * 0x100000001ull;
		if (first)
			many_recvs[k] =
				m_recv(b, NULL, 0, k * 0x100000001ull, ALL);
	}
	for (unsigned i = 0; i < MANY; i++)
		many_sends[i] =
			m_send(a, b, &values[i], 8, values[i], variant & 1);
	m_settle();
	for (unsigned i = 0; i < MANY; i++) {
		unsigned k = variant & 4 ? MANY - 1 - i : i;

		if (!first)
			many_recvs[k] = m_recv(b, NULL, 0, values[k], ALL);
	}
	for (unsigned i = 0; i < MANY; i++) {
		m_expect(b, many_recvs[i], -EMSGSIZE, 8, 0);
		m_expect(a, many_sends[i], variant & 1 ? -EMSGSIZE : 0, 8,
			 variant & 1 ? 0 : 8);
	}
}
END_TEST

/* Far more than am may keep for one peer, before anybody makes progress. */
START_TEST(posts_without_progress_all_arrive)
{
	static const size_t lens[] = {9000, 8, 20000};
	uint8_t *from = m_payload(20000, 1), *to = m_blank(20000);
	unsigned pending = 0;
	int done;

	for (unsigned i = 0; i < 6000; i++) {
		many_sends[i] = m_send(a, b, from, lens[i % 3], i, false);
		vmb_msg_buffered(a->msg, many_sends[i], &done);
		pending += i % 3 != 2 && !done;
	}
	ck_assert_uint_gt(pending, 2000); /* bounded memory */
	for (unsigned i = 0; i < 6000; i++) {
		size_t len = lens[i % 3];
		struct vmb_req *recv;

		memset(to, 0xee, len);
		recv = m_recv(b, to, 20000, 0, 0);
		ck_assert_uint_eq(m_wait(b, recv).match, i);
		m_check(to, len, len, 1);
		m_expect(a, many_sends[i], 0, len, len);
	}
}
END_TEST

START_TEST(unexpected_memory_is_bounded)
{
	struct m_end *c = m_open(
		&(struct m_options){.unexpected_max = 100000, .eq_slots = 64});
	uint8_t *from = m_payload(4000, 1), *to = m_blank(4000);

	for (unsigned i = 0; i < 500; i++)
		many_sends[i] = m_send(a, c, from, 4000, i, false);
	m_settle();
	ck_assert_uint_le(m_count(c).unexpected, 100000 / 4000 + 1);
	for (unsigned i = 0; i < 500; i++) {
		m_expect(c, m_recv(c, to, 4000, i, ALL), 0, 4000, 4000);
		m_check(to, 4000, 4000, 1);
		m_expect(a, many_sends[i], 0, 4000, 4000);
	}
}
END_TEST

/* ---- to ourselves ------------------------------------------------------------------------ */

START_TEST(sends_to_self_end_in_order)
{
	struct vmb_req *sends[4], *recvs[4];
	uint8_t *to[4];

	t_port_refuse_register(_i);
	for (unsigned i = 0; i < 4; i++)
		sends[i] = m_send(a, a, m_payload(2 << 20, i), 2 << 20, i, 0);
	for (unsigned i = 0; i < 4; i++) {
		to[i] = m_blank(2 << 20);
		recvs[i] = m_recv(a, to[i], 2 << 20, i, ALL);
		m_expect(a, recvs[i], 0, 2 << 20, 2 << 20);
		m_check(to[i], 2 << 20, 2 << 20, i);
	}
	for (unsigned i = 0; i < 4; i++) {
		m_until(vmb_msg_first_done(a->msg, 0, 0));
		ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 0, 0), sends[i]);
		m_expect(a, sends[i], 0, 2 << 20, 2 << 20);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("msg");
	TCase *size = tcase_create("size");
	TCase *order = tcase_create("order");
	TCase *completion = tcase_create("completion");
	TCase *many = tcase_create("many");

	tcase_add_checked_fixture(size, setup, m_teardown);
	tcase_add_loop_test(size, message_arrives_whole, 0,
			    8 * vmb_array_size(sizes));
	tcase_add_loop_test(size, truncation_is_told_to_both, 0, 8);
	tcase_add_test(size, forty_bytes_travel_in_one_slot);
	tcase_add_loop_test(size, segments_are_gathered_and_scattered, 0, 8);
	tcase_add_test(size, no_segments_is_an_empty_message);
	tcase_add_checked_fixture(order, setup, m_teardown);
	tcase_add_test(order, messages_match_in_order_of_sends);
	tcase_add_test(order, oldest_receive_takes_the_message);
	tcase_add_loop_test(order, sends_to_self_end_in_order, 0, 2);
	tcase_add_checked_fixture(completion, setup, m_teardown);
	tcase_add_test(completion, probe_sees_the_first_and_leaves_it);
	tcase_add_test(completion, cancel_takes_back_what_is_unmatched);
	tcase_add_test(completion, forgotten_requests_run_to_their_end);
	tcase_add_test(completion, forget_drops_what_has_ended);
	tcase_add_test(completion, buffered_says_when_memory_is_free);
	tcase_add_test(completion, first_done_is_the_oldest_that_matches);
	tcase_add_test(completion, owns_is_safe_for_any_pointer);
	tcase_add_checked_fixture(many, setup, m_teardown);
	tcase_set_timeout(many, 60);
	tcase_set_timeout(order, 60);
	tcase_add_loop_test(many, ten_thousand_wait_on_both_sides, 0, 8);
	tcase_add_test(many, posts_without_progress_all_arrive);
	tcase_add_test(many, unexpected_memory_is_bounded);
	suite_add_tcase(suite, size);
	suite_add_tcase(suite, order);
	suite_add_tcase(suite, completion);
	suite_add_tcase(suite, many);
	return t_run(suite);
}
