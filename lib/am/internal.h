/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * internal.h - what the files of lib/am share and nobody else includes.
 *
 * am.c    open, close, arm           peer.c  who is known, who is blocked
 * post.c  SEND, positions, flush     poll.c  events
 * rdma.c  PUT, GET, FENCE            lane.h  what goes past the engine
 */
#ifndef VMB_AM_INTERNAL_H
#define VMB_AM_INTERNAL_H

#include "am/am.h"

#define VMB_AM_TRANSFERS 64u	/* under way; what the engine takes */
#define VMB_AM_NONE 0xffffffffu /* end of the free list of transfers */

/* A message that waits for room: a copy. */
struct vmb_am_waiting {
	struct vmb_list node; /* on peer.waiting or peer.bounced */
	uint64_t hdr;
	uint32_t len;
	uint8_t id;
	bool again; /* it was sent before, and bounced */
	bool last;  /* VMB_AM_LAST, in a lane */
	uint8_t data[] __attribute__((aligned(16)));
};

/* ---- peer.c -------------------------------------------------------------- */

void vmb_peers_fini(struct vmb_am *am);
/* A SEND came back for want of room. -ENOMEM: nothing was changed. */
int vmb_peer_bounce(struct vmb_am *am, struct vmb_peer *peer,
		    const struct vmb_slot *slot, const void *data, size_t len);
/* A SEND came back for good. */
void vmb_peer_undelivered(struct vmb_am *am, struct vmb_peer *peer,
			  const struct vmb_slot *slot, const void *data,
			  size_t len);
void vmb_peer_room(struct vmb_am *am, struct vmb_peer *peer);
/* Everything that waits fails; `gone` is called. peer may be freed. */
void vmb_peer_gone(struct vmb_am *am, struct vmb_peer *peer);
/* What a post to it returns: -ESTALE when we know a later instance of the
 * same endpoint, else -ECONNRESET. */
int vmb_peer_gone_code(const struct vmb_am *am, const struct vmb_peer *peer);
/* Keep a copy at the end of peer.waiting. -ENOMEM. */
int vmb_peer_queue(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		   uint64_t hdr, const struct vmb_segment *segments,
		   unsigned count, size_t first_byte, size_t len);
/* The same at the end of another list. */
int vmb_peer_keep(struct vmb_am *am, struct vmb_list *list, unsigned id,
		  uint64_t hdr, const struct vmb_segment *segments,
		  unsigned count, size_t first_byte, size_t len);
void vmb_peer_drop(struct vmb_am *am, struct vmb_am_waiting *w);
/* The first of peer.waiting was sent. */
void vmb_peer_sent(struct vmb_am *am, struct vmb_peer *peer);
/* Let peers send again whose bounces have all been seen. */
void vmb_peers_settle(struct vmb_am *am);

/* ---- post.c -------------------------------------------------------------- */

/* Copy bytes [first_byte, first_byte + len) of the segments to dst. */
void vmb_am_gather(void *dst, const struct vmb_segment *segments,
		   unsigned count, size_t first_byte, size_t len);
/* The same to where another processor reads it next (copy.h). */
void vmb_am_gather_out(struct vmb_copier *copier, void *dst,
		       const struct vmb_segment *segments, unsigned count,
		       size_t first_byte, size_t len);
/* The message as one run of bytes, where it is one; else NULL. */
static inline const void *vmb_am_as_one(const struct vmb_segment *segments,
					unsigned count, size_t first_byte,
					size_t len)
{
	if (vmb_likely(count == 1 && segments->ptr &&
		       first_byte + len <= segments->len))
		return (const uint8_t *)segments->ptr + first_byte;
	return NULL;
}

/* The words of a slot before its payload. */
#define VMB_SLOT_HEAD(op, peer, id, hdr, len)                 \
	{                                                     \
		(uint64_t)(op) << 32 | (uint64_t)(len) << 48, \
			vmb_pack((peer), (id)), (hdr),        \
	}

/*
 * A slot with its payload yet to come, zeroed. Whole words, for the same
 * reason as vmb_slot_head().
 */
static inline void vmb_slot_fill(struct vmb_slot *slot, unsigned op,
				 uint32_t peer, unsigned id, uint64_t hdr,
				 size_t len)
{
	uint64_t head[] = VMB_SLOT_HEAD(op, peer, id, hdr, len);

	memcpy(slot, head, sizeof(head));
	memset(slot->payload, 0, sizeof(slot->payload));
}

/* Make it a pair: more than VMB_INLINE_ONE bytes, at most VMB_INLINE_PAIR. */
void vmb_slot_fill_pair(struct vmb_slot *slot, struct vmb_slot_ext *ext,
			const struct vmb_segment *segments, unsigned count,
			size_t first_byte, size_t len);
/*
 * One SEND, any size, to a peer that may be sent to. -EAGAIN: no room in our
 * own doorbell page or buffers.
 */
int vmb_am_send_now(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		    uint64_t hdr, const struct vmb_segment *segments,
		    unsigned count, size_t first_byte, size_t len);
/* Read how far the engine is. Sets am->error when it lies. */
void vmb_am_refresh(struct vmb_am *am);
/* Are so many doorbell slots free? Refreshes when they seem not to be. */
bool vmb_am_has_slots(struct vmb_am *am, uint32_t slots);
/*
 * Write one descriptor, `payload` bytes of which count; the caller made sure
 * of the slot.
 */
static inline void vmb_am_commit(struct vmb_am *am, const struct vmb_slot *slot,
				 uint32_t payload)
{
	am->tx_end[am->doorbell.pos % VMB_DOORBELL_SLOTS] = am->tx_pos;
	vmb_ring_commit_some(&am->doorbell, slot, payload);
}

/* Wake the engine for what was posted, now or at the end of the pass. */
void vmb_am_kick(struct vmb_am *am);
/*
 * Once per arming, if the engine asked: after descriptors were posted, after
 * the consumer's positions were published.
 */
void vmb_am_wake_engine(struct vmb_am *am, bool posted, bool published);
/* Send what waits and may go. */
void vmb_am_flush(struct vmb_am *am);

/*
 * Who was answered answers, as a rule, to where the last message went and with
 * as much: when is the line for that to be taken back? A longer message is
 * written later than it stays.
 */
static inline enum vmb_claim vmb_am_claims(struct vmb_am *am,
					   const struct vmb_ring *to)
{
	return to && am->short_to == to ? vmb_claimer_turn(&am->claimer)
					: VMB_CLAIM_NOT;
}

/* A handler has run: the lane may have ended. Then it is not here any more. */
static inline void vmb_am_claim_late(const struct vmb_am *am,
				     enum vmb_claim when,
				     const struct vmb_ring *to)
{
	if (when == VMB_CLAIM_LATE && am->short_to == to)
		vmb_ring_claim_next(to);
}

/* Tell the engine and all senders what we took of theirs, if they do not know. */
void vmb_am_tell(struct vmb_am *am);

/* Does something wait that no event will announce? */
static inline bool vmb_am_must_flush(const struct vmb_am *am)
{
	if (vmb_unlikely(!vmb_list_empty(&am->settling)))
		return true;
	if (vmb_unlikely(am->lanes.active && !vmb_list_empty(&am->lanes.owing)))
		return true;
	if (vmb_unlikely(!vmb_list_empty(&am->rdma_waiting)))
		return am->rdma_free != VMB_AM_NONE; /* else: EV_DONE */
	return !vmb_list_empty(&am->ready);
}

/* May bounces of descriptors of this peer still come? */
static inline bool vmb_am_unsettled(const struct vmb_am *am,
				    const struct vmb_peer *peer)
{
	/* distances from the newest descriptor: right across the wrap, and
	 * a last post of long ago costs one needless wait at most */
	return am->doorbell.pos - peer->last_post <
	       am->doorbell.pos - am->settled;
}

/* ---- rdma.c -------------------------------------------------------------- */

int vmb_am_rdma_init(struct vmb_am *am);
void vmb_am_rdma_fini(struct vmb_am *am);
/* Drop what waits; what is under way ends without a callback. */
void vmb_am_rdma_silence(struct vmb_am *am);
/* -EPROTO: that cookie was never given. */
int vmb_am_rdma_done(struct vmb_am *am, const struct vmb_slot *event);
void vmb_am_rdma_flush(struct vmb_am *am);

#endif
