// SPDX-License-Identifier: BSD-2-Clause
/*
 * lane_ends.c - see lane_ends.h.
 *
 * Flow:  test -> struct t_end -> lib/am -> lane, or engine -> struct t_end
 * Owns:  three ends, and an engine that the test steps.
 * Trust: see support/ends.h: every payload and the order are checked.
 */
#include "lane_ends.h"

struct t_end a, b, c;

void l_setup(void)
{
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 64,
					     .spin_us = 1000000});
	t_end_open(&a, NULL, NULL);
	t_end_open(&b, NULL, NULL);
	t_end_open(&c, NULL, NULL);
	vmb_am_set_lanes(&a.am, LANES, VMB_LANE_AFTER);
	vmb_am_set_lanes(&b.am, LANES, VMB_LANE_AFTER);
	vmb_am_set_lanes(&c.am, LANES, VMB_LANE_AFTER);
}

void l_teardown(void)
{
	if (a.port)
		t_end_close(&a, 0);
	if (b.port)
		t_end_close(&b, 0);
	if (c.port)
		t_end_close(&c, 0);
	ck_assert_uint_eq(t_port_lanes(), 0);
	t_nic_stop();
}

void l_send(struct t_end *from, struct t_end *to, size_t len)
{
	uint32_t number = from->sent[0];

	ck_assert_int_eq(t_end_post(from, to, 0, len, VMB_AM_TRY), 0);
	t_ends_until(to->received[0] == number + 1, from, to);
}

struct vmb_lane_out *l_bring_up(struct t_end *from, struct t_end *to)
{
	struct vmb_peer *peer = t_end_peer(from, to);

	from->sent[0] = to->received[0]; /* it may have had another sender */
	while (!peer->lane_on) {
		ck_assert_uint_lt(from->sent[0], 2000);
		l_send(from, to, from->sent[0] % 64);
	}
	l_send(from, to, 8);
	ck_assert_ptr_nonnull(t_end_peer(to, from)->lane_in);
	return peer->lane_out;
}

struct vmb_lane_in *l_in_of(struct t_end *to, struct t_end *from)
{
	return t_end_peer(to, from)->lane_in;
}

void l_post(struct t_end *from, struct t_end *to)
{
	ck_assert_int_eq(t_end_post(from, to, 0, 8, VMB_AM_TRY), 0);
}

TCase *l_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, l_setup, l_teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}
