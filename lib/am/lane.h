/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - lanes of one endpoint: rings between it and co-resident peers.
 *
 * lane.c      how lanes come and go: WANT, OFFER, ON, OFF, END; who owes what
 * lane_out.c  the sender's side: post, room, LOOK
 * lane_in.c   the receiver's side: hot and cold, take, ROOM
 * turns.c     processes that take turns on processors: who looks, who is away
 *
 * Flow:  vmb_am_post() -> vmb_lane_post() -> memory of the peer
 *        memory of ours -> vmb_lanes_pass() -> handler
 * Owns:  both kinds of lanes, through the port.
 * Trust: docs/lane.md. Each shared word is read once; the other side's lies
 *        end its lane and make it count as gone.
 */
#ifndef VMB_AM_LANE_H
#define VMB_AM_LANE_H

#include "am/internal.h"
#include "am/mapped.h"

#define VMB_AM_LANE_ID 208u /* active messages of lanes themselves */

enum vmb_lane_word {
	VMB_LANE_WANT = 1,
	VMB_LANE_OFFERED,
	VMB_LANE_NO,
	VMB_LANE_ON,
	VMB_LANE_OFF,
	VMB_LANE_END,
	VMB_LANE_LOOK,
	VMB_LANE_ROOM,
	VMB_LANE_WORDS,
};

enum vmb_lane_state {
	VMB_LANE_ASKED,	  /* out: WANT was sent */
	VMB_LANE_CALLING, /* the daemon was asked */
	VMB_LANE_MAPPED,  /* out: ON is owed; in: OFFER is owed or sent */
	VMB_LANE_OPEN,
	VMB_LANE_ENDED, /* freed when the pass is over */
};

/* Payload of OFFER and ON. */
struct vmb_lane_terms {
	uint64_t ticket;      /* OFFER */
	uint32_t fences;      /* 1: who publishes has to fence, no membarrier */
	uint32_t reserved_c0; /* 0 */
};

/* What we send into. */
struct vmb_lane_out {
	struct vmb_peer *peer;
	struct vmb_lane_control *ctl;
	struct vmb_ring ring; /* producer */
	uint8_t *buffers;
	uint32_t buf_size, buf_pos, buf_seen;
	struct vmb_copier copier;
	uint64_t stream_from; /* arrivals when its first was posted */
	uint32_t stream;      /* messages since then */
	uint32_t answer_pos;  /* of the lane back, see is_exchange() */
	uint32_t told;	      /* look_arm that we sent LOOK for */
	uint32_t room_number; /* last one put in room_arm */
	enum vmb_lane_state state;
	bool fences; /* before we look at look_arm */
	bool ending; /* OFF is owed once nothing waits */
	bool lied;   /* `consumed` cannot be: its peer is as good as gone */
	bool direct_refused;	/* the peer cannot read our memory */
	uint64_t direct_free;	/* bit for each entry that is not in use */
	uint32_t direct_number; /* last one given */
	uint8_t doubt[2]; /* of a peer that is away, that looks: see turns.c */
	bool looked;	  /* the peer, when we began to stand by for it */
	bool patient;	  /* and we do */
	uint32_t tag;
	struct vmb_list waiting; /* struct vmb_am_waiting */
	struct vmb_list node;	 /* lanes.stuck, or lanes.calls_out */
	struct vmb_list ended_node;
	struct vmb_port_lane memory;
	struct vmb_mapped mapped; /* of the other side's process */
};

/* What we receive from. */
struct vmb_lane_in {
	struct vmb_peer *peer;
	struct vmb_lane_control *ctl;
	struct vmb_ring ring; /* consumer */
	uint8_t *buffers;
	uint32_t buf_size, buf_pos;
	uint64_t published;
	uint32_t stream_from; /* posts when its first arrived */
	uint32_t stream;      /* messages since then */
	uint8_t missed;	      /* fruitless looks in a row */
	uint64_t rest_until;  /* vmb_now_ns(): do not look before; 0 */
	uint32_t told;	      /* room_arm that we sent ROOM for */
	uint32_t look_number; /* last one put in look_arm */
	enum vmb_lane_state state;
	bool fences; /* before we look at room_arm */
	bool ending; /* END was owed or sent */
	bool hot;
	bool armed;	    /* and not found out whether it may be cold */
	bool taking;	    /* a message of it is in a handler */
	bool traffic;	    /* since the clock was last looked at */
	bool direct_proven; /* the sender's memory could be read */
	bool direct_denied; /* we may not */
	uint8_t fruitless;  /* sleeps in a row with few messages before them */
	uint32_t slept_pos; /* where the ring was at the last of them */
	uint64_t last_ns;   /* traffic was seen then */
	uint32_t tag;
	unsigned reason;      /* VMB_CODE_*: why it ended */
	struct vmb_list node; /* lanes.hot or .cold, or lanes.calls_in */
	struct vmb_port_lane memory;
	struct vmb_mapped mapped; /* of the other side's process */
};

/* ---- lane.c --------------------------------------------------------------- */

void vmb_lanes_init(struct vmb_am *am);
/* After the peers, and their lanes, went. */
void vmb_lanes_fini(struct vmb_am *am);

/* A message went to it through the engine: is it time for a lane? */
static inline void vmb_lane_consider(struct vmb_am *am, struct vmb_peer *peer);
void vmb_lane_want(struct vmb_am *am, struct vmb_peer *peer);

/* Owe it a word; sent when the engine takes it. */
void vmb_lane_owe(struct vmb_am *am, struct vmb_peer *peer,
		  enum vmb_lane_word word);
/* The engine takes messages to it again, and nothing waits for that. */
void vmb_lane_may_speak(struct vmb_am *am, struct vmb_peer *peer);
/* Send what is owed. */
void vmb_lanes_speak(struct vmb_am *am);
/* The peer is gone: its lanes end. What waits was taken off before. */
void vmb_lane_peer_gone(struct vmb_am *am, struct vmb_peer *peer);
/* Our side of its lanes ends. */
void vmb_lane_out_end(struct vmb_am *am, struct vmb_lane_out *out);
/* Nothing waits in it, and no message of it is being copied? */
static inline bool vmb_lane_out_rests(const struct vmb_lane_out *out);
/* Something of it has ended: if the receiver wants it back, is it idle? */
void vmb_lane_out_rest(struct vmb_am *am, struct vmb_lane_out *out);
void vmb_lane_in_end(struct vmb_am *am, struct vmb_lane_in *in,
		     unsigned reason);
/* Ask the sender to stop using it; the lane ends with its OFF. */
void vmb_lane_ask_end(struct vmb_am *am, struct vmb_lane_in *in);
/* See vmb_am_tell(). */
void vmb_lanes_tell(struct vmb_am *am);
/* See vmb_am_at_rest(). */
bool vmb_lanes_at_rest(const struct vmb_am *am);
/* One pass: negotiation, hot lanes. Returns messages taken, at most budget. */
unsigned vmb_lanes_pass(struct vmb_am *am, unsigned budget);

/* ---- lane_out.c ----------------------------------------------------------- */

/* At most VMB_INLINE_ONE bytes, if nothing is in the way. */
bool vmb_lane_post_short(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
			 uint64_t hdr, const void *data, size_t len);
/* vmb_am_post() for a peer with `lane_on`. */
int vmb_lane_post(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		  uint64_t hdr, const struct vmb_segment *segments,
		  unsigned count, size_t first_byte, size_t len,
		  enum vmb_am_mode mode);
void vmb_lane_out_start(struct vmb_lane_out *out);
/* Lanes that were full: send what waits. */
void vmb_lanes_unstick(struct vmb_am *am);
/* Is there room where something waits, or a lie to be found? */
bool vmb_lane_has_room(struct vmb_lane_out *out);

/* ---- lane_in.c ------------------------------------------------------------ */

void vmb_lane_in_start(struct vmb_lane_in *in);
void vmb_lane_heat(struct vmb_am *am, struct vmb_lane_in *in);
/* Watch another hot lane between passes, or none. */
void vmb_lane_set_watch(struct vmb_am *am);
/* Messages of all hot lanes, at most budget. */
unsigned vmb_lanes_take(struct vmb_am *am, unsigned budget);
/* See vmb_am_take_answer(); posts: messages of ours so far. */
bool vmb_lane_take_answer(struct vmb_am *am, uint32_t posts);
/*
 * An event of this peer is about to be acted upon: is there a message in its
 * lane that is older? Then vmb_lane_take_first() takes it: 1.
 */
bool vmb_lane_goes_first(struct vmb_am *am, struct vmb_peer *peer);
int vmb_lane_take_first(struct vmb_am *am);
/* Take all there is, at most one lap: the peer is about to be gone. */
void vmb_lane_drain(struct vmb_am *am, struct vmb_peer *peer);
/* Let the endpoint sleep: arm all. false: something is there, nothing armed. */
bool vmb_lanes_arm(struct vmb_am *am);

#define VMB_LANE_DIRECT_ALL UINT64_MAX
_Static_assert(VMB_LANE_DIRECTS == 64, "a bit for each");
#define VMB_LANE_AGAIN \
	65536u		    /* messages after which a lane is asked for again */
#define VMB_LANE_TRIALS 16u /* fruitless sleeps in a row that end a lane */

static inline bool vmb_lane_out_rests(const struct vmb_lane_out *out)
{
	return vmb_list_empty(&out->waiting) &&
	       out->direct_free == VMB_LANE_DIRECT_ALL;
}

/* Does the sender know what we took? */
static inline bool vmb_lane_is_told(const struct vmb_lane_in *in)
{
	return in->published == vmb_pack(in->ring.pos, in->buf_pos);
}

static inline void vmb_lane_consider(struct vmb_am *am, struct vmb_peer *peer)
{
	if (vmb_unlikely(++peer->lane_sends == am->lanes.after))
		vmb_lane_want(am, peer);
}

#endif
