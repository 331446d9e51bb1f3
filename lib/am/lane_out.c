// SPDX-License-Identifier: BSD-2-Clause
/*
 * lane_out.c - the sender's side of a lane.
 *
 * Flow:  vmb_am_post() -> vmb_lane_post() -> slot, or slot and buffers
 *        full -> waiting -> vmb_lanes_unstick(), after ROOM if we slept
 * Owns:  the producer's positions; nothing in the memory is read back.
 * Trust: `consumed` is checked before it is believed; a receiver that lies is
 *        treated as one that is gone, in the next pass. Wake words are numbers, whatever they
 *        hold: one LOOK for each.
 */
#include <errno.h>
#include <string.h>

#include "am/lane.h"

/* Bytes of what claim_buffers() is for: fewer lines come at once anyway (14 with
 * that of the slot), more gained nothing. Decision 0025. */
#define CLAIM_MIN 769u
#define CLAIM_MAX 2048u

void vmb_lane_out_start(struct vmb_lane_out *out)
{
	uint8_t *base = out->memory.base;

	out->ctl = (void *)base;
	out->buffers = base + VMB_LANE_BUFFERS(out->memory.slots);
	out->buf_size = out->memory.bytes;
	out->direct_free = VMB_LANE_DIRECT_ALL;
	/* where a number of an earlier lane between the two is not met again */
	out->direct_number = (uint32_t)out->memory.ticket;
	vmb_ring_init(&out->ring, base + VMB_LANE_RING, out->memory.slots, 0);
	vmb_copier_init(&out->copier);
}

/* ---- room ------------------------------------------------------------------ */

/* -EPROTO: that cannot be where the receiver is. */
static int check_consumed(struct vmb_lane_out *out)
{
	uint64_t word = vmb_observe(&out->ctl->consumed);
	uint32_t taken = vmb_high(word) - out->buf_seen;

	if (taken > out->buf_pos - out->buf_seen)
		return -EPROTO;
	if (vmb_ring_observe(&out->ring, vmb_low(word)))
		return -EPROTO;
	out->buf_seen = vmb_high(word);
	return 0;
}

/*
 * A lie is room that never comes: the peer is ended by the next pass, as by an
 * event, and not under whoever posts.
 */
static void observe(struct vmb_lane_out *out)
{
	if (vmb_unlikely(check_consumed(out)))
		out->lied = true;
}

/* For the longest message: who waits need not know which one comes first. */
bool vmb_lane_has_room(struct vmb_lane_out *out)
{
	observe(out);
	return out->lied || (vmb_ring_room(&out->ring) >= 2 &&
			     out->buf_pos - out->buf_seen <= out->buf_size / 2);
}

static int need_slots(struct vmb_lane_out *out, uint32_t n)
{
	if (vmb_likely(vmb_ring_room(&out->ring) >= n))
		return 0;
	observe(out);
	return vmb_ring_room(&out->ring) >= n ? 0 : -EAGAIN;
}

/* Reserve buffers. *at: their offset; *end: buf_pos after them. */
static int need_buffers(struct vmb_lane_out *out, uint32_t len, uint32_t *at,
			uint32_t *end)
{
	*end = out->buf_pos;
	*at = vmb_rx_place(end, out->buf_size, len, VMB_RX_ALIGN);
	if (*end - out->buf_seen <= out->buf_size)
		return 0;
	observe(out);
	return *end - out->buf_seen <= out->buf_size ? 0 : -EAGAIN;
}

/* ---- one message ----------------------------------------------------------- */

/*
 * The receiver may have armed the lane: then one LOOK through the engine. A
 * receiver that has membarrier() made us fence when it armed.
 */
static inline void look_at_arm(struct vmb_am *am, struct vmb_lane_out *out)
{
	uint32_t number;

	if (out->fences)
		vmb_arm_fence();
	number = vmb_load_relaxed(&out->ctl->look_arm);
	if (vmb_likely(!number) || number == out->told)
		return;
	out->told = number;
	vmb_lane_owe(am, out->peer, VMB_LANE_LOOK);
	if (!am->polling)
		vmb_lanes_speak(am);
}

/* Did the receiver say something, after one message and no more of ours? */
static bool is_exchange(struct vmb_lane_out *out)
{
	const struct vmb_lane_in *in = out->peer->lane_in;
	uint32_t pos = in ? in->ring.pos : 0;
	bool answered = pos != out->answer_pos;

	out->answer_pos = pos;
	return answered && !out->stream;
}

/*
 * Own the lines of the next message, which is taken to be as long as this one,
 * while the other side reads. It has read those lines a lap ago, and does not
 * look at them before they are written. A processor asks for some 16 lines at
 * a time: those beyond would come in a second turn. Not where copies go past
 * the caches, nor where a fence behind each message would wait for the lines.
 */
static void claim_buffers(const struct vmb_lane_out *out, uint32_t len)
{
	uint32_t end = out->buf_pos;
	uint32_t at = vmb_rx_place(&end, out->buf_size, len, VMB_RX_ALIGN);

	if (out->fences || (len >= VMB_COPIER_MIN && out->copier.past) ||
	    end - out->buf_seen > out->buf_size)
		return;
	for (uint32_t i = 0; i < len; i += VMB_LINE)
		vmb_store_relaxed((uint64_t *)(void *)(out->buffers + at + i),
				  (uint64_t)0);
}

/*
 * Take back lines that will be written. Those of slots after messages after
 * which nothing came, as in a stream: in an exchange of questions and answers
 * the receiver watches the line that would be taken. There those of buffers.
 */
static inline void claim_ahead(struct vmb_am *am, struct vmb_lane_out *out,
			       size_t len)
{
	am->lanes.posts++;
	am->lanes.to = out;
	if (out->stream_from != am->counters.lane_arrivals) {
		if (vmb_unlikely(len >= CLAIM_MIN && len <= CLAIM_MAX) &&
		    is_exchange(out))
			claim_buffers(out, (uint32_t)len);
		out->stream_from = am->counters.lane_arrivals;
		out->stream = 0;
	} else if (++out->stream % VMB_RING_CLAIM == 0) {
		vmb_ring_claim(&out->ring);
	}
}

static int write_buffered(struct vmb_lane_out *out, struct vmb_slot *slot,
			  const struct vmb_segment *segments, unsigned count,
			  size_t first_byte, size_t len)
{
	struct vmb_slot_buf buf = {.len = (uint32_t)len};
	uint32_t at, end;
	int rc = need_buffers(out, buf.len, &at, &end);

	if (rc)
		return rc;
	vmb_am_gather_out(&out->copier, out->buffers + at, segments, count,
			  first_byte, len);
	buf.offset = at;
	slot->len = 0;
	slot->flags |= VMB_F_BUF;
	memcpy(slot->payload, &buf, sizeof(buf));
	out->buf_pos = end;
	vmb_ring_commit_some(&out->ring, slot, sizeof(buf));
	return 0;
}

/* Any size. -EAGAIN: no room, or the receiver lied. */
static int write_now(struct vmb_am *am, struct vmb_lane_out *out, unsigned id,
		     uint64_t hdr, const struct vmb_segment *segments,
		     unsigned count, size_t first_byte, size_t len)
{
	bool pair = len > VMB_INLINE_ONE && len <= VMB_INLINE_PAIR;
	struct vmb_slot_ext ext;
	struct vmb_slot slot;
	int rc = need_slots(out, pair ? 2 : 1);

	if (rc)
		return rc;
	vmb_slot_fill(&slot, VMB_EV_ARRIVE, 0, id, hdr, len);
	if (len > VMB_INLINE_PAIR) {
		rc = write_buffered(out, &slot, segments, count, first_byte,
				    len);
		if (rc)
			return rc;
	} else if (pair) {
		vmb_slot_fill_pair(&slot, &ext, segments, count, first_byte,
				   len);
		vmb_ring_commit_pair(&out->ring, &slot, &ext);
	} else {
		vmb_am_gather(slot.payload, segments, count, first_byte, len);
		vmb_ring_commit_some(&out->ring, &slot, (uint32_t)len);
	}
	am->short_to = len <= VMB_INLINE_ONE ? &out->ring : NULL;
	claim_ahead(am, out, len);
	look_at_arm(am, out);
	return 0;
}

/* ---- post ------------------------------------------------------------------ */

static void set_stuck(struct vmb_am *am, struct vmb_lane_out *out)
{
	out->peer->lane_stuck = true;
	if (vmb_list_empty(&out->node))
		vmb_list_append(&am->lanes.stuck, &out->node);
}

int vmb_lane_post(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		  uint64_t hdr, const struct vmb_segment *segments,
		  unsigned count, size_t first_byte, size_t len,
		  enum vmb_am_mode mode)
{
	struct vmb_lane_out *out = peer->lane_out;
	int rc = -EAGAIN;

	if (am->error)
		return am->error;
	if (peer->gone)
		return vmb_peer_gone_code(am, peer);
	if (len > vmb_am_payload_max(am))
		return -EMSGSIZE;
	if (vmb_list_empty(&out->waiting) && !am->fences_waiting &&
	    !am->fences_open)
		rc = write_now(am, out, id, hdr, segments, count, first_byte,
			       len);
	if (rc != -EAGAIN)
		return rc;
	set_stuck(am, out);
	if (mode == VMB_AM_TRY)
		return -EAGAIN;
	rc = vmb_peer_keep(am, &out->waiting, id, hdr, segments, count,
			   first_byte, len);
	if (!rc && mode == VMB_AM_LAST)
		vmb_container_of(out->waiting.prev, struct vmb_am_waiting, node)
			->last = true;
	return rc;
}

bool vmb_lane_post_short(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
			 uint64_t hdr, const void *data, size_t len)
{
	const uint64_t head[] = VMB_SLOT_HEAD(VMB_EV_ARRIVE, 0, id, hdr, len);
	struct vmb_lane_out *out = peer->lane_out;

	if (vmb_unlikely(am->error || am->fences_waiting || am->fences_open ||
			 peer->lane_stuck || !vmb_ring_room(&out->ring)))
		return false;
	vmb_ring_commit_short(&out->ring, head, data, len);
	am->short_to = &out->ring;
	claim_ahead(am, out, 0);
	look_at_arm(am, out);
	return true;
}

/* ---- what waits ------------------------------------------------------------ */

static void unstick(struct vmb_am *am, struct vmb_lane_out *out)
{
	while (!vmb_list_empty(&out->waiting)) {
		struct vmb_am_waiting *w = vmb_list_first(
			&out->waiting, struct vmb_am_waiting, node);
		struct vmb_segment s = {.ptr = w->data, .len = w->len};

		if (write_now(am, out, w->id, w->hdr, &s, 1, 0, w->len))
			return;
		vmb_peer_drop(am, w);
	}
	out->peer->lane_stuck = false;
	vmb_list_remove(&out->node);
	vmb_lane_out_rest(am, out);
}

void vmb_lanes_unstick(struct vmb_am *am)
{
	struct vmb_list *pos, *tmp;

	vmb_list_each_safe (pos, tmp, &am->lanes.stuck) {
		struct vmb_lane_out *out =
			vmb_container_of(pos, struct vmb_lane_out, node);

		/* one that has ended may outlive its peer, until it is freed */
		if (out->state != VMB_LANE_OPEN)
			continue;
		/* who only tried looks again when there is room */
		if (!out->lied && !am->fences_waiting && !am->fences_open &&
		    (!vmb_list_empty(&out->waiting) || vmb_lane_has_room(out)))
			unstick(am, out);
		if (out->lied)
			vmb_peer_gone(am, out->peer);
	}
}
