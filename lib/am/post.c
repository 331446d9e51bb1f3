// SPDX-License-Identifier: BSD-2-Clause
/*
 * post.c - SEND descriptors: written at once, or kept until there is room.
 *
 * Flow:  msg, api -> vmb_am_post() -> doorbell page -> engine
 *        poll.c -> vmb_am_flush() -> what waited
 * Owns:  the producer side of the doorbell page and the send buffers.
 * Trust: the caller's segments are memory of this process. The engine's
 *        progress is checked before it is believed.
 *
 * Short messages travel in the slot or the pair. Longer ones are copied to
 * the send buffers, a byte ring: their bytes are free again when the engine
 * has taken the descriptor and every bounce it may have caused was seen.
 */
#include <errno.h>
#include <string.h>

#include "am/internal.h"
#include "am/lane.h"

#define FLUSH_MAX 64u /* messages sent in one pass */

static inline void gather(vmb_copy_fn copy, void *dst,
			  const struct vmb_segment *segments, unsigned count,
			  size_t first_byte, size_t len)
{
	uint8_t *to = dst;

	for (unsigned i = 0; i < count && len; i++) {
		const struct vmb_segment *s = &segments[i];
		size_t n;

		if (first_byte >= s->len) {
			first_byte -= s->len;
			continue;
		}
		n = vmb_min(s->len - first_byte, len);
		copy(to, (const uint8_t *)s->ptr + first_byte, n);
		to += n;
		len -= n;
		first_byte = 0;
	}
}

void vmb_am_gather(void *dst, const struct vmb_segment *segments,
		   unsigned count, size_t first_byte, size_t len)
{
	gather(vmb_copy, dst, segments, count, first_byte, len);
}

void vmb_am_gather_out(struct vmb_copier *copier, void *dst,
		       const struct vmb_segment *segments, unsigned count,
		       size_t first_byte, size_t len)
{
	if (vmb_copier_begin(copier, len)) {
		gather(vmb_copy_past, dst, segments, count, first_byte, len);
		vmb_copy_past_end();
	} else {
		vmb_am_gather(dst, segments, count, first_byte, len);
	}
	vmb_copier_end(copier, len);
}

/* ---- positions --------------------------------------------------------------- */

static void reach_mark(struct vmb_am *am)
{
	uint32_t ahead = am->mark_high - am->events.pos;

	if (!am->marked || (ahead && ahead <= am->pep.geometry.eq_slots))
		return;
	am->marked = false;
	am->settled = am->mark_low;
	am->tx_free = am->mark_tx;
}

/*
 * Take the progress word as the mark to reach, unless there is one already:
 * a mark that moved on for ever would never be reached. tx_end of the last
 * descriptor taken must not have been written over.
 */
static void set_mark(struct vmb_am *am, uint32_t low, uint32_t high)
{
	if (am->marked || low == am->settled ||
	    am->doorbell.pos - low >= VMB_DOORBELL_SLOTS)
		return;
	am->marked = true;
	am->mark_low = low;
	am->mark_high = high;
	am->mark_tx = am->tx_end[(low - 1) % VMB_DOORBELL_SLOTS];
}

void vmb_am_refresh(struct vmb_am *am)
{
	/* pairs with the engine's publish: bounces before progress */
	uint64_t word = vmb_observe(&am->ctl->progress);

	if (vmb_ring_observe(&am->doorbell, vmb_low(word))) {
		vmb_am_fail(am, -EIO);
		return;
	}
	reach_mark(am);
	set_mark(am, vmb_low(word), vmb_high(word));
	reach_mark(am);
}

bool vmb_am_has_slots(struct vmb_am *am, uint32_t slots)
{
	if (vmb_likely(vmb_ring_room(&am->doorbell) >= slots))
		return true;
	vmb_am_refresh(am);
	return !am->error && vmb_ring_room(&am->doorbell) >= slots;
}

/* Reserve send buffers. *at: their offset, *end: tx_pos after them. */
static bool has_buffer(struct vmb_am *am, uint32_t len, uint32_t *at,
		       uint32_t *end)
{
	uint32_t size = am->pep.geometry.tx_bytes;

	*end = am->tx_pos;
	*at = vmb_rx_place(end, size, len, VMB_RX_ALIGN);
	if (*end - am->tx_free <= size)
		return true;
	vmb_am_refresh(am);
	return !am->error && *end - am->tx_free <= size;
}

/* ---- one descriptor ------------------------------------------------------------ */

static void kick_once(struct vmb_am *am, uint32_t number)
{
	if (vmb_likely(!number) || number == am->kicked)
		return;
	am->kicked = number;
	am->port->ops->kick(&am->pep);
	am->counters.kicks++;
}

void vmb_am_wake_engine(struct vmb_am *am, bool posted, bool published)
{
	if (am->fences)
		vmb_arm_fence(); /* pairs with the engine's, before it cools */
	if (posted)
		kick_once(am, vmb_load_relaxed(&am->ctl->kick_arm));
	if (published)
		kick_once(am, vmb_load_relaxed(&am->ctl->room_arm));
}

void vmb_am_kick(struct vmb_am *am)
{
	if (!am->polling) /* else once, at the end of the pass */
		vmb_am_wake_engine(am, true, false);
}

static void take_resume(struct vmb_peer *peer, struct vmb_slot *slot)
{
	if (peer->resume)
		slot->flags |= VMB_F_RESUME;
	peer->resume = false;
}

void vmb_slot_fill_pair(struct vmb_slot *slot, struct vmb_slot_ext *ext,
			const struct vmb_segment *segments, unsigned count,
			size_t first_byte, size_t len)
{
	const char *data = vmb_am_as_one(segments, count, first_byte, len);
	char gathered[VMB_INLINE_PAIR];

	if (vmb_unlikely(!data)) {
		vmb_am_gather(gathered, segments, count, first_byte, len);
		data = gathered;
	}
	memset(ext, 0, sizeof(*ext));
	memcpy(slot->payload, data, VMB_INLINE_ONE);
	vmb_copy_short(ext->payload, data + VMB_INLINE_ONE,
		       len - VMB_INLINE_ONE);
	slot->flags |= VMB_F_PAIR;
}

static void send_pair(struct vmb_am *am, struct vmb_slot *slot,
		      const struct vmb_segment *segments, unsigned count,
		      size_t first_byte, size_t len)
{
	uint32_t second = (am->doorbell.pos + 1) % VMB_DOORBELL_SLOTS;
	struct vmb_slot_ext ext;

	vmb_slot_fill_pair(slot, &ext, segments, count, first_byte, len);
	am->tx_end[am->doorbell.pos % VMB_DOORBELL_SLOTS] = am->tx_pos;
	am->tx_end[second] = am->tx_pos;
	vmb_ring_commit_pair(&am->doorbell, slot, &ext);
}

static int send_buffered(struct vmb_am *am, struct vmb_peer *peer,
			 struct vmb_slot *slot,
			 const struct vmb_segment *segments, unsigned count,
			 size_t first_byte, size_t len)
{
	struct vmb_slot_buf buf = {.key = VMB_KEY_TX, .len = (uint32_t)len};
	uint32_t at, end;

	if (!has_buffer(am, buf.len, &at, &end))
		return -EAGAIN;
	vmb_am_gather_out(&am->tx_copier, am->tx + at, segments, count,
			  first_byte, len);
	buf.offset = at;
	slot->len = 0;
	slot->flags |= VMB_F_BUF;
	memcpy(slot->payload, &buf, sizeof(buf));
	take_resume(peer, slot);
	am->tx_pos = end;
	vmb_am_commit(am, slot, sizeof(buf));
	return 0;
}

int vmb_am_send_now(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		    uint64_t hdr, const struct vmb_segment *segments,
		    unsigned count, size_t first_byte, size_t len)
{
	uint32_t slots = len > VMB_INLINE_ONE && len <= VMB_INLINE_PAIR ? 2 : 1;
	struct vmb_slot slot;
	int rc = 0;

	if (!vmb_am_has_slots(am, slots))
		return -EAGAIN;
	vmb_slot_fill(&slot, VMB_OP_SEND, peer->handle, id, hdr, len);
	if (len > VMB_INLINE_PAIR) {
		rc = send_buffered(am, peer, &slot, segments, count, first_byte,
				   len);
	} else if (slots == 2) {
		take_resume(peer, &slot);
		send_pair(am, &slot, segments, count, first_byte, len);
	} else {
		take_resume(peer, &slot);
		vmb_am_gather(slot.payload, segments, count, first_byte, len);
		vmb_am_commit(am, &slot, (uint32_t)len);
	}
	if (rc)
		return rc;
	peer->last_post = am->doorbell.pos;
	am->short_to = len <= VMB_INLINE_ONE ? &am->doorbell : NULL;
	return 0;
}

/* ---- post ---------------------------------------------------------------------- */

static int post_slow(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		     uint64_t hdr, const struct vmb_segment *segments,
		     unsigned count, size_t first_byte, size_t len,
		     enum vmb_am_mode mode)
{
	int rc = -EAGAIN;

	if (peer->lane_on)
		return vmb_lane_post(am, peer, id, hdr, segments, count,
				     first_byte, len, mode);
	if (am->error)
		return am->error;
	if (peer->gone)
		return vmb_peer_gone_code(am, peer);
	if (len > vmb_am_payload_max(am))
		return -EMSGSIZE;
	if (!am->fences_waiting && !peer->blocked && !peer->queued)
		rc = vmb_am_send_now(am, peer, id, hdr, segments, count,
				     first_byte, len);
	if (!rc) {
		vmb_lane_consider(am, peer);
		vmb_am_kick(am);
		return 0;
	}
	vmb_am_fruitless(am); /* who only posts makes no other looks */
	if (am->error)
		return am->error;
	if (mode == VMB_AM_TRY)
		return -EAGAIN;
	return vmb_peer_queue(am, peer, id, hdr, segments, count, first_byte,
			      len);
}

/* Straight into the slot, where nothing is before it. */
static inline __attribute__((always_inline)) bool
post_short(struct vmb_am *am, struct vmb_peer *peer, unsigned id, uint64_t hdr,
	   const void *data, size_t len)
{
	const uint64_t head[] =
		VMB_SLOT_HEAD(VMB_OP_SEND, peer->handle, id, hdr, len);

	if (peer->lane_on)
		return vmb_lane_post_short(am, peer, id, hdr, data, len);
	if (vmb_unlikely(am->error || am->fences_waiting || peer->gone ||
			 peer->blocked || peer->queued || peer->resume ||
			 !vmb_ring_room(&am->doorbell)))
		return false;
	am->tx_end[am->doorbell.pos % VMB_DOORBELL_SLOTS] = am->tx_pos;
	vmb_ring_commit_short(&am->doorbell, head, data, len);
	am->short_to = &am->doorbell;
	peer->last_post = am->doorbell.pos;
	vmb_lane_consider(am, peer);
	vmb_am_kick(am);
	return true;
}

int vmb_am_post_short(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		      uint64_t hdr, const void *data, size_t len)
{
	struct vmb_segment s = {.ptr = (void *)(uintptr_t)data, .len = len};

	if (vmb_likely(post_short(am, peer, id, hdr, data, len)))
		return 0;
	return post_slow(am, peer, id, hdr, &s, 1, 0, len, VMB_AM_TRY);
}

int vmb_am_post(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		uint64_t hdr, const struct vmb_segment *segments,
		unsigned count, size_t first_byte, size_t len,
		enum vmb_am_mode mode)
{
	char gathered[VMB_INLINE_ONE];
	const void *data;

	if (len <= VMB_INLINE_ONE) {
		data = vmb_am_as_one(segments, count, first_byte, len);
		if (!data) {
			gather(vmb_copy_short, gathered, segments, count,
			       first_byte, len);
			data = gathered;
		}
		if (post_short(am, peer, id, hdr, data, len))
			return 0;
	}
	return post_slow(am, peer, id, hdr, segments, count, first_byte, len,
			 mode);
}

/* ---- what waits ------------------------------------------------------------------ */

static void flush_ready(struct vmb_am *am)
{
	for (unsigned n = 0; n < FLUSH_MAX && !vmb_list_empty(&am->ready);
	     n++) {
		struct vmb_peer *peer =
			vmb_list_first(&am->ready, struct vmb_peer, ready_node);
		struct vmb_am_waiting *w = vmb_list_first(
			&peer->waiting, struct vmb_am_waiting, node);
		struct vmb_segment s = {.ptr = w->data, .len = w->len};

		if (vmb_am_send_now(am, peer, w->id, w->hdr, &s, 1, 0, w->len))
			return;
		vmb_peer_sent(am, peer);
	}
}

void vmb_am_flush(struct vmb_am *am)
{
	if (!vmb_am_must_flush(am))
		return;
	vmb_am_refresh(am);
	if (am->error)
		return;
	vmb_peers_settle(am);
	vmb_am_rdma_flush(am);
	if (!am->fences_waiting)
		flush_ready(am);
}
