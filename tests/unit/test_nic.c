// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_nic.c - the engine as honest clients see it: what is sent arrives,
 * what finds no room comes back, transfers move what they should, domains
 * get their shares. Lies are in tests/hostile/test_descriptors.c.
 *
 * Flow:  raw descriptors -> stepped engine -> raw events
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "nic/engine.h"
#include "support/inproc.h"
#include "support/run.h"

static struct t_client a, b;

/* what memory() gave out, freed at the end of a test */
static struct {
	struct t_client *owner;
	void *ptr;
	size_t len;
	uint64_t key;
} given[8];
static unsigned given_count;

static void start(void)
{
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 64});
	t_client_open(&a, "red", NULL);
	t_client_open(&b, "blue", NULL);
}

static void give_back(unsigned i)
{
	struct vmb_port *port = given[i].owner->port;

	if (given[i].ptr)
		port->ops->mem_free(port, given[i].ptr, given[i].len,
				    given[i].key);
	given[i].ptr = NULL;
}

static void stop(void)
{
	for (unsigned i = 0; i < given_count; i++)
		give_back(i);
	given_count = 0;
	t_client_close(&a);
	t_client_close(&b);
	t_nic_stop();
}

static struct vmb_slot rdma(unsigned op, uint32_t peer, uint64_t cookie,
			    const struct vmb_slot_rdma *what)
{
	struct vmb_slot slot = {.op = (uint8_t)op, .peer = peer};

	slot.hdr = cookie;
	memcpy(slot.payload, what, sizeof(*what));
	return slot;
}

static void *memory(struct t_client *c, size_t len, uint64_t *key)
{
	void *p;

	ck_assert_int_eq(c->port->ops->mem_alloc(c->port, len, &p, key), 0);
	given[given_count].owner = c;
	given[given_count].ptr = p;
	given[given_count].len = len;
	given[given_count++].key = *key;
	return p;
}

static void expect_done(struct t_client *c, uint64_t cookie, unsigned code,
			uint64_t moved)
{
	struct vmb_slot event;
	uint64_t got;

	t_client_expect(c, VMB_EV_DONE, &event);
	memcpy(&got, event.payload, sizeof(got));
	ck_assert_uint_eq(event.hdr, cookie);
	ck_assert_uint_eq(event.status, code);
	ck_assert_uint_eq(got, moved);
}

/* ---- SEND ----------------------------------------------------------------- */

START_TEST(send_inline_arrives_with_the_source)
{
	const uint8_t *data;
	struct vmb_slot event;

	t_client_send(&a, b.pep.handle, 7, 0x1122334455667788, "hello", 5);
	ck_assert(t_client_next(&b, &event, 1000, &data));
	ck_assert_uint_eq(event.op, VMB_EV_ARRIVE);
	ck_assert_uint_eq(event.peer, a.pep.handle);
	ck_assert_uint_eq(event.am, 7);
	ck_assert_uint_eq(event.hdr, 0x1122334455667788);
	ck_assert_uint_eq(event.len, 5);
	ck_assert_mem_eq(data, "hello", 5);
}
END_TEST

START_TEST(send_to_self_arrives)
{
	struct vmb_slot event;

	t_client_send(&a, a.pep.handle, 1, 2, NULL, 0);
	t_client_expect(&a, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.peer, a.pep.handle);
}
END_TEST

START_TEST(send_buffered_arrives_whole)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_BUF};
	struct vmb_slot_buf buf = {.key = VMB_KEY_TX, .offset = 64};
	const uint8_t *data;
	struct vmb_slot event;

	for (unsigned i = 0; i < 2000; i++)
		a.tx[64 + i] = (uint8_t)(i * 7);
	for (buf.len = 1; buf.len <= 2000; buf.len += 333) {
		slot.peer = b.pep.handle;
		memcpy(slot.payload, &buf, sizeof(buf));
		t_client_post(&a, &slot);
		ck_assert(t_client_next(&b, &event, 1000, &data));
		ck_assert_uint_eq(event.flags, VMB_F_BUF);
		ck_assert_mem_eq(data, a.tx + 64, buf.len);
	}
}
END_TEST

START_TEST(send_counts_messages_and_bytes)
{
	const struct vmb_stats *sa = vmb_nic_stats(t_nic(), a.pep.handle);
	const struct vmb_stats *sb = vmb_nic_stats(t_nic(), b.pep.handle);
	struct vmb_slot event;

	for (int i = 0; i < 10; i++)
		t_client_send(&a, b.pep.handle, 0, 0, "12345678", 8);
	for (int i = 0; i < 10; i++)
		t_client_expect(&b, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(sa->sends, 10);
	ck_assert_uint_eq(sa->send_bytes, 80);
	ck_assert_uint_eq(sb->arrivals, 10);
	ck_assert_uint_eq(sb->arrival_bytes, 80);
}
END_TEST

/* ---- back-pressure ---------------------------------------------------------- */

/* Fill b without reading it; returns what came back to a. */
static unsigned fill(unsigned messages)
{
	unsigned bounced = 0;
	struct vmb_slot event;

	for (unsigned i = 0; i < messages; i++) {
		t_client_send(&a, b.pep.handle, 0, i, NULL, 0);
		t_nic_settle();
		while (t_client_next(&a, &event, 0, NULL)) {
			ck_assert_uint_eq(event.op, VMB_EV_BOUNCE);
			ck_assert_uint_eq(event.status, VMB_CODE_NO_ROOM);
			bounced++;
		}
	}
	return bounced;
}

START_TEST(full_receiver_bounces_in_order_and_says_when_there_is_room)
{
	unsigned sent = 2 * VMB_EQ_SLOTS_MIN, arrived = 0;
	unsigned bounced = fill(sent);
	struct vmb_slot event, slot = {.op = VMB_OP_SEND};

	ck_assert_uint_gt(bounced, 0);
	while (t_client_next(&b, &event, 0, NULL))
		ck_assert_uint_eq(event.hdr, arrived++);
	ck_assert_uint_eq(arrived + bounced, sent);
	t_client_expect(&a, VMB_EV_ROOM, &event);
	ck_assert_uint_eq(event.peer, b.pep.handle);

	/* without the flag it is still bounced, with it it arrives */
	t_client_send(&a, b.pep.handle, 0, 1000, NULL, 0);
	t_client_expect(&a, VMB_EV_BOUNCE, &event);
	slot.peer = b.pep.handle;
	slot.hdr = 1001;
	slot.flags = VMB_F_RESUME;
	t_client_post(&a, &slot);
	t_client_expect(&b, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.hdr, 1001);
}
END_TEST

START_TEST(full_receiver_does_not_hold_up_others)
{
	struct t_client c;
	struct vmb_slot event;

	t_client_open(&c, NULL, NULL);
	fill(2 * VMB_EQ_SLOTS_MIN);
	t_client_send(&a, c.pep.handle, 0, 42, NULL, 0);
	t_client_expect(&c, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.hdr, 42);
	t_client_close(&c);
}
END_TEST

START_TEST(bounce_returns_the_payload)
{
	struct vmb_slot event;
	const uint8_t *data;

	fill(VMB_EQ_SLOTS_MIN);
	t_client_send(&a, b.pep.handle, 3, 99, "payload", 7);
	ck_assert(t_client_next(&a, &event, 1000, &data));
	ck_assert_uint_eq(event.op, VMB_EV_BOUNCE);
	ck_assert_uint_eq(event.am, 3);
	ck_assert_uint_eq(event.hdr, 99);
	ck_assert_uint_eq(event.peer, b.pep.handle);
	ck_assert_mem_eq(event.payload, "payload", 7);
}
END_TEST

/* Whoever does not read its events must not keep the engine busy. */
START_TEST(unread_events_let_the_engine_sleep)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .len = 1};
	const struct vmb_stats *sa = vmb_nic_stats(t_nic(), a.pep.handle);
	unsigned work = 0;

	for (unsigned i = 0; i < VMB_EQ_SLOTS_MIN; i++) { /* all come back */
		t_client_post(&a, &slot);
		t_nic_settle();
	}
	for (unsigned i = 0; i < VMB_DOORBELL_SLOTS / 2; i++)
		t_client_post(&a, &slot);
	t_nic_settle();
	ck_assert_uint_gt(sa->stalls, 0);
	for (unsigned i = 0; i < 10000; i++)
		work += t_nic_breathe();
	ck_assert_uint_eq(work, 0);
	ck_assert(t_nic_may_sleep());
	ck_assert_uint_ne(vmb_load_relaxed(&a.ctl->room_arm), 0);
	/* reading lets it go on */
	for (unsigned n = 0; n < VMB_EQ_SLOTS_MIN + VMB_DOORBELL_SLOTS / 2; n++)
		t_client_expect(&a, VMB_EV_BOUNCE, &slot);
}
END_TEST

/* ---- waiting for room --------------------------------------------------------- */

static void start_holding(uint32_t hold_us)
{
	stop();
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 64,
					     .hold_us = hold_us});
	t_client_open(&a, "red", NULL);
	t_client_open(&b, "blue", NULL);
}

/* A receiver that reads in time costs its sender nothing. */
START_TEST(held_messages_arrive_in_order_without_a_bounce)
{
	const struct vmb_stats *sa;
	struct vmb_slot event;

	start_holding(10000000);
	sa = vmb_nic_stats(t_nic(), a.pep.handle);
	for (unsigned sent = 0, seen = 0; seen < 1000;) {
		for (unsigned n = 0; n < VMB_DOORBELL_SLOTS / 2; n++)
			t_client_send(&a, b.pep.handle, 0, sent++, NULL, 0);
		t_nic_settle(); /* more than fits */
		while (t_client_next(&b, &event, 0, NULL))
			ck_assert_uint_eq(event.hdr, seen++);
	}
	ck_assert_uint_eq(sa->bounces, 0);
}
END_TEST

/* As many as there is room for, taken. */
static void fill_up(uint32_t handle)
{
	for (unsigned i = 0; i < VMB_EQ_SLOTS_MIN - EVENTS_KEPT; i++)
		t_client_send(&a, handle, 0, i, NULL, 0);
	t_nic_settle();
}

/* The next message that finds no room is held as long as any, not bounced. */
START_TEST(peer_that_goes_ends_a_hold)
{
	struct vmb_nic_endpoint *inside;
	struct vmb_slot event;
	struct t_client c;

	start_holding(10000000);
	t_client_open(&c, NULL, NULL);
	inside = t_nic()->endpoints[VMB_HANDLE_INDEX(a.pep.handle)];
	fill_up(b.pep.handle);
	fill_up(c.pep.handle);
	t_client_send(&a, b.pep.handle, 0, 100, NULL, 0);
	t_nic_settle();
	ck_assert(inside->held);
	t_client_close(&b);
	inside->held_ns = 0; /* for long */
	t_client_expect(&a, VMB_EV_GONE, &event);
	t_client_expect(&a, VMB_EV_BOUNCE, &event);
	ck_assert_uint_eq(event.status, VMB_CODE_PEER_GONE);
	t_client_send(&a, c.pep.handle, 0, 101, NULL, 0);
	t_nic_settle();
	ck_assert(!t_client_next(&a, &event, 0, NULL));
	ck_assert(inside->held);
	t_client_close(&c);
	t_client_open(&b, "blue", NULL);
}
END_TEST

/* A close does not wait for room, and what is behind goes its way. */
START_TEST(close_flushes_past_a_held_message)
{
	struct vmb_slot event;
	struct t_client c;

	start_holding(10000000);
	t_client_open(&c, NULL, NULL);
	fill_up(b.pep.handle);
	t_client_send(&a, b.pep.handle, 0, 100, NULL, 0);
	t_client_send(&a, b.pep.handle, 0, 101, NULL, 0);
	t_client_send(&a, c.pep.handle, 0, 102, NULL, 0);
	t_nic_settle();
	ck_assert(!t_client_next(&c, &event, 0, NULL));
	t_client_close(&a);
	t_client_expect(&c, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.hdr, 102);
	t_client_close(&c);
	t_client_open(&a, "red", NULL);
}
END_TEST

/* One that does not read holds up the sender's other peers for so long only. */
START_TEST(held_message_bounces_when_its_time_is_over)
{
	struct vmb_slot event;
	struct t_client c;

	start_holding(2000);
	t_client_open(&c, NULL, NULL);
	ck_assert_uint_gt(fill(2 * VMB_EQ_SLOTS_MIN), 0);
	t_client_send(&a, c.pep.handle, 0, 7, NULL, 0);
	t_client_expect(&c, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.hdr, 7);
	t_client_close(&c);
}
END_TEST

/* ---- PUT, GET, FENCE ---------------------------------------------------------- */

START_TEST(put_and_get_move_all_bytes)
{
	size_t len = 300000;
	uint64_t ka, kb;
	uint8_t *ma = memory(&a, 1 << 20, &ka), *mb = memory(&b, 1 << 20, &kb);
	struct vmb_slot_rdma what = {
		.local_key = ka,
		.remote_key = kb,
		.local_offset = 100,
		.remote_offset = 5000,
		.len = len,
	};
	struct vmb_slot slot;

	for (size_t i = 0; i < 1 << 20; i++)
		ma[i] = (uint8_t)(i * 31 >> 3);
	slot = rdma(VMB_OP_PUT, b.pep.handle, 11, &what);
	t_client_post(&a, &slot);
	expect_done(&a, 11, VMB_CODE_OK, len);
	ck_assert_mem_eq(mb + 5000, ma + 100, len);
	ck_assert_uint_eq(mb[4999], 0);
	ck_assert_uint_eq(mb[5000 + len], 0);

	memset(ma, 0, 1 << 20);
	slot = rdma(VMB_OP_GET, b.pep.handle, 12, &what);
	t_client_post(&a, &slot);
	expect_done(&a, 12, VMB_CODE_OK, len);
	ck_assert_mem_eq(mb + 5000, ma + 100, len);
	ck_assert_uint_eq(ma[99], 0);
	ck_assert_uint_eq(ma[100 + len], 0);
}
END_TEST

START_TEST(put_of_nothing_is_done)
{
	uint64_t ka, kb;
	struct vmb_slot slot;

	memory(&a, 4096, &ka);
	memory(&b, 4096, &kb);
	slot = rdma(VMB_OP_PUT, b.pep.handle, 1,
		    &(struct vmb_slot_rdma){.local_key = ka,
					    .remote_key = kb,
					    .local_offset = 4096});
	t_client_post(&a, &slot);
	expect_done(&a, 1, VMB_CODE_OK, 0);
}
END_TEST

START_TEST(fence_holds_what_follows)
{
	uint64_t ka, kb;
	uint8_t *ma = memory(&a, 1 << 20, &ka), *mb = memory(&b, 1 << 20, &kb);
	struct vmb_slot slot, event;

	memset(ma, 0x5a, 1 << 20);
	slot = rdma(VMB_OP_PUT, b.pep.handle, 1,
		    &(struct vmb_slot_rdma){
			    .local_key = ka, .remote_key = kb, .len = 1 << 20});
	t_client_post(&a, &slot);
	slot = (struct vmb_slot){.op = VMB_OP_FENCE, .hdr = 2};
	t_client_post(&a, &slot);
	t_client_send(&a, b.pep.handle, 0, 3, NULL, 0);
	t_client_expect(&b, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(mb[(1 << 20) - 1], 0x5a);
	expect_done(&a, 1, VMB_CODE_OK, 1 << 20);
	expect_done(&a, 2, VMB_CODE_OK, 0);
}
END_TEST

START_TEST(message_overtakes_a_long_transfer)
{
	uint64_t ka, kb;
	struct vmb_slot slot, event;

	memory(&a, 64 << 20, &ka);
	memory(&b, 64 << 20, &kb);
	slot = rdma(VMB_OP_PUT, b.pep.handle, 1,
		    &(struct vmb_slot_rdma){.local_key = ka,
					    .remote_key = kb,
					    .len = 64 << 20});
	t_client_post(&a, &slot);
	t_client_send(&a, b.pep.handle, 0, 3, NULL, 0);
	for (int i = 0; i < 4; i++) /* far too few for 64 MiB */
		t_nic_breathe();
	ck_assert_int_eq(vmb_ring_peek(&b.events, &event), 1);
	ck_assert_int_eq(vmb_ring_peek(&a.events, &event), 0);
	t_client_expect(&b, VMB_EV_ARRIVE, &event);
	expect_done(&a, 1, VMB_CODE_OK, 64 << 20);
}
END_TEST

START_TEST(deregistered_region_ends_a_transfer)
{
	uint64_t ka, kb;
	struct vmb_slot slot;

	memory(&a, 64 << 20, &ka);
	memory(&b, 64 << 20, &kb);
	slot = rdma(VMB_OP_PUT, b.pep.handle, 1,
		    &(struct vmb_slot_rdma){.local_key = ka,
					    .remote_key = kb,
					    .len = 64 << 20});
	t_client_post(&a, &slot);
	t_nic_breathe();
	t_nic_breathe();
	give_back(1);
	t_nic_settle();

	struct vmb_slot event;
	uint64_t moved;

	t_client_expect(&a, VMB_EV_DONE, &event);
	memcpy(&moved, event.payload, sizeof(moved));
	ck_assert_uint_eq(event.status, VMB_CODE_STALE_KEY);
	ck_assert_uint_lt(moved, 64 << 20);
}
END_TEST

/* ---- peers that go ------------------------------------------------------------- */

START_TEST(closed_peer_is_announced_and_bounces)
{
	struct t_client c;
	struct vmb_slot event;
	uint32_t handle;

	t_client_open(&c, NULL, NULL);
	handle = c.pep.handle;
	t_client_send(&a, handle, 0, 0, NULL, 0);
	t_client_expect(&c, VMB_EV_ARRIVE, &event);
	t_client_close(&c);
	t_client_expect(&a, VMB_EV_GONE, &event);
	ck_assert_uint_eq(event.peer, handle);
	t_client_send(&a, handle, 0, 0, NULL, 0);
	t_client_expect(&a, VMB_EV_BOUNCE, &event);
	ck_assert_uint_eq(event.status, VMB_CODE_PEER_GONE);

	/* nobody else hears of it, and its handle does not come back */
	ck_assert(!t_client_next(&b, &event, 0, NULL));
	t_client_open(&c, NULL, NULL);
	ck_assert_uint_ne(c.pep.handle, handle);
	t_client_close(&c);
}
END_TEST

/* The key of a region is no way around that of the endpoint. */
START_TEST(transfers_ask_for_the_key_as_well)
{
	uint32_t handle, session;
	struct vmb_slot slot;
	struct t_client c;
	uint64_t ka, kc;

	t_client_open(&c, NULL, NULL);
	c.key = 5;
	t_client_reopen(&c);
	memory(&a, 4096, &ka);
	memory(&c, 4096, &kc);
	slot = rdma(VMB_OP_GET, c.pep.handle, 1,
		    &(struct vmb_slot_rdma){
			    .local_key = ka, .remote_key = kc, .len = 8});
	t_client_post(&a, &slot);
	expect_done(&a, 1, VMB_CODE_BAD_PEER, 0);
	ck_assert_int_eq(a.port->ops->connect(a.port, T_NIC_ID, c.pep.id, 5, -1,
					      &handle, &session),
			 0);
	t_client_post(&a, &slot);
	expect_done(&a, 1, VMB_CODE_OK, 8);
	give_back(1);
	t_client_close(&c);
}
END_TEST

/* Who knew the key of one does not know that of the next at its index. */
START_TEST(key_is_asked_for_again_at_the_same_index)
{
	struct t_client c;
	struct vmb_slot event;
	uint32_t handle, session, index;

	t_client_open(&c, NULL, NULL);
	c.key = 5;
	t_client_reopen(&c);
	index = VMB_HANDLE_INDEX(c.pep.handle);
	ck_assert_int_eq(a.port->ops->connect(a.port, T_NIC_ID, c.pep.id, 5, -1,
					      &handle, &session),
			 0);
	t_client_send(&a, handle, 0, 0, NULL, 0);
	t_client_expect(&c, VMB_EV_ARRIVE, &event);
	do
		t_client_reopen(&c);
	while (VMB_HANDLE_INDEX(c.pep.handle) != index);
	t_client_expect(&a, VMB_EV_GONE, &event);
	t_client_send(&a, c.pep.handle, 0, 0, NULL, 0);
	t_client_expect(&a, VMB_EV_BOUNCE, &event);
	ck_assert_uint_eq(event.status, VMB_CODE_BAD_PEER);
	ck_assert(!t_client_next(&c, &event, 0, NULL));
	t_client_close(&c);
}
END_TEST

/* Looped: an orderly close, and a process that dies. */
START_TEST(close_flushes_what_is_in_the_doorbell)
{
	struct t_client c;
	struct vmb_slot event;

	t_client_open(&c, NULL, NULL);
	for (unsigned i = 0; i < VMB_DOORBELL_SLOTS / 2; i++)
		t_client_send(&c, b.pep.handle, 0, i, NULL, 0);
	t_port_die(_i);
	t_client_close(&c);
	t_port_die(false);
	for (unsigned i = 0; i < VMB_DOORBELL_SLOTS / 2; i++) {
		t_client_expect(&b, VMB_EV_ARRIVE, &event);
		ck_assert_uint_eq(event.hdr, i);
	}
	t_client_expect(&b, VMB_EV_GONE, &event);
}
END_TEST

/* Long as it is, it would be at everybody else's cost. */
START_TEST(who_dies_sends_and_transfers_nothing)
{
	size_t len = 300000;
	uint64_t kb, kc;
	uint8_t *mb = memory(&b, len, &kb);
	struct vmb_slot_rdma what = {.remote_key = kb, .len = len};
	struct vmb_slot slot, event;
	struct t_client c;
	void *mc;

	t_client_open(&c, NULL, NULL);
	ck_assert_int_eq(c.port->ops->mem_alloc(c.port, len, &mc, &kc), 0);
	what.local_key = kc;
	memset(mc, 7, len);
	slot = rdma(VMB_OP_PUT, b.pep.handle, 1, &what);
	t_client_post(&c, &slot);
	slot = (struct vmb_slot){.op = VMB_OP_FENCE};
	t_client_post(&c, &slot);
	t_client_send(&c, b.pep.handle, 0, 2, NULL, 0);
	t_port_die(_i);
	c.port->ops->endpoint_close(c.port, &c.pep);
	t_port_die(false);
	c.port->ops->mem_free(c.port, mc, len, kc);
	t_client_close(&c);
	t_client_expect(&b, VMB_EV_ARRIVE, &event);
	ck_assert_uint_eq(event.hdr, 2);
	t_client_expect(&b, VMB_EV_GONE, &event);
	ck_assert_uint_eq(mb[len - 1], _i ? 0 : 7);
	ck_assert_uint_eq(mb[100], _i ? 0 : 7); /* hardly begun */
}
END_TEST

/* ---- sizes and limits ------------------------------------------------------------ */

START_TEST(geometry_out_of_range_is_refused)
{
	struct vmb_nic_endpoint_info info = {0};
	struct vmb_nic_endpoint *ep;
	uint32_t handle;

	info.geometry = (struct vmb_geometry){.eq_slots = 63};
	ck_assert_int_eq(vmb_nic_endpoint_add(t_nic(), &info, &ep, &handle),
			 -EINVAL);
	info.geometry = a.pep.geometry;
	info.geometry.rx_bytes = 0;
	ck_assert_int_eq(vmb_nic_endpoint_add(t_nic(), &info, &ep, &handle),
			 -EINVAL);
	info.geometry = a.pep.geometry;
	info.barrier = true; /* the host of this file has none */
	ck_assert_int_eq(vmb_nic_endpoint_add(t_nic(), &info, &ep, &handle),
			 -EINVAL);
}
END_TEST

START_TEST(stale_and_foreign_keys_differ)
{
	uint64_t ka, kb, old;
	struct vmb_slot slot;

	memory(&b, 4096, &old);
	give_back(0);
	memory(&a, 4096, &ka);
	memory(&b, 4096, &kb);
	slot = rdma(VMB_OP_GET, b.pep.handle, 1,
		    &(struct vmb_slot_rdma){
			    .local_key = ka, .remote_key = old, .len = 8});
	t_client_post(&a, &slot);
	expect_done(&a, 1, VMB_CODE_STALE_KEY, 0);
	/* b's region used as if it were a's own */
	slot = rdma(VMB_OP_GET, b.pep.handle, 2,
		    &(struct vmb_slot_rdma){
			    .local_key = kb, .remote_key = kb, .len = 8});
	t_client_post(&a, &slot);
	expect_done(&a, 2, VMB_CODE_BAD_KEY, 0);
}
END_TEST

/* ---- shares -------------------------------------------------------------------- */

/* A client that always has a few puts of len bytes under way. */
struct load {
	struct t_client *c;
	uint64_t key;
	size_t half, len; /* from the first half of a region to the second */
	unsigned under_way;
};

static void keep_busy(struct load *load)
{
	struct vmb_slot_rdma what = {
		.local_key = load->key,
		.remote_key = load->key,
		.remote_offset = load->half,
		.len = load->len,
	};
	struct vmb_slot event, slot;

	while (vmb_ring_peek(&load->c->events, &event) == 1) {
		vmb_ring_release(&load->c->events, 1);
		load->under_way--;
	}
	t_client_publish(load->c);
	for (; load->under_way < 16; load->under_way++) {
		slot = rdma(VMB_OP_PUT, load->c->pep.handle, 1, &what);
		t_client_post(load->c, &slot);
	}
}

/* Two domains that always have work, in transfers of unequal size. */
START_TEST(weights_divide_the_bytes)
{
	static const double tolerance = 0.02;
	const struct vmb_stats *sa = vmb_nic_stats(t_nic(), a.pep.handle);
	const struct vmb_stats *sb = vmb_nic_stats(t_nic(), b.pep.handle);
	double weight = _i ? 4 : 1, ratio;
	struct load la = {.c = &a, .half = 1 << 20, .len = 100000};
	struct load lb = {.c = &b, .half = 1 << 20, .len = 2000};

	memory(&a, 2 * la.half, &la.key);
	memory(&b, 2 * lb.half, &lb.key);
	vmb_nic_domain_set_weight(t_port_domain(a.port), (uint32_t)weight);
	for (int i = 0; i < 20000; i++) {
		keep_busy(&la);
		keep_busy(&lb);
		t_nic_breathe();
	}
	ratio = (double)sa->put_bytes / (double)sb->put_bytes / weight;
	ck_assert_double_ge(ratio, 1 - tolerance);
	ck_assert_double_le(ratio, 1 + tolerance);
}
END_TEST

/* Another engine, that lets nobody cool, and clients with larger queues. */
static void start_shares(void)
{
	static const struct vmb_geometry geometry = {
		.eq_slots = 256, .rx_bytes = 1 << 17, .tx_bytes = 8192};

	stop();
	t_nic_start(&(struct vmb_nic_config){.endpoints_max = 64,
					     .spin_us = 1000000});
	t_client_open(&a, "red", &geometry);
	t_client_open(&b, "blue", &geometry);
}

/* Take what arrived, then send so many to itself. */
static void send_some(struct t_client *c, const struct vmb_slot *what,
		      unsigned count)
{
	struct vmb_slot_ext ext = {0};
	struct vmb_slot event, slot = *what;

	while (vmb_ring_due(&c->events, 0, vmb_ring_seq(&c->events)))
		t_client_next(c, &event, 0, NULL);
	t_client_publish(c);
	slot.peer = c->pep.handle;
	while (count--) {
		if (slot.flags & VMB_F_PAIR)
			t_client_post_pair(c, &slot, &ext);
		else
			t_client_post(c, &slot);
	}
}

/* What b does beside a: transfers, or messages longer than a quantum is then. */
static void keep_busy_with(unsigned kind, struct load *load)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .flags = VMB_F_BUF};
	struct vmb_slot_buf buf = {.key = VMB_KEY_TX, .len = 4096};
	const struct vmb_stats *s = vmb_nic_stats(t_nic(), b.pep.handle);

	memcpy(slot.payload, &buf, sizeof(buf));
	if (kind)
		send_some(&b, &slot, 8 - (unsigned)(b.doorbell.pos - s->sends));
	else
		keep_busy(load);
}

/*
 * A page of short messages is less than a quantum. Its domain gets an equal
 * share all the same: the other does not move more in a visit than it can.
 */
START_TEST(short_messages_get_an_equal_share)
{
	struct vmb_slot slot = {
		.op = VMB_OP_SEND, .flags = VMB_F_PAIR, .len = 64};
	struct load large = {.c = &b, .half = 1 << 20, .len = 1 << 16};
	const struct vmb_stats *sa, *sb;
	double ratio;

	start_shares();
	sa = vmb_nic_stats(t_nic(), a.pep.handle);
	sb = vmb_nic_stats(t_nic(), b.pep.handle);
	memory(&b, 2 * large.half, &large.key);
	for (int i = 0; i < 4000; i++) {
		keep_busy_with(_i, &large);
		send_some(&a, &slot, 30); /* about a page */
		t_nic_breathe();
	}
	ratio = (double)sa->send_bytes /
		(double)(sb->put_bytes + (_i ? sb->send_bytes : 0));
	ck_assert_double_ge(ratio, 0.9);
	ck_assert_double_le(ratio, 1.1);
}
END_TEST

/* Who sends a message now and then costs the others none of their quantum. */
START_TEST(trickle_leaves_the_quantum_alone)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND, .len = 8};
	struct load large = {.c = &b, .half = 1 << 20, .len = 1 << 16};
	const struct vmb_stats *sb;

	start_shares();
	sb = vmb_nic_stats(t_nic(), b.pep.handle);
	memory(&b, 2 * large.half, &large.key);
	for (int i = 0; i < 4000; i++) {
		keep_busy(&large);
		send_some(&a, &slot, 1);
		t_nic_breathe();
	}
	ck_assert_double_ge((double)sb->put_bytes / 4000, 0.95 * 4096);
}
END_TEST

static unsigned dones(struct t_client *c)
{
	struct vmb_slot event;
	unsigned n = 0;

	while (vmb_ring_due(&c->events, 0, vmb_ring_seq(&c->events))) {
		t_client_next(c, &event, 0, NULL);
		ck_assert_uint_eq(event.op, VMB_EV_DONE);
		n++;
	}
	t_client_publish(c);
	return n;
}

static void post_nothing(struct t_client *c, uint64_t key, unsigned count)
{
	struct vmb_slot slot = rdma(VMB_OP_GET, c->pep.handle, 1,
				    &(struct vmb_slot_rdma){.local_key = key,
							    .remote_key = key});

	while (count--)
		t_client_post(c, &slot);
}

/* Or who posts them all the time has the engine for itself. */
START_TEST(transfers_of_nothing_cost_something)
{
	struct t_client *cs[2] = {&a, &b};
	uint64_t keys[2];
	unsigned done;

	stop();
	t_nic_start(&(struct vmb_nic_config){
		.endpoints_max = 64, .spin_us = 1000000, .quantum = 1024});
	t_client_open(&a, "red", NULL);
	t_client_open(&b, "blue", NULL);
	for (int i = 0; i < 2; i++) {
		memory(cs[i], 4096, &keys[i]);
		post_nothing(cs[i], keys[i], 1);
	}
	t_nic_breathe(); /* from now on it knows that both have work */
	ck_assert_uint_eq(dones(&a) + dones(&b), 2);
	for (int i = 0; i < 2; i++)
		post_nothing(cs[i], keys[i], 50);
	t_nic_breathe();
	done = dones(&a);
	ck_assert_uint_le(done, 1024 / 64);
	while (done < 50) {
		t_nic_breathe();
		done += dones(&a);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nic");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, start, stop);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, send_inline_arrives_with_the_source);
	tcase_add_test(t, send_to_self_arrives);
	tcase_add_test(t, send_buffered_arrives_whole);
	tcase_add_test(t, send_counts_messages_and_bytes);
	tcase_add_test(
		t, full_receiver_bounces_in_order_and_says_when_there_is_room);
	tcase_add_test(t, full_receiver_does_not_hold_up_others);
	tcase_add_test(t, bounce_returns_the_payload);
	tcase_add_test(t, unread_events_let_the_engine_sleep);
	tcase_add_test(t, held_messages_arrive_in_order_without_a_bounce);
	tcase_add_test(t, held_message_bounces_when_its_time_is_over);
	tcase_add_test(t, peer_that_goes_ends_a_hold);
	tcase_add_test(t, close_flushes_past_a_held_message);
	tcase_add_test(t, put_and_get_move_all_bytes);
	tcase_add_test(t, put_of_nothing_is_done);
	tcase_add_test(t, fence_holds_what_follows);
	tcase_add_test(t, message_overtakes_a_long_transfer);
	tcase_add_test(t, deregistered_region_ends_a_transfer);
	tcase_add_test(t, closed_peer_is_announced_and_bounces);
	tcase_add_test(t, transfers_ask_for_the_key_as_well);
	tcase_add_test(t, key_is_asked_for_again_at_the_same_index);
	tcase_add_loop_test(t, close_flushes_what_is_in_the_doorbell, 0, 2);
	tcase_add_loop_test(t, who_dies_sends_and_transfers_nothing, 0, 2);
	tcase_add_test(t, geometry_out_of_range_is_refused);
	tcase_add_test(t, stale_and_foreign_keys_differ);
	tcase_add_loop_test(t, weights_divide_the_bytes, 0, 2);
	tcase_add_loop_test(t, short_messages_get_an_equal_share, 0, 2);
	tcase_add_test(t, trickle_leaves_the_quantum_alone);
	tcase_add_test(t, transfers_of_nothing_cost_something);
	suite_add_tcase(s, t);
	return t_run(s);
}
