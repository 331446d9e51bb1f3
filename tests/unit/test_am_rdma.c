// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_am_rdma.c - one-sided transfers and fences, with the engine in this
 * process.
 *
 * Flow:  vmb_am_rdma() of a -> lib/nic -> memory of b -> callback of a
 * Owns:  two ends, each with a region.
 * Trust: memory is compared after each transfer.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "am/internal.h"
#include "support/ends.h"
#include "support/run.h"

static struct t_end a, b;

static void open_ends(void)
{
	t_end_open(&a, NULL, NULL);
	t_end_open(&b, NULL, NULL);
}

static void close_ends(void)
{
	t_end_close(&a, 0);
	t_end_close(&b, 0);
	t_nic_stop();
}

/* The test steps the engine: nothing ends between two lines of it. */
static void setup_stepped(void)
{
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 64,
					     .spin_us = 1000000});
	open_ends();
}

#define REGION 65536u

static struct memory {
	uint8_t *mine, *theirs;
	uint64_t my_key, their_key;
} m;

static void map_memory(void)
{
	ck_assert_int_eq(t_port_inproc.mem_alloc(a.port, REGION,
						 (void **)&m.mine, &m.my_key),
			 0);
	ck_assert_int_eq(t_port_inproc.mem_alloc(b.port, REGION,
						 (void **)&m.theirs,
						 &m.their_key),
			 0);
	for (uint32_t i = 0; i < REGION; i++)
		m.mine[i] = (uint8_t)(i ^ i >> 8);
}

static void setup_memory(void)
{
	t_nic_start(NULL);
	open_ends();
	map_memory();
}

static void setup_memory_stepped(void)
{
	setup_stepped();
	map_memory();
}

static void teardown_memory(void)
{
	t_port_inproc.mem_free(a.port, m.mine, REGION, m.my_key);
	t_port_inproc.mem_free(b.port, m.theirs, REGION, m.their_key);
	close_ends();
}

static int rdma(unsigned op, uint64_t mine, uint64_t theirs, uint64_t len,
		enum vmb_am_mode mode)
{
	struct vmb_slot_rdma what = {.local_key = m.my_key,
				     .remote_key = m.their_key,
				     .local_offset = mine,
				     .remote_offset = theirs,
				     .len = len};

	return vmb_am_rdma(&a.am, op, t_end_peer(&a, &b), &what, t_end_on_done,
			   &a, mode);
}

START_TEST(put_then_get_moves_the_bytes)
{
	ck_assert_int_eq(rdma(VMB_OP_PUT, 0, 100, 30000, VMB_AM_TRY), 0);
	t_ends_until(a.done == 1, &a, &b);
	ck_assert_int_eq(a.code, 0);
	ck_assert_uint_eq(a.moved, 30000);
	ck_assert_mem_eq(m.theirs + 100, m.mine, 30000);
	ck_assert_int_eq(rdma(VMB_OP_GET, 32000, 100, 30000, VMB_AM_TRY), 0);
	t_ends_until(a.done == 2, &a, &b);
	ck_assert_int_eq(a.code, 0);
	ck_assert_mem_eq(m.mine + 32000, m.mine, 30000);
}
END_TEST

START_TEST(transfer_of_nothing_ends_well)
{
	ck_assert_int_eq(rdma(VMB_OP_PUT, 0, REGION, 0, VMB_AM_TRY), 0);
	t_ends_until(a.done == 1, &a, &b);
	ck_assert_int_eq(a.code, 0);
	ck_assert_uint_eq(a.moved, 0);
}
END_TEST

START_TEST(unknown_key_is_reported)
{
	uint64_t key = m.their_key;

	m.their_key ^= 1ull << 40;
	ck_assert_int_eq(rdma(VMB_OP_PUT, 0, 0, 64, VMB_AM_TRY), 0);
	m.their_key = key;
	t_ends_until(a.done == 1, &a, &b);
	ck_assert_int_eq(a.code, -ENOKEY);
}
END_TEST

START_TEST(end_of_region_is_reported)
{
	ck_assert_int_eq(rdma(VMB_OP_GET, 0, REGION - 63, 64, VMB_AM_TRY), 0);
	t_ends_until(a.done == 1, &a, &b);
	ck_assert_int_eq(a.code, -ERANGE);
}
END_TEST

START_TEST(forbidden_access_is_reported)
{
	static uint8_t readable[4096];
	uint64_t key = m.their_key;

	ck_assert_int_eq(t_port_inproc.mem_register(
				 b.port, readable, sizeof(readable),
				 VMB_ACCESS_REMOTE_READ, &m.their_key),
			 0);
	ck_assert_int_eq(rdma(VMB_OP_PUT, 0, 0, 64, VMB_AM_TRY), 0);
	t_ends_until(a.done == 1, &a, &b);
	ck_assert_int_eq(a.code, -EACCES);
	ck_assert_int_eq(rdma(VMB_OP_GET, 0, 0, 64, VMB_AM_TRY), 0);
	t_ends_until(a.done == 2, &a, &b);
	ck_assert_int_eq(a.code, 0);
	t_port_inproc.mem_deregister(b.port, m.their_key);
	m.their_key = key;
}
END_TEST

START_TEST(queued_transfers_all_end)
{
	for (unsigned i = 0; i < 300; i++)
		ck_assert_int_eq(rdma(VMB_OP_PUT, i * 200, i * 200, 200,
				      VMB_AM_QUEUE),
				 0);
	t_ends_until(a.done == 300, &a, &b);
	ck_assert_mem_eq(m.theirs, m.mine, 60000);
}
END_TEST

/* Messages behind a fence find what was put before it. */
static void look_behind_fence(struct vmb_am *am,
			      const struct vmb_am_arrival *arrival, void *arg)
{
	unsigned *seen = arg;

	(void)am;
	ck_assert_mem_eq(m.theirs, m.mine, REGION);
	*seen += arrival->hdr == 42;
}

/* looped: with 0 transfers before, and with more than the table holds */
START_TEST(fence_holds_what_follows)
{
	struct vmb_segment s = {.ptr = (char[8]){0}, .len = 8};
	unsigned seen = 0;

	vmb_am_bind(&b.am, 100, look_behind_fence, &seen);
	for (int n = 0; n < _i; n++)
		ck_assert_int_eq(rdma(VMB_OP_PUT, 0, 0, 64, VMB_AM_QUEUE), 0);
	ck_assert_int_eq(rdma(VMB_OP_PUT, 0, 0, REGION, VMB_AM_QUEUE), 0);
	ck_assert_int_eq(rdma(VMB_OP_FENCE, 0, 0, 0, VMB_AM_QUEUE), 0);
	t_nic_settle();	       /* the doorbell page is empty, */
	vmb_am_refresh(&a.am); /* and we know it */
	ck_assert_int_eq(vmb_am_post(&a.am, t_end_peer(&a, &b), 100, 42, &s, 1,
				     0, 8, VMB_AM_QUEUE),
			 0);
	t_ends_until(seen && a.done == (unsigned)_i + 2, &a, &b);
	ck_assert_int_eq(a.code, 0);
}
END_TEST

START_TEST(transfer_to_closed_endpoint_fails)
{
	struct vmb_peer *peer = t_end_peer(&a, &b);
	struct vmb_slot_rdma what = {
		.local_key = m.my_key, .remote_key = m.their_key, .len = 64};

	vmb_am_fini(&b.am, 0);
	ck_assert_int_eq(vmb_am_rdma(&a.am, VMB_OP_PUT, peer, &what,
				     t_end_on_done, &a, VMB_AM_TRY),
			 0);
	t_ends_until(a.done == 1, &a);
	ck_assert_int_eq(a.code, -ECONNRESET);
}
END_TEST

START_TEST(places_are_used_again)
{
	for (unsigned i = 1; i <= 500; i++) {
		ck_assert_int_eq(rdma(VMB_OP_PUT, 0, 0, 8, VMB_AM_TRY), 0);
		t_ends_until(a.done == i, &a, &b);
	}
	ck_assert_uint_eq(a.am.counters.repeated, 0);
}
END_TEST

START_TEST(try_refuses_beyond_the_table)
{
	int n = 0, rc;

	while (!(rc = vmb_am_rdma(&a.am, VMB_OP_FENCE, NULL, NULL,
				  t_end_on_done, &a, VMB_AM_TRY)))
		n++;
	ck_assert_int_eq(rc, -EAGAIN);
	ck_assert_int_eq(n, 64);
	t_ends_until(a.done == 64, &a, &b);
	ck_assert_int_eq(vmb_am_rdma(&a.am, VMB_OP_FENCE, NULL, NULL,
				     t_end_on_done, &a, VMB_AM_TRY),
			 0);
}
END_TEST

/* b's engine asks what room there is at a, whose transfers come and go. */
static void setup_two_engines(void)
{
	t_nic_start(&(struct vmb_nic_config){
		.threads = 2, .endpoints_max = 64, .spin_us = 1000});
	open_ends();
	map_memory();
}

START_TEST(arrivals_beside_transfers_are_whole)
{
	unsigned begun = 0;

	while (b.sent[0] < 2000) {
		begun += !rdma(VMB_OP_GET, 0, 0, 64, VMB_AM_TRY);
		t_end_post(&b, &a, 0, b.sent[0] % 200, VMB_AM_TRY);
		t_ends_turn((struct t_end *[]){&a, &b}, 2);
	}
	t_ends_until(a.received[0] == 2000 && a.done == begun, &a, &b);
	ck_assert_int_eq(a.code, 0);
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

static Suite *rdma_suite(void)
{
	Suite *s = suite_create("am_rdma");
	TCase *tc = add_case(s, "transfer", setup_memory, teardown_memory);

	tcase_add_test(tc, put_then_get_moves_the_bytes);
	tcase_add_test(tc, transfer_of_nothing_ends_well);
	tcase_add_test(tc, unknown_key_is_reported);
	tcase_add_test(tc, end_of_region_is_reported);
	tcase_add_test(tc, forbidden_access_is_reported);
	tcase_add_test(tc, queued_transfers_all_end);
	tcase_add_loop_test(tc, fence_holds_what_follows, 0, 1);
	tcase_add_loop_test(tc, fence_holds_what_follows, 80, 81);
	tcase_add_test(tc, transfer_to_closed_endpoint_fails);
	tcase_add_test(tc, places_are_used_again);
	tc = add_case(s, "stepped", setup_memory_stepped, teardown_memory);
	tcase_add_loop_test(tc, fence_holds_what_follows, 0, 1);
	tcase_add_loop_test(tc, fence_holds_what_follows, 80, 81);
	tc = add_case(s, "two engines", setup_two_engines, teardown_memory);
	tcase_add_test(tc, arrivals_beside_transfers_are_whole);
	tc = add_case(s, "table", setup_stepped, close_ends);
	tcase_add_test(tc, try_refuses_beyond_the_table);
	return s;
}

int main(void)
{
	return t_run(rdma_suite());
}
