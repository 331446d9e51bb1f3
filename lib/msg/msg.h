/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msg.h - matched messages: what the firmware and library of Myrinet Express
 * did for its users.
 *
 * Flow:  api -> vmb_msg_isend() -> am            (eager, or announce)
 *        am  -> handlers -> match -> copy, get or stream -> completion queue
 * Owns:  requests, posted and unexpected queues, the state of rendezvous.
 * Trust: arguments were checked by api. Every field a peer sent (lengths,
 *        request numbers, keys) is checked here; a message that makes no sense
 *        is counted and dropped and hurts only its sender.
 *
 * The caller holds the endpoint's lock. Nothing here blocks. Protocols and
 * their headers: docs/messages.md.
 */
#ifndef VMB_MSG_MSG_H
#define VMB_MSG_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmbypass/vmb.h>

#include "am/am.h"
#include "am/regcache.h"
#include "base/list.h"

struct vmb_msg; /* per endpoint; embeds nothing of am */

struct vmb_msg_config {
	struct vmb_am *am;
	struct vmb_regcache *regcache;
	uint64_t unexpected_max; /* bytes */
	size_t eager_max;	 /* bytes; at most vmb_am_payload_max() */
	size_t lane_eager_max;	 /* the same, to a peer with a lane */
	size_t lane_stream_max;	 /* and longer ones go as DATA up to here */
	size_t lane_direct_max; /* but longer ones than this direct, if can be */
	size_t lane_mapped_max; /* the same of vmb_alloc() memory */
	/* called with the endpoint locked when a request has ended, so that
	 * api can wake who waits */
	void (*completed)(void *arg);
	void *arg;
	/* unlock and lock around application handlers */
	void (*handler_enter)(void *arg);
	void (*handler_leave)(void *arg);
	uint32_t endpoint_number; /* goes into struct vmb_addr, */
	uint32_t endpoint_place;  /* and this, so that api finds it again */
};

int vmb_msg_open(const struct vmb_msg_config *config, struct vmb_msg **msg);
/* Drops everything pending. */
void vmb_msg_close(struct vmb_msg *msg);

/* for vmb_am_init() */
void vmb_msg_undelivered(struct vmb_am *am, const struct vmb_am_arrival *a,
			 unsigned id, int code, void *msg);
void vmb_msg_peer_gone(struct vmb_am *am, struct vmb_peer *peer, void *msg);

/* len: the sum of the segments, which api has checked. */
int vmb_msg_isend(struct vmb_msg *msg, const struct vmb_segment *segments,
		  unsigned count, size_t len, struct vmb_peer *peer,
		  uint64_t match, bool synchronous, void *context,
		  struct vmb_req **req);
int vmb_msg_irecv(struct vmb_msg *msg, const struct vmb_segment *segments,
		  unsigned count, size_t len, uint64_t match, uint64_t mask,
		  void *context, struct vmb_req **req);
int vmb_msg_iconnect(struct vmb_msg *msg, uint64_t nic_id, uint32_t id,
		     uint32_t key, uint64_t match, void *context,
		     struct vmb_req **req);

/* Post one that has ended like that. */
int vmb_msg_icomplete(struct vmb_msg *msg, bool connect,
		      const struct vmb_status *status, struct vmb_req **req);

/*
 * A rendezvous without matching: offer.c. `ended` (may be NULL) is called in
 * progress when it is over. 0; -EINVAL: `offer` is not one; -EALREADY: we took
 * it up before; -ECONNRESET: the peer is gone; -ENOMEM; am->error.
 */
struct vmb_wire_offer;
int vmb_msg_offer(struct vmb_msg *msg, struct vmb_peer *peer,
		  struct vmb_wire_offer *offer, void *ptr, size_t len,
		  vmb_am_rdma_fn ended, void *arg);
int vmb_msg_accept(struct vmb_msg *msg, struct vmb_peer *peer,
		   const struct vmb_wire_offer *offer, void *ptr, size_t len,
		   vmb_am_rdma_fn ended, void *arg);
/* -EINVAL: it is none of ours, or has ended. */
int vmb_msg_withdraw(struct vmb_msg *msg, const struct vmb_wire_offer *offer);

/* Is it a live request of this endpoint? Safe for any pointer value. */
bool vmb_msg_owns(struct vmb_msg *msg, const struct vmb_req *req);
/* Has it ended? If so fill status and recycle it: 1. 0: it has not; -EINVAL:
 * vmb_msg_owns() is false. */
int vmb_msg_collect(struct vmb_msg *msg, struct vmb_req *req,
		    struct vmb_status *status);
/* First ended request with (m & mask) == match, or NULL. */
struct vmb_req *vmb_msg_first_done(struct vmb_msg *msg, uint64_t match,
				   uint64_t mask);
bool vmb_msg_probe(struct vmb_msg *msg, uint64_t match, uint64_t mask,
		   struct vmb_status *status);
int vmb_msg_cancel(struct vmb_msg *msg, struct vmb_req *req, int *cancelled);
void vmb_msg_forget(struct vmb_msg *msg, struct vmb_req *req);
int vmb_msg_buffered(struct vmb_msg *msg, struct vmb_req *req, int *done);
void *vmb_msg_context(struct vmb_msg *msg, struct vmb_req *req);
int vmb_msg_set_timeout(struct vmb_msg *msg, struct vmb_req *req,
			unsigned timeout_ms);
void vmb_msg_disconnect(struct vmb_msg *msg, struct vmb_peer *peer);
void vmb_msg_set_handler(struct vmb_msg *msg, vmb_unexpected_handler_t fn,
			 void *context);

/*
 * As many unexpected messages are kept as may be: nothing is taken until one of
 * them is received.
 */
bool vmb_msg_is_full(const struct vmb_msg *msg);
/*
 * Does a matched send to it wait for room? Then nothing that is posted later may
 * go before it.
 */
bool vmb_msg_sends_wait(const struct vmb_peer *peer);

/*
 * One bounded pass over am, plus time-outs and connects under way; within a
 * handler the connects only. Returns events taken (0: nothing happened) or
 * am->error.
 */
int vmb_msg_progress(struct vmb_msg *msg);
/* Would it do nothing until vmb_am_due() says so? */
bool vmb_msg_at_rest(const struct vmb_msg *msg);
/* The same when it was at rest and vmb_am_due() says so: see
 * vmb_am_take_answer(). */
int vmb_msg_take_answer(struct vmb_msg *msg);
/* Nanoseconds (vmb_now_ns) at which progress is due without any event;
 * UINT64_MAX: never. A sleeper must not sleep past it. */
uint64_t vmb_msg_deadline(const struct vmb_msg *msg);
/* am->error was set: every pending request completes with it. */
void vmb_msg_fail(struct vmb_msg *msg, int code);

struct vmb_msg_counters {
	uint64_t eager, rendezvous, pipelined, expected, unexpected, nonsense;
	uint64_t direct, direct_written; /* messages; pieces as the sender */
};
void vmb_msg_query(struct vmb_msg *msg, struct vmb_msg_counters *counters);

struct vmb_addr vmb_msg_addr(struct vmb_msg *msg, const struct vmb_peer *peer);
/* The address that a peer of that handle has, or would have; 0: none. */
struct vmb_addr vmb_msg_addr_of(const struct vmb_msg *msg, uint32_t handle);

#endif
