// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_msg_liar.c - messages from a peer that lies about every field, or that
 * never reads what it is told.
 *
 * Flow:  forged active messages from a raw end -> lib/msg
 * Owns:  nothing beyond one test.
 * Trust: a lie must be counted, and change nothing else.
 */
#include <errno.h>
#include <string.h>

#include "msg/wire.h"
#include "support/run.h"
#include "unit/msg_ends.h"

#define ALL VMB_MATCH_ALL
#define LARGE 100000u

static struct m_end *a, *b, *liar;

static void setup(void)
{
	m_setup();
	a = m_open(NULL);
	b = m_open(NULL);
	liar = m_open(&(struct m_options){.raw = true});
}

static void lie(unsigned id, uint64_t hdr, const void *data, size_t len)
{
	struct vmb_segment s = {(void *)(uintptr_t)data, len};

	ck_assert_int_eq(vmb_am_post(&liar->am, m_peer(liar, a), id, hdr, &s, 1,
				     0, len, VMB_AM_QUEUE),
			 0);
	m_settle();
}

/* Each is counted, and an honest exchange goes on as if nothing had been. */
static void expect_nonsense(unsigned lies)
{
	ck_assert_uint_eq(m_count(a).nonsense, lies);
}

/* Every number a peer could name, from those of our requests and beyond. */
START_TEST(forged_numbers_change_nothing)
{
	uint8_t *buf = m_payload(LARGE, 1), *to = m_blank(LARGE);
	struct vmb_req *sync = m_send(a, b, buf, 10, 1, true);
	struct vmb_req *large = m_send(a, b, buf, LARGE, 2, false);
	struct vmb_req *recv = m_recv(a, to, LARGE, 3, ALL);
	struct vmb_wire_end end = {0};
	struct vmb_wire_cts cts = {.number = 1, .want = 100};
	unsigned lies = 0;

	m_recv(a, NULL, 0, 4, ALL);
	lie(VMB_MSG_EAGER, 4, NULL, 0); /* a peer that is known for the truth */
	for (uint64_t n = 0; n < 8; n++) {
		uint64_t number = n & 1 ? n / 2 : n / 2 * 0x1000001;

		lie(VMB_MSG_ACK, number, &end, sizeof(end));
		lie(VMB_MSG_FIN, number, &end, sizeof(end));
		lie(VMB_MSG_CTS, number, &cts, sizeof(cts));
		lie(VMB_MSG_DATA, number, buf, 100);
		lie(VMB_MSG_ABORT, number, NULL, 0);
		lies += 5;
	}
	expect_nonsense(lies);
	ck_assert_uint_eq(a->completed, 1);
	m_send(b, a, buf, LARGE, 3, false);
	m_expect(a, recv, 0, LARGE, LARGE);
	m_check(to, LARGE, LARGE, 1);
	m_expect(b, m_recv(b, to, 10, 1, ALL), 0, 10, 10);
	m_expect(a, sync, 0, 10, 10);
	m_expect(b, m_recv(b, to, LARGE, 2, ALL), 0, LARGE, LARGE);
	m_expect(a, large, 0, LARGE, LARGE);
}
END_TEST

START_TEST(malformed_messages_are_counted)
{
	uint8_t bytes[64] = {0};
	struct vmb_wire_rts long_one = {.len = VMB_MESSAGE_MAX + 1ull};
	struct vmb_wire_rts wraps = {.len = 100, .offset = UINT64_MAX - 50};
	unsigned lies = 0;

	for (unsigned id = VMB_MSG_FIRST; id <= VMB_MSG_LAST; id++) {
		if (id == VMB_MSG_EAGER)
			continue;
		lie(id, 0, bytes, 7);
		lies++;
		if (id == VMB_MSG_EAGER_SYNC)
			continue;
		lie(id, 0, bytes, 33);
		lies++;
	}
	lie(VMB_MSG_RTS, 0, &long_one, sizeof(long_one));
	lie(VMB_MSG_RTS, 0, &wraps, sizeof(wraps));
	expect_nonsense(lies + 2);
	ck_assert(!vmb_msg_probe(a->msg, 0, 0, NULL));
}
END_TEST

/* Answers to our own request, all of them wrong. */
START_TEST(false_answers_change_nothing)
{
	uint8_t *buf = m_payload(LARGE, 1);
	struct vmb_req *sync = m_send(a, liar, buf, 10, 1, true);
	struct vmb_req *large = m_send(a, liar, buf, LARGE, 2, false);
	uint64_t sync_number, large_number;
	struct vmb_wire_end end = {.moved = 11};
	struct vmb_wire_cts cts = {.want = LARGE + 1};

	m_until(liar->heard[VMB_MSG_EAGER_SYNC] == 1 &&
		liar->heard[VMB_MSG_RTS] == 1);
	memcpy(&large_number, liar->last, sizeof(large_number));
	sync_number = large_number - 1; /* its neighbour in the slab */
	lie(VMB_MSG_ACK, sync_number, &end, sizeof(end)); /* too much */
	end = (struct vmb_wire_end){.code = VMB_WIRE_CODES};
	lie(VMB_MSG_ACK, sync_number, &end, sizeof(end));
	end = (struct vmb_wire_end){.reserved_60 = 1};
	lie(VMB_MSG_ACK, sync_number, &end, sizeof(end));
	end = (struct vmb_wire_end){0};
	lie(VMB_MSG_FIN, sync_number, &end, sizeof(end)); /* other protocol */
	lie(VMB_MSG_ACK, large_number, &end, sizeof(end));
	lie(VMB_MSG_CTS, large_number, &cts, sizeof(cts));
	cts.want = 0;
	lie(VMB_MSG_CTS, large_number, &cts, sizeof(cts));
	expect_nonsense(7);
	ck_assert_uint_eq(a->completed, 0);
	end.moved = 10;
	lie(VMB_MSG_ACK, sync_number, &end, sizeof(end)); /* the truth */
	m_expect(a, sync, 0, 10, 10);
	lie(VMB_MSG_ACK, sync_number, &end, sizeof(end)); /* twice */
	cts.want = 50000;
	lie(VMB_MSG_CTS, large_number, &cts, sizeof(cts));
	lie(VMB_MSG_CTS, large_number, &cts, sizeof(cts));
	expect_nonsense(9);
	end.code = VMB_WIRE_FAULT;
	lie(VMB_MSG_FIN, large_number, &end, sizeof(end));
	m_expect(a, large, -EFAULT, LARGE, 10);
}
END_TEST

/* Keys and offsets that are not theirs to give. */
START_TEST(false_announcement_ends_with_an_error)
{
	uint64_t key;
	struct vmb_regref ref;
	uint8_t *memory = m_payload(LARGE, 1), *to = m_blank(LARGE);
	struct vmb_wire_rts rts = {.number = 5, .len = LARGE};
	struct vmb_req *recv = m_recv(a, to, LARGE, 1, ALL);

	ck_assert_int_eq(vmb_regcache_get(liar->cache, memory, LARGE, &ref), 0);
	key = ref.key;
	rts.key = _i == 0 ? key ^ (1ull << 40) : key;
	rts.offset = _i == 1 ? ref.offset + 4096 : _i == 2 ? 1ull << 40 : 0;
	if (_i == 3) {
		vmb_regcache_put(liar->cache, &ref);
		vmb_regcache_invalidate(liar->cache, memory, LARGE);
	}
	lie(VMB_MSG_RTS, 1, &rts, sizeof(rts));
	m_expect(a, recv, -EFAULT, LARGE, 0);
	m_settle();
	ck_assert_uint_eq(liar->heard[VMB_MSG_FIN], 1);
	ck_assert_uint_eq(liar->last_hdr, 5);
	ck_assert_uint_eq(liar->last[8], VMB_WIRE_FAULT);
	m_check(to, LARGE, 0, 0);
	if (_i != 3)
		vmb_regcache_put(liar->cache, &ref);
}
END_TEST

START_TEST(stream_beyond_its_end_is_refused)
{
	uint8_t *buf = m_payload(2000, 1), *to = m_blank(1000);
	struct vmb_wire_rts rts = {.number = 5, .len = 2000};
	struct vmb_req *recv = m_recv(a, to, 1000, 1, ALL);
	uint64_t number;

	lie(VMB_MSG_RTS, 1, &rts, sizeof(rts));
	m_until(liar->heard[VMB_MSG_CTS] == 1);
	memcpy(&number, liar->last, sizeof(number));
	lie(VMB_MSG_DATA, number, buf, 1001);
	lie(VMB_MSG_DATA, number, buf, 0);
	lie(VMB_MSG_DATA, number + 1, buf, 10);
	lie(VMB_MSG_DATA, number + (1ull << 32), buf, 10);
	expect_nonsense(4);
	lie(VMB_MSG_DATA, number, buf, 600);
	lie(VMB_MSG_DATA, number, buf + 600, 401);
	expect_nonsense(5);
	lie(VMB_MSG_DATA, number, buf + 600, 400);
	m_expect(a, recv, -EMSGSIZE, 2000, 1000);
	m_check(to, 1000, 1000, 1);
	lie(VMB_MSG_DATA, number, buf, 1);
	expect_nonsense(6);
	ck_assert_uint_eq(liar->heard[VMB_MSG_FIN], 1);
}
END_TEST

/* It floods us with synchronous messages and reads none of the answers. */
START_TEST(peer_that_reads_nothing_holds_up_only_itself)
{
	struct vmb_wire_sync head = {.number = 1};
	struct vmb_segment s = {&head, sizeof(head)};
	struct m_end *deaf =
		m_open(&(struct m_options){.raw = true, .eq_slots = 64});
	struct vmb_peer *to = m_peer(deaf, a);
	uint8_t *buf = m_payload(100, 1);
	unsigned sent = 0;

	for (unsigned i = 0; i < 1000; i++) {
		m_recv(a, NULL, 0, 1, ALL);
		/* its doorbell works, its events stay where they are */
		sent += !vmb_am_post(&deaf->am, to, VMB_MSG_EAGER_SYNC, 1, &s,
				     1, 0, sizeof(head), VMB_AM_TRY);
		t_nic_settle();
		ck_assert_int_ge(vmb_msg_progress(a->msg), 0);
	}
	ck_assert_uint_gt(sent, 100);
	ck_assert_uint_lt(a->completed, sent);
	for (unsigned i = 0; i < 100; i++) {
		struct vmb_req *recv = m_recv(b, m_blank(100), 100, 7, ALL);

		m_send(a, b, buf, 100, 7, true);
		for (unsigned turn = 0; turn < 8; turn++) {
			t_nic_settle();
			vmb_msg_progress(a->msg);
			vmb_msg_progress(b->msg);
		}
		ck_assert_int_eq(vmb_msg_collect(b->msg, recv, NULL), 1);
	}
	m_until(a->completed == sent + 100);
}
END_TEST

static enum vmb_unexpected_action finish_all(void *context,
					     struct vmb_addr source,
					     uint64_t match, uint64_t len,
					     const void *data)
{
	(void)source;
	(void)match;
	(void)len;
	(void)data;
	++*(unsigned *)context;
	return VMB_UNEXPECTED_FINISHED;
}

/* Its answers wait, belong to no request, and go with it. */
START_TEST(answers_to_a_deaf_peer_go_with_it)
{
	struct vmb_wire_sync head = {.number = 1};
	struct vmb_segment s = {&head, sizeof(head)};
	struct m_end *deaf =
		m_open(&(struct m_options){.raw = true, .eq_slots = 64});
	struct vmb_peer *to = m_peer(deaf, a);
	unsigned finished = 0, sent = 0;

	vmb_msg_set_handler(a->msg, finish_all, &finished);
	for (unsigned i = 0; i < 1000; i++) {
		sent += !vmb_am_post(&deaf->am, to, VMB_MSG_EAGER_SYNC, 1, &s,
				     1, 0, sizeof(head), VMB_AM_TRY);
		t_nic_settle();
		ck_assert_int_ge(vmb_msg_progress(a->msg), 0);
	}
	ck_assert_uint_eq(finished, sent);
	ck_assert_uint_gt(sent, 100);
	m_close(deaf);
	m_settle();
	ck_assert_uint_eq(vmb_msg_deadline(a->msg), UINT64_MAX);
}
END_TEST

/* Somebody may have accepted an offer that was withdrawn meanwhile. */
START_TEST(cts_for_no_send_is_refused)
{
	struct vmb_wire_cts cts = {.number = 1, .want = 100}, none = {0};

	lie(VMB_MSG_CTS, 77, &cts, VMB_WIRE_CTS_SHORT);
	ck_assert_uint_eq(liar->heard[VMB_MSG_ABORT], 1);
	ck_assert_uint_eq(liar->last_hdr, 77);
	lie(VMB_MSG_CTS, 78, &none, sizeof(none)); /* not a CTS at all */
	lie(VMB_MSG_CTS, 78, &cts, 7);
	ck_assert_uint_eq(liar->heard[VMB_MSG_ABORT], 1);
	expect_nonsense(3);
}
END_TEST

START_TEST(refusals_to_a_deaf_peer_are_bounded)
{
	enum {
		FLOOD = 3000,
		KEPT = 256
	};
	struct vmb_wire_cts cts = {.number = 1, .want = 100};
	struct vmb_segment s = {&cts, VMB_WIRE_CTS_SHORT};
	struct m_end *deaf =
		m_open(&(struct m_options){.raw = true, .eq_slots = 64});
	struct vmb_peer *to = m_peer(deaf, a);
	unsigned sent = 0, most = 0;

	for (unsigned i = 0; i < FLOOD; i++) {
		sent += !vmb_am_post(&deaf->am, to, VMB_MSG_CTS, i, &s, 1, 0,
				     s.len, VMB_AM_TRY);
		t_nic_settle();
		ck_assert_int_ge(vmb_msg_progress(a->msg), 0);
		most = a->am.kept > most ? a->am.kept : most;
	}
	ck_assert_uint_gt(sent, 2 * KEPT);
	ck_assert_uint_ge(most, KEPT);
	/* and what the engine gives back of those that were posted */
	ck_assert_uint_lt(most, 2 * KEPT);
	m_settle(); /* now it listens */
	ck_assert_uint_gt(deaf->heard[VMB_MSG_ABORT], KEPT);
	ck_assert_uint_eq(a->am.kept, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("msg_liar");
	TCase *lies = tcase_create("lies");

	tcase_add_checked_fixture(lies, setup, m_teardown);
	tcase_add_test(lies, forged_numbers_change_nothing);
	tcase_add_test(lies, malformed_messages_are_counted);
	tcase_add_test(lies, false_answers_change_nothing);
	tcase_add_loop_test(lies, false_announcement_ends_with_an_error, 0, 4);
	tcase_add_test(lies, stream_beyond_its_end_is_refused);
	tcase_add_test(lies, peer_that_reads_nothing_holds_up_only_itself);
	tcase_add_test(lies, answers_to_a_deaf_peer_go_with_it);
	tcase_add_test(lies, cts_for_no_send_is_refused);
	tcase_add_test(lies, refusals_to_a_deaf_peer_are_bounded);
	suite_add_tcase(suite, lies);
	return t_run(suite);
}
