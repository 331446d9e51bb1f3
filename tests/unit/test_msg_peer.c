// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_msg_peer.c - messages when the other side is slow, gone or forgotten,
 * when memory runs out, and what the unexpected handler may do.
 *
 * Flow:  test -> msg_ends.c -> lib/msg over the engine in this process
 * Owns:  nothing beyond one test.
 * Trust: payloads are compared; what malloc() and the engine say is replaced.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msg/state.h"
#include "support/run.h"
#include "unit/msg_ends.h"

#define ALL VMB_MATCH_ALL
#define LARGE 100000u

static struct m_end *a, *b;

static void setup(void)
{
	m_setup();
	a = m_open(NULL);
	b = m_open(NULL);
}

/* The linker sends malloc() here; what libcheck asks for is smaller. */
static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return no_memory && size >= 512 ? NULL : __real_malloc(size);
}

/* And what the engine says of a transfer, here: the n-th one fails. */
static unsigned unreachable;

int __real_vmb_am_errno(unsigned code);
int __wrap_vmb_am_errno(unsigned code);

int __wrap_vmb_am_errno(unsigned code)
{
	if (unreachable && !--unreachable)
		code = VMB_CODE_UNREACHABLE;
	return __real_vmb_am_errno(code);
}

/* ---- time-outs ----------------------------------------------------------------- */

START_TEST(send_ends_when_its_time_is_over)
{
	uint8_t *buf = m_payload(LARGE, 1);
	size_t len = _i ? LARGE : 10;
	struct vmb_status status;
	struct vmb_req *send;

	ck_assert_uint_eq(vmb_msg_deadline(a->msg), UINT64_MAX);
	ck_assert_int_eq(vmb_msg_set_timeout(a->msg, NULL, 500), 0);
	send = m_send(a, b, buf, len, 1, true);
	ck_assert_uint_le(vmb_msg_deadline(a->msg), vmb_now_ns() + 500000000);
	m_settle();
	ck_assert(vmb_msg_probe(b->msg, 1, ALL, &status));
	m_expect(a, send, -ETIMEDOUT, len, 0);
	ck_assert_uint_eq(vmb_msg_deadline(a->msg), UINT64_MAX);
	m_settle();
	/* what was only announced is withdrawn */
	ck_assert_int_eq(vmb_msg_probe(b->msg, 1, ALL, &status), !_i);
}
END_TEST

START_TEST(limits_end_in_their_own_order)
{
	static const unsigned ms[] = {1500, 100, 0, 900, 500};
	struct vmb_req *sends[5];

	for (unsigned i = 0; i < 5; i++) {
		sends[i] = m_send(a, b, NULL, 0, i, true);
		ck_assert_int_eq(vmb_msg_set_timeout(a->msg, sends[i], ms[i]),
				 0);
	}
	m_until(a->completed == 4);
	ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 0, 0), sends[1]);
	m_expect(a, sends[1], -ETIMEDOUT, 0, 0);
	ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 0, 0), sends[4]);
	m_expect(a, sends[4], -ETIMEDOUT, 0, 0);
	ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 0, 0), sends[3]);
	m_expect(b, m_recv(b, NULL, 0, 2, ALL), 0, 0, 0);
	m_expect(a, sends[2], 0, 0, 0);
}
END_TEST

START_TEST(posted_receive_never_times_out)
{
	struct vmb_req *recv = m_recv(a, NULL, 0, 1, ALL);

	ck_assert_int_eq(vmb_msg_set_timeout(a->msg, recv, 1), 0);
	ck_assert_uint_eq(vmb_msg_deadline(a->msg), UINT64_MAX);
}
END_TEST

/* More than the receiver has room for, and it takes nothing any more. */
START_TEST(stream_given_up_ends_both_sides)
{
	const size_t len = 8 << 20;
	struct vmb_req *recv, *send;

	t_port_refuse_register(true);
	recv = m_recv(b, m_blank(len), len, 1, ALL);
	send = m_send(a, b, m_payload(len, 1), len, 1, false);
	m_until(m_count(a).pipelined == 1);
	m_turn();
	ck_assert_int_eq(vmb_msg_set_timeout(a->msg, send, 1), 0);
	while (!a->completed)
		ck_assert_int_ge(vmb_msg_progress(a->msg), 0);
	m_expect(a, send, -ETIMEDOUT, len, 0);
	m_expect(b, recv, -ECONNABORTED, len, 0);
	m_settle();
	ck_assert_uint_eq(m_count(b).nonsense, 0);
}
END_TEST

/* ---- disconnect, gone, failed ------------------------------------------------------- */

START_TEST(disconnect_ends_what_is_pending)
{
	uint8_t *buf = m_payload(LARGE, 1);
	struct vmb_peer *peer = m_peer(a, b);
	struct vmb_req *sync = m_send(a, b, buf, 10, 1, true);
	struct vmb_req *large = m_send(a, b, buf, LARGE, 2, false);
	struct vmb_req *recv = m_recv(a, buf, 10, 9, ALL);
	struct vmb_status status;

	m_send(b, a, NULL, 0, 3, false);
	m_send(b, a, buf, LARGE, 4, false);
	m_settle();
	ck_assert(vmb_msg_probe(a->msg, 0, 0, &status));
	peer->context = buf;
	vmb_msg_disconnect(a->msg, peer);
	ck_assert_ptr_null(peer->context);
	vmb_am_forget_peer(&a->am, peer, -ECANCELED);
	m_expect(a, sync, -ECANCELED, 10, 0);
	m_expect(a, large, -ECANCELED, LARGE, 0);
	ck_assert(!vmb_msg_probe(a->msg, 0, 0, &status));
	ck_assert(vmb_msg_owns(a->msg, recv));
	/* and again from the start */
	m_send(b, a, buf, 10, 9, false);
	m_expect(a, recv, 0, 10, 10);
	m_expect(b, m_recv(b, NULL, 0, 1, ALL), -EMSGSIZE, 10, 0);
	/* the memory is the application's again: nobody reads it */
	m_expect(b, m_recv(b, m_blank(LARGE), LARGE, 2, ALL), -EFAULT, LARGE,
		 0);
}
END_TEST

START_TEST(disconnect_waits_for_the_memory_of_a_fetch)
{
	uint8_t *to = m_blank(LARGE);
	struct vmb_req *recv = m_recv(b, to, LARGE, 1, ALL);
	struct vmb_peer *peer = m_peer(b, a);

	m_send(a, b, m_payload(LARGE, 1), LARGE, 1, false);
	vmb_msg_progress(a->msg);
	t_nic_settle();
	vmb_msg_progress(b->msg); /* matched: a GET is in the doorbell page */
	vmb_msg_disconnect(b->msg, peer);
	vmb_am_forget_peer(&b->am, peer, -ECANCELED);
	ck_assert_uint_eq(b->completed, 0);
	m_expect(b, recv, -ECANCELED, LARGE, 0);
}
END_TEST

START_TEST(disconnect_of_ourselves_is_harmless)
{
	struct vmb_req *send = m_send(a, a, NULL, 0, 1, true);

	vmb_msg_disconnect(a->msg, m_peer(a, a));
	vmb_am_forget_peer(&a->am, m_peer(a, a), -ECANCELED);
	m_expect(a, send, -ECANCELED, 0, 0);
	m_settle();
}
END_TEST

/* It lies to the engine, and is not closed. */
static void fault(struct m_end *e)
{
	vmb_ring_commit(&e->am.doorbell, &(struct vmb_slot){.op = 99});
	e->am.port->ops->kick(&e->am.pep);
}

/* looped: it closes; it is faulted */
START_TEST(peer_that_goes_ends_what_is_pending)
{
	struct m_end *c = m_open(NULL);
	uint8_t *buf = m_payload(LARGE, 1), *to = m_blank(LARGE);
	struct vmb_req *sync = m_send(a, c, buf, 10, 1, true);
	struct vmb_req *large = m_send(a, c, buf, LARGE, 2, false);
	struct vmb_req *recv = m_recv(a, buf, 10, 9, ALL);

	m_send(c, a, buf, 50, 3, false);
	m_send(c, a, buf, 60, 5, true);
	m_send(c, a, buf, LARGE, 4, false);
	m_settle();
	if (_i)
		fault(c);
	else
		m_close(c);
	m_expect(a, sync, -ECONNRESET, 10, 0);
	m_expect(a, large, -ECONNRESET, LARGE, 0);
	ck_assert(vmb_msg_owns(a->msg, recv));
	m_expect(a, m_recv(a, to, 50, 3, ALL), 0, 50, 50);
	m_check(to, 50, 50, 1);
	m_expect(a, m_recv(a, to, 60, 5, ALL), 0, 60, 60);
	m_expect(a, m_recv(a, to, LARGE, 4, ALL), -ECONNRESET, LARGE, 0);
}
END_TEST

/* They have ended, these first, in this order. */
static void expect_ended(struct vmb_req *const *reqs, unsigned count, int code)
{
	m_until(vmb_msg_first_done(a->msg, 0, 0));
	for (unsigned i = 0; i < count; i++) {
		ck_assert_ptr_eq(vmb_msg_first_done(a->msg, 0, 0), reqs[i]);
		m_expect(a, reqs[i], code, reqs[i]->msg_len, 0);
	}
}

/* looped: it closes; it is disconnected. The first has come furthest. */
START_TEST(sends_to_a_peer_that_goes_end_in_order)
{
	struct m_end *c = m_open(NULL);
	struct vmb_req *sends[4], *recv;

	t_port_refuse_register(true);
	recv = m_recv(c, m_blank(8 << 20), 8 << 20, 0, ALL);
	for (unsigned i = 0; i < vmb_array_size(sends); i++)
		sends[i] = m_send(a, c, m_payload(i ? 10 : 8 << 20, i),
				  i ? 10 : 8 << 20, i, true);
	m_until(m_count(a).pipelined == 1);
	if (_i)
		vmb_msg_disconnect(a->msg, m_peer(a, c));
	else
		m_close(c);
	expect_ended(sends, vmb_array_size(sends),
		     _i ? -ECANCELED : -ECONNRESET);
	if (_i) /* who was in the middle of it is told */
		m_expect(c, recv, -ECONNABORTED, 8 << 20, 0);
}
END_TEST

/* The last ones came back for want of room, which is how a hears that it goes. */
START_TEST(sends_that_came_back_end_behind_older_ones)
{
	struct m_end *c = m_open(&(struct m_options){.eq_slots = 64});
	struct vmb_req *sends[62];

	for (unsigned i = 0; i < vmb_array_size(sends); i++)
		sends[i] = m_send(a, c, m_payload(10, i), 10, i, true);
	t_nic_settle();
	ck_assert_int_gt(vmb_msg_progress(a->msg), 0);
	ck_assert_uint_eq(a->am.counters.bounced, 2);
	m_close(c);
	expect_ended(sends, vmb_array_size(sends), -ECONNRESET);
}
END_TEST

START_TEST(send_to_a_closed_peer_fails_by_its_status)
{
	struct m_end *c = m_open(NULL);
	struct vmb_peer *peer = m_peer(a, c);
	struct vmb_req *send;

	m_send(a, c, NULL, 0, 1, false);
	m_settle();
	m_close(c);
	m_until(peer->gone);
	ck_assert_int_eq(
		vmb_msg_isend(a->msg, NULL, 0, 0, peer, 1, _i, NULL, &send), 0);
	m_expect(a, send, -ECONNRESET, 0, 0);
}
END_TEST

/* Its key was not given: the message fails, and the next one may go. */
START_TEST(send_to_a_stranger_fails_by_itself)
{
	size_t len = _i ? 1 << 20 : 8;
	struct m_end *c = m_open(NULL);
	struct vmb_peer *peer = vmb_am_peer(&a->am, c->am.pep.handle);
	struct vmb_segment segment = {m_payload(len, 1), len};
	struct vmb_req *send, *recv;

	ck_assert_int_eq(vmb_msg_isend(a->msg, &segment, 1, len, peer, 1, true,
				       NULL, &send),
			 0);
	m_expect(a, send, -ECONNREFUSED, len, 0);
	ck_assert(!peer->gone);
	recv = m_recv(c, m_blank(len), len, 1, ALL);
	m_expect(a, m_send(a, c, segment.ptr, len, 1, true), 0, len, len);
	m_expect(c, recv, 0, len, len);
}
END_TEST

START_TEST(peer_that_closes_in_a_stream_ends_it)
{
	struct m_end *c = m_open(NULL);
	struct vmb_req *recv = m_recv(a, m_blank(8 << 20), 8 << 20, 1, ALL);

	t_port_refuse_register(true);
	m_send(c, a, m_payload(8 << 20, 1), 8 << 20, 1, false);
	m_until(m_count(c).pipelined == 1);
	m_turn();
	m_close(c);
	m_expect(a, recv, -ECONNRESET, 8 << 20, 0);
}
END_TEST

START_TEST(failed_endpoint_ends_everything)
{
	uint8_t *buf = m_payload(LARGE, 1);
	struct vmb_req *reqs[] = {
		m_send(a, b, buf, 10, 1, true),
		m_send(a, b, buf, LARGE, 2, false),
		m_recv(a, buf, 10, 9, ALL),
	};

	vmb_am_fail(&a->am, -EIO);
	ck_assert_int_eq(vmb_msg_progress(a->msg), -EIO);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(m_wait(a, reqs[i]).code, -EIO);
	ck_assert_int_eq(vmb_msg_irecv(a->msg, NULL, 0, 0, 0, 0, NULL, reqs),
			 -EIO);
	ck_assert_int_eq(vmb_msg_isend(a->msg, NULL, 0, 0, m_peer(a, b), 0,
				       false, NULL, reqs),
			 -EIO);
}
END_TEST

/* ---- connect ------------------------------------------------------------------------- */

static struct vmb_req *dial(uint64_t nic, uint32_t id, uint32_t key)
{
	struct vmb_req *req;

	ck_assert_int_eq(vmb_msg_iconnect(a->msg, nic, id, key, 77, &a, &req),
			 0);
	return req;
}

START_TEST(connect_tells_the_address)
{
	struct vmb_status s = m_wait(a, dial(T_NIC_ID, b->am.pep.id, M_KEY));
	struct vmb_addr expected = vmb_msg_addr(a->msg, m_peer(a, b));

	ck_assert_int_eq(s.code, 0);
	ck_assert_uint_eq(s.match, 77);
	ck_assert_ptr_eq(s.context, &a);
	ck_assert_mem_eq(&s.peer, &expected, sizeof(expected));
	ck_assert_uint_eq(m_peer(a, b)->session, b->am.pep.session);
	ck_assert_uint_eq(m_peer(a, b)->nic_id, T_NIC_ID);
	/* ourselves: at once, whatever the key */
	s = (struct vmb_status){0};
	ck_assert_int_eq(vmb_msg_collect(a->msg,
					 dial(T_NIC_ID, a->am.pep.id, 0), &s),
			 1);
	expected = vmb_msg_addr(a->msg, m_peer(a, a));
	ck_assert_mem_eq(&s.peer, &expected, sizeof(expected));
}
END_TEST

START_TEST(connect_fails_by_its_status)
{
	ck_assert_int_eq(m_wait(a, dial(7, 0, M_KEY)).code, -ENXIO);
	ck_assert_int_eq(m_wait(a, dial(T_NIC_ID, 9, M_KEY)).code,
			 -ECONNREFUSED);
	ck_assert_int_eq(m_wait(a, dial(T_NIC_ID, b->am.pep.id, 1)).code,
			 -EKEYREJECTED);
}
END_TEST

START_TEST(connect_without_answer_can_be_ended)
{
	struct vmb_peer *peer = m_peer(a, b);
	struct vmb_req *req;
	int cancelled;

	t_port_hold_connects(true);
	req = dial(T_NIC_ID, b->am.pep.id, M_KEY);
	ck_assert_uint_lt(vmb_msg_deadline(a->msg), UINT64_MAX);
	ck_assert_int_eq(vmb_msg_cancel(a->msg, req, &cancelled), 0);
	ck_assert_int_eq(cancelled, 1);
	req = dial(T_NIC_ID, b->am.pep.id, M_KEY);
	ck_assert_int_eq(vmb_msg_set_timeout(a->msg, req, 5), 0);
	m_expect(a, req, -ETIMEDOUT, 0, 0);
	peer->nic_id = T_NIC_ID;
	peer->id = b->am.pep.id;
	req = dial(T_NIC_ID, b->am.pep.id, M_KEY);
	vmb_msg_disconnect(a->msg, peer);
	m_expect(a, req, -ECANCELED, 0, 0);
	dial(T_NIC_ID, b->am.pep.id, M_KEY); /* left to close */
}
END_TEST

/* ---- the unexpected handler -------------------------------------------------------------- */

static struct {
	enum vmb_unexpected_action action;
	unsigned calls;
	uint64_t len;
	bool at_hand;
	uint8_t first;
	uint8_t *post_to; /* post a receive of 8 bytes from inside */
	struct vmb_req *posted;
	bool disconnect;
} h;

static enum vmb_unexpected_action on_unexpected(void *context,
						struct vmb_addr source,
						uint64_t match, uint64_t len,
						const void *data)
{
	ck_assert_ptr_eq(context, &h);
	ck_assert_uint_eq((uint32_t)source.opaque[0], a->am.pep.handle);
	ck_assert_uint_eq(b->locked, 0);
	h.calls++;
	h.len = len;
	h.at_hand = data != NULL;
	if (data && len)
		h.first = *(const uint8_t *)data;
	if (h.post_to)
		h.posted = m_recv(b, h.post_to, 8, match, ALL);
	if (h.disconnect) {
		vmb_msg_disconnect(b->msg, m_peer(b, a));
		vmb_am_forget_peer(&b->am, m_peer(b, a), -ECANCELED);
	}
	return h.action;
}

static void handle(enum vmb_unexpected_action action)
{
	memset(&h, 0, sizeof(h));
	h.action = action;
	vmb_msg_set_handler(b->msg, on_unexpected, &h);
}

START_TEST(handler_sees_short_eager_data)
{
	static const size_t lens[] = {0, 1, 16, 100, 4096, 4097, 10000, LARGE};

	for (unsigned i = 0; i < 2 * vmb_array_size(lens); i++) {
		size_t len = lens[i / 2];
		bool synchronous = i % 2;

		handle(VMB_UNEXPECTED_CONTINUE);
		m_send(a, b, m_payload(len, i), len, 1, synchronous);
		m_settle();
		ck_assert_uint_eq(h.calls, 1);
		ck_assert_uint_eq(h.len, len);
		ck_assert_int_eq(h.at_hand, !synchronous && len <= 4096);
		if (h.at_hand && len)
			ck_assert_uint_eq(h.first, *m_payload(1, i));
		m_expect(b, m_recv(b, m_blank(len), len, 1, ALL), 0, len, len);
	}
}
END_TEST

START_TEST(finished_message_is_gone)
{
	static const size_t lens[] = {0, 10, 10000, LARGE};

	handle(VMB_UNEXPECTED_FINISHED);
	for (unsigned i = 0; i < 2 * vmb_array_size(lens); i++) {
		size_t len = lens[i / 2];
		bool told = i % 2 || len > M_EAGER_MAX;
		struct vmb_req *send;

		send = m_send(a, b, m_payload(len, i), len, 1, i % 2);
		m_expect(a, send, told && len ? -EMSGSIZE : 0, len,
			 told ? 0 : len);
		m_settle();
		ck_assert(!vmb_msg_probe(b->msg, 0, 0, NULL));
	}
	ck_assert_uint_eq(h.calls, 2 * vmb_array_size(lens));
}
END_TEST

START_TEST(receive_posted_in_handler_matches)
{
	handle(VMB_UNEXPECTED_CONTINUE);
	h.post_to = m_blank(8);
	m_send(a, b, m_payload(8, 3), 8, 1, _i);
	m_settle();
	m_expect(b, h.posted, 0, 8, 8);
	m_check(h.post_to, 8, 8, 3);
	ck_assert(!vmb_msg_probe(b->msg, 0, 0, NULL));
	/* one that was posted before never comes to the handler */
	m_recv(b, NULL, 0, 2, ALL);
	m_send(a, b, NULL, 0, 2, false);
	m_settle();
	ck_assert_uint_eq(h.calls, 1);
	/* and without a handler nobody asks */
	vmb_msg_set_handler(b->msg, NULL, NULL);
	m_send(a, b, NULL, 0, 2, false);
	m_settle();
	ck_assert_uint_eq(h.calls, 1);
}
END_TEST

START_TEST(peer_disconnected_in_handler_is_forgotten)
{
	handle(_i & 1 ? VMB_UNEXPECTED_FINISHED : VMB_UNEXPECTED_CONTINUE);
	h.disconnect = true;
	m_send(a, b, m_payload(LARGE, 1), _i & 2 ? LARGE : 10, 1, true);
	m_settle();
	ck_assert_uint_eq(h.calls, 1);
	ck_assert(!vmb_msg_probe(b->msg, 0, 0, NULL));
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------- */

START_TEST(message_without_memory_is_not_lost_silently)
{
	uint8_t *buf = m_payload(LARGE, 1), *to = m_blank(LARGE);
	struct vmb_req *sync;

	for (unsigned i = 0; i < 100; i++)
		m_send(a, b, buf, 10000, i, false);
	sync = m_send(a, b, buf, 10000, 200, true);
	m_send(a, b, buf, LARGE, 201, false);
	no_memory = true;
	m_settle();
	ck_assert_uint_eq(m_count(b).unexpected, 64); /* the rest waits */
	no_memory = false;
	for (unsigned i = 0; i < 100; i++)
		m_expect(b, m_recv(b, to, 10000, i, ALL), i < 64 ? -ENOBUFS : 0,
			 10000, i < 64 ? 0 : 10000);
	m_expect(b, m_recv(b, to, 10000, 200, ALL), 0, 10000, 10000);
	m_expect(a, sync, 0, 10000, 10000);
	m_expect(b, m_recv(b, to, LARGE, 201, ALL), 0, LARGE, LARGE);
}
END_TEST

/* Registered, but the engine finds that it cannot get there. */
START_TEST(unreachable_memory_is_streamed)
{
	uint8_t *to = m_blank(LARGE);
	struct vmb_segment pieces[] = {
		{to, 1000},
		{to + 1000, LARGE - 1000},
	};
	struct vmb_req *send, *recv;

	pieces[1].ptr = m_blank(LARGE - 1000);
	ck_assert_int_eq(vmb_msg_irecv(b->msg, pieces, 1u + (unsigned)_i,
				       _i ? LARGE : 1000, 1, ALL, NULL, &recv),
			 0);
	send = m_send(a, b, m_payload(LARGE, 1), LARGE, 1, false);
	unreachable = 1u + (unsigned)_i;
	m_expect(b, recv, _i ? 0 : -EMSGSIZE, LARGE, _i ? LARGE : 1000);
	m_expect(a, send, _i ? 0 : -EMSGSIZE, LARGE, _i ? LARGE : 1000);
	m_check(to, 1000, 1000, 1);
	ck_assert_uint_eq(m_count(a).pipelined, 1);
}
END_TEST

/* A long one lets others pass; many end one after the other. */
START_TEST(streams_take_turns_but_not_all_of_them)
{
	enum {
		MANY = 40
	};
	const size_t len = 256 << 10, longest = 8 << 20;
	struct vmb_req *sends[MANY], *recvs[MANY], *long_send, *long_recv;
	uint8_t *last = NULL;

	t_port_refuse_register(true);
	long_recv = m_recv(b, m_blank(longest), longest, MANY, ALL);
	long_send = m_send(a, b, m_payload(longest, 1), longest, MANY, false);
	for (unsigned i = 0; i < MANY; i++) {
		last = m_blank(len);
		recvs[i] = m_recv(b, last, len, i, ALL);
		sends[i] = m_send(a, b, m_payload(len, i), len, i, false);
	}
	m_until(m_has_ended(b, recvs[0]));
	ck_assert(!m_has_ended(b, long_recv));
	ck_assert_uint_eq(last[0], 0xee);
	for (unsigned i = 0; i < MANY; i++) {
		m_expect(b, recvs[i], 0, len, len);
		m_expect(a, sends[i], 0, len, len);
	}
	m_check(last, len, len, MANY - 1);
	m_expect(b, long_recv, 0, longest, longest);
	m_expect(a, long_send, 0, longest, longest);
	ck_assert_uint_eq(m_count(a).pipelined, MANY + 1);
}
END_TEST

START_TEST(reserve_tells_the_sender_too)
{
	uint8_t *buf = m_payload(LARGE, 1), *to = m_blank(LARGE);
	struct vmb_req *sync = m_send(a, b, buf, 10000, 1, true);
	struct vmb_req *large = m_send(a, b, buf, LARGE, 2, false);

	no_memory = true;
	m_settle();
	no_memory = false;
	m_expect(b, m_recv(b, to, LARGE, 1, ALL), -ENOBUFS, 10000, 0);
	m_expect(a, sync, -ENOBUFS, 10000, 0);
	m_expect(b, m_recv(b, to, LARGE, 2, ALL), 0, LARGE, LARGE);
	m_expect(a, large, 0, LARGE, LARGE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("msg_peer");
	TCase *end = tcase_create("end");
	TCase *connect = tcase_create("connect");
	TCase *handler = tcase_create("handler");
	TCase *memory = tcase_create("memory");

	tcase_add_checked_fixture(end, setup, m_teardown);
	tcase_add_loop_test(end, send_ends_when_its_time_is_over, 0, 2);
	tcase_add_test(end, limits_end_in_their_own_order);
	tcase_add_test(end, posted_receive_never_times_out);
	tcase_add_test(end, stream_given_up_ends_both_sides);
	tcase_add_test(end, disconnect_ends_what_is_pending);
	tcase_add_test(end, disconnect_waits_for_the_memory_of_a_fetch);
	tcase_add_test(end, disconnect_of_ourselves_is_harmless);
	tcase_add_loop_test(end, peer_that_goes_ends_what_is_pending, 0, 2);
	tcase_add_loop_test(end, sends_to_a_peer_that_goes_end_in_order, 0, 2);
	tcase_add_test(end, sends_that_came_back_end_behind_older_ones);
	tcase_add_loop_test(end, send_to_a_closed_peer_fails_by_its_status, 0,
			    2);
	tcase_add_loop_test(end, send_to_a_stranger_fails_by_itself, 0, 2);
	tcase_add_test(end, peer_that_closes_in_a_stream_ends_it);
	tcase_add_test(end, failed_endpoint_ends_everything);
	tcase_add_checked_fixture(connect, setup, m_teardown);
	tcase_add_test(connect, connect_tells_the_address);
	tcase_add_test(connect, connect_fails_by_its_status);
	tcase_add_test(connect, connect_without_answer_can_be_ended);
	tcase_add_checked_fixture(handler, setup, m_teardown);
	tcase_add_test(handler, handler_sees_short_eager_data);
	tcase_add_test(handler, finished_message_is_gone);
	tcase_add_loop_test(handler, receive_posted_in_handler_matches, 0, 2);
	tcase_add_loop_test(handler, peer_disconnected_in_handler_is_forgotten,
			    0, 4);
	tcase_add_checked_fixture(memory, setup, m_teardown);
	tcase_add_test(memory, message_without_memory_is_not_lost_silently);
	tcase_add_test(memory, reserve_tells_the_sender_too);
	tcase_add_loop_test(memory, unreachable_memory_is_streamed, 0, 2);
	tcase_add_test(memory, streams_take_turns_but_not_all_of_them);
	suite_add_tcase(suite, end);
	suite_add_tcase(suite, connect);
	suite_add_tcase(suite, handler);
	suite_add_tcase(suite, memory);
	return t_run(suite);
}
