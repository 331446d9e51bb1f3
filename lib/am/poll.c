// SPDX-License-Identifier: BSD-2-Clause
/*
 * poll.c - take events from the queue and act on them.
 *
 * Flow:  engine -> event queue -> vmb_am_poll() -> handler, peer.c, rdma.c
 * Owns:  the consumer side of the event queue and of the receive buffers.
 * Trust: a slot is copied once and the copy is checked: operation, flags,
 *        lengths, and that a payload lies where it must. What fails a check
 *        ends the endpoint with -EIO.
 */
#include <errno.h>
#include <string.h>

#include "am/event.h"
#include "am/internal.h"
#include "am/lane.h"

#define LANE_FIRST 1 /* a message of the peer's lane is older */

/* ---- payload -------------------------------------------------------------------- */

/* What comes back lies in the send buffers, as we put it there. */
static int find_sent(struct vmb_am *am, struct vmb_event *e,
		     const struct vmb_slot_buf *buf)
{
	uint32_t size = am->pep.geometry.tx_bytes;

	if (buf->key != VMB_KEY_TX || buf->len > size ||
	    buf->offset > size - buf->len)
		return -EPROTO;
	e->data = am->tx + buf->offset;
	return 0;
}

static int load_payload(struct vmb_am *am, struct vmb_event *e)
{
	struct vmb_slot_buf buf;
	int rc;

	if (vmb_likely(!(e->slot.flags & VMB_F_BUF))) {
		if (e->slot.flags & ~(VMB_F_PAIR | VMB_F_RESUME))
			return -EPROTO;
		return vmb_event_inline(&am->events, e);
	}
	rc = vmb_event_buf(e, &buf);
	if (rc)
		return rc;
	return e->slot.op == VMB_EV_ARRIVE
		       ? vmb_event_received(e, &buf, am->rx,
					    am->pep.geometry.rx_bytes)
		       : find_sent(am, e, &buf);
}

/* ---- events ----------------------------------------------------------------------- */

static int on_arrive(struct vmb_am *am, struct vmb_event *e)
{
	struct vmb_am_arrival a = {.hdr = e->slot.hdr};
	int rc = load_payload(am, e);

	if (vmb_unlikely(rc || !e->slot.peer))
		return -EPROTO;
	a.peer = vmb_am_peer(am, e->slot.peer);
	if (vmb_unlikely(!a.peer))
		return -ENOMEM;
	if (vmb_unlikely(a.peer->lane_in) && vmb_lane_goes_first(am, a.peer))
		return LANE_FIRST;
	a.data = e->data;
	a.len = e->len;
	if (vmb_unlikely(!am->handlers[e->slot.am].fn)) {
		am->counters.dropped++;
		return 0;
	}
	am->handlers[e->slot.am].fn(am, &a, am->handlers[e->slot.am].arg);
	return 0;
}

static int on_bounce(struct vmb_am *am, struct vmb_event *e)
{
	struct vmb_peer *peer = vmb_peer_lookup(am, e->slot.peer);
	int rc = load_payload(am, e);

	if (rc || e->slot.status == VMB_CODE_OK)
		return -EPROTO;
	if (!peer)
		return 0; /* forgotten after it was gone */
	if (e->slot.status == VMB_CODE_NO_ROOM && !peer->gone)
		return vmb_peer_bounce(am, peer, &e->slot, e->data, e->len);
	if (peer->lane_in && vmb_lane_goes_first(am, peer))
		return LANE_FIRST;
	vmb_peer_undelivered(am, peer, &e->slot, e->data, e->len);
	return 0;
}

static int on_peer_event(struct vmb_am *am, const struct vmb_slot *slot)
{
	struct vmb_peer *peer = vmb_peer_lookup(am, slot->peer);

	if (!peer)
		return 0; /* we have forgotten it */
	if (slot->op == VMB_EV_ROOM) {
		vmb_peer_room(am, peer);
		return 0;
	}
	if (peer->lane_in && vmb_lane_goes_first(am, peer))
		return LANE_FIRST;
	vmb_peer_gone(am, peer);
	return 0;
}

static int act(struct vmb_am *am, struct vmb_event *e)
{
	switch (e->slot.op) {
	case VMB_EV_ARRIVE:
		return on_arrive(am, e);
	case VMB_EV_BOUNCE:
		return on_bounce(am, e);
	case VMB_EV_DONE:
		return vmb_am_rdma_done(am, &e->slot);
	case VMB_EV_ROOM:
	case VMB_EV_GONE:
		return on_peer_event(am, &e->slot);
	default: /* VMB_EV_FAULT, and what an engine never says */
		return -EPROTO;
	}
}

/* ---- a pass ------------------------------------------------------------------------ */

static void publish(struct vmb_am *am)
{
	am->published = vmb_pack(am->events.pos, am->rx_pos);
	vmb_publish(&am->ctl->consumed, am->published);
}

/* Enough consumed that the engine should hear of it at once? */
static bool quarter_consumed(const struct vmb_am *am)
{
	const struct vmb_geometry *g = &am->pep.geometry;

	return am->events.pos - vmb_low(am->published) >= g->eq_slots / 4 ||
	       am->rx_pos - vmb_high(am->published) >= g->rx_bytes / 4;
}

/*
 * Take one event: 1; 0: none, or no memory to act on it, and it stays;
 * -EPROTO.
 */
static int take_due(struct vmb_am *am)
{
	struct vmb_event e;
	int rc;

	vmb_ring_load(&am->events, &e.slot);
	vmb_ring_prefetch_read(&am->events);
	e.slots = 1;
	e.rx_pos = am->rx_pos;
	am->in_handler = true;
	rc = act(am, &e);
	am->in_handler = false;
	if (vmb_unlikely(rc == LANE_FIRST)) /* comes up again */
		return vmb_lane_take_first(am);
	if (vmb_unlikely(rc))
		return rc == -ENOMEM ? 0 : rc;
	vmb_ring_release(&am->events, e.slots);
	am->rx_pos = e.rx_pos;
	if (vmb_unlikely(quarter_consumed(am))) {
		publish(am);
		/* while the mark cannot be a lap of positions old */
		if (am->settled != am->doorbell.pos)
			vmb_am_refresh(am);
	}
	return 1;
}

static inline int take(struct vmb_am *am)
{
	int due = vmb_ring_due(&am->events, 0, vmb_ring_seq(&am->events));

	return vmb_likely(due != 1) ? due : take_due(am);
}

/*
 * Nothing has come for a while. The daemon is asked for by a system call, so
 * not while a long transfer is merely under way, nor while the engine takes
 * what we send: who only sends gets no events. How far it is is looked at no
 * sooner: that line is the engine's to write.
 */
static void ask_for_daemon(struct vmb_am *am)
{
	uint64_t progress = vmb_load_relaxed(&am->ctl->progress);

	if (am->idle_progress != progress)
		am->idle_progress = progress;
	else if (am->port->ops->alive(am->port) == -EPIPE)
		vmb_am_fail(am, -EPIPE);
}

void vmb_am_check_alive(struct vmb_am *am)
{
	uint32_t state = vmb_load_relaxed(&am->ctl->state);
	bool lasts = vmb_idle_lasts(&am->idle, vmb_now_ns());

	if (state == VMB_STATE_FAULTED)
		vmb_am_fail(am, -EIO);
	else if (state == VMB_STATE_CLOSED)
		vmb_am_fail(am, -EPIPE);
	else if (lasts)
		ask_for_daemon(am);
}

static bool is_told(const struct vmb_am *am)
{
	return am->published == vmb_pack(am->events.pos, am->rx_pos);
}

bool vmb_am_at_rest(const struct vmb_am *am)
{
	return !am->error && !vmb_am_must_flush(am) &&
	       vmb_list_empty(&am->rdma_waiting) && is_told(am) &&
	       (!am->lanes.active || vmb_lanes_at_rest(am));
}

/*
 * What was done since a pass began, or an answer was looked for, is told:
 * the engine once, and peers that sleep beside a lane.
 */
static inline void tell_engine(struct vmb_am *am, uint32_t posted,
			       uint64_t published)
{
	am->polling = false;
	if (posted != am->doorbell.pos || published != am->published)
		vmb_am_wake_engine(am, posted != am->doorbell.pos,
				   published != am->published);
}

void vmb_am_tell(struct vmb_am *am)
{
	uint32_t posted = am->doorbell.pos;
	uint64_t published = am->published;

	if (!is_told(am))
		publish(am);
	if (vmb_unlikely(am->lanes.active))
		vmb_lanes_tell(am);
	tell_engine(am, posted, published);
}

static inline int take_answer(struct vmb_am *am)
{
	int due = vmb_ring_due(&am->events, 0, vmb_ring_seq(&am->events));
	enum vmb_claim when;

	if (due != 1)
		return due;
	when = vmb_am_claims(am, &am->doorbell);
	if (when == VMB_CLAIM_EARLY)
		vmb_ring_claim_next(&am->doorbell);
	due = take_due(am);
	vmb_am_claim_late(am, when, &am->doorbell);
	return due;
}

bool vmb_am_take_answer(struct vmb_am *am)
{
	uint32_t posted = am->doorbell.pos;
	uint64_t published = am->published;
	uint32_t posts = posted + am->lanes.posts;
	int rc;

	if (am->answered == posts)
		return false;
	am->answered = posts;
	am->polling = true;
	rc = vmb_lane_take_answer(am, posts) ? 1 : take_answer(am);
	if (vmb_unlikely(rc < 0))
		vmb_am_fail(am, -EIO);
	if (vmb_likely(rc == 1))
		vmb_idle_end(&am->idle);
	if (vmb_unlikely(!vmb_list_empty(&am->lanes.owing)))
		vmb_lanes_speak(am);
	tell_engine(am, posted, published);
	return rc == 1;
}

int vmb_am_poll(struct vmb_am *am, unsigned budget)
{
	uint64_t published = am->published;
	uint32_t posted = am->doorbell.pos;
	unsigned taken = 0;
	int rc = 1;

	if (am->in_handler)
		return 0;
	if (vmb_unlikely(am->error))
		return am->error;
	am->polling = true;
	while (taken < budget && (rc = take(am)) == 1)
		taken++;
	if (vmb_unlikely(rc < 0))
		vmb_am_fail(am, -EIO);
	if (vmb_unlikely(am->lanes.active) && !am->error)
		taken += vmb_lanes_pass(am, budget - taken);
	vmb_am_flush(am);
	if (rc == 0 && !is_told(am))
		publish(am);
	tell_engine(am, posted, published);
	if (taken)
		vmb_idle_end(&am->idle);
	else
		vmb_am_fruitless(am);
	return am->error ? am->error : (int)taken;
}
