// SPDX-License-Identifier: BSD-2-Clause
/*
 * deliver.c - SEND, and everything that is written into an event queue.
 *
 * Flow:  engine.c -> vmb_engine_send(): check, find room, write the event at
 *        the destination; or give it back to its sender (bounce)
 * Owns:  the producer side of every event queue and of the receive buffers.
 * Trust: the descriptor is a private copy. A consumer's position is checked
 *        before it is believed.
 *
 * Nothing is dropped: a message that finds no room goes back to its sender,
 * as does all that follows to the same destination, until the sender says
 * that it has seen it (VMB_F_RESUME). So order holds, and a receiver that
 * does not read holds up nobody else. See docs/doorbell.md.
 */
#include "nic/engine.h"

#include <stdlib.h>

/* ---- room ---------------------------------------------------------------- */

static uint32_t rx_room(const struct vmb_nic_endpoint *ep)
{
	return ep->rx_bytes - (ep->rx_pos - ep->rx_seen);
}

/* How far the client has read. A position that cannot be is a fault. */
static bool check_consumed(struct vmb_engine *engine,
			   struct vmb_nic_endpoint *ep, uint64_t word)
{
	uint32_t rx = vmb_high(word);

	if (vmb_likely(vmb_ring_may_observe(&ep->events, vmb_low(word)) &&
		       rx - ep->rx_seen <= ep->rx_pos - ep->rx_seen))
		return true;
	vmb_endpoint_fault(engine, ep, 0, VMB_CODE_BAD_CONSUMER, word);
	return false;
}

static uint64_t observe_consumed(struct vmb_engine *engine,
				 struct vmb_nic_endpoint *ep)
{
	uint64_t word = vmb_observe(&ep->ctl->consumed);

	if (check_consumed(engine, ep, word)) {
		ep->events.seen = vmb_low(word);
		ep->rx_seen = vmb_high(word);
	}
	return word;
}

/* Takes no note of it: only whether it is a lie is asked. */
void vmb_events_check(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	vmb_events_lock(ep);
	check_consumed(engine, ep, vmb_observe(&ep->ctl->consumed));
	vmb_events_unlock(ep);
}

uint32_t vmb_events_room(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			 uint32_t wanted)
{
	if (vmb_ring_room(&ep->events) < wanted)
		observe_consumed(engine, ep);
	return vmb_ring_room(&ep->events);
}

/* Does a message of `slots` event slots fit? */
static inline bool has_slots(struct vmb_engine *engine,
			     struct vmb_nic_endpoint *ep, uint32_t slots)
{
	uint32_t wanted = vmb_load_relaxed(&ep->active) + EVENTS_KEPT + slots;

	if (vmb_likely(vmb_ring_room(&ep->events) >= wanted))
		return vmb_load_relaxed(&ep->state) == VMB_STATE_OPEN;
	observe_consumed(engine, ep);
	return vmb_ring_room(&ep->events) >= wanted &&
	       vmb_load_relaxed(&ep->state) == VMB_STATE_OPEN;
}

/* The same with `len` buffered bytes. */
static bool has_room(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		     uint32_t len)
{
	uint32_t bytes = ep->rx_pos;

	vmb_rx_place(&bytes, ep->rx_bytes, len, VMB_RX_ALIGN);
	bytes -= ep->rx_pos; /* with what is lost at the end */
	if (rx_room(ep) < bytes)
		observe_consumed(engine, ep);
	return rx_room(ep) >= bytes && has_slots(engine, ep, 1);
}

/*
 * Somebody waits for room here, so the endpoint's own engine has to see what
 * is read: once more at least, for all may have been read since we looked. It
 * may be asleep, and the endpoint armed for other things only.
 */
static void watch_room(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	vmb_publish(&ep->watch_room, VMB_ROOM_ASKED);
	if (ep->engine == engine) {
		vmb_engine_heat(ep);
	} else {
		vmb_publish(&ep->engine->look_all, 1);
		vmb_engine_wake(ep->engine);
	}
}

/* ---- our own events ------------------------------------------------------- */

void vmb_events_done(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		     uint64_t cookie, unsigned code, uint64_t moved)
{
	struct vmb_slot event = {
		.op = VMB_EV_DONE,
		.status = (uint8_t)code,
		.hdr = cookie,
	};

	memcpy(event.payload, &moved, sizeof(moved));
	vmb_events_lock(ep);
	vmb_ring_commit(&ep->events, &event); /* room: may_take() kept it */
	vmb_events_unlock(ep);
	vmb_engine_touch(engine, ep);
}

void vmb_events_gone(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		     uint32_t handle)
{
	uint32_t i = 0;

	vmb_events_lock(ep);
	while (i < ep->owed_gone_count &&
	       VMB_HANDLE_INDEX(ep->owed_gone[i]) != VMB_HANDLE_INDEX(handle))
		i++;
	if (i == ep->owed_gone_count) {
		ep->owed_gone_count++;
		ep->owed++;
	}
	ep->owed_gone[i] = handle;
	vmb_events_unlock(ep);
	vmb_events_pay(engine, ep);
}

/* Whoever takes the note tells of it, so that it is told once. */
static void tell_gone(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		      const struct vmb_nic_endpoint *gone)
{
	if (vmb_bit_take(ep->peers, gone->index))
		vmb_events_gone(engine, ep, gone->handle);
}

void vmb_events_tell_gone(struct vmb_engine *engine,
			  const struct vmb_nic_endpoint *gone)
{
	struct vmb_nic *nic = gone->nic;

	for (uint32_t i = 0; i < vmb_load_relaxed(&nic->index_top); i++) {
		struct vmb_nic_endpoint *ep = vmb_observe(&nic->endpoints[i]);

		if (ep && ep != gone)
			tell_gone(engine, ep, gone);
	}
}

/* Pays one kind; leaves the slots that our completions need. */
static bool pay(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		unsigned op, uint32_t handle)
{
	uint32_t wanted = vmb_load_relaxed(&ep->active) + EVENTS_KEPT + 1;

	if (vmb_events_room(engine, ep, wanted) < wanted)
		return false;
	vmb_ring_commit(&ep->events,
			&(struct vmb_slot){.op = (uint8_t)op, .peer = handle});
	ep->owed--;
	return true;
}

static void pay_room(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	uint32_t words = (ep->nic->endpoints_max + 63) / 64;

	for (uint32_t w = 0; w < words; w++) {
		uint64_t bits = vmb_load_relaxed(&ep->owed_room[w]);

		for (; bits; bits &= bits - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);
			struct vmb_nic_endpoint *peer =
				vmb_observe(&ep->nic->endpoints[i]);

			if (!peer)
				ep->owed--; /* GONE tells more than ROOM */
			else if (!pay(engine, ep, VMB_EV_ROOM, peer->handle))
				return;
			vmb_bit_clear(ep->owed_room, i);
		}
	}
}

void vmb_events_pay(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	uint32_t paid = 0, owed, pos;
	bool wrote;

	vmb_events_lock(ep);
	pos = ep->events.pos;
	while (paid < ep->owed_gone_count &&
	       pay(engine, ep, VMB_EV_GONE, ep->owed_gone[paid]))
		paid++;
	ep->owed_gone_count -= paid;
	if (paid)
		memmove(ep->owed_gone, ep->owed_gone + paid,
			ep->owed_gone_count * sizeof(ep->owed_gone[0]));
	if (ep->owed > ep->owed_gone_count)
		pay_room(engine, ep);
	owed = ep->owed;
	wrote = ep->events.pos != pos;
	vmb_events_unlock(ep);
	if (wrote)
		vmb_engine_touch(engine, ep);
	if (owed)
		watch_room(engine, ep);
}

/* ---- back-pressure --------------------------------------------------------- */

static void owe_room(struct vmb_engine *engine, struct vmb_nic_endpoint *to,
		     uint32_t index)
{
	vmb_events_lock(to);
	if (!vmb_bit(to->owed_room, index)) {
		vmb_bit_set(to->owed_room, index);
		to->owed++;
	}
	vmb_events_unlock(to);
	vmb_events_pay(engine, to);
}

unsigned vmb_events_tell_room(struct vmb_engine *engine,
			      struct vmb_nic_endpoint *ep)
{
	struct vmb_nic *nic = ep->nic;
	unsigned told = 0;

	for (uint32_t i = 0; i < vmb_load_relaxed(&nic->index_top); i++) {
		struct vmb_nic_endpoint *from = vmb_observe(&nic->endpoints[i]);

		if (!from || !vmb_load_relaxed(&from->blocked_count) ||
		    !vmb_bit(from->blocked, ep->index))
			continue;
		owe_room(engine, from, ep->index);
		told++;
	}
	return told;
}

/* Is there room for those who wait? Called with the event lock. */
static bool judge_room(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	uint32_t own = ep->active + EVENTS_KEPT;
	uint32_t room;

	ep->room_seen = observe_consumed(engine, ep);
	room = vmb_ring_room(&ep->events);
	/* both were looked for before this, and there may be no more news: */
	if (room >= own)
		ep->stalled = false;
	if (ep->owed && room > own)
		vmb_publish(&ep->watch_room, VMB_ROOM_ASKED);
	return room >= (ep->events.mask + 1) / 4 + own &&
	       rx_room(ep) >= ep->rx_bytes / 2 && !ep->owed;
}

unsigned vmb_events_room_again(struct vmb_engine *engine,
			       struct vmb_nic_endpoint *ep)
{
	uint32_t judged = VMB_ROOM_JUDGED;
	bool room;

	vmb_store_relaxed(&ep->watch_room, VMB_ROOM_JUDGED);
	/* pairs with that in bounce_no_room(): who asked before is found below,
	 * who asks from here on is judged once more */
	vmb_arm_fence();
	vmb_events_lock(ep);
	room = judge_room(engine, ep);
	vmb_events_unlock(ep);
	if (!room)
		return 0;
	/* unless another engine has asked meanwhile, for whatever it owes */
	__atomic_compare_exchange_n(&ep->watch_room, &judged,
				    VMB_ROOM_UNWATCHED, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
	return vmb_events_tell_room(engine, ep);
}

/* ---- SEND -------------------------------------------------------------------- */

/* Give a SEND back to its sender, as it was. may_take() kept the room. */
static void bounce(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		   const struct vmb_slot *slot, const struct vmb_slot_ext *ext,
		   unsigned code)
{
	struct vmb_slot event = *slot;

	ep->held = false; /* whatever it waited for */
	event.op = VMB_EV_BOUNCE;
	event.status = (uint8_t)code;
	event.flags &= (uint8_t)~VMB_F_RESUME;
	vmb_events_lock(ep);
	if (slot->flags & VMB_F_PAIR)
		vmb_ring_commit_pair(&ep->events, &event, ext);
	else
		vmb_ring_commit(&ep->events, &event);
	vmb_events_unlock(ep);
	vmb_engine_touch(engine, ep);
	vmb_count(&ep->stats->bounces, 1);
}

/* ep is to hear (EV_GONE) when peer goes. */
static inline void acquaint(struct vmb_nic_endpoint *ep,
			    const struct vmb_nic_endpoint *peer)
{
	if (vmb_unlikely(!vmb_bit(ep->peers, peer->index)))
		vmb_bit_set(ep->peers, peer->index);
}

static void bounce_no_room(struct vmb_engine *engine,
			   struct vmb_nic_endpoint *ep,
			   struct vmb_nic_endpoint *to,
			   const struct vmb_slot *slot,
			   const struct vmb_slot_ext *ext)
{
	if (!vmb_bit(ep->blocked, to->index)) {
		vmb_bit_set(ep->blocked, to->index);
		vmb_store_relaxed(&ep->blocked_count, ep->blocked_count + 1);
	}
	acquaint(ep, to); /* it may go instead of having room */
	bounce(engine, ep, slot, ext, VMB_CODE_NO_ROOM);
	/* blocked before watch, acquainted before the look whether it was laid
	 * off: see vmb_events_room_again() and lay_off() */
	vmb_arm_fence();
	watch_room(engine, to);
	if (vmb_unlikely(vmb_load_relaxed(&to->state) != VMB_STATE_OPEN))
		tell_gone(engine, ep, to);
}

/*
 * A receiver that reads makes room in less time than a bounce and its resend
 * take, so the descriptor stays where it is for a while: held, with all that
 * the endpoint posts behind it. The sender's other peers wait no longer than
 * hold_ns for one that does not read.
 */
static bool may_hold(struct vmb_engine *engine, struct vmb_nic_endpoint *ep)
{
	uint64_t now = vmb_now_ns(); /* a breath may take longer than that */

	if (!ep->held) {
		ep->held = true;
		ep->held_ns = now;
	}
	return now - ep->held_ns < engine->nic->hold_ns;
}

static int64_t hold_or_bounce(struct vmb_engine *engine,
			      struct vmb_nic_endpoint *ep,
			      struct vmb_nic_endpoint *to,
			      const struct vmb_slot *slot,
			      const struct vmb_slot_ext *ext)
{
	if (may_hold(engine, ep))
		return ENGINE_HELD;
	bounce_no_room(engine, ep, to, slot, ext);
	return ENGINE_COST_MIN;
}

/* Is the sender still to see earlier bounces of this destination? */
static bool is_blocked(struct vmb_nic_endpoint *ep, uint32_t index,
		       unsigned flags)
{
	if (vmb_likely(!ep->blocked_count) || !vmb_bit(ep->blocked, index))
		return false;
	if (!(flags & VMB_F_RESUME))
		return true;
	vmb_bit_clear(ep->blocked, index);
	vmb_store_relaxed(&ep->blocked_count, ep->blocked_count - 1);
	return false;
}

/*
 * Write the arrival. The caller has locked `to`, which this unlocks, and made
 * sure of the room. The event first, for somebody waits for it.
 */
static void arrive(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
		   struct vmb_nic_endpoint *to, struct vmb_slot *slot,
		   const struct vmb_slot_ext *ext, uint32_t len)
{
	/* before it is seen: another engine may have the answer to serve */
	acquaint(ep, to);
	acquaint(to, ep);
	vmb_slot_head(slot, VMB_EV_ARRIVE,
		      slot->flags & (VMB_F_PAIR | VMB_F_BUF), ep->handle);
	if (vmb_unlikely(slot->flags & VMB_F_PAIR))
		vmb_ring_commit_pair(&to->events, slot, ext);
	else
		vmb_ring_commit_some(&to->events, slot,
				     slot->flags & VMB_F_BUF
					     ? sizeof(struct vmb_slot_buf)
					     : slot->len);
	ep->held = false;
	vmb_count(&to->stats->arrivals, 1);
	vmb_count(&to->stats->arrival_bytes, len);
	vmb_events_unlock(to);
	vmb_engine_touch(engine, to);
	vmb_count(&ep->stats->sends, 1);
	vmb_count(&ep->stats->send_bytes, len);
}

static int64_t cost(uint32_t len)
{
	return vmb_max((int64_t)len, ENGINE_COST_MIN);
}

/* Payload in a region: translate, copy into the receive buffers. */
static int64_t send_buffered(struct vmb_engine *engine,
			     struct vmb_nic_endpoint *ep,
			     struct vmb_nic_endpoint *to, struct vmb_slot *slot)
{
	struct vmb_slot_buf buf;
	struct vmb_nic_span span;
	unsigned code;
	uint32_t at;

	memcpy(&buf, slot->payload, sizeof(buf));
	code = vmb_nic_translate(ep, buf.key, buf.offset, buf.len, 0, &span);
	if (!code && !span.ptr)
		code = VMB_CODE_UNREACHABLE; /* a SEND cannot wait for a mover */
	if (code) {
		vmb_faults_record(ep, VMB_OP_SEND, code, buf.key, buf.offset,
				  buf.len);
		bounce(engine, ep, slot, NULL, code);
		return ENGINE_COST_MIN;
	}
	vmb_events_lock(to);
	if (!has_room(engine, to, buf.len)) {
		vmb_events_unlock(to);
		return hold_or_bounce(engine, ep, to, slot, NULL);
	}
	at = vmb_rx_place(&to->rx_pos, to->rx_bytes, buf.len, VMB_RX_ALIGN);
	vmb_copier_copy(&to->rx_copier, to->rx + at, span.ptr, buf.len);
	memcpy(slot->payload,
	       &(struct vmb_slot_buf){.offset = at, .len = buf.len},
	       sizeof(buf));
	arrive(engine, ep, to, slot, NULL, buf.len);
	return cost(buf.len);
}

/* Of one in the slot or the pair. */
static inline unsigned check_inline(const struct vmb_slot *slot,
				    const struct vmb_slot_ext *ext)
{
	bool pair = slot->flags & VMB_F_PAIR;

	if (pair && ext->reserved_20)
		return VMB_CODE_BAD_FLAGS;
	return slot->len <= (pair ? VMB_INLINE_PAIR : VMB_INLINE_ONE)
		       ? VMB_CODE_OK
		       : VMB_CODE_BAD_LENGTH;
}

static unsigned check_buffered(const struct vmb_slot *slot, uint32_t rx_bytes)
{
	struct vmb_slot_buf buf;

	memcpy(&buf, slot->payload, sizeof(buf));
	if ((slot->flags & VMB_F_PAIR) || buf.reserved_a0)
		return VMB_CODE_BAD_FLAGS;
	/* rx_bytes 0: the destination is not known yet */
	if (slot->len || !buf.len || buf.len > VMB_BUF_MAX ||
	    (rx_bytes && buf.len > rx_bytes / 2))
		return VMB_CODE_BAD_LENGTH;
	return VMB_CODE_OK;
}

int64_t vmb_engine_send(struct vmb_engine *engine, struct vmb_nic_endpoint *ep,
			struct vmb_slot *slot, const struct vmb_slot_ext *ext)
{
	uint32_t slots = slot->flags & VMB_F_PAIR ? 2 : 1;
	struct vmb_nic_endpoint *to;
	unsigned code = slot->flags & VMB_F_BUF ? check_buffered(slot, 0)
						: check_inline(slot, ext);

	if (vmb_unlikely(code)) {
		vmb_endpoint_fault(engine, ep, VMB_OP_SEND, code,
				   ep->doorbell.pos);
		return ENGINE_COST_MIN;
	}
	to = vmb_nic_find(ep->nic, slot->peer, &code);
	if (to && (slot->flags & VMB_F_BUF))
		code = check_buffered(slot, to->rx_bytes);
	if (to && vmb_unlikely(!vmb_endpoint_may_meet(ep, to)))
		code = vmb_endpoint_stranger_code(to);
	if (vmb_unlikely(code)) {
		if (code != VMB_CODE_PEER_GONE)
			vmb_faults_record(ep, VMB_OP_SEND, code, 0, slot->peer,
					  0);
		bounce(engine, ep, slot, ext, code);
		return ENGINE_COST_MIN;
	}
	if (vmb_unlikely(is_blocked(ep, to->index, slot->flags))) {
		bounce(engine, ep, slot, ext, VMB_CODE_NO_ROOM);
		return ENGINE_COST_MIN;
	}
	if (slot->flags & VMB_F_BUF)
		return send_buffered(engine, ep, to, slot);
	vmb_events_lock(to);
	if (vmb_unlikely(!has_slots(engine, to, slots))) {
		vmb_events_unlock(to);
		return hold_or_bounce(engine, ep, to, slot, ext);
	}
	arrive(engine, ep, to, slot, ext, slot->len);
	return cost(slot->len);
}
