/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - the state of one endpoint's messages, and what the files of
 * lib/msg call in each other.
 *
 * Flow:  send.c, receive.c, connect.c <- api and arrivals
 *        announce.c (sender) and fetch.c (receiver) speak rendezvous
 *        share.c: both copy
 *        offer.c: a rendezvous that the application announces and accepts
 *        request.c ends them all
 * Owns:  nothing; shapes only.
 * Trust: see msg.h.
 *
 * A request that has begun hangs on exactly one list of its peer: pending,
 * streams, copies or active. A posted receive is in the posted set, an ended request
 * in the done set, or, of an offer, on the list `ended`.
 */
#ifndef VMB_MSG_STATE_H
#define VMB_MSG_STATE_H

#include <stdlib.h>

#include "am/direct.h"
#include "msg/match.h"
#include "msg/msg.h"
#include "msg/wire.h"

#define VMB_MSG_BUDGET 64u	   /* events of one pass */
#define VMB_MSG_HANDLER_DATA 4096u /* an unexpected handler sees so much */
#define VMB_MSG_FETCH_SEGMENTS 16u /* more are streamed to */

enum vmb_req_state {
	VMB_REQ_FREE,
	VMB_REQ_POSTED,	    /* receive: unmatched */
	VMB_REQ_MATCHED,    /* on its way from one state to another */
	VMB_REQ_PENDING,    /* send: not yet posted, no room */
	VMB_REQ_SYNC,	    /* send: waits for ACK */
	VMB_REQ_ANNOUNCED,  /* send: waits for CTS or FIN */
	VMB_REQ_STREAMING,  /* send: DATA is going out */
	VMB_REQ_SHARING,    /* send: pieces are written, or SHARED waits */
	VMB_REQ_STREAMED,   /* send: waits for FIN */
	VMB_REQ_FETCHING,   /* receive: GETs are under way */
	VMB_REQ_READING,    /* receive: pieces are read */
	VMB_REQ_MEETING,    /* receive: all are claimed, waits for SHARED */
	VMB_REQ_CLEARING,   /* receive: its CTS waits for room */
	VMB_REQ_RECEIVING,  /* receive: DATA is coming in */
	VMB_REQ_REPLYING,   /* receive: has ended, its ACK or FIN waits */
	VMB_REQ_CONNECTING, /* connect: no answer yet */
	VMB_REQ_DONE,	    /* waits to be collected */
};

/*
 * An answer to a peer, embedded in what it belongs to, so that it needs no
 * memory when there is no room: a request or an unexpected message.
 */
struct vmb_reply {
	struct vmb_list node;	      /* vmb_msg_peer.replies */
	struct vmb_unexpected *entry; /* NULL: part of a request */
	uint64_t hdr;
	union {
		struct vmb_wire_cts cts;
		struct vmb_wire_end end;
	} body;
	uint8_t id;
};

/* A rendezvous as its sender numbered it, so that ABORT finds it. */
struct vmb_announced {
	struct vmb_index_node node; /* vmb_msg_peer.announced */
	struct vmb_req *req;	    /* the receive; NULL: unexpected */
	bool indexed;
};

/* What lib/msg knows of a peer. Lives until disconnect or close. */
struct vmb_msg_peer {
	struct vmb_peer *peer;
	struct vmb_list node;	    /* vmb_msg.peers */
	struct vmb_list busy;	    /* vmb_msg.busy, when one of: */
	struct vmb_list replies;    /*   vmb_reply */
	struct vmb_list pending;    /*   vmb_req, in order of posting */
	struct vmb_list streams;    /*   vmb_req, served in turn */
	struct vmb_list copies;	    /*   vmb_req, served in turn */
	struct vmb_list active;	    /* vmb_req that wait for the peer */
	struct vmb_list sends;	    /* those of them all, in order of posting */
	struct vmb_list unexpected; /* vmb_unexpected */
	struct vmb_index announced; /* vmb_announced, by its number */
};

/* A message that arrived, whatever its kind. */
struct vmb_incoming {
	struct vmb_msg_peer *mp;
	unsigned id; /* VMB_MSG_EAGER, _EAGER_SYNC or _RTS */
	int code;    /* 0, or why its data cannot be had */
	uint64_t match;
	uint64_t len;
	uint64_t number, key, offset; /* as the kind has them */
	bool direct;		      /* RTS: it was RTS_DIRECT */
	const void *data;	      /* EAGER, EAGER_SYNC */
};

/* One that nobody has received yet; its data follow. */
struct vmb_unexpected {
	struct vmb_item item;	   /* vmb_msg.unexpected */
	struct vmb_list peer_node; /* vmb_msg_peer.unexpected */
	struct vmb_announced announced;
	struct vmb_incoming in;
	struct vmb_reply reply;
	struct vmb_unexpected *next; /* free */
	unsigned size_class;
	size_t charge; /* counted against unexpected_max */
	uint8_t data[];
};

struct vmb_msg_send {
	struct vmb_list node; /* vmb_msg_peer.sends */
	struct vmb_regref ref;
	uint64_t sent, want; /* DATA */
	uint64_t remote;     /* number of the receive */
	bool registered;
	bool direct; /* an entry of the lane is held */
	bool shared; /* no more pieces are left to be written */
	bool failed; /* or could be */
	struct vmb_direct_copy copy;
};

struct vmb_msg_recv {
	struct vmb_msg *msg;
	struct vmb_announced announced;
	struct vmb_reply reply;
	struct vmb_regref *refs; /* FETCHING: one per segment */
	struct vmb_regref one;
	uint64_t number; /* of the send */
	uint64_t want;	 /* bytes that fit and were sent */
	uint64_t got;	 /* DATA */
	unsigned ref_count;
	unsigned gets; /* under way */
	int get_error; /* the first */
	int abort;     /* end with this when the GETs have ended */
	bool direct;   /* READING, MEETING */
	bool asked;    /* SHARE was sent */
	bool told;     /* SHARED came */
	uint32_t told_pieces;
	struct vmb_direct_copy copy;
};

enum vmb_req_kind {
	VMB_REQ_SEND,
	VMB_REQ_RECV,
	VMB_REQ_CONNECT,
	VMB_REQ_TOLD_SEND,    /* never begun: its status was given */
	VMB_REQ_TOLD_CONNECT, /* the same */
};

/*
 * In the order of their use: an eager send or receive stays within the first
 * three or four cache lines, so a window of them stays in the first cache.
 */
struct vmb_req {
	struct vmb_item item; /* vmb_msg.done */
	struct vmb_list link; /* of its peer, or vmb_msg.connects */
	struct vmb_msg_peer *mp;
	uint8_t state; /* enum vmb_req_state */
	uint8_t kind;  /* enum vmb_req_kind */
	uint8_t id;    /* VMB_MSG_* of a send */
	bool forgotten;
	int code;
	uint32_t index, generation;
	uint32_t handle; /* peer of the status, 0: none */
	uint32_t segment_count;
	uint64_t match;
	uint64_t msg_len, xfer_len;
	void *context;
	struct vmb_segment *segments; /* without empty ones */
	struct vmb_req *next_free;
	struct vmb_segment one;
	uint64_t deadline; /* ns; 0: none */
	union {
		struct vmb_posted posted;
		struct vmb_msg_send send;
		struct vmb_msg_recv recv;
		struct {
			uint64_t nic_id;
			uint32_t id;
			uint32_t tag;
		} connect;
		struct vmb_addr told; /* peer of the status */
	};
	struct vmb_list timer; /* vmb_msg.timers */
	vmb_am_rdma_fn ended;  /* of an offer, or who took one up: context */
} __attribute__((aligned(VMB_LINE)));

#define VMB_REQ_SLAB 128u

struct vmb_req_slab {
	uint32_t number; /* place in vmb_msg.slabs */
	struct vmb_req reqs[VMB_REQ_SLAB];
};

#define VMB_UNEXPECTED_CLASSES 3

struct vmb_msg {
	struct vmb_msg_config config;
	struct vmb_am *am;
	size_t sync_max; /* bytes that EAGER_SYNC can carry */
	uint64_t seed;
	struct vmb_msg_counters counters;
	uint64_t timeout_ns; /* default for sends and connects; 0: none */
	vmb_unexpected_handler_t handler;
	void *handler_context;

	struct vmb_req_slab **slabs;  /* by number */
	struct vmb_req_slab **sorted; /* by address */
	uint32_t slab_count, slab_room;
	struct vmb_req *free_reqs;
	uintptr_t recent_reqs; /* address of those of the slab last asked for */

	struct vmb_postedset posted;
	struct vmb_itemset unexpected;
	struct vmb_itemset done;
	uint64_t unexpected_bytes;
	size_t unexpected_each; /* bytes of the largest that one event brings */
	struct vmb_unexpected *spares[VMB_UNEXPECTED_CLASSES];
	unsigned spare_count[VMB_UNEXPECTED_CLASSES];
	/* headers for messages that find no memory, see unexpected.c */
	struct vmb_unexpected *reserve;
	unsigned reserve_count;

	struct vmb_list peers;
	struct vmb_list busy;
	struct vmb_list connects;
	struct vmb_list timers; /* earliest first */
	struct vmb_list ended;	/* vmb_req whose `ended` is to be called */
	uint64_t connect_due, connect_step; /* ns */
};

/* ---- request.c ------------------------------------------------------------ */

/* Make sure of the next vmb_req_alloc(). false: no memory. */
bool vmb_req_reserve(struct vmb_msg *msg);
/* State and union are the caller's to set. NULL: no memory. */
struct vmb_req *vmb_req_alloc(struct vmb_msg *msg, enum vmb_req_kind kind);
/* One that was never begun, or is detached. */
void vmb_req_free(struct vmb_msg *msg, struct vmb_req *req);
/* Keep a copy without empty pieces, neighbours merged. -ENOMEM. */
int vmb_req_set_pieces(struct vmb_req *req, const struct vmb_segment *segments,
		       unsigned count);

/* len: of them all. */
static inline int vmb_req_set_segments(struct vmb_req *req,
				       const struct vmb_segment *segments,
				       unsigned count, size_t len)
{
	if (vmb_unlikely(count != 1))
		return vmb_req_set_pieces(req, segments, count);
	/* by words, as the caller has just written them: see
	 * vmb_slot_store_short() */
	req->one.ptr = segments->ptr;
	req->one.len = len;
	req->segment_count = len != 0;
	return 0;
}

uint64_t vmb_req_number(const struct vmb_req *req);
/* A number that peer mp gave us back; NULL: not one of a request with it. */
struct vmb_req *vmb_req_find(struct vmb_msg *msg, uint64_t number,
			     const struct vmb_msg_peer *mp);
/* Off every list, with nothing held any more. */
void vmb_req_detach(struct vmb_msg *msg, struct vmb_req *req);
/* It has ended: detach, then into the done set, or away if forgotten. */
void vmb_req_complete(struct vmb_msg *msg, struct vmb_req *req, int code,
		      uint64_t xfer_len);
void vmb_req_end_forgotten(struct vmb_msg *msg, struct vmb_req *req);

/* What detach and complete consist of for the most part. */
static inline void vmb_req_drop_segments(struct vmb_req *req)
{
	if (vmb_unlikely(req->segments != &req->one)) {
		free(req->segments);
		req->segments = &req->one;
	}
	req->segment_count = 0;
}

static inline void vmb_req_end(struct vmb_msg *msg, struct vmb_req *req,
			       int code, uint64_t xfer_len)
{
	req->code = code;
	req->xfer_len = xfer_len;
	req->state = VMB_REQ_DONE;
	if (vmb_unlikely(req->forgotten)) {
		vmb_req_end_forgotten(msg, req);
		return;
	}
	vmb_itemset_insert(&msg->done, &req->item, req->match);
	if (msg->config.completed)
		msg->config.completed(msg->config.arg);
}

/* The same for a receive that was taken out of the posted set and is on no
 * list and under no time limit: the usual end, without a look at each. */
static inline void vmb_req_complete_matched(struct vmb_msg *msg,
					    struct vmb_req *req, int code,
					    uint64_t xfer_len)
{
	vmb_req_drop_segments(req);
	vmb_req_end(msg, req, code, xfer_len);
}

/* A send of `len` bytes that has ended before it needed a request: code. One
 * was reserved. */
struct vmb_req *vmb_req_ended(struct vmb_msg *msg, uint32_t handle, int code,
			      uint64_t match, uint64_t len, void *context);
/* End everything that has begun and has not ended, posted receives too. */
void vmb_req_fail_all(struct vmb_msg *msg, int code);
void vmb_req_pool_fini(struct vmb_msg *msg);

/* ---- timer.c -------------------------------------------------------------- */

/* From now on; 0: no limit. */
void vmb_timer_set(struct vmb_msg *msg, struct vmb_req *req, uint64_t ns);
/* Requests whose time has come: how many. */
int vmb_timer_poll(struct vmb_msg *msg);

/* ---- peer.c ---------------------------------------------------------------- */

/* NULL: no memory. */
struct vmb_msg_peer *vmb_msg_peer_get(struct vmb_msg *msg,
				      struct vmb_peer *peer);
/* Drop what is unexpected and unanswered, and forget it. Its requests ended. */
void vmb_msg_peer_close(struct vmb_msg *msg, struct vmb_msg_peer *mp);
/* There is something to post when the peer or the doorbell has room. */
void vmb_msg_peer_busy(struct vmb_msg *msg, struct vmb_msg_peer *mp);
/* A request was appended to its pending ones. */
void vmb_msg_peer_begin(struct vmb_msg *msg, struct vmb_msg_peer *mp);
/* Its request now waits, in that state, for what the peer says. */
void vmb_req_await(struct vmb_req *req, enum vmb_req_state state);
/* Post what waits and finds room now: how much. */
int vmb_msg_peers_drain(struct vmb_msg *msg);
/* Post now or not at all: -EAGAIN. */
static inline int vmb_msg_peer_post(struct vmb_msg *msg,
				    struct vmb_msg_peer *mp, unsigned id,
				    uint64_t hdr,
				    const struct vmb_segment *segments,
				    unsigned count, size_t len)
{
	if (vmb_likely(count == 1 && len <= VMB_INLINE_ONE))
		return vmb_am_post_short(msg->am, mp->peer, id, hdr,
					 segments->ptr, len);
	return vmb_am_post(msg->am, mp->peer, id, hdr, segments, count, 0, len,
			   VMB_AM_TRY);
}

/* Post a reply now or when there is room; then it ends what it belongs to. */
void vmb_msg_peer_reply(struct vmb_msg *msg, struct vmb_msg_peer *mp,
			struct vmb_reply *reply);

/* ---- send.c ---------------------------------------------------------------- */

/* Put the message on its way. 0; -EAGAIN: later; else why it failed. */
int vmb_send_start(struct vmb_msg *msg, struct vmb_req *req);
/* An ACK or FIN, for a request that may_end() by it. */
void vmb_send_on_end(struct vmb_msg *msg, const struct vmb_am_arrival *a,
		     bool (*may_end)(const struct vmb_req *req));
void vmb_send_on_ack(struct vmb_am *am, const struct vmb_am_arrival *a,
		     void *arg);

/* ---- announce.c ------------------------------------------------------------ */

int vmb_announce_start(struct vmb_msg *msg, struct vmb_req *req);
/* What a receiver has to know of it, and the kind: RTS or RTS_DIRECT. */
unsigned vmb_announce_describe(struct vmb_msg *msg, struct vmb_req *req,
			       struct vmb_wire_rts *rts);
/* Post one DATA. -EAGAIN: later; else why the stream failed. */
int vmb_announce_stream(struct vmb_msg *msg, struct vmb_req *req);
/* The registration is not needed any more. */
void vmb_announce_release(struct vmb_msg *msg, struct vmb_req *req);
/* The send is given up: let nobody fetch its memory, tell the receiver. */
void vmb_announce_withdraw(struct vmb_msg *msg, struct vmb_req *req, bool tell);
/* The send whose DATA the receiver's number `remote` names, or NULL. */
struct vmb_req *vmb_announce_find_stream(struct vmb_msg_peer *mp,
					 uint64_t remote);
void vmb_announce_on_cts(struct vmb_am *am, const struct vmb_am_arrival *a,
			 void *arg);
void vmb_announce_on_fin(struct vmb_am *am, const struct vmb_am_arrival *a,
			 void *arg);

/* ---- receive.c ------------------------------------------------------------- */

/* A message has met its receive. */
void vmb_receive_deliver(struct vmb_msg *msg, struct vmb_req *req,
			 const struct vmb_incoming *in);
/* It was received, with code and this much: tell the peer what it must know,
 * then complete. */
void vmb_receive_end(struct vmb_msg *msg, struct vmb_req *req, unsigned id,
		     int code, uint64_t moved);
/* Its reply is posted, or cannot be (rc). */
void vmb_receive_replied(struct vmb_msg *msg, struct vmb_req *req, int rc);
/* Deliver to the oldest receive that accepts it, if there is one. */
bool vmb_receive_match(struct vmb_msg *msg, const struct vmb_incoming *in);
/* Copy into the segments at byte `at`. */
void vmb_receive_scatter(const struct vmb_req *req, uint64_t at,
			 const void *data, size_t len);
uint64_t vmb_receive_room(const struct vmb_req *req);
void vmb_receive_on_eager(struct vmb_am *am, const struct vmb_am_arrival *a,
			  void *arg);
void vmb_receive_on_eager_sync(struct vmb_am *am,
			       const struct vmb_am_arrival *a, void *arg);
void vmb_receive_on_rts(struct vmb_am *am, const struct vmb_am_arrival *a,
			void *arg);
void vmb_receive_on_rts_direct(struct vmb_am *am,
			       const struct vmb_am_arrival *a, void *arg);

/* ---- fetch.c --------------------------------------------------------------- */

/* An announced message has met its receive. */
void vmb_fetch_start(struct vmb_msg *msg, struct vmb_req *req,
		     const struct vmb_incoming *in);
/* End it with code, now or when the NIC has let go of its memory. */
void vmb_fetch_abort(struct vmb_msg *msg, struct vmb_req *req, int code);
void vmb_fetch_release(struct vmb_msg *msg, struct vmb_req *req);
void vmb_fetch_on_data(struct vmb_am *am, const struct vmb_am_arrival *a,
		       void *arg);
void vmb_fetch_on_abort(struct vmb_am *am, const struct vmb_am_arrival *a,
			void *arg);

/* The other way, when it cannot be fetched. direct: nor read, as announced. */
void vmb_fetch_clear_to_send(struct vmb_msg *msg, struct vmb_req *req,
			     bool direct);
/* All bytes are in place. */
void vmb_fetch_end(struct vmb_msg *msg, struct vmb_req *req);

/* ---- share.c --------------------------------------------------------------- */

/* Sender: may this one be announced so? Then it is until vmb_share_end(). */
bool vmb_share_offer(struct vmb_msg *msg, struct vmb_req *req);
void vmb_share_end(struct vmb_msg *msg, struct vmb_req *req);
/* Receiver: begin to read. false: it cannot be read like that. */
bool vmb_share_start(struct vmb_msg *msg, struct vmb_req *req,
		     const struct vmb_incoming *in);
/* Receiver: before the memory is given back. */
void vmb_share_stop(struct vmb_msg *msg, struct vmb_req *req);
/* Either: copy one piece, or say that we have. -EAGAIN: later. */
int vmb_share_step(struct vmb_msg *msg, struct vmb_req *req);
void vmb_share_on_share(struct vmb_am *am, const struct vmb_am_arrival *a,
			void *arg);
void vmb_share_on_shared(struct vmb_am *am, const struct vmb_am_arrival *a,
			 void *arg);

/* ---- offer.c --------------------------------------------------------------- */

/* Call `ended` of those that have: how many. */
int vmb_offers_tell(struct vmb_msg *msg);

/* ---- unexpected.c ---------------------------------------------------------- */

/* No receive has matched it: ask the handler, then match again, then keep. */
void vmb_unexpected_arrive(struct vmb_msg *msg, struct vmb_incoming *in);
/* The first that a new receive accepts, taken out; or NULL. */
struct vmb_unexpected *vmb_unexpected_take(struct vmb_msg *msg, uint64_t match,
					   uint64_t mask);
/* Out of the queue and freed. */
void vmb_unexpected_drop(struct vmb_msg *msg, struct vmb_unexpected *u);
/* One that was taken out. */
void vmb_unexpected_free(struct vmb_msg *msg, struct vmb_unexpected *u);
/* How many events may be taken now without going over unexpected_max. */
unsigned vmb_unexpected_budget(const struct vmb_msg *msg);
/* The same: may one? */
static inline bool vmb_unexpected_fits_one(const struct vmb_msg *msg)
{
	return msg->unexpected_bytes < msg->config.unexpected_max &&
	       msg->reserve_count;
}
int vmb_unexpected_init(struct vmb_msg *msg);
void vmb_unexpected_fini(struct vmb_msg *msg);

/* ---- connect.c ------------------------------------------------------------- */

int vmb_connect_poll(struct vmb_msg *msg);
/* Take the question back. */
void vmb_connect_withdraw(struct vmb_msg *msg, struct vmb_req *req);
/* Those to this peer end with -ECANCELED. */
void vmb_connect_disconnect(struct vmb_msg *msg, const struct vmb_peer *peer);

/* ---- msg.c ------------------------------------------------------------------ */

void vmb_msg_nonsense(struct vmb_msg *msg);

#endif
