// SPDX-License-Identifier: BSD-2-Clause
/*
 * lane_in.c - the receiver's side of lanes.
 *
 * Flow:  vmb_am_poll() -> vmb_lanes_take() -> hot lanes -> handler
 *        silent for a while -> armed, cold -> LOOK -> hot
 * Owns:  the consumer's positions, the lists of hot and cold lanes.
 * Trust: the sender can write all of the memory at any moment. A slot is
 *        copied once and the copy is checked; payloads that fit a slot or two
 *        are never left in the memory; what fails a check ends this lane and
 *        this peer, nothing else.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "am/event.h"
#include "am/lane.h"
#include "base/log.h"

#define COOL_NS 1000000u /* silent for so long: cold */
#define HOT_KEPT 4u	 /* so many may be silent: they cost next to nothing */
#define PASSES_PER_CLOCK 4096u /* passes between looks at the clock */
#define FRUITFUL 16u	       /* slots that make up for a LOOK and a barrier */
#define STREAM 32u	       /* messages in a row that are one */
#define FEW 8u	      /* of it in one pass: we are as fast as the sender */
#define MISSES 4u     /* fruitless looks that end it */
#define REST_NS 1000u /* whoever looks how often */

void vmb_lane_in_start(struct vmb_lane_in *in)
{
	uint8_t *base = in->memory.base;

	in->ctl = (void *)base;
	in->buffers = base + VMB_LANE_BUFFERS(in->memory.slots);
	in->buf_size = in->memory.bytes;
	vmb_ring_init(&in->ring, base + VMB_LANE_RING, in->memory.slots, 0);
}

/* ---- hot and cold ----------------------------------------------------------- */

void vmb_lane_set_watch(struct vmb_am *am)
{
	am->lanes.watch = NULL;
	if (!vmb_list_empty(&am->lanes.hot))
		am->lanes.watch = &vmb_list_first(&am->lanes.hot,
						  struct vmb_lane_in, node)
					   ->ring;
}

static void arm(struct vmb_lane_in *in)
{
	if (++in->look_number == 0)
		in->look_number = 1;
	in->armed = true;
	vmb_store_relaxed(&in->ctl->look_arm, in->look_number);
}

static void disarm(struct vmb_lane_in *in)
{
	in->armed = false;
	vmb_store_relaxed(&in->ctl->look_arm, 0);
}

void vmb_lane_heat(struct vmb_am *am, struct vmb_lane_in *in)
{
	if (in->hot)
		return;
	in->hot = true;
	in->traffic = true;
	disarm(in);
	vmb_store_relaxed(&in->ctl->away, (uint32_t)am->lanes.away);
	vmb_list_remove(&in->node);
	vmb_list_append(&am->lanes.hot, &in->node);
	am->lanes.hot_count++;
	vmb_lane_set_watch(am);
}

static bool is_due(const struct vmb_lane_in *in)
{
	return vmb_ring_due(&in->ring, 0, vmb_ring_seq(&in->ring)) != 0;
}

static void cool(struct vmb_am *am, struct vmb_lane_in *in)
{
	in->hot = false;
	am->lanes.hot_count--;
	vmb_list_remove(&in->node);
	vmb_list_append(&am->lanes.cold, &in->node);
	vmb_lane_set_watch(am);
}

/* Pairs with look_at_arm() of senders, and with publish() of receivers. */
static void barrier(const struct vmb_am *am)
{
	vmb_arm_fence();
	if (!am->fences) /* they have none: make them */
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

static bool is_silent(struct vmb_lane_in *in, uint64_t now)
{
	if (in->traffic) {
		in->traffic = false;
		in->last_ns = now;
	}
	return now - in->last_ns > COOL_NS;
}

/* Arm the silent ones, one barrier, look again. */
static void cool_silent(struct vmb_am *am)
{
	uint32_t spare = am->lanes.hot_count - HOT_KEPT;
	uint64_t now = vmb_now_ns();
	struct vmb_list *pos, *tmp;
	bool any = false;

	vmb_list_each (pos, &am->lanes.hot) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (is_silent(in, now) && spare) {
			arm(in);
			any = true;
			spare--;
		}
	}
	if (!any)
		return;
	barrier(am);
	vmb_list_each_safe (pos, tmp, &am->lanes.hot) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (!in->armed)
			continue;
		if (is_due(in))
			disarm(in);
		else
			cool(am, in);
	}
}

/* Room is of no use before a fence has ended, which an event will say. */
static bool is_room_due(const struct vmb_am *am, struct vmb_lane_out *out)
{
	bool room = vmb_lane_has_room(out);

	return out->lied || (room && !am->fences_waiting && !am->fences_open);
}

bool vmb_lanes_due(struct vmb_am *am)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &am->lanes.hot) {
		if (is_due(vmb_container_of(pos, struct vmb_lane_in, node)))
			return true;
	}
	vmb_list_each (pos, &am->lanes.stuck) {
		struct vmb_lane_out *out =
			vmb_container_of(pos, struct vmb_lane_out, node);

		if (out->state == VMB_LANE_OPEN && is_room_due(am, out))
			return true;
	}
	return false;
}

static void arm_room(struct vmb_lane_out *out)
{
	if (++out->room_number == 0)
		out->room_number = 1;
	vmb_store_relaxed(&out->ctl->room_arm, out->room_number);
}

/*
 * Who sleeps is woken through the engine; then a message in the lane comes by a
 * detour, which is made up for by those that find us awake. Or the lane ends.
 */
static void weigh(struct vmb_am *am, struct vmb_lane_in *in)
{
	if (!am->lanes.weighed)
		return;
	if (in->fruitless < VMB_LANE_TRIALS)
		in->fruitless++;
	if (in->ring.pos - in->slept_pos >= FRUITFUL)
		in->fruitless = 0;
	in->slept_pos = in->ring.pos;
	if (in->fruitless >= VMB_LANE_TRIALS)
		vmb_lane_ask_end(am, in);
}

bool vmb_lanes_arm(struct vmb_am *am)
{
	bool any = !vmb_list_empty(&am->lanes.hot);
	uint64_t now = any ? vmb_now_ns() : 0;
	struct vmb_list *pos, *tmp;

	vmb_list_each (pos, &am->lanes.hot)
		arm(vmb_container_of(pos, struct vmb_lane_in, node));
	vmb_list_each (pos, &am->lanes.stuck)
		arm_room(vmb_container_of(pos, struct vmb_lane_out, node));
	if (any || !vmb_list_empty(&am->lanes.stuck))
		barrier(am);
	if (vmb_lanes_due(am)) {
		vmb_list_each (pos, &am->lanes.hot)
			disarm(vmb_container_of(pos, struct vmb_lane_in, node));
		return false;
	}
	vmb_list_each_safe (pos, tmp, &am->lanes.hot) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		is_silent(in, now); /* when it was not, for who reclaims it */
		cool(am, in);
		weigh(am, in);
	}
	am->lanes.trials -= any && am->lanes.weighed && am->lanes.trials > 0;
	return true;
}

/* ---- take ------------------------------------------------------------------- */

static void publish(struct vmb_am *am, struct vmb_lane_in *in)
{
	uint32_t number;

	in->published = vmb_pack(in->ring.pos, in->buf_pos);
	vmb_publish(&in->ctl->consumed, in->published);
	if (in->fences)
		vmb_arm_fence();
	number = vmb_load_relaxed(&in->ctl->room_arm);
	if (vmb_likely(!number) || number == in->told)
		return;
	in->told = number;
	vmb_lane_owe(am, in->peer, VMB_LANE_ROOM);
}

static bool quarter_consumed(const struct vmb_lane_in *in)
{
	return in->ring.pos - vmb_low(in->published) > in->ring.mask / 4 ||
	       in->buf_pos - vmb_high(in->published) >= in->buf_size / 4;
}

/* Where the payload is, checked. -EPROTO, and in *code what was wrong. */
static int load(struct vmb_lane_in *in, struct vmb_event *e, unsigned *code)
{
	struct vmb_slot_buf buf;

	*code = VMB_CODE_BAD_OP;
	if (e->slot.op != VMB_EV_ARRIVE || e->slot.peer || e->slot.status)
		return -EPROTO;
	if (vmb_likely(!(e->slot.flags & VMB_F_BUF))) {
		*code = VMB_CODE_BAD_FLAGS;
		if (e->slot.flags & ~VMB_F_PAIR)
			return -EPROTO;
		*code = VMB_CODE_BAD_LENGTH;
		return vmb_event_inline(&in->ring, e);
	}
	*code = VMB_CODE_BAD_RANGE;
	/* a short one could change between a check and a use of it */
	if ((e->slot.flags & VMB_F_RESUME) || vmb_event_buf(e, &buf) ||
	    buf.len <= VMB_INLINE_PAIR)
		return -EPROTO;
	return vmb_event_received(e, &buf, in->buffers, in->buf_size);
}

/* The sender lied: it has no lane any more, and is nobody we know. */
static void convict(struct vmb_am *am, struct vmb_lane_in *in, unsigned code)
{
	struct vmb_peer *peer = in->peer;

	vmb_warn("endpoint %u: peer 0x%x wrote nonsense into its lane (%u): "
		 "it is treated as gone",
		 am->pep.id, peer->handle, code);
	am->counters.lane_lies++;
	vmb_lane_in_end(am, in, code);
	vmb_peer_gone(am, peer);
}

static int take_due(struct vmb_am *am, struct vmb_lane_in *in)
{
	struct vmb_am_arrival a;
	struct vmb_event e;
	unsigned code;

	vmb_ring_load(&in->ring, &e.slot);
	e.slots = 1;
	e.rx_pos = in->buf_pos;
	if (vmb_unlikely(load(in, &e, &code))) {
		convict(am, in, code);
		return 0;
	}
	a.peer = in->peer;
	if (vmb_unlikely(a.peer->forgotten))
		a.peer->forgotten = false; /* as vmb_am_peer() does */
	a.hdr = e.slot.hdr;
	a.data = e.data;
	a.len = e.len;
	in->traffic = true;
	am->lanes.watch = &in->ring;
	in->taking = am->in_handler = true;
	if (vmb_likely(am->handlers[e.slot.am].fn))
		am->handlers[e.slot.am].fn(am, &a, am->handlers[e.slot.am].arg);
	else
		am->counters.dropped++;
	in->taking = am->in_handler = false;
	am->counters.lane_arrivals++;
	vmb_ring_release(&in->ring, e.slots);
	in->buf_pos = e.rx_pos;
	/* the handler may have ended the lane, and freed the peer */
	if (vmb_unlikely(quarter_consumed(in)) && in->state == VMB_LANE_OPEN)
		publish(am, in);
	return 1;
}

/* 1: a message was taken; 0: there is none, or the lane has ended. */
static inline int take(struct vmb_am *am, struct vmb_lane_in *in)
{
	int due;

	if (vmb_unlikely(in->state != VMB_LANE_OPEN)) /* it has no memory yet */
		return 0;
	due = vmb_ring_due(&in->ring, 0, vmb_ring_seq(&in->ring));
	if (vmb_likely(!due))
		return 0;
	if (vmb_likely(due == 1))
		return take_due(am, in);
	convict(am, in, VMB_CODE_BAD_SEQ);
	return 0;
}

/*
 * Each look at a slot that is not written yet takes its line from the sender,
 * who then waits for it with the next message: two that keep up with each other
 * pay for a line's way there and back with every message. In a stream to which
 * nothing is answered we do not look for a moment, and then find more at once.
 */
static void pace(const struct vmb_am *am, struct vmb_lane_in *in,
		 unsigned taken)
{
	uint32_t posts;

	if (!taken) {
		if (in->missed < MISSES && ++in->missed == MISSES)
			in->stream = 0;
		return;
	}
	in->missed = 0;
	posts = am->lanes.posts + am->doorbell.pos;
	if (in->stream_from != posts) {
		in->stream_from = posts;
		in->stream = 0;
	}
	in->stream += taken;
	if (in->stream >= STREAM && taken < FEW)
		in->rest_until = vmb_now_ns() + REST_NS;
}

static unsigned take_some(struct vmb_am *am, struct vmb_lane_in *in,
			  unsigned budget)
{
	unsigned taken = 0;

	if (in->rest_until) {
		if (vmb_now_ns() < in->rest_until)
			return 0;
		in->rest_until = 0;
	}
	while (taken < budget && take(am, in)) {
		/* in a stream; else it would take lines from the sender */
		if (taken++)
			vmb_ring_prefetch_read(&in->ring);
	}
	if (taken < budget)
		pace(am, in, taken);
	if (taken < budget && !vmb_lane_is_told(in) &&
	    in->state == VMB_LANE_OPEN)
		publish(am, in);
	return taken;
}

void vmb_lanes_tell(struct vmb_am *am)
{
	struct vmb_list *pos;

	vmb_list_each (pos, &am->lanes.hot) {
		struct vmb_lane_in *in =
			vmb_container_of(pos, struct vmb_lane_in, node);

		if (!vmb_lane_is_told(in) && in->state == VMB_LANE_OPEN)
			publish(am, in);
	}
	if (vmb_unlikely(!vmb_list_empty(&am->lanes.owing)))
		vmb_lanes_speak(am);
}

unsigned vmb_lanes_take(struct vmb_am *am, unsigned budget)
{
	struct vmb_list *pos;
	unsigned taken = 0;

	vmb_list_each (pos, &am->lanes.hot) {
		if (taken == budget)
			break;
		taken += take_some(
			am, vmb_container_of(pos, struct vmb_lane_in, node),
			budget - taken);
	}
	/* one lane cannot keep others waiting for ever */
	if (taken == budget && budget && pos != &am->lanes.hot) {
		vmb_list_remove(&am->lanes.hot);
		vmb_list_append(pos, &am->lanes.hot);
	}
	if (vmb_unlikely(am->lanes.hot_count > HOT_KEPT &&
			 am->lanes.passes % PASSES_PER_CLOCK == 0))
		cool_silent(am);
	return taken;
}

/*
 * No more of it, and no word to the sender, who has room for three quarters of
 * the lane at least: the next line is not taken from a sender who is about to
 * write it. Our own next line may be, for what will be said to this.
 */
bool vmb_lane_take_answer(struct vmb_am *am, uint32_t posts)
{
	const struct vmb_ring *to;
	struct vmb_lane_in *in;
	enum vmb_claim when;

	if (!am->lanes.watch)
		return false;
	in = vmb_container_of(am->lanes.watch, struct vmb_lane_in, ring);
	if (in->rest_until || in->state != VMB_LANE_OPEN ||
	    vmb_ring_due(&in->ring, 0, vmb_ring_seq(&in->ring)) != 1)
		return false;
	in->stream_from = posts;
	in->stream = 1;
	in->missed = 0;
	to = in->peer->lane_on ? &in->peer->lane_out->ring : NULL;
	when = vmb_am_claims(am, to);
	if (when == VMB_CLAIM_EARLY)
		vmb_ring_claim_next(to);
	take_due(am, in);
	vmb_am_claim_late(am, when, to);
	return true;
}

/* ---- before events of the engine -------------------------------------------- */

bool vmb_lane_goes_first(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_lane_in *in = peer->lane_in;

	if (in->state != VMB_LANE_OPEN || !is_due(in))
		return false;
	/* what is older than this event is at most one lap */
	if (am->lanes.first != peer || am->lanes.first_pos != am->events.pos) {
		am->lanes.first = peer;
		am->lanes.first_pos = am->events.pos;
		am->lanes.first_left = in->ring.mask + 1;
	}
	return am->lanes.first_left > 0;
}

int vmb_lane_take_first(struct vmb_am *am)
{
	struct vmb_lane_in *in = am->lanes.first->lane_in;

	am->lanes.first_left--;
	take(am, in);
	return 1;
}

void vmb_lane_drain(struct vmb_am *am, struct vmb_peer *peer)
{
	struct vmb_lane_in *in = peer->lane_in;
	bool outer = am->in_handler;

	in->rest_until = 0;
	if (!in->taking)
		take_some(am, in, in->ring.mask + 1);
	am->in_handler = outer;
}
