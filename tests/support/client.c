// SPDX-License-Identifier: BSD-2-Clause
/*
 * client.c - a client that speaks slots: for tests of the engine, and for
 * those that lie to it.
 *
 * Flow:  test -> [here] -> doorbell page -> engine -> event queue -> [here]
 * Owns:  one port and one endpoint per struct t_client.
 * Trust: what is posted is not checked, on purpose; events are.
 */
#include <check.h>
#include <sched.h>
#include <string.h>

#include "support/inproc.h"

#define PATIENCE_NS 10000000000ull

static void open_endpoint(struct t_client *c, const struct vmb_geometry *g)
{
	uint8_t *area;

	ck_assert_int_eq(t_port_inproc.endpoint_open(c->port, VMB_ID_ANY,
						     c->key, g, &c->pep),
			 0);
	area = c->pep.area;
	c->ctl = (void *)(area + VMB_AREA_CONTROL);
	c->rx = area + VMB_AREA_RX(g);
	c->tx = area + VMB_AREA_TX(g);
	c->rx_pos = vmb_high(c->ctl->consumed);
	vmb_ring_init(&c->doorbell, area + VMB_AREA_DOORBELL,
		      VMB_DOORBELL_SLOTS, vmb_low(c->ctl->consumed));
	vmb_ring_init(&c->events, area + VMB_AREA_EQ, g->eq_slots,
		      vmb_low(c->ctl->consumed));
}

void t_client_open(struct t_client *c, const char *domain,
		   const struct vmb_geometry *geometry)
{
	static const struct vmb_geometry smallest = {
		.eq_slots = VMB_EQ_SLOTS_MIN,
		.rx_bytes = VMB_RX_BYTES_MIN,
		.tx_bytes = VMB_TX_BYTES_MIN,
	};

	memset(c, 0, sizeof(*c));
	ck_assert_int_eq(t_port_inproc.open(NULL, domain, &c->port), 0);
	open_endpoint(c, geometry ? geometry : &smallest);
}

void t_client_reopen(struct t_client *c)
{
	struct vmb_geometry g = c->pep.geometry;

	t_port_inproc.endpoint_close(c->port, &c->pep);
	open_endpoint(c, &g);
}

void t_client_close(struct t_client *c)
{
	if (!c->port)
		return;
	t_port_inproc.endpoint_close(c->port, &c->pep);
	t_port_inproc.close(c->port);
	memset(c, 0, sizeof(*c));
}

/* Give the engine, if it has no thread, and others the processor. */
static void let_others_run(void)
{
	t_nic_settle();
	sched_yield();
}

static void kick_if_asked(struct t_client *c)
{
	vmb_arm_fence();
	if (vmb_load_relaxed(&c->ctl->kick_arm) ||
	    vmb_load_relaxed(&c->ctl->room_arm))
		t_port_inproc.kick(&c->pep);
}

static void await_slots(struct t_client *c, uint32_t slots)
{
	uint64_t end = vmb_now_ns() + PATIENCE_NS;

	while (vmb_ring_room(&c->doorbell) < slots) {
		uint64_t progress = vmb_observe(&c->ctl->progress);

		ck_assert_int_eq(
			vmb_ring_observe(&c->doorbell, vmb_low(progress)), 0);
		if (vmb_ring_room(&c->doorbell) >= slots)
			return;
		ck_assert_msg(vmb_now_ns() < end, "doorbell stays full");
		let_others_run();
	}
}

void t_client_post(struct t_client *c, const struct vmb_slot *slot)
{
	await_slots(c, 1);
	vmb_ring_commit(&c->doorbell, slot);
	kick_if_asked(c);
}

void t_client_post_pair(struct t_client *c, const struct vmb_slot *slot,
			const struct vmb_slot_ext *ext)
{
	await_slots(c, 2);
	vmb_ring_commit_pair(&c->doorbell, slot, ext);
	kick_if_asked(c);
}

void t_client_send(struct t_client *c, uint32_t peer, unsigned am, uint64_t hdr,
		   const void *data, size_t len)
{
	struct vmb_slot slot = {.op = VMB_OP_SEND,
				.len = (uint16_t)len,
				.peer = peer,
				.am = (uint8_t)am,
				.hdr = hdr};

	ck_assert_uint_le(len, VMB_INLINE_ONE);
	if (len)
		memcpy(slot.payload, data, len);
	t_client_post(c, &slot);
}

void t_client_publish(struct t_client *c)
{
	vmb_publish(&c->ctl->consumed, vmb_pack(c->events.pos, c->rx_pos));
	kick_if_asked(c);
}

/* Gather the payload of an arrival; it stays good until the next call. */
static const uint8_t *payload(struct t_client *c, const struct vmb_slot *event,
			      uint32_t *slots)
{
	static _Thread_local uint8_t data[VMB_INLINE_PAIR];
	struct vmb_slot_buf buf;
	struct vmb_slot_ext ext;

	memcpy(data, event->payload, VMB_INLINE_ONE);
	if (event->flags & VMB_F_PAIR) {
		ck_assert_int_eq(vmb_ring_peek_ext(&c->events, &ext), 1);
		memcpy(data + VMB_INLINE_ONE, ext.payload, sizeof(ext.payload));
		*slots = 2;
	}
	if (event->op != VMB_EV_ARRIVE || !(event->flags & VMB_F_BUF))
		return data;
	memcpy(&buf, event->payload, sizeof(buf));
	ck_assert_uint_ge(buf.len, 1);
	ck_assert_uint_le(buf.len, VMB_BUF_MAX);
	ck_assert_uint_eq(buf.offset,
			  vmb_rx_place(&c->rx_pos, c->pep.geometry.rx_bytes,
				       buf.len, VMB_RX_ALIGN));
	return c->rx + buf.offset;
}

bool t_client_next(struct t_client *c, struct vmb_slot *event, int timeout_ms,
		   const uint8_t **data)
{
	uint64_t end = vmb_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint32_t slots = 1;
	const uint8_t *found;
	int due;

	while ((due = vmb_ring_peek(&c->events, event)) == 0) {
		t_client_publish(c);
		let_others_run();
		if (vmb_now_ns() >= end)
			break;
	}
	if (!due)
		due = vmb_ring_peek(&c->events, event);
	if (due < 0)
		ck_abort_msg("the engine wrote an impossible sequence word");
	if (!due)
		return false;
	found = payload(c, event, &slots);
	vmb_ring_release(&c->events, slots);
	if (data)
		*data = found;
	return true;
}

void t_client_expect(struct t_client *c, unsigned op, struct vmb_slot *event)
{
	ck_assert_msg(t_client_next(c, event, 10000, NULL),
		      "no event, 0x%x expected", op);
	ck_assert_msg(event->op == op, "event 0x%x code %u, 0x%x expected",
		      event->op, event->status, op);
}
