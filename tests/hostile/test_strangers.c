// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_strangers.c - clients that want what another one has: a lane that was
 * offered to somebody else, an endpoint of which they have guessed the handle.
 *
 * Flow:  two clients, and the witness as a third -> vmbd of our own
 * Owns:  one daemon per test; what it held before is compared with after.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "fault_log.h"
#include "nic/nic.h"
#include "support/run.h"
#include "witness.h"

/* ---- lanes -------------------------------------------------------------- */

/* Two clients, an endpoint each. */
static struct pair {
	int fd[2];
	uint32_t handle[2];
} pair;

static void client_open(unsigned i)
{
	struct vmb_ctl_open_reply reply;

	pair.fd[i] = t_raw_attach(t_witness.daemon.socket, "");
	ck_assert_int_eq(t_raw_open(pair.fd[i], VMB_ID_ANY, 0, &reply, NULL),
			 0);
	pair.handle[i] = reply.handle;
}

static void pair_open(void)
{
	client_open(0);
	client_open(1);
}

static void pair_close(void)
{
	close(pair.fd[0]);
	close(pair.fd[1]);
}

static int lane_call(int fd, struct vmb_ctl_lane lane,
		     struct t_raw_reply *reply)
{
	union vmb_ctl_any msg = {.lane = lane};

	return t_raw_call(fd, &msg, VMB_CTL_LANE, NULL, 0, reply);
}

/* Client 0 offers a lane from client 1. */
static struct vmb_ctl_lane good_offer(void)
{
	return (struct vmb_ctl_lane){.kind = VMB_LANE_OFFER,
				     .handle = pair.handle[0],
				     .peer = pair.handle[1],
				     .slots = VMB_LANE_SLOTS_DEFAULT,
				     .bytes = VMB_LANE_BYTES_DEFAULT};
}

static struct vmb_ctl_lane good_accept(uint64_t ticket)
{
	return (struct vmb_ctl_lane){.kind = VMB_LANE_ACCEPT,
				     .handle = pair.handle[1],
				     .peer = pair.handle[0],
				     .ticket = ticket};
}

static uint64_t offered(void)
{
	struct t_raw_reply r;
	struct stat st;

	ck_assert_int_eq(lane_call(pair.fd[0], good_offer(), &r), 0);
	ck_assert_uint_ge(r.fd_count, 1);
	ck_assert_uint_ne(r.msg.lane.ticket, 0);
	ck_assert_int_eq(fcntl(r.fds[0], F_GET_SEALS), T_RAW_SEALS);
	ck_assert_int_eq(fstat(r.fds[0], &st), 0);
	ck_assert_int_eq(st.st_size, VMB_LANE_LEN(VMB_LANE_SLOTS_DEFAULT,
						  VMB_LANE_BYTES_DEFAULT));
	t_raw_close_fds(&r);
	return r.msg.lane.ticket;
}

/* Refused by client 0's daemon, and in the fault log. */
static void expect_lane_lie(struct vmb_ctl_lane lane, uint64_t value)
{
	struct t_raw_reply r;
	long before = t_recorded();

	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), -EINVAL);
	t_expect_record(before, "lane", value);
}

START_TEST(lane_offer_that_cannot_be_is_refused)
{
	struct vmb_ctl_lane lane;
	struct t_raw_reply r;

	pair_open();
	lane = good_offer();
	lane.handle = pair.handle[1]; /* of another client */
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), -ENOENT);
	ck_assert_int_eq(t_raw_number(t_last_record(), "code"),
			 VMB_NIC_FAULT_LANE);
	ck_assert_int_eq(t_recorded(), 1);
	lane = good_offer();
	lane.peer = 0x12340001;
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), -ENOENT);
	lane = good_offer();
	lane.ticket = 1;
	expect_lane_lie(lane, pair.handle[0]);
	for (unsigned i = 0; i < 6; i++) {
		static const uint32_t slots[] = {0, 32, 100, 256, 256, 8192};
		static const uint32_t bytes[] = {65536, 65536, 65536,
						 4096,	65537, 65536};

		lane = good_offer();
		lane.slots = slots[i];
		lane.bytes = bytes[i];
		expect_lane_lie(lane, i == 3 || i == 4 ? bytes[i] : slots[i]);
	}
	lane = good_offer();
	lane.kind = 4;
	expect_lane_lie(lane, 4);
	/* accepts and closes with what no accept or close has */
	lane = (struct vmb_ctl_lane){.kind = VMB_LANE_ACCEPT,
				     .handle = pair.handle[0],
				     .peer = pair.handle[1],
				     .slots = 64};
	expect_lane_lie(lane, pair.handle[0]);
	lane = (struct vmb_ctl_lane){.kind = VMB_LANE_CLOSE,
				     .ticket = offered(),
				     .reason = VMB_CODE_COUNT};
	expect_lane_lie(lane, VMB_CODE_COUNT);
	pair_close();
}
END_TEST

START_TEST(lane_goes_to_its_sender_alone_and_once)
{
	struct vmb_ctl_lane lane;
	struct t_raw_reply r;
	uint64_t ticket;

	pair_open();
	ticket = offered();
	/* somebody else, with the right ticket */
	lane = good_accept(ticket);
	lane.handle = t_witness.ep.open.handle;
	ck_assert_int_eq(lane_call(t_witness.fd, lane, &r), -ENOENT);
	lane = good_accept(ticket);
	ck_assert_int_eq(lane_call(t_witness.fd, lane, &r), -ENOENT);
	/* the right one, with a wrong ticket, or for a wrong receiver */
	ck_assert_int_eq(lane_call(pair.fd[1], good_accept(ticket + 1), &r),
			 -ENOENT);
	lane = good_accept(ticket);
	lane.peer = t_witness.ep.open.handle;
	ck_assert_int_eq(lane_call(pair.fd[1], lane, &r), -ENOENT);
	ck_assert_int_eq(lane_call(pair.fd[1], good_accept(ticket), &r), 0);
	ck_assert_uint_ge(r.fd_count, 1);
	ck_assert_uint_eq(r.msg.lane.bytes, VMB_LANE_BYTES_DEFAULT);
	t_raw_close_fds(&r);
	ck_assert_int_eq(lane_call(pair.fd[1], good_accept(ticket), &r),
			 -EALREADY);
	/* the sender, or a stranger, cannot end it */
	lane = (struct vmb_ctl_lane){.kind = VMB_LANE_CLOSE, .ticket = ticket};
	ck_assert_int_eq(lane_call(pair.fd[1], lane, &r), -ENOENT);
	ck_assert_int_eq(lane_call(t_witness.fd, lane, &r), -ENOENT);
	lane.reason = VMB_CODE_COUNT;
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), -EINVAL);
	lane.reason = VMB_CODE_BAD_SEQ;
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), 0);
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), -ENOENT);
	pair_close();
}
END_TEST

/* How many descriptors each side gets, and whose process the second one is. */
START_TEST(processes_are_told_when_both_understand)
{
	static const uint64_t offered_features[][2] = {
		{VMB_FEATURES_ALL, VMB_FEATURES_ALL},
		{VMB_FEATURES_ALL,
		 VMB_FEATURES_ALL & ~VMB_FEATURE_PEER_PROCESS},
		{VMB_FEATURES_ALL & ~VMB_FEATURE_PEER_PROCESS,
		 VMB_FEATURES_ALL},
	};
	unsigned expected = _i ? 1 : 2;
	struct t_raw_reply r;

	for (unsigned i = 0; i < 2; i++) {
		t_raw_features = offered_features[_i][i];
		client_open(i);
	}
	t_raw_features = VMB_FEATURES_ALL;
	ck_assert_int_eq(lane_call(pair.fd[0], good_offer(), &r), 0);
	ck_assert_uint_eq(r.fd_count, expected);
	if (!_i)
		ck_assert_int_eq(vmb_process_number(r.fds[1]), getpid());
	t_raw_close_fds(&r);
	ck_assert_int_eq(
		lane_call(pair.fd[1], good_accept(r.msg.lane.ticket), &r), 0);
	ck_assert_uint_eq(r.fd_count, expected);
	if (!_i)
		ck_assert_int_eq(vmb_process_number(r.fds[1]), getpid());
	t_raw_close_fds(&r);
	pair_close();
}
END_TEST

/* 256 is what the policy has when nobody says otherwise. */
START_TEST(lanes_are_limited_and_given_back)
{
	struct vmb_ctl_lane lane = {.kind = VMB_LANE_CLOSE};
	struct t_raw_reply r;

	pair_open();
	for (unsigned i = 0; i < 256; i++)
		lane.ticket = offered();
	ck_assert_int_eq(lane_call(pair.fd[0], good_offer(), &r), -EDQUOT);
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), 0);
	offered();
	/* the endpoint's end takes all of them; the fixture counts */
	ck_assert_int_eq(t_raw_close(pair.fd[0], pair.handle[0]), 0);
	ck_assert_int_eq(lane_call(pair.fd[1], good_accept(lane.ticket), &r),
			 -ENOENT);
	pair_close();
}
END_TEST

/* It ends, but what is said of its sender is not believed. */
START_TEST(lie_in_a_lane_that_nobody_took_is_not_recorded)
{
	struct vmb_ctl_lane lane = {.kind = VMB_LANE_CLOSE,
				    .reason = VMB_CODE_BAD_SEQ};
	struct t_raw_reply r;
	int before;

	pair_open();
	lane.ticket = offered();
	before = t_recorded();
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), 0);
	ck_assert_int_eq(t_recorded(), before);
	ck_assert_int_eq(lane_call(pair.fd[0], lane, &r), -ENOENT);
	pair_close();
}
END_TEST

/* ---- guessed handles ----------------------------------------------------- */

/* Two clients, each a domain of its own, with an endpoint that has a key. */
static struct t_raw_endpoint keyed[2];

static void keyed_open(void)
{
	for (unsigned i = 0; i < 2; i++) {
		pair.fd[i] = t_raw_attach(t_witness.daemon.socket, "");
		t_raw_endpoint_open_keyed(pair.fd[i], 100 + i, 77 + i,
					  &keyed[i]);
	}
}

static void keyed_close(void)
{
	for (unsigned i = 0; i < 2; i++)
		t_raw_endpoint_drop(&keyed[i]);
	pair_close();
}

START_TEST(handle_is_no_key)
{
	uint32_t to, from, nobody;
	struct vmb_ctl_hello_reply hello;
	int fd;

	keyed_open();
	to = keyed[1].open.handle;
	from = keyed[0].open.handle;
	fd = t_raw_connect(t_witness.daemon.socket);
	ck_assert_int_eq(t_raw_hello(fd, "", &hello), 0);
	ck_assert_uint_eq(t_raw_endpoint_send(&keyed[0], to),
			  VMB_CODE_BAD_PEER);
	ck_assert_int_eq(t_raw_number(t_last_record(), "code"),
			 VMB_CODE_BAD_PEER);
	ck_assert_int_eq(t_raw_peer(pair.fd[0], hello.nic_id, 101, 1, &nobody),
			 -EKEYREJECTED);
	/* that somebody else has the key is no help */
	ck_assert_int_eq(t_raw_peer(fd, hello.nic_id, 101, 78, &nobody), 0);
	ck_assert_uint_eq(t_raw_endpoint_send(&keyed[0], to),
			  VMB_CODE_BAD_PEER);
	ck_assert_uint_eq(t_raw_endpoint_receive(&keyed[1]), 0);
	ck_assert_int_eq(t_raw_peer(pair.fd[0], hello.nic_id, 101, 78, &nobody),
			 0);
	/* an answer comes after a question */
	ck_assert_uint_eq(t_raw_endpoint_send(&keyed[1], from),
			  VMB_CODE_BAD_PEER);
	ck_assert_uint_eq(t_raw_endpoint_send(&keyed[0], to), VMB_CODE_OK);
	ck_assert_uint_eq(t_raw_endpoint_receive(&keyed[1]), from);
	ck_assert_uint_eq(t_raw_endpoint_send(&keyed[1], from), VMB_CODE_OK);
	ck_assert_uint_eq(t_raw_endpoint_receive(&keyed[0]), to);
	close(fd);
	keyed_close();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("strangers");
	TCase *t = tcase_create("strangers");

	tcase_add_checked_fixture(t, t_witness_start, t_witness_stop);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	tcase_add_test(t, lane_offer_that_cannot_be_is_refused);
	tcase_add_test(t, lane_goes_to_its_sender_alone_and_once);
	tcase_add_loop_test(t, processes_are_told_when_both_understand, 0, 3);
	tcase_add_test(t, lanes_are_limited_and_given_back);
	tcase_add_test(t, lie_in_a_lane_that_nobody_took_is_not_recorded);
	tcase_add_test(t, handle_is_no_key);
	return t_run(s);
}
