// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_share.c - long messages that both ends of a lane copy: which of them
 * copies what, what each does when the other does nothing, gives up or lies.
 *
 * Flow:  m_send(), m_recv() -> lib/msg/share.c -> lib/am/direct.c -> this
 *        process's own memory
 * Owns:  two or three ends per test, stepped by the test.
 * Trust: payloads are compared byte by byte, and what is beside them.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "am/lane.h"
#include "msg/state.h"
#include "support/run.h"
#include "unit/share_ends.h"

#define LONG ((3u << 20) + 5u) /* several pieces, the last one short */

static struct m_end *a, *b;

static void start(const struct t_direct *direct)
{
	s_start(direct, &a, &b);
}

static void start_told(void)
{
	start(&(struct t_direct){.told = true});
}

static struct vmb_lane_direct *entry_of(unsigned i)
{
	return &m_peer(b, a)->lane_in->ctl->direct[i];
}

static unsigned free_entries(void)
{
	return (unsigned)__builtin_popcountll(
		m_peer(a, b)->lane_out->direct_free);
}

/* a's progress, b's, the engine's, as often as it takes. */
static void only(struct m_end *e, unsigned times)
{
	while (times--) {
		vmb_msg_progress(e->msg);
		t_nic_breathe();
	}
}

static void exchange(size_t len, size_t room, unsigned number, bool early)
{
	s_exchange(a, b, m_payload(len, number), m_blank(len), len, room,
		   number, early);
}

static void warm_up(void)
{
	s_warm_up(a, b);
}

START_TEST(every_length_arrives)
{
	static const size_t lens[] = {
		M_EAGER_MAX + 1, 65535,		 65536,		 65537,
		131072,		 131073,	 (1u << 20) + 1, LONG,
		5u << 20,	 (9u << 20) + 9,
	};
	uint64_t before;

	start_told();
	before = m_count(b).direct;
	for (unsigned i = 0; i < vmb_array_size(lens); i++)
		exchange(lens[i], lens[i], 20 + i, _i);
	ck_assert_uint_eq(m_count(b).direct - before, vmb_array_size(lens));
	ck_assert_uint_eq(m_count(a).pipelined, 0);
	ck_assert_uint_gt(m_count(a).direct_written, 0);
	ck_assert_uint_eq(m_count(a).nonsense + m_count(b).nonsense, 0);
	ck_assert_uint_eq(free_entries(), VMB_LANE_DIRECTS);
}
END_TEST

START_TEST(short_receives_are_filled_and_no_more)
{
	start_told();
	exchange(LONG, 0, 30, true);
	exchange(LONG, 1, 31, true);
	exchange(LONG, 65536, 32, true);
	exchange(LONG, LONG - 1, 33, false);
}
END_TEST

START_TEST(many_at_once_find_their_way)
{
	struct vmb_req *s[3 * VMB_LANE_DIRECTS], *r[3 * VMB_LANE_DIRECTS];
	uint8_t *to[3 * VMB_LANE_DIRECTS];
	unsigned n = vmb_array_size(s);

	start_told();
	for (unsigned i = 0; i < n; i++) {
		size_t len = 20000 + 7001 * i;

		to[i] = m_blank(len);
		if (i % 3)
			r[i] = m_recv(b, to[i], len, 100 + i, ~0ull);
		s[i] = m_send(a, b, m_payload(len, i), len, 100 + i, false);
	}
	for (unsigned i = 0; i < n; i++) {
		size_t len = 20000 + 7001 * i;

		if (i % 3 == 0)
			r[i] = m_recv(b, to[i], len, 100 + i, ~0ull);
		m_expect(b, r[i], 0, len, len);
		m_expect(a, s[i], 0, len, len);
		m_check(to[i], len, len, i);
	}
	ck_assert_uint_eq(free_entries(), VMB_LANE_DIRECTS);
	ck_assert_uint_ge(m_count(b).direct, VMB_LANE_DIRECTS);
}
END_TEST

START_TEST(receiver_does_it_alone)
{
	uint8_t *to = m_blank(LONG);
	struct vmb_req *s, *r;

	start_told();
	r = m_recv(b, to, LONG, 1, ~0ull);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	only(b, 100); /* the sender computes */
	m_expect(b, r, 0, LONG, LONG);
	m_check(to, LONG, LONG, 1);
	ck_assert_uint_eq(m_count(a).direct_written, 0);
	m_expect(a, s, 0, LONG, LONG);
	/* and what it was asked for meanwhile is not done any more */
	m_settle();
	ck_assert_uint_eq(m_count(a).direct_written, 0);
}
END_TEST

START_TEST(sender_writes_what_the_receiver_does_not_read)
{
	uint8_t *to = m_blank(LONG);
	struct vmb_req *s, *r;

	start_told();
	warm_up();
	r = m_recv(b, to, LONG, 1, ~0ull);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	only(b, 1); /* it asks, and reads no more than a pass does */
	only(a, 100);
	ck_assert_uint_gt(m_count(a).direct_written, 3);
	m_expect(b, r, 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
	m_check(to, LONG, LONG, 1);
}
END_TEST

START_TEST(pieces_need_one_run_of_memory)
{
	uint8_t *to = m_blank(LONG), *from = m_payload(LONG, 3);
	struct vmb_segment two[] = {{to, 70000}, {to + 70000, LONG - 70000}};
	struct vmb_segment apart[] = {{to, 1000}, {to + 1500, LONG - 1500}};
	struct vmb_req *s, *r;

	start_told();
	ck_assert_int_eq(
		vmb_msg_irecv(b->msg, two, 2, LONG, 3, ~0ull, NULL, &r), 0);
	m_expect(a, m_send(a, b, from, LONG, 3, false), 0, LONG, LONG);
	m_expect(b, r, 0, LONG, LONG); /* they touch: as if it were one */
	m_check(to, LONG, LONG, 3);
	ck_assert_uint_eq(m_count(a).pipelined, 0);

	ck_assert_int_eq(vmb_msg_irecv(b->msg, apart, 2, LONG - 500, 4, ~0ull,
				       NULL, &r),
			 0);
	s = m_send(a, b, from, LONG - 500, 4, false);
	m_expect(b, r, 0, LONG - 500, LONG - 500);
	m_expect(a, s, 0, LONG - 500, LONG - 500);
	ck_assert_uint_eq(m_count(a).pipelined, 1);
	ck_assert_int_eq(memcmp(to, from, 1000), 0);
	ck_assert_int_eq(memcmp(to + 1500, from + 1000, LONG - 1500), 0);
	/* that one was special: the next goes direct again */
	exchange(LONG, LONG, 5, true);
	ck_assert_uint_eq(m_count(a).pipelined, 1);
}
END_TEST

/* ---- what cannot be copied ---------------------------------------------------- */

START_TEST(who_may_not_read_asks_for_a_stream)
{
	/* or not under a number that we have for it */
	start(&(struct t_direct){.told = true, .read = _i ? -ESRCH : -EPERM});
	exchange(LONG, LONG, 1, true);
	ck_assert_uint_eq(m_count(a).pipelined, 1);
	ck_assert_uint_eq(m_count(b).direct, 0);
	/* it is not offered any more: a fetch through the engine */
	exchange(LONG, LONG, 2, true);
	ck_assert(m_peer(a, b)->lane_out->direct_refused);
	ck_assert_uint_eq(m_count(a).pipelined, 1);
	ck_assert_uint_eq(free_entries(), VMB_LANE_DIRECTS);
}
END_TEST

START_TEST(who_is_not_told_does_not_offer)
{
	start(NULL);
	exchange(LONG, LONG, 1, true);
	ck_assert_uint_eq(m_count(b).direct, 0);
}
END_TEST

START_TEST(what_the_sender_cannot_write_is_read)
{
	start(&(struct t_direct){.told = true, .write = _i ? -EPERM : -EFAULT});
	warm_up();
	for (unsigned i = 0; i < 5; i++)
		exchange(LONG, LONG, 10 + i, true);
	ck_assert_uint_eq(m_count(a).direct_written, 0);
	ck_assert_uint_eq(m_count(a).pipelined, 0);
}
END_TEST

START_TEST(memory_that_vanishes_ends_both)
{
	uint8_t *to = m_blank(LONG);
	struct vmb_req *s, *r;

	start_told();
	warm_up();
	t_port_direct(&(struct t_direct){
		.told = true, .read = -EFAULT, .write = -EFAULT, .after = 2});
	r = m_recv(b, to, LONG, 1, ~0ull);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	m_expect(b, r, -EFAULT, LONG, 0);
	m_expect(a, s, -EFAULT, LONG, 0);
	ck_assert_uint_eq(free_entries(), VMB_LANE_DIRECTS);
}
END_TEST

/* Speak for b, behind the back of its lib/msg. */
static void say(struct m_end *from, struct m_end *to, unsigned id, uint64_t hdr,
		const void *body, size_t len)
{
	struct vmb_segment s = {(void *)(uintptr_t)body, len};

	ck_assert_int_eq(vmb_am_post(&from->am, m_peer(from, to), id, hdr, &s,
				     1, 0, len, VMB_AM_TRY),
			 0);
	only(to, 4);
}

/* What a dead sender had said of its share does not make up for a hole. */
START_TEST(dead_sender_leaves_no_hole)
{
	struct vmb_wire_shared said = {0};
	struct vmb_req *s, *r;

	start_told();
	warm_up();
	t_port_direct(&(struct t_direct){
		.told = true, .dead = true, .read = -ESRCH, .after = 1});
	r = m_recv(b, m_blank(LONG), LONG, 1, ~0ull);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	only(b, 4);
	ck_assert_uint_eq(r->state, VMB_REQ_MEETING);
	say(a, b, VMB_MSG_SHARED, vmb_req_number(r), &said, sizeof(said));
	ck_assert_uint_eq(r->state, VMB_REQ_MEETING);
	m_close(a);
	m_expect(b, r, -ECONNRESET, LONG, 0);
	(void)s;
}
END_TEST

static void take_back(bool write, void *arg)
{
	(void)arg;
	if (!write)
		entry_of(0)->claim = 0;
}

/* While the last byte is read, or memory that is no more. */
START_TEST(message_that_is_taken_back_is_not_believed)
{
	uint8_t *to = m_blank(20000);
	struct vmb_req *r;

	start_told();
	t_port_direct(&(struct t_direct){
		.told = true, .hook = take_back, .read = _i ? -EFAULT : 0});
	r = m_recv(b, to, 20000, 1, ~0ull);
	m_send(a, b, m_payload(20000, 1), 20000, 1, false);
	m_expect(b, r, -EFAULT, 20000, 0);
	ck_assert_uint_eq(m_count(a).pipelined, 0);
}
END_TEST

/* ---- giving up ------------------------------------------------------------------ */

/* Both have copied something of one that is not complete. */
static void begin_one(struct vmb_req **s, struct vmb_req **r, uint8_t *to)
{
	warm_up();
	*r = m_recv(b, to, 9u << 20, 1, ~0ull);
	*s = m_send(a, b, m_payload(9u << 20, 1), 9u << 20, 1, false);
	only(b, 2);
	only(a, 2);
	ck_assert_uint_gt(m_count(a).direct_written, 0);
	ck_assert(!m_has_ended(b, *r));
}

START_TEST(sender_times_out)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;

	start_told();
	begin_one(&s, &r, to);
	ck_assert_int_eq(vmb_msg_set_timeout(a->msg, s, 1), 0);
	usleep(2000); /* longer than that */
	only(a, 1);
	m_expect(a, s, -ETIMEDOUT, 9u << 20, 0);
	ck_assert_uint_eq(vmb_low(entry_of(0)->claim), 0);
	ck_assert_int_ne(m_wait(b, r).code, 0);
	ck_assert_uint_eq(free_entries(), VMB_LANE_DIRECTS);
}
END_TEST

/* For the sender, as if it wrote. */
static void claim_the_rest(struct vmb_req *r)
{
	const struct vmb_direct_copy *c = &r->recv.copy;
	uint32_t back = vmb_direct_pieces(c) - c->front;

	entry_of(0)->claim = vmb_pack(c->id.number, c->front | back << 16);
	only(b, 1);
	ck_assert_uint_eq(r->state, VMB_REQ_MEETING);
}

START_TEST(sender_disconnects)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;
	int code;

	start_told();
	begin_one(&s, &r, to);
	if (_i) /* the receiver waits for what the sender has claimed */
		claim_the_rest(r);
	a->am.fences_open += _i == 2; /* nothing goes into the lane now */
	vmb_msg_disconnect(a->msg, m_peer(a, b));
	vmb_am_forget_peer(&a->am, m_peer(a, b), -ECANCELED);
	m_expect(a, s, -ECANCELED, 9u << 20, 0);
	a->am.fences_open -= _i == 2;
	code = m_wait(b, r).code;
	ck_assert(code == -ECONNABORTED || code == -EFAULT);
}
END_TEST

START_TEST(receiver_disconnects_and_is_not_written_to)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;
	uint64_t written;

	start_told();
	begin_one(&s, &r, to);
	written = m_count(a).direct_written;
	vmb_msg_disconnect(b->msg, m_peer(b, a));
	m_expect(b, r, -ECANCELED, 9u << 20, 0);
	memset(to, 0x11, 9u << 20);
	m_settle();
	ck_assert_uint_eq(m_count(a).direct_written, written);
	for (unsigned i = 0; i < 9u << 20; i += 4096)
		ck_assert_uint_eq(to[i], 0x11);
	m_close(a);
}
END_TEST

START_TEST(either_closes)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;
	int code;

	start_told();
	begin_one(&s, &r, to);
	m_close(_i ? a : b);
	if (_i) {
		code = m_wait(b, r).code;
		ck_assert(code == -ECONNRESET || code == -EFAULT);
		m_check(to, 0, 0, 0);
	} else {
		m_expect(a, s, -ECONNRESET, 9u << 20, 0);
	}
}
END_TEST

/* A piece is being written while the receiver gives up: it waits for it. */
static void end_the_piece(void *arg)
{
	struct vmb_lane_direct *entry = arg;

	vmb_publish(&entry->written, entry->written + 1);
}

static uint32_t clock_runs;

static void *end_it_soon(void *arg)
{
	while (!vmb_observe(&clock_runs))
		sched_yield();
	usleep(20000);
	end_the_piece(arg);
	return NULL;
}

START_TEST(piece_under_way_is_waited_for)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;
	pthread_t thread;
	uint64_t begun;

	start_told();
	begin_one(&s, &r, to);
	entry_of(0)->claim += 1ull << 48; /* the sender claims one more */
	clock_runs = 0;
	pthread_create(&thread, NULL, end_it_soon, entry_of(0));
	begun = vmb_now_ns();
	vmb_publish(&clock_runs, 1);
	if (_i) /* it counts as gone, and lives */
		vmb_peer_gone(&b->am, m_peer(b, a));
	else
		vmb_msg_disconnect(b->msg, m_peer(b, a));
	ck_assert_uint_ge(vmb_now_ns() - begun, 10000000u);
	pthread_join(thread, NULL);
	m_expect(b, r, _i ? -ECONNRESET : -ECANCELED, 9u << 20, 0);
	/* and nothing is written by what it does next */
	memset(to, 0x11, 9u << 20);
	only(a, 4);
	for (unsigned i = 0; i < 9u << 20; i += 4096)
		ck_assert_uint_eq(to[i], 0x11);
}
END_TEST

START_TEST(lane_that_is_wanted_back_ends_behind_the_copy)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;

	start_told();
	begin_one(&s, &r, to);
	vmb_lane_ask_end(&b->am, m_peer(b, a)->lane_in);
	m_expect(b, r, 0, 9u << 20, 9u << 20);
	m_expect(a, s, 0, 9u << 20, 9u << 20);
	m_check(to, 9u << 20, 9u << 20, 1);
	m_until(!m_peer(a, b)->lane_out && !m_peer(b, a)->lane_in);
	exchange(LONG, LONG, 2, true);
}
END_TEST

/* OFF is owed and not said when a message wants to be copied. */
START_TEST(lane_that_ends_takes_no_message_to_be_copied)
{
	uint8_t *to = m_blank(LONG);
	struct vmb_lane_out *out;
	struct vmb_req *s, *r;

	start_told();
	warm_up();
	r = m_recv(b, to, LONG, 1, ~0ull);
	out = m_peer(a, b)->lane_out;
	out->ending = true;
	vmb_lane_owe(&a->am, m_peer(a, b), VMB_LANE_OFF);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	m_expect(b, r, 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
	m_check(to, LONG, LONG, 1);
	m_until(!m_peer(a, b)->lane_on);
	ck_assert_uint_eq(m_count(b).direct, 1);
}
END_TEST

/* It had nothing to do when the word was owed, and has when it could be said. */
START_TEST(word_of_the_end_is_taken_back_while_a_message_is_copied)
{
	uint8_t *to = m_blank(9u << 20);
	struct vmb_req *s, *r;

	start_told();
	begin_one(&s, &r, to);
	m_peer(a, b)->lane_out->ending = true;
	vmb_lane_owe(&a->am, m_peer(a, b), VMB_LANE_OFF);
	m_expect(b, r, 0, 9u << 20, 9u << 20);
	m_expect(a, s, 0, 9u << 20, 9u << 20);
	m_check(to, 9u << 20, 9u << 20, 1);
	m_until(!m_peer(a, b)->lane_on);
}
END_TEST

/* ---- lies -------------------------------------------------------------------------- */

/* At each copy of the other side, the sender's half of the claim changes. */
static void scribble(bool write, void *arg)
{
	uint64_t *seed = arg;

	(void)write;
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	entry_of(0)->claim ^= (*seed >> 20) << 32;
	entry_of(0)->written = (uint32_t)*seed;
}

START_TEST(claims_that_cannot_be_end_the_help_only)
{
	uint64_t seed = (uint64_t)_i + 1;
	uint8_t *to = m_blank(LONG);
	struct vmb_req *s, *r;

	start_told();
	warm_up();
	t_port_direct(&(
		struct t_direct){.told = true, .hook = scribble, .arg = &seed});
	r = m_recv(b, to, LONG, 1, ~0ull);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	m_expect(b, r, 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
	t_port_direct(&(struct t_direct){.told = true});
	exchange(LONG, LONG, 2, true);
}
END_TEST

static struct vmb_wire_share good_share;

static void lie_about(unsigned i, struct vmb_wire_share *share)
{
	switch (i) {
	case 0:
		share->want = LONG + 1ull;
		break;
	case 1:
		share->want = 0;
		break;
	case 2:
		share->addr = UINT64_MAX - 5;
		break;
	case 3:
		share->piece = 0;
		break;
	case 4:
		share->piece = 4095;
		break;
	case 5:
		share->piece = 2048;
		break;
	case 6:
		share->piece = 12288;
		break;
	case 7:
		share->reserved_e0 = 1;
		break;
	}
}

START_TEST(requests_to_share_that_cannot_be_are_ignored)
{
	struct vmb_wire_share share;
	uint64_t written;
	struct vmb_req *s;

	start_told();
	warm_up();
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	m_settle(); /* unexpected there */
	written = m_count(a).direct_written;
	good_share = (struct vmb_wire_share){
		.want = LONG,
		.addr = (uintptr_t)m_blank(LONG),
		.piece = 65536,
	};
	share = good_share;
	lie_about((unsigned)_i, &share);
	say(b, a, VMB_MSG_SHARE, vmb_req_number(s), &share, sizeof(share));
	ck_assert_uint_eq(m_count(a).nonsense, 1);
	say(b, a, VMB_MSG_SHARE, vmb_req_number(s), &good_share, 31);
	say(b, a, VMB_MSG_SHARE, vmb_req_number(s) + 1, &good_share,
	    sizeof(share));
	ck_assert_uint_eq(m_count(a).nonsense, 3);
	ck_assert_uint_eq(m_count(a).direct_written, written);
	exchange(LONG, LONG, 2, true);
}
END_TEST

START_TEST(help_that_was_not_given_is_not_believed)
{
	struct vmb_wire_shared said = {.pieces = 3};
	uint8_t *to = m_blank(LONG);
	struct vmb_req *s, *r;

	start_told();
	warm_up();
	r = m_recv(b, to, LONG, 1, ~0ull);
	s = m_send(a, b, m_payload(LONG, 1), LONG, 1, false);
	only(b, 1);
	say(a, b, VMB_MSG_SHARED, vmb_req_number(r) + 1, &said, sizeof(said));
	say(a, b, VMB_MSG_SHARED, vmb_req_number(r), &said, 7);
	ck_assert_uint_eq(m_count(b).nonsense, 2);
	say(a, b, VMB_MSG_SHARED, vmb_req_number(r), &said, sizeof(said));
	m_expect(b, r, 0, LONG, LONG);
	m_expect(a, s, 0, LONG, LONG);
	m_check(to, LONG, LONG, 1);
}
END_TEST

START_TEST(announcements_that_cannot_be_are_streamed)
{
	struct vmb_wire_rts rts = {.number = 1, .len = LONG};
	struct vmb_req *r;

	start_told();
	warm_up();
	rts.key = _i ? vmb_pack(VMB_LANE_DIRECTS, 5) : vmb_pack(2, 0);
	rts.offset = (uintptr_t)m_payload(LONG, 1);
	r = m_recv(b, m_blank(LONG), LONG, 1, ~0ull);
	say(a, b, VMB_MSG_RTS_DIRECT, 1, &rts, sizeof(rts));
	only(b, 10);
	ck_assert_uint_eq(r->state, VMB_REQ_RECEIVING);
	ck_assert_uint_eq(m_count(b).direct, 1);
}
END_TEST

START_TEST(message_that_was_never_announced_is_stale)
{
	struct vmb_wire_rts rts = {.number = 1, .len = LONG};
	struct vmb_req *r;

	start_told();
	warm_up();
	rts.key = vmb_pack(3, 12345);
	rts.offset = (uintptr_t)m_payload(LONG, 1);
	r = m_recv(b, m_blank(LONG), LONG, 1, ~0ull);
	say(a, b, VMB_MSG_RTS_DIRECT, 1, &rts, sizeof(rts));
	m_expect(b, r, -EFAULT, LONG, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("share");
	TCase *t = tcase_create("share");

	tcase_add_checked_fixture(t, m_setup, m_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_length_arrives, 0, 2);
	tcase_add_test(t, short_receives_are_filled_and_no_more);
	tcase_add_test(t, many_at_once_find_their_way);
	tcase_add_test(t, receiver_does_it_alone);
	tcase_add_test(t, sender_writes_what_the_receiver_does_not_read);
	tcase_add_test(t, pieces_need_one_run_of_memory);
	tcase_add_loop_test(t, who_may_not_read_asks_for_a_stream, 0, 2);
	tcase_add_test(t, who_is_not_told_does_not_offer);
	tcase_add_loop_test(t, what_the_sender_cannot_write_is_read, 0, 2);
	tcase_add_test(t, memory_that_vanishes_ends_both);
	tcase_add_test(t, dead_sender_leaves_no_hole);
	tcase_add_loop_test(t, message_that_is_taken_back_is_not_believed, 0,
			    2);
	tcase_add_test(t, sender_times_out);
	tcase_add_loop_test(t, sender_disconnects, 0, 3);
	tcase_add_test(t, receiver_disconnects_and_is_not_written_to);
	tcase_add_loop_test(t, either_closes, 0, 2);
	tcase_add_loop_test(t, piece_under_way_is_waited_for, 0, 2);
	tcase_add_test(t, lane_that_is_wanted_back_ends_behind_the_copy);
	tcase_add_test(t, lane_that_ends_takes_no_message_to_be_copied);
	tcase_add_test(t,
		       word_of_the_end_is_taken_back_while_a_message_is_copied);
	tcase_add_loop_test(t, claims_that_cannot_be_end_the_help_only, 0, 20);
	tcase_add_loop_test(t, requests_to_share_that_cannot_be_are_ignored, 0,
			    8);
	tcase_add_test(t, help_that_was_not_given_is_not_believed);
	tcase_add_loop_test(t, announcements_that_cannot_be_are_streamed, 0, 2);
	tcase_add_test(t, message_that_was_never_announced_is_stale);
	suite_add_tcase(s, t);
	return t_run(s);
}
