/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * am.h - active messages and one-sided transfers over one endpoint.
 *
 * Flow:  api, msg -> vmb_am_post() / vmb_am_rdma() -> doorbell page -> engine
 *        engine -> event queue -> vmb_am_poll() -> handler (msg, application)
 * Owns:  the client side of an endpoint's area, the peers, what waits for
 *        room, the transfers under way, the registration cache (regcache.h).
 * Trust: events are copied once and checked; the engine's word for `peer` is
 *        believed, nothing a peer wrote is. A bad event faults the endpoint
 *        locally (-EIO) and never crashes.
 *
 * The caller holds the endpoint's lock for every call; handlers are called
 * with it held. Nothing here blocks. Data path: no system call but the kick
 * of a sleeping engine, no allocation but for what must wait.
 */
#ifndef VMB_AM_AM_H
#define VMB_AM_AM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/abi/slot.h>
#include <vmbypass/vmb_am.h>

#include "am/claim.h"
#include "am/idle.h"
#include "base/copy.h"
#include "base/list.h"
#include "port/port.h"
#include "ring/ring.h"

struct vmb_am;

#define VMB_AM_ID_COUNT 256 /* 192.. are the library's */
#define VMB_PEERS_PER_DIR 256u

/* A peer as this endpoint knows it. Lives until vmb_am_forget_peer(). */
struct vmb_peer {
	uint32_t handle;  /* engine's name for it, the key of the table */
	uint32_t session; /* 0: not known yet */
	uint64_t nic_id;  /* 0: not known yet */
	uint32_t id;
	bool gone;    /* closed, died, faulted: sends fail with -ECONNRESET */
	bool blocked; /* bounced us: sends wait in `waiting` */
	bool resume;  /* room again: the next descriptor says VMB_F_RESUME */
	bool queued;  /* `waiting` is not empty */
	struct vmb_list waiting;    /* struct vmb_am_waiting, in order */
	struct vmb_list ready_node; /* on vmb_am.ready when it may send */
	void *context; /* the application's (vmb_addr_set_context) */
	void *msg;     /* lib/msg's own, NULL at first */

	/* private to lib/am */
	bool room;	/* blocked, and VMB_EV_ROOM was seen: on settling */
	bool discard;	/* what bounces was posted before it was forgotten */
	bool forgotten; /* kept for the engine's state only; see peer.c */
	unsigned pins;	/* callbacks under way that refer to it */
	uint32_t last_post;	 /* doorbell position after its last SEND */
	struct vmb_list bounced; /* came back; goes before `waiting` */
	struct vmb_peer *older;	 /* earlier instance of the same index */

	/* lanes: see lane.h */
	bool lane_on;	     /* what is posted goes into lane_out */
	bool lane_stuck;     /* and that is full; ROOM will be told */
	uint16_t lane_owes;  /* bits of enum vmb_lane_word */
	int32_t lane_no;     /* why it gets none */
	uint32_t lane_sends; /* through the engine */
	struct vmb_lane_out *lane_out;
	struct vmb_lane_in *lane_in;
	struct vmb_list lane_node; /* vmb_lanes.owing */
};

/* The lanes of an endpoint; private to lib/am. */
struct vmb_lanes {
	bool active;		 /* there is, or was, something */
	bool reap;		 /* something has ended */
	bool weighed;		 /* against sleeps: see lane_in.c */
	uint8_t trials;		 /* sleeps that lanes new to us may put off */
	unsigned most, in_count; /* lanes to us */
	uint32_t after;		 /* messages to a peer before we want one */
	uint32_t hot_count;
	uint32_t passes;
	uint32_t posts;		/* messages of ours that went into lanes */
	bool away;		/* peers were told that we do not look */
	struct vmb_ring *watch; /* of a hot lane, or NULL */
	struct vmb_list owing;	/* peers that a word may be sent to */
	struct vmb_list calls_out, calls_in; /* the daemon was asked */
	struct vmb_list hot, cold;	     /* struct vmb_lane_in */
	struct vmb_list stuck, ended_out;    /* struct vmb_lane_out */
	/* whose lane goes before the event at a position, and for how long */
	struct vmb_peer *first;
	uint32_t first_pos, first_left;
	/* who yields: see turns.c */
	struct vmb_lane_out *to; /* last post since vmb_lanes_looked() */
	uint32_t random;	 /* never 0 */
};

/* An arrived active message, as internal handlers see it. */
struct vmb_am_arrival {
	struct vmb_peer *peer;
	uint64_t hdr;
	const void *data; /* valid during the call only */
	size_t len;
};

typedef void (*vmb_am_handler_fn)(struct vmb_am *am,
				  const struct vmb_am_arrival *a, void *arg);

/*
 * A post that was accepted could not be delivered (peer gone, bad peer):
 * called with the same id, hdr and payload. code is a negative errno. Of a
 * peer that goes: in the order of the posts, the last maybe after vmb_am_gone_fn.
 */
typedef void (*vmb_am_undelivered_fn)(struct vmb_am *am,
				      const struct vmb_am_arrival *a,
				      unsigned id, int code, void *arg);

/* A transfer or fence ended. */
typedef void (*vmb_am_rdma_fn)(struct vmb_am *am, int code, uint64_t moved,
			       void *arg);

/* A peer closed, died or was faulted; called once, after its last message. */
typedef void (*vmb_am_gone_fn)(struct vmb_am *am, struct vmb_peer *peer,
			       void *arg);

struct vmb_am_counters {
	uint64_t bounced, resumed, kicks, sleeps, dropped; /* dropped: no
							      handler bound */
	uint64_t repeated; /* VMB_EV_DONE of a transfer that had ended */
	uint64_t lanes_out, lanes_in; /* that came up */
	uint64_t direct_mapped;	      /* pieces */
	uint64_t lane_arrivals, lane_lies, lane_nonsense;
};

struct vmb_am_rdma; /* a transfer under way; private to rdma.c */

/* One endpoint. Fields are private to lib/am unless named otherwise. */
struct vmb_am {
	struct vmb_port *port;	      /* read by msg and api */
	struct vmb_port_endpoint pep; /* read by msg and api */
	int error;	 /* 0, -EPIPE or -EIO: sticky. Read by msg and api */
	bool in_handler; /* read by msg and api */
	struct vmb_am_counters counters; /* read by api */

	struct vmb_control_page *ctl;
	uint8_t *rx, *tx;
	struct vmb_ring doorbell; /* producer */
	struct vmb_ring events;	  /* consumer */
	uint32_t rx_pos;	  /* bytes of the receive buffers consumed */
	uint64_t published;	  /* what ctl->consumed holds */
	uint32_t tx_pos, tx_free; /* send buffers: next byte, first in use */
	uint32_t tx_end[VMB_DOORBELL_SLOTS]; /* tx_pos after each descriptor */
	struct vmb_copier tx_copier;
	struct vmb_idle idle;	/* fruitless looks in a row */
	uint64_t idle_progress; /* the engine's word, when they last lasted */
	uint32_t arm_number;	/* last one put in event_arm */
	uint32_t kicked;	/* arming of the engine that we kicked for */
	bool fences;		/* we fence before we look at wake words */
	bool polling;		/* the kick waits for the end of the pass */

	/*
	 * Of descriptors before `settled` every bounce was seen. The mark is
	 * a progress word that was read: when the events before mark_high
	 * were taken, mark_low is settled and tx free up to mark_tx.
	 */
	uint32_t settled, mark_low, mark_high, mark_tx;
	bool marked;

	struct {
		vmb_am_handler_fn fn;
		void *arg;
	} handlers[VMB_AM_ID_COUNT];
	vmb_am_undelivered_fn undelivered;
	vmb_am_gone_fn gone;
	void *upper_arg;

	struct vmb_peer **peers[256]; /* by handle index, two levels */
	struct vmb_list ready; /* peers with something that may be sent now */
	struct vmb_list settling; /* blocked, have room, bounces may follow */
	uint64_t kept;		  /* messages that wait, of all peers */
	struct vmb_am_rdma *rdma; /* table of transfers under way */
	uint32_t rdma_free;	  /* head of its free list */
	struct vmb_list rdma_waiting;
	unsigned fences_waiting; /* of rdma_waiting; SENDs wait behind them */
	unsigned fences_open;	 /* posted, not ended: lanes wait for them */
	struct vmb_lanes lanes;
	uint32_t answered; /* posts when an answer was last looked for */
	/* where the message posted last went, if it was short; or NULL */
	const struct vmb_ring *short_to;
	struct vmb_claimer claimer;
};

/*
 * Open an endpoint on port. id and key as vmb_open(); geometry was checked.
 * undelivered and gone (with upper_arg) may be NULL. Errors: see vmb_open().
 */
int vmb_am_init(struct vmb_am *am, struct vmb_port *port, uint32_t id,
		uint32_t key, const struct vmb_geometry *geometry,
		vmb_am_undelivered_fn undelivered, vmb_am_gone_fn gone,
		void *upper_arg);

#define VMB_LANE_AFTER 64u /* messages: by then it has paid for itself */

/*
 * Take so many lanes of peers at most (0, as at first: none), and want one to
 * each peer with the message of this number, from 1.
 */
void vmb_am_set_lanes(struct vmb_am *am, unsigned most, unsigned after);
/*
 * Do sleeps from now on count against lanes to us, which end when we sleep
 * beside them again and again? At first no.
 */
void vmb_am_weigh_lanes(struct vmb_am *am, bool weigh);

/*
 * Close it; peers are freed. What was accepted by vmb_am_post() is delivered
 * first where the peer has room, for at most linger_ms. No handler and no
 * callback is called; what arrives meanwhile is dropped. am may be half-built
 * or all zero.
 */
void vmb_am_fini(struct vmb_am *am, int linger_ms);

void vmb_am_bind(struct vmb_am *am, unsigned id, vmb_am_handler_fn fn,
		 void *arg);

/* In a forked child: what is still under way claims no slot of the parent's. */
void vmb_am_mark_forked(struct vmb_am *am);

/* The peer of a handle, made on first use. NULL: no memory, or handle 0. */
struct vmb_peer *vmb_am_peer(struct vmb_am *am, uint32_t handle);

/* Of whatever instance, also when it was forgotten; or NULL. */
static inline struct vmb_peer *vmb_peer_lookup(const struct vmb_am *am,
					       uint32_t handle)
{
	uint32_t index = VMB_HANDLE_INDEX(handle);
	struct vmb_peer **dir = am->peers[index / VMB_PEERS_PER_DIR];
	struct vmb_peer *peer = dir ? dir[index % VMB_PEERS_PER_DIR] : NULL;

	while (peer && vmb_unlikely(peer->handle != handle))
		peer = peer->older;
	return peer;
}

/* The same as vmb_am_peer(), but NULL when it is not known. */
static inline struct vmb_peer *vmb_am_find_peer(const struct vmb_am *am,
						uint32_t handle)
{
	struct vmb_peer *peer = vmb_peer_lookup(am, handle);

	return peer && !peer->forgotten ? peer : NULL;
}

/* Drop what waits for it (undelivered with code) and free it. */
void vmb_am_forget_peer(struct vmb_am *am, struct vmb_peer *peer, int code);

/* Longest payload of vmb_am_post(). */
size_t vmb_am_payload_max(const struct vmb_am *am);

/* Post now or not at all; or keep a copy until there is room. */
enum vmb_am_mode {
	VMB_AM_TRY,
	VMB_AM_QUEUE,
	VMB_AM_LAST /* as QUEUE; in a lane it stays when the peer is forgotten */
};

/*
 * Send segments[first_byte .. first_byte + len) to peer. The payload is
 * copied before return. Order per peer is that of the calls.
 *
 * Returns 0; -EAGAIN (VMB_AM_TRY): no room now; -ENOMEM (VMB_AM_QUEUE);
 * -ECONNRESET: the peer is gone; -ESTALE: and we know its successor; am->error.
 */
int vmb_am_post(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		uint64_t hdr, const struct vmb_segment *segments,
		unsigned count, size_t first_byte, size_t len,
		enum vmb_am_mode mode);

/* The same of one piece, at most VMB_INLINE_ONE bytes, VMB_AM_TRY. */
int vmb_am_post_short(struct vmb_am *am, struct vmb_peer *peer, unsigned id,
		      uint64_t hdr, const void *data, size_t len);

/*
 * op: VMB_OP_PUT, VMB_OP_GET or VMB_OP_FENCE (then only fn and arg count).
 * fn may be NULL. VMB_AM_QUEUE waits for a place, VMB_AM_TRY: -EAGAIN.
 */
int vmb_am_rdma(struct vmb_am *am, unsigned op, struct vmb_peer *peer,
		const struct vmb_slot_rdma *what, vmb_am_rdma_fn fn, void *arg,
		enum vmb_am_mode mode);

/*
 * The endpoint has failed, so nothing is heard of transfers under way: those
 * that were to end by fn end by this code.
 */
void vmb_am_rdma_fail(struct vmb_am *am, vmb_am_rdma_fn fn, int code);

/*
 * One bounded pass: take at most budget events, call handlers, send what
 * waited and may go. Returns the number of events taken, or am->error.
 */
int vmb_am_poll(struct vmb_am *am, unsigned budget);

/*
 * In place of a pass when vmb_am_at_rest() was true of the last one and nothing
 * but vmb_am_due() has become so: take the answer to what we sent, and leave
 * the rest to the next pass. false: it takes a pass.
 */
bool vmb_am_take_answer(struct vmb_am *am);

/* The slow part of vmb_am_fruitless(). */
void vmb_am_check_alive(struct vmb_am *am);

/*
 * A pass found nothing, or a post no room. Does anybody serve us? Once in a
 * while asks, and sets am->error.
 */
static inline void vmb_am_fruitless(struct vmb_am *am)
{
	if (vmb_unlikely(vmb_idle_look(&am->idle)))
		vmb_am_check_alive(am);
}

/* Has a lane that is looked at a message, or room that somebody waits for? */
bool vmb_lanes_due(struct vmb_am *am);

/* Is there an event to take? One load of each line that is waited on. */
static inline bool vmb_am_due(const struct vmb_am *am)
{
	const struct vmb_ring *lane = am->lanes.watch;

	if (lane) /* the second line of a pair comes along with the first */
		vmb_prefetch(&lane->slots[(lane->pos + 1) & lane->mask]);
	return vmb_ring_due(&am->events, 0, vmb_ring_seq(&am->events)) != 0 ||
	       (lane && vmb_ring_due(lane, 0, vmb_ring_seq(lane)) != 0);
}

/* The same of all lanes that are looked at, and not just the last one. */
static inline bool vmb_am_due_anywhere(struct vmb_am *am)
{
	return vmb_am_due(am) ||
	       (vmb_unlikely(am->lanes.hot_count > 1) && vmb_lanes_due(am));
}

/*
 * Who gives up the processor between looks says so to those who send to it
 * through lanes: they need not stand by for its answer. look: it begins one;
 * looked: something came, or it turns to something else.
 */
void vmb_lanes_look(struct vmb_am *am);
void vmb_lanes_looked(struct vmb_am *am, bool came);
/* Does something wait for room in a lane? */
static inline bool vmb_lanes_stuck(const struct vmb_am *am)
{
	return !vmb_list_empty(&am->lanes.stuck);
}
/*
 * A look found nothing, the first or another one. Is it worth another, since who
 * was sent to last since vmb_lanes_looked(), through a lane, may answer?
 */
bool vmb_lanes_answer_near(struct vmb_am *am, bool first);

/*
 * Would a pass find nothing to do until vmb_am_due_anywhere() says so? Not while
 * something waits, was not told yet, or has to be looked at from time to time.
 */
bool vmb_am_at_rest(const struct vmb_am *am);

/* A post to it found no room: will an event tell when there is some? */
static inline bool vmb_am_tells_room(const struct vmb_peer *peer)
{
	return peer->blocked || peer->queued || peer->lane_stuck;
}

/* How who arms is to be told, see docs/signalling.md. */
enum vmb_am_sleep {
	VMB_AM_SLEEP_FD,   /* pep.wait_fd becomes readable */
	VMB_AM_SLEEP_WORD, /* *vmb_am_word() changes; where there is one */
};

/* Ask for a notification. 0: sleep now; -EAGAIN: look first; am->error. */
int vmb_am_arm(struct vmb_am *am, enum vmb_am_sleep how);
/* Would a pass do nothing but take what has arrived? */
bool vmb_am_only_takes(const struct vmb_am *am);
/*
 * The word of the area to sleep on, or NULL: this port knows none. Its value is
 * to be read before vmb_am_arm().
 */
uint32_t *vmb_am_word(const struct vmb_am *am);
void vmb_am_disarm(struct vmb_am *am);

/*
 * The endpoint is of no use any more: sets am->error (the first one stays).
 * For those who learn it first, as from port wait(): -EPIPE.
 */
void vmb_am_fail(struct vmb_am *am, int code);

/* Negative errno for a VMB_CODE_*. */
int vmb_am_errno(unsigned code);

#endif
