// SPDX-License-Identifier: BSD-2-Clause
/*
 * announce.c - the sender's side of a rendezvous.
 *
 * Flow:  send.c -> RTS; then the receiver fetches (GET) and says FIN,
 *        or asks with CTS and we stream DATA until it says FIN
 *        or, through a lane, both sides copy: share.c
 *        offer.c: the application says it in place of RTS
 * Owns:  the registration of the send buffer while it may be fetched.
 * Trust: CTS and FIN are checked against the request they name: its peer, its
 *        state, its length.
 */
#include <errno.h>
#include <string.h>

#include "base/barrier.h"
#include "msg/state.h"

#define REFUSALS_KEPT 256u /* messages, when peers take none */

/*
 * Memory in one piece can be fetched, if the NIC can reach it. Through a lane
 * both sides copy, at the same time, and need no engine.
 */
static void register_buffer(struct vmb_msg *msg, struct vmb_req *req)
{
	if (req->segment_count != 1 || req->send.registered)
		return;
	if (req->mp->peer->lane_on &&
	    req->msg_len <= msg->config.lane_stream_max)
		return;
	/* whatever the reason, the message can still be streamed */
	req->send.registered =
		!vmb_regcache_get(msg->config.regcache, req->segments[0].ptr,
				  req->segments[0].len, &req->send.ref);
}

unsigned vmb_announce_describe(struct vmb_msg *msg, struct vmb_req *req,
			       struct vmb_wire_rts *rts)
{
	*rts = (struct vmb_wire_rts){
		.number = vmb_req_number(req),
		.len = req->msg_len,
		.key = VMB_KEY_NONE,
	};
	if (vmb_share_offer(msg, req)) {
		rts->key = vmb_pack(req->send.copy.id.entry,
				    req->send.copy.id.number);
		rts->offset = (uintptr_t)req->segments[0].ptr;
		return VMB_MSG_RTS_DIRECT;
	}
	register_buffer(msg, req);
	if (req->send.registered) {
		rts->key = req->send.ref.key;
		rts->offset = req->send.ref.offset;
	}
	return VMB_MSG_RTS;
}

int vmb_announce_start(struct vmb_msg *msg, struct vmb_req *req)
{
	struct vmb_wire_rts rts;
	struct vmb_segment body = {&rts, sizeof(rts)};
	unsigned id = vmb_announce_describe(msg, req, &rts);
	int rc = vmb_msg_peer_post(msg, req->mp, id, req->match, &body, 1,
				   sizeof(rts));

	if (rc)
		return rc;
	msg->counters.rendezvous++;
	vmb_req_await(req, VMB_REQ_ANNOUNCED);
	return 0;
}

void vmb_announce_release(struct vmb_msg *msg, struct vmb_req *req)
{
	if (req->send.registered)
		vmb_regcache_put(msg->config.regcache, &req->send.ref);
	req->send.registered = false;
	vmb_share_end(msg, req);
}

void vmb_announce_withdraw(struct vmb_msg *msg, struct vmb_req *req, bool tell)
{
	bool registered = req->send.registered;
	bool direct = req->send.direct;
	bool streams = req->state == VMB_REQ_STREAMING ||
		       req->state == VMB_REQ_STREAMED;

	if (req->id != VMB_MSG_RTS || req->state == VMB_REQ_PENDING)
		return;
	vmb_announce_release(msg, req);
	if (registered)
		vmb_regcache_invalidate(msg->config.regcache,
					req->segments[0].ptr,
					req->segments[0].len);
	/*
	 * Without memory for it the receiver finds a stale key instead. One
	 * that waits for our share of a copy, or for a stream, looks at none.
	 */
	if (tell || direct || streams)
		vmb_am_post(msg->am, req->mp->peer, VMB_MSG_ABORT,
			    vmb_req_number(req), NULL, 0, 0, 0, VMB_AM_LAST);
}

/*
 * An offer is accepted after it was taken back: nobody else would say so. Only
 * so many are kept for peers that take no messages.
 */
static void refuse(struct vmb_msg *msg, struct vmb_peer *peer, uint64_t number)
{
	vmb_am_post(msg->am, peer, VMB_MSG_ABORT, number, NULL, 0, 0, 0,
		    msg->am->kept < REFUSALS_KEPT ? VMB_AM_QUEUE : VMB_AM_TRY);
}

static bool is_cts(const struct vmb_wire_cts *cts)
{
	return cts->want && cts->denied <= 1 && !cts->reserved_a0;
}

void vmb_announce_on_cts(struct vmb_am *am, const struct vmb_am_arrival *a,
			 void *arg)
{
	struct vmb_msg *msg = arg;
	struct vmb_req *req = NULL;
	struct vmb_wire_cts cts = {0};

	(void)am;
	if (a->len == sizeof(cts) || a->len == VMB_WIRE_CTS_SHORT)
		memcpy(&cts, a->data, a->len);
	if (a->peer->msg)
		req = vmb_req_find(msg, a->hdr, a->peer->msg);
	if (!req && is_cts(&cts))
		refuse(msg, a->peer, a->hdr);
	if (!req || req->state != VMB_REQ_ANNOUNCED || !is_cts(&cts) ||
	    cts.want > req->msg_len) {
		vmb_msg_nonsense(msg);
		return;
	}
	if (cts.denied)
		vmb_direct_refused(a->peer);
	vmb_announce_release(msg, req);
	msg->counters.pipelined++;
	req->state = VMB_REQ_STREAMING;
	req->send.remote = cts.number;
	req->send.want = cts.want;
	req->send.sent = 0;
	vmb_list_remove(&req->link);
	vmb_list_append(&req->mp->streams, &req->link);
	vmb_msg_peer_busy(msg, req->mp);
}

int vmb_announce_stream(struct vmb_msg *msg, struct vmb_req *req)
{
	uint64_t left = req->send.want - req->send.sent;
	size_t len = vmb_min(left, vmb_am_payload_max(msg->am));
	int rc =
		vmb_am_post(msg->am, req->mp->peer, VMB_MSG_DATA,
			    req->send.remote, req->segments, req->segment_count,
			    req->send.sent, len, VMB_AM_TRY);

	if (rc)
		return rc;
	req->send.sent += len;
	if (req->send.sent == req->send.want)
		vmb_req_await(req, VMB_REQ_STREAMED);
	return 0;
}

struct vmb_req *vmb_announce_find_stream(struct vmb_msg_peer *mp,
					 uint64_t remote)
{
	struct vmb_list *lists[] = {&mp->streams, &mp->active};

	for (unsigned i = 0; i < vmb_array_size(lists); i++) {
		struct vmb_list *l;

		vmb_list_each (l, lists[i]) {
			struct vmb_req *req =
				vmb_container_of(l, struct vmb_req, link);

			if ((req->state == VMB_REQ_STREAMING ||
			     req->state == VMB_REQ_STREAMED) &&
			    req->send.remote == remote)
				return req;
		}
	}
	return NULL;
}

/* A receiver that gives up may say so at any time after the announcement. */
static bool waits_for_fin(const struct vmb_req *req)
{
	return req->state == VMB_REQ_ANNOUNCED ||
	       req->state == VMB_REQ_SHARING ||
	       req->state == VMB_REQ_STREAMING ||
	       req->state == VMB_REQ_STREAMED;
}

void vmb_announce_on_fin(struct vmb_am *am, const struct vmb_am_arrival *a,
			 void *arg)
{
	(void)am;
	vmb_send_on_end(arg, a, waits_for_fin);
}
